//! OpenID providers, outwards: discovery, keys, the authorization code flow, what they say about a person.
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
mod metadata;
mod oidc;
// whether that can be believed
mod id_token;
mod jws;
mod keys;
// what it says about a person
mod claims;
mod userinfo;

// beneath all of them
mod cached;
mod certificate;
mod error;
mod http;
mod json;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use cached::Unavailable;
pub use claims::UserError;
pub use error::{
    AnswerError, CallbackIssuerError, ErrorCode, Fault, FetchError, SignInError, TokenError, UserinfoError,
};
pub use http::HttpError;
pub use id_token::IdTokenError;
pub use jws::JwsError;
pub use keys::KeyError;
pub use oidc::OWN_PARAMETERS;
pub use provider::{AuthorizationRequest, Probe, Provider, SignedIn};
pub use settings::{
    ClientAuth, ClientKey, EmailRules, Endpoints, GroupLookup, Groups, Limits, OAuth2, Protocol, PushedRequests,
    ResponseMode, Settings, Tenants, UserRules, UserTransform, UserinfoMode,
};

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
            if providers.find(name.as_str()).is_some() || providers.by_tag(provider.tag()).is_some() {
                return Err(failed(BuildProblem::Twice));
            }
            providers.0.insert(name, Arc::new(provider));
        }
        Ok(providers)
    }

    /// The provider called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
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
        self.iter().next().filter(|_| self.0.len() == 1)
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
    let discovery = settings.discovery_url.clone().or_else(|| metadata::discovery_url(&settings.issuer));
    let discovery = discovery.ok_or(BuildProblem::Issuer)?;
    let http = http::Http::new(roots, settings.limits.clone(), settings.insecure_http).map_err(BuildProblem::Tls)?;
    http.check(&discovery).map_err(BuildProblem::Discovery)?;
    let client = oidc::client(&settings, redirect_uri.clone());
    let client = client.ok_or_else(|| BuildProblem::RedirectUri(redirect_uri.into()))?;
    Ok(Provider::new(settings, http, client, discovery, clock.clone()))
}
