//! LinkedIn: two issuers, no nonce, no PKCE. Apple: a form posted from its own site, a secret that the client mints, no userinfo.

use doorward::dev::provider::{Asked, Endpoint, KeyProof, Provider, Quirk};
use serde_json::{Value, json};

use super::{back_with, without};
use crate::support::{
    browser::{Answer, Browser, someone},
    personality::{Expected, Key, Personality, World, check, parameter},
};

const LINKEDIN: Personality = Personality {
    kind: "linkedin",
    path: "",
    behaves: linkedin,
    settings: &[("discovery_url", "ISSUER/.well-known/openid-configuration")],
};

fn linkedin(provider: &Provider) {
    let quirks = provider.quirks();
    quirks.add(Quirk::Issuer("https://www.linkedin.com/oauth".to_owned()));
    quirks.add(Quirk::SilentCallbacks);
    quirks.add(Quirk::NoPkce);
    let no_pkce = |asked: &Asked<'_>| match asked.parameter("code_challenge").or(asked.parameter("code_verifier")) {
        Some(_) => Err("invalid_client"),
        None => Ok(()),
    };
    quirks.require(Endpoint::Authorization, no_pkce);
    quirks.require(Endpoint::Token, no_pkce);
    quirks.require(Endpoint::Token, in_the_body);
    let faults = provider.faults();
    faults.metadata(|metadata| without(metadata, &["end_session_endpoint", "code_challenge_methods_supported"]));
    faults.id_tokens(|_, claims| {
        without(claims, &["nonce", "groups", "sid", "auth_time", "at_hash"]);
        claims.insert("locale".to_owned(), json!({"country": "US", "language": "en"}));
    });
}

/// Credentials in the form, not in a header.
fn in_the_body(asked: &Asked<'_>) -> Result<(), &'static str> {
    let in_form = asked.form.iter().any(|(name, _)| name == "client_secret");
    if in_form && !asked.headers.contains_key("authorization") { Ok(()) } else { Err("invalid_client") }
}

#[tokio::test]
async fn linkedin_signs_in_without_nonce_and_pkce() {
    let world = LINKEDIN.world().await;
    let asked = world.authorization().await;
    assert_eq!((parameter(&asked, "code_challenge"), parameter(&asked, "code_challenge_method")), (None, None));
    world
        .signs_in(&[("782bbtaQ", json!({"email": "ada@example.com", "email_verified": "true"}), Ok("782bbtaQ"))])
        .await;
}

/// A nonce that comes all the same is compared.
#[tokio::test]
async fn linkedins_tokens_are_for_us_and_from_either_issuer() {
    let world = LINKEDIN.world().await;
    for (claim, value, expected) in [
        ("iss", json!("https://www.linkedin.com"), Ok("782bbtaQ")),
        ("iss", json!("https://www.linkedin.com/oauth"), Ok("782bbtaQ")),
        ("iss", json!("https://www.linkedin.com/"), Err((502, "https://www.linkedin.com/"))),
        ("iss", json!("https://linkedin.com"), Err((502, "https://linkedin.com"))),
        ("aud", json!("somebody else"), Err((502, "aud"))),
        ("nonce", json!("somebody else's"), Err((502, "nonce"))),
    ] {
        let case = format!("{claim} {value}");
        world.provider().faults().next_id_token(move |_, claims| _ = claims.insert(claim.to_owned(), value));
        check(&case, &world.sign_in("782bbtaQ", &json!({})).await, expected);
    }
}

/// It has words of its own for somebody who says no.
#[tokio::test]
async fn whoever_cancels_at_linkedin_is_told_so() {
    let world = LINKEDIN.world().await;
    for code in ["user_cancelled_login", "user_cancelled_authorize"] {
        let mut browser = world.browser();
        let back = back_with(&world, &mut browser, &[("error", code)]).await;
        check(code, &world.told(&mut browser, &back).await, Err((403, "cancelled")));
    }
}

#[tokio::test]
async fn there_is_no_logout_at_linkedin() {
    let world = LINKEDIN.world().await;
    let left = world.logout("782bbtaQ", &json!({})).await;
    assert!(world.stays_here(&left), "{left}");
}

pub const APPLE: Personality = Personality {
    kind: "apple",
    path: "",
    behaves: apple,
    settings: &[
        ("discovery_url", "ISSUER/.well-known/openid-configuration"),
        ("client_team", "TEAM123456"),
        ("client_key_id", "KEY1234567"),
    ],
};
const PUBLIC: &str = "https://app.example.com";
const SUB: &str = "001473.fe6f83bf4b8e4590aacbabdcb8598bd0.2039";

fn apple(provider: &Provider) {
    let quirks = provider.quirks();
    quirks.add(Quirk::Issuer("https://appleid.apple.com".to_owned()));
    quirks.add(Quirk::SilentCallbacks);
    // Unsigned, at the first consent only.
    let user = json!({"name": {"firstName": "Eve", "lastName": "X"}, "email": "victim@example.com"});
    quirks.add(Quirk::CallbackParameter("user".to_owned(), user.to_string()));
    quirks.require(Endpoint::Authorization, |asked| match asked.parameter("response_mode") {
        Some("form_post") => Ok(()),
        _ => Err("invalid_request"),
    });
    quirks.require(Endpoint::Token, in_the_body);
    quirks.require(Endpoint::Token, |asked| {
        let header = asked.parameter("client_secret").and_then(|secret| jsonwebtoken::decode_header(secret).ok());
        let kid = header.and_then(|header| header.kid);
        if kid.as_deref() == Some("KEY1234567") { Ok(()) } else { Err("invalid_client") }
    });
    let faults = provider.faults();
    faults.metadata(|metadata| {
        without(metadata, &["end_session_endpoint", "userinfo_endpoint", "introspection_endpoint"])
    });
    faults.id_tokens(|_, claims| {
        without(claims, &["groups", "sid", "name"]);
        claims.insert("nonce_supported".to_owned(), json!(true));
    });
}

pub async fn apples() -> World {
    let audience = "https://appleid.apple.com".to_owned();
    let key = Key::ec(KeyProof::MintedSecret { team: "TEAM123456".to_owned(), audience });
    APPLE.start(Some(PUBLIC), Some(&key), &[]).await
}

/// Up to the page with the form that goes back.
pub async fn answered(world: &World, browser: &mut Browser, claims: &Value) -> Answer {
    let page = browser.reach_provider(&world.url("/")).await;
    let answer = browser.decide(&page, &someone(SUB, &claims.to_string())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// T-130.
#[tokio::test]
async fn apple_posts_its_answer_from_another_site() {
    let world = apples().await;
    for (claims, user) in [
        (json!({"email": "x7@privaterelay.appleid.com", "email_verified": "true", "is_private_email": "true"}), SUB),
        (json!({}), SUB),
    ] {
        let mut browser = world.browser();
        let (action, fields) = answered(&world, &mut browser, &claims).await.form();
        assert_eq!(action, format!("{PUBLIC}/_auth/callback/apple"));
        assert!(
            fields.iter().any(|(name, value)| name == "user" && value.contains("victim@example.com")),
            "{fields:?}"
        );
        let back = browser.post_across(&action, &fields).await;
        let told = world.told(&mut browser, &back).await.unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!(told.user, user);
        assert_ne!(told.email.as_deref(), Some("victim@example.com"), "the form is not signed");
    }
}

/// T-130: what a posted answer needs is the browser that asked; what it carries is as good as in a query.
#[tokio::test]
async fn a_posted_answer_is_for_the_browser_that_asked() {
    let world = apples().await;
    let mut browser = world.browser();
    let (action, fields) = answered(&world, &mut browser, &json!({})).await.form();

    let mut other = world.browser();
    let back = other.post_across(&action, &fields).await;
    assert!(world.told(&mut other, &back).await.is_err(), "somebody else's answer");
    let mut other = world.browser();
    answered(&world, &mut other, &json!({})).await;
    let back = other.post_across(&action, &fields).await;
    assert_ne!(
        back.header("set-cookie").split('=').next(),
        Some("__Host-doorward"),
        "in a browser with a login of its own"
    );

    let changed = |name: &str, to: &str| -> Vec<(String, String)> {
        let value = |(field, value): &(String, String)| if field == name { to.to_owned() } else { value.clone() };
        fields.iter().map(|field| (field.0.clone(), value(field))).collect()
    };
    let states = fields.iter().find(|(name, _)| name == "state").map(|(_, value)| value.clone()).unwrap();
    for (case, status, form) in [
        ("another code", 400, changed("code", "made-up")),
        ("another state", 400, changed("state", &states.chars().rev().collect::<String>())),
        (
            "cancelled",
            403,
            vec![("error".to_owned(), "user_cancelled_authorize".to_owned()), ("state".to_owned(), states.clone())],
        ),
    ] {
        let mut one = browser.clone();
        let back = one.post_across(&action, &form).await;
        assert_eq!(back.status, status, "{case}: {back:?}");
        assert!(!one.cookies_for("app.example.com:443").contains("__Host-doorward="), "{case}");
    }
}

/// On plain http, which is for this machine only, no cookie can come along; the answer goes on as a link, which brings the other one.
#[tokio::test]
async fn a_posted_answer_goes_on_as_a_link_where_there_is_no_tls() {
    let audience = "https://appleid.apple.com".to_owned();
    let key = Key::ec(KeyProof::MintedSecret { team: "TEAM123456".to_owned(), audience });
    let world = APPLE.with_key(&key, &[]).await;
    let mut browser = world.browser();
    let (action, fields) = answered(&world, &mut browser, &json!({})).await.form();
    let on = browser.post_across(&action, &fields).await;
    assert_eq!(on.status, 303, "{on:?}");
    assert!(!on.location().contains("victim"), "what is not needed stays behind: {on:?}");
    let back = browser.get(&on.location()).await;
    check("over http", &world.told(&mut browser, &back).await, Ok(SUB));
    let mut other = world.browser();
    let back = other.get(&on.location()).await;
    assert!(world.told(&mut other, &back).await.is_err(), "for the browser that asked only");
}

/// Only this provider's login cookie goes along from other sites, and only over TLS.
#[tokio::test]
async fn apples_login_has_a_cookie_of_its_own() {
    let world = apples().await;
    let login = world.browser().get(&world.url("/_auth/login")).await;
    let cookies = login.set_cookies();
    let across: Vec<_> = cookies.iter().filter(|cookie| cookie.contains("SameSite=None")).collect();
    assert_eq!(across.len(), 1, "{cookies:?}");
    assert!(across[0].starts_with("__Host-doorward-login-post=") && across[0].contains("Secure"), "{cookies:?}");
    assert!(across[0].contains("HttpOnly") && across[0].contains("Path=/"), "{cookies:?}");
    let asked = login.header("location").to_owned();
    assert!(asked.contains("response_mode=form_post"), "{asked}");
    assert!(!asked.split("scope=").nth(1).unwrap().split('&').next().unwrap().contains('+'), "spaces as %20: {asked}");
}

/// The provider checks the minted secret: whose it is, for whom, and by which key.
#[tokio::test]
async fn apples_secret_is_the_teams_own() {
    let refused: Expected = Err((502, "Apple"));
    let proof =
        |team: &str, audience: &str| KeyProof::MintedSecret { team: team.to_owned(), audience: audience.to_owned() };
    for (case, proof) in [
        ("another team", proof("OTHER", "https://appleid.apple.com")),
        ("another audience", proof("TEAM123456", "https://elsewhere.example")),
    ] {
        let world = APPLE.start(Some(PUBLIC), Some(&Key::ec(proof)), &[]).await;
        let mut browser = world.browser();
        let (action, fields) = answered(&world, &mut browser, &json!({})).await.form();
        let back = browser.post_across(&action, &fields).await;
        check(case, &world.told(&mut browser, &back).await, refused);
    }
}

#[tokio::test]
async fn there_is_no_logout_at_apple() {
    let world = apples().await;
    let mut browser = world.browser();
    let (action, fields) = answered(&world, &mut browser, &json!({})).await.form();
    assert_eq!(browser.post_across(&action, &fields).await.status, 303);
    let left = world.leave(&mut browser).await;
    assert!(world.stays_here(&left), "{left}");
}
