//! Addresses that we accept on, and the sockets for them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use parking_lot::Mutex;
use socket2::{Domain, SockAddr, Socket, Type};

use super::crowd::Crowd;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and port. `:8080` is written as `[::]:8080` with `both_families`.
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Whether an IPv6 wildcard socket also takes IPv4 clients.
        both_families: bool,
    },
    /// A Unix socket's path.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, both_families: true } => write!(f, ":{}", address.port()),
            Self::Tcp { address, both_families: false } => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Connections that may wait to be accepted; the kernel's own limit holds as well.
const BACKLOG: i32 = 4096;

impl ListenAddress {
    /// Binds once, alone, without sharing the port: so a port that is taken is an error, even by another homing.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn claim(&self) -> io::Result<Claim> {
        match self {
            Self::Tcp { .. } => {
                let socket = self.socket(Sharing::Alone)?;
                let address = socket.local_addr()?.as_socket();
                Ok(Claim { held: Some(socket), address, listen: self.clone() })
            }
            Self::Unix(path) => {
                // What a crashed process left is taken away; a live one's socket, or any other file, is not.
                if is_left_behind(path)? {
                    std::fs::remove_file(path)?;
                }
                let listener = std::os::unix::net::UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                Ok(Claim { held: Some(Socket::from(listener)), address: None, listen: self.clone() })
            }
        }
    }

    /// Binds beside sockets of our own that listen on an address which overlaps this one, and are about to be closed.
    ///
    /// # Errors
    /// As of [`Self::claim`].
    pub fn claim_shared(&self) -> io::Result<Claim> {
        let socket = self.socket(Sharing::Shared)?;
        let address = socket.local_addr()?.as_socket();
        Ok(Claim { held: Some(socket), address, listen: self.clone() })
    }

    /// Whether both are the same port of the same address, or of all addresses.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (Self::Tcp { address: a, .. }, Self::Tcp { address: b, .. }) = (self, other) else {
            return false;
        };
        let (own, its) = (a.ip().to_canonical(), b.ip().to_canonical());
        a.port() == b.port() && a.port() != 0 && (own == its || own.is_unspecified() || its.is_unspecified())
    }

    fn socket(&self, sharing: Sharing) -> io::Result<Socket> {
        let Self::Tcp { address, both_families } = self else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(!*both_families)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(sharing == Sharing::Shared)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?; // What is accepted inherits it.
        socket.bind(&(*address).into())?;
        Ok(socket)
    }
}

/// Whether this is a socket of a process that is gone. Whoever is too busy to accept is not: it is not waited for.
fn is_left_behind(path: &Path) -> io::Result<bool> {
    // Connecting to any other file is refused as well.
    if !std::fs::metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        return Ok(false);
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let connected = socket.connect(&SockAddr::unix(path)?);
    Ok(connected.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused))
}

/// An address that was free when we asked and is ours now. Dropped before it is listened on, it leaves no file.
#[derive(Debug)]
pub struct Claim {
    held: Option<Socket>,
    address: Option<SocketAddr>,
    listen: ListenAddress,
}

/// An address that is ours for as long as this is held: a socket for each worker, and who has come in by it.
#[derive(Debug)]
pub struct Bound {
    /// What was asked for.
    pub listen: ListenAddress,
    /// The address with the port that was really bound; `None` of a Unix socket.
    pub address: Option<SocketAddr>,
    /// Connections open by it, over all workers.
    pub open: AtomicU32,
    /// The same by address, where that is limited.
    pub crowd: Crowd,
    /// By worker, until it takes its own.
    sockets: Mutex<Vec<Option<Socket>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Shared,
}

impl Claim {
    /// The address with the port that was really bound.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Listens, with one accepting socket per worker. TCP workers get one each on the shared port, with an accept queue
    /// of its own; a Unix socket is one, accepted from by all.
    ///
    /// # Errors
    /// The address cannot be bound or listened on.
    pub fn listen(self, workers: usize) -> io::Result<Bound> {
        let (listen, address) = (self.listen.clone(), self.address);
        let sockets = Mutex::new(self.into_sockets(workers)?.into_iter().map(Some).collect());
        Ok(Bound { listen, address, open: AtomicU32::new(0), crowd: Crowd::default(), sockets })
    }

    fn into_sockets(mut self, workers: usize) -> io::Result<Vec<Socket>> {
        let Some(held) = self.held.take() else { return Err(io::ErrorKind::NotConnected.into()) };
        match (&mut self.listen, self.address) {
            (ListenAddress::Tcp { address, .. }, Some(bound)) => {
                *address = bound;
                drop(held);
                let sockets: io::Result<Vec<Socket>> =
                    (0..workers).map(|_| self.listen.socket(Sharing::Shared)).collect();
                let sockets = sockets?;
                sockets.iter().try_for_each(|s| s.listen(BACKLOG))?;
                Ok(sockets)
            }
            _ => {
                let mut sockets: Vec<Socket> =
                    (1..workers).map(|_| held.try_clone()).collect::<io::Result<_>>()?;
                sockets.push(held);
                Ok(sockets)
            }
        }
    }

    /// A single accepting socket, for a listener that is not shared.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn into_socket(mut self) -> io::Result<Socket> {
        let Some(held) = self.held.take() else { return Err(io::ErrorKind::NotConnected.into()) };
        held.listen(BACKLOG)?;
        Ok(held)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let (Some(_), ListenAddress::Unix(path)) = (&self.held, &self.listen) {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Bound {
    /// Whether every worker has its socket: who was not given one would leave clients waiting in it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.sockets.lock().iter().all(Option::is_none)
    }

    /// The accepting socket of this worker, once.
    #[must_use]
    pub fn take(&self, worker: usize) -> Option<Socket> {
        self.sockets.lock().get_mut(worker)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &tempfile::TempDir, name: &str) -> (PathBuf, ListenAddress) {
        let path = folder.path().join(name);
        (path.clone(), ListenAddress::Unix(path))
    }

    #[test]
    fn only_a_socket_that_nobody_has_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let (path, listen) = at(&folder, "file");
        std::fs::write(&path, "kept").unwrap();
        assert_eq!(listen.claim().unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
        let (path, listen) = at(&folder, "left");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists() && listen.claim().is_ok());
    }

    #[test]
    fn who_accepts_nobody_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (path, listen) = at(&folder, "busy");
        let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        busy.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        busy.listen(0).unwrap();
        let mut queue = Vec::new();
        loop {
            let next = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            next.set_nonblocking(true).unwrap();
            if next.connect(&SockAddr::unix(&path).unwrap()).is_err() {
                break;
            }
            queue.push(next);
        }
        assert_eq!(listen.claim().unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
    }

    #[test]
    fn what_is_claimed_in_vain_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, listen) = at(&folder, "socket");
        let claim = listen.claim().unwrap();
        assert!(path.exists());
        drop(claim);
        assert!(!path.exists());
        let bound = listen.claim().unwrap().listen(2).unwrap();
        assert!(path.exists() && bound.take(1).is_some());
    }

    #[test]
    fn addresses_overlap_by_port_and_wildcard() {
        let tcp = |text: &str| ListenAddress::Tcp { address: text.parse().unwrap(), both_families: false };
        for (one, other, expected) in [
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("[::]:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "0.0.0.0:2", false),
            ("127.0.0.1:0", "0.0.0.0:0", false),
        ] {
            assert_eq!(tcp(one).overlaps(&tcp(other)), expected, "{one} {other}");
        }
    }
}
