//! Google: `iss` with or without its scheme, the domain in `hd`, no groups in tokens but in the Directory, no logout.

use doorward::dev::provider::{Provider, Quirk};
use serde_json::{Value, json};

use super::{api, without};
use crate::support::{
    Browser, Log, Upstream,
    personality::{Personality, World, check, parameter},
    upstream::Received,
};

pub const GOOGLE: Personality = Personality {
    kind: "google",
    path: "",
    behaves: google,
    settings: &[("discovery_url", "ISSUER/.well-known/openid-configuration")],
};

fn google(provider: &Provider) {
    provider.quirks().add(Quirk::Issuer("https://accounts.google.com".to_owned()));
    let faults = provider.faults();
    faults.metadata(|metadata| without(metadata, &["end_session_endpoint"]));
    faults.id_tokens(|_, claims| without(claims, &["groups", "sid", "preferred_username"]));
    faults.userinfos(|claims| without(claims, &["groups", "preferred_username"]));
    // Its scopes are its own: there is no `groups` and no `offline_access`.
    provider.quirks().require(doorward::dev::provider::Endpoint::Authorization, |asked| {
        let known = |scope: &str| matches!(scope, "openid" | "email" | "profile");
        if asked.parameter("scope").unwrap_or_default().split(' ').all(known) { Ok(()) } else { Err("invalid_scope") }
    });
}

pub fn somebody(verified: &Value) -> Value {
    json!({"email": "ada@corp.com", "email_verified": verified, "hd": "corp.com"})
}

#[tokio::test]
async fn a_verified_address_is_the_user() {
    let world = GOOGLE.world().await;
    world
        .signs_in(&[
            ("1", somebody(&json!(false)), Err((403, "E-mail"))),
            ("1", somebody(&json!(null)), Err((403, "E-mail"))),
            ("1", json!({}), Err((403, "`email`"))),
            ("1", somebody(&json!(true)), Ok("ada@corp.com")),
            ("2", json!({"email": "bob@gmail.com", "email_verified": true}), Ok("bob@gmail.com")),
        ])
        .await;
}

#[tokio::test]
async fn the_issuer_may_lack_its_scheme_and_is_nobody_else() {
    let world = GOOGLE.world().await;
    for (iss, expected) in [
        ("https://accounts.google.com.evil.example", Err((502, "https://accounts.google.com.evil.example"))),
        ("accounts.google.com.evil.example", Err((502, "accounts.google.com.evil.example"))),
        ("http://accounts.google.com", Err((502, "http://accounts.google.com"))),
        ("accounts.google.com/", Err((502, "accounts.google.com/"))),
        ("accounts.google.com", Ok("ada@corp.com")),
        ("https://accounts.google.com", Ok("ada@corp.com")),
    ] {
        world.provider().faults().next_id_token(move |_, claims| _ = claims.insert("iss".to_owned(), json!(iss)));
        check(iss, &world.sign_in("1", &somebody(&json!(true))).await, expected);
    }
}

/// The parameter is a hint to Google; the token is what counts.
#[tokio::test]
async fn a_domain_is_asked_for_and_then_required() {
    let elsewhere = |hd: Value| json!({"email": "ada@corp.com", "email_verified": true, "hd": hd});
    let world = GOOGLE.with(&[("authorization_parameters.hd", "corp.com")]).await;
    assert_eq!(parameter(&world.authorization().await, "hd").as_deref(), Some("corp.com"));
    world
        .signs_in(&[
            ("1", elsewhere(json!(null)), Err((403, "hd"))),
            ("1", elsewhere(json!("evil.example")), Err((403, "hd"))),
            ("1", elsewhere(json!("CORP.COM.evil.example")), Err((403, "hd"))),
            ("1", elsewhere(json!("corp.com")), Ok("ada@corp.com")),
        ])
        .await;
    let world = GOOGLE.with(&[("authorization_parameters.hd", "*")]).await;
    world
        .signs_in(&[
            ("1", json!({"email": "ada@gmail.com", "email_verified": true}), Err((403, "hd"))),
            ("1", elsewhere(json!("other.example")), Ok("ada@corp.com")),
        ])
        .await;
}

#[tokio::test]
async fn there_is_no_logout_at_google() {
    let world = GOOGLE.world().await;
    let left = world.logout("1", &somebody(&json!(true))).await;
    assert!(world.stays_here(&left), "{left}");
    let page = Browser::new().get(left.as_str()).await;
    assert!(page.text().contains("Google"), "{page:?}");
}

/// A directory that knows Ada's groups, on two pages; `status` is what it answers.
pub async fn directory(status: u16) -> Upstream {
    api(move |request| match request.path() {
        "/token" => {
            let grant = request.parameter("grant_type");
            assert_eq!(grant.as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
            (200, json!({"access_token": "directory-token", "token_type": "Bearer", "expires_in": 3599}))
        }
        "/groups" if status != 200 => (status, json!({"error": {"code": status, "message": "Not Authorized"}})),
        "/groups" => {
            assert_eq!(request.one("authorization").as_deref(), Some("Bearer directory-token"));
            assert_eq!(request.parameter("userKey").as_deref(), Some("1"), "the subject, which never changes hands");
            match request.parameter("pageToken").as_deref() {
                None => {
                    (200, json!({"groups": [{"email": "staff@corp.com", "name": "Staff"}], "nextPageToken": "two"}))
                }
                Some("two") => (200, json!({"groups": [{"email": "eng@corp.com", "name": "Engineering"}]})),
                Some(other) => panic!("{other}"),
            }
        }
        other => panic!("{other}"),
    })
    .await
}

/// The gateway with a service account in that directory.
pub async fn beside(directory: &Upstream, more: &[(&str, &str)]) -> (World, rcgen::KeyPair, tempfile::NamedTempFile) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let account = json!({
        "type": "service_account",
        "client_email": "gate@project.iam.gserviceaccount.com",
        "private_key": key.serialize_pem(),
        "token_uri": format!("{}/token", directory.url()),
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), account.to_string()).unwrap();
    let endpoint = format!("{}/groups", directory.url());
    let settings = [
        ("groups_lookup", "google_directory"),
        ("groups_endpoint", &endpoint),
        ("groups_account_file", file.path().to_str().unwrap()),
        ("groups_subject", "admin@corp.com"),
    ];
    (GOOGLE.with(&[&settings[..], more].concat()).await, key, file)
}

#[tokio::test]
async fn groups_come_from_the_directory() {
    let directory = directory(200).await;
    let (world, key, _file) = beside(&directory, &[]).await;
    let told = world.sign_in("1", &somebody(&json!(true))).await.unwrap();
    assert_eq!(told.groups.as_deref(), Some("staff@corp.com,eng@corp.com"));

    let asked: Vec<Received> = directory.take();
    let assertion = asked[0].parameter("assertion").unwrap();
    let mut checks = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    checks.validate_exp = false;
    checks.set_audience(&[format!("{}/token", directory.url())]);
    let public = jsonwebtoken::DecodingKey::from_rsa_pem(key.public_key_pem().as_bytes()).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&assertion, &public, &checks).unwrap().claims;
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["scope"]),
        (
            &json!("gate@project.iam.gserviceaccount.com"),
            &json!("admin@corp.com"),
            &json!("https://www.googleapis.com/auth/admin.directory.group.readonly"),
        )
    );
}

/// Whoever has to be in a group is not let in when nobody can say so; others sign in.
#[tokio::test]
async fn without_the_directory_rules_about_groups_let_nobody_in() {
    let rule = [("allow.claims.groups", "staff@corp.com")];
    let (world, _key, _file) = beside(&directory(200).await, &rule).await;
    check("a member", &world.sign_in("1", &somebody(&json!(true))).await, Ok("ada@corp.com"));

    let log = Log::capture();
    let refusing = directory(403).await;
    let (world, _key, _file) = beside(&refusing, &rule).await;
    let denied = world.sign_in("1", &somebody(&json!(true))).await;
    assert_eq!(denied.unwrap_err().status, 403);
    assert!(log.text().contains("groups"), "{}", log.text());
    let (world, _key, _file) = beside(&refusing, &[]).await;
    assert_eq!(world.sign_in("1", &somebody(&json!(true))).await.unwrap().groups, None);
}
