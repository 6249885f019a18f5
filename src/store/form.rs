//! A table as a stream of bytes.
//!
//! After [`MAGIC`], which ends in the version, come blocks: a kind and a length (32 bits each, as all numbers in little
//! endian), so many bytes, and the XXH3 of *everything so far*. So one check covers a block, its place in the stream
//! and what came before it, and nothing is taken from a block before it is checked. A CRC per block and one over all
//! would say the same twice. A fault that slips through has a probability of 2^-64; against somebody who writes to the
//! file on purpose no checksum helps, and its mode does.
//!
//! | kind     | holds                                                                                         |
//! |----------|-----------------------------------------------------------------------------------------------|
//! | head     | the seeds (16 bytes), when it was written; once, first                                        |
//! | names    | length (16 bits) and text of each; numbered from 0 in the order they come                     |
//! | sessions | 36 bytes each: digest, home, origin, issued, last seen, end; the longest idle of a part first |
//! | end      | how many sessions there were (64 bits); once, last                                            |

use std::io::{self, Read, Write};

use thiserror::Error;
use xxhash_rust::xxh3::Xxh3Default;

use crate::affinity::table::shard::ShardCopy;
use crate::affinity::table::{Bounds, Digest, Held, NAMES_MOST, NameNo, Seeds, Table, Times};
use crate::base::time::UnixSeconds;

/// How a table's file begins; the last byte is the version.
pub const MAGIC: [u8; 16] = *b"homing's table\n\x01";
/// Bytes that a block holds at most.
const BLOCK: usize = 64 << 10;
/// Bytes of a head.
const HEAD: usize = 20;
/// Bytes of a session.
const SESSION: usize = 36;
/// What a name costs the reader beside its text.
const NAME_COST: u64 = 64;
/// In place of an origin.
const NO_ORIGIN: u32 = u32::MAX;
/// In place of an end.
const NO_END: u32 = 0;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Head = 1,
    Names = 2,
    Sessions = 3,
    End = 4,
}

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The table, with the seeds it had.
    pub table: Table,
    /// When it was written.
    pub saved: UnixSeconds,
    /// Sessions that were left out since they are over by now.
    pub expired: u64,
    /// Sessions that were left out since the bounds are narrower than they were.
    pub surplus: u64,
}

/// Why bytes are no table.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It begins like something else.
    #[error("this is no table of homing's")]
    Foreign,
    /// A later homing wrote it, or a much earlier one.
    #[error("its form is number {found}; this homing reads number {reads}", reads = MAGIC[15])]
    Version {
        /// The form's number.
        found: u8,
    },
    /// The bytes are not those that were written.
    #[error("damaged at byte {at}: {what}")]
    Damaged {
        /// Where the block begins that is wrong.
        at: u64,
        /// How.
        what: &'static str,
    },
    /// It stops before its end.
    #[error("cut off after byte {at}")]
    Cut {
        /// Where the block begins that is not whole.
        at: u64,
    },
    /// It cannot be read.
    #[error("reading stopped at byte {at}")]
    Io {
        /// Where the block begins that was being read.
        at: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes a table; `now` is told to whoever reads it. Returns how many sessions that were.
///
/// Other threads may use the table meanwhile: a session that moves or comes while this runs is written as it was or as
/// it is. One part is copied at a time, so that this takes the memory of a part and no lock for longer than a copy.
///
/// # Errors
///
/// The stream does not take it.
pub fn write(table: &Table, to: &mut impl Write, now: UnixSeconds) -> io::Result<u64> {
    let mut out = Writer::begin(to)?;
    out.add(Kind::Head, &[&table.seeds().to_bytes(), &now.0.to_le_bytes()])?;
    out.flush(Kind::Head)?;
    let (mut named, mut copy, mut count) = (0, ShardCopy::default(), 0_u64);
    for part in 0..table.parts() {
        table.copy_part(part, &mut copy);
        // After the copy: whatever it mentions has its name by now.
        for name in table.names(named) {
            let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
            out.add(Kind::Names, &[&len.to_le_bytes(), name.as_bytes()])?;
            named += 1;
        }
        out.flush(Kind::Names)?;
        for (digest, held) in copy.sessions() {
            out.session(digest, &held)?;
            count += 1;
        }
        out.flush(Kind::Sessions)?;
    }
    out.add(Kind::End, &[&count.to_le_bytes()])?;
    out.flush(Kind::End)?;
    Ok(count)
}

/// Reads a table, without the sessions that are over at `now`, in the order of their last use. It takes the memory of
/// a table within these bounds, of the names, and 64 KiB; no length in the stream is believed beyond that.
///
/// Of more sessions than fit, the last written of each shard stay: the longest idle go first as long as the table is
/// cut into as many shards as it was.
///
/// # Errors
///
/// It is not, to the last byte, what [`write()`] wrote.
pub fn read(
    from: &mut impl Read,
    bounds: Bounds,
    now: UnixSeconds,
    times: Times,
) -> Result<Loaded, ReadError> {
    let mut input = Reader::begin(from)?;
    if input.next()? != Kind::Head {
        return Err(input.damaged("no head"));
    }
    let (Some((seeds, rest)), HEAD) = (input.block.split_first_chunk(), input.block.len()) else {
        return Err(input.damaged("not a head"));
    };
    let saved = UnixSeconds(number(rest));
    let mut taking = Taking {
        table: Table::new(bounds, Seeds::new(*seeds)),
        names: Vec::new(),
        names_cost: 0,
        now,
        times,
        count: 0,
        expired: 0,
    };
    loop {
        let taken = match input.next()? {
            Kind::Head => Err("a second head"),
            Kind::Names => taking.names(&input.block),
            Kind::Sessions => taking.sessions(&input.block),
            Kind::End if input.block == taking.count.to_le_bytes() => break,
            Kind::End => Err("another number of sessions"),
        };
        taken.map_err(|what| input.damaged(what))?;
    }
    input.finish()?;
    let Taking { table, count, expired, .. } = taking;
    table.reorder();
    let surplus = count.saturating_sub(expired + table.figures().entries);
    Ok(Loaded { table, saved, expired, surplus })
}

/// Blocks on their way out.
struct Writer<'a, W> {
    to: &'a mut W,
    sum: Xxh3Default,
    block: Vec<u8>,
}

impl<'a, W: Write> Writer<'a, W> {
    fn begin(to: &'a mut W) -> io::Result<Self> {
        let mut sum = Xxh3Default::new();
        sum.update(&MAGIC);
        to.write_all(&MAGIC)?;
        Ok(Self { to, sum, block: Vec::with_capacity(BLOCK) })
    }

    /// Adds bytes that belong together.
    fn add(&mut self, kind: Kind, parts: &[&[u8]]) -> io::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if self.block.len() + len > BLOCK {
            self.flush(kind)?;
        }
        parts.iter().for_each(|part| self.block.extend_from_slice(part));
        Ok(())
    }

    fn session(&mut self, digest: Digest, held: &Held) -> io::Result<()> {
        let Held { home, origin, issued, last_seen, ends } = *held;
        let origin = origin.map_or(NO_ORIGIN, NameNo::index);
        let ends = ends.map_or(NO_END, |ends| ends.0);
        let mut bytes = [0; SESSION];
        let (of_digest, rest) = bytes.split_at_mut(16);
        of_digest.copy_from_slice(&digest.to_bytes());
        let numbers = [home.index(), origin, issued.0, last_seen.0, ends];
        rest.chunks_exact_mut(4).zip(numbers).for_each(|(to, n)| to.copy_from_slice(&n.to_le_bytes()));
        self.add(Kind::Sessions, &[&bytes])
    }

    /// Ends a block, if there is anything in it.
    fn flush(&mut self, kind: Kind) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let len = u32::try_from(self.block.len()).unwrap_or(u32::MAX);
        let head = [(kind as u32).to_le_bytes(), len.to_le_bytes()].concat();
        self.sum.update(&head);
        self.sum.update(&self.block);
        self.to.write_all(&head)?;
        self.to.write_all(&self.block)?;
        self.to.write_all(&self.sum.digest().to_le_bytes())?;
        // The sums are summed too, so that a reader may keep one running sum of all it sees.
        self.sum.update(&self.sum.digest().to_le_bytes());
        self.block.clear();
        Ok(())
    }
}

/// Blocks on their way in.
struct Reader<'a, R> {
    from: &'a mut R,
    sum: Xxh3Default,
    /// The block read last, checked.
    block: Vec<u8>,
    /// Where it begins.
    at: u64,
    /// Where the next one begins.
    next: u64,
}

impl<'a, R: Read> Reader<'a, R> {
    fn begin(from: &'a mut R) -> Result<Self, ReadError> {
        let mut this = Self { from, sum: Xxh3Default::new(), block: Vec::new(), at: 0, next: 0 };
        let mut magic = [0; MAGIC.len()];
        this.fill(&mut magic)?;
        match (magic.strip_prefix(&MAGIC[..15]), magic) {
            (_, MAGIC) => Ok(this),
            (Some([found]), _) => Err(ReadError::Version { found: *found }),
            (_, _) => Err(ReadError::Foreign),
        }
    }

    fn next(&mut self) -> Result<Kind, ReadError> {
        self.at = self.next;
        let (mut kind, mut len, mut sum) = ([0; 4], [0; 4], [0; 8]);
        self.fill(&mut kind)?;
        self.fill(&mut len)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > BLOCK {
            return Err(self.damaged("a block that is too long"));
        }
        let mut block = std::mem::take(&mut self.block);
        block.resize(len, 0);
        self.fill(&mut block)?;
        self.block = block;
        let expected = self.sum.digest();
        self.fill(&mut sum)?;
        if u64::from_le_bytes(sum) != expected {
            return Err(self.damaged("its checksum differs"));
        }
        Kind::of(u32::from_le_bytes(kind)).ok_or_else(|| self.damaged("a block of no known kind"))
    }

    /// Sees to it that nothing follows.
    fn finish(&mut self) -> Result<(), ReadError> {
        self.at = self.next;
        match self.fill(&mut [0]) {
            Err(ReadError::Cut { .. }) => Ok(()),
            Err(fault) => Err(fault),
            Ok(()) => Err(self.damaged("bytes after its end")),
        }
    }

    /// Reads so many bytes and sums them up.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ReadError> {
        self.from.read_exact(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Cut { at: self.at },
            _ => ReadError::Io { at: self.at, source },
        })?;
        self.sum.update(bytes);
        self.next += bytes.len() as u64;
        Ok(())
    }

    const fn damaged(&self, what: &'static str) -> ReadError {
        ReadError::Damaged { at: self.at, what }
    }
}

/// A table that is being read.
struct Taking {
    table: Table,
    /// The names of the stream; those that a session mentions have a number in the table.
    names: Vec<(Box<str>, Option<NameNo>)>,
    names_cost: u64,
    now: UnixSeconds,
    times: Times,
    count: u64,
    expired: u64,
}

impl Taking {
    fn names(&mut self, mut block: &[u8]) -> Result<(), &'static str> {
        while let Some((len, rest)) = block.split_first_chunk() {
            let len = usize::from(u16::from_le_bytes(*len));
            let (text, rest) = rest.split_at_checked(len).ok_or("part of a name")?;
            let text = std::str::from_utf8(text).map_err(|_| "a name that is no text")?;
            self.names_cost += NAME_COST + len as u64;
            if self.names_cost > NAMES_MOST {
                return Err("too many names");
            }
            self.names.push((text.into(), None));
            block = rest;
        }
        if block.is_empty() { Ok(()) } else { Err("part of a name") }
    }

    fn sessions(&mut self, block: &[u8]) -> Result<(), &'static str> {
        let (sessions, rest) = block.as_chunks::<SESSION>();
        if !rest.is_empty() {
            return Err("part of a session");
        }
        sessions.iter().try_for_each(|bytes| self.session(bytes).ok_or("a session of no known backend"))
    }

    /// Takes in a session if it is not over. None: it mentions a name that was not there.
    fn session(&mut self, bytes: &[u8; SESSION]) -> Option<()> {
        self.count += 1;
        let (digest, rest) = bytes.split_first_chunk()?;
        let mut numbers = rest.chunks(4).map(number);
        let mut next = || numbers.next();
        let (home, origin, issued, last_seen, ends) = (next()?, next()?, next()?, next()?, next()?);
        let is_named = |name| (name as usize) < self.names.len();
        if !is_named(home) || (origin != NO_ORIGIN && !is_named(origin)) {
            return None;
        }
        let (issued, last_seen) = (UnixSeconds(issued), UnixSeconds(last_seen));
        let ends = Some(UnixSeconds(ends)).filter(|ends| ends.0 != NO_END);
        let is_over = ends.is_some_and(|ends| ends <= self.now);
        if is_over || self.times.expired(issued, last_seen, self.now).is_some() {
            self.expired += 1;
        } else if let Some(home) = self.name(home) {
            let origin = self.name(origin);
            self.table.restore(Digest::from_bytes(*digest), Held { home, origin, issued, last_seen, ends });
        }
        Some(())
    }

    /// The table's number for a name of the stream; none if there is no such name, or no room for it.
    fn name(&mut self, number: u32) -> Option<NameNo> {
        let (text, known) = self.names.get_mut(number as usize)?;
        if known.is_none() {
            *known = self.table.name(text);
        }
        *known
    }
}

impl Kind {
    const fn of(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Head,
            2 => Self::Names,
            3 => Self::Sessions,
            4 => Self::End,
            _ => return None,
        })
    }
}

/// The number at the start of these bytes, of which there are at least four.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
