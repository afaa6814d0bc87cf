//! How we prove who we are, beyond the passwords that `super` looks at.

use jsonwebtoken::Algorithm;

use super::*;
use crate::providers::testing::opened;

fn key(signer: &Signer) -> ClientKey {
    ClientKey {
        pem: signer.pem(),
        algorithm: signer.algorithm,
        id: Some("key-1".into()),
        x5t: None,
        issuer: None,
        audience: None,
    }
}

/// What the token endpoint was last asked.
async fn asked(op: &FakeProvider, settings: Settings) -> crate::providers::testing::Seen {
    let (provider, _) = op.known(settings);
    let _answer = Box::pin(sign_in(&provider)).await;
    op.seen("/token").pop().unwrap()
}

#[tokio::test]
async fn a_key_that_cannot_sign_what_it_has_to_is_refused_at_start() {
    let (op, _) = good().await;
    let signer = Signer::es256("k");
    let build = |change: &dyn Fn(&mut Settings)| {
        let mut one = op.settings();
        change(&mut one);
        let system = crate::outgoing::system_roots();
        Providers::new(vec![one], |_| "https://us/cb".into(), &system, &Clock::stopped(NOW)).map(|_| ())
    };
    for (auth, key) in [
        (ClientAuth::PrivateKeyJwt, None),
        (ClientAuth::MintedSecret, None),
        (ClientAuth::PrivateKeyJwt, Some(ClientKey { pem: secret("garbage"), ..key(&signer) })),
        (ClientAuth::PrivateKeyJwt, Some(ClientKey { algorithm: Algorithm::RS256, ..key(&signer) })),
        (ClientAuth::PrivateKeyJwt, Some(ClientKey { algorithm: Algorithm::ES384, ..key(&signer) })),
        (ClientAuth::PrivateKeyJwt, Some(ClientKey { algorithm: Algorithm::HS256, ..key(&signer) })),
        // A key that nothing is configured to use is looked at too.
        (ClientAuth::Basic, Some(ClientKey { pem: secret(""), ..key(&signer) })),
    ] {
        let error = build(&|s| {
            s.client_auth = Some(auth);
            s.client_key.clone_from(&key);
        });
        assert!(matches!(error.unwrap_err().problem, BuildProblem::ClientKey), "{auth:?} {key:?}");
    }
    for signer in [signer, Signer::es384("k"), Signer::rs256("k"), Signer::eddsa("k")] {
        assert!(build(&|s| s.client_key = Some(key(&signer))).is_ok(), "{:?}", signer.algorithm);
    }
}

/// RFC 7523 §3: for us, by us, for this provider, for a moment, once.
#[tokio::test]
async fn an_assertion_says_who_for_whom_and_how_long() {
    let (op, _) = good().await;
    for signer in
        [Signer::rs256("k"), Signer::rs256("k").using(Algorithm::PS256), Signer::es256("k"), Signer::eddsa("k")]
    {
        let mut settings = op.settings();
        settings.client_auth = Some(ClientAuth::PrivateKeyJwt);
        settings.client_key = Some(ClientKey { x5t: Some("dGh1bWI".into()), ..key(&signer) });
        let mut seen = Vec::new();
        for _ in 0..2 {
            let request = asked(&op, settings.clone()).await;
            let form = request.form();
            assert_eq!(request.header("authorization"), None);
            assert!(!form.contains_key("client_secret"));
            assert_eq!(form["client_id"], "us");
            assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            assert_eq!(form["code"], "c0de");
            let (header, claims) = opened(&signer, &form["client_assertion"]);
            let alg = json!(signer.algorithm);
            assert_eq!(header, json!({"alg": alg, "typ": "JWT", "kid": "key-1", "x5t": "dGh1bWI"}));
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!("us"), &json!("us")));
            assert_eq!(claims["aud"], json!(format!("{}/token", op.origin)));
            let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
            assert_eq!(claims["iat"], json!(NOW.0));
            assert!((60..=300).contains(&lifetime), "{lifetime}");
            seen.push(claims["jti"].as_str().unwrap().to_owned());
        }
        assert!(seen[0] != seen[1] && seen[0].len() >= 22, "{seen:?}");
    }
    let mut settings = op.settings();
    let signer = Signer::es256("k");
    settings.client_auth = Some(ClientAuth::PrivateKeyJwt);
    let audience = Some("https://aud.example/".into());
    settings.client_key = Some(ClientKey { id: None, audience, ..key(&signer) });
    let (header, claims) = opened(&signer, &asked(&op, settings).await.form()["client_assertion"]);
    assert_eq!((header.get("kid"), &claims["aud"]), (None, &json!("https://aud.example/")));
}

/// T-130: Apple's client secret is a JWT, in the body.
#[tokio::test]
async fn a_minted_secret_is_signed_by_the_team_for_the_provider() {
    let (op, _) = good().await;
    let signer = Signer::es256("k");
    for (audience, expected) in
        [(None, op.origin.clone()), (Some("https://appleid.apple.com"), "https://appleid.apple.com".into())]
    {
        let mut settings = op.settings();
        settings.client_auth = Some(ClientAuth::MintedSecret);
        settings.client_secret = None;
        let (issuer, audience) = (Some("TEAM123456".into()), audience.map(Into::into));
        settings.client_key = Some(ClientKey { issuer, audience, ..key(&signer) });
        let request = asked(&op, settings).await;
        let form = request.form();
        assert_eq!((request.header("authorization"), form["client_id"].as_str()), (None, "us"));
        assert!(!form.contains_key("client_assertion"));
        let (header, claims) = opened(&signer, &form["client_secret"]);
        assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &json!("key-1")));
        assert_eq!(
            (&claims["iss"], &claims["sub"], &claims["aud"]),
            (&json!("TEAM123456"), &json!("us"), &json!(expected))
        );
        assert!(claims["exp"].as_u64().unwrap() <= NOW.0 + 300);
    }
}

#[tokio::test]
async fn the_way_that_is_offered_first_of_ours_is_taken() {
    let (op, _) = good().await;
    let signer = Signer::es256("k");
    for (offered, has_secret, has_key, expected) in [
        (json!(["private_key_jwt", "client_secret_post", "client_secret_basic"]), true, true, "basic"),
        (json!(["private_key_jwt", "client_secret_post"]), true, true, "post"),
        (json!(["private_key_jwt", "tls_client_auth"]), true, true, "key"),
        (json!(["private_key_jwt"]), true, false, "basic"),
        (json!(["client_secret_basic"]), false, true, "key"),
        (json!(null), true, true, "basic"),
        (json!(null), false, true, "key"),
        (json!([]), false, true, "key"),
        (json!(["tls_client_auth"]), false, false, "none"),
    ] {
        op.metadata_with(&json!({"token_endpoint_auth_methods_supported": offered}));
        let mut settings = op.settings();
        settings.client_secret = has_secret.then(|| secret("s3cr3t"));
        settings.client_key = has_key.then(|| key(&signer));
        let request = asked(&op, settings).await;
        let form = request.form();
        let found = match () {
            () if request.header("authorization").is_some() => "basic",
            () if form.contains_key("client_secret") => "post",
            () if form.contains_key("client_assertion") => "key",
            () => "none",
        };
        assert_eq!(found, expected, "{offered} {has_secret} {has_key}");
    }
}
