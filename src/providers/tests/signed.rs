//! Signed documents beside the ID token: userinfo as JWT (T-137), access tokens whose claims count.

use super::*;

fn jwt(token: String) -> Answer {
    Answer::Any { status: 200, headers: vec![("content-type", "application/jwt; charset=utf-8")], body: token.into() }
}

#[tokio::test]
async fn a_signed_answer_counts_only_when_everything_about_it_fits() {
    let (op, signer) = good().await;
    let mut settings = op.settings();
    settings.user.claims = vec!["name".into()];
    let (provider, _) = op.known(settings);
    let claims = json!({"sub": "s-1", "name": "Ada", "iss": op.origin, "aud": "us"});
    let signed = |changes: Value| signer.sign(&with(claims.clone(), &changes));
    let good = signed(json!({}));
    let unsigned = token_with(&json!({"alg": "none"}), &claims, "");
    let no_json = "it answers with something that is not a JSON object";
    for (token, text) in [
        (Signer::es256("k1").sign(&claims), "a JWT that cannot be trusted: its signature does not fit"),
        (Signer::es256("k2").sign(&claims), "publishes no ES256 key with `kid` `k2`"),
        (good[..good.len() - 4].to_owned(), "its signature does not fit"),
        (unsigned, "its algorithm `none` is not among the accepted ones"),
        (format!("{good}.x.y"), "it is encrypted (JWE), which is not supported"),
        (signer.sign_bytes(&with(signer.header(), &json!({"typ": "at+jwt"})), b"{}"), "its type is `at+jwt`"),
        (signed(json!({"iss": "https://evil"})), "a JWT whose `iss` does not fit"),
        (signed(json!({"iss": 7})), "a JWT whose `iss` does not fit"),
        (signed(json!({"aud": "them"})), "a JWT whose `aud` does not fit"),
        (signed(json!({"aud": ["them"]})), "a JWT whose `aud` does not fit"),
        (signed(json!({"exp": NOW.0 - 60})), "a JWT whose `exp` does not fit"),
        (signed(json!({"sub": "s-2"})), "about another `sub`"),
        (signed(json!({"sub": null})), "its answer has no usable `sub`"),
        ("{\"sub\":\"s-1\",\"name\":\"Eve\"}".to_owned(), "a JWT that cannot be trusted"),
    ] {
        op.answers("/userinfo", jwt(token.clone()));
        let error = sign_in(&provider).await.unwrap_err();
        assert!(matches!(error, SignInError::Userinfo(_)) && texts(&error).contains(text), "{text}: {}", texts(&error));
        assert_eq!(error.fault(), Fault::Provider);
        assert!(!texts(&error).contains(&token), "no tokens in errors");
    }
    // What is not called a JWT is not taken for one.
    op.answers("/userinfo", Answer::Any { status: 200, headers: vec![], body: good.clone().into() });
    assert!(texts(&sign_in(&provider).await.unwrap_err()).contains(no_json));
    for token in [
        good.clone(),
        format!("{good}\r\n"),
        signed(json!({"iss": null, "aud": null})),
        signed(json!({"aud": ["them", "us"], "exp": NOW.0 + 1})),
    ] {
        op.answers("/userinfo", jwt(token));
        assert_eq!(sign_in(&provider).await.unwrap().user.as_str(), "Ada");
    }
}

#[tokio::test]
async fn an_access_tokens_claims_count_only_where_that_is_configured_and_it_can_be_verified() {
    let (op, signer) = good().await;
    let trust = "http://op.example/adfs/services/trust";
    op.metadata_with(&json!({"access_token_issuer": trust, "userinfo_endpoint": null}));
    let mut settings = op.settings();
    settings.user.claims = vec!["upn".into()];
    settings.access_token_claims = true;
    let claims = json!({"iss": trust, "aud": "urn:microsoft:userinfo", "exp": NOW.0 + 300, "upn": "ada@corp.example"});
    let signed = |changes: Value| signer.sign(&with(claims.clone(), &changes));
    let typed = |typ: &str| {
        let header = with(signer.header(), &json!({"typ": typ}));
        signer.sign_bytes(&header, claims.to_string().as_bytes())
    };
    let id_token = signer.sign(&op.claims());
    let good = signed(json!({}));
    for (access_token, ok) in [
        ("opaque".to_owned(), false),
        ("a.b.c".to_owned(), false),
        (Signer::es256("k1").sign(&claims), false),
        (token_with(&json!({"alg": "none"}), &claims, ""), false),
        (signed(json!({"iss": op.origin})), false),
        (signed(json!({"iss": null})), false),
        (signed(json!({"exp": null})), false),
        (signed(json!({"exp": NOW.0 - 60})), false),
        (signed(json!({"upn": null})), false),
        (typed("logout+jwt"), false),
        (good.clone(), true),
        (typed("at+jwt"), true),
        (signed(json!({"exp": NOW.0 - 59})), true),
    ] {
        op.json("/token", json!({"access_token": access_token, "id_token": id_token}));
        let (provider, _) = op.known(settings.clone());
        match sign_in(&provider).await {
            Ok(signed_in) => assert!(ok && signed_in.user.as_str() == "ada@corp.example", "{access_token}"),
            Err(error) => {
                assert!(!ok && matches!(error, SignInError::User(UserError::Missing { .. })), "{}", texts(&error))
            }
        }
    }
    op.json("/token", json!({"access_token": good, "id_token": id_token}));
    settings.access_token_claims = false;
    let (provider, _) = op.known(settings.clone());
    assert!(matches!(sign_in(&provider).await, Err(SignInError::User(UserError::Missing { .. }))));

    // Without another name in the metadata, access tokens are of the issuer itself.
    settings.access_token_claims = true;
    op.metadata_with(&json!({"userinfo_endpoint": null}));
    for (iss, ok) in [(trust, false), (op.origin.as_str(), true)] {
        op.json("/token", json!({"access_token": signed(json!({"iss": iss})), "id_token": id_token}));
        let (provider, _) = op.known(settings.clone());
        assert_eq!(sign_in(&provider).await.is_ok(), ok, "{iss}");
    }
}
