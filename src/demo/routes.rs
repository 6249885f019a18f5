//! What a backend answers: the page, the shop behind it, and the plain endpoints for `curl`, probes and measurements.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Body;
use serde_json::{Value, json};

use super::backend::{Backend, count};
use super::events::Events;
use super::sessions::Shown;
use super::{page, request, shop, stats};

/// Bytes of a body.
const BODY_LIMIT: usize = 4 * 1024;

/// Time to receive one.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that `/slow` waits, and what it waits when nothing is asked for, in milliseconds.
const SLOW_LIMIT: u64 = 10_000;
const SLOW_DEFAULT: u64 = 1_000;

/// `POST` with this is answered with how it was done: for the page, and for who is curious.
const TRACE: HeaderName = HeaderName::from_static("x-trace");

pub(super) type Reply = Response<Either<Full<Bytes>, Events>>;

/// What the shop says to a request: a status, an object, and cookies.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    pub(super) cookies: Vec<String>,
    pub(super) extra: Option<(HeaderName, HeaderValue)>,
}

/// What the shop needs of a request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) shown: Shown,
    pub(super) body: Value,
    /// Whether it wants to know how it was done.
    pub(super) traced: bool,
}

/// Why a request gets no answer of substance. The text is the answer's.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no such page here")]
    NoPage,
    #[error("this page takes {0}")]
    Method(&'static str),
    #[error("ms must be a number of milliseconds, 0 to 10000")]
    Wait,
    #[error("a body may have 4096 bytes")]
    TooLarge,
    #[error("the body is not a JSON object")]
    NotJson,
    #[error("the body did not arrive whole")]
    Broken,
    #[error("the body did not arrive within 10 s")]
    Late,
    #[error("delay_ms must be 0 to 60000, errors a share from 0 to 1")]
    NoFault,
    #[error("this is the fault that was asked for")]
    Fault,
    #[error("this was sent by a page of another site")]
    OtherSite,
}

/// Answers one request.
pub(super) async fn answer<B>(backend: &Rc<Backend>, request: Request<B>) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut response = match route(backend, request).await {
        Ok(response) => response,
        Err(refusal) => refuse(backend, refusal),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-backend"), backend.header.clone());
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

async fn route<B>(backend: &Rc<Backend>, request: Request<B>) -> Result<Reply, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = request.uri().path().to_owned();
    let (reads, posts) =
        (matches!(*request.method(), Method::GET | Method::HEAD), request.method() == Method::POST);
    let faults = backend.faults.get();
    if !matches!(path.as_str(), "/faults" | "/stats") {
        faults.wait().await;
    }
    if path.starts_with("/api/") && faults.strikes() {
        return Err(Refusal::Fault);
    }
    match path.as_str() {
        "/" | "/healthz" | "/slow" | "/events" | "/stats" | "/api/me" if !reads => {
            Err(Refusal::Method("GET, HEAD"))
        }
        "/" => show(backend, request.headers()),
        "/healthz" => Ok(text(StatusCode::OK, "ok\n")),
        "/stats" => Ok(json(StatusCode::OK, &stats::tell(backend))),
        "/slow" => slow(backend, request.uri().query().unwrap_or_default()).await,
        "/events" => Ok(stream(backend)),
        "/api/me" => {
            count(&backend.counts.requests);
            let asked = Asked::read(backend, request.headers(), Value::Null);
            Ok(tell(shop::me(backend, &asked).await))
        }
        "/faults" if backend.options.takes_faults && !posts => Err(Refusal::Method("POST")),
        "/faults" if backend.options.takes_faults => take_fault(backend, request).await,
        "/demo/stage" if backend.stage.is_some() => on_stage(backend, request, reads).await,
        "/api/register"
        | "/api/login"
        | "/api/cart"
        | "/api/logout"
        | "/api/logout-everywhere"
        | "/api/refresh" => {
            if !posts {
                return Err(Refusal::Method("POST"));
            }
            count(&backend.counts.requests);
            let (head, body) = request.into_parts();
            if request::is_from_another_site(&head.headers) {
                return Err(Refusal::OtherSite);
            }
            let asked = Asked::read(backend, &head.headers, receive(body).await?);
            Ok(tell(match path.as_str() {
                "/api/register" => shop::register(backend, &asked).await,
                "/api/login" => shop::log_in(backend, &asked).await,
                "/api/cart" => shop::add(backend, &asked).await,
                "/api/logout" => shop::log_out(backend, &asked).await,
                "/api/logout-everywhere" => shop::log_out_everywhere(backend, &asked).await,
                _ => shop::refresh(backend, &asked).await,
            }))
        }
        _ => Err(Refusal::NoPage),
    }
}

impl Asked {
    fn read(backend: &Backend, headers: &HeaderMap, body: Value) -> Self {
        let shown = Shown::read(headers, backend.sessions.jar);
        Self { shown, body, traced: headers.contains_key(TRACE) }
    }
}

fn show(backend: &Backend, headers: &HeaderMap) -> Result<Reply, Refusal> {
    let mut response = reply(StatusCode::OK, "text/html; charset=utf-8", page::render(backend, headers));
    let policy = HeaderValue::from_str(&page::policy(&backend.boot)).map_err(|_| Refusal::NoPage)?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn stream(backend: &Rc<Backend>) -> Reply {
    let mut response = Response::new(Either::Right(Events::new(Rc::clone(backend))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Who of the demo lives, and whose turn it is to die. Only for who sits at this machine.
async fn on_stage<B>(backend: &Rc<Backend>, request: Request<B>, reads: bool) -> Result<Reply, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(stage) = &backend.stage else { return Err(Refusal::NoPage) };
    if reads {
        return Ok(json(StatusCode::OK, &stage.tell(backend)));
    }
    if request.method() != Method::POST {
        return Err(Refusal::Method("GET, HEAD, POST"));
    }
    let (head, body) = request.into_parts();
    if request::is_from_another_site(&head.headers) || !request::is_for_loopback(&head.headers) {
        return Err(Refusal::OtherSite);
    }
    let body = receive(body).await?;
    let name = body.get("backend").and_then(Value::as_str);
    let (Some(name), Some(alive)) = (name, body.get("alive").and_then(Value::as_bool)) else {
        return Err(Refusal::NotJson);
    };
    Ok(match stage.order(name, alive) {
        Ok(()) => json(StatusCode::ACCEPTED, &stage.tell(backend)),
        Err(error) => {
            let told =
                json!({ "backend": &**backend.name(), "boot": backend.boot, "error": error.to_string() });
            json(StatusCode::CONFLICT, &told)
        }
    })
}

async fn take_fault<B>(backend: &Backend, request: Request<B>) -> Result<Reply, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    if request::is_from_another_site(&head.headers) || !request::is_for_loopback(&head.headers) {
        return Err(Refusal::OtherSite);
    }
    let faults = backend.faults.get().with(&receive(body).await?).ok_or(Refusal::NoFault)?;
    backend.faults.set(faults);
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

async fn slow(backend: &Backend, query: &str) -> Result<Reply, Refusal> {
    let wait = match request::field(query.as_bytes(), "ms").map(|ms| ms.parse::<u64>()) {
        None => SLOW_DEFAULT,
        Some(Ok(ms)) => ms.min(SLOW_LIMIT),
        Some(Err(_)) => return Err(Refusal::Wait),
    };
    tokio::time::sleep(Duration::from_millis(wait)).await;
    Ok(text(StatusCode::OK, format!("backend {} answered after {wait} ms\n", backend.name())))
}

/// A body, within its limit and its time: a JSON object, or nothing.
async fn receive<B>(body: B) -> Result<Value, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_LIMIT).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Refusal::TooLarge),
        Ok(Err(_)) => return Err(Refusal::Broken),
        Err(_) => return Err(Refusal::Late),
    };
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).ok().filter(Value::is_object).ok_or(Refusal::NotJson)
}

fn refuse(backend: &Backend, refusal: Refusal) -> Reply {
    let status = match refusal {
        Refusal::NoPage => StatusCode::NOT_FOUND,
        Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::Wait | Refusal::Broken | Refusal::NotJson | Refusal::NoFault => StatusCode::BAD_REQUEST,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Late => StatusCode::REQUEST_TIMEOUT,
        Refusal::OtherSite => StatusCode::FORBIDDEN,
        Refusal::Fault => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let told = json!({ "backend": &**backend.name(), "boot": backend.boot, "error": refusal.to_string() });
    let mut response = json(status, &told);
    if let Refusal::Method(allowed) = refusal {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

fn tell(told: Told) -> Reply {
    let mut response = if told.status == StatusCode::NO_CONTENT {
        let mut response = Response::new(Either::Left(Full::default()));
        *response.status_mut() = told.status;
        response
    } else {
        json(told.status, &told.body)
    };
    let headers = response.headers_mut();
    if told.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    for cookie in &told.cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    if let Some((name, value)) = told.extra {
        headers.insert(name, value);
    }
    response
}

fn json(status: StatusCode, value: &Value) -> Reply {
    reply(status, "application/json", format!("{value}\n"))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", body)
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
