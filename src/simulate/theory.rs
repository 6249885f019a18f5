//! What a live session is expected to suffer in one event, in closed form or by going through every case.
//!
//! With n backends: a crash costs 1/n; crash and return 1/n with a cookie and 2/n where the hash brings sessions back; a
//! rolling restart ((n-1)/n)((n/(n-1))^n - 1) with a cookie, 2 with a consistent hash, and with a modulo whose list
//! changes 2(n-1) moves. What is said holds for the first event of a run; after that sessions lie as it left them.

use super::fleet::MOST;
use super::script::{Drained, Roll, What};
use super::users::Workload;
use super::{Affinity, Setup, Way};

/// Mean and variance over sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// What is expected per live session, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Expected {
    pub(super) lost: Option<Moments>,
    pub(super) stale: Option<Moments>,
    pub(super) moved: Option<Moments>,
}

/// How a way places sessions when the list changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placing {
    /// A cookie: nobody moves without need.
    Cookie,
    /// Only those move that must: rendezvous and the ring.
    Minimal,
    /// As that while backends only close; a few more when the list changes.
    Maglev,
    /// By remainder: nearly all move when the list changes.
    Modulo,
    /// By turns or loads, each request anew.
    Anew,
}

impl Moments {
    pub(super) const fn sure(mean: f64) -> Self {
        Self { mean, variance: 0.0 }
    }

    /// `x` with this probability, else nothing.
    fn chance(p: f64, x: f64) -> Self {
        Self { mean: p * x, variance: p * (1.0 - p) * x * x }
    }

    /// Of values with their probabilities.
    fn of(values: impl Iterator<Item = (f64, f64)>) -> Self {
        let (mean, squares) = values.fold((0.0, 0.0), |(m, s), (x, p)| (m + p * x, s + p * x * x));
        Self { mean, variance: (squares - mean * mean).max(0.0) }
    }
}

impl Expected {
    fn nothing() -> Self {
        let zero = Some(Moments::default());
        Self { lost: zero, stale: zero, moved: zero }
    }

    /// Lost, moved and never stale.
    fn plain(lost: Moments, moved: Moments) -> Self {
        Self { lost: Some(lost), stale: Some(Moments::default()), moved: Some(moved) }
    }

    fn both(moments: Moments) -> Self {
        Self::plain(moments, moments)
    }
}

impl Placing {
    fn of(way: &Way) -> Self {
        match (way.affinity, way.name) {
            (Affinity::Cookie, _) => Self::Cookie,
            (Affinity::None, "rendezvous" | "consistent") => Self::Minimal,
            (Affinity::None, "maglev") => Self::Maglev,
            (Affinity::None, "hash" | "ip_hash") => Self::Modulo,
            (Affinity::None, _) => Self::Anew,
        }
    }
}

/// What the first event of a run is expected to do with sessions in memory.
pub(super) fn expected(what: &What, way: &Way, setup: &Setup) -> Option<Expected> {
    let (n, placing) = (setup.backends, Placing::of(way));
    if n < 2 || placing == Placing::Anew || setup.workload.think.is_some() {
        return None;
    }
    let of_n = |count: usize| count as f64 / n as f64;
    match what {
        What::Crash(who, None) if who.len() < n => {
            Some(Expected::both(Moments::chance(of_n(who.len()), 1.0)))
        }
        What::Crash(who, Some(_)) if who.len() < n => {
            let times = if placing == Placing::Cookie { 1.0 } else { 2.0 };
            Some(Expected::both(Moments::chance(of_n(who.len()), times)))
        }
        What::Roll(roll) if roll.batch == 1 && roll.surge == 0 => rolled(roll, placing, setup),
        What::Remove(who) if who.len() == 1 => match placing {
            Placing::Cookie | Placing::Minimal => Some(Expected::both(Moments::chance(of_n(1), 1.0))),
            Placing::Modulo => Some(Expected::both(Moments::chance(1.0 - of_n(1), 1.0))),
            Placing::Maglev | Placing::Anew => None,
        },
        What::Add(count) => match placing {
            Placing::Cookie => Some(Expected::nothing()),
            Placing::Minimal => {
                Some(Expected::both(Moments::chance(*count as f64 / (n + count) as f64, 1.0)))
            }
            Placing::Modulo => Some(Expected::both(Moments::chance(1.0 - unchanged(n, n + count), 1.0))),
            Placing::Maglev | Placing::Anew => None,
        },
        What::Reorder => match placing {
            Placing::Modulo => {
                Some(Expected::both(Moments::chance(1.0 - if n % 2 == 1 { of_n(1) } else { 0.0 }, 1.0)))
            }
            _ => Some(Expected::nothing()),
        },
        What::LbReload | What::LbRestart { secret: true } => Some(Expected::nothing()),
        What::Drain(who, Some(after)) if placing == Placing::Cookie && who.len() == 1 => {
            let left = residue(&setup.workload, *after) * of_n(1);
            Some(Expected::both(Moments::chance(left, 1.0)))
        }
        What::Drain(who, None) if placing == Placing::Cookie && who.len() < n => Some(Expected::nothing()),
        What::Drain(who, _) if who.len() == 1 && placing != Placing::Cookie => {
            Some(Expected::both(Moments::chance(of_n(1), 1.0)))
        }
        What::IpChange(share, far) if setup.replay.is_none() => {
            let other = 1.0 - of_n(1);
            match placing {
                Placing::Cookie => Some(Expected::nothing()),
                _ if way.name == "ip_hash" => Some(Expected::both(Moments::chance(share * far * other, 1.0))),
                _ if setup.key == super::Key::ClientIp => {
                    Some(Expected::both(Moments::chance(share * other, 1.0)))
                }
                _ => Some(Expected::nothing()),
            }
        }
        _ => None,
    }
}

fn rolled(roll: &Roll, placing: Placing, setup: &Setup) -> Option<Expected> {
    let n = setup.backends;
    match (placing, roll.drain) {
        (Placing::Cookie, None) => Some(Expected::both(cookie_roll(n))),
        (Placing::Cookie, Some(Drained::Wait)) => Some(Expected::nothing()),
        (Placing::Cookie, Some(Drained::For(_))) | (Placing::Anew, _) => None,
        // A drain moves them at once, to a backend that has no reason to give them up before it is its turn.
        (Placing::Minimal, None) => Some(Expected::both(Moments::sure(2.0))),
        (Placing::Maglev | Placing::Modulo, None) if !roll.by_list => {
            Some(Expected::both(Moments::sure(2.0)))
        }
        (Placing::Modulo, None) => Some(modulo_roll(n, setup.adopts_ids)),
        (Placing::Minimal | Placing::Maglev | Placing::Modulo, _) => None,
    }
}

/// Of a remainder that a change from `a` to `b` leaves as it is.
pub(super) fn unchanged(a: usize, b: usize) -> f64 {
    let gcd = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    a.min(b) as f64 * gcd(a, b) as f64 / (a as f64 * b as f64)
}

/// ((n-1)/n)((n/(n-1))^n - 1)
pub(super) fn cookie_roll_mean(n: usize) -> f64 {
    let n = n as f64;
    (n - 1.0) / n * ((n / (n - 1.0)).powf(n) - 1.0)
}

/// How often a session with a cookie is lost when one backend after the other restarts, each time placed evenly among the
/// others. By going through the distribution of where it is and how often it was lost.
pub(super) fn cookie_roll(n: usize) -> Moments {
    // at[backend][times lost]
    let mut at = vec![vec![0.0; n + 1]; n];
    at.iter_mut().for_each(|at| at[0] = 1.0 / n as f64);
    for gone in 0..n {
        let leaving = std::mem::replace(&mut at[gone], vec![0.0; n + 1]);
        for (_, at) in at.iter_mut().enumerate().filter(|(other, _)| *other != gone) {
            for (lost, p) in leaving.iter().enumerate().take(n) {
                at[lost + 1] += p / (n - 1) as f64;
            }
        }
    }
    Moments::of((0..=n).map(|lost| (lost as f64, at.iter().map(|at| at[lost]).sum())))
}

/// Where the shares of live sessions end after such a roll.
pub(super) fn cookie_roll_shares(n: usize) -> Vec<f64> {
    let mut at = vec![1.0 / n as f64; n];
    for gone in 0..n {
        let leaving = std::mem::take(&mut at[gone]);
        let others = at.iter_mut().enumerate().filter(|(other, _)| *other != gone);
        others.for_each(|(_, at)| *at += leaving / (n - 1) as f64);
    }
    at
}

/// A remainder by n, and by n - 1 while one of them is gone from the list: all n(n-1) pairs are equally likely.
pub(super) fn modulo_roll(n: usize, adopts_ids: bool) -> Expected {
    let (mut lost, mut stale, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    let p = 1.0 / (n * (n - 1)) as f64;
    for home in 0..n.min(MOST) {
        for place in 0..n - 1 {
            let (mut owner, mut held, mut counts) = (home, 1_u64 << home, (0.0, 0.0, 0.0));
            for gone in 0..n {
                let guest = if place < gone { place } else { place + 1 };
                held &= !(1 << gone);
                for to in [guest, home] {
                    let (is_known, is_moved) = (held >> to & 1 == 1, to != owner);
                    counts.0 += f64::from(u8::from(!is_known));
                    counts.1 += f64::from(u8::from(is_known && is_moved));
                    counts.2 += f64::from(u8::from(is_moved));
                    held = if adopts_ids || is_known && !is_moved { held | 1 << to } else { 1 << to };
                    owner = to;
                }
            }
            lost.push((counts.0, p));
            stale.push((counts.1, p));
            moved.push((counts.2, p));
        }
    }
    let of = |values: Vec<(f64, f64)>| Some(Moments::of(values.into_iter()));
    Expected { lost: of(lost), stale: of(stale), moved: of(moved) }
}

/// The share of the sessions that are live at one time which are still live `after` seconds.
pub(super) fn residue(w: &Workload, after: f64) -> f64 {
    let (t, cap) = (w.stay, w.longest());
    if after >= cap {
        return 0.0;
    }
    (-after / t).exp() * (1.0 - (-(cap - after) / t).exp()) / (1.0 - (-cap / t).exp())
}

/// How uneven a ring of `points` for each backend is: the shares' coefficient of variation.
pub(super) fn ring_cv(n: usize, points: usize) -> f64 {
    (n.saturating_sub(1) as f64 / (n as f64 * points as f64 + 1.0)).sqrt()
}

/// How uneven keys in so many equal groups lie.
pub(super) fn group_cv(n: usize, n_eff: f64) -> f64 {
    (n.saturating_sub(1) as f64 / n_eff.max(1.0)).sqrt()
}
