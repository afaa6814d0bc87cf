//! Black boxes that are good when userinfo says whose they are, and what userinfo adds to others.

use super::{
    bearer_introspection::{harmless, vouch},
    testing::bearer,
    *,
};

/// Any audience: userinfo does not say whom a token is for.
fn rules() -> Bearer {
    Bearer { insecure_any_audience: true, ..bearer(BearerMethod::Userinfo) }
}

fn any(status: u16, body: &'static str) -> Answer {
    Answer::Any { status, headers: vec![], body: body.into() }
}

fn jwt(token: String) -> Answer {
    Answer::Any { status: 200, headers: vec![("content-type", "application/jwt")], body: token.into() }
}

const INACTIVE: &str = "the token is not accepted: the provider says that it is not active";

fn unusable(why: &str) -> String {
    format!("the userinfo endpoint gave no usable answer: {why}")
}

#[tokio::test]
async fn a_refusal_of_userinfo_is_about_the_token_and_a_failure_is_not() {
    let (op, signer) = good().await;
    let mut settings = Settings { bearer: Some(rules()), ..op.settings() };
    settings.limits.timeout = Duration::from_millis(300);
    let (provider, _) = op.known(settings.clone());
    let claims = json!({"sub": "s-1", "iss": op.origin, "aud": "us"});
    let signed = |changes: Value| jwt(signer.sign(&with(claims.clone(), &changes)));
    let large = format!(r#"{{"sub":"s-1","x":"{}"}}"#, "x".repeat(1 << 20));
    for (answer, text) in [
        (any(401, ""), INACTIVE.to_owned()),
        (any(401, r#"{"error":"server_error"}"#), INACTIVE.to_owned()),
        (any(403, r#"{"error":"invalid_token","error_description":"in the answer"}"#), INACTIVE.to_owned()),
        (any(403, r#"{"error":"insufficient_scope"}"#), INACTIVE.to_owned()),
        (any(400, r#"{"error":"invalid_token"}"#), INACTIVE.to_owned()),
        (any(403, ""), unusable("it answers with status 403")),
        (any(403, r#"{"message":"in the answer"}"#), unusable("it answers with status 403")),
        (any(400, r#"{"error":"invalid_request"}"#), unusable("it answers with status 400 (`invalid_request`)")),
        (any(400, r#"{"error":"in the answer"}"#), unusable("it answers with status 400 (`unreadable error code`)")),
        (any(404, r#"{"error":"invalid_token"}"#), unusable("it answers with status 404 (`invalid_token`)")),
        (any(429, r#"{"error":"slow_down"}"#), unusable("it answers with status 429 (`slow_down`)")),
        (any(500, r#"{"error":"invalid_token"}"#), unusable("it answers with status 500")),
        (any(503, ""), unusable("it answers with status 503")),
        (any(204, ""), unusable("it answers with status 204")),
        (any(302, ""), unusable("it redirects (status 302), and redirects are not followed")),
        (Answer::Never, unusable("no whole answer within 300 ms")),
        (Answer::Stalls, unusable("no whole answer within 300 ms")),
        (
            Answer::Any { status: 200, headers: vec![], body: large.into() },
            unusable("the answer is larger than 262144 bytes"),
        ),
        (any(200, "in the answer"), unusable("it answers with something that is not a JSON object")),
        (any(200, r#"{"sub":"s-1","sub":"s-2"}"#), unusable("it answers with something that is not a JSON object")),
        (any(200, "{}"), unusable("its answer has no usable `sub`")),
        (any(200, r#"{"sub":""}"#), unusable("its answer has no usable `sub`")),
        (any(200, r#"{"sub":7}"#), unusable("its answer has no usable `sub`")),
        (any(200, r#"{"sub":null,"error":"invalid_token"}"#), unusable("its answer has no usable `sub`")),
        (
            jwt(Signer::es256("k1").sign(&claims)),
            unusable("it answers with a JWT that cannot be trusted: its signature does not fit the provider's keys"),
        ),
        (
            jwt(token_with(&json!({"alg": "none"}), &claims, "")),
            unusable(
                "it answers with a JWT that cannot be trusted: its algorithm `none` is not among the accepted ones",
            ),
        ),
        (signed(json!({"iss": "https://evil"})), unusable("it answers with a JWT whose `iss` does not fit")),
        (signed(json!({"aud": "them"})), unusable("it answers with a JWT whose `aud` does not fit")),
        (signed(json!({"exp": NOW.0 - 60})), unusable("it answers with a JWT whose `exp` does not fit")),
        (signed(json!({"sub": null})), unusable("its answer has no usable `sub`")),
    ] {
        op.answers("/userinfo", answer.clone());
        assert_eq!(harmless(&vouch(&provider).await.unwrap_err()), text, "{answer:.100?}");
    }
    for answer in [any(200, r#"{"sub":"s-1"}"#), signed(json!({}))] {
        op.answers("/userinfo", answer.clone());
        let vouched = vouch(&provider).await.unwrap();
        assert_eq!(vouched.identity.unwrap().user.as_str(), "s-1");
        assert_eq!((vouched.audience, vouched.good_until), (Audience::Any, NOW.plus(Duration::from_secs(60))));
    }
    let asked = op.seen("/userinfo").pop().unwrap();
    assert_eq!((asked.header("authorization"), asked.query.as_str()), (Some("Bearer b1ack b0x+/=&x=y"), ""));

    // What no header can carry is asked about nowhere.
    let before = op.hits("/userinfo");
    let error = provider.vouch(&secret("b1ack\nb0x")).await.unwrap_err();
    assert_eq!((harmless(&error).as_str(), op.hits("/userinfo")), (INACTIVE, before));

    op.metadata_with(&json!({"userinfo_endpoint": null}));
    let (provider, _) = op.known(settings.clone());
    assert!(matches!(vouch(&provider).await, Err(BearerError::NotOffered("userinfo"))));
    op.status("/.well-known/openid-configuration", 500, "");
    let (provider, _) = op.known(settings);
    assert!(matches!(vouch(&provider).await, Err(BearerError::Unavailable(_))));
}

/// A signed answer needs keys; without them nobody knows anything of the token.
#[tokio::test]
async fn without_keys_a_signed_answer_refuses_nobody() {
    let (op, signer) = good().await;
    op.answers("/userinfo", jwt(signer.sign(&json!({"sub": "s-1"}))));
    op.status("/jwks", 500, "");
    let (provider, _) = op.known(Settings { bearer: Some(rules()), ..op.settings() });
    assert!(matches!(vouch(&provider).await, Err(BearerError::Unavailable(_))));
}

/// T-131, T-136: plain OAuth 2.0.
#[tokio::test]
async fn a_profile_says_whose_a_token_is() {
    let op = FakeProvider::start().await;
    let inactive = INACTIVE.to_owned();
    let facebook = |proof: bool| {
        let mut settings = oauth2::settings(&op);
        let Protocol::OAuth2(protocol) = &mut settings.protocol else { unreachable!() };
        protocol.appsecret_proof = proof;
        // The proof says whose token it is; without it everybody's would count.
        settings.bearer = Some(Bearer { insecure_any_audience: !proof, ..rules() });
        settings
    };
    let exception = r#"{"error":{"message":"in the answer","type":"OAuthException","code":190}}"#;
    let other_app = r#"{"error":{"message":"Invalid appsecret_proof","type":"GraphMethodException","code":100}}"#;
    for (proof, answer, text) in [
        (false, any(401, r#"{"message":"in the answer"}"#), inactive.clone()), // GitHub
        (false, any(401, ""), inactive.clone()),
        (false, any(401, r#"{"error":"access_denied"}"#), inactive.clone()),
        (true, any(400, exception), inactive.clone()),
        (true, any(400, other_app), inactive.clone()),
        (false, any(400, other_app), unusable("it answers with status 400 (`GraphMethodException`)")),
        (true, any(500, exception), unusable("it answers with status 500 (`OAuthException`)")),
        (true, any(403, exception), unusable("it answers with status 403 (`OAuthException`)")),
        (false, any(403, r#"{"message":"rate limit"}"#), unusable("it answers with status 403")),
        (false, any(500, ""), unusable("it answers with status 500")),
        (
            false,
            any(200, r#"{"error":"in the answer","id":1}"#),
            unusable("it answers with status 200 (`unreadable error code`)"),
        ),
        (false, any(200, "in the answer"), unusable("it answers with something that is not a JSON object")),
        (false, any(200, r#"{"sub":"s-1"}"#), unusable("its answer has no usable `id`")),
        (false, any(200, r#"{"id":""}"#), unusable("its answer has no usable `id`")),
        (false, any(200, r#"{"id":1.5}"#), unusable("its answer has no usable `id`")),
    ] {
        op.answers("/me", answer.clone());
        let (provider, _) = op.known(facebook(proof));
        assert_eq!(harmless(&vouch(&provider).await.unwrap_err()), text, "{proof} {answer:?}");
    }
    op.json("/me", json!({"id": 583_231, "sub": "somebody else", "name": "Ada"}));
    for (proof, audience) in [(false, Audience::Any), (true, Audience::OurClient)] {
        let mut settings = facebook(proof);
        settings.user.claims = vec!["sub".into()];
        let (provider, _) = op.known(settings.clone());
        let vouched = vouch(&provider).await.unwrap();
        assert_eq!((vouched.identity.unwrap().user.as_str(), vouched.audience), ("583231", audience), "{proof}");
        assert_eq!(op.seen("/me").pop().unwrap().query.contains("&appsecret_proof="), proof);
        // Our own client is one that has to be among those that count.
        for (client, ok) in [("us", proof), ("them", false)] {
            settings.bearer.as_mut().unwrap().clients = [client.into()].into();
            let (provider, _) = op.known(settings.clone());
            assert_eq!(vouch(&provider).await.is_ok(), ok, "{proof} {client}");
        }
    }
    // Without proof and without anybody's word, a profile does not say whom a token is for.
    let mut settings = facebook(false);
    settings.bearer = Some(bearer(BearerMethod::Userinfo));
    let (provider, _) = op.known(settings);
    assert!(harmless(&vouch(&provider).await.unwrap_err()).contains("it has no `aud`"));
}

/// What a token leaves open, userinfo may say: of the same subject, and only where that is configured.
#[tokio::test]
async fn userinfo_completes_a_token_of_the_same_subject_and_no_other() {
    let (op, signer) = good().await;
    let mut settings = Settings { bearer: Some(bearer(BearerMethod::Jwt)), ..op.settings() };
    settings.user.claims = vec!["name".into()];
    let header = with(signer.header(), &json!({"typ": "at+jwt"}));
    let token = |changes: Value| {
        let claims = with(json!({"iss": op.origin, "sub": "s-1", "aud": "api", "exp": NOW.0 + 300}), &changes);
        secret(&signer.sign_bytes(&header, claims.to_string().as_bytes()))
    };
    let missing = || Err(Nameless::User(UserError::Missing { claim: "name".into() }));
    op.json("/userinfo", json!({"sub": "s-1", "name": "Ada", "aud": "them", "scope": "admin", "exp": 1}));
    let (provider, _) = op.known(settings.clone());
    assert_eq!(provider.vouch(&token(json!({}))).await.unwrap().identity, missing());
    assert_eq!(op.hits("/userinfo"), 0, "only where that is configured");

    settings.bearer.as_mut().unwrap().userinfo_fallback = true;
    let (provider, _) = op.known(settings.clone());
    let vouched = provider.vouch(&token(json!({}))).await.unwrap();
    assert_eq!(vouched.identity.unwrap().user.as_str(), "Ada");
    assert_eq!(vouched.good_until, NOW.plus(Duration::from_secs(300)), "of the token userinfo says nothing");
    assert!(vouched.scopes.is_empty() && vouched.audience != Audience::Any);
    let shown = op.seen("/userinfo").pop().unwrap().header("authorization").map(str::to_owned).unwrap();
    assert!(shown.starts_with(&format!("Bearer {}.", token(json!({})).expose().split('.').next().unwrap())));

    let hits = op.hits("/userinfo");
    let vouched = provider.vouch(&token(json!({"name": "Ada L."}))).await.unwrap();
    assert_eq!((vouched.identity.unwrap().user.as_str(), op.hits("/userinfo")), ("Ada L.", hits), "nothing is open");
    let vouched = provider.vouch(&token(json!({"sub": null}))).await.unwrap();
    assert_eq!((vouched.identity, op.hits("/userinfo")), (missing(), hits), "nobody to compare with");

    for (answer, text) in [
        (any(200, r#"{"sub":"s-2","name":"Eve"}"#), unusable("its answer is about another `sub` than the token")),
        (any(200, r#"{"sub":"S-1","name":"Eve"}"#), unusable("its answer is about another `sub` than the token")),
        (any(200, r#"{"sub":"","name":"Eve"}"#), unusable("its answer has no usable `sub`")),
        (any(200, r#"{"name":"Eve"}"#), unusable("its answer has no usable `sub`")),
        (any(200, "Eve"), unusable("it answers with something that is not a JSON object")),
        (any(500, ""), unusable("it answers with status 500")),
        (any(401, ""), INACTIVE.to_owned()), // revoked, although its signature is good
    ] {
        op.answers("/userinfo", answer.clone());
        let error = provider.vouch(&token(json!({}))).await.unwrap_err();
        assert_eq!(harmless(&error), text, "{answer:?}");
        assert!(!format!("{error:?}").contains(token(json!({})).expose().split('.').next().unwrap()));
    }
    // The same of a black box that introspection knows.
    let mut settings = Settings {
        user: settings.user.clone(),
        ..bearer_introspection::settings(&op, IntrospectionProtocol::Standard)
    };
    settings.bearer.as_mut().unwrap().userinfo_fallback = true;
    let (provider, _) = op.known(settings);
    op.json("/introspect", json!({"active": true, "sub": "s-1", "aud": "api"}));
    op.json("/userinfo", json!({"sub": "s-2", "name": "Eve"}));
    assert!(harmless(&vouch(&provider).await.unwrap_err()).contains("another `sub`"));
    op.json("/userinfo", json!({"sub": "s-1", "name": "Ada"}));
    assert_eq!(vouch(&provider).await.unwrap().identity.unwrap().user.as_str(), "Ada");
}

/// An ID token opens no endpoint: what it leaves open stays open.
#[tokio::test]
async fn userinfo_is_not_asked_with_an_id_token() {
    let (op, signer) = good().await;
    op.status("/userinfo", 401, "");
    let rules = Bearer { id_tokens: true, userinfo_fallback: true, ..bearer(BearerMethod::Jwt) };
    let mut settings = Settings { bearer: Some(rules), ..op.settings() };
    settings.needed_claims.add_whole("name");
    let (provider, _) = op.known(settings);
    let vouched = provider.vouch(&secret(&signer.sign(&op.claims()))).await.unwrap();
    assert_eq!(vouched.identity.unwrap().user.as_str(), "s-1");
    assert_eq!(op.hits("/userinfo"), 0);
}
