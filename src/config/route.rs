//! `[[route]]`: host and path to pool, or to an answer of homing's own.

use std::ops::Range;

use super::item::Item;
use super::named::{self, Name};
use super::reader::{Table, Title};
use super::record::Value;
use super::{address, defaults, guard, headers};
use crate::base::units::ByteSize;
use crate::route::path::PathChange;
use crate::route::reply::{LARGEST_BODY, Redirect, Respond, Template};
use crate::route::{Destination, HostPattern, Route};
use crate::snapshot::guard::Guard;

/// A route as read.
pub(super) struct RouteRead {
    /// `None` if where it goes is not known.
    pub(super) route: Option<Route>,
    /// What stands before it.
    pub(super) guard: Option<Guard>,
    /// Where its rate is asked to go by session.
    pub(super) pin: Option<Range<usize>>,
    pub(super) span: Range<usize>,
}

/// Reads one `[[route]]`; names are looked up in the order of the file.
pub(super) fn read(table: Table<'_>, listeners: &[Name], pools: &[Name]) -> RouteRead {
    let span = table.span();
    let listener = table.get("listener").map(|item| named::find(&item, "[[listener]]", listeners));
    let host = table.get("host").map(|item| item.parse(address::host_pattern));
    let path = table.get("path").map(|item| item.parse(prefix));
    table.default("path", Value::text("/"));
    let path = path.flatten().unwrap_or_else(|| "/".to_owned());
    let to = destination(&table, pools);
    let path_change = path_change(&table, &path);
    let request_headers = headers::rules(&table, "request_headers");
    let response_headers = headers::rules(&table, "response_headers");
    let guard = guard::read(&table);
    check_reader(&table, to.as_ref(), path_change.is_some(), !request_headers.is_empty());
    let except = ["listener", "host", "path", "pool", "request_headers", "response_headers"];
    let settings = table.report.record.settings(table.node(), &except);
    table.finish();
    let route = to.map(|to| Route {
        listener: listener.flatten(),
        host: host.flatten().unwrap_or(HostPattern::Any),
        path,
        to,
        path_change,
        request_headers,
        response_headers,
        settings,
    });
    RouteRead { route, guard: guard.guard, pin: guard.pin, span }
}

/// Exactly one of `pool`, `redirect` and `respond`.
fn destination(table: &Table<'_>, pools: &[Name]) -> Option<Destination> {
    let given = ["pool", "redirect", "respond"].map(|key| table.get(key));
    if let [first, second, ..] = given.iter().flatten().collect::<Vec<_>>().as_slice() {
        let (first, second) =
            (first.key.unwrap_or_default(), (second.key.unwrap_or_default(), second.span()));
        let message = format!("{} beside {first}: a route has one of pool, redirect and respond", second.0);
        table.report.error_with_help(second.1, message, "make two routes of it, or remove one");
    }
    match given {
        [Some(item), ..] => named::find(&item, "[[pool]]", pools).map(Destination::Pool),
        [None, Some(item), _] => redirect(item.table(Title::Inline("redirect"))?).map(Destination::Redirect),
        [None, None, Some(item)] => respond(item.table(Title::Inline("respond"))?).map(Destination::Respond),
        [None, None, None] => {
            let message = "[[route]] has no pool: where its requests go, as in pool = \"app\"";
            let help = "or answer them here: redirect = { to = \"https://example.org{path}\" }, or respond = { body = \"ok\" }";
            table.report.error_with_help(table.span(), message, help);
            None
        }
    }
}

/// `redirect = { to = "https://example.org{path}", status = 308 }`
fn redirect(table: Table<'_>) -> Option<Redirect> {
    let to = table.required("to", "where clients are sent, as in to = \"https://example.org{path}{query}\"");
    let to = to.and_then(|item| item.parse(Template::parse));
    let status = status(&table, "301, 302, 303, 307 or 308", defaults::REDIRECT, |n| {
        matches!(n, 301 | 302 | 303 | 307 | 308)
    });
    table.finish();
    Some(Redirect { to: to?, status })
}

/// `respond = { status = 200, body = "ok", content_type = "text/plain" }`
fn respond(table: Table<'_>) -> Option<Respond> {
    let status =
        status(&table, "a status between 200 and 599", defaults::RESPOND, |n| (200..600).contains(&n));
    let item = table.get("body");
    let body = item.as_ref().and_then(Item::text).unwrap_or_default();
    table.default("body", Value::text(""));
    if let Some(item) = item.filter(|_| body.len() > LARGEST_BODY) {
        item.refuse(format_args!("must be at most {}", ByteSize(LARGEST_BODY as u64)));
    } else if let Some(item) = item.filter(|_| !body.is_empty() && matches!(status, 204 | 205 | 304)) {
        item.refuse(format_args!("an answer {status} has no body"));
    }
    let kind = table.get("content_type").and_then(|item| item.parse(headers::value));
    table.default("content_type", Value::text(defaults::RESPOND_TYPE));
    table.finish();
    let kind = kind.unwrap_or_else(|| defaults::RESPOND_TYPE.to_owned());
    Some(Respond { status, body: body.into(), content_type: kind.into() })
}

fn status(table: &Table<'_>, must: &str, default: u16, is_right: impl Fn(u16) -> bool) -> u16 {
    let item = table.get("status");
    table.default("status", Value::plain(&default));
    let Some(item) = item else { return default };
    let status = item.integer(&(100..=599)).and_then(|n| u16::try_from(n).ok());
    match status {
        Some(status) if is_right(status) => status,
        Some(_) => {
            item.refuse(format_args!("must be {must}"));
            default
        }
        None => default,
    }
}

/// `strip_prefix = "/api"` and `add_prefix = "/v2"`
fn path_change(table: &Table<'_>, path: &str) -> Option<PathChange> {
    let read = |key| {
        let item = table.get(key)?;
        Some((item.parse(segments)?, item))
    };
    let (strip, add) = (read("strip_prefix"), read("add_prefix"));
    if let Some((strip, item)) = &strip {
        let is_begun = |text: &str, by: &str| {
            text.strip_prefix(by).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !is_begun(path, strip) && !is_begun(strip, path.trim_end_matches('/')) {
            item.refuse(format_args!("no path of this route begins so: it is for {path:?}"));
        }
    }
    let text = |read: Option<(String, Item<'_>)>| read.map_or_else(Box::default, |(text, _)| text.into());
    let change = PathChange { strip: text(strip), add: text(add) };
    (change != PathChange::default()).then_some(change)
}

/// A prefix of whole segments.
fn segments(text: &str) -> Result<String, String> {
    let text = prefix(text)?;
    if text.ends_with('/') {
        let rest = text.trim_end_matches('/');
        let help = if rest.is_empty() { "; leave it out".to_owned() } else { format!(", as in {rest:?}") };
        return Err(format!("must not end in \"/\"{help}"));
    }
    if text.contains(['\\', ';', '%']) || text.split('/').skip(1).any(|s| matches!(s, "" | "." | "..")) {
        return Err("must be plain segments, as in \"/api/v1\"".to_owned());
    }
    Ok(text)
}

/// Changes that nobody would see.
fn check_reader(table: &Table<'_>, to: Option<&Destination>, changes_path: bool, changes_fields: bool) {
    let (name, sees_path) = match to {
        None | Some(Destination::Pool(_)) => return,
        Some(Destination::Redirect(_)) => ("redirect", true),
        Some(Destination::Respond(_)) => ("respond", false),
    };
    let refuse = |key: &'static str| {
        let span = table.get(key).map_or_else(|| table.span(), |item| item.span());
        table.report.error(span, format!("{key} beside {name}: no backend gets the request"));
    };
    if changes_fields {
        refuse("request_headers");
    }
    if changes_path && !sees_path {
        let keys = ["strip_prefix", "add_prefix"];
        keys.into_iter().filter(|key| table.get(key).is_some()).for_each(refuse);
    }
}

fn prefix(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        let rest = text.trim_start_matches('*').trim_start_matches('/');
        return Err(format!("must start with \"/\", as in \"/{rest}\""));
    }
    if text.contains(['?', '#', '*']) {
        return Err("must be a path prefix, without query, \"#\" and \"*\"".to_owned());
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) || !text.is_ascii() {
        return Err("must be printable ASCII; write the rest as clients send it (%20, %C3%A4)".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
