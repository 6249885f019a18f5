//! A client's TLS handshake: from the first byte to a connection whose bytes are in the clear, or to its end.
//!
//! All of it has one deadline. The first byte says whether it is TLS at all: who speaks HTTP is told so. A certificate
//! is chosen by the name that is asked for, which is why the hello is read on its own.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use rustls::server::{Accepted, Acceptor};
use rustls::{Error, HandshakeKind, ProtocolVersion, ServerConnection};
use tokio_rustls::StartHandshake;

use super::connection::{Client, linger};
use super::exchange;
use super::respond::PLAIN_HTTP;
use super::rewrite::write_field;
use super::worker::Worker;
use crate::net::stream::Stream;
use crate::net::tls::names::UnknownName;
use crate::net::tls::server::ServerTls;
use crate::net::tls::session::Session;
use crate::net::tls::subject;
use crate::telemetry::reasons::HandshakeEnd;

/// The type of a record with a handshake in it: the first byte of a connection that speaks TLS.
const HANDSHAKE: u8 = 22;
/// The alert `unrecognized_name` (112), fatal, as a record. (RFC 6066 section 3)
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
/// What may be spoken over TLS beside HTTP/1.1.
const HTTP2: &[u8] = b"h2";

/// What a handshake told of a client.
#[derive(Debug)]
pub struct Secured {
    /// The version: `1.2` or `1.3`.
    pub version: &'static str,
    /// The name that was asked for.
    pub name: Option<Box<str>>,
    /// Who its certificate is of, if it showed one.
    pub subject: Option<Box<str>>,
    /// Whether it goes on in HTTP/2.
    pub is_http2: bool,
    /// What the backend is told of the certificate, where those are asked for.
    pub lines: Box<[u8]>,
}

/// Why there is no session.
enum Failed {
    /// Nothing was said: a check that connects is no mistake of anybody's.
    Silent,
    /// For this reason, and with these bytes as a last word.
    So(HandshakeEnd, Vec<u8>),
}

/// Makes the handshake; `None` if the connection is over.
pub(super) async fn shake(worker: &Rc<Worker>, mut client: Client, tls: &ServerTls) -> Option<Client> {
    let door = Rc::clone(&client.door);
    client.deadline.set(door.listener.timeouts.tls_handshake);
    let live = tls.live();
    let accepted = match read_hello(worker, &mut client).await {
        Ok(accepted) => accepted,
        Err(failed) => return refuse(worker, client, failed).await,
    };
    let name: Option<Box<str>> = accepted.client_hello().server_name().map(|n| n.to_ascii_lowercase().into());
    let is_known = name.as_deref().is_some_and(|name| live.certificates.is_known(name));
    if tls.settings.unknown_name == UnknownName::Reject && !is_known {
        return refuse(worker, client, Failed::So(HandshakeEnd::UnknownName, UNRECOGNIZED_NAME.into())).await;
    }
    let start = StartHandshake::from_parts(accepted, client.stream);
    let held = &mut client.held;
    // What came behind the hello in one piece. What does not fit is too much for a handshake, which fails by it.
    let accept = start.into_stream_with(Arc::clone(&live.config), |session| {
        // A read of nothing would be taken for the end of the connection.
        while !held.is_empty()
            && let Ok(taken @ 1..) = session.read_tls(&mut held.data())
        {
            held.consume(taken);
        }
        held.release();
    });
    let mut accept = pin!(accept.into_fallible());
    let ended = poll_fn(|cx| match accept.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending => client.deadline.poll().map(|()| None),
    });
    match ended.await {
        Some(Ok(stream)) => {
            let told = Secured::of(stream.get_ref().1, name, tls.settings.clients.is_some());
            let stream = Stream::Carried(Box::new(Session::new(stream)));
            match told {
                Ok((end, told)) => {
                    door.shard.shaken(end);
                    let vouched = client.vouched.over_tls();
                    Some(Client { stream, vouched, tls: Some(Rc::new(told)), ..client })
                }
                Err(end) => refuse(worker, Client { stream, ..client }, Failed::So(end, Vec::new())).await,
            }
        }
        Some(Err((error, stream))) => {
            let failed = Failed::So(why(&error), Vec::new());
            refuse(worker, Client { stream, ..client }, failed).await
        }
        None => {
            door.shard.shaken(HandshakeEnd::Timeout);
            None
        }
    }
}

/// Reads the client's hello.
async fn read_hello(worker: &Worker, client: &mut Client) -> Result<Accepted, Failed> {
    let mut acceptor = Acceptor::default();
    let mut has_begun = false;
    poll_fn(|cx| {
        loop {
            while let Some(&first) = client.held.data().first() {
                if !std::mem::replace(&mut has_begun, true) && first != HANDSHAKE {
                    return Poll::Ready(Err(Failed::So(HandshakeEnd::NotTls, Vec::new())));
                }
                let Ok(taken) = acceptor.read_tls(&mut client.held.data()) else {
                    return Poll::Ready(Err(Failed::So(HandshakeEnd::Malformed, Vec::new())));
                };
                client.held.consume(taken);
                match acceptor.accept() {
                    Ok(Some(accepted)) => return Poll::Ready(Ok(accepted)),
                    Ok(None) => {}
                    Err((error, mut alert)) => {
                        let mut word = Vec::new();
                        // Writing to memory does not fail.
                        let _ = alert.write_all(&mut word);
                        return Poll::Ready(Err(Failed::So(of_library(&error), word)));
                    }
                }
            }
            if !has_begun && worker.closes_idle() {
                return Poll::Ready(Err(Failed::Silent));
            }
            match client.held.poll_fill(&mut client.stream, cx) {
                Poll::Ready(Ok(0) | Err(_)) if !has_begun => return Poll::Ready(Err(Failed::Silent)),
                Poll::Ready(Ok(0) | Err(_)) => {
                    return Poll::Ready(Err(Failed::So(HandshakeEnd::Closed, Vec::new())));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    let late = |()| Err(Failed::So(HandshakeEnd::Timeout, Vec::new()));
                    return client.deadline.poll().map(late);
                }
            }
        }
    })
    .await
}

/// Counts why there is no session, and says so to a client that can still be told.
async fn refuse(worker: &Rc<Worker>, mut client: Client, failed: Failed) -> Option<Client> {
    let Failed::So(end, word) = failed else { return None };
    client.door.shard.shaken(end);
    let (_, reason) = end.labels();
    tracing::debug!(listener = &*client.door.listener.name, peer = ?client.peer, reason, "no TLS session");
    match end {
        HandshakeEnd::Timeout | HandshakeEnd::Closed => return None,
        // Other protocols have no words that we could say.
        HandshakeEnd::NotTls if !client.held.data().first().is_some_and(u8::is_ascii_uppercase) => {
            return None;
        }
        HandshakeEnd::NotTls => {
            let len = client.held.len();
            exchange::refuse(worker, &mut client, PLAIN_HTTP, None, len).await;
        }
        _ if !word.is_empty() => {
            let _ = exchange::write_all(&mut client, &word).await;
        }
        _ => {}
    }
    linger(&mut client).await;
    None
}

impl Secured {
    /// What a session tells whose handshake is done, and how that ended.
    fn of(
        session: &ServerConnection,
        name: Option<Box<str>>,
        asks: bool,
    ) -> Result<(HandshakeEnd, Self), HandshakeEnd> {
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let is_13 = session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let (version, end) = match (is_13, is_resumed) {
            (true, false) => ("1.3", HandshakeEnd::Full13),
            (true, true) => ("1.3", HandshakeEnd::Resumed13),
            (false, false) => ("1.2", HandshakeEnd::Full12),
            (false, true) => ("1.2", HandshakeEnd::Resumed12),
        };
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let subject: Option<Box<str>> = match certificate {
            Some(it) => Some(subject::of(it).map_err(|_| HandshakeEnd::BadCertificate)?.into()),
            None => None,
        };
        let mut lines = Vec::new();
        if asks {
            let verified: &[u8] = if subject.is_some() { b"SUCCESS" } else { b"NONE" };
            write_field(&mut lines, "X-Client-Cert-Verify", verified);
            if let Some(subject) = &subject {
                write_field(&mut lines, "X-Client-Cert-Subject", subject.as_bytes());
            }
        }
        let is_http2 = session.alpn_protocol() == Some(HTTP2);
        Ok((end, Self { version, name, subject, is_http2, lines: lines.into() }))
    }
}

/// Why a handshake failed.
fn why(error: &io::Error) -> HandshakeEnd {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).map_or(HandshakeEnd::Closed, of_library)
}

const fn of_library(error: &Error) -> HandshakeEnd {
    match error {
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => HandshakeEnd::Incompatible,
        Error::NoCertificatesPresented => HandshakeEnd::NoCertificate,
        Error::InvalidCertificate(_) => HandshakeEnd::BadCertificate,
        Error::AlertReceived(_) => HandshakeEnd::Refused,
        _ => HandshakeEnd::Malformed,
    }
}
