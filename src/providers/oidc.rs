//! The authorization code flow: the URL a browser is sent to, and the code that it brings back (RFC 6749 §4.1, RFC 7636).
//!
//! openidconnect builds both requests. The types of the answer are ours, because real token endpoints differ: `expires_in`
//! as text or absent, `token_type` in any case, errors with status 200. What is not needed is not read.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    AccessToken, AuthType, AuthenticationFlow, AuthorizationCode, Client as GenericClient, ClientId, ClientSecret,
    CsrfToken, EmptyAdditionalClaims, EndpointNotSet, ErrorResponse, IdToken, IssuerUrl, JsonWebKeySet, Nonce,
    OAuth2TokenResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, TokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
        CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use url::Url;

use super::{
    AuthorizationRequest, ClientAuth, Settings,
    error::{AnswerError, ErrorCode, SignInError},
    http::Http,
    json::Object,
    metadata::Metadata,
};
use crate::secret::Secret;

/// We, as registered at one provider.
pub(super) type Client = GenericClient<
    EmptyAdditionalClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    Refusal,
    Answer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
>;

/// Parameters that are the protocol's own: nobody configures them.
pub const OWN_PARAMETERS: [&str; 12] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "client_secret",
];

/// What the token endpoint gave for a code.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) id_token: Secret<String>,
    pub(super) access_token: Option<Secret<String>>,
}

/// Ourselves; `None` when the issuer or the redirect URI is no URL.
pub(super) fn client(settings: &Settings, redirect_uri: String) -> Option<Client> {
    // No keys: verifying tokens is not left to this type (see jws.rs, keys.rs, id_token.rs).
    let issuer = IssuerUrl::new(settings.issuer.clone()).ok()?;
    let client = Client::new(ClientId::new(settings.client_id.clone()), issuer, JsonWebKeySet::default());
    let client = client.set_redirect_uri(RedirectUrl::new(redirect_uri).ok()?);
    Some(match &settings.client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().clone())),
        None => client,
    })
}

/// Where the browser goes to sign in.
pub(super) fn authorization_url(
    client: &Client,
    metadata: &Metadata,
    settings: &Settings,
    request: &AuthorizationRequest<'_>,
) -> Url {
    // RFC 7636 §4.2. Not through openidconnect's type, which panics on a verifier of another length.
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, request.verifier.expose().as_bytes()));
    let client = client.clone().set_auth_uri(metadata.authorization_endpoint.clone());
    let (state, nonce) = (CsrfToken::new(request.state.to_owned()), Nonce::new(request.nonce.to_owned()));
    let scopes = settings.scopes.iter().filter(|scope| *scope != "openid"); // which openidconnect always asks for
    let mut asked = client
        .authorize_url(AuthenticationFlow::AuthorizationCode::<CoreResponseType>, || state, || nonce)
        .add_scopes(scopes.map(|scope| Scope::new(scope.clone())))
        .add_extra_param("code_challenge", challenge)
        .add_extra_param("code_challenge_method", "S256");
    for (name, value) in &settings.authorization_parameters {
        asked = asked.add_extra_param(name, value);
    }
    // What the operator wrote is not for a link to change.
    let is_configured = settings.authorization_parameters.iter().any(|(name, _)| name == "login_hint");
    if let Some(hint) = request.login_hint.filter(|_| !is_configured) {
        asked = asked.add_extra_param("login_hint", hint);
    }
    let (mut url, _, _) = asked.url();
    spaces_as_percent(&mut url, metadata.authorization_endpoint.url().query().map_or(0, str::len));
    url
}

/// Some providers read `+` as itself. What we appended has no other plus sign than those for spaces; the first `kept` bytes are
/// the endpoint's own query and stay as they are.
fn spaces_as_percent(url: &mut Url, kept: usize) {
    let Some((theirs, ours)) = url.query().and_then(|query| query.split_at_checked(kept)) else { return };
    let query = format!("{theirs}{}", ours.replace('+', "%20"));
    url.set_query(Some(&query));
}

/// The tokens for `code`.
pub(super) async fn exchange(
    client: &Client,
    metadata: &Metadata,
    settings: &Settings,
    http: &Http,
    code: &Secret<String>,
    verifier: &Secret<String>,
) -> Result<Tokens, SignInError> {
    // Without a secret, openidconnect sends `client_id` in the body, whatever is set here (RFC 6749 §3.2.1).
    let auth = match settings.client_auth.or(metadata.client_auth).unwrap_or(ClientAuth::Basic) {
        ClientAuth::Basic => AuthType::BasicAuth,
        ClientAuth::Post | ClientAuth::PrivateKeyJwt | ClientAuth::MintedSecret => AuthType::RequestBody,
    };
    let client = client.clone().set_token_uri(metadata.token_endpoint.clone()).set_auth_type(auth);
    let request = client
        .exchange_code(AuthorizationCode::new(code.expose().clone()))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().clone()));
    let answer = request.request_async(http).await.map_err(|error| match error {
        RequestTokenError::ServerResponse(refusal) => refused(refusal.0),
        RequestTokenError::Request(error) => SignInError::Exchange(error),
        // Holds the body, which may hold tokens: dropped here.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => AnswerError::NotJson.into(),
    })?;
    answer.tokens()
}

/// RFC 6749 §5.2: what an error code means for us.
fn refused(code: ErrorCode) -> SignInError {
    match code.as_str() {
        "invalid_grant" => SignInError::CodeSpent,
        "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope" => {
            SignInError::Misconfigured(code)
        }
        _ => SignInError::Refused(code),
    }
}

/// The answer of a token endpoint, as far as it is read.
#[derive(Clone)]
pub(super) struct Answer {
    /// The error, whatever the status: some send it with 200.
    error: Option<ErrorCode>,
    id_token: Option<Secret<String>>,
    access_token: Option<AccessToken>,
    /// openidconnect asks for one even where there is none.
    no_access_token: AccessToken,
    is_bearer: bool,
}

impl Answer {
    fn tokens(self) -> Result<Tokens, SignInError> {
        if let Some(code) = self.error {
            return Err(refused(code));
        }
        let id_token = self.id_token.ok_or(AnswerError::NoIdToken)?;
        if !self.is_bearer {
            return Err(AnswerError::TokenType.into());
        }
        let access_token = self.access_token.map(|token| Secret::new(token.into_secret()));
        Ok(Tokens { id_token, access_token })
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Object(mut members) = Object::deserialize(from)?;
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let id_token = text("id_token").map(Secret::new);
        let access_token = text("access_token").map(AccessToken::new);
        // RFC 6749 §5.1: case-insensitive. Absent is against the rule, and means Bearer wherever it was seen.
        let is_bearer = text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("Bearer"));
        let error = members.get("error").map(|error| ErrorCode::new(error.as_str().unwrap_or_default()));
        Ok(Self { error, id_token, access_token, no_access_token: AccessToken::new(String::new()), is_bearer })
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token answer]")
    }
}

/// Asked for by a trait; what is secret is not written anywhere.
impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_unit()
    }
}

impl OAuth2TokenResponse for Answer {
    type TokenType = CoreTokenType;

    fn access_token(&self) -> &AccessToken {
        self.access_token.as_ref().unwrap_or(&self.no_access_token)
    }

    fn token_type(&self) -> &CoreTokenType {
        &CoreTokenType::Bearer
    }

    fn expires_in(&self) -> Option<std::time::Duration> {
        None
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl TokenResponse<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>
    for Answer
{
    fn id_token(
        &self,
    ) -> Option<
        &IdToken<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>,
    > {
        None // kept as text until jws.rs looks at it
    }
}

/// An error answer. Only the code is kept: descriptions are text from elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Refusal(ErrorCode);

impl<'de> Deserialize<'de> for Refusal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Object(members) = Object::deserialize(from)?;
        Ok(Self(ErrorCode::new(members.get("error").and_then(Value::as_str).unwrap_or_default())))
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ErrorResponse for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(body: &str) -> Result<Tokens, SignInError> {
        serde_json::from_str::<Answer>(body).map_err(|_| SignInError::from(AnswerError::NotJson))?.tokens()
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
            let tokens = tokens(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(tokens.id_token.expose(), "a.b.c");
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
            (r#"{"error":{"message":"m","code":1}}"#, "the provider refuses the code (`unreadable error code`)"),
        ] {
            assert_eq!(tokens(body).unwrap_err().to_string(), answer, "{body}");
        }
    }
}
