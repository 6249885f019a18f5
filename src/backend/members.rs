//! The members of one pool in the fixed order that a generation agrees on, and subsets of them.

use std::sync::Arc;

use ahash::AHashMap;

use super::{Backend, BackendId, BackendIx};

/// Every backend of one pool, in file order.
#[derive(Debug)]
pub struct Members {
    backends: Vec<Arc<Backend>>,
    by_id: AHashMap<BackendId, BackendIx>,
    by_route: AHashMap<Box<str>, BackendIx>,
    /// Bytes of the longest route.
    longest_route: usize,
    primaries: Vec<BackendIx>,
    backups: Vec<BackendIx>,
    /// What choices ask of every member, kept together: a look at each backend would be a line of cache each.
    weights: Vec<u16>,
    /// Those with `max_conns`, and whether there are any.
    bounded: BackendSet,
    has_bounded: bool,
}

/// Primaries or backups: the members that one strategy's tables are built over.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    members: &'a Members,
    indexes: &'a [BackendIx],
}

/// A set of members, as bits. Up to 128 members need no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendSet {
    first: [u64; 2],
    rest: Vec<u64>,
}

/// Whom a strategy may choose now: the open members of its group that have room and were not tried yet.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    group: Group<'a>,
    open: &'a BackendSet,
    tried: &'a BackendSet,
    room: Room,
}

/// Whether a candidate must have room for one more request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It must.
    Needed,
    /// The request will wait for it.
    Whatever,
}

impl Members {
    /// Members in the order given. Ids are expected to be unique: of two alike the later is found by id. Those that are
    /// leaving are found and are in neither group.
    #[must_use]
    pub fn new(backends: Vec<Arc<Backend>>) -> Self {
        let ix = |i: usize| BackendIx(u16::try_from(i).unwrap_or(u16::MAX));
        let by_id = backends.iter().enumerate().map(|(i, b)| (b.id.clone(), ix(i))).collect();
        let mut by_route = AHashMap::new();
        for (i, backend) in backends.iter().enumerate() {
            by_route.entry(backend.route().into()).or_insert(ix(i));
        }
        let longest_route = backends.iter().map(|b| b.route().len()).max().unwrap_or(0);
        let group = |backup| {
            let is_in = |b: &Backend| b.backup == backup && !b.leaving;
            backends.iter().enumerate().filter(|(_, b)| is_in(b)).map(|(i, _)| ix(i)).collect()
        };
        let (primaries, backups) = (group(false), group(true));
        let weights = backends.iter().map(|b| b.weight).collect();
        let bounded: BackendSet =
            backends.iter().enumerate().filter(|(_, b)| b.max_conns > 0).map(|(i, _)| ix(i)).collect();
        let has_bounded = !bounded.is_empty();
        Self { by_id, by_route, longest_route, primaries, backups, weights, bounded, has_bounded, backends }
    }

    /// The backend at `ix`, which must come from this `Members`.
    #[inline]
    #[must_use]
    pub fn get(&self, ix: BackendIx) -> &Arc<Backend> {
        &self.backends[ix.index()]
    }

    /// Whether a further request may start at `ix`.
    #[inline]
    #[must_use]
    pub fn has_room(&self, ix: BackendIx) -> bool {
        !self.bounded.contains(ix) || self.get(ix).has_room()
    }

    /// The place of the backend with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<BackendIx> {
        self.by_id.get(id).copied()
    }

    /// The place of the backend with this route; of two, as where one is leaving that another takes over from, the first.
    #[must_use]
    pub fn find_route(&self, route: &str) -> Option<BackendIx> {
        self.by_route.get(route).copied()
    }

    /// Bytes of the longest route.
    #[must_use]
    pub const fn longest_route(&self) -> usize {
        self.longest_route
    }

    /// All members with their places.
    pub fn iter(&self) -> impl Iterator<Item = (BackendIx, &Arc<Backend>)> {
        self.backends.iter().enumerate().map(|(i, b)| (BackendIx(u16::try_from(i).unwrap_or(u16::MAX)), b))
    }

    /// How many there are, backups and leaving ones included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// The members that are not backups.
    #[inline]
    #[must_use]
    pub fn primaries(&self) -> Group<'_> {
        Group { members: self, indexes: &self.primaries }
    }

    /// The backups.
    #[must_use]
    pub fn backups(&self) -> Group<'_> {
        Group { members: self, indexes: &self.backups }
    }
}

impl<'a> Group<'a> {
    /// The group's members in file order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (BackendIx, &'a Arc<Backend>)> {
        let members = self.members;
        self.indexes.iter().map(move |&ix| (ix, members.get(ix)))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.indexes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.indexes.is_empty()
    }
}

impl BackendSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: [0; 2], rest: Vec::new() }
    }

    /// Whether `ix` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, ix: BackendIx) -> bool {
        let (word, bit) = (ix.index() / 64, ix.index() % 64);
        let word = if word < 2 { self.first[word] } else { self.rest.get(word - 2).copied().unwrap_or(0) };
        word >> bit & 1 == 1
    }

    /// Adds `ix`.
    pub fn insert(&mut self, ix: BackendIx) {
        let (word, bit) = (ix.index() / 64, ix.index() % 64);
        if word < 2 {
            self.first[word] |= 1 << bit;
            return;
        }
        if self.rest.len() < word - 1 {
            self.rest.resize(word - 1, 0);
        }
        self.rest[word - 2] |= 1 << bit;
    }

    /// Takes `ix` out.
    pub fn remove(&mut self, ix: BackendIx) {
        let (word, bit) = (ix.index() / 64, ix.index() % 64);
        let word = if word < 2 { self.first.get_mut(word) } else { self.rest.get_mut(word - 2) };
        if let Some(word) = word {
            *word &= !(1 << bit);
        }
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.iter().chain(&self.rest).map(|w| w.count_ones() as usize).sum()
    }
}

impl FromIterator<BackendIx> for BackendSet {
    fn from_iter<I: IntoIterator<Item = BackendIx>>(from: I) -> Self {
        let mut set = Self::new();
        from.into_iter().for_each(|ix| set.insert(ix));
        set
    }
}

impl<'a> Candidates<'a> {
    /// The members of `group` that are in `open`, not in `tried`, and below their `max_conns`.
    #[must_use]
    pub const fn new(group: Group<'a>, open: &'a BackendSet, tried: &'a BackendSet) -> Self {
        Self { group, open, tried, room: Room::Needed }
    }

    /// The same, whether they have room or not.
    #[must_use]
    pub const fn with(self, room: Room) -> Self {
        Self { room, ..self }
    }

    /// Whether `ix` may be chosen.
    #[inline]
    #[must_use]
    pub fn contains(&self, ix: BackendIx) -> bool {
        let has_room = || self.room == Room::Whatever || self.group.members.has_room(ix);
        self.open.contains(ix) && !self.tried.contains(ix) && has_room()
    }

    /// Of the first 128 members those that are open and were not tried, have they room or not, as bits by their places:
    /// for strategies that look at every member.
    #[inline]
    #[must_use]
    pub fn first_open(&self) -> [u64; 2] {
        let ([a, b], [c, d]) = (self.open.first, self.tried.first);
        [a & !c, b & !d]
    }

    /// Whether all members of the group are among those first.
    #[must_use]
    pub fn are_first(&self) -> bool {
        self.group.indexes.last().is_none_or(|ix| ix.index() < 128)
    }

    /// Whether `ix` was tried for this request already.
    #[must_use]
    pub fn was_tried(&self, ix: BackendIx) -> bool {
        self.tried.contains(ix)
    }

    /// The backend at `ix`.
    #[inline]
    #[must_use]
    pub fn get(&self, ix: BackendIx) -> &'a Arc<Backend> {
        self.group.members.get(ix)
    }

    /// Whether some of those that are open may have no room.
    #[inline]
    #[must_use]
    pub fn may_be_full(&self) -> bool {
        self.room == Room::Needed && self.group.members.has_bounded
    }

    /// The weight of the backend at `ix`.
    #[inline]
    #[must_use]
    pub fn weight(&self, ix: BackendIx) -> u16 {
        self.group.members.weights.get(ix.index()).copied().unwrap_or_default()
    }

    /// Those that may be chosen, in file order.
    pub fn iter(&self) -> impl Iterator<Item = (BackendIx, &'a Arc<Backend>)> {
        let (this, [first, second]) = (*self, self.first_open());
        self.group.iter().filter(move |(ix, _)| {
            let is_open = match ix.index() {
                place @ 0..64 => first >> place & 1 == 1,
                place @ 64..128 => second >> (place - 64) & 1 == 1,
                _ => this.open.contains(*ix) && !this.tried.contains(*ix),
            };
            is_open && (this.room == Room::Whatever || this.group.members.has_room(*ix))
        })
    }

    /// Whether nobody may be chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
