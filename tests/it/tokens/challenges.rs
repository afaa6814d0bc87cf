//! What a caller is told so that it can do better.

use super::{challenge, gate, good};

#[tokio::test]
async fn without_credentials_nothing_is_called_an_error() {
    let gate = gate(&[]).await;
    for (path, metadata) in [("/api/x", "/api"), ("/both", "/both"), ("/scoped", "/scoped")] {
        let answer = gate.ask(&format!("GET {path}"), &[]).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let url = gate.url(&format!("/.well-known/oauth-protected-resource{metadata}"));
        for scheme in ["Bearer", "DPoP"] {
            assert_eq!(challenge(&answer, scheme, "error"), None, "{path}");
            assert_eq!(challenge(&answer, scheme, "resource_metadata").as_deref(), Some(&*url), "{path}");
        }
        assert!(challenge(&answer, "DPoP", "algs").unwrap().contains("ES256"));
        assert!(answer.all("set-cookie").is_empty());
    }
    // Where only the cookie counts there is no token to be had.
    let answer = gate.ask("GET /", &[]).await;
    assert_eq!((answer.status, answer.all("www-authenticate")), (401, vec!["Bearer"]));
    assert!(gate.upstream.take().is_empty());
}

/// A person is sent to sign in where that helps, and nowhere else.
#[tokio::test]
async fn a_navigation_is_sent_to_the_login_where_cookies_count() {
    let gate = gate(&[]).await;
    let navigation = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"];
    for (path, status) in [("/", 302), ("/both", 302), ("/api", 401)] {
        let answer = gate.ask(&format!("GET {path}"), &navigation).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("location").starts_with("/_auth/login"), status == 302, "{path}");
    }
    let page = gate.ask("GET /api", &navigation).await;
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(!page.text().contains("/_auth/login"), "signing in would not help: {}", page.text());
}

#[tokio::test]
async fn metadata_says_whose_tokens_count() {
    let gate = gate(&[]).await;
    let answer = gate.ask("GET /.well-known/oauth-protected-resource/scoped", &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["resource"], gate.url("/scoped"));
    assert_eq!(document["authorization_servers"], serde_json::json!([gate.provider.issuer()]));
    assert_eq!(document["scopes_supported"], serde_json::json!(["read", "write"]));
    assert_eq!(document["bearer_methods_supported"], serde_json::json!(["header"]));
    let answer = gate.ask("POST /.well-known/oauth-protected-resource/scoped", &["Content-Length: 0"]).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
    assert!(gate.upstream.take().is_empty());
    // An application's own metadata stays its own: the route `/` takes no tokens.
    let cookie = gate.cookie_of("ada").await;
    for path in ["", "/", "/api/x", "/nowhere", "s/api"] {
        gate.upstream.take();
        let target = format!("GET /.well-known/oauth-protected-resource{path}");
        assert_eq!(gate.ask(&target, &[&cookie]).await.status, 200, "{path}");
        assert_eq!(gate.upstream.take().len(), 1, "{path}");
        assert_eq!(gate.ask(&target, &[]).await.status, 401, "{path}");
    }
}

/// Bodies are no place for a token (RFC 6750 §2.2), and neither is the query.
#[tokio::test]
async fn a_token_in_a_body_is_none() {
    let gate = gate(&[]).await;
    let body = format!("access_token={}", good(&gate));
    let request = format!(
        "POST /api HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        gate.address,
        body.len()
    );
    assert_eq!(gate.say(request).await.status, 401);
    assert!(gate.upstream.take().is_empty());
}
