//! Where sessions live, behind the same few calls: in this process, in a store, or in the client's token.
//!
//! What a client shows that nobody knows is reported and never made anew: a loss must not look like a hit, even where the
//! login that follows adopts the id. What was ended on purpose is remembered as `revoked` for a while, so that it does not look like a loss.

mod id;
mod kept;
mod memcached;
mod memory;
mod redis;
mod tokens;

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::{Value, json};

use self::kept::Kept;
use self::memory::Memory;
use self::tokens::Tokens;
use super::jwt::{KeyError, Keys};
use super::options::{Options, Place};
use super::request;
use super::wire::link::Tally;
use super::wire::{Fault, Link, meta, resp};

/// Things in a cart. One more takes the place of the oldest, so that a session stays small; in a token it has to.
const CART: usize = 10;

/// Changes that are tried anew because another request changed the session meanwhile.
const ATTEMPTS: usize = 200;

/// What is remembered of somebody who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) user: String,
    /// The backend that made it.
    pub(super) created_by: String,
    /// Grows by one with every change, and never otherwise.
    pub(super) version: u64,
    pub(super) cart: Vec<String>,
    /// When it was made, in milliseconds of Unix time.
    pub(super) born: u64,
}

/// What became of the credential that a client shows.
#[derive(Debug)]
pub(super) enum Found {
    /// It shows none.
    None,
    /// It shows one that is not known here: lost, or never ours.
    Unknown,
    /// It idled too long, or is too old.
    Expired,
    /// It was ended on purpose.
    Revoked,
    Known(Session),
}

/// What a client shows: the values of our cookies, whatever they are.
#[derive(Debug, Default)]
pub(super) struct Shown {
    session: Option<String>,
    token: Option<String>,
    refresh: Option<String>,
}

/// A session that was made or changed, and what the client is to be given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) session: Session,
    pub(super) cookies: Vec<String>,
}

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) idle: Duration,
    pub(super) lifetime: Duration,
    pub(super) access: Duration,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Store(#[from] Fault),
    #[error("the system has no randomness to give")]
    NoRandomness,
}

/// The sessions of a backend.
#[derive(Debug)]
pub(super) struct Sessions {
    way: Way,
    pub(super) jar: Jar,
    pub(super) tally: Rc<Tally>,
}

#[derive(Debug)]
enum Way {
    Kept(Kept),
    Tokens(Tokens),
}

/// How our cookies are named and written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jar {
    secure: bool,
}

impl Sessions {
    /// For a backend of these options, in a local set.
    pub(super) fn new(options: &Options) -> Result<Self, KeyError> {
        let tally = Rc::new(Tally::default());
        let times = Times { idle: options.idle, lifetime: options.lifetime, access: options.access };
        let redis = |endpoint: &_| Link::new(Clone::clone(endpoint), resp::parse, Rc::clone(&tally));
        let way = match &options.sessions {
            Place::Memory => Way::Kept(Kept::Memory(Memory::new(times, options.adopts_ids).into())),
            Place::Redis(at) => Way::Kept(Kept::Redis(redis::Redis::new(redis(at), times))),
            Place::Memcached(at) => {
                let link = Link::new(at.clone(), meta::parse, Rc::clone(&tally));
                Way::Kept(Kept::Memcached(memcached::Memcached::new(link, times)))
            }
            Place::Jwt(algorithm) => {
                let keys = match &options.keys {
                    Some(keys) => std::sync::Arc::clone(keys),
                    None => Keys::generate(*algorithm)?.into(),
                };
                Way::Tokens(Tokens::new(keys, times, options.deny_list.as_ref().map(redis)))
            }
        };
        Ok(Self { way, jar: Jar { secure: options.secure }, tally })
    }

    /// The store that sessions are kept in, if that is one of its own: accounts are kept there too.
    pub(super) fn redis(&self) -> Option<Link> {
        match &self.way {
            Way::Kept(Kept::Redis(redis)) => Some(redis.link()),
            Way::Kept(_) | Way::Tokens(_) => None,
        }
    }

    /// The same for Memcached.
    pub(super) fn memcached(&self) -> Option<Link> {
        match &self.way {
            Way::Kept(Kept::Memcached(memcached)) => Some(memcached.link()),
            Way::Kept(_) | Way::Tokens(_) => None,
        }
    }

    /// Sessions in this process.
    pub(super) fn count(&self) -> Option<usize> {
        match &self.way {
            Way::Kept(Kept::Memory(memory)) => Some(memory.borrow().live()),
            Way::Kept(_) | Way::Tokens(_) => None,
        }
    }

    pub(super) async fn find(&self, shown: &Shown) -> Result<Found, Failed> {
        match &self.way {
            Way::Kept(kept) => kept.find(shown).await,
            Way::Tokens(tokens) => tokens.find(shown).await,
        }
    }

    /// Begins a session under a credential that is new, and ends the one that was shown: an id from before the login,
    /// perhaps planted by somebody else, is worth nothing after it.
    pub(super) async fn begin(&self, shown: &Shown, user: &str, by: &str) -> Result<Given, Failed> {
        let session = Session {
            user: user.to_owned(),
            created_by: by.to_owned(),
            version: 0,
            cart: vec![],
            born: now(),
        };
        let cookies = match &self.way {
            Way::Kept(kept) => kept.begin(shown, &session, self.jar).await?,
            Way::Tokens(tokens) => tokens.begin(shown, &session, self.jar).await?,
        };
        Ok(Given { session, cookies })
    }

    /// Puts a thing into the cart. Of two that are put in at once both are in it, except where the session is a token:
    /// there each is in its own.
    pub(super) async fn add(&self, shown: &Shown, item: &str) -> Result<Result<Given, Found>, Failed> {
        match &self.way {
            Way::Kept(kept) => kept.add(shown, item).await,
            Way::Tokens(tokens) => tokens.add(shown, item, self.jar).await,
        }
    }

    /// Ends the session. The cookies are taken back whatever they were.
    pub(super) async fn end(&self, shown: &Shown) -> Result<(), Failed> {
        match &self.way {
            Way::Kept(kept) => kept.end(shown).await,
            Way::Tokens(tokens) => tokens.end(shown).await,
        }
    }

    /// Ends every session of the user whose session is shown.
    pub(super) async fn end_everywhere(&self, shown: &Shown) -> Result<Result<(), Found>, Failed> {
        let session = match self.find(shown).await? {
            Found::Known(session) => session,
            other => return Ok(Err(other)),
        };
        match &self.way {
            Way::Kept(kept) => kept.end_all(&session.user).await?,
            Way::Tokens(tokens) => tokens.end_all(&session.user).await?,
        }
        Ok(Ok(()))
    }

    /// A new access token for a refresh token; nothing where there are no tokens.
    pub(super) async fn refresh(&self, shown: &Shown) -> Result<Option<Result<Given, Found>>, Failed> {
        match &self.way {
            Way::Kept(_) => Ok(None),
            Way::Tokens(tokens) => tokens.refresh(shown, self.jar).await.map(Some),
        }
    }

    /// Whether a session that is ended is over at once, or lives until its token expires.
    pub(super) fn revokes(&self) -> bool {
        match &self.way {
            Way::Kept(_) => true,
            Way::Tokens(tokens) => tokens.has_deny_list(),
        }
    }

    /// Cookies that take every credential back.
    pub(super) fn take_back(&self) -> Vec<String> {
        match self.way {
            Way::Kept(_) => vec![self.jar.clear("session")],
            Way::Tokens(_) => vec![self.jar.clear("token"), self.jar.clear("refresh")],
        }
    }

    /// What a person may see of what they showed: the cookie's name, its first characters, its length, and, of a
    /// token, what is in it, which is no secret.
    pub(super) fn describe(&self, shown: &Shown) -> Value {
        let (name, value, claims) = match &self.way {
            Way::Kept(_) => ("session", shown.session.as_ref(), None),
            Way::Tokens(tokens) => ("token", shown.token.as_ref(), tokens.claims(shown)),
        };
        let mut told = json!({ "cookie": self.jar.name(name), "length": value.map_or(0, String::len) });
        if let (Some(value), Some(told)) = (value, told.as_object_mut()) {
            told.insert("value".into(), short(value).into());
            claims.and_then(|claims| told.insert("claims".into(), claims));
        }
        told
    }
}

impl Session {
    /// The same with one thing more in the cart.
    fn with(&self, item: &str) -> Self {
        let mut next = self.clone();
        next.version += 1;
        next.cart.push(item.to_owned());
        let over = next.cart.len().saturating_sub(CART);
        next.cart.drain(..over);
        next
    }

    fn to_json(&self) -> Value {
        json!({
            "user": self.user, "by": self.created_by, "version": self.version, "cart": self.cart,
            "born": self.born,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            user: text(value.get("user")?)?,
            created_by: text(value.get("by")?)?,
            version: value.get("version")?.as_u64()?,
            cart: value.get("cart")?.as_array()?.iter().map(text).collect::<Option<_>>()?,
            born: value.get("born")?.as_u64()?,
        })
    }

    /// How much of its lifetime is left.
    fn left(&self, times: Times) -> Option<Duration> {
        let age = Duration::from_millis(now().saturating_sub(self.born));
        times.lifetime.checked_sub(age).filter(|left| !left.is_zero())
    }
}

impl Shown {
    pub(super) fn read(headers: &HeaderMap, jar: Jar) -> Self {
        let cookie = |name| request::cookie(headers, jar.name(name));
        Self { session: cookie("session"), token: cookie("token"), refresh: cookie("refresh") }
    }
}

impl Jar {
    /// A cookie's name as browsers know it.
    fn name(self, name: &'static str) -> &'static str {
        match (self.secure, name) {
            (true, "session") => "__Host-session",
            (true, "token") => "__Host-token",
            (true, "refresh") => "__Host-refresh",
            _ => name,
        }
    }

    /// A `Set-Cookie` that lasts as long as the browser, or so long.
    fn set(self, name: &'static str, value: &str, lasts: Option<Duration>) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let lasts = lasts.map_or_else(String::new, |lasts| format!("; Max-Age={}", lasts.as_secs().max(1)));
        format!("{}={value}; Path=/{lasts}; HttpOnly; SameSite=Lax{secure}", self.name(name))
    }

    fn clear(self, name: &'static str) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}", self.name(name))
    }
}

/// Enough to tell two apart, too little to take a session over.
fn short(value: &str) -> String {
    const SHOWN: usize = 8;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}\u{2026}", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// Milliseconds of Unix time.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_as_it_was_written_and_its_version_grows_by_one() {
        let mut session =
            Session { user: "ada".into(), created_by: "a".into(), version: 0, cart: vec![], born: 7 };
        for n in 1..=25 {
            session = session.with(&format!("tea {n}"));
            assert_eq!((session.version, session.cart.len()), (n, CART.min(n as usize)));
            assert_eq!(Session::from_json(&session.to_json()), Some(session.clone()));
        }
        assert_eq!(session.cart.last().map(String::as_str), Some("tea 25"));
    }

    #[test]
    fn cookies_have_the_attributes_that_owasp_asks_for() {
        let check = |secure, expected: &str| assert_eq!(Jar { secure }.set("session", "x", None), expected);
        check(false, "session=x; Path=/; HttpOnly; SameSite=Lax");
        check(true, "__Host-session=x; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert!(Jar { secure: true }.clear("token").starts_with("__Host-token=; Path=/; Max-Age=0;"));
    }

    #[test]
    fn a_cookie_is_shown_in_part() {
        let e = "\u{e9}";
        for (value, expected) in [
            ("12345678", "12345678".to_owned()),
            ("0123456789abcdef", "01234567\u{2026}".to_owned()),
            (&e.repeat(9), e.repeat(8) + "\u{2026}"),
        ] {
            assert_eq!(short(value), expected);
        }
    }
}
