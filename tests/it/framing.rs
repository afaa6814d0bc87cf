//! Where a message begins and ends (C.3): nothing ambiguous reaches the application, and nothing smuggled rides along.

use std::time::Duration;

use crate::support::{Caller, Gate, soon, wire};

/// T-031.
#[tokio::test]
async fn who_is_not_signed_in_sees_not_a_byte_of_the_application() {
    let gate = Gate::start().await;
    gate.upstream.answers("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECRET");
    for (line, headers) in [
        ("GET /x", vec![]),
        ("HEAD /x", vec![]),
        ("POST /x", vec!["Content-Length: 0"]),
        ("PUT /x", vec!["Content-Length: 2"]),
        ("DELETE /x", vec![]),
        ("GET /x", vec!["Accept: text/html"]),
        ("POST /x", vec!["Accept: text/html", "Content-Length: 0"]),
        ("GET /x", vec!["Range: bytes=0-3", "If-None-Match: *"]),
        (
            "GET /x",
            vec!["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AQ=="],
        ),
    ] {
        let mut caller = Caller::connect(gate.address).await;
        caller.say([&wire::request(&gate, line, &headers)[..], b"ab"].concat()).await;
        caller.finish().await;
        let answer = String::from_utf8_lossy(&caller.left().await).into_owned();
        assert!(answer.starts_with("HTTP/1.1 401 ") || answer.starts_with("HTTP/1.1 302 "), "{line}: {answer}");
        assert!(!answer.contains("SECRET"), "{line}: {answer}");
    }
    gate.upstream.nothing();
}

/// T-032: what two servers could read differently is refused, and the connection with it.
#[tokio::test]
async fn a_message_with_two_readings_is_refused() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for (framing, body) in [
        ("Content-Length: 5\r\nTransfer-Encoding: xchunked", "0\r\n\r\n"),
        ("Transfer-Encoding: xchunked", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("Transfer-Encoding: identity", "abcde"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
        ("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
        ("Transfer-Encoding:", "0\r\n\r\n"),
        ("Content-Length: +5", "abcde"),
        ("Content-Length: 5,5", "abcde"),
        ("Content-Length: 5, 6", "abcdef"),
        ("Content-Length: 5\r\nContent-Length: 6", "abcdef"),
        ("Content-Length: 6\r\nContent-Length: 5", "abcdef"),
        ("Content-Length: -1", ""),
        ("Content-Length: 18446744073709551616", "abcde"),
        ("Content-Length: 0x5", "abcde"),
        ("Content-Length: 5 5", "abcde"),
        ("Content-Length:", "abcde"),
        ("Content-Length: five", "abcde"),
        ("X-Folded: a\r\n b\r\nContent-Length: 5", "abcde"),
        ("X-Folded: a\r\n\tContent-Length: 6\r\nContent-Length: 5", "abcde"),
        (" Content-Length: 5", "abcde"),
    ] {
        let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n\r\n", gate.address);
        let mut caller = Caller::connect(gate.address).await;
        caller
            .say(
                [&wire::request(&gate, "POST /", &[&cookie, framing])[..], body.as_bytes(), smuggled.as_bytes()]
                    .concat(),
            )
            .await;
        let answer = caller.answer().await;
        assert_eq!(answer.status, 400, "{framing:?}");
        assert!(caller.left().await.is_empty(), "{framing:?}: the connection goes with it");
    }
    let answer = gate
        .say(format!(
            "POST / HTTP/1.0\r\nHost: {}\r\n{cookie}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            gate.address
        ))
        .await;
    assert_eq!(answer.status, 400, "HTTP/1.0 has no chunks");
    gate.upstream.nothing();
}

/// T-032: where both lengths are given, `Transfer-Encoding` alone counts and alone goes on, and nothing behind that message is a request
/// (RFC 9112 §6.1). hyper takes `Content-Length` away before anybody could refuse it.
#[tokio::test]
async fn two_kinds_of_length_become_one_and_end_the_connection() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\nContent-Length: 999",
        "Transfer-Encoding: Chunked\r\ncontent-length: 0",
        "Content-Length: 13\r\nTransfer-Encoding: chunked\r\nConnection: Transfer-Encoding",
    ] {
        let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n\r\n", gate.address);
        let head = wire::request(&gate, "POST /", &[&cookie, framing]);
        let mut caller = Caller::connect(gate.address).await;
        caller.say([&head[..], b"3\r\nabc\r\n0\r\n\r\n", smuggled.as_bytes()].concat()).await;
        let answer = caller.answer().await;
        let received = gate.upstream.take();
        match answer.status {
            400 => assert!(received.is_empty(), "{framing:?}: {received:?}"),
            200 => {
                assert_eq!((received.len(), &*received[0].body), (1, &b"abc"[..]), "{framing:?}: {received:?}");
                assert_eq!(received[0].all("transfer-encoding"), ["chunked"], "{framing:?}");
                assert!(received[0].all("content-length").is_empty(), "{framing:?}: {received:?}");
            }
            status => panic!("{framing:?}: {status}"),
        }
        assert!(caller.left().await.is_empty(), "{framing:?}: nothing behind it is a request");
    }
    assert!(!String::from_utf8_lossy(&gate.upstream.bytes()).contains("/smuggled"));
}

/// T-032: the same length twice is one length.
#[tokio::test]
async fn the_same_length_twice_becomes_one() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut request = wire::request(&gate, "POST /", &[&cookie, "Content-Length: 5", "Content-Length: 5"]);
    request.extend(b"abcde");
    let answer = gate.say(request).await;
    let received = gate.upstream.take();
    assert!(answer.status == 400 || received[0].all("content-length") == ["5"], "{} {received:?}", answer.status);
}

/// T-032: a chunked body that is none ends the request on both sides, whole requests alone count.
#[tokio::test]
async fn a_broken_chunk_ends_the_request() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for body in [
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "zz\r\nabc\r\n0\r\n\r\n",
        "3;ext=\n\r\nabc\r\n0\r\n\r\n",
        "3;a\nbc\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabcX0\r\n\r\n",
    ] {
        let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n\r\n", gate.address);
        let mut caller = Caller::connect(gate.address).await;
        caller
            .say(
                [
                    &wire::request(&gate, "POST /", &[&cookie, "Transfer-Encoding: chunked"])[..],
                    body.as_bytes(),
                    smuggled.as_bytes(),
                ]
                .concat(),
            )
            .await;
        let answer = caller.answer().await;
        assert_eq!(answer.status, 400, "{body:?}");
        assert!(caller.left().await.is_empty(), "{body:?}");
        assert!(gate.upstream.take().is_empty(), "{body:?}: no whole request arrived");
    }
    assert!(!String::from_utf8_lossy(&gate.upstream.bytes()).contains("/smuggled"));
}

/// T-034: whoever may send a body may send it with any method and in any form, and it arrives.
#[tokio::test]
async fn a_body_arrives_whatever_the_method_and_the_form() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for method in ["GET", "DELETE", "POST", "PUT", "PATCH", "OPTIONS", "PROPFIND"] {
        for (framing, bytes) in [
            ("Content-Length: 5", "hello"),
            ("Transfer-Encoding: chunked", "2\r\nhe\r\n3;ext=\"x\"\r\nllo\r\n0\r\n\r\n"),
            ("Transfer-Encoding: CHUNKED", "5\r\nhello\r\n0\r\n\r\n"),
        ] {
            let request =
                [&wire::request(&gate, &format!("{method} /"), &[&cookie, framing])[..], bytes.as_bytes()].concat();
            assert_eq!(gate.say(request).await.status, 200, "{method} {framing}");
            let received = gate.upstream.take_one();
            assert_eq!((received.method(), &*received.body), (method, &b"hello"[..]), "{method} {framing}");
            assert_eq!(
                received.all("transfer-encoding").len() + received.all("content-length").len(),
                1,
                "{received:?}"
            );

            let request = [&wire::request(&gate, &format!("{method} /"), &[framing])[..], bytes.as_bytes()].concat();
            assert_eq!(gate.say(request).await.status, 401, "{method} {framing}");
            assert!(gate.upstream.take().is_empty(), "{method} {framing}");
        }
    }
}

const WEBSOCKET: &[&str] = &[
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// T-035: what a caller says too early waits until the application has agreed.
#[tokio::test]
async fn nothing_behind_an_upgrade_arrives_before_the_application_agrees() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    let mut caller = Caller::connect(gate.address).await;
    let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\nX-User: admin\r\n\r\n", gate.address);
    let request = wire::request(&gate, "GET /socket", &[&[&*cookie, "X-User: admin"], WEBSOCKET].concat());
    caller.say([&request[..], smuggled.as_bytes()].concat()).await;

    let mut upstream = soon(conversations.recv()).await.unwrap();
    assert_eq!(upstream.request.alike("x-user"), ["ada"]);
    assert_eq!(upstream.request.one("cookie"), None);
    assert_eq!(upstream.request.one("upgrade").as_deref(), Some("websocket"));
    assert_eq!(upstream.request.one("sec-websocket-key").as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert!(upstream.pending().is_empty());
    // Nothing more comes, however long one waits; a moment has to do.
    assert!(tokio::time::timeout(Duration::from_millis(50), upstream.hear(1)).await.is_err());

    upstream.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nfrom the application").await;
    let answer = caller.answer().await;
    assert_eq!(
        (answer.status, answer.header("upgrade"), answer.header("sec-websocket-accept")),
        (101, "websocket", "x")
    );
    assert_eq!(caller.hear(20).await, b"from the application");
    assert_eq!(upstream.hear(smuggled.len()).await, smuggled.as_bytes(), "as bytes of the tunnel");
    caller.say(b"\x81\x02hi").await;
    assert_eq!(upstream.hear(4).await, b"\x81\x02hi");
    drop(caller);
    assert!(upstream.left().await.is_empty());
}

/// T-035: the end of a tunnel is told to the other side, and its connection serves nobody else.
#[tokio::test]
async fn a_tunnels_connection_never_goes_back_to_the_pool() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    let mut caller = Caller::connect(gate.address).await;
    caller.say(wire::request(&gate, "GET /", &[&[&*cookie], WEBSOCKET].concat())).await;
    let mut tunnel = soon(conversations.recv()).await.unwrap();
    tunnel.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(caller.answer().await.status, 101);

    let (answer, ()) = tokio::join!(gate.say(wire::request(&gate, "GET /other", &[&cookie])), async {
        let mut other = soon(conversations.recv()).await.unwrap();
        assert_eq!(other.request.target(), "/other");
        other.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    });
    assert_eq!((answer.status, gate.upstream.connections()), (200, 2));
    drop(tunnel);
    assert!(caller.left().await.is_empty());
}

/// T-035: an application that does not agree answers in HTTP, and what follows on the connection is a request like any other.
#[tokio::test]
async fn an_upgrade_that_is_refused_stays_http() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for (status, answer) in [
        (200, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        (403, "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"),
        (426, "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nUpgrade: foo\r\nContent-Length: 0\r\n\r\n"),
    ] {
        gate.upstream.answers(answer);
        let mut caller = Caller::connect(gate.address).await;
        let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\nX-User: admin\r\n\r\n", gate.address);
        let request = wire::request(&gate, "GET /socket", &[&[&*cookie], WEBSOCKET].concat());
        caller.say([&request[..], smuggled.as_bytes()].concat()).await;
        assert_eq!(caller.answer().await.status, status);
        let next = caller.answer().await;
        assert!(matches!(next.status, 0 | 401), "{status}: {next:?}");
        assert_eq!(gate.upstream.take_one().target(), "/socket");
    }
    assert!(!String::from_utf8_lossy(&gate.upstream.bytes()).contains("smuggled"));
}

/// T-035: no other protocol is passed on.
#[tokio::test]
async fn only_websockets_are_upgrades() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for headers in [
        vec!["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
        vec!["Connection: HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
        vec!["Connection: Upgrade", "Upgrade: foo"],
        vec!["Connection: Upgrade", "Upgrade: websocket, h2c"],
        vec!["Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"],
        vec!["Connection: Upgrade", "Upgrade: websocket/13"],
        vec!["Upgrade: websocket"],
        vec!["Connection: keep-alive", "Upgrade: websocket"],
        vec!["Connection: Upgrade"],
    ] {
        assert_eq!(gate.ask("GET /", &[&[&*cookie][..], &headers].concat()).await.status, 200, "{headers:?}");
        let received = gate.upstream.take_one();
        assert!(
            received.all("upgrade").is_empty() && received.all("http2-settings").is_empty(),
            "{headers:?}: {received:?}"
        );
        assert!(
            !received.all("connection").concat().to_ascii_lowercase().contains("upgrade"),
            "{headers:?}: {received:?}"
        );
    }
    // A body and an upgrade in one request have two readings.
    let mut request = wire::request(&gate, "GET /", &[&[&*cookie, "Content-Length: 5"], WEBSOCKET].concat());
    request.extend(b"hello");
    gate.say(request).await;
    assert!(gate.upstream.take_one().all("upgrade").is_empty());
}

/// T-035: an application that switches unasked, or to something else, has answered nothing.
#[tokio::test]
async fn an_application_cannot_switch_protocols_by_itself() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    gate.upstream.answers("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n");
    for headers in [WEBSOCKET, &["X-Nothing: asked"], &["Connection: Upgrade", "Upgrade: foo"]] {
        let answer = gate.ask("GET /", &[&[&*cookie], headers].concat()).await;
        assert_eq!(answer.status, 502, "{headers:?}: {answer:?}");
    }
}

/// T-037: a preflight is a request without a credential like any other.
#[tokio::test]
async fn a_preflight_is_neither_redirected_nor_remembered() {
    let gate = Gate::start().await;
    let preflight = ["Origin: https://other.example", "Access-Control-Request-Method: PUT", "Sec-Fetch-Mode: cors"];
    let answer = gate.ask("OPTIONS /api", &preflight).await;
    assert_eq!(answer.status, 401);
    assert!(answer.all("set-cookie").is_empty() && answer.all("access-control-allow-origin").is_empty(), "{answer:?}");
    gate.upstream.nothing();
}

/// T-038: nothing that is about one caller is kept for another.
#[tokio::test]
async fn what_is_about_one_caller_is_stored_nowhere() {
    let gate = Gate::with(&[("session.revalidate", "0s")]).await;
    gate.upstream.answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: public, max-age=600\r\n\r\nok");
    let mut browser = gate.signed_in("ada").await;
    let page = browser.get(&gate.url("/page")).await;
    assert_eq!(
        page.header("cache-control"),
        "public, max-age=600",
        "the application's own word, as long as no cookie of ours is with it"
    );
    assert_eq!(gate.ask("GET /page", &[]).await.status, 401);

    gate.advance(Duration::from_secs(600));
    let renewed = browser.get(&gate.url("/page")).await;
    assert_eq!((renewed.set_cookies().len(), renewed.header("cache-control")), (1, "no-store"));

    let mut stranger = crate::support::Browser::new();
    let start = stranger.get(&gate.url("/x")).await;
    let login = stranger.get(&start.location()).await;
    let callback = stranger.begin(&gate.url("/x"), "ada").await;
    let back = stranger.get(&callback).await;
    let replayed = crate::support::Browser::new().get(&callback).await;
    let whoami = stranger.get(&gate.url("/_auth/whoami")).await;
    let logout = stranger.get(&gate.url("/_auth/logout")).await;
    let denied = stranger.send(http::Method::GET, &gate.url("/x"), &[], "").await;
    for (what, answer) in [
        ("to the login", start),
        ("login", login),
        ("callback", back),
        ("failed callback", replayed),
        ("whoami", whoami),
        ("logout", logout),
        ("401", denied),
    ] {
        assert_eq!(answer.header("cache-control"), "no-store", "{what}: {answer:?}");
    }
}
