//! Whole sign-ins against the provider, as a client makes them.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::StatusCode;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Endpoint, Provider,
    testing::{CALLBACK, Running, SIGNED_OUT, START, as_app, encoded, request},
};
use crate::clock::Clock;

#[tokio::test]
async fn a_listener_for_everyone_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let provider = Provider::new("http://127.0.0.1".to_owned(), Vec::new(), Clock::system());
    let error = provider.serve(listener, std::future::ready(())).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_name_that_only_leads_here_is_refused() {
    let op = Running::start().await;
    for (host, status) in [
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("127.0.0.1.evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("", StatusCode::MISDIRECTED_REQUEST),
        ("localhost:99", StatusCode::OK),
        ("op.localhost", StatusCode::OK),
        ("[::1]:80", StatusCode::OK),
    ] {
        let answer = op.caller.send(op.caller.get(Endpoint::Discovery.path()).header("host", host)).await;
        assert_eq!(answer.status, status, "{host}");
    }
}

#[tokio::test]
async fn only_known_paths_and_methods_are_answered() {
    let op = Running::start().await;
    for (answer, status) in [
        (op.caller.send(op.caller.get("/")).await, StatusCode::NOT_FOUND),
        (op.caller.send(op.caller.get("/authorize/")).await, StatusCode::NOT_FOUND),
        (op.get(Endpoint::Token).await, StatusCode::METHOD_NOT_ALLOWED),
        (op.get(Endpoint::Decision).await, StatusCode::METHOD_NOT_ALLOWED),
        (op.post(Endpoint::Discovery, &[]).await, StatusCode::METHOD_NOT_ALLOWED),
        (op.post(Endpoint::Token, &[("x", &"y".repeat(300_000))]).await, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(answer.status, status);
    }
    assert_eq!(op.get(Endpoint::Token).await.header("allow"), "POST");
}

#[tokio::test]
async fn a_whole_sign_in_tells_who_it_is() {
    let op = Running::start().await;
    let metadata = op.get(Endpoint::Discovery).await.json();
    assert_eq!(metadata["issuer"], json!(op.provider.issuer()));
    assert_eq!(metadata["token_endpoint"], json!(op.provider.url(Endpoint::Token)));

    let page = op.ask(&request(&[])).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("Ada Lovelace") && page.text().contains("Grace Hopper"));

    let back = op.choose(&request(&[]), &[("person", "ada")]).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER);
    assert!(back.header("location").starts_with(&format!("{CALLBACK}?code=")));
    assert_eq!(back.redirected_with("state").as_deref(), Some("a state&=+"));
    assert_eq!(back.redirected_with("iss").as_deref(), Some(op.provider.issuer()));

    let answer = op.redeem(&back.redirected_with("code").unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], json!("Bearer"));
    let token = op.checked(&tokens["id_token"]).await.unwrap();
    assert_eq!(token.header.alg, Algorithm::ES256);
    let access_token = tokens["access_token"].as_str().unwrap();
    let person = json!({
        "sub": "ada",
        "name": "Ada Lovelace",
        "given_name": "Ada",
        "family_name": "Lovelace",
        "preferred_username": "ada",
        "email": "ada@example.com",
        "email_verified": true,
        "groups": ["staff", "engineering"],
    });
    let mut expected = person.clone();
    for (claim, value) in [
        ("iss", json!(op.provider.issuer())),
        ("aud", json!("app")),
        ("iat", json!(START.0)),
        ("exp", json!(START.0 + 600)),
        ("auth_time", json!(START.0)),
        ("nonce", json!("a-nonce")),
        ("sid", token.claims["sid"].clone()),
        ("at_hash", token.claims["at_hash"].clone()),
    ] {
        expected[claim] = value;
    }
    assert_eq!(Value::Object(token.claims.clone()), expected);
    // The library that the gateway uses reads the key and computes the same hash.
    let keys = op.get(Endpoint::Keys).await.json();
    let keys: openidconnect::core::CoreJsonWebKeySet = serde_json::from_value(keys).unwrap();
    let hash = openidconnect::AccessTokenHash::from_token(
        &openidconnect::AccessToken::new(access_token.to_owned()),
        &openidconnect::core::CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        &keys.keys()[0],
    );
    assert_eq!(token.claims["at_hash"].as_str(), Some(hash.unwrap().as_str()));

    let userinfo = op.userinfo(access_token).await;
    assert_eq!(userinfo.json(), person);

    let introspected = op.caller.form(Endpoint::Introspection.path(), &[("token", access_token)]);
    let introspected = op.caller.send(as_app(introspected)).await.json();
    for (member, value) in [
        ("active", json!(true)),
        ("iss", json!(op.provider.issuer())),
        ("sub", json!("ada")),
        ("client_id", json!("app")),
        ("scope", json!("openid email offline_access")),
        ("exp", json!(START.0 + 600)),
        ("email", json!("ada@example.com")),
    ] {
        assert_eq!(introspected[member], value, "{member}");
    }
    for (endpoint, requests) in [(Endpoint::Authorization, 1), (Endpoint::Token, 1), (Endpoint::Revocation, 0)] {
        assert_eq!(op.provider.requests(endpoint), requests, "{endpoint:?}");
    }
}

#[tokio::test]
async fn someone_else_can_be_anyone() {
    let op = Running::start().await;
    let fields = [
        ("person", "other"),
        ("sub", "x\r\nX-Admin: 1"),
        ("email", "o'brien@example.com"),
        ("groups", "one, two"),
        ("claims", r#"{"email_verified": false, "cognito:groups": ["a b"], "deep": {"er": null}}"#),
    ];
    let code = op.choose(&request(&[]), &fields).await.redirected_with("code").unwrap();
    let claims = op.checked(&op.redeem(&code).await.json()["id_token"]).await.unwrap().claims;
    for (claim, value) in [
        ("sub", json!("x\r\nX-Admin: 1")),
        ("email", json!("o'brien@example.com")),
        ("email_verified", json!(false)),
        ("groups", json!(["one", "two"])),
        ("cognito:groups", json!(["a b"])),
        ("deep", json!({"er": null})),
        ("iss", json!(op.provider.issuer())),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
}

#[tokio::test]
async fn without_the_openid_scope_there_is_no_id_token() {
    let op = Running::start().await;
    let code = op.code(&request(&[("scope", "email")])).await;
    let tokens = op.redeem(&code).await.json();
    assert!(tokens.get("id_token").is_none() && tokens.get("refresh_token").is_none());
    assert!(tokens.get("access_token").is_some());
}

#[tokio::test]
async fn an_issuer_may_have_a_path_and_a_closing_slash() {
    for path in ["/tenant", "/tenant/", "/"] {
        let op = Running::start_below(path).await;
        assert!(op.provider.issuer().ends_with(path));
        let metadata = op.get(Endpoint::Discovery).await.json();
        assert_eq!(metadata["issuer"], json!(op.provider.issuer()));
        assert!(!metadata["token_endpoint"].as_str().unwrap().contains("//token"), "{metadata}");
        op.checked(&op.tokens().await["id_token"]).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_key_signs_and_the_one_before_stays() {
    let op = Running::start().await;
    let before = op.tokens().await;
    let old = op.provider.kid();
    op.provider.rotate_keys();
    assert_ne!(op.provider.kid(), old);
    let after = op.checked(&op.tokens().await["id_token"]).await.unwrap();
    assert_eq!(after.header.kid, Some(op.provider.kid()));
    op.checked(&before["id_token"]).await.unwrap();
    op.provider.rotate_keys();
    let published = op.get(Endpoint::Keys).await.json();
    assert_eq!(published["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_test_can_sign_anything() {
    let op = Running::start().await;
    let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, op.provider.kid());
    let claims = format!(r#"{{"iss":"{}","aud":"app", "sub":"a","exp":1}}"#, op.provider.issuer());
    let token = op.provider.sign(header.as_bytes(), claims.as_bytes());
    assert_eq!(op.checked(&json!(token)).await.unwrap().claims["sub"], "a");
    let twice = op.provider.sign(header.as_bytes(), br#"{"sub":"a","sub":"b"}"#);
    assert_eq!(BASE64URL.decode(twice.split('.').nth(1).unwrap()).unwrap(), br#"{"sub":"a","sub":"b"}"#);
}

#[tokio::test]
async fn an_access_token_ends_on_time() {
    let op = Running::start().await;
    let tokens = op.tokens().await;
    let access_token = tokens["access_token"].as_str().unwrap();
    op.clock.advance(Duration::from_secs(599));
    assert_eq!(op.userinfo(access_token).await.status, StatusCode::OK);
    assert!(op.is_active(access_token).await);
    op.clock.advance(Duration::from_secs(1));
    assert_eq!(op.userinfo(access_token).await.status, StatusCode::UNAUTHORIZED);
    assert!(!op.is_active(access_token).await);
}

#[tokio::test]
async fn the_provider_can_go_and_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let provider = Provider::new(format!("http://{address}"), Vec::new(), Clock::stopped(START));
    let kid = provider.kid();
    provider.clone().serve(listener, std::future::ready(())).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens");
    let listener = TcpListener::bind(address).await.unwrap();
    let _stop = crate::dev::testing::Stop::when(|stop| provider.clone().serve(listener, stop));
    let caller = crate::dev::testing::Caller::new(address);
    assert!(caller.send(caller.get(Endpoint::Keys.path())).await.text().contains(&kid));
}

/// RP-Initiated Logout §2, §3.
#[tokio::test]
async fn a_logout_goes_nowhere_unregistered_and_ends_nothing_then() {
    let op = Running::start().await;
    let tokens = op.tokens().await;
    let (hint, access_token) = (tokens["id_token"].as_str().unwrap(), tokens["access_token"].as_str().unwrap());
    let forged = format!("{}x", hint.rsplit_once('.').unwrap().0);
    for (fields, why) in [
        (vec![("post_logout_redirect_uri", SIGNED_OUT)], "nobody's"),
        (vec![("client_id", "app"), ("post_logout_redirect_uri", "http://evil.example/")], "unregistered"),
        (vec![("id_token_hint", hint), ("post_logout_redirect_uri", "http://evil.example/")], "unregistered"),
        (vec![("client_id", "nobody")], "unknown client"),
        (vec![("client_id", "other"), ("id_token_hint", hint)], "another client's token"),
        (vec![("id_token_hint", &forged)], "forged"),
        (vec![("id_token_hint", "garbage")], "garbage"),
        (vec![("client_id", "app"), ("client_id", "app")], "twice"),
    ] {
        let target = format!("{}?{}", Endpoint::EndSession.path(), encoded(&fields));
        for answer in [op.caller.send(op.caller.get(&target)).await, op.post(Endpoint::EndSession, &fields).await] {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{why}");
            assert_eq!(answer.header("location"), "", "{why}");
        }
    }
    assert!(op.is_active(access_token).await);
}

#[tokio::test]
async fn a_logout_ends_the_sign_in_it_names() {
    let op = Running::start().await;
    let (one, another) = (op.tokens().await, op.tokens().await);
    // RP-Initiated Logout §4: an expired ID token still names its session.
    op.clock.advance(Duration::from_secs(500));
    let fields = [
        ("id_token_hint", one["id_token"].as_str().unwrap()),
        ("post_logout_redirect_uri", SIGNED_OUT),
        ("state", "s"),
    ];
    let answer = op.post(Endpoint::EndSession, &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.header("location"), format!("{SIGNED_OUT}?state=s"));
    assert!(!op.is_active(one["access_token"].as_str().unwrap()).await);
    assert!(op.is_active(another["access_token"].as_str().unwrap()).await);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", one["refresh_token"].as_str().unwrap())];
    assert_eq!(op.token(&refresh).await.status, StatusCode::BAD_REQUEST);

    let named = [("client_id", "app"), ("post_logout_redirect_uri", SIGNED_OUT)];
    assert_eq!(op.post(Endpoint::EndSession, &named).await.header("location"), SIGNED_OUT);
    let page = op.get(Endpoint::EndSession).await;
    assert!(page.status == StatusCode::OK && page.text().contains("You are signed out"));
}
