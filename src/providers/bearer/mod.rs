//! What a provider says of a token that a program brings: is it active, and whose is it?
//!
//! * A JWT is answered for by the provider's keys, a black box by one of its endpoints. Both become [`Claims`](serde_json::Map) that are
//!   looked at alike: issuer, times, client, subject, user.
//! * Whom a token is for, and what it allows, is told and not judged: the route decides, at every request anew.
//! * Nothing here is remembered. `tokens` asks again when an answer is no longer good.

mod claims;
mod introspection;
mod jwt;
mod userinfo;

use std::{collections::BTreeSet, sync::Arc};

pub use self::claims::Nameless;
use self::claims::Said;
use super::{
    Bearer, BearerMethod, IntrospectionProtocol, Provider, Unavailable, UserinfoError,
    error::{ErrorCode, TokenError},
    http::HttpError,
    issuer,
    metadata::Metadata,
    signing::SigningError,
};
use crate::{clock::UnixTime, identity::Identity, secret::Secret};

/// A token that its issuer stands by.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// Whose it is, as the application is told; or why nobody can be named.
    pub identity: Result<Arc<Identity>, Nameless>,
    /// What it allows (RFC 6749 §3.3).
    pub scopes: BTreeSet<Box<str>>,
    /// Whom it is for.
    pub audience: Audience,
    /// What whoever uses it has to show besides.
    pub confirmation: Option<Confirmation>,
    /// The answer is not believed any longer from then on: never after the token has expired.
    pub good_until: UnixTime,
}

impl Vouched {
    /// About how much room it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let claims = |identity: &Arc<Identity>| identity.bytes();
        let named = match &self.audience {
            Audience::Named { named, .. } => texts(named.iter()),
            Audience::OurClient | Audience::Any => 0,
        };
        self.identity.as_ref().map_or(0, claims) + texts(self.scopes.iter()) + named
    }
}

/// About how much room `all` take, in bytes.
fn texts<'a>(all: impl Iterator<Item = &'a Box<str>>) -> usize {
    all.map(|text| text.len() + 32).sum()
}

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// As the token says; never empty. `accepted` are those that the provider's settings name, empty for the route's own.
    Named {
        /// Of the token.
        named: Box<[Box<str>]>,
        /// Of the settings.
        accepted: Arc<BTreeSet<Box<str>>>,
    },
    /// It does not say, but was issued to a client that the provider's settings name, and the provider answers for it to us alone.
    OurClient,
    /// The provider's settings let anybody's count.
    Any,
}

/// What binds a token to its owner (`cnf`, RFC 7800).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// A key that proofs are signed with: its SHA-256 thumbprint, base64url (`jkt`, RFC 9449 §6).
    Key(Box<str>),
    /// A client certificate: its SHA-256 thumbprint, base64url (`x5t#S256`, RFC 8705 §3.1).
    Certificate(Box<str>),
    /// Something that cannot be checked here.
    Unknown,
}

/// Why a token is not vouched for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BearerError {
    /// It is not good, or not for this.
    #[error("the token is not accepted")]
    Refused(#[from] BearerRefusal),
    /// Metadata or keys are not there.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The endpoint that has to be asked gave no usable answer.
    #[error("the {endpoint} endpoint gave no usable answer")]
    Endpoint {
        /// `introspection`, `token` (where that is asked instead) or `userinfo`.
        endpoint: &'static str,
        /// What came of it.
        #[source]
        error: HttpError,
    },
    /// The endpoint answers with something else than it should.
    #[error("the {endpoint} endpoint gave no usable answer")]
    Answer {
        /// `introspection`, `token` (where that is asked instead) or `userinfo`.
        endpoint: &'static str,
        /// What.
        #[source]
        error: BearerAnswerError,
    },
    /// There is no such endpoint.
    #[error("the provider has no {0} endpoint, but it is configured to be asked")]
    NotOffered(&'static str),
    /// We cannot authenticate.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The provider does not know us, or not like this: `invalid_client`, or `HTTP-401` where it gives no code.
    #[error("the provider refuses this gateway as a client (`{0}`)")]
    Misconfigured(ErrorCode),
}

/// What is wrong with an answer about a token, so that it says neither that the token is good nor that it is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerAnswerError {
    /// Not a JSON object with unique names; a signed answer (RFC 9701) is none either.
    #[error("it answers with something that is not a JSON object")]
    NotJson,
    /// A member that everything depends on is not there, or cannot be used.
    #[error("its answer has no usable `{0}`")]
    Member(Box<str>),
    /// A refusal that is about neither the token nor us.
    #[error("it does not answer (`{0}`)")]
    Refused(ErrorCode),
    /// What should complete the token is about somebody else.
    #[error("its answer is about another `sub` than the token")]
    Subject,
    /// As at a sign-in.
    #[error(transparent)]
    Userinfo(#[from] UserinfoError),
}

/// What is wrong with a token. Where both sides are no secret, it holds both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerRefusal {
    /// Not a JWT, or one that none of the provider's keys vouches for.
    #[error("it cannot be trusted")]
    Token(#[from] TokenError),
    /// A black box at a provider whose tokens are JWTs.
    #[error("it is not a JWT")]
    BlackBox,
    /// An ID token, where an access token is asked for.
    #[error("it is an ID token; an access token is expected (`bearer.id_tokens` lets both count)")]
    IdToken,
    /// A JWT that does not say that it is an access token, where nothing else counts.
    #[error("its type is not `at+jwt` (RFC 9068); `bearer.plain_jwt` lets access tokens without it count")]
    Untyped,
    /// Another kind of token: a refresh token, for instance.
    #[error("it is no access token but `{0}`")]
    Kind(Box<str>),
    /// Another issuer's.
    #[error("its `iss` is `{found}`, expected is `{expected}`")]
    Issuer {
        /// As configured.
        expected: Box<str>,
        /// Made printable.
        found: Box<str>,
    },
    /// A claim that has to be there is not.
    #[error("it has no `{0}`")]
    Missing(Box<str>),
    /// A claim is of the wrong type or out of all bounds.
    #[error("its `{0}` is malformed")]
    Malformed(Box<str>),
    /// Too old.
    #[error("it expired at {exp}, it is {now}")]
    Expired {
        /// `exp`.
        exp: UnixTime,
        /// Our clock.
        now: UnixTime,
    },
    /// Not valid yet.
    #[error("it is valid from {nbf} on, it is {now}")]
    NotYetValid {
        /// `nbf`.
        nbf: UnixTime,
        /// Our clock.
        now: UnixTime,
    },
    /// Issued to a client that is not among `bearer.clients`.
    #[error("it was issued to the client `{0}`, whose tokens do not count here")]
    Client(Box<str>),
    /// The provider says that it is not active.
    #[error("the provider says that it is not active")]
    Inactive,
}

/// What a token shows of itself before anything is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Three parts, and the claim `iss` that it makes. Nobody vouches for that yet.
    Jwt(Option<Box<str>>),
    /// Five parts, and the issuer that its header names, if any (RFC 7519 §5.3).
    Encrypted(Option<Box<str>>),
    /// Anything else.
    BlackBox,
}

impl Shape {
    /// That of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        jwt::shape(token)
    }
}

impl Provider {
    /// Whether tokens that say to be of `iss` are this provider's to answer for, by the names that it is configured with.
    #[must_use]
    pub fn is_token_issuer(&self, iss: &str) -> bool {
        let named = |rules: &Bearer| {
            issuer::is_named_by(&self.settings, iss) || issuer::is_one_of(&self.settings, &rules.issuers, iss)
        };
        self.settings.bearer.as_ref().is_some_and(named)
    }

    /// The same by the name that its metadata has for access tokens (AD FS).
    ///
    /// # Errors
    /// Nothing is known of the provider yet, and it cannot be asked.
    pub async fn is_token_issuer_by_metadata(&self, iss: &str) -> Result<bool, Unavailable> {
        let metadata = self.metadata.get().await?;
        Ok(self.takes_tokens() && metadata.access_token_issuer.as_deref() == Some(iss))
    }

    /// Whether it answers for tokens that do not say whose they are.
    #[must_use]
    pub fn takes_black_boxes(&self) -> bool {
        self.settings.bearer.as_ref().is_some_and(Bearer::takes_black_boxes)
    }

    /// The issuers that its tokens are of: one, or with tenants that of each.
    pub fn issuers(&self) -> impl Iterator<Item = String> {
        issuer::all(&self.settings).into_iter()
    }

    /// Whether it has what has to be asked about tokens.
    pub(super) fn can_vouch(&self, metadata: &Metadata) -> bool {
        let Some(rules) = &self.settings.bearer else { return false };
        match (rules.method, rules.introspection) {
            (BearerMethod::Userinfo, _) => metadata.userinfo_endpoint.is_some(),
            (_, Some(IntrospectionProtocol::Standard | IntrospectionProtocol::Tokeninfo)) => {
                metadata.introspection_endpoint.is_some()
            }
            (_, Some(IntrospectionProtocol::ValidateBearer) | None) => true,
        }
    }

    /// Whether tokens of this provider count anywhere.
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        self.settings.bearer.is_some()
    }

    /// Whether `token` is active, and whose it is.
    ///
    /// # Errors
    /// [`BearerError`]: it is not accepted, or nobody can say.
    pub async fn vouch(&self, token: &Secret<String>) -> Result<Vouched, BearerError> {
        let rules = self.settings.bearer.as_ref().ok_or(BearerRefusal::BlackBox)?;
        let now = self.clock.now();
        let is_readable = match rules.takes_black_boxes() {
            true => match Shape::of(token.expose()) {
                Shape::Jwt(iss) => iss.is_some(),
                Shape::Encrypted(_) => self.decrypts(),
                Shape::BlackBox => false,
            },
            // Whose it says to be makes no difference then.
            false => !jwt::is_black_box(token.expose()),
        };
        let said = match (rules.method, rules.introspection) {
            (BearerMethod::Jwt | BearerMethod::Auto, _) if is_readable => self.verified(token, rules).await?,
            (BearerMethod::Jwt, _) | (BearerMethod::Auto, None) => return Err(BearerRefusal::BlackBox.into()),
            (BearerMethod::Introspection | BearerMethod::Auto, protocol) => {
                let protocol = protocol.unwrap_or(IntrospectionProtocol::Standard);
                let metadata = self.metadata.get().await?;
                Said::by_answer(introspection::ask(&self.client, &metadata, protocol, token, now).await?)
            }
            (BearerMethod::Userinfo, _) => {
                let metadata = self.metadata.get().await?;
                Said::by_answer(userinfo::ask(&self.client, &self.keys, &metadata, token, now).await?)
            }
        };
        self.vouched(said, rules, token, now).await
    }
}
