//! When clients attack: whoever is honest is served throughout, memory stays bounded, and nothing is left behind.
//!
//! What was measured is printed: `cargo test --test it attacks -- --nocapture`.

mod horde;
pub(crate) mod siege;
mod starved;

use std::io::Write as _;
use std::time::Duration;

use horde::Horde;
use siege::Siege;

use crate::harness::{open, pause, read_reply, until};

/// The most memory that any attack may add, in KiB.
const MEMORY: u64 = 64 * 1024;
/// The same for readers that do not read.
const MEMORY_OF_SLOW_READERS: u64 = 40 * 1024;
/// When a client that reads late begins to read.
const LATE: Duration = Duration::from_secs(1);
/// Between two bytes of a slow sender.
const DRIP: Duration = Duration::from_millis(20);

#[test]
fn slow_heads() {
    let siege = Siege::set("timeouts = { head = \"1s\" }\n");
    siege.under("slow heads", MEMORY, |address| {
        let mut horde = Horde::new(address, 400);
        horde.drip("GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ", DRIP);
        horde.until_over();
        assert_eq!(horde.count("HTTP/1.1 408"), horde.len());
    });
}

#[test]
fn slow_bodies() {
    let siege = Siege::set("timeouts = { body = \"1s\" }\n");
    siege.under("slow bodies", MEMORY, |address| {
        let mut horde = Horde::new(address, 300);
        horde.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n");
        horde.drip(&"x".repeat(50), DRIP);
        horde.until_over();
        assert_eq!(horde.count("HTTP/1.1 408"), horde.len());
    });
}

#[test]
fn slow_readers() {
    let siege = Siege::set("timeouts = { write = \"1s\" }\n");
    siege.under("slow readers", MEMORY_OF_SLOW_READERS, |address| {
        let mut horde = Horde::with_small_windows(address, 300);
        horde.send("GET /large/1000000 HTTP/1.1\r\nHost: test\r\n\r\n");
        siege.until_as_before();
    });
}

#[test]
fn readers_of_a_few_bytes_at_a_time() {
    let siege = Siege::set("");
    siege.under("readers of a few bytes", MEMORY_OF_SLOW_READERS, |address| {
        let mut horde = Horde::with_small_windows(address, 300);
        horde.send("GET /large/1000000 HTTP/1.1\r\nHost: test\r\n\r\n");
        for _ in 0..50 {
            horde.sip(100);
            pause(DRIP);
        }
        until(|| {
            horde.sip(1);
            horde.count("HTTP/1.1 200") == horde.len()
        });
    });
}

#[test]
fn tunnels_that_are_flooded_and_not_read() {
    let siege = Siege::set("");
    siege.under("flooded tunnels", MEMORY, |address| {
        let mut horde = Horde::with_small_windows(address, 200);
        horde.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let flood = "x".repeat(64 * 1024);
        (0..50).for_each(|_| horde.send(&flood));
        horde.leave(true);
        siege.until_as_before();
    });
}

#[test]
fn heads_that_do_not_end() {
    let siege = Siege::set("timeouts = { head = \"1s\" }\n");
    siege.under("heads of 128 KiB", MEMORY, |address| {
        let mut horde = Horde::new(address, 100);
        horde.send("GET / HTTP/1.1\r\nHost: test\r\n");
        (0..128).for_each(|n| horde.send(&format!("X-{n}: {}\r\n", "x".repeat(1_000))));
        horde.until_over();
        assert_eq!(horde.count("HTTP/1.1 431"), horde.len());
    });
    siege.under("heads just below their limit", MEMORY, |address| {
        let mut horde = Horde::new(address, 400);
        horde.send("GET / HTTP/1.1\r\nHost: test\r\n");
        horde.send(&format!("X-A: {0}\r\nX-B: {0}\r\n", "x".repeat(15_000)));
        horde.until_over();
        assert_eq!(horde.count("HTTP/1.1 408"), horde.len());
    });
}

#[test]
fn thousands_of_fields() {
    let siege = Siege::set("");
    siege.under("thousands of fields", MEMORY, |address| {
        let mut horde = Horde::new(address, 200);
        horde.send(&format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", "a:b\r\n".repeat(5_000)));
        horde.until_over();
        assert_eq!(horde.count("HTTP/1.1 431"), horde.len());
    });
}

#[test]
fn deep_pipelines() {
    const DEEP: usize = 10_000;
    let siege = Siege::set("");
    siege.under("deep pipelines", MEMORY, |address| {
        let mut stream = open(address);
        let mut sender = stream.try_clone().unwrap();
        let requests = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(DEEP);
        let sending = std::thread::spawn(move || sender.write_all(requests.as_bytes()).unwrap());
        pause(LATE);
        let mut held = Vec::new();
        for n in 0..DEEP {
            assert_eq!(read_reply(&mut stream, &mut held, true).status, 200, "answer {n}");
        }
        sending.join().unwrap();
    });
}

#[test]
fn crowds_of_visitors_with_forged_pins() {
    const VISITORS: usize = 2_000;
    let siege = Siege::set("");
    siege.under("crowds of visitors", MEMORY, |address| {
        let mut stream = open(address);
        let mut sender = stream.try_clone().unwrap();
        let forged = "A".repeat(90);
        let request = |n| {
            format!(
                "GET /{n} HTTP/1.1\r\nHost: test\r\nUser-Agent: {n}\r\nAccept-Language: {n}\r\n\
                 Cookie: srv={n}{forged}; session={n}; srv={forged}{n}\r\n\r\n"
            )
        };
        let requests: String = (0..VISITORS).map(request).collect();
        let sending = std::thread::spawn(move || sender.write_all(requests.as_bytes()).unwrap());
        let mut held = Vec::new();
        for n in 0..VISITORS {
            let reply = read_reply(&mut stream, &mut held, true);
            assert_eq!((reply.status, reply.field("set-cookie").is_some()), (200, true), "visitor {n}");
        }
        sending.join().unwrap();
    });
}

#[test]
fn chunks_of_one_byte() {
    const CHUNKS: usize = 20_000;
    let siege = Siege::set("");
    siege.under("chunks of one byte", MEMORY, |address| {
        for _ in 0..4 {
            let mut stream = open(address);
            let body = "1\r\nx\r\n".repeat(CHUNKS) + "0\r\n\r\n";
            let head =
                format!("PUT /chunks/{CHUNKS} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).unwrap();
            let reply = read_reply(&mut stream, &mut Vec::new(), true);
            assert_eq!((reply.body.len(), reply.is_cut), (CHUNKS, false));
        }
    });
}

#[test]
fn chunks_that_come_one_by_one() {
    let siege = Siege::set("");
    siege.under("chunks one by one", MEMORY, |address| {
        let mut horde = Horde::new(address, 200);
        horde
            .send("POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..50 {
            horde.send("1\r\nx\r\n");
            pause(DRIP);
        }
        horde.send("0\r\n\r\n");
        horde.until_over();
        assert_eq!(horde.count("HTTP/1.1 200"), horde.len());
    });
}

#[test]
fn storms_of_nonsense() {
    let siege = Siege::set("");
    siege.under("nonsense", MEMORY, |address| {
        for bytes in [
            "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n",
            "\r\n\r\n\r\n\r\n",
        ] {
            let mut horde = Horde::new(address, 100);
            horde.send(bytes);
            horde.end_sides();
            horde.until_over();
            assert_eq!(horde.count("HTTP/1.1 200"), 0, "{bytes:?}");
        }
    });
}

#[test]
fn connections_that_come_and_go() {
    let siege = Siege::set("");
    siege.under("connections that come and go", MEMORY, |address| {
        for _ in 0..10 {
            for (bytes, resets) in [
                ("", false),
                ("", true),
                ("GET / HTTP/1.1\r\nHost: te", true),
                ("GET /large/100000 HTTP/1.1\r\nHost: test\r\n\r\n", false),
                ("GET /large/100000 HTTP/1.1\r\nHost: test\r\n\r\n", true),
                ("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf", true),
            ] {
                let mut horde = Horde::new(address, 50);
                horde.send(bytes);
                horde.leave(resets);
            }
        }
    });
}

#[test]
fn hordes_of_the_idle() {
    let siege = Siege::set("timeouts = { head = \"3s\", idle = \"3s\" }\n");
    siege.under("idle connections", MEMORY, |address| {
        let mut silent = Horde::new(address, 1_500);
        let mut served = Horde::new(address, 1_500);
        served.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        silent.until_over();
        served.until_over();
        assert_eq!(served.count("HTTP/1.1 200"), served.len());
    });
}

#[test]
fn clients_that_end_their_side_early() {
    let siege = Siege::set("");
    siege.under("half-open connections", MEMORY, |address| {
        for bytes in [
            "",
            "GET / HTTP/1.1\r\nHost: te",
            "GET /large/1000000 HTTP/1.1\r\nHost: test\r\n\r\n",
            "GET /events HTTP/1.1\r\nHost: test\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf",
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
        ] {
            let mut horde = Horde::new(address, 100);
            horde.send(bytes);
            horde.end_sides();
            horde.until_over();
        }
    });
}
