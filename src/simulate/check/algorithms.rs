//! A: who moves, golden values, tables.

use super::tables::{Tables, names};
use super::{Book, Tolerance};
use crate::base::hash::combine;
use crate::simulate::models::anchor::{Anchor, dx_probes};
use crate::simulate::models::jump;
use crate::simulate::theory::unchanged;

pub(super) const PARTS: &[fn(&mut Book)] = &[
    jump_hash,
    jump_over_a_list,
    modulo,
    minimal,
    maglev_slots,
    maglev_changes,
    anchors,
    ketama,
    ip_hash_golden,
    ip_hash_all,
];

fn share(moved: usize, of: usize) -> f64 {
    moved as f64 / of as f64
}

fn sigma(p: f64, of: usize) -> f64 {
    (p * (1.0 - p) / of as f64).sqrt()
}

fn key(book: &Book, i: usize) -> u64 {
    combine(book.seed, i as u64)
}

fn jump_hash(book: &mut Book) {
    let golden = [
        (256, 1024, 520),
        (42, 57, 43),
        (0xdead_10cc, 666, 361),
        (10_863_919_174_838_991, 11, 6),
        (0, 60, 0),
        (1, 60, 55),
        (13, 60, 56),
    ];
    for (key, n, expected) in golden {
        book.exact(
            "A1",
            format!("jump of {key:#x} among {n}"),
            f64::from(expected),
            f64::from(jump::bucket(key, n)),
        );
    }
    let count = book.size(20_000, 1_000_000);
    for n in [3_u32, 10, 100] {
        let pairs: Vec<_> =
            (0..count).map(|i| key(book, i)).map(|k| (jump::bucket(k, n), jump::bucket(k, n + 1))).collect();
        let moved = pairs.iter().filter(|(was, is)| was != is).count();
        let back = pairs.iter().filter(|(was, is)| was != is && *is != n).count();
        let p = 1.0 / f64::from(n + 1);
        book.sigma(
            "A2",
            format!("jump, {n} to {} buckets: moved", n + 1),
            p,
            share(moved, count),
            sigma(p, count),
        );
        book.exact("A2", format!("jump, {n} to {} buckets: to old ones", n + 1), 0.0, back as f64);
    }
}

fn jump_over_a_list(book: &mut Book) {
    let (n, count) = (10_u32, book.size(20_000, 400_000));
    for (d, expected) in [(5_u32, 0.4889), (0, 0.9889), (9, 0.1)] {
        let nf = f64::from(n);
        let p =
            if d == n - 1 { 1.0 / nf } else { f64::from(n - 1 - d) / nf + (nf - 2.0) / (nf * (nf - 1.0)) };
        debug_assert!((p - expected).abs() < 1e-4);
        let moved = (0..count).map(|i| key(book, i)).filter(|k| {
            let is = jump::bucket(*k, n - 1);
            jump::bucket(*k, n) != if is < d { is } else { is + 1 }
        });
        let moved = moved.count();
        book.sigma(
            "A3",
            format!("jump over a list of {n}, place {d} deleted"),
            p,
            share(moved, count),
            sigma(p, count),
        );
    }
}

/// Moved of `count` keys between two lists, and how many of them without need.
fn moved(book: &Book, strategy: &str, lists: [&[String]; 2], count: usize) -> (usize, usize) {
    let [Some(mut was), Some(mut is)] = lists.map(|list| Tables::new(strategy, &[], list)) else {
        return (0, 0);
    };
    let (mut moved, mut unforced) = (0, 0);
    for i in 0..count {
        let key = key(book, i).to_be_bytes();
        let from = was.id_of(&key).to_owned();
        let to = is.id_of(&key);
        if from != to {
            moved += 1;
            let to = to.to_owned();
            unforced += usize::from(is.has(&from) && was.has(&to));
        }
    }
    (moved, unforced)
}

fn without(list: &[String], place: usize) -> Vec<String> {
    list.iter().enumerate().filter(|(i, _)| *i != place).map(|(_, name)| name.clone()).collect()
}

fn modulo(book: &mut Book) {
    let count = book.size(4000, 100_000);
    for (a, b) in [(10, 9), (10, 11), (3, 4), (8, 6), (4, 8)] {
        let (moved, _) = moved(book, "hash", [&names(0, a), &names(0, b)], count);
        let p = 1.0 - unchanged(a, b);
        book.sigma("A4", format!("hash, {a} to {b}: moved"), p, share(moved, count), sigma(p, count));
    }
    for (n, place) in [(10, 0), (10, 4), (5, 2)] {
        let all = names(0, n);
        let (moved, _) = moved(book, "hash", [&all, &without(&all, place)], count);
        let p = 1.0 - 1.0 / n as f64;
        book.sigma(
            "A4",
            format!("hash, place {place} of {n} taken out: moved"),
            p,
            share(moved, count),
            sigma(p, count),
        );
    }
}

fn minimal(book: &mut Book) {
    let count = book.size(3000, 100_000);
    for strategy in ["rendezvous", "ring"] {
        for n in [3, 10] {
            let (all, more) = (names(0, n), names(0, n + 1));
            let (_, removed) = moved(book, strategy, [&all, &without(&all, n / 2)], count);
            let (_, added) = moved(book, strategy, [&all, &more], count);
            book.exact("A5", format!("{strategy}, one of {n} removed: unforced"), 0.0, removed as f64);
            book.exact("A5", format!("{strategy}, one added to {n}: unforced"), 0.0, added as f64);
        }
    }
    let (mut anchor, keys) = (Anchor::new(20), 0..count);
    anchor.remove(3);
    let before: Vec<_> = keys.clone().map(|i| anchor.find(key(book, i)).0).collect();
    anchor.remove(11);
    let unforced = keys.filter(|i| before[*i] != 11 && before[*i] != anchor.find(key(book, *i)).0).count();
    book.exact("A5", "anchor (model), one of 19 removed: unforced", 0.0, unforced as f64);
}

fn counts(slots: &[usize], n: usize) -> Vec<usize> {
    let mut counts = vec![0; n];
    slots.iter().filter(|s| **s < n).for_each(|s| counts[*s] += 1);
    counts
}

fn maglev_slots(book: &mut Book) {
    let mut tables = vec![(65_537_u32, 10, 6554, 7), (65_537, 1000, 66, 537)];
    if book.is_long {
        tables.push((655_373, 1000, 656, 373));
    }
    for (size, n, most, expected) in tables {
        let Some(mut maglev) = Tables::new("maglev", &[("table_size", i64::from(size))], &names(0, n)) else {
            continue;
        };
        let counts = counts(&maglev.slots(u64::from(size)), n);
        let full = counts.iter().filter(|c| **c == most).count();
        let others = counts.iter().filter(|c| **c == most - 1).count();
        book.exact(
            "A9",
            format!("maglev, table {size}, {n} members: with {most} slots"),
            f64::from(expected),
            full as f64,
        );
        book.exact(
            "A9",
            format!("maglev, table {size}, {n} members: with {}", most - 1),
            (n - full) as f64,
            others as f64,
        );
    }
}

/// Shares of slots that change when `gone` of `n` members leave.
fn slots_changed(book: &Book, family: u64, n: usize, gone: usize) -> f64 {
    let all = names(family, n);
    // Every so many, beginning somewhere.
    let first = (key(book, family as usize) % n as u64) as usize;
    let leaving: Vec<usize> = (0..gone).map(|i| (first + i * n / gone) % n).collect();
    let left: Vec<usize> = (0..n).filter(|i| !leaving.contains(i)).collect();
    let list: Vec<String> = left.iter().map(|i| all[*i].clone()).collect();
    let [Some(mut was), Some(mut is)] = [&all, &list].map(|l| Tables::new("maglev", &[], l)) else {
        return 0.0;
    };
    let (was, is) = (was.slots(65_537), is.slots(65_537));
    share(was.iter().zip(&is).filter(|(a, b)| left.get(**b) != Some(a)).count(), was.len())
}

fn maglev_changes(book: &mut Book) {
    let mut rows = vec![(3, 1, 0.3336), (10, 1, 0.1024), (20, 1, 0.0535), (100, 1, 0.0156)];
    if book.is_long {
        rows.extend([(5, 1, 0.2010), (50, 1, 0.024_45), (150, 1, 0.012_83), (200, 1, 0.012_38)]);
        rows.extend([
            (1000, 1, 0.006_68),
            (1000, 5, 0.0231),
            (1000, 10, 0.0334),
            (1000, 20, 0.0465),
            (1000, 50, 0.0827),
        ]);
    }
    let families = book.size(3, 20) as u64;
    for (n, gone, expected) in rows {
        let shares: Vec<f64> = (0..families).map(|family| slots_changed(book, family, n, gone)).collect();
        book.near(
            "A10",
            format!("maglev 65537, {gone} of {n} leave: slots changed"),
            expected,
            &shares,
            0.05,
        );
        if gone == 1 && n <= 20 {
            let (mean, _) = crate::simulate::balance::mean_and_error(&shares);
            // 1.07 on average for 20; which one leaves makes a difference.
            let most = if n <= 10 { 1.03 } else { 1.08 };
            book.note(
                "A24",
                format!("maglev, one of {n} leaves: D"),
                most,
                mean * n as f64,
                Tolerance::AtMost,
            );
        }
    }
}

fn anchors(book: &mut Book) {
    let count = book.size(20_000, 500_000);
    for (size, working) in [(1000_usize, 500_usize), (1000, 100)] {
        let mut anchor = Anchor::new(size);
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by_key(|i| key(book, *i));
        order.iter().take(size - working).for_each(|b| anchor.remove(*b));
        let ratio = size as f64 / working as f64;
        let hashes: Vec<f64> = (0..count).map(|i| f64::from(anchor.find(key(book, i)).1)).collect();
        book.near(
            "A14",
            format!("anchor (model), {working} of {size}: hashes"),
            1.0 + ratio.ln(),
            &hashes,
            0.01,
        );
        let probes: Vec<f64> =
            (0..count).map(|i| f64::from(dx_probes(key(book, i), size as u64, working as u64))).collect();
        book.mean("A14", format!("dx (model), {working} of {size}: probes"), ratio, &probes);
    }
}

fn ketama(book: &mut Book) {
    let list: Vec<String> = (1..=3).map(|i| format!("127.0.0.1:1808{i}")).collect();
    let [Some(mut all), Some(mut rest)] = [&list, &without(&list, 1)].map(|l| Tables::new("ring", &[], l))
    else {
        return;
    };
    let places: Vec<_> = (0..1500)
        .map(|i| format!("sess-{i}"))
        .map(|k| (all.by_key(k.as_bytes()), [0, 2].get(rest.by_key(k.as_bytes())).copied().unwrap_or(9)))
        .collect();
    for (place, expected) in [510.0, 460.0, 530.0].into_iter().enumerate() {
        let count = places.iter().filter(|(was, _)| *was == place).count();
        book.exact(
            "A18",
            format!("ring, 1500 keys: at nginx's server {}", place + 1),
            expected,
            count as f64,
        );
    }
    let moved = places.iter().filter(|(was, is)| was != is).count();
    let unforced = places.iter().filter(|(was, is)| was != is && *was != 1).count();
    book.exact("A18", "ring, the second taken out: moved", 460.0, moved as f64);
    book.exact("A18", "ring, the second taken out: unforced", 0.0, unforced as f64);
}

/// Values of nginx's hash.
const VALUES: usize = 6271;

fn ip_hash_golden(book: &mut Book) {
    // With as many members as values, a member's place is the value.
    let Some(mut all) = Tables::new("ip_hash", &[], &names(0, VALUES)) else { return };
    for (network, expected) in [
        ([10, 0, 0], 2565),
        ([127, 0, 0], 4040),
        ([192, 168, 1], 154),
        ([203, 0, 113], 2592),
        ([198, 51, 100], 936),
        ([8, 8, 8], 3023),
        ([1, 2, 3], 751),
    ] {
        let [a, b, c] = network;
        let value = all.by_network(network);
        book.exact("A19", format!("ip_hash of {a}.{b}.{c}.0/24"), f64::from(expected), value as f64);
    }
}

/// For each value of nginx's hash how many of all /24 networks have it, and one of them.
fn networks() -> (Vec<f64>, Vec<[u8; 3]>) {
    let round = |hash: usize, octet: usize| (hash * 113 + octet) % VALUES;
    let mut counts = vec![0_u64; VALUES];
    counts[89] = 1;
    for _ in 0..3 {
        let before = std::mem::replace(&mut counts, vec![0; VALUES]);
        for (hash, count) in before.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            (0..256).for_each(|octet| counts[round(hash, octet)] += count);
        }
    }
    let mut one = vec![None; VALUES];
    for (b, c) in (0..=255_u8).flat_map(|b| (0..=255_u8).map(move |c| (b, c))) {
        let hash = [7, usize::from(b), usize::from(c)].into_iter().fold(89, round);
        one[hash] = Some([7, b, c]);
    }
    (counts.into_iter().map(|c| c as f64).collect(), one.into_iter().flatten().collect())
}

fn ip_hash_all(book: &mut Book) {
    let (counts, one) = networks();
    let whole: f64 = counts.iter().sum();
    book.exact("A20", "ip_hash: /24 networks gone through", 2_f64.powi(24), whole);
    book.exact("A20", "ip_hash: values that some network of 7.0.0.0/8 has", VALUES as f64, one.len() as f64);
    if one.len() != VALUES {
        return;
    }
    let of = |matches: &dyn Fn(usize) -> bool| {
        (0..VALUES).filter(|v| matches(*v)).map(|v| counts[v]).sum::<f64>() / whole
    };
    for (n, expected) in [(3, 0.7498), (10, 0.9090), (50, 0.9761)] {
        let [Some(mut was), Some(mut is)] = [n, n + 1].map(|n| Tables::new("ip_hash", &[], &names(0, n)))
        else {
            continue;
        };
        let places: Vec<_> = one.iter().map(|net| (was.by_network(*net), is.by_network(*net))).collect();
        let moved = of(&|v| places[v].0 != places[v].1);
        book.note(
            "A20",
            format!("ip_hash, {n} to {}: moved of all /24", n + 1),
            expected,
            moved,
            Tolerance::Off(1e-4),
        );
    }
    for (n, expected) in [(10, 1.03), (20, 1.15), (50, 2.34), (100, 4.74)] {
        let Some(mut tables) = Tables::new("ip_hash", &[], &names(0, n)) else { continue };
        let before: Vec<usize> = one.iter().map(|net| tables.by_network(*net)).collect();
        // All of them in turn where that is quick; what the first one's networks get is in the table.
        let (mut moved, mut unforced) = (0.0, 0.0);
        for closed in 0..if n == 10 || book.is_long { n } else { 1 } {
            tables.close(closed);
            let after: Vec<usize> = one.iter().map(|net| tables.by_network(*net)).collect();
            tables.open(closed);
            moved += of(&|v| before[v] != after[v]);
            unforced += of(&|v| before[v] != after[v] && before[v] != closed);
            if closed == 0 {
                let gained: Vec<f64> =
                    (1..n).map(|to| of(&|v| before[v] == closed && after[v] == to)).collect();
                let peak = crate::simulate::balance::Balance::of(&gained).peak;
                let what = format!("ip_hash, the first of {n} closed: peak of what the others get");
                book.note("A20", what, expected, peak, Tolerance::Share(0.01));
            }
        }
        if n == 10 || book.is_long {
            book.note(
                "A20",
                format!("ip_hash, each of {n} closed in turn: moved in all"),
                1.0,
                moved,
                Tolerance::Off(1e-9),
            );
        }
        book.exact("A20", format!("ip_hash, one of {n} closed: unforced"), 0.0, unforced);
    }
}
