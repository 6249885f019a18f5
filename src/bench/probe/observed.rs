//! What was seen, without a word on what it means: rows of answers, each with the backend it came from.

use super::statistics::{at_least, same_by_chance};

/// A backend, by the order in which it was first seen.
pub type Node = usize;

/// A row of answers to requests that have something in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Who answered each; none where nobody did, or nobody that can be told.
    pub seen: Vec<Option<Node>>,
    /// Requests of others that were put in between.
    pub fillers: usize,
}

/// Whether a row's answers all came from one backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    /// All did; the probability that choices made anew each time look so.
    Always(f64),
    /// Most did, more than chance explains: this share.
    Mostly(f64),
    /// They did not.
    No,
    /// There are too few to tell.
    Unknown,
}

/// A cookie that answers set, or that a client makes up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carrier {
    /// Its name.
    pub name: String,
    /// Whether answers set it.
    pub is_set: bool,
    /// A client that sends this cookie alone.
    pub alone: Option<Trial>,
    /// A client that sends a made-up value again and again.
    pub made_up: Option<Trial>,
    /// Second requests of new clients: how many came to the backend that made the cookie, and of how many.
    pub kept_birth: (usize, usize),
    /// Values that were set: the backend and the value.
    pub values: Vec<(Node, String)>,
    /// Whether the application sets it without a balancer: asked of a backend itself, where that is known.
    pub is_the_applications: Option<bool>,
    /// Whether an answer to a path that nobody serves sets it.
    pub is_set_anywhere: Option<bool>,
    /// Where made-up values led that were new each time, one behind the other over one connection.
    pub new_keys: Trial,
    /// Made-up values and where they led: nginx's modulo hash was recognised, with this error probability.
    pub modulo: Option<f64>,
}

/// A field with a made-up value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Always the same value.
    pub made_up: Trial,
    /// As for a [`Carrier`].
    pub new_keys: Trial,
    /// As for a [`Carrier`].
    pub modulo: Option<f64>,
}

/// What became of a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// How many requests behind it knew the user.
    pub known: usize,
    /// Of how many.
    pub of: usize,
    /// How many backends answered them.
    pub places: usize,
    /// Whether it is a signed token.
    pub is_signed: bool,
}

/// All that the classifier knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// What backends are called.
    pub nodes: Vec<String>,
    /// Shares of new clients.
    pub shares: Vec<f64>,
    /// Whether clients could come from several addresses.
    pub varies: bool,
    /// New clients one behind the other, each from another address where that can be.
    pub spread: Trial,
    /// New clients one behind the other from one address, nothing in between.
    pub order: Trial,
    /// New clients one behind the other over one connection, which one of the balancer's threads serves: that has a
    /// counter of its own where several take turns.
    pub one_line: Trial,
    /// From one address with others' requests in between.
    pub same_address: Option<Trial>,
    /// From addresses of one /24, and of one /16.
    pub same_24: Option<Trial>,
    /// See `same_24`.
    pub same_16: Option<Trial>,
    /// No cookies, one kept connection.
    pub connection: Option<Trial>,
    /// One client with all its cookies, a new connection each.
    pub jar: Option<Trial>,
    /// The same from another address each time.
    pub jar_moved: Option<Trial>,
    /// Cookies that keep a client, or might.
    pub carriers: Vec<Carrier>,
    /// Fields with a made-up value that is always the same.
    pub headers: Vec<Field>,
    /// One address, another path and query each time.
    pub other_paths: Option<Trial>,
    /// nginx's `ip_hash` was recognised by its formula, with this error probability.
    pub ip_hash: Option<f64>,
    /// nginx's `hash $remote_addr` was recognised by its formula, with this error probability.
    pub address_modulo: Option<f64>,
    /// Whether the time was up before all was asked that a verdict needs.
    pub is_cut: bool,
    /// What became of a login, where there was one.
    pub login: Option<Login>,
    /// The cookie that tells backends apart, where that is what does.
    pub told_by: Option<String>,
    /// Of keys whose backend stayed when another went: how many moved, and of how many.
    pub collateral: Option<(usize, usize)>,
}

impl Trial {
    /// Whether all came from one backend, given the shares that new clients have.
    #[must_use]
    pub fn held(&self, shares: &[f64]) -> Held {
        /// What chance may have made a row of before nothing is said.
        const TOO_LIKELY: f64 = 1e-3;
        /// What chance may have made most of a row of.
        const MOSTLY: f64 = 1e-6;
        let told: Vec<Node> = self.seen.iter().flatten().copied().collect();
        let counts = self.counts();
        let Some((leader, most)) = counts.iter().copied().enumerate().max_by_key(|(_, c)| *c) else {
            return Held::Unknown;
        };
        if told.len() < 2 || told.len() * 2 < self.seen.len() {
            return Held::Unknown;
        }
        if most == told.len() {
            let chance = same_by_chance(shares, most);
            return if chance <= TOO_LIKELY { Held::Always(chance) } else { Held::Unknown };
        }
        let share = shares.get(leader).copied().unwrap_or(0.5);
        let chance = at_least(most, told.len(), share) * shares.len() as f64;
        if chance <= MOSTLY { Held::Mostly(most as f64 / told.len() as f64) } else { Held::No }
    }

    /// Answers of each backend, by its number.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        let size = self.seen.iter().flatten().max().map_or(0, |m| m + 1);
        let mut counts = vec![0; size];
        self.seen.iter().flatten().for_each(|node| counts[*node] += 1);
        counts
    }

    /// `14 of 14 from a`, `a 5, b 9`, `a 5, b 8, 1 without an answer`
    #[must_use]
    pub fn to_text(&self, nodes: &[String]) -> String {
        let counts = self.counts();
        let name = |node: Node| nodes.get(node).map_or("?", String::as_str);
        let told: Vec<(Node, usize)> = counts.into_iter().enumerate().filter(|(_, c)| *c > 0).collect();
        let mut parts: Vec<String> = match told.as_slice() {
            [(node, count)] => vec![format!("{count} of {} from {}", self.seen.len(), name(*node))],
            several => several.iter().map(|(node, count)| format!("{} {count}", name(*node))).collect(),
        };
        let lost = self.seen.iter().filter(|s| s.is_none()).count();
        if lost > 0 {
            parts.push(format!("{lost} without an answer that tells"));
        }
        parts.join(", ")
    }
}

impl Login {
    /// Whether every backend knows it.
    #[must_use]
    pub const fn is_everywhere(self) -> bool {
        self.known == self.of && self.places > 1
    }
}

impl Held {
    /// Whether the row is one backend's, for certain.
    #[must_use]
    pub const fn is_always(self) -> bool {
        matches!(self, Self::Always(_))
    }

    /// The error probability of that.
    #[must_use]
    pub const fn chance(self) -> Option<f64> {
        match self {
            Self::Always(chance) => Some(chance),
            Self::Mostly(_) | Self::No | Self::Unknown => None,
        }
    }
}

impl Observed {
    /// Whether this row was all one backend's.
    #[must_use]
    pub fn held(&self, trial: Option<&Trial>) -> Held {
        trial.map_or(Held::Unknown, |t| t.held(&self.shares))
    }
}

/// The probability that keys fall into `n` classes by their hash as these do, if the hash is another one; `None` if they
/// do not. `hash` of a key is taken modulo `n`, and each remainder must be one backend's.
#[must_use]
pub fn modulo(placed: &[(Vec<u8>, Node)], n: usize, hash: impl Fn(&[u8]) -> u32) -> Option<f64> {
    let mut of_remainder: Vec<Option<Node>> = vec![None; n];
    let mut distinct = std::collections::BTreeSet::new();
    for (key, node) in placed {
        let slot = of_remainder.get_mut(hash(key) as usize % n.max(1))?;
        if *slot.get_or_insert(*node) != *node {
            return None;
        }
        distinct.insert(key);
    }
    let told: std::collections::BTreeSet<Node> = of_remainder.iter().flatten().copied().collect();
    let is_one_to_one = told.len() == of_remainder.iter().flatten().count() && told.len() == n;
    let free = distinct.len().checked_sub(n).filter(|_| is_one_to_one && n > 1)?;
    Some((n as f64).powf(-(free as f64)))
}

/// What nginx's `hash` takes modulo the number of its servers.
#[must_use]
pub fn nginx_hash(key: &[u8]) -> u32 {
    crc32fast::hash(key) >> 16 & 0x7fff
}

#[cfg(test)]
mod tests {
    use super::super::statistics::equal_shares;
    use super::*;

    fn trial(seen: &[usize]) -> Trial {
        Trial { seen: seen.iter().map(|n| Some(*n)).collect(), fillers: 0 }
    }

    #[test]
    fn a_row_is_one_backends_or_not() {
        let two = equal_shares(2);
        assert!(matches!(trial(&[1; 21]).held(&two), Held::Always(p) if p < 1e-6));
        assert_eq!(trial(&[0, 1, 0, 1]).held(&two), Held::No);
        assert_eq!(trial(&[0; 5]).held(&two), Held::Unknown, "chance does that too often");
        assert_eq!(trial(&[0; 30]).held(&[1.0]), Held::Unknown, "one backend says nothing");
        let mut almost = [0; 30];
        almost[7] = 1;
        assert!(matches!(trial(&almost).held(&two), Held::Mostly(_)));
        let silent = Trial { seen: vec![None, None, None, Some(0), Some(0)], fillers: 0 };
        assert_eq!(silent.held(&two), Held::Unknown);
        assert_eq!(Trial::default().held(&two), Held::Unknown);
    }

    #[test]
    fn rows_are_told_in_words() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(trial(&[1, 1]).to_text(&names), "2 of 2 from b");
        assert_eq!(trial(&[0, 1, 1]).to_text(&names), "a 1, b 2");
        let lost = Trial { seen: vec![Some(0), None], fillers: 0 };
        assert_eq!(lost.to_text(&names), "1 of 2 from a, 1 without an answer that tells");
    }

    #[test]
    fn a_modulo_hash_is_recognised_by_its_formula_alone() {
        let hash = nginx_hash;
        let keys: Vec<Vec<u8>> = (0..30).map(|i| format!("key{i}").into_bytes()).collect();
        let by =
            |place: &dyn Fn(&[u8]) -> usize| keys.iter().map(|k| (k.clone(), place(k))).collect::<Vec<_>>();
        let nginx = by(&|k| [2, 0, 1][hash(k) as usize % 3]);
        assert!(modulo(&nginx, 3, hash).unwrap() < 1e-12);
        assert_eq!(modulo(&nginx, 4, hash), None);
        assert_eq!(modulo(&by(&|k| usize::from(k[k.len() - 1]) % 3), 3, hash), None);
        assert_eq!(modulo(&by(&|_| 0), 3, hash), None, "one backend is no hash");
    }
}
