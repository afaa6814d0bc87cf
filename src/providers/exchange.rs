//! The code from a callback becomes tokens (RFC 6749 §4.1.3).
//!
//! openidconnect makes the request. The answer is read by ourselves, because real token endpoints differ: `expires_in` as text or absent,
//! `token_type` in any case, errors with status 200, where there is no OpenID Connect a form instead of JSON. What is not needed is not read.

use openidconnect::{AuthorizationCode, PkceCodeVerifier, RequestTokenError, TokenUrl};
use serde_json::{Map, Value};

use super::{
    Protocol,
    client_auth::{ASSERTION_TYPE, Client},
    error::{AnswerError, ErrorCode, SignInError},
    metadata::Metadata,
    relying_party::TokenEndpoint,
};
use crate::{clock::UnixTime, secret::Secret};

/// What the token endpoint gave for a code.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Always there with OpenID Connect, and never looked at without it.
    pub(super) id_token: Option<Secret<String>>,
    /// Always there without OpenID Connect.
    pub(super) access_token: Option<Secret<String>>,
}

impl Client {
    /// The tokens for `code`.
    pub(super) async fn exchange(
        &self,
        metadata: &Metadata,
        code: &Secret<String>,
        verifier: &Secret<String>,
        now: UnixTime,
    ) -> Result<Tokens, SignInError> {
        let party = self.party.clone().set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()));
        let (party, assertion) = self.authenticated(party, metadata, now)?;
        let mut asked = party.exchange_code(AuthorizationCode::new(code.expose().clone()));
        if self.settings.pkce {
            asked = asked.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().clone()));
        }
        if let Some(assertion) = &assertion {
            asked = asked.add_extra_param("client_assertion_type", ASSERTION_TYPE);
            asked = asked.add_extra_param("client_assertion", assertion.expose());
        }
        let reads_forms = self.settings.protocol != Protocol::Oidc;
        let endpoint = TokenEndpoint { http: &self.http, reads_forms };
        let answer = asked.request_async(&endpoint).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(refusal) => refused(refusal.0),
            RequestTokenError::Request(error) => SignInError::Exchange(error),
            // Holds the body, which may hold tokens: dropped here.
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => AnswerError::NotJson.into(),
        })?;
        tokens(answer.members, &self.settings.protocol)
    }
}

/// RFC 6749 §5.2: what an error code means for us. The longer names are GitHub's.
fn refused(code: ErrorCode) -> SignInError {
    match code.as_str() {
        "invalid_grant" | "bad_verification_code" => SignInError::CodeSpent,
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "incorrect_client_credentials"
        | "redirect_uri_mismatch" => SignInError::Misconfigured(code),
        _ => SignInError::Refused(code),
    }
}

fn tokens(mut members: Map<String, Value>, protocol: &Protocol) -> Result<Tokens, SignInError> {
    // Whatever the status: some send it with 200.
    if let Some(error) = members.get("error") {
        return Err(refused(ErrorCode::of(Some(error))));
    }
    let mut text = |name: &str| match members.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let tokens =
        Tokens { id_token: text("id_token").map(Secret::new), access_token: text("access_token").map(Secret::new) };
    match protocol {
        Protocol::Oidc if tokens.id_token.is_none() => return Err(AnswerError::NoIdToken.into()),
        Protocol::OAuth2(_) if tokens.access_token.is_none() => return Err(AnswerError::NoAccessToken.into()),
        Protocol::Oidc | Protocol::OAuth2(_) => {}
    }
    // RFC 6749 §5.1: case-insensitive. Absent is against the rule, and means Bearer wherever it was seen.
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("Bearer")) {
        return Err(AnswerError::TokenType.into());
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::providers::{OAuth2, json::Object, relying_party::form};

    fn oidc(body: &str) -> Result<Tokens, SignInError> {
        tokens(Object::parse(body.as_bytes()).ok_or(AnswerError::NotJson)?, &Protocol::Oidc)
    }

    /// T-140: what differs between providers and does not matter.
    #[test]
    fn a_token_answer_is_read_leniently_where_nothing_depends_on_it() {
        for rest in [
            r#""token_type":"Bearer","expires_in":3600"#,
            r#""token_type":"BEARER","expires_in":"3600""#,
            r#""token_type":"bearer","expires_in":3599.5"#,
            r#""expires_in":1e300"#,
            r#""expires_in":-1"#,
            r#""expires_in":null,"scope":["a","b"],"refresh_token":7"#,
            r#""expires_in":{"a":1},"extra":[[[]]]"#,
        ] {
            let body = format!(r#"{{"access_token":"at","id_token":"a.b.c",{rest}}}"#);
            let tokens = oidc(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(tokens.id_token.unwrap().expose(), "a.b.c");
            assert_eq!(tokens.access_token.unwrap().expose(), "at");
        }
    }

    #[test]
    fn an_answer_that_signs_nobody_in_says_why() {
        for (body, answer) in [
            ("", "the token endpoint's answer is not a JSON object"),
            ("access_token=at&id_token=a.b.c", "the token endpoint's answer is not a JSON object"),
            ("[]", "the token endpoint's answer is not a JSON object"),
            (r#"{"id_token":"a","id_token":"b"}"#, "the token endpoint's answer is not a JSON object"),
            (r#"{"access_token":"at"}"#, "the token endpoint's answer has no ID token"),
            (r#"{"id_token":""}"#, "the token endpoint's answer has no ID token"),
            (r#"{"id_token":{"a":1}}"#, "the token endpoint's answer has no ID token"),
            (
                r#"{"id_token":"a.b.c","token_type":"DPoP"}"#,
                "the token endpoint's answer has another token type than Bearer",
            ),
            (r#"{"error":"invalid_grant","id_token":"a.b.c"}"#, "the provider no longer accepts this code"),
            (r#"{"error":"invalid_client"}"#, "the provider refuses this gateway as a client (`invalid_client`)"),
            (r#"{"error":"server_error"}"#, "the provider refuses the code (`server_error`)"),
            (r#"{"error":"<b>\n"}"#, "the provider refuses the code (`unreadable error code`)"),
            (
                r#"{"error":{"message":"m","type":"OAuthException","code":1}}"#,
                "the provider refuses the code (`OAuthException`)",
            ),
            (r#"{"error":{"message":"m","code":1}}"#, "the provider refuses the code (`unreadable error code`)"),
        ] {
            assert_eq!(oidc(body).unwrap_err().to_string(), answer, "{body}");
        }
    }

    /// T-131, T-136.
    #[test]
    fn without_openid_connect_the_answer_may_be_a_form() {
        let protocol = OAuth2 { subject_claim: "id".into(), appsecret_proof: false, email_endpoint: None };
        let protocol = Protocol::OAuth2(protocol);
        let oauth2 = |body: &str| {
            let members = form(body.as_bytes()).or_else(|| Object::parse(body.as_bytes()));
            tokens(members.ok_or(AnswerError::NotJson)?, &protocol)
        };
        for (body, answer) in [
            ("", "the token endpoint's answer is not a JSON object"),
            ("<html>", "the token endpoint's answer is not a JSON object"),
            ("scope=user&token_type=bearer", "the token endpoint's answer is not a JSON object"),
            ("access_token=a&access_token=b", "the token endpoint's answer is not a JSON object"),
            ("access_token=&scope=", "the token endpoint's answer has no access token"),
            (r#"{"token_type":"bearer","id_token":"a.b.c"}"#, "the token endpoint's answer has no access token"),
            ("access_token=a&token_type=mac", "the token endpoint's answer has another token type than Bearer"),
            ("error=bad_verification_code&error_description=x+y", "the provider no longer accepts this code"),
            (
                "error=incorrect_client_credentials&error_uri=https%3A%2F%2Fx",
                "the provider refuses this gateway as a client (`incorrect_client_credentials`)",
            ),
            (r#"{"error":"bad_verification_code"}"#, "the provider no longer accepts this code"),
        ] {
            assert_eq!(oauth2(body).unwrap_err().to_string(), answer, "{body}");
        }
        for body in [
            "access_token=gho%5F1&scope=user%3Aemail&token_type=bearer",
            r#"{"access_token":"gho_1","scope":"user:email","token_type":"bearer"}"#,
            r#"{"access_token":"gho_1","token_type":"bearer","expires_in":5183944}"#,
        ] {
            assert_eq!(oauth2(body).unwrap().access_token.unwrap().expose(), "gho_1", "{body}");
        }
    }
}
