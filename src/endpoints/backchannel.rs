//! `POST /backchannel-logout/NAME`: the provider says by itself that somebody is logged out (OpenID Connect Back-Channel Logout 1.0 §2.5).
//!
//! No cookie and no origin speaks for it: the token's signature does. Nothing of a token that is refused goes back.

use std::fmt;

use http::{HeaderMap, HeaderValue, Response, header};
use hyper::body::Incoming;
use tracing::info;

use super::{BadForm, EndpointError, Endpoints, Visit, form};
use crate::{
    body::Body,
    clock::UnixTime,
    identity::short_hash,
    providers::{LogoutToken, LogoutTokenError, Provider},
    remembered::Remembered,
    sessions::{ProviderSessionTag, Revoked, Spread, SubjectTag},
};

/// Why a back-channel logout did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LogoutRefused {
    /// No form with one `logout_token`.
    #[error(transparent)]
    Form(#[from] BadForm),
    /// The token does not count, or nobody can tell.
    #[error(transparent)]
    Token(#[from] LogoutTokenError),
    /// It has been here before (§2.6, step 8).
    #[error("this logout token has been used")]
    Used,
    /// It names nobody (§2.4).
    #[error("this logout token has neither `sid` nor `sub`")]
    Nobody,
}

/// Logout tokens that have been used, until they are too old to be accepted anyway. Kept over a reload; per replica.
pub struct UsedLogoutTokens(Remembered);

impl fmt::Debug for UsedLogoutTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsedLogoutTokens").finish_non_exhaustive()
    }
}

impl UsedLogoutTokens {
    /// `limit` is how many are remembered at most.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Remembered::new("used logout tokens", limit))
    }

    /// Uses `token` up; `false` when that has happened before. One for which there is no room counts: whoever signs it may end sessions, and the
    /// same again ends little else.
    fn use_once(&self, token: &LogoutToken, now: UnixTime) -> bool {
        // An issuer is a URL and never holds a NUL.
        let id = short_hash(&[b"jti\0", token.issuer.as_bytes(), b"\0", token.id.as_bytes()]);
        self.0.add_if_room(id, token.expires, now).unwrap_or(true)
    }
}

impl Endpoints {
    pub(super) async fn backchannel_logout(
        &self,
        visit: &Visit<'_>,
        name: &str,
        body: Incoming,
    ) -> Result<Response<Body>, EndpointError> {
        let provider = self.providers.find(name).ok_or(EndpointError::UnknownProvider)?;
        let (ended, spread) = self.told_to_end(visit.headers, provider, body, visit.now).await?;
        info!(provider.name = %provider.name(), ended, everywhere = spread == Spread::Everywhere, "The provider has logged somebody out");
        let mut response = Response::new(Body::empty());
        // §2.8
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// What has ended, for the log.
    async fn told_to_end(
        &self,
        headers: &HeaderMap,
        provider: &Provider,
        body: Incoming,
        now: UnixTime,
    ) -> Result<(&'static str, Spread), LogoutRefused> {
        let form = form::read(headers, body).await?;
        let token = form::one(&form, "logout_token")?.ok_or(BadForm::Missing("logout_token"))?;
        let token = provider.logout_token(&token).await?;
        let (what, ended) = revoked(&token).ok_or(LogoutRefused::Nobody)?;
        if !self.used_logout_tokens.use_once(&token, now) {
            return Err(LogoutRefused::Used);
        }
        Ok((ended, self.sessions.end_all(what, now).await))
    }
}

/// A session at the provider when it names one, otherwise everything of its subject (§2.7).
fn revoked(token: &LogoutToken) -> Option<(Revoked, &'static str)> {
    match (&token.provider_session, &token.subject) {
        (Some(sid), _) => Some((Revoked::ProviderSession(ProviderSessionTag::of(&token.issuer, sid)), "session")),
        (None, Some(sub)) => Some((Revoked::Subject(SubjectTag::of(&token.issuer, sub)), "subject")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const ISSUER: &str = "https://op.example";

    fn token(issuer: &str, id: &str) -> LogoutToken {
        let (issuer, id) = (issuer.to_owned(), id.to_owned());
        LogoutToken { issuer, subject: None, provider_session: None, id, issued: NOW, expires: UnixTime(NOW.0 + 120) }
    }

    #[test]
    fn a_token_ends_a_session_or_a_subject_or_nothing() {
        let of = |sid: Option<&str>, sub: Option<&str>| {
            let (provider_session, subject) = (sid.map(str::to_owned), sub.map(str::to_owned));
            revoked(&LogoutToken { provider_session, subject, ..token(ISSUER, "1") })
        };
        let session = Revoked::ProviderSession(ProviderSessionTag::of(ISSUER, "s"));
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some("s"), None), Some((session, "session")));
        assert_eq!(of(Some("s"), Some("ada")), Some((session, "session")), "the others of this person go on");
        assert_eq!(of(None, Some("ada")), Some((Revoked::Subject(SubjectTag::of(ISSUER, "ada")), "subject")));
    }

    #[test]
    fn a_token_counts_once_for_its_issuer() {
        let used = UsedLogoutTokens::new(2);
        for (issuer, id, counts, why) in [
            (ISSUER, "1", true, "new"),
            (ISSUER, "1", false, "used"),
            ("https://other.example", "1", true, "another issuer counts for itself"),
            (ISSUER, "2", true, "no room to remember it"),
            (ISSUER, "1", false, "what is remembered stays"),
        ] {
            assert_eq!(used.use_once(&token(issuer, id), NOW), counts, "{why}");
        }
    }
}
