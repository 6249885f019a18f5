//! The field names that matter to a proxy, told apart by a hash of their length and three of their letters.

/// How the names of a whole family begin: what a proxy tells of its client.
const FORWARDED: &[u8] = b"x-forwarded-";

/// A field name that homing acts on; everything else is [`Name::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `Host`
    Host,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Connection`
    Connection,
    /// `Keep-Alive`
    KeepAlive,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Proxy-Authenticate`
    ProxyAuthenticate,
    /// `Proxy-Authorization`
    ProxyAuthorization,
    /// `TE`
    Te,
    /// `Trailer`
    Trailer,
    /// `Upgrade`
    Upgrade,
    /// `HTTP2-Settings`
    Http2Settings,
    /// `Expect`
    Expect,
    /// `Cookie`
    Cookie,
    /// `Set-Cookie`
    SetCookie,
    /// `Cache-Control`
    CacheControl,
    /// `X-Forwarded-For`
    ForwardedFor,
    /// `X-Forwarded-Proto`, `-Host` and whatever else begins so
    ForwardedOther,
    /// `X-Real-IP`
    RealIp,
    /// `Forwarded` (RFC 7239)
    Forwarded,
    /// `Via`
    Via,
    /// `Max-Forwards`
    MaxForwards,
    /// `X-Request-Id`
    RequestId,
    /// `User-Agent`
    UserAgent,
    /// `Referer`
    Referer,
    /// `Date`
    Date,
    /// `Authorization`
    Authorization,
    /// `Accept`
    Accept,
    /// `X-Client-Cert-Subject` and `X-Client-Cert-Verify`: who a client's certificate is of
    ClientCert,
    /// `X-Homing-Affinity`: homing's own
    HomingAffinity,
    /// `Homing-Session`: between homing and its backends
    HomingSession,
    /// Any other name
    Other,
}

impl Name {
    /// Which name this is; ASCII case does not matter.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self::of_bytes(name.as_bytes())
    }

    /// The same, of bytes that are known to be a name.
    #[must_use]
    pub fn of_bytes(n: &[u8]) -> Self {
        let [first, ..] = n else { return Self::Other };
        if first | 0x20 == b'x' && n.get(..FORWARDED.len()).is_some_and(|start| is_same(start, FORWARDED)) {
            return if is_same(n, b"x-forwarded-for") { Self::ForwardedFor } else { Self::ForwardedOther };
        }
        match KNOWN.get(usize::from(PLACES[slot(n)])) {
            Some((known, name)) if is_same(n, known) => *name,
            _ => Self::Other,
        }
    }

    /// Whether a `Connection` field may not nominate this name for removal: framing, identity, and what homing
    /// itself vouches for. (RFC 9110 section 7.6.1; CVE-2022-31813 and its kin)
    #[must_use]
    pub const fn resists_nomination(self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::ContentLength
                | Self::TransferEncoding
                | Self::Cookie
                | Self::SetCookie
                | Self::CacheControl
                | Self::Authorization
                | Self::ForwardedFor
                | Self::ForwardedOther
                | Self::RealIp
                | Self::Forwarded
                | Self::Via
                | Self::RequestId
                | Self::ClientCert
                | Self::HomingAffinity
                | Self::HomingSession
        )
    }
}

/// The names, but for those of the family.
const KNOWN: [(&[u8], Name); 31] = [
    (b"", Name::Other),
    (b"host", Name::Host),
    (b"content-length", Name::ContentLength),
    (b"transfer-encoding", Name::TransferEncoding),
    (b"connection", Name::Connection),
    (b"keep-alive", Name::KeepAlive),
    (b"proxy-connection", Name::ProxyConnection),
    (b"proxy-authenticate", Name::ProxyAuthenticate),
    (b"proxy-authorization", Name::ProxyAuthorization),
    (b"te", Name::Te),
    (b"trailer", Name::Trailer),
    (b"upgrade", Name::Upgrade),
    (b"http2-settings", Name::Http2Settings),
    (b"expect", Name::Expect),
    (b"cookie", Name::Cookie),
    (b"set-cookie", Name::SetCookie),
    (b"cache-control", Name::CacheControl),
    (b"x-real-ip", Name::RealIp),
    (b"forwarded", Name::Forwarded),
    (b"via", Name::Via),
    (b"max-forwards", Name::MaxForwards),
    (b"x-request-id", Name::RequestId),
    (b"user-agent", Name::UserAgent),
    (b"referer", Name::Referer),
    (b"date", Name::Date),
    (b"authorization", Name::Authorization),
    (b"accept", Name::Accept),
    (b"x-client-cert-subject", Name::ClientCert),
    (b"x-client-cert-verify", Name::ClientCert),
    (b"x-homing-affinity", Name::HomingAffinity),
    (b"homing-session", Name::HomingSession),
];

const SLOTS: usize = 64;
/// Makes the slots of all names differ. It was found by trying.
const FACTOR: u32 = 0x0592_1acb;

/// Which name each slot has.
static PLACES: [u8; SLOTS] = {
    let mut places = [0; SLOTS];
    let mut place = 1;
    while place < KNOWN.len() {
        let at = slot(KNOWN[place].0);
        assert!(places[at] == 0, "two names in one slot");
        places[at] = place as u8;
        place += 1;
    }
    places
};

/// From a name's length and three of its letters, in any case.
const fn slot(name: &[u8]) -> usize {
    let (first, middle, last) = (name[0], name[name.len() / 2], name[name.len() - 1]);
    let key = u32::from_le_bytes([first | 0x20, middle | 0x20, last | 0x20, name.len() as u8]);
    (key.wrapping_mul(FACTOR) >> (32 - SLOTS.trailing_zeros())) as usize
}

/// Whether a name is one that is given in lower case, in any case. Of the bytes that a name may have, those of the known
/// ones differ from no other by the bit of the case alone.
#[inline(always)]
fn is_same(name: &[u8], known: &[u8]) -> bool {
    const CASES: u64 = u64::from_ne_bytes([0x20; 8]);
    if name.len() != known.len() {
        return false;
    }
    match (words(name), words(known)) {
        (Some([a, b]), Some([c, d])) if name.len() <= 16 => ((a | CASES) == c) & ((b | CASES) == d),
        _ => name.eq_ignore_ascii_case(known),
    }
}

/// The first and the last eight bytes, which are all of a text of 8 to 16 bytes; or four, of one of 4 to 7.
#[inline(always)]
fn words(text: &[u8]) -> Option<[u64; 2]> {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return Some([u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)]);
    }
    let half = |four: &[u8; 4]| u64::from(u32::from_ne_bytes(*four)) | 0x2020_2020 << 32;
    Some([half(text.first_chunk()?), half(text.last_chunk()?)])
}

/// The elements of a comma-separated list, trimmed, empty ones left out. Quotes are not looked at: the lists read
/// with it (`Connection`, `TE`, `Upgrade`) are of tokens.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|e| !e.is_empty())
}

/// Whether `b` may stand in a token (RFC 9110 section 5.6.2).
#[must_use]
pub const fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What becomes of a request's field whose name has an underscore. Applications that turn `-` into `_` cannot tell it
/// from the one with a hyphen. (nginx: underscores_in_headers, off)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// It is left out.
    #[default]
    Drop,
    /// It goes on, unless it [is an alias](is_alias).
    Pass,
    /// The request is refused.
    Refuse,
}

/// Whether an underscore is in this name.
#[must_use]
pub fn has_underscore(name: &[u8]) -> bool {
    memchr::memchr(b'_', name).is_some()
}

/// Whether an application could read this name as one that homing acts on or vouches for: with `.` or `_`, in any mix,
/// where that one has a hyphen. No such field goes on, whatever the listener says of underscores. (CVE-2026-88011)
#[must_use]
pub fn is_alias(name: &[u8]) -> bool {
    if memchr::memchr2(b'_', b'.', name).is_none() {
        return false;
    }
    let read = |b: &u8| if matches!(b, b'_' | b'.') { b'-' } else { *b };
    Name::of_bytes(&name.iter().map(read).collect::<Vec<_>>()) != Name::Other
}

/// Whether a field of this name may follow a body. Framing, routing, identity, conditions, ranges, how the body is to
/// be read and for how long it is good are settled before a body is looked at, and cookies with them. (RFC 9110
/// section 6.5.1; RFC 9530 sends `Content-Digest` behind the body that it is of)
#[must_use]
pub fn may_trail(name: &str) -> bool {
    const NEVER: &[&str] = &[
        "accept-ranges",
        "age",
        "allow",
        "authentication-info",
        "clear-site-data",
        "expires",
        "location",
        "origin",
        "pragma",
        "range",
        "refresh",
        "retry-after",
        "strict-transport-security",
        "vary",
        "warning",
        "www-authenticate",
    ];
    const NEVER_BEGINNING: &[&str] = &["access-control-", "content-", "if-", "proxy-", "sec-"];
    let begins = |start: &&str| name.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start));
    Name::of(name) == Name::Other
        && !has_underscore(name.as_bytes())
        && !is_alias(name.as_bytes())
        && !NEVER.iter().any(|n| name.eq_ignore_ascii_case(n))
        && (name.eq_ignore_ascii_case("content-digest") || !NEVER_BEGINNING.iter().any(begins))
}

/// 1*DIGIT as a number; the largest one where it is larger.
#[must_use]
pub fn number(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let add = |n: u64, d: &u8| n.saturating_mul(10).saturating_add(u64::from(d - b'0'));
    is_number.then(|| value.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_none_that_is_nearly_one() {
        for (text, name) in KNOWN.into_iter().skip(1) {
            assert_eq!(Name::of_bytes(text), name);
            assert_eq!(Name::of_bytes(&text.to_ascii_uppercase()), name);
            for (at, was) in text.iter().enumerate() {
                let others = (0..=u8::MAX).filter(|b| is_token_byte(*b) && !b.eq_ignore_ascii_case(was));
                for byte in others {
                    let mut other = text.to_vec();
                    other[at] = byte;
                    assert_eq!(Name::of_bytes(&other), Name::Other, "{}", other.escape_ascii());
                }
            }
            assert_eq!(Name::of_bytes(&text[1..]), Name::Other);
            assert_eq!(Name::of_bytes(&[text, b"s"].concat()), Name::Other);
        }
    }

    #[test]
    fn names_are_known_in_any_case_and_no_prefix_is() {
        let table = [
            ("Host", Name::Host),
            ("cOnTeNt-LeNgTh", Name::ContentLength),
            ("Transfer-Encoding", Name::TransferEncoding),
            ("X-Forwarded-For", Name::ForwardedFor),
            ("x-forwarded-proto", Name::ForwardedOther),
            ("X-Forwarded-Host", Name::ForwardedOther),
            ("X-Forwarded-Port", Name::ForwardedOther),
            ("x-forwarded-server", Name::ForwardedOther),
            ("HTTP2-Settings", Name::Http2Settings),
            ("Proxy-Connection", Name::ProxyConnection),
            ("Proxy-Authenticate", Name::ProxyAuthenticate),
            ("X-Homing-Affinity", Name::HomingAffinity),
            ("X-Client-Cert-Verify", Name::ClientCert),
            ("X-Client-Cert-Subject", Name::ClientCert),
            ("Homing-Session", Name::HomingSession),
            ("Homing-Sessiom", Name::Other),
            ("X-Forwarded-Prefix", Name::ForwardedOther),
            ("X-Forwarded-", Name::ForwardedOther),
            ("X-Forwarded", Name::Other),
            ("Hos", Name::Other),
            ("Hosts", Name::Other),
            ("x-forwarded-fox", Name::ForwardedOther),
            ("", Name::Other),
        ];
        for (text, name) in table {
            assert_eq!(Name::of(text), name, "{text}");
        }
    }

    #[test]
    fn aliases_of_trusted_names_are_seen() {
        for alias in [
            "x_forwarded_for",
            "X.Forwarded.For",
            "x-forwarded.for",
            "x_forwarded.for",
            "X_Real-IP",
            "x.real_ip",
            "X_Request_Id",
            "content_length",
            "Transfer.Encoding",
            "x.forwarded-tls_client.cert",
            "set_cookie",
        ] {
            assert!(is_alias(alias.as_bytes()), "{alias}");
        }
        for plain in ["x-forwarded-for", "accept", "x.y", "a_b", "etag", "sec-ch-ua.platform"] {
            assert!(!is_alias(plain.as_bytes()), "{plain}");
        }
    }

    #[test]
    fn only_what_says_nothing_of_the_message_itself_may_trail() {
        for name in ["X-Checksum", "ETag", "Digest", "Server-Timing", "grpc-status", "Content-Digest"] {
            assert!(may_trail(name), "{name}");
        }
        for name in [
            "Host",
            "content-length",
            "Content-Type",
            "Content-Range",
            "Transfer-Encoding",
            "Trailer",
            "TE",
            "Authorization",
            "Proxy-Foo",
            "WWW-Authenticate",
            "Cookie",
            "Set-Cookie",
            "X-Forwarded-For",
            "Forwarded",
            "Range",
            "If-Match",
            "Max-Forwards",
            "Cache-Control",
            "Vary",
            "a_b",
            "x.forwarded.for",
        ] {
            assert!(!may_trail(name), "{name}");
        }
    }

    #[test]
    fn numbers_are_digits_alone() {
        let table: [(&[u8], _); 7] = [
            (b"0", Some(0)),
            (b"007", Some(7)),
            (b"99999999999999999999", Some(u64::MAX)),
            (b"", None),
            (b"+1", None),
            (b"-1", None),
            (b"1 ", None),
        ];
        for (text, expected) in table {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }
}
