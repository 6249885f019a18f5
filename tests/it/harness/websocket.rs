//! Both ends of a WebSocket that goes through homing, in the hands of one test.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::{Homing, LIMIT, homing, open, read_reply};

const ASK: &str =
    "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// The first byte of a whole text message, of its first fragment, of its last, and of a Close.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BEGINS: u8 = 0x01;
pub(crate) const GOES_ON: u8 = 0x80;
pub(crate) const CLOSE: u8 = 0x88;

/// One end.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    held: Vec<u8>,
    /// What it masks with, as clients do.
    mask: Option<[u8; 4]>,
}

/// A frame as it was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) is_masked: bool,
    pub(crate) payload: Vec<u8>,
}

/// A homing before one backend, and where that accepts.
pub(crate) fn homing_for_tunnels() -> (Homing, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pool = format!("backends = [\"{}\"]", listener.local_addr().unwrap());
    (homing(&[]).pool(&pool).run(), listener)
}

/// A client's end of a WebSocket at this address, asked for with these fields more.
pub(crate) fn connect(address: SocketAddr, path: &str, more: &str) -> Peer {
    let mut stream = open(address);
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let fields = format!("Host: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}{more}");
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{fields}\r\n").as_bytes()).unwrap();
    let mut held = Vec::new();
    assert_eq!(read_reply(&mut stream, &mut held, true).status, 101);
    Peer { stream, held, mask: Some([0x37, 0xfa, 0x21, 0x3d]) }
}

/// A tunnel: the client's end and the backend's.
pub(crate) fn tunnel(homing: &Homing, listener: &TcpListener) -> (Peer, Peer) {
    let mut client = open(homing.address);
    client.write_all(ASK.as_bytes()).unwrap();
    let (mut backend, _) = listener.accept().unwrap();
    backend.set_read_timeout(Some(LIMIT)).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        backend.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    backend.write_all(SWITCH).unwrap();
    let mut held = Vec::new();
    assert_eq!(read_reply(&mut client, &mut held, true).status, 101);
    let client = Peer { stream: client, held, mask: Some([0x37, 0xfa, 0x21, 0x3d]) };
    (client, Peer { stream: backend, held: Vec::new(), mask: None })
}

impl Frame {
    /// Whether it is a Close with this status.
    pub(crate) fn closes_with(&self, status: u16) -> bool {
        self.first == CLOSE && self.payload == status.to_be_bytes()
    }
}

impl Peer {
    /// The bytes of a frame as this end sends it.
    pub(crate) fn bytes(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut out = vec![first];
        match payload.len() {
            n @ 0..=125 => out.push(masked | n as u8),
            n @ 126..=0xffff => out.extend([&[masked | 126][..], &(n as u16).to_be_bytes()].concat()),
            n => out.extend([&[masked | 127][..], &(n as u64).to_be_bytes()].concat()),
        }
        out.extend(self.mask.into_iter().flatten());
        let mask = self.mask.unwrap_or_default();
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.write(&self.bytes(first, payload));
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame, or nothing if the connection ends at a border.
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        let first = self.take(1)?;
        let length = self.take(1).unwrap()[0];
        let size = match length & 0x7f {
            126 => self.number(2),
            127 => self.number(8),
            n => u64::from(n),
        };
        let is_masked = length & 0x80 != 0;
        let mask = if is_masked { self.take(4).unwrap() } else { vec![0; 4] };
        let payload = self.take(usize::try_from(size).unwrap()).expect("a frame was cut");
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        Some(Frame { first: first[0], is_masked, payload })
    }

    /// Waits until so many bytes have come that no frame was made of.
    pub(crate) fn await_bytes(&mut self, n: usize) {
        let bytes = self.take(n).unwrap();
        self.held.splice(0..0, bytes);
    }

    /// Whether the other end is still there, without having sent anything more.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let read = self.stream.read(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        self.held.is_empty() && read.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.take(bytes).unwrap().iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }

    /// So many bytes, or nothing if the connection ended ahead of them.
    fn take(&mut self, n: usize) -> Option<Vec<u8>> {
        let mut piece = [0; 16 * 1024];
        while self.held.len() < n {
            match self.stream.read(&mut piece) {
                Ok(0) => {
                    assert!(self.held.is_empty(), "ended within a frame");
                    return None;
                }
                Ok(got) => self.held.extend_from_slice(&piece[..got]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
        Some(self.held.drain(..n).collect())
    }
}
