//! Programs that nobody here wrote, run to their end.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a program may take, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(60);

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

/// When the program's standard input ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// Behind what it is given.
    Ends,
    /// With the program, as a terminal would.
    StaysOpen,
}

/// A program that is running. It is killed on drop.
pub(crate) struct Program {
    child: Child,
    out: Option<thread::JoinHandle<Vec<u8>>>,
    err: Option<thread::JoinHandle<Vec<u8>>>,
}

/// Runs a program and waits for it.
pub(crate) fn run<S: AsRef<str>>(program: &str, arguments: &[S], stdin: impl AsRef<[u8]>) -> Ran {
    run_with(program, arguments, stdin, Input::Ends)
}

/// The same, with a standard input that may stay open.
pub(crate) fn run_with<S: AsRef<str>>(
    program: &str,
    arguments: &[S],
    stdin: impl AsRef<[u8]>,
    input: Input,
) -> Ran {
    start(program, arguments, stdin, input).end()
}

/// Starts a program.
pub(crate) fn start<S: AsRef<str>>(
    program: &str,
    arguments: &[S],
    stdin: impl AsRef<[u8]>,
    input: Input,
) -> Program {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(AsRef::as_ref));
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|e| panic!("{program}: {e}; `make setup` installs it"));
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        thread::spawn(move || {
            let mut all = Vec::new();
            let _ = from.read_to_end(&mut all);
            all
        })
    };
    let out = read(Box::new(child.stdout.take().unwrap()));
    let err = read(Box::new(child.stderr.take().unwrap()));
    // Whoever has read enough may be gone.
    let _ = child.stdin.as_mut().unwrap().write_all(stdin.as_ref());
    if input == Input::Ends {
        child.stdin = None;
    }
    Program { child, out: Some(out), err: Some(err) }
}

impl Program {
    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        let began = Instant::now();
        // `wait` would close its standard input.
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < LIMIT, "it did not end in {LIMIT:?}");
            thread::park_timeout(Duration::from_millis(1));
        };
        let [out, err] = [self.out.take(), self.err.take()].map(|thread| thread.unwrap().join().unwrap());
        Ran { status, out, err: String::from_utf8_lossy(&err).into_owned() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// What it wrote to its standard output, if it ended well.
    pub(crate) fn text(&self) -> String {
        let out = self.out_text();
        assert!(self.status.success(), "{}\n{out}\n{}", self.status, self.err);
        out
    }

    /// What it wrote to its standard output.
    pub(crate) fn out_text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}
