//! A black box that is good when the userinfo endpoint answers it with a subject; and what that endpoint adds about a token that is good
//! already.

use serde_json::{Map, Value};

use super::{BearerAnswerError, BearerError, BearerRefusal};
use crate::{
    clock::UnixTime,
    providers::{
        OAuth2, Protocol, UserinfoError,
        cached::Cached,
        client_auth::Client,
        error::ErrorCode,
        http::HttpError,
        keys::KeySource,
        metadata::Metadata,
        oauth2,
        userinfo::{self, NoClaims},
    },
    secret::Secret,
};

const ENDPOINT: &str = "userinfo";

/// What the userinfo endpoint, or the profile of plain OAuth 2.0, says of whoever `token` belongs to; its subject is in `sub`.
pub(super) async fn ask(
    client: &Client,
    keys: &Cached<KeySource>,
    metadata: &Metadata,
    token: &Secret<String>,
    now: UnixTime,
) -> Result<Map<String, Value>, BearerError> {
    match &client.settings.protocol {
        Protocol::Oidc => of_somebody(client, keys, metadata, token, now).await.map(|(claims, _)| claims),
        Protocol::OAuth2(protocol) => {
            let profile = oauth2::profile(client, protocol, metadata, Some(token)).await;
            let (mut profile, subject) = profile.map_err(|error| no_profile(error, protocol))?;
            profile.insert("sub".to_owned(), Value::String(subject));
            Ok(profile)
        }
    }
}

/// The same about `subject`, of whom a token that is good already leaves something open.
pub(super) async fn add(
    client: &Client,
    keys: &Cached<KeySource>,
    metadata: &Metadata,
    token: &Secret<String>,
    subject: &str,
    now: UnixTime,
) -> Result<Map<String, Value>, BearerError> {
    let (claims, found) = of_somebody(client, keys, metadata, token, now).await?;
    // Core §5.3.2. Two people in one answer: then neither is believed.
    if found == subject { Ok(claims) } else { Err(no_answer(BearerAnswerError::Subject)) }
}

/// Claims, and whom they are about.
async fn of_somebody(
    client: &Client,
    keys: &Cached<KeySource>,
    metadata: &Metadata,
    token: &Secret<String>,
    now: UnixTime,
) -> Result<(Map<String, Value>, String), BearerError> {
    let endpoint = metadata.userinfo_endpoint.as_ref().ok_or(BearerError::NotOffered(ENDPOINT))?;
    let claims = userinfo::claims(client, keys, endpoint, token, now).await.map_err(|none| match none {
        NoClaims::Unavailable(error) => BearerError::Unavailable(error),
        NoClaims::Status { status, code } => refused(status, code),
        NoClaims::Userinfo(error) => unanswered(error),
    })?;
    let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty());
    let subject = subject.ok_or_else(|| no_answer(BearerAnswerError::Member("sub".into())))?.to_owned();
    Ok((claims, subject))
}

/// A refusal of the token, or of something else (RFC 6750 §3.1). The endpoint does without our credentials, so 401 is about the token.
fn refused(status: u16, code: Option<ErrorCode>) -> BearerError {
    match (status, code.as_ref().map(ErrorCode::as_str)) {
        // Without the scope that opens userinfo nobody says whose it is.
        (401, _) | (400 | 403, Some("invalid_token" | "insufficient_scope")) => BearerRefusal::Inactive.into(),
        _ => match code {
            Some(code) => no_answer(UserinfoError::Refused { status, code }.into()),
            None => unanswered(HttpError::Status(status).into()),
        },
    }
}

/// The same of a profile, which has further codes.
fn no_profile(error: UserinfoError, protocol: &OAuth2) -> BearerError {
    match &error {
        UserinfoError::Http(HttpError::Status(status)) => refused(*status, None),
        UserinfoError::Refused { status, code } => match (status, code.as_str()) {
            (400, "OAuthException") => BearerRefusal::Inactive.into(),
            // Facebook's word for a proof that does not fit: the token is another app's.
            (400, "GraphMethodException") if protocol.appsecret_proof => BearerRefusal::Inactive.into(),
            _ => refused(*status, Some(code.clone())),
        },
        UserinfoError::NotOffered
        | UserinfoError::Http(_)
        | UserinfoError::NoAccessToken
        | UserinfoError::Signature(_)
        | UserinfoError::Claim(_)
        | UserinfoError::NotJson
        | UserinfoError::NoEmails
        | UserinfoError::NoSubject(_)
        | UserinfoError::Subject => unanswered(error),
    }
}

fn unanswered(error: UserinfoError) -> BearerError {
    match error {
        UserinfoError::NotOffered => BearerError::NotOffered(ENDPOINT),
        // No header can carry it: nobody issued it.
        UserinfoError::NoAccessToken => BearerRefusal::Inactive.into(),
        UserinfoError::Http(error) => BearerError::Endpoint { endpoint: ENDPOINT, error },
        UserinfoError::NotJson => no_answer(BearerAnswerError::NotJson),
        UserinfoError::NoSubject(member) => no_answer(BearerAnswerError::Member(member)),
        error @ (UserinfoError::Refused { .. }
        | UserinfoError::Signature(_)
        | UserinfoError::Claim(_)
        | UserinfoError::NoEmails
        | UserinfoError::Subject) => no_answer(error.into()),
    }
}

fn no_answer(error: BearerAnswerError) -> BearerError {
    BearerError::Answer { endpoint: ENDPOINT, error }
}
