//! Header blocks (RFC 7541).

use super::*;

/// `cache-control: no-cache`, from RFC 7541 appendix C.4: the value's length and letters, and in Huffman's code.
const PLAIN: &[u8] = b"\x08no-cache";
const CODED: &[u8] = &[0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];

#[test]
fn every_form_of_a_field() {
    /// `custom-key`, in Huffman's code.
    const NAME: &[u8] = &[0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
    let of = |section, what, begins: &[u8], name: &[u8], value: &[u8]| {
        let block = [&*request("GET", "/"), begins, name, value].concat();
        case(
            section,
            what,
            &[&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block), &ping(PINGED)],
            Right::Answers(1),
        )
    };
    let mut cases = vec![of("6.1", "a field of the static table", &[0xba], b"", b"")];
    for (section, what, known, new) in [
        ("6.2.1", "a field to be learned", &[0x58][..], 0x40),
        ("6.2.2", "a field not to be learned", &[0x0f, 0x09], 0),
        ("6.2.3", "a field never to be learned", &[0x1f, 0x09], 0x10),
    ] {
        for value in [PLAIN, CODED] {
            cases.push(of(section, what, known, b"", value));
            cases.push(of(section, what, &[new], b"\x06x-test", value));
            cases.push(of(section, what, &[new], NAME, value));
        }
    }
    holds(&cases);
}

#[test]
fn compressed_headers() {
    /// RFC 9113 section 4.3.
    const WRONG: Right = Right::Ends(&[COMPRESSION_ERROR]);
    let of = |section, what, more: &[u8], right| {
        let says = frame(HEADERS, END_STREAM | END_HEADERS, 1, &[&*request("GET", "/"), more].concat());
        case(section, what, &[&says], right)
    };
    let twice = |first: &[u8], second: &[u8]| {
        let head = |id, more: &[u8]| {
            frame(HEADERS, END_STREAM | END_HEADERS, id, &[&*request("GET", "/"), more].concat())
        };
        [head(1, first), head(3, second)].concat()
    };
    holds(&[
        of("2.3.3", "a field that is not there", &[0xff, 0x20], WRONG),
        of("2.3.3", "a name that is not there", &[0x7f, 0x20, 1, b'a'], WRONG),
        case("2.3.3", "a field that was learned", &[&twice(&learned("x", "y"), &[0xbe])], Right::Answers(3)),
        of("4.2", "a new size at a block's end", &[0x21], WRONG),
        of("5.2", "Huffman with a byte of padding", &[0, 1, b'a', 0x82, 0x1f, 0xff], WRONG),
        of("5.2", "Huffman with zeros as padding", &[0, 1, b'a', 0x81, 0x18], WRONG),
        of("5.2", "Huffman with its end in it", &[0, 1, b'a', 0x84, 0xff, 0xff, 0xff, 0xff], WRONG),
        of("5.2", "a string longer than its block", &[0, 1, b'a', 10, b'b'], WRONG),
        of("6.1", "the field 0", &[0x80], WRONG),
        case(
            "6.3",
            "a smaller size",
            &[&frame(HEADERS, END_STREAM | END_HEADERS, 1, &[&[0x20], &*request("GET", "/")].concat())],
            Right::Answers(1),
        ),
        case(
            "6.3",
            "two sizes, of which the second is the agreed one",
            &[&frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&[0x20, 0x3f, 0xe1, 0x1f], &*request("GET", "/"), &*learned("x", "y"), &[0xbe]].concat(),
            )],
            Right::Answers(1),
        ),
        case(
            "6.3",
            "a size over what was agreed on",
            &[&frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&[0x3f, 0xe2, 0x1f], &*request("GET", "/")].concat(),
            )],
            WRONG,
        ),
        of("5.1", "a number that does not end", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], WRONG),
    ]);
}
