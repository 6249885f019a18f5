use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::message::h2_frames::PREFACE;
use crate::net::buffer::Blocks;
use crate::net::stream::Stream;

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn watched(room: usize) -> (Watched<DuplexStream>, Rc<Observed>, DuplexStream, Rc<Clock>) {
    let (ours, theirs) = duplex(room);
    let clock = Rc::new(Clock::default());
    let held = Buffer::new(&Rc::new(Blocks::new(1)));
    let (watched, observed) = Watched::new(ours, held, &clock);
    (watched, observed, theirs, clock)
}

#[tokio::test]
async fn what_was_held_comes_first_and_is_watched() {
    let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
    let mut stream = Stream::Unix(ours);
    theirs.write_all(&[&PREFACE[..], &SETTINGS].concat()).await.unwrap();
    let mut held = Buffer::new(&Rc::new(Blocks::new(1)));
    std::future::poll_fn(|cx| held.poll_fill(&mut stream, cx)).await.unwrap();
    theirs.write_all(&PING).await.unwrap();
    drop(theirs);
    let (mut watched, observed) = Watched::new(stream, held, &Rc::new(Clock::default()));
    let mut read = Vec::new();
    watched.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, [&PREFACE[..], &SETTINGS, &PING].concat());
    assert_eq!((observed.unfinished(), observed.verdict()), (None, None));
}

#[tokio::test]
async fn after_a_verdict_nothing_is_read_and_the_task_is_woken() {
    let (mut watched, observed, mut theirs, _clock) = watched(1 << 20);
    theirs.write_all(&[&PREFACE[..], &SETTINGS].concat()).await.unwrap();
    theirs.write_all(&PING.repeat(201)).await.unwrap();
    let mut read = Vec::new();
    let mut piece = [0; 1024];
    let ended = std::future::poll_fn(|cx| {
        let mut buf = ReadBuf::new(&mut piece);
        match Pin::new(&mut watched).poll_read(cx, &mut buf) {
            Poll::Ready(_) => {
                read.extend_from_slice(buf.filled());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending if observed.verdict().is_some() => Poll::Ready(buf.filled().len()),
            Poll::Pending => Poll::Pending,
        }
    });
    assert_eq!(ended.await, 0, "nothing of the last read is seen");
    assert_eq!(observed.verdict(), Some(Verdict::Abuse(Abuse::Ping)));
    assert!(read.len() < PREFACE.len() + SETTINGS.len() + 201 * PING.len());
}

#[tokio::test]
async fn a_write_that_is_not_taken_is_told_since_when() {
    let (mut watched, observed, mut theirs, clock) = watched(64);
    clock.tick(Duration::from_millis(100));
    watched.write_all(&[0; 64]).await.unwrap();
    assert_eq!(observed.blocked_since(), None);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let piece = [IoSlice::new(&[0; 10]), IoSlice::new(&[0; 10])];
    for now in [200, 300] {
        clock.tick(Duration::from_millis(now));
        assert!(Pin::new(&mut watched).poll_write_vectored(&mut cx, &piece).is_pending());
        assert_eq!(observed.blocked_since(), Some(200));
    }
    let timeouts = ClientTimeouts {
        proxy_header: Duration::from_secs(5),
        tls_handshake: Duration::from_secs(5),
        head: Duration::from_secs(10),
        body: Duration::from_secs(20),
        write: Duration::from_secs(30),
        idle: Duration::from_secs(60),
    };
    assert_eq!(observed.due(&timeouts), Some((10_000, Abuse::SlowHead)), "no preface came");
    let begin = [&PREFACE[..], &SETTINGS].concat();
    theirs.write_all(&begin).await.unwrap();
    watched.read_exact(&mut vec![0; begin.len()]).await.unwrap();
    assert_eq!(observed.due(&timeouts), Some((30_200, Abuse::NotRead)));
    theirs.read_exact(&mut [0; 30]).await.unwrap();
    assert!(Pin::new(&mut watched).poll_write_vectored(&mut cx, &piece).is_ready());
    assert_eq!((observed.blocked_since(), observed.due(&timeouts)), (None, None));
}
