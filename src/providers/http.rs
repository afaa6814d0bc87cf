//! How a provider is asked: one HTTP client for everything that goes there.
//!
//! * The timeout covers a whole request: waiting for its turn, connecting, TLS, the last byte of the answer.
//! * An answer is held in memory, so it has a bound. Redirects are never followed: a provider that answers with one is
//!   misconfigured, or somebody wants us to ask elsewhere. One that is compressed, although none should be, is unfolded within the same bound.
//! * Plain http is refused before a connection is opened, unless the host is loopback or the operator said otherwise.
//! * Where browsers know the provider by another host than we do, the exchange of the two happens here and nowhere else: metadata,
//!   links and what we sign keep the name that browsers use.
//! * Errors say what class of thing went wrong, never what an answer contained: it may hold tokens.

use std::{error::Error as StdError, io::Read as _, time::Duration};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::RootCertStore;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn, timeout::error::Elapsed, util::BoxCloneSyncService};
use url::{Origin, Url, form_urlencoded};

use super::{Limits, Settings};
use crate::{
    origin::is_loopback,
    outgoing::{self, Connector},
    secret::Secret,
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
    #[error("the answer has a content coding that is not understood, although none was asked for")]
    Coded,
}

/// Asks one provider.
#[derive(Clone, Debug)]
pub(super) struct Http {
    service: BoxCloneSyncService<Request<Full<Bytes>>, Response<Bytes>, BoxError>,
    limits: Limits,
    insecure_http: bool,
    back_channel: Option<BackChannel>,
}

/// An origin that stands for the issuer's own in everything that is asked.
#[derive(Clone, Debug)]
struct BackChannel {
    issuer: Origin,
    instead: Url,
}

/// What is posted to an endpoint: parameters, and a credential beside them.
#[derive(Debug, Default)]
pub(super) struct Form {
    fields: Vec<(Box<str>, Secret<String>)>,
    authorization: Option<HeaderValue>,
}

/// The answer to a form.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Bytes,
    /// 200, 201, or that of a refusal.
    pub(super) status: StatusCode,
    /// A 4xx that explains itself in JSON (RFC 6749 §5.2).
    pub(super) is_refusal: bool,
}

impl Form {
    /// Sets a parameter that occurs once, whoever sets it first.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if !self.fields.iter().any(|(taken, _)| **taken == *name) {
            self.fields.push((name.into(), Secret::new(value.to_owned())));
        }
    }

    /// The `Authorization` field.
    pub(super) fn authorize(&mut self, mut value: HeaderValue) {
        value.set_sensitive(true);
        self.authorization = Some(value);
    }

    fn request(self, url: &Url) -> Result<Request<Bytes>, HttpError> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(self.fields.iter().map(|(name, value)| (name, value.expose())));
        let mut request = Request::post(url.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(body.finish()))
            .map_err(|_| HttpError::Url)?;
        if let Some(authorization) = self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }
}

/// A request for `url` that presents `token` (RFC 6750 §2.1); `None` when no header can carry it.
pub(super) fn bearer(url: &Url, token: &Secret<String>) -> Option<Request<Bytes>> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Request::get(url.as_str()).header(header::AUTHORIZATION, value).body(Bytes::new()).ok()
}

impl BackChannel {
    /// `url` where we reach it; path and query stay as they are.
    fn apply(&self, url: &mut Url) {
        if url.origin() != self.issuer {
            return;
        }
        // From http or https to http or https: none of these can fail.
        let _same_kind = url.set_scheme(self.instead.scheme());
        let _has_host = url.set_host(self.instead.host_str());
        let _has_host = url.set_port(self.instead.port());
    }
}

impl Http {
    /// A client that believes `roots`, and only them.
    pub(super) fn new(roots: RootCertStore, settings: &Settings) -> Result<Self, rustls::Error> {
        let limits = settings.limits.clone();
        let client = client(roots, limits.timeout)?;
        let answer_bytes = limits.answer_bytes;
        let one = service_fn(move |request| whole(client.clone(), request, answer_bytes));
        // The timeout stands outside, so that waiting for one's turn counts too.
        let in_turn = ServiceBuilder::new().concurrency_limit(limits.concurrency.max(1)).service(one);
        let asked = service_fn(move |request| in_turn.clone().oneshot(request));
        let service = BoxCloneSyncService::new(ServiceBuilder::new().timeout(limits.timeout).service(asked));
        let issuer = Url::parse(&settings.issuer).ok().map(|issuer| issuer.origin());
        let back_channel = settings.back_channel.clone().zip(issuer);
        let back_channel = back_channel.map(|(instead, issuer)| BackChannel { issuer, instead });
        Ok(Self { service, limits, insecure_http: settings.insecure_http, back_channel })
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

    /// The answer to `form`. Its content type is not looked at: providers send JSON under many names, and the parser decides anyway.
    pub(super) async fn post(&self, url: &Url, form: Form) -> Result<Reply, HttpError> {
        let response = self.send(form.request(url)?).await?;
        let (status, is_refusal) = (response.status(), is_refusal(&response));
        let body = response.into_body();
        if matches!(status, StatusCode::OK | StatusCode::CREATED) || is_refusal {
            Ok(Reply { body, status, is_refusal })
        } else {
            Err(HttpError::Status(status.as_u16()))
        }
    }

    /// The answer to `request`, whatever its status unless it is a redirect.
    pub(super) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut url = Url::parse(&request.uri().to_string()).map_err(|_| HttpError::Url)?;
        if let Some(back_channel) = &self.back_channel {
            back_channel.apply(&mut url);
            *request.uri_mut() = url.as_str().parse().map_err(|_| HttpError::Url)?;
        }
        self.check(&url)?;
        let mut request = request.map(Full::new);
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("doorward/", env!("CARGO_PKG_VERSION"))));
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        // Some compress all the same.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));

        let response = self.service.clone().oneshot(request).await.map_err(|error| self.class(error))?;
        if response.status().is_redirection() {
            return Err(HttpError::Redirect(response.status().as_u16()));
        }
        match response.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => Ok(response),
            Some(b"gzip" | b"x-gzip") => unfolded(response, self.limits.answer_bytes),
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

/// Whether `response` is a 4xx that explains itself in JSON (RFC 6749 §5.2).
pub(super) fn is_refusal(response: &Response<Bytes>) -> bool {
    response.status().is_client_error() && response.body().trim_ascii_start().starts_with(b"{")
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

/// `response` as it was before it was compressed. What unfolds has the same bound as what comes over the wire, so that nobody's bomb does.
fn unfolded(response: Response<Bytes>, answer_bytes: usize) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = response.into_parts();
    let mut unfolded = Vec::new();
    let limit = u64::try_from(answer_bytes).unwrap_or(u64::MAX);
    let read = MultiGzDecoder::new(&*body).take(limit.saturating_add(1)).read_to_end(&mut unfolded);
    match read {
        Ok(bytes) if bytes > answer_bytes => Err(HttpError::TooLarge(answer_bytes)),
        Ok(_) => Ok(Response::from_parts(head, unfolded.into())),
        Err(_) => Err(HttpError::Coded),
    }
}

/// The cause that says most: "connection refused" rather than "client error". None of them quotes an answer's body.
fn innermost(error: &(dyn StdError + 'static)) -> Box<str> {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string().into()
}
