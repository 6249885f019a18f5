//! `[pool.health]`: what a probe sends and what must come back.

use http::Method;
use toml::de::DeValue;

use super::item::{Item, whole};
use super::reader::Table;
use super::record::Value;
use super::{address, defaults, headers};
use crate::health::{Check, HttpProbe, Probe};
use crate::pool::transport::Protocol;
use crate::route::HostPattern;

/// Longest name of a gRPC service, bytes: its length is one byte of the message.
const LONGEST_SERVICE: usize = 127;
/// Keys that mean something only to an HTTP probe.
const HTTP_ONLY: [&str; 6] = ["method", "host", "headers", "expect", "drain", "body"];

/// Reads `[pool.health]` of a pool whose backends speak `protocol`.
pub(super) fn read(table: Table<'_>, protocol: Protocol) -> Check {
    let path = table.get("path");
    let grpc = grpc(&table, protocol);
    let http = HttpProbe {
        path: path.and_then(|i| i.parse(check_path)).unwrap_or_default(),
        method: table
            .get("method")
            .and_then(|i| i.parse(method))
            .unwrap_or_else(|| defaults::METHOD.to_owned()),
        host: table.get("host").and_then(|i| i.parse(host)),
        headers: headers::fields(&table, "headers"),
        expect: table.get("expect").and_then(|i| statuses(&i)).unwrap_or_else(|| vec![defaults::EXPECT]),
        drain: table.get("drain").and_then(|i| statuses(&i)).unwrap_or_default(),
        body: table.get("body").and_then(|i| i.text()).map(str::to_owned),
    };
    if path.is_none()
        && let Some((key, item)) = HTTP_ONLY.iter().find_map(|key| Some((key, table.get(key)?)))
    {
        let message = format!("{key} without path: without a path only a connection is made");
        table.report.error_with_help(item.span(), message, "add path = \"/\"");
    }
    if http.method == "HEAD"
        && let Some(item) = table.get("body")
    {
        item.refuse("the answer to HEAD has no body: must be method = \"GET\"");
    }
    let overlaps = |(from, to): &(u16, u16)| http.expect.iter().any(|(a, b)| from <= b && a <= to);
    if let Some(item) = table.get("drain").filter(|_| http.drain.iter().any(overlaps)) {
        let message = item.sentence(&"expect has it too: a backend that answers so takes no new sessions");
        table.report.warning(
            item.span(),
            message,
            "a status that only a backend to be drained answers, as in 404",
        );
    }
    if path.is_some() {
        let (first, last) = defaults::EXPECT;
        table.default("method", Value::text(defaults::METHOD));
        table.default("expect", Value::text(&format!("{first}-{last}")));
    }
    let fall = table.integer("fall", 1..=1000, defaults::FALL);
    let check = Check {
        probe: match grpc {
            Some(service) => Probe::Grpc(service),
            None if path.is_some() => Probe::Http(http),
            None => Probe::Tcp,
        },
        interval: table.duration("interval", defaults::INTERVAL),
        timeout: table.duration("timeout", defaults::PROBE_TIMEOUT),
        rise: table.integer("rise", 1..=1000, defaults::RISE),
        fall,
        fall_pinned: fall_pinned(&table, fall),
        jitter: table.integer("jitter", 0..=100, defaults::JITTER),
    };
    table.finish();
    check
}

/// `true`, for the server as a whole, or the name of a service.
fn grpc(table: &Table<'_>, protocol: Protocol) -> Option<String> {
    let item = table.get("grpc");
    table.default("grpc", Value::plain("false"));
    let item = item?;
    let service = match item.value {
        DeValue::String(text) if (1..=LONGEST_SERVICE).contains(&text.len()) => text.to_string(),
        DeValue::String(_) => {
            item.refuse(format_args!("must be a service's name of 1 to {LONGEST_SERVICE} bytes"));
            return None;
        }
        _ if item.boolean()? => String::new(),
        _ => return None,
    };
    if !protocol.is_http2() {
        item.refuse_with_help("gRPC goes over HTTP/2", "protocol = \"h2c\" in the pool, or \"h2\" with tls");
    }
    if let Some(path) = table.get("path") {
        path.refuse("is not asked for beside grpc: must be one of both");
    }
    Some(service)
}

/// Never below `fall`: a backend that gave its sessions up would still be given new ones.
fn fall_pinned(table: &Table<'_>, fall: u32) -> u32 {
    let Some((item, checks)) = table.get("fall_pinned").and_then(|i| Some((i, i.integer(&(1..=1000))?)))
    else {
        return fall;
    };
    if checks < fall {
        item.refuse(format_args!("must be at least fall, which is {fall}"));
    }
    checks.max(fall)
}

/// A path and query as they stand in a request line.
fn check_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("must start with \"/\", as in \"/{}\"", text.trim_start_matches('/')));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err("must be printable ASCII without blanks and \"#\"".to_owned());
    }
    Ok(text.to_owned())
}

fn method(text: &str) -> Result<String, String> {
    let must = || "must be a method, as in \"GET\" or \"HEAD\"".to_owned();
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| must())?;
    let upper = text.bytes().all(|b| b.is_ascii_uppercase());
    if method == Method::CONNECT || !upper { Err(must()) } else { Ok(text.to_owned()) }
}

/// A host, with a port or without.
fn host(text: &str) -> Result<String, String> {
    if address::backend(text).is_ok() && !text.starts_with("unix:") {
        return Ok(text.to_owned());
    }
    match address::host_pattern(text)? {
        HostPattern::Exact(_) => Ok(text.to_owned()),
        HostPattern::Any | HostPattern::Under(_) => Err("must be one host".to_owned()),
    }
}

/// `"200-399"`, `204`, or a list of both.
pub(super) fn statuses(item: &Item<'_>) -> Option<Vec<(u16, u16)>> {
    if !item.value.is_array() {
        return range(item).map(|range| vec![range]);
    }
    let list = item.list("statuses")?;
    if list.is_empty() {
        item.refuse("must have at least one status, as in [200, \"300-399\"]");
    }
    list.iter().map(range).collect()
}

fn range(item: &Item<'_>) -> Option<(u16, u16)> {
    let range = match item.value {
        DeValue::String(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            first.trim().parse().ok().zip(last.trim().parse().ok())
        }
        value => whole(value).and_then(|n| u16::try_from(n).ok()).map(|n| (n, n)),
    };
    let range = range.filter(|(first, last)| (100..=599).contains(first) && (*first..=599).contains(last));
    if range.is_none() {
        item.refuse("must be statuses between 100 and 599, as in 200 or \"200-399\"");
    }
    range
}
