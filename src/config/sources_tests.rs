//! What is read from disk and when, and what a plan takes over from the one before.

use super::super::diagnostic::Severity;
use super::super::tests::{KEY, LISTENER, environment, folder, key_file};
use super::*;
use crate::affinity::seal::SealKeys;
use crate::affinity::table::Seeds;
use crate::backend::Backend;
use crate::backend::availability::AdminState;
use crate::base::time::UnixSeconds;
use crate::pool::Pool;
use crate::snapshot::Plan;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const POOL: &str = "[[pool]]\nname = \"app\"\nbackends = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n";

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn sources(text: &str) -> Sources {
    Sources::text(text, Path::new("config.toml"))
}

fn built(sources: &Sources, carried: &Carried<'_>) -> Plan {
    sources.build(&Registry::built_in(), &environment(), carried).unwrap_or_else(|e| panic!("{e}")).plan
}

fn after<'a>(previous: &'a Plan) -> Carried<'a> {
    Carried { previous: Some(previous), now: NOW, ..Carried::default() }
}

/// A plan of these backends, after another.
fn pool_of(backends: &str, carried: &Carried<'_>) -> Plan {
    built(&sources(&format!("{LISTENER}[[pool]]\nname = \"app\"\nbackends = [{backends}]\n")), carried)
}

fn member<'p>(plan: &'p Plan, id: &str) -> &'p Arc<Backend> {
    let members = &plan.pools[0].members;
    members.get(members.find(id).unwrap_or_else(|| panic!("no {id}")))
}

fn said(sources: &Sources) -> Vec<String> {
    let list = sources.build(&Registry::built_in(), &environment(), &Carried::default());
    let list = list.map_or_else(|e| e, |loaded| loaded.warnings);
    let one = |d: &super::super::diagnostic::Diagnostic| {
        let (place, file) = (d.place.as_ref().unwrap(), Path::new(&*d.file).file_name().unwrap());
        let word = if d.severity == Severity::Error { "" } else { "warning: " };
        format!("{}:{}:{}: {word}{}", file.display(), place.line, place.column, d.message)
    };
    list.iter().map(one).collect()
}

mod files {
    use super::*;

    #[test]
    fn a_control_thread_may_own_them() {
        fn check<T: Send>(_: &T) {}
        check(&sources(""));
    }

    #[test]
    fn the_same_sources_make_the_same_plan_whatever_happens_on_disk() {
        let folder = folder();
        let cookie = "[pool.affinity]\nmode = \"cookie\"\nsecret = { file = \"cookie.key\" }\n";
        let text = format!("include = [\"pools/*.toml\"]\n{LISTENER}{POOL}{cookie}");
        let path = write(folder.path(), "config.toml", &text);
        let sources = Sources::read(&path).unwrap();
        let first = built(&sources, &Carried::default());
        let hash = sources.hash();
        write(folder.path(), "config.toml", "nonsense");
        std::fs::remove_file(folder.path().join("cookie.key")).unwrap();
        write(folder.path(), "pools/more.toml", "nonsense");
        write(folder.path(), "pools/new.toml", "nonsense");
        let second = built(&sources, &Carried::default());
        let digests = |plan: &Plan| plan.pools.iter().map(|p| p.digest).collect::<Vec<_>>();
        assert_eq!((digests(&first), sources.hash()), (digests(&second), hash));
        assert_eq!(first.pools.len(), 2);

        write(folder.path(), "config.toml", &text.replace("127.0.0.1:2", "127.0.0.1:3"));
        write(folder.path(), "pools/new.toml", "");
        write(folder.path(), "pools/more.toml", "");
        key_file(folder.path(), &KEY.replace('0', "f"), 0o600);
        let fresh = sources.fresh().unwrap();
        let third = built(&fresh, &Carried::default());
        assert!(
            fresh.hash() != hash && third.pools.len() == 1 && third.pools[0].digest != first.pools[0].digest
        );
    }

    #[test]
    fn another_key_is_another_pool_and_not_another_hash() {
        let folder = folder();
        let cookie = "[pool.affinity]\nmode = \"cookie\"\nsecret = { file = \"cookie.key\" }\n";
        let path = write(folder.path(), "config.toml", &format!("{LISTENER}{POOL}{cookie}"));
        let look = || {
            let sources = Sources::read(&path).unwrap();
            (built(&sources, &Carried::default()).pools[0].digest, sources.hash())
        };
        let (first, again) = (look(), look());
        key_file(folder.path(), &format!("# a comment\n{KEY}\n"), 0o600);
        let commented = look();
        key_file(folder.path(), &KEY.replace('0', "f"), 0o600);
        let other = look();
        assert_eq!((first, first), (again, commented));
        assert!(other.0 != first.0 && other.1 == first.1);
    }

    #[test]
    fn a_file_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "config.toml", &"#".repeat((8 << 20) + 1));
        let error = Sources::read(&path).unwrap_err().to_string();
        assert!(error.contains("read configuration: it is larger than 8MiB"), "{error}");
    }

    #[test]
    fn a_file_that_could_not_be_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let cookie = "[pool.affinity]\nmode = \"cookie\"\nsecret = { file = \"cookie.key\" }\n";
        let sources = Sources::text(&format!("{LISTENER}{POOL}{cookie}"), &folder.path().join("config.toml"));
        assert!(said(&sources)[0].contains("read "));
        key_file(folder.path(), KEY, 0o600);
        assert_eq!(said(&sources), Vec::<String>::new());
    }
}

mod include {
    use super::*;

    /// What is said about a file that includes these.
    fn including(pattern: &str, main: &str, files: &[(&str, &str)]) -> (Vec<String>, Sources) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pools")).unwrap();
        for (name, text) in files {
            write(folder.path(), name, text);
        }
        let path = write(folder.path(), "config.toml", &format!("include = {pattern}\n{main}"));
        let sources = Sources::read(&path).unwrap();
        (said(&sources), sources)
    }

    fn pool(name: &str) -> String {
        POOL.replace("app", name)
    }

    #[test]
    fn files_come_in_the_order_of_their_names_and_once() {
        let route = |pool: &str| format!("[[route]]\npath = \"/{pool}\"\npool = \"{pool}\"\n");
        let files = ["b", "a", "c"].map(|n| (format!("pools/{n}.toml"), pool(n) + &route(n)));
        let mut files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (&**n, &**t)).collect();
        files.extend([("pools/.hidden.toml", "="), ("pools/a.toml.bak", "="), ("z.toml", "workers = 3\n")]);
        let main = format!("{LISTENER}{}{}", pool("m"), route("m"));
        let pattern = "[\"pools/?.toml\", \"pools/*.toml\", \"z.toml\", \"pools/a.toml\"]";
        let (said, sources) = including(pattern, &main, &files);
        assert_eq!(said, Vec::<String>::new());
        let plan = built(&sources, &Carried::default());
        let names: Vec<_> = plan.pools.iter().map(|p| &*p.name).collect();
        assert_eq!((names.as_slice(), plan.workers), (["m", "a", "b", "c"].as_slice(), 3));
        assert_eq!(plan.routes.find(0, "x", "/c").and_then(|(_, r)| r.pool()), Some(3));
    }

    #[test]
    fn mistakes_are_told_with_their_file() {
        let check = |main: &str, file: &str, expected: &[&str]| {
            let main = format!("{LISTENER}{main}");
            let (said, _) = including("[\"pools/*.toml\"]", &main, &[("pools/a.toml", file)]);
            assert_eq!(said, expected, "{main}{file}");
        };
        check("", &pool("app"), &[]);
        check(
            "",
            &pool("app").replace(":1", ":x"),
            &["a.toml:3:13: \"127.0.0.1:x\": port \"x\" must be a number between 1 and 65535"],
        );
        check(POOL, "workers = ", &["a.toml:1:11: string values must be quoted, expected literal string"]);
        check(
            POOL,
            "werkers = 1\n",
            &["a.toml:1:1: unknown key \"werkers\" in the file; did you mean \"workers\"?"],
        );
        let main = "[shutdown]\nnotice = \"5s\"\n";
        let folder = "config.toml";
        let (said, _) = including(
            "[\"pools/*.toml\"]",
            &format!("workers = 1\n{LISTENER}{main}{POOL}[[route]]\npool = \"app\"\n"),
            &[("pools/a.toml", "workers = 2\ninclude = []\n[shutdown]\n"), ("pools/b.toml", POOL)],
        );
        assert_eq!(said.len(), 4, "{said:#?}");
        let places = [(":2", "workers"), (":1", "include"), (":5", "shutdown"), (":8", "pool \"app\"")];
        for (said, (line, what)) in said.iter().zip(places) {
            assert!(said.contains(&format!("{what} is there already, in ")), "{said}");
            assert!(said.contains(&format!("{folder}{line}")) && !said.starts_with(folder), "{said}");
        }
    }

    #[test]
    fn patterns() {
        let check = |pattern: &str, expected: &[&str]| {
            let (said, _) = including(pattern, &format!("{LISTENER}{POOL}"), &[]);
            assert!(said.len() == expected.len(), "{pattern}: {said:?}");
            assert!(said.iter().zip(expected).all(|(is, part)| is.contains(part)), "{pattern}: {said:?}");
        };
        check("[\"pools/*.toml\"]", &["config.toml:1:12: warning: include \"pools/*.toml\": no file fits"]);
        check("[\"nowhere/*.toml\"]", &["warning: include \"nowhere/*.toml\": no file fits"]);
        check("[\"*/a.toml\"]", &["* and ? must stand in the last part of the path"]);
        check("[\"a.toml\"]", &["config.toml:1:12: include \"a.toml\": read "]);
        check("\"a.toml\"", &["config.toml:1:11: include must be a list of files"]);
        check("[1, \"\"]", &["include must be a list of files", "include must be a list of files"]);
        check("[\"*.toml\"]", &[]);
    }

    #[test]
    fn a_thousand_files_are_the_most() {
        let files: Vec<String> = (0..=MOST_FILES).map(|n| format!("pools/{n}.toml")).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|name| (name.as_str(), "")).collect();
        let (said, _) = including("[\"pools/*\"]", &format!("{LISTENER}{POOL}"), &files);
        assert!(said.len() == 1 && said[0].contains("must be at most 1000 files in all"), "{said:?}");
    }
}

mod variables {
    use super::*;

    fn build(text: &str) -> Result<Plan, String> {
        let keys = Arc::new(SealKeys::parse(KEY).unwrap());
        let variables =
            [("HOST", "127.0.0.1"), ("N", "3"), ("YES", "true")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let variables = variables.into_iter().collect();
        let environment = Environment { cores: 1, boot: 1, keys, seeds: Seeds::new([7; 16]), variables };
        let loaded = sources(text).build(&Registry::built_in(), &environment, &Carried::default());
        loaded.map(|l| l.plan).map_err(|e| e.to_string())
    }

    #[test]
    fn any_string_may_hold_one_and_numbers_and_switches_may_be_one() {
        let text = "workers = \"${N}\"\n[[listener]]\nlisten = \"${HOST}:80\"\nbare_lf = \"${YES}\"\n[[pool]]\nname = \"${NAME:-app}\"\n\
                    backends = [\"${HOST}:1\", { address = \"${HOST}:2\", weight = \"${W:-7}\" }]\n\
                    [[route]]\npool = \"app\"\nrequest_headers = { set = { x = \"$${N} ${N}\" } }\n";
        let plan = build(text).unwrap();
        assert_eq!((plan.workers, plan.listeners[0].bare_lf), (3, true));
        assert_eq!(member(&plan, "127.0.0.1:2").weight, 7);
        assert_eq!(plan.routes.as_slice()[0].request_headers.set, [("x".to_owned(), "${N} 3".to_owned())]);
    }

    #[test]
    fn one_that_is_not_set_is_told_with_its_place() {
        let error =
            build(&format!("{LISTENER}[[pool]]\nname = \"app\"\nbackends = [\"${{NO}}:1\"]\n")).unwrap_err();
        assert!(
            error.contains("config.toml:5:13: error: ${NO} is not set: must be, or have a default"),
            "{error}"
        );
        let error = build(&format!("workers = \"3\"\n{LISTENER}{POOL}")).unwrap_err();
        assert!(error.contains("must be a whole number"), "a number in quotes is a mistake: {error}");
        let error = build(&format!("workers = \"${{HOST}}\"\n{LISTENER}{POOL}")).unwrap_err();
        assert!(error.contains("workers = \"127.0.0.1\": must be a whole number"), "{error}");
    }
}

mod carried {
    use super::*;

    fn same_pool(a: &Plan, b: &Plan) -> bool {
        Arc::ptr_eq(&a.pools[0], &b.pools[0])
    }

    #[test]
    fn what_is_unchanged_is_the_same() {
        let text = format!("{LISTENER}{POOL}");
        let first = built(&sources(&text), &Carried::default());
        let second =
            built(&sources(&format!("# a comment\n[shutdown]\nnotice = \"6s\"\n{text}")), &after(&first));
        assert!(same_pool(&first, &second) && Arc::ptr_eq(&first.listeners[0], &second.listeners[0]));
        let spelt = "[[listener]]\nbare_lf = false\nlisten = \":8080\"\n[[pool]]\nfail_timeout = \"10000ms\"\nname = \"app\"\n\
                     strategy = \"round_robin\"\nbackends = [\"127.0.0.1:1\", { address = \"127.0.0.1:2\", weight = 1 }]\n\
                     [pool.timeouts]\n[pool.affinity]\nidle = \"30m\"\n";
        let third = built(&sources(spelt), &after(&second));
        assert!(same_pool(&first, &third), "it says the same in other words");
        assert!(Arc::ptr_eq(&first.listeners[0], &third.listeners[0]));
        let other = built(&sources(&text.replace(":8080\"", ":8080\"\nbare_lf = true")), &after(&third));
        assert!(same_pool(&first, &other) && !Arc::ptr_eq(&first.listeners[0], &other.listeners[0]));
    }

    #[test]
    fn every_change_of_a_pool_makes_another_one() {
        let base = pool_of("\"a:1\", \"b:1\"", &Carried::default());
        for backends in [
            "\"b:1\", \"a:1\"",
            "\"a:1\"",
            "\"a:1\", \"b:1\", \"c:1\"",
            "\"a:1\", { address = \"b:1\", backup = true }",
        ] {
            assert!(!same_pool(&base, &pool_of(backends, &after(&base))), "{backends}");
        }
        let text = format!("{LISTENER}[[pool]]\nname = \"app\"\nbackends = [\"a:1\", \"b:1\"]\n");
        for more in [
            "max_fails = 2",
            "strategy = \"ip_hash\"",
            "timeouts.read = \"1s\"",
            "affinity.idle = \"1h\"",
            "[pool.health]",
        ] {
            assert!(!same_pool(&base, &built(&sources(&format!("{text}{more}\n")), &after(&base))), "{more}");
        }
        let text = format!("{text}strategy = {{ kind = \"hash\", consistent = true }}\n");
        let [first, spelt, other] =
            ["}", ", points = 160 }", ", points = 161 }"].map(|end| sources(&text.replace(" }", end)));
        let first = built(&first, &Carried::default());
        assert!(same_pool(&first, &built(&spelt, &after(&first))));
        assert!(!same_pool(&first, &built(&other, &after(&first))));
    }

    #[test]
    fn backends_keep_their_counts() {
        let first = pool_of(
            "{ name = \"a\", address = \"h:1\" }, { name = \"b\", address = \"h:2\" }, { name = \"c\", address = \"h:3\" }",
            &Carried::default(),
        );
        for id in ["a", "b", "c"] {
            assert!(member(&first, id).load.enter(0));
            member(&first, id).sessions.begin(0, NOW);
        }
        let second = pool_of(
            "{ name = \"c\", address = \"h:9\" }, { name = \"a\", address = \"h:1\" }, { name = \"b\", address = \"h:2\", weight = 3 }",
            &after(&first),
        );
        let counts = |id| (member(&second, id).load.in_flight(), member(&second, id).sessions.live(NOW));
        assert!(Arc::ptr_eq(member(&first, "a"), member(&second, "a")), "nothing of it changed");
        assert!(!Arc::ptr_eq(member(&first, "b"), member(&second, "b")));
        assert_eq!((counts("b"), member(&second, "b").weight), ((1, 1), 3));
        assert_eq!(counts("c"), (0, 1), "requests in flight are at the old address");
        member(&first, "b").load.leave(0);
        assert_eq!(counts("b"), (0, 1), "who is still there counts for both");
    }

    #[test]
    fn another_idle_time_keeps_the_sessions() {
        let text = |idle| format!("{LISTENER}{POOL}[pool.affinity]\nidle = \"{idle}\"\n");
        let first = built(&sources(&text("30m")), &Carried::default());
        (0..3).for_each(|_| member(&first, "127.0.0.1:1").sessions.begin(0, NOW));
        let second = built(&sources(&text("1h")), &after(&first));
        let backend = member(&second, "127.0.0.1:1");
        assert!(!Arc::ptr_eq(&backend.sessions, &member(&first, "127.0.0.1:1").sessions));
        assert!(Arc::ptr_eq(&backend.load, &member(&first, "127.0.0.1:1").load));
        assert_eq!(backend.sessions.live(NOW), 3);
    }

    #[test]
    fn counters_are_for_the_threads_that_there_are() {
        let text = |n| format!("workers = {n}\n{LISTENER}{POOL}");
        let first = built(&sources(&text(2)), &Carried::default());
        let second = built(&sources(&text(4)), &Carried { workers: Some(2), ..after(&first) });
        assert!(same_pool(&first, &second) && second.workers == 4);
    }

    #[test]
    fn an_operators_weight_stands_in_for_the_written_one() {
        let text = format!("{LISTENER}{POOL}");
        let first = built(&sources(&text), &Carried::default());
        let mut carried = after(&first);
        carried.weigh("app", "127.0.0.1:1", 9);
        carried.weigh("other", "127.0.0.1:2", 9);
        let second = built(&sources(&text), &carried);
        let weights = |id| (member(&second, id).weight, member(&second, id).written_weight);
        assert_eq!((weights("127.0.0.1:1"), weights("127.0.0.1:2")), ((9, 1), (1, 1)));
        assert!(Arc::ptr_eq(member(&first, "127.0.0.1:2"), member(&second, "127.0.0.1:2")));
        let again = Carried { previous: Some(&second), ..carried.clone() };
        assert!(same_pool(&second, &built(&sources(&text), &again)));
        assert!(!same_pool(&second, &built(&sources(&text), &after(&second))), "it was taken back");
    }

    #[test]
    fn who_leaves_is_found_and_not_chosen() {
        let first = pool_of("\"a:1\", \"b:1\"", &Carried::default());
        member(&first, "b:1").sessions.begin(0, NOW);
        assert_eq!(pool_of("\"a:1\"", &after(&first)).pools[0].members.len(), 1, "nobody asked for it");
        let mut carried = after(&first);
        carried.let_leave("app", "b:1");
        carried.let_leave("app", "a:1");
        carried.let_leave("app", "never was");
        let second = pool_of("\"a:1\"", &carried);
        let leaving = member(&second, "b:1");
        assert!(leaving.leaving && leaving.admin == AdminState::Drain && !member(&second, "a:1").leaving);
        assert_eq!((leaving.sessions.live(NOW), second.pools[0].members.len()), (1, 2));
        let pool: &Pool = &second.pools[0];
        assert_eq!((pool.members.primaries().len(), pool.members.backups().len()), (1, 0));
        let standing = crate::pool::standing::Standing::initial(&pool.members);
        let ix = pool.members.find("b:1").unwrap();
        assert!(standing.serving.contains(ix) && !standing.open.contains(ix), "its pins are served");

        let still = Carried { previous: Some(&second), ..carried.clone() };
        assert!(same_pool(&second, &pool_of("\"a:1\"", &still)));
        let gone = pool_of("\"a:1\"", &after(&second));
        assert_eq!(gone.pools[0].members.len(), 1);
        let back = pool_of("\"a:1\", \"b:1\"", &still);
        assert!(!member(&back, "b:1").leaving && member(&back, "b:1").sessions.live(NOW) == 1);
        assert_eq!(back.pools[0].members.primaries().len(), 2);
    }
}
