//! openidconnect's view of us: it builds the authorization request and the token request. What comes back is kept as it came and read by
//! `exchange`, because real token endpoints differ; verifying tokens is not left to it either (see jws.rs, keys.rs, id_token.rs).

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use http::{StatusCode, header};
use openidconnect::{
    AccessToken, AsyncHttpClient, AuthenticationFlow, Client as GenericClient, ClientId, EmptyAdditionalClaims,
    EndpointNotSet, ErrorResponse, HttpRequest, HttpResponse, IdToken, IssuerUrl, JsonWebKeySet, OAuth2TokenResponse,
    RedirectUrl, RefreshToken, Scope, TokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
        CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{
    Settings,
    error::ErrorCode,
    http::{Http, HttpError, is_refusal},
    json::Object,
};

/// We, as registered at one provider.
pub(super) type RelyingParty = WithTokenEndpoint<EndpointNotSet>;

/// The same with a token endpoint, or not yet.
pub(super) type WithTokenEndpoint<T> = GenericClient<
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
    T,
    EndpointNotSet,
>;

/// The flow that is always asked for.
pub(super) const CODE: AuthenticationFlow<CoreResponseType> = AuthenticationFlow::AuthorizationCode;

/// Ourselves without a credential, which `client_auth` adds; `None` when issuer or redirect URI is no URL.
pub(super) fn new(settings: &Settings, redirect_uri: &str) -> Option<RelyingParty> {
    let issuer = IssuerUrl::new(settings.issuer.clone()).ok()?;
    let client = RelyingParty::new(ClientId::new(settings.client_id.clone()), issuer, JsonWebKeySet::default());
    let client = client.set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned()).ok()?);
    // Among ours where it belongs: plain OAuth 2.0 does not know it.
    Some(client.disable_openid_scope())
}

/// Its way to the token endpoint: ours. The content type is taken away, because providers send JSON under many names and the parser decides
/// anyway; a form becomes JSON where `reads_forms`; what is no answer of a token endpoint becomes an error here, with its status.
pub(super) struct TokenEndpoint<'c> {
    pub(super) http: &'c Http,
    pub(super) reads_forms: bool,
}

impl<'c> AsyncHttpClient<'c> for TokenEndpoint<'_> {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let mut response = self.http.send(request.map(Bytes::from)).await?;
            response.headers_mut().remove(header::CONTENT_TYPE);
            let status = response.status();
            if status != StatusCode::OK && !is_refusal(&response) {
                return Err(HttpError::Status(status.as_u16()));
            }
            Ok(response.map(|body| match self.reads_forms.then(|| form(&body)).flatten() {
                Some(members) => Value::Object(members).to_string().into_bytes(),
                None => body.to_vec(),
            }))
        })
    }
}

/// A form whose names are all different, as GitHub answers when nobody asks for JSON. It is one only when it says something.
pub(super) fn form(body: &[u8]) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        if members.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            return None;
        }
    }
    (members.contains_key("access_token") || members.contains_key("error")).then_some(members)
}

/// What a token endpoint answers with status 200, as it came.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) members: Map<String, Value>,
    /// openidconnect asks for one even where there is none.
    no_access_token: AccessToken,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Object(members) = Object::deserialize(from)?;
        Ok(Self { members, no_access_token: AccessToken::new(String::new()) })
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
        &self.no_access_token
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
pub(super) struct Refusal(pub(super) ErrorCode);

impl<'de> Deserialize<'de> for Refusal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Object(members) = Object::deserialize(from)?;
        Ok(Self(ErrorCode::of(members.get("error"))))
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

    /// T-136.
    #[test]
    fn a_form_has_one_meaning() {
        for (body, is_form) in [
            ("", false),
            ("<html>", false),
            ("{}", false),
            ("scope=user&token_type=bearer", false),
            ("access_token=a&access_token=b", false),
            ("access_token=a&scope=user%3Aemail&token_type=bearer", true),
            ("error=bad_verification_code&error_description=x+y", true),
        ] {
            assert_eq!(form(body.as_bytes()).is_some(), is_form, "{body}");
        }
    }
}
