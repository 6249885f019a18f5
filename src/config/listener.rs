//! `[[listener]]`, `[admin]`, `[access_log]` and `[shutdown]`.

use std::ops::Range;
use std::path::PathBuf;

use super::affinity::warn_of_readers;
use super::item::Item;
use super::reader::{Table, Title};
use super::record::Value;
use super::{Scope, address, defaults, named};
use crate::base::cidr::{Prefix, PrefixSet};
use crate::base::hash::hash64;
use crate::base::settings::Settings;
use crate::message::field::Underscores;
use crate::net::listen::ListenAddress;
use crate::snapshot::admin::{Admin, Peer, Token};
use crate::snapshot::{AccessLog, ClientTimeouts, HalfClose, Limits, Listener, LogFormat, Shutdown};

/// A listener as read, with what the checks across sections need.
pub(super) struct ListenerRead {
    pub(super) name: named::Name,
    /// `None` if something is missing without which there is none.
    pub(super) listener: Option<Listener>,
    pub(super) listen: Option<(ListenAddress, Range<usize>)>,
    pub(super) span: Range<usize>,
}

/// Reads one `[[listener]]`.
pub(super) fn read(table: Table<'_>) -> ListenerRead {
    let span = table.span();
    let item = table.required("listen", "where clients come in, as in listen = \":8080\"");
    let listen = item.and_then(|i| Some((i.parse(address::listen)?, i.span())));
    let name = match table.get("name") {
        Some(item) => named::Name::read(&item),
        None => named::Name::implied(listen.as_ref().map(|(l, _)| l.to_string()), span.clone()),
    };
    table.default("name", Value::text(name.text.as_deref().unwrap_or_default()));
    let trusted_proxies = trusted(&table);
    let proxy_protocol = proxy_protocol(&table, &trusted_proxies, listen.as_ref().map(|(l, _)| l));
    let mut listener = Listener {
        name: name.text.as_deref().unwrap_or_default().into(),
        listen: listen.as_ref().map_or_else(|| ListenAddress::Unix(PathBuf::new()), |(l, _)| l.clone()),
        trusted_proxies,
        proxy_protocol,
        forwarded: table.bool("forwarded", defaults::FORWARDED),
        request_id: table.bool("request_id", defaults::REQUEST_ID),
        limits: limits(table.section("limits", Title::Section("listener.limits"))),
        timeouts: timeouts(table.section("timeouts", Title::Section("listener.timeouts"))),
        half_close: table.choice(
            "half_close",
            &[("auto", HalfClose::Auto), ("never", HalfClose::Never), ("always", HalfClose::Always)],
            HalfClose::Auto,
        ),
        bare_lf: table.bool("bare_lf", defaults::BARE_LF),
        underscores: table.choice(
            "underscores",
            &[("drop", Underscores::Drop), ("pass", Underscores::Pass), ("refuse", Underscores::Refuse)],
            Underscores::default(),
        ),
        http2: table.bool("http2", defaults::HTTP2),
        h2c: table.bool("h2c", defaults::H2C),
        affinity_header: table.bool("affinity_header", false),
        max_connections: table.integer("max_connections", 0..=u32::MAX, 0),
        max_connections_per_address: table.integer("max_connections_per_address", 0..=u32::MAX, 0),
        settings: Settings::default(),
    };
    listener.settings = table.report.record.settings(table.node(), &[]);
    table.finish();
    ListenerRead { listener: listen.is_some().then_some(listener), name, listen, span }
}

/// Reads `[admin]`.
pub(super) fn admin(table: Table<'_>, scope: &Scope<'_>) -> (Admin, Range<usize>) {
    let item = table.get("listen");
    let span = item.map_or_else(|| table.span(), |i| i.span());
    let address = item.and_then(|i| i.parse(address::listen));
    let default = ListenAddress::Tcp { address: defaults::ADMIN, both_families: false };
    let listen = address.unwrap_or(default);
    table.default("listen", Value::text(&listen));
    let token = table.get("token").map(|item| token(&item, scope));
    if let ListenAddress::Tcp { address, .. } = &listen
        && !address.ip().to_canonical().is_loopback()
        && token.is_none()
    {
        let message = format!(
            "admin listens on {address} without a token: whoever reaches it reads metrics and the state of every \
             backend, and nothing can be changed from there"
        );
        let help = "listen on 127.0.0.1, [::1] or a unix: socket, or openssl rand -hex 32 > admin.token; chmod 600 \
                    admin.token; then token = { file = \"admin.token\" }";
        table.report.warning(span.clone(), message, help);
    }
    let peers = table.get("peers").and_then(|item| item.list("addresses")).unwrap_or_default();
    let most = defaults::MOST_PEERS;
    if let Some(one_too_many) = peers.get(most) {
        one_too_many.refuse(format_args!("is one too many: there may be {most}"));
    }
    let peers = peers.iter().filter_map(|item| item.parse(Peer::parse)).collect();
    table.finish();
    (Admin { listen, token: token.flatten(), peers }, span)
}

/// `token = { file = "admin.token" }`
fn token(item: &Item<'_>, scope: &Scope<'_>) -> Option<Token> {
    if !item.value.is_table() {
        let help = "write it to a file of its own: token = { file = \"admin.token\" }";
        scope.report.error_at_secret(item.span(), "token: must not stand in the configuration", help);
        return None;
    }
    let table = item.table(Title::Inline("token"))?;
    let file = table.required("file", "where the token is, as in { file = \"admin.token\" }");
    let node = table.node();
    table.finish();
    let file = file?;
    let path = file.parse(|text| scope.path(text))?;
    let help = || {
        format!(
            "openssl rand -hex 32 > {0}; chmod 600 {0} makes one; relative to the folder of this file",
            path.display()
        )
    };
    let read = match scope.sources.file(&path) {
        Ok(read) => read,
        Err(error) => {
            file.refuse_with_help(format_args!("read {}: {error}", path.display()), help());
            return None;
        }
    };
    warn_of_readers(&file, &path, read.mode, "change everything through the admin listener", scope);
    match Token::parse(&read.text) {
        Ok(token) => {
            // Tells one from another within this process, and says nothing outside of it.
            let seeded = format!("{} {}", scope.environment.boot, token.expose());
            scope.report.record.hide(node, format!("token {:x}", hash64(seeded.as_bytes())));
            Some(token)
        }
        Err(must) => {
            file.refuse_with_help(format_args!("{} {must}", path.display()), help());
            None
        }
    }
}

/// Reads `[access_log]`.
pub(super) fn access_log(table: Table<'_>, scope: &Scope<'_>) -> AccessLog {
    let words = [("json", LogFormat::Json), ("combined", LogFormat::Combined), ("off", LogFormat::Off)];
    let format = table.choice("format", &words, LogFormat::default());
    let path = table.get("path").and_then(|item| item.parse(|text| scope.path(text)));
    table.finish();
    AccessLog { format, path }
}

/// Reads `[shutdown]`.
pub(super) fn shutdown(table: Table<'_>) -> Shutdown {
    let notice = table.duration("notice", defaults::SHUTDOWN.notice);
    let drain = table.duration("drain", defaults::SHUTDOWN.drain);
    table.finish();
    Shutdown { notice, drain }
}

fn trusted(table: &Table<'_>) -> PrefixSet {
    let list = table.get("trusted_proxies").and_then(|item| item.list("prefixes")).unwrap_or_default();
    table.default("trusted_proxies", Value::List(Vec::new()));
    list.iter().filter_map(|item| item.parse(str::parse::<Prefix>)).collect()
}

/// Whoever may send a PROXY header may pass for anybody: so it must be said who that is.
fn proxy_protocol(table: &Table<'_>, trusted: &PrefixSet, listen: Option<&ListenAddress>) -> bool {
    let item = table.get("proxy_protocol");
    table.default("proxy_protocol", Value::plain(&false));
    let Some(item) = item else { return false };
    let is_on = item.boolean().unwrap_or_default();
    let is_tcp = matches!(listen, Some(ListenAddress::Tcp { .. }));
    if is_on && is_tcp && trusted.is_empty() {
        item.refuse_with_help(
            "needs trusted_proxies: nobody may send a PROXY header",
            "add trusted_proxies = [\"10.0.0.0/8\"] with the addresses of the proxies in front",
        );
    }
    is_on
}

fn limits(table: Table<'_>) -> Limits {
    let default = defaults::LIMITS;
    let bounds = defaults::LEAST_SIZE..=defaults::LARGEST_HEAD;
    let head = table.size("head", bounds.clone(), default.head);
    let fields = table.integer("fields", 1..=defaults::MOST_FIELDS, default.fields as u32);
    let part = |key, default: usize| {
        let size = table.size(key, bounds.clone(), default.min(head));
        if size > head {
            let message = format!("{key} is larger than head: a {key} is part of the head");
            table.report.error(table.get(key).map_or_else(|| table.span(), |i| i.span()), message);
        }
        size
    };
    let limits = Limits {
        head,
        field: part("field", default.field),
        fields: fields as usize,
        body_rate: table.integer("body_rate", 0..=u32::MAX, default.body_rate),
        target: part("target", default.target),
    };
    table.finish();
    limits
}

fn timeouts(table: Table<'_>) -> ClientTimeouts {
    let default = defaults::CLIENT;
    let timeouts = ClientTimeouts {
        proxy_header: table.duration("proxy_header", default.proxy_header),
        head: table.duration("head", default.head),
        body: table.duration("body", default.body),
        write: table.duration("write", default.write),
        idle: table.duration("idle", default.idle),
    };
    table.finish();
    timeouts
}
