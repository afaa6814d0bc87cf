//! What the provider says about itself (OpenID Connect Discovery §3) and its public keys.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Endpoint, State, lock};
use crate::dev::answer::{self, Answer};

pub(super) fn discovery(state: &State) -> Answer {
    let at = |endpoint| state.issuer.at(endpoint);
    let mut metadata = json!({
        "issuer": state.name(),
        "authorization_endpoint": at(Endpoint::Authorization),
        "token_endpoint": at(Endpoint::Token),
        "userinfo_endpoint": at(Endpoint::Userinfo),
        "jwks_uri": at(Endpoint::Keys),
        "introspection_endpoint": at(Endpoint::Introspection),
        "revocation_endpoint": at(Endpoint::Revocation),
        "end_session_endpoint": at(Endpoint::EndSession),
        "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "sid", "at_hash", "name", "given_name", "family_name",
            "preferred_username", "email", "email_verified", "groups"
        ],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
        "code_challenge_methods_supported": ["S256"],
        // RFC 9207 §3
        "authorization_response_iss_parameter_supported": !state.quirks.are_callbacks_silent(),
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    if let Value::Object(metadata) = &mut metadata {
        if let Some(required) = state.quirks.pushed_requests() {
            // RFC 9126 §5.
            metadata.extend([
                ("pushed_authorization_request_endpoint".to_owned(), json!(at(Endpoint::PushedRequests))),
                ("require_pushed_authorization_requests".to_owned(), json!(required)),
            ]);
        }
        state.faults.change_metadata(metadata);
    }
    answer::json(StatusCode::OK, &metadata)
}

pub(super) fn keys(state: &State) -> Answer {
    let mut keys = lock(&state.keys).jwks();
    state.faults.change_keys(&mut keys);
    answer::json(StatusCode::OK, &json!({ "keys": keys }))
}
