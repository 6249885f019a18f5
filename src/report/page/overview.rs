//! Every combination in one table, with what theory says in grey.

use super::super::known;
use super::super::number::{of, short, z};
use super::super::read::{Metric, Run};
use super::super::verdict::{self, Tone};
use super::super::words;
use super::charts::{numbered, title};
use super::markup::{both, escape, scrolling};

pub(crate) fn overview(run: &Run) -> String {
    if run.combinations.is_empty() {
        return String::new();
    }
    let groups = run.columns();
    let over: String = groups
        .iter()
        .map(|(words, names)| {
            format!("<th scope=\"colgroup\" colspan=\"{}\">{}</th>", names.len(), both(words))
        })
        .collect();
    let names: Vec<&str> = groups.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let heads: String =
        names.iter().map(|name| format!("<th scope=\"col\">{}</th>", both(&known::words(name)))).collect();
    let mut rows = String::new();
    for (number, combination) in numbered(run) {
        let cells: String = names.iter().map(|name| cell(combination.metric(name))).collect();
        rows.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td class=\"short\">{}</td>{cells}</tr>",
            title(number, combination),
            in_short(verdict::of_one(combination)) + &unranked(combination.is_ranked)
        ));
    }
    let table = format!(
        "<table class=\"overview\"><thead><tr><th></th><th></th>{over}</tr><tr><th scope=\"col\">{}</th>\
         <th scope=\"col\">{}</th>{heads}</tr></thead><tbody>{rows}</tbody></table>",
        both(&words::COMBINATION),
        both(&words::IN_SHORT)
    );
    format!(
        "<section id=\"combinations\"><h2>{}</h2>{}<p class=\"note\">{}</p></section>",
        both(&words::COMBINATIONS),
        scrolling(&words::COMBINATIONS, &table),
        both(&words::TABLE_NOTE)
    )
}

fn in_short(said: Option<(Tone, words::Words)>) -> String {
    let Some((tone, words)) = said else { return String::new() };
    let (class, sign) = match tone {
        Tone::Good => ("good", "✓"),
        Tone::Caution => ("caution", "!"),
        Tone::Bad => ("bad", "✗"),
    };
    format!("<span class=\"{class}\">{sign} {}</span>", both(&words))
}

fn unranked(is_ranked: bool) -> String {
    if is_ranked { String::new() } else { format!("<small>! {}</small>", both(&words::UNRANKED)) }
}

fn cell(metric: Option<&Metric>) -> String {
    let Some(metric) = metric else { return "<td></td>".to_owned() };
    let interval = metric.interval().filter(|(low, high)| metric.value != 0.0 && high > low);
    let interval = interval
        .map(|(low, high)| format!("<small>{} – {}</small>", short(low), short(high)))
        .unwrap_or_default();
    let theory = metric.theory.map(|theory| {
        let z = metric.z.map(|score| format!(" (z {})", z(score))).unwrap_or_default();
        format!("<small class=\"theory\">{} {}{}</small>", both(&words::THEORY), short(theory), escape(&z))
    });
    format!("<td><b>{}</b>{interval}{}</td>", of(metric), theory.unwrap_or_default())
}
