//! PingFederate and PingOne: `mail`, opaque access tokens, scopes as a list, a logout endpoint under another name.

use doorward::dev::provider::{Endpoint, Provider, Quirk};
use serde_json::{Value, json};

use super::{renamed, without};
use crate::support::personality::{Personality, check, parameter};

pub const PINGFEDERATE: Personality =
    Personality { kind: "pingfederate", path: "", behaves: federate, settings: &[("issuer", "ISSUER")] };

fn federate(provider: &Provider) {
    provider.quirks().add(Quirk::SilentCallbacks);
    let faults = provider.faults();
    faults.metadata(|metadata| renamed(metadata, "end_session_endpoint", "ping_end_session_endpoint"));
    faults.id_tokens(|_, claims| {
        claims.retain(|name, _| {
            matches!(name.as_str(), "iss" | "sub" | "aud" | "exp" | "iat" | "nonce" | "auth_time" | "acr")
        });
        claims.insert("pi.sri".to_owned(), json!("session-reference"));
    });
    faults.userinfos(|claims| {
        renamed(claims, "email", "mail");
        without(claims, &["preferred_username"]);
    });
    faults.token_answers(|answer| {
        let scopes = answer["scope"].as_str().unwrap_or_default().split(' ').map(Value::from).collect::<Vec<_>>();
        answer.insert("scope".to_owned(), json!(scopes));
    });
}

fn ada() -> Value {
    json!({"email": "ada@corp.com", "email_verified": true, "groups": ["CN=staff,DC=corp", "eng"]})
}

/// T-133.
#[tokio::test]
async fn pingfederates_mail_is_the_address() {
    let world = PINGFEDERATE.world().await;
    let told = world.sign_in("ada", &ada()).await.unwrap();
    assert_eq!((told.user.as_str(), told.email.as_deref()), ("ada", Some("ada@corp.com")));
    let world = PINGFEDERATE.with(&[("user_claim", "email")]).await;
    world
        .signs_in(&[
            ("ada", ada(), Ok("ada@corp.com")),
            ("ada", json!({"email": "ada@corp.com", "email_verified": false}), Err((403, "E-mail"))),
            ("ada", json!({}), Err((403, "`email`"))),
        ])
        .await;
}

/// T-133: rules see each group as it is, commas and all.
#[tokio::test]
async fn pingfederates_groups_are_compared_whole() {
    for (group, expected) in [("eng", Ok("ada")), ("staff", Err((403, ""))), ("CN=staff", Err((403, "")))] {
        let world = PINGFEDERATE.with(&[("allow.claims.groups", group)]).await;
        check(group, &world.sign_in("ada", &ada()).await, expected);
    }
}

#[tokio::test]
async fn pingfederates_logout_has_another_name() {
    let world = PINGFEDERATE.world().await;
    let left = world.logout("ada", &ada()).await;
    assert!(left.as_str().starts_with(&world.provider().url(Endpoint::EndSession)), "{left}");
}

const PINGONE: Personality = Personality {
    kind: "pingone",
    path: "/5f7c3a5e-3c0e-4d6a-9b5e-1f2e3d4c5b6a/as",
    behaves: |provider| {
        provider.quirks().add(Quirk::SilentCallbacks);
        provider.faults().id_tokens(|_, claims| without(claims, &["groups", "email", "email_verified"]));
    },
    settings: &[("issuer", "ISSUER")],
};

#[tokio::test]
async fn pingones_people_sign_in_and_out() {
    let world = PINGONE.world().await;
    let told = world.sign_in("b0c1", &ada()).await.unwrap();
    assert_eq!((told.user.as_str(), told.email.as_deref()), ("b0c1", Some("ada@corp.com")));
    let other = world.provider().issuer().replace("5f7c3a5e", "00000000");
    world.provider().faults().next_id_token(move |_, claims| _ = claims.insert("iss".to_owned(), json!(other)));
    check("another environment", &world.sign_in("b0c1", &ada()).await, Err((502, "iss")));
    let left = world.logout("b0c1", &ada()).await;
    assert!(left.as_str().starts_with(&world.provider().url(Endpoint::EndSession)), "{left}");
    assert_eq!(parameter(&left, "post_logout_redirect_uri"), Some(world.url("/_auth/signed-out")));
}
