//! One line of configuration each.

use super::{all_answer, begin_everywhere, finds, send, sticky};
use crate::harness::backend;

/// The preset, what makes the id (method, fields, body), and where it comes back (target, fields).
const LEARNED: [(&str, &str, &str, &str, &str, &str); 5] = [
    ("mcp", "POST", "Mcp-Session-Id: id-NAME\r\n", "", "/mcp", "Mcp-Session-Id: id-NAME\r\n"),
    (
        "socket_io",
        "GET",
        "Content-Type: text/plain; charset=UTF-8\r\n",
        "0{\"sid\":\"id-NAME\",\"pingInterval\":25000}",
        "/socket.io/?EIO=4&transport=polling&sid=id-NAME",
        "",
    ),
    (
        "signalr",
        "POST",
        "Content-Type: application/json\r\n",
        "{\"negotiateVersion\":1,\"connectionId\":\"other\",\"connectionToken\":\"id-NAME==\"}",
        "/hub?id=id-NAME%3D%3D",
        "",
    ),
    ("php", "GET", "Set-Cookie: PHPSESSID=id-NAME; path=/\r\n", "", "/", "Cookie: PHPSESSID=id-NAME\r\n"),
    (
        "express",
        "GET",
        "Set-Cookie: connect.sid=s%3Aid-NAME.sig; Path=/; HttpOnly\r\n",
        "",
        "/",
        "Cookie: connect.sid=s%3Aid-NAME.sig\r\n",
    ),
];

#[test]
fn a_preset_is_enough() {
    let (a, b) = (backend("a"), backend("b"));
    for (preset, method, made, body, target, back) in LEARNED {
        let homing = sticky(&[&a, &b], &format!("preset = \"{preset}\"")).run();
        all_answer(&[&a, &b], made, body);
        begin_everywhere(&homing, method, "/begin");
        all_answer(&[&a, &b], "", "");
        for home in ["a", "b"] {
            finds(&homing, home, &target.replace("NAME", home), &back.replace("NAME", home));
        }
    }
}

#[test]
fn tomcat_s_route_is_read_from_cookie_and_path() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "preset = \"tomcat\"").run();
    for home in ["a", "b"] {
        finds(&homing, home, "/", &format!("Cookie: JSESSIONID=1F2E.{home}\r\n"));
        finds(&homing, home, &format!("/app;jsessionid=1F2E.{home}"), "");
    }
}

#[test]
fn an_mcp_session_whose_server_is_lost_is_refused_so_that_its_client_begins_anew() {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "preset = \"mcp\"").run();
    all_answer(&[&a, &b], "Mcp-Session-Id: id-NAME\r\n", "");
    begin_everywhere(&homing, "POST", "/mcp");
    a.crash();
    let reply = send(&homing, "GET", "/mcp", "Mcp-Session-Id: id-a\r\n");
    assert_eq!(reply.status, 404, "{}", reply.head);
}

#[test]
fn what_the_file_says_is_preferred_to_its_preset() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "preset = \"php\"\ncreate = \"cookie:SID\"").run();
    all_answer(&[&a, &b], "Set-Cookie: SID=1\r\nSet-Cookie: PHPSESSID=2\r\n", "");
    let home = send(&homing, "GET", "/", "").served_by();
    all_answer(&[&a, &b], "", "");
    finds(&homing, &home, "/", "Cookie: SID=1\r\n");
    assert_eq!(send(&homing, "GET", "/", "Cookie: PHPSESSID=2\r\n").why(), "new");
}
