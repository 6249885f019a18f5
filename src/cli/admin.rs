//! What the commands that talk to a running homing have in common: where it is, whose token is sent, which pool and
//! backend is meant.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{Answer, Client, Failed, Target, Token};
use crate::config::{self, Variables};

/// Where the homing is that is asked.
#[derive(Args, Clone, Debug)]
pub(super) struct AdminArgs {
    /// The configuration that homing runs with, for the address of its admin listener [default: config.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The admin listener itself: `127.0.0.1:9900`, `http://10.0.0.2:9900` or `unix:/run/homing.sock`
    #[arg(long, value_name = "ADDRESS", value_parser = Target::parse)]
    admin: Option<Target>,
    /// A file with the token of [admin] token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The answer as homing gives it, as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A backend as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `None` where there is but one.
    pool: Option<String>,
    backend: String,
}

/// A backend of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) pool: String,
    pub(super) backend: String,
}

/// Runs one command to its end.
pub(super) fn run(
    args: &AdminArgs,
    command: impl AsyncFnOnce(&Client) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let client = args.client(&super::environment()?.variables)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command(&client))
}

impl AdminArgs {
    fn client(&self, variables: &Variables) -> Result<Client, Failed> {
        let named = self.token_file.as_deref().map(token).transpose()?;
        if let (Some(target), None) = (&self.admin, &self.config) {
            return Ok(Client::new(target.clone(), named));
        }
        let path = self.config.as_deref().unwrap_or(Path::new("config.toml"));
        let reach = config::reach(path, variables).map_err(|why| {
            Failed::Usage(format!("{why}\n  help: -c FILE, or --admin ADDRESS, as in --admin 127.0.0.1:9900"))
        })?;
        // From this machine it is not needed, and who may not read it is told if it is.
        let token = named.or_else(|| token(&reach.token?).ok());
        let target = self.admin.clone().or_else(|| Target::of(&reach.listen)).ok_or_else(|| {
            let text = format!("{}: [admin] listens on any free port", path.display());
            Failed::Usage(text + "\n  help: --admin ADDRESS, with the address that homing says at its start")
        })?;
        Ok(Client::new(target, token))
    }
}

fn token(path: &Path) -> Result<Token, Failed> {
    let wrong = |why: String| Failed::Usage(format!("--token-file {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    Token::parse(&text).map_err(wrong)
}

impl Place {
    /// Reads `POOL/BACKEND`, or `BACKEND` alone. Backends may have a `/` in their names, and those of Unix sockets do.
    ///
    /// # Errors
    /// What it must be, as the rest of a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (pool, backend) = match text.split_once('/') {
            Some((pool, backend)) if !text.starts_with("unix:") => (Some(pool.to_owned()), backend),
            _ => (None, text),
        };
        if backend.is_empty() || pool.as_deref() == Some("") {
            return Err("must be POOL/BACKEND, or BACKEND if there is but one pool".to_owned());
        }
        Ok(Self { pool, backend: backend.to_owned() })
    }

    /// With its pool, which homing is asked for if it was left out.
    pub(super) async fn resolve(&self, client: &Client) -> Result<Named, Failed> {
        let pool = match &self.pool {
            Some(pool) => pool.clone(),
            None => only_pool(client, &format!("POOL/{}", self.backend)).await?,
        };
        Ok(Named { pool, backend: self.backend.clone() })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool, self.backend)
    }
}

impl Named {
    /// The API's path to it.
    pub(super) fn path(&self, then: &str) -> String {
        format!("/api/v1/pools/{}/backends/{}{then}", encode(&self.pool), encode(&self.backend))
    }
}

/// The only pool that there is.
pub(super) async fn only_pool(client: &Client, right: &str) -> Result<String, Failed> {
    let pools = client.get("/api/v1/pools").await?.accepted()?;
    let names: Vec<_> = list(&pools, "pools").iter().map(|pool| text(pool, "name").to_owned()).collect();
    match names.as_slice() {
        [one] => Ok(one.clone()),
        some => Err(Failed::Usage(format!("which pool? say {right}; there are: {}", some.join(", ")))),
    }
}

/// An answer for programs: as it is, and whether it is a refusal.
pub(super) fn as_json(answer: &Answer) -> anyhow::Result<ExitCode> {
    super::print(&format!("{}\n", answer.body))?;
    Ok(if answer.status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Percent-encodes what stands between two slashes (RFC 3986 section 2.3).
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// A string of an object, or an empty one.
pub(super) fn text<'v>(of: &'v Value, key: &str) -> &'v str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number of an object, or nought.
pub(super) fn number(of: &Value, key: &str) -> u64 {
    of.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// A list of an object, or an empty one.
pub(super) fn list<'v>(of: &'v Value, key: &str) -> &'v [Value] {
    of.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_named_with_or_without_their_pool() {
        for (text, expected) in [
            ("app/a", Some((Some("app"), "a"))),
            ("a", Some((None, "a"))),
            ("app/127.0.0.1:9001", Some((Some("app"), "127.0.0.1:9001"))),
            ("127.0.0.1:9001", Some((None, "127.0.0.1:9001"))),
            ("app/unix:/run/a.sock", Some((Some("app"), "unix:/run/a.sock"))),
            ("unix:/run/a.sock", Some((None, "unix:/run/a.sock"))),
            ("/a", None),
            ("app/", None),
            ("", None),
        ] {
            let place = |(pool, backend): (Option<&str>, &str)| Place {
                pool: pool.map(str::to_owned),
                backend: backend.to_owned(),
            };
            assert_eq!(Place::parse(text).ok(), expected.map(place), "{text}");
        }
    }

    #[test]
    fn names_stand_encoded_in_paths() {
        let named = Named { pool: "a b".to_owned(), backend: "unix:/run/ä.sock".to_owned() };
        assert_eq!(named.path("/state"), "/api/v1/pools/a%20b/backends/unix%3A%2Frun%2F%C3%A4.sock/state");
    }
}
