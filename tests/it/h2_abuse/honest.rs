//! What honest clients do: much, and none of it is abuse.

use std::process::Command;

use crate::harness::h2::{CANCEL, DATA, END_STREAM, Event, Raw, frame, get, ping, post, reset, window};
use crate::harness::{Backend, Does, Homing, backend, homing};

const INITIAL_WINDOW_SIZE: u16 = 4;
const WIDE: u32 = 1 << 24;

fn served() -> (Backend, Homing) {
    let backend = backend("a");
    backend.does(Does::Serve);
    let homing = homing(&[&backend]).listener("h2c = true\n").run();
    (backend, homing)
}

/// What curl says of a transfer: status, bytes.
fn curl(homing: &Homing, path: &str, more: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args([
        "--http2-prior-knowledge",
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{http_version} %{size_download}",
    ]);
    let output = curl.args(more).arg(format!("http://{}{path}", homing.address)).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn large_downloads_by_curl() {
    let (_backend, homing) = served();
    assert_eq!(curl(&homing, "/large/104857600", &[]), "200 2 104857600");
}

#[test]
fn large_uploads_by_curl() {
    let (_backend, homing) = served();
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(20 << 20).unwrap();
    assert_eq!(curl(&homing, "/", &["-T", file.path().to_str().unwrap()]), "200 2 1");
}

#[test]
fn a_thousand_requests_a_hundred_at_once() {
    let (_backend, homing) = served();
    let mut client = Raw::begin(homing.address, &[]);
    for round in 0..10 {
        let ids: Vec<u32> = (0..100).map(|n| 2 * (100 * round + n) + 1).collect();
        client.send(&ids.iter().flat_map(|id| get(*id, "/")).collect::<Vec<u8>>());
        for id in ids {
            assert!(client.until(|event| *event == Event::End(id)), "{id}: {:?}", client.events().last());
        }
    }
    let answered = client.events().iter().filter(|event| matches!(event, Event::Status(_, 200))).count();
    assert_eq!((answered, client.is_over()), (1_000, false));
}

#[test]
fn half_of_a_hundred_downloads_are_cancelled() {
    let (_backend, homing) = served();
    let mut client = Raw::begin(homing.address, &[(INITIAL_WINDOW_SIZE, 1_000)]);
    client.send(&window(0, WIDE));
    for round in 0..2 {
        let ids: Vec<u32> = (0..100).map(|n| 2 * (100 * round + n) + 1).collect();
        client.send(&ids.iter().flat_map(|id| get(*id, "/large/100000")).collect::<Vec<u8>>());
        for id in &ids {
            assert!(client.until(|event| matches!(event, Event::Data(of, _) if of == id)));
        }
        let (gone, kept) = ids.split_at(50);
        client.send(&gone.iter().flat_map(|id| reset(*id, CANCEL)).collect::<Vec<u8>>());
        client.send(&kept.iter().flat_map(|id| window(*id, WIDE)).collect::<Vec<u8>>());
        for id in kept {
            assert!(client.until(|event| *event == Event::End(*id)), "{id}: {:?}", client.events().last());
        }
    }
    assert!(!client.is_over());
}

#[test]
fn a_page_is_left_while_it_loads() {
    let (_backend, homing) = served();
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&(0..90).flat_map(|n| get(2 * n + 1, "/events")).collect::<Vec<u8>>());
    client.send(&(0..90).flat_map(|n| reset(2 * n + 1, CANCEL)).collect::<Vec<u8>>());
    client.send(&get(1_001, "/"));
    assert!(client.until(|event| *event == Event::Status(1_001, 200)), "{:?}", client.events());
}

#[test]
fn a_download_that_is_told_of_in_small_steps_and_timed() {
    let (_backend, homing) = served();
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&get(1, "/large/5000000"));
    let mut seen = 0;
    while !client.events().contains(&Event::End(1)) {
        let before = seen;
        assert!(client.more(), "{:?}", client.events().last());
        for event in &client.events()[before..] {
            let Event::Data(_, length) = event else { continue };
            let mut says = ping(*b"how fast");
            for step in (0..*length).step_by(4_096) {
                let step = (length - step).min(4_096) as u32;
                says.extend([window(0, step), window(1, step)].concat());
            }
            let mut stream = &client.stream;
            std::io::Write::write_all(&mut stream, &says).unwrap();
        }
        seen = client.events().len();
    }
    let bytes: usize = client.events().iter().map(|e| if let Event::Data(_, n) = e { *n } else { 0 }).sum();
    assert_eq!((bytes, client.is_over()), (5_000_000, false));
}

#[test]
fn bodies_in_small_pieces() {
    let (_backend, homing) = served();
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&post(1, "/"));
    for _ in 0..5_000 {
        client.send(&frame(DATA, 0, 1, b"small"));
    }
    client.send(&frame(DATA, END_STREAM, 1, b""));
    assert!(client.until(|event| *event == Event::Status(1, 200)), "{:?}", client.events());
}
