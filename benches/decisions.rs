//! What decisions cost, in time: `cargo bench --bench decisions`, or with a part of a name behind `--`.
//!
//! Every strategy of the registry is here by itself. Time is a hint: on a shared machine compare within one run, and let
//! `make bench-gate` say what a request costs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};

use homing::affinity::opened::{self, OpenedCache};
use homing::affinity::seal::Nonces;
use homing::affinity::table::{Bounds, Record, Seeds, Table, Times};
use homing::affinity::{Pin, Session};
use homing::backend::members::{BackendSet, Candidates, Members};
use homing::backend::{Backend, BackendIx};
use homing::base::hash::hash64;
use homing::base::options::Options;
use homing::base::time::UnixSeconds;
use homing::config::{self, Environment};
use homing::message::hpack::{Decoder, Encoder, Keep};
use homing::pool::Pool;
use homing::pool::choose::{Patience, Pickers, Question};
use homing::pool::standing::Standing;
use homing::proxy::clock::Clock;
use homing::route::{HostPattern, Route, Routes};
use homing::strategy::{Registry, RequestFacts};

const NOW: UnixSeconds = UnixSeconds(1_000_000);
/// Clients that ask in turn.
const CLIENTS: u8 = 251;
/// Routes among which one is found, and backends of the configuration that is read.
const MANY: usize = 1000;
const CONNECTIONS: usize = 10_000;
const A_LONG_TIME: Duration = Duration::from_secs(3600);

fn main() {
    divan::main();
}

/// The names of all strategies that homing ships.
fn strategies() -> Vec<&'static str> {
    Registry::built_in().iter().map(|kind| kind.name).collect()
}

/// One choice among so many open backends, for clients that ask in turn.
#[divan::bench(args = strategies(), consts = [3, 10, 100, 1000])]
fn pick<const BACKENDS: usize>(bencher: Bencher<'_, '_>, name: &str) {
    let kind = Registry::built_in().find(name).unwrap();
    let backend = |i| Arc::new(Backend::at(&format!("b{i}.test:80")).unwrap());
    let members = Members::new((0..BACKENDS).map(backend).collect());
    let open: BackendSet = members.iter().map(|(ix, _)| ix).collect();
    let tried = BackendSet::new();
    let among = Candidates::new(members.primaries(), &open, &tried);
    let mut picker = (kind.build)(&mut Options::none(), members.primaries()).picker(7);
    let mut clients = clients();
    bencher.bench_local(move || {
        let (client, key, hash) = clients();
        let request = RequestFacts { client: Some(client), key: Some(&key), hash, attempt: 0, now: NOW };
        picker.pick(black_box(&request), black_box(&among))
    });
}

/// Where a pinned session goes: to its home, without a question to the strategy.
#[divan::bench]
fn choose_for_a_pinned_session(bencher: Bencher<'_, '_>) {
    let pool = sticky_pool(10);
    let standing = Standing::initial(&pool.members);
    let (mut pickers, tried) = (Pickers::new(&pool, 7), BackendSet::new());
    let session = Session { pin: Pin::To(BackendIx(3)), ..Session::begin(7, NOW) };
    let ask = Question {
        pool: &pool,
        standing: &standing,
        session: Some(&session),
        tried: &tried,
        follow: None,
        patience: Patience::NONE,
    };
    let facts = RequestFacts { client: None, key: None, hash: 7, attempt: 0, now: NOW };
    bencher.bench_local(|| pickers.choose(black_box(&ask), black_box(&facts)));
}

/// A `Set-Cookie` with a sealed pin.
#[divan::bench]
fn cookie_seal(bencher: Bencher<'_, '_>) {
    let pool = sticky_pool(10);
    let cookie = pool.affinity.as_ref().and_then(|a| a.cookie()).unwrap();
    let (mut nonces, mut out) = (Nonces::new(), Vec::with_capacity(512));
    let session = Session::begin(7, NOW);
    bencher.bench_local(|| {
        out.clear();
        cookie.set_cookie(black_box(&session), "127.0.0.1:9003", None, NOW, &mut nonces, &mut out).unwrap();
        black_box(out.len())
    });
}

/// A pin that this worker has seen before.
#[divan::bench]
fn cookie_open_cached(bencher: Bencher<'_, '_>) {
    open(bencher, 1);
}

/// Pins so many that each has left the cache when its turn comes again.
#[divan::bench]
fn cookie_open(bencher: Bencher<'_, '_>) {
    open(bencher, 64);
}

/// Opens this many different pins in turn, with a cache that holds two.
fn open(bencher: Bencher<'_, '_>, pins: usize) {
    let pool = sticky_pool(10);
    let cookie = pool.affinity.as_ref().and_then(|a| a.cookie()).unwrap();
    let mut nonces = Nonces::new();
    let line = |key| {
        let mut out = b"theme=dark; ".to_vec();
        cookie
            .set_cookie(&Session::begin(key, NOW), "127.0.0.1:9003", None, NOW, &mut nonces, &mut out)
            .unwrap();
        out.split(|b| *b == b';').take(2).collect::<Vec<_>>().join(&b';')
    };
    let lines: Vec<_> = (1..).map(line).take(pins).collect();
    let mut lines = lines.iter().cycle();
    let mut cache = OpenedCache::new(if pins == 1 { opened::ENTRIES } else { 2 }, 7);
    bencher.bench_local(|| {
        let line = lines.next().into_iter().map(Vec::as_slice);
        let session = cookie.read(black_box(line), &pool.members, NOW, &mut cache, 9);
        assert!(matches!(session.pin, Pin::To(_)), "a pin that does not open measures nothing");
        session
    });
}

/// A session of the stick table, looked up by its id.
#[divan::bench(args = [1_000, 100_000])]
fn table_get(bencher: Bencher<'_, '_>, sessions: u64) {
    let (table, mut ids) = stick_table(sessions);
    bencher.bench_local(move || {
        let found = table.get(table.digest(&ids()), NOW, table_times());
        assert!(found.is_some(), "a session that is not held measures nothing");
        found
    });
}

/// The same, written down as used.
#[divan::bench(args = [1_000, 100_000])]
fn table_put(bencher: Bencher<'_, '_>, sessions: u64) {
    let (table, mut ids) = stick_table(sessions);
    let record = Record { home: table.name("a").unwrap(), origin: None, issued: NOW };
    bencher.bench_local(move || table.put(table.digest(&ids()), record, NOW, table_times()));
}

/// A block of a request, all of whose fields came before.
#[divan::bench]
fn hpack_decode(bencher: Bencher<'_, '_>) {
    const FIELDS: [(&str, &str); 10] = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop.example.com:8443"),
        (":path", "/"),
        ("user-agent", "curl/8.14.1"),
        ("accept", "*/*"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("cookie", "homing=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcd"),
        ("referer", "https://shop.example.com/cart"),
        ("x-requested-with", "fetch"),
    ];
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
    let [first, again] = [hpack_block(&mut encoder, &FIELDS), hpack_block(&mut encoder, &FIELDS)];
    decoder.decode(&first, |_| ()).unwrap();
    assert_eq!(again.len(), FIELDS.len(), "a byte for each");
    bencher.bench_local(move || {
        let mut bytes = 0;
        decoder.decode(black_box(&again), |field| bytes += field.name.len() + field.value.len()).unwrap();
        bytes
    });
}

/// A block of an answer, all of whose fields came before.
#[divan::bench]
fn hpack_encode(bencher: Bencher<'_, '_>) {
    const FIELDS: [(&str, &str); 6] = [
        ("server", "nginx"),
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "private, no-cache"),
        ("vary", "Accept-Encoding"),
        ("strict-transport-security", "max-age=31536000"),
        ("x-backend", "b7"),
    ];
    let mut encoder = Encoder::new();
    hpack_block(&mut encoder, &FIELDS);
    let mut block = Vec::new();
    bencher.bench_local(move || {
        block.clear();
        encoder.begin(&mut block);
        encoder.status(200, &mut block);
        for (name, value) in black_box(&FIELDS) {
            encoder.field(name.as_bytes(), value.as_bytes(), Keep::Index, &mut block);
        }
        assert_eq!(block.len(), 7, "a byte for each");
    });
}

fn hpack_block(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), Keep::Index, &mut block);
    }
    block
}

/// One route among a thousand, by its host and path.
#[divan::bench]
fn route_find(bencher: Bencher<'_, '_>) {
    let route = |i: usize| {
        let host = match i % 3 {
            0 => HostPattern::Under(format!(".tenant{i}.example.com")),
            _ => HostPattern::Exact(format!("shop{i}.example.com")),
        };
        Route { host, path: format!("/api/{}", i % 7), ..Route::default() }
    };
    let routes = Routes::new((0..MANY).map(route).collect());
    let asked =
        [("shop500.example.com", "/api/3/x"), ("www.tenant501.example.com", "/api/4"), ("nobody", "/")];
    let mut asked = asked.iter().cycle();
    bencher.bench_local(|| {
        let (host, path) = asked.next()?;
        black_box(&routes).find(0, black_box(host), black_box(path)).map(|(place, _)| place)
    });
}

/// A file with a thousand backends, read and turned into tables.
#[divan::bench(sample_size = 1)]
fn config_parse(bencher: Bencher<'_, '_>) {
    let text = sticky_config(MANY);
    let (registry, environment) = (Registry::built_in(), Environment::detect().unwrap());
    bencher.bench_local(|| {
        config::parse(black_box(&text), Path::new("bench"), &registry, &environment).unwrap()
    });
}

/// A tick among ten thousand connections none of which is late.
#[divan::bench]
fn deadline_sweep(bencher: Bencher<'_, '_>) {
    let clock = Rc::new(Clock::default());
    let deadlines: Vec<_> = (0..CONNECTIONS).map(|_| clock.deadline()).collect();
    deadlines.iter().for_each(|deadline| deadline.set(A_LONG_TIME));
    let mut now = Duration::ZERO;
    bencher.bench_local(|| {
        now += Duration::from_nanos(1);
        black_box(&clock).tick(now);
    });
}

/// Address, key and hash of one client after the other.
fn clients() -> impl FnMut() -> (IpAddr, [u8; 4], u64) {
    let mut last = 0;
    move || {
        last = (last + 1) % CLIENTS;
        let address = Ipv4Addr::new(10, 7, last, last);
        (address.into(), address.octets(), hash64(&address.octets()))
    }
}

/// A stick table of so many sessions, and their ids in turn: 32 bytes each.
fn stick_table(sessions: u64) -> (Table, impl FnMut() -> [u8; 32]) {
    let table = Table::new(Bounds { entries: sessions * 2, bytes: 1 << 30 }, Seeds::new([7; 16]));
    let record = Record { home: table.name("a").unwrap(), origin: None, issued: NOW };
    let id = |n: u64| {
        let eight = hash64(&n.to_le_bytes()).to_le_bytes();
        std::array::from_fn(|i| eight[i % 8])
    };
    (0..sessions).for_each(|n| _ = table.put(table.digest(&id(n)), record, NOW, table_times()));
    let mut last = 0;
    let ids = move || {
        last = (last + 1) % sessions;
        id(last)
    };
    (table, ids)
}

fn table_times() -> Times {
    Times::new(A_LONG_TIME, None)
}

/// A pool with a cookie.
fn sticky_pool(backends: usize) -> Arc<Pool> {
    let environment = Environment::detect().unwrap();
    let text = sticky_config(backends);
    let loaded = config::parse(&text, Path::new("bench"), &Registry::built_in(), &environment);
    let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong}"));
    Arc::clone(loaded.plan.pools.first().unwrap())
}

fn sticky_config(backends: usize) -> String {
    let mut text =
        "[[listener]]\nlisten = \"127.0.0.1:0\"\n[[pool]]\nname = \"app\"\nbackends = [\n".to_owned();
    for i in 0..backends {
        writeln!(text, "  {{ address = \"127.0.0.1:{}\", weight = {} }},", 9000 + i, 1 + i % 3).unwrap();
    }
    text.push_str("]\n[pool.affinity]\nmode = \"cookie\"\nname = \"srv\"\n");
    text
}
