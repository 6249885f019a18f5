//! Pins that other balancers wrote, read for the members of one pool: what does this cookie of theirs say?
//!
//! Most systems write nothing of their own into a value but a name or a digest of an address, so a value is known by
//! what it says of *these* members; only some forms tell of themselves whom they name. Nothing here chooses a backend:
//! none of these values but Caddy's is proof against forgery. Left out are values that only their system can open
//! (YARP's data protection, F5's encrypted cookies, clouds').

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, Mac as _};
use md5::Md5;
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh64::xxh64;

use super::base64url;
use crate::backend::members::Members;
use crate::backend::{Backend, BackendIx};
use crate::base::address::Address;
use crate::base::time::UnixSeconds;

/// Longest value that is looked at, in bytes: what a browser keeps of a cookie.
pub const MAX_VALUE: usize = 4096;

/// A value as a client presents it.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The name of its cookie or field.
    pub name: &'a str,
    /// The value.
    pub value: &'a str,
}

/// Secrets of other systems, where their operator knows them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// HAProxy's `dynamic-cookie-key`.
    pub haproxy: Option<String>,
    /// The secret of Caddy's `lb_policy cookie`; without one it uses the empty secret.
    pub caddy: Option<String>,
}

/// One way to read a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whose form it has.
    pub system: &'static str,
    /// Which form that is.
    pub form: &'static str,
    /// Whom it names.
    pub names: Names,
    /// What else it says: what it is, and its value.
    pub details: Vec<(&'static str, String)>,
}

/// Whom a value names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// This member.
    Member(BackendIx),
    /// An address or an id that no member has.
    Stranger(String),
    /// A digest that no member has.
    Nobody,
}

/// A value, and whom it may name.
struct Case<'a> {
    name: &'a str,
    value: &'a str,
    pool: &'a str,
    members: &'a Members,
    secrets: &'a Secrets,
}

/// The forms, in the order in which readings are given.
const FORMS: [fn(&Case<'_>) -> Option<Reading>; 12] = [
    nginx,
    ingress_nginx,
    haproxy_dated,
    haproxy_prefix,
    haproxy_dynamic,
    traefik,
    caddy,
    f5,
    envoy,
    yarp,
    route,
    plain,
];

/// Names of cookies in which applications carry a route behind their own session's id.
const SUFFIXED: [&str; 3] = ["JSESSIONID", "AUTH_SESSION_ID", "AUTH_SESSION_ID_LEGACY"];

/// Every way to read a value for the members of the pool of this name.
///
/// Readings that name a member come alone if there are any; else those that name a stranger; else those by their shape.
/// None at all: it has no form that is known.
#[must_use]
pub fn read(shown: Presented<'_>, pool: &str, members: &Members, secrets: &Secrets) -> Vec<Reading> {
    let Presented { name, value } = shown;
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    if value.len() > MAX_VALUE || value.is_empty() {
        return Vec::new();
    }
    let case = Case { name, value, pool, members, secrets };
    let mut readings: Vec<Reading> = FORMS.iter().filter_map(|form| form(&case)).collect();
    let best = readings.iter().map(|r| r.names.rank()).max();
    readings.retain(|r| Some(r.names.rank()) == best);
    readings
}

impl Names {
    const fn rank(&self) -> u8 {
        match self {
            Self::Member(_) => 2,
            Self::Stranger(_) => 1,
            Self::Nobody => 0,
        }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(***)")
    }
}

impl Case<'_> {
    /// The first member for which this holds.
    fn member(&self, test: impl Fn(&Backend) -> bool) -> Option<Names> {
        self.members.iter().find(|(_, b)| test(b)).map(|(ix, _)| Names::Member(ix))
    }

    /// The first member with an address of this text.
    fn at(&self, text: impl Fn(&str) -> bool) -> Option<Names> {
        self.member(|b| text(&b.address_text) || text(&b.address.to_string()))
    }

    /// The member of this id, or a stranger.
    fn of_id(&self, id: &str) -> Names {
        self.members.find(id).map_or_else(|| Names::Stranger(id.to_owned()), Names::Member)
    }

    /// The member at this address, or a stranger.
    fn of_address(&self, address: SocketAddr) -> Names {
        let here = |b: &Backend| b.address == Address::Socket(address);
        self.member(here).unwrap_or_else(|| Names::Stranger(address.to_string()))
    }

    /// The member for which HAProxy makes this value of an address, if its key is known.
    fn haproxy_digest(&self, value: &str) -> Option<Names> {
        let key = self.secrets.haproxy.as_deref()?;
        self.member(|b| match &b.address {
            Address::Socket(address) => haproxy_id(key, *address) == value,
            Address::Name { .. } | Address::Unix(_) => false,
        })
    }
}

fn reading(system: &'static str, form: &'static str, names: Names) -> Option<Reading> {
    Some(Reading { system, form, names, details: Vec::new() })
}

/// `sticky cookie`: the MD5 of the peer's name.
fn nginx(case: &Case<'_>) -> Option<Reading> {
    if !is_hex(case.value, 32) {
        return None;
    }
    let names = case.at(|text| md5_hex(text) == case.value);
    reading("nginx sticky cookie", "MD5 of the address", names.unwrap_or(Names::Nobody))
}

/// `key|md5(md5(backend) + backend)`. A persistent key is the MD5 of the backend's name and an endpoint; a balanced one
/// is a random text that its consistent hash places.
fn ingress_nginx(case: &Case<'_>) -> Option<Reading> {
    let (key, backend) = case.value.split_once('|')?;
    if key.is_empty() || !is_hex(backend, 32) {
        return None;
    }
    let names = case.at(|text| md5_hex(&format!("{}{text}", case.pool)) == key);
    let form = if is_hex(key, 32) { "persistent key" } else { "balanced key, which its hash places" };
    let mut found = reading("ingress-nginx", form, names.unwrap_or(Names::Nobody))?;
    let is_pool = md5_hex(&(md5_hex(case.pool) + case.pool)) == backend;
    let which = if is_pool { case.pool.to_owned() } else { format!("not \"{}\"", case.pool) };
    found.details.push(("its backend", which));
    Some(found)
}

/// `cookie .. insert maxidle .. maxlife ..`: `id|last` or `id|last|first`.
fn haproxy_dated(case: &Case<'_>) -> Option<Reading> {
    let mut parts = case.value.split('|');
    let (id, last, first) = (parts.next()?, parts.next()?, parts.next());
    if id.is_empty() || parts.next().is_some() {
        return None;
    }
    let names = case.haproxy_digest(id).unwrap_or_else(|| case.of_id(id));
    let mut found = reading("HAProxy cookie", "id and dates", names)?;
    found.details.push(("last seen", haproxy_date(last)?.to_string()));
    if let Some(first) = first {
        found.details.push(("first seen", haproxy_date(first)?.to_string()));
    }
    Some(found)
}

/// `cookie .. prefix`: the id stands in front of the application's own value.
fn haproxy_prefix(case: &Case<'_>) -> Option<Reading> {
    let (id, value) = case.value.split_once('~')?;
    let names = case.haproxy_digest(id).or_else(|| case.members.find(id).map(Names::Member))?;
    let mut found = reading("HAProxy cookie", "prefix", names)?;
    found.details.push(("the application's value", value.to_owned()));
    Some(found)
}

/// `cookie .. dynamic`: the XXH64 of key, address and port.
fn haproxy_dynamic(case: &Case<'_>) -> Option<Reading> {
    if !is_hex(case.value, 16) {
        return None;
    }
    let mut found = reading("HAProxy cookie", "dynamic", Names::Nobody)?;
    match case.haproxy_digest(case.value) {
        Some(names) => found.names = names,
        None if case.secrets.haproxy.is_none() => {
            found.details.push(("to tell", "its dynamic-cookie-key is needed".to_owned()));
        }
        None => {}
    }
    Some(found)
}

/// The first 16 digits of the SHA-256 of the server's URL; older: the URL, its FNV-64, and the FNV-64 of that.
fn traefik(case: &Case<'_>) -> Option<Reading> {
    type Digest = fn(&str) -> String;
    let forms: [(&'static str, Digest); 4] = [
        ("SHA-256 of the URL", |url| hex(&Sha256::digest(url))[..16].to_owned()),
        ("the URL", str::to_owned),
        ("FNV-64 of the URL", fnv_hex),
        ("FNV-64 of the FNV-64 of the URL", |url| fnv_hex(&fnv_hex(url))),
    ];
    let is_shape = is_hex(case.value, 16);
    let is_url = case.value.starts_with("http://") || case.value.starts_with("https://");
    if !is_url && (case.value.len() > 16 || !case.value.bytes().all(is_hex_digit)) {
        return None;
    }
    for (form, digest) in forms {
        let is_url_of = |text: &str| {
            let urls = ["http", "https", "h2c"].map(|scheme| format!("{scheme}://{text}"));
            urls.iter().any(|url| digest(url) == case.value || digest(&format!("{url}/")) == case.value)
        };
        if let Some(names) = case.at(is_url_of) {
            return reading("Traefik", form, names);
        }
    }
    match (is_url, is_shape) {
        (true, _) => reading("Traefik", "the URL", Names::Stranger(case.value.to_owned())),
        (_, true) => reading("Traefik", "SHA-256 of the URL", Names::Nobody),
        (false, false) => None,
    }
}

/// `lb_policy cookie`: the HMAC-SHA256 of the upstream's dial address.
fn caddy(case: &Case<'_>) -> Option<Reading> {
    if !is_hex(case.value, 64) {
        return None;
    }
    let secrets = [case.secrets.caddy.as_deref().unwrap_or(""), ""];
    let is_of = |text: &str| {
        let dial = text.strip_prefix("unix:").map_or_else(|| text.to_owned(), |path| format!("unix/{path}"));
        secrets.iter().any(|secret| hmac_hex(secret, &dial).as_deref() == Some(case.value))
    };
    let mut found = reading("Caddy", "HMAC-SHA256 of the address", Names::Nobody)?;
    match case.at(is_of) {
        Some(names) => found.names = names,
        None if case.secrets.caddy.is_none() => {
            found.details.push(("to tell", "its secret is needed, if it has one".to_owned()));
        }
        None => {}
    }
    Some(found)
}

/// BIG-IP, by F5's article K6917: the address and port, in one of four ways.
fn f5(case: &Case<'_>) -> Option<Reading> {
    let value = case.value;
    if let Some(domain) = value.strip_prefix("rd") {
        let (domain, rest) = domain.split_once('o')?;
        let (ip, port) = rest.split_once('o')?;
        let (domain, port) = (domain.parse::<u16>().ok()?, port.parse().ok()?);
        let address = SocketAddr::new(ipv6(ip)?.to_canonical(), port);
        let mut found = reading("F5 BIG-IP", "address in a route domain", case.of_address(address))?;
        found.details.push(("route domain", domain.to_string()));
        return Some(found);
    }
    if let Some((ip, port)) = value.strip_prefix("vi").and_then(|v| v.split_once('.')) {
        let address = SocketAddr::new(ipv6(ip)?.into(), port.parse::<u16>().ok()?.swap_bytes());
        return reading("F5 BIG-IP", "IPv6 address", case.of_address(address));
    }
    if case.name.starts_with("BIGipServer") && value.starts_with('!') {
        return reading("F5 BIG-IP", "encrypted: only it can tell", Names::Nobody);
    }
    let (ip, port) = value.strip_suffix(".0000")?.split_once('.')?;
    let ip = Ipv4Addr::from(ip.parse::<u32>().ok()?.swap_bytes());
    let address = SocketAddr::new(ip.into(), port.parse::<u16>().ok()?.swap_bytes());
    reading("F5 BIG-IP", "IPv4 address", case.of_address(address))
}

/// A stateful session: base64 of a protobuf message (1: address, 2: when it ends), older and in fields of the address.
fn envoy(case: &Case<'_>) -> Option<Reading> {
    let bytes = base64(case.value)?;
    if let Some(address) = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()) {
        return reading("Envoy stateful session", "address", case.of_address(address));
    }
    let (address, expires) = envoy_message(&bytes)?;
    let names = case.of_address(address.parse().ok()?);
    let mut found = reading("Envoy stateful session", "message with the address", names)?;
    if let Some(expires) = expires {
        found.details.push(("ends at", format!("second {expires} of that Envoy's own clock")));
    }
    Some(found)
}

/// `HashCookie`: the XXH64 of the destination's id in upper case; `ArrCookie`: the SHA-256 of it in lower case. Both of
/// UTF-16.
fn yarp(case: &Case<'_>) -> Option<Reading> {
    let hash = |b: &Backend| format!("{:016x}", xxh64(&utf16(&b.id.as_str().to_uppercase()), 0));
    if let Some(names) = case.member(|b| hash(b) == case.value) {
        return reading("YARP", "HashCookie", names);
    }
    let arr = |b: &Backend| hex(&Sha256::digest(utf16(&b.id.as_str().to_lowercase()))).to_uppercase();
    let names = case.member(|b| arr(b) == case.value)?;
    reading("YARP", "ArrCookie", names)
}

/// Apache, Tomcat, JBoss, Keycloak: the route behind the first or the last point of the application's session id.
fn route(case: &Case<'_>) -> Option<Reading> {
    let (id, route) = case.value.split_once('.')?;
    let (longer, last) = case.value.rsplit_once('.')?;
    let ways = [(id, route), (longer, last)];
    let known = ways.into_iter().find(|(_, route)| case.members.find(route).is_some());
    let is_usual = SUFFIXED.contains(&case.name);
    let (id, route) = known.or((is_usual && !route.is_empty()).then_some((id, route)))?;
    let mut found = reading("Apache, Tomcat, JBoss", "session id and route", case.of_id(route))?;
    found.details.push(("the application's id", id.to_owned()));
    Some(found)
}

/// A server's name and nothing else.
fn plain(case: &Case<'_>) -> Option<Reading> {
    let form = "the server's name";
    if case.name == "SOZUBALANCEID" {
        return reading("Sōzu", form, case.of_id(case.value));
    }
    let ix = case.members.find(case.value)?;
    reading("HAProxy cookie, nginx route or another", form, Names::Member(ix))
}

/// HAProxy's dates: five letters of base64 for 30 bits that count four seconds each.
fn haproxy_date(text: &str) -> Option<UnixSeconds> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if text.len() != 5 {
        return None;
    }
    let sextet = |b: u8| LETTERS.iter().position(|l| *l == b).and_then(|at| u32::try_from(at).ok());
    let count = text.bytes().try_fold(0_u32, |count, b| Some(count << 6 | sextet(b)?))?;
    Some(UnixSeconds(count << 2))
}

fn haproxy_id(key: &str, address: SocketAddr) -> String {
    let mut bytes = key.as_bytes().to_vec();
    match address {
        SocketAddr::V4(a) => bytes.extend(a.ip().octets()),
        SocketAddr::V6(a) => bytes.extend(a.ip().octets()),
    }
    bytes.extend(u32::from(address.port()).to_be_bytes());
    format!("{:016x}", xxh64(&bytes, 0))
}

/// The address of Envoy's message, and its end in seconds of a clock that begins anywhere.
fn envoy_message(bytes: &[u8]) -> Option<(&str, Option<u64>)> {
    const ADDRESS: u8 = 1 << 3 | 2;
    const EXPIRES: u8 = 2 << 3;
    let (&len, rest) = bytes.strip_prefix(&[ADDRESS])?.split_first()?;
    let (address, rest) = rest.split_at_checked(usize::from(len).min(127))?;
    let address = std::str::from_utf8(address).ok()?;
    let Some(number) = rest.strip_prefix(&[EXPIRES]) else {
        return rest.is_empty().then_some((address, None));
    };
    let (&last, more) = number.split_last().filter(|(_, more)| more.len() < 9)?;
    if last >= 0x80 || more.iter().any(|b| *b < 0x80) {
        return None;
    }
    let expires = number.iter().rev().fold(0_u64, |n, b| n << 7 | u64::from(b & 0x7f));
    Some((address, Some(expires)))
}

/// Standard base64, with its padding or without.
fn base64(text: &str) -> Option<Vec<u8>> {
    let letters = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let mut room = vec![0; letters.len()];
    let len = base64url::decode(letters.as_bytes(), &mut room)?.len();
    room.truncate(len);
    Some(room)
}

/// 32 digits without colons.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(number.into())
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text))
}

fn hmac_hex(secret: &str, text: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(text.as_bytes());
    Some(hex(&mac.finalize().into_bytes()))
}

/// FNV-1 of 64 bits, without leading zeros.
fn fnv_hex(text: &str) -> String {
    let step = |hash: u64, b: u8| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(b);
    format!("{:x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(is_hex_digit)
}

const fn is_hex_digit(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
