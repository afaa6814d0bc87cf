//! Amazon Cognito: another host for browsers, truth as text, a logout that is not the standard's. ForgeRock: ports and realms in every address,
//! userinfo that is signed.

use doorward::dev::provider::{Asked, Endpoint, Provider, Quirk};
use serde_json::{Value, json};

use super::without;
use crate::support::{
    browser::someone,
    personality::{Personality, World, check, parameter},
};

const POOL: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI";
pub const COGNITO: Personality = Personality {
    kind: "cognito",
    path: "",
    behaves: cognito,
    settings: &[("issuer", POOL), ("discovery_url", "ISSUER/.well-known/openid-configuration")],
};

fn cognito(provider: &Provider) {
    provider.quirks().add(Quirk::Issuer(POOL.to_owned()));
    provider.quirks().add(Quirk::SilentCallbacks);
    // It knows neither of the standard's parameters.
    provider.quirks().require(Endpoint::EndSession, |_| Err("invalid_request"));
    let faults = provider.faults();
    faults.id_tokens(|_, claims| {
        without(claims, &["groups", "preferred_username", "sid"]);
        claims.insert("token_use".to_owned(), json!("id"));
    });
    faults.userinfos(|claims| {
        let verified = claims.get("email_verified").map(ToString::to_string);
        claims.extend(verified.map(|verified| ("email_verified".to_owned(), json!(verified))));
    });
}

#[tokio::test]
async fn cognitos_people_and_groups_have_colons_in_their_names() {
    let world = COGNITO.world().await;
    let claims = json!({
        "cognito:username": "ada", "cognito:groups": ["eu-west-1_AbCdEfGhI_Google", "staff"], "email": "ada@corp.com", "email_verified": true,
    });
    let told = world.sign_in("9f1c", &claims).await.unwrap();
    assert_eq!((told.user.as_str(), told.groups.as_deref()), ("9f1c", Some("eu-west-1_AbCdEfGhI_Google,staff")));
    let world = COGNITO.with(&[("user_claim", "cognito:username")]).await;
    world.signs_in(&[("9f1c", claims, Ok("ada")), ("9f1c", json!({}), Err((403, "cognito:username")))]).await;
}

/// Truth as text, in userinfo only.
#[tokio::test]
async fn cognitos_verified_address_may_be_text() {
    let world = COGNITO.with(&[("user_claim", "email")]).await;
    world.provider().faults().id_tokens(|_, claims| without(claims, &["email", "email_verified"]));
    let address = |verified: bool| json!({"email": "ada@corp.com", "email_verified": verified});
    world
        .signs_in(&[("9f1c", address(false), Err((403, "E-mail"))), ("9f1c", address(true), Ok("ada@corp.com"))])
        .await;
}

#[tokio::test]
async fn cognitos_logout_is_its_own() {
    let world = COGNITO.world().await;
    let left = world.logout("9f1c", &json!({})).await;
    let expected = format!("{}/logout", world.provider().issuer());
    assert_eq!(left.as_str().split('?').next(), Some(expected.as_str()), "where browsers sign in, not at the issuer");
    assert_eq!(parameter(&left, "client_id").as_deref(), Some("gate"));
    assert!(parameter(&left, "logout_uri").unwrap().starts_with(&world.url("/_auth/signed-out")), "{left}");
    assert_eq!((parameter(&left, "id_token_hint"), parameter(&left, "post_logout_redirect_uri")), (None, None));
}

const AM: &str = "https://am.example.com:443/am/oauth2/realms/root/realms/alpha";
pub const FORGEROCK: Personality = Personality {
    kind: "forgerock",
    path: "/am/oauth2",
    behaves: forgerock,
    settings: &[("issuer", AM), ("discovery_url", "ISSUER/.well-known/openid-configuration?realm=/alpha")],
};

fn forgerock(provider: &Provider) {
    let quirks = provider.quirks();
    quirks.add(Quirk::Issuer(AM.to_owned()));
    quirks.add(Quirk::SignedUserinfo);
    for endpoint in [
        Endpoint::Discovery,
        Endpoint::Authorization,
        Endpoint::Token,
        Endpoint::Userinfo,
        Endpoint::Keys,
        Endpoint::EndSession,
    ] {
        // Without its realm an address means the root realm, where nobody of ours lives.
        quirks.require(endpoint, |asked: &Asked<'_>| {
            let realms: Vec<&str> =
                asked.query.iter().filter(|(name, _)| name == "realm").map(|(_, value)| value.as_str()).collect();
            if realms == ["/alpha"] { Ok(()) } else { Err("realm_not_found") }
        });
    }
    let faults = provider.faults();
    faults.metadata(|metadata| {
        for (name, value) in metadata.iter_mut() {
            if let Some(url) = value.as_str().filter(|_| name.ends_with("_endpoint") || name == "jwks_uri") {
                *value = json!(format!("{url}?realm=/alpha"));
            }
        }
    });
    faults.id_tokens(|_, claims| {
        without(claims, &["email", "email_verified", "groups", "name", "preferred_username"]);
        claims.extend([
            ("subname".to_owned(), json!("ada")),
            ("realm".to_owned(), json!("/alpha")),
            ("tokenName".to_owned(), json!("id_token")),
            ("auditTrackingId".to_owned(), json!("x-1")),
        ]);
    });
}

fn ada() -> Value {
    json!({"email": "ada@corp.com", "email_verified": true, "groups": ["staff"]})
}

/// T-137.
#[tokio::test]
async fn forgerocks_realm_stays_in_every_address() {
    let world = FORGEROCK.world().await;
    let asked = world.authorization().await;
    assert!(asked.query().unwrap().starts_with("realm=/alpha&"), "byte for byte: {asked}");
    let told = world.sign_in("(usr!ada)", &ada()).await.unwrap();
    assert_eq!((told.user.as_str(), told.groups.as_deref()), ("(usr!ada)", Some("staff")));
}

/// It wants to see the ID token again, and the place to return to.
#[tokio::test]
async fn a_logout_at_forgerock_brings_the_id_token() {
    let world = FORGEROCK.world().await;
    let left = world.logout("(usr!ada)", &ada()).await;
    let named: Vec<_> = left.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(named, ["realm", "id_token_hint", "post_logout_redirect_uri"], "{left}");
    let hint = left.query_pairs().nth(1).unwrap().1.into_owned();
    assert_eq!(hint.split('.').count(), 3, "{left}");
}

/// T-137: the port is part of the name.
#[tokio::test]
async fn forgerocks_issuer_is_compared_as_text() {
    let world = FORGEROCK.world().await;
    for iss in [AM.replace(":443", ""), AM.replace("alpha", "bravo"), format!("{AM}/"), AM.replace("https", "http")] {
        let said = iss.clone();
        world.provider().faults().next_id_token(move |_, claims| _ = claims.insert("iss".to_owned(), json!(said)));
        check(&iss, &world.sign_in("(usr!ada)", &ada()).await, Err((502, "iss")));
    }
    let mut browser = world.browser();
    let page = browser.reach_provider(&world.url("/")).await;
    let callback = browser.choose(&page, &someone("(usr!ada)", "{}")).await;
    let other = callback.replace("am.example.com%3A443", "am.example.com");
    assert_ne!(callback, other);
    let tokens = world.asked(Endpoint::Token);
    let back = browser.get(&other).await;
    assert!(!back.status.is_redirection() && world.asked(Endpoint::Token) == tokens, "{back:?}");
}

/// T-137: signed userinfo counts when the signature, the issuer and the subject fit.
#[tokio::test]
async fn forgerocks_userinfo_is_verified() {
    let world: World = FORGEROCK.with(&[("user_claim", "email")]).await;
    check("good", &world.sign_in("(usr!ada)", &ada()).await, Ok("ada@corp.com"));
    let provider = world.provider().clone();
    let header = json!({"alg": "ES256", "kid": provider.kid()}).to_string();
    let signed = |changes: Value| {
        let mut claims =
            json!({"iss": AM, "aud": "gate", "sub": "(usr!ada)", "email": "eve@corp.com", "email_verified": true});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        provider.sign(header.as_bytes(), claims.to_string().as_bytes())
    };
    let good = signed(json!({}));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let bare = json!({"alg": "none"}).to_string();
    let unsigned = provider.sign(bare.as_bytes(), b"{\"sub\":\"(usr!ada)\"}").rsplit_once('.').unwrap().0.to_owned();
    for (case, token) in [
        ("another subject", signed(json!({"sub": "(usr!eve)"}))),
        ("another issuer", signed(json!({"iss": "https://am.example.com/am"}))),
        ("another audience", signed(json!({"aud": "somebody"}))),
        ("another signature", format!("{input}.{}", "A".repeat(signature.len()))),
        ("no signature", format!("{unsigned}.")),
        ("encrypted", "a.b.c.d.e".to_owned()),
        ("nothing", String::new()),
    ] {
        let answer = doorward::dev::provider::Fault::text(http::StatusCode::OK, "application/jwt", token);
        provider.faults().next(Endpoint::Userinfo, answer);
        let refused = world.sign_in("(usr!ada)", &ada()).await.expect_err(case);
        assert_eq!(refused.status, 502, "{case}: {refused:?}");
    }
}
