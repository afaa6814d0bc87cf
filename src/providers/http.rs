//! How a provider is asked: one HTTP client for everything that goes there.
//!
//! * The timeout covers a whole request: waiting for its turn, connecting, TLS, the last byte of the answer.
//! * An answer is held in memory, so it has a bound. Redirects are never followed: a provider that answers with one is
//!   misconfigured, or somebody wants us to ask elsewhere.
//! * Plain http is refused before a connection is opened, unless the host is loopback or the operator said otherwise.
//! * Errors say what class of thing went wrong, never what an answer contained: it may hold tokens.

use std::{error::Error as StdError, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use rustls::RootCertStore;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn, timeout::error::Elapsed, util::BoxCloneSyncService};
use url::Url;

use super::Limits;
use crate::{
    origin::is_loopback,
    outgoing::{self, Connector},
};

/// An unused connection is closed after this long; logins are rare, and providers close theirs after a minute or so.
const IDLE: Duration = Duration::from_secs(30);

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Why a provider gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not https, and neither loopback nor allowed by `insecure_http`. Holds the origin.
    #[error("`{0}` is not https; plain http is accepted on loopback only, or with `insecure_http`")]
    NotHttps(Box<str>),
    /// The URL cannot be asked at all.
    #[error("its URL cannot be asked")]
    Url,
    /// No whole answer within the limit.
    #[error("no whole answer within {} ms", .0.as_millis())]
    TooLate(Duration),
    /// The answer has more bytes than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// DNS, TCP or TLS.
    #[error("no connection: {0}")]
    NoConnection(Box<str>),
    /// The connection broke, or what came over it was not HTTP.
    #[error("the connection broke: {0}")]
    Broken(Box<str>),
    /// A 3xx.
    #[error("it redirects (status {0}), and redirects are not followed")]
    Redirect(u16),
    /// A status that brings no answer.
    #[error("it answers with status {0}")]
    Status(u16),
    /// A compressed answer, although none was asked for.
    #[error("the answer has a content coding, although none was asked for")]
    Coded,
}

/// Asks one provider.
#[derive(Clone, Debug)]
pub(super) struct Http {
    service: BoxCloneSyncService<Request<Full<Bytes>>, Response<Bytes>, BoxError>,
    limits: Limits,
    insecure_http: bool,
}

impl Http {
    /// A client that believes `roots`, and only them.
    pub(super) fn new(roots: RootCertStore, limits: Limits, insecure_http: bool) -> Result<Self, rustls::Error> {
        let client = client(roots, limits.timeout)?;
        let answer_bytes = limits.answer_bytes;
        let one = service_fn(move |request| whole(client.clone(), request, answer_bytes));
        // The timeout stands outside, so that waiting for one's turn counts too.
        let in_turn = ServiceBuilder::new().concurrency_limit(limits.concurrency.max(1)).service(one);
        let asked = service_fn(move |request| in_turn.clone().oneshot(request));
        let service = BoxCloneSyncService::new(ServiceBuilder::new().timeout(limits.timeout).service(asked));
        Ok(Self { service, limits, insecure_http })
    }

    /// Whether `url` may be asked, or a browser sent there.
    pub(super) fn check(&self, url: &Url) -> Result<(), HttpError> {
        match url.scheme() {
            _ if !url.username().is_empty() || url.password().is_some() || !url.has_host() => Err(HttpError::Url),
            "https" => Ok(()),
            "http" if self.insecure_http || is_loopback(url) => Ok(()),
            _ => Err(HttpError::NotHttps(url.origin().ascii_serialization().into())),
        }
    }

    /// The document at `url`; only status 200 brings one.
    pub(super) async fn document(&self, url: &Url) -> Result<Bytes, HttpError> {
        let request = Request::get(url.as_str()).body(Bytes::new()).map_err(|_| HttpError::Url)?;
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(HttpError::Status(status.as_u16())),
        }
    }

    /// The answer to `request`, whatever its status unless it is a redirect.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| HttpError::Url)?;
        self.check(&url)?;
        let mut request = request.map(Full::new);
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("doorward/", env!("CARGO_PKG_VERSION"))));
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        // Nothing here undoes a content coding, so that nobody's bomb unfolds.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));

        let response = self.service.clone().oneshot(request).await.map_err(|error| self.class(error))?;
        if response.status().is_redirection() {
            return Err(HttpError::Redirect(response.status().as_u16()));
        }
        match response.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => Ok(response),
            Some(_) => Err(HttpError::Coded),
        }
    }

    fn class(&self, error: BoxError) -> HttpError {
        if error.is::<Elapsed>() {
            return HttpError::TooLate(self.limits.timeout);
        }
        error.downcast::<HttpError>().map_or_else(|other| HttpError::Broken(innermost(&*other)), |error| *error)
    }
}

/// openidconnect's way to the token endpoint. The content type is taken away, because providers send JSON under many
/// names and the parser decides anyway; what is no answer of a token endpoint becomes an error here, with its status.
impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let mut response = self.send(request.map(Bytes::from)).await?;
            response.headers_mut().remove(header::CONTENT_TYPE);
            let status = response.status();
            let explained = status.is_client_error() && response.body().trim_ascii_start().starts_with(b"{");
            if status == StatusCode::OK || explained {
                Ok(response.map(|body| body.to_vec()))
            } else {
                Err(HttpError::Status(status.as_u16()))
            }
        })
    }
}

fn client(roots: RootCertStore, connect_timeout: Duration) -> Result<Client<Connector, Full<Bytes>>, rustls::Error> {
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(MAX_HEAD)
        .build(outgoing::connector(outgoing::tls(roots)?, connect_timeout)))
}

/// Head and body of the answer to one request.
async fn whole(
    client: Client<Connector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
    answer_bytes: usize,
) -> Result<Response<Bytes>, BoxError> {
    let response = client.request(request).await.map_err(|error| {
        let reason = innermost(&error);
        if error.is_connect() { HttpError::NoConnection(reason) } else { HttpError::Broken(reason) }
    })?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, answer_bytes).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            HttpError::TooLarge(answer_bytes)
        } else {
            HttpError::Broken(innermost(&*error))
        }
    })?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// The cause that says most: "connection refused" rather than "client error". None of them quotes an answer's body.
fn innermost(error: &(dyn StdError + 'static)) -> Box<str> {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string().into()
}
