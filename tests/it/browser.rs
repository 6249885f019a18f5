//! A browser that comes over TLS and HTTP/2, logs in, and stays logged in while backends that are not its own go.

use std::collections::BTreeMap;

use homing::demo::{Audience, Cost, Demo, Options, start};
use serde_json::Value;

use crate::harness::chromium::Chromium;
use crate::harness::homing;

/// What the page is reached by, and who the backend says that the visitor is.
fn told(chromium: &mut Chromium) -> (Value, Value) {
    let protocol = chromium.value("performance.getEntriesByType('navigation')[0].nextHopProtocol");
    (protocol, chromium.value("fetch('/api/me', { cache: 'no-store' }).then(r => r.json())"))
}

#[test]
fn a_login_over_tls_and_http_2_outlives_every_other_backend() {
    let options = Options { open_registration: true, cost: Cost::Low, ..Options::named("shop") };
    let mut demos: BTreeMap<_, _> = ["amber", "birch", "coral"]
        .map(|name| (name, start(&[name], &options, Audience::Watches).unwrap()))
        .into();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("c.pem"), files.path().join("k.pem"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let tls =
        format!("tls = {{ certificate = \"{}\", key = \"{}\" }}\n", certificate.display(), key.display());
    let backends: Vec<String> = demos
        .values()
        .flat_map(Demo::addresses)
        .map(|(name, address)| format!("{{ name = \"{name}\", address = \"{address}\" }}"))
        .collect();
    let homing =
        homing(&[]).listener(&tls).pool(&format!("backends = [{}]", backends.join(", "))).cookie().run();

    let mut chromium = Chromium::start();
    chromium.visit(&format!("https://localhost:{}/", homing.address.port()));
    chromium.until("!document.getElementById('login').hidden");
    chromium.value("document.getElementById('user').value = 'Ada'");
    chromium.value("document.getElementById('login').requestSubmit()");
    chromium.until("document.body.innerText.includes('Ada')");
    let (protocol, first) = told(&mut chromium);
    assert_eq!(protocol, "h2");
    assert_eq!(first["user"], "Ada", "{first}");
    let home = first["backend"].as_str().unwrap().to_owned();

    let others: Vec<&str> = demos.keys().copied().filter(|name| *name != home).collect();
    for (n, other) in others.into_iter().enumerate() {
        drop(demos.remove(other));
        for _ in 0..4 {
            let (_, now) = told(&mut chromium);
            assert_eq!((&now["user"], &now["backend"]), (&"Ada".into(), &home.as_str().into()), "{n}: {now}");
        }
        chromium.visit(&format!("https://localhost:{}/", homing.address.port()));
        chromium.until("document.body.innerText.includes('Ada')");
    }
    // The console has every answer of an error, and the first was that nobody is logged in.
    chromium.errors.retain(|error| !error.contains("status of 401"));
    assert!(chromium.errors.is_empty(), "{:#?}", chromium.errors);
}
