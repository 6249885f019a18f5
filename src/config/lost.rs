//! `on_lost`, `return_home` and `return_after` of `[pool.affinity]`: what becomes of a session whose backend is lost,
//! and whether it comes back.

use std::sync::Arc;

use super::defaults;
use super::item::Item;
use super::reader::{Table, Title};
use super::record::{Origin, Slot, Value};
use crate::pool::policy::{OnLost, Remedy, ReturnHome};

/// The causes that may be told apart.
const CAUSES: [&str; 4] = ["down", "drained", "removed", "full"];
/// What every remedy may be.
const REMEDIES: &str = "\"rebind\", \"borrow\", \"wait\", \"strict\", { wait = \"5s\" }, { strict = 404 } or { redirect = \"/sorry\" }";

/// `on_lost`: one remedy for all causes, or one each.
///
/// Without the key sessions move; or, so that a client `begins_anew`, they are refused with 404 where their backend is
/// not there any more.
pub(super) fn on_lost(table: &Table<'_>, begins_anew: bool) -> OnLost {
    let Some(item) = table.get("on_lost") else {
        if begins_anew {
            return anew(table);
        }
        table.default("on_lost", Value::text("rebind"));
        return OnLost::default();
    };
    let is_by_cause = |keys: &toml::de::DeTable<'_>| keys.keys().any(|k| CAUSES.contains(&&**k.get_ref()));
    if !item.value.as_table().is_some_and(is_by_cause) {
        return remedy(&item).map(OnLost::all).unwrap_or_default();
    }
    let Some(table) = item.table(Title::Inline("on_lost")) else { return OnLost::default() };
    let of = |cause| table.get(cause).and_then(|i| remedy(&i)).unwrap_or_default();
    let without_wait = |cause, why: &str| match (of(cause), table.get(cause)) {
        (Remedy::Wait(_), Some(item)) => {
            item.refuse(why);
            Remedy::default()
        }
        (remedy, _) => remedy,
    };
    let on_lost = OnLost {
        down: of("down"),
        drained: of("drained"),
        removed: without_wait(
            "removed",
            "a backend that is gone from the pool does not come back: must not wait",
        ),
        full: without_wait("full", "a full backend is waited for in its queue: set the pool's queue instead"),
    };
    table.finish();
    on_lost
}

/// What `{ down = { strict = 404 }, drained = { strict = 404 }, removed = { strict = 404 }, full = "strict" }` says.
fn anew(table: &Table<'_>) -> OnLost {
    let record = &table.report.record;
    table.default("on_lost", Value::plain("{}"));
    let slot = |node, key| Slot { node, key, element: None };
    let causes = record.open_at(slot(table.node(), "on_lost"), Title::Inline("on_lost"));
    for cause in ["down", "drained", "removed"] {
        record.note(causes, cause, || Value::plain("{}"), Origin::Default);
        let remedy = record.open_at(slot(causes, cause), Title::Inline(cause));
        record.note(remedy, "strict", || Value::plain(&defaults::BEGIN_ANEW), Origin::Default);
    }
    record.note(causes, "full", || Value::text("strict"), Origin::Default);
    let gone = Remedy::Refuse(defaults::BEGIN_ANEW);
    let full = Remedy::Refuse(defaults::STRICT);
    OnLost { down: gone.clone(), drained: gone.clone(), removed: gone, full }
}

/// `return_home` and `return_after`.
pub(super) fn return_home(table: &Table<'_>) -> ReturnHome {
    let pause = table.duration("return_after", defaults::RETURN_AFTER);
    let after = table.get("return_after");
    let seconds = u32::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
    let words = [("never", ReturnHome::Never), ("idle", ReturnHome::Idle(seconds)), ("now", ReturnHome::Now)];
    let return_home = table.choice("return_home", &words, ReturnHome::default());
    if let Some(item) = after.filter(|_| !matches!(return_home, ReturnHome::Idle(_))) {
        let message = item.sentence(&"only with return_home = \"idle\"");
        table.report.warning(item.span(), message, "add return_home = \"idle\", or leave it out");
    }
    return_home
}

fn remedy(item: &Item<'_>) -> Option<Remedy> {
    match item.value.as_str() {
        Some("rebind") => return Some(Remedy::Rebind),
        Some("borrow") => return Some(Remedy::Borrow),
        Some("wait") => return Some(Remedy::Wait(defaults::WAIT)),
        Some("strict") => return Some(Remedy::Refuse(defaults::STRICT)),
        _ => {}
    }
    let keys = item.value.as_table().filter(|keys| keys.len() == 1);
    let table = keys.and_then(|_| item.table(Title::Inline("on_lost")));
    let Some(table) = table else {
        item.refuse(format_args!("must be {REMEDIES}"));
        return None;
    };
    let (wait, strict, to) = (table.get("wait"), table.get("strict"), table.get("redirect"));
    table.finish();
    let wait = wait.and_then(|i| i.duration()).map(Remedy::Wait);
    let strict = strict.and_then(|i| i.integer(&(400..=599))).and_then(|status| u16::try_from(status).ok());
    wait.or_else(|| strict.map(Remedy::Refuse)).or_else(|| to?.parse(location).map(Remedy::Redirect))
}

/// What may stand in a `Location` field: an absolute URL or a path.
fn location(text: &str) -> Result<Arc<str>, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_url = host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#']));
    if !is_url && !text.starts_with('/') {
        return Err("must be an absolute URL or a path, as in \"https://example.com/sorry\"".to_owned());
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must be printable ASCII without blanks: encode others as %XX".to_owned());
    }
    Ok(text.into())
}
