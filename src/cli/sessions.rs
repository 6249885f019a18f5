//! `homing sessions`: those that a pool keeps in its table.

use std::io::BufRead as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::admin::{self, AdminArgs, as_json, encode, list, number, only_pool, text};
use super::client::Client;
use super::print;
use super::progress::{rough, several};
use super::table::{Cell, Paint, Side, Table, clean};
use crate::base::time::UnixSeconds;

/// Sessions that are asked for at once.
const PAGE: usize = 1000;

#[derive(Args, Debug)]
pub(super) struct SessionsArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The pool, if there are several
    pool: Option<String>,
    /// Only those of this backend
    #[arg(long, value_name = "BACKEND", conflicts_with_all = ["find", "move_", "end"])]
    backend: Option<String>,
    /// The session that the application calls so; `-` reads it from standard input, for whoever knows it is logged in
    #[arg(long, value_name = "ID", conflicts_with_all = ["move_", "end"])]
    find: Option<String>,
    /// Move a session, by its name in the list
    #[arg(long = "move", id = "move_", value_name = "NAME", requires = "to", conflicts_with = "end")]
    move_: Option<String>,
    /// The backend it is to have from its next request on
    #[arg(long, value_name = "BACKEND", requires = "move_")]
    to: Option<String>,
    /// End a session, by its name in the list
    #[arg(long, value_name = "NAME")]
    end: Option<String>,
    /// List so many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) fn sessions(args: &SessionsArgs) -> anyhow::Result<ExitCode> {
    let id = args.find.as_deref().map(id).transpose()?;
    admin::run(&args.admin, async |client| {
        let pool = match &args.pool {
            Some(pool) => pool.clone(),
            None => only_pool(client, "homing sessions POOL").await?,
        };
        let path = format!("/api/v1/pools/{}/sessions", encode(&pool));
        let (path, wish) = match (&id, &args.move_, &args.to, &args.end) {
            (Some(id), ..) => (format!("{path}/find"), json!({ "id": id })),
            (_, Some(name), Some(to), _) => (format!("{path}/move"), json!({ "name": name, "to": to })),
            (.., Some(name)) => (format!("{path}/end"), json!({ "name": name })),
            _ => return listed(args, client, &path).await,
        };
        let answer = client.post(&path, &wish).await?;
        if args.admin.json {
            return as_json(&answer);
        }
        let done = answer.accepted()?;
        print(&match (&args.move_, &args.to, &args.end) {
            (Some(name), Some(to), _) => format!("{name} is with {to} from its next request on\n"),
            (.., Some(name)) => format!("{name} has ended\n"),
            _ => table(std::slice::from_ref(&done), UnixSeconds::now().0.into(), super::paint()),
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Page by page, for a list may be long.
async fn listed(args: &SessionsArgs, client: &Client, path: &str) -> anyhow::Result<ExitCode> {
    let (mut all, mut next) = (Vec::new(), Value::Null);
    let limit = args.limit as usize;
    let total = loop {
        let mut page = format!("{path}?limit={}", (limit - all.len()).min(PAGE));
        if let Some(backend) = &args.backend {
            page.push_str(&format!("&backend={}", encode(backend)));
        }
        if let Some(cursor) = next.as_str() {
            page.push_str(&format!("&cursor={}", encode(cursor)));
        }
        let answer = client.get(&page).await?;
        if args.admin.json && !answer.status.is_success() {
            return as_json(&answer);
        }
        let answer = answer.accepted()?;
        let sessions = list(&answer, "sessions");
        all.extend(sessions.iter().take(limit - all.len()).cloned());
        // A page may be empty though others follow: sessions that are over are left out.
        let before = std::mem::replace(&mut next, answer.get("next").cloned().unwrap_or_default());
        if !next.is_string() || next == before || all.len() >= limit {
            break number(&answer, "total");
        }
    };
    if args.admin.json {
        print(&format!("{}\n", json!({ "sessions": all, "next": next, "total": total })))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = table(&all, UnixSeconds::now().0.into(), super::paint());
    let count = several(all.len() as u64, "session");
    out.push_str(&if !next.is_string() {
        format!("{count}\n")
    } else if args.backend.is_some() {
        format!("the first {count}; --limit N lists more\n")
    } else {
        format!("the first {count} of {total}; --limit {total} lists all\n")
    });
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn table(sessions: &[Value], now: u64, paint: Paint) -> String {
    let columns = ["NAME", "BACKEND", "ISSUED", "LAST SEEN", "IDLE"];
    let mut table = Table::new(&columns.map(|name| (name, Side::Left)));
    let ago = |session: &Value, key: &str| {
        let at = session.get(key).and_then(Value::as_u64);
        at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", rough(now.saturating_sub(at))))
    };
    for session in sessions {
        table.row(vec![
            clean(text(session, "name")).into(),
            clean(text(session, "backend")).into(),
            ago(session, "issued").into(),
            ago(session, "last_seen").into(),
            Cell::from(rough(number(session, "idle_s"))),
        ]);
    }
    table.render("", paint)
}

/// An id is a secret, and an argument is seen by everybody on the machine: `-` is the better way.
fn id(given: &str) -> anyhow::Result<String> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("read the id from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_stand_in_columns() {
        let sessions = [
            json!({ "name": "s-4f1c", "backend": "a", "issued": 400, "last_seen": 990, "idle_s": 10 }),
            json!({ "name": "s-77", "backend": "unix:/run/b", "issued": null, "last_seen": 1000, "idle_s": 0 }),
        ];
        let expected = "\
NAME    BACKEND      ISSUED   LAST SEEN  IDLE
s-4f1c  a            10m ago  10s ago    10s
s-77    unix:/run/b  -        0s ago     0s
";
        assert_eq!(table(&sessions, 1000, Paint::Plain), expected);
    }
}
