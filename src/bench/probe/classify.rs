//! What was seen, made into a verdict: a pure function, so that every row of the table can be tried without a balancer.

use super::names::{Owner, Reading, owner};
use super::observed::{Carrier, Field, Held, Observed, Trial};
use super::statistics::{above, below, chi_square, same_by_chance};

/// What keeps a client with its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing: each request is placed anew.
    None,
    /// The client's whole address.
    SourceIp,
    /// Its /24.
    Source24,
    /// Its /16, or less of it.
    Source16,
    /// The connection.
    Connection,
    /// A cookie of the balancer's.
    LbCookie,
    /// A cookie of the application's, which the balancer has in a table.
    AppCookieTable,
    /// A cookie of the application's, which the balancer hashes.
    AppCookieHash,
    /// A header field, which it hashes.
    HeaderHash,
    /// A header field, whose values it has in a table.
    HeaderTable,
    /// The URL, which it hashes.
    UrlHash,
    /// Several of these.
    Mixed,
    /// It could not be told.
    Unknown,
}

/// What a probe comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What keeps a client.
    pub kind: Kind,
    /// 1 less the error probabilities of what it rests on.
    pub certainty: f64,
    /// In one plain sentence.
    pub sentence: String,
    /// What else is known of it: its form, consistent or not, how new clients are placed.
    pub details: Vec<String>,
    /// What speaks against it, or could not be told.
    pub doubts: Vec<String>,
}

/// What chance may have done at most, where nothing hangs on it but a detail.
const RARE: f64 = 1e-4;
/// Said of a table.
const LEARNT: &str = "a value is learnt from the first request that has it, and placed in turn: no hash";

/// One thing that keeps clients.
struct Part {
    kind: Kind,
    words: String,
    chance: f64,
    details: Vec<String>,
    doubt: Option<String>,
}

impl Kind {
    /// As it stands in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SourceIp => "source_ip",
            Self::Source24 => "source_24",
            Self::Source16 => "source_16",
            Self::Connection => "connection",
            Self::LbCookie => "lb_cookie",
            Self::AppCookieTable => "app_cookie_table",
            Self::AppCookieHash => "app_cookie_hash",
            Self::HeaderHash => "header_hash",
            Self::HeaderTable => "header_table",
            Self::UrlHash => "url_hash",
            Self::Mixed => "mixed",
            Self::Unknown => "unknown",
        }
    }
}

/// The verdict on what was seen; a reading for each carrier, in their order.
#[must_use]
pub fn classify(seen: &Observed, readings: &[Reading]) -> Verdict {
    match seen.nodes.len() {
        0 => {
            return unknown(
                "The backends cannot be told apart, so that nothing can be said; --identify names what tells them.",
            );
        }
        1 => {
            return unknown(if seen.varies {
                "Every answer came from one backend: there is only one, or everything looks the same to the balancer."
            } else {
                "Every answer came from one backend: there is only one, or clients are kept by their address, and all came from one; --client-header names the field by which the balancer believes another."
            });
        }
        _ => {}
    }
    let mut parts = Vec::new();
    // While the address keeps a client and cannot be changed, everything else seems to keep it too.
    let is_always = |trial: Option<&Trial>| seen.held(trial).is_always();
    let stays = is_always(seen.same_address.as_ref());
    if seen.varies || !stays {
        for (at, carrier) in seen.carriers.iter().enumerate() {
            parts.extend(cookie(seen, carrier, readings.get(at).unwrap_or(&Reading::default())));
        }
        parts.extend(seen.headers.iter().filter_map(|field| header(seen, field)));
    }
    let is_by_address = seen.varies && stays && seen.spread.counts().iter().filter(|c| **c > 0).count() > 1;
    if is_by_address {
        parts.push(address(seen));
    } else if stays && seen.held(seen.other_paths.as_ref()) == Held::No {
        let chance = seen.held(seen.same_address.as_ref()).chance().unwrap_or(1.0);
        let words = "the URL that is asked for".to_owned();
        parts.push(Part {
            kind: Kind::UrlHash,
            words,
            chance,
            details: vec![consistency(seen, None)],
            doubt: None,
        });
    } else if !stays && let Some(chance) = seen.held(seen.connection.as_ref()).chance() {
        let words = "their connection, for as long as it is open".to_owned();
        parts.push(Part { kind: Kind::Connection, words, chance, details: Vec::new(), doubt: None });
    }
    join(seen, parts)
}

fn unknown(sentence: &str) -> Verdict {
    Verdict {
        kind: Kind::Unknown,
        certainty: 0.0,
        sentence: sentence.to_owned(),
        details: Vec::new(),
        doubts: Vec::new(),
    }
}

fn cookie(seen: &Observed, carrier: &Carrier, reading: &Reading) -> Option<Part> {
    let name = &carrier.name;
    let made_up = seen.held(carrier.made_up.as_ref()).chance();
    let alone = seen.held(carrier.alone.as_ref()).chance();
    let (kept, of) = carrier.kept_birth;
    let knows_birth = kept == of && same_by_chance(&seen.shares, 2).powf(of as f64) < 1e-3;
    let whose = owner(carrier, reading);
    // Where backends are told apart by what a client sends back, it stays by its own word.
    let is_echo = seen.told_by.as_ref() == Some(name)
        && carrier.made_up.as_ref().is_none_or(|row| row.seen.iter().flatten().next().is_none());
    let part = |kind, words, chance, details, doubt| Some(Part { kind, words, chance, details, doubt });
    match (made_up, alone) {
        (Some(chance), _) if is_learnt(seen, &carrier.new_keys) => {
            let words = format!("a table of the cookie {name}");
            part(Kind::AppCookieTable, words, chance, vec![LEARNT.to_owned()], None)
        }
        (Some(chance), _) if knows_birth && carrier.is_set => {
            let words = format!("a table of the application's cookie {name}");
            let details = vec!["values that nobody made are placed by their hash, or learnt".to_owned()];
            part(Kind::AppCookieTable, words, chance, details, None)
        }
        (Some(chance), _) if !carrier.is_set => {
            let details = vec![consistency(seen, carrier.modulo)];
            let doubt = carrier.modulo.is_none().then(|| looks_alike(name));
            part(
                Kind::AppCookieHash,
                format!("the value of the cookie {name}, by a hash"),
                chance,
                details,
                doubt,
            )
        }
        (Some(chance), _) => {
            let mut details = vec![consistency(seen, carrier.modulo)];
            if of > kept {
                details.push(format!(
                    "{} of {of} new clients left the backend that made their session at once: what is in its memory is lost",
                    of - kept
                ));
            }
            part(Kind::AppCookieHash, format!("the hash of the cookie {name}"), chance, details, None)
        }
        (None, Some(chance)) => {
            let chance = if is_echo { chance.max(0.5) } else { chance };
            let doubt = is_echo.then(|| by_its_own_word(name));
            match whose {
                Owner::Application(why) => {
                    let words = format!("a table of the application's cookie {name}");
                    let details = vec![format!("it is the application's: {why}")];
                    part(Kind::AppCookieTable, words, chance, details, doubt)
                }
                Owner::Balancer(why) if reading.is_part => {
                    let words = format!("the backend's name in the application's cookie {name}");
                    part(Kind::LbCookie, words, chance, vec![why], doubt)
                }
                Owner::Balancer(why) => {
                    let details = vec![format!("{name} is the balancer's: {why}")];
                    part(Kind::LbCookie, format!("the balancer's own cookie {name}"), chance, details, doubt)
                }
                Owner::Unclear => {
                    let unclear = format!(
                        "whether {name} is the balancer's or the application's does not show; --direct asks a backend itself"
                    );
                    let doubt = doubt.or(Some(unclear));
                    part(Kind::LbCookie, format!("the cookie {name}"), chance.max(0.5), Vec::new(), doubt)
                }
            }
        }
        (None, None) => None,
    }
}

fn header(seen: &Observed, field: &Field) -> Option<Part> {
    let chance = seen.held(Some(&field.made_up)).chance()?;
    let words = format!("the value of the field {}", field.name);
    Some(if is_learnt(seen, &field.new_keys) {
        Part { kind: Kind::HeaderTable, words, chance, details: vec![LEARNT.to_owned()], doubt: None }
    } else {
        let doubt = field.modulo.is_none().then(|| looks_alike(&field.name));
        let details = vec![consistency(seen, field.modulo)];
        Part { kind: Kind::HeaderHash, words, chance, details, doubt }
    })
}

/// Whether new keys are placed in turn, which no hash does.
fn is_learnt(seen: &Observed, new_keys: &Trial) -> bool {
    in_turn(new_keys, seen.nodes.len()).is_some_and(|p| p <= RARE)
}

fn by_its_own_word(name: &str) -> String {
    format!(
        "backends are told apart by {name}, which a client sends back, and nothing shows that anybody reads it: --identify by something else tells"
    )
}

fn looks_alike(name: &str) -> String {
    format!(
        "a table of {name} that places values it does not know by a hash would look alike: the URL of a page that sets {name}, or --login, tells"
    )
}

fn address(seen: &Observed) -> Part {
    let chance = seen.held(seen.same_address.as_ref()).chance().unwrap_or(1.0);
    let of_24 = seen.held(seen.same_24.as_ref());
    let of_16 = seen.held(seen.same_16.as_ref());
    let (kind, words, more) = match (of_24, of_16) {
        (Held::Always(p), Held::Always(q)) => {
            (Kind::Source16, "the /16 of their address, or less of it", p + q)
        }
        (Held::Always(p), _) => (Kind::Source24, "the /24 of their address", p),
        _ => (Kind::SourceIp, "their whole address", 0.0),
    };
    let mut details =
        vec!["who shares an address, as behind one NAT, shares a backend; who changes it moves".to_owned()];
    details.push(match seen.ip_hash {
        Some(p) => format!("placed as nginx's ip_hash does, by its formula (error probability {})", tiny(p)),
        None if is_learnt(seen, &seen.spread) => {
            "kept in a table: addresses are placed in turn as they come, which no hash does".to_owned()
        }
        None => consistency(seen, seen.address_modulo),
    });
    Part { kind, words: words.to_owned(), chance: chance + more, details, doubt: None }
}

/// Whether a hash is consistent, as far as that was seen.
fn consistency(seen: &Observed, modulo: Option<f64>) -> String {
    match (modulo, seen.collateral) {
        (Some(p), _) => format!("modulo: nginx's `hash` by its formula (error probability {})", tiny(p)),
        (None, Some((0, of))) if of > 0 => {
            format!(
                "none of {of} keys of the backends that stayed moved: consistent, or only the lost one's keys are placed again"
            )
        }
        (None, Some((moved, of))) if of > 0 => {
            format!("{moved} of {of} keys moved whose backend stayed: not consistent")
        }
        (None, _) => "consistent or modulo does not show while no backend goes; --kill-hook tells".to_owned(),
    }
}

fn join(seen: &Observed, mut parts: Vec<Part>) -> Verdict {
    let n = seen.nodes.len();
    let mut doubts: Vec<String> = parts.iter_mut().filter_map(|p| p.doubt.take()).collect();
    let jar = seen.jar_moved.as_ref().filter(|_| seen.varies).or(seen.jar.as_ref());
    if parts.is_empty() {
        if seen.held(jar).is_always() {
            let sentence =
                "Clients are kept by their cookies, and no single cookie is enough to keep them.".to_owned();
            let certainty = 1.0 - seen.held(jar).chance().unwrap_or(1.0);
            return Verdict { kind: Kind::Mixed, certainty, sentence, details: Vec::new(), doubts };
        }
        if seen.is_cut {
            return unknown("The time was up before everything was asked: --within gives more.");
        }
        return nothing(seen, doubts);
    }
    if seen.is_cut {
        doubts.push("the time was up before everything was asked".to_owned());
    }
    if let Some(login) = seen.login.filter(|l| l.known < l.of) {
        doubts.push(format!(
            "a login does not last all the same: {} of {} requests behind it knew the user",
            login.known, login.of
        ));
    }
    if !seen.varies {
        doubts.push("clients could come from one address only: what an address does is not known".to_owned());
    }
    let certainty = (1.0 - parts.iter().map(|p| p.chance).sum::<f64>()).max(0.0);
    let is_one = parts.iter().all(|p| p.kind == parts[0].kind);
    let kind = if is_one { parts[0].kind } else { Kind::Mixed };
    let words: Vec<&str> = parts.iter().map(|p| p.words.as_str()).collect();
    let by = if is_one { words.join(" or ") } else { words.join("; without that, by ") };
    let sentence = format!("Clients are kept with one of {n} backends by {by}.");
    let mut details: Vec<String> = Vec::new();
    for detail in parts.into_iter().flat_map(|p| p.details) {
        if !details.contains(&detail) {
            details.push(detail);
        }
    }
    Verdict { kind, certainty, sentence, details, doubts }
}

/// Nothing keeps clients, if the rows say so.
fn nothing(seen: &Observed, mut doubts: Vec<String>) -> Verdict {
    let n = seen.nodes.len();
    let rows = [seen.same_address.as_ref(), seen.jar.as_ref(), seen.connection.as_ref()];
    let held = rows.map(|row| seen.held(row));
    let mostly = held.iter().find_map(|h| if let Held::Mostly(share) = h { Some(*share) } else { None });
    if let Some(share) = mostly {
        doubts.push("a backend or the balancer may have failed meanwhile, or a second balancer knows nothing of the first".to_owned());
        let sentence = format!(
            "Clients are kept most of the time only: {:.0} % of the answers came from one backend of {n}.",
            share * 100.0
        );
        return Verdict { kind: Kind::Mixed, certainty: 1.0 - 1e-6, sentence, details: Vec::new(), doubts };
    }
    let is_one_node = seen.order.held(&seen.shares) != Held::No;
    if is_one_node && held[0] != Held::No {
        let mut verdict = unknown("Too few requests were answered in a way that tells.");
        verdict.doubts = doubts;
        return verdict;
    }
    let (how, chance) = placing(seen);
    let costs = match seen.login {
        Some(login) if login.is_everywhere() && login.is_signed => {
            "a login lasts all the same, since each backend can verify its signed token".to_owned()
        }
        Some(login) if login.is_everywhere() => {
            "a login lasts all the same, since the backends share their sessions".to_owned()
        }
        Some(login) if login.known < login.of => {
            format!("a login does not last: {} of {} requests behind it knew the user", login.known, login.of)
        }
        _ => "a session in one backend's memory is lost as soon as a request goes elsewhere".to_owned(),
    };
    let sentence = format!("No affinity: each request goes to any of {n} backends, {how}; {costs}.");
    Verdict { kind: Kind::None, certainty: 1.0 - chance, sentence, details: Vec::new(), doubts }
}

/// How requests that nothing keeps are placed, and the probability that chance looks so.
#[must_use]
pub fn placing(seen: &Observed) -> (&'static str, f64) {
    let n = seen.nodes.len();
    for row in [&seen.order, &seen.one_line] {
        if let Some(p) = in_turn(row, n).filter(|p| *p <= RARE) {
            return ("in turn (round robin, or least connections while there are few)", p);
        }
    }
    let mut counts = seen.order.counts();
    counts.resize(n.max(counts.len()), 0);
    let (x, degrees) = (chi_square(&counts), n.saturating_sub(1));
    let (even, uneven) = (below(x, degrees), above(x, degrees));
    if even <= RARE {
        ("more evenly than chance: in turn, over several counters", even)
    } else if uneven <= RARE {
        ("unevenly, by weights or by load", uneven)
    } else {
        ("as if at random", 0.0)
    }
}

/// The probability that choices at random look like turns: each backend is always followed by the same other one.
fn in_turn(row: &Trial, n: usize) -> Option<f64> {
    let mut next: Vec<Option<usize>> = vec![None; n];
    let mut steps = 0_usize;
    for pair in row.seen.windows(2) {
        let [Some(from), Some(to)] = pair else { continue };
        let follows = next.get_mut(*from)?;
        if from == to || *follows.get_or_insert(*to) != *to {
            return None;
        }
        steps += 1;
    }
    let mut followers: Vec<usize> = next.into_iter().flatten().collect();
    followers.sort_unstable();
    followers.dedup();
    (followers.len() == n && n > 1).then(|| (n as f64).powf(-(steps.saturating_sub(n) as f64)))
}

/// A small probability, as people write it.
#[must_use]
pub fn tiny(p: f64) -> String {
    if p == 0.0 {
        "0".to_owned()
    } else if p < 1e-12 {
        "below 1e-12".to_owned()
    } else if p < 0.01 {
        format!("{p:.0e}")
    } else {
        format!("{p:.2}")
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
