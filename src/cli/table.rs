//! Text in aligned columns, in colour where somebody looks.

use std::fmt::Write as _;

/// Whether colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Coloured,
}

/// What a text is coloured for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hue {
    #[default]
    None,
    Good,
    Caution,
    Bad,
    Faint,
}

/// On which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// One text of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell(pub(super) String, pub(super) Hue);

/// Rows under a heading.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<Cell>>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self(clean(&text), Hue::None)
    }
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The heading and the rows, each line behind `indent`, two blanks between columns.
    pub(super) fn render(&self, indent: &str, paint: Paint) -> String {
        let heading = self.columns.iter().map(|(name, _)| Cell((*name).to_owned(), Hue::Faint)).collect();
        let lines: Vec<&Vec<Cell>> = std::iter::once(&heading).chain(&self.rows).collect();
        let width =
            |column: usize| lines.iter().filter_map(|l| l.get(column)).map(|c| c.0.chars().count()).max();
        let widths: Vec<_> = (0..self.columns.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut out = String::new();
        for line in lines {
            let mut text = indent.to_owned();
            for (cell, ((_, side), width)) in line.iter().zip(self.columns.iter().zip(&widths)) {
                let gap = " ".repeat(width.saturating_sub(cell.0.chars().count()));
                let painted = paint.text(&cell.0, cell.1);
                let _ = match side {
                    Side::Left => write!(text, "{painted}{gap}  "),
                    Side::Right => write!(text, "{gap}{painted}  "),
                };
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
        out
    }
}

impl Paint {
    /// The text, in its colour.
    pub(super) fn text(self, text: &str, hue: Hue) -> String {
        let code = match hue {
            Hue::Good => "32",
            Hue::Caution => "33",
            Hue::Bad => "31",
            Hue::Faint => "2",
            Hue::None => return text.to_owned(),
        };
        if self == Self::Plain { text.to_owned() } else { format!("\x1b[{code}m{text}\x1b[0m") }
    }
}

/// One line without what a terminal would obey: the texts come from others.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The same of several lines.
pub(super) fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[("NAME", Side::Left), ("N", Side::Right), ("LAST", Side::Left)]);
        table.row(vec![Cell("ä".to_owned(), Hue::Good), "1000".to_owned().into(), "ok".to_owned().into()]);
        table.row(vec!["longer-name".to_owned().into(), "7".to_owned().into(), String::new().into()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_text() {
        let expected = "\
> NAME            N  LAST
> ä            1000  ok
> longer-name     7
";
        assert_eq!(table().render("> ", Paint::Plain), expected);
    }

    #[test]
    fn colours_take_no_room() {
        let coloured = table().render("", Paint::Coloured);
        assert!(coloured.contains("\x1b[32mä\x1b[0m            1000  ok"), "{coloured:?}");
    }

    #[test]
    fn nothing_that_others_say_reaches_the_terminal_as_a_command() {
        assert_eq!(Cell::from("a\x1b[2Jb\nc".to_owned()).0, "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(clean_lines("1: a\r\n2: \x07b"), "1: a\n2: \u{fffd}b");
    }
}
