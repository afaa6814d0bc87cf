//! A small HTTP/1.1 server for this machine only.
//!
//! It refuses a listener on any other address, because everything behind it trusts whoever calls. Connections, their
//! number, their header sections and the time they take are bounded; bodies are bounded by the handlers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::answer::Answer;

/// Connections open at the same time; further ones wait in the listen queue.
const CONNECTIONS: usize = 1_024;
/// From a connection's first byte to the end of the header section.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Header fields of a request.
const HEADER_COUNT: usize = 256;
/// How long requests in flight may go on after `stop`.
const GRACE: Duration = Duration::from_secs(1);
/// The pause after `accept` failed, so that running out of file descriptors does not keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address that was refused.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a loopback address; development mode is for this machine only")]
pub struct NotLoopback(pub SocketAddr);

/// The handler wants the connection closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
pub(super) struct HangUp;

/// Answers requests on `listener` until `stop` is ready, then gives those in flight a moment.
///
/// # Errors
/// [`NotLoopback`], as the source of an [`io::Error`], and what asking the listener for its address may fail with.
pub(super) async fn serve<H, F>(listener: TcpListener, handler: H, stop: impl Future<Output = ()>) -> io::Result<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, HangUp>> + Send + 'static,
{
    refuse_others(listener.local_addr()?)?;
    let closing = CancellationToken::new();
    // Dropping the set ends what is in it: nobody is left behind when this future is dropped.
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        // Every arm may be dropped while it waits: a connection not yet accepted stays in the queue.
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, handler.clone(), closing.clone()));
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "A connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    closing.cancel();
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        tracing::debug!("Connections were still open when the time to close them was over");
    }
    Ok(())
}

fn refuse_others(address: SocketAddr) -> io::Result<()> {
    // `::ffff:127.0.0.1` is loopback as well.
    let ip: IpAddr = address.ip().to_canonical();
    if ip.is_loopback() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, NotLoopback(address)))
}

async fn connection<H, F>(stream: TcpStream, handler: H, closing: CancellationToken)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Answer, HangUp>>,
{
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(HEADER_COUNT)
        .serve_connection(TokioIo::new(stream), service_fn(handler));
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = closing.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "A connection ended early");
    }
}

/// Why a request's body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// It did not end in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// It is longer than allowed, or the connection broke.
    #[error("the body is longer than {limit} bytes or broke off")]
    TooLong {
        limit: usize,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The whole of `body`, when that is at most `limit` bytes and arrives within `time`.
pub(super) async fn read(body: Incoming, limit: usize, time: Duration) -> Result<Bytes, BodyError> {
    let whole = tokio::time::timeout(time, Limited::new(body, limit).collect()).await;
    let whole = whole.map_err(|_| BodyError::TooSlow)?;
    Ok(whole.map_err(|cause| BodyError::TooLong { limit, cause })?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_served() {
        for (address, served) in [
            ("127.0.0.1:80", true),
            ("127.8.8.8:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("10.0.0.1:80", false),
            ("[::ffff:10.0.0.1]:80", false),
            ("[fe80::1]:80", false),
        ] {
            assert_eq!(refuse_others(address.parse().unwrap()).is_ok(), served, "{address}");
        }
    }

    #[tokio::test]
    async fn a_listener_for_everyone_is_refused() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = serve(listener, |_| async { Err(HangUp) }, std::future::ready(())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), NotLoopback(address).to_string());
    }
}
