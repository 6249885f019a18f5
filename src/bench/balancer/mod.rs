//! Balancers that a run starts, ours and others': each is told its backends in its own words, and the same things are
//! done to it by its own means. Foreign ones, known by a URL alone, are only gone through.

mod haproxy;
mod homing;
mod nginx;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::process::{Folder, Program, find, first_line};
use super::settings::ClientAddress;

/// How often backends are checked, and how many checks in a row close one.
pub(super) const CHECK: Duration = Duration::from_millis(250);
pub(super) const FALL: u32 = 2;
/// By when a balancer that checks has noticed what became of a backend.
pub(super) const NOTICED: Duration = Duration::from_millis(900);
/// How long one may take to begin.
const START: Duration = Duration::from_secs(20);

/// Whose balancer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Ours.
    Homing,
    /// nginx, as Debian has it.
    Nginx,
    /// HAProxy, as Debian has it.
    Haproxy,
    /// Somebody's, by its URL.
    Foreign,
}

/// How a balancer is to route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// By whom.
    pub family: Family,
    /// What chooses a backend for a new session.
    pub strategy: String,
    /// What keeps it there.
    pub affinity: String,
    /// What comes of both.
    pub placement: Placement,
}

/// What is to be expected of where sessions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// A session stays where it is, and anybody may get it when it has to move.
    Sticky,
    /// It stays; when its backend goes it moves, and back again when that returns.
    Consistent,
    /// Whenever one goes or comes, most sessions move.
    Modulo,
    /// When the list changes, some more move than have to.
    Maglev,
    /// Each request goes anywhere.
    Spread,
    /// Nobody knows.
    Unknown,
}

/// A backend as a balancer's configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) weight: u16,
    /// Taken out, where there is no better way.
    pub(super) is_down: bool,
}

/// A balancer, or several with the same configuration.
#[derive(Debug)]
pub(super) struct Balancer {
    pub(super) routing: Routing,
    pub(super) members: Vec<Member>,
    nodes: Vec<Node>,
    folder: Folder,
    client_address: ClientAddress,
    /// What the cookie's sessions end after.
    idle: Duration,
}

#[derive(Debug)]
struct Node {
    address: SocketAddr,
    admin: SocketAddr,
    program: Option<Program>,
}

impl Routing {
    /// Reads a strategy's name, with what usually goes with it: `cookie`, `hrw`, `maglev`, `ring`, `ip-hash`, `rr`, or a
    /// name of `homing strategies`.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn homing(name: &str, affinity: Option<&str>) -> Result<Self, String> {
        let (strategy, usual) = match name {
            "cookie" => ("round_robin", "cookie"),
            "learn" => ("round_robin", "learn"),
            "rr" => ("round_robin", "none"),
            "hrw" => ("rendezvous", "none"),
            "ring" => ("hash_consistent", "none"),
            "ip-hash" => ("ip_hash", "none"),
            "round_robin" | "least_conn" | "least_sessions" | "random" => (name, "cookie"),
            "rendezvous" | "maglev" | "hash" | "ip_hash" | "hash_consistent" => (name, "none"),
            _ => {
                return Err(format!(
                    "{name}: no such strategy; there are cookie, learn, rr, hrw, maglev, ring, ip-hash, and those of `homing \
                     strategies`"
                ));
            }
        };
        let affinity = affinity.unwrap_or(usual);
        if !matches!(affinity, "cookie" | "learn" | "none") {
            return Err(format!("{affinity}: affinity is cookie, learn or none"));
        }
        let placement = match (affinity, strategy) {
            ("cookie" | "learn", _) => Placement::Sticky,
            (_, "rendezvous" | "maglev" | "hash" | "hash_consistent" | "ip_hash") => Placement::Consistent,
            _ => Placement::Spread,
        };
        Ok(Self {
            family: Family::Homing,
            strategy: strategy.to_owned(),
            affinity: affinity.to_owned(),
            placement,
        })
    }

    /// Reads a peer: `nginx`, `haproxy`, or one way of theirs, as in `nginx:ip_hash`.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn peers(name: &str) -> Result<Vec<Self>, String> {
        let (family, way) = name.split_once(':').map_or((name, None), |(family, way)| (family, Some(way)));
        let (family, ways) = match family {
            "nginx" => (Family::Nginx, nginx::WAYS),
            "haproxy" => (Family::Haproxy, haproxy::WAYS),
            _ => return Err(format!("{family}: no such peer; there are nginx and haproxy")),
        };
        let chosen: Vec<Self> = ways
            .iter()
            .filter(|(name, ..)| way.is_none_or(|way| way == *name))
            .map(|(name, affinity, placement)| Self {
                family,
                strategy: (*name).to_owned(),
                affinity: (*affinity).to_owned(),
                placement: *placement,
            })
            .collect();
        if chosen.is_empty() {
            let names: Vec<&str> = ways.iter().map(|(name, ..)| *name).collect();
            return Err(format!("{name}: no such way; there are {}", names.join(", ")));
        }
        Ok(chosen)
    }

    /// What is to be expected where the list itself changes, and not who of it is up.
    pub(super) fn listed(&self) -> Placement {
        match (self.family, self.strategy.as_str(), self.placement) {
            (Family::Homing, "maglev", Placement::Consistent) => Placement::Maglev,
            (Family::Homing, "hash" | "ip_hash", Placement::Consistent) => Placement::Modulo,
            (Family::Nginx, "ip_hash", _) => Placement::Modulo,
            // Its servers have numbers by their places in the list.
            (Family::Haproxy, "source_consistent", _) => Placement::Unknown,
            (.., placement) => placement,
        }
    }

    /// A balancer of which nothing is known.
    #[must_use]
    pub fn foreign() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            family: Family::Foreign,
            strategy: unknown(),
            affinity: unknown(),
            placement: Placement::Unknown,
        }
    }

    /// The program that it needs, and whether that is installed.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn version(&self) -> Result<Option<String>> {
        let line = match self.family {
            Family::Homing | Family::Foreign => return Ok(None),
            Family::Nginx => first_line(&find("nginx", "nginx")?, "-v"),
            Family::Haproxy => first_line(&find("haproxy", "haproxy")?, "-v"),
        };
        let is_version =
            |word: &&str| word.trim_start_matches("nginx/").starts_with(|c: char| c.is_ascii_digit());
        let version = line
            .and_then(|line| Some(line.split(' ').find(is_version)?.trim_start_matches("nginx/").to_owned()));
        Ok(version)
    }
}

impl Family {
    /// As written in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Homing => "homing",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Foreign => "url",
        }
    }

    /// Whether it looks after its backends without being asked.
    pub(super) const fn checks(self) -> bool {
        matches!(self, Self::Homing | Self::Haproxy | Self::Foreign)
    }
}

impl Balancer {
    /// Starts it, and as many beside it as are asked for.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub(super) async fn start(
        routing: &Routing,
        members: Vec<Member>,
        replicas: usize,
        client_address: ClientAddress,
        idle: Duration,
    ) -> Result<Self> {
        let folder = Folder::new()?;
        let mut balancer =
            Self { routing: routing.clone(), members, nodes: Vec::new(), folder, client_address, idle };
        if routing.family == Family::Foreign {
            return Ok(balancer);
        }
        for number in 0..replicas.max(1) {
            // An address of its own: what is on its way elsewhere takes no port of it.
            let last = u8::try_from(number + 1).unwrap_or(1);
            let node = Node {
                address: free(Ipv4Addr::new(127, 78, 0, last))?,
                admin: free(Ipv4Addr::new(127, 78, 1, last))?,
                program: None,
            };
            balancer.nodes.push(node);
            balancer.launch(number).await?;
        }
        Ok(balancer)
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// The processes whose time is the balancer's.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| Some(node.program.as_ref()?.id())).collect()
    }

    /// Whether all that were started still run.
    ///
    /// # Errors
    /// One has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        self.nodes.iter_mut().filter_map(|node| node.program.as_mut()).try_for_each(Program::check)
    }

    /// Writes a node's configuration; where it is.
    fn configure(&self, number: usize) -> Result<std::path::PathBuf> {
        let node = self.nodes.get(number).context("a balancer of that number")?;
        let folder = self.folder.path();
        let name = format!("{number}.conf");
        let text = match self.routing.family {
            Family::Homing => homing::configuration(self, node),
            Family::Nginx => nginx::configuration(self, node, folder, number),
            Family::Haproxy => haproxy::configuration(self, node, folder, number),
            Family::Foreign => String::new(),
        };
        self.folder.write(&name, &text)
    }

    async fn launch(&mut self, number: usize) -> Result<()> {
        if self.routing.family == Family::Homing {
            self.folder.write("cookie.key", &format!("{}\n", "5a".repeat(32)))?;
        }
        let file = self.configure(number)?;
        let command = match self.routing.family {
            Family::Homing => homing::command(&file)?,
            Family::Nginx => nginx::command(self.folder.path(), &file)?,
            Family::Haproxy => haproxy::command(&file)?,
            Family::Foreign => bail!("a foreign balancer is not ours to start"),
        };
        let family = self.routing.family.name();
        let mut program = Program::start(family, command)?;
        let address = self.nodes.get(number).context("a balancer of that number")?.address;
        let end = std::time::Instant::now() + START;
        // It listens, and it is this one that does: another would not have let it bind.
        while tokio::net::TcpStream::connect(address).await.is_err() {
            program.check()?;
            if std::time::Instant::now() > end {
                bail!("{family} does not listen after {START:?}; it said: {}", program.last_words());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Some(node) = self.nodes.get_mut(number) {
            node.program = Some(program);
        }
        Ok(())
    }

    /// Writes every node's configuration anew, and has it read.
    ///
    /// # Errors
    /// It cannot be written, or is refused.
    pub(super) async fn reload(&self) -> Result<()> {
        if self.routing.family == Family::Foreign {
            bail!("a foreign balancer's list is not ours: use exec");
        }
        for number in 0..self.nodes.len() {
            self.configure(number)?;
            let Some(node) = self.nodes.get(number) else { continue };
            let Some(program) = &node.program else { continue };
            match self.routing.family {
                Family::Homing => homing::reload(node.admin).await?,
                Family::Nginx => program.signal(Signal::HUP),
                Family::Haproxy => program.signal(Signal::USR2),
                Family::Foreign => {}
            }
        }
        Ok(())
    }

    /// Kills it and starts it again, where it was.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn restart(&mut self) -> Result<()> {
        if self.nodes.is_empty() {
            bail!("a foreign balancer is not ours to restart: use exec");
        }
        for number in 0..self.nodes.len() {
            self.lose(number);
            self.launch(number).await?;
        }
        Ok(())
    }

    /// Kills one.
    pub(super) fn lose(&mut self, number: usize) {
        if let Some(mut program) = self.nodes.get_mut(number).and_then(|node| node.program.take()) {
            program.kill();
        }
    }

    /// Has a backend drained, made ready, or given a weight.
    ///
    /// # Errors
    /// It is refused.
    pub(super) async fn wish(&mut self, backend: &str, wish: Wish) -> Result<()> {
        match self.routing.family {
            Family::Homing => {
                for node in &self.nodes {
                    homing::wish(node.admin, backend, wish).await?;
                }
                Ok(())
            }
            Family::Haproxy => {
                for number in 0..self.nodes.len() {
                    haproxy::wish(self.folder.path(), number, backend, wish).await?;
                }
                Ok(())
            }
            Family::Nginx => {
                let member = self.members.iter_mut().find(|member| member.name == backend);
                let member = member.with_context(|| format!("{backend}: no such backend"))?;
                match wish {
                    Wish::Drain(_) => member.is_down = true,
                    Wish::Ready => member.is_down = false,
                    Wish::Weight(weight) => (member.weight, member.is_down) = (weight.max(1), weight == 0),
                }
                self.reload().await
            }
            Family::Foreign => bail!("a foreign balancer is told by exec"),
        }
    }

    /// Whether a backend can be stopped without anybody losing anything, if it can be asked that.
    pub(super) async fn is_safe(&self, backend: &str) -> Option<bool> {
        if self.routing.family != Family::Homing {
            return None;
        }
        let mut is_safe = true;
        for node in &self.nodes {
            is_safe &= homing::is_safe(node.admin, backend).await?;
        }
        Some(is_safe)
    }

    /// Whether it, too, finds this backend up, if it can be asked that.
    pub(super) async fn finds_up(&self, backend: &str) -> Option<bool> {
        if self.routing.family != Family::Homing {
            return None;
        }
        homing::finds_up(self.nodes.first()?.admin, backend).await
    }
}

/// What is wanted of one backend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// Its sessions stay; until so long at most.
    Drain(Option<Duration>),
    Ready,
    Weight(u16),
}

/// A free port of an address.
pub(super) fn free(ip: Ipv4Addr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((ip, 0)).with_context(|| format!("find a free port of {ip}"))?;
    Ok(listener.local_addr()?)
}

fn program(path: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ways_to_route() {
        for (name, affinity, expected) in [
            ("cookie", None, Ok(("round_robin", "cookie", Placement::Sticky))),
            ("rr", None, Ok(("round_robin", "none", Placement::Spread))),
            ("rr", Some("learn"), Ok(("round_robin", "learn", Placement::Sticky))),
            ("hrw", None, Ok(("rendezvous", "none", Placement::Consistent))),
            ("maglev", Some("cookie"), Ok(("maglev", "cookie", Placement::Sticky))),
            ("best", None, Err("no such strategy")),
            ("rr", Some("glue"), Err("affinity is")),
        ] {
            let read = Routing::homing(name, affinity);
            match (&read, expected) {
                (Ok(r), Ok(expected)) => {
                    assert_eq!((r.strategy.as_str(), r.affinity.as_str(), r.placement), expected)
                }
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                _ => panic!("{name}: {read:?}"),
            }
        }
        assert!(Routing::peers("nginx").unwrap().len() > 2);
        assert_eq!(Routing::peers("haproxy:source").unwrap()[0].placement, Placement::Modulo);
        assert!(Routing::peers("haproxy:glue").unwrap_err().contains("there are"));
        assert!(Routing::peers("traefik").is_err());
    }
}
