//! login.gov: a key instead of a secret, and a level of assurance that has to be asked for.

use doorward::dev::provider::{Asked, Endpoint, KeyProof, Provider, Quirk};
use serde_json::{Value, json};

use super::without;
use crate::support::personality::{Key, Personality, World, check, parameter};

const LOGINGOV: Personality = Personality {
    kind: "logingov",
    path: "",
    behaves: logingov,
    settings: &[("discovery_url", "ISSUER/.well-known/openid-configuration")],
};
const SUB: &str = "b2d2d115-1d7e-4579-b9d6-f8e84f4f56ca";

fn logingov(provider: &Provider) {
    let quirks = provider.quirks();
    quirks.add(Quirk::Issuer("https://secure.login.gov/".to_owned()));
    quirks.add(Quirk::SilentCallbacks);
    quirks.require(Endpoint::Authorization, |asked: &Asked<'_>| {
        let levels = asked.parameter("acr_values").unwrap_or_default();
        if !levels.starts_with("http://idmanagement.gov/") && !levels.starts_with("urn:acr.login.gov:") {
            return Err("invalid_request");
        }
        let long = |name| asked.parameter(name).is_some_and(|value| value.len() >= 22);
        if long("state") && long("nonce") { Ok(()) } else { Err("invalid_request") }
    });
    quirks.require(Endpoint::Token, |asked| {
        let names = |name: &str| asked.form.iter().any(|(found, _)| found == name);
        if names("client_secret") || asked.headers.contains_key("authorization") {
            Err("invalid_client")
        } else {
            Ok(())
        }
    });
    let faults = provider.faults();
    faults.metadata(|metadata| {
        metadata.insert("token_endpoint_auth_methods_supported".to_owned(), json!(["private_key_jwt"]));
    });
    faults.id_tokens(|_, claims| without(claims, &["groups", "preferred_username", "name", "sid"]));
    faults.userinfos(|claims| without(claims, &["groups", "preferred_username", "name"]));
}

pub async fn world(more: &[(&str, &str)]) -> World {
    LOGINGOV.with_key(&Key::rsa(KeyProof::Assertion), more).await
}

fn ada() -> Value {
    json!({"email": "ada@example.gov", "email_verified": true})
}

#[tokio::test]
async fn a_key_stands_for_the_client() {
    let world = world(&[]).await;
    assert!(parameter(&world.authorization().await, "acr_values").is_some());
    world.signs_in(&[(SUB, ada(), Ok(SUB))]).await;
    assert_eq!(world.sign_in(SUB, &ada()).await.unwrap().groups, None, "there are none");
}

/// A key that login.gov does not know is nobody's.
#[tokio::test]
async fn another_key_is_refused() {
    let known = Key::rsa(KeyProof::Assertion);
    let other = Key::rsa(KeyProof::Assertion).pair.serialize_pem();
    let world = LOGINGOV.with_key(&known, &[("client_key", &other)]).await;
    check("another key", &world.sign_in(SUB, &ada()).await, Err((502, "does not accept this site as its client")));
    let world = self::world(&[("user_claim", "email")]).await;
    let unverified = json!({"email": "ada@example.gov", "email_verified": false});
    world.signs_in(&[(SUB, unverified, Err((403, "E-mail"))), (SUB, ada(), Ok("ada@example.gov"))]).await;
}

/// It refuses a `state` as short as ours, so none is sent.
#[tokio::test]
async fn logout_goes_on_at_logingov() {
    let world = world(&[]).await;
    let left = world.logout(SUB, &ada()).await;
    assert_eq!(left.as_str().split('?').next(), Some("https://secure.login.gov/openid_connect/logout"));
    assert_eq!(parameter(&left, "client_id").as_deref(), Some("gate"));
    assert_eq!(parameter(&left, "post_logout_redirect_uri"), Some(world.url("/_auth/signed-out")));
    assert_eq!(parameter(&left, "state"), None);
}
