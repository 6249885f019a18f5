//! The other half of affinity: an answer came, and the session is settled by it.
//!
//! A new session is written by every carrier that can, one that was found by the carrier that told it. What the
//! application itself makes, replaces or ends is learned from its answer. By `Homing-Session` it may say more: that a
//! pin is to be written now, that the session may move, or that it has ended.

use super::attributes::Secure;
use super::caching::Pinning;
use super::carriers::{Affinity, Mode};
use super::cookie::{CookieAffinity, Style, Theirs};
use super::kept::{Counting, Kept, Site};
use super::pairs::trim;
use super::seal::{Nonces, SealError};
use super::set_cookie::SetCookie;
use super::sources::{Create, Lookup, in_json};
use super::{By, Id, Pin, Session, Why};
use crate::message::field::Name;
use crate::message::head::{Field, ResponseHead};

/// An answer, as far as sessions depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The method that it answers.
    pub method: &'a str,
    /// Its head.
    pub head: &'a ResponseHead<'a, 'a>,
    /// The names of its fields, in their order.
    pub names: &'a [Name],
    /// Its body, where an id may stand in it.
    pub body: Option<&'a [u8]>,
    /// What the application says of the session.
    pub point: Option<Point>,
    /// Whether its backend takes new sessions now.
    pub is_open: bool,
}

/// What an application says of a session, by the answer's field `Homing-Session`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// It is to be pinned now, also where that would be put off.
    Pin,
    /// It may move: if its backend is to be emptied, now is the time.
    MayMove,
    /// It has ended.
    Ended,
}

/// What goes to the client with the answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// A `Set-Cookie` value.
    pub set_cookie: Option<Vec<u8>>,
    /// The pin that goes into the application's own `Set-Cookie`.
    pub pin: Option<Vec<u8>>,
    /// The value of the header; empty: the client is to forget its pin.
    pub header: Option<Vec<u8>>,
    /// Whether the answer becomes private because of it.
    pub private: bool,
}

impl Settled {
    /// For a client that came by TLS: a cookie that follows that is sent over TLS only.
    pub fn over_tls(&mut self, affinity: &Affinity) {
        let follows = affinity.cookie().is_some_and(|cookie| cookie.secure() == Secure::Auto);
        if let Some(set) = self.set_cookie.as_mut().filter(|_| follows) {
            set.extend_from_slice(b"; Secure");
        }
    }
}

/// What an answer says of a cookie of our name that the application may set.
#[derive(Clone, Copy, Default)]
struct TheirCookie {
    /// It is set, and a pin goes into it.
    takes_pin: bool,
    /// It is set, and stays as it is.
    is_kept: bool,
    /// It is deleted.
    deletes: bool,
}

/// What an answer makes of the application's id.
struct Made {
    /// Whether another id, or the first, was made.
    is_new: bool,
    /// Whether the application deleted it.
    is_ended: bool,
}

impl Point {
    /// Reads the field's value.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"pin" => Some(Self::Pin),
            b"may-move" => Some(Self::MayMove),
            b"ended" => Some(Self::Ended),
            _ => None,
        }
    }
}

impl<'a> Answer<'a> {
    fn fields(&self, name: Name) -> impl Iterator<Item = &'a [u8]> {
        let fields: &'a [Field<'a>] = self.head.fields;
        fields.iter().zip(self.names).filter(move |(_, n)| **n == name).map(|(f, _)| f.value)
    }

    fn set_cookies(&self) -> impl Iterator<Item = SetCookie<'a>> {
        self.fields(Name::SetCookie).filter_map(SetCookie::parse)
    }

    /// Whether the session is over here: ended, or free to leave a backend that is being emptied.
    fn takes_back(&self) -> bool {
        match self.point {
            Some(Point::Ended) => true,
            Some(Point::MayMove) => !self.is_open,
            Some(Point::Pin) | None => false,
        }
    }
}

impl Affinity {
    /// Settles a session by an answer from `site.chosen`: writes what is due, counts it, and says what the client is
    /// told.
    pub fn settle(
        &self,
        session: &Session,
        answer: &Answer<'_>,
        site: &Site<'_>,
        nonces: &mut Nonces,
    ) -> Settled {
        if answer.takes_back() {
            return self.take_back(session, answer, site);
        }
        let mut settled = Settled::default();
        let theirs = self.their_cookie(answer, site);
        if theirs.deletes && session.by == By::Cookie {
            self.end(session, site);
        } else {
            self.write_pins(session, theirs, answer, site, nonces, &mut settled);
        }
        let Some(kept) = &self.parts.kept else { return settled };
        let is_counted =
            self.is_counted_by_pin(session) || settled.set_cookie.is_some() || settled.header.is_some();
        let counting = if is_counted { Counting::Elsewhere } else { Counting::Here };
        let made = self.learn(kept, session, answer, site, counting);
        if made.is_new || theirs.deletes {
            return settled;
        }
        match session.id {
            Some(id) if session.by == By::Route && self.replaces(id, answer, kept, site) => {}
            Some(id) if self.ends(session, &made, answer) => kept.end(id.digest, site, counting),
            _ if site.is_borrowed => {}
            Some(_) if !session.is_due && session.counted_on == Some(site.chosen) => {}
            Some(id) if self.is_kept(session) => {
                if session.counted_on.is_none() {
                    // An id that was replaced and is used all the same would stay replaced.
                    kept.end(id.digest, site, counting);
                }
                kept.write(id.digest, session.issued, site, counting);
            }
            // An id beside the pin lasts as long, and is where that is.
            Some(id) if kept.knows(id.digest, site.now) => {
                kept.write(id.digest, session.issued, site, counting);
            }
            None if settled.pin.is_some() => {
                kept.write(kept.digest_of(session.key), session.issued, site, Counting::Here);
            }
            Some(_) | None => {}
        }
        settled
    }

    /// Whether the table is where the session is kept, and knows it.
    fn is_kept(&self, session: &Session) -> bool {
        match session.by {
            By::Learned => session.pin != Pin::Void(Why::Unknown),
            By::Route => true,
            By::Cookie => self.theirs().is_some(),
            By::Header | By::Nobody => false,
        }
    }

    /// Whether ids are looked for in the body of an answer to this session's request.
    #[must_use]
    pub fn wants_body(&self, session: &Session) -> bool {
        let in_body = |c: &Create| matches!(c, Create::Json(_));
        !matches!((session.by, session.pin), (By::Learned, Pin::To(_)))
            && self.parts.create.iter().any(in_body)
    }

    /// The cookie, if it is the application's.
    fn theirs(&self) -> Option<&CookieAffinity> {
        self.parts.cookie.as_ref().filter(|c| c.style() != Style::Insert)
    }

    /// Whether the session was told by a pin that homing renews, and which counts it.
    fn is_counted_by_pin(&self, session: &Session) -> bool {
        match session.by {
            By::Header => true,
            By::Cookie => self.theirs().is_none(),
            By::Learned | By::Route | By::Nobody => false,
        }
    }

    /// What the answer says of a cookie of our name, where the application may set it.
    fn their_cookie(&self, answer: &Answer<'_>, site: &Site<'_>) -> TheirCookie {
        let mut theirs = TheirCookie::default();
        let Some(cookie) = self.parts.cookie.as_ref().filter(|c| c.is_shared()) else { return theirs };
        for set in answer.set_cookies().filter(|c| c.name == cookie.name().as_bytes()) {
            let fate = cookie.fate_of(&set, site.now);
            theirs.takes_pin |= fate == Theirs::Pinned;
            theirs.is_kept |= fate == Theirs::Kept;
            theirs.deletes |= fate == Theirs::Kept && set.deletes(site.now);
        }
        theirs
    }

    /// Writes the pins that are due.
    fn write_pins(
        &self,
        session: &Session,
        theirs: TheirCookie,
        answer: &Answer<'_>,
        site: &Site<'_>,
        nonces: &mut Nonces,
        settled: &mut Settled,
    ) {
        let is_found = matches!(session.pin, Pin::To(_) | Pin::Void(Why::Removed));
        let is_due = session.needs_pin(site.chosen) && !site.is_borrowed;
        // Who is only lent keeps its pin: in a cookie that the application sets anew too.
        let (home, origin) = match session.pin {
            Pin::To(home) if site.is_borrowed => (home, session.origin),
            Pin::To(_) | Pin::Void(_) | Pin::Free => (site.chosen, site.origin),
        };
        let writes = |by| !is_found || session.by == by;
        let cookie = self.parts.cookie.as_ref().filter(|cookie| {
            let is_wanted = match cookie.style() {
                Style::Rewrite | Style::Prefix => theirs.takes_pin,
                Style::Insert if theirs.is_kept => false,
                Style::Insert => {
                    is_due && (cookie.may_set(answer.method) || answer.point == Some(Point::Pin))
                }
            };
            is_wanted && writes(By::Cookie)
        });
        let header = self.parts.header.as_ref().filter(|_| is_due && writes(By::Header));
        if cookie.is_none() && header.is_none() {
            return;
        }
        let lines = answer.fields(Name::CacheControl);
        let pinning = self.parts.cacheable.pinning(answer.method, answer.head.status, lines);
        if pinning == Pinning::Skip && answer.point != Some(Point::Pin) {
            return;
        }
        let id = |ix| site.members.get(ix).id.as_str();
        let (backend, origin) = (id(home), origin.map(id));
        let now = site.now;
        if let Some(cookie) = cookie {
            if cookie.style() == Style::Insert {
                settled.set_cookie =
                    written(|out| cookie.set_cookie(session, backend, origin, now, nonces, out));
            } else {
                settled.pin = written(|out| cookie.pin(session, backend, origin, now, nonces, out));
            }
        }
        if let Some(header) = header {
            settled.header = written(|out| header.write(session, backend, origin, now, nonces, out));
        }
        if settled.set_cookie.is_some() || settled.header.is_some() {
            session.count(self.parts.terms.boot, site.members, site.chosen, site.worker, site.now);
        }
        settled.private = *settled != Settled::default() && pinning != Pinning::Plain;
    }

    /// Learns the ids that an answer makes.
    fn learn(
        &self,
        kept: &Kept,
        session: &Session,
        answer: &Answer<'_>,
        site: &Site<'_>,
        counting: Counting,
    ) -> Made {
        let mut made = Made { is_new: false, is_ended: false };
        if self.parts.create.is_empty() || !self.parts.modes.contains(&Mode::Learn) {
            return made;
        }
        let is_found = matches!(session.pin, Pin::To(_) | Pin::Void(Why::Removed));
        let issued = if is_found { session.issued } else { site.now };
        let mut take = |id: &[u8]| {
            if id.is_empty() || !self.is_id(id) {
                return;
            }
            let digest = kept.digest(id);
            if session.id.is_some_and(|old| old.digest == digest) && is_found {
                return;
            }
            // Of several ids of one session the first counts it.
            let counting = if made.is_new { Counting::Elsewhere } else { counting };
            kept.write(digest, issued, site, counting);
            made.is_new = true;
        };
        for create in &self.parts.create {
            match create {
                Create::Cookie(name) => {
                    for cookie in answer.set_cookies().filter(|c| c.name == name.as_bytes()) {
                        if cookie.value.is_empty() || cookie.deletes(site.now) {
                            made.is_ended = true;
                        } else {
                            take(cookie.value);
                        }
                    }
                }
                Create::Header(name) => {
                    let mut fields = answer.head.fields.iter();
                    if let Some(field) = fields.find(|f| f.name.eq_ignore_ascii_case(name.as_bytes())) {
                        take(trim(field.value));
                    }
                }
                Create::Json(_) => {}
            }
        }
        if let Some(body) = answer.body {
            let pointers = self.parts.create.iter().filter_map(|c| match c {
                Create::Json(pointer) => Some(&**pointer),
                Create::Cookie(_) | Create::Header(_) => None,
            });
            if let Some(id) = in_json(body, pointers) {
                take(id.as_bytes());
            }
        }
        if made.is_new
            && is_found
            && let Some(old) = session.id
        {
            kept.retire(old.digest, site, counting);
        }
        made
    }

    /// Whether the application ended the session: by deleting its cookie, or by accepting a `DELETE` of it.
    fn ends(&self, session: &Session, made: &Made, answer: &Answer<'_>) -> bool {
        let is_deleted = session.id.is_some_and(|id| id.is_header)
            && answer.method == "DELETE"
            && (200..300).contains(&answer.head.status)
            && self.parts.modes.contains(&Mode::Learn);
        made.is_ended || is_deleted
    }

    /// Counts a session no more, and forgets what the table has of it.
    fn end(&self, session: &Session, site: &Site<'_>) {
        let is_by_pin = self.is_counted_by_pin(session);
        if is_by_pin {
            session.uncount(self.parts.terms.boot, site.members, site.worker, site.now);
        }
        if let (Some(kept), Some(id)) = (&self.parts.kept, session.id) {
            let counting = if is_by_pin { Counting::Elsewhere } else { Counting::Here };
            kept.end(id.digest, site, counting);
        }
    }

    /// Ends a session that a value told of if the answer deletes the cookie where such values stand, or sets another
    /// value, which is counted when it comes. Says whether.
    fn replaces(&self, id: Id, answer: &Answer<'_>, kept: &Kept, site: &Site<'_>) -> bool {
        let is_place = |name: &[u8]| {
            self.parts.lookup.iter().any(|l| matches!(l, Lookup::Cookie(its, _) if its.as_bytes() == name))
        };
        let Some(last) = answer.set_cookies().filter(|c| is_place(c.name)).last() else { return false };
        if last.value.is_empty() || last.deletes(site.now) {
            kept.end(id.digest, site, Counting::Here);
            return true;
        }
        let is_other = self.is_id(last.value) && kept.digest(last.value) != id.digest;
        if is_other {
            kept.retire(id.digest, site, Counting::Here);
        }
        is_other
    }

    /// Takes back what the session was told by. An id that the same answer makes is a session of its own.
    fn take_back(&self, session: &Session, answer: &Answer<'_>, site: &Site<'_>) -> Settled {
        let mut settled = Settled::default();
        // Of several carriers the client may have every one.
        if session.by != By::Nobody {
            let cookie = self.parts.cookie.as_ref().filter(|c| c.style() == Style::Insert);
            settled.set_cookie = cookie.map(|cookie| {
                let mut out = Vec::new();
                cookie.delete(&mut out);
                out
            });
            settled.header = self.parts.header.as_ref().map(|_| Vec::new());
        }
        if settled != Settled::default() {
            let lines = answer.fields(Name::CacheControl);
            let pinning = self.parts.cacheable.pinning(answer.method, answer.head.status, lines);
            settled.private = pinning != Pinning::Plain;
        }
        self.end(session, site);
        if let Some(kept) = self.parts.kept.as_ref().filter(|_| answer.point == Some(Point::Ended)) {
            let anew = Session::begin(session.key, site.now);
            self.learn(kept, &anew, answer, site, Counting::Here);
        }
        settled
    }
}

/// What was written. A pin that cannot be sealed does not go out; the answer does.
fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), SealError>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    write(&mut out).is_ok().then_some(out)
}

#[cfg(test)]
#[path = "counting_tests.rs"]
mod counting_tests;
#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
