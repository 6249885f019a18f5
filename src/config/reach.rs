//! Where a configuration's admin listener is, for those that ask it: also of a file that is half edited, because asking
//! homing is how one learns what is wrong with it.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::diagnostic::Report;
use super::{Sources, Variables, address, defaults, expand, include};
use crate::net::listen::ListenAddress;

/// How the homing that runs with a configuration is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where its admin listener listens.
    pub listen: ListenAddress,
    /// The file with its token.
    pub token: Option<PathBuf>,
}

/// Reads `[admin]` alone, whatever is wrong with the rest.
///
/// # Errors
/// The file cannot be read, or names no address; in words.
pub fn reach(path: &Path, variables: &Variables) -> Result<Reach, String> {
    let sources = Sources::read(path).map_err(|wrong| wrong.to_string().trim_end().to_owned())?;
    let (name, report) = (path.display(), Report::default());
    let main = table(sources.main(), variables, &report);
    let wrong = DeTable::parse(sources.main()).err();
    let folder = path.parent().unwrap_or(Path::new(""));
    let included = include::find(&report, &main, folder, &sources);
    let included = included.iter().map(|file| table(&file.text, variables, &report));
    let admin = std::iter::once(main).chain(included).find_map(|mut table| table.remove("admin"));
    let admin = admin.ok_or_else(|| match wrong {
        Some(wrong) => format!("{name}: no [admin] in as much of it as can be read: {}", wrong.message()),
        None => format!("{name} has no [admin]: the homing that runs with it cannot be asked"),
    })?;
    let DeValue::Table(admin) = admin.into_inner() else {
        return Err(format!("{name}: admin must be a table"));
    };
    let listen = match admin.get("listen").map(toml::Spanned::get_ref) {
        None => ListenAddress::Tcp { address: defaults::ADMIN, both_families: false },
        Some(DeValue::String(text)) => {
            address::listen(text).map_err(|must| format!("{name}: [admin] listen = {text:?}: {must}"))?
        }
        Some(_) => return Err(format!("{name}: [admin] listen must be a string")),
    };
    let token = admin.get("token").and_then(|token| token.get_ref().get("file")?.get_ref().as_str());
    Ok(Reach { listen, token: token.map(|file| folder.join(file)) })
}

/// As much of a text as can be read.
fn table<'t>(text: &'t str, variables: &Variables, report: &Report) -> DeTable<'t> {
    let mut table = DeTable::parse_recoverable(text).0.into_inner();
    expand::table(&mut table, 0, report, variables);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("ADMIN".to_owned(), "127.0.0.1:9902".to_owned())].into_iter().collect()
    }

    fn of(text: &str) -> Result<(String, Option<PathBuf>), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let relative = |file: PathBuf| file.strip_prefix(folder.path()).unwrap().to_owned();
        reach(&path, &variables()).map(|r| (r.listen.to_string(), r.token.map(relative)))
    }

    #[test]
    fn the_address_is_found_in_whatever_state_the_file_is() {
        for (text, expected) in [
            ("[admin]\n", "127.0.0.1:9900"),
            ("[admin]\nlisten = \"unix:/run/homing.sock\"\n", "unix:/run/homing.sock"),
            ("admin = { listen = \":9901\" }\n", ":9901"),
            ("[admin]\nlisten = \"[::1]:9900\"\n[[pool]]\nname = \n", "[::1]:9900"),
            ("[admin]\nlisten = \"${ADMIN}\"\n", "127.0.0.1:9902"),
            ("[[pool]]\nstrategy = \"nonsense\"\n[admin]\nlisten = \"127.0.0.1:1\"\n", "127.0.0.1:1"),
        ] {
            assert_eq!(of(text).unwrap().0, expected, "{text}");
        }
    }

    #[test]
    fn an_included_file_may_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "include = [\"conf.d/*.toml\"]\n").unwrap();
        std::fs::create_dir(folder.path().join("conf.d")).unwrap();
        std::fs::write(folder.path().join("conf.d/admin.toml"), "[admin]\nlisten = \":9903\"\n").unwrap();
        assert_eq!(reach(&path, &variables()).unwrap().listen.to_string(), ":9903");
    }

    #[test]
    fn the_file_of_the_token_is_looked_for_beside_the_configuration() {
        let text = "[admin]\ntoken = { file = \"admin.token\" }\n";
        assert_eq!(of(text).unwrap().1.as_deref(), Some(Path::new("admin.token")));
        assert_eq!(of("[admin]\ntoken = \"x\"\n").unwrap().1, None);
    }

    #[test]
    fn without_an_address_it_says_why() {
        for (text, expected) in [
            ("", "has no [admin]"),
            ("[[[", "in as much of it as can be read"),
            ("admin = 3\n", "admin must be a table"),
            ("[admin]\nlisten = 3\n", "listen must be a string"),
            ("[admin]\nlisten = \"localhost:9900\"\n", "must be an IP address"),
        ] {
            let why = of(text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        assert!(
            reach(Path::new("/nowhere/config.toml"), &variables())
                .unwrap_err()
                .contains("read configuration")
        );
    }
}
