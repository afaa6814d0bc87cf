//! A black box: the provider says what is in it.

use serde_json::{Map, Value};

use super::BearerError;
use crate::{
    clock::UnixTime,
    providers::{IntrospectionProtocol, client_auth::Client, metadata::Metadata},
    secret::Secret,
};

/// What the provider says of `token`, which is active: members as RFC 7662 §2.2 names them.
pub(super) async fn ask(
    client: &Client,
    metadata: &Metadata,
    protocol: IntrospectionProtocol,
    token: &Secret<String>,
    now: UnixTime,
) -> Result<Map<String, Value>, BearerError> {
    let _ = (client, metadata, protocol, token, now);
    Err(BearerError::NotOffered("introspection"))
}
