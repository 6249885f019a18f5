//! base64url without padding ([RFC 4648, section 5](https://www.rfc-editor.org/rfc/rfc4648#section-5)), strict: one
//! text for one string of bytes, so that two different cookies never open to the same pin.

/// Appends the text of `bytes` to `out`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(encoded_len(bytes.len()));
    let letters = |a: u8, b: u8, c: u8| {
        let word = u32::from_be_bytes([0, a, b, c]);
        [18, 12, 6, 0].map(|shift| ALPHABET[(word >> shift & 63) as usize])
    };
    let (threes, rest) = bytes.as_chunks();
    for &[a, b, c] in threes {
        out.extend_from_slice(&letters(a, b, c));
    }
    match *rest {
        [a, b] => out.extend_from_slice(&letters(a, b, 0)[..3]),
        [a] => out.extend_from_slice(&letters(a, 0, 0)[..2]),
        _ => {}
    }
}

/// Writes the bytes of `text` to the beginning of `out` and returns them; `None` if the text is not canonical
/// (another letter, a length that no bytes have, spare bits that are not 0) or does not fit.
pub fn decode<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o mut [u8]> {
    let len = decoded_len(text.len())?;
    let out = out.get_mut(..len)?;
    let mut bad = 0;
    for (from, to) in text.chunks(4).zip(out.chunks_mut(3)) {
        let sextet = |i: usize| from.get(i).map_or(0, |&c| VALUES[usize::from(c)]);
        let all = [sextet(0), sextet(1), sextet(2), sextet(3)];
        bad |= all[0] | all[1] | all[2] | all[3];
        let word = all.iter().fold(0_u32, |word, &six| word << 6 | u32::from(six & 63));
        let bytes = word.to_be_bytes();
        bad |= bytes.iter().skip(1 + to.len()).fold(0, |spare, b| spare | u8::from(*b != 0) << 7);
        to.iter_mut().zip(&bytes[1..]).for_each(|(to, from)| *to = *from);
    }
    (bad & NOT_A_LETTER == 0).then_some(out)
}

/// Letters that this many bytes take.
#[must_use]
pub const fn encoded_len(bytes: usize) -> usize {
    bytes / 3 * 4 + (bytes % 3 * 4).div_ceil(3)
}

const fn decoded_len(letters: usize) -> Option<usize> {
    if letters % 4 == 1 { None } else { Some(letters / 4 * 3 + letters % 4 * 3 / 4) }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NOT_A_LETTER: u8 = 0x80;
const VALUES: [u8; 256] = {
    let mut values = [NOT_A_LETTER; 256];
    let mut i = 0;
    while i < 64 {
        values[ALPHABET[i as usize] as usize] = i;
        i += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        encode(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn bytes(text: &[u8]) -> Option<Vec<u8>> {
        decode(text, &mut [0; 64]).map(|b| b.to_vec())
    }

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        let check = |plain: &[u8], coded: &str| {
            assert_eq!(text(plain), coded);
            assert_eq!(bytes(coded.as_bytes()).as_deref(), Some(plain));
        };
        check(b"", "");
        check(b"f", "Zg");
        check(b"fo", "Zm8");
        check(b"foo", "Zm9v");
        check(b"foob", "Zm9vYg");
        check(b"fooba", "Zm9vYmE");
        check(b"foobar", "Zm9vYmFy");
        check(&[0xfb, 0xff, 0xfe], "-__-");
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for bad in
            ["Z", "Zg=", "Zg==", "Zh", "Zm9", "Zm9vY", "Zm+v", "Zm/v", "Zm9 ", " Zm9", "Zm9\n", "Z\u{e9}"]
        {
            assert_eq!(bytes(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(decode(b"Zm9vYg", &mut [0; 3]), None, "does not fit");
    }

    proptest! {
        #[test]
        fn bytes_come_back(plain in prop::collection::vec(any::<u8>(), 0..64)) {
            let coded = text(&plain);
            prop_assert_eq!(coded.len(), encoded_len(plain.len()));
            prop_assert_eq!(bytes(coded.as_bytes()), Some(plain));
        }

        #[test]
        fn what_decodes_is_the_only_text_of_its_bytes(any in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Some(plain) = bytes(&any) {
                prop_assert_eq!(text(&plain).into_bytes(), any);
            }
        }

        #[test]
        fn letters_decode_or_are_not_canonical(any in "[A-Za-z0-9_-]{0,12}") {
            if let Some(plain) = bytes(any.as_bytes()) {
                prop_assert_eq!(text(&plain), any);
            }
        }
    }
}
