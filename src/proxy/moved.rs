//! What a backend is told of a session that comes from elsewhere, so that it can fetch its data or start anew:
//!
//! ```text
//! Homing-Session: moved; from=a; reason=down
//! Homing-Session: borrowed; from=a; reason=full
//! ```
//!
//! `from` is the id of the session's home, in quotes where it is no token, and absent if that is gone from the pool.
//! The field stands last in the head, is written anew for each backend that is tried, and is never a client's.

use super::exchange::Exchange;
use super::forward::Pump;
use super::place::Tries;
use crate::affinity::Pin;
use crate::message::field::is_token_byte;
use crate::pool::choose::Choice;

const FIELD: &str = "Homing-Session";

impl Exchange<'_> {
    /// Writes the line for the backend chosen, in the place of the one for the backend before.
    pub(super) fn tell(&self, choice: Choice, tries: &mut Tries, upload: &mut Pump) {
        let why = choice.why;
        if !why.is_moved() && !why.is_borrowed() && tries.told.is_empty() {
            return;
        }
        let mut line = Vec::new();
        if (why.is_moved() || why.is_borrowed()) && !self.is_ruled() {
            for part in [FIELD, ": ", why.result()] {
                line.extend_from_slice(part.as_bytes());
            }
            self.push_home(&mut line);
            for part in ["; reason=", why.as_str(), "\r\n"] {
                line.extend_from_slice(part.as_bytes());
            }
        }
        upload.amend(tries.told.clone(), &line);
        tries.told.end = tries.told.start + line.len();
    }

    /// Where the session comes from.
    fn push_home(&self, line: &mut Vec<u8>) {
        let Some(Pin::To(home)) = self.request.session.map(|s| s.pin) else { return };
        let id = self.request.pool.pool.members.get(home).id.as_str();
        let quote = if id.bytes().all(is_token_byte) { "" } else { "\"" };
        for part in ["; from=", quote, id, quote] {
            line.extend_from_slice(part.as_bytes());
        }
    }

    /// Whether the route removes or sets this field itself.
    fn is_ruled(&self) -> bool {
        let Some(view) = &self.view else { return false };
        let Some(route) = view.snapshot.plan.routes.as_slice().get(self.request.route) else { return false };
        let rules = &route.request_headers;
        let names = rules.remove.iter().chain(rules.set.iter().map(|(name, _)| name));
        names.into_iter().any(|name| name.eq_ignore_ascii_case(FIELD))
    }
}
