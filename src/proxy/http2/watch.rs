//! What a client does to an HTTP/2 connection, counted frame by frame, and when it is too much.
//!
//! The `h2` crate shows no frames, and its own bounds hold for a connection's whole life or not at all: 1,024 resets
//! that it was made to send and 100 empty DATA frames ever, 20 resets before a request was taken up, nothing on PING,
//! SETTINGS, PRIORITY, WINDOW_UPDATE, unknown frames and resets of requests that were. Here each kind has its limit in
//! a window of time. What an honest client does in proportion to what it is sent does not count against it: it
//! *earns* frames, by the bytes and the answers that it was sent and the requests that it makes.
//!
//! Some mistakes are told here with the code that RFC 9113 asks for, because `h2` has one code for all of them.
//!
//! Time is handed in, in milliseconds. What is told once stays told.

use crate::message::h2_frames::{Frame, Kind, PREFACE, Reader};
use crate::telemetry::reasons::Abuse;

use h2::Reason;

/// The raw bytes of a header block, at most: twice what may come out of it.
const BLOCK: u32 = 64 << 10;
/// CONTINUATION frames of a block that may follow each other without its end. It is `h2`'s bound for a list of
/// 32 KiB, which holds whatever stands here; frames of 16 KiB need one.
const CONTINUATIONS: u32 = 5;
/// The most frames of a kind that are earned and not yet used. A client that paused may have 16 MiB to tell of.
const MOST_EARNED: u32 = 1 << 14;
/// For so many bytes that a client is sent it may say once that it can take more: on the stream, or in all. Half a
/// usual buffer of 4 KiB for each.
const UPDATE: u32 = 2 << 10;

/// A DATA frame of fewer bytes costs `h2` more than what is in it; and how many may come in one turn.
const SMALL: u32 = 256;
const MOST_SMALL: u32 = 256;
/// The setting of this name (section 6.5.2).
const INITIAL_WINDOW_SIZE: u32 = 4;

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is abused.
    Abuse(Abuse),
    /// A frame was wrong, by this code.
    Broken(Reason),
}

/// What has begun and not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The preface with its first frame, a header block, a frame other than DATA: since its first byte.
    Head(u64),
    /// A DATA frame: since the last byte that came of it.
    Data(u64),
}

/// Follows one connection.
#[derive(Debug)]
pub struct Watch {
    incoming: Reader,
    outgoing: Reader,
    /// What a frame of which a part has come is; and when its first byte came, or that of its block.
    kind: Kind,
    began: u64,
    /// When a byte came last.
    moved: u64,
    /// Bytes of the preface that have come.
    preface: usize,
    /// Whether the frame that belongs to it has.
    has_begun: bool,
    block: Option<Block>,
    /// The highest stream that was opened.
    last: u32,
    tallies: [Tally; Abuse::ALL.len()],
    verdict: Option<Verdict>,
    told: Option<Abuse>,
    /// DATA frames of this turn with next to nothing in them.
    small: u32,
}

/// A header block of which a part has come.
#[derive(Clone, Copy, Debug)]
struct Block {
    began: u64,
    bytes: u32,
    continuations: u32,
}

/// What is counted of a kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Frames of this window that were not earned.
    count: u32,
    earned: u32,
    began: u64,
}

impl Verdict {
    /// The code that says so to the client.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Abuse(_) => Reason::ENHANCE_YOUR_CALM,
            Self::Broken(reason) => reason,
        }
    }
}

/// How many frames of a kind may come that were not earned, and in how many milliseconds.
const fn limit(of: Abuse) -> (u32, u64) {
    match of {
        Abuse::Resets | Abuse::Provoked | Abuse::Refused => (100, 30_000),
        Abuse::EmptyData => (100, 10_000), // `h2` lets no more pass in a connection's life.
        _ => (200, 10_000),
    }
}

impl Watch {
    /// Of a connection that begins now, with the preface.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            incoming: Reader::default(),
            outgoing: Reader::default(),
            kind: Kind::default(),
            began: now,
            moved: now,
            preface: 0,
            has_begun: false,
            block: None,
            last: 0,
            tallies: Default::default(),
            verdict: None,
            told: None,
            small: 0,
        }
    }

    /// These bytes came from the client.
    pub fn incoming(&mut self, mut bytes: &[u8], now: u64) {
        if bytes.is_empty() {
            return;
        }
        self.moved = now;
        let preface = (PREFACE.len() - self.preface).min(bytes.len());
        self.preface += preface; // `h2` reads it.
        bytes = bytes.get(preface..).unwrap_or_default();
        loop {
            if self.has_begun && self.incoming.begins_within(bytes.len()) {
                self.began = now;
            }
            let Some(frame) = self.incoming.next(&mut bytes) else { return };
            if let Some(verdict) = self.judge(&frame, now) {
                self.verdict.get_or_insert(verdict);
                return;
            }
        }
    }

    /// These bytes went to the client.
    pub fn outgoing(&mut self, mut bytes: &[u8], now: u64) {
        while let Some(frame) = self.outgoing.next(&mut bytes) {
            if frame.ends_stream() {
                self.earn(Abuse::Resets, 1);
            }
            match frame.kind {
                Kind::Data => {
                    self.earn(Abuse::WindowUpdate, 2 + 2 * (frame.length / UPDATE));
                    self.earn(Abuse::Ping, 1); // gRPC measures how fast it is sent data, once a round trip.
                }
                Kind::GoAway => {
                    self.told = self.told.or(told(bytes.get(..self.outgoing.rest()).unwrap_or_default()));
                }
                Kind::Reset => {
                    let of = match Reason::from(frame.number()) {
                        Reason::PROTOCOL_ERROR
                        | Reason::FLOW_CONTROL_ERROR
                        | Reason::STREAM_CLOSED
                        | Reason::FRAME_SIZE_ERROR
                        | Reason::COMPRESSION_ERROR => Abuse::Provoked,
                        Reason::REFUSED_STREAM => Abuse::Refused,
                        _ => continue,
                    };
                    if let Some(verdict) = self.count(of, now) {
                        self.verdict.get_or_insert(verdict);
                    }
                }
                _ => {}
            }
        }
    }

    /// Why the connection has to end, if it has to.
    #[must_use]
    pub const fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// What `h2` ended the connection for by itself, where that is abuse.
    #[must_use]
    pub const fn told(&self) -> Option<Abuse> {
        self.told
    }

    /// A turn of the connection's task begins.
    pub const fn turn(&mut self) {
        self.small = 0;
    }

    /// Whether those who take what comes should have their turn before more is read: `h2` ends a connection on which
    /// too many small frames wait, also if they all came in one turn.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.small >= MOST_SMALL
    }

    /// What has begun and not come to its end.
    #[must_use]
    pub const fn unfinished(&self) -> Option<Unfinished> {
        if let Some(block) = self.block {
            return Some(Unfinished::Head(block.began));
        }
        if self.has_begun && self.incoming.is_between() {
            return None;
        }
        if self.incoming.rest() > 0 && matches!(self.kind, Kind::Data) {
            return Some(Unfinished::Data(self.moved));
        }
        Some(Unfinished::Head(self.began))
    }

    /// A frame has come, at least its beginning.
    fn judge(&mut self, frame: &Frame, now: u64) -> Option<Verdict> {
        let began = self.began;
        self.kind = frame.kind;
        if let Some(reason) = self.broken(frame) {
            return Some(Verdict::Broken(reason));
        }
        self.has_begun = true;
        match frame.kind {
            Kind::Data if frame.data() == 0 && !frame.ends_stream() => self.count(Abuse::EmptyData, now),
            Kind::Headers => {
                // Chromium and Firefox say with a request how urgent it is, and what its window is.
                self.earn(Abuse::Priority, 1);
                self.earn(Abuse::Unknown, 1);
                self.earn(Abuse::WindowUpdate, 1);
                self.block = Some(Block { began, bytes: 0, continuations: 0 });
                self.last = self.last.max(frame.stream);
                self.block_goes_on(frame)
            }
            Kind::Continuation => self.block_goes_on(frame),
            Kind::Priority => self.count(Abuse::Priority, now),
            Kind::Reset => self.count(Abuse::Resets, now),
            Kind::Settings => self.count(Abuse::Settings, now),
            Kind::Ping => self.count(Abuse::Ping, now),
            Kind::WindowUpdate => self.count(Abuse::WindowUpdate, now),
            Kind::GoAway | Kind::Unknown => self.count(Abuse::Unknown, now),
            Kind::Data => {
                self.small += u32::from(frame.data() < SMALL);
                None
            }
            Kind::PushPromise => None,
        }
    }

    fn block_goes_on(&mut self, frame: &Frame) -> Option<Verdict> {
        let block = self.block.as_mut()?;
        block.bytes = block.bytes.saturating_add(frame.length);
        let (bytes, began) = (block.bytes, block.began);
        if frame.kind == Kind::Continuation && !frame.ends_headers() {
            block.continuations += 1;
        }
        let is_flood = block.continuations > CONTINUATIONS;
        if frame.ends_headers() {
            self.block = None;
            self.began = began; // The block is over with the last byte of this frame.
        }
        match () {
            () if is_flood => Some(Verdict::Abuse(Abuse::Continuation)),
            () if bytes > BLOCK => Some(Verdict::Abuse(Abuse::HeaderBlock)),
            () => None,
        }
    }

    /// What is wrong with a frame by itself, where `h2` would give another code or none.
    fn broken(&self, frame: &Frame) -> Option<Reason> {
        if !self.has_begun && (frame.kind != Kind::Settings || frame.is_ack()) {
            return Some(Reason::PROTOCOL_ERROR); // Section 3.4.
        }
        // Section 6.5.2, where it is the first of its frame.
        let [high, id] = [frame.number() & 0x8000, frame.number() >> 16];
        if frame.kind == Kind::Settings && id == INITIAL_WINDOW_SIZE && high != 0 {
            return Some(Reason::FLOW_CONTROL_ERROR);
        }
        if frame.kind == Kind::Headers && frame.stream <= self.last && frame.begins_with_pseudo() {
            return Some(Reason::PROTOCOL_ERROR); // Section 8.1: trailers. `h2` drops what must not be there.
        }
        let is_wrong = match frame.kind {
            Kind::Settings => !frame.length.is_multiple_of(6) || (frame.is_ack() && frame.length != 0),
            Kind::Ping => frame.length != 8,
            Kind::Priority => frame.length != 5,
            Kind::Reset | Kind::WindowUpdate => frame.length != 4,
            Kind::GoAway => frame.length < 8,
            Kind::Data | Kind::Headers | Kind::PushPromise | Kind::Continuation | Kind::Unknown => false,
        };
        is_wrong.then_some(Reason::FRAME_SIZE_ERROR)
    }

    fn earn(&mut self, of: Abuse, frames: u32) {
        let tally = &mut self.tallies[of as usize];
        tally.earned = (tally.earned + frames).min(MOST_EARNED);
    }

    fn count(&mut self, of: Abuse, now: u64) -> Option<Verdict> {
        let ((most, window), tally) = (limit(of), &mut self.tallies[of as usize]);
        if tally.earned > 0 {
            tally.earned -= 1;
            return None;
        }
        if now.saturating_sub(tally.began) >= window {
            (tally.began, tally.count) = (now, 0);
        }
        tally.count += 1;
        (tally.count > most).then_some(Verdict::Abuse(of))
    }
}

/// What `h2` says in its GOAWAY, behind the frame's first number: a code, and a word if it ended the connection itself.
/// Its errors do not tell the word.
fn told(said: &[u8]) -> Option<Abuse> {
    let words: [(&[u8], Abuse); 5] = [
        (b"too_many_resets", Abuse::Resets),
        (b"too_many_internal_resets", Abuse::Provoked),
        (b"too_many_data_frames", Abuse::SmallData),
        (b"too_many_continuations", Abuse::Continuation),
        (b"header_list_way_too_large", Abuse::HeaderList),
    ];
    let word = said.strip_prefix(&u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes())?;
    words.iter().find(|(known, _)| *known == word).map(|(_, of)| *of)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
