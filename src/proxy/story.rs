//! What happened to one request, as the access log and the metrics will tell it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::request_id::Digits;
use super::respond::Own;
use crate::affinity::Why;
use crate::backend::BackendIx;
use crate::message::head::Version;

/// One request's story. Filled in on the way, recorded once.
#[derive(Debug)]
pub struct Story {
    /// When its head was whole.
    pub began: Instant,
    /// What it is called, unless a trusted proxy has given it a name.
    pub id: Digits,
    /// The status sent, or what a stream that was reset for its client's error would have had; 0 if there is none.
    pub status: u16,
    /// The reason for the choice.
    pub why: Why,
    /// The reason word of an answer of our own.
    pub reason: Option<&'static str>,
    /// Who ended it and where: `ok`, `client.request`, `backend.body`, ..
    pub end: &'static str,
    /// The backend that answered or failed last.
    pub backend: Option<BackendIx>,
    /// Backends tried.
    pub tries: u32,
    /// Requests sent again on a fresh connection to the same backend.
    pub replays: u32,
    /// What the last backend that failed would have been answered with.
    pub lost: Option<Own>,
    /// How long it waited for a full or lost backend.
    pub waited: Duration,
    /// How long connecting took.
    pub connect: Option<Duration>,
    /// Until the answer's head.
    pub first_byte: Option<Duration>,
    /// Whether a kept connection was used.
    pub reused: bool,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer.
    pub bytes_out: u64,
    /// The first line of a request that was refused, as far as it is text.
    pub line: String,
    /// What else is known of one that was well-formed. In a box, for it is seldom.
    pub asked: Option<Box<Asked>>,
}

/// A well-formed request that no pool was asked for.
#[derive(Debug)]
pub struct Asked {
    /// Its client, where a trusted proxy tells of another than itself.
    pub client: Option<IpAddr>,
    /// Its version.
    pub version: Version,
    /// The host that it was for.
    pub host: Box<str>,
    /// Its User-Agent; empty if it has none.
    pub user_agent: Box<[u8]>,
    /// The same of its Referer.
    pub referer: Box<[u8]>,
}

impl Story {
    /// A story that begins now.
    #[must_use]
    pub const fn new(began: Instant, id: Digits) -> Self {
        Self {
            began,
            id,
            status: 0,
            why: Why::Bypass,
            reason: None,
            end: "ok",
            backend: None,
            tries: 0,
            replays: 0,
            lost: None,
            waited: Duration::ZERO,
            connect: None,
            first_byte: None,
            reused: false,
            bytes_in: 0,
            bytes_out: 0,
            line: String::new(),
            asked: None,
        }
    }

    /// homing answered itself.
    pub fn own(&mut self, own: Own) {
        self.status = own.status;
        self.reason = Some(own.reason);
        self.end = own.reason;
    }

    /// The request was refused: its line is kept, up to 256 bytes.
    pub fn refused(&mut self, head: &[u8], own: Own) {
        let line = head.split(|&b| b == b'\r').next().unwrap_or_default();
        self.line = String::from_utf8_lossy(line.get(..256).unwrap_or(line)).into_owned();
        self.own(own);
    }
}
