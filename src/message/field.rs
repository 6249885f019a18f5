//! The field names that matter to a proxy, told apart by length first.

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
    /// `X-Forwarded-Proto`, `-Host`, `-Port` and `-Server`
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
    /// `X-Homing-Affinity`: homing's own
    HomingAffinity,
    /// Any other name
    Other,
}

impl Name {
    /// Which name this is; ASCII case does not matter.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let n = name.as_bytes();
        let is = |known: &[u8], then: Self| if n.eq_ignore_ascii_case(known) { then } else { Self::Other };
        match n.len() {
            2 => is(b"te", Self::Te),
            3 => is(b"via", Self::Via),
            4 => match n[0] | 0x20 {
                b'h' => is(b"host", Self::Host),
                b'd' => is(b"date", Self::Date),
                _ => Self::Other,
            },
            6 => match n[0] | 0x20 {
                b'a' => is(b"accept", Self::Accept),
                b'c' => is(b"cookie", Self::Cookie),
                b'e' => is(b"expect", Self::Expect),
                _ => Self::Other,
            },
            7 => match n[0] | 0x20 {
                b'u' => is(b"upgrade", Self::Upgrade),
                b't' => is(b"trailer", Self::Trailer),
                b'r' => is(b"referer", Self::Referer),
                _ => Self::Other,
            },
            9 => match n[0] | 0x20 {
                b'f' => is(b"forwarded", Self::Forwarded),
                b'x' => is(b"x-real-ip", Self::RealIp),
                _ => Self::Other,
            },
            10 => match n[0] | 0x20 {
                b'c' => is(b"connection", Self::Connection),
                b'u' => is(b"user-agent", Self::UserAgent),
                b'k' => is(b"keep-alive", Self::KeepAlive),
                b's' => is(b"set-cookie", Self::SetCookie),
                _ => Self::Other,
            },
            12 => match n[0] | 0x20 {
                b'm' => is(b"max-forwards", Self::MaxForwards),
                b'x' => is(b"x-request-id", Self::RequestId),
                _ => Self::Other,
            },
            13 => match n[0] | 0x20 {
                b'a' => is(b"authorization", Self::Authorization),
                b'c' => is(b"cache-control", Self::CacheControl),
                _ => Self::Other,
            },
            14 => match n[0] | 0x20 {
                b'c' => is(b"content-length", Self::ContentLength),
                b'h' => is(b"http2-settings", Self::Http2Settings),
                _ => Self::Other,
            },
            15 => is(b"x-forwarded-for", Self::ForwardedFor),
            16 => match n[0] | 0x20 {
                b'p' => is(b"proxy-connection", Self::ProxyConnection),
                b'x' if n.eq_ignore_ascii_case(b"x-forwarded-host") => Self::ForwardedOther,
                b'x' => is(b"x-forwarded-port", Self::ForwardedOther),
                _ => Self::Other,
            },
            17 => match n[0] | 0x20 {
                b't' => is(b"transfer-encoding", Self::TransferEncoding),
                _ if n.eq_ignore_ascii_case(b"x-homing-affinity") => Self::HomingAffinity,
                _ => is(b"x-forwarded-proto", Self::ForwardedOther),
            },
            18 => match n[0] | 0x20 {
                b'p' => is(b"proxy-authenticate", Self::ProxyAuthenticate),
                _ => is(b"x-forwarded-server", Self::ForwardedOther),
            },
            19 => is(b"proxy-authorization", Self::ProxyAuthorization),
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
                | Self::HomingAffinity
        )
    }
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

/// Whether an application could read this name as one that only a proxy may set: an underscore or a dot where
/// `X-Forwarded-For` has a hyphen, and any underscore at all. (nginx: underscores_in_headers; CVE-2026-88011)
#[must_use]
pub fn is_alias(name: &str) -> bool {
    let n = name.as_bytes();
    if memchr::memchr(b'_', n).is_some() {
        return true;
    }
    if n.len() < 9 || memchr::memchr(b'.', n).is_none() {
        return false;
    }
    let lower: Vec<u8> = n.iter().map(|&b| if b == b'.' { b'-' } else { b.to_ascii_lowercase() }).collect();
    matches!(
        Name::of(std::str::from_utf8(&lower).unwrap_or_default()),
        Name::ForwardedFor | Name::ForwardedOther | Name::RealIp | Name::RequestId
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("Hos", Name::Other),
            ("Hosts", Name::Other),
            ("x-forwarded-fox", Name::Other),
            ("", Name::Other),
        ];
        for (text, name) in table {
            assert_eq!(Name::of(text), name, "{text}");
        }
    }

    #[test]
    fn aliases_of_trusted_names_are_seen() {
        for alias in ["x_forwarded_for", "X.Forwarded.For", "x-forwarded.for", "X_Real-IP", "a_b"] {
            assert!(is_alias(alias), "{alias}");
        }
        for plain in ["x-forwarded-for", "accept", "x.y", "etag", "sec-ch-ua.platform"] {
            assert!(!is_alias(plain), "{plain}");
        }
    }
}
