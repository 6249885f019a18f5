//! What `preset = ".."` stands for: defaults for the other keys of `[pool.affinity]`, one line per application server.
//!
//! What a file says itself is preferred to its preset.

use super::item::Item;
use crate::affinity::carriers::Mode;

/// One preset.
#[derive(Debug)]
pub(super) struct Preset {
    /// As the configuration writes it.
    pub(super) name: &'static str,
    /// `mode`
    pub(super) modes: &'static [Mode],
    /// `create`
    pub(super) create: &'static [&'static str],
    /// `lookup`; empty: where what was created comes back.
    pub(super) lookup: &'static [&'static str],
    /// Whether a session whose backend is lost is refused with 404 by default, which tells its client to begin anew.
    pub(super) begins_anew: bool,
}

const fn learn(
    name: &'static str,
    create: &'static [&'static str],
    lookup: &'static [&'static str],
) -> Preset {
    Preset { name, modes: &[Mode::Learn], create, lookup, begins_anew: false }
}

/// All presets.
static PRESETS: [Preset; 6] = [
    // MCP 2025-06-18, Transports: who is answered with 404 for a session must begin a new one.
    Preset { begins_anew: true, ..learn("mcp", &["header:mcp-session-id"], &[]) },
    learn("socket_io", &["json:/sid"], &["query:sid"]),
    // The token is the id from the protocol's version 1 on.
    learn("signalr", &["json:/connectionToken", "json:/connectionId"], &["query:id"]),
    Preset { modes: &[Mode::Route], ..learn("tomcat", &[], &["cookie:JSESSIONID", "path_param:jsessionid"]) },
    learn("php", &["cookie:PHPSESSID"], &[]),
    learn("express", &["cookie:connect.sid"], &[]),
];

impl Preset {
    /// The preset that a value names.
    pub(super) fn read(item: &Item<'_>) -> Option<&'static Self> {
        let words: Vec<_> = PRESETS.iter().map(|preset| (preset.name, preset)).collect();
        item.choice(&words)
    }
}
