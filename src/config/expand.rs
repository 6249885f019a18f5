//! `${NAME}` in strings: what stands there instead, from the environment.
//!
//! `${NAME}` must be set; `${NAME:-default}` is the default where it is not set or empty, as shells have it; `$$` is a
//! `$`, and so is a `$` before anything else. What is put in is not looked through again. Keys and comments stay.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Report;
use super::item::Place;
use super::{Variables, reader};

/// Puts in what every string of the table asks for; `base` is where its text begins.
pub(super) fn table(table: &mut DeTable<'_>, base: usize, report: &Report, variables: &Variables) {
    table.iter_mut().for_each(|(_, value)| of_value(value, base, report, variables));
}

fn of_value(value: &mut Spanned<DeValue<'_>>, base: usize, report: &Report, variables: &Variables) {
    let place = Place::new(base, &value.span());
    match value.get_mut() {
        DeValue::String(text) if text.contains('$') => match expand(text, variables) {
            Ok(new) => {
                report.expanded.borrow_mut().insert(place.start(), (**text).into());
                *text = Cow::Owned(new);
            }
            Err(message) => report.error(place.span(), message),
        },
        DeValue::Array(list) => list.iter_mut().for_each(|v| of_value(v, base, report, variables)),
        DeValue::Table(inner) => table(inner, base, report, variables),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

fn expand(text: &str, variables: &Variables) -> Result<String, String> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((inside, after)) = after.split_once('}') else {
                return Err("\"${\" without \"}\": must be \"${NAME}\"; \"$$\" is a \"$\"".to_owned());
            };
            out.push_str(&value(inside, variables)?);
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn value(inside: &str, variables: &Variables) -> Result<String, String> {
    let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, d)| (name, Some(d)));
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        let must = "must be a variable's name of letters, digits and \"_\", as in \"${HOST}\" or \"${HOST:-localhost}\"";
        return Err(format!("\"${{{}}}\": {must}", reader::quoted(inside).trim_matches('"')));
    }
    match (variables.get(name), default) {
        (Some(value), None) => Ok(value.to_owned()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.to_owned()),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(format!("${{{name}}} is not set: must be, or have a default, as in ${{{name}:-x}}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let variables = [("A", "1"), ("EMPTY", ""), ("B_2", "${A}")];
        let variables = variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        match (expand(text, &variables), expected) {
            (Ok(is), Ok(expected)) => assert_eq!(is, expected, "{text}"),
            (Err(is), Err(expected)) => assert!(is.contains(expected), "{text}: {is}"),
            (is, _) => panic!("{text}: {is:?}"),
        }
    }

    #[test]
    fn strings_are_filled_in() {
        check("a", Ok("a"));
        check("${A}:${A}", Ok("1:1"));
        check("x${B_2}y", Ok("x${A}y"));
        check("${NO:-d:-e}${EMPTY:-f}${EMPTY}", Ok("d:-ef"));
        check("${NO:-}", Ok(""));
        check("$$ $${A} $A $", Ok("$ ${A} $A $"));
        check("${NO}", Err("${NO} is not set: must be, or have a default, as in ${NO:-x}"));
        check("a ${A", Err("without \"}\""));
        check("${}", Err("\"${}\": must be a variable's name"));
        check("${1A}", Err("must be a variable's name"));
        check("${A B}", Err("must be a variable's name"));
    }
}
