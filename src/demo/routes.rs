//! What a backend answers: the page, the forms behind it, and the plain endpoints for `curl` and probes.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::Instant;

use super::backend::Backend;
use super::events::Events;
use super::page::{self, Page};
use super::request;
use super::sessions::SessionId;
use super::visitor::{COOKIE, Visitor};

/// Bytes of a form.
const FORM_LIMIT: usize = 4 * 1024;

/// Time to receive a form.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// Characters of a user's name.
const NAME_LIMIT: usize = 40;

/// The longest that `/slow` waits, and what it waits when nothing is asked for, in milliseconds.
const SLOW_LIMIT: u64 = 10_000;
const SLOW_DEFAULT: u64 = 1_000;

type Reply = Response<Either<Full<Bytes>, Events>>;

/// Why a request gets no answer of substance. The text is the answer's body.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Refusal {
    #[error("there is no such page here")]
    NoPage,
    #[error("this page takes {0}")]
    Method(&'static str),
    #[error("ms must be a number of milliseconds, 0 to 10000")]
    Wait,
    #[error("a form may have 4096 bytes")]
    FormTooLarge,
    #[error("the form did not arrive whole")]
    FormBroken,
    #[error("the form did not arrive within 10 s")]
    FormLate,
    #[error("the system has no randomness to give")]
    NoRandomness,
}

/// Answers one request.
pub(super) async fn answer<B>(backend: &Rc<Backend>, request: Request<B>) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let visitor = Visitor::read(request.headers());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let result = match request.uri().path() {
        "/login" | "/logout" if request.method() != Method::POST => Err(Refusal::Method("POST")),
        "/" | "/api/whoami" | "/healthz" | "/slow" | "/events" if !reads => Err(Refusal::Method("GET, HEAD")),
        "/" => show(backend, &visitor, StatusCode::OK, None),
        "/login" => log_in(backend, &visitor, request.into_body()).await,
        "/logout" => Ok(log_out(backend, &visitor)),
        "/api/whoami" => {
            let who = visitor.describe(backend, &visitor.visit(backend));
            Ok(reply(StatusCode::OK, "application/json", format!("{who}\n")))
        }
        "/healthz" => Ok(text(StatusCode::OK, "ok\n")),
        "/slow" => slow(backend, request.uri().query().unwrap_or_default()).await,
        "/events" => {
            let events = Events::new(Rc::clone(backend), visitor);
            let mut response = Response::new(Either::Right(events));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            Ok(response)
        }
        _ => Err(Refusal::NoPage),
    };

    let mut response = result.unwrap_or_else(refuse);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("x-backend"), backend.header.clone());
    response
}

fn show(
    backend: &Backend,
    visitor: &Visitor,
    status: StatusCode,
    notice: Option<&str>,
) -> Result<Reply, Refusal> {
    let nonce = format!("{:016x}", getrandom::u64().map_err(|_| Refusal::NoRandomness)?);
    let recognition = visitor.visit(backend);
    let page = Page { backend, visitor, recognition: &recognition, notice, nonce: &nonce };
    let mut response = reply(status, "text/html; charset=utf-8", page.render());
    if let Ok(policy) = page::policy(&nonce).try_into() {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// Logs in under a new id always: an id from before the login, perhaps planted by someone else, is worth nothing
/// after it.
async fn log_in<B>(backend: &Backend, visitor: &Visitor, body: B) -> Result<Reply, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let form = receive(body).await?;
    let name = request::field(&form, "name").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(NAME_LIMIT).collect();
    if name.is_empty() {
        return show(backend, visitor, StatusCode::BAD_REQUEST, Some("Please give a name; any will do."));
    }
    let id = SessionId::random().map_err(|_| Refusal::NoRandomness)?;
    let mut sessions = backend.sessions.borrow_mut();
    if let Some(before) = visitor.id() {
        sessions.close(before);
    }
    sessions.open(id, name, Instant::now());
    Ok(home(&format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax")))
}

fn log_out(backend: &Backend, visitor: &Visitor) -> Reply {
    if let Some(id) = visitor.id() {
        backend.sessions.borrow_mut().close(id);
    }
    home(&format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"))
}

async fn slow(backend: &Backend, query: &str) -> Result<Reply, Refusal> {
    let wait = match request::field(query.as_bytes(), "ms").map(|ms| ms.parse::<u64>()) {
        None => SLOW_DEFAULT,
        Some(Ok(ms)) => ms.min(SLOW_LIMIT),
        Some(Err(_)) => return Err(Refusal::Wait),
    };
    tokio::time::sleep(Duration::from_millis(wait)).await;
    Ok(text(StatusCode::OK, format!("backend {} answered after {wait} ms\n", backend.name)))
}

/// A form's body, within its limit and its time.
async fn receive<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match tokio::time::timeout(FORM_TIMEOUT, Limited::new(body, FORM_LIMIT).collect()).await {
        Ok(Ok(form)) => Ok(form.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::FormTooLarge),
        Ok(Err(_)) => Err(Refusal::FormBroken),
        Err(_) => Err(Refusal::FormLate),
    }
}

fn home(cookie: &str) -> Reply {
    let mut response = text(StatusCode::SEE_OTHER, "");
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn refuse(refusal: Refusal) -> Reply {
    let status = match refusal {
        Refusal::NoPage => StatusCode::NOT_FOUND,
        Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::Wait | Refusal::FormBroken => StatusCode::BAD_REQUEST,
        Refusal::FormTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::FormLate => StatusCode::REQUEST_TIMEOUT,
        Refusal::NoRandomness => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = text(status, format!("{refusal}\n"));
    if let Refusal::Method(allowed) = refusal {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
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
