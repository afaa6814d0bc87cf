//! The authorization request, as the browser carries it and as it is pushed ahead of it.

use std::collections::BTreeMap;

use super::*;

const PAR: &str = "/par";

fn request<'a>(verifier: &'a Secret<String>, login_hint: Option<&'a str>) -> AuthorizationRequest<'a> {
    AuthorizationRequest { state: "st-at_e", nonce: "n0nce", verifier, login_hint, silent: false }
}

async fn parameters(provider: &Provider, login_hint: Option<&str>) -> BTreeMap<String, String> {
    let url = provider.authorization_url(&request(&secret(VERIFIER), login_hint)).await.unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let count = pairs.len();
    let map: BTreeMap<_, _> = pairs.into_iter().collect();
    assert_eq!(map.len(), count, "each once: {url}");
    map
}

fn names(parameters: &BTreeMap<String, String>) -> Vec<&str> {
    parameters.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn what_is_off_is_left_out_and_what_is_on_is_sent() {
    let (op, _) = good().await;
    let mut settings = op.settings();
    settings.response_mode = ResponseMode::FormPost;
    settings.max_age = Some(Duration::from_secs(900));
    settings.authorization_parameters =
        vec![("login_hint".into(), "@corp.com".into()), ("acr_values".into(), "a b".into())];
    let (provider, _) = op.known(settings.clone());
    let all = parameters(&provider, None).await;
    for (name, value) in
        [("response_mode", "form_post"), ("max_age", "900"), ("login_hint", "@corp.com"), ("acr_values", "a b")]
    {
        assert_eq!(all[name], value);
    }
    assert_eq!(
        parameters(&provider, Some("ada@corp.com")).await["login_hint"],
        "@corp.com",
        "the operator's word wins"
    );

    settings.response_mode = ResponseMode::Query;
    settings.max_age = None;
    settings.authorization_parameters.clear();
    settings.pkce = false;
    settings.nonce = false;
    settings.scopes.clear();
    let (provider, _) = op.known(settings);
    let least = parameters(&provider, None).await;
    assert_eq!(names(&least), ["client_id", "nonce", "redirect_uri", "response_type", "state"]);
    assert!(sign_in(&provider).await.is_ok());
    assert!(!op.seen("/token").pop().unwrap().form().contains_key("code_verifier"));
}

/// OpenID Connect Core §3.1.2.1: `none` stands alone, whatever is asked for otherwise.
#[tokio::test]
async fn who_is_asked_unseen_is_not_asked_to_sign_in() {
    let (op, _) = good().await;
    let verifier = secret(VERIFIER);
    for (configured, silent, expected) in [
        (vec![], false, None),
        (vec![], true, Some("none")),
        (vec![("prompt", "login")], false, Some("login")),
        (vec![("prompt", "login")], true, Some("none")),
        (vec![("prompt", "consent"), ("acr_values", "a"), ("prompt", "select_account")], true, Some("none")),
    ] {
        let mut settings = op.settings();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        settings.authorization_parameters = configured.iter().map(own).collect();
        let (provider, _) = op.known(settings);
        let request = AuthorizationRequest { silent, ..request(&verifier, Some("ada")) };
        let url = provider.authorization_url(&request).await.unwrap();
        let prompts: Vec<_> = url.query_pairs().filter(|(name, _)| name == "prompt").map(|(_, value)| value).collect();
        assert_eq!(prompts, expected.into_iter().collect::<Vec<_>>(), "{configured:?} {silent}");
        let has = |name: &str| url.query_pairs().any(|(found, _)| found == name);
        assert!(has("login_hint") && has("nonce") && has("acr_values") == (configured.len() == 3));
    }
}

/// T-131, T-136: nothing of OpenID Connect is asked for where it is not spoken.
#[tokio::test]
async fn plain_oauth_asks_for_no_id_token() {
    let (op, _) = good().await;
    let mut settings = super::oauth2::settings(&op);
    settings.max_age = Some(Duration::from_secs(900));
    settings.scopes = vec!["read:user".into(), "user:email".into()];
    let (provider, _) = op.known(settings);
    let asked = parameters(&provider, None).await;
    assert_eq!(asked["scope"], "read:user user:email");
    let expected =
        ["client_id", "code_challenge", "code_challenge_method", "redirect_uri", "response_type", "scope", "state"];
    assert_eq!(names(&asked), expected);
    assert_eq!(op.hits("/.well-known/openid-configuration"), 0);
}

/// RFC 9126 §2.3: whatever is no reference is an error that says so, and the browser goes nowhere.
#[tokio::test]
async fn a_request_that_cannot_be_pushed_sends_nobody_anywhere() {
    let (op, _) = good().await;
    op.metadata_with(&json!({"pushed_authorization_request_endpoint": format!("{}{PAR}", op.origin)}));
    let mut settings = op.settings();
    settings.limits.timeout = Duration::from_millis(300);
    let (provider, _) = op.known(settings);
    let any = |status, body: &'static str| Answer::Any { status, headers: vec![], body: body.into() };
    for (answer, fault, text) in [
        (Answer::Never, Fault::Provider, "no usable answer: no whole answer within 300 ms"),
        (any(500, "{}"), Fault::Provider, "it answers with status 500"),
        (any(404, "<html>"), Fault::Provider, "it answers with status 404"),
        (any(302, ""), Fault::Provider, "it redirects"),
        (any(201, ""), Fault::Provider, "no usable `request_uri`"),
        (any(201, "{}"), Fault::Provider, "no usable `request_uri`"),
        (any(201, r#"{"request_uri":""}"#), Fault::Provider, "no usable `request_uri`"),
        (any(201, r#"{"request_uri":7}"#), Fault::Provider, "no usable `request_uri`"),
        (any(401, r#"{"error":"invalid_client"}"#), Fault::Ours, "refuses this gateway as a client (`invalid_client`)"),
        (any(400, r#"{"error":"invalid_scope"}"#), Fault::Ours, "refuses the authorization request (`invalid_scope`)"),
        (any(200, r#"{"error":"invalid_request","request_uri":"urn:x"}"#), Fault::Ours, "(`invalid_request`)"),
    ] {
        op.answers(PAR, answer.clone());
        let verifier = secret(VERIFIER);
        let error = provider.authorization_url(&request(&verifier, None)).await.unwrap_err();
        assert!(texts(&error).contains(text), "{answer:?}: {}", texts(&error));
        assert_eq!(error.fault(), fault, "{answer:?}");
    }
}

#[tokio::test]
async fn a_pushed_request_leaves_the_browser_only_a_reference() {
    let (op, _) = good().await;
    op.metadata_with(&json!({
        "authorization_endpoint": format!("{}/authorize?realm=/x", op.origin),
        "pushed_authorization_request_endpoint": format!("{}{PAR}?realm=/x", op.origin),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }));
    let body = json!({"request_uri": "urn:ietf:params:oauth:request_uri:6es c", "expires_in": 60}).to_string().into();
    op.answers(PAR, Answer::Any { status: 201, headers: vec![], body });
    let mut settings = op.settings();
    settings.authorization_parameters = vec![("prompt".into(), "select account".into())];
    let (provider, _) = op.known(settings.clone());
    let url = provider.authorization_url(&request(&secret(VERIFIER), Some("ada"))).await.unwrap();
    let expected = "realm=/x&client_id=us&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A6es%20c";
    assert_eq!((url.path(), url.query()), ("/authorize", Some(expected)));

    let pushed = op.seen(PAR).pop().unwrap();
    assert_eq!((pushed.query.as_str(), pushed.header("authorization")), ("realm=/x", None));
    let form = pushed.form();
    assert_eq!(pushed.body.matches("client_id=").count(), 1, "{}", pushed.body);
    for (name, value) in [
        ("client_id", "us"),
        ("client_secret", "s3cr3t"),
        ("response_type", "code"),
        ("redirect_uri", "http://localhost/_auth/callback/op"),
        ("scope", "openid email"),
        ("state", "st-at_e"),
        ("nonce", "n0nce"),
        ("prompt", "select account"),
        ("login_hint", "ada"),
        ("code_challenge_method", "S256"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
    ] {
        assert_eq!(form[name], value);
    }
    assert!(!pushed.body.contains(VERIFIER));

    // Pushed only where that is wanted.
    for (mode, required, pushes) in [
        (PushedRequests::WhenOffered, json!(null), true),
        (PushedRequests::WhenRequired, json!(null), false),
        (PushedRequests::WhenRequired, json!(false), false),
        (PushedRequests::WhenRequired, json!(true), true),
    ] {
        op.metadata_with(&json!({
            "pushed_authorization_request_endpoint": format!("{}{PAR}", op.origin),
            "require_pushed_authorization_requests": required,
        }));
        let (provider, _) = op.known(Settings { pushed_requests: mode, ..settings.clone() });
        let before = op.hits(PAR);
        let asked = parameters(&provider, None).await;
        assert_eq!(
            (op.hits(PAR) - before == 1, asked.contains_key("request_uri")),
            (pushes, pushes),
            "{mode:?} {required}"
        );
    }
}
