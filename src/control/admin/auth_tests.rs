use super::*;

const HERE: Origin = Origin::Tcp(SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000));

fn there() -> Origin {
    Origin::Tcp("10.0.0.9:5000".parse().unwrap())
}

fn token() -> Token {
    Token::parse("0123456789abcdef").unwrap()
}

/// What comes of a request with these fields, separated by newlines.
fn asked(access: Access, origin: Origin, fields: &str, token: Option<&Token>) -> Result<String, Denied> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.lines().filter_map(|line| line.trim().split_once(": ")) {
        headers.append(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    admit(access, origin, &Uri::from_static("/api/v1/reload"), &headers, token)
}

#[test]
fn reading_is_for_this_machine_and_for_the_token() {
    let token = token();
    let right = "Authorization: Bearer 0123456789abcdef";
    for (origin, fields, token, expected) in [
        (HERE, "", None, Ok(())),
        (HERE, "", Some(&token), Ok(())),
        (Origin::Unix, "", Some(&token), Ok(())),
        (there(), "", None, Ok(())),
        (there(), "", Some(&token), Err(Denied::NoToken)),
        (there(), right, Some(&token), Ok(())),
        (there(), "Authorization: bearer 0123456789abcdef", Some(&token), Ok(())),
        (there(), "Authorization: Basic 0123456789abcdef", Some(&token), Err(Denied::NoToken)),
        (there(), "Authorization: Bearer 0123456789abcdeF", Some(&token), Err(Denied::WrongToken)),
        (there(), "Authorization: Bearer ", Some(&token), Err(Denied::NoToken)),
        (there(), &format!("{right}\n{right}"), Some(&token), Err(Denied::NoToken)),
        (HERE, "X-Forwarded-For: 192.0.2.1", Some(&token), Err(Denied::NoToken)),
        (HERE, "Via: 1.1 front", Some(&token), Err(Denied::NoToken)),
    ] {
        assert_eq!(asked(Access::Read, origin, fields, token).map(|_| ()), expected, "{origin} {fields}");
    }
}

#[test]
fn a_change_needs_its_mark_and_this_machine_or_the_token() {
    let token = token();
    let right = "Authorization: Bearer 0123456789abcdef";
    for (origin, fields, token, expected) in [
        (HERE, "Host: localhost", None, Err(Denied::NotMarked)),
        (HERE, "Host: localhost\nX-Homing: 0", None, Err(Denied::NotMarked)),
        (there(), right, Some(&token), Err(Denied::NotMarked)),
        (HERE, "X-Homing: 1\nHost: localhost", None, Ok(())),
        (HERE, "X-Homing: 1\nHost: LOCALHOST:9900", None, Ok(())),
        (HERE, "X-Homing: 1\nHost: 127.0.0.1:9900", None, Ok(())),
        (HERE, "X-Homing: 1\nHost: 127.8.0.1", None, Ok(())),
        (HERE, "X-Homing: 1\nHost: [::1]:9900", None, Ok(())),
        (HERE, "X-Homing: 1\nHost: [::ffff:127.0.0.1]", None, Ok(())),
        (HERE, "X-Homing: 1\nHost: localhost", Some(&token), Ok(())),
        (Origin::Unix, "X-Homing: 1\nHost: localhost", None, Ok(())),
        (Origin::Unix, "X-Homing: 1\nHost: evil.example", None, Err(Denied::NotHere)),
        (HERE, "X-Homing: 1", None, Err(Denied::NotHere)),
        (HERE, "X-Homing: 1\nHost: evil.example", None, Err(Denied::NotHere)),
        (HERE, "X-Homing: 1\nHost: localhost.evil.example", None, Err(Denied::NotHere)),
        (HERE, "X-Homing: 1\nHost: localhost@evil.example", None, Err(Denied::NotHere)),
        (HERE, "X-Homing: 1\nHost: localhost\nHost: localhost", None, Err(Denied::NotHere)),
        (HERE, "X-Homing: 1\nHost: 128.0.0.1", None, Err(Denied::NotHere)),
        (HERE, "X-Homing: 1\nHost: localhost\nX-Forwarded-For: 127.0.0.1", None, Err(Denied::NotHere)),
        (HERE, "X-Homing: 1\nHost: evil.example", Some(&token), Err(Denied::NoToken)),
        (there(), "X-Homing: 1\nHost: localhost", None, Err(Denied::NotHere)),
        (there(), "X-Homing: 1\nHost: localhost", Some(&token), Err(Denied::NoToken)),
        (there(), &format!("X-Homing: 1\n{right}"), None, Err(Denied::NotHere)),
        (there(), &format!("X-Homing: 1\n{right}"), Some(&token), Ok(())),
        (there(), &format!("X-Homing: 1\n{right}0"), Some(&token), Err(Denied::WrongToken)),
    ] {
        assert_eq!(asked(Access::Change, origin, fields, token).map(|_| ()), expected, "{origin} {fields}");
    }
}

#[test]
fn the_audit_says_who_and_not_the_token() {
    let (token, fields) = (token(), "X-Homing: 1\nAuthorization: Bearer 0123456789abcdef");
    let who = asked(Access::Change, there(), fields, Some(&token)).unwrap();
    assert_eq!(who, "10.0.0.9:5000 with the token");
}

#[test]
fn a_target_in_the_absolute_form_must_be_loopback_too() {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, "localhost".parse().unwrap());
    assert!(is_loopback(&Uri::from_static("http://127.0.0.1:9900/x"), &headers));
    assert!(!is_loopback(&Uri::from_static("http://evil.example/x"), &headers));
}
