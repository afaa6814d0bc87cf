//! The servers themselves, and the ways in which they fail: otherwise nobody could believe the rest.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::redis::{Redis, cluster::Cluster, sentinel::Sentinel, shim::Shim};

#[tokio::test]
async fn a_server_forgets_over_a_restart_unless_it_is_told_to_write() {
    for (args, expected) in [(&[][..], ""), (&["--appendonly", "yes", "--appendfsync", "always"], "kept")] {
        let mut redis = Redis::start(args).await;
        assert_eq!(redis.cli(&["SET", "a", "kept"]).await, "OK");
        let port = redis.port();
        redis.kill();
        assert!(TcpStream::connect(redis.address()).await.is_err(), "nobody listens");
        redis.restart().await;
        assert_eq!((redis.port(), &*redis.cli(&["GET", "a"]).await), (port, expected), "{args:?}");
    }
}

#[tokio::test]
async fn a_frozen_server_accepts_and_says_nothing() {
    let mut redis = Redis::start(&[]).await;
    redis.freeze();
    assert!(ask(&redis.address()).await.is_none());
    redis.thaw();
    assert_eq!(ask(&redis.address()).await.as_deref(), Some("+PONG\r\n"));
}

#[tokio::test]
async fn a_full_server_takes_no_writes() {
    let redis = Redis::start(&["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"]).await;
    let refused = redis.try_cli(&["SET", "a", "b"]).await.unwrap_err();
    assert!(refused.starts_with("OOM"), "{refused}");
    assert_eq!(redis.cli(&["GET", "a"]).await, "");
}

#[tokio::test]
async fn a_password_changes_for_everybody() {
    let mut redis = Redis::with_password("first").await;
    assert_eq!(redis.url(), format!("redis://:first@127.0.0.1:{}", redis.port()));
    let mut connected = TcpStream::connect(redis.address()).await.unwrap();
    connected.write_all(b"AUTH first\r\n").await.unwrap();
    assert_eq!(connected.read(&mut [0; 64]).await.unwrap(), "+OK\r\n".len());
    redis.rotate_password("second").await;
    assert_eq!(connected.read(&mut [0; 64]).await.unwrap_or_default(), 0, "thrown out");
    assert_eq!(redis.cli(&["PING"]).await, "PONG");
    assert!(ask(&redis.address()).await.unwrap().starts_with("-NOAUTH"));
}

#[tokio::test]
async fn a_server_with_tls_knows_one_user() {
    let redis = Redis::with_tls_and_user("gate", "s3cret", "~doorward:* +@all -flushall").await;
    assert_eq!(redis.cli(&["SET", "doorward:a", "b"]).await, "OK");
    for refused in [&["SET", "a", "b"][..], &["FLUSHALL"]] {
        let answer = redis.try_cli(refused).await.unwrap_err();
        assert!(answer.contains("NOPERM"), "{answer}");
    }
    assert!(ask(&redis.address()).await.is_none_or(|answer| !answer.contains("PONG")), "without TLS");
}

#[tokio::test]
async fn sentinels_make_another_primary() {
    let mut sentinel = Sentinel::start().await;
    sentinel.primary().await.cli(&["SET", "a", "b"]).await;
    sentinel.primary().await.cli(&["WAIT", "2", "5000"]).await;
    let old = sentinel.kill_primary().await;
    sentinel.await_new_primary(old).await;
    assert_ne!(sentinel.primary().await.port(), old);
    assert_eq!(sentinel.primary().await.cli(&["GET", "a"]).await, "b");
    sentinel.restart_killed().await;
}

#[tokio::test]
async fn a_cluster_loses_a_node_and_moves_slots() {
    let mut cluster = Cluster::start(1).await;
    for key in 0..64 {
        cluster.nodes()[0].cli(&["-c", "SET", &format!("key{key}"), "kept"]).await;
    }
    cluster.move_slots(0, 1, 1_000).await;
    cluster.await_whole().await;
    for node in 0..3 {
        cluster.nodes()[node].cli(&["WAIT", "1", "5000"]).await;
    }
    cluster.kill_node(2);
    cluster.await_whole().await;
    for key in 0..64 {
        assert_eq!(cluster.nodes()[0].cli(&["-c", "GET", &format!("key{key}")]).await, "kept");
    }
    cluster.restart_node(2).await;
    cluster.await_whole().await;
}

#[tokio::test]
async fn a_shim_delays_cuts_swallows_and_refuses() {
    let redis = Redis::start(&[]).await;
    let mut shim = Shim::before(redis.port()).await;
    assert_eq!(ask(&shim.address()).await.as_deref(), Some("+PONG\r\n"));

    shim.delay(Duration::from_millis(200));
    let asked = Instant::now();
    assert_eq!(ask(&shim.address()).await.as_deref(), Some("+PONG\r\n"));
    assert!(asked.elapsed() >= Duration::from_millis(200), "{:?}", asked.elapsed());
    shim.heal().await;

    shim.cut_after(3);
    assert_eq!(ask(&shim.address()).await.as_deref(), Some("+PO"));
    shim.heal().await;

    shim.swallow();
    assert_eq!(ask(&shim.address()).await, None);
    shim.heal().await;

    let mut connected = TcpStream::connect(shim.address()).await.unwrap();
    connected.write_all(b"PING\r\n").await.unwrap();
    assert_eq!(connected.read(&mut [0; 64]).await.unwrap(), "+PONG\r\n".len());
    shim.refuse().await;
    assert!(TcpStream::connect(shim.address()).await.is_err());
    assert_eq!(connected.read(&mut [0; 64]).await.unwrap_or_default(), 0);
    shim.heal().await;
    assert_eq!(ask(&shim.address()).await.as_deref(), Some("+PONG\r\n"));
}

/// The answer to a `PING`, to the end of it or of the connection; `None` when there is none soon.
async fn ask(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    let mut answer = Vec::new();
    let heard =
        async { while !answer.ends_with(b"\n") && stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(Duration::from_millis(500), heard).await;
    (!answer.is_empty()).then(|| String::from_utf8(answer).unwrap())
}
