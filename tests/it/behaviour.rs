//! What people and programs rely on (C.10): who is redirected, what streams, what fails how.

use std::time::Duration;

use http::Method;

use crate::support::{Browser, Caller, Gate, gate, soon, wire};

/// T-109, T-110: a top-level navigation is sent to the login; everything else gets an answer it can use, and no cookie.
#[tokio::test]
async fn only_a_top_level_navigation_is_redirected() {
    let gate = Gate::start().await;
    const NAVIGATE: [&str; 2] = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    const HTML: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
    let mut expired = gate.signed_in("ada").await;
    gate.advance(Duration::from_secs(90_000));
    let expired = format!(
        "Cookie: doorward={}",
        expired.cookies.remove(&(gate.address.to_string(), "doorward".to_owned())).unwrap()
    );
    for (method, headers, kind) in [
        ("GET", vec![NAVIGATE[0], NAVIGATE[1]], "redirect"),
        ("GET", vec![NAVIGATE[0], NAVIGATE[1], HTML], "redirect"),
        ("GET", vec![HTML], "redirect"),
        ("GET", vec!["Accept: TEXT/HTML"], "redirect"),
        ("POST", vec![NAVIGATE[0], NAVIGATE[1], "Content-Length: 0"], "page"),
        ("DELETE", vec![NAVIGATE[0], NAVIGATE[1]], "page"),
        ("GET", vec!["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", HTML], "problem"),
        ("GET", vec!["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"], "problem"),
        ("GET", vec!["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"], "problem"),
        ("GET", vec!["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", HTML], "problem"),
        ("GET", vec!["Sec-Fetch-Mode: websocket", HTML], "problem"),
        ("GET", vec![HTML, "X-Requested-With: XMLHttpRequest"], "problem"),
        ("GET", vec!["Accept: application/json"], "problem"),
        ("GET", vec!["Accept: text/event-stream"], "problem"),
        ("GET", vec!["Accept: */*"], "problem"),
        ("GET", vec!["Accept: text/html;q=0, */*"], "problem"),
        ("GET", vec![], "problem"),
        ("POST", vec![HTML, "Content-Length: 0"], "problem"),
        ("PUT", vec!["Sec-Fetch-Mode: cors", "Content-Length: 0"], "problem"),
        ("OPTIONS", vec![], "problem"),
    ] {
        for cookie in ["", &*expired] {
            let case = format!("{method} {headers:?} {cookie:.10}");
            let answer = gate.ask(&format!("{method} /x?y=1"), &[&headers[..], &[cookie]].concat()).await;
            assert!(answer.all("set-cookie").is_empty(), "{case}: {answer:?}");
            match kind {
                "redirect" => assert_eq!(
                    (answer.status, answer.header("location")),
                    (302, "/_auth/login?rd=%2Fx%3Fy%3D1"),
                    "{case}"
                ),
                kind => {
                    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{case}");
                    assert_eq!(answer.header("location"), "", "{case}");
                    let expected = if kind == "page" { "text/html" } else { "application/problem+json" };
                    assert!(answer.header("content-type").starts_with(expected), "{case}: {answer:?}");
                }
            }
        }
    }
    gate.upstream.nothing();
    let mut head = Caller::connect(gate.address).await;
    head.say(wire::request(&gate, "HEAD /x", &[NAVIGATE[0], NAVIGATE[1]])).await;
    assert_eq!(head.head().await.status, 302);
}

/// T-110: a form is not replayed as something else; whoever signs in and sends it again is heard.
#[tokio::test]
async fn a_form_that_comes_too_late_is_not_lost_silently() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let answer = browser.post(&gate.url("/save?x=1"), &[("text", "long work")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (401, ""), "{answer:?}");
    assert!(answer.body.contains("/_auth/login"), "{answer:?}");
    gate.upstream.nothing();
    browser.sign_in(&gate, "ada").await;
    assert_eq!(browser.post(&gate.url("/save?x=1"), &[("text", "long work")]).await.status, 200);
    let received = gate.upstream.take_one();
    assert_eq!((received.method(), received.target(), &*received.body), ("POST", "/save?x=1", &b"text=long+work"[..]));
}

/// T-125: a browser that keeps no cookies ends at a page that says so, after three redirects at most.
#[tokio::test]
async fn a_browser_without_cookies_is_told() {
    let gate = Gate::start().await;
    let login = Browser::new().get(&gate.url("/x")).await;
    let provider = Browser::new().get(&login.location()).await;
    let page = Browser::new().get(&provider.location()).await;
    let callback = Browser::new().choose(&page, &[("person", "ada")]).await;
    let end = Browser::new().get(&callback).await;
    assert_eq!(end.status, 400, "{end:?}");
    assert!(end.body.to_lowercase().contains("cookies"), "{end:?}");
}

/// T-112: what the application says arrives when it says it, and a caller who leaves is noticed.
#[tokio::test]
async fn events_arrive_as_they_happen() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    let mut caller = Caller::connect(gate.address).await;
    caller.say(wire::request(&gate, "GET /events", &[&cookie, "Accept: text/event-stream"])).await;
    let mut upstream = soon(conversations.recv()).await.unwrap();
    upstream.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(caller.head().await.header("content-type"), "text/event-stream");
    for n in 0..5 {
        let event = format!("data: {n}\n\n");
        upstream.say(format!("{:x}\r\n{event}\r\n", event.len())).await;
        // The next one is not said before this one has been heard.
        let heard = caller.hear(event.len() + 5).await;
        assert!(String::from_utf8_lossy(&heard).contains(&event), "{heard:?}");
    }
    drop(caller);
    upstream.left().await;
}

/// T-112: so does a body that nobody knows the end of, and one that breaks off is not taken for a whole one.
#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_break_off() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for (answer, is_cut) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n", true),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", false),
        ("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello", false),
    ] {
        gate.upstream.answers(answer);
        let heard = gate.ask("GET /", &[&cookie]).await;
        assert_eq!((heard.status, heard.is_cut), (200, is_cut), "{answer:?}: {heard:?}");
    }
}

/// T-113: an upload reaches the application while it is still being sent, whole, in either form.
#[tokio::test]
async fn an_upload_streams() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    let mut caller = Caller::connect(gate.address).await;
    let size = 4 * 1024 * 1024;
    caller.say(wire::request(&gate, "PUT /file", &[&cookie, &format!("Content-Length: {}", 5 + size)])).await;
    caller.say("first").await;
    let mut upstream = soon(conversations.recv()).await.unwrap();
    assert_eq!(upstream.hear(5).await, b"first", "before the rest has been sent");
    let body: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
    let (heard, ()) = tokio::join!(upstream.hear(size), caller.say(&body));
    assert!(heard == body);
    upstream.say("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(caller.answer().await.status, 201);
}

/// T-113: the other way round; the gateway holds back nothing and loses nothing.
#[tokio::test]
async fn a_download_arrives_whole() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let body: Vec<u8> = (0..4 * 1024 * 1024).map(|n: usize| (n % 251) as u8).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"x\"\r\n\r\n", body.len());
    gate.upstream.answers([head.as_bytes(), &body].concat());
    let answer = gate.ask("GET /file", &[&cookie]).await;
    assert!(answer.body == body && answer.header("etag") == "\"x\"");
}

/// T-113: an answer before the upload's end is the answer, not an error of ours.
#[tokio::test]
async fn an_early_answer_reaches_the_caller() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    let mut caller = Caller::connect(gate.address).await;
    caller.say(wire::request(&gate, "PUT /file", &[&cookie, "Content-Length: 100000000"])).await;
    caller.say([b'x'; 1_000]).await;
    let mut upstream = soon(conversations.recv()).await.unwrap();
    upstream.hear(1_000).await;
    upstream.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large").await;
    let answer = caller.answer().await;
    assert_eq!((answer.status, &*answer.text()), (413, "too large"));
}

/// T-113: an upload that is given up is not taken for a whole one.
#[tokio::test]
async fn an_upload_that_is_given_up_ends_at_the_application() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut caller = Caller::connect(gate.address).await;
        caller.say(wire::request(&gate, "PUT /file", &[&cookie, framing])).await;
        caller.say("5\r\nhello\r\n").await;
        let upstream = soon(conversations.recv()).await.unwrap();
        drop(caller);
        let heard = upstream.left().await;
        assert!(!heard.ends_with(b"0\r\n\r\n"), "{framing}: {:?}", String::from_utf8_lossy(&heard));
    }
}

/// T-113: who asks first is told to go on, or not.
#[tokio::test]
async fn a_caller_who_asks_before_sending_is_answered() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut caller = Caller::connect(gate.address).await;
    caller.say(wire::request(&gate, "PUT /file", &[&cookie, "Expect: 100-continue", "Content-Length: 5"])).await;
    assert_eq!(caller.head().await.status, 100);
    assert_eq!(caller.ask("hello").await.status, 200);
    assert_eq!(gate.upstream.take_one().body, b"hello");

    let mut stranger = Caller::connect(gate.address).await;
    stranger.say(wire::request(&gate, "PUT /file", &["Expect: 100-continue", "Content-Length: 5"])).await;
    assert_eq!(stranger.head().await.status, 401, "nobody is told to send what nobody wants");
    assert!(gate.upstream.take().is_empty());
}

/// T-116: the operator's paths are not here.
#[tokio::test]
async fn operators_paths_are_ordinary_paths_on_the_public_listener() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for path in
        ["/livez", "/readyz", "/metrics", "/debug/pprof/", "/admin", "/config", "/.well-known/openid-configuration"]
    {
        assert_eq!(gate.ask(&format!("GET {path}"), &[]).await.status, 401, "{path}");
        gate.ask(&format!("GET {path}"), &[&cookie]).await;
        assert_eq!(gate.upstream.take_one().target(), path);
        assert_eq!(gate.ask(&format!("GET /_auth{path}"), &[&cookie]).await.status, 404, "{path}");
    }
    assert!(gate.upstream.take().is_empty());
}

/// What the application fails at is its own fault, and nobody waits for ever.
#[tokio::test]
async fn an_application_that_fails_is_a_502_or_a_504() {
    let log = crate::support::Log::capture();
    let gate = Gate::with(&[("limits.upstream_response_timeout", "200ms")]).await;
    let mut browser = gate.signed_in("ada").await;
    for (answer, status) in [
        ("nonsense\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 502),
        ("", 504),
        ("HTTP/1.1 200 OK\r\nX-Half: ", 504),
    ] {
        gate.upstream.answers(answer);
        let page = browser.get(&gate.url("/")).await;
        assert_eq!(page.status, status, "{answer:?}: {page:?}");
        let id = page.body.split("<code>").nth(1).unwrap_or(&page.body).split('<').next().unwrap().trim().to_owned();
        assert!(id.len() > 8 && log.text().contains(&id), "the page's id `{id}` is in the log");
        let problem = browser.send(Method::GET, &gate.url("/"), &[], "").await;
        assert_eq!((problem.status.as_u16(), problem.header("content-type")), (status, "application/problem+json"));
    }
    assert!(log.text().contains("upstream"), "{}", log.text());
    let nobody = Gate::with(&[("upstream", "http://127.0.7.2:9")]).await;
    assert_eq!(nobody.ask("GET /", &[&nobody.cookie_of("ada").await]).await.status, 502);
}

/// A connection that the application closed while nobody used it is nobody's problem.
#[tokio::test]
async fn a_connection_that_the_application_closed_is_replaced() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let mut conversations = gate.upstream.by_hand();
    for _ in 0..5 {
        let (answer, ()) = tokio::join!(gate.say(wire::request(&gate, "GET /", &[&cookie])), async {
            let mut upstream = soon(conversations.recv()).await.unwrap();
            upstream.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        });
        assert_eq!((answer.status, &*answer.text()), (200, "ok"));
    }
}

/// Without a session, an anonymous route streams as well, and costs no login.
#[tokio::test]
async fn an_anonymous_route_needs_nobody() {
    let gate = Gate::routing(gate::ROUTES, &[]).await;
    let answer = gate.ask("GET /public/x", &["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]).await;
    assert_eq!((answer.status, answer.all("set-cookie").len()), (200, 0));
    assert_eq!(gate.ask("GET /publicity", &[]).await.status, 401);
}
