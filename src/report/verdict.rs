//! What a run comes to, in three plain sentences that are computed from its figures; and in a few words per combination.
//!
//! A difference of costs is named only where the intervals are apart. What is not to be ranked is not ranked.

use super::known;
use super::number::{of, short};
use super::read::{Combination, Metric, Run};
use super::words::{self, Words};

/// How good or bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Caution,
    Bad,
}

/// Combinations that are named in one sentence, at most.
const NAMED: usize = 3;

/// Up to three sentences: what is lost; what is worse or not needed; what to choose, and what it costs.
pub(crate) fn sentences(run: &Run) -> Vec<Words> {
    let mut said: Vec<Words> = probe(run).into_iter().collect();
    if !run.combinations.is_empty() {
        said.extend(loss(run));
        said.extend(worse(run));
        said.push(choice(run));
    }
    said
}

/// A combination in a few words, or nothing where losses were not looked at. Facts: they are true of what is not to be
/// ranked too.
pub(crate) fn of_one(combination: &Combination) -> Option<(Tone, Words)> {
    let lost = lost(combination)?.value;
    let stale = combination.value("stale_per_live").or_else(|| combination.value("stale"));
    Some(if stale.is_some_and(|s| s > 0.0) {
        (Tone::Bad, words::OLD_STATE)
    } else if lost > 0.0 {
        (Tone::Bad, words::LOSES)
    } else if is_at_home(combination) && combination.value("unforced_moves").is_some_and(|n| n > 0.0) {
        (Tone::Caution, words::MOVES)
    } else {
        (Tone::Good, words::KEEPS)
    })
}

/// Whether a session is in one backend alone: elsewhere nobody minds a move.
fn is_at_home(combination: &Combination) -> bool {
    !["redis", "memcached", "jwt"].iter().any(|store| combination.sessions.starts_with(store))
}

/// What is lost, per session if that is known.
pub(crate) fn lost(combination: &Combination) -> Option<&Metric> {
    combination.metric("lost_per_live").or_else(|| combination.metric("lost"))
}

/// CPU time per request of all that take part, with its interval.
pub(crate) fn cpu(combination: &Combination) -> Option<Metric> {
    let parts =
        ["cpu_us_balancer", "cpu_us_application", "cpu_us_store"].map(|name| combination.metric(name));
    let there: Vec<&Metric> = parts.into_iter().flatten().collect();
    // Without the application's share it is not what a request costs.
    combination.metric("cpu_us_application")?;
    let sum = |of: fn(&Metric) -> Option<f64>| there.iter().map(|m| of(m)).sum::<Option<f64>>();
    Some(Metric {
        value: there.iter().map(|m| m.value).sum(),
        low: sum(|m| m.low),
        high: sum(|m| m.high),
        unit: "us".to_owned(),
        ..Metric::default()
    })
}

fn probe(run: &Run) -> Option<Words> {
    let probe = run.probe.as_ref()?;
    let sure = |before: &str| probe.certainty.map(|c| format!("{before}{}", short(c))).unwrap_or_default();
    Some(Words::said(
        format!("The affinity of {} is of the kind {}{}.", probe.url, probe.kind, sure(", certainty ")),
        format!("{}의 세션 고정 방식은 {}입니다{}.", probe.url, probe.kind, sure(", 확실성 ")),
    ))
}

fn what_happened(run: &Run) -> Words {
    let mut kinds: Vec<&str> = Vec::new();
    for event in run.combinations.iter().flat_map(|c| &c.events) {
        if !kinds.contains(&event.kind.as_str()) {
            kinds.push(&event.kind);
        }
    }
    // Told once, and not its two halves besides.
    if kinds.contains(&"crash_return") {
        kinds.retain(|kind| !matches!(*kind, "crash" | "restart"));
    }
    let names: Vec<Words> = kinds.iter().map(|kind| words::event(kind)).collect();
    match names.as_slice() {
        [only] => only.clone(),
        [first @ .., last] if first.len() < NAMED => {
            let small = |words: &Words| words.en.replacen("A ", "a ", 1);
            let en = first.iter().map(small).collect::<Vec<_>>().join(", ");
            let ko = names.iter().map(|words| words.ko.as_ref()).collect::<Vec<_>>().join(", ");
            Words::said(format!("Together, {en} and {}", small(last)), format!("{ko}까지 모두 합치면"))
        }
        _ => words::event(""),
    }
}

fn loss(run: &Run) -> Option<Words> {
    // Losses per session where they are known; sessions alone are another figure.
    let per = run.combinations.iter().any(|c| c.metric("lost_per_live").is_some());
    let name = if per { "lost_per_live" } else { "lost" };
    let mut all: Vec<(&Combination, &Metric)> =
        run.combinations.iter().filter_map(|c| Some((c, c.metric(name)?))).collect();
    all.sort_by(|a, b| b.1.value.total_cmp(&a.1.value));
    let (worst, most) = all.first()?;
    let losing: Vec<_> = all.iter().filter(|(_, m)| m.value > 0.0).collect();
    let keeping = all.len() - losing.len();
    let event = what_happened(run);
    if losing.is_empty() {
        let most = all.iter().filter_map(|(_, m)| m.at_most()).reduce(f64::max).filter(|_| per);
        let unseen = |before: &str, after: &str| {
            most.map(|m| format!(" ({before}{} %{after})", short(m * 100.0))).unwrap_or_default()
        };
        return Some(Words::said(
            format!(
                "{} lost no session with any of {}{}.",
                event.en,
                count(all.len()),
                unseen("at most ", " of them can have gone unseen")
            ),
            format!(
                "{}: {}개 조합 모두 세션을 하나도 잃지 않았습니다{}.",
                event.ko,
                all.len(),
                unseen("보지 못한 손실은 많아야 ", "")
            ),
        ));
    }
    let how_often = |m: &Metric| if per { often(m.value) } else { sessions(m.value) };
    let theory = |word: &str| most.theory.map(|t| format!(" ({word} {})", bare(t, per && most.value < 1.0)));
    let theory = |word| theory(word).unwrap_or_default();
    let much = how_often(most);
    let (rest_en, rest_ko) = match (keeping, losing.last().filter(|_| losing.len() > 1)) {
        (0, Some((c, m))) => {
            let little = how_often(m);
            (
                format!(", and {} with {}, which lost least", little.en, c.id),
                format!(" 잃었고, 가장 적게 잃은 {} 조합은 {} 잃었습니다", c.id, little.ko),
            )
        }
        (0, None) => (String::new(), " 잃었습니다".to_owned()),
        (n, _) => {
            (format!("; {} lost none", count(n)), format!(" 잃었고, {n}개 조합은 하나도 잃지 않았습니다"))
        }
    };
    Some(Words::said(
        format!("{} lost {} with {}{}{rest_en}.", event.en, much.en, worst.id, theory("theory")),
        format!("{}: {} 조합은 {}{}{rest_ko}.", event.ko, worst.id, much.ko, theory("이론값")),
    ))
}

/// Losses per session, as people say it: a share of the sessions, or how many times each.
fn often(per_session: f64) -> Words {
    let value = bare(per_session, per_session < 1.0);
    if per_session < 1.0 {
        Words::said(format!("{value} of the sessions"), format!("세션의 {value}를"))
    } else {
        Words::said(format!("each session {value} times on average"), format!("세션 하나를 평균 {value}번"))
    }
}

fn sessions(n: f64) -> Words {
    Words::said(format!("{} sessions", short(n)), format!("세션 {}개를", short(n)))
}

fn bare(value: f64, is_share: bool) -> String {
    if is_share { format!("{} %", short((value * 1000.0).round() / 10.0)) } else { short(value) }
}

fn count(n: usize) -> String {
    if n == 1 { "1 combination".to_owned() } else { format!("{n} combinations") }
}

/// Old states and needless moves.
fn worse(run: &Run) -> Option<Words> {
    // Where nobody minds a move, none is to be told; among equals the first is.
    let all_are_shared = !run.combinations.iter().any(is_at_home);
    let most = |name: &str| {
        let all = run.combinations.iter().filter(|c| all_are_shared || is_at_home(c));
        all.filter_map(|c| Some((c, c.value(name)?))).rev().max_by(|a, b| a.1.total_cmp(&b.1))
    };
    let stale = most("stale_per_live").map(|s| (s, true)).or_else(|| most("stale").map(|s| (s, false)));
    let unforced = most("unforced_moves");
    let (stale_en, stale_ko) = match &stale {
        None => (None, None),
        Some(((c, value), per)) if *value > 0.0 => {
            let (en, ko) =
                if *per { (" times per session", "세션마다 평균 ") } else { (" times", "모두 ") };
            (
                Some(format!(
                    "{} showed users an older state {}{en}, which is worse than a loss",
                    c.id,
                    short(*value)
                )),
                Some(format!(
                    "{} 조합은 사용자에게 옛 상태를 {ko}{}번 보여 주었고(손실보다 나쁩니다)",
                    c.id,
                    short(*value)
                )),
            )
        }
        Some(_) => {
            (Some("no user saw an older state".to_owned()), Some("옛 상태를 본 사용자는 없었고".to_owned()))
        }
    };
    let (moves_en, moves_ko) = match &unforced {
        None => (None, None),
        Some((c, value)) if *value > 0.0 => {
            let is_same = stale.as_ref().is_some_and(|((s, value), _)| *value > 0.0 && s.id == c.id);
            let (en, ko) = if is_same { ("it", "이 조합은") } else { (c.id.as_str(), "") };
            let ko = if is_same { ko.to_owned() } else { format!("{} 조합은", c.id) };
            (
                Some(format!("{en} moved sessions {} times without need", short(*value))),
                Some(format!("{ko} 세션을 {}번 불필요하게 옮겼습니다", short(*value))),
            )
        }
        Some(_) if all_are_shared => (
            Some("no session was moved without need".to_owned()),
            Some("불필요하게 옮겨진 세션도 없었습니다".to_owned()),
        ),
        Some(_) => (
            Some("no session that lives in one backend was moved without need".to_owned()),
            Some("한 백엔드에만 있는 세션이 불필요하게 옮겨진 일도 없었습니다".to_owned()),
        ),
    };
    let (en, ko) = match (stale_en, moves_en, stale_ko, moves_ko) {
        (Some(a), Some(b), Some(c), Some(d)) => (format!("{a}, and {b}"), format!("{c}, {d}")),
        (Some(a), None, Some(c), _) => (a, format!("{c}, 이동은 측정하지 않았습니다")),
        (None, Some(b), _, Some(d)) => (b, d),
        _ => return None,
    };
    let mut letters = en.chars();
    let first = letters.next().filter(|_| !begins_with_id(run, &en));
    let en = first.map_or_else(|| en.clone(), |first| first.to_uppercase().chain(letters).collect());
    Some(Words::said(format!("{en}."), format!("{ko}.")))
}

fn begins_with_id(run: &Run, sentence: &str) -> bool {
    run.combinations.iter().any(|c| !c.id.is_empty() && sentence.starts_with(&c.id))
}

fn choice(run: &Run) -> Words {
    let harmless = |c: &&Combination| {
        lost(c).is_some_and(|m| m.value <= 0.0)
            && ["stale_per_live", "stale"].iter().all(|name| c.value(name).is_none_or(|v| v <= 0.0))
    };
    let ranked: Vec<&Combination> = run.combinations.iter().filter(|c| c.is_ranked).collect();
    if ranked.is_empty() {
        return not_ranked(run, &run.combinations.iter().filter(harmless).collect::<Vec<_>>());
    }
    let kept: Vec<&Combination> = ranked.iter().copied().filter(harmless).collect();
    let group = if kept.is_empty() { &ranked } else { &kept };
    let Some((name, cheapest, next)) = cheapest(group) else {
        return without_costs(group, kept.is_empty());
    };
    let price = price(cheapest.first().copied(), name);
    let (who_en, who_ko) = if kept.is_empty() {
        ("All lost sessions; of them", "모든 조합이 세션을 잃었습니다. 그중")
    } else {
        ("Of those that kept every session,", "모든 세션을 지킨 조합 가운데")
    };
    let alike = cheapest.len() > 1;
    let ids = ids(&cheapest);
    let (cost_en, cost_ko) = if alike {
        ("cost least, and alike", "비슷하게 가장 적은 비용이 듭니다")
    } else {
        ("costs least", "비용이 가장 적습니다")
    };
    let next = next.map(|(c, m)| (c.id.clone(), short(m.value)));
    let (next_en, next_ko) = next.map_or_else(Default::default, |(id, value)| {
        (format!("; the dearest is {id} with {value}"), format!(". 가장 비싼 것은 {id}이며 {value}입니다"))
    });
    Words::said(
        format!("{who_en} {} {cost_en}: {}{next_en}.", ids.en, price.en),
        format!("{who_ko} {} 조합의 {cost_ko}: {}{next_ko}.", ids.ko, price.ko),
    )
}

/// What is true all the same, and why costs are not held against each other.
fn not_ranked(run: &Run, kept: &[&Combination]) -> Words {
    let why = run.doubts.first().or_else(|| run.combinations.iter().find_map(|c| c.doubts.first()));
    let why = why.map(|why| format!(": {}", why.trim_end_matches('.'))).unwrap_or_default();
    let (facts_en, facts_ko) = if kept.is_empty() {
        (String::new(), String::new())
    } else {
        let ids = ids(kept);
        (
            format!("Every session was kept by {}. ", ids.en),
            format!("모든 세션을 지킨 조합은 {}입니다. ", ids.ko),
        )
    };
    Words::said(
        format!("{facts_en}{}{why}.", words::NOT_RANKED.en),
        format!("{facts_ko}{}{why}.", words::NOT_RANKED.ko),
    )
}

type Costly<'a> = (&'a Combination, Metric);

/// By the first cost that all have: the name of it, those that cost least, and the dearest if it is dearer.
fn cheapest<'a>(
    group: &[&'a Combination],
) -> Option<(&'static str, Vec<&'a Combination>, Option<Costly<'a>>)> {
    let by = |name: &'static str| -> Option<Vec<Costly<'a>>> {
        let cost =
            |c: &&'a Combination| Some((*c, if name == "cpu" { cpu(c)? } else { c.metric(name)?.clone() }));
        group.iter().map(cost).collect()
    };
    let costs = ["cpu", "p99_ms", "p50_ms", "trips_per_request"];
    let (name, mut all) =
        costs.into_iter().find_map(|name| Some((name, by(name).filter(|all| !all.is_empty())?)))?;
    all.sort_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let first = all.first()?.1.clone();
    let bound = first.high.unwrap_or(first.value);
    let alike: Vec<&Combination> =
        all.iter().filter(|(_, m)| m.low.unwrap_or(m.value) <= bound).map(|(c, _)| *c).collect();
    let dearest = (alike.len() < all.len()).then(|| all.pop()).flatten();
    Some((name, alike, dearest))
}

fn price(combination: Option<&Combination>, name: &str) -> Words {
    let Some(c) = combination else { return Words::same("") };
    let mut parts: Vec<Words> = Vec::new();
    if name == "cpu" {
        let value = cpu(c).map(|m| short(m.value)).unwrap_or_default();
        parts.push(Words::said(format!("{value} µs of CPU"), format!("CPU {value} µs")));
    } else if let Some(metric) = c.metric(name) {
        let named = known::words(name);
        parts.push(Words::said(
            format!("{} {}", named.en, of(metric)),
            format!("{} {}", named.ko, of(metric)),
        ));
    }
    if let Some(trips) = c.value("trips_per_request").filter(|_| name != "trips_per_request") {
        parts.push(Words::said(
            format!("{} store trips", short(trips)),
            format!("저장소 왕복 {}회", short(trips)),
        ));
    }
    if let Some(bytes) = c.value("cookie_bytes") {
        parts.push(Words::said(
            format!("{} bytes of cookies", short(bytes)),
            format!("쿠키 {}바이트", short(bytes)),
        ));
    }
    let join = |of: fn(&Words) -> &str| parts.iter().map(of).collect::<Vec<_>>().join(", ");
    let per = name == "cpu";
    Words::said(
        join(|w| &w.en) + if per { " per request" } else { "" },
        (if per { "요청당 " } else { "" }).to_owned() + &join(|w| &w.ko),
    )
}

fn without_costs(group: &[&Combination], all_lose: bool) -> Words {
    let ids = ids(group);
    if all_lose {
        return Words::of("No combination kept every session.", "모든 세션을 지킨 조합은 없습니다.");
    }
    Words::said(
        format!("Every session was kept by {}; what that costs was not measured in this run.", ids.en),
        format!("모든 세션을 지킨 조합은 {}이며, 그 비용은 이번에 측정하지 않았습니다.", ids.ko),
    )
}

/// `a, b and 4 more`.
fn ids(group: &[&Combination]) -> Words {
    let named: Vec<&str> = group.iter().take(NAMED).map(|c| c.id.as_str()).collect();
    match (named.as_slice(), group.len().saturating_sub(NAMED)) {
        (all, more) if more > 0 => Words::said(
            format!("{} and {more} more", all.join(", ")),
            format!("{} 외 {more}개", all.join(", ")),
        ),
        ([first @ .., last], _) if !first.is_empty() => {
            Words::said(format!("{} and {last}", first.join(", ")), format!("{}, {last}", first.join(", ")))
        }
        (all, _) => Words::same(all.join(", ")),
    }
}
