//! Requests of many sessions on one connection, as a proxy in front of homing sends them: each goes by its own bytes,
//! whatever the one before it said.

use std::io::Write as _;
use std::net::TcpStream;

use crate::harness::{Does, Homing, Reply, backend, homing, open, read_reply};

/// Whose requests come one after the other: each is followed by its own, by the other's, and by its own again.
const TURNS: [usize; 14] = [0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0];

/// A connection that is kept.
struct Kept {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Kept {
    fn to(homing: &Homing) -> Self {
        Self { stream: open(homing.address), held: Vec::new() }
    }

    /// The next request on it, with these fields: who answered, and why.
    fn get(&mut self, target: &str, fields: &str) -> (String, String) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nUser-Agent: kept\r\n{fields}\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
        let reply = read_reply(&mut self.stream, &mut self.held, true);
        assert_eq!(reply.status, 200, "{}", reply.head);
        (reply.served_by(), reply.why())
    }
}

/// What a client sends that was given this answer.
fn carried(reply: &Reply) -> String {
    if let Some(cookie) = reply.field("set-cookie") {
        return format!("Cookie: x=1; {}\r\n", cookie.split(';').next().unwrap());
    }
    let of = |name: &str| Some(format!("{name}: {}\r\n", reply.field(name)?));
    of("x-homing-session").or_else(|| of("mcp-session-id")).expect("no session was made")
}

/// Begins a session at `home`, on a connection of its own; what its client sends.
fn begun(homing: &Homing, target: &str, home: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let mut replies = (0..100).map(|_| homing.send(&request));
    let reply = replies.find(|reply| reply.served_by() == home);
    carried(&reply.unwrap_or_else(|| panic!("no new session goes to {home}")))
}

fn pinned(home: &str) -> (String, String) {
    (home.to_owned(), "pinned".to_owned())
}

#[test]
fn each_request_on_one_connection_reaches_the_home_of_its_own_session() {
    for (affinity, made) in [
        ("mode = \"cookie\"\nname = \"srv\"", ""),
        ("mode = \"header\"", ""),
        ("mode = \"learn\"\ncreate = \"cookie:sid\"\nlookup = \"cookie:sid\"", "Set-Cookie: sid=of-NAME\r\n"),
        ("mode = \"learn\"\ncreate = \"header:mcp-session-id\"", "Mcp-Session-Id: of-NAME\r\n"),
    ] {
        let (a, b) = (backend("a"), backend("b"));
        let homing = homing(&[&a, &b]).with(&format!("\n[pool.affinity]\n{affinity}\n")).run();
        for backend in [&a, &b] {
            let (name, made) = (backend.name, made.replace("NAME", backend.name));
            let head = format!("HTTP/1.1 200 OK\r\nX-Backend: {name}\r\n{made}");
            backend.answers(format!("{head}Content-Length: 0\r\n\r\n"));
        }
        let homes = ["a", "b"];
        let sessions = homes.map(|home| begun(&homing, "/", home));
        [&a, &b].iter().for_each(|backend| backend.does(Does::Answer));
        let mut kept = Kept::to(&homing);
        for (n, turn) in TURNS.into_iter().enumerate() {
            let found = kept.get("/", &sessions[turn]);
            assert_eq!(found, pinned(homes[turn]), "request {n} of {TURNS:?}, {affinity}");
        }
    }
}

#[test]
fn a_pin_on_one_connection_is_of_its_pool_alone() {
    let (a, b) = (backend("a"), backend("b"));
    // The same place in both lists is another backend.
    let other = format!(
        "\n[[pool]]\nname = \"other\"\nbackends = [\"{}\", \"{}\"]\n[pool.affinity]\nmode = \"cookie\"\nname = \"srv\"\n\
         [[route]]\npool = \"app\"\n[[route]]\npath = \"/other\"\npool = \"other\"\n",
        b.address, a.address
    );
    let homing = homing(&[&a, &b]).cookie().with(&other).run();
    let targets = ["/", "/other"];
    let homes = ["a", "b"];
    let pins = [0, 1].map(|pool| begun(&homing, targets[pool], homes[pool]));
    let mut kept = Kept::to(&homing);
    let mut is_found = |pool: usize, pin: usize, n: usize| {
        let found = kept.get(targets[pool], &pins[pin]);
        if pool == pin {
            assert_eq!(found, pinned(homes[pool]), "round {n}");
        } else {
            assert_eq!(found.1, "invalid", "round {n}: the pin of {} at {}", targets[pin], targets[pool]);
        }
    };
    for (n, turn) in TURNS.into_iter().enumerate() {
        let other = 1 - turn;
        // The same bytes at the other pool, that pool's own ahead of them and behind them, and back again.
        for (pool, pin) in [(turn, turn), (other, turn), (other, other), (other, turn), (turn, turn)] {
            is_found(pool, pin, n);
        }
    }
}
