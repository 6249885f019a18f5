//! curl: one session over every way that it can come, bodies both ways, and what is particular to a version.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use super::{Both, text};
use crate::harness::program::{Ran, run};
use crate::harness::{Does, LIMIT, backend, homing};

/// Of the bodies that are large.
const LENGTH: usize = 3 << 20;

const WAYS: [Way; 6] = [
    ("h1", "--http1.1", "http", "1.1"),
    ("HTTP/1.0", "--http1.0", "http", "1.1"),
    ("h2c", "--http2-prior-knowledge", "http", "2"),
    ("h1 over TLS", "--http1.1", "https", "1.1"),
    ("HTTP/1.0 over TLS", "--http1.0", "https", "1.1"),
    ("h2 over TLS", "--http2", "https", "2"),
];

/// A way that curl comes: what it is called, its option, the listener's scheme, what it says the version was.
type Way = (&'static str, &'static str, &'static str, &'static str);

impl Both {
    fn curl(&self, arguments: &[&str]) -> Ran {
        let ca = self.authority.ca();
        let mut all = vec!["-sS", "--max-time", "30", "--noproxy", "*", "--cacert", text(&ca)];
        all.extend_from_slice(arguments);
        run("curl", &all, "")
    }

    /// A request this way, with its answer in a file; what curl says of it in the words of `told`.
    fn ask(&self, way: Way, path: &str, told: &str, more: &[&str]) -> String {
        let (_, option, scheme, _) = way;
        let mut arguments = vec![option, "-w", told];
        arguments.extend_from_slice(more);
        let url = self.url(scheme, path);
        arguments.push(&url);
        self.curl(&arguments).text()
    }
}

/// The body of a request as the backend received it.
fn body(request: &[u8]) -> Vec<u8> {
    let head = request.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let (head, mut rest) = request.split_at(head);
    if !String::from_utf8_lossy(head).to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return rest.to_vec();
    }
    let mut data = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return data;
        }
        data.extend_from_slice(&rest[line + 2..][..size]);
        rest = &rest[line + 2 + size + 2..];
    }
}

#[test]
fn a_cookie_jar_keeps_its_session_over_every_version_and_protocol() {
    let backends = ["a", "b", "c"].map(backend);
    let both = Both::new(&backends.each_ref());
    let told = " %{http_version} %{http_code} %{ssl_verify_result}";
    for first in WAYS {
        let jar = both.authority.folder().join(format!("{}.jar", first.0.replace(['/', ' '], "-")));
        // Over TLS the pin is marked `Secure`, and curl sends it where that is kept.
        let comes_by_tls = first.2 == "https";
        let keeps = ["-b", text(&jar), "-c", text(&jar)];
        let home = both.ask(first, "/", "", &keeps);
        for way in WAYS.iter().filter(|way| !comes_by_tls || way.2 == "https").cycle().take(10) {
            let answered = both.ask(*way, "/", told, &keeps);
            assert_eq!(answered, format!("{home} {} 200 0", way.3), "{} after {}", way.0, first.0);
        }
    }
}

#[test]
fn uploads_arrive_whole_with_a_length_and_without() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let file = both.authority.folder().join("body");
    let sent: Vec<u8> = (0..LENGTH).map(|n| (n % 251) as u8).collect();
    std::fs::write(&file, &sent).unwrap();
    let whole = format!("@{}", file.display());
    for way in WAYS {
        let (_, option, scheme, version) = way;
        // The backend of this test says nothing ahead of its answer, and curl would wait for that.
        let told = ["-H", "Expect:", "-w", " %{http_version} %{http_code} %{size_upload}"];
        let answered = both.ask(way, "/", "", &[&told[..], &["--data-binary", &whole]].concat());
        assert_eq!(answered, format!("a {version} 200 {LENGTH}"), "{}", way.0);
        let request = a.take_requests().pop().unwrap();
        assert!(body(&request) == sent, "{}", way.0);
        let head = String::from_utf8_lossy(&request[..1000]).into_owned();
        assert!(head.contains(&format!("Content-Length: {LENGTH}\r\n")), "{}: {head}", way.0);
        if way.1 == "--http1.0" {
            continue;
        }
        // From a pipe: nobody knows how long it is.
        let url = both.url(scheme, "/");
        let ca = both.authority.ca();
        // (It counts what frames the chunks as a part of the upload.)
        let put = ["-sS", "--max-time", "30", "--cacert", text(&ca), option, "-X", "PUT", "-T", "-", &url];
        let answered =
            run("curl", &[&put[..], &told[..3], &[" %{http_version} %{http_code}"]].concat(), &sent).text();
        assert_eq!(answered, format!("a {version} 200"), "{}", way.0);
        let request = a.take_requests().pop().unwrap();
        assert!(body(&request) == sent, "{}", way.0);
        let head = String::from_utf8_lossy(&request[..1000]).into_owned();
        assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{}: {head}", way.0);
    }
}

#[test]
fn downloads_arrive_whole_and_a_head_has_no_body() {
    let a = backend("a");
    a.does(Does::Serve);
    let both = Both::new(&[&a]);
    let told = "%{http_version} %{http_code} %{size_download} %header{content-length}";
    let file = both.authority.folder().join("answer");
    for way in WAYS {
        let path = format!("/large/{LENGTH}");
        let answered = both.ask(way, &path, told, &["-o", text(&file)]);
        assert_eq!(answered, format!("{} 200 {LENGTH} {LENGTH}", way.3), "{}", way.0);
        assert!(std::fs::read(&file).unwrap().iter().all(|byte| *byte == b'x'), "{}", way.0);
        let answered = both.ask(way, "/chunks/1000", told, &["-o", text(&file)]);
        assert_eq!(answered, format!("{} 200 1000 ", way.3), "{}", way.0);
    }
    a.answers("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    for way in WAYS {
        let answered = both.ask(way, "/", told, &["-I", "-o", text(&file)]);
        assert_eq!(answered, format!("{} 200 0 1234", way.3), "{}", way.0);
        assert!(a.last().starts_with("HEAD / HTTP/1.1\r\n"), "{}", a.last());
    }
}

/// A backend that says `100 Continue` before it reads a body, and refuses one for `/refused` unread.
fn careful_backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            std::thread::spawn(move || {
                loop {
                    let (mut head, mut line) = (String::new(), String::new());
                    while line != "\r\n" {
                        line.clear();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        head += &line;
                    }
                    if head.contains(" /refused ") {
                        let refused =
                            "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                        let _ = stream.write_all(refused.as_bytes());
                        return;
                    }
                    let waits = head.to_ascii_lowercase().contains("\r\nexpect: 100-continue\r\n");
                    if waits {
                        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
                    }
                    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
                    let mut body = vec![0; length.map_or(0, |l| l.parse().unwrap())];
                    reader.read_exact(&mut body).unwrap();
                    let told = format!("{waits} {}", body.len());
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len());
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

#[test]
fn who_waits_for_100_is_told_by_the_backend_and_who_is_refused_sends_nothing() {
    let both = Both::of(homing(&[]).pool(&format!("backends = [\"{}\"]", careful_backend())));
    let file = both.authority.folder().join("body");
    std::fs::write(&file, vec![b'x'; LENGTH]).unwrap();
    let data = format!("@{}", file.display());
    // Longer than curl has in all.
    let waits = ["-H", "Expect: 100-continue", "--expect100-timeout", "100", "--data-binary", &data];
    for way in WAYS.iter().filter(|way| way.1 != "--http1.0") {
        let answered = both.ask(*way, "/", " %{http_code} %{size_upload}", &waits);
        assert_eq!(answered, format!("true {LENGTH} 200 {LENGTH}"), "{}", way.0);
        let answered = both.ask(*way, "/refused", "%{http_code} %{size_upload}", &waits);
        assert_eq!(answered, "403 0", "{}", way.0);
    }
}

#[test]
fn an_answer_ahead_of_the_whole_upload_is_read() {
    let a = backend("a");
    let route = "\n[[route]]\npool = \"app\"\nmax_body = \"64KiB\"\n";
    let both = Both::of(homing(&[&a]).with(route));
    let file = both.authority.folder().join("body");
    std::fs::write(&file, vec![b'x'; LENGTH]).unwrap();
    let data = format!("@{}", file.display());
    let more = ["-H", "Expect:", "--data-binary", &data, "-o", "/dev/null"];
    for way in WAYS {
        for n in 0..10 {
            let answered = both.ask(way, "/", "%{http_code} ", &more);
            assert_eq!(answered, "413 ", "{}, {n}", way.0);
        }
    }
}

#[test]
fn an_upgrade_to_http_2_in_clear_is_served_as_http_1_1() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let asks = ("upgrade", "--http2", "http", "1.1");
    for more in [&[][..], &["-d", "some"]] {
        let answered = both.ask(asks, "/", " %{http_version} %{http_code} %{num_connects}", more);
        assert_eq!(answered, "a 1.1 200 1");
        let sent = a.last().to_ascii_lowercase();
        assert!(!sent.contains("upgrade") && !sent.contains("http2-settings"), "{sent}");
    }
}

#[test]
fn trailers_reach_who_asks_for_them() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    a.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n");
    for way in WAYS.iter().filter(|way| way.1 != "--http1.0") {
        let asks: &[&str] = match way.3 {
            "2" => &["-H", "TE: trailers"],
            _ => &["-H", "TE: trailers", "-H", "Connection: TE"],
        };
        let dump = ["-D", "-", "-o", "/dev/null"];
        let answered = both.ask(*way, "/", "", &[&dump, asks].concat());
        assert!(answered.to_ascii_lowercase().contains("\nx-sum: 6\r\n"), "{}: {answered}", way.0);
        let answered = both.ask(*way, "/", "", &dump);
        assert!(!answered.to_ascii_lowercase().contains("x-sum"), "{}: {answered}", way.0);
    }
}

#[test]
fn many_requests_of_one_curl_share_a_connection() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let at_once: &[&str] = &["-Z", "--parallel-max", "10"];
    // curl 7 cannot use a connection again that it began with HTTP/2 by prior knowledge: no server makes it.
    for (way, more) in [(WAYS[0], &[][..]), (WAYS[3], &[]), (WAYS[5], &[]), (WAYS[5], at_once)] {
        let url = both.url(way.2, "/[1-50]");
        let told = "%{http_code}:%{num_connects} ";
        let all = [&[way.1, "-o", "/dev/null", "-w", told, &url], more].concat();
        let connects = both.curl(&all).text();
        assert_eq!(connects.matches("200:0 ").count(), 49, "{}: {connects}", way.0);
        assert_eq!(connects.matches("200:1 ").count(), 1, "{}: {connects}", way.0);
        assert_eq!(a.take_requests().len(), 50, "{}", way.0);
    }
}
