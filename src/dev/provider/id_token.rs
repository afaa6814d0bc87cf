//! ID tokens (OpenID Connect Core §2).

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Map, Value, json};

use super::{
    State,
    faults::{HmacKey, IdToken, Signature},
    grants::{ACCESS_LIFETIME, Grant},
    keys::{SigningKey, compact},
    lock,
};
use crate::clock::UnixTime;

/// An ID token for `grant`, given together with `access_token`. `nonce` is the authorization request's; a refresh has none
/// (§12.2).
pub(super) fn id_token(state: &State, grant: &Grant, access_token: &str, nonce: Option<&str>, now: UnixTime) -> String {
    let keys = lock(&state.keys).clone();
    let key = keys.current();
    let signature = state.faults.take_signature();
    let algorithm = match &signature {
        None | Some(Signature::Unpublished) => "ES256",
        Some(Signature::None) => "none",
        Some(Signature::Hs256(_)) => "HS256",
    };
    let mut claims = grant.person.claims.clone();
    claims.extend(Map::from_iter([
        ("iss".to_owned(), json!(state.name())),
        ("sub".to_owned(), json!(grant.person.sub)),
        ("aud".to_owned(), json!(grant.client)),
        ("iat".to_owned(), json!(now.0)),
        ("exp".to_owned(), json!(now.plus(ACCESS_LIFETIME).0)),
        ("auth_time".to_owned(), json!(grant.auth_time.0)),
        ("sid".to_owned(), json!(grant.sid)),
        ("at_hash".to_owned(), json!(at_hash(access_token))),
    ]));
    if let Some(nonce) = nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    let header = Map::from_iter([
        ("alg".to_owned(), json!(algorithm)),
        ("typ".to_owned(), json!("JWT")),
        ("kid".to_owned(), json!(key.kid())),
    ]);
    let mut token = IdToken { header, claims };
    state.faults.change_id_token(&mut token);
    let (header, claims) = (Value::Object(token.header).to_string(), Value::Object(token.claims).to_string());
    compact(header.as_bytes(), claims.as_bytes(), |input| match signature {
        None => key.sign(input),
        Some(Signature::Unpublished) => SigningKey::generate().sign(input),
        Some(Signature::None) => Vec::new(),
        Some(Signature::Hs256(secret)) => hs256(&shared_secret(secret, key), input),
    })
}

/// §3.1.3.6: the left half of the hash that belongs to the algorithm, SHA-256 for all of ours.
fn at_hash(access_token: &str) -> String {
    let hash = digest(&SHA256, access_token.as_bytes());
    BASE64URL.encode(hash.as_ref().get(..16).unwrap_or_default())
}

fn shared_secret(secret: HmacKey, key: &SigningKey) -> Vec<u8> {
    match secret {
        HmacKey::PublicPem => key.pem().into_bytes(),
        HmacKey::PublicDer => key.der(),
        HmacKey::PublicJwk => key.jwk().to_string().into_bytes(),
        HmacKey::Bytes(bytes) => bytes,
    }
}

pub(super) fn hs256(secret: &[u8], input: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input).as_ref().to_vec()
}
