//! The stream of a connection, watched: when a head begins, and that the last answer is not lost when it closes.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{activity::Activity, connection::Lease};

/// How long, and for how many bytes, a peer that may still be sending a body is listened to after its last answer.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// A stream that notes when the first byte of a head arrives, and closes so that the last answer is not lost.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    linger: Option<Linger>,
    /// Was read already, and is read again first.
    first: Bytes,
    _lease: Lease,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>, lease: Lease) -> Self {
        Self { stream, activity, linger: None, first: Bytes::new(), _lease: lease }
    }

    /// `read` will be read again; false when there is nothing in it. The stream closes again when it is told to.
    pub(super) fn put_back(&mut self, read: Bytes) -> bool {
        self.activity.keeps_open.store(false, Ordering::Relaxed);
        self.first = read;
        if !self.first.is_empty() {
            self.activity.head_begins();
        }
        !self.first.is_empty()
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Waits until the peer sends something, which will be read again; false when it has gone. Can be dropped: a byte is put back as soon as it is
    /// read.
    pub(super) async fn begins(&mut self) -> bool {
        let mut byte = [0];
        let read = self.read(&mut byte).await;
        matches!(read, Ok(1)) && self.put_back(Bytes::copy_from_slice(&byte))
    }
}

/// Our side is closed; what the peer still sends is taken from the wire and dropped.
struct Linger {
    until: Pin<Box<tokio::time::Sleep>>,
    bytes: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            buf.put_slice(&this.first.split_to(this.first.len().min(buf.remaining())));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.activity.head_begins();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.activity.is_flushed.store(false, Ordering::Relaxed);
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        // hyper flushes the stream when its own buffer is empty.
        this.activity.is_flushed.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.activity.keeps_open.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        this.activity.is_closing.store(true, Ordering::Relaxed);
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.activity.had_body.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        // RFC 9112 §9.6: closing while the peer still sends (a body that was refused) resets the connection, and our answer is lost with it.
        let linger = this
            .linger
            .get_or_insert_with(|| Linger { until: Box::pin(tokio::time::sleep(LINGER_TIME)), bytes: LINGER_BYTES });
        let mut dropped = [0; 8_192];
        loop {
            let mut buffer = ReadBuf::new(&mut dropped);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return linger.until.as_mut().poll(cx).map(Ok),
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    linger.bytes = linger.bytes.saturating_sub(buffer.filled().len());
                    if buffer.filled().is_empty() || linger.bytes == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.activity.is_flushed.store(false, Ordering::Relaxed);
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
