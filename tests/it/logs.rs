//! What the log must not say (T-115): run everything a login can meet at the highest level, then look for each secret.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use doorward::dev::provider::{Fault, Signature};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use url::form_urlencoded;

use crate::support::{Browser, Endpoint, Gate, Log, Upstream, gate, tap::Tap};

/// Every secret that was seen, by what it is.
#[derive(Clone, Default)]
struct Secrets(Arc<Mutex<BTreeSet<(&'static str, String)>>>);

impl Secrets {
    fn add(&self, what: &'static str, secret: &str) {
        // Shorter ones would be found by chance.
        if secret.len() >= 8 {
            self.0.lock().unwrap().insert((what, secret.to_owned()));
        }
    }

    fn add_parameters(&self, query: &str) {
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            for what in ["code", "state", "nonce", "code_verifier", "code_challenge", "client_secret"] {
                if name == what {
                    self.add(what, &value);
                }
            }
        }
    }

    fn add_cookies(&self, browser: &Browser) {
        for ((_, name), value) in &browser.cookies {
            self.add(if name.ends_with("login") { "login cookie" } else { "session cookie" }, value);
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_the_log_at_any_level() {
    let log = Log::capture();
    let secrets = Secrets::default();
    secrets.add("client secret", gate::CLIENT_SECRET);
    let encoded: String = form_urlencoded::byte_serialize(gate::CLIENT_SECRET.as_bytes()).collect();
    secrets.add("client secret", &encoded);
    secrets.add("session key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY");
    secrets.add("session key", "0123456789abcdef0123456789abcdef");

    // Between gateway and provider somebody listens, for the verifier and the credentials.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}", listener.local_addr().unwrap());
    let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let clock = doorward::clock::Clock::stopped(gate::NOW);
    let provider = gate::provider_called(format!("http://{}", front.local_addr().unwrap()), &public, &clock);
    let tap = Tap::between(front, behind.local_addr().unwrap());
    tokio::spawn(provider.clone().serve(behind, std::future::pending()));
    let more = [
        ("upstream", "-"),
        ("file", gate::ROUTES),
        ("providers.dev.userinfo", "always"),
        ("headers.claims.x_email", "email"),
    ];
    let gate = Gate::beside(listener, provider, Upstream::start().await, clock, &more);

    let faults = gate.provider.faults();
    let tokens = secrets.clone();
    faults.token_answers(move |answer| {
        for name in ["access_token", "id_token", "refresh_token"] {
            if let Some(token) = answer.get(name).and_then(|token| token.as_str()) {
                tokens.add(name, token);
                tokens.add("signature", token.rsplit('.').next().unwrap());
            }
        }
    });

    // A good one, its replay, a renewal, a logout.
    let mut browser = Browser::new();
    let login = browser.get(&gate.url("/_auth/login?rd=%2Fdeep&login_hint=hint-secret-1")).await;
    secrets.add("a hint", "hint-secret-1");
    secrets.add_parameters(login.location().split_once('?').unwrap().1);
    let callback = browser.begin(&gate.url("/deep"), "ada").await;
    secrets.add_parameters(callback.split_once('?').unwrap().1);
    browser.get(&callback).await;
    secrets.add_cookies(&browser);
    browser.get(&callback).await;
    Browser::new().get(&callback).await;
    browser.get(&gate.url("/page?access_token=query-secret-1")).await;
    gate.advance(Duration::from_secs(600));
    browser.get(&gate.url("/page")).await;
    secrets.add_cookies(&browser);
    let copy = browser.clone();
    browser.get(&gate.url("/_auth/logout")).await;
    copy.clone().get(&gate.url("/page")).await;
    browser
        .send(
            Method::GET,
            &gate.url("/x"),
            &[("authorization", "Bearer bearer-secret-1"), ("x-api-key", "header-secret-1")],
            "",
        )
        .await;
    for secret in ["query-secret-1", "bearer-secret-1", "header-secret-1", "form-secret-1"] {
        secrets.add("a caller's own", secret);
    }
    browser.post(&gate.url("/_auth/callback/dev"), &[("state", "form-secret-1"), ("code", "form-secret-1")]).await;

    // And everything that goes wrong.
    let spoilt: [(&str, serde_json::Value); 8] = [
        ("nonce", json!("wrong-nonce-1")),
        ("aud", json!("other")),
        ("iss", json!("https://evil.example")),
        ("exp", json!(1)),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("sub", json!(7)),
        ("azp", json!("other")),
        ("iat", json!("x")),
    ];
    for (claim, value) in spoilt {
        faults.next_id_token(move |_, claims| _ = claims.insert(claim.to_owned(), value));
        attempt(&gate, &secrets).await;
    }
    for signature in [Signature::Unpublished, Signature::None] {
        faults.next_signature(signature);
        attempt(&gate, &secrets).await;
    }
    faults.next_id_token(|header, _| _ = header.insert("kid".to_owned(), json!("made-up")));
    attempt(&gate, &secrets).await;
    for (endpoint, fault) in [
        (
            Endpoint::Token,
            Fault::json(
                StatusCode::BAD_REQUEST,
                &json!({"error": "invalid_grant", "error_description": "body-secret-1"}),
            ),
        ),
        (
            Endpoint::Token,
            Fault::json(StatusCode::OK, &json!({"access_token": "body-secret-1", "id_token": "body-secret-1"})),
        ),
        (Endpoint::Token, Fault::text(StatusCode::OK, "text/html", "body-secret-1")),
        (Endpoint::Token, Fault::text(StatusCode::OK, "application/json", "{\"access_token\":\"body-secret-1\"")),
        (Endpoint::Token, Fault::Redirect("http://127.0.0.1:1/?code=body-secret-1".to_owned())),
        (Endpoint::Token, Fault::Close),
        (Endpoint::Userinfo, Fault::text(StatusCode::OK, "application/json", "body-secret-1")),
        (Endpoint::Userinfo, Fault::Close),
    ] {
        faults.next(endpoint, fault);
        attempt(&gate, &secrets).await;
    }
    secrets.add("the provider's own", "body-secret-1");
    faults.next_userinfo(|userinfo| _ = userinfo.insert("sub".to_owned(), json!("grace")));
    attempt(&gate, &secrets).await;
    let mut tampered = copy.clone();
    let cookie = tampered.cookie(&gate, "doorward").unwrap().replace('A', "B");
    tampered.set_cookie(&gate, "doorward", &cookie);
    tampered.get(&gate.url("/page")).await;
    secrets.add("tampered cookie", &cookie);

    // What went over the wire to the provider.
    let said = tap.said();
    for line in said.lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            secrets.add("authorization", value.trim().split(' ').nth(1).unwrap());
        }
        // A body has no line end: the next request begins on its line.
        for parameter in line.split("POST ").next().unwrap().split("GET ").next().unwrap().split('&') {
            secrets.add_parameters(parameter);
        }
    }

    let secrets = secrets.0.lock().unwrap().clone();
    let kinds: BTreeSet<&str> = secrets.iter().map(|(what, _)| *what).collect();
    for what in [
        "code",
        "state",
        "nonce",
        "code_verifier",
        "code_challenge",
        "login cookie",
        "session cookie",
        "access_token",
        "id_token",
        "authorization",
    ] {
        assert!(kinds.contains(what), "the test has seen no {what}: {kinds:?}");
    }
    let log = log.text();
    assert!(log.contains("A sign-in failed") && log.contains("TRACE") && log.len() > 10_000, "the log was listened to");
    for (what, secret) in secrets {
        if let Some(line) = log.lines().find(|line| line.contains(&secret)) {
            panic!("the log holds a {what}: {line}");
        }
    }
    for personal in ["ada@example.com", "Lovelace"] {
        assert!(!log.contains(personal), "the log holds {personal}");
    }
}

async fn attempt(gate: &Gate, secrets: &Secrets) {
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/deep"), "ada").await;
    secrets.add_parameters(callback.split_once('?').unwrap().1);
    secrets.add_cookies(&browser);
    let back = browser.get(&callback).await;
    assert!(!back.status.is_redirection(), "{back:?}");
    secrets.add_cookies(&browser);
    let code = callback.split("code=").nth(1).unwrap().split('&').next().unwrap();
    assert!(!back.body.contains(code), "no code on a page: {back:?}");
}
