//! May this be tried again? Stage, method and body say yes or no, in one match; and a budget says whether enough was.

use std::cell::Cell;

/// How far a failed try had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No connection was made.
    Connect,
    /// No connection was made in time: the backend is slow, or gone without a word.
    ConnectTimeout,
    /// A kept connection turned out to have ended: nothing of an answer came. `sent` says whether a byte was written.
    Stale {
        /// Whether a byte of the request was written.
        sent: bool,
    },
    /// The backend has said that it has done nothing with the request. On a connection that was there, because it ends
    /// or is full; on a new one, because the backend does not want it.
    NotProcessed {
        /// Whether the connection served a request before.
        reused: bool,
    },
    /// The connection ended before the head of an answer was whole.
    BeforeHead,
    /// The head did not come in time, or is not one.
    Head,
}

/// What is known of a request when a try of it has failed.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// Its method's (RFC 9110 section 9.2.2).
    pub is_idempotent: bool,
    /// Everything sent so far is still held, and nothing of an answer went to the client.
    pub is_whole: bool,
    /// How often it was sent again.
    pub resent: u32,
    /// The backend is its session's home, and was tried once.
    pub is_first_at_home: bool,
}

/// What may be done after a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Try another backend.
    Elsewhere,
    /// Try the same backend on a new connection.
    Fresh,
    /// Give up.
    No,
}

/// How often a request may be sent again.
const RESENT: u32 = 2;

/// What may be done. A session's home has a second chance before its session moves, unless it refuses.
#[must_use]
pub const fn again(stage: Stage, tried: Tried) -> Again {
    let elsewhere = if tried.is_first_at_home { Again::Fresh } else { Again::Elsewhere };
    match stage {
        Stage::Connect => Again::Elsewhere,
        Stage::ConnectTimeout => elsewhere,
        _ if !tried.is_whole => Again::No,
        Stage::Stale { sent: false } | Stage::NotProcessed { reused: true } => Again::Fresh,
        Stage::NotProcessed { reused: false } => elsewhere,
        _ if !tried.is_idempotent || tried.resent >= RESENT => Again::No,
        Stage::Stale { sent: true } => Again::Fresh,
        Stage::BeforeHead => elsewhere,
        Stage::Head => Again::No,
    }
}

impl Stage {
    /// Whether another try sends again what a backend may have received.
    #[must_use]
    pub const fn was_sent(self) -> bool {
        match self {
            Self::Connect
            | Self::ConnectTimeout
            | Self::Stale { sent: false }
            | Self::NotProcessed { .. } => false,
            Self::Stale { sent: true } | Self::BeforeHead | Self::Head => true,
        }
    }
}

/// Whether sending the request twice has the effect of sending it once.
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE")
}

/// What one worker may send again to one pool: a fifth of its requests, so that backends in trouble are not sent
/// several times the load. Some may always be sent again, or few requests would have no second chance.
/// (Finagle and linkerd: retry budget)
#[derive(Debug)]
pub struct Budget {
    /// In fifths of a retry: every request adds one.
    fifths: Cell<u32>,
    /// When it was looked at, milliseconds of the worker's clock.
    at: Cell<u64>,
}

/// Fifths that one retry costs.
const COST: u32 = 5;
/// Up to here it fills by itself, ten retries a second.
const RESERVE: u32 = 100 * COST;
/// More is not saved up.
const MOST: u32 = 1000 * COST;

impl Default for Budget {
    fn default() -> Self {
        Self { fifths: Cell::new(RESERVE), at: Cell::new(0) }
    }
}

impl Budget {
    /// A request came.
    pub fn earn(&self) {
        self.fifths.set((self.fifths.get() + 1).min(MOST));
    }

    /// Pays for sending one request again at `now`, milliseconds of the worker's clock. False: there is not enough.
    #[must_use]
    pub fn spend(&self, now: u64) -> bool {
        let passed = now.saturating_sub(self.at.replace(now));
        let filled = u32::try_from(passed.saturating_mul(u64::from(COST)) / 100).unwrap_or(RESERVE);
        let fifths = self.fifths.get();
        let fifths = fifths.max(fifths.saturating_add(filled).min(RESERVE));
        let is_enough = fifths >= COST;
        self.fifths.set(if is_enough { fifths - COST } else { fifths });
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Tried = Tried { is_idempotent: true, is_whole: true, resent: 0, is_first_at_home: false };

    #[test]
    fn a_post_is_never_sent_twice() {
        let post = Tried { is_idempotent: is_idempotent("POST"), is_first_at_home: true, ..GET };
        for stage in [Stage::Stale { sent: true }, Stage::BeforeHead, Stage::Head] {
            assert_eq!(again(stage, post), Again::No, "{stage:?}");
            assert!(stage.was_sent());
        }
        assert_eq!(again(Stage::Connect, Tried { is_whole: false, resent: 9, ..post }), Again::Elsewhere);
        assert_eq!(again(Stage::Stale { sent: false }, post), Again::Fresh);
    }

    #[test]
    fn idempotent_requests_are_sent_twice_more_while_they_are_whole() {
        assert_eq!(again(Stage::BeforeHead, Tried { resent: 1, ..GET }), Again::Elsewhere);
        assert_eq!(again(Stage::BeforeHead, Tried { resent: 2, ..GET }), Again::No);
        assert_eq!(again(Stage::BeforeHead, Tried { is_whole: false, ..GET }), Again::No);
        assert_eq!(again(Stage::Stale { sent: true }, GET), Again::Fresh);
        assert_eq!(again(Stage::Head, GET), Again::No, "it was heard, and may be at work");
    }

    #[test]
    fn a_home_that_does_not_refuse_has_a_second_chance() {
        let home = Tried { is_first_at_home: true, ..GET };
        assert_eq!(again(Stage::Connect, home), Again::Elsewhere);
        assert_eq!(again(Stage::ConnectTimeout, home), Again::Fresh);
        assert_eq!(again(Stage::ConnectTimeout, GET), Again::Elsewhere);
        assert_eq!(again(Stage::BeforeHead, home), Again::Fresh);
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_sent_again_and_a_hundred_always() {
        let budget = Budget::default();
        let spent = |now| (0..10_000).filter(|_| budget.spend(now)).count();
        assert_eq!(spent(0), 100);
        (0..500).for_each(|_| budget.earn());
        assert_eq!(spent(0), 100);
        assert_eq!(spent(1000), 10, "ten a second come by themselves");
        assert_eq!(spent(1_000_000), 100);
        (0..100_000).for_each(|_| budget.earn());
        assert_eq!(spent(1_000_000), 1000);
    }
}
