use std::error::Error as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;
use crate::affinity::table::{Record, Seeds};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const BOUNDS: Bounds = Bounds { entries: 1000, bytes: 1 << 20 };

fn times() -> Times {
    Times::new(Duration::from_secs(100), None)
}

fn table(sessions: u32) -> Table {
    let table = Table::new(BOUNDS, Seeds::new([7; 16]));
    let record = Record { home: table.name("a").unwrap(), origin: None, issued: NOW };
    (0..sessions).for_each(|n| _ = table.put(table.digest(&n.to_be_bytes()), record, NOW, times()));
    table
}

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.table");
    (folder, path)
}

/// How many sessions the file holds.
fn saved(path: &Path) -> u64 {
    load(path, BOUNDS, NOW, times()).unwrap().unwrap().table.figures().entries
}

fn files(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_saved_table_is_loaded_and_only_its_owner_may_read_it() {
    let (folder, path) = folder();
    assert!(load(&path, BOUNDS, NOW, times()).unwrap().is_none(), "before the first save there is nothing");
    let told = save(&table(10), &path, NOW).unwrap();
    assert_eq!((told.sessions, told.bytes), (10, fs::metadata(&path).unwrap().len()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(saved(&path), 10);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    save(&table(20), &path, NOW).unwrap();
    assert_eq!(saved(&path), 20);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(files(&folder), ["app.table"], "nothing is left behind");
}

#[test]
fn a_write_that_breaks_leaves_the_file_of_before() {
    let (folder, path) = folder();
    save(&table(10), &path, NOW).unwrap();
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        let fault = replace(&path, |file| {
            file.write_all(b"homing")?;
            Err::<(), _>(kind.into())
        });
        let fault = fault.unwrap_err();
        let is_full = kind == io::ErrorKind::StorageFull;
        assert!(matches!(fault, SaveError::Full { .. }) == is_full, "{fault}");
        assert!(fault.source().is_some());
        assert_eq!(files(&folder), ["app.table"]);
        assert_eq!(saved(&path), 10);
    }
}

#[test]
fn where_nothing_can_be_written_an_error_says_what_to_do() {
    let (folder, path) = folder();
    let fault = save(&table(1), &folder.path().join("not/there"), NOW).unwrap_err();
    assert!(
        fault.to_string().ends_with("its folder must be there, and writable for homing's user"),
        "{fault}"
    );
    fs::create_dir_all(path.join("full")).unwrap();
    let fault = save(&table(1), &path, NOW).unwrap_err();
    assert!(matches!(fault, SaveError::Rename { .. }), "{fault}");
    assert_eq!(files(&folder), ["app.table"]);
}

#[test]
fn a_damaged_file_is_refused_and_set_aside() {
    let (folder, path) = folder();
    save(&table(10), &path, NOW).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let fault = load(&path, BOUNDS, NOW, times()).unwrap_err();
    assert_eq!(fault.to_string(), format!("read the sessions kept in {}", path.display()));
    assert!(fault.source().unwrap().to_string().starts_with("cut off after byte "));
    assert_eq!(set_aside(&path, NOW).unwrap(), folder.path().join("app.table.corrupt-1800000000"));
    assert_eq!(files(&folder), ["app.table.corrupt-1800000000"]);
    assert!(load(&path, BOUNDS, NOW, times()).unwrap().is_none());
    save(&table(3), &path, NOW).unwrap();
    assert_eq!(saved(&path), 3);
    assert!(set_aside(&folder.path().join("nothing"), NOW).is_err());
}

#[test]
fn a_folder_or_a_device_is_no_table() {
    let (folder, _) = folder();
    for path in [folder.path(), Path::new("/dev/zero")] {
        assert!(matches!(load(path, BOUNDS, NOW, times()), Err(LoadError::Open { .. })));
    }
}

#[test]
fn what_a_cut_off_save_left_is_removed_once_nobody_writes_to_it() {
    let (folder, path) = folder();
    save(&table(10), &path, NOW).unwrap();
    let names = ["app.table.saving-1", "app.table.saving-2", "other.table.saving-1"];
    for name in names {
        let file = File::create(folder.path().join(name)).unwrap();
        if name != names[1] {
            file.set_modified(std::time::SystemTime::now() - LEFT_BEHIND * 2).unwrap();
        }
    }
    assert_eq!(saved(&path), 10);
    assert_eq!(files(&folder), ["app.table", names[1], names[2]]);
}

#[test]
fn saves_at_the_same_time_leave_one_whole_file() {
    let (folder, path) = folder();
    std::thread::scope(|scope| {
        for n in 1..=4 {
            let path = &path;
            scope.spawn(move || {
                (0..5).for_each(|_| assert_eq!(save(&table(n), path, NOW).unwrap().sessions, u64::from(n)))
            });
        }
        for _ in 0..20 {
            let loaded = load(&path, BOUNDS, NOW, times()).unwrap();
            assert!(loaded.is_none_or(|loaded| (1..=4).contains(&loaded.table.figures().entries)));
        }
    });
    assert_eq!(files(&folder), ["app.table"]);
}
