//! Every way in which a token says nothing about its bearer (C.8).

use std::time::Duration;

use serde_json::{Value, json};

use super::{ask, bearer, challenge, claims, gate, good, refused, token, token_with, with};
use crate::support::{Endpoint, gate::NOW};

#[tokio::test]
async fn a_token_that_says_something_else_is_refused() {
    let gate = gate(&[]).await;
    let refuse = |header: Value, changes: Value| (header, changes);
    let plain = json!({"typ": "JWT"});
    let cases = [
        refuse(json!({}), json!({"iss": "https://evil.example"})),
        refuse(json!({}), json!({"iss": format!("{}/", gate.provider.issuer())})),
        refuse(json!({}), json!({"iss": null})),
        refuse(json!({}), json!({"iss": [gate.provider.issuer()]})),
        refuse(json!({}), json!({"aud": "https://other.example"})),
        refuse(json!({}), json!({"aud": "gate"})),
        refuse(json!({}), json!({"aud": []})),
        refuse(json!({}), json!({"aud": null})),
        refuse(json!({}), json!({"aud": 7})),
        refuse(json!({}), json!({"aud": gate.url("/api/")})),
        refuse(json!({}), json!({"aud": gate.url("/both")})),
        refuse(json!({}), json!({"exp": null})),
        refuse(json!({}), json!({"exp": NOW.0 - 60})),
        refuse(json!({}), json!({"exp": (NOW.0 + 600).to_string()})),
        refuse(json!({}), json!({"exp": 1e300})),
        refuse(json!({}), json!({"exp": -1})),
        refuse(json!({}), json!({"nbf": NOW.0 + 61})),
        refuse(json!({}), json!({"iat": NOW.0 + 61})),
        // T-082, T-086
        refuse(json!({"alg": "none"}), json!({})),
        refuse(json!({"alg": "HS256"}), json!({})),
        refuse(json!({"alg": "RS256"}), json!({})),
        refuse(json!({"alg": "ES384"}), json!({})),
        refuse(json!({"crit": ["exp"]}), json!({})),
        refuse(json!({"b64": false}), json!({})),
        refuse(json!({"zip": "DEF"}), json!({})),
        refuse(json!({"cty": "JWT"}), json!({})),
        refuse(json!({"typ": "logout+jwt"}), json!({})),
        refuse(json!({"typ": "dpop+jwt"}), json!({})),
        // not called an access token, or called something else
        refuse(plain.clone(), json!({})),
        refuse(json!({"typ": null}), json!({})),
        refuse(plain.clone(), json!({"aud": "gate", "nonce": "n"})),
        // bound, without what it is bound to
        refuse(json!({}), json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})),
        refuse(json!({}), json!({"cnf": {"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})),
        refuse(json!({}), json!({"cnf": {"kid": "x"}})),
        refuse(json!({}), json!({"cnf": {}})),
        refuse(json!({}), json!({"cnf": "x"})),
    ];
    for (header, changes) in &cases {
        let token = token_with(&gate.provider, header, &with(claims(&gate), changes));
        let answer = ask(&gate, "/api", &token).await;
        assert_eq!(refused(&gate, &answer), (401, "invalid_token".to_owned()), "{header} {changes}: {}", answer.text());
        assert!(challenge(&answer, "Bearer", "error_description").is_some());
        // Once more, from memory.
        assert_eq!(ask(&gate, "/api", &token).await.status, 401, "{header} {changes}");
    }
    // Somebody else's key, under the name of ours.
    let other = crate::support::gate::provider("http://127.0.0.1:1", &gate.clock).await;
    let forged = token_with(&other, &json!({"kid": gate.provider.kid()}), &claims(&gate));
    let answer = ask(&gate, "/api", &forged).await;
    assert_eq!(refused(&gate, &answer), (401, "invalid_token".to_owned()));
    // What the header says about keys is not looked at: no network, no file, and the right key still counts.
    let jku =
        json!({"jku": other.url(Endpoint::Keys), "x5u": other.url(Endpoint::Keys), "kid": "../../dev/null' OR 1=1"});
    assert_eq!(ask(&gate, "/api", &token_with(&other, &jku, &claims(&gate))).await.status, 401);
    assert_eq!(other.requests(Endpoint::Keys), 0);
    assert_eq!(ask(&gate, "/api", &good(&gate)).await.status, 200);
}

/// T-098: the leeway is a minute and not a second more.
#[tokio::test]
async fn times_have_a_minutes_leeway() {
    let gate = gate(&[]).await;
    for (changes, status) in [
        (json!({"exp": NOW.0 - 59}), 200),
        (json!({"exp": NOW.0 as f64 - 59.5}), 200),
        (json!({"nbf": NOW.0 + 60}), 200),
        (json!({"iat": NOW.0 + 60}), 200),
        (json!({"iat": null}), 200),
        (json!({"aud": [gate.url("/api"), "https://other.example"]}), 200),
        (json!({"aud": gate.url("/")}), 200),
    ] {
        assert_eq!(
            ask(&gate, "/api", &token(&gate.provider, &with(claims(&gate), &changes))).await.status,
            status,
            "{changes}"
        );
    }
}

/// What was good is not good for ever: an answer from memory ends with its token.
#[tokio::test]
async fn an_answer_ends_with_its_token() {
    let gate = gate(&[]).await;
    let token = token(&gate.provider, &with(claims(&gate), &json!({"exp": NOW.0 + 100})));
    for (seconds, status) in [(0, 200), (99, 200), (60, 200), (1, 401), (3600, 401)] {
        gate.advance(Duration::from_secs(seconds));
        assert_eq!(ask(&gate, "/api", &token).await.status, status, "after {seconds}");
    }
}

/// What is no token at all, of any shape and size (T-086).
#[tokio::test]
async fn rubbish_is_refused_quickly() {
    let gate = gate(&[]).await;
    let good = good(&gate);
    let (head, rest) = good.split_once('.').unwrap();
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let deep =
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, format!(r#"{{"iss":{deep}}}"#));
    for token in [
        "x".to_owned(),
        "..".to_owned(),
        ".".repeat(10),
        format!("{head}.{rest}.x"),
        format!("{head}.{rest}.x.y"),
        format!("{head}."),
        head.to_owned(),
        format!("{head}.{deep}.x"),
        format!("{head}.{}.x", "A".repeat(20_000)),
        format!("{}.{rest}", "A".repeat(20_000)),
        format!("{good}A"),
        format!("A{good}"),
    ] {
        let answer = ask(&gate, "/api", &token).await;
        assert_eq!(refused(&gate, &answer), (401, "invalid_token".to_owned()), "{token:.60}");
    }
    for line in [
        "Authorization: Bearer",
        "Authorization: Bearer a b",
        "Authorization: Bearer a,b",
        "Authorization: bearer \u{e9}",
    ] {
        let answer = gate.ask("GET /api", &[line]).await;
        assert_eq!(refused(&gate, &answer), (400, "invalid_request".to_owned()), "{line}");
    }
}

/// T-083, T-085: made-up names of keys make the gateway ask for keys once, and nobody waits for them.
#[tokio::test]
async fn made_up_key_names_do_not_make_it_ask() {
    let gate = gate(&[]).await;
    assert_eq!(ask(&gate, "/api", &good(&gate)).await.status, 200);
    gate.advance(Duration::from_secs(11));
    let asked = gate.provider.requests(Endpoint::Keys);
    for n in 0..200 {
        let token = token_with(&gate.provider, &json!({"kid": format!("made-up-{n}")}), &claims(&gate));
        assert_eq!(ask(&gate, "/api", &token).await.status, 401);
    }
    assert_eq!(gate.provider.requests(Endpoint::Keys) - asked, 1);
    // A new key of the provider's counts as soon as it may ask again.
    gate.provider.rotate_keys();
    gate.advance(Duration::from_secs(11));
    assert_eq!(ask(&gate, "/api", &good(&gate)).await.status, 200);
}

/// ID tokens count where the configuration says so, and then for whom they were made.
#[tokio::test]
async fn id_tokens_count_only_where_that_is_said() {
    let id_token = |gate: &crate::support::Gate, changes: &Value| {
        let claims = json!({"scope": null, "client_id": null, "aud": "gate", "nonce": "n", "at_hash": "x"});
        token_with(&gate.provider, &json!({"typ": "JWT"}), &with(with(claims_of(gate), &claims), changes))
    };
    fn claims_of(gate: &crate::support::Gate) -> Value {
        claims(gate)
    }
    for (setting, changes, status) in [
        (("providers.dev.bearer.id_tokens", "false"), json!({}), 401),
        (("providers.dev.bearer.plain_jwt", "true"), json!({}), 401),
        (("providers.dev.bearer.plain_jwt", "true"), json!({"aud": gate_audience()}), 401),
        (("providers.dev.bearer.id_tokens", "true"), json!({"aud": "another-client"}), 401),
        (("providers.dev.bearer.id_tokens", "true"), json!({"exp": NOW.0 - 61}), 401),
        (("providers.dev.bearer.id_tokens", "true"), json!({}), 200),
    ] {
        let gate = gate(&[setting]).await;
        let answer = gate.ask("GET /api", &[&bearer(&id_token(&gate, &changes))]).await;
        assert_eq!(answer.status, status, "{setting:?} {changes}: {}", answer.text());
        assert_eq!(gate.upstream.take().len(), usize::from(status == 200));
    }
    fn gate_audience() -> &'static str {
        "https://elsewhere.example"
    }
}

/// Access tokens of other clients, where clients are named.
#[tokio::test]
async fn tokens_of_other_clients_can_be_kept_out() {
    let gate = gate(&[("providers.dev.bearer.clients", "script,nightly")]).await;
    for (changes, status) in [
        (json!({"client_id": "another"}), 401),
        (json!({"client_id": null, "azp": "another"}), 401),
        (json!({"client_id": null}), 401),
        (json!({"client_id": null, "azp": "nightly"}), 200),
        (json!({}), 200),
    ] {
        let answer = ask(&gate, "/api", &token(&gate.provider, &with(claims(&gate), &changes))).await;
        assert_eq!(answer.status, status, "{changes}");
    }
}
