//! What a request says about its sender: cookies, sites, a query's fields. Every byte of it is a stranger's.

use std::net::IpAddr;

use http::{HeaderMap, header};

/// The first value of the cookie `name`. An empty one counts as none.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter();
    // Bytes, not text: a neighbour's cookie in another encoding must not hide ours.
    let value = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b';')).find_map(|pair| {
        pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=").filter(|value| !value.is_empty())
    })?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Whether a browser says that a page of another site sent this (Fetch Metadata). `SameSite` keeps our cookies from
/// such a request; this keeps it from logging a visitor in as somebody else.
pub(super) fn is_from_another_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Whether the host that is asked for is this machine by its own name: no other name can be made to lead here.
pub(super) fn is_for_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The first value of the field `name` in `application/x-www-form-urlencoded` text (the rules of the
/// [URL standard](https://url.spec.whatwg.org/#urlencoded-parsing)): a form's body, or a query.
pub(super) fn field(encoded: &[u8], name: &str) -> Option<String> {
    encoded.split(|&byte| byte == b'&').find_map(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let (key, value) = (halves.next()?, halves.next().unwrap_or_default());
        (decode(key) == name).then(|| decode(value))
    })
}

fn decode(encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_cookie_is_found_among_its_neighbours() {
        let check = |line: &[u8], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_static("other=1"));
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
            assert_eq!(cookie(&headers, "s").as_deref(), expected, "{line:?}");
        };
        check(b"s=1", Some("1"));
        check(b"a=b; s=1; s=2", Some("1"));
        check(b"odd=\xff;s=1=", Some("1="));
        check(b"s=", None);
        check(b"xs=1; ss=2; s", None);
    }

    #[test]
    fn this_machine_is_known_by_its_own_names_alone() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("192.0.2.1", false),
            ("localhost.example", false),
            ("127.0.0.1.example:8080", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(is_for_loopback(&headers), expected, "{host}");
        }
    }

    #[test]
    fn a_field_is_decoded_once() {
        let check = |encoded: &[u8], expected: Option<&str>| {
            assert_eq!(field(encoded, "n").as_deref(), expected, "{encoded:?}");
        };
        check(b"n=ada", Some("ada"));
        check(b"x=1&n=Ada+Lovelace%21&n=no", Some("Ada Lovelace!"));
        check(b"%6E=%2541", Some("%41"));
        check(b"n=100%&m=%4", Some("100%"));
        check(b"n=%zz%c3%a9%ff", Some("%zz\u{e9}\u{fffd}"));
        check(b"n", Some(""));
        check(b"", None);
    }
}
