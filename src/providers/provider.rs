//! One provider, from the browser's redirect there to the signed-in user.
//!
//! The order of [`Provider::sign_in`] is the order of trust: what can be refused by looking, then the provider's own metadata,
//! then its tokens, and only of a token whose signature and claims hold, what it says about a person.

use std::fmt;

use openidconnect::{ClientId, CsrfToken, LogoutRequest, PostLogoutRedirectUrl};
use serde_json::{Map, Value};
use url::Url;

use super::{
    Settings, UserinfoMode,
    cached::{Cached, Unavailable},
    claims::{Sources, Wanted},
    error::{CallbackIssuerError, SignInError, TokenError, UserinfoError, printable},
    http::Http,
    id_token,
    jws::Unverified,
    keys::{self, KeySource, VerifyError},
    metadata::{Discovery, Metadata},
    oidc, userinfo,
};
use crate::{
    clock::Clock,
    identity::{Claims, ProviderName, ProviderTag, UserId},
    secret::Secret,
};

/// The longest code that is passed on, in bytes.
const MAX_CODE: usize = 4 * 1024;
/// The longest `sid` that is kept, in bytes.
const MAX_SESSION_ID: usize = 255;

/// What differs between two logins.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'a> {
    /// Comes back with the callback.
    pub state: &'a str,
    /// Comes back in the ID token.
    pub nonce: &'a str,
    /// The PKCE verifier, 43 to 128 characters (RFC 7636 §4.1); only its hash is sent.
    pub verifier: &'a Secret<String>,
}

/// Who signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// What the application is told.
    pub user: UserId,
    /// Who the issuer says it is.
    pub subject: String,
    /// The session at the provider (`sid`), where it names one.
    pub provider_session: Option<String>,
    /// What rules and headers need.
    pub claims: Claims,
}

/// What `check --online` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Keys that fit an accepted algorithm.
    pub usable_keys: usize,
    /// There is a userinfo endpoint.
    pub userinfo: bool,
    /// There is an end-session endpoint: logout ends the session there too.
    pub end_session: bool,
    /// Callbacks say who sent them (RFC 9207).
    pub callbacks_have_issuer: bool,
}

/// A provider as configured, with what is known of it at the moment.
pub struct Provider {
    settings: Settings,
    tag: ProviderTag,
    http: Http,
    client: oidc::Client,
    metadata: Cached<Discovery>,
    keys: Cached<KeySource>,
    clock: Clock,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", self.name()).field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}

impl Provider {
    pub(super) fn new(settings: Settings, http: Http, client: oidc::Client, discovery: Url, clock: Clock) -> Self {
        let (name, limits) = (&settings.name, &settings.limits);
        let tag = ProviderTag::of(name, &settings.issuer);
        let source = Discovery { http: http.clone(), issuer: settings.issuer.as_str().into(), url: discovery };
        let metadata = Cached::new(source, name.clone(), limits, clock.clone());
        let source = KeySource { http: http.clone(), metadata: metadata.clone() };
        let keys = Cached::new(source, name.clone(), limits, clock.clone());
        Self { settings, tag, http, client, metadata, keys, clock }
    }

    /// Its name in URLs and logs.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        &self.settings.name
    }

    /// What people read on the button.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.settings.display_name
    }

    /// Its issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// What stands for it in a cookie.
    #[must_use]
    pub fn tag(&self) -> ProviderTag {
        self.tag
    }

    /// Begins to fetch the metadata when nothing is known, and waits for nothing. Needs a runtime.
    pub fn warm(&self) {
        self.metadata.warm();
    }

    /// Where the browser goes to sign in.
    ///
    /// # Errors
    /// Nothing is known of the provider, and it cannot be asked: try again later.
    pub async fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url, Unavailable> {
        let metadata = self.metadata.get().await?;
        Ok(oidc::authorization_url(&self.client, &metadata, &self.settings, request))
    }

    /// Whether a callback, with a code or with an error, can be from this provider, as far as is known without asking.
    ///
    /// # Errors
    /// RFC 9207 §2.4: its `iss` is another, or absent where the metadata promises one.
    pub fn check_callback_issuer(&self, iss: Option<&str>) -> Result<(), CallbackIssuerError> {
        let promised = || self.metadata.peek().is_some_and(|metadata| metadata.callbacks_have_issuer);
        match iss {
            Some(iss) if iss == self.issuer() => Ok(()),
            Some(iss) => Err(CallbackIssuerError::Other { configured: self.issuer().into(), found: printable(iss) }),
            None if promised() => Err(CallbackIssuerError::Missing),
            None => Ok(()),
        }
    }

    /// Who the code from a callback stands for.
    ///
    /// # Errors
    /// [`SignInError`] says what was wrong, and [`SignInError::fault`] with whom.
    pub async fn sign_in(
        &self,
        code: &Secret<String>,
        iss: Option<&str>,
        verifier: &Secret<String>,
        nonce: &str,
    ) -> Result<SignedIn, SignInError> {
        let text = code.expose();
        // RFC 6749 A.11: printable ASCII.
        if !(1..=MAX_CODE).contains(&text.len()) || !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(SignInError::Code);
        }
        self.check_callback_issuer(iss)?;
        let metadata = self.metadata.get().await?;
        self.check_callback_issuer(iss)?; // once more: now it is known what the metadata promises

        let tokens = oidc::exchange(&self.client, &metadata, &self.settings, &self.http, code, verifier).await?;
        let claims = self.trusted(&tokens, nonce).await?;
        self.signed_in(&claims.0, &claims.1, &tokens, &metadata).await
    }

    /// The claims of the ID token and its subject, once everything about it has been checked.
    async fn trusted(&self, tokens: &oidc::Tokens, nonce: &str) -> Result<(Map<String, Value>, String), SignInError> {
        let form = |error| SignInError::Signature(TokenError::Form(error));
        let token = Unverified::parse(tokens.id_token.expose(), &self.settings.algorithms).map_err(form)?;
        let verified = keys::verify(&token, &self.keys).await.map_err(|error| match error {
            VerifyError::Unavailable(error) => SignInError::Unavailable(error),
            VerifyError::Key(error) => SignInError::Signature(TokenError::Key(error)),
        })?;
        let claims = verified.claims().map_err(form)?;
        let rules = id_token::Rules {
            issuer: self.issuer(),
            aliases: &self.settings.issuer_aliases,
            tenants: self.settings.tenants.as_ref(),
            client_id: &self.settings.client_id,
            nonce,
            needs_nonce: self.settings.nonce,
            max_age: self.settings.max_age,
            algorithm: verified.algorithm,
            access_token: tokens.access_token.as_ref().map(|token| token.expose().as_str()),
        };
        let about = id_token::check(&claims, &rules, self.clock.now()).map_err(SignInError::IdToken)?;
        let subject = about.subject.to_owned();
        Ok((claims, subject))
    }

    /// What the claims say, with userinfo where it is wanted.
    async fn signed_in(
        &self,
        id_token: &Map<String, Value>,
        subject: &str,
        tokens: &oidc::Tokens,
        metadata: &Metadata,
    ) -> Result<SignedIn, SignInError> {
        let wanted = Wanted::of(&self.settings);
        let alone = Sources { id_token, userinfo: None, access_token: None };
        // Before anything is asked: who is not let in need not be asked about.
        wanted.check_required(alone)?;
        let userinfo = if self.asks_userinfo(&wanted.missing(alone), metadata)? {
            match &metadata.userinfo_endpoint {
                Some(endpoint) => {
                    let token = tokens.access_token.as_ref();
                    let claims = userinfo::ask(&self.http, endpoint.url(), token, subject).await;
                    Some(claims.map_err(SignInError::Userinfo)?)
                }
                None => None,
            }
        } else {
            None
        };
        let sources = Sources { userinfo: userinfo.as_ref(), ..alone };
        Ok(SignedIn {
            user: wanted.user(sources)?,
            subject: subject.to_owned(),
            provider_session: session_id(id_token),
            claims: wanted.kept(sources),
        })
    }

    /// Whether the userinfo endpoint is asked about a person of whom the ID token leaves `missing` open.
    fn asks_userinfo(&self, missing: &[Box<str>], metadata: &Metadata) -> Result<bool, SignInError> {
        let offered = metadata.userinfo_endpoint.is_some();
        let asks = match self.settings.userinfo {
            UserinfoMode::Never => false,
            // Without the endpoint there is nothing more to learn; the user claim decides whether that is enough.
            UserinfoMode::WhenMissing => offered && !missing.is_empty(),
            UserinfoMode::Always if offered => true,
            UserinfoMode::Always => return Err(SignInError::Userinfo(UserinfoError::NotOffered)),
        };
        tracing::debug!(
            provider.name = %self.name(),
            claim.missing = missing.join(" "),
            userinfo.asked = asks,
            "read the ID token of a user of {}", self.name(),
        );
        Ok(asks)
    }

    /// Where the browser goes to sign out there too (RP-Initiated Logout §2); `None` where that is not offered, or nothing is
    /// known of the provider yet.
    #[must_use]
    pub fn logout_url(
        &self,
        post_logout_redirect_uri: &str,
        id_token_hint: Option<&Secret<String>>,
        state: Option<&str>,
    ) -> Option<Url> {
        let endpoint = self.metadata.peek()?.end_session_endpoint.clone()?;
        let back = PostLogoutRedirectUrl::new(post_logout_redirect_uri.to_owned()).ok()?;
        let client_id = ClientId::new(self.settings.client_id.clone());
        let mut request = LogoutRequest::from(endpoint).set_client_id(client_id).set_post_logout_redirect_uri(back);
        if let Some(state) = state {
            request = request.set_state(CsrfToken::new(state.to_owned()));
        }
        let mut url = request.http_get_url();
        if let Some(hint) = id_token_hint {
            // By hand: openidconnect wants it parsed, and what the provider once sent goes back as it was.
            url.query_pairs_mut().append_pair("id_token_hint", hint.expose());
        }
        Some(url)
    }

    /// Asks for metadata and keys, or says what is known of them already.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub async fn probe(&self) -> Result<Probe, Unavailable> {
        let metadata = self.metadata.get().await?;
        let keys = self.keys.get().await?;
        Ok(Probe {
            usable_keys: keys.usable_with(&self.settings.algorithms),
            userinfo: metadata.userinfo_endpoint.is_some(),
            end_session: metadata.end_session_endpoint.is_some(),
            callbacks_have_issuer: metadata.callbacks_have_issuer,
        })
    }
}

/// The provider's session, from the ID token only: userinfo does not speak about sessions.
fn session_id(id_token: &Map<String, Value>) -> Option<String> {
    let sid = id_token.get("sid").and_then(Value::as_str)?;
    let usable = (1..=MAX_SESSION_ID).contains(&sid.len());
    if !usable {
        tracing::debug!("leaving out `sid`: it is empty or longer than {MAX_SESSION_ID} bytes");
    }
    usable.then(|| sid.to_owned())
}

#[cfg(test)]
impl Provider {
    /// Only the signature of `token`.
    pub(super) async fn verify_for_test(&self, token: &Unverified<'_>) -> Result<(), VerifyError> {
        keys::verify(token, &self.keys).await.map(|_| ())
    }
}
