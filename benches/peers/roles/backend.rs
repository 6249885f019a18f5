//! The role `backend`: so many backends in one thread, with answers that cost next to nothing. `/s/N` is answered with N
//! bytes, uploads are swallowed, an upgrade to WebSocket makes an echo; or all are calls of gRPC. It says its ports on one line, then serves.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::net::listen;

use super::calls::Calls;
use super::connection::{Answers, Connection, Outcome};
use super::poll::{Interest, Poll, Ready};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Room for one read.
const BUFFER: usize = 256 << 10;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    #[arg(long)]
    count: usize,
    /// They speak HTTP/2 and answer calls of gRPC.
    #[arg(long)]
    grpc: bool,
}

enum Served {
    Plain(Connection),
    Calls(Calls),
}

struct Backend {
    poll: Poll,
    listeners: Vec<TcpListener>,
    /// Their keys begin after the listeners'.
    connections: Vec<Option<Served>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    answers: Answers,
    grpc: bool,
}

pub(crate) fn main(arguments: &Arguments) -> Result<()> {
    super::settle(&arguments.cpus)?;
    let poll = Poll::new().context("make an epoll")?;
    let mut listeners = Vec::new();
    let mut ports = Vec::new();
    for key in 0..arguments.count {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on a free port")?;
        listen(&listener, BACKLOG).context("lengthen the queue of a listener")?;
        listener.set_nonblocking(true)?;
        poll.add(&listener, key, Interest::Read)?;
        ports.push(listener.local_addr()?.port().to_string());
        listeners.push(listener);
    }
    println!("{}", ports.join(" "));
    std::io::stdout().flush()?;
    let mut backend = Backend {
        poll,
        listeners,
        connections: Vec::new(),
        free: Vec::new(),
        buffer: vec![0; BUFFER],
        answers: Answers::default(),
        grpc: arguments.grpc,
    };
    backend.serve()
}

impl Backend {
    fn serve(&mut self) -> Result<()> {
        let mut ready = Vec::new();
        loop {
            self.poll.wait(Duration::from_secs(1), &mut ready).context("wait for connections")?;
            for event in &ready {
                match event.key.checked_sub(self.listeners.len()) {
                    None => self.accept(event.key)?,
                    Some(slot) => self.turn(slot, *event),
                }
            }
        }
    }

    fn accept(&mut self, listener: usize) -> Result<()> {
        while let Ok((stream, _)) = self.listeners[listener].accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poll.add(&stream, self.listeners.len() + slot, Interest::Read)?;
            self.connections[slot] = Some(if self.grpc {
                Served::Calls(Calls::new(stream))
            } else {
                Served::Plain(Connection::new(stream))
            });
        }
        Ok(())
    }

    fn turn(&mut self, slot: usize, event: Ready) {
        // What ended earlier in this batch of events is gone.
        let Some(connection) = &mut self.connections[slot] else { return };
        let mut outcome = if event.write { connection.write() } else { Outcome::Reads };
        if event.read && !matches!(outcome, Outcome::Over) {
            outcome = match connection {
                Served::Plain(connection) => connection.read(&mut self.buffer, &mut self.answers),
                Served::Calls(calls) => calls.read(&mut self.buffer),
            };
        }
        let interest = match outcome {
            Outcome::Over => {
                self.connections[slot] = None;
                self.free.push(slot);
                return;
            }
            Outcome::Blocked => Interest::ReadAndWrite,
            // It is asked for writing only while it is blocked.
            Outcome::Reads if event.write => Interest::Read,
            Outcome::Reads => return,
        };
        let key = self.listeners.len() + slot;
        if self.poll.change(connection.stream(), key, interest).is_err() {
            self.connections[slot] = None;
            self.free.push(slot);
        }
    }
}

impl Served {
    fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(connection) => &connection.stream,
            Self::Calls(calls) => &calls.stream,
        }
    }

    fn write(&mut self) -> Outcome {
        match self {
            Self::Plain(connection) => connection.write(),
            Self::Calls(calls) => calls.write(),
        }
    }
}
