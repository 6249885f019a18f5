//! A browser that comes over TLS and HTTP/2, logs in, and stays logged in while backends that are not its own go.

use std::collections::BTreeMap;

use homing::demo::{Audience, Cost, Demo, Options, start};
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};

use crate::harness::chromium::Chromium;
use crate::harness::homing;

/// Opens the page and waits for the name; it must have come by HTTP/2.
fn visit(chromium: &mut Chromium, url: &str) {
    chromium.visit(url);
    chromium.until("document.readyState === 'complete' && document.body.innerText.includes('Ada')");
    let protocol = chromium.value("performance.getEntriesByType('navigation')[0].nextHopProtocol");
    assert_eq!(protocol, "h2");
}

/// Who the backend says that the visitor is, when a script of the page puts something into the cart.
fn who(chromium: &mut Chromium) -> Value {
    let who = chromium
        .value("fetch('/api/cart', { method: 'POST', body: '{\"item\": \"tea\"}' }).then(r => r.json())");
    let fetched = "performance.getEntriesByType('resource').filter(r => r.name.endsWith('/api/cart')).at(-1)";
    assert_eq!(chromium.value(&format!("{fetched}.nextHopProtocol")), "h2");
    who
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
    let tls = format!("tls = {{ certificate = {certificate:?}, key = {key:?} }}\n");
    let backends: Vec<String> = demos
        .values()
        .flat_map(Demo::addresses)
        .map(|(name, address)| format!("{{ name = \"{name}\", address = \"{address}\" }}"))
        .collect();
    let homing =
        homing(&[]).listener(&tls).pool(&format!("backends = [{}]", backends.join(", "))).cookie().run();
    let url = format!("https://localhost:{}/", homing.address.port());

    let mut chromium = Chromium::start_believing(&certified.signing_key.subject_public_key_info());
    chromium.visit(&url);
    chromium.until("!document.getElementById('login').hidden");
    chromium.value("document.getElementById('user').value = 'Ada'");
    chromium.value("document.getElementById('login').requestSubmit()");
    chromium.until("document.body.innerText.includes('Ada')");
    visit(&mut chromium, &url);
    let first = who(&mut chromium);
    assert_eq!(first["user"], "Ada", "{first}");
    let home = first["backend"].as_str().unwrap().to_owned();
    let cookies = chromium.call("Network.getCookies", &json!({}));
    let pin = cookies["cookies"].as_array().unwrap().iter().find(|c| c["name"] == "srv").unwrap();
    assert_eq!((&pin["secure"], &pin["httpOnly"]), (&true.into(), &true.into()), "{pin}");

    let others: Vec<&str> = demos.keys().copied().filter(|name| *name != home).collect();
    let mut version = first["version"].as_u64().unwrap();
    for other in others {
        drop(demos.remove(other));
        for _ in 0..4 {
            let now = who(&mut chromium);
            assert_eq!((&now["user"], &now["backend"]), (&"Ada".into(), &home.as_str().into()), "{now}");
            assert!(now["version"].as_u64().unwrap() > version, "not the session of before: {now}");
            version = now["version"].as_u64().unwrap();
        }
        visit(&mut chromium, &url);
    }
    // The console has every answer of an error, and the first was that nobody is logged in.
    chromium.errors.retain(|error| !error.contains("status of 401"));
    assert!(chromium.errors.is_empty(), "{:#?}", chromium.errors);
}
