//! Does what the script says, to the real processes, and writes down when what was done to whom.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::application::{Application, Terms};
use super::balancer::{Balancer, Family, Member, NOTICED, Wish};
use super::load::{Load, Nudge};
use super::process::shell;
use super::script::{Event, Roll, What};
use super::seen::{Done, Micros, Standing};
use super::store::Store;

/// How often a sweep is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a sweep may last.
const SWEEP: Duration = Duration::from_secs(30);
/// By when nobody is asked any more who has been taken out of the list: old processes of a balancer end within a second.
const LISTED: Duration = Duration::from_millis(1200);
/// By when nginx asks again whom it failed to reach: its `fail_timeout` is a second.
const FORGIVEN: Duration = Duration::from_millis(1500);
/// How long a hook may run.
const HOOK: Duration = Duration::from_secs(300);

/// All that a script can reach.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) application: Application,
    pub(super) balancer: Balancer,
    pub(super) store: Option<Store>,
    pub(super) load: Rc<Load>,
    pub(super) terms: Terms,
    /// What users may think for at most: the least length of a sweep's limit.
    pub(super) longest_pause: Duration,
}

impl Stage {
    /// Does all of it, each at its time or as soon as what comes before is done. `tell` is told each label.
    ///
    /// # Errors
    /// Something cannot be done.
    pub(super) async fn play(&mut self, zero: Micros, events: &[Event], tell: &dyn Fn(&str)) -> Result<()> {
        for event in events {
            let due = zero + event.at.as_micros() as Micros;
            self.load.wait_until(due).await;
            tell(&event.label);
            let began = self.load.now();
            let target = event.what.target().and_then(|name| self.application.number(name).ok());
            let coverage = self.carry_out(&event.what).await.with_context(|| event.label.clone())?;
            self.load.seen.borrow_mut().world.done.push(Done {
                kind: event.what.name().to_owned(),
                target: target.and_then(|n| u16::try_from(n).ok()),
                label: event.label.clone(),
                began,
                ended: self.load.now(),
                coverage,
            });
        }
        tell("");
        Ok(())
    }

    async fn carry_out(&mut self, what: &What) -> Result<Option<f64>> {
        match what {
            What::Crash(name) => self.crash(self.application.number(name)?),
            What::Restart(name) => self.launch(self.application.number(name)?).await?,
            What::Freeze(name) => self.pause(name, Signal::STOP, Standing::Dead)?,
            What::Thaw(name) => self.pause(name, Signal::CONT, Standing::Up)?,
            What::Roll(roll) => return self.roll(roll).await.map(Some),
            What::Drain(name, deadline) => self.drain(name, *deadline).await?,
            What::Ready(name) => {
                self.set(self.application.number(name)?, Standing::Up);
                self.balancer.wish(name, Wish::Ready).await?;
            }
            What::Weight(name, weight) => {
                let number = self.application.number(name)?;
                self.set(number, if *weight == 0 { Standing::Draining } else { Standing::Up });
                self.balancer.wish(name, Wish::Weight(*weight)).await?;
            }
            What::Add => self.add().await?,
            What::Remove(name) => {
                self.set(self.application.number(name)?, Standing::Absent);
                self.balancer.members.retain(|member| member.name != *name);
                self.balancer.reload().await?;
            }
            What::Reorder => {
                self.balancer.members.reverse();
                self.balancer.reload().await?;
            }
            What::Reload => self.balancer.reload().await?,
            What::RestartBalancer => self.balancer.restart().await?,
            What::LoseBalancer => {
                if self.balancer.addresses().len() < 2 {
                    bail!("there is but one balancer: --replicas 2");
                }
                self.balancer.lose(0);
            }
            What::RestartStore => {
                self.store.as_mut().context("these sessions need no store")?.restart().await?
            }
            What::Slow(name, delay) => {
                let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                self.fault(name, &json!({ "delay_ms": delay })).await?;
            }
            What::Err(name, share) => self.fault(name, &json!({ "errors": share })).await?,
            What::Flap(name, period, times) => self.flap(name, *period, *times).await?,
            What::Move(share, far) => self.nudge(Nudge::Move { share: *share, far: *far }),
            What::Revoke(share) => self.nudge(Nudge::Revoke(*share)),
            What::LoseCookies(share) => self.nudge(Nudge::LoseCookies(*share)),
            What::Exec(command) => hook(command).await?,
        }
        Ok(None)
    }

    fn nudge(&self, nudge: Nudge) {
        self.load.nudges.borrow_mut().push(nudge);
    }

    async fn fault(&self, name: &str, what: &Value) -> Result<()> {
        let number = self.application.number(name)?;
        self.application.backends.get(number).context("a backend of that number")?.fault(what).await
    }

    async fn flap(&mut self, name: &str, period: Duration, times: u32) -> Result<()> {
        let number = self.application.number(name)?;
        for _ in 0..times {
            self.crash(number);
            tokio::time::sleep(period / 2).await;
            self.launch(number).await?;
            tokio::time::sleep(period / 2).await;
        }
        Ok(())
    }

    fn set(&self, number: usize, standing: Standing) {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let now = self.load.now();
        self.load.seen.borrow_mut().world.set(now, number, standing);
    }

    fn crash(&mut self, number: usize) {
        self.set(number, Standing::Dead);
        if let Some(backend) = self.application.backends.get_mut(number) {
            backend.crash();
        }
    }

    async fn launch(&mut self, number: usize) -> Result<()> {
        let backend = self.application.backends.get_mut(number).context("a backend of that number")?;
        backend.launch().await?;
        self.set(number, Standing::Up);
        Ok(())
    }

    fn pause(&self, name: &str, signal: Signal, standing: Standing) -> Result<()> {
        let number = self.application.number(name)?;
        self.set(number, standing);
        self.application.backends.get(number).context("a backend of that number")?.signal(signal);
        Ok(())
    }

    async fn drain(&mut self, name: &str, deadline: Option<Duration>) -> Result<()> {
        let number = self.application.number(name)?;
        let is_out_at_once = self.balancer.routing.family == Family::Nginx;
        self.set(number, if is_out_at_once { Standing::Past } else { Standing::Draining });
        self.balancer.wish(name, Wish::Drain(deadline)).await?;
        if let Some(deadline) = deadline {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let past = self.load.now() + deadline.as_micros() as Micros;
            self.load.seen.borrow_mut().world.set(past, number, Standing::Past);
        }
        Ok(())
    }

    async fn add(&mut self) -> Result<()> {
        let terms = self.terms.clone();
        let member = self.application.add(None, &terms).await?;
        self.load.target.borrow_mut().backends.push(member.name.clone());
        self.balancer.members.push(member);
        self.balancer.reload().await
    }

    /// Restarts each in turn. Of the phases, how many sessions were answered in each, at worst.
    async fn roll(&mut self, roll: &Roll) -> Result<f64> {
        let mut covered = 1.0_f64;
        for name in self.balancer_order() {
            let number = self.application.number(&name)?;
            if let Some(command) = &roll.before {
                hook(&format!("{command} {name}")).await?;
            }
            if let Some(limit) = roll.drain {
                self.drain(&name, None).await?;
                self.until_safe(&name, limit).await;
            }
            let listed = if roll.by_list { self.delist(&name).await? } else { None };
            self.set(number, if listed.is_some() { Standing::Absent } else { Standing::Dead });
            if let Some(backend) = self.application.backends.get_mut(number) {
                backend.stop().await;
            }
            covered = covered.min(self.phase(roll, self.notices(), roll.downtime).await);
            self.launch(number).await?;
            if let Some((place, member)) = listed {
                self.balancer.members.insert(place, member);
                self.balancer.reload().await?;
            }
            if roll.drain.is_some() {
                self.until_up(&name).await;
                self.set(number, Standing::Up);
                self.balancer.wish(&name, Wish::Ready).await?;
            }
            if let Some(command) = &roll.after {
                hook(&format!("{command} {name}")).await?;
            }
            covered = covered.min(self.phase(roll, self.finds_again(), roll.pause).await);
        }
        Ok(covered)
    }

    /// Takes a backend out of the list and waits until nobody asks it any more; its place, if it was in the list.
    async fn delist(&mut self, name: &str) -> Result<Option<(usize, Member)>> {
        let number = self.application.number(name)?;
        let Some(place) = self.balancer.members.iter().position(|member| member.name == name) else {
            return Ok(None);
        };
        self.set(number, Standing::Absent);
        let member = self.balancer.members.remove(place);
        self.balancer.reload().await?;
        tokio::time::sleep(LISTED).await;
        Ok(Some((place, member)))
    }

    fn balancer_order(&self) -> Vec<String> {
        let backends = self.application.names();
        let listed: Vec<String> = self.balancer.members.iter().map(|member| member.name.clone()).collect();
        if listed.is_empty() { backends } else { listed }
    }

    /// By when the balancer knows that a backend is gone.
    fn notices(&self) -> Duration {
        if self.balancer.routing.family.checks() { NOTICED } else { Duration::from_millis(100) }
    }

    /// And by when it knows that one is back. Who does not check leaves out whom it failed to reach, for a second: sessions
    /// that are looked at before are still where they went, and would seem to move once more than they do.
    fn finds_again(&self) -> Duration {
        if self.balancer.routing.family.checks() { NOTICED } else { FORGIVEN }
    }

    /// Lets a phase last: so long, and until every live session has been answered once since the balancer knows. The share
    /// that has.
    async fn phase(&self, roll: &Roll, notices: Duration, at_least: Duration) -> f64 {
        tokio::time::sleep(notices).await;
        let since = self.load.now();
        tokio::time::sleep(at_least.saturating_sub(notices)).await;
        if !roll.sweep {
            return self.load.swept(since);
        }
        let limit = SWEEP.min(self.longest_pause * 2 + Duration::from_secs(2)).as_micros() as Micros;
        loop {
            let swept = self.load.swept(since);
            if swept >= 1.0 || self.load.now() > since + limit {
                return swept;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until it can be stopped without anybody losing anything; who cannot be asked is asked of the sessions.
    async fn until_safe(&self, name: &str, limit: Duration) {
        let end = self.load.now() + limit.as_micros() as Micros;
        let number = self.application.number(name).ok().and_then(|n| u16::try_from(n).ok());
        while self.load.now() < end {
            let is_safe = match self.balancer.is_safe(name).await {
                Some(is_safe) => is_safe,
                None => !self.load.live.borrow().values().any(|live| Some(live.backend) == number),
            };
            if is_safe {
                return;
            }
            tokio::time::sleep(LOOK * 5).await;
        }
        if let Some(number) = number {
            self.set(usize::from(number), Standing::Past);
        }
    }

    async fn until_up(&self, name: &str) {
        let end = self.load.now() + 10_000_000;
        loop {
            match self.balancer.finds_up(name).await {
                Some(true) | None => return,
                Some(false) if self.load.now() > end => return,
                Some(false) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// Runs a command of the user's.
async fn hook(line: &str) -> Result<()> {
    let mut program = super::process::Program::start(line, shell(line))?;
    let end = std::time::Instant::now() + HOOK;
    loop {
        if let Some(status) = program.ended()? {
            if !status.success() {
                bail!("{line}: {status}; it said: {}", program.last_words());
            }
            return Ok(());
        }
        if std::time::Instant::now() > end {
            bail!("{line}: has not ended after {HOOK:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
}
