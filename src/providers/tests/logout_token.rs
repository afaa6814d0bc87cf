//! Tokens that say that somebody is logged out, and tokens that do not.

use super::*;
use crate::providers::jwe::testing::Recipient;

fn claims(op: &FakeProvider) -> Value {
    json!({
        "iss": op.origin, "aud": "us", "iat": NOW.0, "exp": NOW.0 + 120, "jti": "j-1", "sub": "s-1", "sid": "sid-1",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

#[tokio::test]
async fn what_the_provider_did_not_sign_as_a_logout_token_ends_nothing() {
    let (op, signer) = good().await;
    let (provider, _) = op.known(op.settings());
    let good = claims(&op);
    let typed = |typ: &str, claims: &Value| {
        signer.sign_bytes(&json!({"alg": "ES256", "kid": "k1", "typ": typ}), claims.to_string().as_bytes())
    };
    let id_token = signer.sign(&op.claims());
    let access_token = with(op.claims(), &json!({"nonce": null, "scope": "openid", "jti": "j-2", "client_id": "us"}));
    let twice = format!("{},\"jti\":\"j-2\"}}", good.to_string().strip_suffix('}').unwrap());
    for (token, text) in [
        (String::new(), "three parts"),
        ("x".repeat(200_000), "larger than"),
        ("a.b.c.d.e".to_owned(), "it is encrypted"),
        (token_with(&json!({"alg": "none"}), &good, ""), "its algorithm `none`"),
        (token_with(&json!({"alg": "HS256"}), &good, "c2ln"), "its algorithm `HS256`"),
        (Signer::es256("k1").sign(&good), "its signature does not fit"),
        (Signer::es256("k9").sign(&good), "publishes no ES256 key with `kid` `k9`"),
        (typed("at+jwt", &good), "its type is `at+jwt`"),
        (typed("dpop+jwt", &good), "its type is `dpop+jwt`"),
        (typed("secevent+jwt", &good), "its type is `secevent+jwt`"),
        (signer.sign_bytes(&signer.header(), twice.as_bytes()), "its payload is not a JSON object"),
        // What else a provider signs for us.
        (id_token.clone(), "its `events` are not that of a logout"),
        (typed("at+jwt", &access_token), "its type is `at+jwt`"),
        (typed("JWT", &access_token), "its `events` are not that of a logout"),
        (signer.sign(&with(good.clone(), &json!({"nonce": "n"}))), "it has a nonce"),
        (signer.sign(&with(good.clone(), &json!({"aud": "them"}))), "its `aud` is `them`"),
        (signer.sign(&with(good.clone(), &json!({"iss": "https://evil"}))), "its `iss` is `https://evil`"),
        (signer.sign(&with(good.clone(), &json!({"exp": NOW.0 - 60}))), "it expired at"),
    ] {
        let error = provider.logout_token(&token).await.unwrap_err();
        assert!(texts(&error).contains(text), "{token:.60}: {}", texts(&error));
        assert!(token.len() < 20 || !texts(&error).contains(&token[..20]), "no tokens in errors");
    }
    let (plain, _) = op.known(super::oauth2::settings(&op));
    assert!(matches!(plain.logout_token(&signer.sign(&good)).await, Err(LogoutTokenError::Kind(_))));
    op.status("/jwks", 503, "");
    let (down, _) = op.known(op.settings());
    assert!(matches!(down.logout_token(&signer.sign(&good)).await, Err(LogoutTokenError::Unavailable(_))));
}

#[tokio::test]
async fn what_the_provider_signed_says_whose_sessions_end() {
    let (op, signer) = good().await;
    let ours = Recipient::rsa();
    let mut settings = op.settings();
    settings.decryption_keys = vec![ours.key.clone()];
    settings.issuer_aliases = vec!["op.example".to_owned()];
    let (provider, _) = op.known(settings);
    let sign = |header: Value, claims: &Value| {
        signer.sign_bytes(&with(signer.header(), &header), claims.to_string().as_bytes())
    };
    let good = claims(&op);
    let header = json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT"});
    for token in [
        sign(json!({"typ": "logout+jwt"}), &good),
        sign(json!({"typ": null}), &good),
        sign(json!({}), &good),
        sign(json!({"typ": "logout+jwt"}), &with(good.clone(), &json!({"iss": "op.example"}))),
        ours.encrypt(header, sign(json!({"typ": "logout+jwt"}), &good).as_bytes()),
    ] {
        let told = provider.logout_token(&token).await.unwrap();
        assert_eq!((told.issuer.as_str(), told.id.as_str()), (op.origin.as_str(), "j-1"));
        assert_eq!((told.subject.as_deref(), told.provider_session.as_deref()), (Some("s-1"), Some("sid-1")));
        assert_eq!((told.issued, told.expires.0), (NOW, NOW.0 + 180));
    }
}

/// Whatever its type says: neither at a sign-in nor as a token of a program.
#[tokio::test]
async fn a_logout_token_signs_nobody_in() {
    let (op, signer) = good().await;
    let mut settings = op.settings();
    settings.nonce = false;
    let trusting = Bearer {
        audiences: ["us".into()].into(),
        plain_jwt: true,
        id_tokens: true,
        ..testing::bearer(BearerMethod::Jwt)
    };
    settings.bearer = Some(trusting);
    let (provider, _) = op.known(settings);
    let logout = claims(&op);
    for (header, text) in [
        (json!({"typ": "logout+jwt"}), "its type is `logout+jwt`"),
        (json!({"typ": "JWT"}), "its type is `logout+jwt`"),
        (json!({"typ": null}), "its type is `logout+jwt`"),
        (json!({"typ": "at+jwt"}), "its type is"),
    ] {
        let token = signer.sign_bytes(&with(signer.header(), &header), logout.to_string().as_bytes());
        op.gives(&token);
        let error = sign_in(&provider).await.unwrap_err();
        assert!(texts(&error).contains(text), "{header}: {}", texts(&error));
        let error = provider.vouch(&secret(&token)).await.unwrap_err();
        assert!(texts(&error).contains("its type is `logout+jwt`"), "{header}: {}", texts(&error));
    }
    // It is the event that makes the difference.
    let token = signer.sign(&with(logout, &json!({"events": null})));
    op.gives(&token);
    assert!(sign_in(&provider).await.is_ok());
    assert!(provider.vouch(&secret(&token)).await.is_ok());
}
