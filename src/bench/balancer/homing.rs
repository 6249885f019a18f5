//! homing itself, as a process, and its API.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Balancer, CHECK, FALL, Node, Wish};
use crate::base::units::Span;
use crate::bench::process::this;
use crate::bench::settings::ClientAddress;
use crate::bench::wire;

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

pub(super) fn command(file: &Path) -> Result<Command> {
    let mut command = this()?;
    command.arg("run").arg("-c").arg(file);
    if let Some(folder) = file.parent() {
        command.current_dir(folder);
    }
    Ok(command)
}

pub(super) fn configuration(balancer: &Balancer, node: &Node) -> String {
    let routing = &balancer.routing;
    let strategy = match routing.strategy.as_str() {
        "hash_consistent" => "{ kind = \"hash\", key = \"client_ip\", consistent = true }".to_owned(),
        "hash" => "{ kind = \"hash\", key = \"client_ip\" }".to_owned(),
        other => format!("{other:?}"),
    };
    let trusted = match balancer.client_address {
        ClientAddress::Header => "trusted_proxies = [\"127.0.0.0/8\"]\n",
        ClientAddress::Bind | ClientAddress::Same => "",
    };
    let mut text = format!(
        "[admin]\nlisten = \"{}\"\n\n[access_log]\nformat = \"off\"\n\n[shutdown]\nnotice = \"1ms\"\ndrain = \"100ms\"\n\n\
         [[listener]]\nname = \"web\"\naffinity_header = true\nlisten = \"{}\"\n{trusted}\n[[pool]]\nname = \"app\"\nstrategy = {strategy}\n\
         fail_timeout = \"3s\"\nbackends = [\n",
        node.admin, node.address
    );
    for member in &balancer.members {
        let _ = writeln!(
            text,
            "  {{ name = \"{}\", address = \"{}\", weight = {} }},",
            member.name, member.address, member.weight
        );
    }
    text.push_str("]\n");
    let idle = Span(balancer.idle.max(Duration::from_secs(1)));
    match routing.affinity.as_str() {
        "cookie" => {
            let _ = write!(
                text,
                "\n[pool.affinity]\nmode = \"cookie\"\nname = \"srv\"\nidle = \"{idle}\"\nsecret = {{ file = \"cookie.key\" }}\n"
            );
        }
        "learn" => {
            let _ = write!(
                text,
                "\n[pool.affinity]\nmode = \"learn\"\nidle = \"{idle}\"\n\
                 create = [\"cookie:session\", \"cookie:__Host-session\", \"cookie:token\", \"cookie:__Host-token\"]\n"
            );
        }
        _ => {}
    }
    let _ = write!(
        text,
        "\n[pool.health]\npath = \"/healthz\"\ninterval = \"{}\"\ntimeout = \"1s\"\nrise = 1\nfall = {FALL}\njitter = 0\n\n\
         [pool.timeouts]\nfirst_byte = \"5s\"\n",
        Span(CHECK)
    );
    text
}

async fn ask(admin: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
    let body = body.map(Value::to_string);
    let fields = [("x-homing", "1"), ("connection", "close")];
    let request =
        wire::request(method, &format!("/api/v1{path}"), &admin.to_string(), &fields, body.as_deref());
    match wire::once(admin, &request, ANSWER).await {
        Ok(reply) => Ok((reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())),
        Err(fault) => bail!("ask homing at {admin}: {}", fault.name()),
    }
}

pub(super) async fn reload(admin: SocketAddr) -> Result<()> {
    let (status, answer) = ask(admin, "POST", "/reload", Some(&json!({}))).await?;
    if status >= 300 {
        bail!("homing refused to reload: {answer}");
    }
    Ok(())
}

pub(super) async fn wish(admin: SocketAddr, backend: &str, wish: Wish) -> Result<()> {
    let path = |what: &str| format!("/pools/app/backends/{backend}/{what}");
    let (path, body) = match wish {
        Wish::Drain(None) => (path("state"), json!({ "state": "drain" })),
        Wish::Drain(Some(time)) => (
            path("state"),
            json!({ "state": "drain", "mode": "deadline", "deadline": Span(time).to_string() }),
        ),
        Wish::Ready => (path("state"), json!({ "state": "ready" })),
        Wish::Weight(weight) => (path("weight"), json!({ "weight": weight })),
    };
    let (status, answer) = ask(admin, "POST", &path, Some(&body)).await?;
    if status >= 300 {
        bail!("homing refused: {answer}");
    }
    Ok(())
}

pub(super) async fn is_safe(admin: SocketAddr, backend: &str) -> Option<bool> {
    let path = format!("/pools/app/backends/{backend}/safe-to-stop");
    let (status, _) = ask(admin, "GET", &path, None).await.ok()?;
    Some(status == 200)
}

pub(super) async fn finds_up(admin: SocketAddr, backend: &str) -> Option<bool> {
    let (_, answer) = ask(admin, "GET", &format!("/pools/app/backends/{backend}"), None).await.ok()?;
    Some(answer.get("health").and_then(Value::as_str) == Some("up"))
}
