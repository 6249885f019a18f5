//! What the driver of a connection and the tasks of its streams share: the streams, the windows, and the frames that
//! wait to be written.
//!
//! A stream's task writes its frames straight behind those that wait, as far as the windows have room and no more than
//! [`JOINED`] bytes wait; the driver writes what waits, of all streams at once. Who finds no room queues, and is invited
//! when there is some: streams take turns, a whole frame's bytes each. No more are invited than there is room for, so that
//! who comes first does not take it all, queue again before the others have looked, and leave them with nothing for ever.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::slots::{End, Line, Slot, Slots};
use super::watch::Watch;
use super::wrong;
use super::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::message::h2_frames::{self as frames, Code, Kind, LARGEST_WINDOW};
use crate::message::hpack::Encoder;
use crate::proxy::clock::Clock;
use crate::proxy::respond::Own;
use crate::telemetry::reasons::Abuse;
use crate::telemetry::shards::ListenerShard;

/// Bytes of frames that wait to be written, from which on nobody adds any: frames of several streams leave in one write.
pub(super) const JOINED: usize = 64 * 1024;

/// Why a connection ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A frame was wrong, by this code.
    Wrong(Code),
    /// It is abused.
    Abuse(Abuse),
}

/// A window over its bound. (RFC 9113 section 6.9.1)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooWide;

impl Fault {
    /// The code that says so to the client.
    pub(super) const fn code(self) -> Code {
        match self {
            Self::Wrong(code) => code,
            Self::Abuse(_) => Code::EnhanceYourCalm,
        }
    }
}

/// One connection, as its driver and its streams have it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: RefCell<State>,
    driver: RefCell<Option<Waker>>,
    /// Since when the socket has taken nothing of what there is to write, in the clock's milliseconds.
    pub(super) blocked_since: Cell<Option<u64>>,
    pub(super) clock: Rc<Clock>,
    /// How long a client may take nothing.
    pub(super) write: Duration,
    pub(super) shard: Arc<ListenerShard>,
}

/// What changes of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) slots: Slots,
    pub(super) encoder: Encoder,
    pub(super) watch: Watch,
    /// Frames that wait to be written.
    pub(super) out: Vec<u8>,
    /// How much data the client takes, on all streams.
    pub(super) window: i64,
    /// How much data it may send, on all streams; and how much of it was read and not yet told.
    pub(super) credit: u32,
    pub(super) unsaid: u32,
    /// The window of a new stream.
    pub(super) initial_window: i64,
    /// Streams that wait for room, in their order: with a head, which no window counts, and with data; and how many
    /// were invited to take some and have not.
    heads: VecDeque<usize>,
    queue: VecDeque<usize>,
    invited: usize,
    /// Why it has to end, or has ended.
    pub(super) fault: Option<Fault>,
    shard: Arc<ListenerShard>,
    /// Nothing more goes either way.
    pub(super) is_over: bool,
}

impl Link {
    pub(super) fn new(clock: &Rc<Clock>, out: Vec<u8>, write: Duration, shard: &Arc<ListenerShard>) -> Self {
        let state = State {
            slots: Slots::default(),
            encoder: Encoder::new(),
            watch: Watch::default(),
            out,
            window: 65_535,
            credit: CONNECTION_WINDOW,
            unsaid: 0,
            initial_window: 65_535,
            heads: VecDeque::new(),
            queue: VecDeque::new(),
            invited: 0,
            fault: None,
            shard: Arc::clone(shard),
            is_over: false,
        };
        Self {
            state: RefCell::new(state),
            driver: RefCell::default(),
            blocked_since: Cell::default(),
            clock: Rc::clone(clock),
            write,
            shard: Arc::clone(shard),
        }
    }

    /// The task that polls with `cx` is the driver.
    pub(super) fn drive(&self, cx: &Context<'_>) {
        *self.driver.borrow_mut() = Some(cx.waker().clone());
    }

    /// Has the driver write what waits.
    pub(super) fn wake(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// Invites whoever waits and could go on, as the driver does when it has written. Who was invited may turn out to
    /// want nothing: the driver looks again behind them, as long as others wait.
    pub(super) fn invite(&self, state: &mut State) {
        if state.has_guests() {
            state.invite();
            if state.has_guests() {
                self.wake();
            }
        }
    }
}

impl State {
    /// Resets a stream, if it is not over. Behind the last GOAWAY nothing is said.
    pub(super) fn reset(&mut self, place: usize, code: Code, now: u64) {
        if self.is_over {
            return;
        }
        let Some(slot) = self.slots.get_mut(place) else { return };
        if slot.end == End::Open {
            slot.is_reset_by_us = true;
            slot.end = End::Reset;
            slot.wake();
            let id = slot.id;
            self.slots.live -= 1;
            self.say_reset(id, code, now);
        }
    }

    /// Resets a stream, if it is not over, for what its client did wrong on it.
    #[cold]
    pub(super) fn wrong(&mut self, place: usize, code: Code, why: &'static Own, now: u64) {
        if let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.end == End::Open) {
            slot.wrong = Some(why);
        }
        self.reset(place, code, now);
    }

    /// Tells of a reset.
    pub(super) fn say_reset(&mut self, id: u32, code: Code, now: u64) {
        frames::write_header(Kind::Reset, 0, id, 4, &mut self.out);
        self.out.extend_from_slice(&(code as u32).to_be_bytes());
        wrong::counted(code).into_iter().for_each(|error| self.shard.reset(error));
        if let Err(of) = self.watch.reset(code, now) {
            self.fault.get_or_insert(Fault::Abuse(of));
        }
    }

    pub(super) fn say_go_away(&mut self, last: u32, code: Code) {
        frames::write_header(Kind::GoAway, 0, 0, 8, &mut self.out);
        self.out.extend_from_slice(&last.to_be_bytes());
        self.out.extend_from_slice(&(code as u32).to_be_bytes());
    }

    fn say_window(&mut self, id: u32, more: u32) {
        frames::write_header(Kind::WindowUpdate, 0, id, 4, &mut self.out);
        self.out.extend_from_slice(&more.to_be_bytes());
    }

    /// So many bytes of data were read, or thrown away: others may come.
    pub(super) fn release(&mut self, bytes: u32) {
        self.unsaid += bytes;
        if self.unsaid >= STREAM_WINDOW && !self.is_over {
            let more = std::mem::take(&mut self.unsaid);
            self.credit += more;
            self.say_window(0, more);
        }
    }

    /// The same on a stream.
    pub(super) fn release_on(&mut self, place: usize, bytes: u32) {
        self.release(bytes);
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.owed -= bytes;
        slot.unsaid += bytes;
        if slot.unsaid >= STREAM_WINDOW / 2 && !slot.has_ended && slot.end == End::Open && !self.is_over {
            let more = std::mem::take(&mut slot.unsaid);
            slot.credit += more;
            let id = slot.id;
            self.say_window(id, more);
        }
    }

    /// How many of `wanted` bytes a stream may add now, as DATA or as a head (which no window counts). None: it is
    /// told when that changes.
    pub(super) fn room(&mut self, place: usize, wanted: usize, is_data: bool, cx: &Context<'_>) -> usize {
        let free = JOINED.saturating_sub(self.out.len());
        let window = if is_data { usize::try_from(self.window).unwrap_or(0) } else { usize::MAX };
        let others = self.invited + self.heads.len() + self.queue.len();
        let Some(slot) = self.slots.get_mut(place) else { return 0 };
        let own = if is_data { usize::try_from(slot.window).unwrap_or(0) } else { usize::MAX };
        let is_invited = std::mem::take(&mut slot.is_invited);
        self.invited -= usize::from(is_invited);
        if own == 0 {
            slot.waits(cx);
            return 0;
        }
        // Whoever waits comes first; heads are few and short.
        let is_turn = is_invited || others == 0 || !is_data;
        if free == 0 || window == 0 || !is_turn {
            slot.waits(cx);
            let is_first = is_invited || slot.turn > 0;
            self.queue(place, if is_data { Line::Data } else { Line::Heads }, is_first);
            return 0;
        }
        let room = wanted.min(own).min(window).min(free).min(frames::LARGEST);
        if is_data {
            // What one frame was short of the next may have, and what it had too much it goes without.
            let turn = if slot.turn > 0 { slot.turn } else { slot.turn + frames::LARGEST as i64 };
            slot.turn = if is_invited { turn - room as i64 } else { 0 };
        }
        room
    }

    /// Whether as much waits to be written as may.
    pub(super) const fn is_full(&self) -> bool {
        self.out.len() >= JOINED
    }

    /// Has a stream wait in a line: behind the others, or before them if it was invited for nothing.
    fn queue(&mut self, place: usize, line: Line, is_first: bool) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let before = std::mem::replace(&mut slot.line, line);
        if before == line {
            return;
        }
        self.unqueue(place, before);
        match (line, is_first) {
            (Line::None, _) => {}
            (Line::Heads, false) => self.heads.push_back(place),
            (Line::Heads, true) => self.heads.push_front(place),
            (Line::Data, false) => self.queue.push_back(place),
            (Line::Data, true) => self.queue.push_front(place),
        }
    }

    fn unqueue(&mut self, place: usize, line: Line) {
        match line {
            Line::None => {}
            Line::Heads => self.heads.retain(|&queued| queued != place),
            Line::Data => self.queue.retain(|&queued| queued != place),
        }
    }

    /// Invites who waits, as many as there is room for: all heads, which are short, and a frame of data for each.
    fn invite(&mut self) {
        while let Some(place) = self.heads.pop_front() {
            self.invite_to(place);
        }
        let free = JOINED.saturating_sub(self.out.len());
        let mut room = usize::try_from(self.window).unwrap_or(0).min(free);
        while room > 0 {
            let Some(place) = self.queue.pop_front() else { return };
            self.invite_to(place);
            // What is left beside whole frames is for the next, once these have looked.
            room = room.saturating_sub(frames::LARGEST) / frames::LARGEST * frames::LARGEST;
        }
    }

    fn invite_to(&mut self, place: usize) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.line = Line::None;
        self.invited += usize::from(!std::mem::replace(&mut slot.is_invited, true));
        slot.wake();
    }

    /// Whether somebody waits who could go on though nothing was written.
    pub(super) fn has_guests(&self) -> bool {
        !self.is_full() && (!self.heads.is_empty() || !self.queue.is_empty() && self.window > 0)
    }

    /// Appends a DATA frame of bytes for which there is [room](Self::room).
    pub(super) fn data(&mut self, place: usize, data: &[u8], ends: bool) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let flags = if ends { frames::END_STREAM } else { 0 };
        frames::write_header(Kind::Data, flags, slot.id, data.len(), &mut self.out);
        self.out.extend_from_slice(data);
        slot.window -= data.len() as i64;
        self.window -= data.len() as i64;
        self.watch.sent(data.len());
        if ends {
            self.answered(place);
        }
    }

    /// Appends a header block that `write` encodes, in as many frames as it takes. `write` says whether it ends the
    /// stream.
    pub(super) fn block(&mut self, place: usize, write: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> bool) {
        let Some(id) = self.slots.get_mut(place).map(|slot| slot.id) else { return };
        let at = self.out.len();
        self.out.extend_from_slice(&[0; frames::HEADER]);
        self.encoder.begin(&mut self.out);
        let ends = write(&mut self.encoder, &mut self.out);
        let length = self.out.len() - at - frames::HEADER;
        let flags = if ends { frames::END_STREAM } else { 0 };
        if length <= frames::LARGEST {
            let header = frames::header(Kind::Headers, flags | frames::END_HEADERS, id, length);
            if let Some(place) = self.out.get_mut(at..at + frames::HEADER) {
                place.copy_from_slice(&header);
            }
        } else {
            let block = self.out.split_off(at + frames::HEADER);
            self.out.truncate(at);
            let mut pieces = block.chunks(frames::LARGEST).peekable();
            let (mut kind, mut flags) = (Kind::Headers, flags);
            while let Some(piece) = pieces.next() {
                let last = if pieces.peek().is_none() { frames::END_HEADERS } else { 0 };
                frames::write_header(kind, flags | last, id, piece.len(), &mut self.out);
                self.out.extend_from_slice(piece);
                (kind, flags) = (Kind::Continuation, 0);
            }
        }
        if ends {
            self.answered(place);
        }
    }

    /// All of an answer is on its way.
    fn answered(&mut self, place: usize) {
        self.watch.answered();
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.is_answered = true;
        let is_over = slot.has_ended && slot.end == End::Open;
        if is_over {
            slot.end = End::Both;
        }
        self.slots.live -= usize::from(is_over);
    }

    /// The client has sent all of a request.
    pub(super) fn asked(&mut self, place: usize) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.has_ended = true;
        let is_over = slot.is_answered && slot.end == End::Open;
        if is_over {
            slot.end = End::Both;
        }
        slot.wake();
        self.slots.live -= usize::from(is_over);
    }

    /// Whether a stream was answered, and its request has not come to its end.
    pub(super) fn is_unended(&mut self, place: usize) -> bool {
        self.slots
            .get_mut(place)
            .is_some_and(|slot| slot.is_answered && !slot.has_ended && slot.end == End::Open)
    }

    /// A stream's task is done with it. What is not over is reset: with no error if all was answered, as then the rest
    /// of the request is not needed. (RFC 9113 section 8.1)
    pub(super) fn leave(&mut self, place: usize, now: u64) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let (is_invited, line) = (slot.is_invited, slot.line);
        let owed = slot.owed;
        let code = match slot.is_answered {
            true => Code::NoError,
            false if std::thread::panicking() => Code::Internal,
            false => Code::Cancel,
        };
        self.reset(place, code, now);
        self.release(owed);
        self.invited -= usize::from(is_invited);
        self.unqueue(place, line);
        self.slots.free(place);
    }

    /// Opens a window by so many bytes; the connection's, or a stream's.
    pub(super) fn widen(window: &mut i64, by: u32) -> Result<(), TooWide> {
        *window += i64::from(by);
        if *window > i64::from(LARGEST_WINDOW) { Err(TooWide) } else { Ok(()) }
    }

    /// The client says what the window of every stream was at first.
    pub(super) fn set_initial_window(&mut self, size: u32) -> Result<(), TooWide> {
        let change = i64::from(size) - self.initial_window;
        self.initial_window = i64::from(size);
        for slot in self.slots.iter_mut().filter(|slot| slot.end == End::Open) {
            slot.window += change;
            if slot.window > i64::from(LARGEST_WINDOW) {
                return Err(TooWide);
            }
            if change > 0 {
                slot.wake();
            }
        }
        Ok(())
    }

    /// Ends all streams: their tasks find their client gone.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.slots.iter_mut().for_each(Slot::wake);
    }
}

#[cfg(test)]
impl State {
    /// How many wait for room with a head, and with data; and how many are invited.
    pub(super) fn waiting(&self) -> [usize; 3] {
        [self.heads.len(), self.queue.len(), self.invited]
    }
}
