//! Clients that nobody here wrote: the programs and libraries that people come with, each as it comes.

mod curl;
mod load;
mod openssl;
mod python;
mod websockets;

use std::path::Path;

use crate::harness::fronts::Authority;
use crate::harness::{Backend, Homing, Setup, homing};

/// Two listeners before the same backends, each for HTTP/1 and HTTP/2: with TLS and without.
struct Both {
    homing: Homing,
    authority: Authority,
}

impl Both {
    /// Before these, with cookies.
    fn new(backends: &[&Backend]) -> Self {
        Self::of(homing(backends).cookie())
    }

    fn of(setup: Setup) -> Self {
        Self::with(setup, "")
    }

    /// With keys of the listener for TLS.
    fn with(setup: Setup, tls: &str) -> Self {
        let authority = Authority::new();
        let issued = authority.issue(&["localhost", "127.0.0.1"]);
        let pair = format!("tls = {{ certificate = {:?}, key = {:?} }}", issued.certificate, issued.key);
        let second = format!("\n[[listener]]\nname = \"tls\"\nlisten = \"127.0.0.1:0\"\n{pair}\n{tls}\n");
        Self { homing: setup.listener("h2c = true\n").with(&second).run(), authority }
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        let address = if scheme == "https" { self.homing.other("tls") } else { self.homing.address };
        format!("{scheme}://localhost:{}{path}", address.port())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
