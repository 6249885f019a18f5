//! A backend that does as it is told and remembers what it was sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use parking_lot::{Condvar, Mutex};
use socket2::{Domain, Socket, Type};

/// What a backend does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Answers 200 with its name in `X-Backend` and in the body.
    Answer,
    /// Answers with these bytes and keeps the connection.
    Bytes(Vec<u8>),
    /// Answers with these bytes, one at a time, and keeps the connection.
    ByteByByte(Vec<u8>),
    /// Answers with these bytes and closes.
    BytesThenClose(Vec<u8>),
    /// Closes without an answer.
    Close,
    /// Closes so often without an answer, and answers from then on.
    CloseThenAnswer(u32),
    /// Says nothing until it is told to do something else.
    Hold,
    /// Answers 101 with `early` behind it and then echoes.
    Echo(&'static [u8]),
}

/// A running backend.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    stopped: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// While crashed: the port is bound and nobody listens, so that it refuses and no other test is given it.
    reserved: Option<Socket>,
}

struct Shared {
    name: &'static str,
    does: Mutex<Does>,
    changed: Condvar,
    requests: Mutex<Vec<Vec<u8>>>,
    ended: Mutex<usize>,
    connections: Mutex<Vec<TcpStream>>,
}

/// A backend that answers 200.
pub(crate) fn backend(name: &'static str) -> Backend {
    Backend::on(name, "127.0.0.1:0".parse().unwrap())
}

impl Backend {
    fn on(name: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name,
            does: Mutex::new(Does::Answer),
            changed: Condvar::new(),
            requests: Mutex::default(),
            ended: Mutex::default(),
            connections: Mutex::default(),
        });
        let mut this = Self { name, address, shared, stopped: Arc::default(), thread: None, reserved: None };
        this.start(listener);
        this
    }

    fn start(&mut self, listener: TcpListener) {
        self.stopped = Arc::default();
        let (shared, stopped) = (Arc::clone(&self.shared), Arc::clone(&self.stopped));
        let (ready, is_ready) = mpsc::channel();
        self.thread = Some(std::thread::spawn(move || {
            ready.send(()).unwrap();
            for connection in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                shared.connections.lock().push(connection.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(connection));
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

    /// The last request as text, without what differs from run to run.
    pub(crate) fn last(&self) -> String {
        String::from_utf8_lossy(&self.requests().pop().unwrap_or_default()).into_owned()
    }

    /// Connections that ended.
    pub(crate) fn ended(&self) -> usize {
        *self.shared.ended.lock()
    }

    /// Closes the connections that are open, and goes on listening.
    pub(crate) fn hang_up(&self) {
        for connection in self.shared.connections.lock().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Crashes: nothing listens any more, and every connection is over.
    pub(crate) fn crash(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&self.address.into()).unwrap();
        self.reserved = Some(socket);
        self.hang_up();
    }

    /// Comes back on the same port.
    pub(crate) fn revive(&mut self) {
        let socket = self.reserved.take().expect("it has crashed");
        socket.listen(128).unwrap();
        self.start(socket.into());
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
    fn serve(&self, mut connection: TcpStream) {
        self.requests_of(&mut connection);
        let _ = connection.shutdown(std::net::Shutdown::Both);
        *self.ended.lock() += 1;
    }

    fn requests_of(&self, connection: &mut TcpStream) -> Option<()> {
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
            self.act(connection)?;
        }
    }

    fn act(&self, connection: &mut TcpStream) -> Option<()> {
        let mut does = self.does.lock();
        while matches!(*does, Does::Hold) {
            self.changed.wait(&mut does);
        }
        let what = does.clone();
        if let Does::CloseThenAnswer(times) = what {
            *does = if times > 1 { Does::CloseThenAnswer(times - 1) } else { Does::Answer };
        }
        drop(does);
        match what {
            Does::Hold => None,
            Does::Close | Does::CloseThenAnswer(_) => {
                let _ = connection.shutdown(std::net::Shutdown::Both);
                None
            }
            Does::Answer => {
                let n = self.name;
                let answer =
                    format!("HTTP/1.1 200 OK\r\nX-Backend: {n}\r\nContent-Length: {}\r\n\r\n{n}", n.len());
                connection.write_all(answer.as_bytes()).ok()
            }
            Does::Bytes(bytes) => connection.write_all(&bytes).ok(),
            Does::ByteByByte(bytes) => {
                connection.set_nodelay(true).ok()?;
                bytes.iter().try_for_each(|b| connection.write_all(std::slice::from_ref(b))).ok()
            }
            Does::BytesThenClose(bytes) => {
                let _ = connection.write_all(&bytes);
                let _ = connection.shutdown(std::net::Shutdown::Both);
                None
            }
            Does::Echo(early) => {
                let head =
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                connection.write_all(&[head, early].concat()).ok()?;
                let mut piece = [0; 1024];
                loop {
                    let n = connection.read(&mut piece).ok().filter(|n| *n > 0)?;
                    connection.write_all(&piece[..n]).ok()?;
                }
            }
        }
    }

    fn more(&self, connection: &mut TcpStream, held: &mut Vec<u8>) -> Option<()> {
        let mut piece = [0; 16 * 1024];
        let n = connection.read(&mut piece).ok().filter(|n| *n > 0)?;
        held.extend_from_slice(&piece[..n]);
        Some(())
    }
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
