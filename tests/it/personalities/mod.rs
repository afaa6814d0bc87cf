//! What each real provider does differently (C.11), played by the test provider: signing in, being refused, signing out.
//!
//! A file holds the habits of one to three providers and what has to come of them. The gateway is told the kind, an id and a secret, and where
//! the provider is, since tests have no internet; the rest is the kind's table in `config/providers.toml`.

mod adfs;
mod auth0_okta;
mod bearer;
mod cognito_forgerock;
mod facebook_github;
mod google;
mod keycloak_gitlab;
mod linkedin_apple;
mod logingov;
mod microsoft;
mod oddities;
mod ping;
mod refresh;
mod secrets;

use doorward::dev::provider::JsonObject;
use serde_json::Value;
use url::Url;

use crate::support::{
    Browser, Upstream,
    browser::Answer,
    personality::{World, parameter},
    upstream::Received,
};

/// Takes claims away.
fn without(claims: &mut JsonObject, names: &[&str]) {
    claims.retain(|name, _| !names.contains(&name.as_str()));
}

/// Says `value` under another name.
fn renamed(claims: &mut JsonObject, from: &str, to: &str) {
    if let Some(value) = claims.remove(from) {
        claims.insert(to.to_owned(), value);
    }
}

/// A provider's own API, which answers JSON: what `reply` makes of a request.
async fn api(reply: impl Fn(&Received) -> (u16, Value) + Send + Sync + 'static) -> Upstream {
    let api = Upstream::start().await;
    api.replies(move |request| {
        let (status, body) = reply(request);
        (status, vec![("Content-Type", "application/json".to_owned())], body.to_string())
    });
    api
}

/// Goes to sign in and comes back from a provider that is only played, with these parameters and the state.
async fn back_with(world: &World, browser: &mut Browser, parameters: &[(&str, &str)]) -> Answer {
    let login = browser.get(&world.url("/_auth/login")).await;
    assert_eq!(login.status, 302, "{login:?}");
    let asked = Url::parse(login.header("location")).unwrap();
    let mut callback = Url::parse(&parameter(&asked, "redirect_uri").unwrap()).unwrap();
    let state = parameter(&asked, "state").unwrap();
    callback.query_pairs_mut().extend_pairs(parameters).append_pair("state", &state);
    browser.get(callback.as_str()).await
}
