//! Where a request's story goes: this worker's counters, and its access log.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::connection::Client;
use super::handshake::Secured;
use super::request::Request;
use super::respond;
use super::story::Story;
use super::vouched::Vouched;
use crate::affinity::Why;
use crate::base::ip_text::IpText;
use crate::message::head::Version;
use crate::snapshot::Listener;
use crate::telemetry::access_line::Entry;
use crate::telemetry::access_log::AccessLogger;
use crate::telemetry::shards::Shard;

/// The affinity reasons as (result, reason), in the order of [`Why::ALL`].
pub const AFFINITY: [(&str, &str); Why::ALL.len()] = {
    let mut all = [("", ""); Why::ALL.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = (Why::ALL[i].result(), Why::ALL[i].as_str());
        i += 1;
    }
    all
};

const HTTP_2: &str = "HTTP/2.0";

/// One worker's records.
#[derive(Debug)]
pub struct Record {
    shard: Arc<Shard>,
    logger: Option<RefCell<AccessLogger>>,
}

impl Record {
    /// Counts into `shard`; logs if there is a logger.
    #[must_use]
    pub fn new(shard: Arc<Shard>, logger: Option<AccessLogger>) -> Self {
        Self { shard, logger: logger.map(RefCell::new) }
    }

    /// Hands finished lines to the writer.
    pub fn flush(&self) {
        if let Some(logger) = &self.logger {
            logger.borrow_mut().flush();
        }
    }

    /// A panic ended a connection.
    pub fn panicked(&self) {
        self.shard.panicked();
    }

    /// A request was refused before a pool was found.
    pub fn refused(&self, reason: &str) {
        if let Some(place) = respond::REFUSALS.iter().position(|r| *r == reason) {
            self.shard.refused(place);
        }
    }

    /// A request that came by HTTP/2 was refused by the reset of its stream: it has no client who could be answered.
    #[cold]
    pub fn reset(&self, story: &Story, listener: &Listener, vouched: &Vouched, tls: Option<&Secured>) {
        self.refused(story.reason.unwrap_or_default());
        let Some(logger) = &self.logger else { return };
        let mut entry = Entry {
            ts_ms: u64::try_from(since_1970().as_millis()).unwrap_or_default(),
            id: &story.id,
            client_ip: vouched.address(),
            peer_ip: vouched.address(),
            listener: &listener.name,
            proto: HTTP_2,
            status: story.status,
            affinity: story.why.result(),
            reason: story.why.as_str(),
            end: story.end,
            tls: tls.map(|tls| tls.version),
            sni: tls.and_then(|tls| Some(tls.name.as_ref()?.as_bytes())),
            ..Entry::default()
        };
        (entry.method, entry.path, entry.query) = method_and_target(&story.line);
        logger.borrow_mut().log(&entry);
    }

    /// One request is over.
    pub fn finish(&self, story: &Story, request: Option<&Request>, client: &Client) {
        let took = story.began.elapsed();
        match request {
            None => self.refused(story.reason.unwrap_or_default()),
            Some(request) => {
                let pool = &*request.pool.shard;
                pool.finished(story.status, micros(took), story.bytes_in, story.bytes_out);
                pool.affinity(story.why as usize);
                (1..story.tries).for_each(|_| pool.retried());
                (0..story.replays).for_each(|_| pool.replayed());
            }
        }
        if let Some(logger) = &self.logger {
            // Only a trusted peer tells of another client than itself.
            let told = request.and_then(|r| r.client).or_else(|| story.asked.as_ref()?.client);
            let other = told.filter(|ip| Some(*ip) != client.peer).map(IpText::of);
            let peer = client.vouched.address();
            let who = other.as_ref().map_or(peer, IpText::as_bytes);
            let mut entry = Self::entry(story, request, client, took);
            (entry.client_ip, entry.peer_ip) = (who, peer);
            logger.borrow_mut().log(&entry);
        }
    }

    /// All but the addresses.
    fn entry<'a>(
        story: &'a Story,
        request: Option<&'a Request>,
        client: &'a Client,
        took: Duration,
    ) -> Entry<'a> {
        let ended = since_1970();
        let named = request.map(|r| r.part(&r.id)).filter(|id| !id.is_empty());
        let mut entry = Entry {
            ts_ms: u64::try_from(ended.saturating_sub(took).as_millis()).unwrap_or_default(),
            id: named.unwrap_or(&story.id),
            listener: &client.door.listener.name,
            status: story.status,
            bytes_in: story.bytes_in,
            bytes_out: story.bytes_out,
            dur: micros(took),
            tries: u8::try_from(story.tries).unwrap_or(u8::MAX),
            t_wait: Some(story.waited).filter(|d| !d.is_zero()).map(micros),
            t_connect: story.connect.map(micros),
            t_first_byte: story.first_byte.map(micros),
            conn_reused: story.reused,
            affinity: story.why.result(),
            reason: story.why.as_str(),
            end: story.end,
            tls: client.tls.as_ref().map(|tls| tls.version),
            sni: client.tls.as_ref().and_then(|tls| Some(tls.name.as_ref()?.as_bytes())),
            ..Entry::default()
        };
        let Some(request) = request else {
            (entry.method, entry.path, entry.query) = method_and_target(&story.line);
            entry.proto = if client.is_http2 { HTTP_2 } else { "" };
            if let Some(asked) = &story.asked {
                entry.host = asked.host.as_bytes();
                entry.proto = proto(client, asked.version);
                entry.ua = Some(&*asked.user_agent).filter(|v| !v.is_empty());
                entry.referer = Some(&*asked.referer).filter(|v| !v.is_empty());
            }
            return entry;
        };
        entry.method = request.part(&request.method);
        entry.host = request.part(&request.host);
        entry.path = request.part(&request.path);
        entry.query = request.head.get(request.path.end + 1..request.target.end);
        if let Some(asked) = &request.asked {
            (entry.path, entry.query) = path_and_query(asked);
        }
        entry.proto = proto(client, request.version);
        entry.pool = Some(&request.pool.pool.name);
        entry.ua = Some(request.part(&request.user_agent)).filter(|v| !v.is_empty());
        entry.referer = Some(request.part(&request.referer)).filter(|v| !v.is_empty());
        if let Some(ix) = story.backend {
            let backend = request.pool.pool.members.get(ix);
            entry.backend = Some(backend.id.as_str());
            entry.backend_addr = Some(&backend.address_text);
        }
        entry
    }
}

const fn proto(client: &Client, version: Version) -> &'static str {
    match (client.is_http2, version) {
        (true, _) => HTTP_2,
        (false, Version::Http10) => "HTTP/1.0",
        (false, Version::Http11) => "HTTP/1.1",
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Method, path and query of a first line, as far as it has them.
fn method_and_target(line: &str) -> (&[u8], &[u8], Option<&[u8]>) {
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().as_bytes();
    let (path, query) = path_and_query(words.next().unwrap_or_default());
    (method, path, query)
}

fn path_and_query(target: &str) -> (&[u8], Option<&[u8]>) {
    match target.split_once('?') {
        Some((path, query)) => (path.as_bytes(), Some(query.as_bytes())),
        None => (target.as_bytes(), None),
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()))
}
