//! A black box that is good when the userinfo endpoint answers it with a subject.

use serde_json::{Map, Value};

use super::BearerError;
use crate::{
    clock::UnixTime,
    providers::{cached::Cached, client_auth::Client, keys::KeySource, metadata::Metadata},
    secret::Secret,
};

/// What the userinfo endpoint, or the profile of plain OAuth 2.0, says of whoever `token` belongs to; its subject is in `sub`.
pub(super) async fn ask(
    client: &Client,
    keys: &Cached<KeySource>,
    metadata: &Metadata,
    token: &Secret<String>,
    now: UnixTime,
) -> Result<Map<String, Value>, BearerError> {
    let _ = (client, keys, metadata, token, now);
    Err(BearerError::NotOffered("userinfo"))
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
    let _ = (client, keys, metadata, token, subject, now);
    Err(BearerError::NotOffered("userinfo"))
}
