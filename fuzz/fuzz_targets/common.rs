//! What each target does with its bytes, and what must hold of the outcome. No fuzzer is needed to run it:
//! `tests/fuzz_corpus.rs` replays the corpora through the same functions.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "every target uses one function of this file, and a panic is a finding"
)]

use std::net::IpAddr;
use std::path::Path;
use std::pin::{Pin as Pinned, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use homing::affinity::attributes::Attributes;
use homing::affinity::cookie::{CookieAffinity, CookieSettings, Stripped, Style as CookieStyle};
use homing::affinity::opened::OpenedCache;
use homing::affinity::seal::{Aad, Scratch, SealKeys};
use homing::affinity::table::{Bounds, Cursor, Seeds, Table, Times};
use homing::affinity::{Pin, Session, Why};
use homing::backend::availability::{AdminState, Availability, Health, Leaving};
use homing::backend::members::{BackendSet, Members};
use homing::backend::{Backend, BackendIx};
use homing::base::hash::hash64;
use homing::base::time::UnixSeconds;
use homing::config::diagnostic::Style;
use homing::config::{self, Environment};
use homing::message::chunked::{Decoder, Malformed, Step};
use homing::message::field::{Name, is_token_byte};
use homing::message::framing::{Framing, Lengths};
use homing::message::head::{self, Fault, Search, Version};
use homing::message::host;
use homing::net::proxy_header::{self, Malformed as NoHeader};
use homing::pool::Pool;
use homing::pool::choose::{Choice, Patience, Pickers, Question};
use homing::pool::policy::Panic;
use homing::pool::standing::Standing;
use homing::proxy::facts::parse_forwarded;
use homing::proxy::http2::dry::{Dry, Heard};
use homing::proxy::http2::{Form, PREFACE};
use homing::store::form;
use homing::strategy::{Registry, RequestFacts};

/// The key of the pins in the corpora, and of nothing else.
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// When those pins are looked at.
pub const NOW: UnixSeconds = UnixSeconds(1_800_000_600);
/// All pins that were ever sealed with [`KEY`] for the pool `app` and the cookie `srv`: to `a`, to `b`, to a backend
/// that is gone, and to `a` long ago.
pub const SEALED: [&str; 4] = [
    "AZ8VplXGJLTPTpzyYK-SV_RqlSkHcRgy3Pw3lBsk1DRJb4SlmjIesGykuzo-n1RgxR45o9dpsjiMtyVJGCx5Og",
    "AZ8VQ3U69HuJXfaOEnRoZaQI7VlRz1M5n1p6R72Myjp2wFtYiN2KuekbezcxwJggQIMKXz1Dwsedje5JH6Gm5g",
    "AZ8Vr4Ob458kAk-NtbkMEJvky9SUZHOyC6I70sD-FYPUwcwHzdx8aWP2ByihtRo5PwEWHtUm2WwClzNOzYMJ4YG7KQ",
    "AZ8Vk5b9UyQ8Ged_hfyihwyU2ksiEHXpKSaq00Dcu6qiVgyn1DavrchjJFacCDx_4ptjgvqaim86t4GeK1JaKg",
];

/// Bytes that a fuzzer may spend on one run.
const MOST: usize = 64 << 10;

/// Heads: the end is the same however the bytes arrive, and what is parsed cannot be read in two ways.
pub fn admission(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let found = head::find_end(data, &mut Search::default());
    let mut search = Search::default();
    let in_pieces = (0..=data.len())
        .map(|n| head::find_end(&data[..n], &mut search))
        .find(|found| !matches!(found, Ok(None)))
        .unwrap_or(Ok(None));
    assert_eq!(found, in_pieces, "the end moves with the pieces");
    bare_lf(data, found);
    let Ok(Some(end)) = found else { return };
    assert!(data[..end].ends_with(b"\r\n\r\n"));
    let bytes = &data[..end];
    beside_httparse(bytes);
    let mut room = head::room();
    if let Ok(head) = head::parse_request(bytes, &mut room) {
        assert!(!head.method.is_empty() && head.method.bytes().all(is_token_byte), "{:?}", head.method);
        assert!(!head.target.is_empty() && head.target.bytes().all(|b| b.is_ascii_graphic()));
        let lengths = lengths(head.fields);
        if let Some(Ok(framing)) = lengths.map(|l| l.of_request(head.version)) {
            assert_ne!(framing, Framing::UntilClose, "a request ends with its connection");
            assert_ne!(framing, Framing::Length(0));
            assert!(framing != Framing::Chunked || head.version == Version::Http11);
        }
        for field in head.fields.iter().filter(|f| Name::of_bytes(f.name) == Name::Host) {
            if host::is_valid(field.value) {
                assert!(field.value.iter().all(|b| b.is_ascii_graphic() && !b"/?#@\\".contains(b)));
            }
        }
    }
    let mut room = head::room();
    if let Ok(head) = head::parse_response(bytes, &mut room) {
        assert!((100..=999).contains(&head.status));
        if let Some(Ok(framing)) =
            lengths(head.fields).map(|l| l.of_response(head.version, head.status, false))
        {
            let has_none = matches!(head.status, 100..=199 | 204 | 304);
            assert!(!has_none || framing == Framing::None, "{} with a body", head.status);
        }
    }
}

/// Heads are read as `httparse` reads them, but for targets beyond visible ASCII and blank lines before an answer.
fn beside_httparse(bytes: &[u8]) {
    let same = |ours: &[head::Field<'_>], theirs: &[httparse::Header<'_>]| {
        assert_eq!(ours.len(), theirs.len());
        for (our, their) in ours.iter().zip(theirs) {
            assert_eq!((our.name, our.value), (their.name.as_bytes(), their.value));
        }
    };
    let whole = Ok(httparse::Status::Complete(bytes.len()));
    let mut fields = [httparse::EMPTY_HEADER; head::MAX_FIELDS];
    let mut theirs = httparse::Request::new(&mut fields);
    let accepts = theirs.parse(bytes) == whole;
    match head::parse_request(bytes, &mut head::room()) {
        Ok(ours) => {
            assert!(accepts, "httparse refuses {bytes:?}");
            assert_eq!((Some(ours.method), Some(ours.target)), (theirs.method, theirs.path));
            assert_eq!(theirs.version, Some(u8::from(ours.version == Version::Http11)));
            same(ours.fields, theirs.headers);
        }
        Err(_) => assert!(!accepts || !theirs.path.is_some_and(|p| p.bytes().all(|b| b.is_ascii_graphic()))),
    }
    let mut fields = [httparse::EMPTY_HEADER; head::MAX_FIELDS];
    let mut theirs = httparse::Response::new(&mut fields);
    let accepts = theirs.parse(bytes) == whole && bytes.starts_with(b"HTTP");
    match head::parse_response(bytes, &mut head::room()) {
        Ok(ours) => {
            assert!(accepts, "httparse refuses {bytes:?}");
            assert_eq!(
                (Some(ours.status), theirs.reason.map(str::as_bytes)),
                (theirs.code, Some(ours.reason))
            );
            same(ours.fields, theirs.headers);
        }
        Err(_) => assert!(
            !accepts || theirs.code < Some(100) || theirs.headers.len() > head::MAX_RESPONSE_FIELDS,
            "httparse accepts {bytes:?}"
        ),
    }
}

/// A search that takes a bare LF finds what the strict one found, and else an end that the parser sees there too.
fn bare_lf(data: &[u8], strict: Result<Option<usize>, Fault>) {
    let found = head::find_end(data, &mut Search::new(true)).expect("no line end is wrong to it");
    if let Ok(Some(end)) = strict {
        assert_eq!(found, Some(end), "it takes another end");
    }
    let Some(end) = found else { return };
    assert!(data[..end].ends_with(b"\n"));
    let mut room = head::room();
    if let Ok(head) = head::parse_request(&data[..end], &mut room) {
        assert!(!head.target.contains('\r') && !head.method.contains('\r'), "a bare CR in a request line");
        lengths(head.fields);
        // One byte less is no head: the parser has no end before ours.
        assert!(head::parse_request(&data[..end - 1], &mut head::room()).is_err());
    }
}

/// What the fields say of the body, after a look at each.
fn lengths(fields: &[head::Field<'_>]) -> Option<Lengths> {
    let mut lengths = Lengths::default();
    for field in fields {
        assert!(!field.name.is_empty() && field.name.iter().copied().all(is_token_byte), "{:?}", field.name);
        assert!(!field.value.iter().any(|b| b"\r\n\0".contains(b)), "{:?}", field.value);
        assert_eq!(field.value.trim_ascii(), field.value);
        lengths.note(Name::of_bytes(field.name), field.value).ok()?;
    }
    Some(lengths)
}

/// The chunked coding: the same data and the same end, whole or in pieces. The first byte is the pieces' size.
pub fn chunked(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let Some((&piece, body)) = data.split_first() else { return };
    let whole = decode(body, body.len());
    assert_eq!(whole, decode(body, usize::from(piece).max(1)), "the data changes with the pieces");
    assert!(whole.0.len() <= body.len());
}

/// The data, and where the body ended if it did.
fn decode(body: &[u8], piece: usize) -> (Vec<u8>, Result<Option<usize>, Malformed>) {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    let (mut at, mut come) = (0, 0);
    loop {
        let step = match decoder.next(&body[at..come]) {
            Ok(step) => step,
            Err(malformed) => return (out, Err(malformed)),
        };
        at += match step {
            Step::Skip(n) | Step::Trailer(n) => n,
            Step::Data(skip, n) => {
                out.extend_from_slice(&body[at + skip..at + skip + n]);
                skip + n
            }
            Step::End(n) => {
                assert!(decoder.is_ended());
                return (out, Ok(Some(at + n)));
            }
            Step::More if come == body.len() => return (out, Ok(None)),
            Step::More => {
                come = come.saturating_add(piece).min(body.len());
                0
            }
        };
        assert!(at <= come, "more is used than has come");
    }
}

/// What a client of HTTP/2 sent, and nothing more for now.
struct Wire {
    sent: Vec<u8>,
    read: usize,
}

impl tokio::io::AsyncRead for Wire {
    fn poll_read(
        mut self: Pinned<&mut Self>,
        _: &mut Context<'_>,
        out: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let n = out.remaining().min(self.sent.len() - self.read);
        if n == 0 {
            return Poll::Pending;
        }
        out.put_slice(&self.sent[self.read..self.read + n]);
        self.read += n;
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Wire {
    fn poll_write(
        self: Pinned<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pinned<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pinned<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Requests of HTTP/2: each becomes one head of HTTP/1.1 and one body, which end where they say; and what it says is
/// what another implementation reads. The first byte says whether the first request ends with its head, the second how
/// long that is; its header block follows, and then frames.
pub fn translation(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let Some((&[ends, length], rest)) = data.split_first_chunk::<2>() else { return };
    let (block, frames) = rest.split_at(rest.len().min(length.into()));
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let head = [0, 0, u8::try_from(block.len()).unwrap(), 1, 4 | ends & 1, 0, 0, 0, 1];
    let sent = [&PREFACE[..], &settings, &head, block, frames].concat();
    let mut dry = Dry::new(32 << 10);
    let _ = dry.comes(&sent, 0);
    for heard in dry.heard() {
        assert!(heard.body.len() <= MOST, "more than came");
        assert!(heard.form != Form::None || heard.body.is_empty(), "a body behind its end");
        if let (Form::Length(length), true) = (heard.form, heard.has_ended) {
            assert_eq!(heard.body.len() as u64, length, "another length");
        }
        if !heard.is_refused {
            is_whole(heard);
        }
    }
    for request in read_by_another(sent) {
        let stream = request.extensions().get::<Stream>().unwrap().0;
        if let Some(heard) = dry.heard().iter().find(|heard| heard.stream == stream && !heard.is_refused) {
            is_the_same(&request, heard);
        }
    }
}

/// A stream's number.
#[derive(Clone, Copy)]
struct Stream(u32);

/// The requests as the h2 library reads them.
fn read_by_another(sent: Vec<u8>) -> Vec<http::Request<()>> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut builder = h2::server::Builder::new();
    builder.max_header_list_size(32 << 10).enable_connect_protocol();
    let mut handshake = pin!(builder.handshake::<_, bytes::Bytes>(Wire { sent, read: 0 }));
    let Poll::Ready(Ok(mut connection)) = handshake.as_mut().poll(&mut cx) else { return Vec::new() };
    let mut requests = Vec::new();
    while let Poll::Ready(Some(Ok((mut request, _)))) = connection.poll_accept(&mut cx) {
        let stream = Stream(u32::from(request.body().stream_id()));
        request.extensions_mut().insert(stream);
        requests.push(request.map(|_| ()));
    }
    requests
}

/// A head that was translated is one, and its framing what it is said to be; unless it is refused where heads are read.
fn is_whole(Heard { head, form, .. }: &Heard) {
    assert_eq!(head::find_end(head, &mut Search::default()), Ok(Some(head.len())), "another end");
    let mut room = head::room();
    let Ok(parsed) = head::parse_request(head, &mut room) else { return };
    let is_tunnel = *form == Form::Open;
    let Some(framing) = lengths(parsed.fields).map(|l| l.of_request(parsed.version)) else { return };
    let expected = match (form, framing) {
        (_, Err(_)) => return,
        (Form::None | Form::Open, Ok(framing)) => framing == Framing::None,
        (Form::Chunked, Ok(framing)) => framing == Framing::Chunked,
        (Form::Length(_), Ok(framing)) => matches!(framing, Framing::Length(_) | Framing::None),
    };
    assert!(expected, "{form:?} is read as {framing:?}");
    let mut cookies = 0;
    for field in parsed.fields {
        let name = Name::of_bytes(field.name);
        cookies += u32::from(name == Name::Cookie);
        match name {
            Name::Connection | Name::Upgrade => assert!(is_tunnel, "of the connection: {:?}", field.name),
            Name::TransferEncoding => assert_eq!(*form, Form::Chunked),
            _ => {}
        }
    }
    assert!(cookies <= 1, "crumbs");
}

/// A head says what another has read.
fn is_the_same(request: &http::Request<()>, Heard { head, form, .. }: &Heard) {
    let mut room = head::room();
    let Ok(parsed) = head::parse_request(head, &mut room) else { return };
    let is_tunnel = *form == Form::Open;
    assert_eq!(parsed.method, if is_tunnel { "GET" } else { request.method().as_str() });
    if let Some(target) = request.uri().path_and_query().filter(|target| target.as_str() != "/") {
        // A fragment is no part of a target, and the library has cut it off.
        assert!(parsed.target.starts_with(target.as_str()), "another target: {}", parsed.target);
    }
    for field in parsed.fields {
        let is_ours = matches!(
            Name::of_bytes(field.name),
            Name::Host | Name::Cookie | Name::Connection | Name::Upgrade | Name::TransferEncoding
        ) || is_tunnel && field.name == b"Sec-WebSocket-Key";
        let name = std::str::from_utf8(field.name).unwrap();
        let mut sent = request.headers().get_all(name).iter();
        assert!(is_ours || sent.any(|v| v.as_bytes() == field.value), "{name} was not sent");
    }
}

/// A client's side of HTTP/2: what is made of it does not depend on how the bytes arrive. In pieces of a direction (ours
/// is left out), a pause in 100 ms, a length and so many bytes.
pub fn frames(data: &[u8]) {
    let data = data.get(..4096).unwrap_or(data);
    let judge = |piece: usize| {
        let (mut dry, mut now, mut rest) = (Dry::new(32 << 10), 0, data);
        dry.comes(&PREFACE[..], now).unwrap();
        let mut told: Vec<Result<Option<u64>, u32>> = Vec::new();
        while let [direction, pause, length, more @ ..] = rest {
            let (bytes, behind) = more.split_at(more.len().min((*length).into()));
            now += u64::from(*pause) * 100;
            rest = behind;
            if direction & 1 == 1 {
                continue;
            }
            let judged = bytes.chunks(piece).try_for_each(|bytes| dry.comes(bytes, now));
            told.push(judged.map(|()| dry.unfinished()));
            if judged.is_err() {
                break;
            }
        }
        (told, dry.heard().to_vec(), dry.said())
    };
    let whole = judge(usize::MAX);
    for piece in [1, 2, 7] {
        assert_eq!(judge(piece), whole, "in pieces of {piece}");
    }
}

/// `Cookie` lines, one a line: a pin names a backend only if its text was sealed, and what is stripped is gone.
pub fn cookie(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let (cookie, members) = (affinity(), members());
    let lines = || data.split(|&b| b == b'\n');
    let mut cache = OpenedCache::new(8, 1);
    let session = cookie.read(lines(), &members, NOW, &mut cache, 7);
    assert_eq!(cookie.read(lines(), &members, NOW, &mut cache, 7), session, "the cache makes a difference");
    if let Pin::To(home) = session.pin {
        assert!(home.index() < members.len());
        let holds = |text: &&str| data.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(SEALED[..2].iter().any(holds), "a forged cookie chose a backend");
    }
    let mut left = Vec::new();
    for line in lines() {
        let mut out = b"before".to_vec();
        let stripped = cookie.strip(line, &mut out);
        let rest = out.strip_prefix(b"before").expect("strip appends");
        match stripped {
            Stripped::Unchanged => {
                assert!(rest.is_empty());
                left.push(line.to_vec());
            }
            Stripped::Empty => assert!(rest.is_empty()),
            Stripped::Changed => {
                assert!(rest.len() < line.len());
                assert_eq!(cookie.strip(rest, &mut Vec::new()), Stripped::Unchanged, "stripped in part");
                left.push(rest.to_vec());
            }
        }
    }
    let left = left.iter().map(Vec::as_slice);
    let after = cookie.read(left, &members, NOW, &mut OpenedCache::new(0, 1), 7);
    assert_eq!(after, Session::begin(7, NOW), "a backend would see the pin");
}

/// The pool's cookie that [`SEALED`] is for.
pub fn affinity() -> CookieAffinity {
    CookieAffinity::try_new(CookieSettings {
        pool: "app".into(),
        name: "srv".into(),
        style: CookieStyle::Insert,
        preserve: false,
        post_only: false,
        idle: Duration::from_secs(30 * 60),
        lifetime: Some(Duration::from_secs(8 * 3600)),
        attributes: Attributes::default(),
        keys: Arc::new(SealKeys::parse(KEY).unwrap()),
        boot: 1,
    })
    .unwrap()
}

fn members() -> Members {
    let member = |(id, address)| Arc::new(Backend::at(address).unwrap().named(id));
    Members::new([("a", "127.0.0.1:9001"), ("b", "127.0.0.1:9002")].map(member).to_vec())
}

/// Sealed texts: none opens but those of [`SEALED`], and those for nothing else.
pub fn sealed(data: &[u8]) {
    let keys = SealKeys::parse(KEY).unwrap();
    let mut scratch = Scratch::new();
    if let Some(pin) = keys.open(&Aad::new("app", "srv"), data, &mut scratch) {
        assert!(SEALED.iter().any(|text| text.as_bytes() == data), "opened: {pin:?}");
    }
    for (pool, name) in [("app2", "srv"), ("app", "srv2"), ("apps", "rv"), ("", "appsrv")] {
        assert!(keys.open(&Aad::new(pool, name), data, &mut scratch).is_none(), "a pin of another pool");
    }
}

/// An entry of `X-Forwarded-For`: an address reads as itself.
pub fn forwarded(data: &[u8]) {
    let Some(ip) = parse_forwarded(data) else { return };
    assert_eq!(ip, ip.to_canonical(), "two forms of one client");
    assert_eq!(parse_forwarded(ip.to_string().as_bytes()), Some(ip));
    assert_eq!(parse_forwarded(format!("[{ip}]").as_bytes()), Some(ip));
    if let IpAddr::V6(v6) = ip {
        assert_eq!(parse_forwarded(format!("[{v6}]:80").as_bytes()), Some(ip));
    }
}

/// The start of a connection from a proxy: one verdict however the bytes arrive, within the bounds.
pub fn proxy_header(data: &[u8]) {
    const LONGEST: usize = 16 + 4096;
    let data = data.get(..LONGEST + 64).unwrap_or(data);
    let whole = proxy_header::parse(data);
    // Every cut at the start, where most is decided, and a few later ones.
    for cut in (0..data.len().min(256)).chain((256..data.len()).step_by(97)) {
        let early = proxy_header::parse(&data[..cut]);
        assert!(early == Ok(None) || early == whole, "cut at {cut}: {early:?}, then {whole:?}");
    }
    match whole {
        Ok(None) => assert!(data.len() < LONGEST, "a header without an end"),
        Ok(Some(header)) => {
            assert!((15..=LONGEST).contains(&header.len) && header.len <= data.len());
            assert_eq!(proxy_header::parse(&data[..header.len]), whole, "what follows makes a difference");
            assert_eq!(proxy_header::parse(&data[..header.len - 1]), Ok(None), "the last byte is not needed");
            let ends = header.carried.map(|c| [c.source.ip(), c.destination.ip()]);
            assert!(ends.is_none_or(|ends| ends.iter().all(|ip| *ip == ip.to_canonical())));
        }
        Err(NoHeader) => assert_eq!(proxy_header::parse(&[data, b"\r\n"].concat()), whole),
    }
}

/// A table kept in a file: refused, or a table that is written and read as itself, within its bounds. The first byte
/// says how to take the rest: 0, as the file; else as blocks (kind, length in 16 bits, bytes) that get sound checksums.
pub fn table(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let Some((&form, rest)) = data.split_first() else { return };
    let bytes = if form == 0 { rest.to_vec() } else { sealed_blocks(rest) };
    let bounds = Bounds { entries: 500, bytes: Bounds::LEAST_BYTES };
    let times = Times::new(Duration::from_secs(3600), Some(Duration::from_secs(86_400)));
    let read = |bytes: &[u8]| form::read(&mut &*bytes, bounds, NOW, times);
    let Ok(first) = read(&bytes) else { return };
    let figures = first.table.figures();
    assert!(figures.entries <= figures.capacity && figures.bytes <= bounds.bytes, "{figures:?}");
    let write = |table: &Table| {
        let mut bytes = Vec::new();
        let count = form::write(table, &mut bytes, NOW).unwrap();
        assert_eq!(count, figures.entries);
        bytes
    };
    let written = write(&first.table);
    let second = read(&written).expect("what was written is read");
    assert_eq!((second.saved, second.expired, second.surplus), (NOW, 0, 0));
    // Names that nobody has go with the first reading, and the others are numbered anew.
    let third = read(&write(&second.table)).expect("what was written is read");
    assert_eq!(write(&third.table), write(&second.table));
    for (digest, held) in first.table.page(Cursor::default(), usize::MAX, None).sessions {
        let again = second.table.get(digest, NOW, times).expect("nobody is lost").held;
        assert_eq!((again.issued, again.last_seen, again.ends), (held.issued, held.last_seen, held.ends));
        assert_eq!(second.table.text(again.home), first.table.text(held.home));
        let text = |table: &Table, name: Option<_>| name.map(|name| table.text(name));
        assert_eq!(text(&second.table, again.origin), text(&first.table, held.origin));
    }
}

fn sealed_blocks(mut data: &[u8]) -> Vec<u8> {
    let mut bytes = form::MAGIC.to_vec();
    while let [kind, low, high, rest @ ..] = data {
        let (block, rest) = rest.split_at(rest.len().min(u16::from_le_bytes([*low, *high]).into()));
        bytes.extend(u32::from(*kind).to_le_bytes());
        bytes.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        bytes.extend(block);
        bytes.extend(hash64(&bytes).to_le_bytes());
        data = rest;
    }
    bytes
}

/// A configuration: it can be used, or it is refused with words. Texts that name files or ask for huge tables are left
/// out: the fuzzer is to find mistakes, not to read devices or to wait.
pub fn config(data: &[u8]) {
    let data = data.get(..MOST).unwrap_or(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let is_left_out = ["secret", "\\u", "\\U", "\\x", "weight", "points", "table_size", "workers"];
    if is_left_out.iter().any(|word| text.contains(word)) {
        return;
    }
    let keys = Arc::new(SealKeys::parse(KEY).unwrap());
    let environment = Environment {
        cores: 2,
        boot: 1,
        keys,
        seeds: Seeds::new([7; 16]),
        variables: homing::config::Variables::default(),
    };
    match config::parse(text, Path::new("fuzz.toml"), &Registry::built_in(), &environment) {
        Ok(loaded) => {
            assert!(!loaded.plan.listeners.is_empty() && !loaded.plan.pools.is_empty());
            assert!(
                loaded
                    .plan
                    .routes
                    .as_slice()
                    .iter()
                    .all(|r| r.pool().is_none_or(|ix| ix < loaded.plan.pools.len()))
            );
        }
        Err(diagnostics) => {
            let said = diagnostics.render(Style::Plain);
            assert!(said.contains("fuzz.toml"), "{said:?}");
        }
    }
}

/// The decision table under any standing. Bytes: pin, strategy, followed member, members tried, the states of seven
/// members (the last two are backups), the session's key.
pub fn choice(data: &[u8]) {
    let Some((&[pin, strategy, follow, tried], rest)) = data.split_first_chunk::<4>() else { return };
    let Some((states, key)) = rest.split_first_chunk::<MEMBERS>() else { return };
    let key = key.iter().fold(0, |key: u64, b| key.rotate_left(8) ^ u64::from(*b));
    let pool = pool(["round_robin", "rendezvous", "ip_hash", "least_conn"][usize::from(strategy % 4)]);
    let standing =
        Standing::new(&pool.members, states.iter().map(|b| availability(*b)).collect(), Panic::Refuse);
    let tried: BackendSet =
        pool.members.iter().map(|(ix, _)| ix).filter(|ix| tried >> ix.0 & 1 == 1).collect();
    let all = || pool.members.iter().map(|(ix, _)| ix);
    let one = |n: u8| all().nth(usize::from(n));
    let begin = Session::begin(key, NOW);
    let session = match pin {
        0..MEMBERS_U8 => Session { pin: Pin::To(one(pin).unwrap()), ..begin },
        MEMBERS_U8 => Session { lost: 99, ..Session::void(Why::Removed, key, NOW) },
        8 => Session::void(Why::Invalid, key, NOW),
        9 => Session::void(Why::ExpiredIdle, key, NOW),
        _ => begin,
    };
    let choose = |standing: &Standing, seed| {
        let session = Some(&session);
        let patience = Patience::NONE;
        let ask = Question { pool: &pool, standing, session, tried: &tried, follow: one(follow), patience };
        let client = Some(IpAddr::from([192, 0, 2, 1]));
        let facts = RequestFacts { client, key: Some(b"key"), hash: key, attempt: 0, now: NOW };
        Pickers::new(&pool, seed).choose(&ask, &facts).choice()
    };
    let chosen = choose(&standing, 1);
    let home = if let Pin::To(home) = session.pin { Some(home) } else { None };
    let keeps = home.filter(|ix| standing.serving.contains(*ix) && !tried.contains(*ix));
    if let Some(home) = keeps {
        assert_eq!(chosen, Some(Choice { backend: home, why: Why::Pinned }), "a pin moved");
        return;
    }
    let usable = |ix: &BackendIx| standing.open.contains(*ix) && !tried.contains(*ix);
    assert_eq!(chosen.is_some(), all().any(|ix| usable(&ix)), "somebody could serve, or nobody could");
    let Some(Choice { backend, why }) = chosen else { return };
    assert!(usable(&backend), "chose one that is closed or failed");
    if why == Why::Followed {
        // Also to a backup that was needed a moment ago: one client's requests stay together.
        assert_eq!(Some(backend), one(follow));
        return;
    }
    let is_backup = |ix: BackendIx| pool.members.get(ix).backup;
    assert!(
        !is_backup(backend) || !all().any(|ix| usable(&ix) && !is_backup(ix)),
        "a backup before a primary"
    );
    if home.is_none() && session.pin != Pin::Void(Why::Removed) {
        return;
    }
    assert_eq!(choose(&standing, 2), chosen, "two nodes send one lost session to two places");
    for other in all().filter(|ix| *ix != backend && Some(*ix) != home) {
        let mut fewer = standing.members.clone();
        fewer[other.index()].health = Health::Down;
        let still = choose(&Standing::new(&pool.members, fewer, Panic::Refuse), 1).map(|c| c.backend);
        assert_eq!(still, Some(backend), "another backend's end moved this session");
    }
}

/// Members of the pool of [`choice`].
const MEMBERS: usize = 7;
/// The same.
const MEMBERS_U8: u8 = 7;

fn pool(strategy: &str) -> Arc<Pool> {
    let text = format!(
        "[[listener]]\nlisten = \":1\"\n[[pool]]\nname = \"app\"\nstrategy = \"{strategy}\"\nbackends = [\"a:1\", \"b:1\", \
         \"c:1\", \"d:1\", \"e:1\", {{ address = \"f:1\", backup = true }}, {{ address = \"g:1\", backup = true }}]\n"
    );
    let keys = Arc::new(SealKeys::parse(KEY).unwrap());
    let environment = Environment {
        cores: 1,
        boot: 1,
        keys,
        seeds: Seeds::new([7; 16]),
        variables: homing::config::Variables::default(),
    };
    let loaded = config::parse(&text, Path::new("pool.toml"), &Registry::built_in(), &environment);
    Arc::clone(&loaded.unwrap().plan.pools[0])
}

fn availability(byte: u8) -> Availability {
    let admin =
        [AdminState::Ready, AdminState::Drain, AdminState::Maint, AdminState::Ready][usize::from(byte & 3)];
    let health = [Health::Up, Health::Unknown, Health::Down, Health::Weak][usize::from(byte >> 2 & 3)];
    let leaving = if byte >> 5 & 1 == 1 { Leaving::Over } else { Leaving::Keep };
    Availability { admin, health, ejected: byte >> 4 & 1 == 1, leaving }
}
