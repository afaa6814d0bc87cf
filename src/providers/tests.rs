//! A whole sign-in against a provider on a real socket that can misbehave.

use std::{io::Write as _, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::{
    testing::{Answer, FakeProvider, NOW, Signer, VERIFIER, settings, token_with},
    *,
};
use crate::{policy::EMAIL_DOMAIN, secret::Secret};

mod bearer_claims;
mod bearer_introspection;
mod bearer_jwt;
mod bearer_userinfo;
mod client_auth;
mod encrypted;
mod endpoints;
mod groups;
mod logout_token;
mod oauth2;
mod reachable;
mod refresh;
mod requests;
mod signed;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn sign_in(provider: &Provider) -> Result<SignedIn, SignInError> {
    provider.sign_in(&secret("c0de"), None, &secret(VERIFIER), "n").await
}

/// `claims` with some changed; `null` takes one away.
fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// A provider with one key that gives a good ID token.
async fn good() -> (FakeProvider, Signer) {
    let op = FakeProvider::start().await;
    let signer = Signer::es256("k1");
    op.keys(&[&signer]);
    op.gives(&signer.sign(&op.claims()));
    (op, signer)
}

fn texts(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// T-107, T-140: each is an error that says what it was, in bounded time.
#[tokio::test]
async fn a_token_endpoint_that_misbehaves_signs_nobody_in() {
    let (op, _) = good().await;
    let any = |status, headers: &[(&'static str, &'static str)], body: &'static str| Answer::Any {
        status,
        headers: headers.to_vec(),
        body: Bytes::from_static(body.as_bytes()),
    };
    let mut settings = op.settings();
    settings.limits.timeout = Duration::from_millis(300);
    settings.limits.answer_bytes = 10_000;
    let (provider, _) = op.known(settings);
    let not_json = "the token endpoint's answer is not a JSON object";
    for (answer, fault, text) in [
        (Answer::Never, Fault::Provider, "no usable answer: no whole answer within 300 ms"),
        (Answer::Stalls, Fault::Provider, "no usable answer: no whole answer within 300 ms"),
        (
            Answer::Any { status: 200, headers: vec![], body: vec![b' '; 10_001].into() },
            Fault::Provider,
            "no usable answer: the answer is larger than 10000 bytes",
        ),
        (any(200, &[], ""), Fault::Provider, not_json),
        (any(200, &[("content-type", "text/html")], "<html>"), Fault::Provider, not_json),
        (any(200, &[], "access_token=at&id_token=a.b.c"), Fault::Provider, not_json),
        (any(302, &[("location", "https://evil/")], ""), Fault::Provider, "it redirects (status 302)"),
        (any(307, &[("location", "/token2")], ""), Fault::Provider, "it redirects (status 307)"),
        (any(500, &[], "oops"), Fault::Provider, "it answers with status 500"),
        (any(503, &[], r#"{"error":"invalid_grant"}"#), Fault::Provider, "it answers with status 503"),
        (any(404, &[], "not here"), Fault::Provider, "it answers with status 404"),
        (any(200, &[("content-encoding", "gzip")], "{}"), Fault::Provider, "content coding"),
        (any(200, &[("content-encoding", "br")], "{}"), Fault::Provider, "content coding"),
        (compressed(&[b' '; 10_001], "gzip"), Fault::Provider, "the answer is larger than 10000 bytes"),
        (any(400, &[], r#"{"error":"invalid_grant"}"#), Fault::Caller, "no longer accepts this code"),
        (any(200, &[], r#"{"error":"invalid_grant"}"#), Fault::Caller, "no longer accepts this code"),
        (any(401, &[], r#"{"error":"invalid_client"}"#), Fault::Ours, "`invalid_client`"),
        (any(400, &[], r#"{"error":"slow_down","error_description":"x"}"#), Fault::Provider, "`slow_down`"),
        (any(400, &[], r#"{"message":"no"}"#), Fault::Provider, "`unreadable error code`"),
        (any(200, &[], r#"{"access_token":"at"}"#), Fault::Provider, "has no ID token"),
    ] {
        op.answers("/token", answer.clone());
        let error = sign_in(&provider).await.unwrap_err();
        assert!(texts(&error).contains(text), "{answer:?}: {}", texts(&error));
        assert_eq!(error.fault(), fault, "{answer:?}");
    }
    assert_eq!(op.hits("/token2"), 0);
}

/// T-140: nobody asked for it, but it happens.
#[tokio::test]
async fn a_compressed_key_set_is_a_key_set() {
    let (op, signer) = good().await;
    let keys = json!({"keys": [signer.jwk()]}).to_string();
    for coding in ["gzip", "x-gzip", "identity"] {
        let (provider, _) = op.known(op.settings());
        let answer = match coding {
            "identity" => {
                Answer::Any { status: 200, headers: vec![("content-encoding", coding)], body: keys.clone().into() }
            }
            coding => compressed(keys.as_bytes(), coding),
        };
        op.answers("/jwks", answer);
        assert!(sign_in(&provider).await.is_ok(), "{coding}");
    }
}

fn compressed(body: &[u8], coding: &'static str) -> Answer {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body).unwrap();
    Answer::Any { status: 200, headers: vec![("content-encoding", coding)], body: packed.finish().unwrap().into() }
}

/// T-140.
#[tokio::test]
async fn a_token_answer_may_call_itself_what_it_likes() {
    let (op, signer) = good().await;
    let (provider, _) = op.known(op.settings());
    let body = json!({"access_token": "at", "token_type": "BEARER", "id_token": signer.sign(&op.claims())});
    for kind in ["text/plain", "text/html; charset=utf-8", "application/x-www-form-urlencoded"] {
        let headers = vec![("content-type", kind)];
        op.answers("/token", Answer::Any { status: 200, headers, body: body.to_string().into() });
        assert!(sign_in(&provider).await.is_ok(), "{kind}");
    }
}

/// T-079, T-080, T-082, T-086, T-098 through the whole of it.
#[tokio::test]
async fn an_id_token_that_is_wrong_in_anything_signs_nobody_in() {
    let (op, signer) = good().await;
    let (provider, _) = op.known(op.settings());
    for (changes, text) in [
        (json!({"iss": format!("{}/", op.origin)}), "its `iss` is"),
        (json!({"aud": "them"}), "its `aud` is `them`, expected is `us`"),
        (json!({"aud": ["us", "them"]}), "its `azp` is"),
        (json!({"exp": NOW.0 - 60}), "it expired at"),
        (json!({"exp": null}), "it has no `exp`"),
        (json!({"iat": "now"}), "its `iat` is malformed"),
        (json!({"nonce": "other"}), "its `nonce` is not the one of this login"),
        (json!({"nonce": null}), "it has no `nonce`"),
        (json!({"at_hash": "AAAA"}), "its `at_hash` does not fit"),
        (json!({"sub": ""}), "its `sub` is malformed"),
    ] {
        op.gives(&signer.sign(&with(op.claims(), &changes)));
        let error = sign_in(&provider).await.unwrap_err();
        assert!(matches!(error, SignInError::IdToken(_)) && texts(&error).contains(text), "{}", texts(&error));
        assert_eq!(error.fault(), Fault::Provider);
    }
    let good = signer.sign(&op.claims());
    let unsigned = token_with(&json!({"alg": "none"}), &op.claims(), "");
    let foreign = Signer::es256("k1").sign(&op.claims());
    for token in [unsigned.as_str(), &foreign, &good[..good.len() - 4], &format!("{good}.x.y"), "", "x"] {
        op.json("/token", json!({"access_token": "at", "id_token": token}));
        let error = sign_in(&provider).await.unwrap_err();
        let refused = matches!(error, SignInError::Signature(_) | SignInError::Answer(AnswerError::NoIdToken));
        assert!(refused, "{token}: {}", texts(&error));
        assert!(token.is_empty() || !texts(&error).contains(token), "no tokens in errors");
    }
    op.gives(&good);
    assert_eq!(sign_in(&provider).await.unwrap().subject, "s-1");
}

#[tokio::test]
async fn what_cannot_be_a_code_is_refused_without_asking() {
    let (op, _) = good().await;
    let (provider, _) = op.known(op.settings());
    for code in ["", "a\nb", "ä", &"x".repeat(5000)] {
        let error = provider.sign_in(&secret(code), None, &secret(VERIFIER), "n").await.unwrap_err();
        assert!(matches!(error, SignInError::Code));
    }
    assert_eq!(op.hits("/.well-known/openid-configuration"), 0);
}

/// T-097.
#[tokio::test]
async fn a_callback_from_another_issuer_gets_no_code_to_the_token_endpoint() {
    let (op, _) = good().await;
    op.metadata_with(&json!({"authorization_response_iss_parameter_supported": true}));
    let (provider, _) = op.known(op.settings());
    let ask = |iss: Option<&'static str>| {
        let provider = Arc::clone(&provider);
        async move { provider.sign_in(&secret("c0de"), iss, &secret(VERIFIER), "n").await }
    };
    for iss in [Some("https://evil"), Some(""), None] {
        let error = ask(iss).await.unwrap_err();
        assert!(matches!(error, SignInError::Issuer(_)), "{iss:?}: {}", texts(&error));
    }
    assert_eq!(op.hits("/token"), 0);
    assert_eq!(provider.check_callback_issuer(None), Err(CallbackIssuerError::Missing));
    assert_eq!(provider.check_callback_issuer(Some(&op.origin)), Ok(()));
    assert!(provider.sign_in(&secret("c0de"), Some(&op.origin), &secret(VERIFIER), "n").await.is_ok());
}

/// T-118.
#[tokio::test]
async fn a_provider_that_is_down_is_unavailable_until_it_is_up() {
    let (op, _) = good().await;
    op.status("/.well-known/openid-configuration", 503, "");
    let (provider, clock) = op.known(op.settings());
    let verifier = secret(VERIFIER);
    let request = AuthorizationRequest { state: "s", nonce: "n", verifier: &verifier, login_hint: None, silent: false };
    for _ in 0..100 {
        let error = provider.authorization_url(&request).await.unwrap_err();
        let SignInError::Unavailable(unavailable) = &error else { panic!("{}", texts(&error)) };
        assert_eq!(unavailable.retry_after, Duration::from_secs(30));
        assert!(texts(&error).contains("status 503"), "{}", texts(&error));
    }
    assert!(matches!(sign_in(&provider).await, Err(SignInError::Unavailable(_))));
    assert!(provider.logout_url("https://us/", None, None).is_none());
    assert_eq!(op.hits("/.well-known/openid-configuration"), 1, "no retry storm");
    op.metadata_with(&json!({}));
    clock.advance(Duration::from_secs(30));
    assert!(provider.authorization_url(&request).await.is_ok());
    assert!(sign_in(&provider).await.is_ok());
}

/// T-080, T-107.
#[tokio::test]
async fn metadata_that_cannot_be_used_says_why() {
    let (op, _) = good().await;
    let path = "/.well-known/openid-configuration";
    let other = with(op.metadata(), &json!({"issuer": "https://other"}));
    let plain = with(op.metadata(), &json!({"token_endpoint": "http://op.example/token"}));
    for (answer, text) in [
        (Answer::Json(other), "metadata is of issuer `https://other`, configured is `http://127.0.0.1:"),
        (Answer::Json(plain), "`token_endpoint` in the metadata cannot be used: `http://op.example` is not https"),
        (Answer::Json(json!(["x"])), "is not a JSON object"),
        (Answer::Any { status: 200, headers: vec![], body: "<html>".into() }, "is not a JSON object"),
        (Answer::Any { status: 301, headers: vec![("location", "/x")], body: "".into() }, "it redirects (status 301)"),
        (Answer::Any { status: 200, headers: vec![], body: vec![b' '; 300_000].into() }, "larger than 262144 bytes"),
    ] {
        op.answers(path, answer);
        let (provider, _) = op.known(op.settings());
        let error = provider.probe().await.unwrap_err();
        assert!(texts(&error).contains(text), "{}", texts(&error));
    }
    // A content type that is none is fine.
    let body = op.metadata().to_string().into();
    op.answers(path, Answer::Any { status: 200, headers: vec![("content-type", "text/plain")], body });
    let (provider, _) = op.known(op.settings());
    let probe =
        Probe { usable_keys: Some(1), userinfo: true, tokens: false, end_session: true, callbacks_have_issuer: false };
    assert_eq!(provider.probe().await.unwrap(), probe);
}

#[tokio::test]
async fn nobody_listening_is_no_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let providers = Providers::new(
        vec![settings(&origin)],
        |_| "http://localhost/cb".into(),
        &crate::outgoing::system_roots(),
        &Clock::stopped(NOW),
    );
    let error = providers.unwrap().only().unwrap().probe().await.unwrap_err();
    assert!(texts(&error).contains("no connection: "), "{}", texts(&error));
}

/// T-119: a broken renewal changes nothing.
#[tokio::test]
async fn old_metadata_and_keys_serve_while_their_renewal_fails() {
    let (op, _) = good().await;
    let mut settings = op.settings();
    settings.limits.renew_after = Duration::from_secs(60);
    let (provider, clock) = op.known(settings);
    assert!(sign_in(&provider).await.is_ok());
    op.json("/.well-known/openid-configuration", json!({"issuer": "https://other"}));
    op.status("/jwks", 500, "");
    for renewal in 1..=4 {
        clock.advance(Duration::from_secs(60));
        assert!(sign_in(&provider).await.is_ok());
        for path in ["/.well-known/openid-configuration", "/jwks"] {
            while op.hits(path) < 1 + renewal {
                tokio::task::yield_now().await;
            }
        }
        assert!(sign_in(&provider).await.is_ok(), "not asked again within the interval");
        assert_eq!((op.hits("/jwks"), op.hits("/.well-known/openid-configuration")), (1 + renewal, 1 + renewal));
    }
}

/// T-115.
#[tokio::test]
async fn nothing_secret_is_logged() {
    #[derive(Clone, Default)]
    struct Log(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    // With a single subscriber in the process, tracing asks whichever thread comes by a log line first whether anybody listens, and keeps the
    // answer for all threads. Two more make it ask every subscriber.
    let _others = [(); 2].map(|()| tracing::Dispatch::new(tracing_subscriber::Registry::default()));
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let (op, signer) = good().await;
    op.json("/userinfo", json!({"sub": "s-1", "name": "Alice Secret", "groups": ["g-secret"]}));
    let mut settings = op.settings();
    settings.needed_claims.add_whole("name");
    settings.needed_claims.add_whole("groups");
    let (provider, clock) = op.known(settings);
    let claims = with(op.claims(), &json!({"sub": "sub-secret", "nonce": "nonce-secret"}));
    let good = signer.sign(&with(op.claims(), &json!({"nonce": "nonce-secret"})));
    let mut errors = String::new();
    for token in [good.as_str(), &signer.sign(&claims), &signer.sign(&op.claims()), &good[..good.len() - 6]] {
        op.json("/token", json!({"access_token": "at-secret", "id_token": token, "refresh_token": "rt-secret"}));
        let result = provider.sign_in(&secret("code-secret"), None, &secret(VERIFIER), "nonce-secret").await;
        if let Err(error) = result {
            errors += &format!("{} {error:?}", texts(&error));
        }
        clock.advance(Duration::from_secs(30));
    }
    op.answers("/token", Answer::Any { status: 400, headers: vec![], body: "at-secret".into() });
    errors += &format!("{:?} {provider:?}", sign_in(&provider).await.unwrap_err());

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("looked up a claim") && log.contains("userinfo"), "{log}");
    for secret in ["secret", "s3cr3t", VERIFIER, "Alice", &good[good.len() - 40..good.len() - 6]] {
        assert!(!log.contains(secret), "{secret} in {log}");
        assert!(!errors.contains(secret), "{secret} in {errors}");
    }
}

/// T-083: the next login works without a restart.
#[tokio::test]
async fn a_new_signing_key_is_fetched_when_a_token_names_it() {
    let (op, old) = good().await;
    let (provider, clock) = op.known(op.settings());
    assert!(sign_in(&provider).await.is_ok());
    let new = Signer::es256("k2");
    op.keys(&[&old, &new]);
    op.gives(&new.sign(&op.claims()));
    let error = sign_in(&provider).await.unwrap_err();
    assert!(texts(&error).contains("publishes no ES256 key with `kid` `k2`"), "within the interval: {}", texts(&error));
    clock.advance(Duration::from_secs(30));
    assert!(sign_in(&provider).await.is_ok());
    assert_eq!(op.hits("/jwks"), 2);

    // The same `kid`, another key.
    let replaced = Signer::es256("k2");
    op.keys(&[&replaced]);
    op.gives(&replaced.sign(&op.claims()));
    clock.advance(Duration::from_secs(30));
    assert!(sign_in(&provider).await.is_ok());
    assert_eq!(op.hits("/jwks"), 3);
}

/// T-085.
#[tokio::test]
async fn ten_thousand_made_up_kids_are_one_fetch() {
    let (op, signer) = good().await;
    let (provider, clock) = op.known(op.settings());
    assert!(sign_in(&provider).await.is_ok());
    for (round, answer) in ["up", "down"].into_iter().enumerate() {
        clock.advance(Duration::from_secs(30));
        if answer == "down" {
            op.status("/jwks", 503, "");
        }
        for made_up in 0..10_000 {
            let header = json!({"alg": "ES256", "kid": format!("{round}-{made_up}")});
            let token = token_with(&header, &json!({}), "c2ln");
            let token = jws::Unverified::parse(&token, jws::TokenKind::Jwt, &[jsonwebtoken::Algorithm::ES256]).unwrap();
            assert!(provider.verify_for_test(&token).await.is_err());
        }
        assert_eq!(op.hits("/jwks"), 2 + round, "{answer}");
    }
    op.gives(&signer.sign(&op.claims()));
    assert!(sign_in(&provider).await.is_ok(), "the old set serves");
}

/// T-100.
#[tokio::test]
async fn the_authorization_request_says_what_it_must() {
    let (op, _) = good().await;
    op.metadata_with(&json!({"authorization_endpoint": format!("{}/authorize?realm=/a+b&x=%2B", op.origin)}));
    let mut settings = op.settings();
    settings.scopes = vec!["openid".into(), "email".into(), "a+b".into()];
    settings.authorization_parameters =
        vec![("prompt".into(), "select account".into()), ("resource".into(), "https://api/?a=b&c=+".into())];
    settings.client_id = "client id".into();
    let (provider, _) = op.known(settings);
    let verifier = secret(VERIFIER);
    let request = AuthorizationRequest {
        state: "st-at_e",
        nonce: "n0nce",
        verifier: &verifier,
        login_hint: Some("a+b c&d=@x"),
        silent: false,
    };
    let url = provider.authorization_url(&request).await.unwrap();
    let query = url.query().unwrap();
    assert!(query.starts_with("realm=/a+b&x=%2B&response_type=code&"), "{query}");
    assert!(!query["realm=/a+b".len()..].contains('+'), "{query}");
    assert!(query.contains("scope=openid%20email%20a%2Bb"), "{query}");
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "client id"),
        ("state", "st-at_e"),
        ("nonce", "n0nce"),
        ("redirect_uri", "http://localhost/_auth/callback/op"),
        ("scope", "openid email a+b"),
        ("code_challenge_method", "S256"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), // RFC 7636 appendix B
        ("prompt", "select account"),
        ("resource", "https://api/?a=b&c=+"),
        ("login_hint", "a+b c&d=@x"),
    ] {
        let values: Vec<&str> = pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        assert_eq!(values, [value], "{name}");
    }
    assert!(!query.contains(VERIFIER));
}

/// T-046.
#[tokio::test]
async fn a_hint_replaces_nothing_that_is_configured() {
    let (op, _) = good().await;
    let mut settings = op.settings();
    settings.authorization_parameters = vec![("login_hint".into(), "staff".into())];
    let (provider, _) = op.known(settings);
    let verifier = secret(VERIFIER);
    let request =
        AuthorizationRequest { state: "s", nonce: "n", verifier: &verifier, login_hint: Some("eve"), silent: false };
    let url = provider.authorization_url(&request).await.unwrap();
    let hints: Vec<_> = url.query_pairs().filter(|(name, _)| name == "login_hint").map(|(_, hint)| hint).collect();
    assert_eq!(hints, ["staff"]);
}

/// T-067, T-080.
#[tokio::test]
async fn an_issuer_is_known_by_its_names_byte_for_byte() {
    let op = FakeProvider::start().await;
    let plain = || settings("https://op.example");
    let aliased = Settings { issuer_aliases: vec!["op.example".into()], ..plain() };
    let allowed = ["t1".into(), "t2".into()].into();
    let tenants = Some(Tenants { claim: "tid".into(), allowed });
    let discovery_url = Url::parse("https://op.example/common/metadata").ok();
    let shared = Settings { tenants, discovery_url, ..settings("https://op.example/{tenantid}/v2") };
    for (settings, iss, known) in [
        (plain(), "", false),
        (plain(), "https://op.example/", false),
        (plain(), "http://op.example", false),
        (plain(), "https://op.example.evil.com", false),
        (plain(), "op.example", false),
        (plain(), "https://op.example", true),
        (aliased.clone(), "https://op.example", true),
        (aliased, "op.example", true),
        (shared.clone(), "https://op.example/{tenantid}/v2", false),
        (shared.clone(), "https://op.example/t3/v2", false),
        (shared.clone(), "https://op.example/t1/t2/v2", false),
        (shared, "https://op.example/t2/v2", true),
    ] {
        let issuer = settings.issuer.clone();
        assert_eq!(op.known(settings).0.is_issuer(iss), known, "{iss} at {issuer}");
    }
}

/// T-140: RFC 6749 §2.3.1.
#[tokio::test]
async fn the_client_authenticates_as_the_provider_wants() {
    let (op, _) = good().await;
    let odd = "s:/+% é";
    let basic = format!("Basic {}", STANDARD.encode("a%3Ab:s%3A%2F%2B%25+%C3%A9"));
    for (offered, configured, has_secret, expected) in [
        (json!(null), None, true, "basic"),
        (json!(["client_secret_post", "client_secret_basic"]), None, true, "basic"),
        (json!(["client_secret_post"]), None, true, "post"),
        (json!(["private_key_jwt"]), None, true, "basic"),
        (json!(["client_secret_basic"]), Some(ClientAuth::Post), true, "post"),
        (json!(["client_secret_post"]), Some(ClientAuth::Basic), true, "basic"),
        (json!(["none"]), None, false, "none"),
        (json!(null), Some(ClientAuth::Basic), false, "none"),
    ] {
        op.metadata_with(&json!({"token_endpoint_auth_methods_supported": offered}));
        let mut settings = op.settings();
        settings.client_id = "a:b".into();
        settings.client_secret = has_secret.then(|| secret(odd));
        settings.client_auth = configured;
        let (provider, _) = op.known(settings);
        let _refused = sign_in(&provider).await; // the ID token is for somebody else
        let seen = op.seen("/token").pop().unwrap();
        let form: std::collections::HashMap<_, _> =
            url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
        let header = seen.headers.get("authorization").map(|value| value.to_str().unwrap());
        assert_eq!(header, (expected == "basic").then_some(basic.as_str()), "{offered} {configured:?}");
        assert_eq!(form.contains_key("client_id"), expected != "basic");
        assert_eq!(form.get("client_secret").map(String::as_str), (expected == "post").then_some(odd));
        assert_eq!(form["grant_type"], "authorization_code");
        assert_eq!(form["code"], "c0de");
        assert_eq!(form["code_verifier"], VERIFIER);
        assert_eq!(form["redirect_uri"], "http://localhost/_auth/callback/op");
        assert_eq!(seen.headers["accept"], "application/json");
    }
}

#[tokio::test]
async fn userinfo_is_asked_when_it_is_wanted_and_fills_gaps() {
    let (op, signer) = good().await;
    op.json("/userinfo", json!({"sub": "s-1", "name": "from userinfo", "groups": ["staff", "x"], "sid": "no"}));
    let with_name = op.claims().as_object().unwrap().clone();
    let with_name = with(Value::Object(with_name), &json!({"name": "from the ID token", "sid": "s-77"}));
    for (mode, claims, asked, user) in [
        (UserinfoMode::Never, &with_name, 0, Some("from the ID token")),
        (UserinfoMode::Never, &op.claims(), 0, None),
        (UserinfoMode::WhenMissing, &with_name, 0, Some("from the ID token")),
        (UserinfoMode::WhenMissing, &op.claims(), 1, Some("from userinfo")),
        (UserinfoMode::Always, &with_name, 1, Some("from the ID token")),
    ] {
        op.gives(&signer.sign(claims));
        let before = op.hits("/userinfo");
        let mut settings = op.settings();
        settings.user.claims = vec!["name".into()];
        settings.userinfo = mode;
        let (provider, _) = op.known(settings);
        let result = sign_in(&provider).await;
        assert_eq!(op.hits("/userinfo") - before, asked, "{mode:?}");
        match user {
            Some(user) => assert_eq!(result.as_ref().unwrap().user.as_str(), user, "{mode:?}"),
            None => assert!(texts(&result.unwrap_err()).contains("sends no claim `name`")),
        }
    }
    assert_eq!(op.seen("/userinfo").pop().unwrap().headers["authorization"], "Bearer at");

    // A claim that only a rule needs is worth asking for too.
    op.gives(&signer.sign(&with_name));
    let mut settings = op.settings();
    settings.needed_claims.add_values("groups", &["staff".into()].into());
    settings.needed_claims.add_values(EMAIL_DOMAIN, &["x.org".into()].into());
    let (provider, _) = op.known(settings);
    let signed_in = sign_in(&provider).await.unwrap();
    let groups = crate::identity::ClaimValue::Many(vec!["staff".into()]);
    assert_eq!(signed_in.claims, [("groups".into(), groups)].into());
    assert_eq!(signed_in.provider_session.as_deref(), Some("s-77"), "never from userinfo");
}

#[tokio::test]
async fn userinfo_that_cannot_be_used_is_an_error() {
    let (op, signer) = good().await;
    op.gives(&signer.sign(&op.claims()));
    let mut settings = op.settings();
    settings.user.claims = vec!["name".into()];
    let (provider, _) = op.known(settings.clone());
    let any = |status, kind, body: &'static str| Answer::Any {
        status,
        headers: vec![("content-type", kind)],
        body: body.into(),
    };
    for (answer, text) in [
        (any(401, "application/json", "{}"), "it answers with status 401"),
        (any(500, "text/html", ""), "it answers with status 500"),
        (any(302, "text/html", ""), "it redirects"),
        (any(200, "application/json", "garbage"), "not a JSON object"),
        (any(200, "application/json", r#"{"sub":"s-1","sub":"s-2","name":"x"}"#), "not a JSON object"),
        (any(200, "Application/JWT", "a.b.c"), "it answers with a JWT that cannot be trusted"),
        (any(200, "application/json", r#"{"name":"alice"}"#), "its answer has no usable `sub`"),
        (any(200, "application/json", r#"{"sub":7,"name":"alice"}"#), "its answer has no usable `sub`"),
        (any(200, "application/json", r#"{"sub":"s-2","name":"alice"}"#), "about another `sub`"),
    ] {
        op.answers("/userinfo", answer);
        let error = sign_in(&provider).await.unwrap_err();
        assert!(matches!(error, SignInError::Userinfo(_)) && texts(&error).contains(text), "{}", texts(&error));
    }
    op.json("/token", json!({"id_token": signer.sign(&op.claims())}));
    let error = sign_in(&provider).await.unwrap_err();
    assert!(texts(&error).contains("there is no access token"), "{}", texts(&error));

    // Where the provider has no such endpoint, there is nothing to ask.
    op.metadata_with(&json!({"userinfo_endpoint": null}));
    let (provider, _) = op.known(settings.clone());
    assert!(matches!(sign_in(&provider).await, Err(SignInError::User(UserError::Missing { .. }))));
    settings.userinfo = UserinfoMode::Always;
    let (provider, _) = op.known(settings);
    assert_eq!(sign_in(&provider).await.unwrap_err().fault(), Fault::Ours);
}

#[tokio::test]
async fn logout_at_the_provider_is_offered_when_it_offers_it() {
    let (op, _) = good().await;
    let (provider, _) = op.known(op.settings());
    assert!(provider.logout_url("https://us/out", None, None).is_none(), "nothing is known yet");
    provider.probe().await.unwrap();
    let url = provider.logout_url("https://us/out?a=b", Some(&secret("a.b.c")), Some("st")).unwrap();
    let expected =
        "realm=x&client_id=us&post_logout_redirect_uri=https%3A%2F%2Fus%2Fout%3Fa%3Db&state=st&id_token_hint=a.b.c";
    assert_eq!((url.path(), url.query()), ("/logout", Some(expected)));
    let url = provider.logout_url("https://us/out", None, None).unwrap();
    assert!(!url.query().unwrap().contains("hint") && !url.query().unwrap().contains("state"));

    op.metadata_with(&json!({"end_session_endpoint": null}));
    let (provider, _) = op.known(op.settings());
    provider.probe().await.unwrap();
    assert!(provider.logout_url("https://us/out", None, None).is_none());
}

/// A CA of the operator's own is the only one that counts for its provider.
#[tokio::test]
async fn a_private_ca_is_trusted_where_it_is_configured_and_nowhere_else() {
    let (ca, acceptor) = tls();
    let (other_ca, _) = tls();
    let op = FakeProvider::start_tls(acceptor).await;
    op.keys(&[&Signer::es256("k")]);
    for (pem, ok) in [(Some(ca.as_str()), true), (Some(other_ca.as_str()), false), (None, false)] {
        let mut settings = op.settings();
        settings.ca = pem.map(|pem| pem.as_bytes().into());
        let (provider, _) = op.known(settings);
        match provider.probe().await {
            Ok(_) => assert!(ok),
            Err(error) => {
                assert!(!ok && texts(&error).contains("invalid peer certificate"), "{}", texts(&error));
            }
        }
    }
}

/// A CA as PEM, and a server for `localhost` with a certificate by it.
fn tls() -> (String, TlsAcceptor) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (ca.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[test]
fn settings_that_cannot_work_are_refused_at_start() {
    let build = |change: &dyn Fn(&mut Settings), redirect_uri: &str| {
        let mut one = settings("https://op.example");
        change(&mut one);
        Providers::new(vec![one], |_| redirect_uri.into(), &crate::outgoing::system_roots(), &Clock::stopped(NOW))
            .map(|_| ())
            .map_err(|e| texts(&e))
    };
    let here = "https://us/cb";
    assert_eq!(build(&|_| (), here), Ok(()));
    assert_eq!(build(&|s| s.issuer = "http://127.0.0.1:9/x".into(), here), Ok(()));
    assert_eq!(
        build(
            &|s| {
                s.issuer = "http://op.example".into();
                s.insecure_http = true
            },
            here
        ),
        Ok(())
    );
    let templated = |s: &mut Settings| {
        s.issuer = "https://op.example/?tenant=1".into();
        s.discovery_url = Some(Url::parse("https://op.example/d").unwrap());
    };
    assert_eq!(build(&templated, here), Ok(()));
    for (change, redirect_uri, text) in [
        (&(|s: &mut Settings| s.issuer = "op.example".into()) as &dyn Fn(&mut Settings), here, "issuer is not a URL"),
        (&|s| s.issuer = "https://op.example/?tenant=1".into(), here, "issuer is not a URL"),
        (&|s| s.issuer = "http://op.example".into(), here, "is not https"),
        (&|s| s.ca = Some(b"nothing".as_slice().into()), here, "`ca` holds no certificates"),
        (&|s| s.algorithms = vec![], here, "asymmetric"),
        (&|s| s.algorithms.push(jsonwebtoken::Algorithm::HS256), here, "asymmetric"),
        (&|s| s.authorization_parameters = vec![("state".into(), "x".into())], here, "`state`"),
        (&|_| (), "/relative", "the redirect URI `/relative`"),
    ] {
        let error = build(change, redirect_uri).unwrap_err();
        assert!(error.starts_with("provider `op` cannot be used: ") && error.contains(text), "{error}");
    }
}

#[test]
fn a_provider_is_found_by_name_and_by_tag() {
    let named = |name: &str, issuer: &str| Settings { name: ProviderName::parse(name).unwrap(), ..settings(issuer) };
    let build = |list| {
        Providers::new(
            list,
            |name| format!("https://us/cb/{name}"),
            &crate::outgoing::system_roots(),
            &Clock::stopped(NOW),
        )
    };
    let two = build(vec![named("b", "https://op"), named("a", "https://op")]).unwrap();
    assert_eq!(two.iter().map(|p| p.name().as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(two.only().is_none() && two.find("c").is_none());
    for name in ["a", "b"] {
        let provider = two.find(name).unwrap();
        assert_eq!(two.by_tag(provider.tag()).unwrap().name().as_str(), name);
    }
    let tag = |name: &str, issuer: &str| ProviderTag::of(&ProviderName::parse(name).unwrap(), issuer);
    assert_ne!(tag("a", "https://op"), tag("b", "https://op"));
    assert_ne!(tag("a", "https://op"), tag("a", "https://op/"));
    assert_eq!(tag("a", "https://op"), two.find("a").unwrap().tag());
    assert!(build(vec![named("a", "https://op"), named("a", "https://other")]).is_err());
    assert!(build(vec![]).unwrap().only().is_none());
}
