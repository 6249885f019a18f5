//! A backend that does as it is told and remembers what it was sent.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use socket2::{Domain, SockRef, Socket, Type};

use super::{pause, serve};

/// Connections that may wait to be accepted: a burst must not be slowed down by its backend.
const BACKLOG: i32 = 4_096;

/// What a backend does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Answers 200 with its name in `X-Backend` and in the body.
    Answer,
    /// The same, says that the connection ends, and closes it.
    AnswerThenClose,
    /// Answers with these bytes and keeps the connection.
    Bytes(Vec<u8>),
    /// Answers with these bytes, one at a time, and keeps the connection.
    ByteByByte(Vec<u8>),
    /// Answers with these bytes and closes.
    BytesThenClose(Vec<u8>),
    /// Answers with these bytes and resets the connection.
    BytesThenReset(Vec<u8>),
    /// Closes without an answer.
    Close,
    /// Closes so often without an answer, and answers from then on.
    CloseThenAnswer(u32),
    /// Closes what it accepts before a byte is read.
    CloseOnAccept,
    /// As `Answer`, a byte at a time with this pause before each.
    Drip(Duration),
    /// Says nothing until it is told to do something else.
    Hold,
    /// Reads nothing and accepts nothing, as a process that was stopped: the kernel goes on accepting for it.
    Stop,
    /// Answers 101 with `early` behind it and then echoes.
    Echo(&'static [u8]),
    /// What the path asks for: streams, tunnels, large and finely cut answers, and else as `Answer`.
    Serve,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Reset,
}

/// A running backend.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    stopped: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Bound for as long as the backend lives, so that no other test is given its port while it does not listen.
    _reserved: Socket,
    /// While vanished: a socket that nobody accepts from, and the connections that fill its queue.
    full: Option<(Socket, Vec<TcpStream>)>,
}

struct Shared {
    name: &'static str,
    does: Mutex<Does>,
    changed: Condvar,
    requests: Mutex<Vec<Vec<u8>>>,
    ended: Mutex<usize>,
    accepted: AtomicUsize,
    connections: Mutex<HashMap<usize, TcpStream>>,
}

/// A backend that answers 200.
pub(crate) fn backend(name: &'static str) -> Backend {
    Backend::on(name, "127.0.0.1:0".parse().unwrap())
}

impl Backend {
    fn on(name: &'static str, address: SocketAddr) -> Self {
        let reserved = bound(address);
        let address = reserved.local_addr().unwrap().as_socket().unwrap();
        let shared = Arc::new(Shared {
            name,
            does: Mutex::new(Does::Answer),
            changed: Condvar::new(),
            requests: Mutex::default(),
            ended: Mutex::default(),
            accepted: AtomicUsize::default(),
            connections: Mutex::default(),
        });
        let mut this = Self {
            name,
            address,
            shared,
            stopped: Arc::default(),
            thread: None,
            _reserved: reserved,
            full: None,
        };
        this.start();
        this
    }

    fn start(&mut self) {
        let socket = bound(self.address);
        socket.listen(BACKLOG).unwrap();
        let listener = TcpListener::from(socket);
        self.stopped = Arc::default();
        let (shared, stopped) = (Arc::clone(&self.shared), Arc::clone(&self.stopped));
        let (ready, is_ready) = mpsc::channel();
        self.thread = Some(std::thread::spawn(move || {
            ready.send(()).unwrap();
            for connection in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                shared.wait_while(|does| matches!(does, Does::Stop));
                if matches!(*shared.does.lock(), Does::CloseOnAccept) {
                    continue;
                }
                let id = shared.accepted.fetch_add(1, Ordering::Relaxed);
                shared.connections.lock().insert(id, connection.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(id, connection));
            }
        }));
        is_ready.recv().unwrap();
    }

    /// From now on.
    pub(crate) fn does(&self, what: Does) {
        *self.shared.does.lock() = what;
        self.shared.changed.notify_all();
    }

    /// From now on, these bytes.
    pub(crate) fn answers(&self, bytes: impl AsRef<[u8]>) {
        self.does(Does::Bytes(bytes.as_ref().to_vec()));
    }

    /// Everything it was sent so far, a request each: head and body as they came.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.shared.requests.lock().clone()
    }

    /// The same, and forgets them.
    pub(crate) fn take_requests(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.shared.requests.lock())
    }

    /// The last request as text, without what differs from run to run.
    pub(crate) fn last(&self) -> String {
        String::from_utf8_lossy(&self.requests().pop().unwrap_or_default()).into_owned()
    }

    /// Connections that it accepted.
    pub(crate) fn opened(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Connections that ended.
    pub(crate) fn ended(&self) -> usize {
        *self.shared.ended.lock()
    }

    /// Closes the connections that are open, and goes on listening.
    pub(crate) fn hang_up(&self) {
        for (_, connection) in self.shared.connections.lock().drain() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Crashes: nothing listens any more, and every connection is over.
    pub(crate) fn crash(&mut self) {
        self.refuse();
        self.hang_up();
    }

    /// Nothing listens any more; connections go on.
    pub(crate) fn refuse(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Crashes so that connecting is not even refused: its queue is full, and nobody takes anything out of it.
    pub(crate) fn vanish(&mut self) {
        self.crash();
        let socket = bound(self.address);
        socket.listen(0).unwrap();
        let waits = || TcpStream::connect_timeout(&self.address, Duration::from_millis(100)).ok();
        self.full = Some((socket, std::iter::from_fn(waits).collect()));
    }

    /// Comes back on the same port.
    pub(crate) fn revive(&mut self) {
        assert!(self.thread.is_none(), "it has crashed");
        self.full = None;
        self.start();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.does(Does::Close);
        if self.thread.is_some() {
            self.crash();
        }
    }
}

impl Shared {
    fn serve(&self, id: usize, mut connection: TcpStream) {
        let end = self.requests_of(&mut connection).err();
        // A reset is a close without a farewell, of every handle.
        let _ = match end {
            Some(End::Reset) => SockRef::from(&connection).set_linger(Some(Duration::ZERO)),
            Some(End::Close) | None => connection.shutdown(Shutdown::Both),
        };
        self.connections.lock().remove(&id);
        drop(connection);
        *self.ended.lock() += 1;
    }

    fn requests_of(&self, connection: &mut TcpStream) -> Result<(), End> {
        let mut held = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = held.windows(4).position(|w| w == b"\r\n\r\n") {
                    break at + 4;
                }
                self.more(connection, &mut held)?;
            };
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |l| l.parse().unwrap());
            let mut whole = end + length;
            while held.len() < whole {
                self.more(connection, &mut held)?;
            }
            if head.contains("transfer-encoding: chunked") {
                whole = loop {
                    if let Some(n) = chunked_end(&held[end..]) {
                        break end + n;
                    }
                    self.more(connection, &mut held)?;
                };
            }
            self.requests.lock().push(held.drain(..whole).collect());
            self.act(&head, connection)?;
        }
    }

    fn act(&self, head: &str, connection: &mut TcpStream) -> Result<(), End> {
        self.wait_while(|does| matches!(does, Does::Hold | Does::Stop));
        let mut does = self.does.lock();
        let what = does.clone();
        if let Does::CloseThenAnswer(times) = what {
            *does = if times > 1 { Does::CloseThenAnswer(times - 1) } else { Does::Answer };
        }
        drop(does);
        match what {
            Does::Hold | Does::Stop | Does::Close | Does::CloseThenAnswer(_) | Does::CloseOnAccept => {
                Err(End::Close)
            }
            Does::Answer => write(connection, &serve::answer(self.name, "")),
            Does::AnswerThenClose => {
                write(connection, &serve::answer(self.name, "Connection: close\r\n")).and(Err(End::Close))
            }
            Does::Bytes(bytes) => write(connection, &bytes),
            Does::ByteByByte(bytes) => {
                connection.set_nodelay(true).unwrap();
                bytes.chunks(1).try_for_each(|byte| write(connection, byte))
            }
            Does::BytesThenClose(bytes) => write(connection, &bytes).and(Err(End::Close)),
            Does::BytesThenReset(bytes) => write(connection, &bytes).and(Err(End::Reset)),
            Does::Drip(pace) => serve::answer(self.name, "").iter().try_for_each(|byte| {
                pause(pace);
                write(connection, &[*byte])
            }),
            Does::Echo(early) => serve::echo(connection, early),
            Does::Serve => serve::serve(self.name, head, connection),
        }
    }

    /// Waits as long as what it does is this.
    fn wait_while(&self, condition: impl Fn(&Does) -> bool) {
        let mut does = self.does.lock();
        while condition(&does) {
            self.changed.wait(&mut does);
        }
    }

    fn more(&self, connection: &mut TcpStream, held: &mut Vec<u8>) -> Result<(), End> {
        let mut piece = [0; 16 * 1024];
        self.wait_while(|does| matches!(does, Does::Stop));
        let n = connection.read(&mut piece).ok().filter(|n| *n > 0).ok_or(End::Close)?;
        self.wait_while(|does| matches!(does, Does::Stop));
        held.extend_from_slice(&piece[..n]);
        Ok(())
    }
}

/// A socket that is bound to `address`, beside others that do not listen.
pub(crate) fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

/// Writes all of it, or the connection is over.
pub(super) fn write(connection: &mut TcpStream, bytes: &[u8]) -> Result<(), End> {
    connection.write_all(bytes).map_err(|_| End::Close)
}

/// Where a body in the chunked coding ends, if all of it is there. The coding is as homing writes it: no extensions.
fn chunked_end(body: &[u8]) -> Option<usize> {
    let line_end = |from: usize| Some(from + body.get(from..)?.windows(2).position(|w| w == b"\r\n")? + 2);
    let mut at = 0;
    loop {
        let data = line_end(at)?;
        let size = std::str::from_utf8(&body[at..data - 2]).unwrap();
        at = data;
        match usize::from_str_radix(size, 16).unwrap() {
            0 => break,
            size => at += size + 2,
        }
    }
    loop {
        let line = at;
        at = line_end(line)?;
        if at == line + 2 {
            return Some(at);
        }
    }
}
