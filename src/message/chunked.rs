//! The chunked coding, decoded strictly and in place (RFC 9112 section 7.1).
//!
//! Sizes are 1 to 16 hexadecimal digits; every line ends in CRLF; extensions are dropped, at most 16 KiB of them per
//! body and without bare CR or LF; trailers are handed out line by line, at most 16 KiB. What is decoded is encoded
//! anew by whoever sends it on: chunk framing never passes through.

/// Extension bytes, and trailer bytes, that one body may carry.
const EXTRA: u32 = 16 * 1024;

/// Where a chunked body's decoder stands between two reads.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Bytes left of the present chunk's data; while reading the size, the size so far.
    left: u64,
    digits: u8,
    extra: u32,
    trailers: u32,
}

/// What [`Decoder::next`] found at the front of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Skip this many bytes of framing, then ask again.
    Skip(usize),
    /// Skip the first number of bytes of framing; the second number of bytes after them are data.
    Data(usize, usize),
    /// This many bytes are a trailer line with its CRLF; skip them.
    Trailer(usize),
    /// The body ended with this many bytes of framing.
    End(usize),
    /// Nothing to do without more bytes.
    More,
}

/// The coding was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Ended,
}

/// Where in `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// Behind blanks that only a semicolon may follow.
    Blank,
    /// Before a name.
    BeforeName,
    /// In a name.
    Name,
    /// Behind a name and blanks.
    AfterName,
    /// Before a value.
    BeforeValue,
    /// In a token that is a value.
    Value,
    /// In a quoted string.
    Quoted,
    /// Behind a backslash in it.
    Escaped,
    /// Behind a quoted string.
    AfterQuoted,
}

impl Extension {
    /// The state after `b`; `None` if the extensions end here with a CR.
    fn next(self, b: u8) -> Result<Option<Self>, Malformed> {
        let is_blank = b == b' ' || b == b'\t';
        let is_token = super::field::is_token_byte(b);
        Ok(Some(match (self, b) {
            (Self::Name | Self::Value | Self::AfterQuoted, b'\r') => return Ok(None),
            (Self::Quoted, b'"') => Self::AfterQuoted,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, b'\t' | b' '..=b'~' | 0x80..) => Self::Quoted,
            (Self::BeforeValue, b'"') => Self::Quoted,
            (Self::Name | Self::AfterName, b'=') => Self::BeforeValue,
            (Self::Blank | Self::Name | Self::AfterName | Self::Value | Self::AfterQuoted, b';') => {
                Self::BeforeName
            }
            (Self::Blank | Self::Value | Self::AfterQuoted, _) if is_blank => Self::Blank,
            (Self::Name | Self::AfterName, _) if is_blank => Self::AfterName,
            (Self::BeforeName | Self::BeforeValue, _) if is_blank => self,
            (Self::BeforeName | Self::Name, _) if is_token => Self::Name,
            (Self::BeforeValue | Self::Value, _) if is_token => Self::Value,
            _ => return Err(Malformed),
        }))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Size, left: 0, digits: 0, extra: 0, trailers: 0 }
    }
}

impl Decoder {
    /// Whether the last chunk and the trailers were read.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Looks at the front of `input`, which holds all bytes not yet skipped or taken.
    ///
    /// # Errors
    /// The bytes are not the chunked coding, or pass a bound.
    pub fn next(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut at = 0;
        loop {
            let Some(&b) = input.get(at) else {
                return Ok(if at == 0 { Step::More } else { Step::Skip(at) });
            };
            match self.state {
                State::Size => self.size(b)?,
                State::Extension(within) => {
                    self.extra += 1;
                    if self.extra > EXTRA {
                        return Err(Malformed);
                    }
                    self.state = within.next(b)?.map_or(State::SizeLf, State::Extension);
                }
                State::SizeLf => {
                    if b != b'\n' {
                        return Err(Malformed);
                    }
                    self.digits = 0;
                    self.state = if self.left == 0 { State::Trailers } else { State::Data };
                }
                State::Data => {
                    let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                    self.left -= n as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step::Data(at, n));
                }
                State::DataCr | State::DataLf => {
                    let (want, then) = match self.state {
                        State::DataCr => (b'\r', State::DataLf),
                        _ => (b'\n', State::Size),
                    };
                    if b != want {
                        return Err(Malformed);
                    }
                    self.state = then;
                }
                State::Trailers if at > 0 => return Ok(Step::Skip(at)),
                State::Trailers => return self.trailer(input),
                State::Ended => return Ok(Step::End(0)),
            }
            at += 1;
        }
    }

    fn size(&mut self, b: u8) -> Result<(), Malformed> {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            b'\r' if self.digits > 0 => {
                self.state = State::SizeLf;
                return Ok(());
            }
            b';' if self.digits > 0 => {
                self.state = State::Extension(Extension::BeforeName);
                return Ok(());
            }
            b' ' | b'\t' if self.digits > 0 => {
                // Blanks before the semicolon are bad whitespace that RFC 9112 section 7.1.1 lets a sender make.
                self.state = State::Extension(Extension::Blank);
                return Ok(());
            }
            _ => return Err(Malformed),
        };
        self.digits += 1;
        if self.digits > 16 {
            return Err(Malformed);
        }
        if self.digits == 1 {
            self.left = 0;
        }
        self.left = self.left << 4 | u64::from(digit);
        if self.left > i64::MAX as u64 { Err(Malformed) } else { Ok(()) }
    }

    fn trailer(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let Some(lf) = memchr::memchr(b'\n', input) else {
            let so_far = u32::try_from(input.len()).unwrap_or(u32::MAX);
            return if self.trailers.saturating_add(so_far) > EXTRA {
                Err(Malformed)
            } else {
                Ok(Step::More)
            };
        };
        let line = &input[..=lf];
        self.trailers = self.trailers.saturating_add(u32::try_from(line.len()).unwrap_or(u32::MAX));
        match line.strip_suffix(b"\r\n") {
            None => Err(Malformed),
            Some([]) => {
                self.state = State::Ended;
                Ok(Step::End(line.len()))
            }
            Some(text) if self.trailers > EXTRA || !is_field_line(text) => Err(Malformed),
            Some(_) => Ok(Step::Trailer(line.len())),
        }
    }
}

/// Whether `line` is `name ":" value` with a token for a name and no control bytes in the value.
fn is_field_line(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|&b| b == b':') else { return false };
    let (name, value) = line.split_at(colon);
    !name.is_empty()
        && name.iter().all(|&b| super::field::is_token_byte(b))
        && value.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` handed over in pieces of `step` bytes: data, trailers, bytes left over.
    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, usize), Malformed> {
        let (mut decoder, mut data, mut trailers) = (Decoder::default(), Vec::new(), Vec::new());
        let (mut held, mut given) = (Vec::new(), 0);
        loop {
            match decoder.next(&held)? {
                Step::Skip(n) => drop(held.drain(..n)),
                Step::Data(skip, n) => {
                    data.extend_from_slice(&held[skip..skip + n]);
                    held.drain(..skip + n);
                }
                Step::Trailer(n) => trailers.extend(held.drain(..n)),
                Step::End(n) => return Ok((data, trailers, input.len() - given + held.len() - n)),
                Step::More if given == input.len() => return Ok((data, trailers, usize::MAX)),
                Step::More => {
                    let n = step.min(input.len() - given);
                    held.extend_from_slice(&input[given..given + n]);
                    given += n;
                }
            }
        }
    }

    /// Input, data, trailers, bytes left over.
    type Row = (&'static [u8], &'static [u8], &'static [u8], usize);

    #[test]
    fn well_formed_bodies_decode_however_they_arrive() {
        let table: [Row; 6] = [
            (b"0\r\n\r\n", b"", b"", 0),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"", 0),
            (b"5;a=b;c;d=\"e;\\\"\";f = g\r\nhello\r\n006\r\n world\r\n0\r\n\r\nGET", b"hello world", b"", 3),
            (b"A\r\n0123456789\r\na \t;x\r\n0123456789\r\n0;z\r\n\r\n", b"01234567890123456789", b"", 0),
            (b"1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", b"x", b"A: b\r\nC:\r\n", 0),
            (b"3\r\n\r\n\r\r\n0\r\n\r\n", b"\r\n\r", b"", 0),
        ];
        for (input, data, trailers, rest) in table {
            for step in 1..=input.len() {
                let decoded = decode(input, step);
                let text = String::from_utf8_lossy(input);
                assert_eq!(decoded, Ok((data.to_vec(), trailers.to_vec(), rest)), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long_extension = [b"1;".as_slice(), &vec![b'x'; 20_000], b"\r\n"].concat();
        let long_trailer = [b"0\r\na: ".as_slice(), &vec![b'x'; 20_000]].concat();
        let table: [&[u8]; 28] = [
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1\n",
            b"1\rx",
            b"1;\nx",
            b"1;a\rb\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\rX",
            b"8000000000000000\r\n",
            b"00000000000000001\r\n",
            b"1 \r\n",
            b"1;\r\n",
            b"1; ;a\r\n",
            b"1;a=\r\n",
            b"1;a b\r\n",
            b"1;a=\"b\r\n",
            b"0\r\n x: y\r\n\r\n",
            b"0\r\nbad name: y\r\n",
            b"0\r\n: y\r\n",
            b"0\r\na: \x00\r\n",
            b"0\r\na: b\n",
            &long_extension,
            &long_trailer,
        ];
        for input in table {
            for step in [1, 7, input.len()] {
                let text = String::from_utf8_lossy(&input[..input.len().min(40)]);
                assert_eq!(decode(input, step), Err(Malformed), "{text:?} by {step}");
            }
        }
    }
}
