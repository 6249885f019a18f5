use proptest::prelude::*;

use super::*;

/// A version 2 header: command, kind, block.
fn v2(command: u8, kind: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [V2, &[command, kind], &length, block].concat()
}

fn ends(source: &str, destination: &str) -> Option<Carried> {
    Some(Carried { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

fn v4_block() -> Vec<u8> {
    vec![192, 0, 2, 7, 10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb]
}

/// The verdict, the same at every cut that decides it.
fn verdict(bytes: &[u8]) -> Result<Option<ProxyHeader>, Malformed> {
    let whole = parse(bytes);
    for cut in 0..bytes.len() {
        let early = parse(&bytes[..cut]);
        assert!(early == Ok(None) || early == whole, "{bytes:?} cut at {cut}: {early:?}, then {whole:?}");
    }
    let more = [bytes, b"GET / HTTP/1.1\r\n"].concat();
    assert!(whole == Ok(None) || parse(&more) == whole, "{bytes:?} and more");
    whole
}

#[test]
fn headers_of_version_1_are_read() {
    let table = [
        ("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n", ends("192.0.2.7:56324", "10.0.0.1:443")),
        ("PROXY TCP6 2001:db8::7 ::1 1 65535\r\n", ends("[2001:db8::7]:1", "[::1]:65535")),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 0 1\r\n", ends("192.0.2.7:0", "[::1]:1")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 whatever\r\n", None),
    ];
    for (text, carried) in table {
        assert_eq!(verdict(text.as_bytes()), Ok(Some(ProxyHeader { len: text.len(), carried })), "{text:?}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MOST - 16));
    assert_eq!(verdict(longest.as_bytes()), Ok(Some(ProxyHeader { len: V1_MOST, carried: None })));
}

#[test]
fn what_is_no_header_of_version_1_is_refused() {
    let long = format!("PROXY UNKNOWN {}", "x".repeat(V1_MOST - 15));
    for text in [
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
        " PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "\r\nPROXY UNKNOWN\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.07 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWN\rX",
        "PROXY TCP4 192.0.2.7\t10.0.0.1 1 2\r\n",
        long.as_str(),
    ] {
        assert_eq!(verdict(text.as_bytes()), Err(Malformed), "{text:?}");
    }
    assert_eq!(verdict(b"PROXY TCP4 \xff 10.0.0.1 1 2\r\n"), Err(Malformed));
}

#[test]
fn headers_of_version_2_are_read() {
    let v4 = ends("192.0.2.7:56324", "10.0.0.1:443");
    let tlvs = [v4_block(), vec![4, 0, 0, 1, 0, 2, b'h', b'2']].concat();
    let most = [v4_block(), vec![4, 0x0f, 0xf1], vec![0; 0xff1]].concat();
    let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
    let mapped: Ipv6Addr = "::ffff:10.0.0.1".parse().unwrap();
    let v6 = [&source.octets()[..], &mapped.octets(), &[0, 1, 0, 80]].concat();
    let table = [
        (v2(0x21, 0x11, &v4_block()), v4),
        (v2(0x21, 0x12, &v4_block()), v4),
        (v2(0x21, 0x11, &tlvs), v4),
        (v2(0x21, 0x11, &most), v4),
        (v2(0x21, 0x21, &v6), ends("[2001:db8::7]:1", "10.0.0.1:80")),
        (v2(0x21, 0x31, &[b'x'; 216]), None),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x21, 0x00, b"whatever"), None),
        (v2(0x21, 0x10, &v4_block()), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &v4_block()), None),
        (v2(0x20, 0xff, b"not looked at"), None),
    ];
    for (bytes, carried) in table {
        assert_eq!(verdict(&bytes), Ok(Some(ProxyHeader { len: bytes.len(), carried })), "{bytes:?}");
    }
    assert_eq!(most.len(), V2_MOST);
}

#[test]
fn what_is_no_header_of_version_2_is_refused() {
    let with = |tail: &[u8]| [v4_block(), tail.to_vec()].concat();
    for bytes in [
        v2(0x11, 0x11, &v4_block()),
        v2(0x31, 0x11, &v4_block()),
        v2(0x22, 0x11, &v4_block()),
        v2(0x21, 0x13, &v4_block()),
        v2(0x21, 0x41, &v4_block()),
        v2(0x21, 0x03, &[]),
        v2(0x21, 0x11, &v4_block()[..11]),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x31, &[0; 215]),
        v2(0x21, 0x11, &with(&[4])),
        v2(0x21, 0x11, &with(&[4, 0])),
        v2(0x21, 0x11, &with(&[4, 0, 1])),
        v2(0x21, 0x11, &with(&[4, 0xff, 0xff, 0])),
        v2(0x20, 0x00, &[0; V2_MOST + 1]),
        [b"\r\n\r\n\0\r\nQUIT\r", &v4_block()[..]].concat(),
    ] {
        assert_eq!(verdict(&bytes), Err(Malformed), "{bytes:?}");
    }
}

#[test]
fn the_start_of_a_header_waits_for_the_rest() {
    for bytes in [b"".as_slice(), b"P", b"PROXY", b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r", b"\r", V2] {
        assert_eq!(verdict(bytes), Ok(None), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_come_to_one_verdict_in_any_pieces(
        start in prop::sample::select(vec![b"".to_vec(), V1.to_vec(), V2.to_vec(), v2(0x21, 0x11, &[]), v2(0x21, 0x21, &[])]),
        keep in 0_usize..17,
        rest in prop::collection::vec(any::<u8>(), 0..160),
    ) {
        let bytes = [start.get(..keep.min(start.len())).unwrap(), &rest].concat();
        let _ = verdict(&bytes);
    }

    #[test]
    fn every_address_of_version_1_reads_as_itself(source: SocketAddr, destination: SocketAddr) {
        prop_assume!(source.is_ipv4() == destination.is_ipv4());
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (s, d) = (source, destination);
        let text = format!("PROXY {family} {} {} {} {}\r\n", s.ip(), d.ip(), s.port(), d.port());
        let plain = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
        let carried = Some(Carried { source: plain(source), destination: plain(destination) });
        prop_assert_eq!(verdict(text.as_bytes()), Ok(Some(ProxyHeader { len: text.len(), carried })));
    }
}
