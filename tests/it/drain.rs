//! The end (T-122): what is under way finishes, nothing new begins, and the grace is the limit.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::{Caller, Gate, soon, wire};

const WEBSOCKET: &[&str] =
    &["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AQ=="];

/// Until nobody listens any more.
async fn refused(gate: &Gate) {
    soon(async {
        while TcpStream::connect(gate.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn requests_under_way_finish_and_new_ones_are_refused() {
    let gate = Gate::with(&[("admin.listen", "127.0.0.1:0")]).await;
    let admin = gate.admin.unwrap();
    let ready = |status| async move {
        let answer = wire::send(admin, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert_eq!(answer.status, status);
        let answer = wire::send(admin, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert_eq!(answer.status, 200);
    };
    ready(200).await;
    let cookie = gate.cookie_of("ada").await;
    let mut idle = Caller::connect(gate.address).await;
    assert_eq!(idle.ask(wire::request(&gate, "GET /", &[&cookie])).await.status, 200);
    let mut conversations = gate.upstream.by_hand();
    let mut slow = Caller::connect(gate.address).await;
    slow.say(wire::request(&gate, "GET /slow", &[&cookie])).await;
    let mut upstream = soon(conversations.recv()).await.unwrap();
    let mut streaming = Caller::connect(gate.address).await;
    streaming.say(wire::request(&gate, "GET /stream", &[&cookie])).await;
    let mut stream = soon(conversations.recv()).await.unwrap();
    stream.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    assert_eq!(streaming.head().await.status, 200);

    gate.stop.cancel();
    refused(&gate).await;
    ready(503).await;
    assert!(idle.left().await.is_empty(), "who was waiting for nothing is let go");
    upstream.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    let answer = slow.answer().await;
    assert_eq!((answer.status, &*answer.text(), answer.header("connection")), (200, "hello", "close"));
    assert!(slow.left().await.is_empty());
    stream.say("world").await;
    assert_eq!(streaming.left().await, b"helloworld");
    gate.stopped().await;
}

#[tokio::test]
async fn what_outlives_the_grace_is_cut() {
    let gate = Gate::with(&[("limits.shutdown_grace", "200ms")]).await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    let mut tunnel = Caller::connect(gate.address).await;
    tunnel.say(wire::request(&gate, "GET /socket", &[&[&*cookie], WEBSOCKET].concat())).await;
    let mut socket = soon(conversations.recv()).await.unwrap();
    socket.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(tunnel.answer().await.status, 101);
    let mut events = Caller::connect(gate.address).await;
    events.say(wire::request(&gate, "GET /events", &[&cookie])).await;
    let mut source = soon(conversations.recv()).await.unwrap();
    source.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(events.head().await.status, 200);

    gate.stop.cancel();
    refused(&gate).await;
    tunnel.say("still here").await;
    assert_eq!(socket.hear(10).await, b"still here", "within the grace");
    gate.stopped().await;
    tunnel.left().await;
    events.left().await;
    socket.left().await;
    source.left().await;
}

#[tokio::test]
async fn without_anything_under_way_the_end_is_at_once() {
    let gate = Gate::with(&[("limits.shutdown_grace", "1h")]).await;
    let _silent = Caller::connect(gate.address).await;
    gate.stop.cancel();
    gate.stopped().await;
}

/// A tunnel in which nothing moves is closed, one in which something does is not.
#[tokio::test]
async fn a_silent_tunnel_ends() {
    let gate = Gate::with(&[("limits.tunnel_idle_timeout", "200ms")]).await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    let mut tunnel = Caller::connect(gate.address).await;
    tunnel.say(wire::request(&gate, "GET /socket", &[&[&*cookie], WEBSOCKET].concat())).await;
    let mut socket = soon(conversations.recv()).await.unwrap();
    socket.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(tunnel.answer().await.status, 101);
    tokio::time::timeout(Duration::from_secs(5), async {
        tunnel.left().await;
        socket.left().await;
    })
    .await
    .expect("both sides are told");
}
