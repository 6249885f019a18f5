//! The page a person sees: `page.html`, with the backend that sends it filled in.
//!
//! Nothing that a visitor sent is in it. What it shows beyond that, its script asks for and writes as text.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

use super::backend::Backend;

/// Style, script and both languages.
const FRAME: &str = include_str!("page.html");

pub(super) fn render(backend: &Backend, headers: &HeaderMap) -> String {
    fill(
        FRAME,
        &[
            ("lang", language(headers)),
            ("backend", &escape(backend.name())),
            ("hue", &backend.hue.to_string()),
            ("sessions", &escape(&backend.options.sessions.to_string())),
            ("kind", backend.options.sessions.kind()),
            ("deny", if backend.options.deny_list.is_some() { "yes" } else { "no" }),
            ("stage", if backend.stage.is_some() { "yes" } else { "no" }),
            ("nonce", &backend.boot),
        ],
    )
}

/// The page's `Content-Security-Policy`: nothing from elsewhere, no script but its own. The nonce may be the same for a
/// backend's whole life, since nothing of a visitor's is ever in the page.
pub(super) fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; img-src data:; \
         connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Korean for who would rather read that than English, English for everybody else.
fn language(headers: &HeaderMap) -> &'static str {
    let wish = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let weight = |language: &str| {
        let weights = wish.split(',').filter_map(|range| {
            let mut parts = range.split(';');
            let tag = parts.next()?.trim().to_ascii_lowercase();
            let is_ours = tag.split('-').next() == Some(language);
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.trim().parse::<f32>().ok());
            is_ours.then_some(weight.unwrap_or(1.0))
        });
        weights.fold(0.0, f32::max)
    };
    let first = |language: &str| wish.to_ascii_lowercase().find(language).unwrap_or(usize::MAX);
    let (ko, en) = (weight("ko"), weight("en"));
    // Of two wishes that weigh the same, the first counts.
    if ko > en || (ko == en && ko > 0.0 && first("ko") < first("en")) { "ko" } else { "en" }
}

/// Makes text safe between tags and inside quoted attributes.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

/// Puts each value in its `{{place}}`, in one pass: braces in a value stay what they are. An unknown place is empty.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut html = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((before, (key, after))) =
        rest.split_once("{{").and_then(|(before, tail)| Some((before, tail.split_once("}}")?)))
    {
        html.push_str(before);
        if let Some((_, value)) = values.iter().find(|(name, _)| *name == key) {
            html.push_str(value);
        }
        rest = after;
    }
    html.push_str(rest);
    html
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn braces_in_a_value_are_no_place() {
        let filled = fill("<{{a}}|{{b}}|{{c}}>", &[("a", "{{b}}&lt;"), ("b", "'")]);
        assert_eq!(filled, "<{{b}}&lt;|'|>");
        assert_eq!(fill("open {{a", &[]), "open {{a");
        assert_eq!(escape("<\"'&>"), "&lt;&quot;&#39;&amp;&gt;");
    }

    #[test]
    fn the_language_is_the_one_that_is_asked_for() {
        for (wish, expected) in [
            ("", "en"),
            ("ko", "ko"),
            ("ko-KR,ko;q=0.9,en-US;q=0.8", "ko"),
            ("en-US,en;q=0.9,ko;q=0.8", "en"),
            ("en;q=0.5, ko;q=0.7", "ko"),
            ("fr, ko;q=0.1", "ko"),
            ("ko;q=0", "en"),
            ("kok", "en"),
            ("en, ko", "en"),
            ("ko, en", "ko"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(wish));
            assert_eq!(language(&headers), expected, "{wish}");
        }
    }
}
