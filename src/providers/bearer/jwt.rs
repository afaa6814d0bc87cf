//! A JWT: the provider's keys vouch for what it says (RFC 9068 §4).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{BearerError, BearerRefusal, Said, Shape};
use crate::{
    providers::{
        Bearer, Provider,
        error::TokenError,
        json::Object,
        jwe,
        jws::{TokenKind, Unverified},
        keys::{self, VerifyError},
    },
    secret::Secret,
};

/// The longest issuer that is looked up, in bytes.
const MAX_ISSUER: usize = 2_048;

/// What `token` shows of itself. Reads no more than that: what the token is worth, its signature says.
pub(super) fn shape(token: &str) -> Shape {
    let mut parts = token.splitn(6, '.');
    let (header, second) = (parts.next().unwrap_or_default(), parts.next());
    let read = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().and_then(|json| Object::parse(&json));
    let issuer = |members: &Map<String, Value>| match members.get("iss") {
        Some(Value::String(iss)) if iss.len() <= MAX_ISSUER => Some(iss.as_str().into()),
        _ => None,
    };
    // Dots alone make no JWT: other tokens may have them too.
    let Some(head) = read(header).filter(|head| head.contains_key("alg")) else { return Shape::BlackBox };
    match (second, parts.count()) {
        (Some(payload), 1) => Shape::Jwt(read(payload).as_ref().and_then(issuer)),
        (Some(_), 3) => Shape::Encrypted(issuer(&head)),
        _ => Shape::BlackBox,
    }
}

impl Provider {
    /// What `token` claims, once a key of this provider has vouched for it and it is of a kind that counts.
    pub(super) async fn verified(&self, token: &Secret<String>, rules: &Bearer) -> Result<Said, BearerError> {
        let opened = jwe::opened(token, &self.settings.decryption_keys);
        let opened = opened.map_err(|error| BearerRefusal::Token(TokenError::from(error)))?;
        let token = opened.as_ref().unwrap_or(token);
        let token = Unverified::parse(token.expose(), TokenKind::AccessToken, &self.settings.algorithms)
            .map_err(|error| BearerRefusal::Token(TokenError::from(error)))?;
        let verified = keys::verify(&token, &self.keys).await.map_err(|error| match error {
            VerifyError::Unavailable(error) => BearerError::Unavailable(error),
            VerifyError::Token(error) => BearerRefusal::Token(error).into(),
        })?;
        let claims = verified.claims().map_err(|error| BearerRefusal::Token(TokenError::from(error)))?;
        if token.is_access_token {
            return Ok(Said::by_keys(claims, false));
        }
        let is_id_token = is_id_token(&claims, &self.settings.client_id, rules);
        match (is_id_token, rules.id_tokens, rules.plain_jwt) {
            (true, false, _) => Err(BearerRefusal::IdToken.into()),
            (false, _, false) => Err(BearerRefusal::Untyped.into()),
            (true, true, _) | (false, _, true) => Ok(Said::by_keys(claims, is_id_token)),
        }
    }
}

/// Whether a JWT whose header does not say what it is, is an ID token. Providers that say it in a claim of their own are believed; otherwise
/// only ID tokens have some claims and only access tokens others. One that has neither is an ID token when it is for a client.
fn is_id_token(claims: &Map<String, Value>, client_id: &str, rules: &Bearer) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is = |name: &str, value: &str| text(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    let has = |names: &[&str]| names.iter().any(|name| claims.contains_key(*name));
    if is("typ", "ID") || is("token_use", "id") {
        return true;
    }
    if is("typ", "Bearer") || is("token_use", "access") {
        return false;
    }
    if has(&["nonce", "at_hash", "c_hash", "s_hash"]) {
        return true;
    }
    if has(&["scope", "scp", "client_id", "cid", "appid", "azpacr", "gty"]) {
        return false;
    }
    let is_client = |audience: &Value| {
        audience.as_str().is_some_and(|audience| audience == client_id || rules.clients.contains(audience))
    };
    match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().any(is_client),
        Some(one) => is_client(one),
        None => false,
    }
}
