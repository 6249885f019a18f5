//! Where bytes wait between a read and a write: 64 KiB at most, and nothing while nothing waits.
//!
//! A worker keeps a few blocks in a last-in-first-out list, so that a block in use is one that was just in the
//! cache. A connection holds one only while it has bytes in it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::stream::Stream;

/// Bytes in one block, and so the most that waits per side of an exchange.
pub const BLOCK: usize = 64 * 1024;
/// Free blocks kept per worker; more go back to the allocator.
const KEPT: usize = 32;

/// A worker's free blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    free: RefCell<Vec<Box<[u8]>>>,
    outputs: RefCell<Vec<Vec<u8>>>,
}

/// Bytes read and not yet used.
#[derive(Debug)]
pub struct Buffer {
    block: Box<[u8]>,
    start: usize,
    end: usize,
    blocks: Rc<Blocks>,
}

impl Blocks {
    fn take(&self) -> Box<[u8]> {
        self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; BLOCK].into_boxed_slice())
    }

    fn give(&self, block: Box<[u8]>) {
        let mut free = self.free.borrow_mut();
        if block.len() == BLOCK && free.len() < KEPT {
            free.push(block);
        }
    }

    /// An empty vector for a message under construction.
    pub fn output(&self) -> Vec<u8> {
        self.outputs.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives such a vector back.
    pub fn recycle(&self, mut output: Vec<u8>) {
        let mut outputs = self.outputs.borrow_mut();
        if output.capacity() > 0 && output.capacity() <= 2 * BLOCK && outputs.len() < KEPT {
            output.clear();
            outputs.push(output);
        }
    }
}

impl Buffer {
    /// Empty, without a block.
    #[must_use]
    pub fn new(blocks: &Rc<Blocks>) -> Self {
        Self { block: Box::default(), start: 0, end: 0, blocks: Rc::clone(blocks) }
    }

    /// The bytes that wait.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// The bytes that wait, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.block[self.start..self.end]
    }

    /// How many bytes wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether no more fits.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.len() == BLOCK
    }

    /// Forgets the first `n` bytes that wait; the block goes back when none is left.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.release();
        }
    }

    /// Gives the block back; bytes in it are forgotten.
    pub fn release(&mut self) {
        (self.start, self.end) = (0, 0);
        if !self.block.is_empty() {
            self.blocks.give(std::mem::take(&mut self.block));
        }
    }

    /// Before a wait that may be long: a few bytes are kept in a block of their own size.
    pub fn shrink(&mut self) {
        if self.block.len() == BLOCK && self.len() <= BLOCK / 32 {
            let small: Box<[u8]> = self.data().into();
            self.release();
            self.end = small.len();
            self.block = small;
        }
    }

    /// Reads once from `stream` into the free space. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// The socket's; and if there is no free space, which the caller prevents, `OutOfMemory`.
    pub fn poll_fill(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if stream.poll_read_ready(cx)?.is_pending() {
            return Poll::Pending;
        }
        if self.block.len() < BLOCK {
            let mut block = self.blocks.take();
            block[..self.end - self.start].copy_from_slice(&self.block[self.start..self.end]);
            (self.start, self.end) = (0, self.end - self.start);
            self.block = block;
        } else if self.end == BLOCK && self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == BLOCK {
            return Poll::Ready(Err(std::io::ErrorKind::OutOfMemory.into()));
        }
        let mut space = ReadBuf::new(&mut self.block[self.end..]);
        let polled = Pin::new(stream).poll_read(cx, &mut space);
        let n = space.filled().len();
        match polled {
            Poll::Ready(Ok(())) => {
                self.end += n;
                if self.is_empty() {
                    self.release();
                }
                Poll::Ready(Ok(n))
            }
            other => {
                if self.is_empty() {
                    self.release();
                }
                other.map_ok(|()| 0)
            }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}
