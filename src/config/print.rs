//! The one-line form as a file: `homing --listen :8080 --to a,b --strategy ip_hash --affinity cookie`.
//!
//! The flags become text and the text is read like any file, so that there is one way in and `--print-config` shows
//! exactly what runs.

use std::fmt::{self, Write as _};

/// The flags of the one-line form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneLine {
    /// `--listen`, as in `:8080`.
    pub listen: String,
    /// `--to`: addresses of backends; one text may hold several, with commas.
    pub to: Vec<String>,
    /// `--strategy`
    pub strategy: Option<String>,
    /// `--affinity`
    pub affinity: Option<String>,
    /// `--admin`
    pub admin: Option<String>,
}

impl OneLine {
    /// The file that says the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        // Writing to memory does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        if let Some(admin) = &self.admin {
            writeln!(out, "[admin]\nlisten = {}\n", quote(admin))?;
        }
        writeln!(out, "[[listener]]\nname = \"web\"\nlisten = {}\n", quote(&self.listen))?;
        writeln!(out, "[[pool]]\nname = \"app\"")?;
        if let Some(strategy) = &self.strategy {
            writeln!(out, "strategy = {}", quote(strategy))?;
        }
        writeln!(out, "backends = [")?;
        for address in self.to.iter().flat_map(|t| t.split(',')).map(str::trim).filter(|a| !a.is_empty()) {
            writeln!(out, "  {},", quote(address))?;
        }
        writeln!(out, "]")?;
        if let Some(affinity) = &self.affinity {
            writeln!(out, "\n[pool.affinity]\nmode = {}", quote(affinity))?;
        }
        Ok(())
    }
}

/// A basic string of TOML.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use toml::de::DeTable;

    use super::super::tests::{ok, said};
    use super::*;

    #[test]
    fn the_flags_are_a_file() {
        let line = OneLine {
            listen: ":8080".to_owned(),
            to: vec!["127.0.0.1:9001, 127.0.0.1:9002".to_owned(), "app:80".to_owned()],
            strategy: Some("ip_hash".to_owned()),
            affinity: Some("cookie".to_owned()),
            admin: Some("127.0.0.1:9900".to_owned()),
        };
        let plan = ok(&line.to_toml()).plan;
        assert_eq!((plan.pools[0].members.len(), plan.pools[0].kind.name), (3, "ip_hash"));
        assert!(plan.pools[0].affinity.is_some() && plan.admin.is_some());
        let plain = OneLine { strategy: None, affinity: None, admin: None, ..line };
        assert_eq!(said(&plain.to_toml()), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn whatever_the_flags_say_the_text_is_toml(
            listen in "\\PC{0,20}", to in prop::collection::vec("\\PC{0,20}|[\"\\\\\n\t]{0,5}", 0..3), word in "\\PC{0,9}",
        ) {
            let word = Some(word);
            let line = OneLine { listen, to, strategy: word.clone(), affinity: word.clone(), admin: word };
            prop_assert!(DeTable::parse(&line.to_toml()).is_ok());
        }
    }
}
