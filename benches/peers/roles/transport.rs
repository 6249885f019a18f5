//! What a connection of the load goes over: TCP, or TLS on it.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use socket2::{Domain, Protocol, Socket, Type};

use crate::identity::NAME;

/// The part of the room for reading that TLS reads into before it decrypts, as a divisor: what is decrypted is longer
/// than what was read by no more than one record begun before.
const ENCRYPTED: usize = 3;

/// Connected, or about to be.
pub(crate) struct Transport {
    pub(crate) socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// Begins to connect.
pub(crate) fn dial(source: Ipv4Addr, address: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    match socket.connect(&SocketAddr::V4(address).into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Err(error)
        }
        _ => Ok(TcpStream::from(socket)),
    }
}

impl Transport {
    pub(crate) fn new(socket: TcpStream, client: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let tls = client.map(|client| {
            let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
            ClientConnection::new(Arc::clone(client), name).map(Box::new).map_err(io::Error::other)
        });
        Ok(Self { socket, tls: tls.transpose()? })
    }

    /// Whether its handshake took up an earlier session; nothing without TLS.
    pub(crate) fn is_resumed(&self) -> Option<bool> {
        self.tls.as_ref()?.handshake_kind().map(|kind| kind == HandshakeKind::Resumed)
    }

    /// Takes bytes. TLS keeps what the socket does not take at once: see [`Self::flush`].
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        match tls.writer().write(bytes)? {
            0 => self.flush().and(Err(io::ErrorKind::WouldBlock.into())),
            taken => match self.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(taken),
            },
        }
    }

    /// Sends what was kept.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Reads what there is. 0 is the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        let room = buffer.len() / ENCRYPTED;
        let (encrypted, plain) = buffer.split_at_mut(room);
        let read = self.socket.read(encrypted)?;
        let mut left = &encrypted[..read];
        let (mut filled, mut over) = (0, read == 0);
        while !left.is_empty() && !over {
            tls.read_tls(&mut left)?;
            tls.process_new_packets().map_err(io::Error::other)?;
            loop {
                match tls.reader().read(&mut plain[filled..]) {
                    Ok(0) => {
                        over = true;
                        break;
                    }
                    Ok(length) => filled += length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        if filled == 0 && !over {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer.copy_within(room..room + filled, 0);
        Ok(filled)
    }
}
