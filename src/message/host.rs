//! Authorities: what may stand in `Host` and in an absolute target (RFC 9112 section 3.2, RFC 3986 section 3.2.2).

/// Whether `authority` is a valid `uri-host [ ":" port ]`: no userinfo, no list, nothing that two readers could
/// take for two hosts. An empty host is not valid here.
#[must_use]
pub fn is_valid(authority: &[u8]) -> bool {
    if authority.len() > 255 + 6 {
        return false;
    }
    let (host, port) = match authority {
        [b'[', rest @ ..] => match rest.iter().position(|&b| b == b']') {
            None => return false,
            Some(end) => {
                let literal = &rest[..end];
                if !is_ip_literal(literal) {
                    return false;
                }
                match &rest[end + 1..] {
                    [] => return true,
                    [b':', port @ ..] => (&b"x"[..], port),
                    _ => return false,
                }
            }
        },
        // One pass finds the end of the name, and that only a port can follow it.
        _ => match authority.iter().position(|&b| !REG_NAME[usize::from(b)]) {
            None => (authority, &b""[..]),
            Some(end) if authority[end] == b':' => (&authority[..end], &authority[end + 1..]),
            Some(_) => return false,
        },
    };
    !host.is_empty() && port.len() <= 5 && is_port(port) && is_name_or_plain_v4(host)
}

/// A host whose last label is a number is an IPv4 address to many readers, in octal and hexadecimal too: only the
/// dotted decimal form is one here.
fn is_name_or_plain_v4(host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let last = host.rsplit(|&b| b == b'.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.iter().all(u8::is_ascii_digit)
        || last.get(..2).is_some_and(|x| x.eq_ignore_ascii_case(b"0x"));
    !is_number || std::str::from_utf8(host).is_ok_and(|text| text.parse::<std::net::Ipv4Addr>().is_ok())
}

/// The host without its port. `authority` is valid.
#[must_use]
pub fn without_port(authority: &str) -> &str {
    match memchr::memrchr(b':', authority.as_bytes()) {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    }
}

fn is_port(port: &[u8]) -> bool {
    port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0')) <= u32::from(u16::MAX)
}

fn is_ip_literal(literal: &[u8]) -> bool {
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// unreserved and sub-delims, without the comma (which joins two Host lines into one) and without percent (behind
/// which anything can hide).
const REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0_u8;
    while b < 0x80 {
        table[b as usize] = is_reg_name_byte(b);
        b += 1;
    }
    table
};

const fn is_reg_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in
            ["a", "a.example.com", "a:80", "a:", "[::1]", "[2001:db8::1]:8080", "127.0.0.1:1", "x_y.z"]
        {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "u@a",
            "a:b",
            "a:80:80",
            "a:99999",
            "[::1",
            "[::1]x",
            "[x]",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a:+80",
            "%31.0.0.1",
            "a%20b",
            "%61",
            "017700000001",
            "0x7f.1",
            "127.01.0.1",
            "1.2.3",
            "256.1.1.1",
            "a\u{e9}",
            "::1",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn ports_come_off() {
        for (with, without) in
            [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a:", "a")]
        {
            assert_eq!(without_port(with), without);
        }
    }
}
