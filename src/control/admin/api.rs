//! What is done at each path.
//!
//! | path | answers |
//! |---|---|
//! | `/` | the page |
//! | `/healthz` | 200 while the process answers |
//! | `/readyz` | 200 while clients are welcome, 503 before and after |
//! | `/metrics` | Prometheus' text |
//! | `/api/v1/..` | JSON, as [`openapi.json`](https://spec.openapis.org/oas/v3.1.0) beside this file says |

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::figures::Figures;
use super::super::owner::{Ask, Order};
use super::auth::{self, Access, Origin};
use super::peers::{self, Node};
use super::reply::{Answer, Content, Failure, json_page, page, with_fields};
use super::route::{self, NoRoute, Place, Route};
use super::{View, events, sessions, wishes};
use crate::snapshot::phases::Phase;
use crate::telemetry::exposition;

/// The largest body.
const LARGEST: usize = 16 * 1024;
/// What of a larger one is read and thrown away, so that who sends it hears why it is refused.
const THROWN_AWAY: usize = 256 * 1024;

const TEXT: &str = "text/plain; charset=utf-8";
const PAGE: &str = include_str!("page.html");
const OPEN_API: &str = include_str!("openapi.json");

/// One connection, and with it one request.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) origin: Origin,
    /// Ends the connection.
    pub(super) hang_up: Arc<Notify>,
}

impl View {
    /// Answers a request.
    pub(super) async fn answer<B>(&self, request: Request<B>, caller: &Caller) -> Answer
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (parts, body) = request.into_parts();
        self.attempt(&parts, body, caller).await.unwrap_or_else(Failure::into_answer)
    }

    async fn attempt<B>(&self, parts: &Parts, body: B, caller: &Caller) -> Result<Answer, Failure>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let path = parts.uri.path();
        let route = Route::of(path).map_err(|no| match no {
            NoRoute::Unknown => {
                Failure::unknown(format!("{path}: nothing here; /api/v1/openapi.json lists what there is"))
            }
            NoRoute::Encoding => Failure::wrong(format!("{path}: is not percent-encoded UTF-8")),
        })?;
        if !route.takes(&parts.method) {
            return Ok(not_allowed(&route, &parts.method));
        }
        let access = if route.is_change() { Access::Change } else { Access::Read };
        let plan = Arc::clone(&self.published.load().plan);
        let token = plan.admin.as_ref().and_then(|admin| admin.token.as_ref());
        let by = if route.is_public() {
            String::new()
        } else {
            auth::admit(access, caller.origin, &parts.uri, &parts.headers, token).inspect_err(|denied| {
                if access == Access::Change {
                    tracing::warn!(by = %caller.origin, "audit: {} {path} refused: {}", parts.method, denied.text());
                }
            })?
        };
        if !route.is_change() {
            return self.tell(&route, parts, caller).await;
        }
        let body = read(body).await?;
        self.change(&route, parts, &body, &by).await
    }

    async fn tell(&self, route: &Route, parts: &Parts, caller: &Caller) -> Result<Answer, Failure> {
        let query = |key: &str| route::query(parts.uri.query(), key);
        Ok(match route {
            Route::Page => the_page(),
            Route::Healthy => page(StatusCode::OK, TEXT, "ok\n"),
            Route::Ready => match self.phases.now() {
                Phase::Serving => page(StatusCode::OK, TEXT, "ready\n"),
                Phase::Starting => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n"),
                Phase::Notice | Phase::Drain | Phase::Cut => {
                    page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n")
                }
            },
            Route::Metrics => {
                page(StatusCode::OK, exposition::CONTENT_TYPE, self.metrics.render(&self.figures()))
            }
            Route::OpenApi => page(StatusCode::OK, "application/json", OPEN_API),
            Route::Pools => json_page(StatusCode::OK, &self.figures().pools(self.phases.now())),
            Route::State => json_page(StatusCode::OK, &self.state()),
            Route::Events => self.events(&parts.method, caller)?,
            Route::Backend(place) => json_page(StatusCode::OK, &self.backend(place)?),
            Route::SafeToStop(place) => {
                self.safe_to_stop(place, parts.uri.path(), query("scope").as_deref()).await?
            }
            Route::Sessions(pool) => json_page(StatusCode::OK, &sessions::list(self, pool, query)?),
            Route::Reload
            | Route::SetState(_)
            | Route::SetWeight(_)
            | Route::FindSession(_)
            | Route::MoveSession(_)
            | Route::EndSession(_) => not_allowed(route, &parts.method),
        })
    }

    async fn change(&self, route: &Route, parts: &Parts, body: &[u8], by: &str) -> Result<Answer, Failure> {
        let done = match route {
            Route::Reload => {
                let dry_run = route::query(parts.uri.query(), "dry_run");
                let is_dry = dry_run.is_some_and(|value| value != "0" && value != "false");
                self.order(Order::Reload { is_dry }, by).await?
            }
            Route::SetState(place) => {
                let wish = wishes::state(body).map_err(Failure::wrong)?;
                let (pool, backend) = (place.pool.clone(), place.backend.clone());
                self.order(Order::Set { pool, backend, wish }, by).await?;
                self.backend(place)?
            }
            Route::SetWeight(place) => {
                let weight = wishes::weight(body).map_err(Failure::wrong)?;
                let (pool, backend) = (place.pool.clone(), place.backend.clone());
                self.order(Order::Weigh { pool, backend, weight }, by).await?;
                self.backend(place)?
            }
            Route::FindSession(pool) => {
                sessions::find(self, pool, &wishes::id(body).map_err(Failure::wrong)?)?
            }
            Route::MoveSession(pool) => {
                let (which, to) = wishes::which_and_to(body).map_err(Failure::wrong)?;
                sessions::move_to(self, pool, &which, &to, by)?
            }
            Route::EndSession(pool) => {
                sessions::end(self, pool, &wishes::which(body).map_err(Failure::wrong)?, by)?
            }
            _ => return Ok(not_allowed(route, &parts.method)),
        };
        Ok(json_page(StatusCode::OK, &done))
    }

    pub(super) fn figures(&self) -> Figures<'_> {
        Figures::now(&self.published, &self.board, &self.metrics, &self.reports_dropped)
    }

    /// All that is told.
    pub(super) fn state(&self) -> Value {
        let uptime = Instant::now().saturating_duration_since(self.started);
        self.figures().state(self.phases.now(), &self.recent, uptime)
    }

    fn backend(&self, place: &Place) -> Result<Value, Failure> {
        self.figures().backend(&place.pool, &place.backend).ok_or_else(|| self.no_such(place))
    }

    fn no_such(&self, Place { pool, backend }: &Place) -> Failure {
        let plan = Arc::clone(&self.published.load().plan);
        Failure::unknown(if plan.pools.iter().any(|p| *p.name == **pool) {
            format!("no backend \"{backend}\" in pool \"{pool}\"")
        } else {
            format!("no pool \"{pool}\"")
        })
    }

    async fn order(&self, order: Order, by: &str) -> Result<Value, Failure> {
        let (ask, answer) = Ask::new(order, by);
        let gone = || Failure::unavailable("stopping", "homing is stopping");
        self.desk.send(ask).await.map_err(|_| gone())?;
        Ok(answer.await.map_err(|_| gone())??)
    }

    fn events(&self, method: &Method, caller: &Caller) -> Result<Answer, Failure> {
        const EVENT_STREAM: &str = "text/event-stream";
        if method == Method::HEAD {
            return Ok(page(StatusCode::OK, EVENT_STREAM, ""));
        }
        let stream = self.hub.listen(events::state(self).into(), &caller.hang_up).ok_or_else(|| {
            Failure::unavailable("busy", "too many listen to events already; ask for /api/v1/state")
        })?;
        Ok(with_fields(StatusCode::OK, EVENT_STREAM, Content::Events(stream)))
    }

    async fn safe_to_stop(&self, place: &Place, path: &str, scope: Option<&str>) -> Result<Answer, Failure> {
        if scope.is_some_and(|scope| scope != "node") {
            return Err(Failure::wrong("scope: must be \"node\", or be left out to ask the peers too"));
        }
        let safety = self.figures().safety(&place.pool, &place.backend).ok_or_else(|| self.no_such(place))?;
        let backend = self.backend(place)?;
        let mut nodes = vec![Node {
            name: "this node".to_owned(),
            is_safe: safety.is_safe(),
            sessions: safety.left.sessions.into(),
            requests: safety.left.requests.into(),
            tunnels: safety.left.tunnels.into(),
            error: None,
        }];
        let plan = Arc::clone(&self.published.load().plan);
        if let Some(admin) = plan.admin.as_ref().filter(|_| scope.is_none()) {
            let path = format!("{path}?scope=node");
            nodes.extend(peers::ask(&admin.peers, admin.token.as_ref(), &path).await);
        }
        let is_safe = nodes.iter().all(|node| node.is_safe);
        let sum = |of: fn(&Node) -> u64| nodes.iter().map(of).fold(0, u64::saturating_add);
        let (sessions, requests, tunnels) = (sum(|n| n.sessions), sum(|n| n.requests), sum(|n| n.tunnels));
        let drain = |key: &str| backend.get("drain").and_then(|drain| drain.get(key)).cloned();
        let status = if is_safe { StatusCode::OK } else { StatusCode::CONFLICT };
        let why = why(safety.is_closed, &nodes, [sessions, requests, tunnels]);
        Ok(json_page(
            status,
            &json!({
                "safe": is_safe,
                "pool": place.pool,
                "backend": place.backend,
                "admin": backend["admin"],
                "closed": safety.is_closed,
                "sessions": sessions,
                "requests": requests,
                "tunnels": tunnels,
                "longest_idle_s": drain("longest_idle_s"),
                "deadline": drain("deadline"),
                "expected_end": drain("expected_end"),
                "why": why,
                "nodes": nodes.iter().map(Node::json).collect::<Vec<_>>(),
            }),
        ))
    }
}

/// Why a backend can be stopped, or not.
fn why(is_closed: bool, nodes: &[Node], [sessions, requests, tunnels]: [u64; 3]) -> String {
    if let Some((node, error)) = nodes.iter().find_map(|n| Some((&n.name, n.error.as_ref()?))) {
        return format!("{node}: {error}");
    }
    if !is_closed {
        return "it takes new sessions: drain it first".to_owned();
    }
    let unsafe_nodes: Vec<_> = nodes.iter().filter(|n| !n.is_safe).map(|n| n.name.as_str()).collect();
    if unsafe_nodes.is_empty() {
        return if sessions == 0 {
            "nothing is left on it".to_owned()
        } else {
            format!("it serves nobody; {} move at their next request", several(sessions, "session"))
        };
    }
    let left = [(sessions, "session"), (requests, "request"), (tunnels, "tunnel")];
    let left: Vec<_> = left.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| several(n, what)).collect();
    let left = if left.is_empty() { "it takes new sessions there".to_owned() } else { left.join(", ") };
    if nodes.len() > 1 { format!("{left} ({})", unsafe_nodes.join(", ")) } else { left }
}

fn several(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn not_allowed(route: &Route, method: &Method) -> Answer {
    let allows = route.allows();
    let text = format!("{method}: only {allows}");
    let failure = Failure { status: StatusCode::METHOD_NOT_ALLOWED, reason: "method", text };
    let mut answer = failure.into_answer();
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allows));
    answer
}

/// The page, which may run its own script and style and ask this listener; nothing else.
fn the_page() -> Answer {
    let mut random = [0; 16];
    if let Err(error) = getrandom::fill(&mut random) {
        return Failure::unavailable("random", format!("no random bytes for the page: {error}"))
            .into_answer();
    }
    let nonce = format!("{:032x}", u128::from_ne_bytes(random));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut answer = page(StatusCode::OK, "text/html; charset=utf-8", PAGE.replace("{{nonce}}", &nonce));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

/// The whole body.
async fn read<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Vec<u8>, Failure> {
    let (mut kept, mut seen) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::wrong("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= LARGEST {
            kept.extend_from_slice(&data);
        } else if seen > THROWN_AWAY {
            break;
        }
    }
    if seen > LARGEST {
        let text = format!("the body is larger than {LARGEST} bytes");
        return Err(Failure { status: StatusCode::PAYLOAD_TOO_LARGE, reason: "too_large", text });
    }
    Ok(kept)
}
