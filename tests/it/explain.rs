//! `homing explain`, the program: it reads the pins that a running homing with the same secret wrote.

use std::path::Path;
use std::process::Command;

use homing::config::Environment;
use serde_json::Value;

use crate::harness::{Homing, backend, homing};

/// What it prints and whether it says that all is well.
fn explain(config: &Path, args: &[&str]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    let done = command.arg("explain").arg("-c").arg(config).args(args).output().unwrap();
    (String::from_utf8(done.stdout).unwrap(), done.status.success())
}

fn pinned(homing: &Homing) -> (String, String) {
    let mut client = homing.client();
    let home = client.get("/").served_by();
    (home, client.cookie("srv").unwrap())
}

#[test]
fn a_pin_from_the_wire_is_read_with_the_secret_alone() {
    let (a, b) = (backend("a"), backend("b"));
    let folder = tempfile::tempdir().unwrap();
    let (key, config) = (folder.path().join("cookie.key"), folder.path().join("config.toml"));
    std::fs::write(&key, "5a".repeat(32)).unwrap();
    let secret = format!("secret = {{ file = {:?} }}\n", key.to_str().unwrap());
    let setup = homing(&[&a, &b]).cookie().with(&secret);
    std::fs::write(&config, setup.toml()).unwrap();
    let (home, pin) = pinned(&setup.run_with(&Environment::detect().unwrap()));
    let cookie = format!("srv={pin}");

    let (told, is_well) = explain(&config, &["--cookie", &cookie, "--json"]);
    let json: Value = serde_json::from_str(&told).unwrap();
    let own = &json["pins"][0]["homing"];
    assert_eq!(
        (own["backend"].as_str(), own["state"].as_str()),
        (Some(home.as_str()), Some("valid")),
        "{told}"
    );
    assert!(is_well);

    let (told, is_well) = explain(&config, &["--path", "/", "--cookie", &cookie]);
    assert!(
        told.contains(&format!("\"{home}\" owns it")) && told.contains("sealed     with key 1 of 1"),
        "{told}"
    );
    assert!(is_well);

    let (told, is_well) = explain(&config, &["--cookie", &cookie[..60]]);
    assert!(told.contains("no pin that pool \"app\" can open: it has 56 letters"), "{told}");
    assert!(!is_well, "nobody is named");
}

#[test]
fn other_systems_secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let (key, config) = (folder.path().join("haproxy.key"), folder.path().join("config.toml"));
    std::fs::write(&key, "MYKEY\n").unwrap();
    let text = "[[listener]]\nlisten = \"127.0.0.1:0\"\n[[pool]]\nname = \"app\"\nbackends = [\"127.0.0.1:38081\"]\n";
    std::fs::write(&config, text).unwrap();
    let cookie = ["--cookie", "SRV=24a5b8b88dbd7b9f"];
    let (told, is_well) = explain(&config, &cookie);
    assert!(told.contains("its dynamic-cookie-key is needed") && !is_well, "{told}");
    let with_key = [cookie[0], cookie[1], "--haproxy-key", key.to_str().unwrap()];
    let (told, is_well) = explain(&config, &with_key);
    assert!(told.contains("HAProxy cookie (dynamic): names app/127.0.0.1:38081") && is_well, "{told}");
}
