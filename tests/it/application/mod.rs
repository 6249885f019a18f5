//! The shop as `homing backend` runs it: processes of their own, and the real stores from Debian's packages.

mod pages;
mod stores;
mod tokens;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use homing::demo::{Server, Software};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::harness::{Client, Reply, exchange, get};

/// A running backend. It is killed on drop.
struct Node {
    address: SocketAddr,
    child: Child,
}

/// Starts one with these words, separated by blanks.
fn node(name: &str, words: &str) -> Node {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    command.args(["backend", "--listen", ":0", "--open-registration", "--password-cost", "low"]);
    command.args(["--name", name]).args(words.split_whitespace());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix(&format!("backend {name}: http://")).and_then(|l| l.split('/').next());
    let address = address.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
    Node { address, child }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    fn client(&self) -> Client {
        Client::new(self.address)
    }

    fn stat(&self, name: &str) -> u64 {
        get(self.address, "/stats").json()[name].as_u64().unwrap()
    }
}

/// What a person does, by the requests of it.
trait Person {
    fn post(&mut self, path: &str, body: &str) -> Reply;
    fn log_in(&mut self, user: &str) -> Value;
    /// What `/api/me` says of the session.
    fn session(&mut self) -> String;
}

impl Person for Client {
    fn post(&mut self, path: &str, body: &str) -> Reply {
        let head = self.bytes("POST", path);
        let head = head.trim_end();
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let reply = exchange(self.address(), request.as_bytes());
        self.learn(&reply);
        reply
    }

    fn log_in(&mut self, user: &str) -> Value {
        let reply = self.post("/api/login", &format!(r#"{{"user": "{user}", "password": "demo"}}"#));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    fn session(&mut self) -> String {
        let told = self.get("/api/me").json();
        told["session"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
    }
}

/// A store of the test's own, and the word that backends are told.
fn store(software: Software) -> (Server, String) {
    let server = Server::start(software).unwrap_or_else(|e| panic!("{e}; `make setup` installs it"));
    let word = format!("--sessions {}", server.place());
    (server, word)
}

fn signal(server: &Server, signal: Signal) {
    let id = i32::try_from(server.id()).unwrap();
    rustix::process::kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}
