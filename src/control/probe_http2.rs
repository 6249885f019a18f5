//! Probes over HTTP/2: a request, and gRPC's health service.
//!
//! That service is two small messages, which are written here by hand: a request with the name of a service in field 1,
//! an answer with a number in field 1. (<https://grpc.io/docs/guides/health-checking/>)

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Frame;
use tokio::task::JoinSet;

use super::admin::route::decode;
use super::checker::{Bad, Good, Stream};

/// Largest answer of the health service that is read, bytes.
const LARGEST: usize = 1024;
/// Longest message of a service that is told, characters.
const LONGEST_MESSAGE: usize = 200;
/// What a service is told by that serves; 0, 2 and 3 are others.
const SERVING: u64 = 1;
const STATES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// An answer's body, with the connection that it comes by.
pub(super) struct Body {
    stream: RecvStream,
    _connection: Connection,
}

/// The task that reads and writes frames, ended with the probe.
pub(super) struct Connection {
    _driver: JoinSet<()>,
}

impl Body {
    pub(super) fn new((stream, connection): (RecvStream, Connection)) -> Self {
        Self { stream, _connection: connection }
    }

    /// A whole body of at most `most` bytes, and its trailers.
    async fn read(mut self, most: usize) -> Result<(Bytes, HeaderMap), Bad> {
        let mut whole = BytesMut::new();
        while let Some(data) = self.stream.data().await {
            let data = data?;
            if whole.len() + data.len() > most {
                return Err(Bad::Grpc("the answer is too long".to_owned()));
            }
            self.stream.flow_control().release_capacity(data.len())?;
            whole.extend_from_slice(&data);
        }
        Ok((whole.freeze(), self.stream.trailers().await?.unwrap_or_default()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let data = ready!(self.stream.poll_data(cx));
        Poll::Ready(data.map(|data| {
            let data = data?;
            self.stream.flow_control().release_capacity(data.len())?;
            Ok(Frame::data(data))
        }))
    }
}

/// Sends a request with an absolute path and a Host field on a fresh connection.
pub(super) async fn ask(
    stream: Box<dyn Stream>,
    mut request: Request<()>,
    is_secure: bool,
    body: Option<Bytes>,
) -> Result<Response<(RecvStream, Connection)>, Bad> {
    let invalid = |e: http::Error| Bad::Probe(e);
    let host = request.headers_mut().remove(header::HOST);
    request.headers_mut().remove(header::CONNECTION);
    let authority = host.as_ref().map_or(b"localhost".as_slice(), HeaderValue::as_bytes);
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    *request.uri_mut() = Uri::builder()
        .scheme(if is_secure { "https" } else { "http" })
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(invalid)?;
    let mut builder = h2::client::Builder::new();
    let (sender, connection) = builder.enable_push(false).handshake::<_, Bytes>(stream).await?;
    let driver = async move {
        let _ = connection.await;
    };
    let mut set = JoinSet::new();
    set.spawn(driver);
    let connection = Connection { _driver: set };
    let mut sender = sender.ready().await?;
    let (response, mut upload) = sender.send_request(request, body.is_none())?;
    if let Some(body) = body {
        upload.send_data(body, true)?;
    }
    Ok(response.await?.map(|stream| (stream, connection)))
}

/// Asks the health service of a backend whether `service` serves.
pub(super) async fn check(
    stream: Box<dyn Stream>,
    host: &str,
    service: &str,
    is_secure: bool,
) -> Result<Good, Bad> {
    let invalid = |e: http::Error| Bad::Probe(e);
    let request = Request::builder()
        .method(Method::POST)
        .uri("/grpc.health.v1.Health/Check")
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(())
        .map_err(invalid)?;
    let answer = ask(stream, request, is_secure, Some(question(service))).await?;
    let (parts, body) = answer.into_parts();
    if parts.status != StatusCode::OK {
        return Err(Bad::Status(parts.status));
    }
    let (body, trailers) = Body::new(body).read(LARGEST).await?;
    // An answer without a message has what it has to say in its head.
    let told =
        |name: &str| trailers.get(name).or_else(|| parts.headers.get(name)).and_then(|v| v.to_str().ok());
    match told("grpc-status") {
        Some("0") => {}
        None => return Err(Bad::Grpc("no grpc-status".to_owned())),
        Some(status) => {
            let message = told("grpc-message").map(message).unwrap_or_default();
            return Err(Bad::Grpc(format!("grpc-status {status} {message}").trim_end().to_owned()));
        }
    }
    match state(&body) {
        Some(SERVING) => Ok(Good::Serving),
        Some(other) => {
            let name = usize::try_from(other).ok().and_then(|n| STATES.get(n));
            Err(Bad::Grpc(name.map_or_else(|| format!("state {other}"), |name| (*name).to_owned())))
        }
        None => Err(Bad::Grpc("the answer is no health message".to_owned())),
    }
}

/// A message as it was before it was percent-encoded, fit to be told: on one line, and not without end.
fn message(text: &str) -> String {
    let decoded = decode(text).unwrap_or_else(|| text.to_owned());
    let told = decoded.chars().map(|c| if c.is_control() { ' ' } else { c });
    told.take(LONGEST_MESSAGE).collect()
}

/// A `HealthCheckRequest` with the five bytes before it.
fn question(service: &str) -> Bytes {
    // A length of one byte: the configuration allows no longer names.
    let message = match u8::try_from(service.len()) {
        Ok(n @ 1..) => [&[0x0a, n], service.as_bytes()].concat(),
        Ok(0) | Err(_) => Vec::new(),
    };
    let length = u32::try_from(message.len()).unwrap_or_default().to_be_bytes();
    Bytes::from([&[0], length.as_slice(), &message].concat())
}

/// The state in a `HealthCheckResponse`: the last field 1, 0 if there is none.
fn state(frame: &[u8]) -> Option<u64> {
    let (head, mut message) = frame.split_at_checked(5)?;
    let length = head.strip_prefix(&[0])?.first_chunk().map(|n| u32::from_be_bytes(*n))?;
    if usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let mut state = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut message)?;
                state = if tag >> 3 == 1 { value } else { state };
            }
            2 => {
                let n = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(n..)?;
            }
            1 => message = message.get(8..)?,
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(state)
}

fn varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_as_protobuf_writes_it() {
        assert_eq!(&*question(""), b"\0\0\0\0\0");
        assert_eq!(&*question("a.B"), b"\0\0\0\0\x05\x0a\x03a.B");
    }

    #[test]
    fn messages_are_told_as_they_were() {
        for (text, expected) in [
            ("a%20b%C3%a4", "a b\u{e4}"),
            ("100 % %zz %2", "100 % %zz %2"),
            ("a%0Ab%1b[1m", "a b [1m"),
            ("", ""),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
        assert_eq!(message(&"%20".repeat(1000)).len(), LONGEST_MESSAGE);
    }

    #[test]
    fn states_are_read_and_anything_else_is_refused() {
        let table: [(&[u8], Option<u64>); 9] = [
            (b"\0\0\0\0\x02\x08\x01", Some(1)),
            (b"\0\0\0\0\x02\x08\x02", Some(2)),
            (b"\0\0\0\0\0", Some(0)),
            (b"\0\0\0\0\x06\x12\x02ab\x08\x01", Some(1)),
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x03\x08\x01", None),
            (b"\0\0\0\0\x02\x08\x81", None),
            (b"\0\0\0", None),
            (b"\0\0\0\0\x04\x12\x09ab", None),
        ];
        for (frame, expected) in table {
            assert_eq!(state(frame), expected, "{frame:?}");
        }
    }
}
