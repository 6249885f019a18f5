//! Pins made by the library and explained, whole, old, changed and strange.

use tempfile::TempDir;

use super::pins::{Own, OwnPin, State};
use super::*;
use crate::affinity::Session;
use crate::affinity::seal::Nonces;
use crate::base::time::UnixSeconds;
use crate::config;
use crate::strategy::Registry;

const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const NEW: &str = "0202020202020202020202020202020202020202020202020202020202020202";

/// Two pools under one secret; `a`, `b` and `gone` are the first one's backends as far as `backends` says so.
fn text(backends: &str, app: &str) -> String {
    format!(
        "[[listener]]\nlisten = \"127.0.0.1:0\"\n[[pool]]\nname = \"app\"\nbackends = [{backends}]\n{app}\n\
         [pool.affinity]\nmode = \"cookie\"\nname = \"srv\"\nidle = \"10m\"\nlifetime = \"8h\"\n\
         secret = {{ file = \"cookie.key\" }}\n\
         [[pool]]\nname = \"shop\"\nbackends = [\"127.0.0.1:3\", \"127.0.0.1:4\"]\n[pool.affinity]\nmode = \"cookie\"\n\
         name = \"cart\"\nsecret = {{ file = \"cookie.key\" }}\n\
         [[route]]\npool = \"app\"\n[[route]]\npath = \"/shop\"\npool = \"shop\"\n"
    )
}

const BOTH: &str = "{ name = \"a\", address = \"127.0.0.1:1\" }, { name = \"b\", address = \"127.0.0.1:2\" }";

struct Scene {
    explainer: Explainer,
    _folder: TempDir,
}

/// An explainer of this text with these keys in its file.
fn scene(text: &str, keys: &str) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cookie.key"), keys).unwrap();
    let environment = Environment::detect().unwrap();
    let origin = folder.path().join("config.toml");
    let loaded = config::parse(text, &origin, &Registry::built_in(), &environment);
    let plan = loaded.unwrap_or_else(|wrong| panic!("{wrong}\n{text}")).plan;
    Scene { explainer: Explainer::new(plan, &environment, Secrets::default()), _folder: folder }
}

fn usual() -> Scene {
    scene(&text(BOTH, ""), NEW)
}

fn now() -> UnixSeconds {
    UnixSeconds::now()
}

impl Scene {
    /// A pin of this pool to this backend, begun and written so many seconds ago.
    fn mint(&self, pool: &str, backend: &str, begun: u32, written: u32) -> String {
        let pools = &self.explainer.view.snapshot.plan.pools;
        let cookie = pools
            .iter()
            .find(|p| *p.name == *pool)
            .unwrap()
            .affinity
            .as_ref()
            .and_then(|a| a.cookie())
            .unwrap();
        let session = Session::begin(0x0123_4567_89ab_cdef, UnixSeconds(now().0.wrapping_sub(begun)));
        let mut out = Vec::new();
        let written = UnixSeconds(now().0.wrapping_sub(written));
        cookie.set_cookie(&session, backend, None, written, &mut Nonces::new(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.split(';').next().unwrap().split_once('=').unwrap().1.to_owned()
    }

    fn ask(&self, path: &str, cookie: &str) -> Answer {
        let ask = Ask { path: Some(path.to_owned()), cookies: vec![cookie.to_owned()], ..Ask::default() };
        self.explainer.explain(&ask).unwrap()
    }

    fn decode(&self, cookie: &str) -> PinReport {
        let ask = Ask { cookies: vec![cookie.to_owned()], ..Ask::default() };
        assert!(ask.is_about_cookies());
        let mut pins = self.explainer.decode(&ask).unwrap();
        assert_eq!(pins.len(), 1);
        pins.remove(0)
    }
}

fn opened(report: &PinReport) -> &OwnPin {
    let Some(Own::Opened(pin)) = &report.own else { panic!("{report:#?}") };
    pin
}

fn in_the_way(report: &PinReport) -> &str {
    let Some(Own::Unopened { why, .. }) = &report.own else { panic!("{report:#?}") };
    why
}

#[test]
fn a_pin_that_holds_is_told_whole() {
    let scene = scene(&text(BOTH, ""), &format!("{NEW}\n{OLD}\n"));
    let made = self::scene(&text(BOTH, ""), OLD).mint("app", "b", 300, 60);
    let answer = scene.ask("/", &format!("srv={made}"));
    assert_eq!((answer.backend.as_deref(), answer.reason.as_str()), (Some("b"), "refreshed"));
    let pin = opened(&answer.pins[0]);
    assert_eq!((pin.pool.as_str(), pin.backend.as_str(), pin.is_member), ("app", "b", true));
    assert_eq!((pin.session, pin.state), (0x0123_4567_89ab_cdef, State::Due));
    assert_eq!((pin.key, pin.keys, pin.bound, pin.bound_seconds), (2, 2, "idle", 600));
    assert!((599..=622).contains(&(pin.ends.0 - pin.last_seen.0)), "{pin:#?}");

    let text = answer.to_text(UnixSeconds(pin.issued.0 + 301));
    for part in [
        "why      1. the route */ sends it to pool \"app\"\n",
        "         2. its cookie \"srv\" is a pin to \"b\" that holds\n",
        "         3. \"b\" owns it, as long as it may serve\n",
        "         4. the answer carries the same pin, written anew\n",
        "         homing pin pool \"app\", backend \"b\"\n",
        "         session    01234567.., begun ",
        "Z, 5m1s ago\n",
        " unless it is used (idle 10m); written again with the next answer\n",
        "         sealed     with key 2 of 2 (",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains(&made), "the value is not shown whole");

    let json: serde_json::Value = serde_json::from_str(&answer.to_json(pin.issued)).unwrap();
    let told = &json["pins"][0]["homing"];
    assert_eq!((&told["backend"], &told["state"], &told["key"]), (&"b".into(), &"due".into(), &2.into()));
    assert_eq!(told["issued"], pin.issued.to_string());
}

#[test]
fn the_short_form_tells_the_same_of_a_pin() {
    let scene = usual();
    let report = scene.decode(&format!("srv={}", scene.mint("app", "a", 0, 0)));
    assert_eq!((opened(&report).state, report.names_somebody()), (State::Valid, true));
    let told = super::pins_to_json(&[report], now());
    assert!(told.contains("\"state\":\"valid\"") && told.contains("\"backend\":\"a\""), "{told}");
}

#[test]
fn what_a_pool_makes_of_an_old_pin_is_told_with_its_end() {
    let scene = usual();
    let check = |backend: &str, begun: u32, written: u32, reason: &str, part: &str| {
        let answer = scene.ask("/", &format!("srv={}", scene.mint("app", backend, begun, written)));
        let text = answer.to_text(now());
        assert_eq!(answer.reason, reason, "{text}");
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    };
    check("a", 7000, 6000, "expired_idle", "(idle 10m)");
    check("a", 7000, 6000, "expired_idle", "was not used for longer than `idle`: a new session");
    check("a", 9 * 3600, 1, "expired_lifetime", "(lifetime 8h)");
    check("a", 9 * 3600, 1, "expired_lifetime", "is older than `lifetime`: a new session");
    check("gone", 0, 0, "removed", "backend \"gone\", which the pool does not have (any more)");
    check("gone", 0, 0, "removed", "a pin to a backend \"gone\" that the pool does not have (any more)");
    check("gone", 0, 0, "removed", "3. its backend is gone: it moves to ");
    let two_days_ahead = (2 * 86_400_u32).wrapping_neg();
    check("a", 0, two_days_ahead, "invalid", "further ahead than clocks may differ");
}

#[test]
fn what_does_not_open_tells_the_first_thing_wrong() {
    let scene = usual();
    let pin = scene.mint("app", "a", 0, 0);
    let changed = {
        let mut bytes = pin.clone().into_bytes();
        bytes[70] = if bytes[70] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let strange = self::scene(&text(BOTH, ""), OLD).mint("app", "a", 0, 0);
    for (value, part) in [
        (changed.as_str(), "key 1 has its id and does not open it: forged, changed"),
        (&pin[..60], "60 letters"),
        ("a+c", "not base64url"),
        (&format!("AA{}", &pin[2..]), "version 0"),
        (&strange, "which this pool does not have (it has "),
    ] {
        let report = scene.decode(&format!("srv={value}"));
        assert!(in_the_way(&report).contains(part), "{value}: {}", in_the_way(&report));
        assert!(!report.names_somebody());
        let answer = scene.ask("/", &format!("srv={value}"));
        assert_eq!(answer.reason, "invalid");
        assert_eq!(in_the_way(&answer.pins[0]), in_the_way(&report));
    }
}

#[test]
fn a_pool_without_a_secret_says_that_nobody_else_can_open_its_pins() {
    let without = text(BOTH, "").replace("secret = { file = \"cookie.key\" }\n", "");
    let pin = scene(&without, NEW).mint("app", "a", 0, 0);
    let report = scene(&without, NEW).decode(&format!("srv={pin}"));
    assert!(in_the_way(&report).contains("no `secret`: only the process that sealed it"), "{report:?}");
}

#[test]
fn a_pin_of_another_pool_or_name_is_told_as_such() {
    let scene = usual();
    let pin = scene.mint("app", "a", 0, 0);
    let answer = scene.ask("/shop", &format!("cart={pin}"));
    assert_eq!((answer.pool.as_deref(), answer.reason.as_str()), (Some("shop"), "invalid"));
    assert_eq!(opened(&answer.pins[0]).state, State::OtherPool);
    let text = answer.to_text(now());
    assert!(text.contains("refused    it is pool \"app\"'s and opens nothing in \"shop\"\n"), "{text}");
    let renamed = scene.decode(&format!("old={pin}"));
    assert_eq!((opened(&renamed).state, opened(&renamed).cookie.as_str()), (State::OtherName, "srv"));
    let told = scene.ask("/shop", &format!("srv={pin}"));
    assert_eq!((told.reason.as_str(), opened(&told.pins[0]).state), ("new", State::OtherPool));
}

#[test]
fn other_balancers_pins_are_read_for_the_requests_pool() {
    let scene = usual();
    let nginx = |address: &str| {
        use md5::Digest as _;
        let digest = md5::Md5::digest(address);
        digest.iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let route = format!("route={}", nginx("127.0.0.1:2"));
    let text = scene.ask("/", &route).to_text(now());
    let line = "looks like nginx sticky cookie (MD5 of the address): names app/b (127.0.0.1:2)\n";
    assert!(text.contains(line), "{text}");
    assert!(scene.ask("/shop", &route).pins.is_empty(), "it names none of that pool's");
    assert!(scene.decode(&route).to_text(now()).contains(line), "alone it is read for every pool");

    // A pool may have taken over its forerunner's cookie name.
    let both = scene.decode(&format!("srv={}", nginx("127.0.0.1:2")));
    assert!(both.own.is_some() && both.names_somebody(), "{both:?}");

    let none = "theme=dark; id=0123456789abcdef0123456789abcdef";
    assert!(scene.ask("/", none).pins.is_empty(), "what names nobody is no news of a request");
    assert!(scene.decode("theme=dark").to_text(now()).ends_with("nothing that homing knows\n"));
}

#[test]
fn cookie_fields_and_other_fields_are_read_too() {
    let scene = usual();
    let pin = scene.mint("app", "b", 0, 0);
    let headers = vec![format!("Cookie: x=1; srv={pin}"), "Session-Host: MTI3LjAuMC4xOjE=".to_owned()];
    let answer = scene.explainer.explain(&Ask { headers, ..Ask::default() }).unwrap();
    assert_eq!(answer.backend.as_deref(), Some("b"));
    let seen: Vec<_> = answer.pins.iter().map(|p| (p.carrier, p.name.as_str())).collect();
    assert_eq!(seen, [("cookie", "srv"), ("header", "Session-Host")]);
    assert_eq!(answer.pins[1].foreign[0].reading.system, "Envoy stateful session");
}

#[test]
fn every_decision_has_its_sentence() {
    let check = |app: &str, b: &str, reason: &str, part: &str| {
        let backends = format!("{{ name = \"a\", address = \"127.0.0.1:1\" }}, {{ name = \"b\", {b} }}");
        let scene = scene(&text(&backends, app), NEW);
        let answer = scene.ask("/", &format!("srv={}", scene.mint("app", "b", 0, 0)));
        assert_eq!(answer.reason, reason, "{answer:#?}");
        assert!(answer.steps.iter().any(|s| s.contains(part)), "{part:?} is not in {:#?}", answer.steps);
    };
    let at = "address = \"127.0.0.1:2\"";
    check("", at, "pinned", "\"b\" owns it, as long as it may serve");
    check("", &format!("{at}, state = \"drain\""), "pinned", "\"b\" owns it, though it drains");
    check("", &format!("{at}, weight = 0"), "pinned", "\"b\" owns it, though it weighs nothing");
    check("", &format!("{at}, state = \"maint\""), "maint", "in maintenance: it moves to \"a\"");
}

#[test]
fn a_session_that_may_not_move_is_told_to_be_refused() {
    let text = text(&BOTH.replace("2\" }", "2\", state = \"maint\" }"), "");
    let scene = scene(&text.replacen("idle = \"10m\"\n", "idle = \"10m\"\non_lost = \"strict\"\n", 1), NEW);
    let answer = scene.ask("/", &format!("srv={}", scene.mint("app", "b", 0, 0)));
    assert_eq!((answer.backend.as_deref(), answer.reason.as_str()), (None, "strict"));
    assert!(answer.steps[2].contains("`on_lost` lets no session move: 503"), "{:#?}", answer.steps);
}

#[test]
fn a_request_for_nobody_says_what_homing_answers() {
    let scene = scene(
        &text(BOTH, "")
            .replace("[[route]]\npool = \"app\"", "[[route]]\nhost = \"a.example\"\npool = \"app\""),
        NEW,
    );
    let answer = scene.ask("/", "theme=dark");
    assert_eq!(answer.reason, "no_route");
    assert_eq!(answer.steps, ["homing answers 404 itself: no route is for this host and path"]);
}

#[test]
fn what_is_no_pair_is_refused() {
    let ask = Ask { cookies: vec!["srv".to_owned()], ..Ask::default() };
    let error = usual().explainer.decode(&ask).unwrap_err();
    assert_eq!(error.to_string(), "--cookie \"srv\": write 'name=value'");
}

/// What is told of a request with this cookie to a pool with these keys of its affinity, whose `a` is in maintenance.
fn told(affinity: &str, cookie: &str) -> Answer {
    let text = format!(
        "[[listener]]\nlisten = \"127.0.0.1:0\"\n[[pool]]\nname = \"app\"\nbackends = [{}]\n[pool.affinity]\n{affinity}\n",
        BOTH.replace("1\" }", "1\", state = \"maint\" }")
    );
    scene(&text, NEW).ask("/", cookie)
}

#[test]
fn every_remedy_has_its_sentence() {
    let route = "mode = \"route\"\nlookup = \"cookie:id\"\non_lost = ";
    for (remedy, backend, reason, part) in [
        ("\"rebind\"", Some("b"), "maint", "is in maintenance: it moves to \"b\""),
        ("\"borrow\"", Some("b"), "maint", "is in maintenance: it is lent to \"b\""),
        ("{ strict = 404 }", None, "strict", "`on_lost` lets no session move: 404"),
        ("{ redirect = \"/sorry\" }", None, "strict", "`on_lost` lets no session move: 302 to /sorry"),
    ] {
        let answer = told(&format!("{route}{remedy}"), "id=1.a");
        assert_eq!((answer.backend.as_deref(), answer.reason.as_str()), (backend, reason), "{remedy}");
        assert!(answer.steps[2].contains(part), "{part:?} is not in {:#?}", answer.steps);
    }
}

#[test]
fn what_the_table_of_a_running_homing_knows_is_told_to_be_there() {
    let learn = "mode = \"learn\"\ncreate = \"cookie:id\"";
    let answer = told(learn, "id=some");
    assert_eq!((answer.reason.as_str(), answer.backend.as_deref()), ("unknown", Some("b")));
    assert!(answer.steps[2].starts_with("it is placed by its id's hash: \"b\""), "{:#?}", answer.steps);
    assert_eq!(
        answer.depends_on[1],
        "table: a running homing may know the session: homing sessions app --find ID"
    );
    assert!(!answer.to_text(now()).contains("round_robin"), "{}", answer.to_text(now()));
    let answer = told(learn, "other=1");
    assert_eq!(answer.reason, "new");
    assert!(answer.depends_on.iter().all(|on| !on.starts_with("table")), "{:#?}", answer.depends_on);
    assert!(answer.depends_on.iter().any(|on| on.starts_with("round_robin")), "{:#?}", answer.depends_on);
}

#[test]
fn a_cookie_of_the_application_s_is_told_to_carry_the_pin_when_that_sets_it() {
    let answer = told("mode = \"cookie\"\nname = \"sid\"\nstyle = \"prefix\"", "sid=theirs");
    let part = "the pin to \"b\" goes into the cookie \"sid\" whenever the application sets that";
    assert_eq!((answer.reason.as_str(), answer.steps[3].as_str()), ("new", part));
}

#[test]
fn what_a_route_does_before_a_pool_is_told_and_no_rate_is_counted() {
    let policy = "[[listener]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\ndeny = [\"10.6.0.0/16\"]\n\
        [[pool]]\nname = \"app\"\nbackends = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n\
        [[route]]\npool = \"app\"\nrate_limit = { rate = \"1/h\", key = [\"header:x-key\"], burst = 2 }\n\
        [[route]]\npath = \"/api\"\npool = \"app\"\nstrip_prefix = \"/api\"\nallow = [\"10.0.0.0/8\"]\n\
        [[route]]\npath = \"/moved\"\nredirect = { to = \"https://example.org{path}\" }\n\
        [[route]]\npath = \"/ok\"\nrespond = { status = 204 }\n";
    let scene = scene(policy, NEW);
    let explain = |path: &str, ip: &str| {
        let ask = Ask { path: Some(path.to_owned()), ip: ip.parse().ok(), ..Ask::default() };
        scene.explainer.explain(&ask).unwrap()
    };
    let table = [
        ("/", "10.6.0.1", "denied", "the listener turns it away with 403"),
        ("/api/x", "192.0.2.1", "denied", "the route */api turns it away with 403"),
        (
            "/moved/x",
            "10.1.0.1",
            "redirect",
            "the route */moved redirects it (308) to https://example.org/moved/x",
        ),
        ("/ok", "10.1.0.1", "respond", "the route */ok answers it without a pool: 204"),
        ("/api/x/../y", "10.1.0.1", "target", "homing answers 400 itself"),
        ("/%61pi/x", "192.0.2.1", "denied", "the route */api turns it away with 403"),
    ];
    for (path, ip, reason, step) in table {
        let answer = explain(path, ip);
        assert_eq!((answer.reason.as_str(), answer.backend.as_deref()), (reason, None), "{path}");
        assert!(answer.steps[0].starts_with(step), "{:?}", answer.steps);
    }
    let answer = explain("/api/x?y", "10.1.0.1");
    assert!(answer.steps[1] == "the route changes its path: a backend sees /x?y", "{:?}", answer.steps);
    for _ in 0..9 {
        let answer = explain("/", "192.0.2.1");
        assert!(answer.backend.is_some());
        let rate =
            "rate: the route lets 1/h pass by header:x-key, client_ip, 2 at once; nothing is counted here";
        assert!(answer.depends_on.iter().any(|on| on == rate), "{:?}", answer.depends_on);
    }
}
