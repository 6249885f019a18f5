use super::*;
use crate::message::head::{self, Search, find_end};
use proptest::collection::vec;
use proptest::prelude::*;

/// What heads are made of here: what is right, what is nearly right, and what is at a border.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b": ",
    b":",
    b" ",
    b"\t",
    b"GET",
    b"/",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"200",
    b"99",
    b"Host: a\r\n",
    b"X-Some: value\t with blanks \t\r\n",
    b"Cookie: a=0123456789abcdef0123456789abcdef; b=0123456789abcdef0123456789abcdef0\r\n",
    b"\x00",
    b"\x1f",
    b"\x20\x21\x7e",
    b"\x7f",
    b"\x80",
    b"\xc3\xa9",
    b"\xff",
    b"@",
    b"a_b",
    b"#?",
];

type Parts = (Vec<String>, Vec<(Vec<u8>, Vec<u8>)>);

fn ours(fields: &[Field<'_>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|f| (f.name.to_owned(), f.value.to_vec())).collect()
}

fn theirs(fields: &[httparse::Header<'_>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|f| (f.name.as_bytes().to_vec(), f.value.to_vec())).collect()
}

fn our_request(bytes: &[u8]) -> Option<Parts> {
    let mut room = head::room();
    let head = head::parse_request(bytes, &mut room).ok()?;
    let line = vec![head.method.to_owned(), head.target.to_owned(), format!("{:?}", head.version)];
    Some((line, ours(head.fields)))
}

fn their_request(bytes: &[u8]) -> Option<Parts> {
    let mut room = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut room);
    let is_whole = head.parse(bytes) == Ok(httparse::Status::Complete(bytes.len()));
    let (method, target) = (head.method?, head.path?);
    // homing takes no other bytes into a target.
    if !is_whole || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let line = vec![method.to_owned(), target.to_owned(), format!("Http1{}", head.version?)];
    Some((line, theirs(head.headers)))
}

fn our_response(bytes: &[u8]) -> Option<Parts> {
    let mut room = head::room();
    let head = head::parse_response(bytes, &mut room).ok()?;
    let line = vec![format!("{:?}", head.version), head.status.to_string(), head.reason.to_owned()];
    Some((line, ours(head.fields)))
}

fn their_response(bytes: &[u8]) -> Option<Parts> {
    let mut room = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut room);
    let is_whole = head.parse(bytes) == Ok(httparse::Status::Complete(bytes.len()));
    let status = head.code.filter(|status| *status >= 100);
    // homing takes no blank line before an answer.
    if !is_whole || !bytes.starts_with(b"HTTP") {
        return None;
    }
    let line = vec![format!("Http1{}", head.version?), status?.to_string(), head.reason?.to_owned()];
    Some((line, theirs(head.headers)))
}

fn heads() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => Just(b"GET /path?query HTTP/1.1\r\n".to_vec()),
        4 => Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        1 => Just(b"HTTP/1.0 404\r\n".to_vec()),
        1 => Just(Vec::new()),
    ];
    let pieces = vec(proptest::sample::select(PIECES), 0..12);
    (line, pieces, any::<bool>()).prop_map(|(mut head, pieces, ends)| {
        pieces.iter().for_each(|piece| head.extend_from_slice(piece));
        head.extend_from_slice(if ends { b"\r\n\r\n" } else { b"\n\n" });
        head
    })
}

/// The head at the front of `bytes`, by a look at each line.
fn plain_end(bytes: &[u8], bare_lf: bool) -> Result<Option<usize>, Fault> {
    let (mut at, mut is_first) = (0, true);
    for line in bytes.split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n")) {
        at += line.len();
        if !bare_lf && !line.ends_with(b"\r\n") {
            return Err(Fault::LineEnd);
        }
        if !is_first && matches!(line, b"\n" | b"\r\n") {
            return Ok(Some(at));
        }
        is_first = false;
    }
    Ok(None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn heads_are_read_as_httparse_reads_them(bytes in heads()) {
        if let Ok(Some(end)) = find_end(&bytes, &mut Search::new(true)) {
            prop_assert_eq!(our_request(&bytes[..end]), their_request(&bytes[..end]));
            prop_assert_eq!(our_response(&bytes[..end]), their_response(&bytes[..end]));
        }
    }

    #[test]
    fn values_end_at_the_first_control_byte_wherever_it_stands(
        bytes in vec(prop_oneof![9 => b' '..=b'~', 1 => any::<u8>()], 0..100), at in 0_usize..8,
    ) {
        let is_control = |b: &u8| b.is_ascii_control() && *b != b'\t';
        let at = at.min(bytes.len());
        let expected = bytes[at..].iter().position(is_control).map_or(bytes.len(), |i| at + i);
        prop_assert_eq!(value_end(&bytes, at), expected);
        let expected = bytes[at..].iter().position(|b| !b.is_ascii_graphic()).map_or(bytes.len(), |i| at + i);
        prop_assert_eq!(graphic_end(&bytes, at), expected);
    }

    #[test]
    fn a_head_ends_at_its_first_blank_line_in_whatever_pieces_it_comes(
        bytes in heads(), cuts in vec(0_usize..400, 0..4), bare_lf: bool,
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut search = Search::new(bare_lf);
        let mut found = Ok(None);
        for cut in cuts {
            let has_line = bytes[..cut].contains(&b'\n');
            found = find_end(&bytes[..cut], &mut search);
            if found != Ok(None) {
                break;
            }
            prop_assert_eq!(search.in_first_line(), !has_line);
        }
        prop_assert_eq!(found, plain_end(&bytes, bare_lf));
    }
}
