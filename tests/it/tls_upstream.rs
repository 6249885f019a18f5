//! TLS to backends: who they must prove to be, who we are, and what a client sees of a handshake that fails.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::harness::fronts::{Authority, Front, Issued, Shaken};
use crate::harness::{Backend, Does, Homing, backend, bound, exchange, get, homing, until};

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab";

/// A homing whose backends are at these addresses, with these keys of the pool.
fn to(addresses: &[SocketAddr], pool: &str) -> Homing {
    let list: Vec<String> = addresses.iter().map(|a| format!("\"{a}\"")).collect();
    homing(&[]).pool(&format!("backends = [{}]\n{pool}\n", list.join(", "))).run()
}

fn trusting(authority: &Authority) -> String {
    format!("tls = {{ ca = {:?} }}", authority.ca())
}

/// A TLS front with this certificate before `backend`.
fn front(authority: &Authority, issued: &Issued, backend: &Backend) -> Front {
    Front::new(authority.server(issued, &[], false), backend.address)
}

/// Waits until the pool's backends have failed so often in this way.
fn failed(homing: &Homing, reason: &str, times: u32) {
    let label = format!("reason=\"{reason}\"");
    homing.until("/metrics", |text| {
        let of = |l: &&str| l.starts_with("homing_upstream_errors_total") && l.contains(&label);
        let counts = text.lines().filter(of).map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        counts.sum::<f64>() == f64::from(times)
    });
}

#[test]
fn requests_go_to_a_backend_that_proves_who_it_is_on_connections_that_are_kept() {
    let (a, authority) = (backend("a"), Authority::new());
    let front = front(&authority, &authority.issue(&["127.0.0.1"]), &a);
    let homing = to(&[front.address], &trusting(&authority));
    let mut client = crate::harness::open(homing.address);
    for _ in 0..3 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let reply = crate::harness::read_reply(&mut client, &mut Vec::new(), true);
        assert_eq!((reply.status, reply.served_by().as_str()), (200, "a"));
    }
    assert_eq!(exchange(homing.address, POST).status, 200);
    let shaken = front.shaken();
    assert!(shaken.len() <= 2, "a worker has one: {shaken:?}");
    assert_eq!(shaken[0].name, None, "an address is no name to ask for");
}

#[test]
fn bodies_of_any_size_go_both_ways() {
    let (a, authority) = (backend("a"), Authority::new());
    let front = front(&authority, &authority.issue(&["127.0.0.1"]), &a);
    let homing = to(&[front.address], &trusting(&authority));
    let large = vec![b'x'; 3 << 20];
    a.answers(
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len()).as_bytes(), &large].concat(),
    );
    let head =
        format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", large.len());
    let reply = exchange(homing.address, &[head.as_bytes(), &large].concat());
    assert_eq!((reply.status, reply.body.len(), reply.is_cut), (200, large.len(), false));
    assert!(a.requests()[0].ends_with(&large));
}

#[test]
fn a_tunnel_goes_through_tls() {
    let (a, authority) = (backend("a"), Authority::new());
    let front = front(&authority, &authority.issue(&["127.0.0.1"]), &a);
    let homing = to(&[front.address], &trusting(&authority));
    a.does(Does::Echo(b"early"));
    let mut client = crate::harness::open(homing.address);
    let head = "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let mut held = Vec::new();
    assert_eq!(crate::harness::read_reply(&mut client, &mut held, true).status, 101);
    client.write_all(b"hello").unwrap();
    let mut rest = vec![0; 10 - held.len()];
    client.read_exact(&mut rest).unwrap();
    assert_eq!([held, rest].concat(), b"earlyhello");
}

#[test]
fn a_name_that_is_given_is_asked_for_and_must_be_in_the_certificate() {
    let (a, authority) = (backend("a"), Authority::new());
    let front = front(&authority, &authority.issue(&["app.internal"]), &a);
    let named =
        |name: &str| to(&[front.address], &format!("tls = {{ ca = {:?}, name = {name:?} }}", authority.ca()));
    assert_eq!(get(named("app.internal").address, "/").served_by(), "a");
    assert_eq!(front.shaken()[0].name.as_deref(), Some("app.internal"));
    let other = named("other.internal");
    let reply = get(other.address, "/");
    assert_eq!((reply.status, reply.text().contains("backend_tls")), (502, true), "{}", reply.text());
    failed(&other, "tls", 1);
    assert_eq!(a.requests().len(), 1, "nobody else is told anything");
}

#[test]
fn a_backend_that_proves_nothing_gets_no_request() {
    let authority = Authority::new();
    let cases = [
        ("unknown authority", Authority::new().issue(&["127.0.0.1"])),
        ("expired", authority.expired(&["127.0.0.1"])),
        ("another address", authority.issue(&["127.0.0.2"])),
    ];
    for (what, issued) in cases {
        let a = backend("a");
        let front = front(&authority, &issued, &a);
        let homing = to(&[front.address], &trusting(&authority));
        let reply = exchange(homing.address, POST);
        assert_eq!(reply.status, 502, "{what}: {}", reply.head);
        failed(&homing, "tls", 1);
        assert!(a.requests().is_empty(), "{what}");
        let unverified = to(&[front.address], "tls = { verify = false }");
        assert_eq!(get(unverified.address, "/").served_by(), "a", "{what}");
    }
}

#[test]
fn a_handshake_that_fails_is_tried_elsewhere_whatever_the_method() {
    let (a, b, authority) = (backend("a"), backend("b"), Authority::new());
    let bad = front(&authority, &authority.expired(&["127.0.0.1"]), &a);
    let good = front(&authority, &authority.issue(&["127.0.0.1"]), &b);
    let homing = to(&[bad.address, good.address], &trusting(&authority));
    for _ in 0..6 {
        assert_eq!(exchange(homing.address, POST).served_by(), "b");
    }
    homing.until("/api/v1/pools", |text| text.contains("\"ejected\":true"));
    assert!(a.requests().is_empty());
}

#[test]
fn the_log_says_why_there_is_no_session() {
    let (a, authority) = (backend("a"), Authority::new());
    let pool = |address: SocketAddr| {
        let backends = format!("backends = [\"{address}\"]\n{}\n", trusting(&authority));
        homing(&[]).pool(&backends).spawn()
    };
    let expired = front(&authority, &authority.expired(&["127.0.0.1"]), &a);
    let homing = pool(expired.address);
    assert_eq!(get(homing.address, "/").status, 502);
    homing.until_said(&format!("backend=\"{}\"", expired.address));
    homing.until_said("certificate expired");
    let asking = Front::new(authority.server(&authority.issue(&["127.0.0.1"]), &[], true), a.address);
    let homing = pool(asking.address);
    assert_eq!(get(homing.address, "/").status, 502);
    homing.until_said("ended the TLS session over who we are");
}

/// A server that says `word` to each connection, reads a little and closes it.
fn plain(word: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(word);
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    address
}

#[test]
fn bytes_before_the_handshake_are_never_an_answer() {
    let authority = Authority::new();
    let words: [&[u8]; 3] =
        [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"", b"\x15\x03\x01\x00\x02\x02\x28"];
    for word in words {
        let homing = to(&[plain(word)], &trusting(&authority));
        let reply = exchange(homing.address, POST);
        assert_eq!(reply.status, 502, "{word:?}: {}", reply.head);
        assert!(!reply.text().contains("evil"), "{word:?}");
        failed(&homing, "tls", 1);
    }
}

#[test]
fn a_handshake_has_the_time_of_a_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = Authority::new();
    let pool = format!("{}\n[pool.timeouts]\nconnect = \"200ms\"", trusting(&authority));
    let homing = to(&[silent.local_addr().unwrap()], &pool);
    let reply = exchange(homing.address, POST);
    assert_eq!(reply.status, 504, "{}", reply.head);
    failed(&homing, "connect_timeout", 1);
    failed(&homing, "tls", 0);
}

#[test]
fn a_backend_that_asks_who_we_are_is_shown_our_certificate() {
    let (a, authority) = (backend("a"), Authority::new());
    let issued = authority.issue(&["127.0.0.1"]);
    let front = Front::new(authority.server(&issued, &[], true), a.address);
    let ours = authority.issue(&["homing"]);
    let pool = format!(
        "tls = {{ ca = {:?}, certificate = {:?}, key = {:?} }}",
        authority.ca(),
        ours.certificate,
        ours.key
    );
    assert_eq!(exchange(to(&[front.address], &pool).address, POST).served_by(), "a");
    assert!(front.shaken()[0].shows_certificate);
    let nameless = to(&[front.address], &trusting(&authority));
    let reply = exchange(nameless.address, POST);
    assert_eq!(reply.status, 502, "{}", reply.head);
    assert_eq!(a.requests().len(), 1);
}

#[test]
fn a_session_is_resumed_with_the_backend_that_it_was_with() {
    let (a, b, authority) = (backend("a"), backend("b"), Authority::new());
    for backend in [&a, &b] {
        backend.does(Does::AnswerThenClose);
    }
    let issued = authority.issue(&["127.0.0.1"]);
    let fronts = [front(&authority, &issued, &a), front(&authority, &issued, &b)];
    let homing = to(&fronts.each_ref().map(|f| f.address), &trusting(&authority));
    for _ in 0..12 {
        assert_eq!(get(homing.address, "/").status, 200);
    }
    for front in &fronts {
        let resumed = |s: &&Shaken| s.is_resumed;
        let shaken = front.shaken();
        assert!(shaken.iter().filter(resumed).count() >= shaken.len() - 2, "{shaken:?}");
        assert!(shaken.len() >= 4);
    }
}

#[test]
fn checks_go_over_tls_too() {
    let (a, authority) = (backend("a"), Authority::new());
    let good = front(&authority, &authority.issue(&["127.0.0.1"]), &a);
    let bad = front(&authority, &authority.expired(&["127.0.0.1"]), &a);
    for path in ["", "path = \"/health\"\n"] {
        let pool = format!(
            "{}\n[pool.health]\n{path}interval = \"20ms\"\nrise = 1\nfall = 1\n",
            trusting(&authority)
        );
        let homing = to(&[good.address, bad.address], &pool);
        homing.until("/api/v1/pools", |text| {
            text.contains("\"health\":\"up\"")
                && text.contains("\"health\":\"down\"")
                && text.contains("TLS: ")
        });
    }
}

#[test]
fn other_settings_make_other_connections() {
    let (a, authority) = (backend("a"), Authority::new());
    let front = front(&authority, &authority.issue(&["127.0.0.1", "app.internal"]), &a);
    let pool = format!(
        "backends = [\"{}\"]\n{}\n[pool.timeouts]\nidle = \"1h\"",
        front.address,
        trusting(&authority)
    );
    let homing = homing(&[]).pool(&pool).spawn();
    let text = homing.config();
    // Of one connection all requests are of one worker.
    let mut client = crate::harness::open(homing.address);
    let mut handshakes = || {
        client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert_eq!(crate::harness::read_reply(&mut client, &mut Vec::new(), true).status, 200);
        front.shaken().len()
    };
    assert_eq!((handshakes(), handshakes()), (1, 1), "connections are kept");
    assert_eq!(homing.reload(&text.replace("tls = {", "max_fails = 3\ntls = {")), (1, 0));
    assert_eq!(handshakes(), 1, "and outlive a reload that changes nothing about them");
    assert_eq!(homing.reload(&text.replace("tls = {", "tls = { name = \"app.internal\",")), (2, 0));
    assert_eq!(handshakes(), 2);
    assert_eq!(front.shaken().last().unwrap().name.as_deref(), Some("app.internal"));
}

#[test]
fn a_file_that_is_no_pem_is_told_by_its_line() {
    let authority = Authority::new();
    let ours = authority.issue(&["homing"]);
    let path = authority.folder().join("broken.pem");
    let ca = std::fs::read_to_string(authority.ca()).unwrap();
    let said = |pem: &str, tls: &str| {
        std::fs::write(&path, pem).unwrap();
        let text = format!(
            "[[listener]]\nlisten = \"127.0.0.1:0\"\n[[pool]]\nname = \"app\"\nbackends = [\"a:1\"]\ntls = {tls}\n"
        );
        let config = authority.folder().join("homing.toml");
        std::fs::write(&config, text).unwrap();
        let check =
            Command::new(env!("CARGO_BIN_EXE_homing")).arg("check").arg("-c").arg(&config).output().unwrap();
        String::from_utf8([check.stdout, check.stderr].concat()).unwrap()
    };
    let table = [
        (format!("# a comment\n{ca}-----BEGIN CERTIFICATE-----\nAAAA\n"), "has no end"),
        (format!("{ca}-----BEGIN CERTIFICATE-----\n?!\n-----END CERTIFICATE-----\n"), "is not base64"),
        (format!("{ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "certificate"),
    ];
    for (pem, what) in table {
        let line =
            1 + pem.lines().collect::<Vec<_>>().iter().rposition(|l| l.starts_with("-----BEGIN")).unwrap();
        let told = said(&pem, "{ ca = \"broken.pem\" }");
        assert!(told.contains(&format!("broken.pem:{line}:1: error")) && told.contains(what), "{told}");
    }
    let ours = format!("{:?}", ours.certificate);
    for (pem, tls, what) in [
        ("", "{ ca = \"broken.pem\" }".to_owned(), "has no section"),
        ("", "{ ca = \"none.pem\" }".to_owned(), "read "),
        ("", format!("{{ certificate = {ours} }}"), "needs its key"),
        ("", format!("{{ certificate = {ours}, key = {ours} }}"), "no private key"),
        (
            &*rcgen::KeyPair::generate().unwrap().serialize_pem(),
            format!("{{ certificate = {ours}, key = \"broken.pem\" }}"),
            "is no key of",
        ),
        ("", "{ name = \"a b\" }".to_owned(), "must be a host name"),
        ("", "{ nam = \"a\" }".to_owned(), "did you mean \"name\""),
        ("", "\"yes\"".to_owned(), "must be true or false"),
    ] {
        let told = said(pem, &tls);
        assert!(told.contains(what), "{tls}: {told}");
    }
    assert!(said("", "{ verify = false }").contains("warning"));
}

/// A program that serves until it is dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port for a program, and what keeps it from everybody else.
fn port() -> (socket2::Socket, u16) {
    let reserved = bound("127.0.0.1:0".parse().unwrap());
    let port = reserved.local_addr().unwrap().as_socket().unwrap().port();
    (reserved, port)
}

fn start(command: &mut Command, port: u16) -> Program {
    let program = Program(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
    program
}

#[test]
fn nginx_is_a_backend() {
    let authority = Authority::new();
    let issued = authority.issue(&["127.0.0.1"]);
    let (folder, (_reserved, port)) = (authority.folder().display(), port());
    let config = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {};\n\
         location / {{ return 200 \"nginx $ssl_protocol $request_method\"; }} }} }}\n",
        issued.certificate.display(),
        issued.key.display()
    );
    let path = authority.folder().join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let _nginx = start(Command::new("/usr/sbin/nginx").arg("-c").arg(&path), port);
    let homing = to(&[SocketAddr::from(([127, 0, 0, 1], port))], &trusting(&authority));
    for _ in 0..5 {
        assert!(get(homing.address, "/").text().starts_with("nginx TLSv1."));
    }
    assert!(exchange(homing.address, POST).text().ends_with(" POST"));
}

#[test]
fn openssl_is_a_backend_of_either_version() {
    for version in ["-tls1_2", "-tls1_3"] {
        let authority = Authority::new();
        let issued = authority.issue(&["127.0.0.1"]);
        let (_reserved, port) = port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-www", "-quiet", version, "-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(&issued.certificate).arg("-key").arg(&issued.key);
        let _server = start(&mut command, port);
        let homing = to(&[SocketAddr::from(([127, 0, 0, 1], port))], &trusting(&authority));
        for _ in 0..3 {
            let reply = get(homing.address, "/");
            assert!(reply.status == 200 && reply.text().contains("TLSv1"), "{}", reply.head);
        }
    }
}
