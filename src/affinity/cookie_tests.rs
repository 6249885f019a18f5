//! The cookie read, stripped, written and counted.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::affinity::attributes::SameSite;
use crate::affinity::pins::MAX_AHEAD;
use crate::backend::Backend;
use crate::backend::BackendIx;
use crate::backend::availability::AdminState;
use crate::backend::sessions::LiveSessions;
use crate::base::address::Address;
use crate::base::hash::hash64;

const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const B: &str = "f0e0d0c0b0a090807060504030201000f0e0d0c0b0a090807060504030201000";
const FRESH: u64 = 0xf5e5;
const BOOT: u32 = 77;
/// The first second of a slot, for every idle time used here.
const T: u32 = 1_800_000_000;
const IDLE: Duration = Duration::from_secs(30 * 60);

fn at(seconds: u32) -> UnixSeconds {
    UnixSeconds(T + seconds)
}

fn settings(ring: &str) -> CookieSettings {
    CookieSettings {
        pool: "web".into(),
        name: "srv".into(),
        style: Style::Insert,
        preserve: false,
        post_only: false,
        idle: IDLE,
        lifetime: Some(Duration::from_secs(8 * 3600)),
        attributes: Attributes::default(),
        keys: Arc::new(SealKeys::parse(ring).unwrap()),
        boot: BOOT,
    }
}

fn cookie() -> CookieAffinity {
    CookieAffinity::try_new(settings(A)).unwrap()
}

fn members(ids: &[&str]) -> Members {
    let member = |id: &&str| {
        Arc::new(Backend {
            id: (*id).into(),
            route: None,
            address: Address::Unix("/run/app".into()),
            address_text: (*id).into(),
            weight: 1,
            written_weight: 1,
            backup: false,
            admin: AdminState::Ready,
            leaving: false,
            max_conns: 0,
            max_fails: 0,
            fail_timeout: Duration::ZERO,
            slow_start: Duration::ZERO,
            load: Arc::default(),
            sessions: Arc::new(LiveSessions::new(2, IDLE)),
        })
    };
    Members::new(ids.iter().map(member).collect())
}

/// Reads twice with one cache, and once without: it must make no difference.
fn read(cookie: &CookieAffinity, lines: &[&str], members: &Members, now: UnixSeconds) -> Session {
    let once =
        |cache: &mut OpenedCache| cookie.read(lines.iter().map(|l| l.as_bytes()), members, now, cache, FRESH);
    let mut cache = OpenedCache::new(8, 1);
    let session = once(&mut cache);
    assert_eq!(once(&mut cache), session);
    assert_eq!(once(&mut OpenedCache::new(0, 2)), session);
    session
}

fn written(cookie: &CookieAffinity, session: &Session, backend: &str, now: UnixSeconds) -> String {
    let mut out = Vec::new();
    cookie.set_cookie(session, backend, None, now, &mut Nonces::new(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The pair that a browser sends back.
fn pinned(cookie: &CookieAffinity, backend: &str, issued: UnixSeconds, last_seen: UnixSeconds) -> String {
    let all = written(cookie, &Session::begin(42, issued), backend, last_seen);
    all.split(';').next().unwrap().to_owned()
}

#[test]
fn what_was_set_is_read_back() {
    let (cookie, members) = (cookie(), members(&["a", "b"]));
    let set = written(&cookie, &Session::begin(42, at(0)), "b", at(10));
    let (pair, attributes) = set.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    assert!(cookie.is_own_set_cookie(set.as_bytes()));
    let session = read(&cookie, &[pair], &members, at(59));
    let (pin, counted_on) = (Pin::To(BackendIx(1)), Some(BackendIx(1)));
    let (issued, last_seen) = (at(0), at(10));
    let expected =
        Session { pin, key: 42, issued, last_seen, boot: BOOT, counted_on, by: By::Cookie, ..session };
    assert!(!session.is_due && session.lost == 0);
    assert_eq!(session, expected);
}

#[test]
fn a_first_home_is_read_back_while_it_is_a_member() {
    let (cookie, members) = (cookie(), members(&["a", "b"]));
    for (origin, expected) in [("a", Some(BackendIx(0))), ("gone", None)] {
        let mut set = Vec::new();
        let session = Session::begin(42, at(0));
        cookie.set_cookie(&session, "b", Some(origin), at(0), &mut Nonces::new(), &mut set).unwrap();
        let set = String::from_utf8(set).unwrap();
        let session = read(&cookie, &[set.split(';').next().unwrap()], &members, at(1));
        assert_eq!((session.pin, session.origin), (Pin::To(BackendIx(1)), expected));
    }
}

#[test]
fn without_our_cookie_the_session_is_free() {
    for lines in [&[][..], &[""], &["a=1; b=2"], &["SRV=x; srvx=1; xsrv=2; srv"], &["a=srv", "b=\"srv=1\"x"]]
    {
        let session = read(&cookie(), lines, &members(&["a"]), at(0));
        assert_eq!(session, Session::begin(FRESH, at(0)), "{lines:?}");
    }
}

#[test]
fn the_first_valid_value_wins() {
    let (cookie, members) = (cookie(), members(&["a", "b"]));
    let (a, b) = (pinned(&cookie, "a", at(0), at(0)), pinned(&cookie, "b", at(0), at(0)));
    let gone = pinned(&cookie, "gone", at(0), at(0));
    let old = pinned(&cookie, "b", UnixSeconds(T - 9000), UnixSeconds(T - 9000));
    let check = |lines: &[&str], ix: u16| {
        assert_eq!(read(&cookie, lines, &members, at(0)).pin, Pin::To(BackendIx(ix)), "{lines:?}");
    };
    check(&[&a], 0);
    check(&[&format!("{a}; {b}")], 0);
    check(&[&format!("{b}; {a}")], 1);
    check(&[&format!("srv=forged; srv=; {gone}; {old}; {a}; {b}")], 0);
    check(&["x=1", "srv=forged", &format!("y=2;\t{b} ")], 1);
    check(&[&format!("q=\"open; {b}; r=\\\"; s=\"")], 1);
    check(&[&format!("{};{a}", "srv=x;".repeat(MAX_VALUES - 2))], 0);
    check(&[&format!("SRV=x; srv2=y; {}", b.replace('=', " = "))], 1);
}

#[test]
fn work_is_bounded() {
    let (cookie, members) = (cookie(), members(&["a"]));
    let a = pinned(&cookie, "a", at(0), at(0));
    let lines = [&*format!("{a};", a = "srv=x; ".repeat(MAX_VALUES)), &a];
    assert_eq!(read(&cookie, &lines, &members, at(0)).pin, Pin::Void(Why::Invalid));
}

#[test]
fn the_reason_nearest_to_valid_is_told() {
    let (cookie, members) = (cookie(), members(&["a"]));
    let removed = pinned(&cookie, "gone", at(0), at(0));
    let also_removed = pinned(&cookie, "lost", at(0), at(0));
    let idle = pinned(&cookie, "a", at(0), UnixSeconds(T - 9000));
    let aged = pinned(&cookie, "a", UnixSeconds(T - 90_000), at(0));
    let check = |line: String, why: Why| {
        assert_eq!(read(&cookie, &[&line], &members, at(0)).pin, Pin::Void(why), "{line}");
    };
    check("srv=x".into(), Why::Invalid);
    check("srv=".into(), Why::Invalid);
    check("srv=\"x\"".into(), Why::Invalid);
    check(format!("srv={}", "A".repeat(5000)), Why::Invalid);
    check(format!("srv=x; {aged}"), Why::ExpiredLifetime);
    check(format!("{aged}; {idle}; srv=x"), Why::ExpiredIdle);
    check(format!("{idle}; {aged}; srv=x; {removed}"), Why::Removed);
    let first = read(&cookie, &[&format!("{removed}; {also_removed}")], &members, at(0));
    assert_eq!(first.lost, hash64(b"gone"));
}

#[test]
fn a_removed_backend_leaves_the_session_its_key_and_age() {
    let (cookie, members) = (cookie(), members(&["a"]));
    let pair = pinned(&cookie, "gone", at(0), at(60));
    let session = read(&cookie, &[&pair], &members, at(130));
    assert_eq!((session.key, session.issued, session.last_seen), (42, at(0), at(60)));
    assert_eq!((session.lost, session.counted_on), (hash64(b"gone"), None));
}

#[test]
fn an_expired_session_begins_anew() {
    let (cookie, members) = (cookie(), members(&["a"]));
    for (issued, last_seen) in [(T - 90_000, T), (T - 9000, T - 9000), (T - 90_000, T - 90_000)] {
        let pair = pinned(&cookie, "a", UnixSeconds(issued), UnixSeconds(last_seen));
        let session = read(&cookie, &[&pair], &members, at(0));
        assert_eq!((session.key, session.issued), (FRESH, at(0)));
    }
}

#[test]
fn idle_ends_with_the_slot_of_the_last_write() {
    let check = |idle: u32, last_seen: u32, now: u32, lives: bool| {
        let settings = CookieSettings { idle: Duration::from_secs(idle.into()), ..settings(A) };
        let cookie = CookieAffinity::try_new(settings).unwrap();
        let pair = pinned(&cookie, "a", at(0), at(last_seen));
        let expected = if lives { Pin::To(BackendIx(0)) } else { Pin::Void(Why::ExpiredIdle) };
        assert_eq!(
            read(&cookie, &[&pair], &members(&["a"]), at(now)).pin,
            expected,
            "{idle} {last_seen} {now}"
        );
    };
    check(1, 0, 1, true);
    check(1, 0, 2, false);
    check(10, 3, 13, true);
    check(10, 3, 14, false);
    check(1800, 0, 59 + 1800, true); // may have been used at 59 s without being written again
    check(1800, 0, 60 + 1800, false);
    check(1800, 59, 59 + 1800, true);
    check(1800, 59, 60 + 1800, false);
}

#[test]
fn lifetime_ends_to_the_second() {
    let (cookie, members) = (cookie(), members(&["a"]));
    let pair = pinned(&cookie, "a", at(0), at(8 * 3600 - 5));
    let pin = |now: u32| read(&cookie, &[&pair], &members, at(now)).pin;
    assert_eq!(pin(8 * 3600), Pin::To(BackendIx(0)));
    assert_eq!(pin(8 * 3600 + 1), Pin::Void(Why::ExpiredLifetime));
    let endless = CookieAffinity::try_new(CookieSettings { lifetime: None, ..settings(A) }).unwrap();
    let pair = pinned(&endless, "a", UnixSeconds(1), at(0));
    assert_eq!(read(&endless, &[&pair], &members, at(0)).pin, Pin::To(BackendIx(0)));
}

#[test]
fn a_cached_value_expires_all_the_same() {
    let (cookie, members, mut cache) = (cookie(), members(&["a"]), OpenedCache::new(8, 1));
    let pair = pinned(&cookie, "a", at(0), at(0));
    let mut pin = |now| cookie.read([pair.as_bytes()].into_iter(), &members, at(now), &mut cache, FRESH).pin;
    assert_eq!(pin(0), Pin::To(BackendIx(0)));
    assert_eq!(pin(1900), Pin::Void(Why::ExpiredIdle));
    assert_eq!(pin(1800), Pin::To(BackendIx(0)));
}

#[test]
fn a_cached_value_is_void_for_another_pool_name_ring_or_membership() {
    let pair = pinned(&cookie(), "a", at(0), at(0));
    let mut cache = OpenedCache::new(8, 1);
    let mut pin = |settings: CookieSettings, ids: &[&str]| {
        let cookie = CookieAffinity::try_new(settings).unwrap();
        let line = pair.replace("srv=", &format!("{}=", cookie.name()));
        cookie.read([line.as_bytes()].into_iter(), &members(ids), at(0), &mut cache, FRESH).pin
    };
    assert_eq!(pin(settings(A), &["a"]), Pin::To(BackendIx(0)));
    assert_eq!(pin(settings(A), &["b", "a"]), Pin::To(BackendIx(1)));
    assert_eq!(pin(settings(A), &["b"]), Pin::Void(Why::Removed));
    assert_eq!(pin(settings(&format!("{B}\n{A}")), &["a"]), Pin::To(BackendIx(0)));
    assert_eq!(pin(settings(B), &["a"]), Pin::Void(Why::Invalid));
    assert_eq!(pin(CookieSettings { pool: "api".into(), ..settings(A) }, &["a"]), Pin::Void(Why::Invalid));
    assert_eq!(pin(CookieSettings { name: "other".into(), ..settings(A) }, &["a"]), Pin::Void(Why::Invalid));
}

#[test]
fn clocks_may_differ_by_a_day() {
    let (cookie, members) = (cookie(), members(&["a"]));
    let session = |ahead: u32| {
        let pair = pinned(&cookie, "a", at(ahead), at(ahead));
        read(&cookie, &[&pair], &members, at(0))
    };
    assert_eq!((session(5).pin, session(5).is_due), (Pin::To(BackendIx(0)), false));
    assert_eq!((session(MAX_AHEAD).pin, session(MAX_AHEAD).is_due), (Pin::To(BackendIx(0)), true));
    assert_eq!(session(MAX_AHEAD).issued, at(0), "or it would outlive its lifetime");
    assert_eq!(session(MAX_AHEAD + 1).pin, Pin::Void(Why::Invalid));
}

#[test]
fn a_pin_is_due_once_a_slot_and_keeps_key_and_age() {
    let (cookie, members) = (cookie(), members(&["a"]));
    let pair = pinned(&cookie, "a", at(0), at(0));
    assert!(!read(&cookie, &[&pair], &members, at(59)).needs_pin(BackendIx(0)));
    let due = read(&cookie, &[&pair], &members, at(60));
    assert!(due.is_due && due.needs_pin(BackendIx(0)));
    let again = written(&cookie, &due, "a", at(60));
    let session = read(&cookie, &[&again], &members, at(61));
    assert_eq!((session.key, session.issued, session.last_seen), (42, at(0), at(60)));
    assert!(!session.needs_pin(BackendIx(0)) && session.needs_pin(BackendIx(1)));
    assert!(Session::begin(1, at(0)).needs_pin(BackendIx(0)));
}

#[test]
fn an_id_too_long_sets_nothing() {
    let mut out = b"x".to_vec();
    let id = "x".repeat(300);
    let result =
        cookie().set_cookie(&Session::begin(1, at(0)), &id, None, at(0), &mut Nonces::new(), &mut out);
    assert!(result.is_err());
    assert_eq!(out, b"x");
}

#[test]
fn our_pairs_are_stripped_and_nothing_else() {
    let check = |line: &str, expected: Option<&str>| {
        let mut out = b"before".to_vec();
        let stripped = cookie().strip(line.as_bytes(), &mut out);
        let rest = std::str::from_utf8(&out[6..]).unwrap();
        match expected {
            None => assert_eq!((stripped, rest), (Stripped::Unchanged, ""), "{line}"),
            Some("") => assert_eq!((stripped, rest), (Stripped::Empty, ""), "{line}"),
            Some(text) => assert_eq!((stripped, rest), (Stripped::Changed, text), "{line}"),
        }
    };
    check("", None);
    check("a=1; SRV=2; srvx=3; xsrv=4; srv", None);
    check("srv=1", Some(""));
    check(" srv = 1 ; ", Some(""));
    check("srv=1; srv=2;", Some(""));
    check("srv=1; a=1", Some("a=1"));
    check("a=1; srv=1", Some("a=1"));
    check("a=1; srv=1; b=2", Some("a=1; b=2"));
    check("a=1;srv=1;b=2;srv=;  c=\"x; y\" ", Some("a=1;b=2;  c=\"x; y\" "));
    check("a=\"q; srv=1; b=\"", Some("a=\"q; b=\""));
    check("; srv=1; a=1;", Some("; a=1;"));
    check("a=srv=1; srv=2", Some("a=srv=1"));
}

#[test]
fn an_applications_cookie_of_our_name_is_known() {
    let check = |value: &str, ours: bool| {
        assert_eq!(cookie().is_own_set_cookie(value.as_bytes()), ours, "{value}");
    };
    check("srv=x", true);
    check(" srv =; Path=/", true);
    check("SRV=x", false);
    check("a=srv=x", false);
    check("a=1; srv=2", false);
    check("srv", false);
    check("", false);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let error = |settings: CookieSettings| CookieAffinity::try_new(settings).unwrap_err();
    assert_eq!(error(CookieSettings { idle: Duration::ZERO, ..settings(A) }), CookieError::Idle);
    let lifetime = Some(Duration::from_millis(10));
    assert_eq!(error(CookieSettings { lifetime, ..settings(A) }), CookieError::Lifetime);
    assert!(matches!(error(CookieSettings { name: "a b".into(), ..settings(A) }), CookieError::Name(_)));
    let attributes = Attributes { same_site: Some(SameSite::None), ..Attributes::default() };
    assert!(matches!(error(CookieSettings { attributes, ..settings(A) }), CookieError::NeedsSecure(_)));
}

/// One client beside the counters: each step is a request, answered by `to`.
struct Client<'a> {
    cookie: &'a CookieAffinity,
    members: &'a Members,
    pair: String,
}

impl Client<'_> {
    fn request(&mut self, to: u16, worker: usize, now: UnixSeconds) {
        let session = read(self.cookie, &[&self.pair], self.members, now);
        let chosen = BackendIx(to);
        if session.needs_pin(chosen) {
            session.count(BOOT, self.members, chosen, worker, now);
            self.pair = written(self.cookie, &session, self.members.get(chosen).id.as_str(), now);
        }
    }

    fn live(&self, now: UnixSeconds) -> [u32; 2] {
        [0, 1].map(|ix| self.members.get(BackendIx(ix)).sessions.live(now))
    }
}

#[test]
fn a_session_is_counted_where_it_is_and_once() {
    let (cookie, members) = (cookie(), members(&["a", "b"]));
    let mut client = Client { cookie: &cookie, members: &members, pair: String::new() };
    client.request(0, 0, at(0));
    assert_eq!(client.live(at(0)), [1, 0]);
    for t in (0..7200).step_by(25) {
        client.request(0, t as usize % 2, at(t));
        assert_eq!(client.live(at(t)), [1, 0], "{t} s");
    }
    client.request(1, 1, at(7200));
    assert_eq!(client.live(at(7200)), [0, 1], "moved");
    client.request(1, 0, at(7201));
    assert_eq!(client.live(at(7201)), [0, 1], "not due");
    assert_eq!(client.live(at(7201 + 2000)), [0, 0], "left alone");
    client.request(0, 0, at(10_000));
    assert_eq!(client.live(at(10_000)), [1, 0], "expired and new");
}

#[test]
fn a_session_past_its_lifetime_is_not_counted_twice() {
    let settings = CookieSettings { lifetime: Some(Duration::from_secs(100)), ..settings(A) };
    let (cookie, members) = (CookieAffinity::try_new(settings).unwrap(), members(&["a", "b"]));
    let mut client = Client { cookie: &cookie, members: &members, pair: String::new() };
    for (t, to) in [(0, 0), (70, 0), (150, 1), (220, 1), (300, 1)] {
        client.request(to, 0, at(t));
        assert_eq!(client.live(at(t)).iter().sum::<u32>(), 1, "{t} s");
    }
}

#[test]
fn a_node_does_not_take_back_what_another_counted() {
    let other = CookieAffinity::try_new(CookieSettings { boot: BOOT + 1, ..settings(A) }).unwrap();
    let (cookie, members) = (cookie(), members(&["a", "b"]));
    let pair = pinned(&other, "a", at(0), at(0));
    let mut client = Client { cookie: &cookie, members: &members, pair };
    client.request(0, 0, at(10));
    assert_eq!(client.live(at(10)), [0, 0], "not due: the other node counts it");
    client.request(0, 0, at(60));
    assert_eq!(client.live(at(60)), [1, 0], "due: written here, counted here");
    client.request(1, 0, at(61));
    assert_eq!(client.live(at(61)), [0, 1]);
    client.pair = pinned(&other, "a", at(0), at(61));
    client.request(1, 0, at(62));
    assert_eq!(client.live(at(62)), [0, 2], "moved: nothing of ours on its old backend");
}

/// The reader as one would write it without care for speed: what is the first pair that means a member?
fn oracle(lines: &[String], valid: &[(String, u16)]) -> Option<u16> {
    let pairs = lines.iter().flat_map(|l| l.split(';')).filter_map(|p| p.split_once('='));
    let blank = [' ', '\t'];
    let ours = pairs.filter(|(n, _)| n.trim_matches(blank) == "srv").map(|(_, v)| v.trim_matches(blank));
    ours.take(MAX_VALUES).find_map(|v| valid.iter().find(|(text, _)| text == v).map(|(_, ix)| *ix))
}

proptest! {
    #[test]
    fn the_reader_agrees_with_a_naive_one(lines in prop::collection::vec(
        prop::collection::vec("(srv=|srv|SRV=|[ \t]srv[ \t]?=[ \t]?|a=|b=\"|;)(VALID0|VALID1|x|\"|[!-:<-~]{0,6})[ \t]?", 0..8), 0..4)) {
        let (cookie, members) = (cookie(), members(&["a", "b"]));
        let value = |id| pinned(&cookie, id, at(0), at(0)).split_off(4);
        let valid = [(value("a"), 0), (value("b"), 1)];
        let fill = |l: String| l.replace("VALID0", &valid[0].0).replace("VALID1", &valid[1].0);
        let lines: Vec<String> = lines.iter().map(|segments| fill(segments.join(";"))).collect();
        let refs: Vec<&str> = lines.iter().map(String::as_str).collect();
        let found = match read(&cookie, &refs, &members, at(0)).pin {
            Pin::To(ix) => Some(ix.0),
            Pin::Free | Pin::Void(_) => None,
        };
        prop_assert_eq!(found, oracle(&lines, &valid));
    }

    #[test]
    fn a_forged_value_names_nobody(text in "[!-:<-~]{0,500}", cut in 0_usize..100, flip in 0_u8..127) {
        let (cookie, members) = (cookie(), members(&["a"]));
        let is_none = |line: &str| !matches!(read(&cookie, &[line], &members, at(0)).pin, Pin::To(_));
        let forged = format!("srv={text}");
        prop_assert!(is_none(&forged));
        let pair = pinned(&cookie, "a", at(0), at(0));
        let at = 4 + cut % (pair.len() - 4);
        let (head, tail) = pair.split_at(at);
        let turned = format!("srv={tail}{}", &head[4..]);
        prop_assert!(is_none(head) && (at == 4 || is_none(&turned)));
        let other = char::from(flip.max(33));
        let changed = format!("{head}{other}{}", &tail[1..]);
        prop_assert!(tail.starts_with(other) || is_none(&changed));
    }

    #[test]
    fn neighbours_are_left_byte_for_byte(segments in prop::collection::vec(
        "( ?srv=[!-:<-~]{0,5}| ?srv2?| ?a=\"?[!-:<-~]{0,5}\"?|[ \t]*|[ -:<-~\t\u{80}-\u{ff}]{0,8})", 0..9)) {
        let line = segments.join(";");
        let name = |s: &str| s.split_once('=').map(|(n, _)| n.trim_matches([' ', '\t']).to_owned());
        let ours = |s: &&String| name(s).as_deref() == Some("srv");
        let kept: Vec<&str> = segments.iter().filter(|s| !ours(s)).map(String::as_str).collect();
        let mut expected = kept.join(";");
        if segments.first().is_some_and(|s| ours(&s)) {
            expected = expected.trim_start_matches([' ', '\t']).to_owned();
        }
        let mut out = Vec::new();
        match cookie().strip(line.as_bytes(), &mut out) {
            Stripped::Unchanged => prop_assert!(!segments.iter().any(|s| ours(&s)) && out.is_empty()),
            Stripped::Empty => prop_assert!(kept.iter().all(|s| s.trim_matches([' ', '\t']).is_empty()) && out.is_empty()),
            Stripped::Changed => prop_assert_eq!(std::str::from_utf8(&out).unwrap(), &expected),
        }
        prop_assert_eq!(cookie().strip(expected.as_bytes(), &mut Vec::new()), Stripped::Unchanged);
    }

    #[test]
    fn before_an_application_s_value_only_a_pin_is_taken_out(
        before in "[ -:<-~]{0,12}", value in "[!-:<-~]{0,20}", after in "[ -:<-~]{0,12}", cut in 0_usize..120,
    ) {
        let settings = CookieSettings { style: Style::Prefix, ..settings(A) };
        let (cookie, members) = (CookieAffinity::try_new(settings).unwrap(), members(&["a", "b"]));
        let mut pin = Vec::new();
        cookie.pin(&Session::begin(42, at(0)), "b", None, at(0), &mut Nonces::new(), &mut pin).unwrap();
        let pin = String::from_utf8(pin).unwrap();
        let mut set = Vec::new();
        let theirs = SetCookie::parse(b"srv=x").unwrap();
        cookie.set_theirs(&SetCookie { value: value.as_bytes(), ..theirs }, pin.as_bytes(), &mut set);
        prop_assert_eq!(String::from_utf8(set).unwrap(), format!("srv={pin}~{value}"));
        let strip = |line: &str| {
            let mut out = Vec::new();
            match cookie.strip(line.as_bytes(), &mut out) {
                Stripped::Unchanged => line.to_owned(),
                Stripped::Changed | Stripped::Empty => String::from_utf8(out).unwrap(),
            }
        };
        let line = format!("{before}; srv={pin}~{value}; {after}");
        prop_assert_eq!(strip(&line), format!("{before}; srv={value}; {after}"));
        prop_assert_eq!(read(&cookie, &[&line], &members, at(9000)).pin, Pin::To(BackendIx(1)), "idle ends none");
        // A piece of a pin, or none, is the application's own.
        let cut = cut.min(pin.len() - 1);
        let line = format!("srv={}~{value}", &pin[..cut]);
        prop_assert!(!matches!(read(&cookie, &[&line], &members, at(0)).pin, Pin::To(_)));
        if cut < crate::affinity::seal::MIN_TEXT {
            prop_assert_eq!(strip(&line), line);
        }
    }

    #[test]
    fn whatever_is_set_is_read_back(
        id in "[a-z0-9.:_/-]{1,80}", key in any::<u64>(), age in 0_u32..28_000, since in 0_u32..1800,
        before in "[ -:<-~]{0,20}", after in "[ -:<-~]{0,20}",
    ) {
        let (cookie, members) = (cookie(), members(&["other", &id]));
        let set = written(&cookie, &Session::begin(key, UnixSeconds(T - age)), &id, at(0));
        let line = format!("{before};{};{after}", set.split(';').next().unwrap());
        let session = read(&cookie, &[&line], &members, at(since.min(28_800 - age)));
        prop_assert_eq!(session.pin, Pin::To(members.find(&id).unwrap()));
        prop_assert_eq!((session.key, session.issued), (key, UnixSeconds(T - age)));
    }
}
