//! Programs at the door: tokens in headers, through the whole gateway.

mod black_boxes;
mod bound;
mod challenges;
mod credentials;
mod issuers;
mod refusals;

use doorward::dev::provider::Provider;
use serde_json::{Value, json};

use crate::support::{Gate, gate::NOW, wire::Raw};

/// Browsers at `/`, programs at `/api`, both at `/both`, and what a route may ask of tokens.
pub const ROUTES: &str = r#"
    [[routes]]
    path = "/"
    upstream = "UPSTREAM"
    [[routes]]
    path = "/api"
    upstream = "UPSTREAM"
    credentials = "bearer"
    [[routes]]
    path = "/both"
    upstream = "UPSTREAM"
    credentials = "both"
    [[routes]]
    path = "/scoped"
    upstream = "UPSTREAM"
    credentials = "bearer"
    token_scopes = ["read", "write"]
    [[routes]]
    path = "/forward"
    upstream = "UPSTREAM"
    credentials = "bearer"
    token_audiences = ["https://elsewhere.example"]
    forward_token = true
    [[routes]]
    path = "/staff"
    upstream = "UPSTREAM"
    credentials = "bearer"
    allow.claims.groups = ["staff"]
    [[routes]]
    path = "/public"
    upstream = "UPSTREAM"
    anonymous = true
"#;

/// A gateway with these routes.
pub async fn gate(more: &[(&str, &str)]) -> Gate {
    Gate::routing(ROUTES, more).await
}

/// The claims of a good access token for all of the gateway.
pub fn claims(gate: &Gate) -> Value {
    json!({
        "iss": gate.provider.issuer(), "aud": gate.url(""), "sub": "ada", "client_id": "script", "jti": "1",
        "iat": NOW.0, "exp": NOW.0 + 600, "scope": "read write",
    })
}

/// `claims` with some changed; `null` takes one away.
pub fn with(mut claims: Value, changes: &Value) -> Value {
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    claims
}

/// An access token (RFC 9068) with these claims.
pub fn token(provider: &Provider, claims: &Value) -> String {
    token_with(provider, &json!({}), claims)
}

/// The same with some members of its header changed.
pub fn token_with(provider: &Provider, header: &Value, claims: &Value) -> String {
    let usual = json!({ "alg": "ES256", "typ": "at+jwt", "kid": provider.kid() });
    provider.sign(with(usual, header).to_string().as_bytes(), claims.to_string().as_bytes())
}

/// A good one.
pub fn good(gate: &Gate) -> String {
    token(&gate.provider, &claims(gate))
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// The answer to `GET path` with `token`.
pub async fn ask(gate: &Gate, path: &str, token: &str) -> Raw {
    gate.ask(&format!("GET {path}"), &[&bearer(token)]).await
}

/// A parameter of the first challenge for `scheme`.
pub fn challenge(answer: &Raw, scheme: &str, name: &str) -> Option<String> {
    let challenges = answer.all("www-authenticate");
    let challenge = challenges.into_iter().find(|challenge| challenge.starts_with(scheme))?;
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Refused, with nothing sent to the application: the status and the error code of the challenge.
#[track_caller]
pub fn refused(gate: &Gate, answer: &Raw) -> (u16, String) {
    assert!(gate.upstream.take().is_empty(), "something reached the application");
    (answer.status, challenge(answer, "Bearer", "error").unwrap_or_default())
}
