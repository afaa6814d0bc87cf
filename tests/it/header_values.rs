//! How claims are written into headers, and what happens to those that cannot be.

use serde_json::{Value, json};

use crate::support::{Browser, Gate, Log, wire};

/// The `Cookie` line of a browser in which somebody with `claims` has signed in.
async fn cookie_with(gate: &Gate, sub: &str, claims: &Value) -> String {
    let mut browser = Browser::new();
    let back = browser.sign_in_with(gate, sub, claims).await;
    assert_eq!(back.status, 303, "{back:?}");
    format!("Cookie: doorward={}", browser.cookie(gate, "doorward").unwrap())
}

/// T-008: each encoding carries what it says it does, on one line.
#[tokio::test]
async fn a_header_is_written_as_it_is_configured() {
    let formats = r#"
        [headers]
        user_encoding = "percent"
        [headers.claims]
        X-Plain = "plain"
        X-Percent = "plain"
        X-Words = "plain"
        X-Base64 = "plain"
        X-Joined = "groups"
        X-Semicolons = "groups"
        X-Json = "groups"
        [headers.formats]
        X-Percent.encoding = "percent"
        X-Words.encoding = "rfc2047"
        X-Base64.encoding = "base64url"
        X-Semicolons.separator = ";"
        X-Json.list = "json"
    "#;
    let gate = Gate::with(&[("file", formats)]).await;
    let claims = json!({"plain": "Ólafur, b", "groups": ["a,b", "c;d", "e\\f"]});
    let cookie = cookie_with(&gate, "Þór x", &claims).await;
    assert_eq!(gate.ask("GET /", &[&cookie, "X-Json: [\"admin\"]", "X_Words: admin"]).await.status, 200);
    let received = gate.upstream.take_one();
    for (name, value) in [
        ("x-user", "%C3%9E%C3%B3r%20x"),
        ("x-plain", "Ólafur, b"),
        ("x-percent", "%C3%93lafur%2C%20b"),
        ("x-words", "=?UTF-8?B?w5NsYWZ1ciwgYg==?="),
        ("x-base64", "w5NsYWZ1ciwgYg"),
        ("x-joined", "a\\,b,c;d,e\\\\f"),
        ("x-semicolons", "a,b;c\\;d;e\\\\f"),
        ("x-json", r#"["a,b","c;d","e\\f"]"#),
    ] {
        assert_eq!(received.alike(name), [value], "{name}");
    }

    // What HTTP would change can be carried encoded only.
    let cookie = cookie_with(&gate, "eve", &json!({"plain": " a", "groups": ["a", "b "]})).await;
    gate.ask("GET /", &[&cookie, "X-Plain: admin", "X-Joined: admin"]).await;
    let received = gate.upstream.take_one();
    for (name, values) in [
        ("x-user", vec!["eve"]),
        ("x-plain", vec![]),
        ("x-joined", vec![]),
        ("x-percent", vec!["%20a"]),
        ("x-base64", vec!["IGE"]),
        ("x-words", vec!["=?UTF-8?B?IGE=?="]),
        ("x-json", vec![r#"["a","b "]"#]),
    ] {
        assert_eq!(received.alike(name), values, "{name}");
    }

    // A value with a control character is no claim at all, however it would be written.
    let claims = json!({"plain": "a\r\nX-Admin: 1", "groups": ["a", "b\nX-Admin: 1"]});
    let cookie = cookie_with(&gate, "eve", &claims).await;
    gate.ask("GET /", &[&cookie, "X-Plain: admin"]).await;
    let received = gate.upstream.take_one();
    for (name, values) in [
        ("x-plain", vec![]),
        ("x-percent", vec![]),
        ("x-base64", vec![]),
        ("x-json", vec![r#"["a"]"#]),
        ("x-admin", vec![]),
    ] {
        assert_eq!(received.alike(name), values, "{name}");
    }
}

/// T-019: what does not fit is left out or refused, as configured; the log says so once for each header, and never what it was.
#[tokio::test]
async fn what_does_not_fit_is_left_out_or_refused() {
    const OMIT: &[(&str, &str)] =
        &[("headers.claims.x_groups", "groups"), ("headers.formats.x_groups.max_bytes", "20")];
    let log = Log::capture();
    let gate = Gate::with(OMIT).await;
    let long = json!({"groups": ["hush-hush-department", "another"]});
    let cookie = cookie_with(&gate, "ada", &long).await;
    for _ in 0..3 {
        assert_eq!(gate.ask("GET /", &[&cookie, "X-Groups: admin"]).await.status, 200);
        let received = gate.upstream.take_one();
        assert_eq!((received.alike("x-user"), received.alike("x-groups")), (vec!["ada".to_owned()], vec![]));
    }
    let written = log.text();
    let said: Vec<_> = written.lines().filter(|line| line.contains("was not sent")).collect();
    assert_eq!(said.len(), 1, "{written}");
    assert!(
        said[0].contains("x-groups") && said[0].contains("claim=groups") && said[0].contains("28 bytes"),
        "{}",
        said[0]
    );
    assert!(!written.contains("hush-hush"), "{written}");

    let refuse = [OMIT, &[("headers.formats.x_groups.too_long", "refuse")]].concat();
    let strict = gate.replica(&refuse).await;
    let request = wire::request(&gate, "GET /", &[&cookie]);
    let answer = strict.say(&request).await;
    assert_eq!((answer.status, answer.header("content-type")), (403, "application/problem+json"), "{answer:?}");
    assert!(answer.text().contains("x-groups") && !answer.text().contains("hush"), "{}", answer.text());
    let html = wire::request(&gate, "GET /", &[&cookie, "Accept: text/html"]);
    let page = strict.say(&html).await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("x-groups") && page.text().contains("max_bytes"), "{}", page.text());
    assert!(gate.upstream.take().is_empty());

    let short = cookie_with(&gate, "grace", &json!({"groups": ["staff"]})).await;
    assert_eq!(strict.say(wire::request(&gate, "GET /", &[&short])).await.status, 200);
    assert_eq!(gate.upstream.take_one().alike("x-groups"), ["staff"]);
}
