//! What the tests of development mode share: a caller on a real socket that follows nothing, and a server that ends
//! with its test.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::CONTENT_TYPE, request::Builder};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// Stops the server when it is dropped.
pub(crate) struct Stop {
    _guard: DropGuard,
}

impl Stop {
    /// Runs what `serve` makes of the signal to stop.
    pub(crate) fn when<F>(serve: impl FnOnce(WaitForCancellationFutureOwned) -> F) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        tokio::spawn(serve(stop.clone().cancelled_owned()));
        Self { _guard: stop.drop_guard() }
    }
}

/// Makes requests to one server, each on its own connection.
pub(crate) struct Caller {
    address: SocketAddr,
}

/// A request not yet sent.
pub(crate) struct Asked {
    builder: Builder,
    body: Bytes,
}

impl Asked {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self { builder: self.builder.header(name, value.as_bytes()), body: self.body }
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(crate) fn get(&self, target: &str) -> Asked {
        Asked { builder: Request::get(target), body: Bytes::new() }
    }

    pub(crate) fn post(&self, target: &str, content_type: &str, body: &str) -> Asked {
        let builder = Request::post(target).header(CONTENT_TYPE, content_type);
        Asked { builder, body: body.to_owned().into() }
    }

    /// A form with `fields`.
    pub(crate) fn form(&self, target: &str, fields: &[(&str, &str)]) -> Asked {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.post(target, "application/x-www-form-urlencoded", &form)
    }

    pub(crate) async fn send(&self, asked: Asked) -> Answered {
        self.try_send(asked).await.unwrap()
    }

    /// Fails when the connection breaks before the end of the answer.
    pub(crate) async fn try_send(&self, asked: Asked) -> hyper::Result<Answered> {
        let mut request = asked.builder.body(Full::new(asked.body)).unwrap();
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().entry("host").or_insert(host);
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Answered { status: head.status, headers: head.headers, body })
    }
}

impl Answered {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The header's value; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A parameter of the address the browser is sent to.
    pub(crate) fn redirected_with(&self, name: &str) -> Option<String> {
        let location = url::Url::parse(self.header("location")).unwrap();
        location.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}
