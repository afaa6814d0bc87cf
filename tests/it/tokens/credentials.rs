//! What counts where, and what the application gets to see.

use doorward::dev::provider::Fault;
use http::StatusCode;
use serde_json::json;

use super::{ask, bearer, challenge, claims, gate, good, refused, token, with};
use crate::support::Endpoint;

/// Path and lines of a request; status, `X-User` and what the application sees of `Authorization`.
type Case<'a> = (&'a str, &'a [&'a str], u16, Option<&'a str>, Option<&'a str>);

/// Each route takes what it says, and passes on what is not its own.
#[tokio::test]
async fn what_counts_where() {
    let gate = gate(&[]).await;
    let cookie = gate.cookie_of("grace").await;
    let (token, basic) = (bearer(&good(&gate)), "Authorization: Basic Zm9vOmJhcg==");
    let elsewhere = with(claims(&gate), &json!({"aud": "https://elsewhere.example"}));
    let elsewhere = bearer(&super::token(&gate.provider, &elsewhere));
    gate.upstream.take();
    let cases: &[Case<'_>] = &[
        ("/", &[&token], 401, None, None),
        ("/", &[&cookie, &token], 200, Some("grace"), Some(&token)),
        ("/", &[&cookie, basic], 200, Some("grace"), Some(basic)),
        ("/public", &[&token], 200, None, Some(&token)),
        ("/public", &[basic], 200, None, Some(basic)),
        ("/api", &[], 401, None, None),
        ("/api", &[&cookie], 401, None, None),
        ("/api", &[basic], 401, None, None),
        ("/api", &[&token], 200, Some("ada"), None),
        // The cookie counts for nothing here, so there are not two.
        ("/api", &[&cookie, &token], 200, Some("ada"), None),
        ("/api", &[&token, &token], 400, None, None),
        ("/api", &[&token, basic], 400, None, None),
        ("/api", &[&token, "X-User: root"], 200, Some("ada"), None),
        ("/api?access_token=x", &[], 401, None, None),
        ("/both", &[], 401, None, None),
        ("/both", &[&cookie], 200, Some("grace"), None),
        ("/both", &[&token], 200, Some("ada"), None),
        ("/both", &[&cookie, &token], 400, None, None),
        ("/both", &[&cookie, basic], 200, Some("grace"), Some(basic)),
        ("/both", &["Cookie: doorward=spoilt", &token], 200, Some("ada"), None),
        ("/both", &[&cookie, "Authorization: Bearer"], 400, None, None),
        ("/forward", &[&token], 401, None, None),
        ("/forward", &[&elsewhere], 200, Some("ada"), Some(&elsewhere)),
        ("/api", &[&elsewhere], 401, None, None),
    ];
    for (path, lines, status, user, authorization) in cases {
        let answer = gate.ask(&format!("GET {path}"), lines).await;
        assert_eq!(answer.status, *status, "{path} {lines:?}: {}", answer.text());
        let mut received = gate.upstream.take();
        assert_eq!(received.len(), usize::from(*status == 200), "{path} {lines:?}");
        if let Some(request) = received.pop() {
            assert_eq!(request.alike("x-user"), user.iter().map(ToString::to_string).collect::<Vec<_>>(), "{path}");
            let seen = request.one("authorization").map(|value| format!("Authorization: {value}"));
            assert_eq!(seen.as_deref(), *authorization, "{path} {lines:?}");
        }
        if *status == 400 {
            assert_eq!(challenge(&answer, "Bearer", "error").as_deref(), Some("invalid_request"));
        }
    }
}

/// Rules and headers read a token's claims as they read a session's.
#[tokio::test]
async fn rules_and_headers_read_its_claims() {
    let gate = gate(&[("headers.claims.x_groups", "groups"), ("providers.dev.user_claim", "email")]).await;
    let person = |changes| with(claims(&gate), &changes);
    let verified = json!({"email": "ada@corp.com", "email_verified": true, "groups": ["staff", "eng"]});
    let guest = with(verified.clone(), &json!({"groups": ["guests"]}));
    let unverified = with(verified.clone(), &json!({"email_verified": false}));
    for (changes, status) in [(guest, 403), (unverified, 403), (json!({}), 403), (verified, 200)] {
        let answer = ask(&gate, "/staff", &token(&gate.provider, &person(changes.clone()))).await;
        assert_eq!(answer.status, status, "{changes}: {}", answer.text());
    }
    let request = gate.upstream.take_one();
    assert_eq!(
        (request.one("x-user").as_deref(), request.one("x-groups").as_deref()),
        (Some("ada@corp.com"), Some("staff,eng"))
    );
}

/// The claim is named to the caller and in the log, and its value nowhere.
#[tokio::test]
async fn a_token_that_names_nobody_is_forbidden() {
    let log = crate::support::Log::capture();
    let gate = gate(&[("providers.dev.user_claim", "employee")]).await;
    let token = good(&gate);
    let answer = ask(&gate, "/api", &token).await;
    assert_eq!(refused(&gate, &answer).0, 403);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert!(answer.text().contains("`employee`"), "{}", answer.text());
    let text = log.text();
    assert!(text.contains("names nobody") && text.contains("`employee`"), "{text}");
    assert!(!text.contains(&token), "the token is in the log");
}

/// Unless the provider may be asked for what the token lacks; its answer has to be about the same person.
#[tokio::test]
async fn userinfo_can_name_whom_a_token_does_not() {
    for (fallback, sub, status) in [("false", "ada", 403), ("true", "grace", 503), ("true", "ada", 200)] {
        let more = [("providers.dev.user_claim", "email"), ("providers.dev.bearer.userinfo_fallback", fallback)];
        let gate = gate(&more).await;
        let said = json!({"sub": sub, "email": "ada@corp.com", "email_verified": true});
        gate.provider.faults().lasting(Endpoint::Userinfo, Fault::json(StatusCode::OK, &said));
        assert_eq!(ask(&gate, "/api", &good(&gate)).await.status, status, "{fallback} {sub}");
        assert_eq!(gate.provider.requests(Endpoint::Userinfo), usize::from(fallback == "true"));
        let told: Vec<_> = gate.upstream.take().iter().filter_map(|request| request.one("x-user")).collect();
        assert_eq!(told, if status == 200 { vec!["ada@corp.com"] } else { vec![] }, "{fallback} {sub}");
    }
}

#[tokio::test]
async fn all_scopes_of_a_route_are_needed() {
    let gate = gate(&[]).await;
    for (scope, status) in [
        (json!(null), 403),
        (json!(""), 403),
        (json!("read"), 403),
        (json!("readwrite"), 403),
        (json!("READ WRITE"), 403),
        (json!(7), 403),
        (json!("write admin read"), 200),
        (json!(["read", "write"]), 200),
    ] {
        let answer =
            ask(&gate, "/scoped", &token(&gate.provider, &with(claims(&gate), &json!({"scope": scope})))).await;
        assert_eq!(answer.status, status, "{scope}");
        if status == 403 {
            assert_eq!(refused(&gate, &answer), (403, "insufficient_scope".to_owned()));
            assert_eq!(challenge(&answer, "Bearer", "scope").as_deref(), Some("read write"));
        }
        gate.upstream.take();
    }
    // `scp` is what Microsoft and Okta call it.
    let answer = ask(
        &gate,
        "/scoped",
        &token(&gate.provider, &with(claims(&gate), &json!({"scope": null, "scp": "read write"}))),
    )
    .await;
    assert_eq!(answer.status, 200);
}

/// An application that verifies is told the same of a token's bearer.
#[tokio::test]
async fn an_assertion_speaks_of_a_tokens_bearer() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let gate = gate(&[("assertion.header", "X-Assertion"), ("assertion.key", &key)]).await;
    let mut subjects = Vec::new();
    for sub in ["ada", "grace", "ada"] {
        ask(&gate, "/api", &token(&gate.provider, &with(claims(&gate), &json!({"sub": sub})))).await;
        let assertion = gate.upstream.take_one().one("x-assertion").unwrap();
        let payload = assertion.split('.').nth(1).unwrap().to_owned();
        let payload = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
        subjects.push(serde_json::from_slice::<serde_json::Value>(&payload).unwrap()["sub"].clone());
    }
    assert_eq!(subjects, ["ada", "grace", "ada"]);
}

/// Off until somebody says otherwise, and then one setting does for everything.
#[tokio::test]
async fn the_configuration_allows_it_for_all() {
    for (credentials, status) in [("cookie", 401), ("bearer", 200), ("both", 200)] {
        let gate = crate::support::Gate::with(&[("credentials", credentials)]).await;
        let answer = ask(&gate, "/", &good(&gate)).await;
        assert_eq!(answer.status, status, "{credentials}");
        assert_eq!(gate.upstream.take().len(), usize::from(status == 200));
    }
}
