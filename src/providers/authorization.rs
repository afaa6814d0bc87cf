//! Where the browser goes to sign in (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1): with the request in the URL, or with a reference to a
//! request that was pushed ahead of it (RFC 9126).

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{AuthUrl, CsrfToken, Nonce, Scope};
use serde_json::Value;
use url::Url;

use super::{
    AuthorizationRequest, Protocol, PushedRequests, ResponseMode,
    client_auth::Client,
    error::{AnswerError, ErrorCode, SignInError},
    http::Form,
    json::Object,
    metadata::Metadata,
    query::extended,
    relying_party::CODE,
};
use crate::clock::UnixTime;

/// Parameters that are the protocol's own: nobody configures them.
pub const OWN_PARAMETERS: [&str; 14] = [
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
    "client_assertion",
    "client_assertion_type",
];

/// The longest `request_uri` that is passed on, in bytes.
const MAX_REQUEST_URI: usize = 2 * 1024;

type Parameters = Vec<(String, String)>;

impl Client {
    /// Where the browser goes for `request`.
    pub(super) async fn authorization_url(
        &self,
        metadata: &Metadata,
        request: &AuthorizationRequest<'_>,
        now: UnixTime,
    ) -> Result<Url, SignInError> {
        let parameters = self.parameters(metadata, request);
        let pushes = metadata.requires_pushed_requests
            || match self.settings.pushed_requests {
                PushedRequests::WhenOffered => true,
                PushedRequests::WhenRequired => false,
            };
        let parameters = match &metadata.pushed_requests_endpoint {
            Some(endpoint) if pushes => {
                let request_uri = self.push(endpoint, &parameters, metadata, now).await?;
                // RFC 9126 §4: what the browser carries besides would only be another version of the request.
                vec![own("client_id", &self.settings.client_id), own("request_uri", &request_uri)]
            }
            Some(_) | None => parameters,
        };
        Ok(extended(&metadata.authorization_endpoint, parameters))
    }

    fn parameters(&self, metadata: &Metadata, request: &AuthorizationRequest<'_>) -> Parameters {
        let settings = &self.settings;
        let endpoint = &metadata.authorization_endpoint;
        let party = self.party.clone().set_auth_uri(AuthUrl::from_url(endpoint.clone()));
        let (state, nonce) = (CsrfToken::new(request.state.to_owned()), Nonce::new(request.nonce.to_owned()));
        let scopes = settings.scopes.iter().map(|scope| Scope::new(scope.clone()));
        let mut asked = party.authorize_url(CODE, || state, || nonce).add_scopes(scopes);
        if let (Some(age), Protocol::Oidc) = (settings.max_age, &settings.protocol) {
            asked = asked.set_max_age(age);
        }
        if settings.pkce {
            // RFC 7636 §4.2. Not through openidconnect's type, which panics on a verifier of another length.
            let digest = digest::digest(&digest::SHA256, request.verifier.expose().as_bytes());
            asked = asked.add_extra_param("code_challenge", URL_SAFE_NO_PAD.encode(digest));
            asked = asked.add_extra_param("code_challenge_method", "S256");
        }
        if settings.response_mode == ResponseMode::FormPost {
            asked = asked.add_extra_param("response_mode", "form_post");
        }
        for (name, value) in &settings.authorization_parameters {
            // Core §3.1.2.1: `none` stands alone.
            if !(request.silent && name == "prompt") {
                asked = asked.add_extra_param(name, value);
            }
        }
        if request.silent {
            asked = asked.add_extra_param("prompt", "none");
        }
        // What the operator says about everybody wins over what a link says.
        let is_configured = settings.authorization_parameters.iter().any(|(name, _)| name == "login_hint");
        if let (Some(hint), false) = (request.login_hint, is_configured) {
            asked = asked.add_extra_param("login_hint", hint);
        }
        let (url, _, _) = asked.url();
        // Without an ID token nothing repeats a nonce.
        let is_known = |name: &str| name != "nonce" || settings.protocol == Protocol::Oidc;
        let ours = url.query_pairs().skip(endpoint.query_pairs().count()).filter(|(name, _)| is_known(name));
        ours.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    /// The reference to `parameters`, once they are at `endpoint` (RFC 9126 §2).
    async fn push(
        &self,
        endpoint: &Url,
        parameters: &Parameters,
        metadata: &Metadata,
        now: UnixTime,
    ) -> Result<String, SignInError> {
        let mut form = Form::default();
        for (name, value) in parameters {
            form.set(name, value);
        }
        self.authenticate(&mut form, metadata, now)?;
        let reply = self.http.post(endpoint, form).await.map_err(SignInError::Push)?;
        let answer = Object::parse(&reply.body).ok_or(AnswerError::NoRequestUri)?;
        if reply.is_refusal || answer.contains_key("error") {
            let code = ErrorCode::of(answer.get("error"));
            return Err(match code.as_str() {
                "invalid_client" | "unauthorized_client" => SignInError::Misconfigured(code),
                _ => SignInError::RequestRefused(code),
            });
        }
        match answer.get("request_uri") {
            Some(Value::String(uri)) if (1..=MAX_REQUEST_URI).contains(&uri.len()) => Ok(uri.clone()),
            _ => Err(AnswerError::NoRequestUri.into()),
        }
    }
}

fn own(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
