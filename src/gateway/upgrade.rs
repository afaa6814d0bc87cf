//! Step 6 for WebSockets: after the application's 101 the two connections become one tunnel, which never goes back to a pool.
//!
//! Nothing behind the request's head reaches the application before its 101 (RFC 9110 §7.8). A tunnel ends when either side ends, when nothing
//! has moved for the idle limit, or when the grace period of a shutdown is over.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::upstream::UpstreamError;
use crate::body::Body;

/// Answers 101 to the caller and joins `caller` with the application's connection.
///
/// # Errors
/// [`UpstreamError::Upgrade`] when the application switched to anything but WebSocket, or nobody had asked for one.
pub(super) fn tunnel(
    mut response: Response<Incoming>,
    caller: Option<OnUpgrade>,
    idle: Duration,
    cut: CancellationToken,
) -> Result<Response<Body>, UpstreamError> {
    let Some(caller) = caller.filter(|_| is_websocket(response.headers())) else { return Err(UpstreamError::Upgrade) };
    let upstream = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let join = async {
            let (caller, upstream) = tokio::try_join!(caller, upstream)?;
            copy(TokioIo::new(caller), TokioIo::new(upstream), idle).await;
            Ok::<_, hyper::Error>(())
        };
        tokio::select! {
            joined = join => if let Err(error) = joined {
                debug!(error = %error, "A tunnel could not be joined");
            },
            () = cut.cancelled() => {}
        }
    });
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok(Response::from_parts(parts, Body::empty()))
}

/// Whether `response` is the answer to an upgrade.
#[must_use]
pub(super) fn is_switch(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

async fn copy<A, B>(caller: A, upstream: B, idle: Duration)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let moved = Arc::new(AtomicBool::new(false));
    let mut caller = Noted { stream: caller, moved: Arc::clone(&moved) };
    let mut upstream = Noted { stream: upstream, moved: Arc::clone(&moved) };
    let silence = async {
        loop {
            moved.store(false, Ordering::Relaxed);
            tokio::time::sleep(idle).await;
            if !moved.load(Ordering::Relaxed) {
                return;
            }
        }
    };
    tokio::select! {
        ended = tokio::io::copy_bidirectional(&mut caller, &mut upstream) => {
            if let Err(error) = ended {
                debug!(error = %error, "A tunnel broke");
            }
        }
        () = silence => debug!(idle_s = idle.as_secs(), "A tunnel was silent for too long"),
    }
}

/// A stream that notes that something was read.
struct Noted<S> {
    stream: S,
    moved: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() {
            this.moved.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
