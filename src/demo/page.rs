//! The page a person sees, filled into `page.html`.
//!
//! What a visitor sent reaches the page as [`Html`], and only [`escape`] makes that from text.

use std::time::Duration;

use super::backend::Backend;
use super::visitor::{COOKIE, Recognition, Visitor};

/// The frame of every state, with its style and its script.
const FRAME: &str = include_str!("page.html");

const KNOWN: &str = r#"
<section class="card">
  <h2>Hello, {{user}}</h2>
  <p class="count"><strong id="counter">{{counter}}</strong> on your session's counter</p>
  <p>The count lives in the memory of backend {{backend}}, and nowhere else. Reload: it grows for as long as every
    request finds its way back here.</p>
  <div class="row">
    <a class="button" href="/">Reload</a>
    <form method="post" action="/logout"><button class="quiet">Log out</button></form>
  </div>
</section>"#;

const UNKNOWN: &str = r#"
<section class="card alert" role="alert">
  <h2>This backend does not know your session: you were moved, and you are logged out.</h2>
  <p>Your browser sent the id <code>{{cookie}}</code>, and no session of that name is in the memory of backend
    {{backend}}. It stays in your cookie: when a request finds the backend that made it, you are logged in
    again there.</p>
  <p class="hint">The same happens after 30 idle minutes, or when the backend has restarted.</p>
  <div class="row">
    <a class="button" href="/">Reload</a>
    <form method="post" action="/logout"><button class="quiet">Forget the cookie</button></form>
  </div>
</section>"#;

const LOGIN: &str = r#"
<section class="card">
  <h2>{{title}}</h2>
  {{notice}}
  <form class="login" method="post" action="/login">
    <label for="name">Your name</label>
    <div class="row">
      <input id="name" name="name" maxlength="40" required autocomplete="nickname" aria-describedby="any">
      <button>Log in</button>
    </div>
    <p class="hint" id="any">Any name will do. There is no password: nothing here is worth one.</p>
  </form>
</section>"#;

/// Text that is HTML.
pub(super) struct Html(String);

/// All that the page shows.
pub(super) struct Page<'a> {
    pub(super) backend: &'a Backend,
    pub(super) visitor: &'a Visitor,
    pub(super) recognition: &'a Recognition,
    /// What was wrong with the form.
    pub(super) notice: Option<&'a str>,
    /// What lets the page's own script run and no other; 16 hex digits, new for every response.
    pub(super) nonce: &'a str,
}

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let (state, age) = match self.recognition {
            Recognition::None => ("none sent", None),
            Recognition::Unknown => ("unknown to this backend", None),
            Recognition::Known(session) => ("known to this backend", Some(session.since.elapsed())),
        };
        let cookie = match self.visitor.short_cookie() {
            Some(value) => Html(format!("<code>{COOKIE}={}</code>", escape(&value).0)),
            None => Html(format!("<code>{COOKIE}</code>")),
        };
        let client = match &self.visitor.client {
            Some(client) => Html(format!(
                "You come from <b>{}</b>, as <code>X-Forwarded-For</code> says it.",
                escape(client).0
            )),
            None => Html("No <code>X-Forwarded-For</code> says where you come from.".to_owned()),
        };
        let frame = [
            ("backend", escape(&self.backend.name)),
            ("hue", escape(&self.backend.hue.to_string())),
            ("nonce", escape(self.nonce)),
            ("client", client),
            ("cookie", cookie),
            ("state", escape(state)),
            ("age", escape(&age.map_or_else(|| "\u{2013}".to_owned(), human))),
            ("main", self.main()),
        ];
        fill(FRAME, &frame).0
    }

    fn main(&self) -> Html {
        let backend = || ("backend", escape(&self.backend.name));
        match self.recognition {
            Recognition::Known(session) => {
                let counter = escape(&session.counter.to_string());
                fill(KNOWN, &[backend(), ("user", escape(&session.user)), ("counter", counter)])
            }
            Recognition::Unknown => {
                let cookie = escape(&self.visitor.short_cookie().unwrap_or_default());
                let Html(lost) = fill(UNKNOWN, &[backend(), ("cookie", cookie)]);
                let Html(login) = self.login("Log in again");
                Html(lost + &login)
            }
            Recognition::None => self.login("You are not logged in"),
        }
    }

    fn login(&self, title: &str) -> Html {
        let notice =
            self.notice.map(|notice| format!(r#"<p class="wrong" role="alert">{}</p>"#, escape(notice).0));
        fill(LOGIN, &[("title", escape(title)), ("notice", Html(notice.unwrap_or_default()))])
    }
}

/// The page's `Content-Security-Policy`: nothing from elsewhere, no script but its own.
pub(super) fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; img-src data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Makes text safe between tags and inside quoted attributes.
pub(super) fn escape(text: &str) -> Html {
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
    Html(html)
}

/// Puts each value in its `{{place}}`, in one pass: braces in a value stay what they are. An unknown place is empty.
fn fill(template: &str, values: &[(&str, Html)]) -> Html {
    let mut html = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((before, (key, after))) =
        rest.split_once("{{").and_then(|(before, tail)| Some((before, tail.split_once("}}")?)))
    {
        html.push_str(before);
        if let Some((_, Html(value))) = values.iter().find(|(name, _)| *name == key) {
            html.push_str(value);
        }
        rest = after;
    }
    html.push_str(rest);
    Html(html)
}

fn human(age: Duration) -> String {
    let seconds = age.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_a_value_are_no_place() {
        let filled = fill("<{{a}}|{{b}}|{{c}}>", &[("a", escape("{{b}}<")), ("b", escape("'"))]);
        assert_eq!(filled.0, "<{{b}}&lt;|&#39;|>");
        assert_eq!(fill("open {{a", &[]).0, "open {{a");
    }

    #[test]
    fn ages_are_for_people() {
        for (seconds, expected) in [(0, "0 s"), (61, "1 min 1 s"), (3_725, "1 h 2 min")] {
            assert_eq!(human(Duration::from_secs(seconds)), expected);
        }
    }
}
