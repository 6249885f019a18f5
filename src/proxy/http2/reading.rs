//! What a client's frames say: requests are begun, bodies fed, windows opened, and what RFC 9113 forbids is told.
//!
//! A frame is looked at when it is whole, except for DATA, of which each part goes on as it comes. Nothing here waits.

use std::rc::Rc;

use super::link::{Fault, State};
use super::request::{Asked, Assembly, Malformed, trailer};
use super::slots::{End, Known};
use super::wrong::{self, Hears};
use super::{MOST_TAKEN, STREAMS};
use crate::message::h2_frames::{
    self as frames, Code, Frame, HEADER, Kind, LARGEST, PREFACE, Short, setting,
};
use crate::message::hpack::Decoder;
use crate::net::buffer::{Blocks, Buffer};
use crate::proxy::respond::Own;
use crate::telemetry::reasons::Abuse;

/// Bytes of the decoder's table: what a client has if nothing else is said. (RFC 9113 section 6.5.2)
const TABLE: usize = 4096;
/// The bytes of a header block as it is on the wire, at most.
const BLOCK: usize = 64 << 10;
/// CONTINUATION frames of a block that may follow each other without its end.
const CONTINUATIONS: u32 = 5;
/// The payload of the PING that asks whether the client has heard of our leaving.
pub(super) const LEAVING: [u8; 8] = *b"leaving?";

/// What has begun and not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// The preface with its first frame, a header block, a frame other than DATA: since its first byte.
    Head(u64),
    /// A DATA frame: since the last byte that came of it.
    Data(u64),
}

/// Reads one connection's frames.
#[derive(Debug)]
pub(super) struct Reading {
    /// What was read from the socket and not yet looked at.
    pub(super) input: Buffer,
    /// How much of the preface is still to come, and whether the SETTINGS behind it are.
    preface: usize,
    has_begun: bool,
    /// When the first byte came of what is not whole; and when a byte came last.
    began: u64,
    moved: u64,
    /// Nothing has begun that is not whole.
    is_between: bool,
    data: Option<Data>,
    block: Option<Block>,
    decoder: Decoder,
    assembly: Assembly,
    /// How much the fields of a request may count.
    most: usize,
    blocks: Rc<Blocks>,
    /// The highest stream that is served: of those above nothing is done, as the client was told.
    pub(super) highest: u32,
    /// The client has heard that we leave.
    pub(super) knows_of_leaving: bool,
    /// The frame for which the connection has to end.
    pub(super) blamed: Option<Frame>,
}

/// A DATA frame of which a part is still to come.
#[derive(Clone, Copy, Debug)]
struct Data {
    stream: u32,
    /// Where that is, if anybody takes it.
    place: Option<usize>,
    left: usize,
    padding: usize,
    ends: bool,
}

/// A header block that goes on in other frames.
#[derive(Debug)]
struct Block {
    stream: u32,
    ends: bool,
    began: u64,
    bytes: Vec<u8>,
    continuations: u32,
}

/// A request that has come.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) place: usize,
    pub(super) asked: Asked,
}

type Judged<T = ()> = Result<T, Fault>;

const WRONG: Fault = Fault::Wrong(Code::Protocol);
const SIZE: Fault = Fault::Wrong(Code::FrameSize);

impl From<Short> for Fault {
    fn from(short: Short) -> Self {
        match short {
            Short::Fields => SIZE,
            Short::Padding => WRONG,
        }
    }
}

impl Reading {
    /// Of a connection that begins now, with the preface; `input` has what was read of it.
    pub(super) fn new(input: Buffer, most: usize, blocks: &Rc<Blocks>, now: u64) -> Self {
        Self {
            input,
            preface: PREFACE.len(),
            has_begun: false,
            began: now,
            moved: now,
            is_between: false,
            data: None,
            block: None,
            decoder: Decoder::new(TABLE),
            assembly: Assembly::default(),
            most,
            blocks: Rc::clone(blocks),
            highest: u32::MAX,
            knows_of_leaving: false,
            blamed: None,
        }
    }

    /// What has begun and not come to its end.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        match (&self.block, self.data) {
            (Some(block), _) => Some(Unfinished::Head(block.began)),
            (None, Some(_)) => Some(Unfinished::Data(self.moved)),
            (None, None) if self.has_begun && self.input.is_empty() => None,
            (None, None) => Some(Unfinished::Head(self.began)),
        }
    }

    /// Looks at all that has come; the requests are told `to` this.
    ///
    /// # Errors
    /// The connection has to end.
    pub(super) fn look(&mut self, state: &mut State, now: u64, mut to: impl Hears) -> Judged {
        if std::mem::take(&mut self.is_between) {
            self.began = now;
        }
        self.moved = now;
        while self.step(state, now, &mut to)? {
            if let Some(fault) = state.fault {
                return Err(fault);
            }
        }
        self.is_between = self.unfinished().is_none();
        Ok(())
    }

    /// Looks at the next frame, or at the next part of one; false if it has not come.
    fn step(&mut self, state: &mut State, now: u64, to: &mut impl Hears) -> Judged<bool> {
        if self.preface > 0 {
            return self.preface();
        }
        if self.data.is_some() {
            return Ok(self.take_data(state));
        }
        let Some(header) = self.input.data().first_chunk::<HEADER>() else { return Ok(false) };
        let frame = Frame::read(header);
        if frame.length > LARGEST {
            return Err(self.blame(&frame, SIZE));
        }
        if !self.has_begun && (frame.kind != Kind::Settings || frame.is_ack()) {
            return Err(self.blame(&frame, WRONG)); // RFC 9113 section 3.4.
        }
        if self.block.as_ref().is_some_and(|b| frame.kind != Kind::Continuation || frame.stream != b.stream) {
            return Err(self.blame(&frame, WRONG)); // Section 6.10.
        }
        if frame.kind == Kind::Data && frame.is_padded() && frame.length == 0 {
            return Err(self.blame(&frame, SIZE)); // It has not even the length of its padding. (Section 4.2)
        }
        let whole =
            HEADER + if frame.kind == Kind::Data { usize::from(frame.is_padded()) } else { frame.length };
        if self.input.len() < whole {
            return Ok(false);
        }
        if frame.kind == Kind::Data {
            self.begin_data(&frame, state, now).map_err(|fault| self.blame(&frame, fault))?;
            return Ok(true);
        }
        // What a frame says is read where it stands, and forgotten behind it.
        let input = std::mem::replace(&mut self.input, Buffer::new(&self.blocks));
        let payload = input.data().get(HEADER..whole).unwrap_or_default();
        let judged = self.frame(&frame, payload, state, now, to);
        self.input = input;
        self.input.consume(whole);
        judged.map_err(|fault| self.blame(&frame, fault))?;
        self.has_begun = true;
        self.began = now;
        Ok(true)
    }

    #[cold]
    const fn blame(&mut self, frame: &Frame, fault: Fault) -> Fault {
        self.blamed = Some(*frame);
        fault
    }

    fn preface(&mut self) -> Judged<bool> {
        let n = self.preface.min(self.input.len());
        let at = PREFACE.len() - self.preface;
        if self.input.data().get(..n) != PREFACE.get(at..at + n) {
            return Err(WRONG);
        }
        self.input.consume(n);
        self.preface -= n;
        Ok(n > 0)
    }

    fn frame(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        state: &mut State,
        now: u64,
        to: &mut impl Hears,
    ) -> Judged {
        state.watch.came(frame.kind, false, now).map_err(Fault::Abuse)?;
        match frame.kind {
            Kind::Headers => {
                let (block, parent) = frame.block(payload)?;
                if frame.stream.is_multiple_of(2) {
                    return Err(WRONG);
                }
                // A stream that depends on itself; nothing else is made of priorities. (RFC 7540 section 5.3.1)
                let is_own_parent = parent == Some(frame.stream);
                if frame.ends_headers() {
                    return self.fields(
                        frame.stream,
                        frame.ends_stream(),
                        is_own_parent,
                        block,
                        state,
                        now,
                        to,
                    );
                }
                if is_own_parent {
                    return Err(WRONG);
                }
                let (stream, ends) = (frame.stream, frame.ends_stream());
                let bytes = block.to_vec();
                self.block = Some(Block { stream, ends, began: self.began, bytes, continuations: 0 });
                Ok(())
            }
            Kind::Continuation => self.continuation(frame, payload, state, now, to),
            Kind::Priority => priority(frame, payload),
            Kind::Reset => reset(frame, payload, state),
            Kind::Settings => settings(frame, payload, state),
            Kind::PushPromise => Err(WRONG),
            Kind::Ping => self.ping(frame, payload, state),
            Kind::GoAway if frame.stream != 0 => Err(WRONG),
            Kind::GoAway if frame.length < 8 => Err(SIZE),
            Kind::WindowUpdate => window_update(frame, payload, state, now),
            Kind::GoAway | Kind::Unknown | Kind::Data => Ok(()),
        }
    }

    fn continuation(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        state: &mut State,
        now: u64,
        to: &mut impl Hears,
    ) -> Judged {
        let block = self.block.as_mut().ok_or(WRONG)?;
        if block.bytes.len() + payload.len() > BLOCK {
            return Err(Fault::Abuse(Abuse::HeaderBlock));
        }
        block.bytes.extend_from_slice(payload);
        if frame.ends_headers() {
            let Some(Block { stream, ends, bytes, .. }) = self.block.take() else { return Ok(()) };
            return self.fields(stream, ends, false, &bytes, state, now, to);
        }
        block.continuations += 1;
        if block.continuations > CONTINUATIONS { Err(Fault::Abuse(Abuse::Continuation)) } else { Ok(()) }
    }

    /// A whole header block: a request, or trailers. Whatever becomes of it, the decoder has to see it.
    #[allow(clippy::too_many_arguments, reason = "what a block is read with")]
    fn fields(
        &mut self,
        id: u32,
        ends: bool,
        is_own_parent: bool,
        block: &[u8],
        state: &mut State,
        now: u64,
        to: &mut impl Hears,
    ) -> Judged {
        let compression = |_| Fault::Wrong(Code::Compression);
        match state.slots.find(id) {
            Known::Here(place) => return self.trailers(place, ends, block, state, now),
            Known::Past => return Err(WRONG), // Section 5.1.1.
            Known::Over => return Err(Fault::Wrong(Code::StreamClosed)),
            Known::ResetByUs => return self.decoder.decode(block, |_| {}).map_err(compression),
            Known::Idle => {}
        }
        self.assembly.begin(self.blocks.output(), self.most);
        let assembly = &mut self.assembly;
        self.decoder.decode(block, |field| assembly.field(&field)).map_err(compression)?;
        if self.assembly.is_far_too_long() {
            return Err(Fault::Abuse(Abuse::HeaderList));
        }
        state.slots.last = id;
        if id > self.highest {
            state.slots.remember(id, true);
            return Ok(());
        }
        let asked = self.assembly.finish(ends, || fastrand::u128(..));
        let is_over = state.slots.live >= STREAMS as usize || state.slots.taken() >= MOST_TAKEN;
        let asked = match asked {
            Ok(asked) if !is_over && !is_own_parent => asked,
            asked => {
                let why = if is_over { Some(&wrong::TOO_MANY) } else { None };
                self.refuse(id, asked, why, state, now, to);
                return Ok(());
            }
        };
        let window = state.initial_window;
        let place = state.slots.open(id, window);
        if let Some(slot) = state.slots.get_mut(place) {
            (slot.has_ended, slot.left) = (ends, asked.length);
        }
        to.begins(Begun { place, asked }, state);
        Ok(())
    }

    /// Resets a stream that has come with this, instead of serving it; because of `why`, or of what is wrong with it.
    #[cold]
    fn refuse(
        &mut self,
        id: u32,
        asked: Result<Asked, Malformed>,
        why: Option<&'static Own>,
        state: &mut State,
        now: u64,
        to: &mut impl Hears,
    ) {
        let (head, wrong) = match asked {
            Ok(asked) => (asked.head, &wrong::OWN_PARENT),
            Err(Malformed(wrong)) => (self.assembly.take_head(), wrong),
        };
        state.slots.remember(id, true);
        state.say_reset(id, if why.is_some() { Code::RefusedStream } else { Code::Protocol }, now);
        to.refused(&head, why.unwrap_or(wrong));
        self.blocks.recycle(head);
    }

    /// Trailers end what they stand behind. (section 8.1)
    fn trailers(&mut self, place: usize, ends: bool, block: &[u8], state: &mut State, now: u64) -> Judged {
        let (mut lines, mut judged, most) = (Vec::new(), Ok(()), self.most);
        let compression = |_| Fault::Wrong(Code::Compression);
        let each = |field: crate::message::hpack::Field<'_>| {
            if judged.is_ok() {
                judged = trailer(&field, most, &mut lines);
            }
        };
        self.decoder.decode(block, each).map_err(compression)?;
        let Some(slot) = state.slots.get_mut(place) else { return Ok(()) };
        match slot.end {
            End::Reset if slot.is_reset_by_us => return Ok(()),
            End::Reset | End::Both => return Err(Fault::Wrong(Code::StreamClosed)),
            End::Open if slot.has_ended => return Err(Fault::Wrong(Code::StreamClosed)),
            End::Open => {}
        }
        let is_short = slot.left.is_some_and(|left| left > 0);
        if !ends || judged.is_err() || is_short {
            let why = if is_short { &wrong::LENGTH_MISMATCH } else { &wrong::TRAILERS };
            state.wrong(place, Code::Protocol, why, now);
            return Ok(());
        }
        slot.trailers = lines;
        state.asked(place);
        Ok(())
    }

    /// The header of a DATA frame, with which all of it counts.
    fn begin_data(&mut self, frame: &Frame, state: &mut State, now: u64) -> Judged {
        if frame.stream == 0 {
            return Err(WRONG);
        }
        let padded = usize::from(frame.is_padded());
        let padding = if padded > 0 {
            self.input.data().get(HEADER).copied().map(usize::from).unwrap_or_default()
        } else {
            0
        };
        let left = frame.length.checked_sub(padded).and_then(|n| n.checked_sub(padding)).ok_or(WRONG)?;
        self.input.consume(HEADER + padded);
        self.has_begun = true;
        state.watch.came(Kind::Data, left == 0 && !frame.ends_stream(), now).map_err(Fault::Abuse)?;
        let length = frame.length as u32;
        state.credit = state.credit.checked_sub(length).ok_or(Fault::Wrong(Code::FlowControl))?;
        let place = match state.slots.find(frame.stream) {
            Known::Here(place) => place_of_data(place, length, left, frame.ends_stream(), state, now)?,
            Known::Idle => return Err(WRONG),
            Known::ResetByUs => None,
            Known::Over | Known::Past => return Err(Fault::Wrong(Code::StreamClosed)),
        };
        // Padding is read by nobody.
        let padding_length = length - left as u32;
        if let Some(slot) = place.and_then(|place| state.slots.get_mut(place)) {
            slot.owed += padding_length;
        }
        match place {
            Some(place) => state.release_on(place, padding_length),
            None => state.release(padding_length),
        }
        self.data = Some(Data { stream: frame.stream, place, left, padding, ends: frame.ends_stream() });
        Ok(())
    }

    /// Hands on what has come of a DATA frame; false if that is nothing.
    fn take_data(&mut self, state: &mut State) -> bool {
        let Some(Data { stream, place, left, padding, ends }) = self.data.as_mut() else { return false };
        let n = (*left).min(self.input.len());
        // Its place may be another's by now.
        let is_open = |slot: &&mut super::slots::Slot| slot.id == *stream && slot.end == End::Open;
        let slot = place.and_then(|place| state.slots.get_mut(place)).filter(is_open);
        let is_taken = slot.is_some();
        if let Some(slot) = slot {
            slot.owed += n as u32;
            if !slot.is_ignored && n > 0 {
                slot.data.extend_from_slice(self.input.data().get(..n).unwrap_or_default());
                slot.wake();
            }
        } else {
            state.release(n as u32);
        }
        self.input.consume(n);
        *left -= n;
        if *left > 0 {
            return false;
        }
        let n = (*padding).min(self.input.len());
        self.input.consume(n);
        *padding -= n;
        if *padding > 0 {
            return false;
        }
        if let (Some(place), true) = (*place, *ends && is_taken) {
            state.asked(place);
        }
        self.data = None;
        self.began = self.moved;
        true
    }

    fn ping(&mut self, frame: &Frame, payload: &[u8], state: &mut State) -> Judged {
        let &said: &[u8; 8] = payload.try_into().map_err(|_| SIZE)?;
        if frame.stream != 0 {
            return Err(WRONG);
        }
        if frame.is_ack() {
            self.knows_of_leaving |= said == LEAVING;
            return Ok(());
        }
        frames::write_header(Kind::Ping, frames::ACK, 0, said.len(), &mut state.out);
        state.out.extend_from_slice(&said);
        Ok(())
    }
}

/// Whether DATA on a stream that is known may come, and whether anybody takes it.
fn place_of_data(
    place: usize,
    length: u32,
    data: usize,
    ends: bool,
    state: &mut State,
    now: u64,
) -> Judged<Option<usize>> {
    let Some(slot) = state.slots.get_mut(place) else { return Ok(None) };
    match slot.end {
        End::Reset if slot.is_reset_by_us => return Ok(None),
        End::Reset | End::Both => return Err(Fault::Wrong(Code::StreamClosed)),
        End::Open if slot.has_ended => return Err(Fault::Wrong(Code::StreamClosed)),
        End::Open => {}
    }
    let Some(credit) = slot.credit.checked_sub(length) else {
        state.wrong(place, Code::FlowControl, &wrong::FLOW_CONTROL, now);
        return Ok(None);
    };
    slot.credit = credit;
    if let Some(left) = &mut slot.left {
        // Neither more nor less than was said. (section 8.1.1)
        let rest = left.checked_sub(data as u64).filter(|rest| !ends || *rest == 0);
        let Some(rest) = rest else {
            state.wrong(place, Code::Protocol, &wrong::LENGTH_MISMATCH, now);
            return Ok(None);
        };
        *left = rest;
    }
    Ok(Some(place))
}

fn priority(frame: &Frame, payload: &[u8]) -> Judged {
    let priority: &[u8; 5] = payload.try_into().map_err(|_| SIZE)?;
    if frame.stream == 0 || frames::depends_on(priority) == frame.stream { Err(WRONG) } else { Ok(()) }
}

fn reset(frame: &Frame, payload: &[u8], state: &mut State) -> Judged {
    if payload.len() != 4 {
        return Err(SIZE);
    }
    match state.slots.find(frame.stream) {
        Known::Idle => return Err(WRONG),
        Known::Here(place) => {
            if let Some(slot) = state.slots.get_mut(place)
                && slot.end == End::Open
            {
                slot.end = End::Reset;
                slot.wake();
                state.slots.live -= 1;
            }
        }
        Known::ResetByUs | Known::Over | Known::Past => {}
    }
    Ok(())
}

fn settings(frame: &Frame, payload: &[u8], state: &mut State) -> Judged {
    if !payload.len().is_multiple_of(6) || (frame.is_ack() && !payload.is_empty()) {
        return Err(SIZE);
    }
    if frame.stream != 0 {
        return Err(WRONG);
    }
    if frame.is_ack() {
        return Ok(());
    }
    for pair in payload.as_chunks::<6>().0 {
        let [i, d, a, b, c, e] = *pair;
        let value = u32::from_be_bytes([a, b, c, e]);
        match u16::from_be_bytes([i, d]) {
            setting::HEADER_TABLE_SIZE => state.encoder.set_table_size(value),
            setting::ENABLE_PUSH | setting::ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(WRONG),
            setting::INITIAL_WINDOW_SIZE if value > frames::LARGEST_WINDOW => {
                return Err(Fault::Wrong(Code::FlowControl));
            }
            setting::INITIAL_WINDOW_SIZE => {
                state.set_initial_window(value).map_err(|_| Fault::Wrong(Code::FlowControl))?;
            }
            setting::MAX_FRAME_SIZE if !(LARGEST as u32..1 << 24).contains(&value) => return Err(WRONG),
            _ => {}
        }
    }
    frames::write_header(Kind::Settings, frames::ACK, 0, 0, &mut state.out);
    Ok(())
}

fn window_update(frame: &Frame, payload: &[u8], state: &mut State, now: u64) -> Judged {
    let &more: &[u8; 4] = payload.try_into().map_err(|_| SIZE)?;
    let more = u32::from_be_bytes(more) & frames::LARGEST_WINDOW;
    if more == 0 {
        return Err(WRONG);
    }
    if frame.stream == 0 {
        return State::widen(&mut state.window, more).map_err(|_| Fault::Wrong(Code::FlowControl));
    }
    match state.slots.find(frame.stream) {
        Known::Idle => return Err(WRONG),
        Known::Here(place) => {
            if let Some(slot) = state.slots.get_mut(place)
                && slot.end == End::Open
            {
                if State::widen(&mut slot.window, more).is_ok() {
                    slot.wake();
                } else {
                    state.wrong(place, Code::FlowControl, &wrong::FLOW_CONTROL, now);
                }
            }
        }
        Known::ResetByUs | Known::Over | Known::Past => {}
    }
    Ok(())
}

#[cfg(test)]
impl Reading {
    /// How much data of a frame that has begun is still to come.
    pub(super) fn coming(&self) -> u32 {
        self.data.map_or(0, |data| data.left as u32)
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
