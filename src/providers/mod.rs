//! OpenID providers, outwards: discovery, keys, the authorization code flow, what they say about a person.

use std::{sync::Arc, time::Duration};

use url::Url;

use crate::{
    identity::{NeededClaims, ProviderName},
    secret::Secret,
};

/// One provider as configured: us, registered there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in URLs and logs.
    pub name: ProviderName,
    /// What people read on the button: "Google".
    pub display_name: String,
    /// The issuer identifier, compared byte for byte.
    pub issuer: String,
    /// Where its metadata is, when it is not `issuer` + `/.well-known/openid-configuration`.
    pub discovery_url: Option<Url>,
    /// Our identifier there.
    pub client_id: String,
    /// Our secret there; a public client has none.
    pub client_secret: Option<Secret<String>>,
    /// How the secret is presented at the token endpoint; `None` takes what the metadata offers, Basic first.
    pub client_auth: Option<ClientAuth>,
    /// `openid` is among them.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request, e.g. `prompt`.
    pub authorization_parameters: Vec<(String, String)>,
    /// The claim that names the user.
    pub user_claim: Box<str>,
    /// When the userinfo endpoint is asked.
    pub userinfo: UserinfoMode,
    /// What the configuration needs to keep of this provider's claims.
    pub needed_claims: NeededClaims,
    /// Signature algorithms that are accepted: asymmetric ones only.
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    /// PEM certificates to trust for this provider instead of the system's.
    pub ca: Option<Arc<[u8]>>,
    /// Plain http is accepted although the host is not loopback.
    pub insecure_http: bool,
    /// An e-mail address that the provider has not verified may name the user.
    pub insecure_unverified_email: bool,
    /// Limits of our requests there.
    pub limits: Limits,
}

/// How a confidential client authenticates (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`, both parts form-encoded (RFC 6749 §2.3.1).
    Basic,
    /// `client_secret_post`.
    Post,
}

/// When the userinfo endpoint is asked at a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserinfoMode {
    /// Never.
    Never,
    /// When the ID token lacks the user claim or a claim that the configuration needs.
    WhenMissing,
    /// At every sign-in.
    Always,
}

/// Limits of requests to a provider, and of how often it is asked.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One request with its answer.
    pub timeout: Duration,
    /// The largest answer, in bytes.
    pub answer_bytes: usize,
    /// Metadata and keys older than this are renewed in the background.
    pub renew_after: Duration,
    /// Metadata and keys are each fetched at most once per this, failed tries included.
    pub min_interval: Duration,
    /// Requests to one provider at the same time.
    pub concurrency: usize,
}
