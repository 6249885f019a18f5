//! May this be tried again? Stage, method and body say yes or no, in one match.

/// How far a failed try had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No connection was made.
    Connect,
    /// A kept connection turned out to have ended: nothing of an answer came. `sent` says whether a byte was written.
    Stale {
        /// Whether a byte of the request was written.
        sent: bool,
    },
    /// A new connection ended before an answer's head.
    BeforeHead,
    /// The head did not come in time, or is not one.
    Head,
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

/// Tries after which only connecting may still fail over.
const TRIES: u32 = 2;

/// What may be done. `idempotent` is the method's (RFC 9110 section 9.2.2), `is_whole` says that everything sent so far
/// is still held, `retries` how many tries failed after a connection was made.
#[must_use]
pub const fn again(stage: Stage, idempotent: bool, is_whole: bool, retries: u32) -> Again {
    match stage {
        Stage::Connect => Again::Elsewhere,
        _ if !is_whole || retries >= TRIES => Again::No,
        Stage::Stale { sent: false } => Again::Fresh,
        Stage::Stale { sent: true } if idempotent => Again::Fresh,
        Stage::BeforeHead if idempotent => Again::Elsewhere,
        Stage::Stale { sent: true } | Stage::BeforeHead | Stage::Head => Again::No,
    }
}

/// Whether sending the request twice has the effect of sending it once.
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_never_sent_twice() {
        for stage in [Stage::Stale { sent: true }, Stage::BeforeHead, Stage::Head] {
            assert_eq!(again(stage, is_idempotent("POST"), true, 0), Again::No, "{stage:?}");
        }
        assert_eq!(again(Stage::Connect, false, true, 9), Again::Elsewhere);
        assert_eq!(again(Stage::Stale { sent: false }, false, true, 0), Again::Fresh);
    }

    #[test]
    fn idempotent_requests_are_tried_twice_more_while_they_are_whole() {
        assert_eq!(again(Stage::BeforeHead, true, true, 1), Again::Elsewhere);
        assert_eq!(again(Stage::BeforeHead, true, true, 2), Again::No);
        assert_eq!(again(Stage::BeforeHead, true, false, 0), Again::No);
        assert_eq!(again(Stage::Stale { sent: true }, true, true, 0), Again::Fresh);
    }
}
