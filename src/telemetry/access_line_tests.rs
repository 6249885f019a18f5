use serde_json::Value;

use super::*;

fn entry() -> Entry<'static> {
    Entry {
        ts_ms: 1_795_429_230_007,
        id: b"01h",
        client_ip: b"203.0.113.9",
        peer_ip: b"10.0.0.1",
        listener: "web",
        method: b"GET",
        host: b"shop.example.com",
        path: b"/cart",
        query: Some(b"a=1&b=2"),
        proto: "HTTP/1.1",
        tls: None,
        sni: None,
        status: 200,
        bytes_in: 0,
        bytes_out: 5_120,
        dur: 12_034,
        route: Some("shop.example.com/"),
        pool: Some("app"),
        backend: Some("a"),
        backend_addr: Some("10.0.0.7:8080"),
        tries: 1,
        t_wait: Some(250_100),
        t_connect: None,
        t_first_byte: Some(999),
        conn_reused: true,
        affinity: "hit",
        reason: "pinned",
        end: "ok",
        ua: Some(b"curl/8"),
        referer: None,
    }
}

fn line(format: Format, entry: &Entry<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Formatter::new(format).line(entry, &mut out);
    out
}

fn json(entry: &Entry<'_>) -> Value {
    let line = line(Format::Json, entry);
    assert_eq!(line.iter().filter(|&&b| b == b'\n').count(), 1);
    serde_json::from_slice(&line).unwrap()
}

#[test]
fn a_json_line_in_full() {
    let expected = concat!(
        r#"{"ts":"2026-11-23T10:20:30.007Z","id":"01h","client_ip":"203.0.113.9","peer_ip":"10.0.0.1","#,
        r#""listener":"web","method":"GET","host":"shop.example.com","path":"/cart","query":"a=1&b=2","#,
        r#""proto":"HTTP/1.1","status":200,"bytes_in":0,"bytes_out":5120,"dur_ms":12.034,"#,
        r#""tries":1,"t_wait_ms":250.100,"t_first_byte_ms":0.999,"conn_reused":true,"backend":"a","#,
        r#""backend_addr":"10.0.0.7:8080","affinity":"hit","affinity_reason":"pinned","end":"ok","#,
        r#""route":"shop.example.com/","pool":"app","ua":"curl/8"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(line(Format::Json, &entry())).unwrap(), expected);
}

#[test]
fn a_combined_line_in_full() {
    let expected = "203.0.113.9 - - [23/Nov/2026:10:20:30 +0000] \"GET /cart?a=1&b=2 HTTP/1.1\" 200 5120 \"-\" \
                    \"curl/8\"\n";
    assert_eq!(String::from_utf8(line(Format::Combined, &entry())).unwrap(), expected);
}

#[test]
fn a_request_without_a_backend_says_nothing_of_one() {
    let refused = Entry { route: None, pool: None, backend: None, query: None, ua: None, ..entry() };
    let value = json(&refused);
    for key in ["route", "pool", "backend", "backend_addr", "tries", "conn_reused", "query", "ua"] {
        assert!(value.get(key).is_none(), "{key}");
    }
}

#[test]
fn any_bytes_make_a_valid_json_string_that_means_them() {
    let every: Vec<u8> = (0..0x80).collect();
    assert_eq!(json(&Entry { path: &every, ..entry() })["path"].as_str().unwrap().as_bytes(), every);
    for valid in ["", "a", "ünï", "\"", "0123456789abcde\"", "0123456789abcdef\\", "01234567\n", "\u{10ffff}"]
    {
        assert_eq!(json(&Entry { path: valid.as_bytes(), ..entry() })["path"], valid);
    }
    let table: [(&[u8], &str); 4] = [
        (b"\xff", "\u{fffd}"),
        (b"a\xc3", "a\u{fffd}"),
        (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        (b"0123456789abcdef\x80z", "0123456789abcdef\u{fffd}z"),
    ];
    for (bytes, text) in table {
        assert_eq!(json(&Entry { ua: Some(bytes), ..entry() })["ua"], text);
    }
}

#[test]
fn combined_escapes_as_nginx_does() {
    let odd = Entry { path: b"/\"\\\x7f\x80~ \n", query: None, ua: Some(b""), ..entry() };
    let line = String::from_utf8(line(Format::Combined, &odd)).unwrap();
    assert!(line.contains(r#""GET /\x22\x5C\x7F\x80~ \x0A HTTP/1.1" 200 5120 "-" "-""#), "{line}");
}

#[test]
fn the_stamp_follows_the_second() {
    let mut formatter = Formatter::new(Format::Json);
    let mut stamp = |ts_ms| {
        formatter.at(ts_ms);
        String::from_utf8(formatter.stamp.clone()).unwrap()
    };
    for (ts, expected) in [
        (0, "1970-01-01T00:00:00"),
        (951_782_399_999, "2000-02-28T23:59:59"),
        (951_782_400_000, "2000-02-29T00:00:00"),
        (1_709_251_200_000, "2024-03-01T00:00:00"),
        (4_107_542_399_000, "2100-02-28T23:59:59"),
        (4_107_542_400_000, "2100-03-01T00:00:00"),
    ] {
        assert_eq!(stamp(ts), expected);
    }
}

#[test]
fn dropped_lines_are_said_in_the_format() {
    let said = |format| {
        let mut out = Vec::new();
        Formatter::new(format).dropped(7, 1_795_429_230_007, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(said(Format::Json), "{\"ts\":\"2026-11-23T10:20:30.007Z\",\"dropped\":7}\n");
    assert_eq!(
        said(Format::Combined),
        "- - - [23/Nov/2026:10:20:30 +0000] \"-\" 0 0 \"-\" \"homing dropped 7 lines\"\n"
    );
}
