//! The provider's server says that somebody is logged out (OpenID Connect Back-Channel Logout 1.0).

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    Browser, Endpoint, Gate, Log,
    browser::Answer,
    gate::{CLIENT_ID, NOW},
};
use doorward::dev::provider::Fault;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// As the provider would sign it, about whom `who` says.
fn token(gate: &Gate, id: &str, who: &Value) -> String {
    let header = json!({"alg": "ES256", "typ": "logout+jwt", "kid": gate.provider.kid()});
    let mut claims = json!({
        "iss": gate.provider.issuer(), "aud": CLIENT_ID, "iat": NOW.0, "exp": NOW.0 + 120, "jti": id, "events": {EVENT: {}},
    });
    claims.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
    gate.provider.sign(header.to_string().as_bytes(), claims.to_string().as_bytes())
}

async fn post(gate: &Gate, name: &str, body: &str) -> Answer {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let url = gate.url(&format!("/_auth/backchannel-logout/{name}"));
    Browser::new().send(Method::POST, &url, &form, body.to_owned()).await
}

async fn tell(gate: &Gate, token: &str) -> Answer {
    post(gate, "dev", &format!("logout_token={token}")).await
}

/// §2.8: exactly 400, a JSON object, nothing that stays in a cache, and nothing of what was sent.
#[track_caller]
fn assert_refused(answer: &Answer, sent: &str) {
    assert_eq!(answer.status, 400, "{sent}: {answer:?}");
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
    assert_eq!(answer.json()["error"], json!("invalid_request"), "{answer:?}");
    assert!(answer.json()["error_description"].is_string(), "{answer:?}");
    assert!(sent.is_empty() || !answer.body.contains(sent), "{answer:?}");
    assert!(answer.set_cookies().is_empty());
}

#[tokio::test]
async fn what_is_no_logout_is_refused() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let good = token(&gate, "1", &json!({"sub": "ada"}));
    let id_token = gate.provider.sign(b"{\"alg\":\"ES256\"}", b"{\"sub\":\"ada\"}");
    let big = format!("logout_token={}", "x".repeat(70_000));
    for body in [
        "",
        "token=x",
        "logout_token=",
        "logout_token=marker",
        "logout_token=a.b.c",
        &format!("logout_token={id_token}"),
        &format!("logout_token={good}&logout_token={good}"),
        &format!("logout_token={}x", good),
        &format!("logout_token={}", token(&gate, "2", &json!({"sub": "ada", "aud": "somebody-else"}))),
        &format!("logout_token={}", token(&gate, "2", &json!({"sub": "ada", "iss": "https://other.example"}))),
        &format!("logout_token={}", token(&gate, "2", &json!({"sub": "ada", "nonce": "n"}))),
        &format!("logout_token={}", token(&gate, "2", &json!({"sub": "ada", "events": {}}))),
        &format!("logout_token={}", token(&gate, "2", &json!({"sub": "ada", "exp": NOW.0 - 120}))),
        &format!("logout_token={}", token(&gate, "2", &json!({}))),
        &big,
    ] {
        let sent = body.split_once('=').map_or("", |(_, sent)| sent);
        assert_refused(&post(&gate, "dev", body).await, sent);
    }
    let url = gate.url("/_auth/backchannel-logout/dev");
    for content_type in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let headers = [("content-type", content_type)];
        let body = format!("logout_token={good}");
        assert_refused(&Browser::new().send(Method::POST, &url, &headers, body).await, &good);
    }
    let in_query = Browser::new().send(Method::POST, &format!("{url}?logout_token={good}"), &[], "").await;
    assert_refused(&in_query, &good);
    for name in ["nobody", "", "dev/", "dev/x", "Dev"] {
        assert_eq!(post(&gate, name, &format!("logout_token={good}")).await.status, 404, "{name}");
    }
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = Browser::new().send(method.clone(), &url, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{method}");
    }
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"), "nothing has ended");
}

#[tokio::test]
async fn a_session_of_the_provider_ends_and_no_other() {
    let log = Log::capture();
    let gate = Gate::start().await;
    let mut browser = gate.signed_in_as("ada", "s-1").await;
    let mut phone = gate.signed_in_as("ada", "s-2").await;
    let token = token(&gate, "1", &json!({"sub": "ada", "sid": "s-1"}));
    let answer = tell(&gate, &token).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, ""), "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.set_cookies().is_empty());
    assert_eq!(browser.user(&gate).await, None);
    assert_eq!(phone.user(&gate).await.as_deref(), Some("ada"));
    let log = log.text();
    let line = log.lines().find(|line| line.contains("The provider has logged somebody out")).expect("a line");
    assert!(line.contains("INFO") && line.contains("dev") && line.contains("session"), "{line}");
    for secret in ["s-1", &*token] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_subject_ends_wherever_they_signed_in() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in_as("ada", "s-1").await;
    let mut phone = gate.signed_in("ada").await;
    let mut grace = gate.signed_in("grace").await;
    assert_eq!(tell(&gate, &token(&gate, "1", &json!({"sub": "ada"}))).await.status, 200);
    assert_eq!((browser.user(&gate).await, phone.user(&gate).await), (None, None));
    assert_eq!(grace.user(&gate).await.as_deref(), Some("grace"));
    let mut again = gate.signed_in("ada").await;
    assert_eq!(again.user(&gate).await.as_deref(), Some("ada"), "a new sign-in counts");
}

#[tokio::test]
async fn a_logout_token_counts_once() {
    let gate = Gate::start().await;
    let token = token(&gate, "1", &json!({"sub": "ada"}));
    assert_eq!(tell(&gate, &token).await.status, 200, "nobody is signed in, and that is no error");
    let mut browser = gate.signed_in("ada").await;
    assert_refused(&tell(&gate, &token).await, &token);
    gate.reload(gate.settings(&[("log.filter", "warn")])).await;
    assert_refused(&tell(&gate, &token).await, &token);
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn without_keys_the_provider_should_come_back() {
    let gate = Gate::start().await;
    let token = token(&gate, "1", &json!({"sub": "ada"}));
    gate.provider.faults().lasting(Endpoint::Keys, Fault::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "no"));
    let answer = tell(&gate, &token).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.body.contains(&token));
}

/// What has ended here ends whatever the store says.
#[tokio::test]
async fn without_the_store_it_ends_here() {
    let gate = Gate::without_store(&[]).await;
    let mut browser = gate.signed_in_as("ada", "s-1").await;
    assert_eq!(tell(&gate, &token(&gate, "1", &json!({"sid": "s-1"}))).await.status, 200);
    assert_eq!(browser.user(&gate).await, None);
}
