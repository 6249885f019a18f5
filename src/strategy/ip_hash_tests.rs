//! nginx's vectors (affinity.md 2.5) and the oracle's A19 and A20.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::super::testing::{A_TO_E, Pool, by_address, facts, peak};
use super::*;

/// Client, h1 to h4, choice of ABC, chain, choice of ABCDE, of weights 5, 2, 1, of ABC with B closed.
type Vector = (&'static str, [u32; 4], usize, [usize; 3], usize, usize, usize);

const VECTORS: [Vector; 18] = [
    ("0.0.0.0", [295, 4219, 2922, 1230], 1, [1, 0, 2], 0, 2, 0),
    ("1.2.3.4", [751, 6116, 365, 468], 1, [1, 2, 0], 1, 2, 2),
    ("1.2.3.250", [751, 6116, 365, 468], 1, [1, 2, 0], 1, 2, 2),
    ("10.0.0.1", [2565, 1753, 5403, 5523], 0, [0, 1, 2], 0, 1, 0),
    ("127.0.0.1", [4040, 5510, 4957, 4956], 2, [2, 1, 0], 0, 0, 2),
    ("192.168.1.1", [154, 5654, 1196, 723], 1, [1, 2, 0], 4, 0, 2),
    ("192.168.2.1", [155, 6222, 3432, 1794], 2, [2, 0, 1], 0, 0, 2),
    ("203.0.113.7", [2592, 4547, 3065, 3085], 0, [0, 2, 1], 2, 0, 0),
    ("198.51.100.23", [936, 4589, 139, 4202], 0, [0, 2, 1], 1, 0, 0),
    ("8.8.8.8", [3023, 4786, 1047, 632], 2, [2, 1, 0], 3, 2, 2),
    ("255.255.255.255", [5727, 4263, 1947, 5685], 0, [0, 1, 2], 2, 2, 0),
    ("::", [5944, 215, 3790, 308], 1, [1, 2, 0], 4, 0, 2),
    ("::1", [5945, 1692, 1535, 1830], 2, [2, 0, 1], 0, 0, 2),
    ("2001:db8::1", [2600, 2675, 497, 2792], 2, [2, 0, 1], 0, 0, 2),
    ("2001:db8::2", [2601, 4152, 4513, 4314], 0, [0, 1, 2], 1, 0, 0),
    ("fe80::1", [5163, 542, 2794, 3116], 0, [0, 2, 1], 3, 0, 0),
    ("::ffff:10.0.0.1", [5875, 4909, 2610, 1897], 1, [1, 0, 2], 0, 0, 0),
    ("unix", [295, 4219, 2922, 1230], 1, [1, 0, 2], 0, 2, 0),
];

fn request(client: &str) -> RequestFacts<'static> {
    if client == "unix" { facts() } else { by_address(client) }
}

fn octets(client: &str) -> Vec<u8> {
    match request(client).client {
        None => vec![0; 3],
        Some(IpAddr::V4(v4)) => v4.octets()[..3].to_vec(),
        Some(IpAddr::V6(v6)) => v6.octets().to_vec(),
    }
}

#[test]
fn hashes_are_nginxs() {
    for (client, expected, ..) in VECTORS {
        assert_eq!(hashes(&octets(client)).take(4).collect::<Vec<_>>(), expected, "{client}");
    }
}

#[test]
fn choices_and_chains_are_nginxs() {
    let (mut abc, abcde) = (Pool::at(&A_TO_E[..3]), Pool::at(&A_TO_E));
    let (weighted, b_closed) = (Pool::weighing(&[5, 2, 1]), Pool::at(&A_TO_E[..3]).without(&[1]));
    for (client, _, first, chain, of_five, by_weight, without_b) in VECTORS {
        let request = request(client);
        let pick = |pool: &Pool| pool.pick(&mut *pool.picker(&KIND, &[]), &request).unwrap();
        assert_eq!(pick(&abc), first, "{client} ABC");
        assert_eq!(pick(&abcde), of_five, "{client} ABCDE");
        assert_eq!(pick(&weighted), by_weight, "{client} weights");
        assert_eq!(pick(&b_closed), without_b, "{client} B closed");
        let mut picker = abc.picker(&KIND, &[]);
        assert_eq!(abc.chain(&mut *picker, &request), chain, "{client} chain");
    }
}

#[test]
fn nginxs_own_tests_spread_evenly() {
    let (two, three) = (Pool::at(&A_TO_E[..2]), Pool::at(&A_TO_E[..3]));
    let counts = |pool: &Pool, address: fn(u8) -> String| {
        let requests: Vec<_> = (1..=30).map(|i| by_address(&address(i))).collect();
        pool.counts(&mut *pool.picker(&KIND, &[]), requests)
    };
    assert_eq!(counts(&two, |i| format!("127.0.{i}.2")), [15, 15]);
    assert_eq!(counts(&three, |i| format!("127.0.{i}.2")), [10, 10, 10]);
    assert_eq!(counts(&two, |i| format!("::{i}")), [15, 15]);
}

#[test]
fn the_21st_rejection_falls_back_on_round_robin() {
    // One part in 1001 is open: hashing finds it for hardly anybody, round robin for all.
    let pool = Pool::weighing(&[1000, 1]).without(&[0]);
    let mut picker = pool.picker(&KIND, &[]);
    assert!(VECTORS.iter().all(|v| pool.pick(&mut *picker, &request(v.0)) == Some(1)));

    // Where exactly: a client whose first 21 hashes fall on the closed one goes to round robin, which begins with
    // the first member though its 22nd hash falls on the last.
    let pool = Pool::weighing(&[1, 200, 1]).without(&[1]);
    let falls = |i: u32| {
        let [a, b, c, _] = Ipv4Addr::from(i << 8).octets();
        hashes(&[a, b, c]).take(22).map(|h| h % 202).collect::<Vec<_>>()
    };
    let middle = |h: &u32| (1..201).contains(h);
    let find = |rejections: usize| {
        let is_such = |i: &u32| {
            falls(*i)[..rejections].iter().all(middle) && falls(*i)[rejections] == 201
        };
        IpAddr::V4(Ipv4Addr::from((0..1 << 24).find(is_such).unwrap() << 8))
    };
    let pick = |client| {
        pool.pick(&mut *pool.picker(&KIND, &[]), &RequestFacts { client: Some(client), ..facts() })
    };
    assert_eq!(pick(find(20)), Some(2));
    assert_eq!(pick(find(21)), Some(0));
}

#[test]
fn a_choice_made_before_costs_no_rejection() {
    // 203.0.113.7 tries A, then C; when both fail, B is found by hash: the tried are met once for nothing.
    let pool = Pool::at(&A_TO_E[..3]).after(&[0, 2]);
    assert_eq!(pool.pick(&mut *pool.picker(&KIND, &[]), &by_address("203.0.113.7")), Some(1));
}

#[test]
fn a_single_member_takes_all_and_nobody_is_nobody() {
    let one = Pool::at(&A_TO_E[..1]);
    assert_eq!(one.pick(&mut *one.picker(&KIND, &[]), &by_address("10.0.0.1")), Some(0));
    let closed = Pool::at(&A_TO_E[..3]).without(&[0, 1, 2]);
    assert_eq!(closed.pick(&mut *closed.picker(&KIND, &[]), &by_address("10.0.0.1")), None);
    let empty = Pool::at(&[]);
    assert_eq!(empty.pick(&mut *empty.picker(&KIND, &[]), &by_address("10.0.0.1")), None);
}

/// A19, and modulo the number of members what follows from it.
#[test]
fn known_networks_hash_as_known() {
    let known = [
        ("10.0.0.9", 2565),
        ("127.0.0.9", 4040),
        ("192.168.1.9", 154),
        ("203.0.113.9", 2592),
        ("198.51.100.9", 936),
        ("8.8.8.9", 3023),
        ("1.2.3.9", 751),
    ];
    for n in 2..=50 {
        let pool = Pool::sized(0, n);
        let mut picker = pool.picker(&KIND, &[]);
        for (client, hash) in known {
            assert_eq!(pool.pick(&mut *picker, &by_address(client)), Some(hash % n), "{client} of {n}");
        }
    }
}

/// Every hash value, how many of the 2^24 /24 networks have it, and one of them.
///
/// One network stands for all with its hash: a round is h -> h * 113^3 + p with p from the bytes alone, and the
/// first hash, 89 * 113^3 + p, gives p away. So all later hashes agree too, and 6271 choices are exactly 2^24.
fn all_networks() -> Vec<(usize, Ipv4Addr)> {
    let mut states = vec![None; MODULUS as usize];
    states[START as usize] = Some((1, 0_u32));
    for _ in 0..3 {
        let mut next: Vec<Option<(usize, u32)>> = vec![None; MODULUS as usize];
        for (hash, (count, bytes)) in (0_u32..).zip(&states).filter_map(|(h, s)| s.map(|s| (h, s))) {
            for byte in 0..256 {
                let to = &mut next[((hash * FACTOR + byte) % MODULUS) as usize];
                *to = Some((to.map_or(0, |(n, _)| n) + count, bytes << 8 | byte));
            }
        }
        states = next;
    }
    states.into_iter().flatten().map(|(count, bytes)| (count, Ipv4Addr::from(bytes << 8))).collect()
}

/// Where each of `all_networks` goes.
fn placed(pool: &Pool, networks: &[(usize, Ipv4Addr)]) -> Vec<usize> {
    let mut picker = pool.picker(&KIND, &[]);
    let request = |v4| RequestFacts { client: Some(IpAddr::V4(v4)), ..facts() };
    networks.iter().map(|(_, v4)| pool.pick(&mut *picker, &request(*v4)).unwrap()).collect()
}

/// A20: adding a member at the end.
#[test]
fn a_new_member_moves_nearly_every_network() {
    let networks = all_networks();
    assert_eq!(networks.iter().map(|(count, _)| count).sum::<usize>(), 1 << 24);
    for (n, expected) in [(3, 0.7498), (10, 0.9090), (50, 0.9761)] {
        let (before, after) =
            (placed(&Pool::sized(0, n), &networks), placed(&Pool::sized(0, n + 1), &networks));
        let moved = networks.iter().zip(before.iter().zip(&after)).filter(|(_, (a, b))| a != b);
        let part = moved.map(|((count, _), _)| *count as f64).sum::<f64>() / f64::from(1 << 24);
        assert!((part - expected).abs() <= 0.0001, "{n}: {part}");
    }
}

/// A20: closing the first member moves its networks alone, but crowds them on few others.
#[test]
fn closing_moves_only_its_networks_but_not_evenly() {
    let networks = all_networks();
    for (n, expected) in [(10, 1.03), (20, 1.15), (50, 2.34), (100, 4.74)] {
        let before = placed(&Pool::sized(0, n), &networks);
        let after = placed(&Pool::sized(0, n).without(&[0]), &networks);
        let mut extra = vec![0.0; n];
        for ((count, _), (from, to)) in networks.iter().zip(before.iter().zip(&after)) {
            assert_eq!(from != to, *from == 0);
            extra[*to] += if from == to { 0.0 } else { *count as f64 };
        }
        let part = extra.iter().sum::<f64>() / f64::from(1 << 24);
        assert!((part * n as f64 - 1.0).abs() < 0.01, "{n}: {part} moved");
        assert!((peak(&extra[1..]) - expected).abs() <= 0.005, "{n}: {}", peak(&extra[1..]));
    }
}

/// nginx's loop as its source has it, hash and tries carried from try to try, for a request whose every try fails:
/// whom hashing chooses, until round robin takes over.
fn nginx_chain(address: &[u8], weights: &[u16], closed: &[usize]) -> Vec<usize> {
    let total: u32 = weights.iter().map(|w| u32::from(*w)).sum();
    let (mut hash, mut tries, mut chain) = (START, 0, Vec::new());
    while tries <= 20 && chain.len() < weights.len() - closed.len() {
        hash = address.iter().fold(hash, |h, b| (h * FACTOR + u32::from(*b)) % MODULUS);
        let (mut rest, mut peer) = (hash % total, 0);
        while rest >= u32::from(weights[peer]) {
            rest -= u32::from(weights[peer]);
            peer += 1;
        }
        if closed.contains(&peer) || chain.contains(&peer) { tries += 1 } else { chain.push(peer) }
    }
    chain
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Starting over for each try gives what nginx has by carrying on.
    #[test]
    fn retries_go_where_nginxs_go(
        weights in prop::collection::vec(1_u16..30, 2..9), closed in 0_usize..9, address: [u8; 4],
    ) {
        let closed: Vec<_> = (closed < weights.len()).then_some(closed).into_iter().collect();
        let mut pool = Pool::weighing(&weights).without(&closed);
        let request = RequestFacts { client: Some(IpAddr::from(address)), ..facts() };
        let mut picker = pool.picker(&KIND, &[]);
        let (chain, expected) = (pool.chain(&mut *picker, &request), nginx_chain(&address[..3], &weights, &closed));
        prop_assert_eq!(chain.len(), weights.len() - closed.len());
        prop_assert_eq!(&chain[..expected.len()], expected);
    }
}
