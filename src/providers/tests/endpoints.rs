//! Where a provider is asked, where browsers go, and what it is called.

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// A provider whose endpoints are all by hand, and which has no metadata.
fn by_hand(op: &FakeProvider) -> Settings {
    op.status("/.well-known/openid-configuration", 404, "");
    let at = |path: &str| Some(url(&format!("{}{path}", op.origin)));
    let mut settings = op.settings();
    settings.endpoints = Endpoints {
        authorization: at("/authorize"),
        token: at("/token?realm=/a,b&x=%2F"),
        userinfo: at("/userinfo?schema=openid"),
        jwks: at("/jwks"),
        end_session: None,
        pushed_requests: None,
        introspection: None,
    };
    settings
}

/// T-137: what stands in an endpoint's query stays there, byte for byte.
#[tokio::test]
async fn endpoints_by_hand_are_asked_as_they_are_and_nothing_else_is() {
    let (op, _) = good().await;
    op.json("/userinfo", json!({"sub": "s-1", "name": "Ada"}));
    let mut settings = by_hand(&op);
    settings.userinfo = UserinfoMode::Always;
    settings.endpoints.end_session = Some(url("https://login.example/out?realm=/x"));
    let (provider, _) = op.known(settings);
    let logout = provider.logout_url("https://us/out", None, None).unwrap();
    assert!(
        logout.as_str().starts_with("https://login.example/out?realm=/x&client_id=us&"),
        "known from the start: {logout}"
    );
    assert!(sign_in(&provider).await.is_ok());
    assert_eq!(op.seen("/token").pop().unwrap().query, "realm=/a,b&x=%2F");
    assert_eq!(op.seen("/userinfo").pop().unwrap().query, "schema=openid");
    assert_eq!(op.hits("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn endpoints_by_hand_that_cannot_be_used_are_refused_at_start() {
    let (op, _) = good().await;
    let build = |change: &dyn Fn(&mut Settings)| {
        let mut one = by_hand(&op);
        change(&mut one);
        Providers::new(vec![one], |_| "https://us/cb".into(), &crate::outgoing::system_roots(), &Clock::stopped(NOW))
            .map(|_| ())
            .map_err(|error| texts(&error))
    };
    assert_eq!(build(&|_| ()), Ok(()));
    let plain = || Some(url("http://op.example/x"));
    let oauth2 =
        || Protocol::OAuth2(OAuth2 { subject_claim: "id".into(), appsecret_proof: false, email_endpoint: None });
    for (change, text) in [
        (
            &(|s: &mut Settings| s.endpoints.token = plain()) as &dyn Fn(&mut Settings),
            "`token_endpoint` in the metadata cannot be used",
        ),
        (&|s| s.endpoints.userinfo = plain(), "`userinfo_endpoint` in the metadata cannot be used"),
        (&|s| s.back_channel = plain(), "its back channel cannot be used: `http://op.example` is not https"),
        (
            &|s| {
                s.protocol = oauth2();
                s.endpoints.userinfo = None;
            },
            "`userinfo_endpoint` in the metadata is missing",
        ),
        (
            &|s| {
                s.protocol = oauth2();
                s.endpoints.token = None;
            },
            "`token_endpoint` in the metadata is missing",
        ),
        (
            &|s| {
                let Protocol::OAuth2(mut oauth2) = oauth2() else { unreachable!() };
                oauth2.appsecret_proof = true;
                s.protocol = Protocol::OAuth2(oauth2);
                s.client_secret = None;
            },
            "`appsecret_proof` needs a client secret",
        ),
        (&|s| s.logout_url = Some("/out".into()), "its logout URL is not a URL that browsers may be sent to"),
        (&|s| s.logout_url = Some("http://op.example/out".into()), "its logout URL is not a URL that browsers may be"),
        (&|s| s.logout_url = Some("javascript:alert(1)".into()), "its logout URL is not a URL that browsers may be"),
        (&|s| s.logout_url = Some("https://{client_id}".into()), ""),
        (
            &|s| {
                s.endpoints = Endpoints::default();
                s.issuer = "https://login.example/{tenantid}/v2.0".into();
                s.tenants = Some(Tenants { claim: "tid".into(), allowed: ["t".into()].into() });
            },
            "its issuer is not a URL to find the metadata by",
        ),
    ] {
        match build(change) {
            Ok(()) => assert_eq!(text, ""),
            Err(error) => assert!(!text.is_empty() && error.contains(text), "{error}"),
        }
    }
}

/// Keycloak in a container: browsers and tokens know it by one host, we reach it by another.
#[tokio::test]
async fn what_we_ask_goes_by_the_back_channel_and_what_browsers_get_does_not() {
    let (op, signer) = good().await;
    let public = "https://login.example:8443";
    let mut settings = op.settings();
    settings.issuer = format!("{public}/realms/x");
    settings.back_channel = Some(url(&format!("{}/", op.origin)));
    settings.userinfo = UserinfoMode::Always;
    settings.client_auth = Some(ClientAuth::PrivateKeyJwt);
    let ours = Signer::es256("ours");
    let (pem, algorithm) = (ours.pem(), ours.algorithm);
    settings.client_key = Some(ClientKey { pem, algorithm, id: None, x5t: None, issuer: None, audience: None });
    let at = |path: &str| format!("{public}/realms/x{path}");
    op.json(
        "/realms/x/.well-known/openid-configuration",
        json!({
            "issuer": settings.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token?a=/b"),
            "jwks_uri": at("/jwks"),
            "userinfo_endpoint": format!("{}/userinfo", op.origin), // some follow the host that they are asked by
            "end_session_endpoint": at("/logout"),
            "pushed_authorization_request_endpoint": at("/par"),
        }),
    );
    op.json("/realms/x/jwks", json!({"keys": [signer.jwk()]}));
    let id_token = signer.sign(&with(op.claims(), &json!({"iss": settings.issuer})));
    op.json("/realms/x/token", json!({"access_token": "at", "id_token": id_token}));
    op.json("/realms/x/par", json!({"request_uri": "urn:x"}));
    op.json("/userinfo", json!({"sub": "s-1"}));

    let (provider, _) = op.known(settings.clone());
    let verifier = secret(VERIFIER);
    let request = AuthorizationRequest { state: "s", nonce: "n", verifier: &verifier, login_hint: None, silent: false };
    let browser = provider.authorization_url(&request).await.unwrap();
    assert_eq!(browser.as_str(), format!("{}?client_id=us&request_uri=urn%3Ax", at("/authorize")));
    assert_eq!(sign_in(&provider).await.unwrap().subject, "s-1");
    assert!(provider.logout_url("https://us/", None, None).unwrap().as_str().starts_with(&at("/logout?")));
    for path in ["/realms/x/token", "/realms/x/par"] {
        let asked = op.seen(path).pop().unwrap();
        assert_eq!(asked.query, if path.ends_with("token") { "a=/b" } else { "" });
        let (_, claims) = testing::opened(&ours, &asked.form()["client_assertion"]);
        assert_eq!(claims["aud"], at("/token?a=/b"), "the name that the provider knows itself by");
    }
}

/// T-080: a path and a closing slash belong to the issuer's name; exactly one slash goes on the way to the metadata.
#[tokio::test]
async fn an_issuer_with_a_path_and_a_closing_slash_keeps_both() {
    let (op, signer) = good().await;
    let issuer = format!("{}/realms/x/", op.origin);
    let mut settings = op.settings();
    settings.issuer.clone_from(&issuer);
    op.json("/realms/x/.well-known/openid-configuration", with(op.metadata(), &json!({"issuer": issuer})));
    for (iss, ok) in [(issuer.trim_end_matches('/'), false), (&op.origin, false), (&issuer, true)] {
        op.gives(&signer.sign(&with(op.claims(), &json!({"iss": iss}))));
        let (provider, _) = op.known(settings.clone());
        assert_eq!(sign_in(&provider).await.is_ok(), ok, "{iss}");
        assert_eq!(provider.check_callback_issuer(Some(iss)).is_ok(), ok, "{iss}");
    }
    assert_eq!(op.hits("/.well-known/openid-configuration"), 0);
}

/// T-097, T-127: a callback may come from any of the issuer's names, or from a tenant that may sign in.
#[tokio::test]
async fn a_callback_comes_from_one_of_the_issuers_names() {
    let (op, _) = good().await;
    let mut settings = op.settings();
    settings.issuer_aliases = vec!["op.example".into()];
    op.metadata_with(&json!({"issuer": "op.example", "authorization_response_iss_parameter_supported": true}));
    let (provider, _) = op.known(settings);
    provider.probe().await.unwrap();
    for (iss, ok) in [
        (Some("https://evil"), false),
        (Some("OP.example"), false),
        (None, false),
        (Some("op.example"), true),
        (Some(op.origin.as_str()), true),
    ] {
        assert_eq!(provider.check_callback_issuer(iss).is_ok(), ok, "{iss:?}");
    }
}

#[tokio::test]
async fn a_logout_url_of_its_own_is_filled_in() {
    let (op, _) = good().await;
    let end = format!("{}/end", op.origin);
    op.metadata_with(&json!({
        "authorization_endpoint": "https://x.auth.example/oauth2/authorize",
        "end_session_endpoint": end,
    }));
    let origin = op.origin.clone();
    let back = "https://us/_auth/signed-out?a=b&c";
    let encoded = "https%3A%2F%2Fus%2F_auth%2Fsigned-out%3Fa%3Db%26c";
    for (template, before, after) in [
        ("", None, None),
        (
            "https://op.example/out",
            Some("https://op.example/out".to_owned()),
            Some("https://op.example/out".to_owned()),
        ),
        (
            "{issuer_origin}/v2/logout?client_id={client_id}&returnTo={return_to}",
            Some(format!("{origin}/v2/logout?client_id=a%20b%2F%26&returnTo={encoded}")),
            Some(format!("{origin}/v2/logout?client_id=a%20b%2F%26&returnTo={encoded}")),
        ),
        (
            "{authorization_origin}/logout?client_id={client_id}&logout_uri={return_to}",
            None,
            Some(format!("https://x.auth.example/logout?client_id=a%20b%2F%26&logout_uri={encoded}")),
        ),
        (
            "{end_session_endpoint}?id_token_hint={id_token}&post_logout_redirect_uri={return_to}",
            None,
            Some(format!("{origin}/end?id_token_hint=a.b.c&post_logout_redirect_uri={encoded}")),
        ),
    ] {
        let mut settings = op.settings();
        settings.client_id = "a b/&".into();
        settings.logout_url = Some(template.into());
        let (provider, _) = op.known(settings);
        let url = || provider.logout_url(back, Some(&secret("a.b.c")), Some("st")).map(String::from);
        assert_eq!(url(), before, "{template}: nothing is known yet");
        let probe = provider.probe().await.unwrap();
        assert_eq!((url(), probe.end_session), (after.clone(), after.is_some()), "{template}");
        let unhinted = provider.logout_url(back, None, Some("st")).map(String::from);
        assert_eq!(unhinted, after.filter(|_| !template.contains("{id_token}")), "{template}, without an ID token");
    }
}

/// T-133.
#[tokio::test]
async fn pings_own_logout_is_used_where_there_is_no_other() {
    let (op, _) = good().await;
    op.metadata_with(&json!({
        "end_session_endpoint": null,
        "ping_end_session_endpoint": format!("{}/idp/startSLO.ping", op.origin),
    }));
    let (provider, _) = op.known(op.settings());
    provider.probe().await.unwrap();
    let url = provider.logout_url("https://us/out", Some(&secret("a.b.c")), Some("st")).unwrap();
    assert_eq!((url.path(), url.query()), ("/idp/startSLO.ping", Some("TargetResource=https%3A%2F%2Fus%2Fout")));
}
