//! What a client does to an HTTP/2 connection, counted by the kind of its frames, and when it is too much.
//!
//! Each kind has its limit in a window of time. What an honest client does in proportion to what it is sent does not
//! count against it: it *earns* frames, by the bytes and the answers that it was sent and the requests that it makes.
//!
//! Time is handed in, in milliseconds.

use crate::message::h2_frames::{Code, Kind};
use crate::telemetry::reasons::Abuse;

/// The most frames of a kind that are earned and not yet used. A client that paused may have 16 MiB to tell of.
const MOST_EARNED: u32 = 1 << 14;
/// For so many bytes that a client is sent it may say once that it can take more: on the stream, or in all. Half a
/// usual buffer of 4 KiB for each.
const UPDATE: usize = 2 << 10;

/// Follows one connection.
#[derive(Debug, Default)]
pub(super) struct Watch {
    tallies: [Tally; Abuse::ALL.len()],
}

/// What is counted of a kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Frames of this window that were not earned.
    count: u32,
    earned: u32,
    began: u64,
}

/// How many frames of a kind may come that were not earned, and in how many milliseconds.
const fn limit(of: Abuse) -> (u32, u64) {
    match of {
        Abuse::Resets | Abuse::Provoked | Abuse::Refused => (100, 30_000),
        Abuse::EmptyData => (100, 10_000),
        _ => (200, 10_000),
    }
}

impl Watch {
    /// A frame came; `is_empty` says that it is DATA without data that does not end its stream.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn came(&mut self, kind: Kind, is_empty: bool, now: u64) -> Result<(), Abuse> {
        let of = match kind {
            Kind::Headers => {
                // Chromium and Firefox say with a request how urgent it is, and what its window is.
                for of in [Abuse::Priority, Abuse::Unknown, Abuse::WindowUpdate] {
                    self.earn(of, 1);
                }
                return Ok(());
            }
            Kind::Data if is_empty => Abuse::EmptyData,
            Kind::Priority => Abuse::Priority,
            Kind::Reset => Abuse::Resets,
            Kind::Settings => Abuse::Settings,
            Kind::Ping => Abuse::Ping,
            Kind::WindowUpdate => Abuse::WindowUpdate,
            Kind::GoAway | Kind::Unknown => Abuse::Unknown,
            Kind::Data | Kind::Continuation | Kind::PushPromise => return Ok(()),
        };
        self.count(of, now)
    }

    /// The client was sent DATA of so many bytes.
    pub(super) fn sent(&mut self, data: usize) {
        self.earn(Abuse::WindowUpdate, 2 + 2 * (data / UPDATE) as u32);
        self.earn(Abuse::Ping, 1); // gRPC measures how fast it is sent data, once a round trip.
    }

    /// The client has all of an answer.
    pub(super) fn answered(&mut self) {
        self.earn(Abuse::Resets, 1);
    }

    /// The client was sent a reset.
    ///
    /// # Errors
    /// It has provoked one too many.
    pub(super) fn reset(&mut self, code: Code, now: u64) -> Result<(), Abuse> {
        match code {
            Code::Protocol | Code::FlowControl | Code::StreamClosed | Code::FrameSize | Code::Compression => {
                self.count(Abuse::Provoked, now)
            }
            Code::RefusedStream => self.count(Abuse::Refused, now),
            Code::NoError | Code::Internal | Code::Cancel | Code::EnhanceYourCalm => Ok(()),
        }
    }

    const fn earn(&mut self, of: Abuse, frames: u32) {
        let tally = &mut self.tallies[of as usize];
        let earned = tally.earned + frames;
        tally.earned = if earned < MOST_EARNED { earned } else { MOST_EARNED };
    }

    const fn count(&mut self, of: Abuse, now: u64) -> Result<(), Abuse> {
        let ((most, window), tally) = (limit(of), &mut self.tallies[of as usize]);
        if tally.earned > 0 {
            tally.earned -= 1;
            return Ok(());
        }
        if now.saturating_sub(tally.began) >= window {
            (tally.began, tally.count) = (now, 0);
        }
        tally.count += 1;
        if tally.count > most { Err(of) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these frames pass, one each so many milliseconds; 10,000 are for ever.
    fn pass(watch: &mut Watch, kind: Kind, is_empty: bool, each: u64) -> Result<(), (u64, Abuse)> {
        (0..10_000).try_for_each(|n| watch.came(kind, is_empty, n * each).map_err(|of| (n, of)))
    }

    #[test]
    fn every_kind_of_flood_ends_and_is_called_by_its_name() {
        for (kind, most, of) in [
            (Kind::Settings, 200, Abuse::Settings),
            (Kind::Ping, 200, Abuse::Ping),
            (Kind::Priority, 200, Abuse::Priority),
            (Kind::WindowUpdate, 200, Abuse::WindowUpdate),
            (Kind::GoAway, 200, Abuse::Unknown),
            (Kind::Unknown, 200, Abuse::Unknown),
            (Kind::Reset, 100, Abuse::Resets),
            (Kind::Data, 100, Abuse::EmptyData),
        ] {
            assert_eq!(pass(&mut Watch::default(), kind, true, 0), Err((most, of)));
            let window = if of == Abuse::Resets { 30_000 } else { 10_000 };
            assert_eq!(pass(&mut Watch::default(), kind, true, window / most), Ok(()), "{of:?} at its rate");
        }
        assert_eq!(pass(&mut Watch::default(), Kind::Data, false, 0), Ok(()), "a body is no flood");
    }

    #[test]
    fn who_downloads_may_tell_of_it() {
        let mut watch = Watch::default();
        for _ in 0..2_000 {
            watch.sent(16 << 10);
            (0..16).for_each(|_| watch.came(Kind::WindowUpdate, false, 0).unwrap());
            watch.came(Kind::Ping, false, 0).unwrap();
        }
        assert!(pass(&mut watch, Kind::WindowUpdate, false, 0).is_err(), "and no more than of it");
    }

    #[test]
    fn who_is_answered_may_also_cancel() {
        let mut watch = Watch::default();
        for _ in 0..1_000 {
            watch.answered();
            watch.came(Kind::Reset, false, 0).unwrap();
        }
    }

    #[test]
    fn who_asks_may_say_how_urgent_it_is() {
        let mut watch = Watch::default();
        for _ in 0..1_000 {
            watch.came(Kind::Headers, false, 0).unwrap();
            watch.came(Kind::Unknown, false, 0).unwrap();
        }
    }

    #[test]
    fn resets_that_we_were_made_to_send_count_and_others_do_not() {
        let sent = |code| {
            let mut watch = Watch::default();
            (0..101).try_for_each(|_| watch.reset(code, 0))
        };
        for code in
            [Code::Protocol, Code::FlowControl, Code::StreamClosed, Code::FrameSize, Code::Compression]
        {
            assert_eq!(sent(code), Err(Abuse::Provoked), "{code:?}");
        }
        assert_eq!(sent(Code::RefusedStream), Err(Abuse::Refused));
        for code in [Code::NoError, Code::Internal, Code::Cancel, Code::EnhanceYourCalm] {
            assert_eq!(sent(code), Ok(()), "{code:?}");
        }
    }
}
