//! What a row's rounds say: ratios, whether the bar is met, and what limited the throughput.

use std::fmt;

use crate::measure::Slice;
use crate::peers::Peer;
use crate::rows::{Choice, Figure, RESUME};
use crate::run::Outcome;
use crate::statistics::{Spread, median};

/// A proxy that used less of its processor than this was waiting for something.
const BUSY: f64 = 0.9;
/// From this share of theirs, load and backends were what was waited for.
const SATURATED: f64 = 0.9;

/// How a figure stands to a bar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    /// The median meets it, its interval reaches over it.
    MetWithinNoise,
    /// The median misses it, its interval reaches it.
    MissedWithinNoise,
    Missed,
}

/// What kept a proxy from answering more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Its own processor.
    Proxy,
    /// Load and backends, whose processor was full while its own was not.
    Load,
    /// Neither was full: others had the processors, or nobody asked for more.
    Neither,
    /// All shared the processors.
    Shared,
    /// The row asks for no more than was planned.
    Planned,
}

impl Outcome {
    /// The slices of a proxy, round by round.
    pub(crate) fn slices(&self, peer: Peer) -> impl Iterator<Item = &Slice> {
        let place = Peer::ALL.iter().position(|p| *p == peer).unwrap_or_default();
        self.rounds.iter().filter_map(move |round| round.slices.get(place))
    }

    /// The figures that the row compares.
    pub(crate) fn figures(&self, peer: Peer) -> Option<Spread> {
        Spread::of(self.slices(peer).map(|slice| slice.figure(self.row.figure)))
    }

    /// homing's figure to the peer's in the same round: what drifts hits both alike.
    pub(crate) fn ratios(&self, peer: Peer) -> Option<Spread> {
        let figure = self.row.figure;
        let pairs = self.slices(Peer::Homing).zip(self.slices(peer));
        Spread::of(pairs.map(|(ours, theirs)| ours.figure(figure) / theirs.figure(figure)))
    }

    /// How homing stands to its bar against a peer, or to the one of its own figure.
    pub(crate) fn verdict(&self, peer: Peer) -> Option<Verdict> {
        let (bar, spread) = match peer {
            Peer::Homing => (self.row.bar.own?, self.figures(peer)?),
            Peer::Nginx => (self.row.bar.nginx?, self.ratios(peer)?),
            Peer::Haproxy => (self.row.bar.haproxy?, self.ratios(peer)?),
        };
        // Few rounds prove nothing about a ratio; memory is the same each time.
        let few = if peer == Peer::Homing { (spread.lowest, spread.highest) } else { (0.0, f64::INFINITY) };
        Some(match Verdict::of(spread.median, spread.interval.unwrap_or(few), bar) {
            // A tail is mostly the scheduler's: that bar asks for no more than not to be seen behind.
            Verdict::MissedWithinNoise if self.row.figure == Figure::SlowestPercent => {
                Verdict::MetWithinNoise
            }
            verdict => verdict,
        })
    }

    /// What limited a proxy, in most rounds.
    pub(crate) fn limit(&self, peer: Peer) -> Limit {
        let of = |share: fn(&Slice) -> f64| median(self.slices(peer).map(share));
        match self.row.figure {
            Figure::SlowestPercent | Figure::GrowthPerConnection => Limit::Planned,
            Figure::CpuPerRequest | Figure::Memory if self.row.workers > 1 => Limit::Shared,
            Figure::CpuPerRequest | Figure::Memory if of(|slice| slice.busy) >= BUSY => Limit::Proxy,
            Figure::CpuPerRequest | Figure::Memory => {
                let load = of(|slice| slice.load_busy + slice.backend_busy);
                if load >= SATURATED { Limit::Load } else { Limit::Neither }
            }
        }
    }

    /// Whether a proxy's processor time per answer is that of one with time left.
    pub(crate) fn is_pessimistic(&self, peer: Peer) -> bool {
        self.row.figure == Figure::CpuPerRequest && matches!(self.limit(peer), Limit::Load | Limit::Neither)
    }

    /// Whether the throughput of the proxies may be compared: each gave all that it had.
    pub(crate) fn ranks(&self) -> bool {
        Peer::ALL.iter().all(|peer| self.limit(*peer) == Limit::Proxy)
    }

    /// Everything that makes the row's figures less than they look like.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for peer in Peer::ALL {
            let (name, sum) = (peer.name(), |of: fn(&Slice) -> u64| self.slices(peer).map(of).sum::<u64>());
            let (errors, done) = (sum(|slice| slice.errors), sum(|slice| slice.done));
            if errors > 0 {
                doubts.push(format!(
                    "{name}: {errors} errors beside {done} answers, so that nothing here counts"
                ));
            }
            let set = sum(|slice| slice.cookies_set);
            if self.row.choice == Choice::FirstVisit && set < done {
                doubts.push(format!("{name}: {} of {done} answers set no cookie", done - set));
            }
            let (handshakes, resumed) = (sum(|slice| slice.handshakes), sum(|slice| slice.resumed));
            let is_resuming = self.row.load.contains(&RESUME);
            if is_resuming && resumed < handshakes {
                doubts.push(format!("{name}: {} of {handshakes} handshakes were full", handshakes - resumed));
            }
            let presented = sum(|slice| slice.cookies_presented);
            let connections = sum(|slice| slice.connections);
            if self.row.choice == Choice::Cookie && presented < connections {
                let without = connections - presented;
                doubts
                    .push(format!("{name}: {without} of {connections} connections had no cookie to present"));
            }
        }
        for (limit, why) in [
            (Limit::Load, "load and backends were the limit, not the proxy"),
            (Limit::Neither, "neither the proxy's processor nor that of the load was full"),
        ] {
            let limited = Peer::ALL.iter().filter(|peer| self.limit(**peer) == limit);
            let names: Vec<&str> = limited.map(|peer| peer.name()).collect();
            if !names.is_empty() {
                doubts
                    .push(format!("{}: {why}; requests/s say nothing, and are not ranked", names.join(", ")));
            }
        }
        let others = median(Peer::ALL.iter().flat_map(|peer| self.slices(*peer)).map(|slice| slice.others));
        if others > 0.1 {
            doubts.push(format!("others took {:.0} % of a processor: figures are rough", others * 100.0));
        }
        doubts
    }
}

impl Verdict {
    fn of(median: f64, (low, high): (f64, f64), bar: f64) -> Self {
        match (median <= bar, low <= bar, high <= bar) {
            (true, _, true) => Self::Met,
            (true, _, false) => Self::MetWithinNoise,
            (false, true, _) => Self::MissedWithinNoise,
            (false, false, _) => Self::Missed,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::MetWithinNoise => "met, within noise",
            Self::MissedWithinNoise => "missed, within noise",
            Self::Missed => "missed",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proxy => "proxy",
            Self::Load => "load",
            Self::Neither => "neither",
            Self::Shared => "shared",
            Self::Planned => "plan",
        })
    }
}
