//! Markup: texts made harmless, both languages, tables.

use std::fmt::Write as _;

use super::super::words::{self, Words};

/// A text as content or as the value of a quoted attribute: no markup, no control characters, and none that turn the
/// direction of what follows.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push('\u{fffd}')
            }
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// In both languages, of which the page shows one.
pub(crate) fn both(words: &Words) -> String {
    if words.en == words.ko {
        return escape(&words.en);
    }
    format!("<span lang=\"en\">{}</span><span lang=\"ko\">{}</span>", escape(&words.en), escape(&words.ko))
}

/// In both languages where markup cannot be: the value of an attribute.
pub(crate) fn attribute(words: &Words) -> String {
    if words.en == words.ko {
        escape(&words.en)
    } else {
        format!("{} / {}", escape(&words.en), escape(&words.ko))
    }
}

/// A table; cells are markup.
#[derive(Debug, Default)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: impl IntoIterator<Item = String>) -> Self {
        Self { head: head.into_iter().collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// The first column is the head of its row.
    pub(crate) fn render(&self) -> String {
        let mut out = "<table><thead><tr>".to_owned();
        for head in &self.head {
            let _ = write!(out, "<th scope=\"col\">{head}</th>");
        }
        out.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            out.push_str("<tr>");
            for (i, cell) in row.iter().enumerate() {
                let _ = match i {
                    0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                    _ => write!(out, "<td>{cell}</td>"),
                };
            }
            out.push_str("</tr>");
        }
        out + "</tbody></table>"
    }
}

/// Something wide, in a box of its own that scrolls, by keyboard too.
pub(crate) fn scrolling(name: &Words, content: &str) -> String {
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">{content}</div>",
        attribute(name)
    )
}

/// A chart with its title, what its colours mean, and its numbers for those who do not see it.
pub(crate) fn figure(title: &str, svg: &str, legend: &str, numbers: &Table) -> String {
    let table = scrolling(&words::NUMBERS, &numbers.render());
    format!(
        "<figure><figcaption>{title}</figcaption>{svg}{legend}<details class=\"numbers\"><summary>{}</summary>{table}\
         </details></figure>",
        both(&words::NUMBERS)
    )
}

/// What the colours of a chart mean: classes and names.
pub(crate) fn legend(entries: &[(String, String)]) -> String {
    let mut out = "<ul class=\"legend\">".to_owned();
    for (class, name) in entries {
        let _ = write!(out, "<li><i class=\"{class}\"></i>{name}</li>");
    }
    out + "</ul>"
}
