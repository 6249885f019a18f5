//! How Memcached speaks: its [meta commands](https://github.com/memcached/memcached/blob/master/doc/protocol.txt), which
//! 1.6 has. One `mg` reads, touches and tells the number for a compare-and-swap (the classic `gats` with one answer).

use super::{Parsed, Reply, line, value};

/// `mg`: the value, its CAS number, and a new time to live of so many seconds.
pub(in crate::demo) fn get(key: &str, seconds: u64) -> Vec<u8> {
    format!("mg {key} v c T{seconds}\r\n").into_bytes()
}

/// `ms` with flags: `T60` to live, `C7` only over that number, `ME` only if there is none.
pub(in crate::demo) fn set(key: &str, value: &[u8], flags: &str) -> Vec<u8> {
    let mut out = format!("ms {key} {} {flags}\r\n", value.len()).into_bytes();
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    out
}

/// Reads the reply at the beginning of `bytes`.
pub(in crate::demo) fn parse(bytes: &[u8]) -> Parsed {
    let (text, taken) = match line(bytes) {
        Ok(Some(line)) => line,
        Ok(None) => return Parsed::Part,
        Err(()) => return Parsed::Broken,
    };
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "EN" => Parsed::Whole(Reply::Nil, taken),
        "HD" | "NS" | "EX" | "NF" => Parsed::Whole(Reply::Word(word.to_owned()), taken),
        "ERROR" | "CLIENT_ERROR" | "SERVER_ERROR" => Parsed::Whole(Reply::Error(text.to_owned()), taken),
        "VA" => {
            let (len, flags) = rest.split_once(' ').unwrap_or((rest, ""));
            let Ok(len) = len.parse() else { return Parsed::Broken };
            match value(bytes.get(taken..).unwrap_or_default(), len) {
                Ok(Some(value)) => Parsed::Whole(Reply::Value(value, flags.to_owned()), taken + len + 2),
                Ok(None) => Parsed::Part,
                Err(()) => Parsed::Broken,
            }
        }
        _ => Parsed::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_once_they_are_whole() {
        for (text, expected) in [
            ("EN\r\n", Reply::Nil),
            ("HD\r\n", Reply::Word("HD".into())),
            ("EX c7\r\n", Reply::Word("EX".into())),
            ("VA 4 c12\r\na\r\nb\r\n", Reply::Value("a\r\nb".into(), "c12".into())),
            ("VA 0\r\n\r\n", Reply::Value(vec![], String::new())),
            ("SERVER_ERROR out of memory\r\n", Reply::Error("SERVER_ERROR out of memory".into())),
        ] {
            let longer = format!("{text}HD\r\n");
            assert_eq!(parse(longer.as_bytes()), Parsed::Whole(expected, text.len()), "{text:?}");
            for cut in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..cut]), Parsed::Part, "{text:?} cut at {cut}");
            }
        }
        for text in ["STORED\r\n", "VA\r\n", "VA x\r\n", "VA 1 c1\r\nabc", "VA 9999999 c1\r\n", "\r\n"] {
            assert_eq!(parse(text.as_bytes()), Parsed::Broken, "{text:?}");
        }
    }

    #[test]
    fn commands_are_as_the_protocol_has_them() {
        assert_eq!(get("k", 60), b"mg k v c T60\r\n");
        assert_eq!(set("k", b"ab", "T60 ME"), b"ms k 2 T60 ME\r\nab\r\n");
    }
}
