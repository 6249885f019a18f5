//! Caps on connections: in all, on a listener, of an address; and what happens when descriptors run out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use homing::config::{self, Environment};
use homing::control::Signals;
use homing::strategy::Registry;

use crate::harness::{Homing, Reply, backend, homing, open, read_reply, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// A connection on which `bytes` were answered.
fn ask(address: SocketAddr, bytes: &str) -> (TcpStream, Reply) {
    let mut stream = open(address);
    let _ = stream.write_all(bytes.as_bytes());
    let reply = read_reply(&mut stream, &mut Vec::new(), true);
    (stream, reply)
}

/// Connections that were let in: as many as are asked for.
fn guests<const N: usize>(address: SocketAddr, bytes: &str) -> [TcpStream; N] {
    std::array::from_fn(|_| {
        let (stream, reply) = ask(address, bytes);
        assert_eq!(reply.status, 200, "{}", reply.text());
        stream
    })
}

/// One more is told why it may not come in, and is counted.
fn is_turned_away(homing: &Homing, bytes: &str, reason: &str) {
    let (_, reply) = ask(homing.address, bytes);
    assert_eq!(
        (reply.status, reply.text().contains(&format!("({reason})"))),
        (503, true),
        "{}",
        reply.text()
    );
    assert_eq!(reply.field("connection").as_deref(), Some("close"));
    let line = format!("homing_connections_rejected_total{{listener=\"web\",reason=\"{reason}\"}} ");
    homing.until("/metrics", |text| text.lines().any(|l| l.starts_with(&line) && !l.ends_with(" 0")));
}

#[test]
fn a_listener_has_as_many_connections_as_it_may_and_room_again_when_one_ends() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("max_connections = 2\n").run();
    let [one, _two] = guests(homing.address, GET);
    is_turned_away(&homing, GET, "listener_full");
    is_turned_away(&homing, "", "listener_full");
    drop(one);
    until(|| ask(homing.address, GET).1.status == 200);
}

#[test]
fn all_listeners_together_have_as_many_connections_as_they_may() {
    let a = backend("a");
    let homing = homing(&[&a]).run_edited(|text| format!("max_connections = 2\n{text}"));
    let _guests: [_; 2] = guests(homing.address, GET);
    is_turned_away(&homing, GET, "process_full");
}

#[test]
fn an_address_has_as_many_connections_as_it_may_and_another_has_its_own() {
    let a = backend("a");
    let homing = homing(&[&a])
        .listener(
            "max_connections_per_address = 2\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n",
        )
        .run();
    let from = |ip: &str| match ip.contains(':') {
        true => format!("PROXY TCP6 {ip} ::1 1 80\r\n{GET}"),
        false => format!("PROXY TCP4 {ip} 10.0.0.1 1 80\r\n{GET}"),
    };
    let [one, _two] = guests(homing.address, &from("192.0.2.7"));
    is_turned_away(&homing, &from("192.0.2.7"), "address_full");
    let [_other] = guests(homing.address, &from("192.0.2.8"));
    drop(one);
    until(|| ask(homing.address, &from("192.0.2.7")).1.status == 200);

    let [_first] = guests(homing.address, &from("2001:db8::1"));
    let [_second] = guests(homing.address, &from("2001:db8::ffff:2"));
    is_turned_away(&homing, &from("2001:db8::3"), "address_full");
    let [_other] = guests(homing.address, &from("2001:db8:0:1::1"));
}

#[test]
fn a_cap_for_which_the_descriptors_do_not_suffice_is_refused_at_start() {
    let a = backend("a");
    let setup = homing(&[&a]);
    let of_listener = setup.toml().replace("affinity_header = true", "max_connections = 4000000000");
    for (text, whose) in
        [(format!("max_connections = 4000000000\n{}", setup.toml()), ""), (of_listener, "web")]
    {
        let environment = Environment::detect().unwrap();
        let plan = config::parse(&text, Path::new("t"), &Registry::built_in(), &environment).unwrap().plan;
        let error = homing::app::start(plan, None, Signals::Leave).unwrap_err().to_string();
        for part in ["max_connections = 4000000000", "8000000064", "ulimit", "LimitNOFILE=8000000064", whose]
        {
            assert!(error.contains(part), "{error}");
        }
    }
}

/// A homing of its own process, with few descriptors.
struct Starved {
    child: Child,
    log: PathBuf,
    socket: PathBuf,
}

impl Starved {
    fn run(folder: &Path, descriptors: u32, backend: SocketAddr) -> Self {
        let (log, socket, config) = (folder.join("log"), folder.join("web.sock"), folder.join("c.toml"));
        let text = format!(
            "workers = 2\n[access_log]\nformat = \"off\"\n[[listener]]\nname = \"web\"\nlisten = \"unix:{}\"\n\
             [[pool]]\nname = \"app\"\nbackends = [\"{backend}\"]\n",
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let run = format!("ulimit -n {descriptors} && exec \"$0\" run -c \"$1\"");
        let child = Command::new("sh")
            .args(["-c", &run, env!("CARGO_BIN_EXE_homing")])
            .arg(&config)
            .stdout(std::fs::File::create(folder.join("out")).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let this = Self { child, log, socket };
        // Who has all descriptors taken before it is ready keeps it from getting there.
        until(|| std::fs::read_to_string(&this.log).unwrap().lines().any(|line| line == "ready"));
        this
    }

    /// How often it has said that accepting rests.
    fn rests(&self) -> usize {
        std::fs::read_to_string(&self.log).unwrap().matches("accepting rests").count()
    }

    /// CPU time used, in hundredths of a second: the 14th and the 15th field of its `stat`.
    fn cpu(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
        fields.skip(11).take(2).map(|f| f.parse::<u64>().unwrap()).sum()
    }

    fn serves(&self) -> bool {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        reply.starts_with("HTTP/1.1 200 ")
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_descriptors_it_rests_and_it_serves_again_once_there_are_some() {
    let a = backend("a");
    let folder = tempfile::tempdir().unwrap();
    let homing = Starved::run(folder.path(), 36, a.address);
    assert!(homing.serves());
    let clients: Vec<_> = (0..40).map(|_| UnixStream::connect(&homing.socket).unwrap()).collect();
    until(|| homing.rests() >= 1);
    let (before, began) = (homing.cpu(), Instant::now());
    until(|| homing.rests() >= 4);
    let (spent, took) = (homing.cpu() - before, began.elapsed());
    assert!(spent * 10 <= took.as_millis() as u64 / 10, "{spent} hundredths of CPU in {took:?}: it spins");
    drop(clients);
    let left = Instant::now();
    until(|| homing.serves());
    assert!(left.elapsed() < Duration::from_secs(3), "service came back after {:?}", left.elapsed());
}
