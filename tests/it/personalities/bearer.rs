//! Tokens that programs bring, as each provider makes them: what its kind takes them for, with nothing configured but what a page of
//! `docs/providers` says.

use doorward::dev::provider::{Endpoint, Fault, Provider, Quirk};
use http::StatusCode;
use serde_json::{Value, json};

use super::microsoft::OURS;
use crate::support::{
    gate::{CLIENT_ID, NOW},
    personality::{Personality, World},
};

/// A provider of `kind`, at `path`, with `settings`.
const fn kind(
    kind: &'static str,
    path: &'static str,
    behaves: fn(&Provider),
    settings: &'static [(&'static str, &'static str)],
) -> Personality {
    Personality { kind, path, behaves, settings }
}

/// As it is, with an issuer that is where it listens.
const HERE: &[(&str, &str)] = &[("issuer", "ISSUER")];

async fn world(personality: Personality, more: &[(&str, &str)]) -> World {
    let more: Vec<_> = more.iter().chain(&[("credentials", "bearer")]).copied().collect();
    personality.with(&more).await
}

/// A token with `typ` in its header, or none, and these claims besides those that every provider has.
fn jwt(world: &World, typ: Option<&str>, claims: &Value) -> String {
    let provider = world.provider();
    let mut header = json!({"alg": "ES256", "kid": provider.kid()});
    if let Some(typ) = typ {
        header["typ"] = json!(typ);
    }
    let mut all = json!({"iss": provider.issuer(), "iat": NOW.0, "exp": NOW.0 + 300, "sub": "ada"});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    provider.sign(header.to_string().as_bytes(), all.to_string().as_bytes())
}

/// The status of a request with `token`, and who the application is told it is.
async fn told(world: &World, token: &str) -> (u16, Option<String>) {
    let answer = world.gate.ask("GET /", &[&format!("Authorization: Bearer {token}")]).await;
    let user = world.gate.upstream.take().pop().and_then(|request| request.one("x-user"));
    (answer.status, user)
}

/// Each row: header type, claims, and who it is, if anybody.
async fn rows(world: &World, rows: &[(Option<&str>, Value, Option<&str>)]) {
    for (typ, claims, user) in rows {
        let expected = (if user.is_some() { 200 } else { 401 }, user.map(ToOwned::to_owned));
        assert_eq!(told(world, &jwt(world, *typ, claims)).await, expected, "{}: {typ:?} {claims}", world.kind);
    }
}

/// `aud` is `account` until a mapper says otherwise; the claim `typ` tells tokens apart.
#[tokio::test]
async fn keycloaks_tokens_say_what_they_are() {
    let world = world(kind("keycloak", "/realms/corp", |_| (), HERE), &[("bearer.audiences", "orders")]).await;
    let access = |audience: Value| json!({"typ": "Bearer", "azp": "script", "aud": audience, "scope": "email"});
    rows(
        &world,
        &[
            (Some("JWT"), access(json!("account")), None),
            (Some("JWT"), access(json!(null)), None),
            (Some("JWT"), json!({"typ": "ID", "azp": "gate", "aud": "orders"}), None),
            (Some("JWT"), json!({"typ": "Refresh", "azp": "gate", "aud": "orders"}), None),
            (Some("JWT"), access(json!(["account", "orders"])), Some("ada")),
            (Some("at+jwt"), access(json!("orders")), Some("ada")),
        ],
    )
    .await;
}

/// Access tokens have no `aud` but `client_id`; `token_use` tells tokens apart.
#[tokio::test]
async fn cognitos_tokens_name_their_client() {
    let world = world(kind("cognito", "/eu-west-1_abc", |_| (), HERE), &[]).await;
    rows(
        &world,
        &[
            (None, json!({"token_use": "access", "client_id": "another"}), None),
            (None, json!({"token_use": "access"}), None),
            (None, json!({"token_use": "id", "aud": CLIENT_ID}), None),
            (None, json!({"token_use": "refresh", "client_id": CLIENT_ID}), None),
            (None, json!({"token_use": "access", "client_id": CLIENT_ID, "scope": "openid"}), Some("ada")),
        ],
    )
    .await;
}

/// T-127: version 1 tokens are by another issuer, with the tenant in it; Graph's are nobody's business.
#[tokio::test]
async fn microsofts_tokens_have_two_issuers() {
    let entra = |provider: &Provider| {
        provider.quirks().add(Quirk::Issuer(format!("https://login.microsoftonline.com/{OURS}/v2.0")));
    };
    let settings = &[("tenant", OURS), ("discovery_url", "ISSUER/.well-known/openid-configuration")];
    let world = world(kind("microsoft", "/single/v2.0", entra, settings), &[]).await;
    let v2 = format!("https://login.microsoftonline.com/{OURS}/v2.0");
    let v1 = format!("https://sts.windows.net/{OURS}/");
    let api = format!("api://{CLIENT_ID}");
    let token = |iss: &str, aud: &str, more: Value| {
        let mut claims = json!({"iss": iss, "aud": aud, "tid": OURS, "oid": "o-ada"});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    rows(
        &world,
        &[
            (Some("JWT"), token(&v1.replace(OURS, "eeee"), &api, json!({"scp": "read"})), None),
            (Some("JWT"), token(v1.trim_end_matches('/'), &api, json!({"scp": "read"})), None),
            (Some("JWT"), token(&v1, "https://graph.microsoft.com", json!({"scp": "read"})), None),
            (Some("JWT"), token(&v2, CLIENT_ID, json!({"nonce": "n"})), None),
            (Some("JWT"), token(&v2, CLIENT_ID, json!({"preferred_username": "ada@corp.com"})), None),
            (Some("JWT"), token(&v1, &api, json!({"scp": "read", "appid": "script"})), Some("o-ada")),
            (Some("JWT"), token(&v2, CLIENT_ID, json!({"scp": "read", "azp": "script"})), Some("o-ada")),
            // A program of its own: no scopes, but the word that only access tokens have.
            (Some("JWT"), token(&v2, CLIENT_ID, json!({"roles": ["r"], "azp": "job", "azpacr": "1"})), Some("o-ada")),
        ],
    )
    .await;
}

/// Access tokens are by the issuer that the metadata names for them.
#[tokio::test]
async fn adfs_signs_access_tokens_by_another_name() {
    let adfs = |provider: &Provider| {
        let trust = json!(format!("{}/services/trust", provider.issuer()));
        provider
            .faults()
            .metadata(move |metadata| _ = metadata.insert("access_token_issuer".to_owned(), trust.clone()));
    };
    let audience = "microsoft:identityserver:gate";
    let world = world(kind("adfs", "/adfs", adfs, HERE), &[("bearer.audiences", audience)]).await;
    let trust = format!("{}/services/trust", world.provider().issuer());
    let access = |iss: &str, aud: &str| json!({"iss": iss, "aud": aud, "upn": "ada@corp.com", "scp": "openid", "appid": "script"});
    rows(
        &world,
        &[
            (Some("JWT"), access("http://evil.example/adfs/services/trust", audience), None),
            (Some("JWT"), access(&trust, "urn:microsoft:userinfo"), None),
            (Some("JWT"), access(&trust, audience), Some("ada@corp.com")),
        ],
    )
    .await;
}

/// T-133: the grant that validates, its relative end, claims in an object of their own.
#[tokio::test]
async fn pingfederate_validates_at_the_token_endpoint() {
    let more = [("bearer.introspection", "validate_bearer"), ("bearer.audiences", "orders")];
    let world = world(kind("pingfederate", "", |_| (), HERE), &more).await;
    let good = json!({
        "client_id": "script", "scope": ["read", "write"], "token_type": "urn:pingidentity.com:oauth2:validated_token", "expires_in": "59",
        "access_token": {"sub": "ada", "aud": "orders", "mail": "ada@corp.com"},
    });
    let with = |name: &str, value: Value| {
        let mut answer = good.clone();
        answer[name] = value;
        answer
    };
    for (n, (status, answer, user)) in [
        (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}), Err(401)),
        (StatusCode::OK, with("access_token", json!({"sub": "ada", "aud": "others"})), Err(401)),
        (StatusCode::OK, with("expires_in", json!(0)), Err(401)),
        (StatusCode::OK, with("expires_in", json!(null)), Err(503)),
        (StatusCode::OK, with("access_token", json!("opaque")), Err(503)),
        (StatusCode::UNAUTHORIZED, json!({"error": "invalid_client"}), Err(500)),
        (StatusCode::OK, good.clone(), Ok("ada")),
    ]
    .into_iter()
    .enumerate()
    {
        world.provider().faults().lasting(Endpoint::Token, Fault::json(status, &answer));
        let expected = match user {
            Ok(user) => (200, Some(user.to_owned())),
            Err(status) => (status, None),
        };
        assert_eq!(told(&world, &format!("opaque-{n}")).await, expected, "{answer}");
    }
}

/// `tokeninfo`: no `active`, numbers as texts, and an audience that is a client.
#[tokio::test]
async fn googles_tokens_are_asked_about() {
    let google = |provider: &Provider| provider.quirks().add(Quirk::Issuer("https://accounts.google.com".to_owned()));
    let settings = &[
        ("discovery_url", "ISSUER/.well-known/openid-configuration"),
        ("introspection_endpoint", "ORIGIN/introspect"),
    ];
    let world = world(kind("google", "", google, settings), &[]).await;
    let good = json!({
        "azp": CLIENT_ID, "aud": CLIENT_ID, "sub": "1", "scope": "openid email", "exp": (NOW.0 + 3599).to_string(), "expires_in": "3599",
        "email": "ada@corp.com", "email_verified": "true", "access_type": "online",
    });
    let with = |name: &str, value: Value| {
        let mut answer = good.clone();
        answer[name] = value;
        answer
    };
    for (n, (status, answer, expected)) in [
        (StatusCode::BAD_REQUEST, json!({"error_description": "Invalid Value"}), 401),
        (StatusCode::OK, with("aud", json!("another")), 401),
        (StatusCode::OK, with("exp", json!((NOW.0 - 61).to_string())), 401),
        (StatusCode::OK, with("email_verified", json!("false")), 403),
        (StatusCode::OK, good.clone(), 200),
    ]
    .into_iter()
    .enumerate()
    {
        world.provider().faults().lasting(Endpoint::Introspection, Fault::json(status, &answer));
        let (status, user) = told(&world, &format!("ya29.opaque-{n}")).await;
        assert_eq!((status, user.as_deref()), (expected, (expected == 200).then_some("ada@corp.com")), "{answer}");
    }
}

/// Those that mark nothing: what is for an API of ours counts, what is for a client does not.
#[tokio::test]
async fn others_say_whom_their_tokens_are_for() {
    for (name, path) in [("okta", "/oauth2/default"), ("auth0", ""), ("pingone", "/5f7c3a5e/as"), ("forgerock", "/am")]
    {
        let world = world(kind(name, path, |_| (), HERE), &[("bearer.audiences", "api://orders")]).await;
        rows(
            &world,
            &[
                (Some("JWT"), json!({"aud": CLIENT_ID, "nonce": "n"}), None),
                (Some("JWT"), json!({"aud": "api://others", "scp": ["read"]}), None),
                (Some("JWT"), json!({"aud": "api://orders", "scp": ["read"], "cid": "script"}), Some("ada")),
                (Some("at+jwt"), json!({"aud": ["api://orders"], "client_id": "script"}), Some("ada")),
            ],
        )
        .await;
    }
}
