//! B: sessions through events, by the engine itself; and figures that follow from formulas.

use serde_json::Value;

use super::tables::Tables;
use super::{Book, Tolerance};
use crate::base::hash::combine;
use crate::simulate::draw::as_unit;
use crate::simulate::theory::{self, Moments};
use crate::simulate::users::Users;
use crate::simulate::{Key, Script, Setup, Store, Way, Workload, run};

pub(super) const PARTS: &[fn(&mut Book)] = &[
    crash,
    crash_and_return,
    roll_by_cookie,
    roll_by_hash,
    roll_by_modulo,
    roll_by_maglev,
    drain,
    drained_roll,
    add,
    steady,
    detection,
    address_change,
    formulas,
    tokens,
    determinism,
];

/// Ways with names of strategy and affinity.
const COOKIE: (&str, &str) = ("round_robin", "cookie");
const HASHES: [(&str, &str); 3] = [("rendezvous", "none"), ("consistent", "none"), ("maglev", "none")];

/// Users who each place by an id of their own, so that all are independent.
fn setup(book: &Book, n: usize, users: usize, ways: &[(&str, &str)], events: &str) -> Option<Setup> {
    let users = u32::try_from(users).ok()?;
    Some(Setup {
        workload: Workload::named("web", users)?,
        backends: n,
        ways: ways.iter().filter_map(|(s, a)| Way::parse(s, Some(a)).ok()).collect(),
        stores: vec![Store::Memory],
        key: Key::User,
        adopts_ids: true,
        script: Script::parse(events).ok()?,
        duration: 0.0,
        seed: book.seed,
        threads: 2,
        replay: None,
        theory: true,
        command: String::new(),
    })
}

fn combinations(setup: Option<Setup>) -> Vec<Value> {
    let outcome = setup.and_then(|s| run(&s, &mut |_| ()).ok());
    outcome.and_then(|o| o.to_json()["combinations"].as_array().cloned()).unwrap_or_default()
}

/// Of a combination's first event, per live session.
fn per_live(c: &Value, name: &str) -> f64 {
    let event = &c["events"][0];
    let count = |name: &str| event[name].as_f64().unwrap_or(f64::NAN);
    count(name) / count("live")
}

fn moves(c: &Value) -> f64 {
    ["forced", "policy", "failback", "unforced"].iter().map(|name| per_live(c, name)).sum()
}

fn live(c: &Value) -> f64 {
    c["events"][0]["live"].as_f64().unwrap_or(1.0)
}

fn of(m: Moments, c: &Value) -> (f64, f64) {
    (m.mean, (m.variance / live(c)).sqrt())
}

fn name(c: &Value) -> String {
    format!("{}/{}", c["strategy"].as_str().unwrap_or(""), c["affinity"].as_str().unwrap_or(""))
}

fn chance(p: f64, times: f64, c: &Value) -> f64 {
    times * (p * (1.0 - p) / live(c)).sqrt()
}

fn crash(book: &mut Book) {
    let users = book.size(2000, 60_000);
    for n in [3, 10] {
        let p = 1.0 / n as f64;
        let mut ways = vec![COOKIE];
        ways.extend(HASHES);
        ways.push(("hash", "none"));
        for c in combinations(setup(book, n, users, &ways, "crash b@5s")) {
            // A ring's backends have not quite equal shares.
            let ring = if c["strategy"] == "consistent" { p * theory::ring_cv(n, 160) } else { 0.0 };
            let sigma = (chance(p, 1.0, &c).powi(2) + ring * ring).sqrt();
            book.sigma("B1", format!("{}, 1 of {n} crashes: lost", name(&c)), p, per_live(&c, "lost"), sigma);
            book.exact(
                "B1",
                format!("{}, 1 of {n} crashes: moved beside", name(&c)),
                0.0,
                per_live(&c, "unforced"),
            );
        }
        for c in combinations(setup(book, n, users, &[("hash", "none")], "remove b@5s")) {
            let beside = (n - 2) as f64 / n as f64;
            let what = format!("hash/none, 1 of {n} taken out of the list: moved beside");
            book.sigma("B1", what, beside, per_live(&c, "unforced"), chance(beside, 1.0, &c));
        }
        let Some(mut shared) = setup(book, n, 500, &[COOKIE], "crash b@5s, roll@30s") else { continue };
        shared.stores = vec![Store::Redis, Store::Memcached, Store::Jwt];
        for c in combinations(Some(shared)) {
            let lost = c["metrics"]["lost"]["value"].as_f64().unwrap_or(f64::NAN);
            book.exact(
                "B1",
                format!("{}, crash and roll of {n}: lost", c["sessions"].as_str().unwrap_or("")),
                0.0,
                lost,
            );
        }
    }
}

fn crash_and_return(book: &mut Book) {
    let mut ways = vec![COOKIE];
    ways.extend(HASHES);
    for c in combinations(setup(book, 3, book.size(2000, 60_000), &ways, "crash b@5s+5s")) {
        let (p, times) = (1.0 / 3.0, if c["affinity"] == "cookie" { 1.0 } else { 2.0 });
        let ring = if c["strategy"] == "consistent" { times * p * theory::ring_cv(3, 160) } else { 0.0 };
        let sigma = (chance(p, times, &c).powi(2) + ring * ring).sqrt();
        book.sigma(
            "B2",
            format!("{}, 1 of 3 crashes and returns: lost", name(&c)),
            times * p,
            per_live(&c, "lost"),
            sigma,
        );
    }
}

fn roll_by_cookie(book: &mut Book) {
    let closed = [(2, 1.5), (3, 1.5833), (4, 1.6204), (5, 1.6414), (10, 1.6812), (20, 1.7000)];
    for (n, table) in closed {
        let exact = theory::cookie_roll(n);
        book.note(
            "B3",
            format!("roll of {n} by cookie: closed form"),
            table,
            theory::cookie_roll_mean(n),
            Tolerance::Off(5.1e-5),
        );
        book.note(
            "B3",
            format!("roll of {n} by cookie: every case"),
            theory::cookie_roll_mean(n),
            exact.mean,
            Tolerance::Off(1e-9),
        );
        if n > 5 && !book.is_long {
            continue;
        }
        for c in
            combinations(setup(book, n, book.size(2000, 60_000), &[COOKIE], "roll@5s down=1s ready_delay=1s"))
        {
            let (mean, sigma) = of(exact, &c);
            book.sigma("B3", format!("roll of {n} by cookie: lost"), mean, per_live(&c, "lost"), sigma);
            let peak = theory::cookie_roll_shares(n).into_iter().fold(0.0, f64::max) * n as f64;
            let measured = c["events"][0]["after"]["peak_to_average"].as_f64().unwrap_or(f64::NAN);
            let table = match n {
                3 => 1.875,
                10 => 1.757,
                _ => peak,
            };
            book.note(
                "B3",
                format!("roll of {n} by cookie: peak expected"),
                table,
                peak,
                Tolerance::Off(5.1e-4),
            );
            // Meanwhile sessions end and begin, those evenly: a few percent.
            book.note(
                "B3",
                format!("roll of {n} by cookie: peak after"),
                peak,
                measured,
                Tolerance::Share(0.08),
            );
        }
    }
}

fn roll_by_hash(book: &mut Book) {
    let mut ways = HASHES.to_vec();
    ways.extend([("hash", "none"), ("ip_hash", "none")]);
    for c in combinations(setup(book, 3, 1000, &ways, "roll@5s")) {
        for (what, expected, measured) in [
            ("moves", 2.0, moves(&c)),
            ("lost", 2.0, per_live(&c, "lost")),
            ("stale", 0.0, per_live(&c, "stale")),
        ] {
            book.exact("B4", format!("{}, roll of 3: {what}", name(&c)), expected, measured);
        }
    }
}

fn roll_by_modulo(book: &mut Book) {
    for n in [3, 5, 10] {
        let nf = n as f64;
        let every = theory::modulo_roll(n, true);
        let strict = theory::modulo_roll(n, false);
        let (Some(moved), Some(lost), Some(stale), Some(strictly)) =
            (every.moved, every.lost, every.stale, strict.lost)
        else {
            continue;
        };
        let note = |what: &str| format!("roll of {n} by modulo, out of the list: {what}, every case");
        book.note("B5", note("moves"), 2.0 * (nf - 1.0), moved.mean, Tolerance::Off(1e-9));
        book.note("B5", note("lost"), 3.0 - 2.0 / nf, lost.mean, Tolerance::Off(1e-9));
        let script = "roll@5s by=list down=1s ready_delay=1s";
        for c in combinations(setup(book, n, book.size(2000, 60_000), &[("hash", "none")], script)) {
            for (what, m, measured) in [
                ("moves", moved, moves(&c)),
                ("lost", lost, per_live(&c, "lost")),
                ("stale", stale, per_live(&c, "stale")),
            ] {
                let (mean, sigma) = of(m, &c);
                book.sigma(
                    "B5",
                    format!("hash/none, roll of {n}, out of the list: {what}"),
                    mean,
                    measured,
                    sigma,
                );
            }
        }
        let Some(setup) = setup(book, n, 1000, &[("hash", "none")], script) else { continue };
        for c in combinations(Some(Setup { adopts_ids: false, ..setup })) {
            let (mean, sigma) = of(strictly, &c);
            book.sigma(
                "B5",
                format!("the same where users log in again: lost, n = {n}"),
                mean,
                per_live(&c, "lost"),
                sigma,
            );
            book.exact(
                "B5",
                format!("the same where users log in again: stale, n = {n}"),
                0.0,
                per_live(&c, "stale"),
            );
        }
    }
}

/// 2 for each session, and what the table moves beside, out and back. Which names the backends have makes a difference of
/// some thousandths.
fn roll_by_maglev(book: &mut Book) {
    for (n, table) in [(3, 2.001), (10, 2.045)] {
        let all: Vec<String> = (0..n).map(crate::simulate::fleet::name).collect();
        let slots = |without: Option<usize>| {
            let list: Vec<String> =
                all.iter().enumerate().filter(|(i, _)| Some(*i) != without).map(|(_, n)| n.clone()).collect();
            let ids = list.clone();
            Tables::named("maglev", &list).map(|mut t| {
                t.slots(65_537).into_iter().filter_map(|s| ids.get(s).cloned()).collect::<Vec<_>>()
            })
        };
        let Some(whole) = slots(None) else { continue };
        let changed = |gone| {
            let less = slots(Some(gone)).unwrap_or_default();
            whole.iter().zip(&less).filter(|(a, b)| a != b).count() as f64 / whole.len() as f64
        };
        let expected: f64 = (0..n).map(|gone| 2.0 * changed(gone)).sum();
        book.note(
            "B6",
            format!("maglev, roll of {n}, out of the list: moves by the tables"),
            table,
            expected,
            Tolerance::Share(0.015),
        );
        let script = "roll@5s by=list down=1s ready_delay=1s";
        for c in combinations(setup(book, n, book.size(2000, 60_000), &[("maglev", "none")], script)) {
            let sigma = (2.0 * (expected - 2.0) / live(&c)).sqrt();
            book.sigma(
                "B6",
                format!("maglev, roll of {n}, out of the list: moves"),
                expected,
                moves(&c),
                sigma,
            );
        }
    }
}

fn drain(book: &mut Book) {
    for (minutes, expected) in [(5, 0.7112), (15, 0.3561), (30, 0.1192), (60, 0.0)] {
        let Some(w) = Workload::named("web", 1) else { continue };
        let p = theory::residue(&w, f64::from(minutes) * 60.0);
        book.note(
            "B7",
            format!("a drain after {minutes} min: closed form"),
            expected,
            p,
            Tolerance::Off(5.1e-5),
        );
        for c in combinations(setup(
            book,
            3,
            book.size(3000, 60_000),
            &[COOKIE],
            &format!("drain b@5s deadline={minutes}m"),
        )) {
            let (left, all) = (per_live(&c, "forced"), live(&c) / 3.0);
            book.sigma(
                "B7",
                format!("a drain after {minutes} min: still there"),
                p,
                left * 3.0,
                (p * (1.0 - p) / all).sqrt(),
            );
        }
    }
}

fn drained_roll(book: &mut Book) {
    for c in combinations(setup(book, 3, 600, &[COOKIE], "roll@5s drain=wait")) {
        book.exact(
            "B7",
            "cookie, roll of 3, each drained until it is empty: lost",
            0.0,
            per_live(&c, "lost"),
        );
    }
}

/// What a series has at the first time at or after `t`, and that time.
fn at(c: &Value, t: f64, backend: &str) -> (f64, f64) {
    let times: Vec<f64> =
        c["series"]["t"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let place = times.iter().position(|x| *x >= t).unwrap_or(0);
    (
        times.get(place).copied().unwrap_or(0.0),
        c["series"]["live"][backend][place].as_f64().unwrap_or(f64::NAN),
    )
}

fn add(book: &mut Book) {
    let users = book.size(4000, 100_000);
    let nf = 3.0;
    for (part, table) in [(0.25, 0.221), (1.0, 0.632), (3.0, 0.950)] {
        let tau = 900.0;
        let Some(s) = setup(book, 3, users, &[COOKIE], "add@1s") else { continue };
        for c in combinations(Some(Setup { duration: part * tau + 1.0, ..s })) {
            let (t, fresh) = at(&c, part * tau, "d");
            let share = fresh / (users as f64 / (nf + 1.0));
            // Stays have a cap: of those that are live, those born since.
            let since = (1.0 - (-(t - 1.0) / tau).exp()) / (1.0 - (-4.0_f64).exp());
            let what = format!("one added to 3, cookie by turns: share of fair after {part} mean stays");
            book.sigma("B8", what, since, share, (since / (users as f64 / 4.0)).sqrt());
            book.note(
                "B8",
                format!("the same without the cap: {part} stays"),
                table,
                1.0 - (-part).exp(),
                Tolerance::Off(5.1e-4),
            );
        }
    }
    for (n, table) in [(3, 0.288), (10, 0.0953)] {
        let nf = n as f64;
        book.note(
            "B8",
            format!("least_sessions, one added to {n}: parity, in mean stays"),
            table,
            ((nf + 1.0) / nf).ln(),
            Tolerance::Off(5.1e-4),
        );
        // With the cap: when those born since are a fair share of all.
        let parity = -900.0 * (1.0 - (1.0 - (-4.0_f64).exp()) / (nf + 1.0)).ln();
        let Some(s) = setup(book, n, users, &[("least_sessions", "cookie")], "add@1s") else { continue };
        let fresh = crate::simulate::fleet::name(n);
        for c in combinations(Some(Setup { duration: parity * 2.0, ..s })) {
            let fair = users as f64 / (nf + 1.0);
            for part in [0.5, 1.5] {
                let (t, live) = at(&c, parity * part, &fresh);
                let since = (1.0 - (-(t - 1.0) / 900.0).exp()) / (1.0 - (-4.0_f64).exp());
                let expected = (since * (nf + 1.0)).min(1.0);
                let what = format!(
                    "least_sessions, one added to {n}: share of fair at {part} of the time to parity"
                );
                book.sigma("B8", what, expected, live / fair, (1.0 / fair).sqrt());
            }
        }
    }
}

fn steady(book: &mut Book) {
    let users = book.size(4000, 100_000);
    let Some(w) = Workload::named("web", u32::try_from(users).unwrap_or(1)) else { return };
    book.note("B9", "mean stay, minutes", 14.725, w.mean_stay() / 60.0, Tolerance::Off(5.1e-4));
    book.note(
        "B9",
        "mean think time with its cap, s",
        6.9997,
        7.0 * (1.0 - (-10.0_f64).exp()),
        Tolerance::Off(5.1e-5),
    );
    let Ok(all) = Users::draw(&w, book.seed, 4000.0, None) else { return };
    let stays: Vec<f64> = (all.at_start..all.len()).map(|i| f64::from(all.end[i] - all.born[i])).collect();
    book.mean("B9", "stay of those who arrive, s", w.mean_stay(), &stays);
    for t in [0.0_f32, 900.0, 3900.0] {
        let live = (0..all.len()).filter(|i| all.born[*i] <= t && all.end[*i] > t).count();
        book.sigma("B9", format!("live at {t} s (Little)"), users as f64, live as f64, (users as f64).sqrt());
    }
}

fn detection(book: &mut Book) {
    for (interval, fall, expected) in [(2.0, 3.0, 5.0), (5.0, 2.0, 7.5)] {
        let times: Vec<f64> = (0..book.size(4000, 100_000) as u64)
            .map(|i| interval * (as_unit(combine(book.seed, i)) + fall - 1.0))
            .collect();
        book.mean(
            "B10",
            format!("{fall} failed checks, one each {interval} s, begun at any time: seconds"),
            expected,
            &times,
        );
    }
}

fn address_change(book: &mut Book) {
    for n in [3, 10] {
        let ways = [("ip_hash", "none"), COOKIE];
        for (far, what) in [(1, "another /24"), (0, "the same /24")] {
            let Some(mut s) =
                setup(book, n, book.size(4000, 60_000), &ways, &format!("ip_change@5s far={far}"))
            else {
                continue;
            };
            s.workload.zipf = 0.0;
            // 20 users in each network on average move together; what they move to is drawn for each.
            let networks = f64::from(s.workload.users) / 20.0;
            for c in combinations(Some(s)) {
                let is_hash = c["affinity"] == "none";
                let p = if is_hash && far == 1 { 1.0 - 1.0 / n as f64 } else { 0.0 };
                let what = format!("{}, {n} backends, all to {what}: moved", name(&c));
                book.sigma("B12", what, p, moves(&c), (p * (1.0 - p) / networks).sqrt());
            }
        }
    }
}

fn formulas(book: &mut Book) {
    for (n, expected) in [(2_u64, 21.0), (3, 14.0), (10, 7.0)] {
        // The fewest answers of one backend that random routing gives with a probability of 1e-6 at most.
        let tries = (1..).find(|r| n.saturating_pow(r - 1) >= 1_000_000).unwrap_or(0);
        book.exact(
            "B13",
            format!("answers that tell stickiness from chance, n = {n}"),
            expected,
            f64::from(tries),
        );
    }
    let most = 1.0 - 0.05_f64.powf(1.0 / 10_000.0);
    book.note(
        "B14",
        "no event in 10000: 95 % bound, times 10000",
        3.0,
        most * 10_000.0,
        Tolerance::Share(0.01),
    );
    let life = 900.0;
    let rest: Vec<f64> = (0..book.size(4000, 100_000) as u64)
        .map(|i| life * (1.0 - as_unit(combine(book.seed + 1, i))))
        .collect();
    book.mean("B15", "a token of 900 s, logged out at any time: valid for so long yet", life / 2.0, &rest);
    book.note(
        "B15",
        "the longest of these",
        life,
        rest.iter().copied().fold(0.0, f64::max),
        Tolerance::AtMost,
    );
}

fn tokens(book: &mut Book) {
    let letters = |bytes: u32| f64::from((bytes * 4).div_ceil(3));
    for (what, bytes, expected) in [
        ("id of 128 bit", 16, 22.0),
        ("id of 256 bit", 32, 43.0),
        ("HS256 signature", 32, 43.0),
        ("ES256 or EdDSA signature", 64, 86.0),
        ("RS256 signature", 256, 342.0),
        ("ML-DSA-44 signature", 2420, 3227.0),
        ("ML-DSA-65 signature", 3309, 4412.0),
    ] {
        book.exact("B17", format!("{what}: letters"), expected, letters(bytes));
    }
    for (what, signature, expected) in [("HS256", 32, 201.0), ("ES256", 64, 244.0), ("RS256", 256, 500.0)] {
        book.exact(
            "B17",
            format!("token of 90 bytes by {what}: letters"),
            expected,
            36.0 + 1.0 + letters(90) + 1.0 + letters(signature),
        );
    }
}

fn determinism(book: &mut Book) {
    let ways =
        [COOKIE, ("rendezvous", "none"), ("random", "none"), ("ip_hash", "none"), ("rendezvous", "none")];
    let made = |threads| {
        // More than one piece, so that there is something to share.
        let mut s = setup(book, 5, 18_000, &ways, "crash b@1s, ip_change 50%@3s")?;
        s.threads = threads;
        s.key = Key::ClientIp;
        run(&s, &mut |_| ()).ok().map(|o| o.to_json().to_string())
    };
    let (one, eight) = (made(1), made(8));
    book.exact(
        "B18",
        "the same JSON by 1 and by 8 threads",
        1.0,
        f64::from(u8::from(one.is_some() && one == eight)),
    );
    let c = one.and_then(|json| serde_json::from_str::<Value>(&json).ok()).unwrap_or_default();
    let is_same = c["combinations"][1] == c["combinations"][4];
    book.exact("B18", "the same users for a strategy that comes twice", 1.0, f64::from(u8::from(is_same)));
}
