//! Where one frame of a WebSocket ends and the next begins (RFC 6455 section 5.2), and the frame that ends it all.
//!
//! A tunnel is opaque to homing but for this: to end one politely a Close frame has to stand between two frames, and
//! between the fragments of a message it may (section 5.4). A [`Follower`] counts payloads and looks at no byte of
//! them. What is no WebSocket has no borders: once that is seen, no byte is looked at any more.

/// The opcode of Close (section 11.8), and the bits of a first byte that hold one.
const CLOSE: u8 = 0x8;
const OPCODE: u8 = 0x0f;
/// In the first byte: whether it is the last frame of its message.
const FIN: u8 = 0x80;
/// In the second byte: whether a mask follows, and the length or what stands for a longer one.
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// The longest payload whose length stands there itself.
const SHORT: u8 = 125;
/// The longest header: two bytes, eight of length, four of mask.
const LONGEST: usize = 14;

/// Close with status 1001, Going Away (section 7.4.1), as a server sends it.
pub const GOING_AWAY: [u8; 4] = [FIN | CLOSE, 2, 0x03, 0xe9];

/// The same as a client sends it: masked (section 5.3), by `mask`.
#[must_use]
pub const fn going_away_masked(mask: [u8; 4]) -> [u8; 8] {
    let [first, length, high, low] = GOING_AWAY;
    [first, MASKED | length, mask[0], mask[1], mask[2], mask[3], high ^ mask[0], low ^ mask[1]]
}

/// Follows the frames of one direction. At the start, and by default, it stands at a border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follower {
    /// Bytes of the payload still to come; its header is over.
    left: u64,
    /// A header of which a part has come, and how many bytes of it.
    header: [u8; LONGEST],
    seen: u8,
    is_close: bool,
    has_closed: bool,
    /// What came is no frame.
    is_opaque: bool,
}

impl Follower {
    /// These bytes passed.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_opaque {
            let n = self.advance(bytes);
            bytes = bytes.get(n..).unwrap_or_default();
        }
    }

    /// How many of the bytes that come next belong to the frame that the stream stands in: none at a border.
    #[must_use]
    pub fn rest(mut self, bytes: &[u8]) -> usize {
        let mut n = 0;
        while !self.is_at_border() && n < bytes.len() {
            if self.is_opaque {
                return bytes.len();
            }
            n += self.advance(bytes.get(n..).unwrap_or_default());
        }
        n
    }

    /// Whether one frame is over and no byte of the next has passed.
    #[must_use]
    pub const fn is_at_border(&self) -> bool {
        self.left == 0 && self.seen == 0 && !self.is_opaque
    }

    /// Whether a whole Close frame has passed: nothing may follow it (section 5.5.1).
    #[must_use]
    pub const fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Takes a payload's rest, or a header with what has come of its payload; at least one byte, if there is one.
    fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        if self.left == 0 {
            used = match header(bytes) {
                Some((length, payload)) if self.seen == 0 => {
                    self.begin(bytes.first().copied().unwrap_or_default(), payload);
                    length
                }
                _ => self.piece_together(bytes),
            };
            if self.seen > 0 {
                return used;
            }
        }
        let n = self.left.min((bytes.len() - used) as u64);
        self.left -= n;
        self.has_closed |= self.is_close && self.left == 0;
        used + n as usize
    }

    /// Takes a header, or of it what there is, byte by byte.
    fn piece_together(&mut self, bytes: &[u8]) -> usize {
        for (byte, used) in bytes.iter().zip(1..) {
            let at = usize::from(self.seen);
            if let Some(slot) = self.header.get_mut(at) {
                *slot = *byte;
            }
            self.seen += 1;
            if let Some((_, payload)) = header(self.header.get(..=at).unwrap_or(&self.header)) {
                self.seen = 0;
                self.begin(self.header[0], payload);
                return used;
            }
        }
        bytes.len()
    }

    fn begin(&mut self, first: u8, payload: u64) {
        let opcode = first & OPCODE;
        let is_legal = match opcode {
            0..=2 => payload <= u64::MAX >> 1,
            // Control frames are whole and short (section 5.5).
            8..=10 => first & FIN != 0 && payload <= u64::from(SHORT),
            _ => false,
        };
        self.is_opaque = !is_legal;
        self.is_close = opcode == CLOSE;
        self.left = payload;
    }
}

/// The length of a header and of its payload, if all of the header is here.
fn header(bytes: &[u8]) -> Option<(usize, u64)> {
    let [_, second, rest @ ..] = bytes else { return None };
    let (extended, payload) = match second & LENGTH {
        126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
        short => (0, u64::from(short)),
    };
    let length = 2 + extended + if second & MASKED == 0 { 0 } else { 4 };
    (bytes.len() >= length).then_some((length, payload))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame with a payload of so many bytes.
    fn frame(first: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask_bit = if masked { MASKED } else { 0 };
        let mut out = vec![first];
        match length {
            0..=125 => out.push(mask_bit | length as u8),
            126..=0xffff => {
                out.push(mask_bit | 126);
                out.extend((length as u16).to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            out.extend([0xff; 4]);
        }
        out.resize(out.len() + length, 0xff);
        out
    }

    /// First bytes of fragments, of whole messages, of compressed ones (RFC 7692), and of a Ping.
    const FIRST: [u8; 8] = [0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0xc1, 0x89];

    fn legal(first: u8, length: usize, masked: bool) -> Vec<u8> {
        frame(first, if first & 8 == 0 { length } else { length % 126 }, masked)
    }

    #[test]
    fn what_is_no_frame_has_no_border() {
        let too_long = [&[0x82, 127][..], &[0xff; 8]].concat();
        let no_frames =
            [b"xx".to_vec(), frame(0x83, 1, false), frame(0x8b, 0, false), frame(0x89, 126, true), too_long];
        for bytes in no_frames {
            let mut follower = Follower::default();
            follower.follow(&frame(0x81, 5, true));
            assert!(follower.is_at_border());
            follower.follow(&bytes);
            follower.follow(&frame(0x88, 0, false));
            assert!(!follower.is_at_border() && !follower.has_closed(), "{bytes:x?}");
            assert_eq!(follower.rest(b"anything"), 8);
        }
    }

    #[test]
    fn every_split_of_every_kind_of_frame_finds_the_border() {
        for masked in [false, true] {
            for length in [0, 1, 125, 126, 127, 300, 0xffff, 0x1_0000] {
                let bytes = frame(0x82, length, masked);
                let step = (bytes.len() / 97).max(1);
                for cut in (1..bytes.len().min(20)).chain((1..bytes.len()).step_by(step)) {
                    let (front, back) = bytes.split_at(cut);
                    let mut follower = Follower::default();
                    assert_eq!(follower.rest(&bytes), 0, "a frame that has not begun has no rest");
                    follower.follow(front);
                    assert!(!follower.is_at_border(), "{length} bytes, cut at {cut}");
                    assert_eq!(follower.rest(&[back, b"next"].concat()), back.len());
                    assert_eq!(follower.rest(&back[..back.len() / 2]), back.len() / 2);
                    follower.follow(back);
                    assert!(follower.is_at_border() && !follower.has_closed());
                }
            }
        }
    }

    #[test]
    fn a_close_is_noticed_once_it_is_whole() {
        for close in [frame(0x88, 0, false), GOING_AWAY.to_vec(), going_away_masked([1, 2, 3, 4]).to_vec()] {
            let mut follower = Follower::default();
            follower.follow(&frame(0x01, 3, false));
            let (last, front) = close.split_last().unwrap();
            follower.follow(front);
            assert!(!follower.has_closed());
            follower.follow(&[*last]);
            assert!(follower.has_closed() && follower.is_at_border());
        }
    }

    #[test]
    fn a_masked_close_says_1001() {
        let close = going_away_masked([0xde, 0xad, 0xbe, 0xef]);
        let status = u16::from_be_bytes([close[6] ^ 0xde, close[7] ^ 0xad]);
        assert_eq!((close[0], close[1], status), (0x88, 0x82, 1001));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_frames_arrive(
            frames in prop::collection::vec((0..FIRST.len(), 0_usize..300, any::<bool>()), 1..6),
            cuts in prop::collection::vec(0_usize..2000, 0..12),
        ) {
            let frames: Vec<_> = frames.iter().map(|(first, n, masked)| legal(FIRST[*first], *n, *masked)).collect();
            let (bytes, mut border) = (frames.concat(), vec![0]);
            frames.iter().for_each(|f| border.push(border[border.len() - 1] + f.len()));
            let mut cuts: Vec<_> = cuts.iter().map(|c| c % bytes.len()).collect();
            cuts.sort_unstable();
            let (mut follower, mut at) = (Follower::default(), 0);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                follower.follow(&bytes[at..cut]);
                at = cut;
                let next = border.iter().find(|b| **b >= at).unwrap();
                prop_assert_eq!(follower.is_at_border(), *next == at);
                prop_assert_eq!(follower.rest(&bytes[at..]), next - at);
            }
        }

        #[test]
        fn garbage_breaks_nothing(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40)) {
            let mut follower = Follower::default();
            for piece in pieces {
                prop_assert!(follower.rest(&piece) <= piece.len());
                follower.follow(&piece);
            }
        }
    }
}
