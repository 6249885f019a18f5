//! Connections to the stores: one each, on which the requests of a backend follow each other without waiting.
//!
//! [`link`] is the connection, its deadlines and how it comes back; [`resp`] and [`meta`] are how Redis and Memcached
//! speak. Five commands are needed of them, so that this is smaller than a library for all of them.

pub(super) mod link;
pub(super) mod meta;
pub(super) mod resp;

pub(super) use link::Link;

/// Why a store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the session store cannot be reached")]
    Connect,
    #[error("the session store did not answer in time")]
    Timeout,
    #[error("the session store went away while it was asked")]
    Closed,
    #[error("the session store said what nobody understands")]
    Protocol,
    #[error("the session store refused: {0}")]
    Refused(String),
    #[error("too much is asked of the session store at once")]
    Busy,
}

impl Fault {
    /// A word for programs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Refused(_) => "refused",
            Self::Busy => "busy",
        }
    }
}

/// What a store answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nothing of that name.
    Nil,
    /// A word: `OK`, `HD`, `EX`.
    Word(String),
    Number(i64),
    /// A value, and the flags that came with it (Memcached).
    Value(Vec<u8>, String),
    List(Vec<Self>),
    /// The store's own word on what is wrong.
    Error(String),
}

/// Whether a whole reply was there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// It, and how many bytes it took.
    Whole(Reply, usize),
    /// More has to come.
    Part,
    /// This is not how such a store speaks.
    Broken,
}

/// Bytes of one value. A session is far from it.
const VALUE_LIMIT: usize = 1 << 20;

/// Bytes of a line.
const LINE_LIMIT: usize = 4096;

/// The line at the beginning of `bytes`, and how many bytes it took; `Err` if none can begin like that.
fn line(bytes: &[u8]) -> Result<Option<(&str, usize)>, ()> {
    match memchr::memchr(b'\n', bytes.get(..LINE_LIMIT).unwrap_or(bytes)) {
        Some(end) => {
            let line = bytes.get(..end).and_then(|l| l.strip_suffix(b"\r")).ok_or(())?;
            Ok(Some((std::str::from_utf8(line).map_err(|_| ())?, end + 1)))
        }
        None if bytes.len() < LINE_LIMIT => Ok(None),
        None => Err(()),
    }
}

/// The `len` bytes at the beginning of `bytes`, which CR and LF follow.
fn value(bytes: &[u8], len: usize) -> Result<Option<Vec<u8>>, ()> {
    if len > VALUE_LIMIT {
        return Err(());
    }
    let Some(whole) = bytes.get(..len + 2) else { return Ok(None) };
    whole.strip_suffix(b"\r\n").map(|value| Some(value.to_vec())).ok_or(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes as stores send them, more or less.
    fn said() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "$",
                "*",
                "+",
                "-",
                ":",
                "-1",
                "0",
                "1",
                "2",
                "5",
                "\r\n",
                "\r",
                "\n",
                "VA ",
                "HD",
                "EN",
                " c7",
                "ERROR",
                "a",
                "999999999999999999999",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..3),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_reply_is_whole_at_one_length_and_no_bytes_are_too_strange(bytes in said()) {
            for parse in [resp::parse, meta::parse] {
                if let Parsed::Whole(reply, taken) = parse(&bytes) {
                    prop_assert!((1..=bytes.len()).contains(&taken));
                    prop_assert_eq!(parse(&bytes[..taken]), Parsed::Whole(reply, taken));
                    for cut in 0..taken {
                        prop_assert_eq!(parse(&bytes[..cut]), Parsed::Part);
                    }
                }
            }
        }
    }
}
