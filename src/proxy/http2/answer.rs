//! An answer's head as homing writes it for HTTP/1.1, made the head of a stream.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::body::Form;
use crate::message::field::Name;

/// A head that was read.
#[derive(Debug)]
pub(super) enum Answer {
    /// One that others follow.
    Informational(Response<()>),
    /// The last one, and how its body is framed.
    Final(Response<()>, Form),
}

/// Reads a head that homing wrote, and that is whole. `None` if it is not one, which nothing that homing writes is.
#[must_use]
pub(super) fn read(head: &[u8], to_head: bool, is_tunnel: bool) -> Option<Answer> {
    // Values are parts of this one copy.
    let head = Bytes::copy_from_slice(head);
    let mut lines = Lines { head: &head, at: 0 };
    let status = StatusCode::from_bytes(head.get(lines.next()?)?.get(9..12)?).ok()?;
    let mut fields = HeaderMap::with_capacity(16);
    let mut form = if is_tunnel { Form::Open } else { Form::None };
    for line in lines {
        let text = head.get(line.clone())?;
        let Some(colon) = memchr::memchr(b':', text) else { continue };
        let (name, value) = (text.get(..colon)?, text.get(colon + 2..)?);
        match Name::of(std::str::from_utf8(name).ok()?) {
            // What is said of a connection of HTTP/1.1 has no place here. (RFC 9113 section 8.2.2)
            Name::Connection | Name::KeepAlive | Name::Upgrade | Name::ProxyConnection => continue,
            Name::TransferEncoding => {
                form = Form::Chunked;
                continue;
            }
            Name::ContentLength if !is_tunnel => {
                form = match std::str::from_utf8(value).ok()?.parse().ok()? {
                    0 => Form::None,
                    n => Form::Length(n),
                };
            }
            _ => {}
        }
        let value = head.slice(line.start + colon + 2..line.end);
        fields.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_maybe_shared(value).ok()?);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    if is_tunnel && status == StatusCode::SWITCHING_PROTOCOLS {
        fields.remove("sec-websocket-accept");
        *response.status_mut() = StatusCode::OK;
        *response.headers_mut() = fields;
        return Some(Answer::Final(response, Form::Open));
    }
    *response.headers_mut() = fields;
    if status.is_informational() {
        return Some(Answer::Informational(response));
    }
    if to_head || matches!(status.as_u16(), 204 | 304) {
        form = Form::None;
    }
    if form == Form::Open {
        form = Form::None; // A WebSocket was asked for and refused, without a body.
    }
    Some(Answer::Final(response, form))
}

/// The lines of a head, without their ends.
struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = std::ops::Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.head.get(self.at..)?;
        let start = self.at;
        let len = memchr::memchr(b'\n', rest)?;
        self.at += len + 1;
        Some(start..start + len.saturating_sub(1))
    }
}
