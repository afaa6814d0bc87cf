//! Bodies on their way: what we answer with (what the upstream streams, or a few bytes of our own), and what a caller sends.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;

use crate::outgoing::AnswerBody;

/// A response body. An enum rather than a box: nothing is allocated for it.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    Empty(Empty<Bytes>),
    /// Bytes of ours, whole.
    Full(Full<Bytes>),
    /// What the upstream sends, as it comes.
    Upstream(AnswerBody<RequestBody>),
}

impl Body {
    /// A body without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Empty(Empty::new())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Full(Full::new(bytes.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty(body) => body.is_end_stream(),
            Self::Full(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty(body) => body.size_hint(),
            Self::Full(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
        }
    }
}

/// The caller's body on its way to the application, without trailers: a trailer could pass for a header where both are merged (RFC 9110
/// §6.5.1).
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    moved: Option<Arc<AtomicBool>>,
}

impl RequestBody {
    /// `moved` is set whenever something of it goes on its way; `None` for a request without a body.
    #[must_use]
    pub fn new(body: Incoming, moved: Option<Arc<AtomicBool>>) -> Self {
        Self { body, moved }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(moved) = &self.moved {
            moved.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame.filter(|frame| !frame.as_ref().is_ok_and(Frame::is_trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
