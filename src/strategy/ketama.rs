//! The ring of nginx's `hash .. consistent`, bit for bit: a chain of CRC-32 points per server text.
//!
//! A server has `points` times its weight points; a key goes to the first point at or after its own CRC-32, around
//! the end. Servers are told apart by their address as written, so members that share a text share their points.
//! Members that are closed keep theirs: closing one moves only its keys.
//! (nginx: ngx_http_upstream_init_chash, ngx_http_upstream_get_chash_peer.)
//!
//! One departure, where nginx would take gigabytes: a ring has at most [`MOST_POINTS`] points; where weights ask
//! for more, every server's number is cut in the same proportion, to no fewer than one.

use std::collections::BTreeMap;

use crc32fast::Hasher;

use crate::backend::BackendIx;
use crate::backend::members::Group;
use crate::base::crc::crc32;

/// Points on one ring at most: 64 MB of table, and a second to build. 160 per unit of weight reach it at a total
/// weight of 50000.
pub(super) const MOST_POINTS: u64 = 8_000_000;

/// Arcs of the circle that have an entry of their own, at most.
const MOST_ARCS: usize = 1 << 16;

/// Points of an arc that are compared all together; hardly any arc has more.
const NEAR: usize = 4;

/// Points in the order of the circle.
#[derive(Debug)]
pub(super) struct Ring {
    points: Vec<Point>,
    /// How many points lie before each of 2^k equal arcs of the circle, one to two of them per point, and how many there are.
    before: Vec<u32>,
    /// What is left of a hash, its lower bits cut off, is its arc.
    shift: u32,
    /// The members of each server text, in the texts' order.
    servers: Vec<Vec<BackendIx>>,
}

/// One point; ordered by its place, and two texts on one place by text, so that file order never matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    at: u32,
    server: u16,
}

impl Ring {
    /// The ring over a group with `per_weight` points for each unit of weight.
    pub(super) fn new(group: Group<'_>, per_weight: u32) -> Self {
        let mut texts: BTreeMap<&str, (u64, Vec<BackendIx>)> = BTreeMap::new();
        for (ix, backend) in group.iter() {
            let (count, members) = texts.entry(&backend.address_text).or_default();
            // Members of one text emit the same chain in nginx, and the longest covers the others.
            *count = (*count).max(u64::from(backend.table_weight()) * u64::from(per_weight));
            members.push(ix);
        }
        let wanted: u64 = texts.values().map(|(count, _)| count).sum();
        let mut points = Vec::with_capacity(usize::try_from(wanted.min(MOST_POINTS)).unwrap_or(0));
        for (server, (text, (count, _))) in (0_u16..).zip(&texts) {
            let count = if wanted > MOST_POINTS { (count * MOST_POINTS / wanted).max(1) } else { *count };
            points.extend(chain(text).zip(0..count).map(|(at, _)| Point { at, server }));
        }
        points.sort_unstable();
        points.dedup_by_key(|p| p.at);
        let bits = points.len().clamp(2, MOST_ARCS).next_power_of_two().ilog2();
        let shift = u32::BITS - bits;
        let mut before = vec![0; (1 << bits) + 1];
        for point in &points {
            before[(point.at >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for count in &mut before {
            sum += *count;
            *count = sum;
        }
        Self { points, before, shift, servers: texts.into_values().map(|(_, members)| members).collect() }
    }

    /// The members at the key's point, at the next point, and so on around without end (unless nobody is there).
    pub(super) fn walk(&self, key: &[u8]) -> impl Iterator<Item = &[BackendIx]> {
        let mut next = self.first(crc32(key));
        let circle = std::iter::from_fn(move || {
            let at = if next < self.points.len() { next } else { 0 };
            next = at + 1;
            self.points.get(at)
        });
        circle.filter_map(|p| self.servers.get(usize::from(p.server)).map(Vec::as_slice))
    }

    /// The first point at or after `hash`; their number if it lies behind the last.
    fn first(&self, hash: u32) -> usize {
        let arc = (hash >> self.shift) as usize;
        let (Some(from), Some(to)) = (self.before.get(arc), self.before.get(arc + 1)) else { return 0 };
        let (from, to) = (*from as usize, *to as usize);
        match self.points.get(from..from + NEAR) {
            // Without branches; points of the next arcs, if there are such among them, lie behind.
            Some(near) if to <= from + NEAR => from + near.iter().filter(|p| p.at < hash).count(),
            _ => from + self.points.get(from..to).unwrap_or_default().partition_point(|p| p.at < hash),
        }
    }
}

/// The points of one server text: each is the CRC-32 of host, NUL, port and the point before it.
fn chain(text: &str) -> impl Iterator<Item = u32> {
    let (host, port) = split(text);
    let mut base = Hasher::new();
    base.update(host.as_bytes());
    base.update(&[0]);
    base.update(port.as_bytes());
    let mut previous = 0_u32;
    std::iter::repeat_with(move || {
        let mut point = base.clone();
        point.update(&previous.to_le_bytes());
        previous = point.finalize();
        previous
    })
}

/// Host and port of a server as written; a port is what follows a last colon and has only digits.
fn split(text: &str) -> (&str, &str) {
    if let Some((scheme, path)) = text.split_at_checked(5)
        && scheme.eq_ignore_ascii_case("unix:")
    {
        return (path, "");
    }
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        Some(_) | None => (text, ""),
    }
}

#[cfg(test)]
#[path = "ketama_tests.rs"]
mod tests;
