//! Keycloak: nested roles, groups with a slash, more in the callback than was asked for, one host for browsers and another for us, pushed
//! requests. GitLab: opaque tokens and groups in userinfo.

use doorward::dev::provider::{Endpoint, Provider, Quirk};
use serde_json::{Value, json};

use super::without;
use crate::support::{
    browser::someone,
    personality::{Personality, check, parameter},
};

pub const KEYCLOAK: Personality =
    Personality { kind: "keycloak", path: "/realms/acme", behaves: keycloak, settings: &[("issuer", "ISSUER")] };

fn keycloak(provider: &Provider) {
    let quirks = provider.quirks();
    quirks.add(Quirk::CallbackParameter("session_state".to_owned(), "9f1f-4c".to_owned()));
    quirks.add(Quirk::PushedRequests { required: false });
}

fn ada() -> Value {
    json!({
        "preferred_username": "ada", "email": "ada@corp.com", "email_verified": true, "groups": ["/staff", "/staff/eng"],
        "realm_access": {"roles": ["offline_access", "admin"]},
        "resource_access": {"gate.app": {"roles": ["editor"]}},
    })
}

#[tokio::test]
async fn keycloaks_people_sign_in_by_a_pushed_request() {
    let world = KEYCLOAK.world().await;
    let asked = world.authorization().await;
    let names: Vec<String> = asked.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["client_id", "request_uri"], "{asked}");
    world.signs_in(&[("f:1:ada", ada(), Ok(KEYCLOAK_USER))]).await;
    let claims = json!({"email": "ada@corp.com"});
    let world = KEYCLOAK.with(&[("user_claim", "email")]).await;
    world.signs_in(&[("f:1:ada", claims, Err((403, "E-mail"))), ("f:1:ada", ada(), Ok("ada@corp.com"))]).await;
}

const KEYCLOAK_USER: &str = "f:1:ada";

#[tokio::test]
async fn keycloaks_groups_and_roles_are_kept_as_they_are() {
    for (claim, groups) in [
        (None, Some("/staff,/staff/eng")),
        (Some("/realm_access/roles"), Some("offline_access,admin")),
        (Some("/resource_access/gate.app/roles"), Some("editor")),
        (Some("/resource_access/other/roles"), None),
        (Some("realm_access.roles"), None),
    ] {
        let more: Vec<_> = claim.map(|claim| ("groups_claim", claim)).into_iter().collect();
        let world = KEYCLOAK.with(&more).await;
        assert_eq!(world.groups("f:1:ada", &ada()).await.as_deref(), groups, "{claim:?}");
    }
    let world = KEYCLOAK.with(&[("allow.claims.groups", "staff")]).await;
    check("`staff` is not `/staff`", &world.sign_in("f:1:ada", &ada()).await, Err((403, "")));
}

/// Another realm's callback does not pass for this one's.
#[tokio::test]
async fn keycloaks_callback_names_its_realm() {
    let world = KEYCLOAK.world().await;
    let mut browser = world.browser();
    let page = browser.reach_provider(&world.url("/")).await;
    let callback = browser.choose(&page, &someone("f:1:ada", "{}")).await;
    assert!(callback.contains("session_state=9f1f-4c") && callback.contains("realms%2Facme"), "{callback}");
    let other = callback.replace("realms%2Facme", "realms%2Fmaster");
    let back = browser.get(&other).await;
    assert!(back.status.is_client_error() || back.status == 502, "{back:?}");
    assert_eq!(world.asked(Endpoint::Token), 0);
    check("its own", &world.sign_in("f:1:ada", &ada()).await, Ok(KEYCLOAK_USER));
}

#[tokio::test]
async fn logout_goes_on_at_keycloak() {
    let world = KEYCLOAK.world().await;
    let left = world.logout("f:1:ada", &ada()).await;
    assert!(left.as_str().starts_with(&world.provider().url(Endpoint::EndSession)), "{left}");
    assert_eq!(parameter(&left, "client_id").as_deref(), Some("gate"), "there is no `id_token_hint`");
    let page = world.browser().get(left.as_str()).await;
    assert_eq!(page.header("location").split('?').next(), Some(&*world.url("/_auth/signed-out")), "{page:?}");
}

/// In a container: browsers know it by a name that leads nowhere from where the gateway is.
#[tokio::test]
async fn browsers_and_the_gateway_may_know_keycloak_by_different_hosts() {
    const FRONT: &str = "http://sso.localhost";
    const INSIDE: Personality = Personality {
        settings: &[("issuer", "http://sso.localhost/realms/acme"), ("back_channel_origin", "ORIGIN")],
        behaves: |provider| {
            provider.quirks().add(Quirk::Issuer(format!("{FRONT}/realms/acme")));
            let back = provider.issuer().trim_end_matches("/realms/acme").to_owned();
            provider.faults().metadata(move |metadata| {
                for (name, value) in metadata.iter_mut() {
                    if let Some(url) = value.as_str().filter(|_| name.contains("endpoint") || name == "jwks_uri") {
                        *value = json!(url.replace(&back, FRONT));
                    }
                }
            });
        },
        ..KEYCLOAK
    };
    let world = INSIDE.world().await;
    let asked = world.authorization().await;
    assert!(asked.as_str().starts_with(&format!("{FRONT}/realms/acme/authorize?")), "{asked}");

    let mut browser = world.browser();
    let back = world.provider().issuer().strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    browser.reaches_at("sso.localhost:80", &back);
    let answer = world.callback(&mut browser, "f:1:ada", &ada()).await;
    check("two hosts", &world.told(&mut browser, &answer).await, Ok(KEYCLOAK_USER));
    let left = world.leave(&mut browser).await;
    assert!(left.as_str().starts_with(&format!("{FRONT}/realms/acme/end-session?")), "{left}");
}

pub const GITLAB: Personality =
    Personality { kind: "gitlab", path: "", behaves: gitlab, settings: &[("issuer", "ISSUER")] };

fn gitlab(provider: &Provider) {
    provider.quirks().add(Quirk::SilentCallbacks);
    let faults = provider.faults();
    faults.metadata(|metadata| without(metadata, &["end_session_endpoint"]));
    faults.id_tokens(|_, claims| {
        let direct = claims.remove("groups");
        claims.extend(direct.map(|groups| ("groups_direct".to_owned(), groups)));
    });
}

#[tokio::test]
async fn gitlabs_people_have_their_groups_in_userinfo() {
    let world = GITLAB.world().await;
    let claims = json!({"nickname": "ada", "preferred_username": "ada", "email": "ada@corp.com", "email_verified": true, "groups": ["acme", "acme/core"]});
    let told = world.sign_in("42", &claims).await.unwrap();
    assert_eq!((told.user.as_str(), told.groups.as_deref()), ("42", Some("acme,acme/core")));
    let world = GITLAB.with(&[("user_claim", "email")]).await;
    world.signs_in(&[("42", json!({"email": "a@b.example", "email_verified": false}), Err((403, "E-mail")))]).await;
}

#[tokio::test]
async fn there_is_no_logout_at_gitlab() {
    let world = GITLAB.world().await;
    let left = world.logout("42", &json!({})).await;
    assert!(world.stays_here(&left), "{left}");
}
