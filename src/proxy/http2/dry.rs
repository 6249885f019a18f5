//! A client's connection without a socket: what its bytes come to, for whoever looks for bytes that come to too much.
//! (The fuzz targets `translation` and `frames`.)

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::link::{Link, State};
use super::reading::{Begun, Reading, Unfinished};
use super::request::Form;
use crate::net::buffer::{Blocks, Buffer};
use crate::proxy::clock::Clock;

/// A connection that is fed by hand.
#[derive(Debug)]
pub struct Dry {
    link: Link,
    reading: Reading,
    heard: Vec<Heard>,
    places: Vec<usize>,
}

/// A request, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its stream.
    pub stream: u32,
    /// Its head of HTTP/1.1.
    pub head: Vec<u8>,
    /// How its body is framed there.
    pub form: Form,
    /// Whether it is one that is refused.
    pub is_refused: bool,
    /// What came of its body.
    pub body: Vec<u8>,
    /// The lines of its trailers.
    pub trailers: Vec<u8>,
    /// Whether all of it came.
    pub has_ended: bool,
}

impl Dry {
    /// Whose heads may have `most` bytes; nothing has come of it.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let blocks = Rc::new(Blocks::new(1));
        let reading = Reading::new(Buffer::new(&blocks), most, &blocks, 0);
        let link = Link::new(&Rc::new(Clock::default()), Vec::new(), Duration::ZERO, &Arc::default());
        Self { link, reading, heard: Vec::new(), places: Vec::new() }
    }

    /// Takes what comes, at this time in milliseconds; bodies are read at once.
    ///
    /// # Errors
    /// The connection has to end, by this code (RFC 9113 section 7).
    pub fn comes(&mut self, bytes: &[u8], now: u64) -> Result<(), u32> {
        let state = &mut *self.link.state.borrow_mut();
        for piece in bytes.chunks(16 * 1024) {
            let (heard, places) = (&mut self.heard, &mut self.places);
            let is_put = self.reading.input.put(piece);
            debug_assert!(is_put, "what waits is less than a frame");
            let judged = self.reading.look(state, now, |begun: Begun, state: &mut State| {
                let stream = state.slots.get_mut(begun.place).map(|slot| slot.id).unwrap_or_default();
                let (asked, body, trailers) = (begun.asked, Vec::new(), Vec::new());
                let (head, form, is_refused) = (asked.head, asked.form, asked.refused.is_some());
                places.push(begun.place);
                heard.push(Heard { stream, head, form, is_refused, body, trailers, has_ended: false });
            });
            for (heard, &place) in heard.iter_mut().zip(places.iter()) {
                let Some(slot) = state.slots.get_mut(place) else { continue };
                let data = std::mem::take(&mut slot.data);
                heard.trailers.append(&mut slot.trailers);
                heard.has_ended = slot.has_ended;
                heard.body.extend_from_slice(&data);
                state.release_on(place, data.len() as u32);
            }
            judged.map_err(|fault| fault.code() as u32)?;
        }
        Ok(())
    }

    /// The requests that have come.
    #[must_use]
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// Since when something is waited for that has begun to come.
    #[must_use]
    pub fn unfinished(&self) -> Option<u64> {
        self.reading.unfinished().map(|what| match what {
            Unfinished::Head(at) | Unfinished::Data(at) => at,
        })
    }

    /// What was said to the client.
    #[must_use]
    pub fn said(&self) -> Vec<u8> {
        self.link.state.borrow().out.clone()
    }
}
