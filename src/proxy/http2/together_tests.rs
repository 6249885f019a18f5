//! Reading, link and streams together, without sockets: a client that keeps the rules, tasks that read and write as they
//! like, and bytes that are cut anywhere. Whatever they do, windows are kept, nothing is lost, and nobody is forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::link::{Fault, JOINED, Link, State};
use super::reading::{Begun, Reading};
use super::request::Form;
use super::slots::{End, Line};
use super::stream::Incoming;
use super::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::message::h2_frames::{
    END_HEADERS, END_STREAM, Frame, HEADER, Kind, LARGEST, PREFACE, header, setting,
};
use crate::message::hpack::Decoder;
use crate::net::buffer::{Blocks, Buffer};
use crate::net::stream::Carried as _;
use crate::proxy::clock::Clock;

const PADDED: u8 = 8;
const PROTECTED: usize = 3;

/// What a client asks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Get,
    Chunked,
    Length(u16),
    Tunnel,
}

/// How it is answered.
#[derive(Clone, Copy, Debug)]
enum Answers {
    /// Without a body.
    Head,
    Length(u32),
    /// In so many chunks of so many bytes, with trailers or without.
    Chunked(u8, u16, bool),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open(Asks, Answers, bool),
    Data(usize, usize, Option<u8>, bool),
    Trailers(usize),
    Reset(usize),
    Window(usize, u32),
    WindowOfAll(u32),
    Initial(u32),
    Noise(u8),
    Arrive(usize),
    Poll(usize, u32, usize),
    /// Its task leaves, with a word or without.
    Leave(usize, bool),
    /// It does not wait for the rest of its request.
    Hurry(usize),
    Write(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let asks = prop_oneof![
        Just(Asks::Get),
        Just(Asks::Chunked),
        (1..50_000_u16).prop_map(Asks::Length),
        Just(Asks::Tunnel)
    ];
    let answers = prop_oneof![
        1 => Just(Answers::Head),
        4 => (1..200_000_u32).prop_map(Answers::Length),
        4 => (0..20_u8, 1..20_000_u16, any::<bool>()).prop_map(|(n, size, t)| Answers::Chunked(n, size, t)),
    ];
    let which = 0..24_usize;
    let step = prop_oneof![
        8 => (asks, answers, any::<bool>()).prop_map(|(asks, how, is_cut)| Step::Open(asks, how, is_cut)),
        10 => (which.clone(), 0..LARGEST, any::<Option<u8>>(), prop::bool::weighted(0.2))
            .prop_map(|(s, n, padding, ends)| Step::Data(s, n, padding, ends)),
        1 => which.clone().prop_map(Step::Trailers),
        1 => which.clone().prop_map(Step::Reset),
        3 => (which.clone(), 1..60_000_u32).prop_map(|(s, n)| Step::Window(s, n)),
        4 => (1..60_000_u32).prop_map(Step::WindowOfAll),
        1 => prop_oneof![Just(0), 0..100_000_u32].prop_map(Step::Initial),
        2 => (0..4_u8).prop_map(Step::Noise),
        20 => prop_oneof![1..40_usize, 1..30_000_usize].prop_map(Step::Arrive),
        30 => (which.clone(), 1..6_u32, prop_oneof![1..20_usize, 1..40_000_usize])
            .prop_map(|(s, n, size)| Step::Poll(s, n, size)),
        1 => (which.clone(), any::<bool>()).prop_map(|(s, says)| Step::Leave(s, says)),
        1 => which.prop_map(Step::Hurry),
        10 => prop_oneof![1..1_000_usize, 1..100_000_usize].prop_map(Step::Write),
    ];
    prop::collection::vec(step, 1..200)
}

#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Whoever may be woken.
#[derive(Debug)]
struct Sleeper {
    flag: Arc<Flag>,
    waker: Waker,
}

impl Sleeper {
    fn new() -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        Self { waker: Waker::from(Arc::clone(&flag)), flag }
    }

    fn is_woken(&self) -> bool {
        self.flag.0.swap(false, SeqCst)
    }
}

/// A stream as its client has it.
#[derive(Debug)]
struct Told {
    how: Answers,
    asks: Asks,
    /// How much may still be sent to it, and by it.
    window: i64,
    credit: i64,
    sent: Vec<u8>,
    /// It has ended its request, or the stream.
    has_ended: bool,
    has_reset: bool,
    statuses: Vec<u16>,
    got: Vec<u8>,
    has_trailers: bool,
    is_whole: bool,
    was_reset: bool,
}

/// What changes for the other side when a frame has come whole.
#[derive(Debug)]
enum Effect {
    Open(u32),
    Window(u32, u32),
    Initial(u32),
}

/// A stream as it is served.
#[derive(Debug)]
struct Task {
    id: u32,
    sleeper: Sleeper,
    stream: Incoming,
    form: Form,
    answer: Vec<u8>,
    written: usize,
    read: Vec<u8>,
    has_read: bool,
    hurries: bool,
    is_shut: bool,
}

struct World {
    link: Rc<Link>,
    reading: Reading,
    driver: Sleeper,
    tasks: Vec<Task>,
    told: BTreeMap<u32, Told>,
    decoder: Decoder,
    /// What was said and has not come, and how much was said and has come in all.
    wire: VecDeque<u8>,
    said: usize,
    came: usize,
    effects: VecDeque<(usize, Effect)>,
    /// How much of `out` was looked at.
    heard: usize,
    window: i64,
    credit: i64,
    initial: i64,
    /// Streams whose tasks left early.
    left: Vec<u32>,
}

fn pattern(id: u32, n: usize) -> Vec<u8> {
    (0..n).map(|at| (at as u32 * 7 + id) as u8).collect()
}

impl Answers {
    fn bytes(self, id: u32, is_tunnel: bool) -> Vec<u8> {
        let body = self.body(id);
        if is_tunnel {
            return [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", &body[..]].concat();
        }
        match self {
            Self::Head => b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            Self::Length(n) => {
                [format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n").as_bytes(), &body].concat()
            }
            Self::Chunked(_, size, has_trailers) => {
                let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                for chunk in body.chunks(size.into()) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend_from_slice(if has_trailers { b"0\r\nx-t: 1\r\n\r\n" } else { b"0\r\n\r\n" });
                bytes
            }
        }
    }

    fn body(self, id: u32) -> Vec<u8> {
        pattern(
            id,
            match self {
                Self::Head => 0,
                Self::Length(n) => n as usize,
                Self::Chunked(n, size, _) => usize::from(n) * usize::from(size),
            },
        )
    }
}

/// The data of a chunked body, if it is whole.
fn whole(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n")?;
        let n = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = &rest[line + 2..];
        if n == 0 {
            return rest.ends_with(b"\r\n").then_some(data);
        }
        data.extend_from_slice(rest.get(..n)?);
        rest = rest.get(n + 2..)?;
    }
}

impl Task {
    /// Reads and writes so often, by pieces of such a size; true: it is done. An error is that its stream was reset.
    fn poll(&mut self, times: u32, size: usize) -> std::io::Result<bool> {
        self.sleeper.is_woken();
        let waker = self.sleeper.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        let mut left = times;
        while !self.has_read && !self.is_shut && left > 0 {
            left -= 1;
            let mut room = vec![0; size];
            let mut out = ReadBuf::new(&mut room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut out) {
                Poll::Pending => break,
                Poll::Ready(read) => read?,
            }
            self.read.extend_from_slice(out.filled());
            self.has_read = match self.form {
                Form::Open => out.filled().is_empty(),
                Form::Length(n) => self.read.len() as u64 == n,
                Form::Chunked => whole(&self.read).is_some(),
                Form::None => true,
            };
        }
        let mut has_time = left > 0;
        left = times;
        while self.written < self.answer.len() && left > 0 {
            left -= 1;
            // A head is written whole.
            let rest = &self.answer[self.written..];
            let head = if rest.starts_with(b"HTTP/1.1") {
                rest.windows(4).position(|w| w == b"\r\n\r\n")
            } else {
                None
            };
            let end = self.answer.len().min(self.written + size.max(head.map_or(0, |head| head + 4)));
            match Pin::new(&mut self.stream).poll_write(cx, &self.answer[self.written..end]) {
                Poll::Pending => break,
                Poll::Ready(written) => self.written += written?,
            }
        }
        has_time &= left > 0;
        if self.written == self.answer.len() && (self.has_read || self.hurries) {
            self.is_shut = true;
            assert!(Pin::new(&mut self.stream).poll_shutdown(cx).is_ready());
            return Ok(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut [0])).is_ready());
        }
        if !has_time {
            self.sleeper.waker.wake_by_ref();
        }
        Ok(false)
    }
}

impl World {
    fn new() -> Self {
        let blocks = Rc::new(Blocks::new(1));
        let link = Rc::new(Link::new(
            &Rc::new(Clock::default()),
            Vec::new(),
            Duration::from_secs(60),
            &Arc::default(),
        ));
        let driver = Sleeper::new();
        link.drive(&Context::from_waker(&driver.waker));
        let mut world = Self {
            link,
            reading: Reading::new(Buffer::new(&blocks), 32 * 1024, &blocks, 0),
            driver,
            tasks: Vec::new(),
            told: BTreeMap::new(),
            decoder: Decoder::new(4096),
            wire: VecDeque::new(),
            said: 0,
            came: 0,
            effects: VecDeque::new(),
            heard: 0,
            window: 65_535,
            credit: i64::from(CONNECTION_WINDOW),
            initial: 65_535,
            left: Vec::new(),
        };
        world.say_bytes(&PREFACE);
        world.say(Kind::Settings, 0, 0, &[]);
        world
    }

    fn say_bytes(&mut self, bytes: &[u8]) {
        self.wire.extend(bytes);
        self.said += bytes.len();
    }

    fn say(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        self.say_bytes(&header(kind, flags, stream, payload.len()));
        self.say_bytes(payload);
    }

    fn has(&mut self, effect: Effect) {
        self.effects.push_back((self.said, effect));
    }

    /// A stream that its client has not ended, if there is one.
    fn speaking(&self, which: usize) -> Option<u32> {
        let open: Vec<u32> = self
            .told
            .iter()
            .filter(|(_, told)| !told.has_ended && !told.has_reset && !told.was_reset)
            .map(|(id, _)| *id)
            .collect();
        open.get(which % open.len().max(1)).copied()
    }

    fn any(&self, which: usize) -> Option<u32> {
        self.told.keys().nth(which % self.told.len().max(1)).copied()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open(asks, how, is_cut) => self.open(asks, how, is_cut),
            Step::Data(which, n, padding, ends) => self.send(which, n, padding, ends),
            Step::Trailers(which) => {
                let Some(id) = self.speaking(which) else { return };
                let told = self.told.get_mut(&id).unwrap();
                if told.asks != Asks::Chunked {
                    return;
                }
                told.has_ended = true;
                self.say(Kind::Headers, END_STREAM | END_HEADERS, id, b"\0\x01x\x01y");
            }
            Step::Reset(which) => {
                let Some(id) = self.any(which) else { return };
                let told = self.told.get_mut(&id).unwrap();
                if !std::mem::replace(&mut told.has_reset, true) {
                    self.say(Kind::Reset, 0, id, &[0, 0, 0, 8]);
                }
            }
            Step::Window(which, more) => {
                let Some(id) = self.any(which) else { return };
                self.say(Kind::WindowUpdate, 0, id, &more.to_be_bytes());
                self.has(Effect::Window(id, more));
            }
            Step::WindowOfAll(more) => {
                self.say(Kind::WindowUpdate, 0, 0, &more.to_be_bytes());
                self.has(Effect::Window(0, more));
            }
            Step::Initial(size) => {
                let pair = [&setting::INITIAL_WINDOW_SIZE.to_be_bytes()[..], &size.to_be_bytes()].concat();
                self.say(Kind::Settings, 0, 0, &pair);
                self.has(Effect::Initial(size));
            }
            Step::Noise(0) => self.say(Kind::Ping, 0, 0, b"are you?"),
            Step::Noise(1) => self.say(Kind::Unknown, 0xff, 5, b"what"),
            Step::Noise(2) => self.say(Kind::Priority, 0, 9, &[0, 0, 0, 1, 7]),
            Step::Noise(_) => self.say(Kind::Settings, 0, 0, &[0, 1, 0, 0, 0, 40, 0, 1, 0, 0, 1, 0]),
            Step::Arrive(n) => self.arrive(n),
            Step::Poll(which, times, size) => {
                if !self.tasks.is_empty() {
                    self.poll(which % self.tasks.len(), times, size);
                }
            }
            Step::Leave(which, says) => {
                if which >= self.tasks.len() {
                    return;
                }
                let mut task = self.tasks.swap_remove(which);
                self.left.push(task.id);
                if says {
                    task.stream.reset_on_close();
                }
            }
            Step::Hurry(which) => {
                if let Some(task) = self.tasks.get_mut(which) {
                    task.hurries = true;
                    task.sleeper.waker.wake_by_ref();
                }
            }
            Step::Write(n) => self.write(n),
        }
    }

    fn open(&mut self, asks: Asks, how: Answers, is_cut: bool) {
        let id = self.told.len() as u32 * 2 + 1;
        let mut block = match asks {
            Asks::Get => b"\x82\x86\x84\x41\x04test".to_vec(),
            Asks::Chunked | Asks::Length(_) => b"\x83\x86\x84\x41\x04test".to_vec(),
            Asks::Tunnel => b"\x02\x07CONNECT\x86\x84\x41\x04test\x40\x09:protocol\x09websocket".to_vec(),
        };
        if let Asks::Length(n) = asks {
            let text = n.to_string();
            block.extend([0x0f, 28 - 15, text.len() as u8]);
            block.extend(text.bytes());
        }
        let end = if asks == Asks::Get { END_STREAM } else { 0 };
        if is_cut {
            self.say(Kind::Headers, end, id, &block[..PROTECTED]);
            self.say(Kind::Continuation, END_HEADERS, id, &block[PROTECTED..]);
        } else {
            self.say(Kind::Headers, end | END_HEADERS, id, &block);
        }
        self.has(Effect::Open(id));
        let told = Told {
            how,
            asks,
            window: 0,
            credit: i64::from(STREAM_WINDOW),
            sent: Vec::new(),
            has_ended: asks == Asks::Get,
            has_reset: false,
            statuses: Vec::new(),
            got: Vec::new(),
            has_trailers: false,
            is_whole: false,
            was_reset: false,
        };
        self.told.insert(id, told);
    }

    fn send(&mut self, which: usize, n: usize, padding: Option<u8>, ends: bool) {
        let Some(id) = self.speaking(which) else { return };
        let told = self.told.get_mut(&id).unwrap();
        let around = padding.map_or(0, |padding| usize::from(padding) + 1);
        let room = usize::try_from(told.credit.min(self.credit)).unwrap().min(LARGEST);
        if room < around {
            return;
        }
        let (mut n, mut ends) = (n.min(room - around), ends);
        if let Asks::Length(length) = told.asks {
            let left = usize::from(length) - told.sent.len();
            n = n.min(left);
            ends &= n == left;
        }
        let at = told.sent.len();
        let data = pattern(id, at + n)[at..].to_vec();
        told.sent.extend_from_slice(&data);
        told.has_ended = ends;
        told.credit -= (n + around) as i64;
        self.credit -= (n + around) as i64;
        let flags = if ends { END_STREAM } else { 0 };
        match padding {
            None => self.say(Kind::Data, flags, id, &data),
            Some(padding) => {
                let payload = [&[padding], &data[..], &vec![0; padding.into()]].concat();
                self.say(Kind::Data, flags | PADDED, id, &payload);
            }
        }
    }

    /// So many bytes of what the client said come.
    fn arrive(&mut self, n: usize) {
        let bytes: Vec<u8> = self.wire.drain(..n.min(self.wire.len())).collect();
        self.came += bytes.len();
        assert!(self.reading.input.put(&bytes));
        let (link, tasks, told) = (&self.link, &mut self.tasks, &self.told);
        let state = &mut *link.state.borrow_mut();
        let looked = self.reading.look(state, 0, |begun: Begun, state: &mut State| {
            let id = state.slots.get_mut(begun.place).unwrap().id;
            let told = &told[&id];
            tasks.push(Task {
                id,
                sleeper: Sleeper::new(),
                stream: Incoming::new(link, begun.place, &begun.asked),
                form: begun.asked.form,
                answer: told.how.bytes(id, told.asks == Asks::Tunnel),
                written: 0,
                read: Vec::new(),
                has_read: begun.asked.form == Form::None,
                hurries: false,
                is_shut: false,
            });
        });
        assert_eq!(looked, Ok::<(), Fault>(()), "a client that keeps the rules is not at fault");
        while self.effects.front().is_some_and(|(at, _)| *at <= self.came) {
            match self.effects.pop_front().unwrap().1 {
                Effect::Open(id) => self.told.get_mut(&id).unwrap().window += self.initial,
                Effect::Window(0, more) => self.window += i64::from(more),
                Effect::Window(id, more) => self.told.get_mut(&id).unwrap().window += i64::from(more),
                Effect::Initial(size) => {
                    let change = i64::from(size) - self.initial;
                    self.initial = size.into();
                    // Those that have come; the others begin with it.
                    let unopened: Vec<u32> = self
                        .effects
                        .iter()
                        .filter_map(|(_, effect)| match effect {
                            Effect::Open(id) => Some(*id),
                            _ => None,
                        })
                        .collect();
                    for (id, told) in &mut self.told {
                        told.window += if unopened.contains(id) { 0 } else { change };
                    }
                }
            }
        }
    }

    fn poll(&mut self, which: usize, times: u32, size: usize) {
        let task = &mut self.tasks[which];
        match task.poll(times, size) {
            Ok(false) => return,
            Ok(true) => {
                let told = &self.told[&task.id];
                if task.has_read {
                    let read =
                        if task.form == Form::Chunked { whole(&task.read) } else { Some(task.read.clone()) };
                    assert_eq!(read.as_deref(), Some(&told.sent[..]), "the body of {}", task.id);
                }
                if !task.has_read {
                    self.left.push(task.id); // Its client may be told so.
                }
            }
            Err(error) => {
                let told = &self.told[&task.id];
                assert!(told.has_reset, "{}: {error}, though its client did not reset it", task.id);
            }
        }
        self.tasks.swap_remove(which);
    }

    /// The socket takes so many bytes, as the driver hands them to it.
    fn write(&mut self, n: usize) {
        let state = &mut *self.link.state.borrow_mut();
        let n = n.min(state.out.len());
        state.out.drain(..n);
        self.heard -= n;
        self.link.invite(state);
    }

    /// What the server has said since the last time, by the rules.
    fn hear(&mut self) {
        let new = self.link.state.borrow().out[self.heard..].to_vec();
        self.heard += new.len();
        let (mut rest, mut block) = (&new[..], Vec::new());
        while let Some((head, after)) = rest.split_first_chunk::<HEADER>() {
            let frame = Frame::read(head);
            let (payload, after) = after.split_at(frame.length);
            rest = after;
            assert!(frame.length <= LARGEST);
            let number = || i64::from(u32::from_be_bytes(payload.try_into().unwrap()));
            if frame.stream == 0 {
                if frame.kind == Kind::WindowUpdate {
                    self.credit += number();
                    assert!(self.credit <= CONNECTION_WINDOW.into());
                }
                continue;
            }
            let told = self.told.get_mut(&frame.stream).unwrap();
            assert!(!told.was_reset, "{frame:?} behind a reset");
            match frame.kind {
                Kind::WindowUpdate => {
                    told.credit += number();
                    assert!(told.credit <= STREAM_WINDOW.into());
                }
                Kind::Reset => told.was_reset = true,
                Kind::Data => {
                    assert!(!told.is_whole && told.statuses.last().is_some_and(|status| *status >= 200));
                    let n = frame.length as i64;
                    assert!(
                        n == 0 || n <= told.window && n <= self.window,
                        "{n} of {} {}",
                        told.window,
                        self.window
                    );
                    told.window -= n;
                    self.window -= n;
                    told.got.extend_from_slice(payload);
                }
                Kind::Headers | Kind::Continuation => {
                    assert!(!told.is_whole);
                    block.extend_from_slice(payload);
                    if frame.ends_headers() {
                        let (mut status, mut has_status) = (0, false);
                        let each = |field: crate::message::hpack::Field<'_>| {
                            if field.name == b":status" {
                                has_status = true;
                                status = std::str::from_utf8(field.value).unwrap().parse().unwrap();
                            }
                        };
                        self.decoder.decode(&std::mem::take(&mut block), each).unwrap();
                        if has_status {
                            told.statuses.push(status);
                        } else {
                            told.has_trailers = true;
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
            told.is_whole |= frame.ends_stream();
        }
        assert!(rest.is_empty() && block.is_empty(), "frames are whole");
    }

    /// What holds whatever was done.
    fn check(&mut self) {
        self.hear();
        let state = &mut *self.link.state.borrow_mut();
        assert!(state.out.len() <= 2 * JOINED, "{}", state.out.len());
        let (mut live, mut owed, mut waiting) = (0, 0, [0; 3]);
        for slot in state.slots.iter_mut() {
            live += usize::from(slot.end == End::Open);
            owed += slot.owed;
            waiting[0] += usize::from(slot.line == Line::Heads);
            waiting[1] += usize::from(slot.line == Line::Data);
            waiting[2] += usize::from(slot.is_invited);
        }
        assert_eq!(state.slots.live, live);
        assert_eq!(state.waiting(), waiting);
        assert_eq!(state.credit + state.unsaid + owed + self.reading.coming(), CONNECTION_WINDOW);
    }

    /// All that anybody who is woken does, until nobody is.
    fn settle(&mut self) {
        loop {
            let mut is_still = true;
            if self.driver.is_woken() {
                self.write(usize::MAX);
                is_still = false;
            }
            for which in (0..self.tasks.len()).rev() {
                if self.tasks[which].sleeper.is_woken() {
                    self.poll(which, 4, 30_000);
                    self.check();
                    is_still = false;
                }
            }
            if is_still {
                return;
            }
        }
    }

    /// The client says all it has to say.
    fn finish_asking(&mut self) {
        for _ in 0..10_000 {
            let Some(id) = self.speaking(0) else { break };
            let told = &self.told[&id];
            let n = if let Asks::Length(n) = told.asks { usize::from(n) - told.sent.len() } else { 0 };
            self.send(0, n, None, true);
            self.receive_all();
        }
        assert_eq!(self.speaking(0), None, "there is no window for a request");
        self.receive_all();
    }

    fn receive_all(&mut self) {
        while !self.wire.is_empty() {
            self.arrive(20_000);
            self.check();
            self.driver.waker.wake_by_ref();
            self.settle();
        }
    }

    fn finish(&mut self) {
        self.driver.waker.wake_by_ref();
        self.settle();
        self.receive_all();
        self.finish_asking();
        let wide = |window: i64| u32::try_from((1 << 30) - window).unwrap();
        let widths: Vec<(u32, u32)> = self.told.iter().map(|(id, told)| (*id, wide(told.window))).collect();
        for (id, more) in [(0, wide(self.window))].into_iter().chain(widths) {
            self.say(Kind::WindowUpdate, 0, id, &more.to_be_bytes());
            self.has(Effect::Window(id, more));
        }
        self.receive_all();
        let waiting: Vec<u32> = self.tasks.iter().map(|task| task.id).collect();
        assert!(waiting.is_empty(), "there is room, and {waiting:?} were not told");
        for (id, told) in &self.told {
            if told.has_reset || self.left.contains(id) {
                continue;
            }
            assert!(told.is_whole && !told.was_reset, "{id} {:?}", told.how);
            if told.asks == Asks::Tunnel {
                assert_eq!((&told.statuses[..], &told.got), (&[200][..], &told.how.body(*id)));
                continue;
            }
            let (statuses, has_trailers) = match told.how {
                Answers::Head => (&[103, 204][..], false),
                Answers::Length(_) => (&[200][..], false),
                Answers::Chunked(_, _, has_trailers) => (&[200][..], has_trailers),
            };
            assert_eq!((&told.statuses[..], told.has_trailers), (statuses, has_trailers));
            assert_eq!(told.got, told.how.body(*id), "the answer of {id}");
        }
        let state = &mut *self.link.state.borrow_mut();
        assert_eq!((state.slots.taken(), state.slots.live, state.waiting()), (0, 0, [0; 3]));
        assert_eq!(state.credit + state.unsaid, CONNECTION_WINDOW);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_is_done_windows_are_kept_and_nobody_is_forgotten(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.finish();
    }
}

/// A hundred large answers and a window for a frame now and then: nobody is two frames behind another.
#[test]
fn streams_take_turns_and_none_starves() {
    for more in [1_000, 16 << 10, (16 << 10) + 1, 40_000, 400_000] {
        let mut world = World::new();
        world.step(Step::Initial(1 << 30));
        world.arrive(usize::MAX);
        let everybody = 60;
        world.window = 65_535;
        (0..everybody).for_each(|_| world.step(Step::Open(Asks::Get, Answers::Length(150_000), false)));
        world.receive_all();
        while !world.tasks.is_empty() {
            let got = || world.told.values().map(|told| told.got.len());
            let (least, most) = (got().min().unwrap(), got().max().unwrap());
            // The first window went to whoever was first to look.
            assert!(most - least <= 65_535 + 2 * LARGEST, "{more}: {least} {most}");
            world.step(Step::WindowOfAll(more));
            world.receive_all();
        }
    }
}

/// A stream without a window, and a connection without one, hold up neither another's data nor heads.
#[test]
fn who_has_no_window_holds_nobody_up() {
    let mut world = World::new();
    world.step(Step::Initial(0));
    (0..10).for_each(|_| world.step(Step::Open(Asks::Get, Answers::Length(50_000), false)));
    world.receive_all();
    world.step(Step::Window(4, 50_000));
    world.receive_all();
    assert!(world.told[&9].is_whole && world.told[&1].statuses == [200] && world.told[&1].got.is_empty());
    // All of the connection's is used up: heads come, and answers without a body.
    (0..10).for_each(|which| world.step(Step::Window(which, 50_000)));
    world.receive_all();
    assert_eq!(world.window, 0);
    world.step(Step::Open(Asks::Get, Answers::Head, false));
    world.step(Step::Open(Asks::Get, Answers::Chunked(0, 1, true), false));
    world.receive_all();
    assert!(world.told[&21].is_whole && world.told[&23].has_trailers);
    world.step(Step::WindowOfAll(500_000));
    world.receive_all();
    assert!(world.tasks.is_empty());
}

/// No window counts the end of a body and its trailers; what waits to be written has its bound all the same.
#[test]
fn trailers_wait_for_room_like_heads() {
    let mut world = World::new();
    world.step(Step::Open(Asks::Get, Answers::Chunked(0, 1, true), false));
    world.arrive(usize::MAX);
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".len();
    assert!(!world.tasks[0].poll(1, head).unwrap());
    world.link.state.borrow_mut().out = vec![0; JOINED];
    assert!(!world.tasks[0].poll(9, 100).unwrap());
    assert_eq!(world.link.state.borrow().out.len(), JOINED);
    world.heard = JOINED;
    world.write(JOINED);
    assert!(world.tasks[0].sleeper.is_woken(), "there is room");
    assert!(world.tasks[0].poll(9, 100).unwrap());
    world.hear();
    assert!(world.told[&1].has_trailers && world.told[&1].is_whole);
}

#[test]
fn behind_the_last_word_nothing_is_said() {
    let mut world = World::new();
    world.step(Step::Open(Asks::Chunked, Answers::Length(100), false));
    world.receive_all();
    world.hear();
    world.link.state.borrow_mut().end();
    let mut task = world.tasks.pop().unwrap();
    task.stream.reset_on_close();
    drop(task);
    assert_eq!(world.link.state.borrow().out.len(), world.heard);
}
