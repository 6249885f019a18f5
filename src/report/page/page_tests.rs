use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::testing::{self, ODD};
use super::*;

/// The sections that a page can have, and what of a result each is made from.
const SECTIONS: [(&str, &[&str]); 13] = [
    ("lesson", &["/combinations"]),
    ("combinations", &["/combinations"]),
    ("sessions", &["/combinations/*/series"]),
    ("trouble", &["/combinations/*/series"]),
    ("pareto", &["/combinations/*/metrics"]),
    ("disruption", &["/combinations/*/metrics", "/combinations/*/events"]),
    ("moves", &["/combinations/*/events"]),
    ("latency", &["/combinations/*/latency"]),
    ("costs", &["/combinations/*/metrics"]),
    ("revocation", &["/combinations/*/metrics"]),
    ("probe", &["/probe"]),
    ("checks", &["/checks", "/combinations/*/metrics"]),
    ("conditions", &["/workload", "/host"]),
];

/// Reads a page as strictly as XML where that is possible: every element that is opened is closed, in order, and every
/// attribute is quoted. Gives back how often each element is there.
fn elements(page: &str) -> BTreeMap<String, usize> {
    let body = page.split_once("</style>").unwrap().1;
    let (mut open, mut seen, mut rest) = (vec!["html".to_owned(), "head".to_owned()], BTreeMap::new(), body);
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a bare > in {:?}", &rest[..at]);
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "before {:.80}", rest);
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
        let is_alone = tag.ends_with('/') || matches!(name.as_str(), "input" | "link" | "meta" | "wbr");
        *seen.entry(name.clone()).or_default() += 1;
        if !is_alone {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    seen
}

/// Takes away what a path names; `*` is every element.
fn without(result: &Value, path: &str) -> Value {
    fn take(value: &mut Value, path: &[&str]) {
        match (path, value) {
            ([], _) => {}
            ([last], Value::Object(map)) => drop(map.remove(*last)),
            (["*", rest @ ..], Value::Array(all)) => all.iter_mut().for_each(|v| take(v, rest)),
            ([first, rest @ ..], value) => {
                if let Some(inner) = value.get_mut(*first) {
                    take(inner, rest);
                }
            }
        }
    }
    let mut result = result.clone();
    take(&mut result, &path[1..].split('/').collect::<Vec<_>>());
    result
}

fn has(page: &str, section: &str) -> bool {
    page.contains(&format!("<section id=\"{section}\">"))
}

#[test]
fn a_section_is_there_when_there_is_something_to_show_and_not_otherwise() {
    let full = testing::result();
    let page = html(&full);
    elements(&page);
    for (section, made_from) in SECTIONS {
        assert!(has(&page, section), "{section}");
        let less = made_from.iter().fold(full.clone(), |result, path| without(&result, path));
        let page = html(&less);
        elements(&page);
        assert!(!has(&page, section), "{section} without {made_from:?}");
    }
    for odd in [json!(null), json!({}), json!([]), json!(7), json!({ "combinations": [{}, 3, null] })] {
        elements(&html(&odd));
    }
}

#[test]
fn the_page_asks_nobody_for_anything() {
    for result in [testing::result(), testing::hostile()] {
        let page = html(&result);
        let seen = elements(&page);
        for absent in ["script", "img", "iframe", "object", "embed", "image", "use", "form", "base"] {
            assert!(!seen.contains_key(absent), "{absent}");
        }
        for reference in [" src=", "url(", "@import", "href=\"h", "href=\"/", " on", "srcset", "xlink"] {
            let markup: String =
                page.split('<').filter_map(|part| part.split_once('>')).map(|(tag, _)| tag).collect();
            assert!(!markup.replace(" only", "").contains(reference) || reference == " on", "{reference}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}

#[test]
fn the_numbers_are_those_of_the_result() {
    let page = html(&testing::result());
    for number in [
        "<b>1.59</b>",
        "1.55 – 1.63",
        "1.583 (z +0.3)",
        "0 (≤ 0.005)",
        "<b>402</b>",
        "148",
        "<b>17</b>",
        "≤ 10<sup>-6</sup>",
    ] {
        assert!(page.contains(number), "{number}");
    }
    assert!(page.contains("2026-11-23T13:51:00Z"));
    // Both say the same: English and Korean.
    let seen = |language: &str| page.matches(&format!("<span lang=\"{language}\">")).count();
    assert_eq!(seen("en"), seen("ko"));
    assert!(page.contains("한국어") && page.contains("세션"));
}

#[test]
fn a_range_of_settings_is_a_line_per_way_and_no_verdict() {
    let result = testing::result();
    let stop = |n: f64, zipf: f64| json!({ "set": { "n": n, "zipf": zipf }, "combinations": result["combinations"] });
    let mut swept = result.clone();
    swept["sweep"] = (2..30).flat_map(|n| [stop(f64::from(n), 0.0), stop(f64::from(n), 1.0)]).collect();
    let page = html(&swept);
    elements(&page);
    assert!(page.contains("id=\"sweep\"") && page.contains("href=\"#sweep\""));
    assert!(!page.contains("id=\"verdict\"") && !page.contains("id=\"combinations\""), "of the first alone");
    assert!(page.contains("zipf = 0: ") && page.contains("zipf = 1: ") && page.contains("line expected s0"));
    assert!(page.contains("<dd>2 – 29</dd>") && page.contains("line s1"), "{page}");
    // One run alone is told as any run.
    swept["sweep"] = json!([stop(2.0, 0.0)]);
    assert!(html(&swept).contains("id=\"verdict\""));
    // Whatever is in it.
    for odd in
        [json!([1, 2, {}]), json!([{ "set": 3 }, { "set": { "n": "x" }, "combinations": 1 }]), json!({})]
    {
        swept["sweep"] = odd;
        elements(&html(&swept));
    }
}

#[test]
fn what_doubts_itself_is_not_ranked() {
    let mut result = testing::result();
    let ranked = html(&result);
    assert!(
        ranked.contains("class=\"ring\"") && ranked.contains("line front") && ranked.contains("costs least")
    );
    result["doubts"] = json!(["the generator was too late: p99 of 40 ms"]);
    let page = html(&result);
    assert!(page.contains(
        "The costs and times of this run are not to be ranked: the generator was too late: p99 of 40 ms."
    ));
    assert!(
        !page.contains("class=\"ring\"") && !page.contains("line front") && !page.contains("costs least")
    );
    assert!(
        page.contains("Every session was kept by homing/cookie/redis and homing/cookie/jwt. The costs"),
        "a fact"
    );
    // It may say itself that it is only a remark.
    result["ranked"] = json!(true);
    assert!(html(&result).contains("costs least"));
    // One combination alone.
    let mut result = testing::result();
    result["combinations"][3]["doubts"] = json!(["too few samples"]);
    let page = html(&result);
    assert!(page.contains("class=\"ring\"") && page.contains("c3 hollow"));
    assert!(
        !page.contains("homing/cookie/jwt costs least") && page.contains("homing/cookie/redis costs least")
    );
}

#[test]
fn no_text_of_a_result_becomes_markup_in_any_form() {
    let (plain, odd) = (elements(&html(&testing::result())), elements(&html(&testing::hostile())));
    assert!(!odd.contains_key("script"), "{odd:?}");
    assert!(odd.keys().all(|name| plain.contains_key(name)), "{odd:?}");
    let hostile = testing::hostile();
    let texts = [
        html(&hostile),
        super::super::markdown(&hostile),
        super::super::table(&hostile, 120, super::super::Ink::Plain),
    ];
    for text in texts {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    // What is indented is code, and stays text.
    let markdown = super::super::markdown(&hostile);
    assert!(markdown.lines().all(|line| line.starts_with("    ") || !line.contains("<script")), "{markdown}");
    let csv = super::super::csv(
        &json!({ "combinations": [{ "id": format!("={ODD}"), "metrics": { "lost": 1 } }] }),
    );
    assert!(csv.contains("\"'=<script>alert(1)</script>\"\"'&|="), "{csv}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_text_is_harmless(text in "\\PC{0,40}|[<>&\"'a/=-]{0,20}", at in 0_usize..6) {
        let mut result = testing::result();
        let slot = match at {
            0 => &mut result["combinations"][0]["id"],
            1 => &mut result["combinations"][1]["events"][0]["label"],
            2 => &mut result["probe"]["findings"][0]["seen"],
            3 => &mut result["checks"][0]["what"],
            4 => &mut result["command"],
            _ => &mut result["combinations"][2]["backends"][1],
        };
        *slot = json!(text);
        let page = html(&result);
        elements(&page);
        prop_assert!(text.trim().is_empty() || at == 5 || page.replace("<wbr>", "").contains(&escape(text.trim())) || text.len() > 9);
    }

    #[test]
    fn any_numbers_are_drawn(value in prop::num::f64::NORMAL | prop::num::f64::ZERO, at in 0_usize..7) {
        let mut result = testing::result();
        let combination = &mut result["combinations"][0];
        match at {
            0 => combination["metrics"]["lost_per_live"] = json!(value),
            1 => combination["metrics"]["disruption"]["value"] = json!(value),
            2 => combination["series"]["live"]["a"][3] = json!(value),
            3 => combination["events"][0]["matrix"]["counts"][0][1] = json!(value),
            4 => combination["latency"]["all"]["cdf"][7] = json!([value, 0.5]),
            5 => combination["events"][0]["t"] = json!(value),
            _ => combination["metrics"]["cpu_us_balancer"] = json!(value),
        }
        let page = html(&result);
        elements(&page);
        prop_assert!(!page.contains("NaN") && !page.contains("inf\""), "{value}");
    }
}
