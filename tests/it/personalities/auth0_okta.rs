//! Okta: an ID token that says little, and userinfo that says the rest. Auth0: an issuer that ends with a slash, claims that are URLs, a logout
//! of its own.

use doorward::dev::provider::{Asked, Endpoint, Provider, Quirk};
use serde_json::{Value, json};

use super::without;
use crate::support::personality::{Personality, check, parameter};

/// The org authorization server.
pub const OKTA: Personality = Personality { kind: "okta", path: "", behaves: okta, settings: &[("issuer", "ISSUER")] };

fn okta(provider: &Provider) {
    provider.quirks().add(Quirk::SilentCallbacks);
    provider.quirks().require(Endpoint::Token, |asked: &Asked<'_>| {
        if asked.headers.contains_key("authorization") { Err("invalid_client") } else { Ok(()) }
    });
    provider.quirks().require(Endpoint::EndSession, |asked| match asked.parameter("id_token_hint") {
        Some(_) => Ok(()),
        None => Err("invalid_request"),
    });
    // Given together with an access token, it is thin.
    let thin = ["iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "at_hash", "sid"];
    provider.faults().id_tokens(move |_, claims| {
        claims.retain(|name, _| thin.contains(&name.as_str()) || name == "preferred_username");
    });
}

fn ada() -> Value {
    json!({
        "preferred_username": "ada@corp.com", "email": "ada@corp.com", "email_verified": true, "groups": ["Everyone", "staff"],
    })
}

/// T-134.
#[tokio::test]
async fn oktas_groups_come_from_userinfo() {
    let world = OKTA.world().await;
    let told = world.sign_in("00u1", &ada()).await.unwrap();
    assert_eq!((told.groups.as_deref(), told.email.as_deref()), (Some("Everyone,staff"), Some("ada@corp.com")));
    assert_eq!(world.asked(Endpoint::Userinfo), 1);
}

/// T-134.
#[tokio::test]
async fn oktas_user_is_who_it_says_and_nobody_without_a_group_passes() {
    let world = OKTA.world().await;
    world.signs_in(&[("00u1", ada(), Ok(OKTA_USER))]).await;
    world.provider().faults().next_userinfo(|claims| _ = claims.insert("sub".to_owned(), json!("00u2")));
    check("another subject", &world.sign_in("00u1", &ada()).await, Err((502, "sub")));

    let world = OKTA.with(&[("allow.claims.groups", "staff")]).await;
    check("a member", &world.sign_in("00u1", &ada()).await, Ok(OKTA_USER));
    world.provider().faults().userinfos(|claims| without(claims, &["groups"]));
    check("without groups", &world.sign_in("00u1", &ada()).await, Err((403, "")));
}

const OKTA_USER: &str = "00u1";

/// A custom authorization server is an issuer of its own below the same host.
#[tokio::test]
async fn oktas_servers_do_not_speak_for_each_other() {
    const CUSTOM: Personality = Personality { path: "/oauth2/default", ..OKTA };
    let world = CUSTOM.world().await;
    check("its own", &world.sign_in("00u1", &ada()).await, Ok(OKTA_USER));
    let org = world.provider().issuer().trim_end_matches("/oauth2/default").to_owned();
    world.provider().faults().next_id_token(move |_, claims| _ = claims.insert("iss".to_owned(), json!(org)));
    check("the organisation's", &world.sign_in("00u1", &ada()).await, Err((502, "iss")));
}

/// It wants to see the ID token again, and the place to return to.
#[tokio::test]
async fn a_logout_at_okta_brings_the_id_token() {
    let world = OKTA.world().await;
    let left = world.logout("00u1", &ada()).await;
    let named: Vec<_> = left.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(named, ["id_token_hint", "post_logout_redirect_uri"], "{left}");
    let hint = left.query_pairs().next().unwrap().1.into_owned();
    assert_eq!(hint.split('.').count(), 3, "{left}");
}

const AUTH0: Personality = Personality { kind: "auth0", path: "/", behaves: auth0, settings: &[("issuer", "ISSUER")] };
const GROUPS: &str = "https://corp.example/claims/groups";

fn auth0(provider: &Provider) {
    assert!(provider.issuer().ends_with('/'));
    provider.quirks().add(Quirk::SilentCallbacks);
    let faults = provider.faults();
    faults.metadata(|metadata| without(metadata, &["end_session_endpoint", "introspection_endpoint"]));
    // Only claims with a namespace can be added.
    faults.id_tokens(|_, claims| without(claims, &["groups"]));
    faults.userinfos(|claims| without(claims, &["groups"]));
}

/// T-139.
#[tokio::test]
async fn auth0s_issuer_ends_with_a_slash() {
    let world = AUTH0.world().await;
    let sub = "google-oauth2|103547991597142817347";
    let claims = json!({"email": "ada@example.com", "email_verified": true});
    world.signs_in(&[(sub, claims.clone(), Ok(sub))]).await;
    let slashless = world.provider().issuer().trim_end_matches('/').to_owned();
    let said = slashless.clone();
    world.provider().faults().next_id_token(move |_, token| _ = token.insert("iss".to_owned(), json!(said)));
    check("without it", &world.sign_in(sub, &claims).await, Err((502, "iss")));
}

/// T-139: a claim's name is a name, whatever stands in it.
#[tokio::test]
async fn auth0s_claims_are_urls() {
    let world = AUTH0.with(&[("groups_claim", GROUPS)]).await;
    let groups = world.groups("auth0|1", &json!({GROUPS: ["staff", "eng"]})).await;
    assert_eq!(groups.as_deref(), Some("staff,eng"));
    let nested = json!({"https://corp": {"example/claims/groups": ["admin"]}});
    assert_eq!(world.groups("auth0|1", &nested).await, None);
}

/// T-139.
#[tokio::test]
async fn auth0_has_a_logout_of_its_own() {
    let world = AUTH0.world().await;
    let left = world.logout("auth0|1", &json!({})).await;
    let expected = format!("{}v2/logout", world.provider().issuer());
    assert_eq!(left.as_str().split('?').next(), Some(expected.as_str()));
    assert_eq!(parameter(&left, "client_id").as_deref(), Some("gate"));
    assert!(parameter(&left, "returnTo").unwrap().starts_with(&world.url("/_auth/signed-out")), "{left}");
}
