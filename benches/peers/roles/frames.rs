//! As much of HTTP/2 as the roles need. They read no field but an answer's status, and so need no decoder of HPACK.

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Of every frame.
const HEAD: usize = 9;
/// Nobody was told that longer ones are welcome.
const LONGEST: usize = 16_384;
/// The window of a connection before anybody widens it.
pub(crate) const WINDOW: i64 = 65_535;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame.
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

/// What speaks HTTP/2 has of its connection: what came of a frame that is not whole, and what it may send.
pub(crate) struct Link {
    held: Vec<u8>,
    /// What the other side's window still takes.
    pub(crate) window: i64,
    /// Bytes of bodies that came and were not yet given back.
    taken: usize,
}

/// The other side broke off, or the rules.
pub(crate) struct Broken;

impl Frame<'_> {
    pub(crate) fn ends(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// Whether it begins an answer of status 200, which has a field of its own in HPACK's static table. A change of the
    /// table's size may stand before it.
    pub(crate) fn is_success(&self) -> bool {
        let skip =
            if self.flags & PADDED != 0 { 1 } else { 0 } + if self.flags & PRIORITY != 0 { 5 } else { 0 };
        let mut fields = self.payload.get(skip..).unwrap_or_default();
        while let Some((size, rest)) = fields.split_first().filter(|(first, _)| **first & 0xe0 == 0x20) {
            // One of 31 or more goes on up to a byte without the highest bit.
            let more =
                if *size == 0x3f { rest.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1 } else { 0 };
            fields = rest.get(more..).unwrap_or_default();
        }
        fields.first() == Some(&0x88)
    }

    /// The settings in it.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (u16, u32)> {
        self.payload.chunks_exact(6).filter_map(|setting| {
            let (name, value) = setting.split_first_chunk::<2>()?;
            Some((u16::from_be_bytes(*name), u32::from_be_bytes(*value.first_chunk::<4>()?)))
        })
    }
}

impl Link {
    pub(crate) fn new() -> Self {
        Self { held: Vec::new(), window: WINDOW, taken: 0 }
    }

    /// Hands out the whole frames of what came. What concerns the connection alone is answered here.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        mut each: impl FnMut(&mut Self, &Frame<'_>, &mut Vec<u8>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut held = std::mem::take(&mut self.held);
        let mut left = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &held
        };
        while let Some((frame, length)) = parse(left)? {
            left = &left[length..];
            self.note(&frame, out)?;
            each(self, &frame, out)?;
        }
        self.held = left.to_vec();
        // Given back before the other side could run out of it.
        if self.taken >= WINDOW as usize / 2 {
            update(0, self.taken as u32, out);
            self.taken = 0;
        }
        Ok(())
    }

    fn note(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        match frame.kind {
            DATA => self.taken += frame.payload.len(),
            HEADERS if frame.flags & END_HEADERS == 0 => return Err(Broken),
            SETTINGS if frame.flags & ACK == 0 => begin(SETTINGS, ACK, 0, 0, out),
            PING if frame.flags & ACK == 0 => {
                begin(PING, ACK, 0, frame.payload.len(), out);
                out.extend_from_slice(frame.payload);
            }
            WINDOW_UPDATE if frame.stream == 0 => {
                let more = frame.payload.first_chunk::<4>().ok_or(Broken)?;
                self.window += i64::from(u32::from_be_bytes(*more) & (u32::MAX >> 1));
            }
            GOAWAY => return Err(Broken),
            _ => {}
        }
        Ok(())
    }
}

/// The first frame, if it is whole, and how long it is.
fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Broken> {
    let Some((&[a, b, c, kind, flags, s, t, u, v], rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > LONGEST {
        return Err(Broken);
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let stream = u32::from_be_bytes([s, t, u, v]) & (u32::MAX >> 1);
    Ok(Some((Frame { kind, flags, stream, payload }, HEAD + length)))
}

/// Writes the head of a frame; so many bytes are to follow.
pub(crate) fn begin(kind: u8, flags: u8, stream: u32, length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// Widens a window.
pub(crate) fn update(stream: u32, by: u32, out: &mut Vec<u8>) {
    begin(WINDOW_UPDATE, 0, stream, 4, out);
    out.extend_from_slice(&by.to_be_bytes());
}

/// A field in letters, which enters the dynamic table if the first byte says so: a name by its number, or in letters.
pub(crate) fn literal(first: u8, name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(first);
    if first & 0x3f == 0 {
        string(name, out);
    }
    string(value, out);
}

/// Shorter than 127 bytes, not in Huffman's code.
fn string(text: &str, out: &mut Vec<u8>) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// A message of gRPC with so many bytes, not compressed.
pub(crate) fn message(bytes: usize) -> Vec<u8> {
    let mut message = vec![0];
    message.extend_from_slice(&(bytes as u32).to_be_bytes());
    message.resize(message.len() + bytes, b'g');
    message
}
