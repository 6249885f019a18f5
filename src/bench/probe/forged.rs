//! T9, T10 and T16: a cookie that is lost, altered, another's, doubled or huge; and what its `Set-Cookie` says.

use super::births::Born;
use super::findings::Mark;
use super::jar::line_of;
use super::made_up::invented;
use super::names::{Owner, owner};
use super::observed::Trial;
use super::prober::{Client, From, Prober};
use super::statistics::{at_least, bits_per_letter, same_by_chance};

/// Requests of each kind of forgery.
const TRIES: usize = 8;
/// Letters of a cookie that is too long.
const HUGE: usize = 8 << 10;

/// What became of requests with one cookie value.
#[derive(Default)]
struct Outcome {
    row: Trial,
    refused: usize,
    reissued: usize,
}

/// Does it to every cookie that keeps clients.
pub(super) async fn run(prober: &mut Prober<'_>, born: &[Born]) {
    let is_kept = |p: &Prober<'_>, at: usize| p.seen.held(p.seen.carriers[at].alone.as_ref()).is_always();
    let carriers: Vec<usize> = (0..prober.seen.carriers.len()).filter(|at| is_kept(prober, *at)).collect();
    if carriers.is_empty() {
        prober.leave_out("T9", "a cookie lost once", "no cookie keeps a client");
        prober.leave_out("T10", "a cookie altered, another's, doubled, of 8 KiB", "no cookie keeps a client");
    }
    for at in carriers {
        let name = prober.seen.carriers[at].name.clone();
        let Some(one) = born.iter().find(|b| b.jar.0.contains_key(&name)) else { continue };
        lost(prober, &name, one).await;
        altered(prober, &name, one).await;
        others(prober, &name, one, born).await;
        huge(prober, &name, one).await;
    }
    for at in 0..prober.seen.carriers.len() {
        if prober.seen.carriers[at].is_set {
            attributes(prober, at, born);
        }
    }
}

async fn send(prober: &mut Prober<'_>, name: &str, one: &Born, values: &[String]) -> Outcome {
    let mut outcome = Outcome::default();
    let from = if prober.seen.varies { From::Any } else { one.from };
    for value in values {
        let values: Vec<&str> = value.split('\n').filter(|v| !v.is_empty()).collect();
        let visit = prober.visit(&mut Client::with_text(from, one.jar.text_with(name, &values))).await;
        outcome.row.seen.push(visit.node);
        let Some(answer) = visit.answer else {
            outcome.refused += 1;
            continue;
        };
        outcome.refused += usize::from(matches!(answer.status, 400 | 403 | 413 | 431 | 494 | 500..));
        outcome.reissued += usize::from(super::identify::set_by(&answer, name).is_some());
        prober.fill().await;
    }
    outcome
}

impl Outcome {
    fn text(&self, nodes: &[String]) -> String {
        let n = self.row.seen.len();
        format!(
            "{}; {} of {n} were given a new one, {} refused",
            self.row.to_text(nodes),
            self.reissued,
            self.refused
        )
    }

    /// How many came home.
    fn home(&self, node: usize) -> usize {
        self.row.seen.iter().filter(|s| **s == Some(node)).count()
    }
}

async fn lost(prober: &mut Prober<'_>, name: &str, one: &Born) {
    let outcome = send(prober, name, one, &vec![String::new(); TRIES]).await;
    let back = send(prober, name, one, &vec![one.jar.0[name].clone(); 3]).await;
    let away = TRIES - outcome.home(one.home);
    let asked = format!("{name} left out, as a client that has lost it");
    let seen = format!(
        "{}; with it again {}",
        outcome.text(&prober.seen.nodes),
        back.row.to_text(&prober.seen.nodes)
    );
    let (mark, mut verdict) = match away {
        0 => (Mark::Good, "something else brings it home".to_owned()),
        away => (
            Mark::Note,
            format!("a new client: {away} of {TRIES} came elsewhere, and whoever sends it again is home"),
        ),
    };
    if back.home(one.home) < 3 {
        verdict = "a new client, and its old place is gone with it".to_owned();
    }
    prober.find("T9", mark, &asked, seen, verdict);
}

async fn altered(prober: &mut Prober<'_>, name: &str, one: &Born) {
    /// What chance does often enough to ask again, and what it hardly does.
    const SOMETIMES: f64 = 1e-2;
    const HARDLY: f64 = 1e-4;
    let values = flips(prober, name, one, TRIES);
    let mut outcome = send(prober, name, one, &values).await;
    let share = prober.seen.shares.get(one.home).copied().unwrap_or(1.0);
    let chance = |o: &Outcome| at_least(o.home(one.home), o.row.seen.len(), share);
    if chance(&outcome) < SOMETIMES {
        let values = flips(prober, name, one, TRIES * 2);
        let more = send(prober, name, one, &values).await;
        outcome.row.seen.extend(more.row.seen);
        outcome.refused += more.refused;
        outcome.reissued += more.reissued;
    }
    let (chance, of) = (chance(&outcome), outcome.row.seen.len());
    let is_home = chance < HARDLY;
    let asked = format!("{name} with one letter changed");
    let seen = outcome.text(&prober.seen.nodes);
    let (mark, verdict) = if outcome.refused == of {
        (Mark::Note, "refused: the client gets no page")
    } else if is_home && reading_of(prober, name).is_part {
        (Mark::Note, "still at home: only the backend's name in it counts, and the rest is the application's")
    } else if is_home {
        (Mark::Bad, "still at home: not all of the value counts, so that it can be altered")
    } else if outcome.reissued == of {
        (Mark::Good, "believed no more: placed anew, with a new cookie")
    } else if prober.seen.held(carrier(prober, name).made_up.as_ref()).is_always() {
        (Mark::Note, "any value is a key: it is placed by its hash")
    } else {
        (Mark::Note, "believed no more: placed anew")
    };
    prober.find_with("T10", mark, &asked, seen, verdict, is_home.then_some(chance));
    let made = invented(&mut prober.random);
    let outcome = send(prober, name, one, &vec![made; 3]).await;
    let seen = outcome.text(&prober.seen.nodes);
    let is_hash = prober.seen.held(carrier(prober, name).made_up.as_ref()).is_always();
    let verdict = if is_hash {
        "a made-up value is believed: clients choose their backend"
    } else {
        "a made-up value chooses nothing"
    };
    let mark = if is_hash { Mark::Note } else { Mark::Good };
    prober.find("T10", mark, &format!("{name} made up"), seen, verdict);
}

/// Values of one letter changed each. One that another client has is no forgery but theft, which is asked elsewhere.
fn flips(prober: &mut Prober<'_>, name: &str, one: &Born, count: usize) -> Vec<String> {
    let known: Vec<String> = carrier(prober, name).values.iter().map(|(_, v)| v.clone()).collect();
    let mut flip = || flipped(&mut prober.random, &one.jar.0[name]);
    let flips = (0..count).map(|_| flip());
    flips.map(|f| if known.contains(&f) { format!("{f}x") } else { f }).collect()
}

fn reading_of(prober: &Prober<'_>, name: &str) -> super::names::Reading {
    let at = prober.seen.carriers.iter().position(|c| c.name == name).unwrap_or(0);
    prober.readings.get(at).cloned().unwrap_or_default()
}

fn carrier<'p>(prober: &'p Prober<'_>, name: &str) -> &'p super::observed::Carrier {
    let found = prober.seen.carriers.iter().position(|c| c.name == name).unwrap_or(0);
    &prober.seen.carriers[found]
}

async fn others(prober: &mut Prober<'_>, name: &str, one: &Born, born: &[Born]) {
    let Some(other) = born.iter().find(|b| b.home != one.home && b.jar.0.contains_key(name)) else {
        prober.leave_out("T10", &format!("{name} of a client elsewhere"), "all clients came to one backend");
        return;
    };
    let (mine, theirs) = (one.jar.0[name].clone(), other.jar.0[name].clone());
    let names = |p: &Prober<'_>, node: usize| p.seen.nodes.get(node).cloned().unwrap_or_default();
    let outcome = send(prober, name, one, &vec![theirs.clone(); TRIES]).await;
    let goes = outcome.home(other.home) == TRIES;
    let verdict = if goes {
        "who has it is taken for its owner: it is bound to no client"
    } else {
        "it is not enough by itself"
    };
    let asked = format!(
        "{name} of a client at {} in the hands of one at {}",
        names(prober, other.home),
        names(prober, one.home)
    );
    let chance = same_by_chance(&prober.seen.shares, TRIES + 1);
    let seen = outcome.text(&prober.seen.nodes);
    prober.find_with("T10", Mark::Note, &asked, seen, verdict, goes.then_some(chance));
    let both = vec![format!("{mine}\n{theirs}"); TRIES];
    let outcome = send(prober, name, one, &both).await;
    let (first, last) = (outcome.home(one.home), outcome.home(other.home));
    let verdict = if first == TRIES {
        "the first counts".to_owned()
    } else if last == TRIES {
        "the last counts".to_owned()
    } else if outcome.refused == TRIES {
        "refused".to_owned()
    } else {
        format!("neither counts: {first} came by the first, {last} by the last")
    };
    let mark = if first == TRIES || last == TRIES { Mark::Good } else { Mark::Note };
    let asked = format!("{name} twice: {} and {}", names(prober, one.home), names(prober, other.home));
    let seen = outcome.text(&prober.seen.nodes);
    prober.find("T10", mark, &asked, seen, verdict);
}

async fn huge(prober: &mut Prober<'_>, name: &str, one: &Born) {
    let outcome = send(prober, name, one, &vec!["a".repeat(HUGE); 2]).await;
    let after = send(prober, name, one, &vec![one.jar.0[name].clone(); 2]).await;
    let is_well = after.home(one.home) == 2;
    let verdict = match (outcome.refused, is_well) {
        (_, false) => "the client does not find home behind it",
        (0, true) => "ignored",
        (_, true) => "refused, and the next request is as before",
    };
    let mark = if is_well { Mark::Good } else { Mark::Bad };
    let seen = outcome.text(&prober.seen.nodes);
    prober.find("T10", mark, &format!("{name} of 8 KiB"), seen, verdict);
}

/// T16: what is said beside the value, what the value gives away, and how much chance is in it.
fn attributes(prober: &mut Prober<'_>, at: usize, born: &[Born]) {
    let carrier = prober.seen.carriers[at].clone();
    let reading = prober.readings.get(at).cloned().unwrap_or_default();
    let Some(line) = born.iter().find_map(|b| line_of(&b.answer, &carrier.name)) else { return };
    let rest = line.split_once(';').map_or("", |(_, rest)| rest).trim().to_owned();
    let has = |what: &str| {
        rest.split(';').any(|a| a.trim().split('=').next().is_some_and(|n| n.eq_ignore_ascii_case(what)))
    };
    let mut wrong = Vec::new();
    if !has("HttpOnly") {
        wrong.push("no HttpOnly: scripts read it".to_owned());
    }
    if !has("SameSite") {
        wrong.push("no SameSite: left to the browser".to_owned());
    }
    if prober.asker.target.is_tls && !has("Secure") {
        wrong.push("no Secure over TLS".to_owned());
    }
    let values: Vec<&str> = carrier.values.iter().map(|(_, v)| v.as_str()).collect();
    let distinct = values.iter().collect::<std::collections::BTreeSet<_>>().len();
    let length = values.first().map_or(0, |v| v.len());
    let bits = if distinct > 3 { bits_per_letter(values.iter().copied()) * length as f64 } else { 0.0 };
    if let Some(leak) = &reading.leak {
        wrong.push(format!("it names a backend: {leak}"));
    }
    if reading.is_one_per_backend {
        wrong.push("one value per backend: whoever has seen a value can choose that backend".to_owned());
    }
    let form = reading.form.clone().unwrap_or_else(|| "of no form that is known".to_owned());
    let whose = match owner(&carrier, &reading) {
        Owner::Balancer(why) => format!("the balancer's ({why})"),
        Owner::Application(why) => format!("the application's ({why})"),
        Owner::Unclear => "the balancer's or the application's".to_owned(),
    };
    let much = if distinct == 1 { "one value".to_owned() } else { format!("{distinct} different values") };
    let seen = format!(
        "{}; {length} letter{}, {much} in {} clients, {}; form: {form}",
        if rest.is_empty() { "no attributes" } else { &rest },
        if length == 1 { "" } else { "s" },
        values.len(),
        if let Some(token) = &reading.token {
            format!("says to who reads it: {}", token.claims.join(", "))
        } else if bits > 0.0 {
            format!("about {bits:.0} bits at most")
        } else {
            "too few values to tell how much chance is in them".to_owned()
        }
    );
    let asked = format!("what the Set-Cookie of {} says: {whose}", carrier.name);
    let mark = if wrong.is_empty() { Mark::Good } else { Mark::Bad };
    let verdict = if wrong.is_empty() { "as it should be".to_owned() } else { wrong.join("; ") };
    prober.find("T16", mark, &asked, seen, verdict);
}

/// The value with one letter or digit changed to another of its kind.
fn flipped(random: &mut fastrand::Rng, value: &str) -> String {
    let mut letters: Vec<char> = value.chars().collect();
    // Not the last: a text of base64 may hold bits there that nobody reads.
    let places: Vec<usize> = (0..letters.len().saturating_sub(1).max(1))
        .filter(|i| letters.get(*i).is_some_and(char::is_ascii_alphanumeric))
        .collect();
    let Some(at) = random.choice(&places).copied() else { return format!("{value}x") };
    let old = letters[at];
    let among = if old.is_ascii_digit() {
        "0123456789"
    } else if old.is_ascii_lowercase() {
        "abcdef"
    } else {
        "ABCDEF"
    };
    let others: Vec<char> = among.chars().filter(|c| *c != old).collect();
    letters[at] = random.choice(&others).copied().unwrap_or('0');
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_value_differs_in_one_letter() {
        let mut random = fastrand::Rng::with_seed(7);
        for value in ["a", "df2b80dc43705d28", "AbTW8DTZ-_==", "x", "%%"] {
            for _ in 0..50 {
                let flipped = flipped(&mut random, value);
                let differ = value.chars().zip(flipped.chars()).filter(|(a, b)| a != b).count();
                assert!(
                    (flipped.len(), differ) == (value.len(), 1) || flipped == format!("{value}x"),
                    "{value} {flipped}"
                );
            }
        }
    }
}
