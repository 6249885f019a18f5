//! The streams of one connection: a place for each, as long as its task has it, and what became of those before.

use std::task::{Context, Waker};

use super::STREAM_WINDOW;
use crate::proxy::respond::Own;

/// Streams that are over and remembered: more than may be open, so that what was on its way is known for what it is.
const REMEMBERED: usize = 256;
/// A buffer of a request's body that is kept for the next stream in its place, bytes.
const KEPT: usize = 16 * 1024;

/// Whether, and how, a stream has come to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// Not yet.
    #[default]
    Open,
    /// Both sides have said all.
    Both,
    /// One side has reset it.
    Reset,
}

/// In which line a stream waits for room for what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Line {
    /// In none.
    #[default]
    None,
    /// In that of heads, which no window counts.
    Heads,
    /// In that of data.
    Data,
}

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) id: u32,
    pub(super) end: End,
    pub(super) is_reset_by_us: bool,
    /// For what the client did wrong on it.
    pub(super) wrong: Option<&'static Own>,
    /// Data that came and was not read: from `read` on.
    pub(super) data: Vec<u8>,
    pub(super) read: usize,
    /// What is still to come of a body of known length.
    pub(super) left: Option<u64>,
    /// Lines of trailers that came behind it.
    pub(super) trailers: Vec<u8>,
    /// The client has said all.
    pub(super) has_ended: bool,
    /// What still comes is thrown away.
    pub(super) is_ignored: bool,
    /// How much data the client may send; how much of it was read and not yet told; and how much was not read, for
    /// which the connection has less room.
    pub(super) credit: u32,
    pub(super) unsaid: u32,
    pub(super) owed: u32,
    /// How much data the client takes.
    pub(super) window: i64,
    /// We have said all.
    pub(super) is_answered: bool,
    pub(super) line: Line,
    pub(super) is_invited: bool,
    /// What is left of its turn to send data, bytes: for more there was no room at once.
    pub(super) turn: i64,
    is_used: bool,
    waker: Option<Waker>,
}

/// All streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Streams that are not over.
    pub(super) live: usize,
    /// The highest that was opened.
    pub(super) last: u32,
    over: Vec<(u32, bool)>,
    oldest: usize,
}

/// What is known of a stream by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is in this place.
    Here(usize),
    /// It was not opened.
    Idle,
    /// It is over since we reset it: what comes was on its way.
    ResetByUs,
    /// It is over.
    Over,
    /// It is over for long, or was left out.
    Past,
}

impl Slot {
    /// Has the stream's task look again.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// The stream's task, which polls with `cx`, waits.
    pub(super) fn waits(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

impl Slots {
    /// How many places are taken, by streams that are open or whose tasks have not noticed that they are not.
    pub(super) fn taken(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Slot> {
        self.slots.get_mut(place)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().filter(|slot| slot.is_used)
    }

    /// Opens a stream with a number above all others.
    pub(super) fn open(&mut self, id: u32, window: i64) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.live += 1;
        if let Some(slot) = self.slots.get_mut(place) {
            (slot.id, slot.window, slot.credit, slot.is_used) = (id, window, STREAM_WINDOW, true);
        }
        place
    }

    /// Frees a place.
    pub(super) fn free(&mut self, place: usize) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let mut data = std::mem::take(&mut slot.data);
        data.clear();
        if data.capacity() > KEPT {
            data = Vec::new();
        }
        let (id, by_us) = (slot.id, slot.is_reset_by_us);
        *slot = Slot { data, ..Slot::default() };
        self.free.push(place);
        self.remember(id, by_us);
    }

    /// Remembers a stream that is over.
    pub(super) fn remember(&mut self, id: u32, is_reset_by_us: bool) {
        if self.over.len() < REMEMBERED {
            self.over.push((id, is_reset_by_us));
        } else if let Some(oldest) = self.over.get_mut(self.oldest) {
            *oldest = (id, is_reset_by_us);
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }

    pub(super) fn find(&self, id: u32) -> Known {
        if id > self.last || id.is_multiple_of(2) {
            return Known::Idle;
        }
        if let Some(place) = self.slots.iter().position(|slot| slot.is_used && slot.id == id) {
            return Known::Here(place);
        }
        match self.over.iter().find(|(over, _)| *over == id) {
            Some((_, true)) => Known::ResetByUs,
            Some((_, false)) => Known::Over,
            None => Known::Past,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_stream_is_known_for_a_while() {
        let mut slots = Slots::default();
        let mut open = |id| {
            slots.last = id;
            let place = slots.open(id, 10);
            assert_eq!(slots.find(id), Known::Here(place));
            place
        };
        let (first, third) = (open(1), open(5));
        slots.get_mut(third).unwrap().is_reset_by_us = true;
        assert_eq!((slots.find(7), slots.find(4), slots.find(3)), (Known::Idle, Known::Idle, Known::Past));
        slots.free(first);
        slots.free(third);
        assert_eq!((slots.find(1), slots.find(5)), (Known::Over, Known::ResetByUs));
        assert_eq!(slots.taken(), 0);
        (0..REMEMBERED as u32).for_each(|n| slots.remember(9 + 2 * n, false));
        slots.last = 10_000;
        assert_eq!((slots.find(1), slots.find(9)), (Known::Past, Known::Over));
    }
}
