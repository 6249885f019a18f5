//! A panic is a bug, and one request's alone: it is logged and counted, and whoever else is served goes on.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use homing::backend::BackendIx;
use homing::backend::members::{Candidates, Group};
use homing::base::options::Options;
use homing::strategy::{Kind, Needs, Picker, Registry, RequestFacts, Strategy};

use crate::harness::h2::{
    END_HEADERS, END_STREAM, Event, HEADERS, INTERNAL_ERROR, Raw, field, frame, get as get_on, ping, request,
};
use crate::harness::{Does, backend, get, homing, open, until};

/// A strategy with a bug, from outside the crate.
static FAILS: Kind = Kind {
    name: "fails",
    summary: "panics for some keys",
    needs: Needs::Key,
    build: |_: &mut Options, _: Group<'_>| Arc::new(Fails),
};

#[derive(Debug)]
struct Fails;

impl Strategy for Fails {
    fn picker(self: Arc<Self>, _seed: u64) -> Box<dyn Picker> {
        Box::new(Self)
    }
}

impl Picker for Fails {
    fn pick(&mut self, request: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        assert_ne!(request.key, Some(&b"wrong"[..]), "a bug that a test has asked for");
        among.iter().next().map(|(ix, _)| ix)
    }
}

#[test]
fn a_request_that_panics_is_told_of_and_the_others_of_its_thread_go_on() {
    let a = backend("a");
    a.does(Does::Serve);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let access = format!("[access_log]\nformat = \"json\"\npath = {:?}\n", log.to_str().unwrap());
    let setup = homing(&[&a])
        .listener("h2c = true\n")
        .pool("strategy = { kind = \"fails\", key = \"header:x-key\" }\n");
    let text = setup.toml().replace("[access_log]\nformat = \"off\"\n", &access);
    let text = text.replace("workers = 2\n", "workers = 1\n");
    let homing = setup.run_among(Registry::built_in().with(&FAILS), &text);
    // Who was served before goes on, over both versions.
    let mut stream = open(homing.address);
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut seen = [0; 12];
    stream.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"HTTP/1.1 200");
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&get_on(1, "/events"));
    assert!(client.until(|event| matches!(event, Event::Data(1, _))));

    let mut wrong = open(homing.address);
    wrong.write_all(b"GET /first HTTP/1.1\r\nHost: t\r\nX-Key: wrong\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = wrong.read_to_end(&mut answer); // A close over what was not read may be a reset.
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    let block = [request("GET", "/second"), field("x-key", "wrong")].concat();
    client.send(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &block));
    assert!(client.until(|event| *event == Event::Reset(3, INTERNAL_ERROR)), "{:?}", client.events());

    client.send(&[get_on(5, "/after"), ping(*b"are you?")].concat());
    assert!(
        client.until(|event| *event == Event::End(5))
            && client.until(|event| *event == Event::Pong(*b"are you?"))
    );
    assert!(!client.events().contains(&Event::End(1)));
    let before = client.events().len();
    while !client.events()[before..].iter().any(|event| matches!(event, Event::Data(1, _))) {
        assert!(client.more(), "the stream of before is over");
    }
    stream.read_exact(&mut [0; 64]).unwrap();
    assert_eq!(get(homing.address, "/").status, 200);

    homing.until("/metrics", |text| text.contains("\nhoming_panics_total 2\n"));
    let told = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let panicked = lines.filter(|line| line["end"] == "panicked");
        panicked.map(|line| (line["path"].to_string(), line["status"].to_string())).collect::<Vec<_>>()
    };
    until(|| told().len() == 2);
    assert_eq!(
        told(),
        [("\"/first\"".to_owned(), "0".to_owned()), ("\"/second\"".to_owned(), "0".to_owned())]
    );
}
