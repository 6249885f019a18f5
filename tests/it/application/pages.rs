//! The shop's page in a browser: what is lost when the backend that answers dies, and what is not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use homing::demo::{Algorithm, Audience, Cost, Demo, Keys, Options, Place, Software, start};
use serde_json::json;

use super::store;
use crate::harness::chromium::Chromium;
use crate::harness::{Homing, homing, pause};

/// Where pictures are to be put, if any are wanted (`make screenshots`).
const PICTURES: &str = "HOMING_SCREENSHOTS";
/// Of all that are looked at, those that are kept.
const KEPT: [&str; 3] = ["shop.png", "shop-lost-dark.png", "shop-ko-phone.png"];

fn scene(sessions: Place) -> (Demo, Homing) {
    let keys = match sessions {
        Place::Jwt(algorithm) => Some(Arc::new(Keys::generate(algorithm).unwrap())),
        _ => None,
    };
    let options =
        Options { sessions, keys, open_registration: true, cost: Cost::Owasp, ..Options::named("shop") };
    let demo = start(&["amber", "birch", "coral"], &options, Audience::Directs).unwrap();
    let backends: Vec<String> = demo
        .addresses()
        .iter()
        .map(|(name, address)| format!("{{ name = \"{name}\", address = \"{address}\" }}"))
        .collect();
    let health = "\n[pool.health]\npath = \"/healthz\"\ninterval = \"250ms\"\nfall = 1\nrise = 1\n";
    let homing =
        homing(&[]).pool(&format!("backends = [{}]", backends.join(", "))).cookie().with(health).run();
    (demo, homing)
}

/// Logs in by keyboard, and puts two things into the cart.
fn shops(chromium: &mut Chromium, homing: &Homing) {
    chromium.visit(&format!("http://127.0.0.1:{}/", homing.address.port()));
    chromium.until(
        "!document.getElementById('login').hidden && document.querySelectorAll('#actors li').length === 3",
    );
    chromium.value("document.getElementById('user').value = 'Ada'");
    chromium.value("document.getElementById('password').focus()");
    chromium.press("Enter");
    chromium.until("document.querySelectorAll('#steps .done').length === 6");
    for version in 1..=2 {
        chromium.value(&format!("document.querySelectorAll('#shelf button')[{version}].click()"));
        chromium.until(&format!("document.getElementById('version').textContent === '{version}'"));
    }
}

/// Kills the backend that answered last, and waits until that is seen.
fn kills_its_backend(chromium: &mut Chromium) -> String {
    let home = chromium.value("document.getElementById('backend').textContent").as_str().unwrap().to_owned();
    chromium.value(&format!("document.querySelector('[data-actor={home}]').focus()"));
    chromium.press("Enter");
    chromium
        .until(&format!("document.querySelector('[data-actor={home}]').closest('li').className === 'dead'"));
    chromium.until(&format!("document.getElementById('backend').textContent !== '{home}'"));
    home
}

/// Nothing sticks out, by which one would have to scroll sideways; and pictures, if they are wanted.
fn fits_every_screen(chromium: &mut Chromium, name: &str) {
    for (width, scheme, suffix) in [(1280, "light", ""), (1280, "dark", "-dark"), (360, "light", "-phone")] {
        chromium.screen(width, 900, scheme);
        let wide = format!(
            "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > {width} && \
             !e.closest('.away')).map(e => `${{e.tagName}} ${{e.className}} ${{e.textContent}}`)"
        );
        chromium.until(&format!("innerWidth <= {width} || {wide}.length > 0"));
        assert_eq!(chromium.value(&wide), json!([]), "{width} pixels");
        let file = format!("{name}{suffix}.png");
        let is_wanted = KEPT.contains(&file.as_str()) || std::env::var_os("HOMING_SCREENSHOTS_ALL").is_some();
        if let Some(folder) = std::env::var_os(PICTURES).filter(|_| is_wanted) {
            pause(Duration::from_millis(500)); // Colours turn.
            std::fs::write(Path::new(&folder).join(file), chromium.picture()).unwrap();
        }
    }
    chromium.screen(1280, 900, "light");
}

/// One start of the browser for all of it: that is what takes long.
#[test]
fn the_shop_shows_what_a_dead_backend_takes_along() {
    let mut chromium = Chromium::start();
    chromium.screen(1280, 900, "light");

    let (demo, homing) = scene(Place::Memory);
    shops(&mut chromium, &homing);
    fits_every_screen(&mut chromium, "shop");
    let home = kills_its_backend(&mut chromium);
    chromium.until("!document.getElementById('alert').hidden");
    chromium.until("document.getElementById('alert-title').textContent === 'Your session is lost.'");
    chromium.until("document.querySelectorAll('#steps .failed').length === 1");
    fits_every_screen(&mut chromium, "shop-lost");
    // Revived, it has forgotten everything.
    chromium.value(&format!("document.querySelector('[data-actor={home}]').click()"));
    chromium.until("document.querySelectorAll('#actors .dead').length === 0");
    chromium.until("!document.getElementById('login').hidden");
    // The other language says the same.
    chromium.value("document.getElementById('language').click()");
    chromium.until("document.documentElement.lang === 'ko'");
    chromium.until("document.getElementById('alert-title').textContent === '세션을 잃었습니다.'");
    fits_every_screen(&mut chromium, "shop-ko");
    chromium.value("document.getElementById('language').click()");
    drop((demo, homing));

    let (redis, _) = store(Software::Redis);
    let (memcached, _) = store(Software::Memcached);
    for (sessions, name) in [
        (redis.place(), "shop-redis"),
        (memcached.place(), "shop-memcached"),
        (Place::Jwt(Algorithm::Es256), "shop-jwt"),
    ] {
        let (demo, homing) = scene(sessions);
        shops(&mut chromium, &homing);
        kills_its_backend(&mut chromium);
        chromium.until("document.getElementById('version').textContent === '2'");
        chromium.until("document.querySelectorAll('#cart li').length === 2");
        assert_eq!(chromium.value("document.getElementById('alert').hidden"), true, "{name}");
        fits_every_screen(&mut chromium, name);
        chromium.value("document.getElementById('everywhere').click()");
        chromium.until("!document.getElementById('login').hidden");
        drop((demo, homing));
    }

    // The console has every answer of an error: nobody was logged in, or not any more; or a request was with a backend
    // when that was killed.
    chromium
        .errors
        .retain(|error| !["status of 401", "status of 502"].iter().any(|text| error.contains(text)));
    assert!(chromium.errors.is_empty(), "{:#?}", chromium.errors);
}
