use super::balance::Balance;
use super::check::{Check, Checks, Tolerance};
use super::script::{Change, Drained, Script, Step, What};
use super::users::Users;
use super::*;

fn setup(users: u32, ways: Vec<Way>, events: &str) -> Setup {
    Setup {
        workload: Workload::named("web", users).unwrap(),
        backends: 3,
        ways,
        stores: vec![Store::Memory],
        key: Key::ClientIp,
        adopts_ids: false,
        script: Script::parse(events).unwrap(),
        duration: 0.0,
        seed: 7,
        threads: 1,
        replay: None,
        theory: false,
        command: String::new(),
    }
}

#[test]
fn a_session_takes_no_more_than_40_bytes() {
    let mut setup = setup(1000, Way::usual(), "ip_change 50%@5s, roll@9s");
    setup.workload.mobile = 0.5;
    let outcome = run(&setup, &mut |_| ()).unwrap();
    assert!((1..=40).contains(&outcome.timing.bytes), "{}", outcome.timing.bytes);
}

#[test]
fn live_counts_are_of_those_that_live() {
    // Every strategy's counts come to the same sum at every time, through every kind of event.
    let events = "crash b@10s+5s, add@20s, cookie_strip 50%@25s, jar_clear 50%@30s, drain c@40s deadline=9s, roll@60s surge=1";
    let outcome = run(&setup(2000, Way::usual(), events), &mut |_| ()).unwrap();
    let sums: Vec<Vec<u64>> = outcome.to_json()["combinations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            let live = c["series"]["live"].as_object().unwrap();
            let times = c["series"]["t"].as_array().unwrap().len();
            (0..times).map(|t| live.values().map(|l| l[t].as_u64().unwrap()).sum()).collect()
        })
        .collect();
    assert!(sums.windows(2).all(|w| w[0] == w[1]) && sums[0][0] == 2000, "{sums:?}");
}

#[test]
fn users_are_in_the_steady_state_from_the_start() {
    let w = Workload::named("web", 20_000).unwrap();
    let users = Users::draw(&w, 3, 2000.0, None).unwrap();
    assert_eq!(users.at_start, 20_000);
    for t in [0.0, 700.0, 2000.0] {
        let live = (0..users.len()).filter(|i| users.born[*i] <= t && users.end[*i] > t).count();
        assert!((live as f64 - 20_000.0).abs() < 4.0 * 20_000_f64.sqrt(), "{live} at {t}");
    }
    assert!(users.born.is_sorted() && users.by_end.is_sorted_by_key(|i| users.end[*i as usize]));
    let one = Users::draw(&Workload::named("cdn", 500).unwrap(), 3, 1.0, None).unwrap();
    assert!((one.n_eff(u64::from) - 1.0).abs() < 1e-12);
    let most = Users::draw(&Workload { users: 4_000_000_000, ..w }, 3, 1.0, None).unwrap_err();
    assert!(most.to_string().contains("sessions"));
}

#[test]
fn events_become_changes_at_their_times() {
    let steps = |text: &str| {
        let script = Script::parse(text).unwrap();
        let short = |s: &Step| (s.at, s.change.clone());
        script.steps(2, 3600.0).unwrap().iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(steps("crash b@1m+15s"), [(60.0, Change::Crash(vec![1])), (75.0, Change::Back(vec![1]))]);
    assert_eq!(
        steps("roll@0s down=1s ready_delay=2s drain=3s"),
        [
            (0.0, Change::Drain(vec![0])),
            (3.0, Change::Crash(vec![0])),
            (4.0, Change::Back(vec![0])),
            (6.0, Change::Drain(vec![1])),
            (9.0, Change::Crash(vec![1])),
            (10.0, Change::Back(vec![1])),
        ]
    );
    assert_eq!(
        steps("roll@0s by=list batch=2"),
        [(0.0, Change::Delist(vec![0, 1])), (5.0, Change::Enlist(vec![0, 1]))]
    );
    let surge = steps("roll@0s surge=1");
    assert_eq!(surge[..2], [(0.0, Change::Add(1)), (5.0, Change::Delist(vec![0]))]);
    let roll = Script::parse("roll@1s drain=wait").unwrap();
    assert!(matches!(roll.events[0].what, What::Roll(Roll { drain: Some(Drained::Wait), .. })));
    assert_eq!(steps("remove a@9s, add@3s")[0].0, 3.0, "by time, not as they are written");
}

#[test]
fn a_check_that_is_off_fails() {
    let check = |measured, tolerance| {
        let (id, what) = ("X", String::new());
        Check { id, what, expected: 2.0, measured, sigma: Some(0.1), tolerance }.passes()
    };
    for (tolerance, right, wrong) in [
        (Tolerance::Exact, 2.0, 2.0001),
        (Tolerance::FourSigma, 2.39, 2.41),
        (Tolerance::Share(0.05), 1.91, 1.89),
        (Tolerance::Off(0.5), 1.51, 1.49),
        (Tolerance::AtMost, -7.0, 2.01),
    ] {
        assert!(check(right, tolerance) && !check(wrong, tolerance), "{tolerance}");
        assert!(!check(f64::NAN, tolerance), "{tolerance}: what did not come out");
    }
    let off = Check {
        id: "X",
        what: String::new(),
        expected: 1.0,
        measured: 2.0,
        sigma: None,
        tolerance: Tolerance::Exact,
    };
    assert!(Checks::default().all_passed());
    assert!(!Checks { done: vec![off], left_out: Vec::new() }.all_passed());
}

#[test]
fn an_even_load_is_even() {
    let even = Balance::of(&[2.0; 5]);
    assert_eq!((even.peak, even.cv, even.gini, even.jain), (1.0, 0.0, 0.0, 1.0));
    assert_eq!(Balance::of(&[]), Balance::default());
}

#[test]
fn the_key_of_an_address_is_the_proxys() {
    use crate::affinity::key::KeyPlan;
    use crate::base::ip_text::IpText;
    for bits in [0_u32, 0x0a00_0007, 0xcb00_7107, u32::MAX] {
        let ip = std::net::Ipv4Addr::from_bits(bits);
        assert_eq!(KeyPlan::client_ip().of_client(ip.into()), IpText::of_v4(ip).as_bytes());
    }
}
