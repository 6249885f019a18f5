use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

type Pair = (Vec<u8>, Vec<u8>);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Pair>, Error> {
    let mut fields = Vec::new();
    decoder.decode(block, |field| {
        let known = static_table::get(field.known.into()).map(|(name, _)| name);
        let is_known = (1..62).any(|place| static_table::get(place).unwrap().0 == field.name);
        assert_eq!(known, is_known.then_some(field.name));
        fields.push((field.name.to_vec(), field.value.to_vec()));
    })?;
    Ok(fields)
}

/// Lines of `name: value`.
fn pairs(lines: &str) -> Vec<Pair> {
    let pair = |line: &str| {
        let colon = 1 + line[1..].find(": ").unwrap();
        (line[..colon].into(), line[colon + 2..].into())
    };
    lines.lines().map(str::trim).filter(|l| !l.is_empty()).map(pair).collect()
}

/// Requests of RFC 7541 appendices C.3 and C.4: fields, what the table counts then, and the block in both forms.
const REQUESTS: [(&str, usize, &str, &str); 3] = [
    (
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com",
        57,
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    ),
    (
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache",
        110,
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8286 84be 5886 a8eb 1064 9cbf",
    ),
    (
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value",
        164,
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ),
];

/// Answers of appendices C.5 and C.6, to a table of 256 bytes.
const ANSWERS: [(&str, usize, &str, &str); 3] = [
    (
        ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT
         location: https://www.example.com",
        222,
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
         3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
         1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
    ),
    (
        ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT
         location: https://www.example.com",
        222,
        "4803 3330 37c1 c0bf",
        "4883 640e ffc1 c0bf",
    ),
    (
        ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT
         location: https://www.example.com\ncontent-encoding: gzip
         set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        215,
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
         7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
         6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
         e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ),
];

#[test]
fn the_blocks_of_the_rfc_are_read() {
    for (most, messages) in [(4096, &REQUESTS), (256, &ANSWERS)] {
        let (mut plain, mut coded) = (Decoder::new(most), Decoder::new(most));
        for (fields, size, as_it_is, in_huffman) in messages {
            assert_eq!(read(&mut plain, &bytes(as_it_is)), Ok(pairs(fields)));
            assert_eq!(read(&mut coded, &bytes(in_huffman)), Ok(pairs(fields)));
            assert_eq!([plain.table.size(), coded.table.size()], [*size; 2]);
        }
    }
}

#[test]
fn each_form_of_a_field_is_read() {
    // RFC 7541 appendix C.2.
    for (hex, field, is_secret, size) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            false,
            55,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", false, 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", true, 0),
        ("82", ":method: GET", false, 0),
    ] {
        let mut decoder = Decoder::new(4096);
        let mut seen = Vec::new();
        let told = |f: Field<'_>| seen.push(((f.name.to_vec(), f.value.to_vec()), f.is_secret));
        decoder.decode(&bytes(hex), told).unwrap();
        assert_eq!(seen, [(pairs(field).remove(0), is_secret)]);
        assert_eq!(decoder.table.size(), size);
    }
}

#[test]
fn the_blocks_of_the_rfc_are_written() {
    let write = |encoder: &mut Encoder, fields: &[Pair]| {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for (name, value) in fields {
            match &name[..] {
                b":status" => {
                    encoder.status(std::str::from_utf8(value).unwrap().parse().unwrap(), &mut out);
                }
                _ => encoder.field(name, value, Keep::Index, &mut out),
            }
        }
        out
    };
    let mut encoder = Encoder::new();
    for (fields, size, _, in_huffman) in REQUESTS {
        assert_eq!(write(&mut encoder, &pairs(fields)), bytes(in_huffman));
        assert_eq!(encoder.table.size(), size);
    }
    let mut encoder = Encoder::new();
    encoder.set_table_size(256);
    for (n, (fields, size, _, in_huffman)) in ANSWERS.iter().enumerate() {
        let update = if n == 0 { bytes("3fe101") } else { Vec::new() };
        // 307 is as long either way, and stands there as it is.
        let block = bytes(&in_huffman.replace("83 640e ff", "03 3330 37"));
        assert_eq!(write(&mut encoder, &pairs(fields)), [update, block].concat());
        assert_eq!(encoder.table.size(), *size);
    }
}

#[test]
fn numbers_are_those_of_the_rfc() {
    // RFC 7541 appendix C.1.
    for (mask, number, hex) in [
        (0x1f, 10, "0a"),
        (0x1f, 1337, "1f9a0a"),
        (0xff, 42, "2a"),
        (0x7f, 127, "7f00"),
        (0x7f, 126, "7e"),
        (0x0f, u32::MAX as usize, "0ff0ffffff0f"),
    ] {
        let mut out = Vec::new();
        integer::write(0, mask, number, &mut out);
        assert_eq!(out, bytes(hex));
        let mut rest = &out[1..];
        assert_eq!(integer::read(out[0], mask, &mut rest), Ok(number));
        assert!(rest.is_empty());
    }
    let read = |hex: &str| integer::read(0xff, 0x7f, &mut &bytes(hex)[..]);
    assert_eq!(read("8000"), Ok(127), "a needless byte");
    assert_eq!(read("8080808000"), Ok(127), "and three more");
    assert_eq!(read("808080808000"), Err(Error::Integer), "one too many");
    assert_eq!(read("80ffffff0f"), Ok(u32::MAX as usize));
    assert_eq!(read("81ffffff0f"), Err(Error::Integer));
    assert_eq!(read("ffffffff7f"), Err(Error::Integer));
    assert_eq!(read("ffff"), Err(Error::Truncated));
}

#[test]
fn what_cannot_be_read_is_refused_by_its_name() {
    for (hex, error) in [
        ("80", Error::Index),
        ("be", Error::Index),
        ("82 7e 0161", Error::Index),
        ("0f 2f 0161", Error::Index),
        ("ff ffffffff7f", Error::Integer),
        ("41 7f ffffffff7f", Error::Integer),
        ("ff 8080808080 00", Error::Integer),
        ("ff", Error::Truncated),
        ("ff 80", Error::Truncated),
        ("41", Error::Truncated),
        ("41 02 61", Error::Truncated),
        ("40 01", Error::Truncated),
        ("40 0161", Error::Truncated),
        ("41 ff 80808001 00", Error::Truncated),
        ("3f", Error::Truncated),
        // EOS; EOS behind a letter; a byte of padding; padding of zeros; a letter that breaks off.
        ("41 84 ffffffff", Error::Huffman),
        ("41 85 1fffffffff", Error::Huffman),
        ("41 82 1fff", Error::Huffman),
        ("41 81 ff", Error::Huffman),
        ("41 81 18", Error::Huffman),
        ("41 82 ffc0", Error::Huffman),
        ("3fe21f", Error::TableSize),
        ("82 20", Error::TableSize),
        ("82 3fe11f", Error::TableSize),
    ] {
        assert_eq!(read(&mut Decoder::new(4096), &bytes(hex)), Err(error), "{hex}");
    }
    assert_eq!(read(&mut Decoder::new(100), &bytes("3f46")), Err(Error::TableSize), "101");
    for hex in
        ["", "20", "3fe11f", "20 3fe11f", "3fe11f 20 3fe11f 82", "41 00", "41 80", "40 00 00", "41 81 1f"]
    {
        assert!(read(&mut Decoder::new(4096), &bytes(hex)).is_ok(), "{hex}");
    }
}

#[test]
fn a_field_that_is_too_large_for_the_table_empties_it() {
    let mut decoder = Decoder::new(64);
    assert!(read(&mut decoder, b"\x40\x01a\x01b").is_ok());
    assert_eq!(read(&mut decoder, &[0xbe]), Ok(pairs("a: b")));
    let large = [b"\x40\x01a\x20".as_slice(), &[b'x'; 32]].concat();
    assert_eq!(read(&mut decoder, &large).unwrap()[0].1, [b'x'; 32]);
    assert_eq!(read(&mut decoder, &[0xbe]), Err(Error::Index));
}

#[test]
fn a_name_may_be_of_a_field_that_leaves_the_table_for_it() {
    let mut decoder = Decoder::new(80);
    assert!(read(&mut decoder, b"\x40\x04name\x02v0").is_ok());
    for n in 1..=200_u8 {
        let value = vec![n; 40];
        let block = [b"\x7e\x28".as_slice(), &value].concat();
        let expected = vec![(b"name".to_vec(), value)];
        assert_eq!(read(&mut decoder, &block), Ok(expected.clone()));
        assert_eq!(read(&mut decoder, &[0xbe]), Ok(expected));
        assert!(decoder.table.capacity() <= 160);
    }
}

#[test]
fn the_lowest_size_between_two_blocks_is_told() {
    let begin = |encoder: &mut Encoder| {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        out
    };
    let mut encoder = Encoder::new();
    for (sizes, update) in [
        (&[4096, 65_536, u32::MAX][..], ""),
        (&[0], "20"),
        (&[0], ""),
        (&[100], "3f45"),
        (&[10, 4096], "2a 3fe11f"),
        (&[4096], ""),
        (&[10, 20, 4096, 50], "2a 3f13"),
        (&[60, 10], "2a"),
    ] {
        for size in sizes {
            encoder.set_table_size(*size);
        }
        assert_eq!(begin(&mut encoder), bytes(update), "{sizes:?}");
        assert_eq!(begin(&mut encoder), b"");
    }
}

#[test]
fn secrets_are_written_as_such_and_once_is_once() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
    for _ in 0..3 {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        encoder.field(b"x-key", b"secret", Keep::Never, &mut out);
        encoder.field(b":method", b"GET", Keep::Never, &mut out);
        encoder.field(b"content-length", b"12", Keep::Once, &mut out);
        encoder.field(b"x-trace", &[b'a'; 300], Keep::Once, &mut out);
        assert!((200..250).contains(&out.len()), "a long value is coded");
        let mut secrets = Vec::new();
        decoder.decode(&out, |field| secrets.push(field.is_secret)).unwrap();
        assert_eq!(secrets, [true, true, false, false]);
        assert_eq!([encoder.table.size(), decoder.table.size()], [0, 0]);
    }
}

#[test]
fn what_came_before_is_one_byte_and_names_are_found() {
    let mut encoder = Encoder::new();
    let mut write = |name: &[u8], value: &[u8], how| {
        let mut out = Vec::new();
        encoder.field(name, value, how, &mut out);
        out
    };
    let first = write(b"x-cache", b"hit", Keep::Index);
    assert!(first.len() > 5 && first[0] == 0x40);
    assert_eq!(write(b"x-cache", b"hit", Keep::Index), [0xbe]);
    assert_eq!(write(b"x-cache", b"miss", Keep::Index)[0], 0x7e);
    assert_eq!(write(b"x-cache", b"hit", Keep::Index), [0xbf]);
    assert_eq!(write(b"x-cache", b"lost", Keep::Once), b"\x0f\x2f\x04lost");
    assert_eq!(write(b"accept-encoding", b"gzip, deflate", Keep::Index), [0x90]);
    assert_eq!(write(b":path", b"/index.html", Keep::Once), [0x85]);
    let large = write(b"x-large", &[b'a'; 2048], Keep::Index);
    assert_eq!(large[0], 0, "more than half of the table");
}

#[test]
fn values_that_differ_in_the_middle_alone_are_told_apart() {
    let mut encoder = Encoder::new();
    let value = |n: usize| format!("public, max-age={n:06}, immutable");
    let mut write = |n| {
        let mut out = Vec::new();
        encoder.field(b"cache-control", value(n).as_bytes(), Keep::Index, &mut out);
        out
    };
    for n in 0..10 {
        assert!(write(n).len() > 1, "{n}");
    }
    for n in 0..10 {
        assert_eq!(write(n), [0xbe + 9 - n as u8]);
    }
}

/// The table as the RFC describes it.
#[derive(Default)]
struct Model(VecDeque<Pair>);

impl Model {
    fn insert(&mut self, pair: Pair, limit: usize) {
        self.0.push_front(pair);
        self.fit(limit);
    }

    fn fit(&mut self, limit: usize) {
        while self.0.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>() > limit {
            self.0.pop_back();
        }
    }
}

fn keep() -> impl Strategy<Value = Keep> {
    prop_oneof![4 => Just(Keep::Index), 2 => Just(Keep::Once), 1 => Just(Keep::Never)]
}

/// Names and values that come again, and some that do not.
fn field() -> impl Strategy<Value = (Pair, Keep)> {
    let known = (1..62_usize).prop_map(|place| static_table::get(place).unwrap().0.to_vec());
    let few = "x-[a-d]{1,2}".prop_map(String::into_bytes);
    let any_name = prop::collection::vec(any::<u8>(), 0..20);
    let name = prop_oneof![3 => known, 3 => few, 1 => any_name];
    let again = "[ab]{0,2}|gzip, deflate|/|GET|200".prop_map(String::into_bytes);
    let text = "[ -~]{0,100}".prop_map(String::into_bytes);
    let any_bytes = prop::collection::vec(any::<u8>(), 0..300);
    let large = (0_u8.., 1_000..5_000_usize).prop_map(|(byte, length)| vec![byte; length]);
    let value = prop_oneof![6 => again, 3 => text, 2 => any_bytes, 1 => large];
    ((name, value), keep())
}

/// Sizes that the peer tells, and then a block's fields.
type Block = (Vec<u32>, Vec<(Pair, Keep)>);

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let size = prop_oneof![Just(0), 0..200_u32, 200..5_000_u32, Just(4096)];
    let sizes = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(size, 1..4)];
    prop::collection::vec((sizes, prop::collection::vec(field(), 0..12)), 1..15)
}

proptest! {
    #[test]
    fn what_is_written_is_read(blocks in blocks()) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
        for (sizes, fields) in blocks {
            for size in sizes {
                encoder.set_table_size(size);
            }
            let mut block = Vec::new();
            encoder.begin(&mut block);
            for ((name, value), how) in &fields {
                encoder.field(name, value, *how, &mut block);
            }
            let expected: Vec<Pair> = fields.iter().map(|(pair, _)| pair.clone()).collect();
            prop_assert_eq!(read(&mut decoder, &block), Ok(expected));
            prop_assert_eq!(decoder.table.size(), encoder.table.size());
            prop_assert!(encoder.table.size() <= encoder.table.limit());
            prop_assert!(encoder.table.capacity().max(decoder.table.capacity()) <= 2 * 4096);
        }
    }

    #[test]
    fn the_huffman_code_goes_both_ways(text in prop::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
        let mut code = Vec::new();
        huffman::encode(&text, huffman::length(&text), &mut code);
        prop_assert_eq!(code.len(), huffman::length(&text));
        let mut decoded = vec![7; 3];
        let length = huffman::decode(&code, &mut decoded).unwrap();
        prop_assert_eq!(&decoded[..length], &text[..]);
        // A part of it is the beginning of the text, or nothing.
        if let Ok(length) = huffman::decode(&code[..cut.min(code.len())], &mut decoded) {
            prop_assert!(text.starts_with(&decoded[..length]));
        }
    }

    #[test]
    fn the_huffman_code_is_read_bit_by_bit_alike(code in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff)], 0..40)) {
        let mut decoded = Vec::new();
        let fast = huffman::decode(&code, &mut decoded).map(|length| decoded[..length].to_vec());
        prop_assert_eq!(fast, bit_by_bit(&code));
    }

    #[test]
    fn a_table_does_what_its_model_does(
        steps in prop::collection::vec((0..40_usize, 0..120_usize, any::<u8>(), 0..8_u8), 1..150),
    ) {
        let (mut table, mut model, mut limit) = (dynamic_table::DynamicTable::new(600, 600), Model::default(), 600);
        for (name, value, byte, what) in steps {
            let (named, value) = (vec![byte; name], vec![!byte; value]);
            match what {
                0 => {
                    limit = name * 15;
                    table.resize(limit);
                    model.fit(limit);
                }
                1..4 if name < model.0.len() => {
                    table.insert_named_as(name, &value, byte);
                    let named = model.0[name].0.clone();
                    model.insert((named, value), limit);
                }
                _ => {
                    table.insert(&named, &value, byte);
                    model.insert((named, value), limit);
                }
            }
            for (age, (name, value)) in model.0.iter().enumerate() {
                let (its_name, its_value, _) = table.get(age).unwrap();
                prop_assert_eq!((its_name, its_value), (&name[..], &value[..]));
            }
            prop_assert!(table.get(model.0.len()).is_none());
            prop_assert!(table.capacity() <= 1200);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_within_bounds(
        blocks in prop::collection::vec(prop::collection::vec(line(), 0..30), 1..8),
        most in prop_oneof![Just(0), Just(100), Just(4096), Just(70_000)],
    ) {
        let mut decoder = Decoder::new(most);
        for block in blocks {
            let block = block.concat();
            let mut count = 0;
            let longest = (block.len() * 8 / 5).max(most).max(64);
            let read = decoder.decode(&block, |field| {
                count += 1;
                assert!(field.name.len().max(field.value.len()) <= longest);
            });
            prop_assert!(count <= block.len());
            prop_assert!(decoder.table.size() <= most);
            prop_assert!(decoder.table.capacity() <= 2 * most);
            if read.is_err() {
                break;
            }
        }
    }
}

/// Lines of a block as they may be, and any bytes at all.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let indexed = (0x80..0xc4_u8).prop_map(|b| vec![b]);
    let literal = (prop_oneof![Just(0x41), Just(0x7e), Just(0x01), Just(0x1f)], any::<bool>(), 0..60_u8)
        .prop_map(|(first, is_huffman, length)| {
            let head = [first, length | u8::from(is_huffman) << 7];
            [&head[..], &vec![0x1f; length.into()]].concat()
        });
    prop_oneof![4 => indexed, 4 => literal, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

/// The code read as the RFC describes it.
fn bit_by_bit(code: &[u8]) -> Result<Vec<u8>, Error> {
    let (mut text, mut held) = (Vec::new(), String::new());
    for bit in code.iter().flat_map(|b| (0..8).rev().map(move |n| b >> n & 1)) {
        held.push(if bit == 1 { '1' } else { '0' });
        if let Some(symbol) = SYMBOLS.get(&held) {
            text.push(*symbol);
            held.clear();
        }
    }
    if held.len() < 8 && !held.contains('0') { Ok(text) } else { Err(Error::Huffman) }
}

/// Each symbol by its code's digits.
static SYMBOLS: LazyLock<HashMap<String, u8>> = LazyLock::new(|| {
    let by_code = |symbol: u8| {
        let mut code = Vec::new();
        huffman::encode(&[symbol], huffman::length(&[symbol]), &mut code);
        let mut bits: String = code.iter().map(|b| format!("{b:08b}")).collect();
        bits.truncate(huffman::LENGTHS[usize::from(symbol)].into());
        (bits, symbol)
    };
    (0..=255).map(by_code).collect()
});
