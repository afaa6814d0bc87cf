//! JWTs: the keys of the provider vouch for them, or they count for nothing (T-082, T-085, T-086, T-088).

use super::{bearer_introspection::harmless, testing::bearer, *};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn settings(op: &FakeProvider, change: impl FnOnce(&mut Bearer)) -> Settings {
    let mut rules = bearer(BearerMethod::Jwt);
    change(&mut rules);
    Settings { bearer: Some(rules), ..op.settings() }
}

/// What an access token claims.
fn claims(op: &FakeProvider) -> Value {
    json!({"iss": op.origin, "sub": "s-1", "aud": "api", "exp": NOW.0 + 300, "iat": NOW.0})
}

/// `claims` signed, in a header of which some members are changed.
fn signed(signer: &Signer, header: &Value, claims: &Value) -> Secret<String> {
    let header = with(with(signer.header(), &json!({"typ": "at+jwt"})), header);
    secret(&signer.sign_bytes(&header, claims.to_string().as_bytes()))
}

/// The error, in which no part of the token is.
fn refused(error: &BearerError, token: &Secret<String>) -> String {
    for part in token.expose().split('.').filter(|part| part.len() > 8) {
        assert!(!format!("{error:?} {}", texts(error)).contains(part), "{error:?}");
    }
    assert!(matches!(error, BearerError::Refused(_)), "{error:?}");
    harmless(error)
}

#[tokio::test]
async fn what_the_keys_do_not_vouch_for_is_refused() {
    let op = FakeProvider::start().await;
    let (rsa, signer, foreign) = (Signer::rs256("r1"), Signer::es256("k1"), Signer::es256("k1"));
    op.keys(&[&rsa, &signer]);
    let (provider, _) = op.known(settings(&op, |rules| rules.plain_jwt = true));
    let claims = claims(&op);
    let good = signed(&signer, &json!({}), &claims);
    let [header, payload, signature] = good.expose().splitn(3, '.').collect::<Vec<_>>()[..] else { unreachable!() };
    let evil = FakeProvider::start().await;
    evil.keys(&[&foreign]);
    // The public key as a secret: whoever verifies HS256 with it lets everybody in.
    let confused = {
        let head = json!({"alg": "HS256", "typ": "at+jwt", "kid": "r1"});
        let unsigned = token_with(&head, &claims, "");
        let message = unsigned.trim_end_matches('.');
        let n = URL_SAFE_NO_PAD.decode(rsa.jwk()["n"].as_str().unwrap()).unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &n);
        let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for (token, text) in [
        (signed(&foreign, &json!({}), &claims), "its signature does not fit the provider's keys"),
        (signed(&foreign, &json!({"kid": null}), &claims), "its signature does not fit the provider's keys"),
        (signed(&foreign, &json!({"kid": "r1"}), &claims), "publishes no ES256 key with `kid` `r1`"),
        (signed(&foreign, &json!({"jwk": foreign.jwk()}), &claims), "its signature does not fit"),
        (signed(&foreign, &json!({"jku": format!("{}/jwks", evil.origin)}), &claims), "its signature does not fit"),
        (signed(&foreign, &json!({"x5u": format!("{}/x5u", evil.origin)}), &claims), "its signature does not fit"),
        (signed(&foreign, &json!({"x5c": ["MIIB"]}), &claims), "its signature does not fit"),
        (signed(&foreign, &json!({"kid": "k2", "jku": format!("{}/jwks", evil.origin)}), &claims), "`kid` `k2`"),
        (secret(&token_with(&json!({"alg": "none", "typ": "at+jwt"}), &claims, "")), "its algorithm `none`"),
        (secret(&token_with(&json!({"alg": "nOnE", "typ": "at+jwt"}), &claims, signature)), "its algorithm `nOnE`"),
        (secret(&confused), "its algorithm `HS256` is not among the accepted ones"),
        (signed(&signer, &json!({"alg": "RS256"}), &claims), "publishes no RS256 key with `kid` `k1`"),
        (signed(&signer, &json!({"alg": "ES512"}), &claims), "its algorithm `ES512`"),
        (signed(&signer, &json!({"crit": ["exp"]}), &claims), "its header has `crit`"),
        (signed(&signer, &json!({"typ": "logout+jwt"}), &claims), "its type is `logout+jwt`"),
        (signed(&signer, &json!({"typ": "dpop+jwt"}), &claims), "its type is `dpop+jwt`"),
        (signed(&signer, &json!({"typ": "secevent+jwt"}), &claims), "its type is `secevent+jwt`"),
        (signed(&signer, &json!({"kid": 1}), &claims), "its header cannot be read"),
        (
            secret(&format!("{header}.{}.{signature}", part(&with(claims.clone(), &json!({"sub": "eve"}))))),
            "does not fit",
        ),
        (secret(&format!("{header}.{payload}.")), "its signature does not fit"),
        (secret(&format!("{header}.{payload}")), "it is not a JWT"),
        (secret(&format!("{header}.{payload}.{signature}.x")), "it is not a JWT"),
        (secret(&format!("{header}.{payload}.{signature}.x.y")), "it is encrypted (JWE)"),
        (secret(&signer.sign_bytes(&signer.header(), b"[]")), "its payload is not a JSON object"),
        (secret(&signer.sign_bytes(&signer.header(), br#"{"sub":"s-1","sub":"eve"}"#)), "its payload is not"),
        (secret(""), "it is not a JWT"),
        (secret("opaque"), "it is not a JWT"),
        (secret("a.b.c"), "it is not a JWT"),
        (secret(&".".repeat(10_000)), "it is not a JWT"),
    ] {
        let text_found = refused(&provider.vouch(&token).await.unwrap_err(), &token);
        assert!(text_found.contains(text), "{:.60}: {text_found}, not {text}", token.expose());
    }
    assert_eq!(evil.hits("/jwks") + evil.hits("/x5u"), 0, "what a header points to is not looked at");
    assert!(op.hits("/jwks") <= 2);

    for token in [
        good.clone(),
        signed(&signer, &json!({"typ": "application/at+jwt"}), &claims),
        signed(&signer, &json!({"kid": null}), &claims),
        signed(&signer, &json!({"jku": format!("{}/jwks", evil.origin), "jwk": foreign.jwk()}), &claims),
        signed(&rsa, &json!({}), &claims),
    ] {
        let vouched = provider.vouch(&token).await.unwrap();
        assert_eq!(vouched.identity.unwrap().user.as_str(), "s-1");
        let named = ["api".into()].into();
        assert_eq!(vouched.audience, Audience::Named { named, accepted: Arc::default() });
    }
    assert_eq!(evil.hits("/jwks"), 0);
    let (provider, _) = op.known(op.settings());
    assert!(matches!(provider.vouch(&good).await, Err(BearerError::Refused(_))), "without rules none counts");
}

/// T-085: whoever makes up key names makes nobody fetch.
#[tokio::test]
async fn a_hundred_unknown_keys_are_looked_for_once() {
    let (op, signer) = good().await;
    let (provider, clock) = op.known(settings(&op, |_| ()));
    assert!(provider.vouch(&signed(&signer, &json!({}), &claims(&op))).await.is_ok());
    assert_eq!(op.hits("/jwks"), 1);
    clock.advance(Duration::from_secs(30));
    let claims = with(claims(&op), &json!({"exp": NOW.0 + 9_000}));
    let foreign = Signer::es256("x");
    for n in 0..100 {
        let token = signed(&foreign, &json!({"kid": format!("k-{n}")}), &claims);
        let text = refused(&provider.vouch(&token).await.unwrap_err(), &token);
        assert!(text.contains(&format!("publishes no ES256 key with `kid` `k-{n}`")), "{text}");
    }
    assert_eq!(op.hits("/jwks"), 2, "one fetch in an interval");
    // The provider is down: good tokens of known keys go on, and nothing more is fetched.
    op.status("/jwks", 500, "");
    clock.advance(Duration::from_secs(30));
    for n in 0..100 {
        let token = signed(&foreign, &json!({"kid": format!("k-{n}")}), &claims);
        assert!(matches!(provider.vouch(&token).await, Err(BearerError::Refused(_))));
        assert!(provider.vouch(&signed(&signer, &json!({}), &claims)).await.is_ok());
    }
    assert_eq!(op.hits("/jwks"), 3);
    // A new key is found at the next look.
    op.keys(&[&signer, &foreign]);
    clock.advance(Duration::from_secs(30));
    assert!(provider.vouch(&signed(&foreign, &json!({}), &claims)).await.is_ok());
}

/// Two keys of one name: the one that signed counts.
#[tokio::test]
async fn a_key_is_found_behind_another_of_its_name() {
    let op = FakeProvider::start().await;
    let (first, second, third) = (Signer::es256("k"), Signer::es256("k"), Signer::es256("k"));
    op.keys(&[&first, &second]);
    let (provider, _) = op.known(settings(&op, |_| ()));
    for (signer, ok) in [(&third, false), (&first, true), (&second, true)] {
        assert_eq!(provider.vouch(&signed(signer, &json!({}), &claims(&op))).await.is_ok(), ok);
    }
}

#[tokio::test]
async fn without_keys_nobody_is_refused() {
    let (op, signer) = good().await;
    let token = signed(&signer, &json!({}), &claims(&op));
    for (path, status) in [("/jwks", 500), ("/.well-known/openid-configuration", 503)] {
        op.status(path, status, "");
        let (provider, _) = op.known(settings(&op, |_| ()));
        assert!(matches!(provider.vouch(&token).await, Err(BearerError::Unavailable(_))), "{path}");
    }
}

/// An ID token is for whoever signed its person in, and for nothing else, unless the configuration says so.
#[tokio::test]
async fn an_id_token_is_known_by_its_marks() {
    let (op, signer) = good().await;
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Kind {
        Id,
        Access,
    }
    let plain = json!({"typ": "JWT"});
    for (changes, kind) in [
        (json!({"nonce": "n"}), Kind::Id),
        (json!({"at_hash": "AAAA"}), Kind::Id),
        (json!({"c_hash": "AAAA"}), Kind::Id),
        (json!({"s_hash": "AAAA"}), Kind::Id),
        (json!({"nonce": "n", "scope": "openid"}), Kind::Id),
        (json!({"typ": "ID"}), Kind::Id),
        (json!({"typ": "id", "scope": "openid"}), Kind::Id),
        (json!({"token_use": "id", "client_id": "app"}), Kind::Id),
        (json!({"aud": "us"}), Kind::Id),
        (json!({"aud": ["api", "us"]}), Kind::Id),
        (json!({"aud": "cli"}), Kind::Id), // one of `clients`
        (json!({}), Kind::Access),
        (json!({"aud": "us", "scope": "read"}), Kind::Access),
        (json!({"aud": "us", "typ": "Bearer", "nonce": "n"}), Kind::Access), // Keycloak
        (json!({"aud": "us", "token_use": "access"}), Kind::Access),         // Cognito
        (json!({"aud": "us", "appid": "app"}), Kind::Access),
        (json!({"aud": "us", "gty": "client-credentials"}), Kind::Access),
    ] {
        // Whatever its client, that is one of ours.
        let claims = with(with(claims(&op), &json!({"azp": "cli"})), &changes);
        for header in [&plain, &json!({"typ": null}), &json!({"typ": "jwt"})] {
            let token = signed(&signer, header, &claims);
            for (plain_jwt, id_tokens) in [(false, false), (false, true), (true, false), (true, true)] {
                let (provider, _) = op.known(settings(&op, |rules| {
                    (rules.plain_jwt, rules.id_tokens) = (plain_jwt, id_tokens);
                    rules.clients = ["cli".into(), "app".into()].into();
                }));
                let ok = match kind {
                    Kind::Id => id_tokens,
                    Kind::Access => plain_jwt,
                };
                let case = format!("{changes} {header} {plain_jwt} {id_tokens}");
                match provider.vouch(&token).await {
                    Ok(vouched) => {
                        assert!(ok, "{case}");
                        let Audience::Named { accepted, .. } = vouched.audience else { unreachable!() };
                        assert_eq!(accepted.contains("us"), kind == Kind::Id, "{case}: an ID token is for its client");
                    }
                    Err(BearerError::Refused(BearerRefusal::IdToken)) => assert!(!ok && kind == Kind::Id, "{case}"),
                    Err(BearerError::Refused(BearerRefusal::Untyped)) => assert!(!ok && kind == Kind::Access, "{case}"),
                    Err(error) => panic!("{case}: {}", texts(&error)),
                }
            }
        }
    }
    // What calls itself an access token in its header is one, unless it says otherwise of itself.
    let (provider, _) = op.known(settings(&op, |_| ()));
    let token = signed(&signer, &json!({}), &with(claims(&op), &json!({"nonce": "n"})));
    assert!(provider.vouch(&token).await.is_ok());
    for claim in [json!({"typ": "ID"}), json!({"token_use": "id"})] {
        let token = signed(&signer, &json!({}), &with(claims(&op), &claim));
        let error = provider.vouch(&token).await.unwrap_err();
        assert!(matches!(error, BearerError::Refused(BearerRefusal::IdToken)), "{claim}");
    }
}

/// T-127: whose words a token is in, byte for byte.
#[tokio::test]
async fn a_token_is_of_one_of_the_issuers_names() {
    let (op, signer) = good().await;
    let trust = "http://op.example/adfs/services/trust";
    let aliased = |settings: &mut Settings| settings.issuer_aliases = vec!["op.example".into()];
    let further =
        |settings: &mut Settings| settings.bearer.as_mut().unwrap().issuers = vec!["https://tokens.example".into()];
    let tenants = |settings: &mut Settings| {
        settings.issuer = "https://login.example/{tenantid}/v2.0".into();
        settings.discovery_url = Some(Url::parse(&format!("{}/.well-known/openid-configuration", op.origin)).unwrap());
        settings.tenants = Some(Tenants { claim: "tid".into(), allowed: ["t-1".into(), "t-2".into()].into() });
        settings.bearer.as_mut().unwrap().issuers = vec!["https://sts.windows.net/{tenantid}/".into()];
    };
    let ours = op.origin.as_str();
    let closed = format!("{ours}/");
    type Change<'a> = &'a dyn Fn(&mut Settings);
    for (change, iss, ok) in [
        (&(|_: &mut Settings| ()) as Change<'_>, "https://evil", false),
        (&|_| (), &closed, false),
        (&|_| (), "op.example", false),
        (&|_| (), trust, false),
        (&|_| (), "", false),
        (&|_| (), ours, true),
        (&aliased, "OP.example", false),
        (&aliased, "op.example", true),
        (&aliased, ours, true),
        (&further, "https://tokens.example/", false),
        (&further, "https://tokens.example", true),
        (&further, ours, true),
        (&tenants, "https://sts.windows.net/t-3/", false),
        (&tenants, "https://sts.windows.net/{tenantid}/", false),
        (&tenants, "https://sts.windows.net/t-1", false),
        (&tenants, "https://sts.windows.net/t-1/", true),
        (&tenants, "https://sts.windows.net/t-2/", true),
        (&tenants, "https://login.example/{tenantid}/v2.0", false),
        (&tenants, "https://login.example/t-3/v2.0", false),
        (&tenants, "https://login.example/t-1/v2.0", true),
        (&tenants, ours, false),
    ] {
        let mut settings = settings(&op, |_| ());
        change(&mut settings);
        op.metadata_with(&json!({"issuer": settings.issuer}));
        let (provider, _) = op.known(settings);
        let token = signed(&signer, &json!({}), &with(claims(&op), &json!({"iss": iss})));
        let found = provider.vouch(&token).await;
        assert_eq!(found.is_ok(), ok, "{iss}: {found:?}");
        assert_eq!(provider.issues_tokens_as(iss).await.unwrap(), ok, "{iss}");
        if let Err(error) = found {
            assert!(refused(&error, &token).contains(&format!("its `iss` is `{iss}`, expected is `")), "{iss}");
        }
    }
    // AD FS: access tokens have a name of their own, which its metadata says.
    op.metadata_with(&json!({"access_token_issuer": trust}));
    for (iss, ok) in
        [("https://evil", false), ("http://op.example/adfs/services/trust/", false), (trust, true), (ours, true)]
    {
        let (provider, _) = op.known(settings(&op, |_| ()));
        let token = signed(&signer, &json!({}), &with(claims(&op), &json!({"iss": iss})));
        assert_eq!(provider.vouch(&token).await.is_ok(), ok, "{iss}");
        assert_eq!(provider.issues_tokens_as(iss).await.unwrap(), ok, "{iss}");
    }
    for (claim, text) in [(json!({"iss": null}), "it has no `iss`"), (json!({"iss": [ours]}), "its `iss` is malformed")]
    {
        let (provider, _) = op.known(settings(&op, |_| ()));
        let token = signed(&signer, &json!({}), &with(claims(&op), &claim));
        assert!(refused(&provider.vouch(&token).await.unwrap_err(), &token).contains(text));
    }
}

/// A JWT is answered for by the keys and a black box by the endpoint; neither by the other.
#[tokio::test]
async fn each_kind_of_token_has_its_witness() {
    let (op, signer) = good().await;
    let endpoint = Some(Url::parse(&format!("{}/introspect", op.origin)).unwrap());
    op.json("/introspect", json!({"active": true, "sub": "introspected", "aud": "api"}));
    op.json("/userinfo", json!({"sub": "userinfo", "aud": "api"}));
    let jwt = signed(&signer, &json!({}), &claims(&op));
    let foreign = signed(&Signer::es256("k1"), &json!({}), &claims(&op));
    let encrypted = secret(&format!("{}.a.b.c.d", jwt.expose().split('.').next().unwrap()));
    let opaque = secret("opaque.with.dots");
    let standard = Some(IntrospectionProtocol::Standard);
    use BearerMethod as M;
    for (method, introspection, token, user) in [
        (M::Jwt, None, &opaque, None),
        (M::Jwt, None, &foreign, None),
        (M::Jwt, None, &encrypted, None),
        (M::Jwt, None, &jwt, Some("s-1")),
        (M::Auto, None, &opaque, None),
        (M::Auto, None, &jwt, Some("s-1")),
        (M::Auto, standard, &foreign, None), // what looks like a JWT is one
        (M::Auto, None, &encrypted, None),
        (M::Auto, standard, &encrypted, Some("introspected")), // nobody else can read it
        (M::Auto, standard, &jwt, Some("s-1")),
        (M::Auto, standard, &opaque, Some("introspected")),
        (M::Introspection, standard, &jwt, Some("introspected")),
        (M::Introspection, None, &opaque, Some("introspected")),
        (M::Userinfo, None, &jwt, Some("userinfo")),
        (M::Userinfo, None, &opaque, Some("userinfo")),
    ] {
        let mut settings = settings(&op, |rules| (rules.method, rules.introspection) = (method, introspection));
        settings.endpoints.introspection = endpoint.clone();
        let (provider, _) = op.known(settings);
        let before = op.hits("/introspect") + op.hits("/userinfo");
        let found = provider.vouch(token).await;
        let case = format!("{method:?} {introspection:?} {:.20}: {found:?}", token.expose());
        match (found, user) {
            (Ok(vouched), Some(user)) => assert_eq!(vouched.identity.unwrap().user.as_str(), user, "{case}"),
            (Err(BearerError::Refused(_)), None) => assert_eq!(op.hits("/introspect") + op.hits("/userinfo"), before),
            (Ok(_) | Err(_), _) => panic!("{case}"),
        }
    }
}
