//! `[pool.affinity]`: the cookie and its key file.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::item::Item;
use super::reader::{Table, Title};
use super::{Scope, defaults, lost};
use crate::affinity::attributes::{Attributes, CookieError, Priority, SameSite};
use crate::affinity::caching::Cacheable;
use crate::affinity::cookie::{CookieAffinity, CookieSettings};
use crate::affinity::seal::SealKeys;
use crate::pool::policy::{OnLost, ReturnHome};

/// A pool's affinity as read.
pub(super) struct AffinityRead {
    pub(super) cookie: Option<CookieAffinity>,
    /// How long a session lasts without a request; counts live sessions also where there is no cookie.
    pub(super) idle: Duration,
    /// Where the mode stands, if there is a cookie.
    pub(super) span: Option<Range<usize>>,
    /// What becomes of a session whose backend cannot be used.
    pub(super) on_lost: OnLost,
    /// Whether it goes back to its first home.
    pub(super) return_home: ReturnHome,
    /// The cookie's path, for the check that two pools do not overwrite each other's pins.
    pub(super) path: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    None,
    Cookie,
}

/// Where each setting stands, for the errors of [`CookieAffinity::try_new`].
struct Places<'t, 'a> {
    table: &'t Table<'a>,
}

/// Reads `[pool.affinity]` of the pool of this name.
pub(super) fn read(table: Option<Table<'_>>, pool: &str, scope: &Scope<'_>) -> AffinityRead {
    let Some(table) = table else {
        let (idle, on_lost, return_home) = (defaults::IDLE, OnLost::default(), ReturnHome::default());
        return AffinityRead { cookie: None, idle, span: None, on_lost, return_home, path: String::new() };
    };
    let mode = table.choice("mode", &[("none", Mode::None), ("cookie", Mode::Cookie)], Mode::None);
    let span = table.get("mode").map_or_else(|| table.span(), |i| i.span());
    let name = table.get("name").and_then(|i| i.text()).unwrap_or(defaults::COOKIE).to_owned();
    let idle = table.duration("idle", defaults::IDLE);
    let lifetime = table.get("lifetime").and_then(|i| i.duration());
    let (on_lost, return_home) = (lost::on_lost(&table), lost::return_home(&table));
    let attributes = attributes(&table);
    let path = attributes.path.clone();
    let cacheable =
        [("private", Cacheable::Private), ("skip", Cacheable::Skip), ("always", Cacheable::Always)];
    let cacheable = table.choice("cacheable", &cacheable, Cacheable::default());
    let secret = table.get("secret");
    let keys = match (mode, secret) {
        (_, Some(item)) => keys(&item, scope),
        (Mode::Cookie, None) => {
            let message = "cookie affinity without a secret: restarts forget pins, and two nodes would not read \
                           each other's cookies";
            let help = "openssl rand -hex 32 > cookie.key; chmod 600 cookie.key; then secret = { file = \"cookie.key\" }";
            scope.report.warning(span.clone(), message, help);
            None
        }
        (Mode::None, None) => None,
    };
    let keys = keys.unwrap_or_else(|| scope.environment.keys.clone());
    let cookie = (mode == Mode::Cookie).then(|| {
        let (pool, boot) = (pool.to_owned(), scope.environment.boot);
        let settings = CookieSettings { pool, name, idle, lifetime, attributes, cacheable, keys, boot };
        let places = Places { table: &table };
        CookieAffinity::try_new(settings).map_err(|e| scope.report.error(places.of(&e), e.to_string())).ok()
    });
    table.finish();
    AffinityRead {
        span: cookie.is_some().then_some(span),
        cookie: cookie.flatten(),
        idle,
        on_lost,
        return_home,
        path,
    }
}

fn attributes(table: &Table<'_>) -> Attributes {
    let default = Attributes::default();
    let same_site = [SameSite::Lax, SameSite::Strict, SameSite::None];
    let same_site = same_site.map(|s| (lower(s), Some(s)));
    let priority = [("low", Priority::Low), ("medium", Priority::Medium), ("high", Priority::High)];
    Attributes {
        path: table.get("path").and_then(|i| i.text()).map_or(default.path, str::to_owned),
        domain: table.get("domain").and_then(|i| i.text()).map(str::to_owned),
        max_age: table.get("max_age").and_then(|i| i.duration()),
        secure: table.bool("secure", default.secure),
        http_only: table.bool("http_only", default.http_only),
        same_site: table.choice("same_site", &same_site, default.same_site),
        partitioned: table.bool("partitioned", default.partitioned),
        priority: table.get("priority").and_then(|i| i.choice(&priority)),
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
fn keys(item: &Item<'_>, scope: &Scope<'_>) -> Option<Arc<SealKeys>> {
    if !item.value.is_table() {
        let help = "write the key to a file of its own: secret = { file = \"cookie.key\" }";
        scope.report.error_at_secret(item.span(), "secret: must not stand in the configuration", help);
        return None;
    }
    let table = item.table(Title::Inline("secret"))?;
    let file = table.required("file", "where the keys are, as in { file = \"cookie.key\" }");
    table.finish();
    let file = file?;
    let path = file.parse(|text| scope.path(text))?;
    warn_of_readers(&file, &path, "forge pins", scope);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let help = format!(
                "openssl rand -hex 32 > {0}; chmod 600 {0} makes one; relative to the folder of this file",
                path.display()
            );
            file.refuse_with_help(format_args!("read {}: {error}", path.display()), help);
            return None;
        }
    };
    match SealKeys::parse(&text) {
        Ok(keys) => Some(Arc::new(keys)),
        Err(error) => {
            file.refuse(format_args!("{}:{}: {}", path.display(), error.line, error.what));
            None
        }
    }
}

/// Whoever reads a secret file can do what it is for.
pub(super) fn warn_of_readers(file: &Item<'_>, path: &Path, can: &str, scope: &Scope<'_>) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_or(0, |m| m.permissions().mode());
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
