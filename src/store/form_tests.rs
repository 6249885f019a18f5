use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::affinity::table::{Put, Record};
use crate::base::hash::hash64;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const WIDE: Bounds = Bounds { entries: 1000, bytes: 1 << 20 };

fn times() -> Times {
    Times::new(Duration::from_secs(100), Some(Duration::from_secs(1000)))
}

fn at(seconds: u32) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

fn put(table: &Table, id: u32, home: &str, origin: Option<&str>, now: UnixSeconds) -> Put {
    let name = |name| table.name(name).unwrap();
    let record = Record { home: name(home), origin: origin.map(name), issued: NOW };
    table.put(table.digest(&id.to_be_bytes()), record, now, times())
}

/// Three sessions, one of them moved and one retired; a name that nobody has.
fn sample() -> Table {
    let table = Table::new(WIDE, Seeds::new([7; 16]));
    put(&table, 1, "a", None, at(1));
    table.name("unused").unwrap();
    put(&table, 2, "b", Some("a"), at(2));
    put(&table, 3, "a", None, at(3));
    table.retire(table.digest(&3_u32.to_be_bytes()), at(4), 60).unwrap();
    table
}

fn written(table: &Table) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(table, &mut bytes, at(5)).unwrap();
    bytes
}

fn read_back(bytes: &[u8], bounds: Bounds, now: UnixSeconds) -> Result<Loaded, ReadError> {
    read(&mut &*bytes, bounds, now, times())
}

/// A session with its names in full, and when it was issued, last seen, and is to end.
type Told = (Digest, String, Option<String>, [Option<u32>; 3]);

/// The sessions, the next to go of each shard first, with the names in full.
fn sessions(table: &Table) -> Vec<Told> {
    let mut copy = ShardCopy::default();
    let text = |name| table.text(name).to_string();
    let part = |part| {
        table.copy_part(part, &mut copy);
        let told = copy.sessions().map(|(digest, held)| {
            let times = [Some(held.issued.0), Some(held.last_seen.0), held.ends.map(|ends| ends.0)];
            (digest, text(held.home), held.origin.map(text), times)
        });
        told.collect::<Vec<_>>()
    };
    (0..table.parts()).flat_map(part).collect()
}

#[test]
fn a_table_is_read_as_it_was_written() {
    let table = sample();
    let loaded = read_back(&written(&table), WIDE, at(6)).unwrap();
    assert_eq!(sessions(&loaded.table), sessions(&table));
    assert_eq!((loaded.saved, loaded.expired, loaded.surplus), (at(5), 0, 0));
    assert!(loaded.table.seeds() == table.seeds(), "ids lead to their sessions");
    assert_eq!(loaded.table.names(0).len(), 2, "names that nobody has are forgotten");
    let empty = Table::new(WIDE, Seeds::new([9; 16]));
    assert_eq!(sessions(&read_back(&written(&empty), WIDE, NOW).unwrap().table), []);
}

#[test]
fn what_is_over_is_left_out() {
    let bytes = written(&sample());
    let left = |now: u32| {
        let loaded = read_back(&bytes, WIDE, at(now)).unwrap();
        (loaded.table.figures().entries, loaded.expired)
    };
    assert_eq!(left(63), (3, 0));
    assert_eq!(left(64), (2, 1), "the retired one");
    assert_eq!(left(110), (0, 3), "idle for too long");
}

#[test]
fn the_form_stays_readable() {
    let bytes = written(&sample());
    let hashes = (bytes.len(), hash64(&bytes));
    assert_eq!(hashes, (230, 0x8ccc_8dbe_3c06_a879), "a changed form needs another version");
}

#[test]
fn each_changed_byte_is_found() {
    let bytes = written(&sample());
    for at in 0..bytes.len() {
        for by in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= by;
            assert!(read_back(&changed, WIDE, NOW).is_err(), "byte {at} changed by {by}");
        }
    }
}

#[test]
fn each_cut_is_found() {
    let bytes = written(&sample());
    for len in 0..bytes.len() {
        let fault = read_back(&bytes[..len], WIDE, NOW).unwrap_err();
        assert!(matches!(fault, ReadError::Cut { .. }), "cut at {len}: {fault}");
    }
    let longer = [&bytes[..], b"\n"].concat();
    assert!(matches!(read_back(&longer, WIDE, NOW), Err(ReadError::Damaged { .. })));
}

#[test]
fn what_is_no_table_is_told_from_one_of_another_version() {
    assert!(matches!(read_back(b"GIF89a, and much more of that", WIDE, NOW), Err(ReadError::Foreign)));
    let mut later = written(&sample());
    later[15] += 1;
    let fault = read_back(&later, WIDE, NOW).unwrap_err();
    assert_eq!(fault.to_string(), "its form is number 2; this homing reads number 1");
}

/// A stream of these blocks, with the sums that they need.
fn sealed(blocks: &[(u32, &[u8])]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (kind, block) in blocks {
        let len = u32::try_from(block.len()).unwrap();
        bytes.extend([&kind.to_le_bytes(), &len.to_le_bytes(), *block].concat());
        bytes.extend(hash64(&bytes).to_le_bytes());
    }
    bytes
}

/// Streams with sound sums are not believed for that.
#[test]
fn nonsense_with_a_checksum_is_refused() {
    let (head, name): ([u8; 20], &[u8]) = ([0; 20], b"\x01\0a");
    let session = |home: u32, origin: u32| {
        let numbers = [1, 2, 3, 4, home, origin, NOW.0, NOW.0, 0_u32];
        numbers.map(u32::to_le_bytes).concat()
    };
    let (good, homeless, unborn) = (session(0, NO_ORIGIN), session(1, NO_ORIGIN), session(0, 1));
    let (none, one) = (0_u64.to_le_bytes(), 1_u64.to_le_bytes());
    let check = |blocks: &[(u32, &[u8])], expected: Option<&str>| {
        let found = read_back(&sealed(blocks), WIDE, NOW).err().map(|fault| match fault {
            ReadError::Damaged { what, .. } => what,
            other => panic!("{other}"),
        });
        assert_eq!(found, expected);
    };
    check(&[(1, &head), (4, &none)], None);
    check(&[(1, &head), (2, name), (3, &good), (4, &one)], None);
    check(&[(4, &none)], Some("no head"));
    check(&[(1, &head[1..]), (4, &none)], Some("not a head"));
    check(&[(1, &head), (1, &head), (4, &none)], Some("a second head"));
    check(&[(1, &head), (9, b""), (4, &none)], Some("a block of no known kind"));
    check(&[(1, &head), (2, b"\x02\0a"), (4, &none)], Some("part of a name"));
    check(&[(1, &head), (2, b"\x02"), (4, &none)], Some("part of a name"));
    check(&[(1, &head), (2, b"\x01\0\xff"), (4, &none)], Some("a name that is no text"));
    check(&[(1, &head), (2, name), (3, &good[1..]), (4, &one)], Some("part of a session"));
    check(&[(1, &head), (2, name), (3, &homeless), (4, &one)], Some("a session of no known backend"));
    check(&[(1, &head), (2, name), (3, &unborn), (4, &one)], Some("a session of no known backend"));
    check(&[(1, &head), (3, &good), (2, name), (4, &one)], Some("a session of no known backend"));
    check(&[(1, &head), (2, name), (3, &good), (4, &none)], Some("another number of sessions"));
    check(&[(1, &head), (4, b"")], Some("another number of sessions"));
    check(&[(1, &head), (4, &none), (4, &none)], Some("bytes after its end"));
    check(&[(1, &head), (2, &[0; BLOCK + 2])], Some("a block that is too long"));
    let many = vec![0; BLOCK];
    let blocks = vec![(2, &many[..]); 33];
    check(&[&[(1, &head[..])], &blocks[..]].concat(), Some("too many names"));
}

#[test]
fn narrower_bounds_keep_those_used_last() {
    let table = Table::new(WIDE, Seeds::new([7; 16]));
    (0..100).for_each(|n| _ = put(&table, n, "a", None, at(n)));
    let loaded = read_back(&written(&table), Bounds { entries: 10, ..WIDE }, at(100)).unwrap();
    assert_eq!((loaded.table.figures().entries, loaded.surplus, loaded.expired), (10, 90, 0));
    assert_eq!(loaded.table.figures().evicted, 0, "nobody was given away for another");
    let seen: Vec<_> = sessions(&loaded.table).iter().map(|(.., times)| times[1].unwrap()).collect();
    assert_eq!(seen, (NOW.0 + 90..NOW.0 + 100).collect::<Vec<_>>());
}

#[test]
fn other_shards_keep_the_order_of_last_use() {
    let cut = Bounds { entries: 65_536, bytes: 1 << 30 };
    let table = Table::new(cut, Seeds::new([7; 16]));
    assert_eq!(table.parts(), 8);
    (0..5000).for_each(|n| _ = put(&table, n, &format!("b{}", n % 7), None, at(n % 90)));
    let loaded = read_back(&written(&table), Bounds { entries: 5000, ..cut }, at(90)).unwrap();
    assert_eq!(loaded.table.parts(), 1);
    let seen: Vec<_> = sessions(&loaded.table).iter().map(|(.., times)| times[1]).collect();
    assert!(seen.len() == 5000 && seen.is_sorted());
    let again = read_back(&written(&loaded.table), cut, at(90)).unwrap().table;
    let sorted = |table| {
        let mut all = sessions(table);
        all.sort();
        all
    };
    assert_eq!(sorted(&again), sorted(&table));
}

#[test]
fn a_table_is_written_while_others_change_it() {
    let table = Table::new(Bounds { entries: 100_000, bytes: 1 << 30 }, Seeds::new([7; 16]));
    (0..20_000).for_each(|n| _ = put(&table, n, "a", None, NOW));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..50_000 {
                put(&table, 20_000 + n % 20_000, &format!("new-{}", n % 500), None, NOW);
            }
        });
        for _ in 0..5 {
            let loaded = read_back(&written(&table), table.bounds(), NOW).unwrap();
            assert!(loaded.table.figures().entries >= 20_000);
        }
    });
}

#[test]
fn a_full_device_is_an_error() {
    let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let fault = write(&sample(), &mut full, NOW).unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::StorageFull);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read_back(&bytes, WIDE, NOW).is_err());
        let after_magic = [&MAGIC[..], &bytes].concat();
        prop_assert!(read_back(&after_magic, WIDE, NOW).is_err());
    }

    #[test]
    fn a_table_survives_the_disk(
        steps in prop::collection::vec((0_u32..300, 0_u32..20, 0_u32..120, any::<bool>()), 0..200),
    ) {
        let table = Table::new(WIDE, Seeds::new([7; 16]));
        let mut now = 0;
        for (id, home, moves, retire) in steps {
            now += u32::from(moves == 0);
            let origin = (moves % 3 == 0).then_some("first");
            put(&table, id, &format!("backend-{home}"), origin, at(now));
            if retire {
                table.retire(table.digest(&id.to_be_bytes()), at(now), 50);
            }
        }
        let loaded = read_back(&written(&table), WIDE, at(now)).unwrap();
        prop_assert_eq!(loaded.surplus, 0);
        prop_assert_eq!(loaded.expired, 0);
        prop_assert_eq!(sessions(&loaded.table), sessions(&table));
    }
}
