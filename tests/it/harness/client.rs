//! Clients: raw bytes, or requests with a cookie jar.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::LIMIT;

/// A reply, or as much of one as came before the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the connection ended by a reset, or before the message did.
    pub(crate) is_cut: bool,
}

/// A client that keeps cookies.
pub(crate) struct Client {
    address: SocketAddr,
    jar: Vec<(String, String)>,
}

impl Reply {
    /// The values of a field.
    pub(crate) fn fields(&self, name: &str) -> Vec<String> {
        let is = |line: &&str| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.head.lines().skip(1).filter(is).map(|l| l.split_once(':').unwrap().1.trim().to_owned()).collect()
    }

    /// The only value of a field, or nothing.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut all = self.fields(name);
        assert!(all.len() <= 1, "{name} stands {} times in\n{}", all.len(), self.head);
        all.pop()
    }

    /// Which backend answered.
    pub(crate) fn served_by(&self) -> String {
        self.field("x-backend").unwrap_or_else(|| panic!("no backend answered:\n{}", self.head))
    }

    /// The reason for the choice.
    pub(crate) fn why(&self) -> String {
        self.field("x-homing-affinity").unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {}{}", self.head, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, jar: Vec::new() }
    }

    /// The same client, coming to another node.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { address, jar: self.jar.clone() }
    }

    /// Where it comes to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The cookie of this name.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    }

    /// Sets a cookie by hand.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.jar.retain(|(n, _)| n != name);
        self.jar.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.request("GET", path)
    }

    pub(crate) fn request(&mut self, method: &str, path: &str) -> Reply {
        let reply = exchange(self.address, self.bytes(method, path).as_bytes());
        self.learn(&reply);
        reply
    }

    /// The bytes of a request with the cookies of the jar.
    pub(crate) fn bytes(&self, method: &str, path: &str) -> String {
        let cookies: Vec<String> = self.jar.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let line =
            if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        format!("{method} {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: t\r\n{line}Connection: close\r\n\r\n")
    }

    /// Takes the cookies of a reply into the jar.
    pub(crate) fn learn(&mut self, reply: &Reply) {
        for value in reply.fields("set-cookie") {
            let pair = value.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.set(name, value);
        }
    }
}

/// Opens a connection with a limit on every read.
pub(crate) fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Sends bytes on a new connection and reads one reply.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut stream = open(address);
    let _ = stream.write_all(bytes);
    read_reply(&mut stream, &mut Vec::new(), !bytes.starts_with(b"HEAD "))
}

/// A GET without cookies.
pub(crate) fn get(address: SocketAddr, path: &str) -> Reply {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes())
}

/// Reads one final reply; `held` keeps what came behind it.
pub(crate) fn read_reply(stream: &mut impl Read, held: &mut Vec<u8>, has_body: bool) -> Reply {
    let mut reply = Reply::default();
    let end = loop {
        if let Some(at) = held.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if !more(stream, held) {
            reply.is_cut = true;
            return reply;
        }
    };
    reply.head = String::from_utf8(held.drain(..end).collect()).unwrap();
    reply.status = reply.head[9..12].parse().unwrap();
    let length = reply.field("content-length").map(|l| l.parse::<usize>().unwrap());
    let is_chunked = reply.field("transfer-encoding").is_some();
    if !has_body || matches!(reply.status, 101 | 103 | 204 | 304 | 100) {
        return reply;
    }
    if is_chunked {
        return read_chunked(stream, held, reply);
    }
    loop {
        if length.is_some_and(|n| held.len() >= n) {
            reply.body = held.drain(..length.unwrap()).collect();
            return reply;
        }
        if !more(stream, held) {
            reply.is_cut = length.is_some();
            reply.body = std::mem::take(held);
            return reply;
        }
    }
}

fn read_chunked(stream: &mut impl Read, held: &mut Vec<u8>, mut reply: Reply) -> Reply {
    loop {
        let Some(line) = held.windows(2).position(|w| w == b"\r\n") else {
            if more(stream, held) {
                continue;
            }
            reply.is_cut = true;
            return reply;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&held[..line]).unwrap(), 16).unwrap();
        while held.len() < line + 2 + size + 2 {
            if !more(stream, held) {
                reply.is_cut = true;
                return reply;
            }
        }
        if size == 0 {
            held.drain(..line + 4);
            return reply;
        }
        reply.body.extend_from_slice(&held[line + 2..line + 2 + size]);
        held.drain(..line + 2 + size + 2);
    }
}

fn more(stream: &mut impl Read, held: &mut Vec<u8>) -> bool {
    let mut piece = [0; 16 * 1024];
    match stream.read(&mut piece) {
        Ok(0) => false,
        Ok(n) => {
            held.extend_from_slice(&piece[..n]);
            true
        }
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came in {LIMIT:?}"),
        Err(_) => false,
    }
}
