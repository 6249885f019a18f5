//! Waiting for many sockets at once: epoll, level-triggered, as plain as it gets. The roles share their processor with
//! each other, so that a runtime's cost would be taken from what the proxies can be asked.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

/// Events taken at once.
const EVENTS: usize = 512;

/// A set of sockets, each under a key.
pub(crate) struct Poll {
    epoll: OwnedFd,
    ready: [MaybeUninit<epoll::Event>; EVENTS],
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    ReadAndWrite,
}

/// What a socket is ready for. An end or an error counts as readable.
#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) key: usize,
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, ready: [MaybeUninit::uninit(); EVENTS] })
    }

    pub(crate) fn add(&self, socket: impl AsFd, key: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(key as u64), interest.flags())?)
    }

    pub(crate) fn change(&self, socket: impl AsFd, key: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(key as u64), interest.flags())?)
    }

    /// Waits until something is ready, or for so long, and puts what is ready into the list.
    pub(crate) fn wait(&mut self, limit: Duration, into: &mut Vec<Ready>) -> io::Result<()> {
        into.clear();
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
        let ready = match epoll::wait(&self.epoll, &mut self.ready, Some(&limit)) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        into.extend(ready.iter().map(|event| {
            let flags = event.flags;
            Ready {
                key: event.data.u64() as usize,
                read: flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR),
                write: flags.contains(EventFlags::OUT),
            }
        }));
        Ok(())
    }
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::ReadAndWrite => EventFlags::IN | EventFlags::OUT,
        }
    }
}
