//! Addresses as the file writes them: where we listen, where backends are, hosts of routes.
//!
//! Errors are the rest of a sentence that begins with the value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::base::address::Address;
use crate::net::listen::ListenAddress;
use crate::route::HostPattern;

/// Longest path of a Unix socket, in bytes. (Linux: sun_path is 108 with its end)
const LONGEST_SOCKET: usize = 107;

/// `127.0.0.1:8080`, `[::1]:8080`, `:8080` (both families) or `unix:/run/homing.sock`. Port 0 is any free port.
pub(super) fn listen(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path).map(ListenAddress::Unix);
    }
    let (host, port) = host_and_port(text, "127.0.0.1:8080")?;
    if host.is_empty() {
        let address = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        return Ok(ListenAddress::Tcp { address, both_families: true });
    }
    if host == "*" {
        return Err(format!("must be \":{port}\" for every address of both families"));
    }
    let Some(ip) = ip(host) else {
        return Err(format!("must be an IP address and a port, as in \"127.0.0.1:{port}\" or \":{port}\""));
    };
    Ok(ListenAddress::Tcp { address: SocketAddr::new(ip, port), both_families: false })
}

/// `10.0.0.7:8080`, `[::1]:8080`, `app.internal:8080` or `unix:/run/app.sock`.
pub(super) fn backend(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path).map(Address::Unix);
    }
    let (host, port) = host_and_port(text, "10.0.0.7:8080")?;
    if port == 0 {
        return Err("must have a port between 1 and 65535".to_owned());
    }
    if let Some(ip) = ip(host) {
        return Ok(Address::Socket(SocketAddr::new(ip, port)));
    }
    if host.is_empty() {
        return Err(format!("needs a host, as in \"127.0.0.1:{port}\""));
    }
    if !is_host_name(host) {
        return Err(format!("host \"{host}\" must be an IP address or a host name"));
    }
    Ok(Address::Name { host: host.to_ascii_lowercase().into(), port })
}

/// `shop.example.com`, `*.example.com`, `192.0.2.7` or `[2001:db8::1]`.
pub(super) fn host_pattern(text: &str) -> Result<HostPattern, String> {
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("must be a host alone: drop the scheme, as in \"{}\"", before_slash(rest)));
    }
    if text.contains('/') {
        return Err(format!(
            "must be a host alone, as in \"{}\"; path = is a key of its own",
            before_slash(text)
        ));
    }
    if text == "*" {
        return Err("must be a host or \"*.example.com\"; leave host out for every host".to_owned());
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if let Some(v6) = name.strip_prefix('[') {
        return match v6.strip_suffix(']').map(str::parse::<Ipv6Addr>) {
            Some(Ok(_)) => Ok(HostPattern::Exact(name)),
            _ => Err("must be an IPv6 address in brackets and no port, as in \"[2001:db8::1]\"".to_owned()),
        };
    }
    if let Some((host, _)) = name.split_once(':') {
        return Err(format!(
            "must have no port, as in \"{host}\": a route is for every port of its listener"
        ));
    }
    if !text.is_ascii() {
        return Err("must be ASCII: write international names as browsers send them (xn--..)".to_owned());
    }
    let suffix = name.strip_prefix('*');
    if !is_host_name(suffix.map_or(name.as_str(), |s| s.strip_prefix('.').unwrap_or(""))) {
        return Err("must be a host name, as in \"shop.example.com\" or \"*.example.com\"".to_owned());
    }
    Ok(match suffix {
        Some(suffix) => HostPattern::Under(suffix.to_owned()),
        None => HostPattern::Exact(name),
    })
}

fn socket_path(path: &str) -> Result<PathBuf, String> {
    if !Path::new(path).is_absolute() {
        return Err("must be an absolute path, as in \"unix:/run/app.sock\"".to_owned());
    }
    if path.len() > LONGEST_SOCKET || path.contains('\0') {
        return Err(format!("must be a path of at most {LONGEST_SOCKET} bytes"));
    }
    Ok(PathBuf::from(path))
}

/// The host, brackets removed, and the port.
fn host_and_port<'t>(text: &'t str, example: &str) -> Result<(&'t str, u16), String> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let tls = if scheme == "https" { "TLS is not spoken here; " } else { "" };
        return Err(format!("{tls}drop the scheme, as in \"{}\"", before_slash(rest)));
    }
    let no_port = || format!("has no port, as in \"{example}\"");
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']').ok_or("has no \"]\" after the IPv6 address")?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err(format!("\"{host}\" must be an IPv6 address"));
            }
            (host, rest.strip_prefix(':').ok_or_else(no_port)?)
        }
        None if text.parse::<Ipv6Addr>().is_ok() => {
            return Err(format!(
                "an IPv6 address stands in brackets before its port, as in \"[{text}]:8080\""
            ));
        }
        None => text.rsplit_once(':').ok_or_else(no_port)?,
    };
    if host.contains(':') && !text.starts_with('[') {
        return Err("an IPv6 address stands in brackets before its port, as in \"[::1]:8080\"".to_owned());
    }
    if port.contains('/') {
        return Err(format!("must be an address without a path, as in \"{}\"", before_slash(text)));
    }
    match port.parse() {
        Ok(number) if port.bytes().all(|b| b.is_ascii_digit()) => Ok((host, number)),
        _ => Err(format!("port \"{port}\" must be a number between 1 and 65535")),
    }
}

fn before_slash(text: &str) -> &str {
    text.split('/').next().unwrap_or(text)
}

fn ip(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

/// Letters, digits, `-` and `_` in parts of at most 63; not what looks like an IPv4 address and is none.
fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let last_is_number = name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    let is_ip = name.parse::<Ipv4Addr>().is_ok();
    name.len() <= 253 && name.split('.').all(is_label) && (is_ip || !last_is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::fmt::Debug>(result: Result<T, String>, text: &str, part: &str) {
        let error = result.unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }

    #[test]
    fn listen_addresses_are_read_and_shown_alike() {
        for text in
            [":8080", "127.0.0.1:8080", "0.0.0.0:80", "[::]:8080", "127.0.0.1:0", "unix:/run/homing.sock"]
        {
            assert_eq!(listen(text).unwrap().to_string(), text);
        }
        let both = ListenAddress::Tcp { address: "[::]:8080".parse().unwrap(), both_families: true };
        assert_eq!(listen(":8080"), Ok(both));
    }

    #[test]
    fn backend_addresses_are_read_and_shown_alike() {
        for text in
            ["10.0.0.7:8080", "[2001:db8::1]:80", "app-1.internal:8080", "localhost:1", "unix:/run/a.sock"]
        {
            assert_eq!(backend(text).unwrap().to_string(), text);
        }
        assert!(matches!(backend("localhost:80"), Ok(Address::Name { port: 80, .. })));
        assert!(matches!(backend("10.0.0.7:80"), Ok(Address::Socket(_))));
    }

    #[test]
    fn what_is_no_address_says_what_would_be() {
        let table = [
            ("8080", "has no port"),
            ("127.0.0.1", "has no port, as in"),
            ("http://127.0.0.1:8080/x", "drop the scheme, as in \"127.0.0.1:8080\""),
            ("https://a:1", "TLS is not spoken here"),
            ("127.0.0.1:http", "port \"http\""),
            ("127.0.0.1:65536", "between 1 and 65535"),
            ("127.0.0.1:+80", "port \"+80\""),
            ("127.0.0.1:", "port \"\""),
            ("::1", "as in \"[::1]:8080\""),
            ("1:2::3:80:x", "in brackets"),
            ("[::1]", "has no port"),
            ("[::1", "has no \"]\""),
            ("[a]:80", "must be an IPv6 address"),
            ("unix:run/x", "absolute"),
            ("127.0.0.1:80/app", "without a path, as in \"127.0.0.1:80\""),
        ];
        for (text, part) in table {
            check(listen(text), text, part);
            check(backend(text), text, part);
        }
        check(listen("localhost:80"), "", "must be an IP address and a port, as in \"127.0.0.1:80\"");
        check(listen("*:80"), "", "must be \":80\"");
        check(backend(":80"), "", "needs a host");
        check(backend("10.0.0.256:80"), "", "must be an IP address or a host name");
        check(backend("a b:80"), "", "must be an IP address or a host name");
        check(backend("a:0"), "", "between 1 and 65535");
    }

    #[test]
    fn hosts_are_read_in_lower_case() {
        let exact = |h: &str| Ok(HostPattern::Exact(h.to_owned()));
        assert_eq!(host_pattern("Shop.Example.com."), exact("shop.example.com"));
        assert_eq!(host_pattern("192.0.2.7"), exact("192.0.2.7"));
        assert_eq!(host_pattern("[2001:DB8::1]"), exact("[2001:db8::1]"));
        assert_eq!(host_pattern("*.Example.com"), Ok(HostPattern::Under(".example.com".to_owned())));
    }

    #[test]
    fn what_is_no_host_says_what_would_be() {
        let table = [
            ("", "must be a host name"),
            ("*", "leave host out"),
            ("*.", "must be a host name"),
            ("*example.com", "must be a host name"),
            ("a.*.com", "must be a host name"),
            ("a..b", "must be a host name"),
            ("http://a.com/", "drop the scheme, as in \"a.com\""),
            ("a.com:8080", "must have no port, as in \"a.com\""),
            ("a.com/x", "as in \"a.com\""),
            ("[::1]:80", "in brackets and no port"),
            ("k\u{e4}se.de", "xn--"),
        ];
        for (text, part) in table {
            check(host_pattern(text), text, part);
        }
    }
}
