//! Who owns a request and why, in words: one sentence for each step of its way.

use super::pins::{Own, OwnPin, PinReport, State};
use crate::affinity::carriers::Mode;
use crate::affinity::cookie::Style;
use crate::affinity::key::KeySource;
use crate::affinity::{By, Pin, Session, Why};
use crate::backend::BackendIx;
use crate::backend::availability::AdminState;
use crate::pool::Pool;
use crate::pool::policy::Remedy;
use crate::pool::standing::Standing;
use crate::proxy::request::Refusal;
use crate::proxy::turned::With;
use crate::strategy::Needs;

/// Why no pool is asked.
pub(super) fn refused(refusal: &Refusal, route: Option<&str>) -> String {
    let own = refusal.answer();
    let with = if let Refusal::Turned(turned) = refusal { Some(&turned.with) } else { None };
    match (with, route) {
        (Some(With::Answer { location: Some(place) }), Some(route)) => {
            format!("the route {route} redirects it ({}) to {place}", own.status)
        }
        (Some(With::Answer { location: None }), Some(route)) => {
            format!("the route {route} answers it without a pool: {}", own.status)
        }
        (Some(_), Some(route)) => {
            format!("the route {route} turns it away with {}: {}", own.status, own.text)
        }
        (Some(_), None) => format!("the listener turns it away with {}: {}", own.status, own.text),
        (None, _) => format!("homing answers {} itself: {}", own.status, own.text),
    }
}

/// What was decided, and about what.
pub(super) struct Decided<'a> {
    pub(super) route: &'a str,
    pub(super) pool: &'a Pool,
    pub(super) standing: &'a Standing,
    pub(super) session: Option<&'a Session>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) pins: &'a [PinReport],
    pub(super) chosen: Option<BackendIx>,
    pub(super) why: Why,
    /// For which cause nobody gets it, where the pool lets no session move.
    pub(super) refused: Option<Why>,
}

impl Decided<'_> {
    /// The steps.
    pub(super) fn steps(&self) -> Vec<String> {
        let mut steps = vec![format!("the route {} sends it to pool \"{}\"", self.route, self.pool.name)];
        steps.push(self.pin());
        steps.push(self.decision());
        steps.extend(self.settled());
        steps
    }

    fn id(&self, ix: BackendIx) -> &str {
        self.pool.members.get(ix).id.as_str()
    }

    fn open(&self) -> String {
        let ids = self.pool.members.iter().filter(|(ix, _)| self.standing.open.contains(*ix));
        let ids: Vec<&str> = ids.map(|(_, b)| b.id.as_str()).collect();
        if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") }
    }

    /// What the request says of itself.
    fn pin(&self) -> String {
        let (Some(session), Some(affinity)) = (self.session, &self.pool.affinity) else {
            return "the pool has no affinity: no session is looked for".to_owned();
        };
        let is_alone = |mode| *affinity.modes() == [mode];
        match (session.by, affinity.cookie(), affinity.header()) {
            (By::Learned | By::Route, ..) => self.id_of(session),
            (By::Header, _, Some(header)) => self.pin_in("field", header.name(), session),
            (By::Cookie, Some(cookie), _) => self.pin_in("cookie", cookie.name(), session),
            (_, Some(cookie), _) if is_alone(Mode::Cookie) => self.pin_in("cookie", cookie.name(), session),
            (_, _, Some(header)) if is_alone(Mode::Header) => self.pin_in("field", header.name(), session),
            _ => format!("it has nothing that affinity by {} goes by: a new session", affinity.to_text()),
        }
    }

    /// What the application's id says. The table of a running homing knows more.
    fn id_of(&self, session: &Session) -> String {
        match session.pin {
            Pin::To(ix) => format!("its value names \"{}\"", self.id(ix)),
            Pin::Void(Why::Removed) => {
                "its value names no backend of the pool: it is placed by its hash".to_owned()
            }
            Pin::Void(_) | Pin::Free => {
                "its id is in the table of a running homing, or else it is one that nobody was seen to make"
                    .to_owned()
            }
        }
    }

    fn pin_in(&self, carrier: &str, name: &str, session: &Session) -> String {
        match session.pin {
            Pin::Free => format!("it has no {carrier} \"{name}\": a new session"),
            Pin::To(ix) => format!("its {carrier} \"{name}\" is a pin to \"{}\" that holds", self.id(ix)),
            Pin::Void(Why::Removed) => {
                let named = self.own_pin().map_or_else(String::new, |pin| format!(" \"{}\"", pin.backend));
                format!(
                    "its {carrier} \"{name}\" is a pin to a backend{named} that the pool does not have (any more)"
                )
            }
            Pin::Void(why) => {
                let what = match why {
                    Why::ExpiredIdle => "was not used for longer than `idle`",
                    Why::ExpiredLifetime => "is older than `lifetime`",
                    _ => "is no pin that opens here",
                };
                format!("its {carrier} \"{name}\" {what}: a new session")
            }
        }
    }

    /// The pin of this pool that opens.
    fn own_pin(&self) -> Option<&OwnPin> {
        self.pins.iter().find_map(|report| match &report.own {
            Some(Own::Opened(pin)) if pin.state == State::Void(self.why) => Some(pin.as_ref()),
            _ => None,
        })
    }

    /// Whom it comes to.
    fn decision(&self) -> String {
        let kind = self.pool.kind.name;
        let Some(chosen) = self.chosen.map(|ix| self.id(ix)) else {
            return match self.why {
                Why::Strict => {
                    format!(
                        "that backend cannot be used, and `on_lost` lets no session move: {}",
                        self.refusal()
                    )
                }
                _ => format!("nobody can be used (open to new sessions: {}): 503", self.open()),
            };
        };
        match self.why {
            Why::Pinned | Why::Refreshed => {
                format!("\"{chosen}\" owns it, {}", self.keeps())
            }
            Why::Returned => format!("\"{chosen}\" is its first home, and takes it back (`return_home`)"),
            Why::Unknown => {
                format!("it is placed by its id's hash: \"{chosen}\" on every node (open: {})", self.open())
            }
            why if why.is_moved() || why.is_borrowed() => {
                let lost = match why.as_str() {
                    "removed" => "its backend is gone",
                    "maint" => "its backend is in maintenance",
                    "drained" => "its backend's drain is over",
                    "full" => "its backend has no room",
                    _ => "its backend cannot be used",
                };
                let how = if why.is_borrowed() { "is lent" } else { "moves" };
                format!(
                    "{lost}: it {how} to \"{chosen}\", its second choice on every node (open: {})",
                    self.open()
                )
            }
            _ => format!("{kind} gives it to \"{chosen}\" {}(open: {})", self.placed_by(), self.open()),
        }
    }

    /// What a session gets that does not move.
    fn refusal(&self) -> String {
        match self.refused.map(|cause| self.pool.policy.on_lost.of(cause)) {
            Some(Remedy::Refuse(status)) => status.to_string(),
            Some(Remedy::Redirect(to)) => format!("302 to {to}"),
            Some(Remedy::Rebind | Remedy::Borrow | Remedy::Wait(_)) | None => "503".to_owned(),
        }
    }

    /// Why a pin's backend may keep it.
    fn keeps(&self) -> &'static str {
        let backend = self.chosen.map(|ix| (self.pool.members.get(ix), self.standing.open.contains(ix)));
        match backend {
            Some((b, _)) if b.admin == AdminState::Drain => {
                "though it drains: that closes it to new sessions alone"
            }
            Some((b, false)) if b.weight == 0 => {
                "though it weighs nothing: that closes it to new sessions alone"
            }
            _ => "as long as it may serve",
        }
    }

    /// What the strategy goes by.
    fn placed_by(&self) -> String {
        let key = self.key.map(String::from_utf8_lossy);
        match (self.pool.kind.needs, key) {
            (Needs::Nothing, _) => String::new(),
            (Needs::Address, _) => "by the client's address ".to_owned(),
            (Needs::Key, Some(key)) => {
                // A header or a cookie may be a secret of the client's; an address is not.
                let is_plain = self.pool.key.sources == [KeySource::ClientIp];
                if is_plain { format!("by the key {key} ") } else { "by its key ".to_owned() }
            }
            (Needs::Key, None) => "without a key ".to_owned(),
        }
    }

    /// What becomes of the pin.
    fn settled(&self) -> Option<String> {
        let (session, chosen) = (self.session?, self.chosen?);
        let id = self.id(chosen);
        if matches!(session.by, By::Learned | By::Route) {
            return Some("what the client is told is the application's own".to_owned());
        }
        if self.why.is_borrowed() {
            return Some("its pin stays as it is".to_owned());
        }
        let has_pins =
            self.pool.affinity.as_ref().is_some_and(|a| a.cookie().is_some() || a.header().is_some());
        if !has_pins {
            return Some("the session begins when the application makes an id".to_owned());
        }
        let theirs =
            self.pool.affinity.as_ref().and_then(|a| a.cookie()).filter(|c| c.style() != Style::Insert);
        if let Some(cookie) = theirs.filter(|_| session.by != By::Header) {
            return Some(format!(
                "the pin to \"{id}\" goes into the cookie \"{}\" whenever the application sets that",
                cookie.name()
            ));
        }
        Some(if session.pin != Pin::To(chosen) {
            format!("once \"{id}\" has answered, the answer carries a pin to it")
        } else if session.is_due {
            "the answer carries the same pin, written anew".to_owned()
        } else {
            "the pin is fresh: the answer carries none".to_owned()
        })
    }
}
