//! A chunked body, taken apart as it is written: its data on one side, its trailers' lines on the other.

use std::io;

use crate::message::chunked::{Decoder, Step};

/// A chunked body on its way.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    decoder: Decoder,
    /// A part of a trailer line: of all steps the only one that is taken whole.
    line: Vec<u8>,
    /// Data of the present chunk that was decoded and not taken: so many bytes stand before everything else.
    left: usize,
    trailers: Vec<u8>,
    is_ended: bool,
}

impl Chunks {
    /// Appends to `data` what is data at the front of `bytes`, as long as `data` has less than `most` bytes; how many
    /// bytes were dealt with.
    ///
    /// # Errors
    /// They are not the chunked coding.
    pub(super) fn decode(&mut self, bytes: &[u8], most: usize, data: &mut Vec<u8>) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty() && !self.is_ended) {
            taken += if self.left > 0 {
                let n = self.left.min(rest.len()).min(most.saturating_sub(data.len()));
                if n == 0 {
                    break;
                }
                data.extend_from_slice(rest.get(..n).unwrap_or_default());
                self.left -= n;
                n
            } else {
                self.step(rest)?
            };
        }
        Ok(taken)
    }

    /// Whether the last chunk and the trailers have passed.
    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The trailers' lines, each with its end.
    pub(super) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// The next step of the coding: how many of `bytes` it is done with.
    fn step(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.line.len();
        if before > 0 {
            self.line.extend_from_slice(bytes);
        }
        let input = if before > 0 { self.line.as_slice() } else { bytes };
        let used = match self.decoder.next(input).map_err(|_| io::ErrorKind::InvalidData)? {
            Step::More => {
                if before == 0 {
                    self.line.extend_from_slice(bytes);
                }
                return Ok(bytes.len());
            }
            Step::Skip(n) => n,
            Step::Data(skip, n) => {
                self.left = n;
                skip
            }
            Step::Trailer(n) => {
                self.trailers.extend_from_slice(input.get(..n).unwrap_or_default());
                n
            }
            Step::End(n) => {
                self.is_ended = true;
                n
            }
        };
        self.line.clear();
        Ok(used.saturating_sub(before))
    }
}
