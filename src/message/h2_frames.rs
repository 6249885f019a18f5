//! The frames of HTTP/2 (RFC 9113 section 4.1): their headers, read and written, and the codes of its errors.
//!
//! A header is nine bytes that say of what kind a frame is, how long, and of which stream. Nothing is judged here.

/// Bytes of a frame's header.
pub const HEADER: usize = 9;
/// The largest payload that everybody takes, bytes; homing allows and sends no larger one. (section 4.2)
pub const LARGEST: usize = 16 * 1024;
/// The largest window. (section 6.9.1)
pub const LARGEST_WINDOW: u32 = u32::MAX >> 1;

/// What a client says before its first frame (section 3.4).
pub const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The frame is the last of its stream.
pub const END_STREAM: u8 = 0x1;
/// The frame confirms one of the other side's.
pub const ACK: u8 = 0x1;
/// The frame is the last of its header block.
pub const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The kinds of frames (section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A piece of a body.
    Data = 0,
    /// The beginning of a header block.
    Headers = 1,
    /// Advice about another time's priorities.
    Priority = 2,
    /// `RST_STREAM`: the end of a stream.
    Reset = 3,
    /// What the sender can take, or that it has seen what we can.
    Settings = 4,
    /// The beginning of a header block that only servers send.
    PushPromise = 5,
    /// Whether we are there, or that the sender is.
    Ping = 6,
    /// The sender is about to leave.
    GoAway = 7,
    /// How much more may be sent.
    WindowUpdate = 8,
    /// More of a header block.
    Continuation = 9,
    /// Of an extension; to be ignored (section 4.1).
    #[default]
    Unknown = 0xff,
}

impl Kind {
    /// What RFC 9113 calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "DATA",
            Self::Headers => "HEADERS",
            Self::Priority => "PRIORITY",
            Self::Reset => "RST_STREAM",
            Self::Settings => "SETTINGS",
            Self::PushPromise => "PUSH_PROMISE",
            Self::Ping => "PING",
            Self::GoAway => "GOAWAY",
            Self::WindowUpdate => "WINDOW_UPDATE",
            Self::Continuation => "CONTINUATION",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a stream or a connection ends (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// `NO_ERROR`
    NoError = 0,
    /// `PROTOCOL_ERROR`
    Protocol = 1,
    /// `INTERNAL_ERROR`
    Internal = 2,
    /// `FLOW_CONTROL_ERROR`
    FlowControl = 3,
    /// `STREAM_CLOSED`
    StreamClosed = 5,
    /// `FRAME_SIZE_ERROR`
    FrameSize = 6,
    /// `REFUSED_STREAM`
    RefusedStream = 7,
    /// `CANCEL`
    Cancel = 8,
    /// `COMPRESSION_ERROR`
    Compression = 9,
    /// `ENHANCE_YOUR_CALM`
    EnhanceYourCalm = 11,
}

/// What a peer may be told in SETTINGS (section 6.5.2; RFC 8441 section 3).
pub mod setting {
    /// `SETTINGS_HEADER_TABLE_SIZE`
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// `SETTINGS_ENABLE_PUSH`
    pub const ENABLE_PUSH: u16 = 2;
    /// `SETTINGS_MAX_CONCURRENT_STREAMS`
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// `SETTINGS_INITIAL_WINDOW_SIZE`
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// `SETTINGS_MAX_FRAME_SIZE`
    pub const MAX_FRAME_SIZE: u16 = 5;
    /// `SETTINGS_MAX_HEADER_LIST_SIZE`
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
    /// `SETTINGS_ENABLE_CONNECT_PROTOCOL`
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// A frame's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Bytes of its payload.
    pub length: usize,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    flags: u8,
}

/// What a payload is too short for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// What must be in it: FRAME_SIZE_ERROR. (section 4.2)
    Fields,
    /// The padding that it says it has: PROTOCOL_ERROR. (section 6.1)
    Padding,
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
    /// Reads a header. The reserved bit is ignored.
    #[must_use]
    pub fn read(header: &[u8; HEADER]) -> Self {
        let [a, b, c, code, flags, s, t, u, v] = *header;
        Self {
            kind: Kind::of(code),
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            stream: u32::from_be_bytes([s, t, u, v]) & LARGEST_WINDOW,
            flags,
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

    /// Whether its first byte says how much padding stands behind its data.
    #[must_use]
    pub const fn is_padded(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & PADDED != 0
    }

    /// The header block's part in the payload of HEADERS, and on which stream it says to depend.
    ///
    /// # Errors
    /// It is too short. (section 6.2)
    pub fn block<'a>(&self, payload: &'a [u8]) -> Result<(&'a [u8], Option<u32>), Short> {
        let (mut block, mut padding) = (payload, 0);
        if self.is_padded() {
            let (&n, rest) = block.split_first().ok_or(Short::Fields)?;
            (block, padding) = (rest, usize::from(n));
        }
        let mut parent = None;
        if self.flags & PRIORITY != 0 {
            let (priority, rest) = block.split_first_chunk::<5>().ok_or(Short::Fields)?;
            (block, parent) = (rest, Some(depends_on(priority)));
        }
        let n = block.len().checked_sub(padding).ok_or(Short::Padding)?;
        Ok((block.get(..n).unwrap_or_default(), parent))
    }
}

/// The stream that a PRIORITY says its own depends on. (RFC 7540 section 6.3)
#[must_use]
pub const fn depends_on(priority: &[u8; 5]) -> u32 {
    u32::from_be_bytes([priority[0], priority[1], priority[2], priority[3]]) & LARGEST_WINDOW
}

/// Appends a frame's header.
pub fn write_header(kind: Kind, flags: u8, stream: u32, length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&header(kind, flags, stream, length));
}

/// A frame's header; `length` is of 24 bits.
#[must_use]
pub fn header(kind: Kind, flags: u8, stream: u32, length: usize) -> [u8; HEADER] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [s, t, u, v] = stream.to_be_bytes();
    [a, b, c, kind as u8, flags, s, t, u, v]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written() {
        for (kind, flags, stream, length) in [
            (Kind::Data, 1, 1, 0),
            (Kind::Headers, 5, LARGEST_WINDOW, (1 << 24) - 1),
            (Kind::Continuation, 4, 3, LARGEST),
        ] {
            let frame = Frame::read(&header(kind, flags, stream, length));
            assert_eq!(frame, Frame { kind, length, stream, flags });
        }
        assert_eq!(Frame::read(&[0, 0, 1, 0x42, 0xff, 0x80, 0, 0, 1]).stream, 1, "the reserved bit");
        assert_eq!(Frame::read(&[0, 0, 1, 0x42, 0xff, 0, 0, 0, 1]).kind, Kind::Unknown);
    }

    #[test]
    fn flags_count_where_they_mean_something() {
        let one = |kind, flags| Frame { kind, flags, ..Frame::default() };
        assert!(one(Kind::Data, 1).ends_stream() && one(Kind::Headers, 1).ends_stream());
        assert!(!one(Kind::Settings, 1).ends_stream() && !one(Kind::Data, 4).ends_stream());
        assert!(
            one(Kind::Settings, 1).is_ack() && one(Kind::Ping, 1).is_ack() && !one(Kind::Data, 1).is_ack()
        );
        assert!(one(Kind::Continuation, 4).ends_headers() && !one(Kind::Continuation, 1).ends_headers());
        assert!(one(Kind::Data, 8).is_padded() && !one(Kind::Continuation, 8).is_padded());
    }

    #[test]
    fn a_block_stands_between_priority_and_padding() {
        let block = |flags, payload: &'static [u8]| {
            Frame { kind: Kind::Headers, flags, ..Frame::default() }.block(payload)
        };
        assert_eq!(block(0, b"abc"), Ok((&b"abc"[..], None)));
        assert_eq!(block(8, b"\x02abc"), Ok((&b"a"[..], None)));
        assert_eq!(block(8, b"\x03abc"), Ok((&b""[..], None)));
        assert_eq!(block(8, b"\x04abc"), Err(Short::Padding));
        assert_eq!(block(8, b""), Err(Short::Fields));
        assert_eq!(block(0x20, b"\x80\0\0\x07\xffabc"), Ok((&b"abc"[..], Some(7))));
        assert_eq!(block(0x28, b"\x01\0\0\0\x07\xffabc"), Ok((&b"ab"[..], Some(7))));
        assert_eq!(block(0x20, b"\0\0\0\0"), Err(Short::Fields));
    }
}
