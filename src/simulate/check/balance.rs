//! A: how evenly keys, groups and loads are spread.

use std::sync::Arc;

use super::tables::{Tables, members, names};
use super::{Book, Tolerance};
use crate::backend::BackendIx;
use crate::backend::members::{BackendSet, Members};
use crate::base::hash::{combine, hash64};
use crate::base::time::UnixSeconds;
use crate::pool::Pool;
use crate::pool::choose::{Patience, Pickers, Question};
use crate::pool::policy::Policy;
use crate::pool::standing::Standing;
use crate::simulate::Way;
use crate::simulate::balance::{Balance, mean_and_error};
use crate::simulate::fleet;
use crate::simulate::models::{choices, ring};
use crate::strategy::RequestFacts;

pub(super) const PARTS: &[fn(&mut Book)] = &[
    ring_of_points,
    ring_shares,
    ring_of_homing,
    filled,
    probed,
    bounded,
    keys,
    d_choices,
    queues,
    groups,
    one_group,
    fixtures,
    subsets,
];

fn ring_of_points(book: &mut Book) {
    for (points, reps) in [(1, 40), (10, 20), (100, book.size(3, 20)), (1000, book.size(1, 10))] {
        if points == 1000 && !book.is_long {
            continue;
        }
        let all: Vec<Vec<f64>> =
            (0..reps as u64).map(|r| ring::shares(1000, points, combine(book.seed, r))).collect();
        let expected = (999.0 / (1000.0 * points as f64 + 1.0)).sqrt();
        let cvs: Vec<f64> = all.iter().map(|s| Balance::of(s).cv).collect();
        let tolerance = if book.is_long || points == 1 || points == 10 { 0.02 } else { 0.05 };
        book.near("A6", format!("ring (model), 1000 nodes, {points} points: CV"), expected, &cvs, tolerance);
        let mut shares: Vec<f64> = all.into_iter().flatten().collect();
        shares.sort_by(f64::total_cmp);
        let at = |q: f64| shares[((shares.len() as f64 * q) as usize).min(shares.len() - 1)];
        let (low, high) = match points {
            1 => (0.005, 5.27),
            10 => (0.375, 2.01),
            100 => (0.763, 1.27),
            _ => (0.922, 1.087),
        };
        let near = if points == 1 { 0.15 } else { 0.03 };
        let what = |q: &str| format!("ring (model), 1000 nodes, {points} points: {q} percentile");
        book.note("A7", what("0.5th"), low, at(0.005), Tolerance::Share(near));
        book.note("A7", what("99.5th"), high, at(0.995), Tolerance::Share(0.03));
    }
}

fn ring_shares(book: &mut Book) {
    // The formula is that of the root mean square; the mean is less where backends are few (0.0575 for 3).
    for (n, cv, peak, reps) in [
        (3_usize, 0.0645_f64, 1.068, book.size(1000, 10_000)),
        (5, 0.0707, 1.093, book.size(500, 5000)),
        (10, 0.0750, 1.125, book.size(300, 3000)),
        (50, 0.0783, 1.186, book.size(40, 500)),
        (100, 0.0787, 1.211, book.size(15, 300)),
    ] {
        let squared = (n - 1) as f64 / (n as f64 * 160.0 + 1.0);
        book.note(
            "A8",
            format!("ring, {n} nodes of 160 points: CV by formula"),
            cv,
            squared.sqrt(),
            Tolerance::Off(1e-4),
        );
        let all: Vec<Balance> =
            (0..reps as u64).map(|r| Balance::of(&ring::shares(n, 160, combine(book.seed, r)))).collect();
        let of = |f: fn(&Balance) -> f64| all.iter().map(f).collect::<Vec<_>>();
        book.mean(
            "A8",
            format!("ring (model), {n} nodes of 160 points: squared CV"),
            squared,
            &of(|b| b.cv.powi(2)),
        );
        book.near("A8", format!("ring (model), {n} nodes of 160 points: peak"), peak, &of(|b| b.peak), 0.03);
        if n == 10 {
            book.mean("A8", "ring (model), 10 nodes of 160 points: Gini", 0.0402, &of(|b| b.gini));
        }
    }
}

/// Loads of `n` members after `count` keys.
fn loads(tables: &mut Tables, n: usize, keys: impl Iterator<Item = u64>) -> Vec<f64> {
    let mut loads = vec![0.0; n];
    for key in keys {
        if let Some(load) = loads.get_mut(tables.by_key(&key.to_be_bytes())) {
            *load += 1.0;
        }
    }
    loads
}

/// homing's own ring, by keys: what chance adds to the shares is taken off.
fn ring_of_homing(book: &mut Book) {
    let (n, count, rings) = (10, book.size(8000, 100_000), book.size(30, 300) as u64);
    let squares: Vec<f64> = (0..rings)
        .filter_map(|family| {
            let mut tables = Tables::new("ring", &[], &names(family, n))?;
            let keys = (0..count as u64).map(|k| combine(family, k));
            Some(Balance::of(&loads(&mut tables, n, keys)).cv.powi(2) - (n - 1) as f64 / count as f64)
        })
        .collect();
    book.mean("A8", "hash consistent, 10 members: squared CV of shares", 9.0 / 1601.0, &squares);
}

fn filled(book: &mut Book) {
    let peak = |balls, rep| Balance::of(&choices::thrown(balls, 1000, rep)).peak;
    let peaks: Vec<f64> =
        (0..book.size(60, 400) as u64).map(|r| peak(65_537, combine(book.seed, r))).collect();
    book.near("A11", "a table of 65537 filled at random, 1000 members: peak", 1.424, &peaks, 0.01);
    let peaks: Vec<f64> =
        (0..book.size(4, 100) as u64).map(|r| peak(655_373, combine(book.seed, r))).collect();
    book.near("A11", "a table of 655373 filled at random, 1000 members: peak", 1.1295, &peaks, 0.015);
    if book.is_long
        && let Some(mut tables) = Tables::new("rendezvous", &[], &names(0, 1000))
    {
        let mut counts = vec![0.0; 1000];
        (0..65_537_u64).for_each(|slot| counts[tables.by_hash(hash64(&slot.to_le_bytes()))] += 1.0);
        book.note(
            "A11",
            "the same by homing's rendezvous: peak",
            1.43,
            Balance::of(&counts).peak,
            Tolerance::Off(0.1),
        );
    }
}

fn probed(book: &mut Book) {
    for probes in [2, 5, 11, 21] {
        let k = f64::from(probes);
        let all: Vec<Balance> = (0..book.size(20, 200) as u64)
            .map(|r| Balance::of(&ring::probed_shares(2000, probes, combine(book.seed, r))))
            .collect();
        let of = |f: fn(&Balance) -> f64| all.iter().map(f).collect::<Vec<_>>();
        let cv = k / (k - 1.0) * (1.0 / (2.0 * k - 1.0) - 1.0 / (k * k)).sqrt();
        book.near(
            "A12",
            format!("multi-probe (model), {probes} probes: peak"),
            k / (k - 1.0),
            &of(|b| b.peak),
            0.03,
        );
        book.near("A12", format!("multi-probe (model), {probes} probes: CV"), cv, &of(|b| b.cv), 0.03);
    }
}

/// homing's ring with `count` requests in flight on `n` members, each placed anew, one after the other: freely, under the
/// bound, and under it with one member closed. What the bound is follows the requests that are in flight; from none on, ten
/// at a time and not a hundred meet on a member, and several times as many are passed on.
struct Bounded {
    free: Vec<u16>,
    held: Vec<u16>,
    less: Vec<u16>,
}

fn bounded_run(family: u64, n: usize, count: usize, max_load: u32) -> Option<Bounded> {
    let way = Way::parse("consistent", None).ok()?;
    let list = names(family, n);
    let free = fleet::pool(&way, members(&list), Policy::default());
    let backends = free.members.iter().map(|(_, b)| Arc::clone(b)).collect();
    let held = fleet::pool(&way, Members::new(backends), Policy { max_load, ..Policy::default() });
    let key = |i: usize| combine(family + 1, i as u64).to_be_bytes();
    let tried = BackendSet::new();
    let sweep = |pool: &Pool, standing: &Standing, before: Option<&[u16]>| -> Vec<u16> {
        let mut pickers = Pickers::new(pool, 1);
        let patience = Patience::NONE;
        let ask = Question { pool, standing, session: None, tried: &tried, follow: None, patience };
        let place = |i: usize| {
            let of = |ix: u16| &pool.members.get(BackendIx(ix)).load;
            before.and_then(|b| b.get(i)).iter().for_each(|ix| of(**ix).leave(0));
            let bytes = key(i);
            let (key, hash, now) = (Some(bytes.as_slice()), hash64(&bytes), UnixSeconds(0));
            let chosen =
                pickers.choose(&ask, &RequestFacts { client: None, key, hash, attempt: 0, now }).choice()?;
            // No bound of its own: it has room always.
            let _ = of(chosen.backend.0).enter(0);
            Some(chosen.backend.0)
        };
        (0..count).filter_map(place).collect()
    };
    let standing = Standing::initial(&free.members);
    let freely = sweep(&free, &standing, None);
    let under = sweep(&held, &standing, Some(&freely));
    let mut closed = standing;
    closed.open.remove(BackendIx(7));
    let less = sweep(&held, &closed, Some(&under));
    Some(Bounded { free: freely, held: under, less })
}

fn bounded(book: &mut Book) {
    let (n, count) = (100, book.size(2000, 10_000));
    // 0.0139 where both placements are made from nothing; from the one to the other fewer need to move.
    for (max_load, spilled, moved) in [(1100, 0.018, 0.0118), (1250, 0.0012, 0.0104), (2000, 0.0, 0.01)] {
        let (mut worst, mut spills, mut moves): (f64, _, _) = (0.0, Vec::new(), Vec::new());
        for run in (0..book.size(1, 40) as u64).filter_map(|family| bounded_run(family, n, count, max_load)) {
            let mut loads = vec![0.0; n];
            run.held.iter().for_each(|ix| loads[usize::from(*ix)] += 1.0);
            let most = (f64::from(max_load) / 1000.0 * count as f64 / n as f64).ceil();
            worst = worst.max(Balance::of(&loads).peak * count as f64 / n as f64 / most);
            let differ =
                |a: &[u16], b: &[u16]| a.iter().zip(b).filter(|(a, b)| a != b).count() as f64 / count as f64;
            spills.push(differ(&run.free, &run.held));
            moves.push(differ(&run.held, &run.less));
        }
        let c = f64::from(max_load) / 1000.0;
        book.note(
            "A13",
            format!("ring with max_load {c}: fullest, of its bound"),
            1.0,
            worst,
            Tolerance::AtMost,
        );
        if book.is_long {
            let (spill, gone) = (mean_and_error(&spills).0, mean_and_error(&moves).0);
            let what = format!("ring with max_load {c}: passed on");
            book.note("A13", what, spilled, spill, Tolerance::Off(0.15 * spilled + 5e-4));
            let what = format!("ring with max_load {c}, one of 100 closed: moved");
            book.note("A13", what, moved, gone, Tolerance::Share(0.15));
        }
    }
}

fn keys(book: &mut Book) {
    for (n, count, peak, gini, reps) in
        [(10, 10_000, 1.049, Some(0.0162), book.size(20, 400)), (3, 1000, 1.047, None, book.size(100, 2000))]
    {
        let Some(mut tables) = Tables::new("rendezvous", &[], &names(0, n)) else { continue };
        let all: Vec<Balance> = (0..reps as u64)
            .map(|r| Balance::of(&loads(&mut tables, n, (0..count).map(|k| combine(book.seed ^ r << 32, k)))))
            .collect();
        let of = |f: fn(&Balance) -> f64| all.iter().map(f).collect::<Vec<_>>();
        let squared = (n - 1) as f64 / count as f64;
        book.mean(
            "A15",
            format!("rendezvous, {count} keys on {n}: squared CV"),
            squared,
            &of(|b| b.cv.powi(2)),
        );
        book.near("A15", format!("rendezvous, {count} keys on {n}: peak"), peak, &of(|b| b.peak), 0.03);
        if let Some(gini) = gini {
            book.mean("A15", format!("rendezvous, {count} keys on {n}: Gini"), gini, &of(|b| b.gini));
        }
    }
}

fn d_choices(book: &mut Book) {
    for (d, expected) in [(2, 4.0), (3, 3.0)] {
        book.exact(
            "A16",
            format!("2^20 balls, the emptiest of {d}: fullest"),
            expected,
            f64::from(choices::fullest(1 << 20, d, book.seed)),
        );
    }
    // 1.18 bins of 9 or more are expected: 8 is the fullest in three of ten runs.
    let fullest = f64::from(choices::fullest(1 << 20, 1, book.seed));
    book.note("A16", "2^20 balls at random: fullest", 9.0, fullest, Tolerance::Off(1.0));
}

fn queues(book: &mut Book) {
    let mut rows = vec![(0.5, 1.2657), (0.7, 1.6145)];
    if book.is_long {
        rows.extend([(0.9, 2.6141), (0.95, 3.3830), (0.99, 5.4320)]);
    } else {
        book.without(
            "A17",
            "at loads of .9, .95 and .99: takes more servers than the short form has; see --long",
        );
    }
    let (servers, events) = (book.size(200, 1000), book.size(300_000, 40_000_000) as u64);
    for (load, expected) in rows {
        let time = choices::mean_time(servers, load, 2, events, book.seed);
        book.note(
            "A17",
            format!("queues at load {load}, the shorter of two: mean time"),
            expected,
            time,
            Tolerance::Share(0.05),
        );
        let time = choices::mean_time(servers, load, 1, events, book.seed + 1);
        let (what, expected) = (format!("queues at load {load}, at random: mean time"), 1.0 / (1.0 - load));
        if load < 0.99 {
            let near = if load > 0.9 { 0.1 } else { 0.05 };
            book.note("A17", what, expected, time, Tolerance::Share(near));
        } else {
            // What is there at the beginning, drawn from the steady state, is remembered for so long that the run's mean
            // is hardly better than that one draw of every server.
            let alone = load.sqrt() / (1.0 - load) / load;
            book.sigma("A17", what, expected, time, alone / (servers as f64).sqrt());
        }
    }
}

fn groups(book: &mut Book) {
    for (groups, n_eff, expected) in
        [(1000_u64, 34.1, [(3, 0.242), (10, 0.514)]), (10_000, 58.2, [(3, 0.185), (10, 0.393)])]
    {
        if groups > 1000 && !book.is_long {
            continue;
        }
        let sizes: Vec<f64> = (1..=groups).map(|rank| 1.0 / rank as f64).collect();
        let whole: f64 = sizes.iter().sum();
        let squares: f64 = sizes.iter().map(|s| (s / whole).powi(2)).sum();
        book.note(
            "A21",
            format!("{groups} groups by Zipf 1: N_eff"),
            n_eff,
            1.0 / squares,
            Tolerance::Share(0.01),
        );
        for (n, cv) in expected {
            let Some(mut tables) = Tables::new("rendezvous", &[], &names(0, n)) else { continue };
            let cvs: Vec<f64> = (0..book.size(60, 1000) as u64)
                .map(|r| {
                    let mut loads = vec![0.0; n];
                    for (group, size) in sizes.iter().enumerate() {
                        loads[tables.by_hash(combine(r, group as u64))] += size;
                    }
                    Balance::of(&loads).cv.powi(2)
                })
                .collect();
            book.mean(
                "A21",
                format!("rendezvous by {groups} groups on {n}: squared CV (CV {cv})"),
                (n - 1) as f64 * squares,
                &cvs,
            );
        }
    }
}

fn one_group(book: &mut Book) {
    for (n, f) in [(10_usize, 0.2), (3, 1.0)] {
        let mut loads = vec![(1.0 - f) / n as f64; n];
        loads[0] += f;
        let (b, nf) = (Balance::of(&loads), n as f64);
        let what = |name: &str| format!("a share of {f} on one of {n}: {name}");
        book.exact("A21", what("peak"), 1.0 + (nf - 1.0) * f, b.peak);
        book.exact("A21", what("CV"), f * (nf - 1.0).sqrt(), b.cv);
        book.exact("A21", what("Gini"), f * (nf - 1.0) / nf, b.gini);
    }
}

fn fixtures(book: &mut Book) {
    for (loads, [gini, cv, jain, peak]) in
        [([0.0, 0.0, 0.0, 1.0], [0.75, 3_f64.sqrt(), 0.25, 4.0]), ([1.0; 4], [0.0, 0.0, 1.0, 1.0])]
    {
        let b = Balance::of(&loads);
        for (name, expected, measured) in
            [("Gini", gini, b.gini), ("CV", cv, b.cv), ("Jain", jain, b.jain), ("peak", peak, b.peak)]
        {
            book.exact("A22", format!("{loads:?}: {name}"), expected, measured);
        }
    }
}

fn subsets(book: &mut Book) {
    for (k, least, most) in [(90, 0.753, 1.258), (30, 0.535, 1.533)] {
        let all: Vec<Vec<f64>> =
            (0..book.size(40, 400) as u64).map(|r| choices::subsets(300, k, combine(book.seed, r))).collect();
        let least_of = |l: &Vec<f64>| l.iter().copied().fold(f64::MAX, f64::min) / k as f64;
        let leasts: Vec<f64> = all.iter().map(least_of).collect();
        let peaks: Vec<f64> = all.iter().map(|l| Balance::of(l).peak).collect();
        book.mean("A23", format!("300 clients of {k} among 300 (model): least loaded"), least, &leasts);
        book.mean("A23", format!("300 clients of {k} among 300 (model): most loaded"), most, &peaks);
    }
}
