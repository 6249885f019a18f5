//! A drawing: shapes by classes, whose colours the style sheet has.

use std::fmt::Write as _;

use super::super::words::Words;
use super::markup::{attribute, escape};

/// A place: to the right, and down.
pub(crate) type Point = (f64, f64);

/// On which side of its place a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// One inline SVG.
#[derive(Debug)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub(crate) const fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A bar; what `tip` says is shown to who points at it.
    pub(crate) fn rect(&mut self, at: Point, size: Point, class: &str, tip: &str) {
        let (w, h) = (size.0.max(0.0), size.1.max(0.0));
        let _ = write!(
            self.body,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" class=\"{class}\"",
            at.0, at.1
        );
        self.close("rect", tip);
    }

    pub(crate) fn line(&mut self, from: Point, to: Point, class: &str) {
        self.path(&[from, to], class);
    }

    /// A line through these points.
    pub(crate) fn path(&mut self, points: &[Point], class: &str) {
        let d = path(points);
        if !d.is_empty() {
            let _ = write!(self.body, "<path d=\"{d}\" class=\"line {class}\"/>");
        }
    }

    /// What lies between an upper and a lower line.
    pub(crate) fn area(&mut self, upper: &[Point], lower: &[Point], class: &str, tip: &str) {
        let all: Vec<Point> = upper.iter().copied().chain(lower.iter().rev().copied()).collect();
        let _ = write!(self.body, "<path d=\"{}Z\" class=\"{class}\"", path(&all));
        self.close("path", tip);
    }

    /// A mark of one of some shapes, which tell more than its colour does.
    pub(crate) fn mark(&mut self, at: Point, shape: usize, size: f64, class: &str, tip: &str) {
        let (x, y) = at;
        let corners: &[Point] = match shape {
            0 => {
                let _ = write!(
                    self.body,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size:.1}\" class=\"{class}\""
                );
                return self.close("circle", tip);
            }
            1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            2 => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            3 => &[(0.0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
            _ => &[
                (-1.0, -1.0),
                (0.0, -0.35),
                (1.0, -1.0),
                (0.35, 0.0),
                (1.0, 1.0),
                (0.0, 0.35),
                (-1.0, 1.0),
                (-0.35, 0.0),
            ],
        };
        let corners: Vec<Point> = corners.iter().map(|(dx, dy)| (x + dx * size, y + dy * size)).collect();
        let _ = write!(self.body, "<path d=\"{}Z\" class=\"{class}\"", path(&corners));
        self.close("path", tip);
    }

    pub(crate) fn text(&mut self, at: Point, anchor: Anchor, class: &str, text: &str) {
        self.text_in("", at, anchor, class, text);
    }

    /// A text in both languages.
    pub(crate) fn words(&mut self, at: Point, anchor: Anchor, class: &str, words: &Words) {
        if words.en == words.ko {
            return self.text(at, anchor, class, &words.en);
        }
        self.text_in(" lang=\"en\"", at, anchor, class, &words.en);
        self.text_in(" lang=\"ko\"", at, anchor, class, &words.ko);
    }

    fn text_in(&mut self, language: &str, (x, y): Point, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        let _ = write!(
            self.body,
            "<text{language} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        );
    }

    fn close(&mut self, element: &str, tip: &str) {
        if tip.is_empty() {
            self.body.push_str("/>");
        } else {
            let _ = write!(self.body, "><title>{}</title></{element}>", escape(tip));
        }
    }

    pub(crate) fn finish(self, name: &Words) -> String {
        let Self { width, height, body } = self;
        let name = attribute(name);
        format!("<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{name}\">{body}</svg>")
    }
}

fn path(points: &[Point]) -> String {
    let mut d = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
    d
}

/// A text cut to so many letters: a drawing has no room for more.
pub(crate) fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}
