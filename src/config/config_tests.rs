//! What is read, what is refused with which words.

use std::time::Duration;

use proptest::prelude::*;

use super::diagnostic::Severity;
use super::*;
use crate::affinity::table::Seeds;
use crate::backend::availability::AdminState;
use crate::health::Probe;
use crate::pool::policy::{OnLost, Remedy, ReturnHome};
use crate::route::HostPattern;

pub(super) const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub(super) const SHIPPED: &str = include_str!("../../config.toml");
/// The sections that a file needs beside the one that a test is about.
pub(super) const LISTENER: &str = "[[listener]]\nlisten = \":8080\"\n";
pub(super) const POOL: &str =
    "[[pool]]\nname = \"app\"\nbackends = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n";

pub(super) fn environment() -> Environment {
    let keys = Arc::new(SealKeys::parse(&"ab".repeat(32)).unwrap());
    Environment { cores: 4, boot: 7, keys, seeds: Seeds::new([7; 16]), variables: Variables::default() }
}

/// A folder with key files and certificates in it, and a pool to include.
pub(super) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    key_file(folder.path(), KEY, 0o600);
    secret_file(folder.path(), "admin.token", KEY, 0o600);
    std::fs::create_dir(folder.path().join("pools")).unwrap();
    let pool = "[[pool]]\nname = \"more\"\nbackends = [\"127.0.0.1:9\"]\n[[route]]\npath = \"/more\"\npool = \"more\"\n";
    std::fs::write(folder.path().join("pools/more.toml"), pool).unwrap();
    for (certificate, key) in
        [("cert.pem", "key.pem"), ("a.pem", "a.key"), ("b.pem", "b.key"), ("ca.pem", "ca.key")]
    {
        let made = rcgen::generate_simple_self_signed([format!("{certificate}.test")]).unwrap();
        secret_file(folder.path(), certificate, &made.cert.pem(), 0o644);
        secret_file(folder.path(), key, &made.signing_key.serialize_pem(), 0o600);
    }
    secret_file(folder.path(), "tickets.key", KEY, 0o600);
    folder
}

pub(super) fn key_file(folder: &Path, text: &str, mode: u32) {
    secret_file(folder, "cookie.key", text, mode);
}

fn secret_file(folder: &Path, name: &str, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(super) fn parsed(text: &str, folder: &Path) -> Result<Loaded, Diagnostics> {
    parse(text, &folder.join("config.toml"), &Registry::built_in(), &environment())
}

pub(super) fn ok(text: &str) -> Loaded {
    parsed(text, Path::new("")).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// Everything said about a text: `line:column: severity: message`.
pub(super) fn said(text: &str) -> Vec<String> {
    said_in(text, Path::new(""))
}

fn said_in(text: &str, folder: &Path) -> Vec<String> {
    let list = parsed(text, folder).map_or_else(|e| e, |loaded| loaded.warnings);
    let one = |d: &diagnostic::Diagnostic| {
        let (place, severity) = (d.place.as_ref().unwrap(), d.severity);
        let word = if severity == Severity::Error { "error" } else { "warning" };
        format!("{}:{}: {word}: {}", place.line, place.column, d.message)
    };
    list.iter().map(one).collect()
}

/// One thing is said, and this is part of it.
fn check(text: &str, part: &str) {
    let said = said(text);
    assert!(said.len() == 1 && said[0].contains(part), "{text}\nexpected {part}\nsaid {said:#?}");
}

/// All of a plan that can be compared; its indexes by hash are left out.
pub(super) fn dump(plan: &Plan) -> String {
    let mut out = format!(
        "{} {:?} {:?} {:?} {:?}\n{:#?}\n{:#?}",
        plan.workers,
        plan.max_connections,
        plan.admin,
        plan.access_log,
        plan.shutdown,
        plan.listeners,
        plan.routes.as_slice()
    );
    for p in &plan.pools {
        let backends: Vec<_> = p.members.iter().map(|(_, b)| b).collect();
        out.push_str(&format!(
            "{} {backends:#?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}\n",
            p.name,
            p.kind.name,
            p.primary,
            p.backup,
            p.key,
            p.affinity,
            p.table_file,
            p.check,
            p.policy,
            p.timeouts,
            (p.transport.protocol, p.transport.digest)
        ));
    }
    out
}

mod the_contract {
    use super::*;

    const ISSUE: &str = r#"
workers = 2
[admin]
listen = "127.0.0.1:9900"
[access_log]
format = "json"
path = "access.log"
[[listener]]
name = "web"
listen = "127.0.0.1:8080"
trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]
[[route]]
listener = "web"
host = "shop.example.com"
path = "/api"
pool = "app"
request_headers = { set = { "x-front" = "1" }, remove = ["x-debug"] }
[[pool]]
name = "app"
strategy = "ip_hash"
max_fails = 1
fail_timeout = "10s"
backends = [
  "127.0.0.1:9001",
  { name = "b", address = "127.0.0.1:9002", weight = 2, max_conns = 500 },
  { name = "c", address = "127.0.0.1:9003", backup = true, state = "drain" },
]
[pool.affinity]
mode = "cookie"
name = "srv"
idle = "30m"
lifetime = "8h"
secret = { file = "cookie.key" }
[pool.health]
path = "/healthz"
interval = "2s"
rise = 2
fall = 3
"#;

    #[test]
    fn the_documented_file_works_as_it_stands() {
        let folder = folder();
        let Loaded { plan, warnings } = parsed(ISSUE, folder.path()).unwrap_or_else(|e| panic!("{e}"));
        assert!(warnings.is_empty(), "{warnings}");
        assert_eq!(plan.workers, 2);
        assert_eq!(plan.admin.map(|a| a.listen.to_string()).as_deref(), Some("127.0.0.1:9900"));
        assert_eq!(plan.access_log.path, Some(folder.path().join("access.log")));
        assert!(plan.listeners[0].trusted_proxies.contains("10.1.2.3".parse().unwrap()));
        let route = &plan.routes.as_slice()[0];
        assert_eq!((route.listener, route.path.as_str(), route.pool()), (Some(0), "/api", Some(0)));
        assert_eq!(route.host, HostPattern::Exact("shop.example.com".to_owned()));
        assert_eq!(route.request_headers.set, [("x-front".to_owned(), "1".to_owned())]);
        assert_eq!(route.request_headers.remove, ["x-debug"]);
        let pool = &plan.pools[0];
        assert_eq!(pool.kind.name, "ip_hash");
        let ids: Vec<_> = pool.members.iter().map(|(_, b)| b.id.as_str().to_owned()).collect();
        assert_eq!(ids, ["127.0.0.1:9001", "b", "c"]);
        let [b, c] = ["b", "c"].map(|id| pool.members.get(pool.members.find(id).unwrap()).clone());
        assert_eq!((b.weight, b.max_conns, b.backup, b.admin), (2, 500, false, AdminState::Ready));
        assert_eq!((c.weight, c.max_conns, c.backup, c.admin), (1, 0, true, AdminState::Drain));
        assert!(pool.backup.is_some());
        assert_eq!(pool.affinity.as_ref().and_then(|a| a.cookie()).map(|c| c.name()), Some("srv"));
        let check = pool.check.as_ref().unwrap();
        assert!(matches!(&check.probe, Probe::Http(p) if p.path == "/healthz" && p.expect == [(200, 399)]));
    }

    #[test]
    fn one_pool_and_no_route_gets_everything() {
        let plan = ok(&format!("{LISTENER}{POOL}")).plan;
        assert_eq!(plan.routes.find(0, "any.host", "/x").and_then(|(_, r)| r.pool()), Some(0));
        assert_eq!((plan.workers, plan.admin.is_none()), (4, true));
        assert_eq!(&*plan.listeners[0].name, ":8080");
    }

    #[test]
    fn every_kind_of_strategy_can_be_named() {
        for kind in Registry::built_in().iter() {
            for strategy in [format!("\"{}\"", kind.name), format!("{{ kind = \"{}\" }}", kind.name)] {
                let plan = ok(&format!("{LISTENER}{POOL}strategy = {strategy}\n")).plan;
                assert_eq!(plan.pools[0].kind.name, kind.name);
            }
        }
        let text = "strategy = { kind = \"hash\", key = [\"header:X-User\", \"client_ip\"], v4_prefix = 24, consistent = true }\n";
        let plan = ok(&format!("{LISTENER}{POOL}{text}")).plan;
        let key = &plan.pools[0].key;
        assert_eq!(
            key.sources.iter().map(|s| s.to_text()).collect::<Vec<_>>(),
            ["header:x-user", "client_ip"]
        );
        assert_eq!((key.v4_prefix, key.v6_prefix), (24, 128));
    }

    #[test]
    fn what_becomes_of_lost_sessions_is_said_for_all_causes_or_for_each() {
        let policy = |affinity: &str| {
            let text = format!("{LISTENER}{POOL}max_load = 1.25\n[pool.affinity]\n{affinity}\n");
            let text = text.replace("max_load", "strategy = \"maglev\"\nmax_load");
            ok(&text).plan.pools[0].policy.clone()
        };
        let (borrow, five) = (Remedy::Borrow, Remedy::Wait(Duration::from_secs(5)));
        assert_eq!(policy("").on_lost, OnLost::default());
        assert_eq!(policy("on_lost = \"borrow\"").on_lost, OnLost::all(borrow));
        assert_eq!(policy("on_lost = { wait = \"5s\" }"), policy("on_lost = \"wait\""));
        assert_eq!(policy("on_lost = { strict = 503 }"), policy("on_lost = \"strict\""));
        let (refuse, to) = (Remedy::Refuse(404), Remedy::Redirect("https://example.com/sorry".into()));
        let each = "on_lost = { down = { wait = \"5s\" }, removed = { strict = 404 }, full = { redirect = \"https://example.com/sorry\" } }";
        let expected = OnLost { down: five, removed: refuse, full: to, drained: Remedy::Rebind };
        assert_eq!(policy(each).on_lost, expected);
        assert_eq!(policy("").return_home, ReturnHome::Never);
        assert_eq!(policy("return_home = \"now\"").return_home, ReturnHome::Now);
        assert_eq!(policy("return_home = \"idle\"").return_home, ReturnHome::Idle(300));
        assert_eq!(
            policy("return_home = \"idle\"\nreturn_after = \"1500ms\"").return_home,
            ReturnHome::Idle(2)
        );
        assert_eq!(policy("").max_load, 1250);
    }

    #[test]
    fn weight_zero_and_unix_sockets_are_fine() {
        let pool = "[[pool]]\nname = \"a\"\nbackends = [{ address = \"unix:/run/a.sock\", weight = 0 }, \"app:80\"]\n";
        let plan = ok(&format!("[[listener]]\nlisten = \"unix:/run/h.sock\"\n{pool}")).plan;
        let (_, first) = plan.pools[0].members.iter().next().unwrap();
        assert_eq!((first.weight, first.id.as_str()), (0, "unix:/run/a.sock"));
    }
}

mod refused {
    use super::*;

    #[test]
    fn unknown_keys_in_every_table() {
        let text = r#"
worker = 1
[admin]
lisen = 1
[access_log]
formatt = "json"
[shutdown]
drains = "1s"
[[listener]]
listen = ":1"
trusted_proxy = []
[listener.limits]
heads = "1KiB"
[listener.timeouts]
bodi = "1s"
[[route]]
pool = "app"
hots = "a"
request_headers = { sett = {} }
[[pool]]
name = "app"
stratgy = "ip_hash"
strategy = { kind = "hash", consistant = true, ky = "path" }
backends = ["a:1", { address = "b:1", wieght = 2 }]
[pool.affinity]
mod = "cookie"
secret = { fiel = "x", file = "cookie.key" }
[pool.health]
paht = "/"
[pool.timeouts]
conect = "1s"
"#;
        let said = said_in(text, folder().path());
        let expected = [
            "2:1: error: unknown key \"worker\" in the file; did you mean \"workers\"?",
            "4:1: error: unknown key \"lisen\" in [admin]; did you mean \"listen\"?",
            "6:1: error: unknown key \"formatt\" in [access_log]; did you mean \"format\"?",
            "8:1: error: unknown key \"drains\" in [shutdown]; did you mean \"drain\"?",
            "11:1: error: unknown key \"trusted_proxy\" in [[listener]]; did you mean \"trusted_proxies\"?",
            "13:1: error: unknown key \"heads\" in [listener.limits]; did you mean \"head\"?",
            "15:1: error: unknown key \"bodi\" in [listener.timeouts]; did you mean \"body\"?",
            "18:1: error: unknown key \"hots\" in [[route]]; did you mean \"host\"?",
            "19:21: error: unknown key \"sett\" in request_headers; did you mean \"set\"?",
            "22:1: error: unknown key \"stratgy\" in [[pool]]; did you mean \"strategy\"?",
            "23:29: error: unknown option \"consistant\" of strategy hash; did you mean \"consistent\"?",
            "23:48: error: unknown option \"ky\" of strategy hash; did you mean \"key\"?",
            "24:39: error: unknown key \"wieght\" in a backend; did you mean \"weight\"?",
            "26:1: error: unknown key \"mod\" in [pool.affinity]; did you mean \"mode\"?",
            "27:12: error: unknown key \"fiel\" in secret; did you mean \"file\"?",
            "29:1: error: unknown key \"paht\" in [pool.health]; did you mean \"path\"?",
            "31:1: error: unknown key \"conect\" in [pool.timeouts]; did you mean \"connect\"?",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        check("[[pool]]\nname = \n", "2:8: error:");
        check("a = 1\na = 2\n", "2:1: error: duplicate key");
        check("a = \"x", "1:");
    }

    #[test]
    fn a_file_without_listener_or_pool() {
        let said = said("");
        assert!(
            said.len() == 2 && said[0].contains("no [[listener]]") && said[1].contains("no [[pool]]"),
            "{said:?}"
        );
        check(LISTENER, "no [[pool]]");
        check(POOL, "no [[listener]]");
    }

    #[test]
    fn values_of_listeners() {
        let with = |line: &str| format!("[[listener]]\nlisten = \":80\"\n{line}\n{POOL}");
        let table = [
            ("trusted_proxies = \"10.0.0.0/8\"", "must be a list of prefixes, in [ ]"),
            (
                "trusted_proxies = [\"10.0.0.0/8\", \"10.0.0.7/8\"]",
                "3:34: error: \"10.0.0.7/8\": has bits set",
            ),
            ("half_close = \"atuo\"", "must be one of auto, never, always; did you mean \"auto\"?"),
            ("proxy_protocol = true", "3:18: error: proxy_protocol = true: needs trusted_proxies: nobody"),
            ("affinity_header = 1", "affinity_header = 1: must be true or false"),
            ("max_connections = -1", "must be a whole number between 0 and"),
            ("max_connections_per_address = 0.5", "must be a whole number between 0 and"),
            ("name = \"a b\"", "must be without blanks"),
            ("limits.head = \"61KiB\"", "head = \"61KiB\": must be between 256B and 60KiB"),
            ("limits.head = 32768", "head = 32768: needs a unit, as in \"32KiB\""),
            ("limits = { head = \"1KiB\", field = \"2KiB\" }", "field is larger than head"),
            ("limits.fields = 0", "between 1 and 128"),
            ("underscores = \"no\"", "must be one of drop, pass, refuse"),
            ("underscores = false", "must be one of drop, pass, refuse"),
            ("bare_lf = 1", "bare_lf = 1"),
            ("timeouts.head = \"0s\"", "head = \"0s\": must be above 0"),
            ("timeouts.idle = \"30\"", "idle = \"30\": needs a unit, as in \"30s\""),
            ("timeouts.idle = 30", "idle = 30: needs a unit, as in \"30s\""),
            ("timeouts.idle = \"400d\"", "must be at most 365d"),
            ("timeouts = 3", "timeouts = 3: must be a table, as in [listener.timeouts]"),
        ];
        for (line, part) in table {
            check(&with(line), part);
        }
    }

    #[test]
    fn addresses() {
        let pool = |b: &str| format!("{LISTENER}[[pool]]\nname = \"app\"\nbackends = {b}\n");
        let table = [
            ("[\"http://a:1\"]", "\"http://a:1\": drop the scheme, as in \"a:1\""),
            ("[\"127.0.0.1\"]", "5:13: error: \"127.0.0.1\": has no port"),
            ("[{ address = \"127.0.0.1\" }]", "address = \"127.0.0.1\": has no port"),
            ("[]", "needs at least one backend"),
            ("[{ name = \"a\" }]", "a backend has no address"),
            ("[5]", "5: must be an address"),
            ("\"a:1\"", "must be a list of backends"),
            ("[\"a:1\", \"a:1\"]", "5:20: error: backend \"a:1\" is there already, in line 5"),
            ("[\"a:1\", { name = \"a:1\", address = \"b:1\" }]", "backend \"a:1\" is there already"),
            ("[{ address = \"a:1\", backup = true }]", "every backend is a backup"),
            ("[{ address = \"a:1\", weight = 65536 }]", "between 0 and 65535"),
            (
                "[{ address = \"a:1\", state = \"drian\" }]",
                "must be one of ready, drain, maint; did you mean \"drain\"?",
            ),
        ];
        for (backends, part) in table {
            check(&pool(backends), part);
        }
        check(&format!("[[listener]]\nlisten = \"8080\"\n{POOL}"), "listen = \"8080\": has no port");
        check(&format!("[[listener]]\nname = \"a\"\n{POOL}"), "[[listener]] has no listen");
        check(&format!("[listener]\nlisten = \":1\"\n{POOL}"), "must be [[listener]], in double brackets");
        let many: String = (0..70_000).map(|n| format!("\"h{n}:1\",")).collect();
        check(&pool(&format!("[{many}]")), "70000 backends: must be at most 65535");
    }

    #[test]
    fn one_address_for_two() {
        let with = |a: &str, b: &str| {
            format!(
                "[[listener]]\nname = \"a\"\nlisten = \"{a}\"\n[[listener]]\nname = \"b\"\nlisten = \"{b}\"\n{POOL}"
            )
        };
        for (a, b) in [(":80", ":80"), (":80", "0.0.0.0:80"), ("[::]:80", ":80"), ("unix:/a", "unix:/a")] {
            check(&with(a, b), "6:10: error: ");
            check(&with(a, b), "is taken already, in line 3");
        }
        for (a, b) in [(":80", ":81"), (":0", ":0"), ("127.0.0.1:80", "[::1]:80")] {
            ok(&with(a, b));
        }
        let admin = "[admin]\nlisten = \"127.0.0.1:8080\"\n[[listener]]\nlisten = \"127.0.0.1:8080\"\n";
        check(&format!("{admin}{POOL}"), "127.0.0.1:8080 is taken already");
    }

    #[test]
    fn strategies() {
        let with = |s: &str| format!("{LISTENER}{POOL}strategy = {s}\n");
        let table = [
            ("\"iphash\"", "strategy = \"iphash\": no such strategy; did you mean \"ip_hash\"?"),
            ("{ kind = \"ip_hahs\" }", "kind = \"ip_hahs\": no such strategy; did you mean \"ip_hash\"?"),
            ("{ key = \"path\" }", "strategy has no kind"),
            ("7", "must be a name"),
            ("{ kind = \"ip_hash\", key = \"path\" }", "ip_hash places by no key"),
            ("{ kind = \"hash\", key = \"headr:x\" }", "must be client_ip, header:NAME"),
            ("{ kind = \"hash\", key = [\"path\", 3] }", "3: must be a string"),
            ("{ kind = \"hash\", key = [] }", "must have at least one key"),
            ("{ kind = \"hash\", points = 0 }", "points = 0: must be a whole number between 1 and 4096"),
            ("{ kind = \"hash\", v4_prefix = 33 }", "between 0 and 32"),
        ];
        for (strategy, part) in table {
            check(&with(strategy), part);
        }
    }

    #[test]
    fn skews() {
        let with = |s: &str| format!("{LISTENER}{POOL}strategy = \"ip_hash\"\nskew = {s}\n");
        for wrong in ["1", "1.5", "-0.5", "0.01", "nan", "\"half\""] {
            check(&with(wrong), "must be a share from 0.1 to below 1, or 0 for no warning");
        }
        for (right, is_watched) in [("0", false), ("0.0", false), ("0.1", true), ("0.9", true)] {
            assert_eq!(ok(&with(right)).plan.pools[0].skew.is_some(), is_watched, "{right}");
        }
        let keyless = with("0.5").replace("ip_hash", "round_robin");
        assert!(ok(&keyless).plan.pools[0].skew.is_none(), "no key places there");
    }

    #[test]
    fn bounds_on_the_load() {
        let with = |load: &str| format!("{LISTENER}{POOL}strategy = \"rendezvous\"\nmax_load = {load}\n");
        for load in ["0.5", "-1", "1001", "nan", "\"1.25\"", "0.999"] {
            check(&with(load), "must be 0 or a number from 1 to 1000, as in 1.25");
        }
    }

    #[test]
    fn routes() {
        let with = |r: &str| format!("{LISTENER}{POOL}[[route]]\n{r}\n");
        let table = [
            ("path = \"/\"", "[[route]] has no pool"),
            ("pool = \"ap\"", "pool = \"ap\": no [[pool]] has this name; did you mean \"app\"?"),
            ("pool = \"zzz\"", "no [[pool]] has this name; there is app"),
            ("pool = \"app\"\nlistener = \"web\"", "no [[listener]] has this name; there is :8080"),
            ("pool = \"app\"\npath = \"api\"", "must start with \"/\", as in \"/api\""),
            ("pool = \"app\"\npath = \"/a?b\"", "must be a path prefix"),
            ("pool = \"app\"\nhost = \"http://a.com\"", "drop the scheme, as in \"a.com\""),
            ("pool = \"app\"\nhost = \"a.com:80\"", "must have no port, as in \"a.com\""),
            (
                "pool = \"app\"\nrequest_headers = { set = { \"a b\" = \"1\" } }",
                "8:29: error: \"a b\" must be a field name",
            ),
            ("pool = \"app\"\nrequest_headers.set.x = \"a\\nb\"", "must be text on one line"),
            (
                "pool = \"app\"\nrequest_headers.add.Connection = \"x\"",
                "\"connection\" belongs to the connection",
            ),
            ("pool = \"app\"\nresponse_headers.remove = [\"Content-Length\"]", "\"content-length\" belongs"),
            ("pool = \"app\"\nrequest_headers.add.Host = \"b\"", "it can only be set"),
            ("pool = \"app\"\nrequest_headers.remove = [\"host\"]", "it can only be set"),
            ("pool = \"app\"\nrequest_headers.set.host = \"a b\"", "must be a host"),
            ("pool = \"app\"\nrequest_headers.remove = \"x\"", "must be a list of field names"),
        ];
        for (route, part) in table {
            check(&with(route), part);
        }
        let second = POOL.replace("app", "other");
        check(&format!("{LISTENER}{POOL}{second}"), "2 pools and no [[route]]");
        check(
            &format!("{LISTENER}{POOL}{POOL}[[route]]\npool = \"app\"\n"),
            "pool \"app\" is there already, in line 4",
        );
    }

    #[test]
    fn affinity() {
        let named = POOL.replace("\"127.0.0.1:9001\"", "{ name = \"a\", address = \"127.0.0.1:9001\" }");
        let with = |a: &str| {
            format!("{LISTENER}{named}[pool.affinity]\nsecret = {{ file = \"cookie.key\" }}\n{a}\n")
        };
        let folder = folder();
        let check = |text: &str, part: &str| {
            let said = said_in(text, folder.path());
            assert!(said.len() == 1 && said[0].contains(part), "{text}\nexpected {part}\nsaid {said:#?}");
        };
        let table = [
            (
                "mode = \"cokie\"",
                "must be one of none, cookie, header, learn, route; did you mean \"cookie\"?",
            ),
            ("mode = \"cookie\"\nname = \"a b\"", "9:8: error: cookie name \"a b\": must be"),
            ("mode = \"cookie\"\nname = \"__Host-a\"", "needs secure = true"),
            (
                "on_lost = \"move\"",
                "must be \"rebind\", \"borrow\", \"wait\", \"strict\", { wait = \"5s\" },",
            ),
            ("on_lost = 5", "on_lost = 5: must be \"rebind\", \"borrow\""),
            ("on_lost = { wait = 5 }", "wait = 5: needs a unit, as in \"5s\""),
            ("on_lost = {}", "on_lost = {..}: must be \"rebind\""),
            ("on_lost = { strict = 404, wait = \"5s\" }", "on_lost = {..}: must be \"rebind\""),
            ("on_lost = { strict = 200 }", "strict = 200: must be a whole number between 400 and 599"),
            ("on_lost = { strickt = 404 }", "unknown key \"strickt\" in on_lost; did you mean \"strict\"?"),
            ("on_lost = { down = \"rebind\", fill = \"borrow\" }", "did you mean \"full\"?"),
            ("on_lost = { down = \"move\" }", "down = \"move\": must be \"rebind\""),
            ("on_lost = { removed = \"wait\" }", "removed = \"wait\": a backend that is gone from the pool"),
            (
                "on_lost = { full = { wait = \"5s\" } }",
                "full = {..}: a full backend is waited for in its queue",
            ),
            ("on_lost = { redirect = \"sorry\" }", "redirect = \"sorry\": must be an absolute URL or a path"),
            ("on_lost = { redirect = \"https:///x\" }", "must be an absolute URL or a path"),
            ("on_lost = { redirect = \"/a\\r\\nSet-Cookie: x\" }", "must be printable ASCII without blanks"),
            ("return_home = \"soon\"", "must be one of never, idle, now"),
            ("return_home = \"idle\"\nreturn_after = 5", "return_after = 5: needs a unit"),
            ("return_after = \"1m\"", "warning: return_after = \"1m\": only with return_home = \"idle\""),
            ("mode = \"cookie\"\nsame_site = \"none\"", "without secure"),
            ("mode = \"cookie\"\nsame_site = \"off\"", "must be one of lax, strict, none"),
            ("mode = \"cookie\"\npartitioned = true", "9:15: error: partitioned without secure"),
            ("mode = \"cookie\"\npath = \"x\"", "must start with \"/\""),
            ("mode = \"cookie\"\ndomain = \"a b\"", "must be a host name"),
            ("mode = \"cookie\"\nidle = \"30\"", "idle = \"30\": needs a unit"),
            ("mode = \"cookie\"\nidle = \"500ms\"", "9:8: error: idle below 1 s"),
            ("mode = \"cookie\"\nlifetime = \"1ms\"", "lifetime below 1 s"),
            ("mode = \"cookie\"\ncacheable = \"never\"", "must be one of private, skip, always"),
            ("mode = [\"cookie\", \"cookie\"]", "stands in the list already"),
            ("mode = [\"cookie\", \"none\"]", "must be one of cookie, header, learn, route"),
            ("mode = []", "must have at least one mode"),
            ("mode = \"learn\"", "has no create"),
            ("mode = \"learn\"\ncreate = \"json:/sid\"", "create in a body alone has no lookup"),
            ("mode = \"learn\"\ncreate = \"query:sid\"", "must be cookie:NAME, header:NAME or json:/POINTER"),
            ("mode = \"route\"", "mode = \"route\" has no lookup"),
            ("mode = \"route\"\nlookup = [\"cookie:\"]", "must have a name"),
            (
                "mode = \"route\"\nlookup = \"cookie:a\"\nseparators = \"x\"",
                "separators = \"x\": must be the",
            ),
            ("mode = \"header\"\nheader = \"cookie\"", "must be the name of a field of its own"),
            ("mode = \"header\"\nheader = \"x_pin\"", "must be the name of a field of its own"),
            ("mode = \"cookie\"\nstyle = \"suffix\"", "must be one of insert, rewrite, prefix"),
            (
                "preset = \"tomcat\"\nmode = [\"cookie\", \"route\"]\nstyle = \"prefix\"",
                "must be \"insert\" beside",
            ),
            ("preset = \"tomkat\"", "did you mean \"tomcat\"?"),
            ("preset = \"php\"\ntable = { entries = 0 }", "must be a whole number between 1"),
            ("preset = \"php\"\ntable = { bytes = \"1KiB\" }", "must be between 32KiB"),
        ];
        for (lines, part) in table {
            check(&with(lines), part);
        }
    }

    #[test]
    fn routes_that_name_two() {
        let check = |backends: &str, part: &str| {
            super::check(&format!("{LISTENER}[[pool]]\nname = \"app\"\nbackends = [{backends}]\n"), part);
        };
        let backend = |port: u16, more: &str| format!("{{ address = \"127.0.0.1:{port}\", {more} }}");
        let [a, b] = [1, 2].map(|port| backend(port, "route = \"n\""));
        check(&format!("{a}, {b}"), "the route \"n\" is both \"127.0.0.1:1\"'s and \"127.0.0.1:2\"'s");
        let [a, b] = [backend(1, "name = \"n\""), backend(2, "route = \"n\"")];
        check(&format!("{a}, {b}"), "the route \"n\" is both \"n\"'s and \"127.0.0.1:2\"'s");
        check(&backend(1, "route = \"a b\""), "must be 1 to 128 printable ASCII characters");
    }

    #[test]
    fn secrets() {
        let with = |s: &str| format!("{LISTENER}{POOL}[pool.affinity]\nmode = \"cookie\"\nsecret = {s}\n");
        let folder = tempfile::tempdir().unwrap();
        let file = with("{ file = \"cookie.key\" }");
        let check = |text: &str, part: &str| {
            let said = said_in(text, folder.path());
            assert!(said.len() == 1 && said[0].contains(part), "{text}\nexpected {part}\nsaid {said:#?}");
        };
        check(&file, "8:19: error: file = \"cookie.key\": read");
        key_file(folder.path(), &format!("# ours\n{KEY}\nabc\n"), 0o600);
        check(&file, "cookie.key:3: 3 hex digits: must be 64");
        key_file(folder.path(), KEY, 0o644);
        check(&file, "may be read by others (mode 644)");
        key_file(folder.path(), KEY, 0o600);
        assert!(said_in(&file, folder.path()).is_empty());
        check(&with("{}"), "secret has no file");
        let error = parsed(&with("\"hunter2\""), folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("must not stand in the configuration") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn the_admins_token_and_peers() {
        let with = |keys: &str| format!("[admin]\n{keys}\n{LISTENER}{POOL}");
        let folder = tempfile::tempdir().unwrap();
        let check = |text: &str, part: &str| {
            let said = said_in(text, folder.path());
            assert!(said.len() == 1 && said[0].contains(part), "{text}\nexpected {part}\nsaid {said:#?}");
        };
        let file = with("token = { file = \"admin.token\" }");
        check(&file, "2:18: error: file = \"admin.token\": read");
        let token = |text: &str, mode| secret_file(folder.path(), "admin.token", text, mode);
        token("\n", 0o600);
        check(&file, "admin.token is empty: it must hold the token");
        token("hunter2", 0o600);
        check(&file, "must hold a token of 16 to 1024 characters");
        token(KEY, 0o640);
        check(&file, "2:18: warning: ");
        check(&file, "(mode 640): whoever reads it can change everything");
        token(KEY, 0o600);
        assert!(said_in(&file, folder.path()).is_empty());
        let everywhere = file.replace("[admin]\n", "[admin]\nlisten = \":9900\"\n");
        assert!(said_in(&everywhere, folder.path()).is_empty(), "a token is what it takes");
        check(&with("token = {}"), "token has no file");
        let error = parsed(&with("token = \"hunter2\""), folder.path()).unwrap_err().to_string();
        assert!(error.contains("must not stand") && !error.contains("hunter2"), "{error}");
        check(&with("peers = [\"10.0.0.2:9900\"]"), "must be another node's admin address");
        check(&with("peers = [\"https://a:1\"]"), "admin listeners speak no TLS");
        let many: Vec<_> = (0..33).map(|n| format!("\"http://node-{n}:9900\"")).collect();
        check(&with(&format!("peers = [{}]", many.join(", "))), "is one too many: there may be 32");
        let plan = parsed(&with(&format!("peers = [{}]", many[..2].join(", "))), folder.path()).unwrap().plan;
        let urls: Vec<_> = plan.admin.unwrap().peers.iter().map(|p| p.url.to_string()).collect();
        assert_eq!(urls, ["http://node-0:9900", "http://node-1:9900"]);
    }

    #[test]
    fn health() {
        let with = |h: &str| format!("{LISTENER}{POOL}[pool.health]\n{h}\n");
        let table = [
            ("path = \"healthz\"", "must start with \"/\", as in \"/healthz\""),
            ("path = \"/a b\"", "must be printable ASCII"),
            ("expect = 200", "expect without path"),
            ("path = \"/\"\nexpect = 99", "must be statuses between 100 and 599"),
            ("path = \"/\"\nexpect = [200, \"399-300\"]", "\"399-300\": must be statuses"),
            ("path = \"/\"\nexpect = []", "at least one status"),
            ("path = \"/\"\nmethod = \"get\"", "must be a method"),
            ("path = \"/\"\nmethod = \"HEAD\"\nbody = \"ok\"", "the answer to HEAD has no body"),
            ("path = \"/\"\nhost = \"a/b\"", "must be a host alone"),
            ("path = \"/\"\nheaders = { \"a:\" = \"b\" }", "must be a field name"),
            ("rise = 0", "between 1 and 1000"),
            ("fall_pinned = 2", "fall_pinned = 2: must be at least fall, which is 3"),
            ("fall = 5\nfall_pinned = 1001", "between 1 and 1000"),
            ("jitter = 101", "between 0 and 100"),
            ("interval = \"0ms\"", "must be above 0"),
        ];
        for (lines, part) in table {
            check(&with(lines), part);
        }
    }
}

/// A preset, and what it says of mode, create, lookup and a backend that is down.
type PresetRow = (&'static str, [Option<&'static str>; 4]);

#[test]
fn a_preset_is_its_keys() {
    let rows: [PresetRow; 6] = [
        (
            "mcp",
            [
                Some("\"learn\""),
                Some("[\"header:mcp-session-id\"]"),
                Some("[\"header:mcp-session-id\"]"),
                Some("404"),
            ],
        ),
        ("socket_io", [Some("\"learn\""), Some("[\"json:/sid\"]"), Some("[\"query:sid\"]"), None]),
        (
            "signalr",
            [
                Some("\"learn\""),
                Some("[\"json:/connectionToken\", \"json:/connectionId\"]"),
                Some("[\"query:id\"]"),
                None,
            ],
        ),
        (
            "tomcat",
            [Some("\"route\""), None, Some("[\"cookie:JSESSIONID\", \"path_param:jsessionid\"]"), None],
        ),
        ("php", [Some("\"learn\""), Some("[\"cookie:PHPSESSID\"]"), Some("[\"cookie:PHPSESSID\"]"), None]),
        (
            "express",
            [Some("\"learn\""), Some("[\"cookie:connect.sid\"]"), Some("[\"cookie:connect.sid\"]"), None],
        ),
    ];
    for (preset, expected) in rows {
        let pool = |keys: &str| {
            let loaded = ok(&format!("{LISTENER}{POOL}[pool.affinity]\n{keys}\n"));
            // A pool of routes wants names, and this one has none.
            assert!(loaded.warnings.iter().all(|w| w.message.ends_with("W009)")), "{preset}");
            Arc::clone(&loaded.plan.pools[0])
        };
        let short = pool(&format!("preset = \"{preset}\""));
        let get = |key: &str| short.settings.get(&format!("affinity.{key}"));
        let said = [get("mode"), get("create"), get("lookup"), get("on_lost.down.strict")];
        assert_eq!(said, expected, "{preset}");
        assert_eq!(short.affinity.as_ref().unwrap().preset(), Some(preset));
        // Written out, it is the same.
        let line =
            |(key, value): (&str, Option<&str>)| value.map_or_else(String::new, |v| format!("{key} = {v}\n"));
        let keys: String = ["mode", "create", "lookup"].into_iter().zip(expected).map(line).collect();
        let gone = "{ strict = 404 }";
        let lost =
            format!("on_lost = {{ down = {gone}, drained = {gone}, removed = {gone}, full = \"strict\" }}");
        let long = pool(&if preset == "mcp" { keys + &lost } else { keys });
        let parts = |pool: &crate::pool::Pool| {
            format!("{:?}", pool.affinity).replace(&format!("Some(\"{preset}\")"), "None")
        };
        assert_eq!((parts(&short), &short.policy), (parts(&long), &long.policy), "{preset}");
    }
}

mod warned_of {
    use super::*;

    #[test]
    fn what_is_legal_and_probably_not_meant() {
        let base = format!("{LISTENER}{POOL}");
        let other = POOL.replace("app", "other");
        let cookie = "[pool.affinity]\nmode = \"cookie\"\nsecret = { file = \"cookie.key\" }\n";
        let alone = "[[pool]]\nname = \"app\"\nbackends = [\"a:1\"]\n";
        let table = [
            (
                format!("{base}max_load = 1.25\n"),
                "warning: max_load = 1.25: round_robin does not place by a hash: it is not bounded",
            ),
            (
                format!("{base}[pool.affinity]\nmode = \"cookie\"\n"),
                "7:8: warning: affinity by pins without a secret: restarts forget pins",
            ),
            (format!("{LISTENER}{alone}{cookie}"), "one backend: there is nothing to choose"),
            (
                format!("[admin]\nlisten = \":9900\"\n{base}"),
                "2:10: warning: admin listens on [::]:9900 without a token",
            ),
            (format!("{base}[pool.health]\ninterval = \"6s\"\n"), "7:12: warning: checks every 6s are rarer"),
            (
                format!("{base}[pool.health]\npath = \"/\"\ndrain = 200\n"),
                "8:9: warning: drain = 200: expect has it too",
            ),
            (
                format!("{base}[pool.timeouts]\nidle = \"5s\"\n"),
                "idle = \"5s\": many servers close idle connections",
            ),
            (format!("{base}{other}[[route]]\npool = \"app\"\n"), "pool \"other\" is not used"),
            (
                format!("{base}[[route]]\npool = \"app\"\n[[route]]\npool = \"app\"\n"),
                "8:1: warning: this route is never used: the one in line 6",
            ),
            (
                format!(
                    "{base}[[listener]]\nname = \"b\"\nlisten = \":81\"\n[[route]]\nlistener = \"b\"\npool = \"app\"\n"
                ),
                "listener \":8080\" has no [[route]]",
            ),
            (
                format!(
                    "{base}{cookie}{other}{cookie}[[route]]\npool = \"app\"\n[[route]]\npath = \"/api\"\npool = \"other\"\n"
                ),
                "share the cookie \"srv\" on one host",
            ),
        ];
        for (text, part) in table {
            let said = said_in(&text, folder().path());
            assert!(said.len() == 1 && said[0].contains(part), "{text}\nexpected {part}\nsaid {said:#?}");
            assert!(said[0].contains(": warning: "));
        }
        assert!(said(&base).is_empty());
    }

    #[test]
    fn two_sites_may_use_one_cookie_name() {
        let other = POOL.replace("app", "other");
        let cookie = "[pool.affinity]\nmode = \"cookie\"\nsecret = { file = \"cookie.key\" }\n";
        let routes =
            "[[route]]\nhost = \"a.com\"\npool = \"app\"\n[[route]]\nhost = \"b.com\"\npool = \"other\"\n";
        let text = format!("{LISTENER}{POOL}{cookie}{other}{cookie}{routes}");
        assert_eq!(said_in(&text, folder().path()), Vec::<String>::new());
    }
}

mod files {
    use super::*;

    #[test]
    fn a_file_is_loaded_and_one_that_is_none_is_named() {
        let folder = folder();
        let path = folder.path().join("homing.toml");
        let load = || load(&path, &Registry::built_in(), &environment());
        let error = load().unwrap_err().to_string();
        assert!(error.contains("homing.toml: error: read configuration: No such file"), "{error}");
        std::fs::write(&path, format!("{LISTENER}{POOL}")).unwrap();
        assert!(load().is_ok());
        std::fs::write(&path, b"workers = 1\n# \xff\n").unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.contains("homing.toml:2:3: error: this is not UTF-8"), "{error}");
    }

    #[test]
    fn this_process_has_an_environment() {
        assert!(Environment::detect().unwrap().cores >= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}|[\\[\\]{}=\"',.a-z0-9 \n#]{0,80}") {
        let _ = parsed(&text, Path::new("")).map_err(|e| e.to_string());
    }

    /// config.toml with pieces cut out, doubled and overwritten.
    #[test]
    fn a_damaged_file_is_read_or_refused(
        damage in prop::collection::vec((0_usize..9000, 0_usize..12, "\\PC{0,3}|[\"={}\\[\\]\n0-9]{0,3}"), 1..12),
        uncomment in any::<bool>(),
    ) {
        let mut text = if uncomment { SHIPPED.replace("\n# ", "\n") } else { SHIPPED.to_owned() };
        for (at, len, with) in damage {
            let start = text.floor_char_boundary(at % text.len().max(1));
            let end = text.floor_char_boundary(start + len).max(start);
            text.replace_range(start..end, &with);
        }
        let _ = parsed(&text, Path::new("")).map_err(|e| e.to_string());
    }
}
