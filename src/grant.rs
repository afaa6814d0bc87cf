//! What a provider grants at a sign-in or a refresh, beside its word about who it is: tokens, kept where a cookie is too small.

use crate::{clock::UnixTime, secret::Secret};

/// The tokens of one session.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// Gets new tokens, and shows that the session still stands (RFC 6749 §6). May be good for one use.
    pub refresh_token: Option<Secret<String>>,
    /// The last one, as it came: the hint at a logout (RP-Initiated Logout §2).
    pub id_token: Option<Secret<String>>,
    /// For applications that need it.
    pub access_token: Option<AccessToken>,
}

/// An access token, and until when it is good.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// As it came.
    pub token: Secret<String>,
    /// `None` where the provider does not say.
    pub expires: Option<UnixTime>,
}
