use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::affinity::Why;
use crate::backend::sessions::Slots;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// Slots of 1 s up to an idle time of 30 s, and of a thirtieth beyond.
fn times(idle: u64, lifetime: u32) -> Times {
    Times { slots: Slots::new(Duration::from_secs(idle)), lifetime }
}

/// An idle time of 100 s and no lifetime.
fn long() -> Times {
    times(100, u32::MAX)
}

fn table(entries: u64, bytes: u64) -> Table {
    Table::new(Bounds { entries, bytes }, Seeds::new([7; 16]))
}

fn small(entries: u64) -> Table {
    table(entries, 1 << 20)
}

fn id(n: u32) -> [u8; 32] {
    std::array::from_fn(|i| n.to_be_bytes()[i % 4])
}

fn at(seconds: u32) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

fn fresh(home: NameNo, now: UnixSeconds) -> Record {
    Record { home, origin: None, issued: now }
}

/// Puts a session as new, or renews it.
fn put(table: &Table, n: u32, home: &str, now: UnixSeconds) -> Put {
    table.put(table.digest(&id(n)), fresh(table.name(home).unwrap(), now), now, long())
}

fn home(table: &Table, n: u32, now: UnixSeconds) -> Option<Arc<str>> {
    table.get(table.digest(&id(n)), now, long()).map(|found| table.text(found.held.home))
}

#[test]
fn what_was_put_is_found_until_it_ends() {
    let table = small(100);
    let digest = table.digest(b"secret");
    let [a, b] = ["a", "b"].map(|name| table.name(name).unwrap());
    assert_eq!(table.get(digest, NOW, long()), None);
    assert_eq!(table.put(digest, fresh(a, NOW), NOW, long()).outcome, Outcome::Created);
    let moved = Record { home: b, origin: Some(a), issued: NOW };
    let outcome = table.put(digest, moved, at(5), long()).outcome;
    assert_eq!(outcome, Outcome::Moved { from: a, last_seen: NOW });
    assert_eq!(table.put(digest, moved, at(9), long()).outcome, Outcome::Refreshed { last_seen: at(5) });
    let held = Held { home: b, origin: Some(a), issued: NOW, last_seen: at(9), ends: None };
    assert_eq!(table.get(digest, at(9), long()), Some(Found { held, expired: None }));
    assert_eq!(table.move_to(digest, a), Some(held));
    let held = Held { home: a, origin: None, ..held };
    assert_eq!(table.end(digest), Some(held));
    assert_eq!(table.end(digest), None);
    assert_eq!(table.move_to(digest, a), None);
    assert_eq!(table.figures().entries, 0);
}

#[test]
fn a_session_expires_by_idle_and_by_lifetime() {
    let table = small(100);
    let digest = table.digest(b"id");
    table.put(digest, fresh(table.name("a").unwrap(), NOW), NOW, long());
    let expired = |seconds, times| table.get(digest, at(seconds), times).unwrap().expired;
    assert_eq!(expired(100, long()), None);
    assert_eq!(expired(104, long()), Some(Why::ExpiredIdle));
    assert_eq!(expired(60, times(100, 60)), None);
    assert_eq!(expired(61, times(100, 60)), Some(Why::ExpiredLifetime));
    assert_eq!(table.sweep(at(100), long(), 10), 0);
    assert_eq!(table.sweep(at(104), long(), 10), 1);
    assert_eq!(table.get(digest, at(104), long()), None);
}

#[test]
fn a_retired_session_is_found_until_it_is_over_and_cannot_be_prolonged() {
    let table = small(100);
    let digest = table.digest(b"old");
    let record = fresh(table.name("a").unwrap(), NOW);
    table.put(digest, record, NOW, long());
    assert_eq!(table.retire(digest, NOW, 10).unwrap().ends, None);
    assert_eq!(
        table.retire(digest, at(5), 10).unwrap().ends,
        Some(at(10)),
        "it stays with what was said first"
    );
    assert_eq!(table.put(digest, record, at(9), long()).outcome, Outcome::Refreshed { last_seen: NOW });
    assert_eq!(table.get(digest, at(9), long()).unwrap().held.ends, Some(at(10)));
    assert_eq!(table.get(digest, at(10), long()), None);
    assert_eq!(table.put(digest, record, at(10), long()).outcome, Outcome::Created, "an id that came again");
    assert_eq!(table.get(digest, at(11), long()).unwrap().held.ends, None);
}

#[test]
fn a_full_table_gives_away_the_retired_then_the_longest_idle() {
    let table = small(3);
    (0..3).for_each(|n| assert_eq!(put(&table, n, "a", at(n)).evicted, None));
    put(&table, 0, "a", at(3));
    table.retire(table.digest(&id(2)), at(3), 60);
    let gone = put(&table, 3, "a", at(4)).evicted.unwrap();
    assert_eq!((gone.held.last_seen, gone.was_live), (at(2), false), "the retired one is no live one");
    let gone = put(&table, 4, "a", at(5)).evicted.unwrap();
    assert_eq!((gone.held.last_seen, gone.was_live), (at(1), true));
    let gone = put(&table, 5, "a", at(200)).evicted.unwrap();
    assert_eq!((gone.held.last_seen, gone.was_live), (at(3), false), "it was expired");
    let Figures { entries, capacity, evicted, evicted_live, .. } = table.figures();
    assert_eq!([entries, capacity, evicted, evicted_live], [3, 3, 3, 1]);
    assert_eq!([0, 1, 2, 3].map(|n| home(&table, n, at(5)).is_some()), [false, false, false, true]);
}

#[test]
fn a_name_has_one_number_for_ever() {
    let table = small(10);
    let [a, b] = ["a", "b"].map(|name| table.name(name).unwrap());
    assert_eq!([a.index(), b.index()], [0, 1]);
    assert_eq!(table.name("a"), Some(a));
    assert_eq!(&*table.text(b), "b");
    assert_eq!(table.names(1), [Arc::from("b")]);
    assert_eq!(table.names(3), []);
    assert_eq!(table.name(&"x".repeat(5000)), None);
    let fit = (0..).take_while(|n| table.name(&format!("backend-{n}")).is_some()).count();
    assert!((400..512).contains(&fit), "a sixteenth of 1 MiB holds {fit} names");
    assert!(table.figures().bytes < 1 << 20);
    assert_eq!(table.name("a"), Some(a), "those that are known stay known");
}

#[test]
fn a_page_shows_every_session_once_and_looks_at_few() {
    let table = table(50_000, 16 << 20);
    assert!(table.parts() > 1);
    (0..40_000).for_each(|n| _ = put(&table, n, if n % 1000 == 0 { "rare" } else { "a" }, NOW));
    (0..1000).for_each(|n| _ = table.end(table.digest(&id(n * 7 + 1))));
    let list = |most, home: Option<&str>| {
        let (mut seen, mut pages, mut from) = (Vec::new(), 0, Cursor::default());
        loop {
            let page = table.page(from, most, home.map(|name| table.name(name).unwrap()));
            assert!(page.sessions.len() <= most);
            seen.extend(page.sessions.into_iter().map(|(digest, _)| digest));
            pages += 1;
            match page.next {
                Some(next) => from = next,
                None => return (seen, pages),
            }
        }
    };
    let (all, pages) = list(100, None);
    assert!((390..400).contains(&pages), "{pages}");
    assert_eq!(all.len(), 39_000);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 39_000);
    let (rare, pages) = list(100, Some("rare"));
    assert!((35..=40).contains(&rare.len()), "{}", rare.len());
    assert!(pages >= 3, "few of one backend are found in several steps, not under one lock");
    assert_eq!(table.page(Cursor(u64::MAX), 10, None), Page { sessions: Vec::new(), next: None });
}

#[test]
fn a_session_takes_less_than_64_bytes() {
    let table = table(300_000, 1 << 30);
    (0..300_000).for_each(|n| _ = put(&table, n, "a", NOW));
    let Figures { entries, bytes, capacity, .. } = table.figures();
    assert_eq!(capacity, 300_000 / 32 * 32);
    assert!(entries > 290_000, "shards fill evenly: {entries}");
    assert!(bytes / entries < 64, "{} bytes per session", bytes / entries);
}

#[test]
fn what_is_gone_makes_room_and_takes_none() {
    let table = table(20_000, 1 << 30);
    let mut before = 0;
    for round in 0..20 {
        (0..9000).for_each(|n| assert_eq!(put(&table, round * 9000 + n, "a", at(round)).evicted, None));
        (0..9000).for_each(|n| assert!(table.end(table.digest(&id(round * 9000 + n))).is_some()));
        let Figures { entries, bytes, .. } = table.figures();
        assert_eq!(entries, 0);
        assert!(round == 0 || bytes < before + before / 8, "{before} bytes became {bytes}");
        before = bytes;
    }
}

#[test]
fn a_sweep_goes_round_and_stops_at_its_budget() {
    let table = table(100_000, 1 << 30);
    (0..50_000).for_each(|n| _ = put(&table, n, "a", if n < 30_000 { NOW } else { at(90) }));
    let mut freed = 0;
    while let now @ 1.. = table.sweep(at(110), long(), 1000) {
        assert!(now <= 1000);
        freed += now;
    }
    assert_eq!(freed, 30_000);
    assert_eq!(table.figures().entries, 20_000);
}

#[test]
fn threads_share_a_table() {
    const EACH: u32 = 3000;
    let table = table(100_000, 1 << 30);
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let table = &table;
            scope.spawn(move || {
                let name = format!("backend-{thread}");
                for n in (thread * EACH..).take(EACH as usize) {
                    assert_eq!(put(table, n, &name, NOW).outcome, Outcome::Created);
                    assert_eq!(home(table, n, NOW).as_deref(), Some(&*name));
                    // One that all threads write to.
                    put(table, u32::MAX, &name, NOW);
                    if n % 3 == 0 {
                        assert!(table.end(table.digest(&id(n))).is_some());
                    }
                }
            });
        }
    });
    assert_eq!(table.figures().entries, u64::from(4 * EACH * 2 / 3 + 1));
}

/// What a table of one shard is to do: two lists, the next to go first.
#[derive(Default)]
struct Model {
    recent: Vec<(u32, Held)>,
    retired: Vec<(u32, Held)>,
    most: usize,
}

impl Model {
    fn remove(&mut self, n: u32) -> Option<Held> {
        let in_one = |list: &mut Vec<(u32, Held)>| {
            let at = list.iter().position(|(held, _)| *held == n)?;
            Some(list.remove(at).1)
        };
        in_one(&mut self.retired).or_else(|| in_one(&mut self.recent))
    }

    fn at(&mut self, n: u32) -> Option<&mut Held> {
        self.retired.iter_mut().chain(&mut self.recent).find(|(held, _)| *held == n).map(|(_, held)| held)
    }

    fn put(&mut self, n: u32, record: Record, now: UnixSeconds, times: Times) -> Put {
        let Record { home, origin, issued } = record;
        let new = Held { home, origin, issued, last_seen: now, ends: None };
        let before = self.at(n).map(|held| *held).filter(|held| held.ends.is_none_or(|ends| ends > now));
        if let Some(Held { home: from, last_seen, ends, .. }) = before {
            if ends.is_some() {
                *self.at(n).unwrap() = Held { ends, ..new };
            } else {
                self.remove(n);
                self.recent.push((n, new));
            }
            let same = Outcome::Refreshed { last_seen };
            let outcome = if from == home { same } else { Outcome::Moved { from, last_seen } };
            return Put { outcome, evicted: None };
        }
        self.remove(n);
        let is_full = self.recent.len() + self.retired.len() == self.most;
        let evicted = is_full.then(|| {
            let list = if self.retired.is_empty() { &mut self.recent } else { &mut self.retired };
            let held = list.remove(0).1;
            Evicted { held, was_live: held.ends.is_none() && held.expired(now, times).is_none() }
        });
        self.recent.push((n, new));
        Put { outcome: Outcome::Created, evicted }
    }

    fn retire(&mut self, n: u32, now: UnixSeconds, left: u32) -> Option<Held> {
        let ends = UnixSeconds(now.0 + left);
        let before = *self.at(n)?;
        if let Some(said) = before.ends {
            self.at(n)?.ends = Some(said.min(ends));
        } else {
            self.remove(n);
            self.retired.push((n, Held { ends: Some(ends), ..before }));
        }
        Some(before)
    }

    fn sweep(&mut self, now: UnixSeconds, times: Times, budget: usize) -> usize {
        let over = |(_, held): &&(u32, Held)| held.ends.is_some_and(|ends| ends <= now);
        let retired = self.retired.iter().take_while(over).count().min(budget);
        self.retired.drain(..retired);
        let over = |(_, held): &&(u32, Held)| held.expired(now, times).is_some();
        let recent = self.recent.iter().take_while(over).count().min(budget - retired);
        self.recent.drain(..recent);
        retired + recent
    }
}

/// The sessions of all parts, the next to go of each first.
fn in_order(table: &Table) -> Vec<(Digest, Held)> {
    let mut copy = ShardCopy::default();
    let part = |part| {
        table.copy_part(part, &mut copy);
        copy.sessions().collect::<Vec<_>>()
    };
    (0..table.parts()).flat_map(part).collect()
}

proptest! {
    #[test]
    fn a_table_does_what_its_model_does(
        most in 1_usize..12,
        lifetime in 20_u32..200,
        steps in prop::collection::vec((0_u8..8, 0_u32..16, 0_u32..4, 0_u32..12), 0..400),
    ) {
        let (table, times) = (small(most as u64), times(30, lifetime));
        let names: Vec<_> = (0..4).map(|n| table.name(&format!("backend-{n}")).unwrap()).collect();
        let mut model = Model { most, ..Model::default() };
        let mut now = NOW;
        for (what, n, to, number) in steps {
            let (digest, home) = (table.digest(&id(n)), names[to as usize]);
            match what {
                0 => now.0 += number,
                1 => {
                    let held = model.at(n).map(|held| *held);
                    let found = held.filter(|held| held.ends.is_none_or(|ends| ends > now));
                    let found = found.map(|held| Found { held, expired: held.expired(now, times) });
                    prop_assert_eq!(table.get(digest, now, times), found);
                }
                2 => prop_assert_eq!(table.end(digest), model.remove(n)),
                3 => prop_assert_eq!(table.retire(digest, now, number), model.retire(n, now, number)),
                4 => prop_assert_eq!(table.sweep(now, times, to as usize), model.sweep(now, times, to as usize)),
                5 => {
                    let before = model.at(n).map(|held| {
                        std::mem::replace(held, Held { home, origin: None, ..*held })
                    });
                    prop_assert_eq!(table.move_to(digest, home), before);
                }
                _ => {
                    let origin = names.get(number as usize).copied();
                    let record = Record { home, origin, issued: UnixSeconds(now.0 - number) };
                    prop_assert_eq!(table.put(digest, record, now, times), model.put(n, record, now, times));
                }
            }
            let expected: Vec<_> =
                model.retired.iter().chain(&model.recent).map(|(n, held)| (table.digest(&id(*n)), *held)).collect();
            prop_assert_eq!(in_order(&table), expected);
        }
    }

    /// Any number of places, filled and emptied in any order.
    #[test]
    fn an_index_finds_what_is_in_it(
        most in 1_u64..200,
        steps in prop::collection::vec((any::<bool>(), 0_u32..200), 0..600),
    ) {
        let (mut index, mut held) = (index::Index::new(most), HashSet::new());
        // Some are spread, some fall on a few places at the end.
        let hash = |n: u32| if n.is_multiple_of(6) { u32::MAX - n % 5 } else { n.wrapping_mul(0x9e37_79b9) };
        for (add, n) in steps {
            if add && !held.contains(&n) && (held.len() as u64) < most {
                index.insert(hash(n), n);
                held.insert(n);
            } else if !add {
                index.remove(hash(n), n);
                held.remove(&n);
            }
            prop_assert!(index.bytes() <= index::Index::bytes_for(most));
            prop_assert_eq!(index.find(hash(n), |slot| (slot == n).then_some(slot)), held.get(&n).copied());
        }
        for n in 0..200 {
            prop_assert_eq!(index.find(hash(n), |slot| (slot == n).then_some(slot)), held.get(&n).copied());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_bounds_hold(
        entries in 1_u64..40_000,
        bytes in prop_oneof![0_u64..200_000, 200_000_u64..3_000_000],
        count in 0_u32..40_000,
    ) {
        let table = table(entries, bytes);
        let bytes = bytes.max(Bounds::LEAST_BYTES);
        let start = table.figures();
        prop_assert!(start.bytes <= bytes, "{} bytes before it began", start.bytes);
        prop_assert!((1..=entries).contains(&start.capacity));
        for n in 0..count {
            put(&table, n, "a", NOW);
            if n % 1000 == 0 || n + 1 == count {
                let figures = table.figures();
                prop_assert!(figures.entries <= figures.capacity && figures.bytes <= bytes);
            }
        }
        let figures = table.figures();
        prop_assert_eq!(figures.entries + figures.evicted, u64::from(count));
        // A table that could hold them all, with room for an uneven spread, does.
        prop_assert!(u64::from(count) > figures.capacity * 9 / 10 || figures.evicted == 0);
    }
}
