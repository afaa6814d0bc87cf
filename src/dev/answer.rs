//! The answers of development mode: JSON for programs, pages for people, redirects. None is cached, sniffed or framed.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use serde::Serialize;
use tokio::time::Sleep;

/// What a handler answers.
pub(super) type Answer = Response<Body>;

/// An answer's body.
#[derive(Debug)]
pub(super) enum Body {
    /// Bytes, whole.
    Whole(Full<Bytes>),
    /// The same bytes again and again, until the peer has had enough: a fault.
    Endless { chunk: Bytes, every: Duration, pause: Pin<Box<Sleep>> },
}

impl Body {
    /// `chunk` at once and then again each time `every` has passed; a zero `every` is as fast as the peer reads.
    pub(super) fn endless(chunk: Bytes, every: Duration) -> Self {
        Self::Endless { chunk, every, pause: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Endless { chunk, every, pause } => {
                if !every.is_zero() {
                    ready!(pause.as_mut().poll(cx));
                    pause.set(tokio::time::sleep(*every));
                }
                Poll::Ready(Some(Ok(Frame::data(chunk.clone()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Endless { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Endless { .. } => SizeHint::default(),
        }
    }
}

/// `body`, said to be of `content_type`.
pub(super) fn with(status: StatusCode, content_type: &str, body: impl Into<Body>) -> Answer {
    let mut answer = bare(status);
    *answer.body_mut() = body.into();
    set(&mut answer, CONTENT_TYPE, content_type);
    answer
}

/// `value` as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(bytes) => with(status, "application/json", bytes),
        Err(error) => broken(&error),
    }
}

/// A page for people, allowed to load what `policy` says.
pub(super) fn html(status: StatusCode, policy: &str, text: String) -> Answer {
    let mut answer = with(status, "text/html; charset=utf-8", text);
    set(&mut answer, CONTENT_SECURITY_POLICY, policy);
    answer
}

/// Sends the browser to `location` with a GET, whatever it came with (RFC 9700 §4.12: a 307 would repeat the form there).
pub(super) fn redirect(location: &str) -> Answer {
    let mut answer = bare(StatusCode::SEE_OTHER);
    set(&mut answer, LOCATION, location);
    answer
}

/// A status and nothing else.
pub(super) fn bare(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::from(Bytes::new()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// What could not be said: logged, because it is our own mistake.
pub(super) fn broken(error: &(dyn std::error::Error + 'static)) -> Answer {
    tracing::error!(error, "Development mode could not write an answer");
    bare(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Sets a header to `value`, which may come from a caller: what a header cannot carry breaks the answer instead of it.
pub(super) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            answer.headers_mut().insert(name, value);
        }
        Err(error) => *answer = broken(&error),
    }
}
