//! Where the browser goes to sign in (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1): with the request in the URL, or with a reference to a
//! request that was pushed ahead of it (RFC 9126).

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
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
};
use crate::clock::UnixTime;

/// Parameters that are the protocol's own: nobody configures them.
pub const OWN_PARAMETERS: [&str; 15] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "max_age",
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
        let parameters = self.parameters(request);
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

    fn parameters(&self, request: &AuthorizationRequest<'_>) -> Parameters {
        let settings = &self.settings;
        let mut parameters = vec![
            own("response_type", "code"),
            own("client_id", &settings.client_id),
            own("redirect_uri", &self.redirect_uri),
            own("state", request.state),
        ];
        if !settings.scopes.is_empty() {
            parameters.push(own("scope", &settings.scopes.join(" ")));
        }
        if settings.protocol == Protocol::Oidc {
            parameters.push(own("nonce", request.nonce));
            parameters.extend(settings.max_age.map(|age| own("max_age", &age.as_secs().to_string())));
        }
        if settings.pkce {
            // RFC 7636 §4.2.
            let digest = digest::digest(&digest::SHA256, request.verifier.expose().as_bytes());
            parameters.push(own("code_challenge", &URL_SAFE_NO_PAD.encode(digest)));
            parameters.push(own("code_challenge_method", "S256"));
        }
        if settings.response_mode == ResponseMode::FormPost {
            parameters.push(own("response_mode", "form_post"));
        }
        parameters.extend(request.login_hint.map(|hint| own("login_hint", hint)));
        for (name, value) in &settings.authorization_parameters {
            // The hint of this login says more than one for all of them.
            if name != "login_hint" || request.login_hint.is_none() {
                parameters.push(own(name, value));
            }
        }
        parameters
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
