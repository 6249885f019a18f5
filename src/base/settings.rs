//! What a section of the configuration says, key by key, as it is in effect: what two generations are compared by.

use std::cmp::Ordering;

use super::hash::hash64;

/// Every key of a section with its value in effect, defaults included; keys of inner sections as `timeouts.read`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Sorted by key.
    list: Box<[(Box<str>, Box<str>)]>,
}

/// A key that two generations have differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// What was in effect; `None` if nothing was.
    pub old: Option<String>,
    /// What is in effect; `None` if nothing is.
    pub new: Option<String>,
}

impl Settings {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.list.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        self.list.get(at).map(|(_, value)| &**value)
    }

    /// (key, value), in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Equal for equal settings, on every machine.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut text = String::new();
        for part in self.list.iter().flat_map(|(key, value)| [key, value]) {
            text.push_str(part);
            text.push('\0');
        }
        hash64(text.as_bytes())
    }

    /// What is different in `new`, in the order of the keys.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let (mut old, mut new) = (self.iter().peekable(), new.iter().peekable());
        let mut changes = Vec::new();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let was = if order.is_le() { old.next() } else { None };
            let is = if order.is_ge() { new.next() } else { None };
            let Some((key, _)) = was.or(is) else { return changes };
            let [old, new] = [was, is].map(|side| side.map(|(_, value)| value.to_owned()));
            if old != new {
                changes.push(Change { key: key.to_owned(), old, new });
            }
        }
    }
}

impl FromIterator<(String, String)> for Settings {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(from: I) -> Self {
        let mut list: Vec<(Box<str>, Box<str>)> =
            from.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        list.sort();
        Self { list: list.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn changes_are_named_by_key() {
        let old = settings(&[("c", "3"), ("a", "1"), ("b", "2")]);
        let new = settings(&[("d", "4"), ("b", "2"), ("c", "5")]);
        let shown: Vec<_> = old
            .changes(&new)
            .iter()
            .map(|c| format!("{} {:?} {:?}", c.key, c.old.as_deref(), c.new.as_deref()))
            .collect();
        assert_eq!(shown, [r#"a Some("1") None"#, r#"c Some("3") Some("5")"#, r#"d None Some("4")"#]);
        assert_eq!((old.get("b"), old.get("x")), (Some("2"), None));
    }

    #[test]
    fn a_digest_tells_keys_from_values_and_knows_no_order() {
        let (a, b) = (settings(&[("a", "1"), ("b", "2")]), settings(&[("b", "2"), ("a", "1")]));
        assert_eq!((a.digest(), a.changes(&b)), (b.digest(), Vec::new()));
        assert_ne!(a.digest(), settings(&[("a", "1b"), ("", "2")]).digest());
    }
}
