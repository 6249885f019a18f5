//! Dialling a backend. The caller sets the deadline by dropping the future.

use std::io;

use tokio::net::{TcpStream, UnixStream};

use super::stream::Stream;
use crate::base::address::Address;

/// Connects to `address`. A host name is resolved each time, and its addresses are tried in order.
///
/// # Errors
/// The resolver's or the socket's.
pub async fn connect(address: &Address) -> io::Result<Stream> {
    let tcp = match address {
        Address::Socket(a) => TcpStream::connect(a).await?,
        Address::Name { host, port } => TcpStream::connect((&**host, *port)).await?,
        Address::Unix(path) => return Ok(Stream::Unix(UnixStream::connect(path).await?)),
    };
    tcp.set_nodelay(true)?;
    Ok(Stream::Tcp(tcp))
}

/// Whether connecting failed for want of something of our own: descriptors, ports or memory. Such a failure says
/// nothing about the backend.
#[must_use]
pub fn is_our_own(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL
    matches!(error.raw_os_error(), Some(24 | 23 | 12 | 105 | 99))
}
