//! A session's provider is asked again (T-091, T-092).

use super::*;
use crate::{
    clock::UnixTime,
    grant::{AccessToken, Grant},
    identity::ClaimValue,
    providers::jwe::testing::Recipient,
};

/// What a session got at its sign-in, whose ID token has expired since.
fn grant(id_token: &str) -> Grant {
    Grant {
        refresh_token: Some(secret("rt-1")),
        id_token: Some(secret(id_token)),
        access_token: Some(AccessToken { token: secret("at-1"), expires: None }),
    }
}

fn old_token(op: &FakeProvider, signer: &Signer) -> String {
    signer.sign(&with(op.claims(), &json!({"exp": NOW.0 - 900, "iat": NOW.0 - 1_200, "sid": "sid-1"})))
}

/// Everything that a grant holds.
fn told(grant: &Grant) -> (String, String, String, Option<UnixTime>) {
    let text = |token: &Option<Secret<String>>| token.as_ref().map_or("-".to_owned(), |token| token.expose().clone());
    let access = grant.access_token.clone().unwrap();
    (text(&grant.refresh_token), text(&grant.id_token), access.token.expose().clone(), access.expires)
}

fn any(status: u16, body: &'static str) -> Answer {
    Answer::Any { status, headers: vec![], body: body.into() }
}

#[tokio::test]
async fn only_the_providers_word_ends_a_session() {
    let (op, signer) = good().await;
    let mut settings = op.settings();
    settings.limits.timeout = Duration::from_millis(300);
    let (provider, _) = op.known(settings);
    let old = grant(&old_token(&op, &signer));
    for (answer, ended, text) in [
        (any(400, r#"{"error":"invalid_grant"}"#), true, ""),
        (any(401, r#"{"error":"invalid_grant"}"#), true, ""),
        (any(200, r#"{"error":"invalid_grant","access_token":"at"}"#), true, ""),
        (any(400, r#"{"error":"bad_refresh_token"}"#), true, ""),
        (any(400, r#"{"error":"interaction_required"}"#), true, ""),
        (any(503, r#"{"error":"invalid_grant"}"#), false, "it answers with status 503"),
        (any(500, ""), false, "it answers with status 500"),
        (any(429, "slow down"), false, "it answers with status 429"),
        (any(404, "not here"), false, "it answers with status 404"),
        (any(302, ""), false, "it redirects"),
        (any(200, "<html>"), false, "is not a JSON object"),
        (any(200, "{}"), false, "has no access token"),
        (any(200, r#"{"access_token":"a","access_token":"b"}"#), false, "is not a JSON object"),
        (any(401, r#"{"error":"invalid_client"}"#), false, "`invalid_client`"),
        (any(400, r#"{"error":"unauthorized_client"}"#), false, "`unauthorized_client`"),
        (any(400, r#"{"error":"temporarily_unavailable"}"#), false, "`temporarily_unavailable`"),
        (any(400, r#"{"error":"<b>invalid_grant"}"#), false, "`unreadable error code`"),
        (Answer::Never, false, "no whole answer within 300 ms"),
        (Answer::Stalls, false, "no whole answer within 300 ms"),
    ] {
        op.answers("/token", answer.clone());
        let error = provider.refresh(&old).await.unwrap_err();
        assert_eq!(matches!(error, RefreshError::Ended), ended, "{answer:?}: {}", texts(&error));
        assert!(ended || texts(&error).contains(text), "{answer:?}: {}", texts(&error));
        assert!(!texts(&error).contains("rt-1") && !format!("{error:?}").contains("rt-1"));
    }
    let asked = op.hits("/token");
    let without = Grant { refresh_token: None, ..old.clone() };
    assert!(matches!(provider.refresh(&without).await, Err(RefreshError::NoToken)));
    assert_eq!(op.hits("/token"), asked, "nobody is asked");

    op.status("/.well-known/openid-configuration", 503, "");
    let (down, _) = op.known(op.settings());
    let error = down.refresh(&old).await.unwrap_err();
    assert!(matches!(&error, RefreshError::Unknown(SignInError::Unavailable(_))), "{}", texts(&error));
}

/// RFC 6749 §6: as for the code.
#[tokio::test]
async fn we_ask_as_we_are_registered() {
    let (op, signer) = good().await;
    let old = grant(&old_token(&op, &signer));
    let basic = format!("Basic {}", STANDARD.encode("us:s3cr3t"));
    for (auth, has_secret, header) in [
        (None, true, Some(&*basic)),
        (Some(ClientAuth::Basic), true, Some(&*basic)),
        (Some(ClientAuth::Post), true, None),
        (None, false, None),
    ] {
        let mut settings = op.settings();
        settings.client_auth = auth;
        settings.client_secret = has_secret.then(|| secret("s3cr3t"));
        let (provider, _) = op.known(settings);
        assert!(provider.refresh(&old).await.is_ok());
        let seen = op.seen("/token").pop().unwrap();
        let form = seen.form();
        assert_eq!((&*form["grant_type"], &*form["refresh_token"]), ("refresh_token", "rt-1"));
        assert_eq!(seen.header("authorization"), header, "{auth:?}");
        let posted = form.get("client_secret").map(String::as_str);
        assert_eq!(posted, (auth == Some(ClientAuth::Post)).then_some("s3cr3t"), "{auth:?}");
        assert_eq!(form.contains_key("client_id"), header.is_none());
        for name in ["code", "redirect_uri", "code_verifier", "scope"] {
            assert!(!form.contains_key(name), "{name}");
        }
    }

    let mut settings = op.settings();
    settings.client_secret = None;
    settings.client_key = Some(ClientKey {
        pem: signer.pem(),
        algorithm: signer.algorithm,
        id: None,
        x5t: None,
        issuer: None,
        audience: None,
    });
    let (provider, _) = op.known(settings);
    assert!(provider.refresh(&old).await.is_ok());
    let form = op.seen("/token").pop().unwrap().form();
    assert!(form.contains_key("client_assertion") && form["client_assertion_type"].ends_with("jwt-bearer"));
}

/// OpenID Connect Core §12.2: what is wrong with an ID token says nothing about anybody, and such a one is not kept.
#[tokio::test]
async fn an_id_token_that_cannot_be_trusted_changes_nothing() {
    let (op, signer) = good().await;
    let (provider, _) = op.known(op.settings());
    let old = old_token(&op, &signer);
    let forged = Signer::es256("k1").sign(&op.claims());
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for (token, text) in [
        (forged, "its signature does not fit"),
        (token_with(&json!({"alg": "none"}), &op.claims(), ""), "its algorithm `none`"),
        ("a.b.c".to_owned(), "its header cannot be read"),
        (signer.sign(&with(op.claims(), &json!({"iss": "https://evil"}))), "its `iss` is `https://evil`"),
        (signer.sign(&with(op.claims(), &json!({"aud": "them"}))), "its `aud` is `them`"),
        (signer.sign(&with(op.claims(), &json!({"aud": ["us", "them"]}))), "its `azp` is"),
        (signer.sign(&with(op.claims(), &json!({"exp": NOW.0 - 60}))), "it expired at"),
        (signer.sign(&with(op.claims(), &json!({"iat": NOW.0 + 61}))), "it was issued at"),
        (signer.sign(&with(op.claims(), &json!({"sub": ""}))), "its `sub` is malformed"),
        (signer.sign(&with(op.claims(), &json!({"at_hash": "AAAA"}))), "its `at_hash` does not fit"),
        (signer.sign(&with(op.claims(), &json!({"events": event}))), "its type is `logout+jwt`"),
    ] {
        op.json("/token", json!({"access_token": "at-2", "refresh_token": "rt-2", "id_token": token}));
        let Refreshed { grant, who } = provider.refresh(&self::grant(&old)).await.unwrap();
        let error = who.unwrap_err();
        assert!(texts(&error).contains(text), "{text}: {}", texts(&error));
        assert_eq!(error.fault(), Fault::Provider, "{text}");
        assert_eq!(told(&grant), ("rt-2".into(), old.clone(), "at-2".into(), None), "{text}");
    }
    // Nor one that comes with what is no bearer token.
    let token = signer.sign(&op.claims());
    op.json(
        "/token",
        json!({"access_token": "at-2", "token_type": "DPoP", "refresh_token": "rt-2", "id_token": token}),
    );
    let Refreshed { grant, who } = provider.refresh(&self::grant(&old)).await.unwrap();
    assert!(matches!(who, Err(SignInError::Answer(AnswerError::TokenType))));
    assert_eq!(told(&grant), ("rt-2".into(), old.clone(), "at-1".into(), None));
    // Keys that cannot be had.
    op.status("/jwks", 503, "");
    let (provider, _) = op.known(op.settings());
    op.json("/token", json!({"access_token": "at-2", "id_token": token}));
    let Refreshed { grant, who } = provider.refresh(&self::grant(&old)).await.unwrap();
    assert!(matches!(who, Err(SignInError::Unavailable(_))));
    assert_eq!(told(&grant).1, old);
}

/// T-091: what is new is believed and kept, and of the old what stays good.
#[tokio::test]
async fn what_comes_takes_the_place_of_what_was_there() {
    let (op, signer) = good().await;
    let mut settings = op.settings();
    settings.max_age = Some(Duration::from_secs(300));
    settings.needed_claims.add_whole("groups");
    let (provider, _) = op.known(settings);
    op.json("/userinfo", json!({"sub": "s-1"}));
    let old = old_token(&op, &signer);
    let later = Some(UnixTime(NOW.0 + 600));
    // Nobody signs in at the provider for a refresh, so `max_age` is not looked at.
    let changes = json!({"nonce": null, "sid": "sid-1", "auth_time": NOW.0 - 7_200, "groups": ["new"]});
    let new = signer.sign(&with(op.claims(), &changes));
    let odd = signer.sign(&with(op.claims(), &json!({"nonce": "whose?", "groups": ["new"]})));
    let other = signer.sign(&with(op.claims(), &json!({"sub": "s-2", "groups": ["new"]})));
    for (answer, kept, subject, groups) in [
        (json!({"access_token": "at-2"}), ("rt-1", &*old, "at-2", None), "s-1", None),
        (json!({"access_token": "at-2", "expires_in": "600"}), ("rt-1", &old, "at-2", later), "s-1", None),
        (json!({"access_token": "at-2", "refresh_token": "rt-2"}), ("rt-2", &old, "at-2", None), "s-1", None),
        (
            json!({"access_token": "at-2", "refresh_token": "rt-2", "id_token": new, "expires_in": 600}),
            ("rt-2", &new, "at-2", later),
            "s-1",
            Some("new"),
        ),
        (json!({"access_token": "at-2", "id_token": odd}), ("rt-1", &odd, "at-2", None), "s-1", Some("new")),
        // Who that is, the caller sees.
        (json!({"access_token": "at-2", "id_token": other}), ("rt-1", &other, "at-2", None), "s-2", Some("new")),
    ] {
        op.json("/token", answer.clone());
        let Refreshed { grant, who } = provider.refresh(&self::grant(&old)).await.unwrap();
        let (refresh, id, access, expires) = kept;
        assert_eq!(told(&grant), (refresh.into(), id.into(), access.into(), expires), "{answer}");
        let who = who.unwrap_or_else(|error| panic!("{answer}: {}", texts(&error)));
        assert_eq!((who.subject.as_str(), &who.issuer), (subject, &op.origin), "{answer}");
        let found = who.claims.get("groups").cloned();
        assert_eq!(found, groups.map(|group| ClaimValue::Many(vec![group.into()])), "{answer}");
        assert!(who.grant.refresh_token.is_none() && who.grant.id_token.is_none());
    }
}

/// Without an ID token, the one of before says who it is, and userinfo what is new.
#[tokio::test]
async fn what_was_believed_is_the_base_where_nothing_new_comes() {
    let (op, signer) = good().await;
    let mut settings = op.settings();
    settings.userinfo = UserinfoMode::Always;
    settings.needed_claims.add_whole("groups");
    let (provider, _) = op.known(settings);
    op.json("/token", json!({"access_token": "at-2"}));
    let old = old_token(&op, &signer);
    op.json("/userinfo", json!({"sub": "s-1", "groups": ["staff"]}));
    let Refreshed { who, .. } = provider.refresh(&grant(&old)).await.unwrap();
    let who = who.unwrap();
    assert_eq!(who.claims["groups"], ClaimValue::Many(vec!["staff".into()]));
    assert_eq!((who.user.as_str(), who.provider_session.as_deref()), ("s-1", Some("sid-1")));
    assert_eq!(op.seen("/userinfo").pop().unwrap().header("authorization"), Some("Bearer at-2"), "the new one");
    assert_eq!(op.hits("/jwks"), 0, "its signature was looked at when it came");

    for (answer, text) in [
        (any(401, r#"{"error":"invalid_token"}"#), "it answers with status 401"),
        (any(500, ""), "it answers with status 500"),
        (any(200, r#"{"sub":"s-2","groups":["root"]}"#), "about another `sub`"),
    ] {
        op.answers("/userinfo", answer);
        let Refreshed { grant, who } = provider.refresh(&grant(&old)).await.unwrap();
        let error = who.unwrap_err();
        assert!(texts(&error).contains(text), "{}", texts(&error));
        assert_eq!(error.fault(), Fault::Provider, "nobody is logged out by that");
        assert_eq!(told(&grant).2, "at-2");
    }

    for (stored, text) in [
        (None, "has no ID token"),
        (Some("a.b"), "does not have the three parts"),
        (Some("a.b.c"), "its payload is not a JSON object"),
        (Some(&*signer.sign(&with(op.claims(), &json!({"iss": "https://before"})))), "its `iss` is `https://before`"),
    ] {
        let old = Grant { id_token: stored.map(secret), ..grant(&old) };
        let Refreshed { who, .. } = provider.refresh(&old).await.unwrap();
        let error = who.unwrap_err();
        assert!(texts(&error).contains(text) && error.fault() == Fault::Provider, "{}", texts(&error));
    }
}

#[tokio::test]
async fn an_encrypted_id_token_is_kept_as_it_came() {
    let (op, signer) = good().await;
    let ours = Recipient::rsa();
    let mut settings = op.settings();
    settings.decryption_keys = vec![ours.key.clone()];
    let (provider, _) = op.known(settings);
    let header = json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT"});
    let sealed = ours.encrypt(header, signer.sign(&op.claims()).as_bytes());
    op.json("/token", json!({"access_token": "at", "id_token": sealed, "refresh_token": "rt", "expires_in": 60}));
    let signed_in = sign_in(&provider).await.unwrap();
    let expires = Some(UnixTime(NOW.0 + 60));
    assert_eq!(told(&signed_in.grant), ("rt".into(), sealed.clone(), "at".into(), expires));

    op.json("/token", json!({"access_token": "at-2"}));
    let Refreshed { grant, who } = provider.refresh(&signed_in.grant).await.unwrap();
    assert_eq!((who.unwrap().subject.as_str(), told(&grant).1), ("s-1", sealed.clone()));
    let (without_key, _) = op.known(op.settings());
    let Refreshed { who, .. } = without_key.refresh(&signed_in.grant).await.unwrap();
    assert_eq!(who.unwrap_err().fault(), Fault::Provider);
}

/// The person may have lost what they need to be here.
#[tokio::test]
async fn who_may_no_longer_sign_in_is_told_apart_from_an_outage() {
    let (op, signer) = good().await;
    let mut settings = op.settings();
    settings.required_claims = [("hd".into(), ["corp.com".into()].into())].into();
    let (provider, _) = op.known(settings);
    let old = old_token(&op, &signer);
    for (hd, fault) in
        [(json!("corp.com"), None), (json!("evil.com"), Some(Fault::Caller)), (json!(null), Some(Fault::Caller))]
    {
        let token = signer.sign(&with(op.claims(), &json!({"hd": hd})));
        op.json("/token", json!({"access_token": "at-2", "id_token": token}));
        let Refreshed { who, .. } = provider.refresh(&grant(&old)).await.unwrap();
        assert_eq!(who.err().map(|error| error.fault()), fault, "{hd}");
    }
}

/// Plain OAuth 2.0: the profile is asked for again, and an ID token is nothing.
#[tokio::test]
async fn without_openid_connect_the_profile_says_it_again() {
    let op = FakeProvider::start().await;
    op.json(
        "/token",
        json!({"access_token": "at", "id_token": "a.b.c", "refresh_token": "ghr_1", "expires_in": 28_800}),
    );
    op.json("/me", json!({"id": 583_231, "login": "octocat"}));
    let (provider, _) = op.known(super::oauth2::settings(&op));
    let signed_in = sign_in(&provider).await.unwrap();
    let expires = Some(UnixTime(NOW.0 + 28_800));
    assert_eq!(told(&signed_in.grant), ("ghr_1".into(), "-".into(), "at".into(), expires));

    op.answers("/token", any(200, "access_token=at-2&refresh_token=ghr_2&token_type=bearer"));
    op.json("/me", json!({"id": 7, "login": "octocat"}));
    let Refreshed { grant, who } = provider.refresh(&signed_in.grant).await.unwrap();
    assert_eq!(who.unwrap().subject, "7", "somebody else: the caller sees it");
    assert_eq!(told(&grant), ("ghr_2".into(), "-".into(), "at-2".into(), None));
    assert_eq!(op.seen("/me").pop().unwrap().header("authorization"), Some("Bearer at-2"));

    op.status("/me", 401, "{}");
    let Refreshed { grant, who } = provider.refresh(&signed_in.grant).await.unwrap();
    assert_eq!((who.unwrap_err().fault(), told(&grant).0), (Fault::Provider, "ghr_2".into()));
    op.answers("/token", any(200, "error=bad_refresh_token&error_description=x"));
    assert!(matches!(provider.refresh(&signed_in.grant).await, Err(RefreshError::Ended)));
}

/// A directory that is down takes nobody's groups away who is there already.
#[tokio::test]
async fn groups_that_cannot_be_looked_up_are_no_news() {
    let (op, _) = good().await;
    let mut settings = super::oauth2::settings(&op);
    settings.groups.lookup = Some(GroupLookup::GitHub { api: Url::parse(&op.origin).unwrap() });
    settings.needed_claims.add_whole("groups");
    let (provider, _) = op.known(settings);
    op.json("/token", json!({"access_token": "at", "refresh_token": "rt"}));
    op.json("/me", json!({"id": 1}));
    op.status("/user/orgs", 503, "");
    let signed_in = sign_in(&provider).await.unwrap();
    assert!(signed_in.claims.is_empty(), "at a sign-in, the person has none");
    let Refreshed { who, .. } = provider.refresh(&signed_in.grant).await.unwrap();
    let error = who.unwrap_err();
    assert!(matches!(error, SignInError::Groups(_)) && error.fault() == Fault::Provider, "{}", texts(&error));
}
