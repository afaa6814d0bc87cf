//! Connections to one application, kept for its next request: the one used last is taken first, so that few stay warm.
//!
//! A general pool asks which host, which protocol and who waits, for every request; here all of that is known, which saves an eighth of a request's
//! instructions.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use tower::{BoxError, Service};

use super::Connector;

/// Unused connections that are kept at most.
const MAX_IDLE: usize = 1_024;

/// The connections to one origin, with requests whose bodies are `B`.
#[derive(Debug)]
pub struct Pool<B> {
    connector: Connector,
    origin: Uri,
    connect_timeout: Duration,
    idle: Arc<Idle<B>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection, and nothing has been sent.
    #[error("no connection")]
    Connect(#[source] BoxError),
    /// It broke after something may have been sent.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

impl<B> Pool<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// `origin` has scheme and authority. Connecting, TLS included, may take `connect_timeout`; an unused connection is kept for `idle_timeout`.
    #[must_use]
    pub fn new(connector: Connector, origin: Uri, connect_timeout: Duration, idle_timeout: Duration) -> Self {
        let idle =
            Arc::new(Idle { waiting: Mutex::default(), is_swept: AtomicBool::new(false), timeout: idle_timeout });
        Self { connector, origin, connect_timeout, idle }
    }

    /// Sends `request`, whose URI is a path and query. It is sent once more only when nothing of it had been sent, because a kept connection
    /// turned out to be closed.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(self: Arc<Self>, mut request: Request<B>) -> Result<Response<AnswerBody<B>>, SendError> {
        loop {
            let (mut sender, is_kept) = match self.idle.take() {
                Some(sender) => (sender, true),
                // Boxed, like the handshake below: rare, and every other request would have to make room for it.
                None => (Box::pin(self.connect()).await?, false),
            };
            // The last answer may have been read a moment before hyper noticed.
            if sender.ready().await.is_err() && is_kept {
                continue;
            }
            return match sender.try_send_request(request).await {
                Ok(response) => Ok(self.lease(response, sender)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_kept => {
                        request = unsent;
                        continue;
                    }
                    _ => Err(SendError::Broken(error.into_error())),
                },
            };
        }
    }

    fn lease(&self, response: Response<Incoming>, sender: SendRequest<B>) -> Response<AnswerBody<B>> {
        let lease = Lease { sender, idle: Arc::clone(&self.idle) };
        response.map(|incoming| {
            let mut body = AnswerBody { incoming, lease: Some(lease) };
            body.end_lease();
            body
        })
    }

    async fn connect(&self) -> Result<SendRequest<B>, SendError> {
        let connecting = Box::pin(async {
            let stream = self.connector.clone().call(self.origin.clone()).await?;
            let (sender, connection) = Box::pin(http1::handshake(stream)).await?;
            // It ends with its sender, or when the application closes it.
            tokio::spawn(connection.with_upgrades());
            Ok::<_, BoxError>(sender)
        });
        match tokio::time::timeout(self.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(SendError::Connect),
            Err(late) => Err(SendError::Connect(late.into())),
        }
    }
}

/// Connections that wait for a request, the one used last at the back.
#[derive(Debug)]
struct Idle<B> {
    waiting: Mutex<VecDeque<(SendRequest<B>, Instant)>>,
    /// Somebody sees to it that nothing waits for ever. Changed with `waiting` locked.
    is_swept: AtomicBool,
    timeout: Duration,
}

impl<B: Send + 'static> Idle<B> {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<(SendRequest<B>, Instant)>> {
        // Nothing can panic while the lock is held, so a poisoned one is as good as any.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<SendRequest<B>> {
        let mut waiting = self.waiting();
        loop {
            let (sender, since) = waiting.pop_back()?;
            if !sender.is_closed() && since.elapsed() < self.timeout {
                return Some(sender);
            }
        }
    }

    fn keep(self: Arc<Self>, sender: SendRequest<B>) {
        if sender.is_closed() {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_IDLE {
            waiting.pop_front();
        }
        waiting.push_back((sender, Instant::now()));
        let is_swept = self.is_swept.swap(true, Ordering::Relaxed);
        drop(waiting);
        if !is_swept {
            tokio::spawn(Self::sweep(Arc::downgrade(&self), self.timeout));
        }
    }

    /// Closes what nobody took, until nothing waits.
    async fn sweep(idle: std::sync::Weak<Self>, timeout: Duration) {
        loop {
            tokio::time::sleep(timeout).await;
            let Some(idle) = idle.upgrade() else { return };
            let mut waiting = idle.waiting();
            while waiting.front().is_some_and(|(sender, since)| sender.is_closed() || since.elapsed() >= timeout) {
                waiting.pop_front();
            }
            if waiting.is_empty() {
                idle.is_swept.store(false, Ordering::Relaxed);
                return;
            }
        }
    }
}

/// A connection in use; dropped without being kept, it closes.
#[derive(Debug)]
struct Lease<B> {
    sender: SendRequest<B>,
    idle: Arc<Idle<B>>,
}

/// An application's answer as it streams. Read to its end, its connection waits for the next request; dropped before, the connection closes.
#[derive(Debug)]
pub struct AnswerBody<B: Send + 'static> {
    incoming: Incoming,
    lease: Option<Lease<B>>,
}

impl<B: Send + 'static> AnswerBody<B> {
    fn end_lease(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(Lease { sender, idle }) = self.lease.take()
        {
            idle.keep(sender);
        }
    }
}

impl<B: Send + 'static> HttpBody for AnswerBody<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        match &frame {
            Some(Err(_)) => this.lease = None,
            Some(Ok(_)) | None => this.end_lease(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::outgoing;

    async fn pool(idle: Duration) -> (Arc<Pool<Empty<Bytes>>>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let second = Duration::from_secs(1);
        let connector = outgoing::connector(outgoing::tls(rustls::RootCertStore::empty()).unwrap(), second);
        (Arc::new(Pool::new(connector, origin, second, idle)), listener)
    }

    fn request(path: &str) -> Request<Empty<Bytes>> {
        Request::get(path).header("host", "app").body(Empty::new()).unwrap()
    }

    /// The next request on `stream`, answered; empty when the connection has ended.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut head = vec![0; 1_024];
        let reading = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut head));
        let read = reading.await.expect("in time").unwrap();
        if read > 0 {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
        String::from_utf8_lossy(&head[..read]).into_owned()
    }

    async fn body(response: Response<AnswerBody<Empty<Bytes>>>) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_closes_when_nobody_comes() {
        let (pool, listener) = pool(Duration::from_secs(1)).await;
        let sending = tokio::spawn(async move {
            for path in ["/1", "/2"] {
                assert_eq!(body(Arc::clone(&pool).send(request(path)).await.unwrap()).await, "ok");
            }
            pool
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(answer(&mut stream).await.starts_with("GET /1 "));
        assert!(answer(&mut stream).await.starts_with("GET /2 "));
        let _pool = sending.await.unwrap();
        assert_eq!(answer(&mut stream).await, "", "swept");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_to_its_end_ends_its_connection() {
        let (pool, listener) = pool(Duration::from_secs(9)).await;
        let sending = tokio::spawn(Arc::clone(&pool).send(request("/1")));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1_024];
        let _read = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
        drop(sending.await.unwrap().unwrap());
        assert_eq!(stream.read(&mut head).await.unwrap(), 0);
    }
}
