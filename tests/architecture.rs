//! The floors of the house: a file uses its own room and the floors below it, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// The rooms, floor by floor, from the ground up.
const FLOORS: [&[&str]; 8] = [
    &["base"],
    &["backend", "message", "net", "report", "telemetry"],
    &["affinity", "health", "route", "strategy"],
    &["pool"],
    &["snapshot", "store"],
    &["config"],
    &["control", "demo", "proxy", "simulate"],
    &["app", "bench", "cli", "explain"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The rooms that a line of code names by `crate::`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::").map(move |(at, _)| {
        let rest = &code[at + "crate::".len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn files_use_their_own_room_and_the_floors_below() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for path in files {
        let inside = path.strip_prefix(&root).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" || room == "main" {
            continue;
        }
        let own =
            floor(room).unwrap_or_else(|| panic!("{room} is on no floor; say in FLOORS where it belongs"));
        let text = std::fs::read_to_string(&path).unwrap();
        let tests_begin = text.lines().position(|l| l == "#[cfg(test)]").unwrap_or(usize::MAX);
        for (number, line) in text.lines().enumerate().take(tests_begin) {
            for used in named(line) {
                seen += 1;
                let Some(theirs) = floor(used) else { continue };
                let is_wiring = own == FLOORS.len() - 1;
                if used == room || theirs < own || is_wiring {
                    continue;
                }
                wrong.push(format!("{}:{}: {room} uses {used}", inside.display(), number + 1));
            }
        }
    }
    assert!(seen > 100, "the reader of `crate::` paths finds next to nothing: it is broken");
    assert!(wrong.is_empty(), "uses of a neighbour or of a floor above:\n{}", wrong.join("\n"));
}

#[test]
fn every_folder_has_a_door_with_its_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for room in FLOORS.iter().flat_map(|rooms| rooms.iter()) {
        let door = root.join(room).join("mod.rs");
        if root.join(room).is_dir() {
            let text = std::fs::read_to_string(&door).unwrap_or_else(|e| panic!("{}: {e}", door.display()));
            assert!(text.starts_with("//!"), "{}: says nothing about the room", door.display());
        }
    }
}

#[test]
fn no_file_of_tests_is_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut left_out = Vec::new();
    for path in files.iter().filter(|path| !path.ends_with("it/main.rs")) {
        let is_door = path.ends_with("mod.rs");
        let (named, folder) = if is_door {
            (path.parent().unwrap(), path.parent().unwrap().parent().unwrap())
        } else {
            (path.as_path(), path.parent().unwrap())
        };
        let door = folder.join(if folder == root { "main.rs" } else { "mod.rs" });
        let line = format!("mod {};", named.file_stem().unwrap().to_str().unwrap());
        let doors = std::fs::read_to_string(&door).unwrap();
        if !doors.lines().any(|l| l == line || l.strip_prefix("pub(crate) ") == Some(&line)) {
            left_out.push(format!("{}: {} has no `{line}`", path.display(), door.display()));
        }
    }
    assert!(files.len() > 50 && left_out.is_empty(), "{left_out:#?}");
}

#[test]
fn the_readme_lists_the_strategies_as_the_command_does() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for kind in homing::strategy::Registry::built_in().iter() {
        let row = format!("| `{}` | {} |", kind.name, kind.summary);
        assert!(readme.contains(&row), "README.md lacks the row: {row}");
    }
}
