//! A small HTTP/1.1 client: one connection, one request after the other, from an address of one's choice. It tells apart
//! how a request failed. TLS is left out: what is measured is routing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The largest head and body, in bytes.
const LARGEST: usize = 1 << 20;
/// Fields of a head.
const FIELDS: usize = 64;
/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Nobody accepts.
    Refused,
    /// The connection ended before the answer's head was whole.
    Reset,
    /// It ended within the answer's body.
    Cut,
    /// It took too long.
    Timeout,
    /// What came is not HTTP.
    Nonsense,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The values of its `Set-Cookie` fields.
    pub(super) cookies: Vec<String>,
    pub(super) body: Vec<u8>,
    /// It is the answer to a second try, ours or the balancer's.
    pub(super) is_retried: bool,
}

/// A kept-open connection; opened when it is needed.
#[derive(Debug)]
pub(super) struct Connection {
    to: SocketAddr,
    from: Option<IpAddr>,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What a head says of the message.
struct Head {
    length: usize,
    status: u16,
    body: Body,
    keeps: bool,
    cookies: Vec<String>,
    is_retried: bool,
}

#[derive(Clone, Copy)]
enum Body {
    Length(usize),
    Chunked,
    UntilEnd,
}

impl Connection {
    pub(super) const fn new(to: SocketAddr, from: Option<IpAddr>) -> Self {
        Self { to, from, stream: None, buffer: Vec::new() }
    }

    /// Whom it goes to, and from where; another place closes it.
    pub(super) fn turn_to(&mut self, to: SocketAddr, from: Option<IpAddr>) {
        if (self.to, self.from) != (to, from) {
            (self.to, self.from, self.stream) = (to, from, None);
        }
    }

    pub(super) fn close(&mut self) {
        self.stream = None;
    }

    /// Sends a request and reads its answer. On a kept connection that turns out to be closed, what may be repeated is
    /// sent once more on a new one, as browsers do.
    ///
    /// # Errors
    /// There is no whole answer.
    pub(super) async fn ask(
        &mut self,
        request: &[u8],
        within: Duration,
        may_repeat: bool,
    ) -> Result<Reply, Fault> {
        let asked = tokio::time::timeout(within, async {
            let is_kept = self.is_open();
            match self.exchange(request).await {
                Err(Fault::Reset) if is_kept && may_repeat => {
                    self.stream = None;
                    self.exchange(request).await.map(|reply| Reply { is_retried: true, ..reply })
                }
                asked => asked,
            }
        })
        .await
        .unwrap_or(Err(Fault::Timeout));
        if asked.is_err() {
            self.stream = None;
        }
        asked
    }

    /// Whether it is open; what has come in unasked, or its end, closes it.
    fn is_open(&mut self) -> bool {
        let quiet = self.stream.as_ref().is_some_and(
            |stream| matches!(stream.try_read(&mut [0; 1]), Err(e) if e.kind() == io::ErrorKind::WouldBlock),
        );
        if !quiet {
            self.stream = None;
        }
        quiet
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Reply, Fault> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.to, self.from).await?,
        };
        stream.write_all(request).await.map_err(|_| Fault::Reset)?;
        self.buffer.clear();
        let head = loop {
            match head(&self.buffer)? {
                // An interim answer: the real one follows.
                Some(head) if head.status < 200 => drop(self.buffer.drain(..head.length)),
                Some(head) => break head,
                None => more(&mut stream, &mut self.buffer, Fault::Reset).await?,
            }
        };
        let body = loop {
            let rest = self.buffer.get(head.length..).unwrap_or_default();
            match head.body {
                Body::Length(length) if rest.len() >= length => {
                    break rest.get(..length).unwrap_or_default().to_vec();
                }
                Body::Chunked => {
                    if let Some(body) = unchunked(rest)? {
                        break body;
                    }
                }
                Body::Length(_) | Body::UntilEnd => {}
            }
            match more(&mut stream, &mut self.buffer, Fault::Cut).await {
                Err(Fault::Cut) if matches!(head.body, Body::UntilEnd) => {
                    break self.buffer.get(head.length..).unwrap_or_default().to_vec();
                }
                read => read?,
            }
        };
        if head.keeps {
            self.stream = Some(stream);
        }
        Ok(Reply { status: head.status, cookies: head.cookies, body, is_retried: head.is_retried })
    }
}

async fn connect(to: SocketAddr, from: Option<IpAddr>) -> Result<TcpStream, Fault> {
    let made = async {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    match tokio::time::timeout(CONNECT, made).await {
        Err(_) => Err(Fault::Timeout),
        Ok(made) => made.map_err(|_| Fault::Refused),
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>, at_end: Fault) -> Result<(), Fault> {
    if buffer.len() > LARGEST {
        return Err(Fault::Nonsense);
    }
    buffer.reserve(4096);
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => Err(at_end),
        Ok(_) => Ok(()),
    }
}

fn head(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Fault::Nonsense),
    };
    let status = response.code.unwrap_or_default();
    let mut head = Head {
        length,
        status,
        body: Body::UntilEnd,
        keeps: response.version == Some(1),
        cookies: Vec::new(),
        is_retried: false,
    };
    for field in response.headers.iter() {
        let value = String::from_utf8_lossy(field.value);
        match field.name.to_ascii_lowercase().as_str() {
            "content-length" if !matches!(head.body, Body::Chunked) => {
                head.body = Body::Length(value.trim().parse().map_err(|_| Fault::Nonsense)?);
            }
            "transfer-encoding" if value.to_ascii_lowercase().contains("chunked") => {
                head.body = Body::Chunked
            }
            "connection" if value.to_ascii_lowercase().contains("close") => head.keeps = false,
            // homing tells so where the pin's backend could not be reached.
            "x-homing-affinity" => head.is_retried = value.contains("unreachable"),
            "set-cookie" => head.cookies.push(value.into_owned()),
            _ => {}
        }
    }
    if matches!(status, 100..=199 | 204 | 304) {
        head.body = Body::Length(0);
    }
    head.keeps &= !matches!(head.body, Body::UntilEnd);
    Ok(Some(head))
}

/// A whole chunked body; `None` if it is not whole yet.
fn unchunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Fault::Nonsense),
            Ok(httparse::Status::Complete((at, 0))) => {
                let trailer = rest.get(at..).unwrap_or_default();
                let ends = trailer.starts_with(b"\r\n") || trailer.windows(4).any(|w| w == b"\r\n\r\n");
                return Ok(ends.then_some(body));
            }
            Ok(httparse::Status::Complete((at, size))) => {
                let size = usize::try_from(size).map_err(|_| Fault::Nonsense)?;
                if size > LARGEST {
                    return Err(Fault::Nonsense);
                }
                let Some(chunk) = rest.get(at..at + size + 2) else { return Ok(None) };
                body.extend_from_slice(chunk.get(..size).unwrap_or_default());
                rest = rest.get(at + size + 2..).unwrap_or_default();
            }
        }
    }
}

/// A request's bytes.
pub(super) fn request(
    method: &str,
    path: &str,
    host: &str,
    fields: &[(&str, &str)],
    body: Option<&str>,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    match body {
        Some(body) => {
            text.push_str(&format!(
                "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
        None if method == "POST" => text.push_str("content-length: 0\r\n\r\n"),
        None => text.push_str("\r\n"),
    }
    text.into_bytes()
}

/// One request on a connection of its own.
///
/// # Errors
/// There is no whole answer.
pub(super) async fn once(to: SocketAddr, request: &[u8], within: Duration) -> Result<Reply, Fault> {
    Connection::new(to, None).ask(request, within, false).await
}

impl Fault {
    /// Its name in results.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Cut => "cut",
            Self::Timeout => "timeout",
            Self::Nonsense => "nonsense",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_far_as_they_matter() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\r\nok";
        for cut in 0..whole.len() - 2 {
            assert!(head(&whole[..cut]).unwrap().is_none(), "{cut}");
        }
        let read = head(whole).unwrap().unwrap();
        assert_eq!((read.status, read.keeps, read.length), (200, true, whole.len() - 2));
        assert_eq!(read.cookies, ["a=1", "b=2"]);
        let read = head(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap().unwrap();
        assert!(matches!(read.body, Body::Length(0)) && !read.keeps);
        assert!(matches!(head(b"nonsense\r\n\r\n"), Err(Fault::Nonsense)));
    }

    #[test]
    fn chunks_are_joined_once_they_are_whole() {
        let whole = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(unchunked(&whole[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(unchunked(whole).unwrap().unwrap(), b"abcde");
        assert!(unchunked(b"zz\r\n").is_err());
    }
}
