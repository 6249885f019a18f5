//! `[[route]]`: host and path to pool.

use std::ops::Range;

use super::named::{self, Name};
use super::reader::Table;
use super::record::Value;
use super::{address, headers};
use crate::route::{HostPattern, Route};

/// A route as read.
pub(super) struct RouteRead {
    /// `None` if its pool is not known.
    pub(super) route: Option<Route>,
    pub(super) span: Range<usize>,
}

/// Reads one `[[route]]`; names are looked up in the order of the file.
pub(super) fn read(table: Table<'_>, listeners: &[Name], pools: &[Name]) -> RouteRead {
    let span = table.span();
    let listener = table.get("listener").map(|item| named::find(&item, "[[listener]]", listeners));
    let host = table.get("host").map(|item| item.parse(address::host_pattern));
    let path = table.get("path").map(|item| item.parse(prefix));
    table.default("path", Value::text("/"));
    let pool = table.required("pool", "where its requests go, as in pool = \"app\"");
    let pool = pool.and_then(|item| named::find(&item, "[[pool]]", pools));
    let request_headers = headers::rules(&table, "request_headers");
    let response_headers = headers::rules(&table, "response_headers");
    table.finish();
    let route = pool.map(|pool| Route {
        listener: listener.flatten(),
        host: host.flatten().unwrap_or(HostPattern::Any),
        path: path.flatten().unwrap_or_else(|| "/".to_owned()),
        pool,
        request_headers,
        response_headers,
    });
    RouteRead { route, span }
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
