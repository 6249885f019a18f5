//! The page, in a browser.

use std::time::Duration;

use crate::harness::chromium::Chromium;
use crate::harness::{Backend, Homing, backend, client_at, homing, pause, until};

/// Where pictures are to be put, if any are wanted (`make screenshots`).
const PICTURES: &str = "HOMING_SCREENSHOTS";
/// What would be markup if it were taken for such.
const ODD: &str = "<img/src=x/onerror=alert(1)>";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn scene() -> (Vec<Backend>, Homing) {
    let last = if is_pictured() { "dune" } else { ODD };
    let mut backends: Vec<_> = ["amber", "birch", "coral", "drift", last].map(backend).into();
    let list: Vec<_> = backends.iter().collect();
    let health = "\n[pool.health]\npath = \"/healthz\"\ninterval = \"250ms\"\nfall = 1\nrise = 1\n";
    let homing = homing(&list).cookie().with(health).run();
    // Sessions, some of which come back; then one backend crashes, and its sessions move.
    let mut clients: Vec<_> = (0..60).map(|_| homing.client()).collect();
    clients.iter_mut().for_each(|client| (0..3).for_each(|_| assert_eq!(client.get("/").status, 200)));
    backends[3].crash();
    homing.until("/api/v1/pools", |text| text.contains("\"down\""));
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    if is_pictured() {
        // They come back for as long as pictures take.
        std::thread::spawn(move || {
            for wave in 0..400_u64 {
                clients
                    .iter_mut()
                    .skip(wave as usize % 7)
                    .step_by(4)
                    .for_each(|client| drop(client.get("/")));
                pause(Duration::from_millis(40 + wave * wave % 61));
            }
        });
    }
    (backends, homing)
}

fn is_pictured() -> bool {
    std::env::var_os(PICTURES).is_some()
}

fn picture(chromium: &mut Chromium, name: &str) {
    if let Some(folder) = std::env::var_os(PICTURES) {
        pause(Duration::from_millis(500)); // Colours turn.
        std::fs::write(std::path::Path::new(&folder).join(name), chromium.picture()).unwrap();
    }
}

fn card(id: &str) -> String {
    format!(
        "[...document.querySelectorAll('.backend')].find(b => b.querySelector('.name').firstChild.textContent === {id:?})"
    )
}

/// One start of the browser for all of it: that is what takes long.
#[test]
fn the_page_shows_what_is_and_changes_it() {
    let (backends, homing) = scene();
    let mut chromium = Chromium::start();
    chromium.screen(1440, 900, "light");
    chromium.visit(&format!("http://{}/", homing.admin));
    shows_everything(&mut chromium);
    drains_by_keyboard(&mut chromium, &homing);
    fits_every_screen(&mut chromium);
    assert!(chromium.errors.is_empty(), "{:#?}", chromium.errors);

    // Nobody answers any more: it says so, and that what it shows is old.
    drop(homing);
    chromium.until("!document.getElementById('banner').hidden");
    chromium.until("document.getElementById('banner').innerText.includes('connection to homing is lost')");
    chromium.until("document.body.classList.contains('stale')");
    asks_for_the_token(&mut chromium, &backends);
}

fn shows_everything(chromium: &mut Chromium) {
    chromium.until("document.querySelectorAll('.backend').length === 5");
    chromium.until("document.getElementById('link').textContent === 'live'");
    chromium.until("document.getElementById('phase').textContent === 'serving'");
    chromium.until(&format!("{}.querySelector('.state').textContent === 'down'", card("drift")));
    chromium
        .until(&format!("{}.querySelector('.check').textContent.includes('connect refused')", card("drift")));
    chromium.until(&format!("Number({}.querySelector('.share b').textContent) > 0", card("amber")));
    chromium
        .until("[...document.querySelectorAll('.reason')].some(r => r.textContent.includes('backend down'))");
    chromium.until(
        "[...document.querySelectorAll('#events li')].some(e => e.textContent.includes('app/drift is down'))",
    );
    // Names are text.
    if !is_pictured() {
        chromium.until(&format!("{} !== undefined && !document.querySelector('img')", card(ODD)));
    }
    chromium.until("document.title === 'homing: 4 of 5 up'");
}

fn drains_by_keyboard(chromium: &mut Chromium, homing: &Homing) {
    let button = "document.querySelector('[aria-label=\"Drain app/birch\"]')";
    let dialog = "document.getElementById('d-drain')";
    chromium.value(&format!("{button}.focus()"));
    chromium.press("Enter");
    chromium.until(&format!("{dialog}.open"));
    chromium.press("Escape");
    chromium.until(&format!("!{dialog}.open && document.activeElement === {button}"));
    assert!(!homing.told("/api/v1/pools").to_string().contains("\"drain\":{"), "nothing was asked for");

    chromium.press("Enter");
    // What is wrong is said where it was typed.
    chromium.value(&format!("{dialog}.querySelector('[name=deadline]').focus()"));
    chromium.value(&format!("{dialog}.querySelector('[name=deadline]').value = '10'"));
    chromium.press("Enter");
    chromium.until(&format!("{dialog}.querySelector('.said').textContent.includes('needs a unit')"));
    chromium.value(&format!("{dialog}.querySelector('[name=deadline]').value = '10m'"));
    chromium.press("Enter");
    chromium.until(&format!("!{dialog}.open"));
    chromium.until(&format!("{}.querySelector('.state').textContent === 'draining'", card("birch")));
    chromium.until(&format!(
        "/ends in (10|9) m .* at the latest/.test({}.querySelector('.drain').textContent)",
        card("birch")
    ));
    let told = homing.told("/api/v1/pools/app/backends/birch");
    assert_eq!((&told["admin"], &told["drain"]["mode"]), (&"drain".into(), &"keep".into()));
    // The 400 is in the console too, as any answer of an error is.
    chromium.errors.retain(|error| !error.contains("status of 400"));
}

fn fits_every_screen(chromium: &mut Chromium) {
    if is_pictured() {
        pause(Duration::from_secs(25)); // Until there is a line of requests to be seen.
        chromium.value("document.activeElement.blur()");
    }
    for (width, height, scheme, name) in [
        (1440, 1080, "light", "page.png"),
        (1440, 1080, "dark", "page-dark.png"),
        (360, 780, "light", "page-phone.png"),
    ] {
        chromium.screen(width, height, scheme);
        // Nothing sticks out, by which one would have to scroll sideways.
        let wide = format!(
            "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > {width} && \
             !e.closest('.hidden, .label')).map(e => `${{e.tagName}} ${{e.className}} ${{e.textContent}}`)"
        );
        chromium.until(&format!("innerWidth <= {width} || {wide}.length > 0"));
        assert_eq!(chromium.value(&wide), serde_json::json!([]), "{width} pixels");
        picture(chromium, name);
    }
    chromium.screen(1440, 900, "light");
}

/// From another host's name nothing may be changed without the token, and with it everything.
fn asks_for_the_token(chromium: &mut Chromium, backends: &[Backend]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("admin.token");
    std::fs::write(&file, TOKEN).unwrap();
    let key = format!("[admin]\ntoken = {{ file = {:?} }}\n", file.display().to_string());
    let homing =
        homing(&[&backends[0], &backends[1]]).cookie().run_edited(|t| t.replacen("[admin]\n", &key, 1));
    drop(client_at(&homing, "amber"));
    chromium.visit(&format!("http://balancer.example:{}/", homing.admin.port()));
    chromium.until("document.querySelectorAll('.backend').length === 2");
    chromium.value("document.querySelector('[aria-label=\"Maint app/amber\"]').click()");
    chromium.value("document.querySelector('#d-maint .main').click()");
    chromium.until(
        "document.getElementById('banner').innerText.includes('homing refuses this: a token is needed')",
    );
    assert_eq!(homing.told("/api/v1/pools/app/backends/amber")["admin"], "ready");
    chromium.value("document.getElementById('token').focus()");
    chromium.value(&format!("document.getElementById('token').value = {TOKEN:?}"));
    chromium.press("Enter");
    chromium.until("document.getElementById('banner').hidden");
    chromium.until("document.getElementById('link').textContent === 'polling'");
    chromium.value("document.querySelector('[aria-label=\"Maint app/amber\"]').click()");
    chromium.value("document.querySelector('#d-maint .main').click()");
    until(|| homing.told("/api/v1/pools/app/backends/amber")["admin"] == "maint");
    chromium.until(&format!("{}.querySelector('.state').textContent === 'maintenance'", card("amber")));
}
