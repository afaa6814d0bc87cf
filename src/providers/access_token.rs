//! The claims of an access token, at providers that put there what belongs into the ID token (AD FS).
//!
//! An access token is not for us, so nothing is looked at unless the provider's settings say so, and what cannot be verified like an ID token
//! is left out: whoever needs its claims is then refused for lack of them.

use serde_json::{Map, Value};

use super::{
    cached::Cached,
    client_auth::Client,
    error::TokenError,
    issuer,
    jws::{TokenKind, has_expired},
    keys::{self, KeySource, VerifyError},
    metadata::Metadata,
};
use crate::{clock::UnixTime, secret::Secret};

/// Why an access token's claims do not count.
#[derive(Debug, thiserror::Error)]
enum NoClaims {
    #[error("it cannot be trusted")]
    Token(#[source] TokenError),
    #[error("there are no keys to check it with")]
    NoKeys,
    #[error("its `iss` is not the provider's")]
    Issuer,
    #[error("it has no `exp`, or has expired")]
    Expired,
}

/// What `token` claims, when it is a JWT by this provider.
pub(super) async fn claims(
    client: &Client,
    keys: &Cached<KeySource>,
    metadata: &Metadata,
    token: &Secret<String>,
    now: UnixTime,
) -> Option<Map<String, Value>> {
    let claims = verified(client, keys, metadata, token, now).await;
    claims
        .inspect_err(|error| {
            tracing::warn!(
                provider.name = %client.settings.name,
                error = error as &dyn std::error::Error,
                "leaving out the access token's claims at {}", client.settings.name,
            );
        })
        .ok()
}

async fn verified(
    client: &Client,
    keys: &Cached<KeySource>,
    metadata: &Metadata,
    token: &Secret<String>,
    now: UnixTime,
) -> Result<Map<String, Value>, NoClaims> {
    let settings = &client.settings;
    let trusted = keys::claims(token.expose(), TokenKind::AccessToken, &settings.algorithms, keys).await;
    let (_, claims) = trusted.map_err(|error| match error {
        VerifyError::Unavailable(_) => NoClaims::NoKeys,
        VerifyError::Token(error) => NoClaims::Token(error),
    })?;
    let iss = claims.get("iss").and_then(Value::as_str).ok_or(NoClaims::Issuer)?;
    let is_ours = match &metadata.access_token_issuer {
        Some(issuer) => **issuer == *iss,
        None => issuer::is_named_by(settings, iss),
    };
    if !is_ours {
        return Err(NoClaims::Issuer);
    }
    if claims.get("exp").is_none_or(|exp| has_expired(exp, now)) {
        return Err(NoClaims::Expired);
    }
    Ok(claims)
}
