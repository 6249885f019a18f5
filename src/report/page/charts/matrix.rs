//! Who moved from where to where, a matrix per event.

use super::super::super::number::short;
use super::super::super::read::{Combination, Event, Matrix, Run};
use super::super::super::words;
use super::super::markup::{Table, both, escape, figure, legend};
use super::super::plot::WIDTH;
use super::super::svg::{Anchor, Svg, cut};
use super::{numbered, section, title};

/// Backends that have a row of their own; those with the fewest sessions are put together.
const MOST: usize = 10;

pub(crate) fn matrices(run: &Run) -> String {
    let all = numbered(run).flat_map(|(number, c)| c.events.iter().map(move |e| (number, c, e)));
    let figures = all.filter_map(|(number, c, e)| Some(draw(number, c, e, e.matrix.as_ref()?))).collect();
    section("moves", &words::MATRIX, None, figures)
}

/// The same with the smallest put together.
fn folded(matrix: &Matrix) -> (Vec<String>, Vec<Vec<f64>>) {
    let cell = |row: usize, column: usize| {
        matrix.counts.get(row).and_then(|r| r.get(column)).copied().unwrap_or(0.0)
    };
    let all = 0..matrix.names.len();
    let weight = |i: usize| -> f64 { all.clone().map(|other| cell(i, other) + cell(other, i)).sum() };
    let mut by_weight: Vec<usize> = all.clone().collect();
    by_weight.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)));
    let is_folded = matrix.names.len() > MOST;
    let mut kept: Vec<usize> = by_weight.into_iter().take(if is_folded { MOST - 1 } else { MOST }).collect();
    kept.sort_unstable();
    let mut groups: Vec<Vec<usize>> = kept.iter().map(|i| vec![*i]).collect();
    let mut names: Vec<String> = kept.iter().filter_map(|i| matrix.names.get(*i).cloned()).collect();
    if is_folded {
        let rest: Vec<usize> = all.filter(|i| !kept.contains(i)).collect();
        names.push(format!("+{}", rest.len()));
        groups.push(rest);
    }
    let sum = |rows: &[usize], columns: &[usize]| -> f64 {
        rows.iter().flat_map(|row| columns.iter().map(move |column| cell(*row, *column))).sum()
    };
    let counts =
        groups.iter().map(|rows| groups.iter().map(|columns| sum(rows, columns)).collect()).collect();
    (names, counts)
}

fn draw(number: usize, combination: &Combination, event: &Event, matrix: &Matrix) -> String {
    let (names, counts) = folded(matrix);
    let n = names.len() as f64;
    let (left, top) = (76.0, 34.0);
    let (across, down) = ((WIDTH - left - 8.0) / n, (200.0 / n).clamp(20.0, 44.0));
    let mut svg = Svg::new(WIDTH, top + down * n + 8.0);
    svg.words((left - 6.0, 11.0), Anchor::End, "axis", &words::FROM.after("↓ "));
    svg.words((left, 11.0), Anchor::Start, "axis", &words::TO.after("→ "));
    let moved = |row: usize, column: usize| row != column;
    let cells = || {
        counts.iter().enumerate().flat_map(|(r, row)| row.iter().enumerate().map(move |(c, v)| (r, c, *v)))
    };
    let most = cells().filter(|(r, c, _)| moved(*r, *c)).map(|(.., v)| v).fold(0.0, f64::max);
    let mut table = Table::new(
        std::iter::once(both(&words::FROM.after("↓ "))).chain(names.iter().map(|name| escape(name))),
    );
    for (i, (name, row)) in names.iter().zip(&counts).enumerate() {
        let y = top + down * i as f64;
        svg.text((left - 6.0, y + down / 2.0 + 4.0), Anchor::End, "label", &cut(name, 10));
        let letters = (across / 7.0).max(2.0) as usize;
        svg.text((left + across * (i as f64 + 0.5), top - 7.0), Anchor::Middle, "label", &cut(name, letters));
        table.row(std::iter::once(escape(name)).chain(row.iter().map(|v| short(*v))));
    }
    for (r, c, value) in cells() {
        let at = (left + across * c as f64 + 1.0, top + down * r as f64 + 1.0);
        let tip = names.get(r).zip(names.get(c)).map(|(a, b)| format!("{a} → {b}: {}", short(value)));
        // Five steps, the darkest of which is the most that moved anywhere.
        let step = if value <= 0.0 || most <= 0.0 {
            0
        } else {
            (value / most * 5.0).ceil().clamp(1.0, 5.0) as usize
        };
        let class = if moved(r, c) { format!("cell m{step}") } else { "cell stay".to_owned() };
        svg.rect(at, (across - 2.0, down - 2.0), &class, &tip.unwrap_or_default());
        if value > 0.0 {
            let class = if moved(r, c) && step >= 4 { "count on" } else { "count" };
            let middle = (at.0 + across / 2.0 - 1.0, at.1 + down / 2.0 + 3.0);
            svg.text(middle, Anchor::Middle, class, &short(value));
        }
    }
    let caption = format!("{} · {}", title(number, combination), escape(&event.label));
    let name = words::MATRIX.title.after(&format!("{}, {}: ", combination.id, event.label));
    let legend = legend(&[("m3".to_owned(), both(&words::MOVED)), ("stay".to_owned(), both(&words::STAYED))]);
    figure(&caption, &svg.finish(&name), &legend, &table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_keeps_every_session() {
        let n = 25;
        let names = (0..n).map(|i| format!("b{i}")).collect();
        let counts: Vec<Vec<f64>> =
            (0..n).map(|r| (0..n).map(|c| f64::from(r * 7 + c * 3)).collect()).collect();
        let sum = |counts: &[Vec<f64>]| counts.iter().flatten().sum::<f64>();
        let (names, folded) = folded(&Matrix { names, counts: counts.clone() });
        assert_eq!((names.len(), folded.len()), (MOST, MOST));
        assert!((sum(&folded) - sum(&counts)).abs() < 1e-6);
        assert_eq!(names.last().map(String::as_str), Some("+16"));
    }
}
