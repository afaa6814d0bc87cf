//! Black boxes: what is asked, and what an answer is (T-089, T-133).

use super::{
    testing::{bearer, opened},
    *,
};
use IntrospectionProtocol::{Standard, Tokeninfo, ValidateBearer};

pub(super) const TOKEN: &str = "b1ack b0x+/=&x=y";

/// A client that asks by `protocol`.
pub(super) fn settings(op: &FakeProvider, protocol: IntrospectionProtocol) -> Settings {
    let mut settings = op.settings();
    settings.endpoints.introspection = Some(Url::parse(&format!("{}/introspect", op.origin)).unwrap());
    settings.bearer = Some(Bearer { introspection: Some(protocol), ..bearer(BearerMethod::Introspection) });
    settings
}

fn path(protocol: IntrospectionProtocol) -> &'static str {
    match protocol {
        Standard | Tokeninfo => "/introspect",
        ValidateBearer => "/token",
    }
}

/// How the provider says `claims` of a token that expires in five minutes.
pub(super) fn says(op: &FakeProvider, protocol: IntrospectionProtocol, claims: &Value) {
    let answer = match protocol {
        Standard => with(json!({"active": true, "exp": NOW.0 + 300}), claims),
        Tokeninfo => with(json!({"exp": (NOW.0 + 300).to_string(), "expires_in": "300"}), claims),
        ValidateBearer => {
            json!({"access_token": claims, "expires_in": 300, "token_type": "urn:pingidentity.com:oauth2:validated_token"})
        }
    };
    op.json(path(protocol), answer);
}

pub(super) async fn vouch(provider: &Provider) -> Result<Vouched, BearerError> {
    provider.vouch(&secret(TOKEN)).await
}

/// The error in full, which gives nothing away.
pub(super) fn harmless(error: &BearerError) -> String {
    let texts = texts(error);
    for text in [&texts, &format!("{error:?}")] {
        for hidden in [TOKEN, "b1ack", "s3cr3t", "in the answer"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
    texts
}

fn any(status: u16, body: &'static str) -> Answer {
    Answer::Any { status, headers: vec![("content-type", "application/json")], body: body.into() }
}

#[tokio::test]
async fn what_only_looks_like_active_is_not() {
    let op = FakeProvider::start().await;
    for (protocol, answer) in [
        (Standard, json!({"active": false})),
        (Standard, json!({"active": false, "sub": "s-1", "aud": "api", "exp": NOW.0 + 300})),
        (Standard, json!({"active": "true", "sub": "s-1", "aud": "api"})),
        (Standard, json!({"active": "in the answer", "sub": "s-1", "aud": "api"})),
        (Standard, json!({"active": 1, "sub": "s-1", "aud": "api"})),
        (Standard, json!({"active": [true], "sub": "s-1", "aud": "api"})),
        (Standard, json!({"active": {"value": true}, "sub": "s-1", "aud": "api"})),
        (Standard, json!({"active": null, "sub": "s-1", "aud": "api"})),
        (Standard, json!({"Active": true, "sub": "s-1", "aud": "api"})),
        (Standard, json!({"sub": "s-1", "aud": "api", "exp": NOW.0 + 300})),
        (Standard, json!({"active": false, "error": "invalid_client"})),
        (Standard, json!({})),
        (Tokeninfo, json!({"active": false, "sub": "s-1", "aud": "api", "exp": (NOW.0 + 300).to_string()})),
        (Tokeninfo, json!({"sub": "s-1", "aud": "api", "expires_in": "0"})),
        (Tokeninfo, json!({"sub": "s-1", "aud": "api", "expires_in": "-1"})),
        (ValidateBearer, json!({"active": "true", "access_token": {"sub": "s-1", "aud": "api"}, "expires_in": 300})),
        (ValidateBearer, json!({"access_token": {"sub": "s-1", "aud": "api"}, "expires_in": 0})),
        (ValidateBearer, json!({"access_token": {"sub": "s-1", "aud": "api"}, "expires_in": -1e300})),
    ] {
        op.json(path(protocol), answer.clone());
        let (provider, _) = op.known(settings(&op, protocol));
        let error = vouch(&provider).await.unwrap_err();
        assert!(matches!(error, BearerError::Refused(BearerRefusal::Inactive)), "{answer}: {}", harmless(&error));
    }
}

/// A caller can do nothing about our credentials, nor the operator about a caller's token.
#[tokio::test]
async fn a_refusal_is_about_the_token_or_about_us_or_about_neither() {
    let op = FakeProvider::start().await;
    let inactive = "the token is not accepted: the provider says that it is not active";
    let ours = |code: &str| format!("the provider refuses this gateway as a client (`{code}`)");
    let neither = |endpoint: &str, why: &str| format!("the {endpoint} endpoint gave no usable answer: {why}");
    for (protocol, answer, text) in [
        (Standard, any(400, r#"{"error":"invalid_token","error_description":"in the answer"}"#), inactive.to_owned()),
        (Standard, any(401, r#"{"error":"invalid_client"}"#), ours("invalid_client")),
        (Standard, any(400, r#"{"error":"invalid_client"}"#), ours("invalid_client")),
        (Standard, any(200, r#"{"error":"invalid_client"}"#), ours("invalid_client")),
        (Standard, any(400, r#"{"error":"unauthorized_client"}"#), ours("unauthorized_client")),
        (Standard, any(403, r#"{"error":"access_denied"}"#), ours("access_denied")),
        (Standard, any(401, r#"{"error":"invalid_request"}"#), ours("invalid_request")), // Keycloak
        (Standard, any(403, r#"{"error":"invalid_request"}"#), ours("invalid_request")), // the same
        (Standard, any(401, r#"{"error":"invalid_token"}"#), ours("invalid_token")), // RFC 7662 §2.3: our credentials
        (Standard, any(401, r#"{"error":"in the answer"}"#), ours("unreadable error code")),
        (Standard, any(401, ""), ours("HTTP-401")),
        (Standard, any(401, "<html>"), ours("HTTP-401")),
        (Standard, any(401, r#"{"message":"in the answer"}"#), ours("HTTP-401")),
        (Standard, any(401, r#"{"in the answer"#), ours("HTTP-401")),
        (Standard, any(403, "<html>"), neither("introspection", "it answers with status 403")),
        (Standard, any(404, r#"{"message":"in the answer"}"#), neither("introspection", "it answers with status 404")),
        (
            Standard,
            any(400, r#"{"error":"invalid_request"}"#),
            neither("introspection", "it does not answer (`invalid_request`)"),
        ),
        (Standard, any(429, r#"{"error":"slow_down"}"#), neither("introspection", "it does not answer (`slow_down`)")),
        (Tokeninfo, any(400, r#"{"error":"invalid_token","error_description":"Invalid Value"}"#), inactive.to_owned()),
        (Tokeninfo, any(400, r#"{"error_description":"Invalid Value"}"#), inactive.to_owned()),
        (Tokeninfo, any(401, r#"{"error":"invalid_token"}"#), inactive.to_owned()),
        (Tokeninfo, any(400, r#"{"error":"quota"}"#), neither("introspection", "it does not answer (`quota`)")),
        (
            Tokeninfo,
            any(403, r#"{"error_description":"in the answer"}"#),
            neither("introspection", "it answers with status 403"),
        ),
        (Tokeninfo, any(401, ""), neither("introspection", "it answers with status 401")),
        (ValidateBearer, any(400, r#"{"error":"invalid_grant"}"#), inactive.to_owned()),
        (ValidateBearer, any(400, r#"{"error":"invalid_token"}"#), inactive.to_owned()),
        (ValidateBearer, any(401, r#"{"error":"invalid_client"}"#), ours("invalid_client")),
        (ValidateBearer, any(400, r#"{"error":"unsupported_grant_type"}"#), ours("unsupported_grant_type")),
        (ValidateBearer, any(401, ""), ours("HTTP-401")),
        (
            ValidateBearer,
            any(400, r#"{"error":"server_error"}"#),
            neither("token", "it does not answer (`server_error`)"),
        ),
    ] {
        op.answers(path(protocol), answer.clone());
        let (provider, _) = op.known(settings(&op, protocol));
        assert_eq!(harmless(&vouch(&provider).await.unwrap_err()), text, "{protocol:?} {answer:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_misbehaves_refuses_nobody_and_admits_nobody() {
    let op = FakeProvider::start().await;
    let large = format!(r#"{{"active":true,"sub":"s-1","aud":"api","x":"{}"}}"#, "x".repeat(1 << 20));
    let jwt = Signer::es256("k1").sign(&json!({"iss": op.origin, "token_introspection": {"active": true}}));
    let signed = vec![("content-type", "application/token-introspection+jwt")];
    let all = [
        (Answer::Never, "no whole answer within 300 ms"),
        (Answer::Stalls, "no whole answer within 300 ms"),
        (Answer::Any { status: 200, headers: vec![], body: large.into() }, "the answer is larger than 262144 bytes"),
        (any(500, ""), "it answers with status 500"),
        (any(503, r#"{"active":true,"sub":"s-1","aud":"api","error":"invalid_token"}"#), "it answers with status 503"),
        (any(204, ""), "it answers with status 204"),
        (
            Answer::Any { status: 307, headers: vec![("location", "/elsewhere")], body: "".into() },
            "redirects are not followed",
        ),
        (any(200, ""), "not a JSON object"),
        (any(200, "active=true&sub=s-1"), "not a JSON object"),
        (any(200, "[true]"), "not a JSON object"),
        (any(200, r#""in the answer""#), "not a JSON object"),
        (any(200, r#"{"active":false,"active":true,"sub":"s-1"}"#), "not a JSON object"),
        (any(400, r#"{"error":"invalid_token","error":"in the answer"}"#), "not a JSON object"),
        (Answer::Any { status: 200, headers: signed, body: jwt.into() }, "not a JSON object"), // RFC 9701
    ];
    for protocol in [Standard, Tokeninfo, ValidateBearer] {
        let mut settings = settings(&op, protocol);
        settings.limits.timeout = Duration::from_millis(300);
        let (provider, _) = op.known(settings);
        for (answer, text) in &all {
            op.answers(path(protocol), answer.clone());
            let error = vouch(&provider).await.unwrap_err();
            let nobody = matches!(error, BearerError::Endpoint { .. } | BearerError::Answer { .. });
            assert!(nobody && harmless(&error).contains(text), "{protocol:?} {answer:.80?}: {}", harmless(&error));
        }
    }
    assert_eq!(op.hits("/elsewhere"), 0);
    for (protocol, answer, member) in [
        (Tokeninfo, json!({"sub": "s-1", "aud": "api"}), "expires_in"),
        (Tokeninfo, json!({"sub": "s-1", "aud": "api", "exp": "soon", "expires_in": "NaN"}), "expires_in"),
        (ValidateBearer, json!({"access_token": {"sub": "s-1", "exp": NOW.0 + 300}}), "expires_in"),
        (ValidateBearer, json!({"access_token": {"sub": "s-1"}, "expires_in": "inf"}), "expires_in"),
        (ValidateBearer, json!({"access_token": {"sub": "s-1"}, "expires_in": [300]}), "expires_in"),
        (ValidateBearer, json!({"expires_in": 300, "sub": "s-1", "aud": "api"}), "access_token"),
        (ValidateBearer, json!({"access_token": "in the answer", "expires_in": 300}), "access_token"),
    ] {
        op.json(path(protocol), answer.clone());
        let (provider, _) = op.known(settings(&op, protocol));
        let text = harmless(&vouch(&provider).await.unwrap_err());
        assert!(text.ends_with(&format!("its answer has no usable `{member}`")), "{answer}: {text}");
    }
    let mut nowhere = settings(&op, Standard);
    nowhere.endpoints.introspection = None;
    let (provider, _) = op.known(nowhere);
    assert!(matches!(vouch(&provider).await, Err(BearerError::NotOffered("introspection"))));
}

#[tokio::test]
async fn the_token_travels_in_the_body_and_nowhere_else() {
    let op = FakeProvider::start().await;
    for (protocol, form) in [
        (Standard, json!({"token": TOKEN, "token_type_hint": "access_token"})),
        (Tokeninfo, json!({"access_token": TOKEN})),
        (
            ValidateBearer,
            json!({"grant_type": "urn:pingidentity.com:oauth2:grant_type:validate_bearer", "token": TOKEN}),
        ),
    ] {
        says(&op, protocol, &json!({"sub": "s-1", "aud": "api"}));
        let (provider, _) = op.known(settings(&op, protocol));
        assert_eq!(vouch(&provider).await.unwrap().identity.unwrap().user.as_str(), "s-1", "{protocol:?}");
        let seen = op.seen(path(protocol)).pop().unwrap();
        assert_eq!(json!(seen.form()), form);
        assert_eq!(seen.query, "");
        let basic = format!("Basic {}", STANDARD.encode("us:s3cr3t"));
        let authorization = (protocol != Tokeninfo).then_some(basic.as_str());
        assert_eq!(seen.header("authorization"), authorization, "{protocol:?}");
        for (name, value) in &seen.headers {
            assert!(!value.to_str().unwrap().contains("b1ack"), "{name}");
        }
    }
}

#[tokio::test]
async fn we_show_who_we_are_in_every_way_there_is() {
    let (op, ours) = (FakeProvider::start().await, Signer::es256("ours"));
    for protocol in [Standard, ValidateBearer] {
        says(&op, protocol, &json!({"sub": "s-1", "aud": "api"}));
        for method in [ClientAuth::Basic, ClientAuth::Post, ClientAuth::PrivateKeyJwt, ClientAuth::MintedSecret] {
            let mut settings = settings(&op, protocol);
            settings.client_auth = Some(method);
            settings.client_key = Some(ClientKey {
                pem: ours.pem(),
                algorithm: ours.algorithm,
                id: None,
                x5t: None,
                issuer: None,
                audience: None,
            });
            let (provider, _) = op.known(settings);
            assert!(vouch(&provider).await.is_ok());
            let seen = op.seen(path(protocol)).pop().unwrap();
            let form = seen.form();
            let found = |name: &str| form.get(name).map(String::as_str);
            assert_eq!(found("token"), Some(TOKEN));
            assert_eq!(seen.header("authorization").is_some(), method == ClientAuth::Basic);
            assert_eq!(found("client_id"), (method != ClientAuth::Basic).then_some("us"));
            let audience = |token: &str| opened(&ours, token).1["aud"].clone();
            match method {
                ClientAuth::Basic => assert_eq!((found("client_secret"), found("client_assertion")), (None, None)),
                ClientAuth::Post => {
                    assert_eq!((found("client_secret"), found("client_assertion")), (Some("s3cr3t"), None))
                }
                ClientAuth::PrivateKeyJwt => {
                    assert_eq!(found("client_secret"), None);
                    assert_eq!(audience(&form["client_assertion"]), json!(format!("{}/token", op.origin)));
                }
                ClientAuth::MintedSecret => assert_eq!(audience(&form["client_secret"]), json!(op.origin)),
            }
        }
    }
}

/// T-133: what stands in the token, and what the server says of it.
#[tokio::test]
async fn pings_answer_has_the_claims_in_it() {
    let op = FakeProvider::start().await;
    let (provider, _) = op.known(settings(&op, ValidateBearer));
    for (answer, scopes, audience, good_until) in [
        (
            json!({
                "access_token": {"sub": "s-1", "client_id": "them", "scope": "admin", "exp": NOW.0 + 9_000},
                "client_id": "us", "scope": "read write", "expires_in": "59.9", "token_type": "urn:x",
            }),
            &["read", "write"][..],
            Audience::OurClient,
            59,
        ),
        (
            json!({"access_token": {"sub": "s-1", "aud": ["api", "b"], "scope": "in"}, "scope": ["read"], "expires_in": 7199}),
            &["read"],
            Audience::Named { named: ["api".into(), "b".into()].into(), accepted: Arc::default() },
            60,
        ),
        (
            json!({"access_token": {"sub": "s-1", "client_id": "us", "scope": "in"}, "expires_in": 60}),
            &["in"],
            Audience::OurClient,
            60,
        ),
    ] {
        op.json("/token", answer.clone());
        let vouched = vouch(&provider).await.unwrap();
        assert_eq!(vouched.identity.unwrap().user.as_str(), "s-1");
        assert_eq!(vouched.scopes, scopes.iter().map(|scope| (*scope).into()).collect(), "{answer}");
        assert_eq!((vouched.audience, vouched.good_until), (audience, NOW.plus(Duration::from_secs(good_until))));
    }
    // Another client outside, ours only inside.
    op.json(
        "/token",
        json!({"access_token": {"sub": "s-1", "client_id": "us"}, "client_id": "them", "expires_in": 60}),
    );
    let error = vouch(&provider).await.unwrap_err();
    assert!(matches!(error, BearerError::Refused(BearerRefusal::Missing(_))), "{}", harmless(&error));
}

#[tokio::test]
async fn googles_answer_is_made_of_texts() {
    let op = FakeProvider::start().await;
    let mut settings = settings(&op, Tokeninfo);
    settings.bearer.as_mut().unwrap().audiences = ["us".into()].into();
    settings.user.claims = vec!["email".into()];
    settings.needed_claims.add_whole("email_verified");
    let (provider, _) = op.known(settings);
    let google = json!({
        "azp": "us", "aud": "us", "sub": "110169484474386276334", "scope": "openid https://www.googleapis.com/auth/userinfo.email",
        "exp": (NOW.0 + 30).to_string(), "expires_in": "30", "email": "ada@example.org", "email_verified": "true",
        "access_type": "online",
    });
    for (changes, good_until) in [
        (json!({}), Ok(30)),
        (json!({"exp": null}), Ok(30)),
        (json!({"exp": null, "expires_in": 3599}), Ok(60)),
        (json!({"expires_in": null}), Ok(30)),
        (json!({"exp": NOW.0 + 31}), Ok(31)),
        (json!({"exp": "1e300", "expires_in": null}), Err("its `exp` is malformed")),
        (json!({"exp": null, "expires_in": "1e300"}), Err("its `exp` is malformed")),
        (json!({"exp": (NOW.0 - 60).to_string()}), Err("it expired at 1799999940, it is 1800000000")),
    ] {
        op.json("/introspect", with(google.clone(), &changes));
        match (vouch(&provider).await, good_until) {
            (Ok(vouched), Ok(seconds)) => {
                assert_eq!(vouched.good_until, NOW.plus(Duration::from_secs(seconds)), "{changes}");
                assert_eq!(vouched.identity.unwrap().user.as_str(), "ada@example.org");
                let (named, accepted) = (["us".into()].into(), Arc::new(["us".into()].into()));
                assert_eq!(vouched.audience, Audience::Named { named, accepted });
                assert_eq!(vouched.scopes.len(), 2);
            }
            (Err(error), Err(text)) => assert!(harmless(&error).ends_with(text), "{changes}: {}", harmless(&error)),
            (found, expected) => panic!("{changes}: {found:?}, not {expected:?}"),
        }
    }
    op.json("/introspect", with(google, &json!({"email_verified": "false"})));
    let nobody = vouch(&provider).await.unwrap().identity.unwrap_err();
    assert_eq!(nobody, Nameless::User(UserError::UnverifiedEmail));
}
