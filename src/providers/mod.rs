//! Providers, outwards: discovery, keys, the authorization code flow, what they say about a person.
//!
//! Building them asks nobody: a provider that is down keeps the process from nothing. What is needed of one is fetched when
//! somebody first needs it, kept, and renewed in the background while the old is used (see `cached`).
//!
//! The modules stand in groups, in the order of a sign-in; [`Provider::sign_in`] is the whole of it.

use std::{collections::BTreeMap, sync::Arc};

use rustls::RootCertStore;
use url::Url;

use crate::{
    clock::Clock,
    identity::{ProviderName, ProviderTag},
    outgoing,
};

mod provider;
mod settings;

// the flow, and what it brings back
mod authorization;
mod client_auth;
mod exchange;
mod logout_token;
mod metadata;
mod refresh;
mod relying_party;
// whether that can be believed
mod id_token;
mod issuer;
mod jwe;
mod jws;
mod keys;
// a key that somebody else brings
mod proof;
// what it says about a token that a program brings
mod bearer;
// what it says about a person
mod access_token;
mod claims;
mod groups;
mod oauth2;
mod userinfo;
// the way out
mod logout;

// beneath all of them
mod cached;
mod certificate;
mod error;
mod http;
mod json;
mod query;
mod signing;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use authorization::OWN_PARAMETERS;
pub use bearer::{Audience, BearerAnswerError, BearerError, BearerRefusal, Confirmation, Nameless, Shape, Vouched};
pub use cached::Unavailable;
pub use claims::{RequiredClaim, UserError};
pub use error::{
    AnswerError, CallbackIssuerError, ErrorCode, Fault, FetchError, SignInError, TokenError, UserinfoError,
};
pub use groups::GroupsError;
pub use http::HttpError;
pub use id_token::IdTokenError;
pub use jwe::{DecryptionKey, JweError, MAX_DECRYPTION_KEYS};
pub use jws::JwsError;
pub use keys::KeyError;
pub use logout_token::{LogoutToken, LogoutTokenError};
pub use proof::{ProofJwt, ProofJwtError};
pub use provider::{AuthorizationRequest, Probe, Provider, SignedIn};
pub use refresh::{RefreshError, Refreshed};
pub use settings::{
    Bearer, BearerMethod, ClientAuth, ClientKey, EmailRules, Endpoints, GroupLookup, Groups, IntrospectionProtocol,
    Limits, OAuth2, Protocol, PushedRequests, ResponseMode, Settings, SilentCheck, Tenants, UserRules, UserTransform,
    UserinfoMode,
};
pub use signing::SigningError;

/// Every configured provider.
#[derive(Clone, Debug, Default)]
pub struct Providers(BTreeMap<ProviderName, Arc<Provider>>);

/// A provider that cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
#[error("provider `{provider}` cannot be used")]
pub struct BuildError {
    /// Which one.
    pub provider: ProviderName,
    /// Why.
    #[source]
    pub problem: BuildProblem,
}

/// What is wrong with a provider's settings.
#[derive(Debug, thiserror::Error)]
pub enum BuildProblem {
    /// Two providers of that name, or with the same tag.
    #[error("its name is taken")]
    Twice,
    /// Not a URL, or one with a query or fragment while nothing else says where the metadata is.
    #[error("its issuer is not a URL to find the metadata by")]
    Issuer,
    /// The metadata would be fetched over plain http.
    #[error("its metadata cannot be asked for")]
    Discovery(#[source] HttpError),
    /// Nothing is fetched, and what is there by hand is not enough or cannot be used.
    #[error("its endpoints cannot be used")]
    Endpoints(#[source] FetchError),
    /// What is asked behind the browsers' back would be asked over plain http.
    #[error("its back channel cannot be used")]
    BackChannel(#[source] HttpError),
    /// Our key is none, does not fit its algorithm, or is not there although something has to be signed.
    #[error("there is no client key that can sign what has to be signed")]
    ClientKey,
    /// Facebook's proof is made with the client secret.
    #[error("`appsecret_proof` needs a client secret")]
    AppSecret,
    /// The service account's key is none for RS256.
    #[error("the key of the service account that looks up groups cannot sign")]
    GroupsKey,
    /// What is looked up is put where the claim is.
    #[error("groups are looked up, so the claim that holds them has to be a plain name")]
    GroupsClaim,
    /// The logout URL is none once it is filled in, or plain http.
    #[error("its logout URL is not a URL that browsers may be sent to")]
    LogoutUrl,
    /// No certificate, or an unreadable one.
    #[error("`ca` holds no certificates, or one that cannot be read")]
    Ca,
    /// The TLS library refuses.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// Our redirect URI is not a URL.
    #[error("the redirect URI `{0}` is not a URL")]
    RedirectUri(Box<str>),
    /// `authorization_parameters` has one that the protocol sets itself.
    #[error("`{0}` cannot be an authorization parameter: the protocol sets it")]
    Parameter(Box<str>),
    /// No algorithm, or one that needs a shared secret.
    #[error("its algorithms have to be asymmetric ones, at least one")]
    Algorithms,
}

impl Providers {
    /// Builds all of them; `redirect_uri` is what is registered at each, `system_roots` what those without a CA of their own believe. Asks nobody.
    ///
    /// # Errors
    /// The first provider whose settings do not work, and why.
    pub fn new(
        settings: Vec<Settings>,
        redirect_uri: impl Fn(&ProviderName) -> String,
        system_roots: &RootCertStore,
        clock: &Clock,
    ) -> Result<Self, BuildError> {
        let mut providers = Self::default();
        for one in settings {
            let name = one.name.clone();
            let failed = |problem| BuildError { provider: name.clone(), problem };
            let roots = match &one.ca {
                Some(pem) => outgoing::roots_from(pem),
                None => Some(system_roots.clone()),
            };
            let roots = roots.ok_or(BuildProblem::Ca).map_err(failed)?;
            let provider = build(one, roots, redirect_uri(&name), clock).map_err(failed)?;
            if providers.all().any(|other| *other.name() == name || other.tag() == provider.tag()) {
                return Err(failed(BuildProblem::Twice));
            }
            providers.0.insert(name, Arc::new(provider));
        }
        Ok(providers)
    }

    /// The provider called `name`, when people can sign in there.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.get(name).filter(|provider| provider.has_login())
    }

    /// Those that people can sign in at, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.all().filter(|provider| provider.has_login())
    }

    /// Also those of which only tokens count.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.values()
    }

    /// The provider that a cookie names.
    #[must_use]
    pub fn by_tag(&self, tag: ProviderTag) -> Option<&Arc<Provider>> {
        self.iter().find(|provider| provider.tag() == tag)
    }

    /// The provider when there is exactly one, so that nobody has to choose.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<Provider>> {
        let mut all = self.iter();
        all.next().filter(|_| all.next().is_none())
    }
}

fn build(
    settings: Settings,
    roots: RootCertStore,
    redirect_uri: String,
    clock: &Clock,
) -> Result<Provider, BuildProblem> {
    let all_asymmetric = settings.algorithms.iter().all(|algorithm| jws::is_asymmetric(*algorithm));
    if settings.algorithms.is_empty() || !all_asymmetric {
        return Err(BuildProblem::Algorithms);
    }
    let own = |(name, _): &&(String, String)| OWN_PARAMETERS.contains(&name.as_str());
    if let Some((name, _)) = settings.authorization_parameters.iter().find(own) {
        return Err(BuildProblem::Parameter(name.as_str().into()));
    }
    Url::parse(&settings.issuer).map_err(|_| BuildProblem::Issuer)?;
    if matches!(&settings.protocol, Protocol::OAuth2(one) if one.appsecret_proof) && settings.client_secret.is_none() {
        return Err(BuildProblem::AppSecret);
    }
    let directory = groups::Directory::new(&settings)?;
    let http = http::Http::new(roots, &settings).map_err(BuildProblem::Tls)?;
    if !logout::is_usable(&settings, &http) {
        return Err(BuildProblem::LogoutUrl);
    }
    if let Some(back_channel) = &settings.back_channel {
        http.check(back_channel).map_err(BuildProblem::BackChannel)?;
    }
    let settings = Arc::new(settings);
    let discovery = discovery(&settings, &http)?;
    let client = client_auth::Client::new(http, settings, redirect_uri)?;
    Ok(Provider::new(client, discovery, directory, clock.clone()))
}

/// Where the metadata comes from. What is there by hand is looked at now rather than at the first sign-in.
fn discovery(settings: &Arc<Settings>, http: &http::Http) -> Result<metadata::Discovery, BuildProblem> {
    let (http, settings) = (http.clone(), Arc::clone(settings));
    if metadata::is_by_hand(&settings) {
        let discovery = metadata::Discovery { http, settings, url: None };
        discovery.by_hand().map_err(BuildProblem::Endpoints)?;
        return Ok(discovery);
    }
    // A template is no place to ask.
    let by_issuer = || metadata::discovery_url(&settings.issuer).filter(|_| settings.tenants.is_none());
    let url = settings.discovery_url.clone().or_else(by_issuer).ok_or(BuildProblem::Issuer)?;
    http.check(&url).map_err(BuildProblem::Discovery)?;
    Ok(metadata::Discovery { http, settings, url: Some(url) })
}
