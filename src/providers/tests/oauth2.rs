//! Sign-ins without an ID token (T-131, T-136).

use super::*;
use crate::identity::{ClaimValue, Claims};

/// A client of a provider that has a profile at `/me`.
pub(super) fn settings(op: &FakeProvider) -> Settings {
    let at = |path: &str| Some(Url::parse(&format!("{}{path}", op.origin)).unwrap());
    let mut settings = op.settings();
    settings.protocol =
        Protocol::OAuth2(OAuth2 { subject_claim: "id".into(), appsecret_proof: false, email_endpoint: None });
    settings.endpoints = Endpoints {
        authorization: at("/authorize"),
        token: at("/token"),
        userinfo: at("/me?fields=id,name,email"),
        ..Endpoints::default()
    };
    settings.user.claims = vec!["id".into()];
    settings.scopes = vec!["user".into()];
    settings
}

fn with_protocol(mut settings: Settings, change: impl FnOnce(&mut OAuth2)) -> Settings {
    let Protocol::OAuth2(protocol) = &mut settings.protocol else { unreachable!() };
    change(protocol);
    settings
}

async fn op() -> FakeProvider {
    let op = FakeProvider::start().await;
    op.json("/token", json!({"access_token": "at", "token_type": "bearer"}));
    op.json("/me", json!({"id": 583_231, "login": "octocat", "email": "shown@example.org"}));
    op
}

#[tokio::test]
async fn a_profile_that_names_nobody_is_an_error_that_says_why() {
    let op = op().await;
    let (provider, _) = op.known(settings(&op));
    let any = |status, body: &'static str| Answer::Any { status, headers: vec![], body: body.into() };
    for (answer, text) in [
        (any(500, ""), "it answers with status 500"),
        (any(403, r#"{"message":"Bad credentials"}"#), "it answers with status 403"),
        (any(302, ""), "it redirects"),
        (
            any(400, r#"{"error":{"message":"Invalid appsecret_proof","type":"GraphMethodException","code":100}}"#),
            "it answers with status 400 (`GraphMethodException`)",
        ),
        (any(400, r#"{"error":{"message":"x","type":"<b>"}}"#), "(`unreadable error code`)"),
        (any(200, r#"{"error":"access_denied","id":1}"#), "it answers with status 200 (`access_denied`)"),
        (any(200, "garbage"), "not a JSON object"),
        (any(200, r#"[{"id":1}]"#), "not a JSON object"),
        (any(200, r#"{"id":1,"id":2}"#), "not a JSON object"),
        (any(200, r#"{"login":"octocat"}"#), "its answer has no usable `id`"),
        (any(200, r#"{"id":null}"#), "its answer has no usable `id`"),
        (any(200, r#"{"id":""}"#), "its answer has no usable `id`"),
        (any(200, r#"{"id":1.5}"#), "its answer has no usable `id`"),
        (any(200, r#"{"id":true}"#), "its answer has no usable `id`"),
        (any(200, r#"{"id":["1"]}"#), "its answer has no usable `id`"),
    ] {
        op.answers("/me", answer.clone());
        let error = sign_in(&provider).await.unwrap_err();
        assert!(
            matches!(error, SignInError::Userinfo(_)) && texts(&error).contains(text),
            "{answer:?}: {}",
            texts(&error)
        );
        assert!(!texts(&error).contains("Invalid appsecret_proof"), "sentences of others stay out");
    }
    op.json("/me", json!({"id": "x".repeat(256)}));
    assert!(texts(&sign_in(&provider).await.unwrap_err()).contains("no usable `id`"));
    for (answer, fault) in [
        (json!({"error": "bad_verification_code"}), Fault::Caller),
        (json!({"error": "incorrect_client_credentials"}), Fault::Ours),
        (json!({"error": {"message": "x", "type": "OAuthException"}}), Fault::Provider),
        (json!({"id_token": "a.b.c"}), Fault::Provider),
    ] {
        op.json("/token", answer.clone());
        let before = op.hits("/me");
        assert_eq!((sign_in(&provider).await.unwrap_err().fault(), op.hits("/me")), (fault, before), "{answer}");
    }
}

/// RFC 9207: the one thing a callback may say about itself is compared here too.
#[tokio::test]
async fn a_callback_of_another_issuer_is_refused_without_openid_connect_too() {
    let op = op().await;
    let (provider, _) = op.known(settings(&op));
    let error = provider.sign_in(&secret("c0de"), Some("https://evil"), &secret(VERIFIER), "n").await.unwrap_err();
    assert!(matches!(error, SignInError::Issuer(_)));
    assert_eq!(op.hits("/token"), 0);
    assert!(provider.sign_in(&secret("c0de"), Some(&op.origin), &secret(VERIFIER), "n").await.is_ok());
}

#[tokio::test]
async fn the_subject_is_the_configured_member_of_the_profile() {
    let op = op().await;
    let (provider, _) = op.known(settings(&op));
    for token in [
        Answer::Json(json!({"access_token": "at", "token_type": "bearer", "scope": "user"})),
        Answer::Any { status: 200, headers: vec![], body: "access_token=at&scope=user&token_type=bearer".into() },
    ] {
        op.answers("/token", token);
        let signed_in = sign_in(&provider).await.unwrap();
        assert_eq!((signed_in.user.as_str(), signed_in.subject.as_str()), ("583231", "583231"));
        assert_eq!(signed_in.provider_session, None);
        assert_eq!(signed_in.claims, Claims::new());
    }
    let asked = op.seen("/me").pop().unwrap();
    assert_eq!((asked.query.as_str(), asked.header("authorization")), ("fields=id,name,email", Some("Bearer at")));
    assert_eq!(op.seen("/token").pop().unwrap().form()["code_verifier"], VERIFIER);
    assert_eq!(provider.probe().await.unwrap().usable_keys, None);

    op.json("/me", json!({"id": "10158", "sid": "not from a profile"}));
    let signed_in = sign_in(&provider).await.unwrap();
    assert_eq!((signed_in.subject.as_str(), signed_in.provider_session), ("10158", None));
}

/// T-131.
#[tokio::test]
async fn the_proof_is_made_of_access_token_and_secret() {
    let op = op().await;
    let mut settings = with_protocol(settings(&op), |protocol| protocol.appsecret_proof = true);
    settings.client_secret = Some(secret("key"));
    op.json("/token", json!({"access_token": "The quick brown fox jumps over the lazy dog"}));
    let (provider, _) = op.known(settings);
    assert!(sign_in(&provider).await.is_ok());
    // The well-known example of HMAC-SHA256.
    let proof = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
    assert_eq!(op.seen("/me").pop().unwrap().query, format!("fields=id,name,email&appsecret_proof={proof}"));
}

/// T-136: the address that counts is the one that is primary and verified, whatever the profile shows.
#[tokio::test]
async fn an_email_address_comes_from_the_list_of_them() {
    let op = op().await;
    let endpoint = Url::parse(&format!("{}/emails", op.origin)).unwrap();
    let mut settings = with_protocol(settings(&op), |protocol| protocol.email_endpoint = Some(endpoint));
    let (provider, _) = op.known(settings.clone());
    assert!(sign_in(&provider).await.is_ok());
    assert_eq!(op.hits("/emails"), 0, "nothing depends on it");

    settings.needed_claims.add_whole("email");
    settings.needed_claims.add_whole("email_verified");
    let (provider, _) = op.known(settings.clone());
    let entry =
        |email: &str, primary: bool, verified: bool| json!({"email": email, "primary": primary, "verified": verified});
    let verified = Some("octo@example.org");
    for (list, address) in [
        (json!([]), None),
        (json!([entry("a@example.org", true, false)]), None),
        (json!([entry("a@example.org", false, true)]), None),
        (json!([{"email": "a@example.org"}]), None),
        (json!([entry("a@example.org", false, true), entry("octo@example.org", true, true)]), verified),
    ] {
        op.json("/emails", list.clone());
        let claims = sign_in(&provider).await.unwrap().claims;
        let expected: Claims = match address {
            None => Claims::new(),
            Some(address) => [
                ("email".into(), ClaimValue::One(address.into())),
                ("email_verified".into(), ClaimValue::One("true".into())),
            ]
            .into(),
        };
        assert_eq!(claims, expected, "{list}");
    }
    settings.user.claims = vec!["email".into()];
    let (provider, _) = op.known(settings);
    assert_eq!(sign_in(&provider).await.unwrap().user.as_str(), "octo@example.org");
    op.json("/emails", json!([entry("octo@example.org", true, false)]));
    assert!(matches!(sign_in(&provider).await, Err(SignInError::User(UserError::Missing { .. }))));
    for (answer, text) in [
        (Answer::Json(json!({"message": "no"})), "not a list of addresses"),
        (Answer::Any { status: 404, headers: vec![], body: "{}".into() }, "it answers with status 404"),
    ] {
        op.answers("/emails", answer);
        assert!(texts(&sign_in(&provider).await.unwrap_err()).contains(text));
    }
}
