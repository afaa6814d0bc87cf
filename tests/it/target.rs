//! Which route a request takes (C.2), and that what was decided on is what is forwarded.

use crate::support::{Browser, Gate, gate, wire};

/// The target as it came, byte for byte.
#[tokio::test]
async fn a_target_is_forwarded_byte_for_byte() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for target in [
        "/",
        "/?",
        "/a?",
        "/a??b?c",
        "//",
        "//a//b//",
        "/a%2Fb",
        "/a%2fb",
        "/a%2Fb%2f?x=%2F%2f",
        "/%E4%F6/%e2%82%ac",
        "/a;b=c;d/e;f",
        "/~!$&'()*+,;=:@-._",
        "/a?q=%zz&r=a+b&s=%20&t=[]{}|^",
        "/a?q=/../..//&r=?;%00",
        "/a.b/.c/...",
        "/caf%C3%A9?caf\u{e9}",
        "/*",
        "/x/_auth/login",
        "/_authx",
        "/_AUTH2/",
        "/a%20b",
        "/http://evil.example/",
    ] {
        let answer = gate.ask(&format!("GET {target}"), &[&cookie]).await;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(gate.upstream.take_one().target(), target);
    }
}

/// T-022, T-023: whatever some decoder may take for `/admin` is not let in by the rule for `/public`.
#[tokio::test]
async fn no_spelling_of_a_path_slips_through_the_anonymous_route() {
    let gate = Gate::routing(gate::ROUTES, &[]).await;
    let all = [
        "/admin/x#/public/",
        "/admin%23/public/",
        "/public/%23/../admin",
        "/public/%23/../../admin",
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/%2E%2E/admin",
        "/public/.%2e/admin",
        "/public/..%2fadmin",
        "/public/%2e%2e%2fadmin",
        "/public/../../admin",
        "/public//../admin",
        "/public//../../admin",
        "/public/..;/admin",
        "/public/..;x=y/admin",
        "/public/..\\admin",
        "/public\\..\\admin",
        "/public/%5c..%5cadmin",
        "/public/..%5cadmin",
        "/public/%252e%252e/admin",
        "/public/%25252e%25252e/admin",
        "/public/..%252fadmin",
        "/./admin",
        "//admin",
        "///admin",
        "/%2fadmin",
        "/public/%00/../admin",
        "/public/%c0%ae%c0%ae/admin",
        "/public%c0%af../admin",
        "/public/%e0%80%ae%e0%80%ae/admin",
        "/public/x/../../admin",
        "/public/x/%2e%2e/%2e%2e/admin",
        "/public/..%3f/admin",
        "/public/%2e%2e%3b/admin",
        "/public/%u002e%u002e/admin",
        "/public%2f..%2fadmin",
        "/publicity",
        "/public%20/../admin",
        "/PUBLIC/x",
    ];
    for target in all {
        let answer = gate.ask(&format!("GET {target}"), &[]).await;
        assert!(matches!(answer.status, 400 | 401), "{target}: {}", answer.status);
    }
    gate.upstream.nothing();
    // With a session the same are refused, or forwarded as they were written: never as something that was not decided on.
    let cookie = gate.cookie_of("ada").await;
    for target in all {
        let answer = gate.ask(&format!("GET {target}"), &[&cookie]).await;
        match answer.status {
            400 => assert!(gate.upstream.take().is_empty(), "{target}"),
            200 => assert_eq!(gate.upstream.take_one().target(), target.split('#').next().unwrap()),
            status => panic!("{target}: {status}"),
        }
    }
    let answer = gate.ask("GET /public/x/y.css?v=1", &[]).await;
    assert_eq!((answer.status, gate.upstream.take_one().target()), (200, "/public/x/y.css?v=1"));
}

/// T-023: our own endpoints have one spelling, and no other spelling reaches an application that could pass for them.
#[tokio::test]
async fn our_own_endpoints_have_one_spelling() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    for target in [
        "/%5fauth/logout",
        "//_auth/logout",
        "/x/../_auth/logout",
        "/_auth%2flogout",
        "/_AUTH%2flogout",
        "/_auth;/logout",
    ] {
        assert_eq!(gate.ask(&format!("GET {target}"), &[&cookie]).await.status, 400, "{target}");
    }
    for (target, status) in [
        ("/_auth", 404),
        ("/_auth/", 404),
        ("/_auth/nothing", 404),
        ("/_auth/login/", 404),
        ("/_auth/callback/nobody", 404),
    ] {
        assert_eq!(gate.ask(&format!("GET {target}"), &[&cookie]).await.status, status, "{target}");
    }
    assert!(gate.upstream.take().is_empty());
    assert_eq!(gate.ask("GET /_auth/whoami", &[&cookie]).await.status, 200);
}

/// T-025: the host of an absolute target is the host that counts, and what is decided on is its path.
#[tokio::test]
async fn an_absolute_target_is_taken_at_its_word() {
    let gate = Gate::routing(gate::ROUTES, &[]).await;
    let host = gate.address.to_string();
    for (target, named, status) in [
        ("http://other.host/public/x", &*host, 400),
        ("http://other.host/public/x", "other.host", 421),
        ("http://HOST/admin", &host, 401),
        ("http://HOST/public/../admin", &host, 400),
        ("http://user@HOST/public/x", &host, 400),
        ("http://HOST/public/x", "other.host", 400),
        ("//HOST/admin", &host, 401),
        ("//HOST/public/x", &host, 401),
        ("*", &host, 400),
        ("public/x", &host, 400),
        ("HOST", &host, 400),
    ] {
        let target = target.replace("HOST", &host);
        let answer = gate.say(format!("GET {target} HTTP/1.1\r\nHost: {named}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{target} at {named}");
    }
    assert_eq!(gate.say(format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.status, 400);
    gate.upstream.nothing();
    let answer = gate.say(format!("GET http://{host}/public/%2Fx?y HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    assert_eq!((answer.status, gate.upstream.take_one().target()), (200, "/public/%2Fx?y"));
}

/// T-026.
#[tokio::test]
async fn a_malformed_target_is_refused_and_goes_nowhere() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let long = format!("/{}", "x".repeat(16_000));
    for (target, status) in [
        ("/a%zz", 400),
        ("/%", 400),
        ("/%2", 400),
        ("/a b", 400),
        ("/%00", 400),
        ("/a\tb", 400),
        ("/a\x01b", 400),
        ("/a\x7fb", 400),
        ("/a<b>", 400),
        ("", 400),
        (&long, 414),
        (&format!("/?{}", &long), 414),
    ] {
        let answer = gate.ask(&format!("GET {target}"), &[&cookie]).await;
        assert_eq!(answer.status, status, "{:.40}", target);
    }
    gate.upstream.nothing();
}

/// T-028: one host, however it is spelled.
#[tokio::test]
async fn a_rule_for_a_host_holds_for_every_spelling_of_it() {
    let routes = r#"
        [[routes]]
        path = "/"
        upstream = "UPSTREAM"
        [[routes]]
        host = "open.localhost"
        path = "/"
        upstream = "UPSTREAM"
        anonymous = true
        [[routes]]
        host = "open.localhost"
        path = "/closed"
        upstream = "UPSTREAM"
    "#;
    let gate = Gate::routing(routes, &[("public_url", "http://app.localhost:4180")]).await;
    for (host, open, closed) in [
        ("open.localhost", 200, 401),
        ("OPEN.LocalHost", 200, 401),
        ("open.localhost.", 200, 401),
        ("open.localhost:4180", 200, 401),
        ("open.localhost:443", 200, 401),
        ("OPEN.localhost.:80", 200, 401),
        ("app.localhost", 401, 401),
        ("APP.LOCALHOST.:1", 401, 401),
        ("open.localhost..", 421, 421),
        ("xopen.localhost", 421, 421),
        ("open.localhost.evil.com", 421, 421),
    ] {
        for (target, status) in [("/x", open), ("/closed/x", closed)] {
            let answer = gate.say(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert_eq!(answer.status, status, "{host}{target}");
        }
        let received = gate.upstream.take();
        assert_eq!(received.len(), usize::from(open == 200), "{host}");
        assert!(
            received.iter().all(|request| request.one("host").as_deref() == Some(host)),
            "the host goes on as it was written"
        );
    }
}

/// T-029.
#[tokio::test]
async fn no_method_passes_without_a_session() {
    let gate = Gate::start().await;
    let host = gate.address;
    for (line, answers) in [
        ("get /admin", &[400, 401][..]),
        ("GeT /admin", &[400, 401]),
        ("FOO /admin", &[400, 401]),
        ("HEAD /admin", &[401]),
        ("DELETE /admin", &[401]),
        ("OPTIONS /admin", &[401]),
        ("PRI * ", &[400]),
        ("TRACE /admin", &[405]),
        (&format!("CONNECT {host}"), &[405]),
        ("CONNECT evil.example:443", &[405]),
        ("CONNECT /admin", &[400, 405]),
    ] {
        let mut caller = crate::support::Caller::connect(host).await;
        caller.say(wire::request(&gate, line.trim_end(), &[])).await;
        let answer = caller.head().await;
        assert!(answers.contains(&answer.status), "{line}: {}", answer.status);
    }
    gate.upstream.nothing();
    let cookie = gate.cookie_of("ada").await;
    for line in ["TRACE /", &format!("CONNECT {host}")] {
        let answer = gate.ask(line, &[&cookie]).await;
        assert_eq!((answer.status, gate.upstream.take().len()), (405, 0), "{line}");
        assert!(!answer.header("allow").is_empty());
    }
    // A method nobody has heard of is the application's business.
    for method in ["PROPFIND", "REPORT", "FOO", "get"] {
        gate.ask(&format!("{method} /"), &[&cookie]).await;
        assert_eq!(gate.upstream.take_one().method(), method);
    }
}

/// T-040: one host, a known one; and it never says where people are sent.
#[tokio::test]
async fn a_host_nobody_configured_is_not_served() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let host = gate.address.to_string();
    for (hosts, status) in [
        (format!("Host: {host}\r\nHost: {host}"), 400),
        (format!("Host: {host}\r\nHost: evil.com"), 400),
        (format!("Host: evil.com\r\nHost: {host}"), 400),
        ("X-No: host".to_owned(), 400),
        ("Host:".to_owned(), 400),
        ("Host: evil.com".to_owned(), 421),
        ("Host: app@evil".to_owned(), 400),
        (format!("Host: {host}@evil.com"), 400),
        ("Host: app:99999".to_owned(), 400),
        ("Host: 127.0.0.1:80:80".to_owned(), 400),
        (format!("Host: {host}, evil.com"), 400),
        ("Host: 127.0.0.1/x".to_owned(), 400),
    ] {
        for line in ["GET /", "GET /_auth/login", "GET /_auth/whoami"] {
            let answer = gate.say(format!("{line} HTTP/1.1\r\n{hosts}\r\n{cookie}\r\n\r\n")).await;
            assert_eq!(answer.status, status, "{line} {hosts}");
        }
    }
    gate.upstream.nothing();
    // Our host with another port is a name for the same machine; redirects are built from `public_url` all the same.
    let mut browser = Browser::new();
    let headers = [
        ("host", "127.0.0.1:1"),
        ("x-forwarded-host", "evil.com"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.com"),
    ];
    let login = browser.navigate(http::Method::GET, &gate.url("/_auth/login"), None, &headers).await;
    assert_eq!(login.status, 302, "{login:?}");
    let asked = url::Url::parse(login.header("location")).unwrap();
    let redirect = asked.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
    assert_eq!(redirect, gate.url("/_auth/callback/dev"));
}

/// The rules of a route: by user, by domain of a verified e-mail address, by the value of a claim.
#[tokio::test]
async fn a_route_lets_in_whom_its_rules_name() {
    let routes = r#"
        [[routes]]
        path = "/"
        upstream = "UPSTREAM"
        [[routes]]
        path = "/ada"
        upstream = "UPSTREAM"
        allow = { users = ["ada"] }
        [[routes]]
        path = "/domain"
        upstream = "UPSTREAM"
        allow = { email_domains = ["example.com"] }
        [[routes]]
        path = "/ops"
        upstream = "UPSTREAM"
        allow = { claims = { groups = ["operations", "wheel"] } }
    "#;
    let gate = Gate::routing(routes, &[]).await;
    let (ada, grace) = (gate.cookie_of("ada").await, gate.cookie_of("grace").await);
    let mut browser = Browser::new();
    let unverified = serde_json::json!({"email": "eve@example.com", "email_verified": false, "groups": "operations-2"});
    browser.sign_in_with(&gate, "eve", &unverified).await;
    let eve = format!("Cookie: doorward={}", browser.cookie(&gate, "doorward").unwrap());
    for (path, cookie, status) in [
        ("/", &*ada, 200),
        ("/", &eve, 200),
        ("/ada", &ada, 200),
        ("/ada/x", &grace, 403),
        ("/adam", &grace, 200),
        ("/domain", &ada, 200),
        ("/domain", &eve, 403),
        ("/ops/x", &ada, 403),
        ("/ops/x", &grace, 200),
        ("/ops/x", &eve, 403),
        ("/ops", "", 401),
        ("/ada/..%2fx", &grace, 400),
    ] {
        let answer = gate.ask(&format!("GET {path}"), &[cookie]).await;
        assert_eq!(
            (answer.status, gate.upstream.take().len()),
            (status, usize::from(status == 200)),
            "{path} {cookie:.30}"
        );
    }
}
