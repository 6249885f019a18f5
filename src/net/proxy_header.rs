//! The PROXY protocol's header, versions 1 and 2: who a connection is from, told by the proxy in front of us.
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>
//!
//! A pure reading of the first bytes of a connection, without a state between two looks: the same bytes come to the
//! same verdict however they arrived. Anything that is no header is refused as soon as that is certain; there is no
//! guessing. What a TLV says is skipped, but its length must fit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Bytes of a version 1 header at most, its CRLF included. (section 2.1)
const V1_MOST: usize = 107;
/// Bytes of a version 2 header before its addresses.
const V2_FIXED: usize = 16;
/// Bytes of addresses and TLVs at most. The protocol allows 64 KiB; what proxies send is below 1 KiB.
const V2_MOST: usize = 4096;
/// How version 1 begins.
const V1: &[u8] = b"PROXY ";
/// How version 2 begins: what no other protocol does. (section 2.2)
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its bytes: the next protocol begins behind them.
    pub len: usize,
    /// The connection that the proxy has accepted; `None` if the header is about no other than the proxy's own.
    pub carried: Option<Carried>,
}

/// The two ends of the connection that the proxy has accepted. IPv4-mapped addresses are IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}

/// Not a header, or a broken or an oversized one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY header")]
pub struct Malformed;

/// Looks for a header at the start of `bytes`, the first of a connection. `None` while it may become one.
///
/// # Errors
/// It is no header, whatever may follow.
pub fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, Malformed> {
    if begins(bytes, V2) { version_2(bytes) } else { version_1(bytes) }
}

/// Whether `bytes` agree with `start` as far as both go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(a, b)| a == b)
}

fn version_1(bytes: &[u8]) -> Result<Option<ProxyHeader>, Malformed> {
    if !begins(bytes, V1) {
        return Err(Malformed);
    }
    let seen = bytes.get(..V1_MOST - 1).unwrap_or(bytes);
    let Some(end) = memchr::memchr2(b'\r', b'\n', seen) else {
        return if seen.len() == V1_MOST - 1 { Err(Malformed) } else { Ok(None) };
    };
    match (bytes.get(end), bytes.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => {}
        (Some(b'\r'), None) => return Ok(None),
        _ => return Err(Malformed),
    }
    let line = bytes.get(V1.len()..end).and_then(|l| std::str::from_utf8(l).ok()).ok_or(Malformed)?;
    Ok(Some(ProxyHeader { len: end + 2, carried: line_1(line)? }))
}

/// What stands between `PROXY ` and the end of the line.
fn line_1(line: &str) -> Result<Option<Carried>, Malformed> {
    let mut words = line.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(None); // And whatever follows is not looked at. (section 2.1)
    }
    let mut next = || words.next().ok_or(Malformed);
    let (source, destination) = (next()?, next()?);
    let (from, to) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(Malformed);
    }
    let end = |text, port| match family {
        Some("TCP4") => address::<Ipv4Addr>(text, port),
        Some("TCP6") => address::<Ipv6Addr>(text, port),
        _ => Err(Malformed),
    };
    Ok(Some(Carried { source: end(source, from)?, destination: end(destination, to)? }))
}

fn address<A: FromStr + Into<IpAddr>>(text: &str, port: u16) -> Result<SocketAddr, Malformed> {
    let ip: IpAddr = text.parse::<A>().map_err(|_| Malformed)?.into();
    Ok(SocketAddr::new(ip.to_canonical(), port))
}

/// A port in decimal, without leading zeros: no two texts for one.
fn port(text: &str) -> Result<u16, Malformed> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(Malformed)
}

fn version_2(bytes: &[u8]) -> Result<Option<ProxyHeader>, Malformed> {
    let Some(&command) = bytes.get(V2.len()) else { return Ok(None) };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    let Some(&kind) = bytes.get(V2.len() + 1) else { return Ok(None) };
    let kind = if is_local { Kind::Unsaid } else { Kind::of(kind)? };
    let Some(&[high, low]) = bytes.get(V2.len() + 2..V2_FIXED) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_MOST || length < kind.least() {
        return Err(Malformed);
    }
    let Some(block) = bytes.get(V2_FIXED..V2_FIXED + length) else { return Ok(None) };
    if kind != Kind::Unsaid {
        check_tlvs(block.get(kind.least()..).unwrap_or_default())?;
    }
    Ok(Some(ProxyHeader { len: V2_FIXED + length, carried: kind.read(block) }))
}

/// What kind of addresses a version 2 header has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// None, or none that are said: the block is not looked at.
    Unsaid,
    V4,
    V6,
    /// Two paths, which are nobody's address.
    Unix,
}

impl Kind {
    /// By the byte of family and transport. A datagram's client (HTTP/3 in front of the proxy) is a client as well.
    fn of(byte: u8) -> Result<Self, Malformed> {
        match (byte >> 4, byte & 15) {
            (0, 0..=2) | (1..=3, 0) => Ok(Self::Unsaid),
            (1, 1 | 2) => Ok(Self::V4),
            (2, 1 | 2) => Ok(Self::V6),
            (3, 1 | 2) => Ok(Self::Unix),
            _ => Err(Malformed),
        }
    }

    /// Bytes of the two addresses, ports included.
    const fn least(self) -> usize {
        match self {
            Self::Unsaid => 0,
            Self::V4 => 12,
            Self::V6 => 36,
            Self::Unix => 216,
        }
    }

    /// The addresses at the start of `block`.
    fn read(self, block: &[u8]) -> Option<Carried> {
        let (from, to, ports) = match self {
            Self::Unsaid | Self::Unix => return None,
            Self::V4 => {
                let ip = |at: usize| Some(IpAddr::from(*block.get(at..)?.first_chunk::<4>()?));
                (ip(0)?, ip(4)?, block.get(8..)?)
            }
            Self::V6 => {
                let ip = |at: usize| Some(IpAddr::from(*block.get(at..)?.first_chunk::<16>()?));
                (ip(0)?, ip(16)?, block.get(32..)?)
            }
        };
        let [a, b, c, d] = *ports.first_chunk::<4>()?;
        Some(Carried {
            source: SocketAddr::new(from.to_canonical(), u16::from_be_bytes([a, b])),
            destination: SocketAddr::new(to.to_canonical(), u16::from_be_bytes([c, d])),
        })
    }
}

/// Whether the TLVs fill their room exactly: a type byte, two of length, and so many.
fn check_tlvs(mut left: &[u8]) -> Result<(), Malformed> {
    while let Some((&[_, high, low], rest)) = left.split_first_chunk::<3>() {
        left = rest.get(usize::from(u16::from_be_bytes([high, low]))..).ok_or(Malformed)?;
    }
    if left.is_empty() { Ok(()) } else { Err(Malformed) }
}

#[cfg(test)]
#[path = "proxy_header_tests.rs"]
mod tests;
