//! Who sends a request, as far as this backend can tell.

use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::backend::Backend;
use super::request;
use super::sessions::{Session, SessionId};

/// The session cookie's name.
pub(super) const COOKIE: &str = "demo_session";

/// What a request carries.
#[derive(Debug)]
pub(super) struct Visitor {
    /// The session cookie's value, whatever it is.
    cookie: Option<String>,
    /// The client's address as `X-Forwarded-For` says it.
    pub(super) client: Option<String>,
}

/// What this backend makes of a visitor's cookie.
#[derive(Debug)]
pub(super) enum Recognition {
    /// There is no session cookie.
    None,
    /// There is one, and it is none of ours: another backend's, an expired one, or invented. The loss to show.
    Unknown,
    /// The visitor is logged in here.
    Known(Session),
}

impl Visitor {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        Self { cookie: request::cookie(headers, COOKIE), client: request::forwarded_for(headers) }
    }

    /// The session id, if the cookie has the form of one.
    pub(super) fn id(&self) -> Option<SessionId> {
        self.cookie.as_deref().and_then(SessionId::parse)
    }

    /// The cookie's first characters: enough to tell two apart, too little to take a session over.
    pub(super) fn short_cookie(&self) -> Option<String> {
        const SHOWN: usize = 8;
        let value = self.cookie.as_deref()?;
        Some(match value.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}\u{2026}", value.get(..end).unwrap_or_default()),
            None => value.to_owned(),
        })
    }

    /// Recognises the visitor and counts the visit.
    pub(super) fn visit(&self, backend: &Backend) -> Recognition {
        let mut sessions = backend.sessions.borrow_mut();
        self.recognise(self.id().and_then(|id| sessions.visit(id, Instant::now())))
    }

    /// Recognises the visitor without counting.
    pub(super) fn peek(&self, backend: &Backend) -> Recognition {
        let sessions = backend.sessions.borrow();
        self.recognise(self.id().and_then(|id| sessions.peek(id, Instant::now())))
    }

    /// `/api/whoami` in JSON.
    pub(super) fn describe(&self, backend: &Backend, recognition: &Recognition) -> Value {
        let (session, user, counter) = match recognition {
            Recognition::None => ("none", None, 0),
            Recognition::Unknown => ("unknown", None, 0),
            Recognition::Known(session) => ("known", Some(&session.user), session.counter),
        };
        json!({
            "backend": &*backend.name,
            "user": user,
            "counter": counter,
            "session": session,
            "id": self.short_cookie(),
            "client": self.client,
            "hue": backend.hue,
        })
    }

    fn recognise(&self, session: Option<&Session>) -> Recognition {
        match session {
            Some(session) => Recognition::Known(session.clone()),
            None if self.cookie.is_some() => Recognition::Unknown,
            None => Recognition::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_shown_in_part() {
        let check = |value: &str, expected: &str| {
            let visitor = Visitor { cookie: Some(value.to_owned()), client: None };
            assert_eq!(visitor.short_cookie().as_deref(), Some(expected));
        };
        check("12345678", "12345678");
        check("0123456789abcdef", "01234567\u{2026}");
        check(
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{2026}",
        );
    }
}
