//! Rests, in paused time over a stream in memory: what a peer sees is the same with and without them.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicUsize},
    task::Context,
};

use http::Response;
use tokio::{
    io::{AsyncReadExt as _, DuplexStream, ReadBuf},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{body::Body, server::Peer};

const LIMITS: Limits = Limits {
    header_bytes: 32 * 1024,
    header_count: 100,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    connections: 1,
};
/// Longer than a connection waits before it rests.
const A_WHILE: Duration = Duration::from_secs(5);
/// What is answered with, after the path.
const FILLER: usize = 1_000;

/// Answers with the path and some more, without looking at the request's body.
struct Echo;

impl Handler for Echo {
    async fn handle(&self, request: Request<Incoming>, _: &Connection) -> Response<Body> {
        Response::new(Body::from(format!("{} {}", request.uri().path(), "x".repeat(FILLER))))
    }
}

/// A stream that knows whether it is resting: hyper reads with thousands of bytes, a rest with one.
struct Told {
    stream: DuplexStream,
    is_resting: Arc<AtomicBool>,
    rests: Arc<AtomicUsize>,
}

impl AsyncRead for Told {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let is_resting = buf.remaining() == 1;
        if is_resting && !this.is_resting.swap(is_resting, Ordering::Relaxed) {
            this.rests.fetch_add(1, Ordering::Relaxed);
        }
        this.is_resting.store(is_resting, Ordering::Relaxed);
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Told {
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

struct Line {
    peer: DuplexStream,
    is_resting: Arc<AtomicBool>,
    rests: Arc<AtomicUsize>,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Line {
    /// A connection whose stream holds `room` bytes on its way to the peer.
    fn open(room: usize) -> Self {
        let (peer, stream) = tokio::io::duplex(room);
        let (is_resting, rests) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let stream = Told { stream, is_resting: Arc::clone(&is_resting), rests: Arc::clone(&rests) };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let served = tokio::spawn(async move {
            let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
            let lease = Lease { _place: place, _token: TaskTracker::new().token() };
            let on =
                Connection { peer: Peer::Unix, peer_ip: None, client_certificate: None, cut: CancellationToken::new() };
            speak(stream, lease, on, Arc::new(Echo), Spoken::Http1, &Protocols::new(&LIMITS), stopped).await;
        });
        Self { peer, is_resting, rests, stop, served }
    }

    async fn say(&mut self, text: &str) {
        self.peer.write_all(text.as_bytes()).await.unwrap();
    }

    /// The path that the next answer repeats; the connection goes on.
    async fn answer(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.peer.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert!(!head.contains("connection: close"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.peer.read_exact(&mut body).await.unwrap();
        String::from_utf8(body).unwrap().split(' ').next().unwrap().to_owned()
    }

    fn is_resting(&self) -> bool {
        self.is_resting.load(Ordering::Relaxed)
    }

    /// Everything until the stream ends, which it does soon.
    async fn left(mut self) -> Vec<u8> {
        let mut left = Vec::new();
        timeout(Duration::from_secs(1), self.peer.read_to_end(&mut left)).await.expect("it ends").unwrap();
        self.served.await.unwrap();
        left
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_after_each_rest() {
    let mut line = Line::open(64 * 1024);
    for number in 0..3 {
        let path = format!("/{number}");
        line.say(&get(&path)).await;
        assert_eq!(line.answer().await, path);
        assert!(!line.is_resting());
        sleep(A_WHILE).await;
        assert!(line.is_resting());
    }
    assert_eq!(line.rests.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_came_in_parts_is_whole() {
    let mut line = Line::open(64 * 1024);
    line.say(&get("/1")).await;
    assert_eq!(line.answer().await, "/1");
    sleep(A_WHILE).await;
    assert!(line.is_resting());
    // One byte wakes it; the others come whenever they come.
    for byte in get("/2").chars() {
        line.say(&byte.to_string()).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(line.answer().await, "/2");
    // The next request begins before this one is answered, so hyper holds its first half, and gives it back.
    line.say(&format!("{}GET /4 HT", get("/3"))).await;
    assert_eq!(line.answer().await, "/3");
    sleep(A_WHILE).await;
    assert!(!line.is_resting());
    line.say("TP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(line.answer().await, "/4");
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_after_a_rest_is_too_late_as_ever() {
    let mut line = Line::open(64 * 1024);
    line.say(&get("/1")).await;
    assert_eq!(line.answer().await, "/1");
    sleep(A_WHILE).await;
    line.say("GET /2").await;
    sleep(LIMITS.header_timeout + 2 * LOOK).await;
    assert_eq!(line.left().await, b"");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_yet_is_not_lost() {
    // The answer does not fit on its way, so some of it waits in hyper.
    let mut line = Line::open(64);
    line.say(&get("/1")).await;
    sleep(A_WHILE).await;
    assert!(!line.is_resting());
    assert_eq!(line.answer().await, "/1");
    sleep(A_WHILE).await;
    assert!(line.is_resting());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_read_is_no_request() {
    let mut line = Line::open(64 * 1024);
    let smuggled = get("/2");
    line.say(&format!("POST /1 HTTP/1.1\r\nHost: app\r\nContent-Length: 100000\r\n\r\n{smuggled}")).await;
    assert_eq!(line.answer().await, "/1");
    line.say(&smuggled).await;
    sleep(A_WHILE).await;
    assert!(!line.is_resting());
    assert_eq!(line.left().await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_rest_ends_with_the_idle_time_the_peer_or_the_gateway() {
    let resting = async || {
        let mut line = Line::open(64 * 1024);
        line.say(&get("/1")).await;
        assert_eq!(line.answer().await, "/1");
        sleep(A_WHILE).await;
        assert!(line.is_resting());
        line
    };
    let line = resting().await;
    sleep(LIMITS.idle_timeout - A_WHILE - LOOK).await;
    assert!(!line.served.is_finished());
    sleep(LOOK).await;
    assert_eq!(line.left().await, b"");

    let line = resting().await;
    line.stop.cancel();
    assert_eq!(line.left().await, b"");

    let Line { peer, served, .. } = resting().await;
    drop(peer);
    timeout(Duration::from_secs(1), served).await.expect("it ends").unwrap();
}
