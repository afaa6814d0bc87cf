//! Several issuers: each answers for its own tokens and for nobody else's.

use doorward::dev::provider::Fault;
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use super::{ask, claims, token, with};
use crate::support::{Endpoint, Gate, Upstream, gate};

const ROUTES: &str = r#"
    [[routes]]
    path = "/"
    upstream = "UPSTREAM"
    providers = ["dev"]
    [[routes]]
    path = "/any"
    upstream = "UPSTREAM"
    credentials = "bearer"
    providers = ["dev", "other"]
    [[routes]]
    path = "/dev"
    upstream = "UPSTREAM"
    credentials = "bearer"
    providers = ["dev"]
    [[routes]]
    path = "/other"
    upstream = "UPSTREAM"
    credentials = "bearer"
    providers = ["other"]
"#;

/// A provider where people sign in, and one of which only tokens count.
async fn two_issuers(more: &[(&str, &str)]) -> (Gate, doorward::dev::provider::Provider) {
    let clock = doorward::clock::Clock::stopped(gate::NOW);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}", listener.local_addr().unwrap());
    let dev = gate::provider(&public, &clock).await;
    let other = gate::provider(&public, &clock).await;
    let settings: Vec<_> = [
        ("upstream", "-"),
        ("file", ROUTES),
        ("providers.other.issuer", other.issuer()),
        ("providers.other.login", "false"),
        ("providers.dev.insecure_shared_identifiers", "true"),
        ("providers.other.insecure_shared_identifiers", "true"),
    ]
    .iter()
    .chain(more)
    .copied()
    .collect();
    (Gate::beside(listener, dev, Upstream::start().await, clock, &settings), other)
}

#[tokio::test]
async fn a_token_counts_where_its_issuer_does() {
    let (gate, other) = two_issuers(&[]).await;
    let ours = token(&gate.provider, &claims(&gate));
    let theirs = token(&other, &with(claims(&gate), &json!({"iss": other.issuer()})));
    // Each in the other's name: whoever is named is asked, and does not know the key.
    let forged = token(&other, &claims(&gate));
    for (path, token, status) in [
        ("/dev", &theirs, 401),
        ("/other", &ours, 401),
        ("/any", &forged, 401),
        ("/dev", &forged, 401),
        ("/other", &forged, 401),
        ("/any", &ours, 200),
        ("/any", &theirs, 200),
        ("/dev", &ours, 200),
        ("/other", &theirs, 200),
        // once more, from memory
        ("/dev", &theirs, 401),
        ("/other", &ours, 401),
    ] {
        assert_eq!(ask(&gate, path, token).await.status, status, "{path}");
    }
}

/// T-089: an answer of one issuer is none for another.
#[tokio::test]
async fn an_answer_counts_only_where_the_same_issuer_was_asked() {
    let (gate, other) = two_issuers(&[
        ("providers.dev.bearer.introspection", "standard"),
        ("providers.other.client_id", gate::CLIENT_ID),
        ("providers.other.client_secret", gate::CLIENT_SECRET),
        ("providers.other.bearer.introspection", "standard"),
        ("file", &ROUTES.replace(r#"providers = ["dev", "other"]"#, r#"providers = ["dev"]"#)),
    ])
    .await;
    let active = json!({"active": true, "sub": "ada", "aud": gate.url("")});
    gate.provider.faults().lasting(Endpoint::Introspection, Fault::json(StatusCode::OK, &active));
    for (path, status, asked) in
        [("/dev", 200, (1, 0)), ("/other", 401, (1, 1)), ("/dev", 200, (1, 1)), ("/any", 200, (1, 1))]
    {
        assert_eq!(ask(&gate, path, "opaque").await.status, status, "{path}");
        let questions = (gate.provider.requests(Endpoint::Introspection), other.requests(Endpoint::Introspection));
        assert_eq!(questions, asked, "{path}");
    }
}

/// Nobody signs in where only tokens count: no button, no link, no callback.
#[tokio::test]
async fn nobody_signs_in_at_an_issuer_of_tokens() {
    let (gate, _) = two_issuers(&[]).await;
    for target in ["/_auth/login?provider=other", "/_auth/callback/other?code=x&state=y"] {
        assert_eq!(gate.ask(&format!("GET {target}"), &[]).await.status, 404, "{target}");
    }
    let login = gate.ask("GET /_auth/login", &[]).await;
    assert_eq!(login.status, 302, "one way to sign in, no choice");
    assert!(login.header("location").starts_with(gate.provider.issuer()));
}

/// A provider that is down keeps nobody else from answering, and what could be of it is not called wrong.
#[tokio::test]
async fn one_that_is_down_keeps_nobody_from_answering() {
    let (gate, other) = two_issuers(&[]).await;
    gate.provider.faults().lasting(Endpoint::Discovery, Fault::text(StatusCode::BAD_GATEWAY, "text/plain", ""));
    let theirs = token(&other, &json!({"iss": other.issuer(), "sub": "ada", "exp": gate::NOW.0 + 300}));
    let more = [
        ("upstream", "-"),
        ("file", ROUTES),
        ("providers.other.issuer", other.issuer()),
        ("providers.other.login", "false"),
        ("providers.other.bearer.insecure_any_audience", "true"),
        ("providers.dev.insecure_shared_identifiers", "true"),
        ("providers.other.insecure_shared_identifiers", "true"),
    ];
    let replica = gate.replica(&more).await;
    assert_eq!(ask(&replica, "/any", &theirs).await.status, 200);
    let strange = token(&other, &json!({"iss": "https://strange.example", "exp": gate::NOW.0 + 300}));
    assert_eq!(ask(&replica, "/any", &strange).await.status, 503, "it may be the other name of the one that is down");
}
