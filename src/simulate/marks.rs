//! What strategies place sessions by, as the proxy finds it in their requests.
//!
//! It is made for a block of sessions together, before the first of them is placed: letters that were written just before
//! are read slowly, and a hash that nobody waits for is made beside others.

use std::net::{IpAddr, Ipv4Addr};

use super::Key;
use super::draw::Purpose;
use super::pass::{NOW, Pass};
use super::users::Book;
use crate::base::hash::hash64;
use crate::base::ip_text::IpText;
use crate::strategy::{Needs, RequestFacts};

/// What some sessions, one after the other, are placed by.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: Vec<Mark>,
    hashes: Vec<u64>,
}

#[derive(Debug)]
enum Mark {
    Client(IpAddr),
    Address(IpText),
    Id([u8; 8]),
    /// An address that is not one of IPv4 alone.
    Listed(Vec<u8>),
}

/// What every request says.
const FACTS: RequestFacts<'static> = RequestFacts { client: None, key: None, hash: 0, attempt: 0, now: NOW };

impl Marks {
    /// Those of these sessions, in the place of the ones before.
    pub(super) fn set(&mut self, pass: &Pass<'_>, sessions: impl Iterator<Item = usize>) {
        self.marks.clear();
        self.hashes.clear();
        match (pass.way.kind.needs, pass.setup.key, &pass.users.book) {
            (Needs::Nothing, ..) => return,
            (Needs::Address, ..) => {
                let client = |i: usize| Mark::Client(pass.users.book.ip(pass.address[i]));
                self.marks.extend(sessions.map(client));
                return;
            }
            (Needs::Key, Key::User, _) => {
                let draws = pass.users.draws;
                let id = |i: usize| Mark::Id(draws.bits(Purpose::Key, i as u64, 1).to_be_bytes());
                self.marks.extend(sessions.map(id));
            }
            (Needs::Key, Key::ClientIp, Book::V4) => {
                let text = |i: usize| Mark::Address(IpText::of_v4(Ipv4Addr::from_bits(pass.address[i])));
                self.marks.extend(sessions.map(text));
            }
            (Needs::Key, Key::ClientIp, Book::Listed(_)) => {
                let key = &pass.view.pool.key;
                let text = |i: usize| Mark::Listed(key.of_client(pass.users.book.ip(pass.address[i])));
                self.marks.extend(sessions.map(text));
            }
        }
        self.hashes.extend(self.marks.iter().map(|mark| hash64(mark.key())));
    }

    /// What the session at this place of them says.
    #[inline]
    pub(super) fn facts(&self, place: usize) -> RequestFacts<'_> {
        match (self.marks.get(place), self.hashes.get(place)) {
            (Some(Mark::Client(ip)), _) => RequestFacts { client: Some(*ip), ..FACTS },
            (Some(mark), Some(hash)) => RequestFacts { key: Some(mark.key()), hash: *hash, ..FACTS },
            _ => FACTS,
        }
    }
}

impl Mark {
    #[inline]
    fn key(&self) -> &[u8] {
        match self {
            Self::Client(_) => &[],
            Self::Address(text) => text.as_bytes(),
            Self::Id(id) => id,
            Self::Listed(text) => text,
        }
    }
}
