use std::path::Path;
use std::sync::mpsc::channel;

use parking_lot::Mutex;

use super::*;

fn log(logger: &mut AccessLogger, path: &str) {
    logger.log(&Entry { path: path.as_bytes(), ..Entry::default() });
}

fn counter() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(0))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Takes what its plan allows: bytes per write, `None` is an error; the last entry holds for ever.
struct Scripted {
    plan: Arc<Mutex<Vec<Option<usize>>>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut plan = self.plan.lock();
        let step = if plan.len() > 1 { plan.remove(0) } else { plan[0] };
        let n = step.ok_or(io::ErrorKind::StorageFull)?.min(bytes.len());
        self.written.lock().extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer onto `Scripted`, and what it wrote.
fn scripted(plan: &[Option<usize>], dropped: &Arc<AtomicU64>) -> (AccessLogWriter, Arc<Mutex<Vec<u8>>>) {
    let (plan, written) = (Arc::new(Mutex::new(plan.to_vec())), Arc::new(Mutex::new(Vec::new())));
    let shared = Arc::clone(&written);
    let open: Open =
        Box::new(move || Ok(Box::new(Scripted { plan: Arc::clone(&plan), written: Arc::clone(&shared) })));
    (AccessLogWriter::start_with(open, Format::Json, Arc::clone(dropped)).unwrap(), written)
}

#[test]
fn closing_writes_everything_that_loggers_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    std::fs::write(&path, "before\n").unwrap();
    let writer = AccessLogWriter::start(Some(path.clone()), Format::Json, counter()).unwrap();
    let mut loggers = [writer.logger(), writer.logger()];
    for i in 0..1000 {
        loggers.iter_mut().for_each(|logger| log(logger, &format!("/{i}")));
    }
    drop(loggers);
    assert!(writer.close());
    let text = read(&path);
    assert_eq!(text.lines().count(), 2001);
    assert!(text.starts_with("before\n") && text.ends_with("}\n"));
}

#[test]
fn reopening_follows_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let writer = AccessLogWriter::start(Some(path.clone()), Format::Json, counter()).unwrap();
    let mut logger = writer.logger();
    log(&mut logger, "/old");
    logger.flush();
    while read(&path).is_empty() {
        std::thread::yield_now();
    }
    std::fs::rename(&path, &old).unwrap();
    writer.reopener().reopen();
    while !path.exists() {
        std::thread::yield_now();
    }
    log(&mut logger, "/new");
    drop(logger);
    assert!(writer.close());
    assert!(read(&old).contains("/old") && !read(&old).contains("/new"));
    assert!(read(&path).contains("/new"));
}

#[test]
fn a_full_queue_drops_lines_counts_them_and_says_so() {
    let dropped = counter();
    let (go, wait) = channel::<()>();
    let written = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&written);
    let mut wait = Some(wait);
    /// Takes nothing until told to.
    struct Stuck(Receiver<()>, Arc<Mutex<Vec<u8>>>);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let open: Open = Box::new(move || Ok(Box::new(Stuck(wait.take().unwrap(), Arc::clone(&shared)))));
    let writer = AccessLogWriter::start_with(open, Format::Json, Arc::clone(&dropped)).unwrap();
    let mut logger = writer.logger();
    while dropped.load(Ordering::Relaxed) < 3 {
        log(&mut logger, "/x");
        logger.flush();
    }
    drop(go);
    while !logger.buffer.is_empty() || logger.gap > 0 {
        logger.flush();
    }
    log(&mut logger, "/last");
    drop(logger);
    assert!(writer.close());
    let text = String::from_utf8(written.lock().clone()).unwrap();
    assert_eq!(text.matches("\"dropped\":3}").count(), 1, "{text}");
    assert!(text.contains("/last"));
}

#[test]
fn a_full_disk_costs_lines_and_is_said_when_it_has_room_again() {
    let dropped = counter();
    // The first line whole and ten bytes of the second; an error; one more where that line is ended; then all is well.
    let length = {
        let mut line = Vec::new();
        Formatter::new(Format::Json).line(&Entry { path: b"/a", ..Entry::default() }, &mut line);
        line.len()
    };
    let (writer, written) = scripted(&[Some(length + 10), None, None, Some(usize::MAX)], &dropped);
    let mut logger = writer.logger();
    for paths in [&["/a", "/b", "/c"][..], &["/d"], &["/e"]] {
        paths.iter().for_each(|path| log(&mut logger, path));
        logger.flush();
    }
    drop(logger);
    assert!(writer.close());
    let text = String::from_utf8(written.lock().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].contains("/a") && lines[1].len() == 10);
    assert!(lines[2].contains("\"dropped\":3}") && lines[3].contains("/e"), "{text}");
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
}

#[test]
fn a_path_that_cannot_be_opened_is_an_error_at_the_start() {
    let path = PathBuf::from("/nowhere/at/all/access.log");
    assert!(AccessLogWriter::start(Some(path), Format::Json, counter()).is_err());
}

#[test]
fn what_comes_after_the_close_is_counted() {
    let dropped = counter();
    let (writer, written) = scripted(&[Some(usize::MAX)], &dropped);
    let mut logger = writer.logger();
    assert!(writer.close());
    log(&mut logger, "/late");
    drop(logger);
    assert!(written.lock().is_empty());
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}
