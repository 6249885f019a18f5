//! What the admin listener answers with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Value, json};

use super::super::owner::Refused;
use super::auth::Denied;
use super::events::Stream;

/// An answer.
pub(super) type Answer = Response<Content>;

/// What it consists of.
#[derive(Debug)]
pub(super) enum Content {
    /// Known from the start.
    Whole(Full<Bytes>),
    /// Events as they come.
    Events(Stream),
}

/// What went wrong: a status, a word for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) text: String,
}

impl Failure {
    /// The request is wrong.
    pub(super) fn wrong(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: "wrong", text: text.into() }
    }

    /// There is no such thing.
    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, reason: "unknown", text: text.into() }
    }

    /// It cannot be done now.
    pub(super) fn unavailable(reason: &'static str, text: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason, text: text.into() }
    }

    /// As an answer.
    pub(super) fn into_answer(self) -> Answer {
        let mut answer = json_page(self.status, &json!({ "error": self.text, "reason": self.reason }));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"homing\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown(text) => Self::unknown(text),
            Refused::Wrong(text) => Self::wrong(text),
            Refused::Impossible(text) => Self { status: StatusCode::CONFLICT, reason: "impossible", text },
        }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self { status: denied.status(), reason: denied.reason(), text: denied.text().to_owned() }
    }
}

/// JSON.
pub(super) fn json_page(status: StatusCode, body: &Value) -> Answer {
    page(status, "application/json", body.to_string() + "\n")
}

/// A whole answer. Nobody may keep it, take it for another type than it says, or show it in a frame.
pub(super) fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    with_fields(status, content_type, Content::Whole(Full::new(body.into())))
}

/// The same of any content.
pub(super) fn with_fields(status: StatusCode, content_type: &'static str, content: Content) -> Answer {
    let mut answer = Response::new(content);
    *answer.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Events(stream) => stream.poll_next(context).map(|piece| piece.map(|p| Ok(Frame::data(p)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
