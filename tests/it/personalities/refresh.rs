//! How each provider is asked again: what brings a refresh token, whether it stays, what comes of it, and what ends it (T-091, T-092).

use doorward::{
    dev::provider::{Endpoint, Fault, KeyProof, Quirk, Refreshes},
    grant::Grant,
    identity::ClaimValue,
    providers::{self, AuthorizationRequest, RefreshError, Refreshed, SignedIn},
    secret::Secret,
};
use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::{
    api,
    auth0_okta::OKTA,
    cognito_forgerock::{COGNITO, FORGEROCK},
    facebook_github::GITHUB,
    google::GOOGLE,
    keycloak_gitlab::{GITLAB, KEYCLOAK},
    linkedin_apple::APPLE,
    microsoft::SINGLE,
    ping::PINGFEDERATE,
    without,
};
use crate::support::{
    Browser,
    browser::someone,
    personality::{Key, World},
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Signs in there, without the gateway: what the provider grants is nobody else's to see.
async fn signed_in(world: &World, known: &providers::Provider, sub: &str, claims: &Value) -> SignedIn {
    let verifier = Secret::new(VERIFIER.to_owned());
    let request = AuthorizationRequest { state: "s", nonce: "n", verifier: &verifier, login_hint: None, silent: false };
    let mut browser = Browser::new();
    let page = browser.get(known.authorization_url(&request).await.unwrap().as_str()).await;
    let answer = browser.decide(&page, &someone(sub, &claims.to_string())).await;
    let fields: Vec<(String, String)> = if answer.status.is_redirection() {
        Url::parse(&answer.location()).unwrap().query_pairs().into_owned().collect()
    } else {
        answer.form().1
    };
    let field = |name: &str| fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let code = Secret::new(field("code").unwrap_or_else(|| panic!("{}: {fields:?}", world.kind)));
    known.sign_in(&code, field("iss").as_deref(), &verifier, "n").await.unwrap()
}

fn ada() -> Value {
    json!({
        "email": "ada@corp.com", "email_verified": true, "groups": ["staff"], "hd": "corp.com", "oid": "o-ada",
        "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47",
    })
}

async fn confirmed(world: &World, known: &providers::Provider, grant: &Grant) -> (Grant, SignedIn) {
    let Refreshed { grant, who } = known.refresh(grant).await.unwrap_or_else(|error| panic!("{}: {error}", world.kind));
    (grant, who.unwrap_or_else(|error| panic!("{}: {error}", world.kind)))
}

fn text(token: &Option<Secret<String>>) -> Option<&str> {
    token.as_ref().map(|token| token.expose().as_str())
}

/// What a kind's refresh tokens do.
struct Habit {
    /// What the provider does besides.
    habits: &'static [Quirk],
    /// Whether another one comes with each use.
    rotates: bool,
    /// Whether a new ID token comes along.
    id_token: bool,
}

/// Twice in a row: who it is stays the same, and the tokens are those that are good next time.
async fn goes_on(world: World, habit: &Habit) {
    for quirk in habit.habits {
        world.provider().quirks().add(quirk.clone());
    }
    let known = world.known();
    let first = signed_in(&world, &known, "sub-ada", &ada()).await;
    let mut grant = first.grant.clone();
    assert!(grant.refresh_token.is_some() && grant.access_token.as_ref().unwrap().expires.is_some(), "{}", world.kind);
    for _ in 0..2 {
        let (newer, who) = confirmed(&world, &known, &grant).await;
        assert_eq!((&who.user, &who.issuer, &who.subject), (&first.user, &first.issuer, &first.subject));
        assert_eq!(text(&newer.refresh_token) != text(&grant.refresh_token), habit.rotates, "{}", world.kind);
        assert_eq!(text(&newer.id_token) != text(&grant.id_token), habit.id_token, "{}", world.kind);
        let access = |grant: &Grant| grant.access_token.as_ref().unwrap().token.expose().clone();
        assert_ne!(access(&newer), access(&grant), "{}", world.kind);
        grant = newer;
    }
    assert_eq!(world.provider().refreshes(), Refreshes { granted: 2, reused: 0, refused: 0 }, "{}", world.kind);
    // Disabled there.
    world.provider().revoke("sub-ada");
    assert!(matches!(known.refresh(&grant).await, Err(RefreshError::Ended)), "{}", world.kind);
}

fn always() -> Quirk {
    Quirk::RefreshTokens(None)
}

#[tokio::test]
async fn where_a_refresh_token_is_replaced_the_new_one_counts() {
    let rotates = Habit { habits: &[Quirk::RefreshTokens(None)], rotates: true, id_token: true };
    for personality in [KEYCLOAK, GITLAB, FORGEROCK, PINGFEDERATE] {
        goes_on(personality.world().await, &rotates).await;
    }
    let by_scope = Habit { habits: &[], ..rotates };
    goes_on(OKTA.with(&[("scopes", "openid,profile,email,offline_access")]).await, &by_scope).await;
    goes_on(SINGLE.with(&[("scopes", "openid,profile,email,offline_access")]).await, &by_scope).await;
}

#[tokio::test]
async fn where_a_refresh_token_stays_it_counts_again() {
    let stays =
        Habit { habits: &[Quirk::RefreshTokens(None), Quirk::KeepsRefreshTokens], rotates: false, id_token: true };
    goes_on(COGNITO.world().await, &stays).await;
    let audience = "https://appleid.apple.com".to_owned();
    let key = Key::ec(KeyProof::MintedSecret { team: "TEAM123456".to_owned(), audience });
    // Apple's answers to a refresh need not have an ID token.
    const BARE: &[Quirk] = &[Quirk::RefreshTokens(None), Quirk::KeepsRefreshTokens, Quirk::BareRefreshes];
    goes_on(APPLE.with_key(&key, &[]).await, &Habit { habits: BARE, id_token: false, ..stays }).await;
}

/// Google gives one to those who ask by a parameter of its own, and speaks of itself in two ways.
#[tokio::test]
async fn google_has_to_be_asked_in_its_own_way() {
    let offline = [("authorization_parameters.access_type", "offline"), ("authorization_parameters.prompt", "consent")];
    for (more, given) in [(&[][..], false), (&offline[..], true)] {
        let world = GOOGLE.with(more).await;
        let quirks = world.provider().quirks();
        quirks.add(Quirk::RefreshTokens(Some(("access_type".to_owned(), "offline".to_owned()))));
        quirks.add(Quirk::KeepsRefreshTokens);
        let known = world.known();
        let first = signed_in(&world, &known, "1", &ada()).await;
        assert_eq!(first.grant.refresh_token.is_some(), given);
        if given {
            world.provider().faults().next_id_token(|_, claims| {
                claims.insert("iss".to_owned(), json!("accounts.google.com"));
            });
            let (_, who) = confirmed(&world, &known, &first.grant).await;
            assert_eq!((who.user.as_str(), who.issuer.as_str()), ("ada@corp.com", "https://accounts.google.com"));
        } else {
            assert!(matches!(known.refresh(&first.grant).await, Err(RefreshError::NoToken)));
        }
    }
}

/// T-092: Okta's ID tokens are thin; the groups of now are at userinfo, and are asked for with the new access token.
#[tokio::test]
async fn new_groups_count_from_the_next_refresh_on() {
    let world = OKTA.world().await;
    world.provider().quirks().add(always());
    let known = world.known();
    let groups = |who: &SignedIn| who.claims.get("groups").cloned();
    let first = signed_in(&world, &known, "00u1", &ada()).await;
    assert_eq!(groups(&first), Some(ClaimValue::Many(vec!["staff".into()])));
    world.provider().faults().userinfos(|claims| _ = claims.insert("groups".to_owned(), json!([])));
    let (grant, who) = confirmed(&world, &known, &first.grant).await;
    assert_eq!(groups(&who), Some(ClaimValue::Many(vec![])));

    // An endpoint that does not answer is no news, and the new refresh token is kept: the old one is used up.
    let mut grant = grant;
    for fault in [
        Fault::json(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_token"})),
        Fault::text(StatusCode::BAD_GATEWAY, "text/html", "<html>"),
        Fault::json(StatusCode::OK, &json!({"sub": "00u2", "groups": ["root"]})),
    ] {
        world.provider().faults().next(Endpoint::Userinfo, fault);
        let Refreshed { grant: newer, who } = known.refresh(&grant).await.unwrap();
        assert_eq!(who.unwrap_err().fault(), providers::Fault::Provider);
        assert_ne!(text(&newer.refresh_token), text(&grant.refresh_token));
        grant = newer;
    }
    confirmed(&world, &known, &grant).await;
    assert_eq!(world.provider().refreshes(), Refreshes { granted: 5, reused: 0, refused: 0 });
    // Used a second time: that ends everything, also for whoever had the newer one.
    assert!(matches!(known.refresh(&first.grant).await, Err(RefreshError::Ended)));
    assert!(matches!(known.refresh(&grant).await, Err(RefreshError::Ended)));
    assert_eq!(world.provider().refreshes(), Refreshes { granted: 5, reused: 1, refused: 1 });
}

/// Microsoft says that the person is wanted again; outages say nothing.
#[tokio::test]
async fn microsoft_ends_a_session_in_a_word_of_its_own() {
    let world = SINGLE.world().await;
    world.provider().quirks().add(always());
    let known = world.known();
    let first = signed_in(&world, &known, "sub-ada", &ada()).await;
    let refused = |code: &str| Fault::json(StatusCode::BAD_REQUEST, &json!({"error": code, "error_codes": [50076]}));
    for (fault, ended) in [
        (Fault::text(StatusCode::SERVICE_UNAVAILABLE, "text/html", "later"), false),
        (Fault::Close, false),
        (refused("temporarily_unavailable"), false),
        (refused("unauthorized_client"), false),
        (refused("interaction_required"), true),
        (refused("invalid_grant"), true),
    ] {
        world.provider().faults().next(Endpoint::Token, fault.clone());
        let error = known.refresh(&first.grant).await.unwrap_err();
        assert_eq!(matches!(error, RefreshError::Ended), ended, "{fault:?}: {error}");
    }
    let (_, who) = confirmed(&world, &known, &first.grant).await;
    assert_eq!(who.user.as_str(), "o-ada");
    // Another directory's word about the same session.
    let first = signed_in(&world, &known, "sub-ada", &ada()).await;
    world.provider().faults().next_id_token(|_, claims| {
        claims.insert("iss".to_owned(), json!("https://login.microsoftonline.com/cccccccc/v2.0"));
    });
    let Refreshed { grant, who } = known.refresh(&first.grant).await.unwrap();
    assert_eq!(who.unwrap_err().fault(), providers::Fault::Provider);
    assert_eq!(text(&grant.id_token), text(&first.grant.id_token), "what cannot be trusted is not kept");
}

/// ForgeRock repeats a nonce at a refresh or makes one up; Keycloak's session ends with a logout there.
#[tokio::test]
async fn a_nonce_at_a_refresh_is_nobodys() {
    let world = FORGEROCK.world().await;
    world.provider().quirks().add(always());
    let known = world.known();
    let mut grant = signed_in(&world, &known, "(usr!ada)", &ada()).await.grant;
    for nonce in [json!("n"), json!("made up"), json!(null)] {
        world.provider().faults().next_id_token(move |_, claims| {
            without(claims, &["email", "name", "groups"]);
            claims.insert("nonce".to_owned(), nonce);
        });
        grant = confirmed(&world, &known, &grant).await.0;
    }

    let world = KEYCLOAK.world().await;
    world.provider().quirks().add(always());
    let known = world.known();
    let (one, another) =
        (signed_in(&world, &known, "ada", &ada()).await, signed_in(&world, &known, "ada", &ada()).await);
    let notices = world.provider().log_out_session(one.provider_session.as_deref().unwrap());
    let told = known.logout_token(&notices[0].logout_token).await.unwrap();
    assert_eq!((told.subject.as_deref(), &told.provider_session), (Some("ada"), &one.provider_session));
    assert_eq!(told.issuer, one.issuer);
    assert!(matches!(known.refresh(&one.grant).await, Err(RefreshError::Ended)));
    confirmed(&world, &known, &another.grant).await;
}

/// A GitHub App: errors come with status 200, and the profile is asked for again.
#[tokio::test]
async fn githubs_profile_is_asked_for_again() {
    let github = api(|request| match (request.path(), request.parameter("refresh_token").as_deref()) {
        ("/login/oauth/access_token", None) => {
            (200, json!({"access_token": "ghu_1", "token_type": "bearer", "expires_in": 28_800, "refresh_token": "ghr_1"}))
        }
        ("/login/oauth/access_token", Some("ghr_1")) => {
            assert_eq!(request.parameter("grant_type").as_deref(), Some("refresh_token"));
            (200, json!({"access_token": "ghu_2", "token_type": "bearer", "expires_in": 28_800, "refresh_token": "ghr_2"}))
        }
        ("/login/oauth/access_token", Some(_)) => (200, json!({"error": "bad_refresh_token", "error_description": "x"})),
        ("/user", _) => (200, json!({"id": 583_231, "login": "octocat"})),
        other => panic!("{other:?}"),
    })
    .await;
    let at = |path: &str| format!("{}{path}", github.url());
    let (token, user, emails) = (at("/login/oauth/access_token"), at("/user"), at("/user/emails"));
    let settings = [
        ("token_endpoint", &*token),
        ("userinfo_endpoint", &user),
        ("email_endpoint", &emails),
        ("groups_lookup", "none"),
        ("headers.claims.x_email", "-"),
        ("headers.claims.x_groups", "-"),
    ];
    let world = GITHUB.with(&settings).await;
    let known = world.known();
    let verifier = Secret::new(VERIFIER.to_owned());
    let first = known.sign_in(&Secret::new("good".to_owned()), None, &verifier, "n").await.unwrap();
    let (grant, who) = confirmed(&world, &known, &first.grant).await;
    assert_eq!((who.user.as_str(), text(&grant.refresh_token)), ("583231", Some("ghr_2")));
    assert!(matches!(known.refresh(&grant).await, Err(RefreshError::Ended)));
}

/// Nobody is shown a page: who is known there comes back, and who is not comes back with an error.
#[tokio::test]
async fn who_is_known_there_is_known_without_a_page() {
    let world = KEYCLOAK.with(&[("authorization_parameters.prompt", "login")]).await;
    let known = world.known();
    let verifier = Secret::new(VERIFIER.to_owned());
    let request = AuthorizationRequest { state: "s", nonce: "n", verifier: &verifier, login_hint: None, silent: true };
    let mut browser = Browser::new();
    let asked = |answer: &crate::support::browser::Answer, name: &str| {
        let location = Url::parse(&answer.location()).unwrap();
        location.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    };
    let back = browser.get(known.authorization_url(&request).await.unwrap().as_str()).await;
    assert_eq!(asked(&back, "error").as_deref(), Some("login_required"));

    let loud = AuthorizationRequest { silent: false, ..request };
    let page = browser.get(known.authorization_url(&loud).await.unwrap().as_str()).await;
    let chosen = browser.decide(&page, &someone("ada", &ada().to_string())).await;
    let code = Secret::new(asked(&chosen, "code").unwrap());
    let first = known.sign_in(&code, asked(&chosen, "iss").as_deref(), &verifier, "n").await.unwrap();

    let back = browser.get(known.authorization_url(&request).await.unwrap().as_str()).await;
    let code = Secret::new(asked(&back, "code").unwrap());
    let again = known.sign_in(&code, asked(&back, "iss").as_deref(), &verifier, "n").await.unwrap();
    assert_eq!((&again.subject, &again.provider_session), (&first.subject, &first.provider_session));

    assert_eq!(world.provider().log_out("ada").len(), 1);
    let back = browser.get(known.authorization_url(&request).await.unwrap().as_str()).await;
    assert_eq!(asked(&back, "error").as_deref(), Some("login_required"));
}
