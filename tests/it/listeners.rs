//! Where callers connect, and what they may use: TLS, a unix socket, limits.

use std::{sync::Arc, time::Duration};

use doorward::{app::App, clock::Clock};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::support::{Browser, Caller, Gate, Upstream, gate, soon, wire};

const PUBLIC: &str = "https://app.example.com";

async fn tls(gate: &Gate, config: &ClientConfig) -> Caller<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let name = ServerName::try_from("app.example.com").unwrap();
    Caller::on(TlsConnector::from(Arc::new(config.clone())).connect(name, stream).await.unwrap())
}

/// The contract's cookies, and a login from end to end over TLS.
#[tokio::test]
async fn over_tls_the_cookies_are_bound_to_the_host() {
    let certificate = rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let clock = Clock::stopped(gate::NOW);
    let provider = gate::provider(PUBLIC, &clock).await;
    let more = [("public_url", PUBLIC), ("tls.cert", cert.to_str().unwrap()), ("tls.key", key.to_str().unwrap())];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::beside(listener, provider, Upstream::start().await, clock, &more);
    let ask = |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nHost: app.example.com\r\n{headers}\r\n");

    let mut caller = tls(&gate, &config).await;
    let login = caller.ask(ask("GET /_auth/login?rd=%2Fx", "")).await;
    assert_eq!(login.status, 302, "{login:?}");
    let set = login.header("set-cookie").to_owned();
    let (cookie, attributes) = set.split_once(';').unwrap();
    assert!(cookie.starts_with("__Host-doorward-login="), "{set}");
    let strict = |attributes: &str| {
        let mut all: Vec<_> = attributes.split(';').map(|one| one.trim().to_ascii_lowercase()).collect();
        all.retain(|one| !one.starts_with("max-age="));
        all.sort();
        assert_eq!(all, ["httponly", "path=/", "samesite=lax", "secure"], "{attributes}");
    };
    strict(attributes);

    let mut browser = Browser::new();
    let page = browser.reach_provider(login.header("location")).await;
    let callback = browser.choose(&page, &[("person", "ada")]).await;
    let target = callback.strip_prefix(PUBLIC).unwrap();
    let back = caller.ask(ask(&format!("GET {target}"), &format!("Cookie: {cookie}\r\n"))).await;
    assert_eq!((back.status, back.header("location")), (303, "/x"), "{back:?}");
    let set = back.header("set-cookie").to_owned();
    let (session, attributes) = set.split_once(';').unwrap();
    assert!(session.starts_with("__Host-doorward=") && session.len() <= 192, "{set}");
    strict(attributes);

    let answer = caller.ask(ask("GET /", &format!("Cookie: {session}; doorward=theirs; a=1\r\n"))).await;
    assert_eq!(answer.status, 200);
    let received = gate.upstream.take_one();
    assert_eq!(
        (received.alike("x-user"), received.one("x-forwarded-proto").as_deref()),
        (vec!["ada".to_owned()], Some("https"))
    );
    assert_eq!(received.one("cookie").as_deref(), Some("doorward=theirs; a=1"));
    let bare = session.replace("__Host-", "");
    assert_eq!(caller.ask(ask("GET /", &format!("Cookie: {bare}\r\n"))).await.status, 401, "not under another name");

    for (offered, chosen) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1")] {
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(gate.address).await.unwrap();
        let name = ServerName::try_from("app.example.com").unwrap();
        let stream = TlsConnector::from(Arc::new(config.clone())).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(chosen.as_bytes()));
    }
    let mut plain = Caller::connect(gate.address).await;
    plain.say(ask("GET /", "")).await;
    assert!(!plain.left().await.starts_with(b"HTTP/"), "no plain HTTP where TLS is spoken");
}

/// Behind a unix socket there is no address; whoever may open it can be trusted to know one.
#[tokio::test]
async fn a_unix_socket_is_served_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::stopped(gate::NOW);
    let public = "http://app.localhost:4180";
    for (number, (trusted, chain)) in [("-", None), ("unix", Some("192.0.2.1"))].into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.sock"));
        let listen = format!("unix:{}", path.display());
        let upstream = Upstream::start().await;
        let provider = gate::provider(public, &clock).await;
        let routes = "[[routes]]\nupstream = \"UPSTREAM\"\nanonymous = true\n";
        let more = [("listen", &*listen), ("upstream", "-"), ("file", routes), ("trusted_proxies", trusted)];
        let settings = gate::load(public, &provider, &upstream, &more);
        let app = App::build(settings, clock.clone()).unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(app.run(stop.clone(), || None));
        let mut caller = Caller::on(UnixStream::connect(&path).await.unwrap());
        let answer = caller
            .ask("GET /x HTTP/1.1\r\nHost: app.localhost\r\nX-Forwarded-For: 192.0.2.1\r\nX-User: admin\r\n\r\n")
            .await;
        assert_eq!(answer.status, 200);
        let received = upstream.take_one();
        assert_eq!(received.one("x-forwarded-for").as_deref(), chain, "trusted: {trusted}");
        assert!(received.alike("x-user").is_empty());
        stop.cancel();
        soon(served).await.unwrap();
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_header_section_has_its_limits() {
    let gate = Gate::with(&[("limits.header_bytes", "16KiB"), ("limits.header_count", "50")]).await;
    let cookie = gate.cookie_of("ada").await;
    let padding = |bytes: usize| format!("X-Padding: {}", "x".repeat(bytes));
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: 1")).collect::<Vec<_>>().join("\r\n");
    for (headers, statuses) in [
        (padding(12_000), &[200][..]),
        (padding(16_400), &[400, 431]),
        (padding(100_000), &[400, 431]),
        (format!("Cookie: a={}", "x".repeat(20_000)), &[400, 431]),
        (many(40), &[200]),
        (many(60), &[400, 431]),
        (many(5_000), &[400, 431]),
    ] {
        let answer = gate.ask("GET /", &[&cookie, &headers]).await;
        assert!(statuses.contains(&answer.status), "{:.20}… ({} bytes): {}", headers, headers.len(), answer.status);
    }
    assert_eq!(gate.upstream.take().len(), 2);
}

/// Who is slow with a head, silent from the beginning, or idle for too long is let go; who is waiting for an answer is not.
#[tokio::test]
async fn a_connection_has_its_time() {
    let gate = Gate::with(&[("limits.header_timeout", "200ms"), ("limits.idle_timeout", "400ms")]).await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    let silent = Caller::connect(gate.address).await;
    let mut slow = Caller::connect(gate.address).await;
    slow.say("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    let mut waiting = Caller::connect(gate.address).await;
    waiting.say(wire::request(&gate, "GET /waits", &[&cookie])).await;
    let mut upstream = soon(conversations.recv()).await.unwrap();
    let mut idle = Caller::connect(gate.address).await;
    assert_eq!(idle.ask(wire::request(&gate, "GET /", &[])).await.status, 401);
    tokio::time::timeout(Duration::from_secs(5), async {
        silent.left().await;
        let said = slow.left().await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{said:?}");
        idle.left().await;
    })
    .await
    .expect("let go in time");
    upstream.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(waiting.answer().await.status, 200);
}

/// One too many waits until there is room.
#[tokio::test]
async fn there_is_room_for_so_many_connections() {
    let gate = Gate::with(&[("limits.connections", "2")]).await;
    let mut first = Caller::connect(gate.address).await;
    let mut second = Caller::connect(gate.address).await;
    for caller in [&mut first, &mut second] {
        assert_eq!(caller.ask(wire::request(&gate, "GET /", &[])).await.status, 401);
    }
    let mut third = Caller::connect(gate.address).await;
    third.say(wire::request(&gate, "GET /", &[])).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), third.head()).await.is_err(), "not yet");
    drop(first);
    assert_eq!(third.answer().await.status, 401);
}
