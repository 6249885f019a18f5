//! nginx's vectors (affinity.md 2.5) and the oracle's A4, A5 and A18.

use proptest::prelude::*;

use super::super::testing::{A_TO_E, Pool, by_key, facts, keys, moved};
use super::*;
use crate::base::options::Value;

const CONSISTENT: &[(&str, Value)] = &[("consistent", Value::Bool(true))];

/// Key, choice of ABC, chain, choice of weights 5, 2, 1, choice with B closed.
type Choices = (&'static str, usize, [usize; 3], usize, usize);

const PLAIN: [(Choices, u32, [u32; 3]); 10] = [
    (("a", 2, [2, 1, 0], 2, 2), 0xe8b7_be43, [26807, 42472, 48132]),
    (("user1", 0, [0, 2, 1], 0, 0), 0x8c51_8555, [3153, 16616, 29419]),
    (("user2", 1, [1, 0, 2], 0, 0), 0x1558_d4ef, [5464, 17142, 28160]),
    (("user42", 0, [0, 2, 1], 2, 0), 0x7c2f_beb6, [31791, 56004, 84545]),
    (("/index.html", 2, [2, 0, 1], 0, 2), 0xea22_4b42, [27170, 57374, 57984]),
    (("10.0.0.1", 1, [1, 2, 0], 1, 2), 0x26fe_c193, [9982, 17309, 26799]),
    (("2001:db8::1", 0, [0, 2, 1], 0, 0), 0x00b4_af0e, [180, 8222, 35090]),
    (("sess-7f3a", 1, [1, 2, 0], 0, 2), 0x3133_5879, [12595, 25780, 48490]),
    (("é", 0, [0, 2, 1], 0, 0), 0x0e04_8d3e, [3588, 9017, 15020]),
    (("0", 2, [2, 1, 0], 0, 2), 0xf4db_df21, [29915, 38456, 41128]),
];

const RING: [Choices; 12] = [
    ("a", 0, [0, 1, 2], 0, 0),
    ("user1", 0, [0, 1, 2], 0, 0),
    ("user2", 2, [2, 0, 1], 2, 2),
    ("user42", 2, [2, 1, 0], 0, 2),
    ("/index.html", 0, [0, 1, 2], 0, 0),
    ("10.0.0.1", 0, [0, 2, 1], 0, 0),
    ("2001:db8::1", 2, [2, 0, 1], 2, 2),
    ("sess-7f3a", 1, [1, 0, 2], 1, 0),
    ("0", 2, [2, 0, 1], 2, 2),
    ("zzz", 1, [1, 2, 0], 1, 2),
    ("homing", 1, [1, 2, 0], 1, 2),
    ("cart=9", 2, [2, 1, 0], 0, 2),
];

fn check(options: &[(&str, Value)], (key, first, chain, by_weight, without_b): Choices) {
    let (mut abc, weighted) = (Pool::at(&A_TO_E[..3]), Pool::weighing(&[5, 2, 1]));
    let b_closed = Pool::at(&A_TO_E[..3]).without(&[1]);
    let pick = |pool: &Pool| pool.pick(&mut *pool.picker(&KIND, options), &by_key(key)).unwrap();
    assert_eq!(pick(&abc), first, "{key} ABC");
    assert_eq!(pick(&weighted), by_weight, "{key} weights");
    assert_eq!(pick(&b_closed), without_b, "{key} B closed");
    let mut picker = abc.picker(&KIND, options);
    assert_eq!(abc.chain(&mut *picker, &by_key(key)), chain, "{key} chain");
}

#[test]
fn plain_hashes_and_choices_are_nginxs() {
    for (choices, crc, sums) in PLAIN {
        let key = choices.0.as_bytes();
        assert_eq!(crc32fast::hash(key), crc, "{}", choices.0);
        assert_eq!(hashes(key).take(3).collect::<Vec<_>>(), sums, "{}", choices.0);
        check(&[], choices);
    }
}

#[test]
fn ring_choices_are_nginxs() {
    RING.into_iter().for_each(|choices| check(CONSISTENT, choices));
    let abc = Pool::at(&A_TO_E[..3]);
    assert_eq!(abc.pick(&mut *abc.picker(&KIND, CONSISTENT), &by_key("k1025")), Some(2));
}

#[test]
fn without_a_key_requests_go_round() {
    let pool = Pool::weighing(&[1, 1, 1]);
    for options in [&[], CONSISTENT] {
        let mut picker = pool.picker(&KIND, options);
        let requests = [facts(), by_key(""), facts(), by_key("")];
        assert_eq!(requests.map(|r| pool.pick(&mut *picker, &r).unwrap()), [0, 1, 2, 0]);
    }
}

#[test]
fn members_of_one_server_text_take_its_keys_in_turn() {
    let pool = Pool::at(&["app.test:80", "app.test:80", "10.0.0.1:80"]);
    let mut picker = pool.picker(&KIND, CONSISTENT);
    let key = keys(0, 99).into_iter().find(|k| pool.pick(&mut *picker, &by_key(k)) == Some(0)).unwrap();
    let picks: Vec<_> = (0..4).filter_map(|_| pool.pick(&mut *picker, &by_key(&key))).collect();
    assert_eq!(picks, [1, 0, 1, 0]);
}

#[test]
fn twenty_one_points_of_closed_servers_end_in_round_robin() {
    // One server has 4000 of 4002 points and is closed: nearly every key meets only its points, and round robin
    // gives the two others the same, however their own two points lie.
    let pool = Pool::weighing(&[1, 4000, 1]).without(&[1]);
    let mut picker = pool.picker(&KIND, &[("consistent", Value::Bool(true)), ("points", Value::Integer(1))]);
    let keys = keys(0, 1000);
    let counts = pool.counts(&mut *picker, keys.iter().map(|k| by_key(k)));
    assert!(counts[1] == 0 && counts[0].abs_diff(counts[2]) < 20, "{counts:?}");
}

#[test]
fn wrong_options_are_reported_and_replaced() {
    let values = vec![("points".to_owned(), Value::Integer(0), 3..4)];
    let (mut options, pool) = (Options::new(values), Pool::at(&A_TO_E));
    let _ = build(&mut options, pool.members.primaries());
    let problems = options.finish();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "points = 0: must be a whole number between 1 and 4096 (default 160)");
}

/// A4: modulo moves all but min(a, b) / lcm(a, b), and (n - 1) / n when any line is taken out.
#[test]
fn plain_hashing_moves_what_a_modulo_moves() {
    const KEYS: usize = 10_000;
    let keys = keys(1, KEYS);
    let check = |before: &Pool, after: &Pool, expected: f64| {
        let (part, _) = moved(&KIND, &[], (before, after), &keys);
        let sigma = (expected * (1.0 - expected) / KEYS as f64).sqrt();
        let (a, b) = (before.members.len(), after.members.len());
        assert!((part - expected).abs() < 4.0 * sigma, "{a} to {b}: {part}, not {expected}");
    };
    for (a, b, expected) in [(10, 9, 0.9), (10, 11, 10.0 / 11.0), (3, 4, 0.75), (8, 6, 0.75), (4, 8, 0.5)] {
        check(&Pool::sized(0, a), &Pool::sized(0, b), expected);
    }
    let ten: Vec<_> = (0..10).map(|i| format!("10.1.0.{i}:80")).collect();
    for removed in [0, 5, 9] {
        let nine: Vec<_> = ten.iter().enumerate().filter(|(i, _)| *i != removed).collect();
        let nine = nine.iter().map(|(_, a)| a.as_str()).collect::<Vec<_>>();
        check(&Pool::at(&ten.iter().map(String::as_str).collect::<Vec<_>>()), &Pool::at(&nine), 0.9);
    }
}

/// A5 for the ring: what moves left the server that is gone or went to the one that is new.
#[test]
fn the_ring_moves_only_what_it_must() {
    let keys = keys(2, 4000);
    for n in [2, 3, 10] {
        let (small, large) = (Pool::sized(0, n), Pool::sized(0, n + 1));
        for pair in [(&small, &large), (&large, &small)] {
            let (part, all_forced) = moved(&KIND, CONSISTENT, pair, &keys);
            assert!(all_forced);
            assert!((part * (n + 1) as f64 - 1.0).abs() < 0.35, "{n}: {part}");
        }
    }
}

/// A18, as measured on nginx 1.22.1.
#[test]
fn the_ring_of_three_ports_is_nginxs() {
    let three = Pool::at(&["127.0.0.1:18081", "127.0.0.1:18082", "127.0.0.1:18083"]);
    let two = Pool::at(&["127.0.0.1:18081", "127.0.0.1:18083"]);
    let keys: Vec<_> = (0..1500).map(|i| format!("sess-{i}")).collect();
    let counts = three.counts(&mut *three.picker(&KIND, CONSISTENT), keys.iter().map(|k| by_key(k)));
    assert_eq!(counts, [510, 460, 530]);
    assert_eq!(moved(&KIND, CONSISTENT, (&three, &two), &keys), (460.0 / 1500.0, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// While a key's server is found within 21 points, which closing one of several cannot prevent for long.
    #[test]
    fn closing_a_server_moves_only_its_keys(n in 3_usize..8, closed in 0_usize..8, key in "[a-z]{1,12}") {
        let closed = closed % n;
        for options in [&[], CONSISTENT] {
            let (before, after) = (Pool::sized(0, n), Pool::sized(0, n).without(&[closed]));
            let from = before.pick(&mut *before.picker(&KIND, options), &by_key(&key)).unwrap();
            let to = after.pick(&mut *after.picker(&KIND, options), &by_key(&key)).unwrap();
            prop_assert!(to != closed);
            prop_assert_eq!(from != to, from == closed);
        }
    }
}
