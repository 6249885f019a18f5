//! Goes through a script before anything is started: what cannot be done is told at once, with its place, and not when its
//! time has come.

use std::collections::BTreeSet;

use super::application::name_of;
use super::balancer::Family;
use super::script::{Event, Roll, What};
use super::settings::Settings;
use super::store;

/// How things stand at one time of a script.
struct Stand<'a> {
    settings: &'a Settings,
    names: Vec<String>,
    away: BTreeSet<String>,
    balancers: usize,
}

impl Settings {
    /// Gives every backend of the script the name that it has here (`b2` is the second one, whatever the names), and sees
    /// whether everything can be done.
    ///
    /// # Errors
    /// What cannot be done, and where it stands.
    pub fn rehearse(&mut self) -> Result<(), String> {
        let mut events = std::mem::take(&mut self.events);
        let count = self.url.as_ref().map_or(self.backends, |foreign| foreign.backends.len());
        let names = (0..count).map(name_of).collect();
        let mut stand = Stand { settings: self, names, away: BTreeSet::new(), balancers: self.replicas };
        for event in &mut events {
            stand.pass(event).map_err(|what| format!("{}: {what}", event.place))?;
        }
        self.events = events;
        Ok(())
    }
}

impl Stand<'_> {
    fn pass(&mut self, event: &mut Event) -> Result<(), String> {
        if let Some(target) = event.what.target_mut() {
            let name = self.named(target)?;
            if name != *target {
                event.label = event.label.replace(target.as_str(), &name);
                *target = name;
            }
        }
        self.is_told(&event.what)?;
        match &event.what {
            What::Crash(name) => drop(self.away.insert(name.clone())),
            What::Restart(name) if !self.away.remove(name) => {
                return Err(format!("{name} runs at that time: only who has crashed can return"));
            }
            What::Roll(_) => self.away.clear(),
            What::Add => self.names.push(name_of(self.names.len())),
            What::LoseBalancer if self.balancers < 2 => {
                return Err("no other balancer is left: --replicas 2".to_owned());
            }
            What::LoseBalancer => self.balancers -= 1,
            What::RestartBalancer => self.balancers = self.settings.replicas,
            What::RestartStore => {
                let kept = self.settings.sessions.iter().find(|kind| store::Kind::of(kind).is_none());
                if let Some(kind) = kept {
                    return Err(format!("sessions in {kind} have no store: --session redis,memcached"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn named(&self, wanted: &str) -> Result<String, String> {
        let by_place = || self.names.get(wanted.strip_prefix('b')?.parse::<usize>().ok()?.checked_sub(1)?);
        let found = self.names.iter().find(|name| *name == wanted).or_else(by_place);
        let known = || format!("no backend {wanted:?}: there are {}", self.names.join(", "));
        found.cloned().ok_or_else(known)
    }

    /// A balancer that we did not start can be told nothing.
    fn is_told(&self, what: &What) -> Result<(), String> {
        let is_ours = self.settings.routings.iter().all(|routing| routing.family != Family::Foreign);
        let asks = match what {
            What::Roll(Roll { drain, by_list, .. }) => drain.is_some() || *by_list,
            What::Drain(..) | What::Ready(_) | What::Weight(..) | What::Add | What::Remove(_) => true,
            What::Reorder | What::Reload | What::RestartBalancer | What::LoseBalancer => true,
            _ => false,
        };
        if asks && !is_ours {
            return Err(
                "the balancer at --url is not ours: tell it by exec, or by a roll's before= and after="
                    .to_owned(),
            );
        }
        Ok(())
    }
}
