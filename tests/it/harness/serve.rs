//! The small application that a backend is when it serves: what it answers depends on the path.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use super::backend::{End, write};
use super::pause;

/// Between two events of a stream.
const EVENT: Duration = Duration::from_millis(20);
/// The largest piece of a large answer.
const PIECE: usize = 64 * 1024;

/// A short answer that says who gave it, with these fields more.
pub(super) fn answer(name: &str, more: &str) -> Vec<u8> {
    let length = name.len();
    format!("HTTP/1.1 200 OK\r\nX-Backend: {name}\r\n{more}Content-Length: {length}\r\n\r\n{name}")
        .into_bytes()
}

/// Answers 101 with `early` behind it and then echoes.
pub(super) fn echo(connection: &mut TcpStream, early: &[u8]) -> Result<(), End> {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    write(connection, &[head, early].concat())?;
    let mut piece = [0; 1024];
    loop {
        let n = connection.read(&mut piece).ok().filter(|n| *n > 0).ok_or(End::Close)?;
        write(connection, &piece[..n])?;
    }
}

/// `/events` is a stream without an end, `/large/N` are N bytes, `/chunks/N` are N chunks of a byte; an upgrade becomes
/// an echo.
pub(super) fn serve(name: &str, head: &str, connection: &mut TcpStream) -> Result<(), End> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let count = || path.rsplit('/').next().unwrap().parse::<usize>().unwrap();
    if head.contains("\r\nupgrade: ") {
        echo(connection, b"")
    } else if path == "/events" {
        events(name, connection)
    } else if path.starts_with("/large/") {
        large(connection, count())
    } else if path.starts_with("/chunks/") {
        let pieces = "1\r\nx\r\n".repeat(count());
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        write(connection, format!("{head}{pieces}0\r\n\r\n").as_bytes())
    } else {
        write(connection, &answer(name, ""))
    }
}

fn events(name: &str, connection: &mut TcpStream) -> Result<(), End> {
    let head = format!("HTTP/1.1 200 OK\r\nX-Backend: {name}\r\nContent-Type: text/event-stream\r\n");
    write(connection, format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())?;
    for n in 0_u64.. {
        let event = format!("data: {n}\n\n");
        write(connection, format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
        pause(EVENT);
    }
    Ok(())
}

fn large(connection: &mut TcpStream, mut left: usize) -> Result<(), End> {
    write(connection, format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n").as_bytes())?;
    let piece = vec![b'x'; PIECE];
    while left > 0 {
        let n = left.min(PIECE);
        write(connection, &piece[..n])?;
        left -= n;
    }
    Ok(())
}
