//! The files that people start from are accepted: config.toml and every one in examples/.

use std::path::{Path, PathBuf};

use homing::config::diagnostic::Severity;
use homing::config::{Environment, load};
use homing::strategy::Registry;

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = std::fs::read_dir(root.join("examples")).into_iter().flatten().flatten().map(|e| e.path());
    let toml = |p: &PathBuf| p.extension().is_some_and(|e| e == "toml");
    examples.filter(toml).chain([root.join("config.toml")]).collect()
}

#[test]
fn every_file_that_is_shipped_is_accepted() {
    let (registry, environment) = (Registry::built_in(), Environment::detect().unwrap());
    let files = files();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let loaded = load(&file, &registry, &environment).unwrap_or_else(|e| panic!("{e}"));
        // No key is shipped, so the one thing that may be said is that there is none.
        let said: Vec<_> =
            loaded.warnings.iter().filter(|d| !d.message.contains("without a secret")).collect();
        assert!(said.is_empty(), "{said:?}");
        assert!(loaded.warnings.iter().all(|d| d.severity == Severity::Warning));
    }
}
