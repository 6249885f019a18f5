//! `homing reload`: a changed configuration in force, or why not.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::admin::{self, AdminArgs, as_json, list, text};
use super::print;
use super::table::{clean, clean_lines};

#[derive(Args, Debug)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn reload(args: &ReloadArgs) -> anyhow::Result<ExitCode> {
    admin::run(&args.admin, async |client| {
        let path = if args.dry_run { "/api/v1/reload?dry_run=1" } else { "/api/v1/reload" };
        let answer = client.post(path, &json!({})).await?;
        if args.admin.json {
            return as_json(&answer);
        }
        print(&in_words(&answer.accepted()?, args.dry_run))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What the reload did, or would do.
fn in_words(answer: &Value, is_dry: bool) -> String {
    let mut out = String::new();
    match answer.get("reloaded").and_then(Value::as_bool) {
        Some(true) => out.push_str(&format!("reloaded, configuration {}\n", clean(text(answer, "hash")))),
        _ if is_dry => out.push_str("not reloaded: a dry run\n"),
        _ => {}
    }
    for line in clean_lines(text(answer, "text")).lines() {
        out.push_str(&format!("{line}\n"));
    }
    for warning in list(answer, "warnings").iter().filter_map(Value::as_str) {
        out.push_str(&format!("{}\n", clean_lines(warning)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_what_changed() {
        let answer = json!({
            "reloaded": true, "hash": "4f1c", "text": "pool app: backend c is new\n1 listener stays",
            "warnings": ["config.toml:3:1: warning: x"],
        });
        let expected = "\
reloaded, configuration 4f1c
pool app: backend c is new
1 listener stays
config.toml:3:1: warning: x
";
        assert_eq!(in_words(&answer, false), expected);
    }

    #[test]
    fn a_dry_run_says_that_it_was_one() {
        let answer = json!({ "reloaded": false, "text": "nothing changes" });
        assert_eq!(in_words(&answer, true), "not reloaded: a dry run\nnothing changes\n");
        assert_eq!(in_words(&answer, false), "nothing changes\n");
    }
}
