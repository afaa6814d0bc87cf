//! Facebook and GitHub: no ID token. A profile says who it is, and each has its own way to say no.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{api, back_with};
use crate::support::{
    Browser, Log, Upstream,
    gate::CLIENT_SECRET,
    personality::{Expected, Personality, Refused, Told, World, check, parameter},
    upstream::Received,
};

const FACEBOOK: Personality = Personality { kind: "facebook", path: "", behaves: |_| {}, settings: &[] };
pub const GITHUB: Personality = Personality { kind: "github", path: "", behaves: |_| {}, settings: &[] };

/// The gateway, with the endpoints of `api` instead of the real ones.
pub async fn facebook(graph: &Upstream, more: &[(&str, &str)]) -> World {
    let at = |path: &str| format!("{}{path}", graph.url());
    let settings = [
        ("authorization_endpoint", at("/dialog/oauth")),
        ("token_endpoint", at("/oauth/access_token")),
        ("userinfo_endpoint", at("/me?fields=id,name,email")),
    ];
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    FACEBOOK.with(&[&settings[..], more].concat()).await
}

/// Facebook's Graph for somebody with this profile.
pub async fn graph(me: (u16, Value)) -> Upstream {
    let key = hmac::Key::new(hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
    let proof: String = hmac::sign(&key, b"EAAG").as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    api(move |request| match request.path() {
        "/oauth/access_token" if request.parameter("client_secret").as_deref() != Some(CLIENT_SECRET) => {
            (400, wrong("Error validating client secret.", "OAuthException", 1))
        }
        "/oauth/access_token" => match request.parameter("code").as_deref() {
            Some("good") => (200, json!({"access_token": "EAAG", "token_type": "bearer", "expires_in": 5_183_944})),
            _ => (400, wrong("This authorization code has been used.", "OAuthException", 100)),
        },
        "/me" if request.parameter("appsecret_proof").as_ref() != Some(&proof) => {
            (400, wrong("API calls from the server require an appsecret_proof argument", "GraphMethodException", 100))
        }
        // Without `fields` it says neither address nor more.
        "/me" if request.parameter("fields").as_deref() != Some("id,name,email") => {
            (200, json!({"id": "1", "name": "?"}))
        }
        "/me" => me.clone(),
        other => panic!("{other}"),
    })
    .await
}

fn wrong(message: &str, kind: &str, code: u16) -> Value {
    json!({"error": {"message": message, "type": kind, "code": code, "fbtrace_id": "x"}})
}

async fn sign_in(world: &World, parameters: &[(&str, &str)]) -> Result<Told, Refused> {
    let mut browser = world.browser();
    let back = back_with(world, &mut browser, parameters).await;
    world.told(&mut browser, &back).await
}

/// T-131.
#[tokio::test]
async fn facebooks_identifier_is_the_user_with_an_address_or_without() {
    let cases: [(Value, Expected); 5] = [
        (json!({}), Err((502, ""))),
        (json!({"name": "Ada", "email": "ada@example.com"}), Err((502, ""))),
        (json!({"id": "10158", "name": "Ada", "email": "ada@example.com"}), Ok("10158")),
        (json!({"id": "10158", "name": "Ada"}), Ok("10158")),
        (json!({"id": 10158, "name": "Ada"}), Ok("10158")),
    ];
    for (me, expected) in cases {
        let world = facebook(&graph((200, me.clone())).await, &[]).await;
        check(&me.to_string(), &sign_in(&world, &[("code", "good")]).await, expected);
    }
}

/// T-131: an address that Facebook does not call verified names nobody.
#[tokio::test]
async fn facebooks_address_is_not_a_user() {
    let me = json!({"id": "10158", "name": "Ada", "email": "ada@example.com"});
    let world = facebook(&graph((200, me)).await, &[("user_claim", "email")]).await;
    check("email", &sign_in(&world, &[("code", "good")]).await, Err((403, "E-mail")));
}

/// T-131: errors are objects of Facebook's own.
#[tokio::test]
async fn facebook_says_no_in_its_own_words() {
    let log = Log::capture();
    let me = (400, wrong("Invalid OAuth access token signature.", "OAuthException", 190));
    let world = facebook(&graph(me).await, &[]).await;
    for code in ["used", "good"] {
        let refused = sign_in(&world, &[("code", code)]).await.unwrap_err();
        assert!(matches!(refused.status, 400 | 502), "{code}: {refused:?}");
        assert!(refused.page.contains("Facebook"), "{code}: {refused:?}");
    }
    assert!(log.text().contains("OAuthException"), "{}", log.text());
    let denied = [("error", "access_denied"), ("error_code", "200"), ("error_reason", "user_denied")];
    let refused = sign_in(&world, &denied).await.unwrap_err();
    assert!(refused.page.contains("access_denied"), "{refused:?}");
}

#[tokio::test]
async fn what_facebook_is_asked() {
    let graph = graph((200, json!({"id": "10158"}))).await;
    let world = facebook(&graph, &[]).await;
    let url = world.authorization().await;
    let scope = parameter(&url, "scope").unwrap();
    assert!(!scope.split(' ').any(|scope| scope == "openid"), "{scope}");
    assert_eq!(parameter(&url, "nonce"), None);
    assert!(parameter(&url, "code_challenge").is_some());
    sign_in(&world, &[("code", "good")]).await.unwrap();
    let token = &graph.take()[0];
    assert!(token.parameter("code_verifier").is_some());
    assert_eq!(parameter(&url, "redirect_uri"), token.parameter("redirect_uri"));
}

#[tokio::test]
async fn there_is_no_logout_at_facebook_or_github() {
    let graph = graph((200, json!({"id": "10158"}))).await;
    let world = facebook(&graph, &[]).await;
    stays(&world).await;
    let world = github(&hub(None).await, &[]).await;
    stays(&world).await;
}

async fn stays(world: &World) {
    let mut browser = world.browser();
    let back = back_with(world, &mut browser, &[("code", "good")]).await;
    assert_eq!(back.status, 303, "{back:?}");
    let left = world.leave(&mut browser).await;
    assert!(world.stays_here(&left), "{left}");
    assert_eq!(Browser::new().get(left.as_str()).await.status, 200);
}

pub async fn github(hub: &Upstream, more: &[(&str, &str)]) -> World {
    let at = |path: &str| format!("{}{path}", hub.url());
    let settings = [
        ("authorization_endpoint", at("/login/oauth/authorize")),
        ("token_endpoint", at("/login/oauth/access_token")),
        ("userinfo_endpoint", at("/user")),
        ("email_endpoint", at("/user/emails")),
        ("groups_endpoint", at("")),
    ];
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    GITHUB.with(&[&settings[..], more].concat()).await
}

fn addresses() -> Value {
    json!([
        {"email": "old@example.com", "primary": false, "verified": true, "visibility": null},
        {"email": "ada@example.com", "primary": true, "verified": true, "visibility": "private"},
    ])
}

/// GitHub: form-encoded tokens, errors under 200, lists in pages. `broken` is a path that is refused.
pub async fn hub(broken: Option<&'static str>) -> Upstream {
    hub_with(broken, addresses()).await
}

async fn hub_with(broken: Option<&'static str>, addresses: Value) -> Upstream {
    let hub = Upstream::start().await;
    let origin = hub.url();
    hub.replies(move |request| {
        let json =
            |body: Value| (200, vec![("Content-Type", "application/json; charset=utf-8".to_owned())], body.to_string());
        let form =
            |body: &str| (200, vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())], body.to_owned());
        if Some(request.path()) == broken {
            return (403, vec![], json!({"message": "Resource not accessible by integration"}).to_string());
        }
        if request.path() == "/login/oauth/access_token" {
            // Credentials are parameters, in its documentation.
            assert_eq!(request.parameter("client_secret").as_deref(), Some(CLIENT_SECRET));
            return match request.parameter("code").as_deref() {
                Some("good") => form("access_token=gho_x&scope=read%3Auser%2Cuser%3Aemail&token_type=bearer"),
                _ => form("error=bad_verification_code&error_description=The+code+passed+is+incorrect+or+expired."),
            };
        }
        assert_eq!(request.one("authorization").as_deref(), Some("Bearer gho_x"), "{request:?}");
        assert!(request.one("user-agent").is_some(), "GitHub answers nobody without a name");
        let page = request.parameter("page").unwrap_or_else(|| "1".to_owned());
        let next = |path: &str| {
            vec![
                ("Content-Type", "application/json".to_owned()),
                ("Link", format!("<{origin}{path}?page=1>; rel=\"first\", <{origin}{path}?page=2>; rel=\"next\"")),
            ]
        };
        match (request.path(), &*page) {
            ("/user", _) => json(json!({"login": "ada", "id": 583_231, "name": "Ada", "email": null, "type": "User"})),
            ("/user/emails", _) => json(addresses.clone()),
            ("/user/orgs", "1") => (200, next("/user/orgs"), json!([{"login": "acme", "id": 1}]).to_string()),
            ("/user/orgs", _) => json(json!([{"login": "emca", "id": 2}])),
            ("/user/teams", "1") => {
                (200, next("/user/teams"), json!([{"slug": "core", "organization": {"login": "acme"}}]).to_string())
            }
            ("/user/teams", _) => json(json!([{"slug": "core", "organization": {"login": "emca"}}])),
            other => panic!("{other:?}"),
        }
    });
    hub
}

/// T-136: logins can be renamed and given to others, numbers cannot.
#[tokio::test]
async fn githubs_number_is_the_user_unless_the_operator_says_otherwise() {
    for (claim, user) in [(None, "583231"), (Some("login"), "ada"), (Some("email"), "ada@example.com")] {
        let more: Vec<_> = claim.map(|claim| ("user_claim", claim)).into_iter().collect();
        let world = github(&hub(None).await, &more).await;
        check(user, &sign_in(&world, &[("code", "good")]).await, Ok(user));
    }
}

/// T-136: 200 does not mean yes.
#[tokio::test]
async fn githubs_no_comes_under_200() {
    let world = github(&hub(None).await, &[]).await;
    let refused = sign_in(&world, &[("code", "used")]).await.unwrap_err();
    assert!(matches!(refused.status, 400 | 502), "{refused:?}");
}

/// T-136: only the address that is both primary and verified counts.
#[tokio::test]
async fn githubs_other_addresses_name_nobody() {
    let one =
        |primary: bool, verified: bool| json!([{"email": "x@example.com", "primary": primary, "verified": verified}]);
    for addresses in [json!([]), one(true, false), one(false, true), json!({"message": "no"})] {
        let case = addresses.to_string();
        let world = github(&hub_with(None, addresses).await, &[("user_claim", "email")]).await;
        let refused = sign_in(&world, &[("code", "good")]).await.expect_err(&case);
        assert!(matches!(refused.status, 403 | 502), "{case}: {refused:?}");
    }
}

/// T-136: organisations and teams, all pages.
#[tokio::test]
async fn githubs_groups_are_organisations_and_teams() {
    let hub = hub(None).await;
    let world = github(&hub, &[]).await;
    let told = sign_in(&world, &[("code", "good")]).await.unwrap();
    assert_eq!(told.email.as_deref(), Some("ada@example.com"));
    assert_eq!(told.groups.as_deref(), Some("acme,emca,acme/core,emca/core"));
    let paths: Vec<String> = hub.take().iter().map(|request: &Received| request.path().to_owned()).collect();
    assert_eq!(paths.iter().filter(|path| path.ends_with("orgs")).count(), 2, "{paths:?}");
}

/// A profile is what an ID token is elsewhere: what has to be in it has to be in it.
#[tokio::test]
async fn githubs_profile_has_what_is_required() {
    for (required, expected) in [("Organization", Err((403, ""))), ("User", Ok("583231")), ("Bot,User", Ok("583231"))] {
        let world = github(&hub(None).await, &[("required_claims.type", required)]).await;
        check(required, &sign_in(&world, &[("code", "good")]).await, expected);
    }
}

#[tokio::test]
async fn without_githubs_lists_rules_about_groups_let_nobody_in() {
    for broken in ["/user/orgs", "/user/teams"] {
        let hub = hub(Some(broken)).await;
        let world = github(&hub, &[("allow.claims.groups", "acme,acme/core")]).await;
        assert_eq!(sign_in(&world, &[("code", "good")]).await.unwrap_err().status, 403, "{broken}");
        let world = github(&hub, &[]).await;
        assert_eq!(sign_in(&world, &[("code", "good")]).await.unwrap().groups, None, "{broken}");
    }
}
