//! Whether the other nodes say so too: each is asked what it has left on a backend.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::base::address::Address;
use crate::snapshot::admin::{Peer, Token};

/// For one node's whole answer.
const WITHIN: Duration = Duration::from_secs(2);
/// The largest answer, in bytes.
const LARGEST: usize = 64 * 1024;

/// What one node has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) is_safe: bool,
    pub(super) sessions: u64,
    pub(super) requests: u64,
    pub(super) tunnels: u64,
    /// Why nothing is known of it.
    pub(super) error: Option<String>,
}

impl Node {
    pub(super) fn json(&self) -> Value {
        json!({
            "node": self.name,
            "safe": self.is_safe,
            "sessions": self.sessions,
            "requests": self.requests,
            "tunnels": self.tunnels,
            "error": self.error,
        })
    }
}

/// Asks all of them at once for `path`; in their order. Who does not answer is not safe.
pub(super) async fn ask(peers: &[Peer], token: Option<&Token>, path: &str) -> Vec<Node> {
    let mut tasks = JoinSet::new();
    for (at, peer) in peers.iter().cloned().enumerate() {
        let (token, path) = (token.cloned(), path.to_owned());
        tasks.spawn(async move {
            let asked = tokio::time::timeout(WITHIN, ask_one(&peer, token.as_ref(), &path)).await;
            let late = || Err(format!("no answer within {} s", WITHIN.as_secs()));
            let error = |error| Node { error: Some(error), ..Node::default() };
            (at, asked.unwrap_or_else(|_| late()).unwrap_or_else(error))
        });
    }
    let unheard = |peer: &Peer| Node { name: peer.url.to_string(), ..Node::default() };
    let mut nodes: Vec<_> = peers.iter().map(unheard).collect();
    while let Some(done) = tasks.join_next().await {
        if let Ok((at, node)) = done
            && let Some(place) = nodes.get_mut(at)
        {
            *place = Node { name: std::mem::take(&mut place.name), ..node };
        }
    }
    nodes
}

async fn ask_one(peer: &Peer, token: Option<&Token>, path: &str) -> Result<Node, String> {
    let stream = match &peer.address {
        Address::Socket(address) => TcpStream::connect(address).await,
        Address::Name { host, port } => TcpStream::connect((&**host, *port)).await,
        Address::Unix(_) => return Err("not a node's address".to_owned()),
    };
    let stream = stream.map_err(|e| broken("connect", &e))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken("speak", &e))?;
    let mut request = Request::get(path)
        .header(header::HOST, peer.address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| broken("ask", &e))?;
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|e| broken("send the token", &e))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let answered = async move {
        let answer = sender.send_request(request).await.map_err(|e| broken("ask", &e))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        Ok((status, body.map_err(|_| "its answer broke off or is too long".to_owned())?.to_bytes()))
    };
    let (mut connection, mut answered) = (std::pin::pin!(connection), std::pin::pin!(answered));
    // The connection may end first, with the rest of the answer read already.
    let answer: Result<(StatusCode, Bytes), String> = tokio::select! {
        answer = &mut answered => answer,
        _ = &mut connection => answered.await,
    };
    let (status, body) = answer?;
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    judge(status, &said)
}

fn judge(status: StatusCode, said: &Value) -> Result<Node, String> {
    let number = |key| said.get(key).and_then(Value::as_u64);
    let safe = said.get("safe").and_then(Value::as_bool);
    let (Some(is_safe), Some(sessions), Some(requests), Some(tunnels), StatusCode::OK | StatusCode::CONFLICT) =
        (safe, number("sessions"), number("requests"), number("tunnels"), status)
    else {
        let why: String =
            said.get("error").and_then(Value::as_str).unwrap_or_default().chars().take(200).collect();
        let colon = if why.is_empty() { "" } else { ": " };
        return Err(format!("status {}{colon}{why}", status.as_u16()));
    };
    Ok(Node { is_safe: is_safe && status == StatusCode::OK, sessions, requests, tunnels, ..Node::default() })
}

fn broken(what: &str, error: &impl fmt::Display) -> String {
    format!("{what}: {error}")
}
