//! One provider, from the browser's redirect there to the signed-in user.
//!
//! The order of [`Provider::sign_in`] is the order of trust: what can be refused by looking, then the provider's own metadata,
//! then its tokens, and only of a token whose signature and claims hold, what it says about a person.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde_json::{Map, Value};
use url::Url;

use super::{
    OAuth2, Protocol, ResponseMode, Settings, SilentCheck, UserinfoMode, access_token,
    cached::{Cached, Unavailable},
    claims::{Sources, Wanted},
    client_auth::Client,
    error::{AnswerError, CallbackIssuerError, SignInError, UserinfoError, printable},
    exchange::Tokens,
    groups::{Directory, GroupsError, Person},
    id_token, issuer, jwe,
    jws::{self, TokenKind},
    keys::{self, KeySource, VerifyError},
    logout,
    metadata::{Discovery, Metadata},
    oauth2, userinfo,
};
use crate::{
    clock::Clock,
    grant::Grant,
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
    /// Whom the provider may expect (OpenID Connect Core §3.1.2.1), as somebody typed it.
    pub login_hint: Option<&'a str>,
    /// Nobody is to be shown a page (`prompt=none`): the provider either knows the person, or sends the browser back with an error.
    pub silent: bool,
}

/// Who signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// What the application is told.
    pub user: UserId,
    /// Whose words these are: the issuer, or with tenants that of the person's tenant.
    pub issuer: String,
    /// Who the issuer says it is.
    pub subject: String,
    /// The session at the provider (`sid`), where it names one.
    pub provider_session: Option<String>,
    /// What rules and headers need.
    pub claims: Claims,
    /// What came beside it.
    pub grant: Grant,
}

/// What a provider is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Somebody signs in.
    SignIn,
    /// Somebody is there already, and the provider is asked again.
    Refresh,
}

/// A subject and whose it is: one means nothing without the other.
pub(super) struct Subject {
    issuer: String,
    pub(super) id: String,
}

/// What `check --online` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Keys that fit an accepted algorithm; `None` where none are needed, with plain OAuth 2.0.
    pub usable_keys: Option<usize>,
    /// There is a userinfo endpoint.
    pub userinfo: bool,
    /// Tokens that programs bring can be checked: nothing that has to be asked about them is missing.
    pub tokens: bool,
    /// There is an end-session endpoint: logout ends the session there too.
    pub end_session: bool,
    /// Callbacks say who sent them (RFC 9207).
    pub callbacks_have_issuer: bool,
}

/// A provider as configured, with what is known of it at the moment.
pub struct Provider {
    pub(super) settings: Arc<Settings>,
    tag: ProviderTag,
    pub(super) client: Client,
    pub(super) metadata: Cached<Discovery>,
    pub(super) keys: Cached<KeySource>,
    pub(super) directory: Option<Directory>,
    pub(super) clock: Clock,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", self.name()).field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}

impl Provider {
    pub(super) fn new(client: Client, discovery: Discovery, directory: Option<Directory>, clock: Clock) -> Self {
        let settings = Arc::clone(&client.settings);
        let (name, limits) = (&settings.name, &settings.limits);
        let tag = ProviderTag::of(name, &settings.issuer);
        let at_hand = if discovery.url.is_none() { discovery.by_hand().ok() } else { None };
        let metadata = Cached::new(discovery, name.clone(), limits, clock.clone());
        let metadata = match at_hand {
            Some(at_hand) => metadata.holding(at_hand),
            None => metadata,
        };
        let source = KeySource { http: client.http.clone(), metadata: metadata.clone() };
        let keys = Cached::new(source, name.clone(), limits, clock.clone());
        Self { settings, tag, client, metadata, keys, directory, clock }
    }

    /// Its name in URLs and logs.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        &self.settings.name
    }

    /// Whether people can sign in there; otherwise only its tokens count.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.settings.login
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

    /// Whether `iss`, byte for byte, is a name of its issuer: the one configured, an alias, or with tenants that of an allowed one.
    #[must_use]
    pub fn is_issuer(&self, iss: &str) -> bool {
        issuer::is_named_by(&self.settings, iss)
    }

    /// The domains, in lower case, of the e-mail addresses it is for; empty when it is for everybody.
    #[must_use]
    pub fn email_domains(&self) -> &BTreeSet<Box<str>> {
        &self.settings.email.domains
    }

    /// Whether a browser on its way there may meet plain http: on loopback, or where `insecure_http` allows it.
    #[must_use]
    pub fn may_be_plain_http(&self) -> bool {
        let issuer = Url::parse(self.issuer()).ok();
        let by_hand = self.settings.endpoints.authorization.as_ref();
        self.settings.insecure_http
            || [issuer.as_ref(), by_hand].into_iter().flatten().any(|url| url.scheme() == "http")
    }

    /// Whether there is a key to open its encrypted tokens with.
    #[must_use]
    pub fn decrypts(&self) -> bool {
        !self.settings.decryption_keys.is_empty()
    }

    /// What stands for it in a cookie.
    #[must_use]
    pub fn tag(&self) -> ProviderTag {
        self.tag
    }

    /// How a session without a refresh token is checked. Not at all where answers are posted from another site: the session's cookie does not come
    /// along, so nobody could tell whose check it was.
    #[must_use]
    pub fn silent_check(&self) -> SilentCheck {
        if self.posts_answers() { SilentCheck::Off } else { self.settings.silent_check }
    }

    /// Begins to fetch the metadata when nothing is known, and waits for nothing. Needs a runtime.
    pub fn warm(&self) {
        self.metadata.warm();
    }

    /// Whether its answers come as forms, posted from its own site: a cookie that is to come along has to allow that.
    #[must_use]
    pub fn posts_answers(&self) -> bool {
        self.settings.response_mode == ResponseMode::FormPost
    }

    /// Where the browser goes to sign in.
    ///
    /// # Errors
    /// Nothing is known of the provider, and it cannot be asked; or it wants the request pushed ahead of the browser, and refuses it.
    pub async fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url, SignInError> {
        let metadata = self.metadata.get().await?;
        // Boxed: most providers are not asked at all.
        Box::pin(self.client.authorization_url(&metadata, request, self.clock.now())).await
    }

    /// Whether a callback, with a code or with an error, can be from this provider, as far as is known without asking.
    ///
    /// # Errors
    /// RFC 9207 §2.4: its `iss` is another, or absent where the metadata promises one.
    pub fn check_callback_issuer(&self, iss: Option<&str>) -> Result<(), CallbackIssuerError> {
        let promised = || self.metadata.peek().is_some_and(|metadata| metadata.callbacks_have_issuer);
        match iss {
            Some(iss) if issuer::is_named_by(&self.settings, iss) => Ok(()),
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

        let tokens = self.client.exchange(&metadata, code, verifier, self.clock.now()).await?;
        let signed_in = match &self.settings.protocol {
            Protocol::Oidc => {
                let (claims, subject) = self.trusted(&tokens, Some(nonce)).await?;
                self.signed_in(claims, subject, &tokens, &metadata, Occasion::SignIn).await?
            }
            Protocol::OAuth2(protocol) => self.profiled(protocol, &tokens, &metadata, Occasion::SignIn).await?,
        };
        Ok(SignedIn { grant: tokens.over(Grant::default()), ..signed_in })
    }

    /// The claims of the ID token and its subject, once everything about it has been checked. Without a `nonce` it is of a refresh (Core §12.2):
    /// nobody has just signed in at the provider.
    pub(super) async fn trusted(
        &self,
        tokens: &Tokens,
        nonce: Option<&str>,
    ) -> Result<(Map<String, Value>, Subject), SignInError> {
        let token = tokens.id_token.as_ref().ok_or(AnswerError::NoIdToken)?;
        let opened = jwe::opened(token, &self.settings.decryption_keys);
        let opened = opened.map_err(|error| SignInError::Signature(error.into()))?;
        let token = opened.as_ref().unwrap_or(token);
        let trusted = keys::claims(token.expose(), TokenKind::Jwt, &self.settings.algorithms, &self.keys).await;
        let (algorithm, claims) = trusted.map_err(|error| match error {
            VerifyError::Unavailable(error) => SignInError::Unavailable(error),
            VerifyError::Token(error) => SignInError::Signature(error),
        })?;
        let rules = id_token::Rules {
            issuer: self.issuer(),
            aliases: &self.settings.issuer_aliases,
            tenants: self.settings.tenants.as_ref(),
            client_id: &self.settings.client_id,
            nonce,
            needs_nonce: self.settings.nonce,
            max_age: nonce.and(self.settings.max_age),
            algorithm,
            access_token: tokens.access_token.as_ref().map(|token| token.expose().as_str()),
        };
        let about = id_token::check(&claims, &rules, self.clock.now()).map_err(SignInError::IdToken)?;
        let subject = self.subject(about);
        Ok((claims, subject))
    }

    /// The same of an ID token that was trusted before, and is of a sealed record of ours.
    pub(super) fn remembered(&self, token: &Secret<String>) -> Result<(Map<String, Value>, Subject), SignInError> {
        let opened = jwe::opened(token, &self.settings.decryption_keys);
        let opened = opened.map_err(|error| SignInError::Signature(error.into()))?;
        let token = opened.as_ref().unwrap_or(token);
        let claims = jws::remembered(token.expose()).map_err(|error| SignInError::Signature(error.into()))?;
        let about = id_token::remembered(&claims, &self.settings).map_err(SignInError::IdToken)?;
        let subject = self.subject(about);
        Ok((claims, subject))
    }

    fn subject(&self, about: id_token::About<'_>) -> Subject {
        Subject { issuer: self.own_name(about.issuer).to_owned(), id: about.subject.to_owned() }
    }

    /// What `iss`, a name of this issuer, is called beside a subject: an alias is another name of the same issuer, whose subjects stay the same.
    #[must_use]
    pub fn own_name<'a>(&'a self, iss: &'a str) -> &'a str {
        if self.settings.tenants.is_some() { iss } else { self.issuer() }
    }

    /// What the ID token says, with groups, userinfo and the access token where they are wanted.
    pub(super) async fn signed_in(
        &self,
        id_token: Map<String, Value>,
        subject: Subject,
        tokens: &Tokens,
        metadata: &Metadata,
        occasion: Occasion,
    ) -> Result<SignedIn, SignInError> {
        let groups = self.groups(&id_token, &subject.id, tokens, occasion).await?;
        let wanted = Wanted::of(&self.settings);
        let alone = Sources { groups: groups.as_ref(), ..Sources::alone(&id_token) };
        // Before anything else is asked: who is not let in need not be asked about.
        wanted.check_required(alone)?;
        let asks_userinfo = self.asks_userinfo(&wanted.missing(alone), metadata)?;
        let userinfo = match &metadata.userinfo_endpoint {
            Some(endpoint) if asks_userinfo => {
                let (token, now) = (tokens.access_token.as_ref(), self.clock.now());
                Some(userinfo::ask(&self.client, &self.keys, endpoint, token, &subject.id, now).await?)
            }
            Some(_) | None => None,
        };
        let access_token = match &tokens.access_token {
            Some(token) if self.settings.access_token_claims => {
                access_token::claims(&self.client, &self.keys, metadata, token, self.clock.now()).await
            }
            Some(_) | None => None,
        };
        let sources = Sources { userinfo: userinfo.as_ref(), access_token: access_token.as_ref(), ..alone };
        self.named(sources, subject, session_id(&id_token))
    }

    /// What the profile says, where there is no ID token.
    pub(super) async fn profiled(
        &self,
        protocol: &OAuth2,
        tokens: &Tokens,
        metadata: &Metadata,
        occasion: Occasion,
    ) -> Result<SignedIn, SignInError> {
        let profile = oauth2::profile(&self.client, protocol, metadata, tokens.access_token.as_ref()).await;
        let (profile, id) = profile.map_err(SignInError::Userinfo)?;
        let subject = Subject { issuer: self.issuer().to_owned(), id };
        let groups = self.groups(&profile, &subject.id, tokens, occasion).await?;
        let sources = Sources { groups: groups.as_ref(), ..Sources::alone(&profile) };
        Wanted::of(&self.settings).check_required(sources)?;
        self.named(sources, subject, None)
    }

    /// The groups of the directory, when it is asked. Without an answer, whoever signs in has none, and whoever is there already keeps theirs.
    async fn groups(
        &self,
        claims: &Map<String, Value>,
        subject: &str,
        tokens: &Tokens,
        occasion: Occasion,
    ) -> Result<Option<Value>, SignInError> {
        let found = self.look_up_groups(claims, subject, tokens.access_token.as_ref()).await;
        match (found, occasion) {
            (None, _) => Ok(None),
            (Some(Ok(groups)), _) => Ok(Some(groups.into())),
            (Some(Err(error)), Occasion::SignIn) => Ok(Some(self.no_groups(&error))),
            (Some(Err(error)), Occasion::Refresh) => Err(SignInError::Groups(error)),
        }
    }

    /// `null`: then nobody else is listened to.
    pub(super) fn no_groups(&self, error: &GroupsError) -> Value {
        tracing::warn!(
            provider.name = %self.name(),
            error = error as &dyn std::error::Error,
            "a user of {} signs in without groups: looking them up failed", self.name(),
        );
        Value::Null
    }

    /// The groups of the directory; `None` when it is not asked.
    pub(super) async fn look_up_groups(
        &self,
        claims: &Map<String, Value>,
        subject: &str,
        access_token: Option<&Secret<String>>,
    ) -> Option<Result<Vec<String>, GroupsError>> {
        let directory = self.directory.as_ref().filter(|directory| directory.is_asked(&self.settings, claims))?;
        let person = Person { subject, access_token };
        Some(directory.find(&self.client, person, self.clock.now()).await)
    }

    /// Who `sources` speak of.
    fn named(
        &self,
        sources: Sources<'_>,
        subject: Subject,
        provider_session: Option<String>,
    ) -> Result<SignedIn, SignInError> {
        let wanted = Wanted::of(&self.settings);
        let (user, claims) = (wanted.user(sources)?, wanted.kept(sources));
        let Subject { issuer, id: subject } = subject;
        Ok(SignedIn { user, issuer, subject, provider_session, claims, grant: Grant::default() })
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

    /// Where the browser goes to sign out there too (RP-Initiated Logout §2, or what the provider has instead); `None` where that is not
    /// offered, or nothing is known of the provider yet.
    #[must_use]
    pub fn logout_url(
        &self,
        post_logout_redirect_uri: &str,
        id_token_hint: Option<&Secret<String>>,
        state: Option<&str>,
    ) -> Option<Url> {
        let metadata = self.metadata.peek();
        logout::url(&self.settings, metadata.as_deref(), post_logout_redirect_uri, id_token_hint, state)
    }

    /// Asks for metadata and keys, or says what is known of them already.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub async fn probe(&self) -> Result<Probe, Unavailable> {
        let metadata = self.metadata.get().await?;
        let usable_keys = match self.settings.protocol {
            Protocol::Oidc => Some(self.keys.get().await?.usable_with(&self.settings.algorithms)),
            Protocol::OAuth2(_) => None,
        };
        Ok(Probe {
            usable_keys,
            userinfo: metadata.userinfo_endpoint.is_some(),
            tokens: self.can_vouch(&metadata),
            end_session: self.logout_url("https://localhost/", Some(&Secret::new("a.b.c".to_owned())), None).is_some(),
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
    pub(super) async fn verify_for_test(&self, token: &super::jws::Unverified<'_>) -> Result<(), VerifyError> {
        keys::verify(token, &self.keys).await.map(|_| ())
    }
}
