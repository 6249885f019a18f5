//! Stopping in order: what is in flight ends, and then homing does.

use std::io::Write as _;
use std::net::TcpStream;

use homing::app;
use homing::config::{Environment, Sources};
use homing::control::Signals;
use homing::snapshot::carried::Carried;
use homing::snapshot::phases::Phase;
use homing::strategy::Registry;

use crate::harness::h2::{self, Raw};
use crate::harness::{Does, backend, get, homing, open, read_reply, until};

#[test]
fn a_request_in_flight_is_answered_and_then_everything_ends() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.does(Does::Hold);
    let mut stream = open(homing.address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    until(|| a.requests().len() == 1);
    let address = homing.address;
    assert_eq!(get(homing.admin, "/readyz").status, 200);
    homing.phases().advance(Phase::Notice);
    until(|| TcpStream::connect(address).is_err());
    assert_eq!(get(homing.admin, "/readyz").status, 503);
    a.does(Does::Answer);
    let reply = read_reply(&mut stream, &mut Vec::new(), true);
    assert_eq!((reply.status, reply.field("connection").as_deref()), (200, Some("close")));
    homing.join();
}

#[test]
fn the_second_signal_cuts_what_is_in_flight() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.does(Does::Hold);
    let mut stream = open(homing.address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    until(|| a.requests().len() == 1);
    homing.phases().advance(Phase::Cut);
    assert!(read_reply(&mut stream, &mut Vec::new(), true).is_cut);
    homing.join();
}

#[test]
fn what_is_cut_is_in_the_access_log() {
    let a = backend("a");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let access = format!("[access_log]\nformat = \"json\"\npath = {:?}\n", log.to_str().unwrap());
    let homing = homing(&[&a])
        .listener("h2c = true\n")
        .run_edited(|t| t.replace("[access_log]\nformat = \"off\"\n", &access));
    a.does(Does::Hold);
    let mut stream = open(homing.address);
    stream.write_all(b"GET /held?x HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&h2::get(1, "/carried"));
    until(|| a.requests().len() == 2);
    homing.phases().advance(Phase::Cut);
    homing.join();
    let text = std::fs::read_to_string(&log).unwrap();
    let mut told: Vec<(String, String, String)> = text
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let word = |name: &str| line[name].as_str().unwrap().to_owned();
            (word("path"), word("backend"), word("end"))
        })
        .collect();
    told.sort();
    let expected = ["/carried", "/held"].map(|path| (path.to_owned(), "a".to_owned(), "stopped".to_owned()));
    assert_eq!(told, expected, "{text}");
}

#[test]
fn a_port_that_is_taken_is_said_with_the_port() {
    let a = backend("a");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = homing(&[&a])
        .toml()
        .replace("listen = \"127.0.0.1:0\"\naffinity", &format!("listen = \"127.0.0.1:{port}\"\naffinity"));
    let environment = homing::config::Environment::detect().unwrap();
    let registry = homing::strategy::Registry::built_in();
    let plan = homing::config::parse(&text, std::path::Path::new("t"), &registry, &environment).unwrap().plan;
    let error = homing::app::start(plan, None, homing::control::Signals::Leave).unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{port} is taken")) && error.contains("--listen"), "{error}");
}

#[test]
fn no_socket_file_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let [admin, web] = ["admin", "web"].map(|name| folder.path().join(name));
    let text = format!(
        "[admin]\nlisten = \"unix:{}\"\n[access_log]\nformat = \"off\"\n[[listener]]\nlisten = \"unix:{}\"\n\
         [[pool]]\nname = \"app\"\nbackends = [\"127.0.0.1:1\"]\n",
        admin.display(),
        web.display()
    );
    let sources = Sources::text(&text, std::path::Path::new("test"));
    let loaded = sources.build(&Registry::built_in(), &Environment::detect().unwrap(), &Carried::default());
    let running = app::start(loaded.unwrap().plan, None, Signals::Leave).unwrap();
    assert!(admin.exists() && web.exists());
    running.phases.advance(Phase::Cut);
    running.join().unwrap();
    assert!(!admin.exists() && !web.exists());
}
