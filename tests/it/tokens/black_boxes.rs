//! Tokens that only the provider can read.

use std::time::Duration;

use doorward::dev::provider::Fault;
use http::StatusCode;
use serde_json::{Value, json};

use super::{ask, claims, gate, good, refused, with};
use crate::support::{Caller, Endpoint, Gate, gate::NOW, soon, wire};

const INTROSPECTED: (&str, &str) = ("providers.dev.bearer.introspection", "standard");

/// From now on the provider says this of every token.
fn says(gate: &Gate, answer: &Value) {
    gate.provider.faults().lasting(Endpoint::Introspection, Fault::json(StatusCode::OK, answer));
}

/// What it says of a good one.
fn active(gate: &Gate) -> Value {
    with(claims(gate), &json!({"active": true, "token_type": "Bearer"}))
}

fn asked(gate: &Gate) -> usize {
    gate.provider.requests(Endpoint::Introspection)
}

#[tokio::test]
async fn what_is_not_active_is_refused() {
    let gate = gate(&[INTROSPECTED]).await;
    for (n, changes) in [
        json!({"active": false}),
        json!({"active": null}),
        json!({"active": "true"}),
        json!({"active": 1}),
        json!({"exp": NOW.0 - 60}),
        json!({"nbf": NOW.0 + 61}),
        json!({"iss": "https://evil.example"}),
        json!({"aud": "https://other.example"}),
        json!({"aud": null}),
        json!({"token_type": "refresh_token"}),
        json!({"typ": "Refresh"}),
        json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
        json!({"cnf": {"x5t#S256": "x"}}),
    ]
    .iter()
    .enumerate()
    {
        says(&gate, &with(active(&gate), changes));
        let answer = ask(&gate, "/api", &format!("opaque-{n}")).await;
        assert_eq!(refused(&gate, &answer), (401, "invalid_token".to_owned()), "{changes}: {}", answer.text());
    }
    says(&gate, &active(&gate));
    assert_eq!(ask(&gate, "/api", "opaque").await.status, 200);
    assert_eq!(gate.upstream.take_one().alike("x-user"), ["ada"]);
}

/// An answer is believed for a minute, never past the token's end, and the token is not asked about before that.
#[tokio::test]
async fn an_answer_is_believed_for_a_while() {
    let gate = gate(&[INTROSPECTED]).await;
    says(&gate, &active(&gate));
    for (seconds, questions) in [(0, 1), (30, 1), (29, 1), (1, 2), (59, 2)] {
        gate.advance(Duration::from_secs(seconds));
        assert_eq!(ask(&gate, "/api", "opaque").await.status, 200);
        assert_eq!(asked(&gate), questions, "after {seconds} more");
    }
    // Revoked in between: noticed with the next question.
    says(&gate, &json!({"active": false}));
    assert_eq!(ask(&gate, "/api", "opaque").await.status, 200);
    gate.advance(Duration::from_secs(1));
    assert_eq!(ask(&gate, "/api", "opaque").await.status, 401);
    // The refusal is believed for some seconds, too.
    let before = asked(&gate);
    assert_eq!(ask(&gate, "/api", "opaque").await.status, 401);
    assert_eq!(asked(&gate), before);
    gate.advance(Duration::from_secs(5));
    assert_eq!(ask(&gate, "/api", "opaque").await.status, 401);
    assert_eq!(asked(&gate), before + 1);
}

#[tokio::test]
async fn an_answer_never_outlives_its_token() {
    let gate = gate(&[INTROSPECTED]).await;
    let short = json!({"exp": gate.clock.now().0 + 20});
    says(&gate, &with(active(&gate), &short));
    assert_eq!(ask(&gate, "/api", "opaque").await.status, 200);
    gate.advance(Duration::from_secs(19));
    assert_eq!((ask(&gate, "/api", "opaque").await.status, asked(&gate)), (200, 1));
    says(&gate, &json!({"active": false}));
    gate.advance(Duration::from_secs(1));
    assert_eq!((ask(&gate, "/api", "opaque").await.status, asked(&gate)), (401, 2));
}

/// However many bring it at once.
#[tokio::test]
async fn one_question_at_a_time_for_each_token() {
    let gate = gate(&[INTROSPECTED]).await;
    let held = tokio_util::sync::CancellationToken::new();
    gate.provider.faults().lasting(Endpoint::Introspection, Fault::Hold(held.clone()));
    let request = wire::request(&gate, "GET /api", &[&super::bearer("opaque")]);
    let mut callers = Vec::new();
    for _ in 0..30 {
        let mut caller = Caller::connect(gate.address).await;
        caller.say(&request).await;
        callers.push(caller);
    }
    // Connections are served in their order: whoever comes after them is answered when all of them wait.
    for _ in 0..3 {
        assert_eq!(gate.ask("GET /public", &[]).await.status, 200);
    }
    soon(async {
        while asked(&gate) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    held.cancel();
    for mut caller in callers {
        // The provider does not know it.
        assert_eq!(caller.answer().await.status, 401);
    }
    assert_eq!(asked(&gate), 1);
}

/// Nobody can tell: that is no refusal, and whoever waits is told for how long.
#[tokio::test]
async fn a_provider_that_fails_makes_nobody_a_liar() {
    let gate = gate(&[INTROSPECTED, ("limits.provider_timeout", "500ms")]).await;
    for (n, fault) in [
        Fault::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "oops"),
        Fault::text(StatusCode::OK, "text/html", "<html>"),
        Fault::Redirect("https://evil.example".to_owned()),
        Fault::Close,
        Fault::Delay(Duration::from_secs(2)),
    ]
    .into_iter()
    .enumerate()
    {
        gate.provider.faults().lasting(Endpoint::Introspection, fault.clone());
        let answer = ask(&gate, "/api", &format!("opaque-{n}")).await;
        assert_eq!(refused(&gate, &answer).0, 503, "{fault:?}: {}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
        assert!(answer.all("www-authenticate").is_empty(), "a new token would not help");
    }
    // Over as soon as the provider is back, a moment later.
    says(&gate, &active(&gate));
    gate.advance(Duration::from_secs(3));
    assert_eq!(ask(&gate, "/api", "opaque-0").await.status, 200);
}

/// Asked about nothing where nothing is configured to be asked, and a JWT of ours is not shown to anybody.
#[tokio::test]
async fn only_black_boxes_are_asked_about() {
    let plain = gate(&[]).await;
    assert_eq!(ask(&plain, "/api", "opaque").await.status, 401);
    assert_eq!(asked(&plain), 0);
    let gate = gate(&[INTROSPECTED]).await;
    assert_eq!(ask(&gate, "/api", &good(&gate)).await.status, 200);
    let foreign = super::token(&gate.provider, &with(claims(&gate), &json!({"iss": "https://evil.example"})));
    assert_eq!(ask(&gate, "/api", &foreign).await.status, 401);
    assert_eq!(asked(&gate), 0);
}

/// A token that names no audience counts when it was issued to us, but not where a route wants to see one.
#[tokio::test]
async fn a_route_that_names_audiences_wants_to_see_one() {
    let gate = gate(&[INTROSPECTED]).await;
    let ours = json!({"aud": null, "client_id": crate::support::gate::CLIENT_ID});
    says(&gate, &with(active(&gate), &ours));
    for (path, status) in [("/api", 200), ("/forward", 401), ("/api", 200)] {
        assert_eq!(ask(&gate, path, "opaque").await.status, status, "{path}");
    }
    says(&gate, &with(active(&gate), &json!({"aud": null, "client_id": ""})));
    assert_eq!(ask(&gate, "/api", "another").await.status, 401);
}

/// The route's rules are looked at with each request, whatever is remembered of the token.
#[tokio::test]
async fn what_is_remembered_is_judged_anew() {
    let gate = gate(&[INTROSPECTED]).await;
    says(&gate, &with(active(&gate), &json!({"scope": "read"})));
    for (path, status) in [("/api", 200), ("/scoped", 403), ("/forward", 401), ("/api", 200), ("/staff", 403)] {
        assert_eq!(ask(&gate, path, "opaque").await.status, status, "{path}");
    }
    assert_eq!(asked(&gate), 1);
}
