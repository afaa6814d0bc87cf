//! Who is calling, once it has been verified: the words every part shares.

use std::{borrow::Borrow, collections::BTreeMap, fmt, sync::Arc};

use aws_lc_rs::digest;

/// The user identifier an application finds in `X-User`: 1 to 255 bytes of UTF-8 without control characters and
/// without white space at its ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserId(Box<str>);

/// Why a text cannot be a [`UserId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    /// Nothing, or only white space.
    #[error("it is empty")]
    Empty,
    /// More bytes than [`UserId::MAX_BYTES`].
    #[error("it is {0} bytes long; at most 255 are allowed")]
    TooLong(usize),
    /// A line break, a NUL or any other control character.
    #[error("it holds a control character")]
    ControlCharacter,
    /// White space at its beginning or end, which HTTP would drop.
    #[error("it begins or ends with white space")]
    SurroundingSpace,
}

impl UserId {
    /// The longest identifier that is passed on, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Accepts `text` when an HTTP header can carry it unchanged.
    ///
    /// # Errors
    /// [`InvalidUserId`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidUserId> {
        if text.trim().is_empty() {
            return Err(InvalidUserId::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidUserId::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidUserId::ControlCharacter);
        }
        if text.trim() != text {
            return Err(InvalidUserId::SurroundingSpace);
        }
        Ok(Self(text.into()))
    }

    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name an operator gave a provider: it stands in URLs, logs and configuration.
/// 1 to 32 characters of `a-z`, `0-9`, `-` and `_`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderName(Arc<str>);

impl ProviderName {
    /// Accepts `text` when it can stand in a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        let first = text.bytes().next()?;
        (text.len() <= 32 && text.bytes().all(ok) && first.is_ascii_alphanumeric()).then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ProviderName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A provider in four bytes, for sealed cookies and states: the same on every replica and after a restart, and another one as soon as
/// the name is given to another issuer, so that what the old issuer vouched for no longer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProviderTag(pub [u8; 4]);

impl ProviderTag {
    /// The tag of the provider `name` whose issuer identifier is `issuer`.
    #[must_use]
    pub fn of(name: &ProviderName, issuer: &str) -> Self {
        // A name never holds a NUL, so no other pair reads the same.
        Self(short_hash(&[name.as_str().as_bytes(), b"\0", issuer.as_bytes()]))
    }
}

/// The first `N` bytes (at most 32) of the SHA-256 of `parts`, one after the other: the caller sees to it that they cannot be cut differently.
#[must_use]
pub fn short_hash<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    const { assert!(N <= 32) };
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(part);
    }
    let whole = hash.finish();
    let mut short = [0; N];
    for (to, from) in short.iter_mut().zip(whole.as_ref()) {
        *to = *from;
    }
    short
}

/// One claim's value as policy and headers use it. Numbers and booleans have become text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimValue {
    /// A single value.
    One(Box<str>),
    /// A list, which may be empty.
    Many(Vec<Box<str>>),
}

impl ClaimValue {
    /// Every value, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values.as_slice(),
        }
        .iter()
        .map(AsRef::as_ref)
    }
}

impl From<&ClaimValue> for serde_json::Value {
    fn from(value: &ClaimValue) -> Self {
        match value {
            ClaimValue::One(value) => (&**value).into(),
            ClaimValue::Many(values) => values.iter().map(|value| &**value).collect(),
        }
    }
}

/// The claims a session keeps: those that a rule or a header of the configuration names, no others.
pub type Claims = BTreeMap<Box<str>, ClaimValue>;

/// Which part of the provider's claims the configuration needs after the sign-in. Everything else is dropped there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeededClaims(pub BTreeMap<Box<str>, Needed>);

/// How much of one claim is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// All of it: a header carries it.
    Whole,
    /// Only these values, where they occur: rules ask for them.
    Values(std::collections::BTreeSet<Box<str>>),
}

/// Who a verified caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the application is told.
    pub user: UserId,
    /// What rules and headers need beyond the identifier.
    pub claims: Claims,
}

impl Identity {
    /// About how much room it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let values = |value: &ClaimValue| value.iter().map(|value| value.len() + 16).sum::<usize>();
        let claims = self.claims.iter().map(|(name, value)| name.len() + 64 + values(value));
        self.user.as_str().len() + claims.sum::<usize>()
    }
}

/// `text` for a log line or a page: without control characters, not longer than an issuer should be.
#[must_use]
pub fn printable(text: &str) -> Box<str> {
    let shown: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(256).collect();
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-008, T-020.
    #[test]
    fn only_what_a_header_can_carry_is_a_user() {
        use InvalidUserId as E;
        for (text, answer) in [
            ("alice", Ok(())),
            ("Ólafur Þór", Ok(())),
            ("a,b;c=d\"", Ok(())),
            ("", Err(E::Empty)),
            ("  ", Err(E::Empty)),
            (" alice", Err(E::SurroundingSpace)),
            ("alice ", Err(E::SurroundingSpace)),
            ("alice\r\nX-Admin: 1", Err(E::ControlCharacter)),
            ("a\rb", Err(E::ControlCharacter)),
            ("a\0b", Err(E::ControlCharacter)),
            ("a\tb", Err(E::ControlCharacter)),
            ("a\u{85}b", Err(E::ControlCharacter)),
            (&"x".repeat(255), Ok(())),
            (&"x".repeat(256), Err(E::TooLong(256))),
        ] {
            assert_eq!(UserId::parse(text).map(|_| ()), answer, "{text:?}");
        }
    }

    #[test]
    fn a_provider_name_can_stand_in_a_path() {
        for (text, ok) in [
            ("google", true),
            ("my-idp_2", true),
            ("", false),
            ("-x", false),
            ("_x", false),
            ("Google", false),
            ("a/b", false),
            ("a.b", false),
            (&"x".repeat(33), false),
        ] {
            assert_eq!(ProviderName::parse(text).is_some(), ok, "{text:?}");
        }
    }

    #[test]
    fn a_provider_tag_changes_with_the_name_and_with_the_issuer() {
        let tag = |name, issuer| ProviderTag::of(&ProviderName::parse(name).unwrap(), issuer);
        let ours = tag("a", "https://issuer.example");
        assert_eq!(ours, tag("a", "https://issuer.example"));
        // sha256("a\0https://issuer.example"), computed elsewhere: old cookies must survive an upgrade.
        assert_eq!(ours.0, [0x9f, 0xd4, 0xe4, 0x82]);
        for (name, issuer) in
            [("b", "https://issuer.example"), ("a", "https://issuer.example/"), ("ah", "ttps://issuer.example")]
        {
            assert_ne!(ours, tag(name, issuer), "{name} {issuer}");
        }
    }
}
