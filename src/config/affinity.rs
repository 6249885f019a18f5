//! `[pool.affinity]`: what carries sessions, the cookie and its key file, the application's ids and their table.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::item::Item;
use super::preset::Preset;
use super::reader::{Table, Title};
use super::record::Value;
use super::{Scope, defaults, lost};
use crate::affinity::Terms;
use crate::affinity::attributes::{Attributes, CookieError, Priority, SameSite, Secure};
use crate::affinity::caching::Cacheable;
use crate::affinity::carriers::{Affinity, Mode, Parts};
use crate::affinity::cookie::{CookieAffinity, CookieSettings, Style};
use crate::affinity::header::HeaderAffinity;
use crate::affinity::kept::Kept;
use crate::affinity::pairs::is_token;
use crate::affinity::routed::Routed;
use crate::affinity::seal::SealKeys;
use crate::affinity::sources::{Create, Lookup};
use crate::affinity::table::Bounds;
use crate::backend::members::Members;
use crate::base::hash::hash64;
use crate::message::field::Name as FieldName;
use crate::pool::TableFile;
use crate::pool::policy::{OnLost, ReturnHome};

/// A pool's affinity as read.
pub(super) struct AffinityRead {
    /// `None` if there is none, or if it cannot be made.
    parts: Option<Parts>,
    /// How large the table is, if there is one.
    bounds: Option<Bounds>,
    /// Where the table is kept, if that is wanted.
    pub(super) file: Option<TableFile>,
    /// How long a session lasts without a request; counts live sessions also where nothing carries them.
    pub(super) idle: Duration,
    /// Where the mode stands, if there is one.
    pub(super) span: Option<Range<usize>>,
    /// What becomes of a session whose backend cannot be used.
    pub(super) on_lost: OnLost,
    /// Whether it goes back to its first home.
    pub(super) return_home: ReturnHome,
    /// The cookie's path, for the check that two pools do not overwrite each other's pins.
    pub(super) path: String,
}

/// Where each setting stands, for the errors of [`CookieAffinity::try_new`].
struct Places<'t, 'a> {
    table: &'t Table<'a>,
}

impl AffinityRead {
    /// The affinity of the pool of this name with these members.
    pub(super) fn build(&mut self, pool: &str, members: &Members, scope: &Scope<'_>) -> Option<Affinity> {
        let mut parts = self.parts.take()?;
        parts.kept = self.bounds.map(|bounds| Kept::new(scope.table_for(pool, bounds), parts.terms, members));
        Some(Affinity::new(parts))
    }
}

/// Reads `[pool.affinity]` of the pool of this name.
pub(super) fn read(table: Table<'_>, pool: &str, scope: &Scope<'_>) -> AffinityRead {
    let span = ["mode", "preset"]
        .into_iter()
        .find_map(|key| table.get(key))
        .map_or_else(|| table.span(), |i| i.span());
    let preset = table.get("preset").and_then(|item| Preset::read(&item));
    let modes = match table.get("mode") {
        Some(item) => modes(&item),
        None => preset.map_or_else(Vec::new, |p| p.modes.to_vec()),
    };
    table.default("mode", Value::text(modes.first().map_or("none", |m| m.as_str())));
    let has = |mode: Mode| modes.contains(&mode);
    let header = checked(&table, "header", defaults::HEADER, header_name);
    let on_lost = lost::on_lost(&table, preset.is_some_and(|p| p.begins_anew));
    let return_home = lost::return_home(&table);
    let cacheable =
        [("private", Cacheable::Private), ("skip", Cacheable::Skip), ("always", Cacheable::Always)];
    let cacheable = table.choice("cacheable", &cacheable, Cacheable::default());
    let keys = keys(&table, has(Mode::Cookie) || has(Mode::Header), &span, scope);
    let settings = cookie(&table, pool, Arc::clone(&keys), scope);
    let (idle, path) = (settings.idle, settings.attributes.path.clone());
    let (create, lookup) = ids(&table, preset, &modes);
    let separators = checked(&table, "separators", defaults::SEPARATORS, separators);
    let (bounds, file) = stick(table.section("table", Title::Inline("table")), scope);
    let is_theirs = has(Mode::Cookie) && settings.style != Style::Insert;
    let is_kept = has(Mode::Learn) || has(Mode::Route) || is_theirs;
    if is_theirs
        && (has(Mode::Learn) || has(Mode::Route))
        && let Some(item) = table.get("style")
    {
        item.refuse(
            "must be \"insert\" beside the modes learn and route: one id of a session is in the table",
        );
    }
    let places = Places { table: &table };
    let say = |e: CookieError| scope.report.error(places.of(&e), e.to_string());
    let terms = Terms::try_new(idle, settings.lifetime, settings.boot).map_err(say).ok();
    let cookie = match terms {
        Some(_) if has(Mode::Cookie) => CookieAffinity::try_new(settings).map_err(say).ok(),
        Some(_) | None => None,
    };
    table.finish();
    let mut read = AffinityRead {
        parts: None,
        bounds: is_kept.then_some(bounds),
        file: file.filter(|_| is_kept),
        idle,
        span: (!modes.is_empty()).then_some(span),
        on_lost,
        return_home,
        path,
    };
    if let Some(terms) = terms.filter(|_| !modes.is_empty()) {
        read.parts = Some(Parts {
            header: has(Mode::Header).then(|| HeaderAffinity::new(pool, header, keys, terms)),
            routed: has(Mode::Route).then(|| Routed::new(separators)),
            preset: preset.map(|p| p.name),
            modes: modes.clone(),
            terms,
            cacheable,
            cookie,
            lookup,
            create,
            kept: None,
        });
    }
    read
}

/// What the cookie is to be, with the times that hold for every mode.
fn cookie(table: &Table<'_>, pool: &str, keys: Arc<SealKeys>, scope: &Scope<'_>) -> CookieSettings {
    let styles = [("insert", Style::Insert), ("rewrite", Style::Rewrite), ("prefix", Style::Prefix)];
    CookieSettings {
        pool: pool.to_owned(),
        name: table.text("name", defaults::COOKIE).to_owned(),
        style: table.choice("style", &styles, Style::default()),
        preserve: table.bool("preserve", false),
        post_only: table.bool("post_only", false),
        idle: table.duration("idle", defaults::IDLE),
        lifetime: table.get("lifetime").and_then(|i| i.duration()),
        attributes: attributes(table),
        keys,
        boot: scope.environment.boot,
    }
}

/// Where answers and requests have the application's ids.
fn ids(table: &Table<'_>, preset: Option<&Preset>, modes: &[Mode]) -> (Vec<Create>, Vec<Lookup>) {
    let create = sources(table, "create", preset.map_or(&[], |p| p.create), Create::parse);
    let mut lookup = sources(table, "lookup", preset.map_or(&[], |p| p.lookup), Lookup::parse);
    if lookup.is_empty() && modes.contains(&Mode::Learn) {
        lookup = create.iter().filter_map(Lookup::of).collect();
        table.default("lookup", Value::List(lookup.iter().map(|l| Value::text(&l.to_text())).collect()));
    }
    check_sources(table, modes, &create, &lookup);
    (create, lookup)
}

/// What pins are sealed with; says that it is forgotten where pins `are_used` and there is no secret.
fn keys(table: &Table<'_>, are_used: bool, span: &Range<usize>, scope: &Scope<'_>) -> Arc<SealKeys> {
    let secret = table.get("secret");
    if secret.is_none() && are_used {
        let message = "affinity by pins without a secret: restarts forget pins, and two nodes would not read each \
                       other's";
        let help = "openssl rand -hex 32 > cookie.key; chmod 600 cookie.key; then secret = { file = \"cookie.key\" }";
        scope.report.warning(span.clone(), message, help);
    }
    secret.and_then(|item| secret_keys(&item, scope)).unwrap_or_else(|| scope.environment.keys.clone())
}

/// A text that `check` accepts.
fn checked<'a>(
    table: &Table<'a>,
    key: &'static str,
    default: &'a str,
    check: impl FnOnce(&'a str) -> Result<&'a str, String>,
) -> &'a str {
    let text = table.text(key, default);
    table.get(key).filter(|i| i.value.as_str().is_some()).and_then(|i| i.parse(check)).unwrap_or(text)
}

/// `"cookie"`, or a list of which the first that tells a backend wins; `"none"` is none.
fn modes(item: &Item<'_>) -> Vec<Mode> {
    let words = Mode::ALL.map(|m| (m.as_str(), m));
    if item.value.is_array() {
        let list = item.list("modes").unwrap_or_default();
        let mut modes = Vec::new();
        for item in &list {
            let Some(mode) = item.choice(&words) else { continue };
            if modes.contains(&mode) {
                item.refuse("stands in the list already");
            } else {
                modes.push(mode);
            }
        }
        if list.is_empty() {
            item.refuse("must have at least one mode, as in [\"cookie\", \"header\"]");
        }
        return modes;
    }
    let [a, b, c, d] = words.map(|(word, mode)| (word, Some(mode)));
    item.choice(&[("none", None), a, b, c, d]).flatten().into_iter().collect()
}

/// A place where an id stands, or a list of such.
fn sources<T>(
    table: &Table<'_>,
    key: &'static str,
    preset: &[&str],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let item = table.get(key);
    if !preset.is_empty() {
        table.default(key, Value::List(preset.iter().map(|text| Value::text(*text)).collect()));
    }
    match item {
        None => preset.iter().filter_map(|text| parse(text).ok()).collect(),
        Some(item) if item.value.as_str().is_some() => item.parse(parse).into_iter().collect(),
        Some(item) => {
            let list = item.list("places, as in [\"cookie:JSESSIONID\"]").unwrap_or_default();
            list.iter().filter_map(|item| item.parse(&parse)).collect()
        }
    }
}

/// The modes that go by the application's ids need to know where those are.
fn check_sources(table: &Table<'_>, modes: &[Mode], create: &[Create], lookup: &[Lookup]) {
    let miss = |key: &'static str, message: &str| {
        if table.get(key).is_none() {
            table.report.error(table.span(), message);
        }
    };
    if modes.contains(&Mode::Learn) && create.is_empty() {
        miss(
            "create",
            "mode = \"learn\" has no create: where answers have the id, as in create = [\"cookie:JSESSIONID\"]",
        );
    } else if modes.contains(&Mode::Learn) && lookup.is_empty() {
        miss(
            "lookup",
            "create in a body alone has no lookup: where requests have the id, as in lookup = [\"query:sid\"]",
        );
    } else if modes.contains(&Mode::Route) && lookup.is_empty() {
        miss(
            "lookup",
            "mode = \"route\" has no lookup: where requests have the value, as in lookup = [\"cookie:JSESSIONID\"]",
        );
    }
}

/// `{ entries = 1000000, bytes = "150MiB", file = "app.sessions", interval = "1m" }`
fn stick(table: Table<'_>, scope: &Scope<'_>) -> (Bounds, Option<TableFile>) {
    let default = defaults::TABLE;
    let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    let entries = table.integer("entries", 1..=u32::MAX, u32::try_from(default.entries).unwrap_or(u32::MAX));
    let bytes = table.size("bytes", size(Bounds::LEAST_BYTES)..=usize::MAX, size(default.bytes));
    let path = table.get("file").and_then(|i| i.parse(|text| scope.path(text)));
    let interval = table.duration("interval", defaults::TABLE_INTERVAL);
    table.finish();
    let bounds = Bounds { entries: entries.into(), bytes: bytes as u64 };
    (bounds, path.map(|path| TableFile { path, interval }))
}

/// A name that no other field has a meaning for.
fn header_name(text: &str) -> Result<&str, String> {
    if !is_token(text) || text.contains('_') || FieldName::of(text) != FieldName::Other {
        return Err("must be the name of a field of its own, such as \"x-homing-session\"".to_owned());
    }
    Ok(text)
}

fn separators(text: &str) -> Result<&str, String> {
    if text.bytes().all(|b| b.is_ascii_punctuation()) {
        Ok(text)
    } else {
        Err("must be the characters behind which a route may begin, as in \".\" or \".!\"".to_owned())
    }
}

fn attributes(table: &Table<'_>) -> Attributes {
    let default = Attributes::default();
    let same_site = [SameSite::Lax, SameSite::Strict, SameSite::None];
    let same_site = same_site.map(|s| (lower(s), Some(s)));
    let priority = [("low", Priority::Low), ("medium", Priority::Medium), ("high", Priority::High)];
    Attributes {
        path: table.text("path", &default.path).to_owned(),
        domain: table.get("domain").and_then(|i| i.text()).map(str::to_owned),
        max_age: table.get("max_age").and_then(|i| i.duration()),
        secure: secure(table),
        http_only: table.bool("http_only", default.http_only),
        same_site: table.choice("same_site", &same_site, default.same_site),
        partitioned: table.bool("partitioned", default.partitioned),
        priority: table.get("priority").and_then(|i| i.choice(&priority)),
    }
}

/// `true`, `false` or `"auto"`.
fn secure(table: &Table<'_>) -> Secure {
    let item = table.get("secure");
    table.default("secure", Value::text("auto"));
    match item {
        None => Secure::Auto,
        Some(item) if item.value.as_str() == Some("auto") => Secure::Auto,
        Some(item) => match item.boolean() {
            Some(false) => Secure::Never,
            Some(true) | None => Secure::Always,
        },
    }
}

const fn lower(same_site: SameSite) -> &'static str {
    match same_site {
        SameSite::Lax => "lax",
        SameSite::Strict => "strict",
        SameSite::None => "none",
    }
}

/// `secret = { file = "cookie.key" }`
fn secret_keys(item: &Item<'_>, scope: &Scope<'_>) -> Option<Arc<SealKeys>> {
    if !item.value.is_table() {
        let help = "write the key to a file of its own: secret = { file = \"cookie.key\" }";
        scope.report.error_at_secret(item.span(), "secret: must not stand in the configuration", help);
        return None;
    }
    let table = item.table(Title::Inline("secret"))?;
    let file = table.required("file", "where the keys are, as in { file = \"cookie.key\" }");
    let node = table.node();
    table.finish();
    let file = file?;
    let path = file.parse(|text| scope.path(text))?;
    let read = match scope.sources.file(&path) {
        Ok(read) => read,
        Err(error) => {
            let help = format!(
                "openssl rand -hex 32 > {0}; chmod 600 {0} makes one; relative to the folder of this file",
                path.display()
            );
            file.refuse_with_help(format_args!("read {}: {error}", path.display()), help);
            return None;
        }
    };
    warn_of_readers(&file, &path, read.mode, "forge pins", scope);
    match SealKeys::parse(&read.text) {
        Ok(keys) => {
            scope.report.record.hide(node, format!("keys {:x}", hash64(&keys.fingerprint())));
            Some(Arc::new(keys))
        }
        Err(error) => {
            file.refuse(format_args!("{}:{}: {}", path.display(), error.line, error.what));
            None
        }
    }
}

/// Whoever reads a secret file can do what it is for.
pub(super) fn warn_of_readers(file: &Item<'_>, path: &Path, mode: u32, can: &str, scope: &Scope<'_>) {
    if mode & 0o077 != 0 {
        let message = format!(
            "{} may be read by others (mode {:o}): whoever reads it can {can}",
            path.display(),
            mode & 0o777
        );
        scope.report.warning(file.span(), message, format!("chmod 600 {}", path.display()));
    }
}

impl Places<'_, '_> {
    fn of(&self, error: &CookieError) -> Range<usize> {
        let key = match error {
            CookieError::Name(_) | CookieError::Prefix { .. } => "name",
            CookieError::Path(_) => "path",
            CookieError::Domain(_) => "domain",
            CookieError::MaxAge => "max_age",
            CookieError::NeedsSecure("partitioned") => "partitioned",
            CookieError::NeedsSecure(_) => "same_site",
            CookieError::Idle => "idle",
            CookieError::Lifetime => "lifetime",
        };
        self.table.get(key).map_or_else(|| self.table.span(), |i| i.span())
    }
}
