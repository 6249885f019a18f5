//! The backends through a run: a pool as the proxy has it, made anew whenever its list changes.
//!
//! Every backend that there ever is has a slot, which stays its own; its place in the pool's list changes.

use std::sync::Arc;
use std::time::Duration;

use super::{Problem, Way};
use crate::affinity::key::KeyPlan;
use crate::backend::availability::{AdminState, Availability, Health, Leaving};
use crate::backend::members::Members;
use crate::backend::{Backend, BackendIx};
use crate::base::hash::hash64;
use crate::base::options::{Options, Value};
use crate::base::settings::Settings;
use crate::pool::policy::{Panic, Policy};
use crate::pool::standing::Standing;
use crate::pool::{Pool, Timeouts};

/// Most backends that there ever are in a run: what a session remembers of them is a bit each.
pub(super) const MOST: usize = 64;
/// No backend.
pub(super) const NOBODY: u16 = u16::MAX;

/// A backend by its slot.
pub(super) type SlotIx = u16;

/// Every backend of a run.
#[derive(Debug)]
pub(super) struct Fleet {
    slots: Vec<Slot>,
    /// The pool's list, in its order.
    list: Vec<SlotIx>,
}

#[derive(Debug)]
struct Slot {
    backend: Arc<Backend>,
    state: Availability,
    /// Whether it was away at some time and came back.
    came_back: bool,
}

/// The pool at one time, and whose place is whose slot.
#[derive(Debug)]
pub(super) struct View {
    pub(super) pool: Pool,
    pub(super) standing: Standing,
    slot_of: Vec<SlotIx>,
    place_of: [Option<BackendIx>; MOST],
    id_hashes: [u64; MOST],
    /// Slots that serve those who are there.
    pub(super) serving: u64,
    /// Those of them that drain.
    pub(super) draining: u64,
    pub(super) came_back: u64,
    /// Slots that take new sessions.
    pub(super) open: u64,
}

/// `a` to `z`, then `b27` and so on.
pub(super) fn name(slot: usize) -> String {
    match u8::try_from(slot) {
        Ok(small) if small < 26 => char::from(b'a' + small).to_string(),
        _ => format!("b{}", slot + 1),
    }
}

impl Fleet {
    pub(super) fn new(n: usize) -> Result<Self, Problem> {
        let mut this = Self { slots: Vec::new(), list: Vec::new() };
        for _ in 0..n {
            let slot = this.make()?;
            this.list.push(slot);
        }
        Ok(this)
    }

    fn make(&mut self) -> Result<SlotIx, Problem> {
        let slot = self.slots.len();
        if slot >= MOST {
            return Err(Problem::new(
                "more than 64 backends, those that events add included".to_owned(),
                "64 at most".to_owned(),
            ));
        }
        let backend = Backend::at(&format!("10.0.0.{}:8080", slot + 1)).map(|b| b.named(&name(slot)));
        let backend = backend.ok_or_else(|| Problem::new("no address".to_owned(), String::new()))?;
        self.slots.push(Slot {
            backend: Arc::new(backend),
            state: Availability::default(),
            came_back: false,
        });
        Ok(u16::try_from(slot).unwrap_or(NOBODY))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.slots.iter().map(|s| s.backend.id.to_string()).collect()
    }

    pub(super) fn backend(&self, slot: SlotIx) -> Option<&Arc<Backend>> {
        self.slots.get(usize::from(slot)).map(|s| &s.backend)
    }

    pub(super) fn crash(&mut self, slots: &[SlotIx]) {
        self.each(slots, |s| s.state.health = Health::Down);
    }

    pub(super) fn come_back(&mut self, slots: &[SlotIx]) {
        self.each(slots, |s| {
            s.state = Availability::default();
            s.came_back = true;
        });
    }

    pub(super) fn drain(&mut self, slots: &[SlotIx]) {
        self.each(slots, |s| s.state.admin = AdminState::Drain);
    }

    pub(super) fn leave(&mut self, slots: &[SlotIx]) {
        self.each(slots, |s| s.state.leaving = Leaving::Over);
    }

    /// Back into the list, at its old place among the others.
    pub(super) fn enlist(&mut self, slots: &[SlotIx]) {
        for slot in slots {
            let at = self.list.iter().position(|s| s > slot).unwrap_or(self.list.len());
            self.list.insert(at, *slot);
        }
        self.come_back(slots);
    }

    /// New backends at the list's end.
    pub(super) fn add(&mut self, count: usize) -> Result<(), Problem> {
        for _ in 0..count {
            let slot = self.make()?;
            self.list.push(slot);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, slots: &[SlotIx]) {
        self.list.retain(|s| !slots.contains(s));
    }

    pub(super) fn reverse(&mut self) {
        self.list.reverse();
    }

    fn each(&mut self, slots: &[SlotIx], change: impl Fn(&mut Slot)) {
        for slot in slots {
            if let Some(slot) = self.slots.get_mut(usize::from(*slot)) {
                change(slot);
            }
        }
    }

    /// The pool as it is now, with its tables built.
    pub(super) fn view(&self, way: &Way) -> View {
        let listed = || self.list.iter().filter_map(|s| Some((*s, self.slots.get(usize::from(*s))?)));
        let members = Members::new(listed().map(|(_, s)| Arc::clone(&s.backend)).collect());
        let states = listed().map(|(_, s)| s.state).collect();
        let standing = Standing::new(&members, states, Panic::Refuse);
        let pool = pool(way, members, Policy::default());
        let mut view = View {
            slot_of: self.list.clone(),
            place_of: [None; MOST],
            id_hashes: [0; MOST],
            serving: 0,
            draining: 0,
            came_back: 0,
            open: 0,
            standing,
            pool,
        };
        for (slot, at) in self.slots.iter().zip(&mut view.id_hashes) {
            *at = hash64(slot.backend.id.as_str().as_bytes());
        }
        for ((ix, _), (slot, s)) in view.pool.members.iter().zip(listed()) {
            let bit = 1_u64 << slot;
            if let Some(place) = view.place_of.get_mut(usize::from(slot)) {
                *place = Some(ix);
            }
            let set = |of: &mut u64, is: bool| *of |= if is { bit } else { 0 };
            set(&mut view.serving, view.standing.serving.contains(ix));
            set(&mut view.open, view.standing.open.contains(ix));
            set(&mut view.draining, s.state.is_draining());
            set(&mut view.came_back, s.came_back);
        }
        view
    }
}

impl View {
    pub(super) fn slot(&self, ix: BackendIx) -> SlotIx {
        self.slot_of.get(ix.index()).copied().unwrap_or(NOBODY)
    }

    pub(super) fn place(&self, slot: SlotIx) -> Option<BackendIx> {
        self.place_of.get(usize::from(slot)).copied().flatten()
    }

    pub(super) fn id_hash(&self, slot: SlotIx) -> u64 {
        self.id_hashes.get(usize::from(slot)).copied().unwrap_or(0)
    }
}

/// A pool of these members without affinity; whoever asks brings the session.
pub(super) fn pool(way: &Way, members: Members, policy: Policy) -> Pool {
    let mut options = Options::new(if way.is_ring {
        vec![("consistent".to_owned(), Value::Bool(true), 0..0)]
    } else {
        Vec::new()
    });
    Pool {
        name: "simulated".into(),
        kind: way.kind,
        primary: (way.kind.build)(&mut options, members.primaries()),
        backup: None,
        key: KeyPlan::client_ip(),
        affinity: None,
        table_file: None,
        check: None,
        skew: None,
        policy,
        timeouts: TIMEOUTS,
        transport: Arc::default(),
        members,
        settings: Settings::default(),
        digest: 0,
    }
}

/// Nothing waits here.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    first_byte: Duration::from_secs(60),
    read: Duration::from_secs(60),
    write: Duration::from_secs(30),
    idle: Duration::from_secs(4),
    tunnel: Duration::from_secs(3600),
    max_idle: 64,
};
