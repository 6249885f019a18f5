//! Clients, an application and the counters of live sessions, for every way to carry sessions.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::affinity::Terms;
use crate::affinity::attributes::Attributes;
use crate::affinity::caching::Cacheable;
use crate::affinity::carriers::{Parts, Reading};
use crate::affinity::cookie::CookieSettings;
use crate::affinity::header::HeaderAffinity;
use crate::affinity::key::KeyFacts;
use crate::affinity::memory::Memory;
use crate::affinity::opened::OpenedCache;
use crate::affinity::routed::Routed;
use crate::affinity::seal::SealKeys;
use crate::affinity::sources::Lookup;
use crate::affinity::table::{Bounds, Seeds, Table};
use crate::backend::members::Members;
use crate::backend::sessions::LiveSessions;
use crate::backend::{Backend, BackendIx};
use crate::base::time::UnixSeconds;
use crate::message::head::Version;
use std::sync::Arc;

const IDLE: Duration = Duration::from_secs(300);
const WORKERS: usize = 2;
const CLIENTS: usize = 12;

/// What a client keeps.
#[derive(Clone, Debug, Default)]
struct Client {
    srv: Option<String>,
    header: Option<String>,
    sid: Option<String>,
    /// Where its session is, and when it was used last.
    session: Option<(BackendIx, UnixSeconds)>,
}

/// What an application does in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Nothing,
    Login,
    Logout,
    Ends,
}

struct World {
    affinity: Affinity,
    members: Members,
    cache: OpenedCache,
    nonces: Nonces,
    rng: fastrand::Rng,
    made: u32,
    now: UnixSeconds,
}

struct Facts {
    cookies: String,
    header: Option<String>,
}

impl KeyFacts for Facts {
    fn client(&self) -> Option<IpAddr> {
        None
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.header.as_deref().filter(|_| name == "x-pin").map(str::as_bytes)
    }

    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.cookies.as_bytes())
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

fn members() -> Members {
    let member = |id: &str| {
        let sessions = Arc::new(LiveSessions::new(WORKERS, IDLE));
        Arc::new(Backend { sessions, ..Backend::at("x:1").unwrap().named(id) })
    };
    Members::new(["a", "b", "c"].map(member).to_vec())
}

fn affinity(modes: &[Mode], style: Style, entries: u64, members: &Members) -> Affinity {
    let terms = Terms::try_new(IDLE, None, 77).unwrap();
    let keys = Arc::new(SealKeys::parse(&"5a".repeat(32)).unwrap());
    let settings = CookieSettings {
        pool: "app".into(),
        name: if style == Style::Insert { "srv".into() } else { "sid".into() },
        style,
        preserve: false,
        post_only: false,
        idle: IDLE,
        lifetime: None,
        attributes: Attributes::default(),
        keys: Arc::clone(&keys),
        boot: 77,
    };
    let has = |mode| modes.contains(&mode);
    let bounds = Bounds { entries, bytes: 1 << 20 };
    let table = Arc::new(Table::new(bounds, Seeds::new([7; 16])));
    let is_kept = has(Mode::Learn) || has(Mode::Route) || style != Style::Insert;
    Affinity::new(Parts {
        modes: modes.to_vec(),
        preset: None,
        terms,
        cacheable: Cacheable::Always,
        cookie: has(Mode::Cookie).then(|| CookieAffinity::try_new(settings).unwrap()),
        header: has(Mode::Header).then(|| HeaderAffinity::new("app", "x-pin", keys, terms)),
        lookup: vec![Lookup::parse("cookie:sid").unwrap()],
        create: if has(Mode::Learn) { vec![Create::parse("cookie:sid").unwrap()] } else { Vec::new() },
        routed: has(Mode::Route).then(|| Routed::new(".")),
        kept: is_kept.then(|| Kept::new(table, terms, members)),
    })
}

impl World {
    fn new(modes: &[Mode], style: Style, entries: u64, seed: u64) -> Self {
        let members = members();
        Self {
            affinity: affinity(modes, style, entries, &members),
            members,
            cache: OpenedCache::new(64, 1),
            nonces: Nonces::new(),
            rng: fastrand::Rng::with_seed(seed),
            made: 0,
            now: UnixSeconds(1_800_000_000),
        }
    }

    fn read(&mut self, client: &Client) -> Session {
        let pair = |name: &str, value: &Option<String>| value.as_ref().map(|v| format!("{name}={v}"));
        let pairs: Vec<_> =
            [pair("srv", &client.srv), pair("sid", &client.sid)].into_iter().flatten().collect();
        let facts = Facts { cookies: pairs.join("; "), header: client.header.clone() };
        let fresh = self.rng.u64(..);
        let memory = &mut Memory::default();
        let (members, cache) = (&self.members, &mut self.cache);
        let reading = Reading { members, now: self.now, cache, fresh, memory, pool: 0 };
        self.affinity.read(&facts, reading)
    }

    /// One request of a client; its home is lost now and then.
    fn request(&mut self, client: &mut Client, does: Does) {
        let session = self.read(client);
        let any = BackendIx(self.rng.u16(0..3));
        let chosen = match session.pin {
            Pin::To(home) if self.rng.u8(0..20) > 0 => home,
            Pin::To(_) | Pin::Void(_) | Pin::Free => any,
        };
        self.settle(client, &session, chosen, does);
    }

    fn settle(&mut self, client: &mut Client, session: &Session, chosen: BackendIx, does: Does) {
        self.made += 1;
        let made = format!("sid=id{}.{}; Path=/", self.made, self.members.get(chosen).id.as_str());
        let set = match does {
            Does::Logout => Some("sid=; Max-Age=0".to_owned()),
            Does::Login => Some(made),
            Does::Nothing if client.sid.is_none() => Some(made),
            Does::Nothing | Does::Ends => None,
        };
        let field = set.as_ref().map(|value| Field { name: b"Set-Cookie", value: value.as_bytes() });
        let fields: Vec<_> = field.into_iter().collect();
        let head = ResponseHead { version: Version::Http11, status: 200, reason: "", fields: &fields };
        let answer = Answer {
            method: "GET",
            head: &head,
            names: &vec![Name::SetCookie; fields.len()],
            body: None,
            point: (does == Does::Ends).then_some(Point::Ended),
            is_open: true,
        };
        let worker = self.rng.usize(0..WORKERS);
        let site =
            Site { members: &self.members, chosen, is_borrowed: false, origin: None, worker, now: self.now };
        let settled = self.affinity.settle(session, &answer, &site, &mut self.nonces);
        let value = |set: &str| {
            let value = set.split(';').next().unwrap().split_once('=').unwrap().1;
            Some(value.to_owned()).filter(|v| !v.is_empty())
        };
        let is_same = set.is_none();
        if let Some(set) = &set {
            client.sid = value(set);
        }
        if let Some(pin) = settled.pin {
            let pin = String::from_utf8(pin).unwrap();
            let is_prefix = self.affinity.cookie().is_some_and(|c| c.style() == Style::Prefix);
            client.sid = Some(if is_prefix { format!("{pin}~{}", client.sid.take().unwrap()) } else { pin });
        }
        if let Some(set) = settled.set_cookie {
            client.srv = value(&String::from_utf8(set).unwrap());
        }
        if let Some(pin) = settled.header {
            client.header = Some(String::from_utf8(pin).unwrap()).filter(|pin| !pin.is_empty());
        }
        client.session = match self.read(client) {
            // A route is counted when it comes.
            now if now.by == By::Route && !is_same && client.srv.is_none() => None,
            _ if does == Does::Ends => None,
            Session { pin: Pin::To(home), .. } => Some((home, self.now)),
            _ => None,
        };
    }

    fn live(&self) -> Vec<u32> {
        self.members.iter().map(|(_, b)| b.sessions.live(self.now)).collect()
    }

    fn expected(&self, clients: &[Client]) -> Vec<u32> {
        let slots = self.affinity.parts.terms.times.slots;
        let mut live = vec![0; 3];
        let used =
            clients.iter().filter_map(|c| c.session).filter(|(_, used)| slots.is_live(*used, self.now));
        used.for_each(|(home, _)| live[home.index()] += 1);
        live
    }
}

/// Steps of many clients; says where the counters part from what is so.
fn run(modes: &[Mode], style: Style, entries: u64, does: &[Does], forgets: bool) -> Result<(), String> {
    for seed in 0..6 {
        let mut world = World::new(modes, style, entries, seed);
        let mut clients = vec![Client::default(); CLIENTS];
        for step in 0..400 {
            world.now = UnixSeconds(world.now.0 + world.rng.u32(0..20));
            let (at, what) = (world.rng.usize(0..CLIENTS), world.rng.usize(0..does.len() + 6));
            let mut client = std::mem::take(&mut clients[at]);
            if forgets && world.rng.u8(0..8) == 0 {
                client.srv = None; // A client that keeps its id alone.
            }
            world.request(&mut client, does.get(what).copied().unwrap_or(Does::Nothing));
            clients[at] = client;
            let (live, expected) = (world.live(), world.expected(&clients));
            if live != expected {
                return Err(format!(
                    "{modes:?} {style:?} seed {seed} step {step}: {live:?} for {expected:?}"
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn every_session_is_counted_once_wherever_it_is_and_whatever_carries_it() {
    use Mode::{Cookie, Header, Learn, Route};
    let all = &[Does::Login, Does::Logout, Does::Ends];
    let many = 1000;
    for (modes, style, entries, does, forgets) in [
        (&[Cookie][..], Style::Insert, many, &all[..], false),
        (&[Cookie], Style::Rewrite, many, all, false),
        (&[Cookie], Style::Prefix, many, all, false),
        (&[Header], Style::Insert, many, all, false),
        (&[Learn], Style::Insert, many, all, false),
        (&[Route], Style::Insert, many, all, false),
        (&[Cookie, Header], Style::Insert, many, all, false),
        (&[Cookie, Learn], Style::Insert, many, all, false),
        (&[Cookie, Learn], Style::Insert, many, &[], true),
        (&[Learn, Cookie], Style::Insert, many, &[Does::Login, Does::Ends], false),
        // A table that gives sessions away whose pins count on.
        (&[Cookie, Learn], Style::Insert, 6, &[Does::Login], false),
    ] {
        assert_eq!(run(modes, style, entries, does, forgets), Ok(()));
    }
}

/// An application elsewhere on the host sets a cookie of the same name, for its own path.
#[test]
fn an_id_that_was_replaced_for_another_path_alone_goes_on() {
    for mode in [Mode::Learn, Mode::Route] {
        let mut world = World::new(&[mode], Style::Insert, 1000, 7);
        let mut client = Client::default();
        world.request(&mut client, Does::Nothing);
        let home = match world.read(&client).pin {
            Pin::To(home) => home,
            other => panic!("{other:?}"),
        };
        let at_home = |world: &mut World, client: &mut Client, does| {
            let session = world.read(client);
            assert_eq!(session.pin, Pin::To(home), "{mode:?}");
            world.settle(client, &session, home, does);
        };
        at_home(&mut world, &mut client, Does::Nothing);
        let mut elsewhere = client.clone();
        at_home(&mut world, &mut elsewhere, Does::Login);
        at_home(&mut world, &mut elsewhere, Does::Nothing);
        let live = |world: &World| world.live().iter().sum::<u32>();
        assert_eq!(live(&world), 1);
        at_home(&mut world, &mut client, Does::Nothing);
        assert_eq!(live(&world), 1, "{mode:?}: it may have been on its way");
        for _ in 0..20 {
            world.now = UnixSeconds(world.now.0 + 100);
            at_home(&mut world, &mut client, Does::Nothing);
            at_home(&mut world, &mut elsewhere, Does::Nothing);
            assert_eq!(live(&world), 2, "{mode:?}");
        }
    }
}
