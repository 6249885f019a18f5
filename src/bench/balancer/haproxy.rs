//! Debian's HAProxy, as a careful operator would set it up: it checks as often as homing does, notices a refused connection
//! at once, and sends a request that was refused elsewhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{Balancer, CHECK, FALL, Node, Placement, Wish, program};
use crate::bench::process::find;
use crate::bench::settings::ClientAddress;

/// Ways to route: name, affinity, and what is to be expected.
pub(super) const WAYS: &[(&str, &str, Placement)] = &[
    ("round_robin", "none", Placement::Spread),
    ("cookie", "cookie", Placement::Sticky),
    // Its default kind of hash is of the servers that are up, by their places.
    ("source", "source", Placement::Modulo),
    ("source_consistent", "source", Placement::Consistent),
];

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

pub(super) fn command(file: &Path) -> Result<Command> {
    let file = file.to_string_lossy();
    Ok(program(&find("haproxy", "haproxy")?, &["-W", "-db", "-f", &file]))
}

fn socket(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.sock"))
}

pub(super) fn configuration(balancer: &Balancer, node: &Node, folder: &Path, number: usize) -> String {
    let strategy = balancer.routing.strategy.as_str();
    let key = match balancer.client_address {
        ClientAddress::Header => "balance hdr(x-forwarded-for)",
        ClientAddress::Bind | ClientAddress::Same => "balance source",
    };
    let balance = match strategy {
        "source" => format!("{key}\n  hash-type map-based"),
        "source_consistent" => format!("{key}\n  hash-type consistent"),
        "cookie" => "balance roundrobin\n  cookie SRV insert indirect nocache".to_owned(),
        _ => "balance roundrobin".to_owned(),
    };
    let mut text = format!(
        "global\n  maxconn 8192\n  nbthread 1\n  hard-stop-after 2s\n  stats socket {} mode 600 level admin\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout server 5s\n  timeout connect 2s\n  timeout check 3s\n  retries 3\n\
         \x20 option redispatch 1\n  option http-keep-alive\nfrontend web\n  bind {}\n  default_backend app\nbackend app\n\
         \x20 {balance}\n  option httpchk GET /healthz\n\
         \x20 default-server check inter {} fall {FALL} rise 1 observe layer4 error-limit 1 on-error mark-down\n",
        socket(folder, number).display(),
        node.address,
        CHECK.as_millis()
    );
    for member in &balancer.members {
        let cookie = if strategy == "cookie" { format!(" cookie {}", member.name) } else { String::new() };
        let _ =
            writeln!(text, "  server {} {} weight {}{cookie}", member.name, member.address, member.weight);
    }
    text
}

/// By its runtime API.
pub(super) async fn wish(folder: &Path, number: usize, backend: &str, wish: Wish) -> Result<()> {
    let line = match wish {
        Wish::Drain(_) => format!("set server app/{backend} state drain\n"),
        Wish::Ready => format!("set server app/{backend} state ready\n"),
        Wish::Weight(weight) => format!("set server app/{backend} weight {weight}\n"),
    };
    let told = tokio::time::timeout(ANSWER, async {
        let mut stream = UnixStream::connect(socket(folder, number)).await?;
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    });
    let answer = told.await.context("haproxy does not answer")?.context("ask haproxy")?;
    if !answer.trim().is_empty() {
        bail!("haproxy: {}: {}", line.trim(), answer.trim());
    }
    Ok(())
}
