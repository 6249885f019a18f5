//! How long a session is accepted after all of its user's have been ended: a user logs in twice, ends everything by the one
//! session, and asks with the other, ten times a second. What only expires is watched while everything else happens;
//! what is ended at once is looked at when nothing else happens any more.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::task::JoinSet;

use super::jar::{Jar, Origin};
use super::load::Load;
use super::seen::Revocation;
use super::user::Told;
use super::wire::{self, Connection};

/// Between two questions whether a session is still accepted.
const PROBE: Duration = Duration::from_millis(100);

/// So many at once, each for so long at most. What cannot be tried is left out.
pub(super) async fn all(load: Rc<Load>, count: usize, limit: Duration) -> Vec<Revocation> {
    let mut tries = JoinSet::new();
    for number in 0..count {
        let load = Rc::clone(&load);
        tries.spawn_local(async move { one(&load, number, limit).await });
    }
    let mut told = Vec::new();
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(revocation)) => told.push(revocation),
            Ok(Err(error)) => tracing::debug!("revocation: {error:#}"),
            Err(error) => tracing::debug!("revocation: {error}"),
        }
    }
    told
}

async fn one(load: &Load, number: usize, limit: Duration) -> Result<Revocation> {
    let (mut first, mut second) = (Probe::new(load, number), Probe::new(load, number + 1000));
    let body = format!("{{\"user\":\"revoked{number}\",\"password\":\"demo\"}}");
    for probe in [&mut first, &mut second] {
        let (status, _) = probe.ask("POST", "/api/login", Some(&body)).await?;
        if status != 200 {
            bail!("log in: {status}");
        }
    }
    if second.ask("GET", "/api/me", None).await?.0 != 200 {
        bail!("the second session does not work");
    }
    let (status, _) = first.ask("POST", "/api/logout-everywhere", None).await?;
    if status >= 300 {
        bail!("log out everywhere: {status}");
    }
    let began = load.now();
    let (mut last, mut accepted) = (began, 0);
    loop {
        let sent = load.now();
        let is_over = sent - began > limit.as_micros() as u64 || load.is_over.get();
        // Nobody who answers has not refused.
        let refused = second.ask("GET", "/api/me", None).await.is_ok_and(|(status, _)| status == 401);
        if refused || is_over {
            let seconds = if refused { last - began } else { sent - began } as f64 / 1e6;
            return Ok(Revocation { seconds, accepted, is_capped: !refused });
        }
        (last, accepted) = (sent, accepted + 1);
        tokio::time::sleep(PROBE).await;
    }
}

/// A client without a plan of its own.
struct Probe<'a> {
    load: &'a Load,
    connection: Connection,
    jar: Jar,
}

impl<'a> Probe<'a> {
    fn new(load: &'a Load, number: usize) -> Self {
        let target = load.target.borrow();
        let to = target.addresses.first().copied().unwrap_or_else(|| ([127, 0, 0, 1], 9).into());
        let mut dice = super::dice::Dice::new(load.seed, 9, number as u64);
        let from = match load.workload.client_address {
            super::settings::ClientAddress::Bind => {
                load.address(&mut dice, u32::try_from(number).unwrap_or(0))
            }
            _ => None,
        };
        Self { load, connection: Connection::new(to, from), jar: Jar::default() }
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> Result<(u16, Told)> {
        let (host, is_https) = {
            let target = self.load.target.borrow();
            (target.host.clone(), target.is_https)
        };
        let now = std::time::Instant::now();
        let cookies = self.jar.line(path, now);
        let fields: Vec<(&str, &str)> = cookies.iter().map(|line| ("cookie", line.as_str())).collect();
        let request = wire::request(method, path, &host, &fields, body);
        let asked = self.connection.ask(&request, self.load.workload.timeout, true).await;
        let reply = asked.map_err(|fault| anyhow::anyhow!(fault.name())).context(path.to_owned())?;
        let name = host.split(':').next().unwrap_or_default();
        let origin = Origin {
            host: name,
            is_trustworthy: is_https || name.starts_with("127.") || name == "localhost",
        };
        for line in &reply.cookies {
            self.jar.put(line, origin, path, now);
        }
        Ok((reply.status, Told::read(&reply)))
    }
}
