//! We, as registered at one provider, and how we prove it (OpenID Connect Core §9): one place for every endpoint that wants it.
//!
//! * Without a credential only `client_id` is sent (RFC 6749 §3.2.1).
//! * What is signed lives for two minutes and is made anew for every request. Its audience is the provider's endpoint as the provider knows it,
//!   whatever host we reach it by.

use std::{sync::Arc, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::HeaderValue;
use openidconnect::{AuthType, ClientSecret, EndpointState};
use serde_json::json;
use url::form_urlencoded;

use super::{
    BuildProblem, ClientAuth, Settings,
    http::{Form, Http},
    metadata::Metadata,
    relying_party::{self, RelyingParty, WithTokenEndpoint},
    signing::{SigningError, SigningKey},
};
use crate::{
    clock::UnixTime,
    secret::{Secret, random},
};

/// How long a signed proof lives: long enough for clocks that differ, short enough that a stolen one is of no use.
const PROOF_LIFETIME: Duration = Duration::from_secs(120);
/// `client_assertion_type` (RFC 7523 §2.2).
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Ourselves, and how we ask.
pub(super) struct Client {
    pub(super) http: Http,
    pub(super) settings: Arc<Settings>,
    pub(super) party: RelyingParty,
    key: Option<SigningKey>,
}

/// What is shown this time.
enum Credential {
    None,
    Basic(Secret<String>),
    /// In the body; a secret, or what stands for one.
    Post(Secret<String>),
    Assertion(Secret<String>),
}

impl Client {
    pub(super) fn new(http: Http, settings: Arc<Settings>, redirect_uri: String) -> Result<Self, BuildProblem> {
        let party = relying_party::new(&settings, &redirect_uri);
        let party = party.ok_or_else(|| BuildProblem::RedirectUri(redirect_uri.into()))?;
        let key = settings.client_key.as_ref().map(|key| SigningKey::parse(key.pem.expose(), key.algorithm));
        let key = key.map(|key| key.ok_or(BuildProblem::ClientKey)).transpose()?;
        if matches!(settings.client_auth, Some(ClientAuth::PrivateKeyJwt | ClientAuth::MintedSecret)) && key.is_none() {
            return Err(BuildProblem::ClientKey);
        }
        Ok(Self { http, settings, party, key })
    }

    /// `party` as it shows itself at the token endpoint, and the assertion that goes along, if any.
    pub(super) fn authenticated<T: EndpointState + Clone>(
        &self,
        party: WithTokenEndpoint<T>,
        metadata: &Metadata,
        now: UnixTime,
    ) -> Result<(WithTokenEndpoint<T>, Option<Secret<String>>), SigningError> {
        let with = |secret: &Secret<String>, how| {
            party.clone().set_client_secret(ClientSecret::new(secret.expose().clone())).set_auth_type(how)
        };
        Ok(match self.credential(metadata, now)? {
            // Without a secret, openidconnect sends `client_id` in the body, whatever is set.
            Credential::None => (party, None),
            Credential::Basic(secret) => (with(&secret, AuthType::BasicAuth), None),
            Credential::Post(secret) => (with(&secret, AuthType::RequestBody), None),
            Credential::Assertion(assertion) => (party, Some(assertion)),
        })
    }

    /// Puts into `form` what proves that it is ours.
    pub(super) fn authenticate(&self, form: &mut Form, metadata: &Metadata, now: UnixTime) -> Result<(), SigningError> {
        let client_id = &self.settings.client_id;
        match self.credential(metadata, now)? {
            Credential::None => form.set("client_id", client_id),
            Credential::Basic(secret) => form.authorize(basic(client_id, &secret)),
            Credential::Post(secret) => {
                form.set("client_id", client_id);
                form.set("client_secret", secret.expose());
            }
            Credential::Assertion(assertion) => {
                form.set("client_id", client_id);
                form.set("client_assertion_type", ASSERTION_TYPE);
                form.set("client_assertion", assertion.expose());
            }
        }
        Ok(())
    }

    /// What is configured; otherwise the first of ours that is offered: Basic, which every server has to support (RFC 6749 §2.3.1), then Post,
    /// then the key. A server that offers none of them, or does not say, gets what we have.
    fn credential(&self, metadata: &Metadata, now: UnixTime) -> Result<Credential, SigningError> {
        let secret = self.settings.client_secret.clone();
        let offers = |method| metadata.client_auth.as_ref().is_some_and(|offered| offered.contains(&method));
        let method = self.settings.client_auth.unwrap_or(match (&secret, &self.key) {
            (Some(_), _) if offers(ClientAuth::Basic) => ClientAuth::Basic,
            (Some(_), _) if offers(ClientAuth::Post) => ClientAuth::Post,
            (Some(_), Some(_)) if offers(ClientAuth::PrivateKeyJwt) => ClientAuth::PrivateKeyJwt,
            (None, Some(_)) => ClientAuth::PrivateKeyJwt,
            (Some(_) | None, _) => ClientAuth::Basic,
        });
        Ok(match (method, secret, &self.key) {
            (ClientAuth::Basic, Some(secret), _) => Credential::Basic(secret),
            (ClientAuth::Post, Some(secret), _) => Credential::Post(secret),
            (ClientAuth::PrivateKeyJwt, _, Some(key)) => {
                Credential::Assertion(self.signed(key, metadata.token_endpoint.as_str(), now)?)
            }
            (ClientAuth::MintedSecret, _, Some(key)) => {
                Credential::Post(self.signed(key, &self.settings.issuer, now)?)
            }
            (ClientAuth::Basic | ClientAuth::Post, None, _)
            | (ClientAuth::PrivateKeyJwt | ClientAuth::MintedSecret, _, None) => Credential::None,
        })
    }

    /// RFC 7523 §3: who we are, for whom, for how long.
    fn signed(&self, key: &SigningKey, audience: &str, now: UnixTime) -> Result<Secret<String>, SigningError> {
        let configured = self.settings.client_key.as_ref().ok_or(SigningError)?;
        let client_id = self.settings.client_id.as_str();
        let audience = match configured.audience.as_deref() {
            Some("{issuer}") => &self.settings.issuer,
            Some(configured) => configured,
            None => audience,
        };
        let claims = json!({
            "iss": configured.issuer.as_deref().unwrap_or(client_id),
            "sub": client_id,
            "aud": audience,
            "iat": now.0,
            "nbf": now.0,
            "exp": now.plus(PROOF_LIFETIME).0,
            "jti": URL_SAFE_NO_PAD.encode(random::<16>()),
        });
        let named = |header: &mut jsonwebtoken::Header| {
            header.kid.clone_from(&configured.id);
            header.x5t.clone_from(&configured.x5t);
        };
        key.sign(named, &claims).map(Secret::new)
    }
}

/// RFC 6749 §2.3.1: both parts are form-encoded before they are joined, so that a `:` in one of them is not taken for the separator.
fn basic(client_id: &str, secret: &Secret<String>) -> HeaderValue {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret.expose())));
    #[expect(clippy::expect_used, reason = "base64 is visible ASCII")]
    HeaderValue::try_from(format!("Basic {credentials}")).expect("visible ASCII")
}
