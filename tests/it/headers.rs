//! What the application believes (C.1): one identity, ours, whatever the caller sends; every other header as it came.

use serde_json::json;

use crate::support::{Browser, Caller, Gate, gate, wire};

const CLAIMS: &[(&str, &str)] = &[("headers.claims.x_email", "email"), ("headers.claims.x_groups", "groups")];

/// T-001, T-002, T-004.
#[tokio::test]
async fn nobody_elses_identity_header_arrives_in_any_spelling() {
    let gate = Gate::with(CLAIMS).await;
    let cookie = gate.cookie_of("ada").await;
    for forged in [
        "X-User: admin",
        "x-user: admin",
        "X-USER: admin",
        "X_User: admin",
        "x_user: admin",
        "X.User: admin",
        "X+User: admin",
        "X~User: admin",
        "X|User: admin",
        "X-User: admin, ada",
        "X-User:",
        "X-User: admin\r\nX-User: admin",
        "X-User:\r\nX-User: admin",
        "X_User: admin\r\nX-User: admin\r\nx.user: admin",
        "X-Email: admin",
        "X_EMAIL: admin",
        "X.Groups: admin",
        "x-groups: admin\r\nX_Groups: admin",
        "X-Forwarded-User: admin",
        "X_Forwarded_User: admin",
        "X-Forwarded-Email: admin",
        "X-Forwarded-Groups: admin",
        "X-Forwarded-Preferred-Username: admin",
        "X-Auth-Request-User: admin",
        "X-Remote-User: admin",
        "Remote-User: admin",
        "Remote_User: admin",
        "X-WebAuth-User: admin",
        "X_WEBAUTH_EMAIL: admin",
        "X-WebAuth-Name: admin",
        "x-webauth-groups: admin",
        "Remote-Name: admin",
    ] {
        let answer = gate.ask("GET /", &[&cookie, forged]).await;
        assert_eq!(answer.status, 200, "{forged}");
        let received = gate.upstream.take_one();
        assert_eq!(received.alike("x-user"), ["ada"], "{forged}: {received:?}");
        assert_eq!(received.alike("x-email"), ["ada@example.com"], "{forged}: {received:?}");
        assert_eq!(received.alike("x-groups"), ["staff,engineering"], "{forged}: {received:?}");
        assert!(received.headers.iter().all(|(_, value)| value != b"admin"), "{forged}: {received:?}");
    }
}

/// T-002: RFC 9112 §5.1 leaves no choice.
#[tokio::test]
async fn a_space_before_the_colon_is_no_request() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for forged in
        ["X-User : admin", "X-User\t: admin", "Content-Length : 5", "Transfer-Encoding : chunked", "X User: admin"]
    {
        assert_eq!(gate.ask("GET /", &[&cookie, forged]).await.status, 400, "{forged}");
    }
    gate.upstream.nothing();
}

/// T-002, T-005: where nobody is asked who they are, nobody is named, not even who has signed in.
#[tokio::test]
async fn an_anonymous_route_names_nobody() {
    let gate = Gate::routing(gate::ROUTES, CLAIMS).await;
    let cookie = gate.cookie_of("ada").await;
    for headers in [
        vec!["X-User: admin", "X_User: admin", "X-Email: admin", "x-groups: admin"],
        vec![&*cookie, "X-User: admin", "Connection: X-User"],
        vec!["X-User: admin", "Connection: Upgrade, X-User", "Upgrade: websocket"],
    ] {
        let answer = gate.ask("GET /public/x", &headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
        let received = gate.upstream.take_one();
        for name in ["x-user", "x-email", "x-groups"] {
            assert!(received.alike(name).is_empty(), "{headers:?}: {received:?}");
        }
        assert_eq!(received.one("cookie"), None);
    }
}

/// T-002, T-008: a claim that is not there, or that a header cannot carry, leaves no room for the caller's.
#[tokio::test]
async fn a_claim_without_a_value_has_no_header() {
    let gate = Gate::with(CLAIMS).await;
    for email in [json!(null), json!(""), json!("a\r\nX-Admin: 1"), json!("a\rb"), json!("a\0b"), json!({"a": 1})] {
        let mut browser = Browser::new();
        let back = browser.sign_in_with(&gate, "eve", &json!({"email": email, "groups": []})).await;
        assert_eq!(back.status, 303, "{email}: {back:?}");
        let cookie = format!("Cookie: doorward={}", browser.cookie(&gate, "doorward").unwrap());
        gate.ask("GET /", &[&cookie, "X-Email: admin", "X-Groups: admin"]).await;
        let received = gate.upstream.take_one();
        assert_eq!(received.one("x-user").as_deref(), Some("eve"), "{email}");
        for name in ["x-email", "x-groups", "x-admin"] {
            assert!(received.alike(name).is_empty(), "{email}: {received:?}");
        }
    }
}

/// T-008, T-020: who cannot be named does not get in, and the page says which claim it is.
#[tokio::test]
async fn a_user_claim_that_no_header_can_carry_ends_the_login() {
    let gate = Gate::with(&[("providers.dev.user_claim", "handle")]).await;
    for handle in [
        json!(null),
        json!(""),
        json!("  "),
        json!(" ada"),
        json!("ada "),
        json!("ada\r\nX-Admin: 1"),
        json!("ada\r"),
        json!("ada\nX-Admin: 1"),
        json!("a\0da"),
        json!("x".repeat(300)),
        json!(["ada"]),
        json!({"ada": 1}),
        json!(true),
        json!(1.5),
    ] {
        let mut browser = Browser::new();
        let back = browser.sign_in_with(&gate, "eve", &json!({"handle": handle})).await;
        assert_eq!(back.status, 403, "{handle}: {back:?}");
        assert!(back.body.contains("handle"), "{handle}: {back:?}");
        assert_eq!(browser.cookie(&gate, "doorward"), None, "{handle}");
    }
    let mut browser = Browser::new();
    browser.sign_in_with(&gate, "eve", &json!({"handle": "Ólafur Þór, \"1\""})).await;
    assert_eq!(browser.user(&gate).await.as_deref(), Some("Ólafur Þór, \"1\""));
}

/// T-020.
#[tokio::test]
async fn a_token_without_a_subject_signs_nobody_in() {
    let gate = Gate::start().await;
    for sub in [None, Some(json!("")), Some(json!(7)), Some(json!("x".repeat(300)))] {
        let mut browser = Browser::new();
        let changed = sub.clone();
        gate.provider.faults().next_id_token(move |_, claims| match changed {
            None => _ = claims.remove("sub"),
            Some(sub) => _ = claims.insert("sub".to_owned(), sub),
        });
        let back = browser.sign_in(&gate, "ada").await;
        assert_eq!(back.status, 502, "{sub:?}: {back:?}");
        assert!(back.body.contains("sub"), "{sub:?}: {back:?}");
        assert_eq!(browser.cookie(&gate, "doorward"), None, "{sub:?}");
    }
}

/// T-005: `Connection` names what belongs to one hop; it cannot name away what we say or what the request needs.
#[tokio::test]
async fn connection_takes_away_nothing_that_matters() {
    let gate = Gate::start().await;
    let ours = gate.cookie_of("ada").await;
    for connection in [
        "Connection: X-User",
        "connection: x-user, x_user",
        "Connection: close, X-User",
        "Connection: X-User\r\nConnection: keep-alive",
        "Connection: keep-alive\r\nConnection: X-User, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto",
        "Connection: Host",
        "Connection: Cookie",
        "Connection: Content-Length",
        "Connection: Content-Type, Authorization",
        "Connection: ,,X-User ,",
    ] {
        let cookie = format!("{ours}; theirs=1");
        let headers =
            [&*cookie, connection, "Content-Length: 4", "Content-Type: text/plain", "Authorization: Basic YTpi"];
        let mut request = wire::request(&gate, "POST /", &headers);
        request.extend(b"abcd");
        assert_eq!(gate.say(request).await.status, 200, "{connection}");
        let received = gate.upstream.take_one();
        assert_eq!(received.alike("x-user"), ["ada"], "{connection}");
        assert_eq!(received.one("host"), Some(gate.address.to_string()), "{connection}");
        assert_eq!(received.one("cookie").as_deref(), Some("theirs=1"), "{connection}");
        assert_eq!(received.one("content-type").as_deref(), Some("text/plain"), "{connection}");
        assert_eq!(received.one("authorization").as_deref(), Some("Basic YTpi"), "{connection}");
        assert_eq!(received.one("x-forwarded-for").as_deref(), Some("127.0.0.1"), "{connection}");
        assert_eq!(received.body, b"abcd", "{connection}");
        assert!(
            !received.all("connection").concat().to_ascii_lowercase().contains("x-user"),
            "{connection}: {received:?}"
        );
    }
}

/// RFC 9110 §7.6.1: what belongs to one hop stays there, both ways.
#[tokio::test]
async fn fields_of_one_hop_go_no_further() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let hop = [
        &*cookie,
        "Connection: X-Hop, keep-alive",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic YTpi",
        "TE: trailers",
        "Trailer: X-User",
        "X-End: kept",
    ];
    gate.upstream.answers(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Back, keep-alive\r\nX-Back: 1\r\nKeep-Alive: timeout=9\r\nX-End: kept\r\n\r\nok",
    );
    let answer = gate.ask("GET /", &hop).await;
    let received = gate.upstream.take_one();
    for name in ["x-hop", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade"] {
        assert!(received.all(name).is_empty(), "{name}: {received:?}");
    }
    assert_eq!(received.one("x-end").as_deref(), Some("kept"));
    for name in ["x-back", "keep-alive"] {
        assert!(answer.all(name).is_empty(), "{name}: {answer:?}");
    }
    assert_eq!((answer.header("x-end"), &*answer.text()), ("kept", "ok"));
}

/// T-007: bytes that are no text reach the application as they came, and never open the door.
#[tokio::test]
async fn bytes_that_are_no_text_pass_unchanged_or_not_at_all() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let with = |session: &str, line: &[u8]| {
        let mut request = format!("GET / HTTP/1.1\r\nHost: {}\r\n{session}", gate.address).into_bytes();
        request.extend([line, b"\r\n\r\n"].concat());
        request
    };
    let all: Vec<u8> = (0x80..=0xff).collect();
    let legacy = [b"X-Legacy: ", &all[..]].concat();
    assert_eq!(gate.say(with(&format!("{cookie}\r\n"), &legacy)).await.status, 200);
    let received = gate.upstream.take_one();
    let (_, value) = received.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-legacy")).unwrap();
    assert_eq!((value, received.one("x-user").as_deref()), (&all, Some("ada")));

    let cookies = [format!("{cookie}; a=").as_bytes(), &all, b"; b=1"].concat();
    assert_eq!(gate.say(with("", &cookies)).await.status, 200);
    let received = gate.upstream.take_one();
    let (_, value) = received.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("cookie")).unwrap();
    assert_eq!(*value, [b"a=", &all[..], b"; b=1"].concat());

    let before = gate.upstream.bytes().len();
    for line in [
        &legacy[..],
        &[b"Authorization: Bearer ", &all[..]].concat(),
        &[b"Cookie: doorward=", &all[..]].concat(),
        &[b"Accept: ", &all[..]].concat(),
        &[b"Sec-Fetch-Mode: ", &all[..]].concat(),
    ] {
        let answer = gate.say(with("", line)).await;
        assert_eq!(answer.status, 401, "{:?}", String::from_utf8_lossy(line));
    }
    for line in [&b"X\xff: 1"[..], b"X-Nul: a\0b", b"X-Bell: \x07", b"X-Cr: a\rb"] {
        let answer = gate.say(with(&format!("{cookie}\r\n"), line)).await;
        assert_eq!(answer.status, 400, "{:?}", String::from_utf8_lossy(line));
    }
    assert_eq!(gate.upstream.bytes().len(), before);
}

/// T-011: trailers end here.
#[tokio::test]
async fn a_trailer_becomes_no_header() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let headers = [&*cookie, "Transfer-Encoding: chunked", "TE: trailers", "Trailer: X-User"];
    let mut request = wire::request(&gate, "POST /", &headers);
    request.extend(b"4\r\nabcd\r\n0\r\nX-User: admin\r\nX_User: admin\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(gate.say(request).await.status, 200);
    let received = gate.upstream.take_one();
    assert_eq!((received.alike("x-user"), &*received.body), (vec!["ada".to_owned()], &b"abcd"[..]));
    assert!(received.trailers.is_empty(), "{received:?}");
}

/// T-013: the decision is on what was asked for, not on what a header says was meant; such headers pass as they came.
#[tokio::test]
async fn no_header_moves_a_request_to_another_route() {
    let gate = Gate::routing(gate::ROUTES, &[]).await;
    for header in [
        "X-Original-URL: /public/x",
        "X-Rewrite-URL: /public/x",
        "X-Original-URI: /public/x",
        "X-Forwarded-Uri: /public/x",
        "X-Forwarded-Prefix: /public",
        "X-Forwarded-Path: /public",
        "X-HTTP-Method-Override: OPTIONS",
        "X-Accel-Redirect: /public/x",
        "X-Skipper-Proxy: 1",
        "X-Envoy-Original-Path: /public/x",
    ] {
        assert_eq!(gate.ask("GET /admin", &[header]).await.status, 401, "{header}");
    }
    gate.upstream.nothing();
    for header in ["X-Original-URL: /admin", "X-HTTP-Method-Override: DELETE", "X-Envoy-Original-Path: /admin"] {
        gate.ask("GET /public/x", &[header]).await;
        let received = gate.upstream.take_one();
        assert_eq!((received.method(), received.target()), ("GET", "/public/x"));
        let (name, value) = header.split_once(": ").unwrap();
        assert_eq!(received.one(name).as_deref(), Some(value), "passes as it came");
    }
}

/// T-014.
#[tokio::test]
async fn what_only_looks_like_a_credential_is_none() {
    let gate = Gate::start().await;
    // {"alg":"none"}.{"sub":"admin"}.
    let unsigned = "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.";
    for (target, header) in [
        ("/", "Authorization: Bearer garbage"),
        ("/", unsigned),
        ("/", "Authorization: Basic YWRtaW46YWRtaW4="),
        ("/?token=x", ""),
        ("/?access_token=x", ""),
        ("/", "X-Access-Token: x"),
        ("/", "Cookie: doorward=garbage"),
        ("/", "Cookie: doorward="),
        ("/", "Cookie: doorward"),
    ] {
        let answer = gate.ask(&format!("GET {target}"), &[header]).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{target} {header}");
        assert!(answer.all("set-cookie").is_empty(), "{target} {header}");
    }
    gate.upstream.nothing();
}

/// T-019: groups that nobody asked for cost nothing.
#[tokio::test]
async fn five_hundred_groups_do_not_matter() {
    let gate = Gate::start().await;
    let groups: Vec<String> = (0..500).map(|n| format!("{n:0>120}")).collect();
    let mut browser = Browser::new();
    let back = browser.sign_in_with(&gate, "ada", &json!({"groups": groups})).await;
    assert_eq!(back.status, 303, "{back:?}");
    let cookie = "doorward=".len() + browser.cookie(&gate, "doorward").unwrap().len();
    assert!(cookie <= 192, "{cookie} bytes");
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
}

/// T-019: what is asked for and does not fit is said at the login, not by a 431 later.
#[tokio::test]
async fn groups_that_do_not_fit_are_refused_with_a_page_that_says_so() {
    let gate = Gate::with(CLAIMS).await;
    let groups: Vec<String> = (0..20).map(|n| format!("{n:0>120}")).collect();
    let mut browser = Browser::new();
    let back = browser.sign_in_with(&gate, "ada", &json!({"groups": groups})).await;
    assert!(back.status.is_server_error(), "{back:?}");
    assert!(back.body.contains("1024") && back.body.contains("headers.claims"), "{back:?}");
    assert_eq!(browser.cookie(&gate, "doorward"), None);
}

/// A caller's word about where it comes from counts for nothing, a trusted proxy's is passed on and added to.
#[tokio::test]
async fn forwarded_headers_are_ours_or_a_trusted_proxys() {
    let sent = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.2",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X_Forwarded_For: 192.0.2.3",
        "X-Forwarded-Port: 1",
        "Forwarded: for=192.0.2.4",
        "X-Real-IP: 192.0.2.5",
    ];
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    gate.ask("GET /", &[&[&*cookie][..], &sent].concat()).await;
    let received = gate.upstream.take_one();
    assert_eq!(received.alike("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.alike("x-forwarded-proto"), ["http"]);
    assert_eq!(received.alike("x-forwarded-host"), [gate.address.to_string()]);
    for name in ["x-forwarded-port", "forwarded", "x-real-ip"] {
        assert!(received.alike(name).is_empty(), "{received:?}");
    }

    let gate = Gate::with(&[("trusted_proxies", "127.0.0.0/8")]).await;
    let cookie = gate.cookie_of("ada").await;
    let host = format!("X-Forwarded-Host: {}", gate.address);
    gate.ask("GET /", &[&cookie, sent[0], sent[1], sent[2], sent[4], &host]).await;
    let received = gate.upstream.take_one();
    assert_eq!(received.alike("x-forwarded-for"), ["192.0.2.1, 192.0.2.2, 127.0.0.1"]);
    assert_eq!(received.alike("x-forwarded-proto"), ["https"]);
}

/// T-001: one connection, many callers: nothing of one request is left for the next.
#[tokio::test]
async fn requests_on_one_connection_do_not_mix() {
    let gate = Gate::start().await;
    let (ada, grace) = (gate.cookie_of("ada").await, gate.cookie_of("grace").await);
    let mut caller = Caller::connect(gate.address).await;
    for (cookie, user) in [(&*ada, Some("ada")), ("", None), (&grace, Some("grace")), ("", None), (&ada, Some("ada"))] {
        let answer = caller.ask(wire::request(&gate, "GET /", &[cookie])).await;
        match user {
            Some(user) => {
                assert_eq!(answer.status, 200);
                assert_eq!(gate.upstream.take_one().alike("x-user"), [user]);
            }
            None => assert_eq!((answer.status, gate.upstream.take().len()), (401, 0)),
        }
    }
}
