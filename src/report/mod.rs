//! What a bench or a simulation found, told to people: one page of HTML, Markdown, CSV, a table for the terminal, what
//! changed since another run, and whether a condition is met.
//!
//! Everything is made from one JSON result (`"schema": "homing.bench/1"`), so that a result can be told again later.
//! `read` makes types of it and leaves out what is not there; nothing after it looks at JSON. What a result says may come
//! from anybody (names, labels, what a balancer answered): every form escapes it in its own way.
//!
//! A run that doubts itself is shown and not ranked: see `Run::is_ranked`. Nothing here prints.

mod compare;
mod csv;
mod fails;
mod known;
mod markdown;
mod number;
mod page;
mod read;
mod table;
#[cfg(test)]
mod testing;
mod verdict;
mod words;

pub use compare::compare;
pub use csv::csv;
pub use fails::{check, fails};
pub use markdown::markdown;
pub use page::html;
pub use table::{Ink, table};

/// What a result that this room reads says in its field `schema`.
pub const SCHEMA: &str = "homing.bench/1";
