//! What tells sessions, and those they belong to, from one another: a few bytes each, the same on every replica.

use std::fmt;

use super::seal;
use crate::{
    identity::{UserId, short_hash},
    secret::random,
};

/// Tells one session from another. Not secret: nobody gets in with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(super) seal::Id);

impl SessionId {
    /// One that nobody has had.
    #[must_use]
    pub fn random() -> Self {
        Self(random())
    }
}

impl fmt::Display for SessionId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for SessionId {
    type Err = NoSessionId;

    fn from_str(text: &str) -> Result<Self, NoSessionId> {
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NoSessionId);
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| NoSessionId)
    }
}

/// A text is no session's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session's id is 32 hexadecimal digits in lower case")]
pub struct NoSessionId;

/// A user identifier in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountTag(pub [u8; 8]);

impl AccountTag {
    /// The tag of `user`.
    #[must_use]
    pub fn of(user: &UserId) -> Self {
        Self(short_hash(&[b"user\0", user.as_str().as_bytes()]))
    }
}

/// An issuer's subject in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubjectTag(pub [u8; 8]);

impl SubjectTag {
    /// The tag of the subject `sub` of `issuer`.
    #[must_use]
    pub fn of(issuer: &str, sub: &str) -> Self {
        // An issuer is a URL and never holds a NUL.
        Self(short_hash(&[b"sub\0", issuer.as_bytes(), b"\0", sub.as_bytes()]))
    }
}

/// An issuer's session (`sid`) in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProviderSessionTag(pub [u8; 8]);

impl ProviderSessionTag {
    /// The tag of the session `sid` at `issuer`.
    #[must_use]
    pub fn of(issuer: &str, sid: &str) -> Self {
        Self(short_hash(&[b"sid\0", issuer.as_bytes(), b"\0", sid.as_bytes()]))
    }
}
