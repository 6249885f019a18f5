//! `homing report`: a result told again, as somebody asks for it; and its page, in a browser.

#[path = "../../src/report/testing.rs"]
mod testing;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::chromium::Chromium;
use crate::harness::pause;

/// Where pictures are to be put, if any are wanted.
const PICTURES: &str = "HOMING_SCREENSHOTS";

fn written(folder: &Path, name: &str, result: &Value) -> String {
    let file = folder.join(name);
    std::fs::write(&file, result.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn says(words: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    let output = command.arg("report").args(words).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    text
}

#[test]
fn a_result_is_told_again_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let result = written(folder.path(), "r.json", &testing::result());
    let [html, md, csv] = ["r.html", "r.md", "r.csv"].map(|name| folder.path().join(name));
    let text = says(
        &[
            &result,
            "--html",
            html.to_str().unwrap(),
            "--md",
            md.to_str().unwrap(),
            "--csv",
            csv.to_str().unwrap(),
        ],
        0,
    );
    for told in ["seed 7", "1.59 (1.583)", "keeps every session", "old states seen", "2 of 3 checks hold"] {
        assert!(text.contains(told), "{told} in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    let [html, md, csv] = [html, md, csv].map(|file| std::fs::read_to_string(file).unwrap());
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
    assert!(md.contains("| homing/cookie/memory | 1.59 (1.583) |"), "{md}");
    assert!(csv.contains("homing/cookie/memory,homing,round_robin,cookie,memory,run,,lost_per_live,1.59,1.55,1.63,600,1.583333"), "{csv}");
    assert!(
        says(&[&result, "--md", "-"], 0).starts_with("# Session routing, measured\n"),
        "the table stays away"
    );
}

#[test]
fn the_exit_code_says_whether_it_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let result = written(folder.path(), "r.json", &testing::result());
    let mut faster = testing::result();
    faster["combinations"][0]["metrics"]["p99_ms"] = json!({ "value": 1.4, "low": 1.3, "high": 1.5 });
    let faster = written(folder.path(), "new.json", &faster);
    says(&[&result, "--fail-if", "lost_per_live>1.05*theory"], 0);
    let text = says(&[&result, "--fail-if", "lost_per_live>1.05*theory", "--fail-if", "unforced_moves>0"], 1);
    assert!(text.contains("failed: nginx/ip_hash/memory: unforced_moves is 17 > 0\n"), "{text}");
    assert!(says(&[&result, "--fail-if", "unforced>0"], 2).contains("there are: cookie_bytes, "));
    let text = says(&[&faster, "--compare", &result], 0);
    assert!(text.contains("p99_ms: 0.33 ± 0.03 times as much, 4.2 -> 1.4 (better)\n"), "{text}");
    for (odd, why) in
        [("{", "is no JSON"), ("{}", "its \"schema\" is missing"), ("[]", "its \"schema\" is missing")]
    {
        let file = folder.path().join("odd.json");
        std::fs::write(&file, odd).unwrap();
        let file = file.to_str().unwrap();
        assert!(says(&[file], 2).contains(why), "{odd}");
        assert!(says(&[&result, "--compare", file], 2).contains(why), "{odd}");
    }
}

/// The page from a file: whatever it would ask for, there is nobody to answer.
#[test]
fn the_page_needs_nothing_else_fits_every_screen_and_speaks_two_languages() {
    let folder = tempfile::tempdir().unwrap();
    let mut chromium = Chromium::start();
    for (name, result) in [("plain", testing::result()), ("hostile", testing::hostile())] {
        let file = written(folder.path(), "r.json", &result);
        let page = folder.path().join(format!("{name}.html"));
        says(&[&file, "--html", page.to_str().unwrap()], 0);
        chromium.screen(1280, 900, "light");
        chromium.visit(&format!("file://{}", page.display()));
        chromium.until(
            "document.readyState === 'complete' && document.querySelectorAll('figure svg').length > 12",
        );
        assert_eq!(
            chromium.value("performance.getEntriesByType('resource').map(r => r.name)"),
            json!([]),
            "{name}"
        );
        assert_eq!(chromium.value("document.scripts.length"), 0);
        speaks_both(&mut chromium);
        fits(&mut chromium, name);
    }
    assert!(chromium.errors.is_empty(), "{:#?}", chromium.errors);
}

fn speaks_both(chromium: &mut Chromium) {
    let verdict = "document.querySelector('#verdict h2').innerText";
    let axes = "[...document.querySelectorAll('svg .axis')].filter(t => t.getClientRects().length > 0).map(t => t.textContent).join()";
    assert_eq!(chromium.value(verdict), "The verdict");
    // By keyboard: the languages are radio buttons.
    chromium.value("document.getElementById('en').focus()");
    chromium.value("document.querySelector('label[for=ko]').click()");
    chromium.until(&format!("{verdict} === '결론'"));
    chromium.until(&format!("{axes}.includes('살아 있는 세션') && !{axes}.includes('live sessions')"));
    chromium.value("document.querySelector('label[for=en]').click()");
    chromium.until(&format!("{verdict} === 'The verdict' && {axes}.includes('live sessions')"));
}

fn fits(chromium: &mut Chromium, name: &str) {
    for (width, scheme, language) in
        [(1280, "light", "en"), (1280, "dark", "ko"), (360, "light", "ko"), (360, "dark", "en")]
    {
        chromium.screen(width, 800, scheme);
        chromium.value(&format!("document.querySelector('label[for={language}]').click()"));
        chromium.until(&format!("innerWidth === {width} || document.documentElement.scrollWidth > {width}"));
        let wide = format!(
            "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > {width} + 0.5 && \
             !e.closest('.scroll, svg, .skip')).map(e => `${{e.tagName}} ${{e.className}} ${{e.textContent}}`)"
        );
        assert_eq!(chromium.value(&wide), json!([]), "{name} at {width} pixels");
        assert_eq!(chromium.value("document.documentElement.scrollWidth"), width, "{name}");
        // Letters stay in their drawing.
        let out = "[...document.querySelectorAll('figure svg text')].filter(t => { const [a, b] = [t, t.ownerSVGElement].map(e => \
                   e.getBoundingClientRect()); return a.width > 0 && (a.right > b.right + 1 || a.left < b.left - 1); }).map(t => t.textContent)";
        if name == "plain" {
            assert_eq!(chromium.value(out), json!([]), "{name} at {width} pixels");
        }
        if let Some(folder) = std::env::var_os(PICTURES) {
            pause(Duration::from_millis(300));
            let file = Path::new(&folder).join(format!("report-{name}-{width}-{scheme}-{language}.png"));
            std::fs::write(file, chromium.picture()).unwrap();
        }
    }
}
