//! What keeps a client that has no cookie: its address (T5, T6), the URL (T5c), its connection (T7).

use std::net::Ipv4Addr;

use super::classify::{placing, tiny};
use super::findings::Mark;
use super::observed::{Held, Node, Trial, modulo, nginx_hash};
use super::prober::{Client, Connection, From, Path, Prober, Visit};
use super::statistics::{equal_shares, shares};

/// New clients of one address, one behind the other.
const ORDER: usize = 30;
/// Addresses that a formula is tried on.
const KEYS: usize = 40;

/// T5 and T6: the same address, one /24, one /16.
pub(super) async fn run(prober: &mut Prober<'_>, first: &[(Visit, Option<Node>)]) {
    if prober.seen.nodes.is_empty() {
        return;
    }
    let place = prober.place();
    for _ in 0..ORDER {
        let node = prober.visit(&mut Client::bare(place)).await.node;
        prober.seen.order.seen.push(node);
    }
    refine_shares(prober);
    let row = prober.row(&mut Client::bare(place)).await;
    let held = row.held(&prober.seen.shares);
    let text = row.to_text(&prober.seen.nodes);
    prober.seen.same_address = Some(row);
    let asked = "the same address without cookies, others in between";
    let verdict = match held {
        Held::Always(_) => "the address, or something else that is always the same, is enough".to_owned(),
        Held::Mostly(_) => "mostly the same backend".to_owned(),
        Held::No => "an address is not enough".to_owned(),
        Held::Unknown => "not enough backends or answers to tell".to_owned(),
    };
    let mark = if held.is_always() { Mark::Good } else { Mark::Note };
    prober.find_with("T5", mark, asked, text, verdict, held.chance());
    let asked = "addresses of one /24, and of one /16";
    if !prober.seen.varies {
        prober.leave_out(
            "T6",
            asked,
            "clients come from one address here; --client-header names a field that the balancer trusts",
        );
        return;
    }
    if !held.is_always() {
        prober.leave_out("T6", asked, "an address keeps nobody");
        return;
    }
    let From::One(Some(like)) = prober.place() else { return };
    formulas(prober, first).await;
    let of_24 = prober.row(&mut Client::bare(From::Like(like, 3))).await;
    let of_16 = prober.row(&mut Client::bare(From::Like(like, 2))).await;
    let (nodes, shares) = (&prober.seen.nodes, &prober.seen.shares);
    let seen = format!("/24: {}; /16: {}", of_24.to_text(nodes), of_16.to_text(nodes));
    let (is_24, is_16) = (of_24.held(shares), of_16.held(shares));
    let verdict = match (is_24.is_always(), is_16.is_always()) {
        (true, true) => "a /16 is one client",
        (true, false) => "a /24 is one client",
        _ => "each address is a client of its own",
    };
    let formula = prober
        .seen
        .ip_hash
        .map_or_else(String::new, |p| format!("; placed by nginx's ip_hash ({})", tiny(p)));
    (prober.seen.same_24, prober.seen.same_16) = (Some(of_24), Some(of_16));
    prober.find_with("T6", Mark::Note, asked, seen, format!("{verdict}{formula}"), is_24.chance());
}

/// Whether nginx would send addresses where they came to, by its `ip_hash` or by the `hash` of their text.
async fn formulas(prober: &mut Prober<'_>, first: &[(Visit, Option<Node>)]) {
    let mut placed: Vec<(Ipv4Addr, Node)> = Vec::new();
    placed.extend(first.iter().filter_map(|(visit, node)| visit.source.zip(*node)));
    for _ in first.len()..KEYS {
        let visit = prober.visit(&mut Client::bare(From::Any)).await;
        placed.extend(visit.source.zip(visit.node));
    }
    let n = prober.seen.nodes.len();
    let by = |key: &dyn Fn(Ipv4Addr) -> Vec<u8>, hash: fn(&[u8]) -> u32| {
        let keys: Vec<(Vec<u8>, Node)> = placed.iter().map(|(ip, node)| (key(*ip), *node)).collect();
        modulo(&keys, n, hash).filter(|p| *p < 1e-6)
    };
    prober.seen.ip_hash = by(&|ip| ip.octets()[..3].to_vec(), ip_hash);
    prober.seen.address_modulo = by(&|ip| ip.to_string().into_bytes(), nginx_hash);
}

/// More has been seen by now: backends, and how often.
fn refine_shares(prober: &mut Prober<'_>) {
    let seen = &prober.seen;
    let is_constant = |t: &Trial| t.counts().iter().filter(|c| **c > 0).count() < 2;
    // What one address gives says how new clients are shared out only if it is not held.
    let rows = if is_constant(&seen.order) { vec![&seen.spread] } else { vec![&seen.spread, &seen.order] };
    let mut counts = vec![0; seen.nodes.len()];
    for row in rows {
        row.seen.iter().flatten().for_each(|node| counts[*node] += 1);
    }
    prober.seen.shares = shares(&counts);
}

/// nginx's `ip_hash` of the first three octets (its first round).
fn ip_hash(octets: &[u8]) -> u32 {
    octets.iter().fold(89, |hash, byte| (hash * 113 + u32::from(*byte)) % 6271)
}

/// T7: one kept connection, no cookies.
pub(super) async fn connection(prober: &mut Prober<'_>) {
    let asked = "one kept connection without cookies, others in between";
    let place = prober.place();
    let mut client = Client { connection: Connection::Kept(None, 0), ..Client::bare(place) };
    for _ in 0..ORDER {
        let node = prober.visit(&mut client).await.node;
        prober.seen.one_line.seen.push(node);
    }
    let row = prober.row(&mut client).await;
    let Connection::Kept(_, opened) = client.connection else { return };
    if opened > 1 + row.seen.len() / 4 {
        prober.leave_out("T7", asked, "connections are closed behind an answer");
        return;
    }
    let held = row.held(&prober.seen.shares);
    let is_address = prober.seen.held(prober.seen.same_address.as_ref()).is_always();
    let verdict = match (held, is_address) {
        (Held::Always(_), true) => "nothing new: the address keeps it too".to_owned(),
        (Held::Always(_), false) => "the connection keeps its clients".to_owned(),
        (Held::No, _) => format!(
            "a connection keeps nobody: its requests are placed one by one, {}",
            placing(&prober.seen).0
        ),
        _ => "does not show".to_owned(),
    };
    let text = row.to_text(&prober.seen.nodes);
    prober.find_with("T7", Mark::Note, asked, text, verdict, held.chance());
    prober.seen.connection = Some(row);
}

/// One address and another URL each time, where the address or the URL keeps a client.
pub(super) async fn other_paths(prober: &mut Prober<'_>) {
    if !prober.seen.held(prober.seen.same_address.as_ref()).is_always() && prober.seen.nodes.len() > 1 {
        return;
    }
    let place = prober.place();
    let mut client = Client { path: Path::Any, ..Client::bare(place) };
    let row = prober.row(&mut client).await;
    // With one backend until now, a row cannot be held: what counts is whether others were seen.
    let spreads = row.counts().iter().filter(|c| **c > 0).count() > 1;
    if spreads && prober.seen.shares.len() < prober.seen.nodes.len() {
        // Who there is shows only now.
        for _ in 0..ORDER {
            prober.visit(&mut client).await;
        }
        prober.seen.shares = equal_shares(prober.seen.nodes.len());
        let again = prober.row(&mut Client::bare(place)).await;
        prober.seen.same_address = Some(again);
    }
    let verdict = if spreads { "the URL decides" } else { "the URL does not matter" };
    let text = row.to_text(&prober.seen.nodes);
    prober.find("T5c", Mark::Note, "one address, another query each time", text, verdict);
    prober.seen.other_paths = Some(row);
}
