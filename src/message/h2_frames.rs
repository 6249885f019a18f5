//! The frames of HTTP/2 (RFC 9113 section 4.1): where one ends and the next begins, and of what kind each is.
//!
//! A [`Reader`] looks at the nine bytes of a frame's header and at the first four of its payload, and jumps over the
//! rest: what a frame costs does not depend on its length. It judges nothing and keeps no stream's state; header
//! blocks are bytes to it.

/// Bytes of a frame's header.
pub const HEADER: usize = 9;
/// Bytes of a payload that are looked at: an error code, an increment, how much padding there is.
const FIRST: usize = 4;

/// What a client says before its first frame (section 3.4).
pub const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The kinds of frames (section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A piece of a body.
    Data,
    /// The beginning of a header block.
    Headers,
    /// Advice about another time's priorities.
    Priority,
    /// RST_STREAM: the end of a stream.
    Reset,
    /// What the sender can take, or that it has seen what we can.
    Settings,
    /// The beginning of a header block that only servers send.
    PushPromise,
    /// Whether we are there, or that the sender is.
    Ping,
    /// The sender is about to leave.
    GoAway,
    /// How much more may be sent.
    WindowUpdate,
    /// More of a header block.
    Continuation,
    /// Of an extension; to be ignored (section 4.1).
    #[default]
    Unknown,
}

/// A frame of which the header and the first bytes have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Bytes of its payload.
    pub length: u32,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    flags: u8,
    first: [u8; FIRST],
}

/// Follows the frames of one direction. At the start, and by default, it stands between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// What has come of a frame that is not known yet.
    head: [u8; HEADER + FIRST],
    seen: u8,
    /// Bytes still to come of the payload of one that is.
    left: u32,
}

impl Kind {
    const fn of(code: u8) -> Self {
        match code {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }
}

impl Frame {
    fn read(head: &[u8; HEADER + FIRST]) -> Self {
        let [a, b, c, code, flags, s, t, u, v, first @ ..] = *head;
        Self {
            kind: Kind::of(code),
            length: u32::from_be_bytes([0, a, b, c]),
            stream: u32::from_be_bytes([s, t, u, v]) & (u32::MAX >> 1),
            flags,
            first,
        }
    }

    /// Whether it is the last of its stream.
    #[must_use]
    pub const fn ends_stream(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & END_STREAM != 0
    }

    /// Whether it is the last of its header block.
    #[must_use]
    pub const fn ends_headers(&self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// Whether it confirms one of ours.
    #[must_use]
    pub const fn is_ack(&self) -> bool {
        matches!(self.kind, Kind::Settings | Kind::Ping) && self.flags & ACK != 0
    }

    /// Bytes of its payload that are not padding.
    #[must_use]
    pub const fn data(&self) -> u32 {
        if matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & PADDED != 0 {
            return self.length.saturating_sub(1 + self.first[0] as u32);
        }
        self.length
    }

    /// Its payload's first number: the code of a reset, the increment of a window.
    #[must_use]
    pub const fn number(&self) -> u32 {
        u32::from_be_bytes(self.first)
    }

    /// Whether a header block begins with a pseudo-field, as far as its first bytes tell (RFC 7541 section 6): one of
    /// the table that all have, or a name that is spelt out. Padding and priorities are not looked behind.
    #[must_use]
    pub const fn begins_with_pseudo(&self) -> bool {
        const COLON: u8 = b':';
        const COLON_IN_HUFFMAN: u8 = 0b1011_1000;
        if self.flags & (PADDED | PRIORITY) != 0 {
            return false;
        }
        match self.first {
            [0x81..=0x8e | 0x41..=0x4e | 0x01..=0x0e | 0x11..=0x1e, ..] => true,
            [0x40 | 0x00 | 0x10, length, letter, _] => {
                let is_huffman = length & 0x80 != 0;
                length != 0 && if is_huffman { letter & 0xfe == COLON_IN_HUFFMAN } else { letter == COLON }
            }
            _ => false,
        }
    }
}

impl Reader {
    /// Takes bytes until the next frame is known, and says which it is. Nothing: all were taken, and it is not known.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let skipped = (self.left as usize).min(bytes.len());
        self.left -= skipped as u32;
        advance(bytes, skipped);
        if bytes.is_empty() {
            return None;
        }
        self.take(bytes, HEADER);
        if (self.seen as usize) < HEADER {
            return None;
        }
        let length = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]);
        let first = length.min(FIRST as u32);
        self.take(bytes, HEADER + first as usize);
        if (self.seen as usize) < HEADER + first as usize {
            return None;
        }
        let frame = Frame::read(&self.head);
        *self = Self { left: length - first, ..Self::default() };
        Some(frame)
    }

    /// Whether one frame is over and no byte of the next has passed.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        self.left == 0 && self.seen == 0
    }

    /// Whether the next so many bytes have the first one of a frame.
    #[must_use]
    pub const fn begins_within(&self, bytes: usize) -> bool {
        self.seen == 0 && (self.left as usize) < bytes
    }

    /// Bytes still to come of the payload of the frame that was told last.
    #[must_use]
    pub const fn rest(&self) -> usize {
        self.left as usize
    }

    /// Takes bytes until so many of a frame's beginning are there.
    fn take(&mut self, bytes: &mut &[u8], until: usize) {
        let seen = self.seen as usize;
        let n = until.saturating_sub(seen).min(bytes.len());
        if let (Some(to), Some(from)) = (self.head.get_mut(seen..seen + n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.seen += n as u8;
        advance(bytes, n);
    }
}

fn advance(bytes: &mut &[u8], n: usize) {
    *bytes = bytes.get(n..).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(code: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [length[1], length[2], length[3], code, flags];
        [&head[..], &stream.to_be_bytes(), payload].concat()
    }

    fn read(reader: &mut Reader, mut bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = reader.next(&mut bytes) {
            frames.push(frame);
        }
        assert!(bytes.is_empty());
        frames
    }

    #[test]
    fn frames_read_the_same_however_their_bytes_arrive() {
        let all = [
            bytes(4, 0, 0, &[0; 18]),
            bytes(4, 1, 0, b""),
            bytes(1, 5, 1, b"block"),
            bytes(0, 0, 1, &[7; 1_000]),
            bytes(0, 1, 1, b""),
            bytes(3, 0, 3, &8_u32.to_be_bytes()),
            bytes(8, 0, 0, &0x8000_0005_u32.to_be_bytes()),
            bytes(9, 4, 5, b"xy"),
            bytes(0x42, 0xff, u32::MAX, b"what"),
        ]
        .concat();
        let whole = read(&mut Reader::default(), &all);
        let kinds: Vec<Kind> = whole.iter().map(|f| f.kind).collect();
        use Kind::*;
        let expected = [Settings, Settings, Headers, Data, Data, Reset, WindowUpdate, Continuation, Unknown];
        assert_eq!(kinds, expected);
        let lengths: Vec<u32> = whole.iter().map(|f| f.length).collect();
        assert_eq!(lengths, [18, 0, 5, 1_000, 0, 4, 4, 2, 4]);
        assert_eq!((whole[5].stream, whole[5].number()), (3, 8));
        assert_eq!((whole[8].stream, whole[8].number()), (u32::MAX >> 1, u32::from_be_bytes(*b"what")));
        for size in 1..40 {
            let mut reader = Reader::default();
            let pieces: Vec<Frame> = all.chunks(size).flat_map(|piece| read(&mut reader, piece)).collect();
            assert_eq!(pieces, whole, "pieces of {size}");
            assert!(reader.is_between());
        }
    }

    #[test]
    fn a_frame_is_told_as_soon_as_it_is_known_and_over_with_its_last_byte() {
        let mut reader = Reader::default();
        let frame = bytes(0, 0, 1, &[0; 100]);
        for (n, byte) in frame.iter().enumerate() {
            assert_eq!(reader.is_between(), n == 0, "before byte {n}");
            assert_eq!(reader.rest(), if n < HEADER + FIRST { 0 } else { frame.len() - n });
            assert_eq!(read(&mut reader, &[*byte]).len(), usize::from(n + 1 == HEADER + FIRST), "byte {n}");
        }
        assert!(reader.is_between());
    }

    #[test]
    fn flags_count_where_they_mean_something() {
        let one =
            |code, flags, payload: &[u8]| read(&mut Reader::default(), &bytes(code, flags, 1, payload))[0];
        assert!(one(0, 1, b"").ends_stream() && one(1, 1, b"").ends_stream());
        assert!(!one(4, 1, b"").ends_stream() && !one(0, 4, b"").ends_stream());
        assert!(one(4, 1, b"").is_ack() && one(6, 1, &[0; 8]).is_ack() && !one(0, 1, b"").is_ack());
        assert!(one(9, 4, b"").ends_headers() && !one(9, 1, b"").ends_headers());
    }

    #[test]
    fn pseudo_fields_are_seen_at_the_beginning_of_a_block() {
        let begins = |flags, block: &[u8]| {
            read(&mut Reader::default(), &bytes(1, flags, 1, block))[0].begins_with_pseudo()
        };
        for block in [
            &[0x82][..],
            &[0x44, 1, b'/'],
            &[0x04, 1, b'/'],
            &[0x14, 1, b'/'],
            b"\0\x05:test\0",
            b"\x40\x84\xb8\x27",
        ] {
            assert!(begins(4, block), "{block:?}");
        }
        for block in
            [&[][..], &[0x90], &[0x4f, 1, b'a'], b"\0\x01x\x01y", b"\0\0", b"\0\x84\x3a\x27", &[0xbe]]
        {
            assert!(!begins(4, block), "{block:?}");
        }
        assert!(!begins(0x24, &[0x82, 0, 0, 0, 0, 0x90]));
    }

    #[test]
    fn padding_is_no_data() {
        let data =
            |flags, payload: &[u8]| read(&mut Reader::default(), &bytes(0, flags, 1, payload))[0].data();
        assert_eq!(data(0, b"abc"), 3);
        assert_eq!(data(8, &[0, b'a']), 1);
        assert_eq!(data(8, &[2, 0, 0]), 0);
        assert_eq!(data(8, &[200, 0, 0]), 0, "more than there is");
        assert_eq!(data(8, b""), 0);
        assert_eq!(data(8, &[255; 256]), 0);
    }
}
