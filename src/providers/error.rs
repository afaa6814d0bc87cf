//! Why a sign-in at a provider did not work: one variant for each thing that somebody would do something else about.

use std::sync::Arc;

use serde_json::Value;

use super::{
    cached::Unavailable,
    claims::{RequiredClaim, UserError},
    groups::GroupsError,
    http::HttpError,
    id_token::IdTokenError,
    jwe::JweError,
    jws::JwsError,
    keys::KeyError,
    signing::SigningError,
};

/// Why metadata or keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer.
    #[error("no usable answer from `{url}`")]
    Http {
        /// What was asked.
        url: Box<str>,
        /// What came of it.
        #[source]
        error: HttpError,
    },
    /// Not the JSON object it should be.
    #[error("what `{url}` answers is not a JSON object")]
    NotJson {
        /// What was asked.
        url: Box<str>,
    },
    /// The metadata belongs to another issuer (OpenID Connect Discovery §4.3).
    #[error(
        "the metadata is of issuer `{found}`, configured is `{configured}`; they have to be the same byte for byte"
    )]
    Issuer {
        /// Ours.
        configured: Box<str>,
        /// Theirs, made printable.
        found: Box<str>,
    },
    /// A member is missing or cannot be used.
    #[error("`{0}` in the metadata is missing or no URL")]
    Member(&'static str),
    /// An endpoint nobody should be sent to.
    #[error("`{member}` in the metadata cannot be used")]
    Endpoint {
        /// Which.
        member: &'static str,
        /// Why not.
        #[source]
        error: HttpError,
    },
    /// The key set has no key that a signature could be checked with.
    #[error("the key set at `{url}` has no usable key ({skipped} unusable ones)")]
    NoKeys {
        /// What was asked.
        url: Box<str>,
        /// How many keys it has otherwise.
        skipped: usize,
    },
    /// The keys' address is in the metadata, and that is not there.
    #[error("there is no metadata to find the keys by")]
    Metadata(#[source] Arc<FetchError>),
    /// The fetch did not end, for instance because the process is stopping.
    #[error("the fetch was interrupted")]
    Interrupted,
}

/// Who has to do something about a failed sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The person: sign in again, use another account.
    Caller,
    /// The provider: unreachable, or what it says is wrong.
    Provider,
    /// We: our registration there or our configuration.
    Ours,
}

/// Why a code did not become a signed-in user.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The callback came from another issuer, or does not say from which although this one always does (RFC 9207 §2.4).
    #[error("the callback is not from this provider")]
    Issuer(#[from] CallbackIssuerError),
    /// The callback's code cannot be one. Nobody was asked.
    #[error("the callback's code is empty, too long or not printable")]
    Code,
    /// The authorization request could not be pushed (RFC 9126).
    #[error("the endpoint for pushed authorization requests gave no usable answer")]
    Push(#[source] HttpError),
    /// The provider does not accept the pushed authorization request.
    #[error("the provider refuses the authorization request (`{0}`)")]
    RequestRefused(ErrorCode),
    /// We cannot authenticate.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// Metadata or keys are not there.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The token endpoint gave no answer.
    #[error("the token endpoint gave no usable answer")]
    Exchange(#[source] HttpError),
    /// The code has been used, has expired or was not for us (`invalid_grant`). Of a refresh token: see [`super::RefreshError::Ended`].
    #[error("the provider no longer accepts this code")]
    CodeSpent,
    /// The provider does not know us, or not like this. Holds the error code, such as `invalid_client`.
    #[error("the provider refuses this gateway as a client (`{0}`)")]
    Misconfigured(ErrorCode),
    /// The provider refuses for another reason.
    #[error("the provider gives no tokens (`{0}`)")]
    Refused(ErrorCode),
    /// The token endpoint's answer is none.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The ID token is not one, or its signature is not by one of the provider's keys.
    #[error("the ID token cannot be trusted")]
    Signature(#[source] TokenError),
    /// The ID token says something that it must not.
    #[error("the ID token is not for this sign-in")]
    IdToken(#[source] IdTokenError),
    /// The userinfo endpoint was needed and did not help.
    #[error("the userinfo endpoint did not answer as it should")]
    Userinfo(#[source] UserinfoError),
    /// The directory that has the groups did not answer. Only of a session that goes on: at a sign-in, nobody waits for a directory.
    #[error("the groups could not be looked up")]
    Groups(#[source] GroupsError),
    /// The provider does not say of this person what `required_claims` asks for.
    #[error("this account may not sign in here")]
    Required(#[from] RequiredClaim),
    /// All is well, but the user claim names nobody, or nobody who may sign in.
    #[error("the user cannot be named")]
    User(#[from] UserError),
}

impl SignInError {
    /// Who has to do something about it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Issuer(_)
            | Self::Code
            | Self::CodeSpent
            | Self::Required(_)
            | Self::IdToken(IdTokenError::Tenant { .. })
            | Self::User(UserError::UnverifiedEmail | UserError::EmailDomain | UserError::OtherDomain { .. }) => {
                Fault::Caller
            }
            Self::Misconfigured(_)
            | Self::RequestRefused(_)
            | Self::Signing(_)
            | Self::Userinfo(UserinfoError::NotOffered) => Fault::Ours,
            Self::Unavailable(_)
            | Self::Push(_)
            | Self::Exchange(_)
            | Self::Refused(_)
            | Self::Answer(_)
            | Self::Signature(_)
            | Self::Groups(_)
            | Self::IdToken(
                IdTokenError::Issuer { .. }
                | IdTokenError::Audience { .. }
                | IdTokenError::AuthorizedParty { .. }
                | IdTokenError::Missing(_)
                | IdTokenError::Malformed(_)
                | IdTokenError::Expired { .. }
                | IdTokenError::NotYetValid { .. }
                | IdTokenError::IssuedInTheFuture { .. }
                | IdTokenError::SignedInTooLongAgo { .. }
                | IdTokenError::Nonce
                | IdTokenError::AccessTokenHash,
            )
            | Self::Userinfo(
                UserinfoError::Http(_)
                | UserinfoError::Refused { .. }
                | UserinfoError::NoAccessToken
                | UserinfoError::Signature(_)
                | UserinfoError::Claim(_)
                | UserinfoError::NotJson
                | UserinfoError::NoEmails
                | UserinfoError::NoSubject(_)
                | UserinfoError::Subject,
            )
            | Self::User(UserError::Missing { .. } | UserError::NotText { .. } | UserError::Invalid { .. }) => {
                Fault::Provider
            }
        }
    }
}

/// Why a callback is not taken for this provider's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackIssuerError {
    /// Another issuer sent it.
    #[error("it is from issuer `{found}`, the login began at `{configured}`")]
    Other {
        /// Ours.
        configured: Box<str>,
        /// Theirs, made printable.
        found: Box<str>,
    },
    /// It does not say, although the provider's metadata promises it.
    #[error("it has no `iss`, although the provider says it always sends one")]
    Missing,
}

/// What is wrong with the token endpoint's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not a JSON object.
    #[error("the token endpoint's answer is not a JSON object")]
    NotJson,
    /// An answer without ID token: not OpenID Connect, or `openid` is not among the scopes.
    #[error("the token endpoint's answer has no ID token")]
    NoIdToken,
    /// Without OpenID Connect everything depends on it.
    #[error("the token endpoint's answer has no access token")]
    NoAccessToken,
    /// The access token is not a bearer token.
    #[error("the token endpoint's answer has another token type than Bearer")]
    TokenType,
    /// A pushed authorization request got no reference (RFC 9126 §2.2).
    #[error("the answer to the pushed authorization request has no usable `request_uri`")]
    NoRequestUri,
}

/// Why nothing in a token is believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is encrypted, and stays closed.
    #[error(transparent)]
    Encryption(#[from] JweError),
    /// Its form.
    #[error(transparent)]
    Form(#[from] JwsError),
    /// Its signature.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why userinfo could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserinfoError {
    /// `userinfo = "always"`, and the metadata has no such endpoint.
    #[error("the provider has no userinfo endpoint, but it is configured to be asked always")]
    NotOffered,
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The token endpoint gave no access token, or one that no header can carry.
    #[error("there is no access token to ask it with")]
    NoAccessToken,
    /// An error with a code of its own.
    #[error("it answers with status {status} (`{code}`)")]
    Refused {
        /// The status.
        status: u16,
        /// The code, or the kind of error.
        code: ErrorCode,
    },
    /// A JWT that nothing vouches for (OpenID Connect Core §5.3.2).
    #[error("it answers with a JWT that cannot be trusted")]
    Signature(#[source] TokenError),
    /// A JWT of somebody else, for somebody else, or of another time.
    #[error("it answers with a JWT whose `{0}` does not fit")]
    Claim(&'static str),
    /// Not a JSON object with unique names.
    #[error("it answers with something that is not a JSON object")]
    NotJson,
    /// The list of e-mail addresses is none.
    #[error("the e-mail endpoint answers with something that is not a list of addresses")]
    NoEmails,
    /// No `sub`, or what stands for it, so nobody knows whom it speaks of (OpenID Connect Core §5.3.2).
    #[error("its answer has no usable `{0}`")]
    NoSubject(Box<str>),
    /// Somebody else's `sub`.
    #[error("its answer is about another `sub` than the ID token")]
    Subject,
}

/// An OAuth error code, checked to be short and printable (RFC 6749 §5.2), so that it can stand in logs and pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCode(Box<str>);

impl ErrorCode {
    /// What stands for a code that is none.
    const UNREADABLE: &str = "unreadable error code";

    pub(super) fn new(text: &str) -> Self {
        let ok = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        Self(if ok { text } else { Self::UNREADABLE }.into())
    }

    /// The code in the member `error` of an answer: a text, or at Facebook an object whose `type` says most.
    pub(super) fn of(error: Option<&Value>) -> Self {
        let text = error.and_then(|error| error.as_str().or_else(|| error.get("type")?.as_str()));
        Self::new(text.unwrap_or_default())
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) use crate::identity::printable;
