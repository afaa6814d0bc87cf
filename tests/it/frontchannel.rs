//! The provider's page shows us in a frame while somebody logs out there (OpenID Connect Front-Channel Logout 1.0).

use http::Method;

use crate::support::{Browser, Gate, Log, browser::Answer};

const FRAME: &[(&str, &str)] =
    &[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "cross-site")];
const SAME_SITE: &[(&str, &str)] =
    &[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "same-site")];

/// In a frame on the provider's page, where a browser sends no cookie of ours.
async fn frame(gate: &Gate, query: &str) -> Answer {
    Browser::new().send(Method::GET, &gate.url(&format!("/_auth/frontchannel-logout/dev{query}")), FRAME, "").await
}

/// The same whatever happened.
#[track_caller]
fn assert_done(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 200, "{why}: {answer:?}");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors *"),
        ("x-frame-options", ""),
    ] {
        assert_eq!(answer.header(name), value, "{why}: {name}");
    }
    assert!(answer.body.starts_with("<!doctype html>") && answer.body.len() < 200, "{why}: {answer:?}");
}

#[tokio::test]
async fn nothing_ends_that_the_provider_does_not_name() {
    let log = Log::capture();
    let gate = Gate::start().await;
    let mut browser = gate.signed_in_as("ada", "s-1").await;
    let issuer = gate.provider.issuer();
    for query in [
        "?sid=s-2",
        "?sid=",
        "?sid=S-1",
        "?sid=s-1&iss=https://evil.example",
        "?sid=s-1&iss=",
        "?iss=https://evil.example",
        &format!("?sid=s-1&iss={issuer}/"),
        &format!("?sid={}", "x".repeat(3_000)),
        "",
        &format!("?iss={issuer}"),
    ] {
        let answer = frame(&gate, query).await;
        assert_done(&answer, query);
        assert!(answer.set_cookies().is_empty(), "{query}");
    }
    for query in ["?sid=s-1&sid=s-1", "?sid=s-1&iss=a&iss=b"] {
        assert_eq!(frame(&gate, query).await.status, 400, "{query}");
    }
    for (path, method, status) in [
        ("/_auth/frontchannel-logout/nobody?sid=s-1", Method::GET, 404),
        ("/_auth/frontchannel-logout/?sid=s-1", Method::GET, 404),
        ("/_auth/frontchannel-logout/dev?sid=s-1", Method::POST, 405),
        ("/_auth/frontchannel-logout/dev?sid=s-1", Method::HEAD, 405),
        ("/_auth/frontchannel-logout/dev?sid=s-1", Method::DELETE, 405),
    ] {
        assert_eq!(
            Browser::new().send(method.clone(), &gate.url(path), FRAME, "").await.status,
            status,
            "{method} {path}"
        );
    }
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    assert!(
        !log.text().contains("has logged somebody out"),
        "nor is anything written down that nobody has signed in with"
    );
}

/// T-058: what a cookie says ends in a frame only.
#[tokio::test]
async fn a_link_on_another_site_logs_nobody_out() {
    let gate = Gate::with(&[("providers.other.issuer", "ISSUER"), ("providers.other.client_id", "x")]).await;
    let mut browser = gate.signed_in_at("ada", "dev").await;
    let url = gate.url("/_auth/frontchannel-logout/dev");
    for headers in [
        &[("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-dest", "image"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin")],
        &[("referer", "https://evil.example/")],
        &[("origin", "https://evil.example")],
    ] {
        let answer = browser.send(Method::GET, &url, headers, "").await;
        assert_done(&answer, &format!("{headers:?}"));
        assert!(answer.set_cookies().is_empty(), "{headers:?}");
    }
    let other = gate.url("/_auth/frontchannel-logout/other");
    assert_done(&browser.send(Method::GET, &other, SAME_SITE, "").await, "another provider");
    let foreign = format!("{url}?iss=https://evil.example");
    assert_done(&browser.send(Method::GET, &foreign, SAME_SITE, "").await, "another issuer");
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));

    let mut copy = browser.clone();
    let answer = browser.send(Method::GET, &url, SAME_SITE, "").await;
    assert_done(&answer, "a frame");
    assert!(answer.set_cookies()[0].contains("Max-Age=0"), "{answer:?}");
    assert_eq!(copy.user(&gate).await, None);
}

#[tokio::test]
async fn a_session_that_is_named_ends_without_its_cookie() {
    let gate = Gate::start().await;
    let issuer = gate.provider.issuer().to_owned();
    for (sid, query) in [("s-1", "?sid=s-1".to_owned()), ("s-2", format!("?sid=s-2&iss={issuer}"))] {
        let mut browser = gate.signed_in_as("ada", sid).await;
        let mut phone = gate.signed_in_as("ada", "other").await;
        let answer = frame(&gate, &query).await;
        assert_done(&answer, &query);
        assert!(answer.set_cookies().is_empty(), "whose cookie would that be: {answer:?}");
        assert_eq!(browser.user(&gate).await, None, "{query}");
        assert_eq!(phone.user(&gate).await.as_deref(), Some("ada"), "{query}");
    }
}

#[tokio::test]
async fn the_cookie_goes_when_its_session_was_named() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in_as("ada", "s-1").await;
    let mut phone = gate.signed_in_as("ada", "s-2").await;
    let url = gate.url("/_auth/frontchannel-logout/dev?sid=s-1");
    assert!(phone.send(Method::GET, &url, SAME_SITE, "").await.set_cookies().is_empty(), "another session's");
    // Ended by now, so it is nobody's session any more: signed in anew, with a cookie that counts.
    let mut again = gate.signed_in_as("ada", "s-1").await;
    let answer = again.send(Method::GET, &url, SAME_SITE, "").await;
    assert_done(&answer, "its own");
    assert!(answer.set_cookies()[0].contains("Max-Age=0"), "{answer:?}");
    assert_eq!(browser.user(&gate).await, None);
}

#[tokio::test]
async fn without_the_store_nobody_can_tell() {
    let gate = Gate::without_store(&[]).await;
    let mut browser = gate.signed_in_as("ada", "s-1").await;
    let answer = frame(&gate, "?sid=s-1").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (503, "application/problem+json"),
        "{answer:?}"
    );
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
}
