//! Pushed authorization requests (RFC 9126): the client leaves its parameters here, and the browser brings only a name for them.

use http::StatusCode;
use serde_json::json;

use super::{
    State,
    grants::CODE_LIFETIME,
    lock,
    refusal::{ErrorCode, Refusal},
    request::{Params, Received},
};
use crate::dev::answer::{self, Answer};

/// RFC 9126 §2.2.
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// What proves the client and is no part of the request.
const PROOF: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

pub(super) fn answer(state: &State, received: &Received) -> Answer {
    keep(state, received).unwrap_or_else(|refusal| refusal.answer())
}

fn keep(state: &State, received: &Received) -> Result<Answer, Refusal> {
    let form = received.form()?;
    if state.quirks.pushed_requests().is_none() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "pushed requests are not taken"));
    }
    let client = state.authenticated(received, &form)?;
    if form.one("request_uri")?.is_some() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "a pushed request cannot name another"));
    }
    // §2: it is this client's, whatever the form says.
    let own = |name: &str| name == "client_id" || PROOF.contains(&name);
    let kept = form.all().iter().filter(|(name, _)| !own(name)).cloned();
    let params = Params::of(kept.chain([("client_id".to_owned(), client.id.clone())]).collect());
    let name = lock(&state.grants).pushed.insert(params, state.clock.now());
    let told = json!({ "request_uri": format!("{PREFIX}{name}"), "expires_in": CODE_LIFETIME.as_secs() });
    Ok(answer::json(StatusCode::CREATED, &told))
}

/// The request that the browser brings: its own parameters, or those that were pushed.
pub(super) fn resolved(state: &State, params: &Params) -> Result<Params, Refusal> {
    let refused = |description| Err(Refusal::new(ErrorCode::InvalidRequest, description));
    let Some(required) = state.quirks.pushed_requests() else { return Ok(params.clone()) };
    let Some(name) = params.one("request_uri")?.and_then(|name| name.strip_prefix(PREFIX)) else {
        return if required { refused("the request has to be pushed") } else { Ok(params.clone()) };
    };
    let client = params.required("client_id")?;
    let mut grants = lock(&state.grants);
    match grants.pushed.get(name, state.clock.now()) {
        Some(pushed) if pushed.one("client_id")? == Some(client) => Ok(pushed.clone()),
        Some(_) => refused("the request was pushed by another client"),
        None => refused("no such request was pushed, or its time is over"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::dev::provider::{
        Endpoint, Quirk,
        testing::{Running, SECRET, as_app, encoded, redemption, request},
    };

    const PUSH: Endpoint = Endpoint::PushedRequests;

    #[tokio::test]
    async fn only_a_proven_clients_request_is_kept_and_only_for_it() {
        let op = Running::start().await;
        let push =
            |query: String| as_app(op.caller.post(&op.target(PUSH), "application/x-www-form-urlencoded", &query));
        assert_eq!(op.caller.send(push(request(&[]))).await.status, 400, "not before it is switched on");
        op.provider.quirks().add(Quirk::PushedRequests { required: true });
        let strangers = op.caller.post(&op.target(PUSH), "application/x-www-form-urlencoded", &request(&[]));
        assert_eq!(op.caller.send(strangers).await.status, 401);
        assert_eq!(op.caller.send(push(request(&[("request_uri", "urn:x")]))).await.status, 400);
        assert_eq!(op.ask(&request(&[])).await.status, 400, "the request has to be pushed");

        let kept = op.caller.send(push(request(&[]))).await;
        assert_eq!(kept.status, 201, "{}", kept.text());
        let uri = kept.json()["request_uri"].as_str().unwrap().to_owned();
        for (client, name) in
            [("other", uri.as_str()), ("app", "urn:ietf:params:oauth:request_uri:made-up"), ("", &uri)]
        {
            assert_eq!(
                op.ask(&encoded(&[("client_id", client), ("request_uri", name)])).await.status,
                400,
                "{client} {name}"
            );
        }
        let code = op.code(&encoded(&[("client_id", "app"), ("request_uri", &uri), ("state", "ignored")])).await;
        assert_eq!(op.token(&redemption(&code)).await.status, 200);
        op.clock.advance(Duration::from_secs(60));
        assert_eq!(
            op.ask(&encoded(&[("client_id", "app"), ("request_uri", &uri)])).await.status,
            400,
            "its time is over"
        );
    }

    #[tokio::test]
    async fn the_client_may_say_its_secret_in_the_form_and_it_is_not_kept() {
        let op = Running::start().await;
        op.provider.quirks().add(Quirk::PushedRequests { required: false });
        assert_eq!(
            op.get(Endpoint::Discovery).await.json()["pushed_authorization_request_endpoint"],
            op.provider.url(PUSH)
        );
        let fields = format!("{}&{}", request(&[]), encoded(&[("client_secret", SECRET)]));
        let kept = op.caller.post(&op.target(PUSH), "application/x-www-form-urlencoded", &fields);
        let uri = op.caller.send(kept).await.json()["request_uri"].as_str().unwrap().to_owned();
        let page = op.ask(&encoded(&[("client_id", "app"), ("request_uri", &uri)])).await;
        assert!(page.status == 200 && !page.text().contains("client_secret"), "{}", page.text());
        assert_eq!(op.ask(&request(&[])).await.status, 200, "and others are taken too");
    }
}
