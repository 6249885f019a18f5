//! One HTTP/1.1 message as bytes: head, framing, body coding. No sockets, no pool.
//!
//! [`head`] finds and parses heads and refuses what two parsers could read differently; [`field`] knows the names
//! that matter to a proxy; [`framing`] decides where a body ends; [`chunked`] decodes that coding; [`host`] checks
//! authorities; [`websocket`] finds the borders between frames, and [`h2_frames`] those of HTTP/2, whose fields
//! [`hpack`] reads and writes. What two parsers could read differently is refused here, once,
//! before anybody acts on the message.

pub mod chunked;
pub mod field;
pub mod framing;
pub mod h2_frames;
pub mod head;
pub mod host;
pub mod hpack;
pub mod tokens;
pub mod websocket;
