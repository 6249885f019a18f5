//! nginx's points (affinity.md 2.5) and the oracle's A6 to A8 on exact arcs.

use super::super::testing::{A_TO_E, Pool, assert_near, cv, gini, mean, mean_of, peak};
use super::*;
use crate::base::hash::combine;

fn ring(pool: &Pool, per_weight: u32) -> Ring {
    Ring::new(pool.members.primaries(), per_weight)
}

/// Each server's part of the circle, exactly: the distance from the point before to each of its points.
fn shares(ring: &Ring) -> Vec<f64> {
    let mut shares = vec![0.0; ring.servers.len()];
    let mut before = ring.points.last().unwrap().at;
    for point in &ring.points {
        let arc = point.at.wrapping_sub(before);
        shares[usize::from(point.server)] += f64::from(arc) / 2_f64.powi(32);
        before = point.at;
    }
    shares
}

#[test]
fn points_are_nginxs() {
    let table: [(&str, [u32; 4]); 6] = [
        ("10.0.0.1:8080", [0xf1ea_5a8f, 0x4bd0_8e68, 0x84e5_eeee, 0xadea_d1be]),
        ("10.0.0.2:8080", [0x1add_e18c, 0xdc86_10b0, 0xf935_ad54, 0xe942_3f44]),
        ("10.0.0.1", [0xe2f1_fe40, 0x851c_ab0f, 0x141a_7665, 0x1482_c335]),
        ("[2001:db8::1]:8080", [0x65e4_862c, 0x6d72_52a7, 0xf46a_5bdf, 0x5ef8_5b9a]),
        ("unix:/run/app.sock", [0xad39_754f, 0x9a97_c570, 0x7fb8_e7ff, 0x3337_fd86]),
        ("app.example.com:80", [0xa17b_30fb, 0xb96d_778e, 0x9fad_91e4, 0x7fae_7822]),
    ];
    for (text, expected) in table {
        assert_eq!(chain(text).take(4).collect::<Vec<_>>(), expected, "{text}");
    }
}

#[test]
fn texts_split_as_nginx_splits_them() {
    let table = [
        ("10.0.0.1:8080", ("10.0.0.1", "8080")),
        ("10.0.0.1", ("10.0.0.1", "")),
        ("[::1]:80", ("[::1]", "80")),
        ("[::1]", ("[::1]", "")),
        ("::1", (":", "1")),
        ("host:", ("host", "")),
        ("host:http", ("host:http", "")),
        ("unix:/a:1", ("/a:1", "")),
        ("UNIX:/a", ("/a", "")),
        ("8080", ("8080", "")),
        ("", ("", "")),
    ];
    for (text, expected) in table {
        assert_eq!(split(text), expected, "{text}");
    }
}

#[test]
fn the_ring_of_abc_is_nginxs() {
    let abc = ring(&Pool::at(&A_TO_E[..3]), 160);
    let points: Vec<_> = abc.points.iter().map(|p| (p.at, p.server)).collect();
    assert_eq!(points.len(), 480);
    assert_eq!(points[..3], [(0x0109_dc03, 2), (0x0115_4263, 0), (0x0158_e054, 2)]);
    assert_eq!(points[478..], [(0xff52_82af, 1), (0xff77_e0d0, 2)]);
    assert_eq!(ring(&Pool::weighing(&[5, 2, 1]), 160).points.len(), 1280);
}

#[test]
fn keys_find_nginxs_points() {
    let abc = ring(&Pool::at(&A_TO_E[..3]), 160);
    let table: [(&str, usize, u32); 12] = [
        ("a", 429, 0xe8ce_b2fe),
        ("user1", 265, 0x8cfa_f812),
        ("user2", 31, 0x15ed_e489),
        ("user42", 233, 0x7d0d_1313),
        ("/index.html", 436, 0xea2d_6867),
        ("10.0.0.1", 70, 0x2730_b53b),
        ("2001:db8::1", 0, 0x0109_dc03),
        ("sess-7f3a", 91, 0x31e0_0c4b),
        ("0", 460, 0xf4ef_b207),
        ("zzz", 364, 0xc3cc_e848),
        ("homing", 430, 0xe91c_d925),
        ("cart=9", 112, 0x3d61_fa0d),
    ];
    for (key, index, at) in table {
        let first = abc.first(crc32fast::hash(key.as_bytes()));
        assert_eq!((first, abc.points[first].at), (index, at), "{key}");
    }
    assert_eq!(abc.first(crc32fast::hash(b"k1025")), 480);
    assert_eq!(abc.walk(b"k1025").next().unwrap(), abc.walk(b"2001:db8::1").next().unwrap());
}

#[test]
fn the_first_point_is_found_through_the_arcs_as_without() {
    let no_points = Ring::new(Pool::weighing(&[]).members.primaries(), 160);
    assert_eq!(no_points.first(7), 0);
    for (n, per_weight) in [(1, 1), (2, 1), (3, 160), (10, 160), (3, 50_000)] {
        let ring = ring(&Pool::sized(0, n), per_weight);
        let check = |hash: u32| {
            assert_eq!(ring.first(hash), ring.points.partition_point(|p| p.at < hash), "{hash:#x} of {n}");
        };
        [0, 1, u32::MAX - 1, u32::MAX].into_iter().for_each(check);
        for at in ring.points.iter().map(|p| p.at).chain((0..5000).map(|i| combine(i, 1) as u32)) {
            [at.wrapping_sub(1), at, at.wrapping_add(1)].into_iter().for_each(check);
        }
    }
}

#[test]
fn members_of_one_text_share_its_points() {
    let shared = ring(&Pool::of(&[("app.test:80", 1), ("10.0.0.1:80", 1), ("app.test:80", 2)]), 160);
    assert_eq!(shared.points.len(), 480);
    assert!(shared.servers.iter().any(|s| s.iter().map(|ix| ix.index()).eq([0, 2])));
}

#[test]
fn the_order_of_the_file_is_no_matter() {
    let (forth, back) =
        (Pool::at(&["a.test:1", "b.test:1", "c.test:1"]), Pool::at(&["c.test:1", "b.test:1", "a.test:1"]));
    assert_eq!(ring(&forth, 160).points, ring(&back, 160).points);
}

#[test]
fn a_ring_is_bounded_and_keeps_its_proportions() {
    let heavy = ring(&Pool::weighing(&[65535, 30000, 1]), 4096);
    let count = |server| heavy.points.iter().filter(|p| usize::from(p.server) == server).count() as f64;
    assert!(heavy.points.len() as u64 <= MOST_POINTS);
    assert_near(count(0) / count(1), 65535.0 / 30000.0, 0.01, "points by weight");
    assert!(count(2) >= 1.0);
}

/// A6 and A7: shares of 1000 servers of so many points each.
///
/// With one point each the servers need names without likeness: CRC-32 is linear, so that the first points of
/// names that differ in a digit or two keep a pattern (a CV of 1.43 instead of 1.00 for `b0` to `b999`). From ten
/// points on the likeness is gone.
#[test]
fn shares_vary_as_theory_says() {
    let table = [
        (1, 40, 0.9990, 0.005, 5.27),
        (10, 20, 0.3160, 0.375, 2.01),
        (100, 12, 0.0999, 0.763, 1.27),
        (1000, 4, 0.0316, 0.922, 1.087),
    ];
    for (points, draws, expected, low, high) in table {
        let (mut squares, mut all) = (Vec::new(), Vec::new());
        for family in 0..draws {
            let pool = if points == 1 { unlike(family, 1000) } else { Pool::sized(family as usize, 1000) };
            let shares = shares(&ring(&pool, points));
            squares.push(cv(&shares).powi(2));
            all.extend(shares.iter().map(|s| s * 1000.0));
        }
        all.sort_by(f64::total_cmp);
        let percentile = |part: f64| all[(all.len() as f64 * part) as usize];
        assert_near(mean(&squares).sqrt(), expected, 0.02, &format!("CV at {points}"));
        assert_near(percentile(0.995), high, 0.03, &format!("99.5th percentile at {points}"));
        // At one point the low percentile is 0.005 of a share: a few of the 200 arcs below it are its deviation.
        let tolerance = if points == 1 { 0.28 } else { 0.03 };
        assert_near(percentile(0.005), low, tolerance, &format!("0.5th percentile at {points}"));
    }
}

/// Servers whose names share nothing.
fn unlike(family: u64, n: u64) -> Pool {
    let names: Vec<_> = (0..n).map(|i| format!("{:016x}.test:80", combine(family, i))).collect();
    Pool::at(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A8: shares at nginx's 160 points.
#[test]
fn shares_at_160_points_vary_as_theory_says() {
    let table = [
        (3, 1500, 0.0645, 1.068),
        (5, 600, 0.0707, 1.093),
        (10, 250, 0.0750, 1.125),
        (50, 40, 0.0783, 1.186),
        (100, 20, 0.0787, 1.211),
    ];
    for (n, draws, expected, expected_peak) in table {
        let drawn: Vec<_> = (0..draws).map(|family| shares(&ring(&Pool::sized(family, n), 160))).collect();
        let spread = mean_of(drawn.iter().map(|s| cv(s).powi(2))).sqrt();
        assert_near(spread, expected, 0.03, &format!("CV of {n}"));
        assert_near(mean_of(drawn.iter().map(|s| peak(s))), expected_peak, 0.03, &format!("peak of {n}"));
        if n == 10 {
            assert_near(mean_of(drawn.iter().map(|s| gini(s))), 0.0402, 0.03, "Gini of 10");
        }
    }
}
