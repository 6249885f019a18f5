//! The bytes that a configuration is made of: its file, the files that it includes, the key files that it names.
//!
//! Every file is read when it is first needed and remembered, so that one [`Sources`] gives the same plan however often
//! it is built: an operator's weight does not bring in what has changed on disk meanwhile. [`Sources::fresh`] does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostics, Report};
use super::{Environment, Loaded, effective};
use crate::base::hash::{combine, hash64};
use crate::base::units::ByteSize;
use crate::snapshot::carried::Carried;
use crate::strategy::Registry;

/// Largest file that is read, bytes.
const LARGEST: u64 = 8 << 20;
/// Most files that a configuration includes.
pub(super) const MOST_FILES: usize = 1000;
/// Most names that are looked at for one pattern.
const MOST_NAMES: usize = 100_000;

/// Everything that a configuration is read from.
#[derive(Clone)]
pub struct Sources {
    origin: PathBuf,
    text: Arc<str>,
    /// Whether the text is that of the file `origin`.
    is_file: bool,
    seen: RefCell<Seen>,
}

/// What was read beside the main text.
#[derive(Clone, Default)]
struct Seen {
    files: BTreeMap<PathBuf, Arc<File>>,
    /// The files of each pattern.
    patterns: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// Files that were included, in their order.
    included: Vec<Arc<File>>,
}

/// A file as it was when it was read.
pub(super) struct File {
    pub(super) text: Arc<str>,
    /// Its permissions.
    pub(super) mode: u32,
}

impl Sources {
    /// Reads a configuration's file. The others are read when it is built first.
    ///
    /// # Errors
    /// It cannot be read, is larger than 8 MiB, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let whole = |e: io::Error| Diagnostics::of_file(path, format!("read configuration: {e}"));
        let (bytes, _) = read(path).map_err(whole)?;
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))?;
        Ok(Self { is_file: true, ..Self::text(&text, path) })
    }

    /// A configuration that is no file. `origin` is its name in messages; files that it names are looked for in that
    /// name's folder.
    #[must_use]
    pub fn text(text: &str, origin: &Path) -> Self {
        Self { origin: origin.to_owned(), text: text.into(), is_file: false, seen: RefCell::default() }
    }

    /// The same configuration as it is on disk now.
    ///
    /// # Errors
    /// As [`Self::read`], or it was not read from a file: a pipe has nothing more to say, and may be waited on for ever.
    pub fn fresh(&self) -> Result<Self, Diagnostics> {
        if !self.is_file {
            return Ok(Self::text(&self.text, &self.origin));
        }
        let whole =
            |e: io::Error| Diagnostics::of_file(&self.origin, format!("read configuration again: {e}"));
        must_be_file(&self.origin).map_err(whole)?;
        Self::read(&self.origin)
    }

    /// The plan that the sources make, with what is carried over from the one before.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included.
    pub fn build(
        &self,
        registry: &Registry,
        environment: &Environment,
        carried: &Carried<'_>,
    ) -> Result<Loaded, Diagnostics> {
        super::build(self, registry, environment, carried, |_| ()).map(|(loaded, ())| loaded)
    }

    /// The configuration in effect as a file that says the same, with where each line came from; and what is probably
    /// not meant.
    ///
    /// # Errors
    /// Everything that is wrong, warnings included.
    pub fn print(
        &self,
        registry: &Registry,
        environment: &Environment,
    ) -> Result<(String, Diagnostics), Diagnostics> {
        let folder = self.origin.parent().unwrap_or(Path::new(""));
        let print = |report: &Report| effective::print(report, folder);
        let built = super::build(self, registry, environment, &Carried::default(), print);
        built.map(|(loaded, text)| (text, loaded.warnings))
    }

    /// Equal for equal texts: that of the file and of those that it included when it was built. Key files are left out:
    /// what is shown to everybody tells nothing of a key.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let seen = self.seen.borrow();
        let included = seen.included.iter().map(|file| &file.text);
        included.fold(hash64(self.text.as_bytes()), |sum, text| combine(sum, hash64(text.as_bytes())))
    }

    /// The name of the main text.
    #[must_use]
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// The main text.
    pub(super) const fn main(&self) -> &Arc<str> {
        &self.text
    }

    /// A file that the configuration names.
    pub(super) fn file(&self, path: &Path) -> io::Result<Arc<File>> {
        if let Some(file) = self.seen.borrow().files.get(path) {
            return Ok(Arc::clone(file));
        }
        must_be_file(path)?;
        let (bytes, mode) = read(path)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))?;
        let file = Arc::new(File { text: text.into(), mode });
        self.seen.borrow_mut().files.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// The files that a pattern stands for, in the order of their names.
    pub(super) fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        if let Some(files) = self.seen.borrow().patterns.get(pattern) {
            return Ok(files.clone());
        }
        let files = find(pattern)?;
        self.seen.borrow_mut().patterns.insert(pattern.to_owned(), files.clone());
        Ok(files)
    }

    /// Remembers which files were included.
    pub(super) fn include(&self, files: Vec<Arc<File>>) {
        self.seen.borrow_mut().included = files;
    }
}

impl fmt::Debug for Sources {
    /// Without the texts: there may be keys among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<PathBuf> = self.seen.borrow().files.keys().cloned().collect();
        f.debug_struct("Sources").field("origin", &self.origin).field("files", &files).finish_non_exhaustive()
    }
}

/// A pipe or a device could be read for ever, and everybody would wait.
fn must_be_file(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file, but a folder, a pipe or a device"))
}

fn read(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = std::fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("it is larger than {}", ByteSize(LARGEST));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok((bytes, mode))
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Diagnostics {
    let valid = error.utf8_error().valid_up_to();
    let report = Report::default();
    report.add(path, &String::from_utf8_lossy(error.as_bytes()).into());
    report.error(valid..valid + 1, "this is not UTF-8: the file must be UTF-8 text");
    report.into_diagnostics()
}

/// Files whose name fits the last part of the pattern. Names that begin with a dot are meant only by patterns that do.
fn find(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let folder = pattern.parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        entries => entries?,
    };
    for entry in entries.take(MOST_NAMES) {
        let entry = entry?.file_name();
        let Some(found) = entry.to_str() else { continue };
        let is_hidden = found.starts_with('.') && !name.starts_with('.');
        let path = pattern.with_file_name(found);
        if !is_hidden && fits(name.as_bytes(), found.as_bytes()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a name fits a pattern: `*` is any characters, `?` is one. After a `*` that turned out too short it is tried
/// one longer, and only the last one ever is: so it takes at most name times pattern steps.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                // One character may be several bytes.
                let rest = name[n + 1..].iter().take_while(|b| c == b'?' && **b & 0xc0 == 0x80).count();
                (p, n) = (p + 1, n + 1 + rest);
            }
            Some(_) | None => match retry {
                Some((after, at)) => {
                    retry = Some((after, at + 1));
                    (p, n) = (after, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;

#[cfg(test)]
mod pattern_tests {
    use proptest::prelude::*;

    use super::*;

    /// By definition, without cleverness.
    fn fits_slowly(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], rest) => rest.is_empty(),
            (['*', after @ ..], rest) => (0..=rest.len()).any(|n| fits_slowly(after, &rest[n..])),
            (['?', after @ ..], [_, rest @ ..]) => fits_slowly(after, rest),
            ([p, after @ ..], [n, rest @ ..]) => p == n && fits_slowly(after, rest),
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_as_defined(pattern in "[ab\u{e4}*?]{0,7}", name in "[ab\u{e4}]{0,8}") {
            let [p, n] = [&pattern, &name].map(|t| t.chars().collect::<Vec<_>>());
            prop_assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), fits_slowly(&p, &n));
        }
    }
}
