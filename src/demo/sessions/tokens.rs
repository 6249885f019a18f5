//! Sessions that travel with the client, signed: no backend keeps anything, and each can verify what another signed.
//!
//! A short access token carries the state; a refresh token, good as long as the session may last, gets the next one.
//! What was signed is good until it expires: only a deny-list ends it earlier, and costs a trip per request. It names
//! tokens by `jti` and families of them by session, never by a token's hash (an ECDSA signature has a twin). A token that
//! was shown before a change is as good as the one after it: whoever shows it again has the old cart back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::id::SessionId;
use super::{Failed, Found, Given, Jar, Session, Shown, Times, now};
use crate::demo::jwt::{self, Keys};
use crate::demo::wire::{Fault, Link, Reply, resp};

const ISSUER: &str = "homing-shop";

#[derive(Debug)]
pub(super) struct Tokens {
    keys: Arc<Keys>,
    times: Times,
    deny: Option<Link>,
}

/// A token of ours, read.
#[derive(Debug)]
struct Token {
    /// Its own name, and that of the session it belongs to.
    jti: String,
    family: String,
    user: String,
    issued: u64,
    expires: u64,
    /// Of an access token.
    session: Option<Session>,
}

impl Tokens {
    pub(super) fn new(keys: Arc<Keys>, times: Times, deny: Option<Link>) -> Self {
        Self { keys, times, deny }
    }

    pub(super) fn has_deny_list(&self) -> bool {
        self.deny.is_some()
    }

    pub(super) fn claims(&self, shown: &Shown) -> Option<Value> {
        jwt::verify(&self.keys, shown.token.as_deref()?)
    }

    pub(super) async fn find(&self, shown: &Shown) -> Result<Found, Failed> {
        Ok(self.access(shown).await?.map_or_else(|found| found, |(_, session)| Found::Known(session)))
    }

    pub(super) async fn begin(
        &self,
        shown: &Shown,
        session: &Session,
        jar: Jar,
    ) -> Result<Vec<String>, Failed> {
        let family = SessionId::random().map_err(|_| Failed::NoRandomness)?.to_string();
        let cookies = self.both(&family, session, jar)?;
        // What was shown before is over, if anything can end it.
        self.end(shown).await?;
        Ok(cookies)
    }

    pub(super) async fn add(
        &self,
        shown: &Shown,
        item: &str,
        jar: Jar,
    ) -> Result<Result<Given, Found>, Failed> {
        Ok(match self.access(shown).await? {
            Ok((token, session)) => {
                let session = session.with(item);
                let cookies = vec![self.access_cookie(&token.family, &session, jar)?];
                Ok(Given { session, cookies })
            }
            Err(found) => Err(found),
        })
    }

    /// Puts the session on the deny-list, by whichever token of it is shown, expired or not.
    pub(super) async fn end(&self, shown: &Shown) -> Result<(), Failed> {
        let Some(deny) = &self.deny else { return Ok(()) };
        let shown = [(&shown.token, "access"), (&shown.refresh, "refresh")];
        let mut families: Vec<_> = shown
            .iter()
            .filter_map(|(token, kind)| self.read(token.as_deref()?, kind))
            .map(|token| token.family)
            .collect();
        families.dedup();
        for family in families {
            self.name(deny, &of_family(&family), "1").await?;
        }
        Ok(())
    }

    /// What was signed for the user until now is not good any more. Without a deny-list nobody can say so.
    pub(super) async fn end_all(&self, user: &str) -> Result<(), Failed> {
        match &self.deny {
            Some(deny) => self.name(deny, &of_user(user), &now().to_string()).await,
            None => Ok(()),
        }
    }

    /// New tokens for a refresh token, which is good once where there is a deny-list: one that comes again was stolen
    /// from somebody, and ends the session ([RFC 9700](https://www.rfc-editor.org/rfc/rfc9700), section 4.14.2).
    pub(super) async fn refresh(&self, shown: &Shown, jar: Jar) -> Result<Result<Given, Found>, Failed> {
        let Some(text) = &shown.refresh else { return Ok(Err(Found::None)) };
        let Some(token) = self.read(text, "refresh") else { return Ok(Err(Found::Unknown)) };
        if token.expires <= now() {
            return Ok(Err(Found::Expired));
        }
        // The state is in the access token, which may have expired and must be of the same session.
        let access = shown.token.as_deref().and_then(|text| self.read(text, "access"));
        let session = access.filter(|access| access.family == token.family).and_then(|access| access.session);
        let Some(session) = session else { return Ok(Err(Found::Unknown)) };
        if session.left(self.times).is_none() {
            return Ok(Err(Found::Expired));
        }
        if let Some(deny) = &self.deny {
            let (key, life) = (of_token(&token.jti), self.lifetime());
            let words: [&[u8]; 6] = [b"SET", key.as_bytes(), b"1", b"NX", b"PX", life.as_bytes()];
            // Of two that come at once, one is first.
            if self.is_denied(deny, &token).await? || deny.ask(resp::command(&words)).await? == Reply::Nil {
                self.name(deny, &of_family(&token.family), "1").await?;
                return Ok(Err(Found::Revoked));
            }
        }
        let cookies = self.both(&token.family, &session, jar)?;
        Ok(Ok(Given { session, cookies }))
    }

    /// The access token that is shown, if it is good.
    async fn access(&self, shown: &Shown) -> Result<Result<(Token, Session), Found>, Failed> {
        let Some(text) = &shown.token else { return Ok(Err(Found::None)) };
        let Some(mut token) = self.read(text, "access") else { return Ok(Err(Found::Unknown)) };
        let Some(session) = token.session.take() else { return Ok(Err(Found::Unknown)) };
        if token.expires <= now() || session.left(self.times).is_none() {
            return Ok(Err(Found::Expired));
        }
        match &self.deny {
            Some(deny) if self.is_denied(deny, &token).await? => Ok(Err(Found::Revoked)),
            _ => Ok(Ok((token, session))),
        }
    }

    /// Whether the token, its session, or all that its user had is on the deny-list: one round trip.
    async fn is_denied(&self, deny: &Link, token: &Token) -> Result<bool, Failed> {
        let keys = [of_token(&token.jti), of_family(&token.family), of_user(&token.user)];
        let words: [&[u8]; 4] = [b"MGET", keys[0].as_bytes(), keys[1].as_bytes(), keys[2].as_bytes()];
        match deny.ask_again(resp::command(&words)).await? {
            Reply::List(list) => match list.as_slice() {
                [Reply::Nil, Reply::Nil, Reply::Nil] => Ok(false),
                [Reply::Nil, Reply::Nil, Reply::Value(at, _)] => {
                    let at = std::str::from_utf8(at).ok().and_then(|at| at.parse::<u64>().ok());
                    Ok(at.is_none_or(|at| token.issued <= at))
                }
                [_, _, _] => Ok(true),
                _ => Err(Fault::Protocol.into()),
            },
            _ => Err(Fault::Protocol.into()),
        }
    }

    async fn name(&self, deny: &Link, key: &str, value: &str) -> Result<(), Failed> {
        let life = self.lifetime();
        let words: [&[u8]; 5] = [b"SET", key.as_bytes(), value.as_bytes(), b"PX", life.as_bytes()];
        Ok(deny.ask_again(resp::command(&words)).await.map(drop)?)
    }

    fn lifetime(&self) -> String {
        self.times.lifetime.as_millis().max(1).to_string()
    }

    fn both(&self, family: &str, session: &Session, jar: Jar) -> Result<Vec<String>, Failed> {
        let left = session.left(self.times).unwrap_or(Duration::ZERO);
        let refresh = self.sign(family, session, "refresh", left)?;
        Ok(vec![self.access_cookie(family, session, jar)?, jar.set("refresh", &refresh, Some(left))])
    }

    /// The cookie outlives the token: what has expired is needed for its state.
    fn access_cookie(&self, family: &str, session: &Session, jar: Jar) -> Result<String, Failed> {
        let left = session.left(self.times).unwrap_or(Duration::ZERO);
        let access = self.sign(family, session, "access", left.min(self.times.access))?;
        Ok(jar.set("token", &access, Some(left)))
    }

    fn sign(&self, family: &str, session: &Session, kind: &str, life: Duration) -> Result<String, Failed> {
        let jti = SessionId::random().map_err(|_| Failed::NoRandomness)?.to_string();
        let issued = now();
        let expires = issued.saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX / 2));
        // Numeric dates may have fractions (RFC 7519, section 2), and a logout everywhere needs them.
        let seconds = |millis: u64| Value::from(std::time::Duration::from_millis(millis).as_secs_f64());
        let mut claims = json!({
            "iss": ISSUER, "sub": session.user, "jti": jti, "sid": family, "use": kind,
            "iat": seconds(issued), "exp": seconds(expires),
        });
        if kind == "access"
            && let Some(claims) = claims.as_object_mut()
        {
            claims.insert("auth_time".into(), seconds(session.born));
            claims.insert("by".into(), session.created_by.as_str().into());
            claims.insert("ver".into(), session.version.into());
            claims.insert("cart".into(), session.cart.clone().into());
        }
        jwt::sign(&self.keys, &claims).ok_or(Failed::NoRandomness)
    }

    /// A token that we signed for this use, whether or not it is still good.
    fn read(&self, text: &str, kind: &str) -> Option<Token> {
        let claims = jwt::verify(&self.keys, text)?;
        let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        let millis = |name: &str| {
            let time = Duration::try_from_secs_f64(claims.get(name)?.as_f64()?).ok()?;
            // What was written as a fraction comes back a hair beside it.
            u64::try_from((time + Duration::from_micros(500)).as_millis()).ok()
        };
        if text("iss")? != ISSUER || text("use")? != kind {
            return None;
        }
        let session = (kind == "access").then(|| {
            let words = claims.get("cart")?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned));
            Some(Session {
                user: text("sub")?,
                created_by: text("by")?,
                version: claims.get("ver")?.as_u64()?,
                cart: words.collect::<Option<_>>()?,
                born: millis("auth_time")?,
            })
        });
        Some(Token {
            jti: text("jti")?,
            family: text("sid")?,
            user: text("sub")?,
            issued: millis("iat")?,
            expires: millis("exp")?,
            session: session.flatten(),
        })
    }
}

fn of_token(jti: &str) -> String {
    format!("shop:denied:jti:{ISSUER}:{jti}")
}

fn of_family(family: &str) -> String {
    format!("shop:denied:session:{family}")
}

fn of_user(user: &str) -> String {
    format!("shop:denied:user:{user}")
}
