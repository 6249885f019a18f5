//! What is lost against what it costs, and the front: those that nothing else is better than in both ways.

use super::super::super::number::{of, short};
use super::super::super::read::{Combination, Metric, Run};
use super::super::super::words::{self, Words};
use super::super::super::{known, verdict};
use super::super::markup::{Table, both, escape, figure, legend};
use super::super::plot::{Frame, Plot, Scale, rounded_up};
use super::super::svg::{Anchor, Point};
use super::{numbered, section, title};

/// The stores, in the order of their shapes and colours.
const STORES: [(&str, &str); 4] = [("memory", "c5"), ("redis", "c0"), ("memcached", "c2"), ("jwt", "c3")];

/// What something costs a combination.
type Cost = fn(&Combination) -> Option<Metric>;

struct Dot<'a> {
    number: usize,
    combination: &'a Combination,
    cost: Metric,
    loss: &'a Metric,
}

pub(crate) fn pareto(run: &Run) -> String {
    let costs: [(Words, Cost); 3] = [
        (words::CPU_IN_ALL, verdict::cpu),
        (known::words("p99_ms"), |c| c.metric("p99_ms").cloned()),
        (known::words("peak_to_average"), |c| c.metric("peak_to_average").cloned()),
    ];
    let figures: Vec<String> = costs.iter().filter_map(|(name, cost)| scatter(run, name, *cost)).collect();
    let note = run.combinations.iter().any(|c| !c.is_ranked).then_some(words::PARETO_UNRANKED);
    section("pareto", &words::PARETO, note.as_ref(), figures)
}

fn scatter(run: &Run, name: &Words, cost: Cost) -> Option<String> {
    // Losses per session and losses alone are not the same axis: the first, where anybody has it.
    let per = run.combinations.iter().any(|c| c.metric("lost_per_live").is_some());
    let loss = if per { "lost_per_live" } else { "lost" };
    let dot = |(number, combination): (usize, _)| -> Option<Dot<'_>> {
        let combination: &Combination = combination;
        Some(Dot { number, combination, cost: cost(combination)?, loss: combination.metric(loss)? })
    };
    let dots: Vec<Dot<'_>> = numbered(run).filter_map(dot).collect();
    if dots.len() < 2 {
        return None;
    }
    let most = |of: fn(&Dot<'_>) -> f64| rounded_up(dots.iter().map(of).fold(0.0, f64::max) * 1.05);
    let frame = Frame::of(250.0);
    let x = Scale::linear((0.0, most(|d| d.cost.value)), frame.across());
    let y = Scale::linear((0.0, most(|d| d.loss.value)), frame.up());
    let mut plot = Plot::new(frame, x, y);
    let loss_words = known::words(loss);
    plot.rungs(&loss_words);
    plot.foot(name);
    let front = front(&dots);
    let mut ordered: Vec<Point> = front.iter().map(|d| plot.at(d.cost.value, d.loss.value)).collect();
    ordered.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    plot.svg.path(&steps(&ordered), "front");
    for at in &ordered {
        plot.svg.mark(*at, 0, 8.5, "ring", "");
    }
    marks(&mut plot, &dots);
    let mut stores: Vec<(String, String)> = Vec::new();
    for (store, class) in STORES {
        if dots.iter().any(|d| d.combination.sessions == store) {
            stores.push((format!("{class} {}", shape_name(shape(store).0)), escape(store)));
        }
    }
    if !front.is_empty() {
        stores.push(("frontmark".to_owned(), both(&words::FRONT)));
    }
    let mut table = Table::new([&words::COMBINATION, name, &loss_words, &words::FRONT].map(both));
    for d in &dots {
        let is_front = front.iter().any(|f| f.number == d.number);
        table.row([
            title(d.number, d.combination),
            short(d.cost.value),
            of(d.loss),
            if is_front { "✓".to_owned() } else { String::new() },
        ]);
    }
    let caption = both(&Words::said(
        format!("{} – {}", loss_words.en, name.en),
        format!("{} – {}", loss_words.ko, name.ko),
    ));
    Some(figure(&caption, &plot.svg.finish(&words::PARETO.title), &legend(&stores), &table))
}

/// The dots, and the numbers of those that lie in one place in one line.
fn marks(plot: &mut Plot, dots: &[Dot<'_>]) {
    let mut labels: Vec<(Point, Vec<String>)> = Vec::new();
    for d in dots {
        let at = plot.at(d.cost.value, d.loss.value);
        let (shape, class) = shape(&d.combination.sessions);
        let class = if d.combination.is_ranked { class.to_owned() } else { format!("{class} hollow") };
        let tip = format!("{} {}: {}, {}", d.number, d.combination.id, short(d.cost.value), of(d.loss));
        plot.svg.mark(at, shape, 4.5, &class, &tip);
        match labels.iter_mut().find(|(p, _)| (p.0 - at.0).abs() < 16.0 && (p.1 - at.1).abs() < 11.0) {
            Some((_, numbers)) => numbers.push(d.number.to_string()),
            None => labels.push((at, vec![d.number.to_string()])),
        }
    }
    for ((x, y), numbers) in labels {
        // Three at most: what stands beside it has numbers too.
        let shown: Vec<String> = numbers.iter().take(3).cloned().collect();
        let more = numbers.len().checked_sub(4).map(|more| format!(" +{}", more + 1)).unwrap_or_default();
        let (anchor, x) = if x > 280.0 { (Anchor::End, x + 6.0) } else { (Anchor::Start, x - 4.0) };
        plot.svg.text((x, y - 12.5), anchor, "label", &format!("{}{more}", shown.join(" ")));
    }
}

/// A line that goes along the front: down, then to the right.
fn steps(ordered: &[Point]) -> Vec<Point> {
    let mut line = Vec::new();
    for (i, at) in ordered.iter().enumerate() {
        if let Some(before) = i.checked_sub(1).and_then(|i| ordered.get(i)) {
            line.push((at.0, before.1));
        }
        line.push(*at);
    }
    line
}

/// Of those that may be ranked, those that no other is as good as in both ways and better in one.
fn front<'a, 'b>(dots: &'b [Dot<'a>]) -> Vec<&'b Dot<'a>> {
    let better = |a: &Dot<'_>, b: &Dot<'_>| {
        let (cost, loss) = (a.cost.value - b.cost.value, a.loss.value - b.loss.value);
        cost <= 0.0 && loss <= 0.0 && (cost < 0.0 || loss < 0.0)
    };
    let ranked: Vec<&Dot<'_>> = dots.iter().filter(|d| d.combination.is_ranked).collect();
    ranked.iter().filter(|d| !ranked.iter().any(|other| better(other, d))).copied().collect()
}

fn shape(store: &str) -> (usize, &'static str) {
    let found = STORES.iter().position(|(name, _)| store.starts_with(name));
    found.and_then(|i| Some((i, STORES.get(i)?.1))).unwrap_or((STORES.len(), "c7"))
}

const fn shape_name(shape: usize) -> &'static str {
    match shape {
        0 => "round",
        2 => "diamond",
        3 => "triangle",
        _ => "square",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_who_nobody_beats_and_may_be_ranked() {
        let figures =
            [(1.0, 1.0, true), (2.0, 0.0, true), (2.0, 1.0, true), (3.0, 0.0, true), (0.5, 0.0, false)];
        let owned: Vec<(Combination, Metric)> = figures
            .map(|(_, loss, is_ranked)| {
                (
                    Combination { is_ranked, ..Combination::default() },
                    Metric { value: loss, ..Metric::default() },
                )
            })
            .into();
        let dots: Vec<Dot<'_>> = owned
            .iter()
            .zip(figures)
            .enumerate()
            .map(|(number, ((combination, loss), (cost, ..)))| Dot {
                number,
                combination,
                cost: Metric { value: cost, ..Metric::default() },
                loss,
            })
            .collect();
        assert_eq!(front(&dots).iter().map(|d| d.number).collect::<Vec<_>>(), [0, 1]);
    }
}
