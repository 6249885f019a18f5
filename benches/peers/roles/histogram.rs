//! Durations, kept by their size: 64 steps in each power of two, so that a step is at most 1.6 % wide.

use std::time::Duration;

const STEPS: usize = 64;
/// Up to the bits of a `u64` of nanoseconds.
const POWERS: usize = 60;

pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    largest: Duration,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; STEPS * POWERS], total: 0, largest: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(step(nanos)) {
            *count += 1;
            self.total += 1;
        }
        self.largest = self.largest.max(duration);
    }

    /// The duration that this share did not exceed, in microseconds.
    pub(crate) fn micros(&self, share: f64) -> f64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return lowest(step) as f64 / 1e3;
            }
        }
        0.0
    }

    pub(crate) fn largest_micros(&self) -> f64 {
        self.largest.as_secs_f64() * 1e6
    }
}

/// Values below 64 have a step each; above, the six bits below the highest one say which of its power's steps.
fn step(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(7);
    shift as usize * STEPS + (nanos >> shift) as usize
}

/// The lowest value of a step.
fn lowest(step: usize) -> u64 {
    if step < 2 * STEPS {
        return step as u64;
    }
    let shift = step / STEPS - 1;
    ((step - shift * STEPS) as u64) << shift
}
