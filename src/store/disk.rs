//! A table in a file, which is whole at every moment: it is written beside its name, and takes the name when it is safe.
//!
//! The file holds the seeds of the digests and is as secret as session ids are: only its owner may read it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::form::{self, Loaded, ReadError};
use crate::affinity::table::{Bounds, Table, Times};
use crate::base::time::UnixSeconds;

/// Bytes handed to the system at once.
const BUFFER: usize = 256 << 10;
/// What the name of an unfinished file has behind that of the file.
const UNFINISHED: &str = ".saving-";
/// An unfinished file that nobody wrote to for so long was left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// What was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Sessions in the file.
    pub sessions: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Why a table was not saved. The file of before is as it was, unless it says otherwise.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The folder is not there, or not open to homing.
    #[error("create {}: its folder must be there, and writable for homing's user", path.display())]
    Create {
        /// The unfinished file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no room.
    #[error("write {}: there is no room; the sessions saved before are kept until some is made", path.display())]
    Full {
        /// The unfinished file, removed again.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk does not take it.
    #[error("write {}: the sessions saved before are kept", path.display())]
    Write {
        /// The unfinished file, removed again.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was written and could not take its name.
    #[error("rename {} to {}: is that something else than a file?", from.display(), to.display())]
    Rename {
        /// The unfinished file, removed again.
        from: PathBuf,
        /// The name it was to have.
        to: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has its name, and is whole; the disk may not have heard of it.
    #[error("sync the folder of {}: the sessions are saved, but a power cut may bring back those of before", path.display())]
    Sync {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a file was not loaded; nothing of it was. [`set_aside`] keeps it from being written over by the next save.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It cannot be opened.
    #[error("open {}: it must be a file that homing's user may read", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds no table, or not a whole one.
    #[error("read the sessions kept in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
}

/// Saves a table as `path`, which names the old file or the new one at every moment, whatever breaks; when this returns
/// it is on the disk. Blocks for as long as that takes; other threads may use the table meanwhile.
///
/// # Errors
///
/// It cannot be written. The old file is left and the new one removed.
pub fn save(table: &Table, path: &Path, now: UnixSeconds) -> Result<Saved, SaveError> {
    let _alone = table.saving();
    replace(path, |file| {
        let mut out = BufWriter::with_capacity(BUFFER, file);
        let sessions = form::write(table, &mut out, now)?;
        out.flush()?;
        let bytes = out.get_ref().metadata()?.len();
        Ok(Saved { sessions, bytes })
    })
}

/// Loads the table that was saved as `path`, as [`form::read`] says; none if there is no such file. Removes what saves
/// left behind that were cut off, ten minutes after that.
///
/// # Errors
///
/// The file is there and is not, to the last byte, what was saved.
pub fn load(
    path: &Path,
    bounds: Bounds,
    now: UnixSeconds,
    times: Times,
) -> Result<Option<Loaded>, LoadError> {
    remove_left_behind(path);
    let mut file = match open(path) {
        Ok(file) => io::BufReader::with_capacity(BUFFER, file),
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LoadError::Open { path: path.into(), source }),
    };
    let read = form::read(&mut file, bounds, now, times);
    read.map(Some).map_err(|source| LoadError::Read { path: path.into(), source })
}

/// Renames a file that did not load to `NAME.corrupt-<now>`, for somebody to look at, and says what that is.
///
/// # Errors
///
/// The folder is not open to homing.
pub fn set_aside(path: &Path, now: UnixSeconds) -> io::Result<PathBuf> {
    let aside = beside(path, &format!(".corrupt-{}", now.0));
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Opens a file and nothing else: a pipe or a device could be read for ever.
fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() { File::open(path) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Lets `write` fill a new file, then gives it the name.
fn replace<T>(path: &Path, write: impl FnOnce(&mut File) -> io::Result<T>) -> Result<T, SaveError> {
    let new = beside(path, &format!("{UNFINISHED}{:016x}", fastrand::u64(..)));
    let create = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let mut file = create.map_err(|source| SaveError::Create { path: new.clone(), source })?;
    let written = write(&mut file).and_then(|told| file.sync_all().map(|()| told));
    let done = written.map_err(|source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            SaveError::Full { path: new.clone(), source }
        }
        _ => SaveError::Write { path: new.clone(), source },
    });
    let named = done.and_then(|told| {
        let renamed = fs::rename(&new, path);
        renamed.map_err(|source| SaveError::Rename { from: new.clone(), to: path.into(), source })?;
        let synced = File::open(folder(path)).and_then(|folder| folder.sync_all());
        synced.map_err(|source| SaveError::Sync { path: path.into(), source })?;
        Ok(told)
    });
    if named.is_err() {
        let _ = fs::remove_file(&new); // Whether or not it is there; if not even this works, `load` tries again.
    }
    named
}

/// Removes unfinished files of `path` that nobody writes to any more. What cannot be removed stays.
fn remove_left_behind(path: &Path) {
    let prefix = beside(path, UNFINISHED);
    let Some(prefix) = prefix.file_name() else { return };
    for entry in fs::read_dir(folder(path)).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if is_ours && age().is_some_and(|age| age > LEFT_BEHIND) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The path of a file whose name has something behind it.
fn beside(path: &Path, behind: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().into();
    name.push(behind);
    name.into()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
