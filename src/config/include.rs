//! `include = ["pools/*.toml"]`: further files, as if what stands in them stood in the main one.
//!
//! The last part of a path may have `*` (any characters) and `?` (one); a folder's files come in the order of their
//! names. An included file may hold whatever the main one may, once all told where it must stand once, and includes none.

use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::diagnostic::Report;
use super::item::Place;
use super::reader::quoted;
use super::sources::{File, MOST_FILES, Sources};

/// An included file.
pub(super) struct Included {
    /// Where its text begins.
    pub(super) base: usize,
    pub(super) text: Arc<str>,
}

/// Reads the files that the main text includes, once each, in order; reports those that cannot be read.
pub(super) fn find(report: &Report, main: &DeTable<'_>, folder: &Path, sources: &Sources) -> Vec<Included> {
    let mut files: Vec<(std::path::PathBuf, Arc<File>)> = Vec::new();
    for (place, pattern) in patterns(report, main) {
        let span = place.span();
        let refuse =
            |what: String| report.error(span.clone(), format!("include {}: {what}", quoted(pattern)));
        let (path, inner) = (folder.join(pattern), Path::new(pattern).parent());
        if inner.is_some_and(|f| f.to_string_lossy().contains(['*', '?'])) {
            refuse("* and ? must stand in the last part of the path".to_owned());
            continue;
        }
        let found = match sources.matching(&path) {
            Ok(found) => found,
            Err(error) => {
                refuse(format!("read the folder: {error}"));
                continue;
            }
        };
        if found.is_empty() {
            let message = format!("include {}: no file fits", quoted(pattern));
            report.warning(span.clone(), message, "put one there, or remove the pattern");
        }
        for path in found.into_iter().filter(|f| f != sources.origin()) {
            if files.iter().any(|(known, _)| *known == path) {
                continue;
            }
            if files.len() == MOST_FILES {
                refuse(format!("must be at most {MOST_FILES} files in all"));
                return Vec::new();
            }
            match sources.file(&path) {
                Ok(file) => files.push((path, file)),
                Err(error) => refuse(format!("read {}: {error}", path.display())),
            }
        }
    }
    sources.include(files.iter().map(|(_, file)| Arc::clone(file)).collect());
    let add = |(path, file): (std::path::PathBuf, Arc<File>)| Included {
        base: report.add(&path, &file.text),
        text: Arc::clone(&file.text),
    };
    files.into_iter().map(add).collect()
}

fn patterns<'t>(report: &Report, main: &'t DeTable<'_>) -> Vec<(Place, &'t str)> {
    let Some(value) = main.get("include") else { return Vec::new() };
    let must = "include must be a list of files, as in include = [\"pools/*.toml\"]";
    let DeValue::Array(list) = value.get_ref() else {
        report.error(value.span(), must);
        return Vec::new();
    };
    let pattern = |v: &'t toml::Spanned<DeValue<'_>>| match v.get_ref().as_str() {
        Some(text) if !text.is_empty() && !text.contains('\0') => Some((Place::new(0, &v.span()), text)),
        _ => {
            report.error(v.span(), must);
            None
        }
    };
    list.iter().filter_map(pattern).collect()
}
