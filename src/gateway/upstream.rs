//! Step 6: to the application, streamed both ways, over pooled HTTP/1.1 connections.
//!
//! The request-target goes out as it came in, byte for byte. A request is sent again only when nothing of it had been sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version, header, uri};
use http_body::Body as _;
use tower::BoxError;
use url::Url;

use super::{
    authorise::Permit,
    hygiene::{self, Clean},
    settings::UpstreamLimits,
};
use crate::{
    body::{Body, RequestBody},
    outgoing::{self, AnswerBody, Pool, SendError},
    sessions::Sessions,
};

/// What an application answers.
pub(super) type Answer = Response<AnswerBody<RequestBody>>;

/// The way to one application: its own connections and limits.
#[derive(Debug)]
pub(super) struct Upstream {
    pool: Arc<Pool<RequestBody>>,
    response_timeout: Duration,
}

/// Why the way to an application could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the upstream {0} has no usable scheme and host")]
pub struct InvalidUpstream(Url);

/// Why an application did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// It could not be reached.
    #[error("the application could not be reached")]
    Connect(#[source] BoxError),
    /// It took longer than `limits.upstream_response_timeout` to begin its answer.
    #[error("the application did not answer in time")]
    Timeout,
    /// It closed the connection or did not speak HTTP.
    #[error("the application broke off")]
    Broken(#[source] hyper::Error),
    /// The caller's own body ended early or was malformed.
    #[error("the request's body ended early")]
    RequestBody(#[source] hyper::Error),
    /// It answered 101 to something else, or with another protocol than was asked for.
    #[error("the application switched to a protocol that nobody asked for")]
    Upgrade,
}

impl Upstream {
    /// `tls` is used for `https` upstreams.
    ///
    /// # Errors
    /// [`InvalidUpstream`] when `url` has no host.
    pub(super) fn new(url: &Url, limits: &UpstreamLimits, tls: &rustls::ClientConfig) -> Result<Self, InvalidUpstream> {
        let invalid = || InvalidUpstream(url.clone());
        let origin: Uri = url.as_str().parse().map_err(|_| invalid())?;
        if origin.scheme().is_none() || origin.authority().is_none() {
            return Err(invalid());
        }
        let connector = outgoing::connector(tls.clone(), limits.connect_timeout);
        let pool = Arc::new(Pool::new(connector, origin, limits.connect_timeout, limits.idle_timeout));
        Ok(Self { pool, response_timeout: limits.response_timeout })
    }

    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        let tls = outgoing::tls(rustls::RootCertStore::empty()).unwrap();
        let second = Duration::from_secs(1);
        let limits = UpstreamLimits {
            connect_timeout: second,
            response_timeout: second,
            idle_timeout: second,
            tunnel_idle_timeout: second,
        };
        Self::new(&Url::parse("http://127.0.0.1:1").unwrap(), &limits, &tls).unwrap()
    }
}

/// Sends `request` to the application of `permit`, without our own cookies; the future is the answer's head, whose body streams. It holds no request any more: what
/// waits for an application should be small.
///
/// # Errors
/// [`UpstreamError`]; the application may have seen the request unless it is [`UpstreamError::Connect`].
pub(super) fn send(
    request: Clean,
    permit: &Permit<'_>,
    sessions: &Sessions,
) -> impl Future<Output = Result<Answer, UpstreamError>> + use<> {
    let upstream = &permit.route().upstream;
    let wants_websocket = request.wants_websocket();
    let (mut parts, body, forwarded) = request.into_parts();
    if let (false, Some(authority)) = (parts.headers.contains_key(header::HOST), parts.uri.authority()) {
        // HTTP/2 names the host in the target only.
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            parts.headers.insert(header::HOST, host);
        }
    }
    // Answered by hyper as soon as the body is asked for: an application that were asked too would be sent the body without having agreed.
    parts.headers.remove(header::EXPECT);
    merge_cookies(&mut parts.headers);
    sessions.strip(&mut parts.headers);
    forwarded.apply(&mut parts.headers);
    if wants_websocket {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    // hyper takes a GET or HEAD of unknown length for one without a body, unless it is told (RFC 9110 §9.3.1 lets them have one).
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let mut target = uri::Parts::default();
    target.path_and_query = parts.uri.into_parts().path_and_query;
    parts.uri = Uri::from_parts(target).unwrap_or_default();
    parts.version = Version::HTTP_11;

    let moved = (!body.is_end_stream()).then(Arc::<AtomicBool>::default);
    let request = Request::from_parts(parts, RequestBody::new(body, moved.clone()));
    // Boxed: what waits for an application should be small.
    let mut answer = Box::pin(Arc::clone(&upstream.pool).send(request));
    let limit = upstream.response_timeout;
    async move {
        loop {
            return match tokio::time::timeout(limit, &mut answer).await {
                // The caller is still sending: a slow upload is not a slow application (T-113).
                Err(_) if moved.as_ref().is_some_and(|moved| moved.swap(false, Ordering::Relaxed)) => continue,
                Err(_) => Err(UpstreamError::Timeout),
                Ok(Err(SendError::Connect(error))) => Err(UpstreamError::Connect(error)),
                // hyper's word for an error of the body it was given, which is the caller's.
                Ok(Err(SendError::Broken(error))) if error.is_user() => Err(UpstreamError::RequestBody(error)),
                Ok(Err(SendError::Broken(error))) => Err(UpstreamError::Broken(error)),
                Ok(Ok(response)) => Ok(response),
            };
        }
    }
}

/// HTTP/2 may split cookies into several fields; HTTP/1.1 has one (RFC 9113 §8.2.3).
fn merge_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let merged = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(merged) = HeaderValue::try_from(merged) {
        headers.insert(header::COOKIE, merged);
    }
}

/// The application's answer for the caller: hop-by-hop fields go (RFC 9110 §7.6.1), and so does every attempt to set a cookie of ours.
#[must_use]
pub(super) fn answer(mut response: Answer, sessions: &Sessions) -> Response<Body> {
    let headers = response.headers_mut();
    hygiene::drop_fields(headers, |_| false);
    if headers.get_all(header::SET_COOKIE).iter().any(|cookie| sessions.is_ours(cookie)) {
        let kept: Vec<HeaderValue> =
            headers.get_all(header::SET_COOKIE).iter().filter(|cookie| !sessions.is_ours(cookie)).cloned().collect();
        headers.remove(header::SET_COOKIE);
        for cookie in kept {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
    response.map(Body::Upstream)
}
