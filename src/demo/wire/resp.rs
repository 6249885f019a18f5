//! How Redis speaks: [RESP2](https://redis.io/docs/latest/develop/reference/protocol-spec/).

use super::{Parsed, Reply, line, value};

/// Replies in a list, and lists in a list: more than our commands are answered with.
const LIST_LIMIT: usize = 64;
const DEPTH_LIMIT: usize = 2;

/// A command as it is sent.
pub(in crate::demo) fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Reads the reply at the beginning of `bytes`.
pub(in crate::demo) fn parse(bytes: &[u8]) -> Parsed {
    nested(bytes, 0)
}

fn nested(bytes: &[u8], depth: usize) -> Parsed {
    let (text, mut taken) = match line(bytes) {
        Ok(Some(line)) => line,
        Ok(None) => return Parsed::Part,
        Err(()) => return Parsed::Broken,
    };
    let (Some(kind), Some(rest)) = (text.chars().next(), text.get(1..)) else { return Parsed::Broken };
    let number = rest.parse::<i64>();
    let reply = match (kind, number) {
        ('+', _) => Reply::Word(rest.to_owned()),
        ('-', _) => Reply::Error(rest.to_owned()),
        (':', Ok(number)) => Reply::Number(number),
        ('$' | '*', Ok(-1)) => Reply::Nil,
        ('$', Ok(len)) => {
            let Ok(len) = usize::try_from(len) else { return Parsed::Broken };
            match value(bytes.get(taken..).unwrap_or_default(), len) {
                Ok(Some(value)) => {
                    taken += len + 2;
                    Reply::Value(value, String::new())
                }
                Ok(None) => return Parsed::Part,
                Err(()) => return Parsed::Broken,
            }
        }
        ('*', Ok(len)) => {
            let len = usize::try_from(len).ok().filter(|&len| len <= LIST_LIMIT && depth < DEPTH_LIMIT);
            let Some(len) = len else { return Parsed::Broken };
            let mut list = Vec::with_capacity(len);
            for _ in 0..len {
                match nested(bytes.get(taken..).unwrap_or_default(), depth + 1) {
                    Parsed::Whole(reply, bytes) => {
                        taken += bytes;
                        list.push(reply);
                    }
                    other => return other,
                }
            }
            Reply::List(list)
        }
        _ => return Parsed::Broken,
    };
    Parsed::Whole(reply, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_once_they_are_whole() {
        let value = |text: &str| Reply::Value(text.into(), String::new());
        for (text, expected) in [
            ("+OK\r\n", Reply::Word("OK".into())),
            ("-ERR no\r\n", Reply::Error("ERR no".into())),
            (":-7\r\n", Reply::Number(-7)),
            ("$-1\r\n", Reply::Nil),
            ("$5\r\na\r\nb!\r\n", value("a\r\nb!")),
            ("*3\r\n$1\r\nx\r\n$-1\r\n:1\r\n", Reply::List(vec![value("x"), Reply::Nil, Reply::Number(1)])),
        ] {
            let longer = format!("{text}+next\r\n");
            assert_eq!(parse(longer.as_bytes()), Parsed::Whole(expected, text.len()), "{text:?}");
            for cut in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..cut]), Parsed::Part, "{text:?} cut at {cut}");
            }
        }
        for text in
            ["?\r\n", "\r\n", "$x\r\n", "$-2\r\n", "$9999999\r\n", "$1\r\nabc", "*65\r\n", "+a\n", ":\r\n"]
        {
            assert_eq!(parse(text.as_bytes()), Parsed::Broken, "{text:?}");
        }
        assert_eq!(parse("*1\r\n".repeat(3).as_bytes()), Parsed::Broken, "lists in lists in lists");
        assert_eq!(parse(&[b'x'; 5000]), Parsed::Broken, "a line without an end");
    }

    #[test]
    fn a_command_says_its_lengths() {
        assert_eq!(command(&[b"GET", b"a\r\nb"]), b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    }
}
