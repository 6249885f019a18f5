//! Axes: from values to places, with round numbers beside them.

use super::super::number::short;
use super::super::words::Words;
use super::svg::{Anchor, Point, Svg};

/// How wide every chart is drawn: so that its letters can be read on a telephone, where it has all of the width.
pub(crate) const WIDTH: f64 = 360.0;

/// From values to places along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Scale {
    pub(crate) fn linear((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to, is_logarithmic: false }
    }

    /// `low` must be above 0.
    pub(crate) fn logarithmic((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let low = low.max(1e-6);
        let high = if high > low { high } else { low * 10.0 };
        Self { low, high, from, to, is_logarithmic: true }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn ticks(&self, about: f64) -> Vec<f64> {
        if self.is_logarithmic {
            decades(self.low, self.high)
        } else {
            round_steps(self.low, self.high, about)
        }
    }
}

fn round_steps(low: f64, high: f64, about: f64) -> Vec<f64> {
    let step = step((high - low) / about);
    let first = (low / step - 1e-9).ceil();
    (0..20).map(|i| (first + f64::from(i)) * step).take_while(|tick| *tick <= high + step * 1e-9).collect()
}

/// The next of 1, 2 and 5 times a power of ten.
fn step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.max(1e-12).log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|t| t * power >= rough * 0.999);
    times.unwrap_or(10.0) * power
}

fn decades(low: f64, high: f64) -> Vec<f64> {
    let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let times: &[f64] = if to - from <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all = (from..=to).flat_map(|power| times.iter().map(move |t| t * 10_f64.powi(power)));
    all.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).take(14).collect()
}

/// The least round number that is not below a value: where an axis may end.
pub(crate) fn rounded_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let step = step(value / 4.0);
    (value / step - 1e-9).ceil() * step
}

/// A drawing with both axes.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) svg: Svg,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
}

/// The places that a chart leaves for its letters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    pub(crate) height: f64,
}

impl Frame {
    pub(crate) const fn of(height: f64) -> Self {
        Self { left: 44.0, right: 12.0, top: 18.0, bottom: 36.0, height }
    }

    pub(crate) const fn across(&self) -> (f64, f64) {
        (self.left, WIDTH - self.right)
    }

    /// From the bottom up.
    pub(crate) const fn up(&self) -> (f64, f64) {
        (self.height - self.bottom, self.top)
    }
}

impl Plot {
    pub(crate) const fn new(frame: Frame, x: Scale, y: Scale) -> Self {
        Self { svg: Svg::new(WIDTH, frame.height), x, y }
    }

    /// Lines across with their numbers at the left.
    pub(crate) fn rungs(&mut self, name: &Words) {
        for tick in self.y.ticks(4.0) {
            let y = self.y.at(tick);
            self.svg.line((self.x.from, y), (self.x.to, y), "grid");
            self.svg.text((self.x.from - 5.0, y + 3.5), Anchor::End, "tick", &short(tick));
        }
        self.svg.words((2.0, 10.0), Anchor::Start, "axis", name);
    }

    /// The numbers below, and what they are.
    pub(crate) fn foot(&mut self, name: &Words) {
        let y = self.y.from;
        self.svg.line((self.x.from, y), (self.x.to, y), "base");
        let mut free = f64::NEG_INFINITY;
        for tick in self.x.ticks(5.0) {
            let (x, text) = (self.x.at(tick), short(tick));
            let half = text.len() as f64 * 3.2;
            if x - half > free {
                self.svg.line((x, y), (x, y + 4.0), "base");
                // The last one does not stick out.
                let middle = x.min(WIDTH - half - 1.0);
                self.svg.text((middle, y + 15.0), Anchor::Middle, "tick", &text);
                free = x + half + 4.0;
            }
        }
        self.svg.words((self.x.to, y + 29.0), Anchor::End, "axis", name);
    }

    pub(crate) fn at(&self, x: f64, y: f64) -> Point {
        (self.x.at(x), self.y.at(y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(round_steps(0.0, 1.6, 4.0), [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(round_steps(-6.0, 6.0, 6.0), [-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0]);
        assert_eq!(decades(0.5, 3.0), [0.5, 1.0, 2.0]);
        assert_eq!(decades(0.1, 1000.0), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        for (value, up) in [(1.583, 2.0), (0.0, 1.0), (100.0, 100.0), (0.013, 0.015), (601.0, 800.0)] {
            assert!((rounded_up(value) - up).abs() < 1e-9, "{value}: {}", rounded_up(value));
        }
    }

    #[test]
    fn a_place_is_never_outside_of_the_axis() {
        let scales = [Scale::linear((0.0, 0.0), (10.0, 20.0)), Scale::logarithmic((0.0, 0.0), (10.0, 20.0))];
        for (scale, value) in scales.iter().flat_map(|s| [-1e300, 0.0, 0.5, 1e300].map(|v| (s, v))) {
            assert!((10.0..=20.0).contains(&scale.at(value)), "{scale:?} {value}");
        }
    }
}
