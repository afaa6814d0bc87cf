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
use serde_json::json;
use url::{Url, form_urlencoded};

use super::{
    BuildProblem, ClientAuth, Settings,
    http::{Form, Http},
    metadata::Metadata,
    signing::{SigningError, SigningKey},
};
use crate::{
    clock::UnixTime,
    secret::{Secret, random},
};

/// How long a signed proof lives: long enough for clocks that differ, short enough that a stolen one is of no use.
const PROOF_LIFETIME: Duration = Duration::from_secs(120);
/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Ourselves, and how we ask.
pub(super) struct Client {
    pub(super) http: Http,
    pub(super) settings: Arc<Settings>,
    pub(super) redirect_uri: Box<str>,
    key: Option<SigningKey>,
}

/// How we authenticate, with what it takes.
enum Proof<'c> {
    None,
    Basic(&'c Secret<String>),
    Post(&'c Secret<String>),
    Assertion(&'c SigningKey),
    MintedSecret(&'c SigningKey),
}

impl Client {
    pub(super) fn new(http: Http, settings: Arc<Settings>, redirect_uri: String) -> Result<Self, BuildProblem> {
        if Url::parse(&redirect_uri).is_err() {
            return Err(BuildProblem::RedirectUri(redirect_uri.into()));
        }
        let key = settings.client_key.as_ref().map(|key| SigningKey::parse(key.pem.expose(), key.algorithm));
        let key = key.map(|key| key.ok_or(BuildProblem::ClientKey)).transpose()?;
        if matches!(settings.client_auth, Some(ClientAuth::PrivateKeyJwt | ClientAuth::MintedSecret)) && key.is_none() {
            return Err(BuildProblem::ClientKey);
        }
        Ok(Self { http, settings, redirect_uri: redirect_uri.into(), key })
    }

    /// Puts into `form` what proves that it is ours.
    pub(super) fn authenticate(&self, form: &mut Form, metadata: &Metadata, now: UnixTime) -> Result<(), SigningError> {
        let client_id = &self.settings.client_id;
        match self.proof(metadata.client_auth.as_deref()) {
            Proof::None => form.set("client_id", client_id),
            Proof::Basic(secret) => form.authorize(basic(client_id, secret)),
            Proof::Post(secret) => {
                form.set("client_id", client_id);
                form.set("client_secret", secret.expose());
            }
            Proof::Assertion(key) => {
                form.set("client_id", client_id);
                form.set("client_assertion_type", ASSERTION_TYPE);
                let assertion = self.signed(key, metadata.token_endpoint.as_str(), now)?;
                form.set("client_assertion", assertion.expose());
            }
            Proof::MintedSecret(key) => {
                form.set("client_id", client_id);
                let secret = self.signed(key, &self.settings.issuer, now)?;
                form.set("client_secret", secret.expose());
            }
        }
        Ok(())
    }

    /// What is configured; otherwise the first of ours that is `offered`: Basic, which every server has to support (RFC 6749 §2.3.1), then Post,
    /// then the key. A server that offers none of them, or does not say, gets what we have.
    fn proof(&self, offered: Option<&[ClientAuth]>) -> Proof<'_> {
        let secret = self.settings.client_secret.as_ref();
        let key = self.key.as_ref();
        let offers = |method| offered.is_some_and(|offered| offered.contains(&method));
        let method = self.settings.client_auth.unwrap_or(match (secret, key) {
            (Some(_), _) if offers(ClientAuth::Basic) => ClientAuth::Basic,
            (Some(_), _) if offers(ClientAuth::Post) => ClientAuth::Post,
            (Some(_), Some(_)) if offers(ClientAuth::PrivateKeyJwt) => ClientAuth::PrivateKeyJwt,
            (None, Some(_)) => ClientAuth::PrivateKeyJwt,
            (Some(_) | None, _) => ClientAuth::Basic,
        });
        match method {
            ClientAuth::Basic => secret.map(Proof::Basic),
            ClientAuth::Post => secret.map(Proof::Post),
            ClientAuth::PrivateKeyJwt => key.map(Proof::Assertion),
            ClientAuth::MintedSecret => key.map(Proof::MintedSecret),
        }
        .unwrap_or(Proof::None)
    }

    /// RFC 7523 §3: who we are, for whom, for how long.
    fn signed(&self, key: &SigningKey, audience: &str, now: UnixTime) -> Result<Secret<String>, SigningError> {
        let configured = self.settings.client_key.as_ref().ok_or(SigningError)?;
        let client_id = self.settings.client_id.as_str();
        let claims = json!({
            "iss": configured.issuer.as_deref().unwrap_or(client_id),
            "sub": client_id,
            "aud": configured.audience.as_deref().unwrap_or(audience),
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
