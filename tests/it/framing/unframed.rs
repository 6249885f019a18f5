//! Requests whose body two parsers could see end in two places, or whose expectation nobody can meet.

use super::{BOTH, is_refused};
use crate::harness::{backend, homing};

/// (fields of a POST, status, reason).
pub(super) const REFUSED: &[(&str, u16, &str)] = &[
    ("Content-Length: 1\r\nContent-Length: 2\r\n", 400, "content_length"),
    ("Content-Length: 0\r\ncontent-length: 1\r\n", 400, "content_length"),
    ("Content-Length: 1, 1\r\n", 400, "content_length"),
    ("Content-Length: 1,\r\n", 400, "content_length"),
    ("Content-Length: 1;a\r\n", 400, "content_length"),
    ("Content-Length: +1\r\n", 400, "content_length"),
    ("Content-Length: -1\r\n", 400, "content_length"),
    ("Content-Length: -0\r\n", 400, "content_length"),
    ("Content-Length: 0x1\r\n", 400, "content_length"),
    ("Content-Length: 1_0\r\n", 400, "content_length"),
    ("Content-Length: 1 0\r\n", 400, "content_length"),
    ("Content-Length: 1e1\r\n", 400, "content_length"),
    ("Content-Length: 1.0\r\n", 400, "content_length"),
    ("Content-Length: \"1\"\r\n", 400, "content_length"),
    ("Content-Length:\r\n", 400, "content_length"),
    ("Content-Length: 9223372036854775808\r\n", 400, "content_length"),
    ("Content-Length: 00000000000000000001\r\n", 400, "content_length"),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400, "length_and_coding"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400, "length_and_coding"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400, "length_and_coding"),
    ("Transfer-Encoding: identity\r\nContent-Length: 1\r\n", 400, "length_and_coding"),
    ("Transfer-Encoding:\r\nContent-Length: 1\r\n", 400, "length_and_coding"),
    ("Transfer-Encoding: gzip, chunked\r\n", 501, "transfer_coding"),
    ("Transfer-Encoding: identity, chunked\r\n", 501, "transfer_coding"),
    ("Transfer-Encoding: chunked, chunked\r\n", 501, "transfer_coding"),
    ("Transfer-Encoding: , chunked\r\n", 501, "transfer_coding"),
    ("Transfer-Encoding: chunked,\r\n", 501, "transfer_coding"),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501, "transfer_coding"),
    ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501, "transfer_coding"),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400, "unframed_coding"),
    ("Transfer-Encoding: identity\r\n", 400, "unframed_coding"),
    ("Transfer-Encoding: chunked, identity\r\n", 400, "unframed_coding"),
    ("Transfer-Encoding: gzip\r\n", 400, "unframed_coding"),
    ("Transfer-Encoding: xchunked\r\n", 400, "unframed_coding"),
    ("Transfer-Encoding: chunked;q=1\r\n", 400, "unframed_coding"),
    ("Transfer-Encoding: \"chunked\"\r\n", 400, "unframed_coding"),
    ("Transfer-Encoding:\r\n", 400, "unframed_coding"),
    ("Transfer-Encoding: \x0bchunked\r\n", 400, "field"),
    ("Transfer-Encoding: chunked\0\r\n", 400, "field"),
    ("Transfer-Encoding:\r\n chunked\r\n", 400, "field"),
    ("Transfer-Encoding : chunked\r\n", 400, "field"),
    ("Content-Length : 1\r\n", 400, "field"),
    ("Expect: 200-ok\r\nContent-Length: 1\r\n", 417, "expectation"),
    ("Expect:\r\n", 417, "expectation"),
    ("Expect: 100-continue, x\r\n", 417, "expectation"),
    ("Expect: 100-continue\r\nExpect: x\r\n", 417, "expectation"),
    ("Expect: 100 -continue\r\nContent-Length: 0\r\n", 417, "expectation"),
];

/// The same in HTTP/1.0, where no coding is known at all.
const REFUSED_IN_1_0: &[(&str, u16, &str)] = &[
    ("Content-Length: x\r\n", 400, "content_length"),
    ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400, "length_and_coding"),
    ("Transfer-Encoding: chunked\r\n", 400, "coding_in_1_0"),
    ("Transfer-Encoding: identity\r\n", 400, "coding_in_1_0"),
];

/// What could be a body, and what could be a request behind it.
const BODIES: [&str; 3] = ["", "x", "0\r\n\r\n"];

#[test]
fn what_has_no_clear_end_reaches_nobody() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let in_1_1 = REFUSED.iter().map(|row| ("POST / HTTP/1.1\r\nHost: a\r\n", row));
    let in_1_0 = REFUSED_IN_1_0.iter().map(|row| ("POST / HTTP/1.0\r\n", row));
    for (head, (fields, status, reason)) in in_1_1.chain(in_1_0) {
        for body in BODIES {
            for how in BOTH {
                is_refused(&homing, &a, &format!("{head}{fields}\r\n{body}"), *status, reason, how);
            }
        }
    }
}
