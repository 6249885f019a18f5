//! A browser, driven over its debugging protocol (<https://chromedevtools.github.io/devtools-protocol/>).

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::websocket::{self, GOES_ON, Peer, TEXT};
use super::{LIMIT, exchange, pause, until};

/// A running Chromium with one page. It is killed on drop.
pub(crate) struct Chromium {
    child: Child,
    page: Peer,
    number: u64,
    /// What went wrong in the page: exceptions, errors in the console, what its policy forbade.
    pub(crate) errors: Vec<String>,
    _files: TempDir,
}

impl Chromium {
    /// Starts it on an empty page, without a network but loopback: every name but `localhost` is this machine.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, and servers of this public key (SubjectPublicKeyInfo in DER) are believed whoever signed it.
    pub(crate) fn start_believing(key: &[u8]) -> Self {
        use sha2::Digest as _;
        let mut digest = Vec::new();
        homing::affinity::base64url::encode(&sha2::Sha256::digest(key), &mut digest);
        let digest = String::from_utf8(digest).unwrap().replace('-', "+").replace('_', "/");
        Self::start_with(&[format!("--ignore-certificate-errors-spki-list={digest}=")])
    }

    fn start_with(more: &[String]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--no-first-run", "--disable-extensions", "--disable-background-networking"]);
        command.args([
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * 127.0.0.1",
            "--remote-debugging-port=0",
        ]);
        command.args(more).arg(format!("--user-data-dir={}", files.path().display())).arg("about:blank");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|e| {
            panic!("start chromium: {e}; `make setup` installs it (Debian, Ubuntu: apt-get install chromium)")
        });
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let address: SocketAddr = loop {
            let Some(line) = lines.next() else { panic!("chromium did not start: {said:#?}") };
            if let Some(at) = line.strip_prefix("DevTools listening on ws://") {
                break at.split('/').next().unwrap().parse().unwrap();
            }
            said.push(line);
        };
        std::thread::spawn(move || lines.for_each(drop));
        let mut path = None;
        until(|| {
            let ask = format!("GET /json/list HTTP/1.1\r\nHost: {address}\r\n\r\n");
            let pages = exchange(address, ask.as_bytes()).json();
            let page = pages.as_array().unwrap().iter().find(|page| page["type"] == "page");
            let url = page.map(|page| page["webSocketDebuggerUrl"].as_str().unwrap().to_owned());
            path = url.map(|url| format!("/{}", url.splitn(4, '/').last().unwrap()));
            path.is_some()
        });
        let page = websocket::connect(address, &path.unwrap(), "");
        let mut this = Self { child, page, number: 0, errors: Vec::new(), _files: files };
        ["Runtime.enable", "Log.enable", "Page.enable"].iter().for_each(|method| {
            this.call(method, &json!({}));
        });
        this
    }

    /// Sends a command and waits for what came of it.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.number += 1;
        let text = json!({ "id": self.number, "method": method, "params": params }).to_string();
        self.page.send(TEXT, text.as_bytes());
        loop {
            let mut message = self.receive();
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn receive(&mut self) -> Value {
        let mut text = Vec::new();
        loop {
            let frame = self.page.receive().expect("chromium went away");
            assert!(frame.first & 0x7f <= TEXT & 0x7f, "{frame:?}");
            text.extend(frame.payload);
            if frame.first & GOES_ON != 0 {
                return serde_json::from_slice(&text).unwrap();
            }
        }
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        let is_error = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => params["type"] == "error",
            Some("Log.entryAdded") => params["entry"]["level"] == "error",
            _ => false,
        };
        if is_error {
            self.errors.push(params.to_string());
        }
    }

    /// Opens a page.
    pub(crate) fn visit(&mut self, url: &str) {
        let went = self.call("Page.navigate", &json!({ "url": url }));
        assert!(went["errorText"].is_null(), "{url}: {went}");
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut came = self.call("Runtime.evaluate", &params);
        assert!(came["exceptionDetails"].is_null(), "{expression}: {}", came["exceptionDetails"]);
        came["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&mut self, expression: &str) {
        let began = Instant::now();
        // Before the page is there, half of an expression may be missing.
        let guarded = format!("(() => {{ try {{ return {expression} }} catch {{ return false }} }})()");
        while self.value(&guarded) != true {
            if began.elapsed() > LIMIT {
                let (text, errors) = (self.value("document.body.innerText"), &self.errors);
                panic!(
                    "not within {LIMIT:?}: {expression}\nerrors: {errors:#?}\n{}",
                    text.as_str().unwrap_or_default()
                );
            }
            pause(Duration::from_millis(20));
        }
    }

    /// Presses and releases a key.
    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let code = match key {
                "Escape" => 27,
                "Tab" => 9,
                "Enter" => 13,
                _ => 0,
            };
            let text = if key == "Enter" { "\r" } else { "" };
            let params =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", &params);
        }
    }

    /// A screen of this size and colour scheme.
    pub(crate) fn screen(&mut self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// The whole page as PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.call("Page.captureScreenshot", &params);
        let text =
            picture["data"].as_str().unwrap().trim_end_matches('=').replace('+', "-").replace('/', "_");
        let mut out = vec![0; text.len()];
        homing::affinity::base64url::decode(text.as_bytes(), &mut out).unwrap().to_vec()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
