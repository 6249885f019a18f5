//! The access log's way out: a buffer per worker, a bounded queue, one writer thread.
//!
//! A worker never waits for the log: when the queue is full its buffered lines are dropped and counted, and the first
//! line after the gap says how many are missing. A disk that is full, or a pipe that nobody reads, costs lines and
//! nothing else. The form of a line is in [`super::access_line`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::access_line::{Entry, Formatter};

/// A worker hands its buffer over at this size, bytes.
const CHUNK: usize = 32 * 1024;
/// Buffers that may wait for the writer: 4 MiB in all.
const WAITING: usize = 128;
/// How long [`AccessLogWriter::close`] waits for an output that takes nothing.
const CLOSING: Duration = Duration::from_secs(3);

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// nginx's and Apache's combined format.
    Combined,
}

/// Owns the writer thread.
#[derive(Debug)]
pub struct AccessLogWriter {
    format: Format,
    queue: Queue,
    /// Closed, without a word, when the thread ends.
    ended: Receiver<()>,
}

/// Asks the writer to open its file again; after a rotation, by SIGUSR1.
#[derive(Clone, Debug)]
pub struct Reopener(Queue);

/// One worker's end. Dropped, it hands over what it holds.
#[derive(Debug)]
pub struct AccessLogger {
    queue: Queue,
    formatter: Formatter,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: u64,
    /// Lines dropped and not told yet.
    gap: u64,
}

#[derive(Clone, Debug)]
struct Queue {
    sender: SyncSender<Message>,
    asked: Arc<Asked>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Lines {
        bytes: Vec<u8>,
        lines: u64,
    },
    /// Look at what is asked.
    Wake,
}

/// What is asked of the writer. Flags and not messages, so that a full queue loses none.
#[derive(Debug, Default)]
struct Asked {
    reopen: AtomicBool,
    close: AtomicBool,
}

type Output = Box<dyn Write + Send>;
type Open = Box<dyn FnMut() -> io::Result<Output> + Send>;

/// The writer thread's state.
struct Writer {
    queue: Receiver<Message>,
    asked: Arc<Asked>,
    dropped: Arc<AtomicU64>,
    formatter: Formatter,
    open: Open,
    output: Output,
    /// Lines lost to errors and not told yet.
    gap: u64,
    /// Whether an error cut a line short.
    is_torn: bool,
}

impl AccessLogWriter {
    /// Opens the file (or standard output) to append to, and starts the thread. Lost lines are counted in `dropped`.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread started.
    pub fn start(path: Option<PathBuf>, format: Format, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        Self::start_with(Box::new(move || open(path.as_ref())), format, dropped)
    }

    fn start_with(mut open: Open, format: Format, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let asked = Arc::new(Asked::default());
        let output = open()?;
        let writer = Writer {
            queue: receiver,
            asked: Arc::clone(&asked),
            dropped: Arc::clone(&dropped),
            formatter: Formatter::new(format),
            open,
            output,
            gap: 0,
            is_torn: false,
        };
        let (end, ended) = sync_channel(0);
        std::thread::Builder::new().name("homing-log".into()).spawn(move || {
            let _end: SyncSender<()> = end;
            writer.run();
        })?;
        Ok(Self { format, queue: Queue { sender, asked, dropped }, ended })
    }

    /// A new worker's end.
    #[must_use]
    pub fn logger(&self) -> AccessLogger {
        AccessLogger {
            queue: self.queue.clone(),
            formatter: Formatter::new(self.format),
            buffer: Vec::new(),
            lines: 0,
            gap: 0,
        }
    }

    /// A handle for rotation.
    #[must_use]
    pub fn reopener(&self) -> Reopener {
        Reopener(self.queue.clone())
    }

    /// Writes all that was handed over and ends the thread. Loggers are to be dropped before; what they hand over
    /// later is counted as dropped. Whether the output took everything within 3 s; if not, the thread is left behind.
    pub fn close(self) -> bool {
        self.queue.asked.close.store(true, Ordering::Release);
        self.queue.wake();
        matches!(self.ended.recv_timeout(CLOSING), Err(std::sync::mpsc::RecvTimeoutError::Disconnected))
    }
}

impl Reopener {
    /// Opens the file anew before the next line is written. If that fails the old file stays in use.
    pub fn reopen(&self) {
        self.0.asked.reopen.store(true, Ordering::Release);
        self.0.wake();
    }
}

impl AccessLogger {
    /// Logs one request.
    pub fn log(&mut self, entry: &Entry<'_>) {
        if self.buffer.is_empty() {
            // Room for the line that crosses the border, so that the buffer does not grow.
            self.buffer.reserve(CHUNK + 4096);
            if self.gap > 0 {
                self.formatter.dropped(self.gap, entry.ts_ms, &mut self.buffer);
            }
        }
        self.formatter.line(entry, &mut self.buffer);
        self.lines += 1;
        if self.buffer.len() >= CHUNK {
            self.flush();
        }
    }

    /// Hands over what is buffered; called on the worker's tick. Never waits.
    pub fn flush(&mut self) {
        if self.buffer.is_empty() {
            if self.gap == 0 {
                return;
            }
            self.formatter.dropped(self.gap, unix_ms(), &mut self.buffer);
        }
        let message = Message::Lines { bytes: std::mem::take(&mut self.buffer), lines: self.lines };
        if self.queue.sender.try_send(message).is_ok() {
            self.gap = 0;
        } else {
            self.gap += self.lines;
            self.queue.dropped.fetch_add(self.lines, Ordering::Relaxed);
        }
        self.lines = 0;
    }
}

impl Drop for AccessLogger {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Queue {
    /// Makes the writer look at what is asked. If the queue is full it is awake.
    fn wake(&self) {
        let _ = self.sender.try_send(Message::Wake);
    }
}

impl Writer {
    fn run(mut self) {
        while let Ok(message) = self.queue.recv() {
            self.take(message);
            if self.asked.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            if self.asked.close.load(Ordering::Acquire) {
                while let Ok(message) = self.queue.try_recv() {
                    self.take(message);
                }
                return;
            }
        }
    }

    fn take(&mut self, message: Message) {
        let Message::Lines { bytes, lines } = message else { return };
        if self.gap > 0 {
            let mut notice = Vec::new();
            self.formatter.dropped(self.gap, unix_ms(), &mut notice);
            if self.put(&notice).is_err() {
                return self.lose(lines);
            }
            self.gap = 0;
            tracing::info!("access log is written again");
        }
        if let Err((written, error)) = self.put(&bytes) {
            tracing::warn!("write the access log: {error}; lines are dropped until it can be written");
            let whole = bytes.iter().take(written).filter(|&&b| b == b'\n').count() as u64;
            self.lose(lines.saturating_sub(whole));
        }
    }

    /// Writes whole lines; on an error says how many bytes of them were written.
    fn put(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.is_torn {
            self.output.write_all(b"\n").map_err(|e| (0, e))?;
            self.is_torn = false;
        }
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            let error = match self.output.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    written += n;
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => e,
            };
            self.is_torn = lines.get(..written).and_then(|done| done.last()).is_some_and(|&b| b != b'\n');
            return Err((written, error));
        }
        Ok(())
    }

    fn lose(&mut self, lines: u64) {
        // At least 1, so that the recovery is told even if only a notice was lost.
        self.gap += lines.max(1);
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn reopen(&mut self) {
        match (self.open)() {
            Ok(output) => {
                self.output = output;
                self.is_torn = false;
                tracing::info!("access log reopened");
            }
            Err(error) => tracing::warn!("reopen the access log: {error}; the old file stays in use"),
        }
    }
}

fn open(path: Option<&PathBuf>) -> io::Result<Output> {
    use std::os::fd::AsFd;
    Ok(Box::new(match path {
        Some(path) => OpenOptions::new().append(true).create(true).open(path)?,
        // A descriptor of its own: std's handle would look for line ends in every buffer once more.
        None => File::from(io::stdout().as_fd().try_clone_to_owned()?),
    }))
}

fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "access_log_tests.rs"]
mod tests;
