//! Who signed in where there is no ID token: a profile, asked for with the access token (plain OAuth 2.0: Facebook, GitHub).
//!
//! The access token came from the token endpoint for a code of ours, so the profile is about whoever gave that code: that, `state` and PKCE
//! take the place of signature, audience and nonce.

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{
    OAuth2,
    client_auth::Client,
    error::{ErrorCode, UserinfoError},
    http::{HttpError, bearer},
    json::Object,
    metadata::Metadata,
    query::extended,
};
use crate::{policy::EMAIL_DOMAIN, secret::Secret};

/// The longest subject, in bytes, as in OpenID Connect (Core §2).
const MAX_SUBJECT: usize = 255;

/// One entry of a list of e-mail addresses.
#[derive(Deserialize)]
struct Address {
    email: String,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    verified: bool,
}

/// The profile of whoever `token` belongs to, and its subject.
pub(super) async fn profile(
    client: &Client,
    protocol: &OAuth2,
    metadata: &Metadata,
    token: Option<&Secret<String>>,
) -> Result<(Map<String, Value>, String), UserinfoError> {
    let token = token.ok_or(UserinfoError::NoAccessToken)?;
    let endpoint = metadata.userinfo_endpoint.as_ref().ok_or(UserinfoError::NotOffered)?;
    let mut endpoint = endpoint.clone();
    if let Some(secret) = client.settings.client_secret.as_ref().filter(|_| protocol.appsecret_proof) {
        endpoint = extended(&endpoint, [("appsecret_proof", appsecret_proof(secret, token))]);
    }
    let answer = get(client, &endpoint, token).await?;
    let mut profile = Object::parse(answer.body()).ok_or(UserinfoError::NotJson)?;
    if let Some(error) = profile.get("error") {
        return Err(UserinfoError::Refused { status: answer.status().as_u16(), code: ErrorCode::of(Some(error)) });
    }
    let subject = match profile.get(&*protocol.subject_claim) {
        Some(Value::String(text)) => Some(text.clone()),
        // Other numbers have more than one spelling.
        Some(Value::Number(number)) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    };
    let subject = subject.filter(|subject| (1..=MAX_SUBJECT).contains(&subject.len()));
    let subject = subject.ok_or_else(|| UserinfoError::NoSubject(protocol.subject_claim.clone()))?;
    if let Some(endpoint) = protocol.email_endpoint.as_ref().filter(|_| needs_email(client)) {
        let address = verified_address(client, endpoint, token).await?;
        put_email(&mut profile, client, address);
    }
    Ok((profile, subject))
}

/// HMAC-SHA256 of the access token with the client secret, in hexadecimal: whoever stole only the token cannot use it.
fn appsecret_proof(secret: &Secret<String>, token: &Secret<String>) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, token.expose().as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn get(client: &Client, url: &Url, token: &Secret<String>) -> Result<Response<Bytes>, UserinfoError> {
    let request = bearer(url, token).ok_or(UserinfoError::NoAccessToken)?;
    let answer = client.http.send(request).await?;
    if answer.status() == StatusCode::OK {
        return Ok(answer);
    }
    let status = answer.status().as_u16();
    // GitHub's `message` is a sentence and no code; then the status has to do.
    let error = Object::parse(answer.body()).and_then(|members| members.get("error").cloned());
    Err(match error {
        Some(error) => UserinfoError::Refused { status, code: ErrorCode::of(Some(&error)) },
        None => HttpError::Status(status).into(),
    })
}

/// Whether anything depends on the e-mail address: asking costs another request, and a scope that not everybody grants.
fn needs_email(client: &Client) -> bool {
    let settings = &client.settings;
    let email = &settings.email;
    let names = [&*email.claim, &*email.verified_claim, "email", "email_verified", EMAIL_DOMAIN];
    settings.user.claims.iter().any(|claim| names.contains(&&**claim))
        || settings.needed_claims.0.keys().any(|claim| names.contains(&&**claim))
        || settings.required_claims.keys().any(|claim| names.contains(&&**claim))
        || !email.domains.is_empty()
}

/// The address that is primary and verified; the profile's own may be any that the person shows.
async fn verified_address(
    client: &Client,
    endpoint: &Url,
    token: &Secret<String>,
) -> Result<Option<String>, UserinfoError> {
    let answer = get(client, endpoint, token).await?;
    let list: Vec<Address> = serde_json::from_slice(answer.body()).map_err(|_| UserinfoError::NoEmails)?;
    Ok(list.into_iter().find(|address| address.primary && address.verified).map(|address| address.email))
}

fn put_email(profile: &mut Map<String, Value>, client: &Client, address: Option<String>) {
    let rules = &client.settings.email;
    profile.remove(&*rules.claim);
    profile.remove(&*rules.verified_claim);
    if let Some(address) = address {
        profile.insert((*rules.claim).to_owned(), Value::String(address));
        profile.insert((*rules.verified_claim).to_owned(), Value::Bool(true));
    }
}
