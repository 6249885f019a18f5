//! curl: one session over every way that it can come, bodies both ways, and what is particular to a version.

use std::path::Path;

use crate::harness::fronts::Authority;
use crate::harness::program::{Ran, run};
use crate::harness::{Backend, Does, Homing, backend, homing};

const LENGTH: usize = 3 << 20;

/// The ways that curl comes: what they are called, its option, the listener's scheme, what it says the version was.
const WAYS: [(&str, &str, &str, &str); 5] = [
    ("h1", "--http1.1", "http", "1.1"),
    ("HTTP/1.0", "--http1.0", "http", "1.1"),
    ("h2c", "--http2-prior-knowledge", "http", "2"),
    ("h1 over TLS", "--http1.1", "https", "1.1"),
    ("h2 over TLS", "--http2", "https", "2"),
];

/// Two listeners before the same backends: with TLS and without.
struct Both {
    homing: Homing,
    authority: Authority,
}

impl Both {
    fn new(backends: &[&Backend]) -> Self {
        let authority = Authority::new();
        let issued = authority.issue(&["localhost", "127.0.0.1"]);
        let tls = format!("tls = {{ certificate = {:?}, key = {:?} }}", issued.certificate, issued.key);
        let second = format!("\n[[listener]]\nname = \"tls\"\nlisten = \"127.0.0.1:0\"\n{tls}\n");
        Self { homing: homing(backends).listener("h2c = true\n").cookie().with(&second).run(), authority }
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        let address = if scheme == "https" { self.homing.other("tls") } else { self.homing.address };
        format!("{scheme}://localhost:{}{path}", address.port())
    }

    fn curl(&self, arguments: &[&str]) -> Ran {
        let ca = self.authority.ca();
        let mut all = vec!["-sS", "--max-time", "30", "--noproxy", "*", "--cacert", text(&ca)];
        all.extend_from_slice(arguments);
        run("curl", &all, "")
    }

    /// A request this way, with its answer in a file; what curl says of it in the words of `told`.
    fn ask(&self, way: (&str, &str, &str, &str), path: &str, told: &str, more: &[&str]) -> String {
        let (_, option, scheme, _) = way;
        let mut arguments = vec![option, "-w", told];
        arguments.extend_from_slice(more);
        let url = self.url(scheme, path);
        arguments.push(&url);
        self.curl(&arguments).text()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
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
