//! One application's sessions beside a model of them: who is found where, and how many are counted live.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::affinity::caching::Cacheable;
use crate::affinity::carriers::{Parts, Reading};
use crate::affinity::key::KeyFacts;
use crate::affinity::memory::Memory;
use crate::affinity::opened::OpenedCache;
use crate::affinity::sources::Lookup;
use crate::affinity::table::{Bounds, Seeds, Table};
use crate::affinity::{Session, Terms};
use crate::backend::members::Members;
use crate::backend::sessions::LiveSessions;
use crate::backend::{Backend, BackendIx};
use crate::base::time::UnixSeconds;
use crate::message::head::Version;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// A `Cookie` line, and nothing else.
struct Line(String);

impl KeyFacts for Line {
    fn client(&self) -> Option<IpAddr> {
        None
    }

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.0.as_bytes())
    }

    fn query(&self) -> Option<&[u8]> {
        None
    }

    fn path(&self) -> &[u8] {
        b"/"
    }

    fn host(&self) -> Option<&[u8]> {
        None
    }
}

struct World {
    affinity: Affinity,
    members: Members,
}

impl World {
    /// `learn` by the cookie `sid`, in a table of so many entries, over `a` and `b`.
    fn new(entries: u64) -> Self {
        let idle = Duration::from_secs(600);
        let sessions = || Arc::new(LiveSessions::new(2, idle));
        let member = |id| Arc::new(Backend { sessions: sessions(), ..Backend::at("x:1").unwrap().named(id) });
        let members = Members::new(["a", "b"].map(member).to_vec());
        let terms = Terms::try_new(idle, None, 7).unwrap();
        let bounds = Bounds { entries, bytes: 1 << 20 };
        let table = Arc::new(Table::new(bounds, Seeds::new([7; 16])));
        let kept = Some(Kept::new(table, terms, &members));
        let affinity = Affinity::new(Parts {
            modes: vec![Mode::Learn],
            preset: None,
            terms,
            cacheable: Cacheable::Private,
            cookie: None,
            header: None,
            lookup: vec![Lookup::parse("cookie:sid").unwrap()],
            create: vec![Create::parse("cookie:sid").unwrap()],
            routed: None,
            kept,
        });
        Self { affinity, members }
    }

    fn read(&self, id: Option<u32>) -> Session {
        let line = Line(id.map_or_else(String::new, |id| format!("a=b; sid={id}")));
        let cache = &mut OpenedCache::new(2, 1);
        self.affinity.read(
            &line,
            Reading {
                members: &self.members,
                now: NOW,
                cache,
                fresh: 5,
                memory: &mut Memory::default(),
                pool: 0,
            },
        )
    }

    /// A request with this id is answered with this `Set-Cookie`, by its home or by `backend`. Says who answered.
    fn request(&self, id: Option<u32>, backend: u16, sets: Option<&str>, worker: usize) -> BackendIx {
        let session = self.read(id);
        let chosen = match session.pin {
            Pin::To(home) => home,
            Pin::Free | Pin::Void(_) => BackendIx(backend),
        };
        let field = sets.map(|value| Field { name: b"Set-Cookie", value: value.as_bytes() });
        let fields: Vec<_> = field.into_iter().collect();
        let head = ResponseHead { version: Version::Http11, status: 200, reason: "", fields: &fields };
        let names = [Name::SetCookie];
        let answer =
            Answer { method: "GET", head: &head, names: &names, body: None, point: None, is_open: true };
        let members = &self.members;
        let site = Site { members, chosen, is_borrowed: false, origin: None, worker, now: NOW };
        let settled = self.affinity.settle(&session, &answer, &site, &mut Nonces::new());
        assert_eq!(settled, Settled::default(), "the cookie is the application's");
        chosen
    }

    fn live(&self) -> [u32; 2] {
        [0, 1].map(|ix| self.members.get(BackendIx(ix)).sessions.live(NOW))
    }
}

/// What the application does with a request.
#[derive(Clone, Copy, Debug)]
enum Does {
    Nothing,
    Makes,
    SetsAgain,
    Deletes,
}

#[test]
fn a_session_that_had_to_go_for_another_is_counted_no_more() {
    let world = World::new(4);
    for id in 0..20 {
        world.request(None, 0, Some(&format!("sid={id}")), 0);
    }
    assert_eq!(world.live(), [4, 0]);
    assert_eq!(world.read(Some(0)).pin, Pin::Void(Why::Unknown));
    assert_eq!(world.read(Some(19)).pin, Pin::To(BackendIx(0)));
}

#[test]
fn whatever_is_too_long_is_no_id_and_counted() {
    let world = World::new(4);
    let long = "x".repeat(257);
    world.request(None, 0, Some(&format!("sid={long}")), 0);
    let line = Line(format!("sid={long}"));
    let cache = &mut OpenedCache::new(2, 1);
    let session = world.affinity.read(
        &line,
        Reading {
            members: &world.members,
            now: NOW,
            cache,
            fresh: 5,
            memory: &mut Memory::default(),
            pool: 0,
        },
    );
    assert_eq!((session.pin, world.live(), world.affinity.long_ids()), (Pin::Free, [0, 0], 2));
}

proptest! {
    #[test]
    fn each_session_is_where_it_was_made_and_counted_once(steps in prop::collection::vec(
        (0_usize..6, 0_u16..2, prop_oneof![
            Just(Does::Nothing), Just(Does::Makes), Just(Does::SetsAgain), Just(Does::Deletes)]), 0..60)) {
        let world = World::new(1000);
        // Where each id was made, and whether it is in use yet; a replaced one is served for a while.
        let mut known: BTreeMap<u32, (BackendIx, bool)> = BTreeMap::new();
        let mut fresh = 0;
        for (pick, backend, does) in steps {
            // One of the last, one that nobody made, or none.
            let id = match pick {
                0 => None,
                1 => Some(1_000_000),
                n => known.keys().rev().nth(n - 2).copied(),
            };
            let home = id.and_then(|id| known.get(&id)).copied();
            let expected = match (id, home) {
                (None, _) => Pin::Free,
                (Some(_), None) => Pin::Void(Why::Unknown),
                (Some(_), Some((home, _))) => Pin::To(home),
            };
            prop_assert_eq!(world.read(id).pin, expected);
            let sets = match (does, id) {
                (Does::Nothing, _) | (Does::SetsAgain | Does::Deletes, None) => None,
                (Does::Makes, _) => {
                    fresh += 1;
                    Some(format!("sid={fresh}; Path=/"))
                }
                (Does::SetsAgain, Some(id)) if home.is_some() => Some(format!("sid={id}; Max-Age=60")),
                (Does::SetsAgain, Some(_)) => None,
                (Does::Deletes, Some(_)) => Some("sid=; Max-Age=0".to_owned()),
            };
            let chosen = world.request(id, backend, sets.as_deref(), fresh as usize % 2);
            match does {
                Does::Makes => {
                    known.insert(fresh, (chosen, true));
                    if let Some(old) = id.and_then(|id| known.get_mut(&id)) {
                        old.1 = false;
                    }
                }
                Does::Deletes if home.is_some_and(|(_, in_use)| in_use) => {
                    id.and_then(|id| known.remove(&id));
                }
                Does::Nothing | Does::SetsAgain | Does::Deletes => {}
            }
            let count = |ix: u16| known.values().filter(|(home, in_use)| *in_use && home.0 == ix).count() as u32;
            prop_assert_eq!(world.live(), [count(0), count(1)]);
        }
    }
}
