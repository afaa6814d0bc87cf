//! What the userinfo endpoint adds about the person the ID token is about (OpenID Connect Core §5.3).
//!
//! At a sign-in its answer counts only with the same `sub` as the ID token: an access token can belong to somebody else. A signed answer
//! (`application/jwt`) counts only with a signature by the provider's keys; an encrypted one is refused.

use http::{StatusCode, header};
use serde_json::{Map, Value};
use url::Url;

use super::{
    cached::{Cached, Unavailable},
    client_auth::Client,
    error::{ErrorCode, SignInError, UserinfoError},
    http::{HttpError, bearer, is_refusal},
    issuer,
    json::Object,
    jws::{TokenKind, has_expired},
    keys::{self, KeySource, VerifyError},
};
use crate::{clock::UnixTime, secret::Secret};

/// Why the endpoint said nothing that counts.
#[derive(Debug)]
pub(super) enum NoClaims {
    /// There are no keys to check a signed answer with.
    Unavailable(Unavailable),
    /// Another status than 200.
    Status {
        status: u16,
        /// That of a refusal which explains itself.
        code: Option<ErrorCode>,
    },
    /// Everything else.
    Userinfo(UserinfoError),
}

impl From<UserinfoError> for NoClaims {
    fn from(error: UserinfoError) -> Self {
        Self::Userinfo(error)
    }
}

impl From<NoClaims> for SignInError {
    fn from(none: NoClaims) -> Self {
        match none {
            NoClaims::Unavailable(error) => Self::Unavailable(error),
            NoClaims::Status { status, code: _ } => Self::Userinfo(HttpError::Status(status).into()),
            NoClaims::Userinfo(error) => Self::Userinfo(error),
        }
    }
}

/// The claims that `endpoint` has about `subject`.
pub(super) async fn ask(
    client: &Client,
    keys: &Cached<KeySource>,
    endpoint: &Url,
    access_token: Option<&Secret<String>>,
    subject: &str,
    now: UnixTime,
) -> Result<Map<String, Value>, SignInError> {
    let token = access_token.ok_or(SignInError::Userinfo(UserinfoError::NoAccessToken))?;
    let claims = claims(client, keys, endpoint, token, now).await?;
    match claims.get("sub").and_then(Value::as_str) {
        None => Err(SignInError::Userinfo(UserinfoError::NoSubject("sub".into()))),
        Some(other) if other != subject => Err(SignInError::Userinfo(UserinfoError::Subject)),
        Some(_) => Ok(claims),
    }
}

/// The claims that `endpoint` has about whoever `token` belongs to. Whom they are about, the caller looks at.
pub(super) async fn claims(
    client: &Client,
    keys: &Cached<KeySource>,
    endpoint: &Url,
    token: &Secret<String>,
    now: UnixTime,
) -> Result<Map<String, Value>, NoClaims> {
    let request = bearer(endpoint, token).ok_or(UserinfoError::NoAccessToken)?;
    let response = client.http.send(request).await.map_err(UserinfoError::from)?;

    if response.status() != StatusCode::OK {
        let explained = Object::parse(response.body()).filter(|_| is_refusal(&response));
        let code = explained.and_then(|members| members.get("error").map(|error| ErrorCode::of(Some(error))));
        return Err(NoClaims::Status { status: response.status().as_u16(), code });
    }
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_jwt = media_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("application/jwt"));
    if is_jwt {
        signed(client, keys, response.body(), now).await
    } else {
        Ok(Object::parse(response.body()).ok_or(UserinfoError::NotJson)?)
    }
}

/// Core §5.3.2: the signature counts, and `iss` and `aud`, which should be there, have to fit where they are.
async fn signed(
    client: &Client,
    keys: &Cached<KeySource>,
    body: &[u8],
    now: UnixTime,
) -> Result<Map<String, Value>, NoClaims> {
    let settings = &client.settings;
    let token = str::from_utf8(body).map_err(|_| UserinfoError::NotJson)?;
    let trusted = keys::claims(token.trim_ascii(), TokenKind::Jwt, &settings.algorithms, keys).await;
    let (_, claims) = trusted.map_err(|error| match error {
        VerifyError::Unavailable(error) => NoClaims::Unavailable(error),
        VerifyError::Token(error) => NoClaims::Userinfo(UserinfoError::Signature(error)),
    })?;
    let is_ours = |audience: &Value| match audience {
        Value::Array(many) => many.iter().any(|one| *one == settings.client_id.as_str()),
        Value::String(one) => *one == settings.client_id,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    let wrong = |claim| Err(NoClaims::Userinfo(UserinfoError::Claim(claim)));
    if claims.get("iss").is_some_and(|iss| !iss.as_str().is_some_and(|iss| issuer::is_named_by(settings, iss))) {
        return wrong("iss");
    }
    if claims.get("aud").is_some_and(|audience| !is_ours(audience)) {
        return wrong("aud");
    }
    if claims.get("exp").is_some_and(|exp| has_expired(exp, now)) {
        return wrong("exp");
    }
    Ok(claims)
}
