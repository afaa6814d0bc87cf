//! A session's provider is asked again: the refresh token becomes new tokens (RFC 6749 §6, OpenID Connect Core §12).
//!
//! * What comes is checked as at a sign-in, and then says anew who somebody is: claims, groups, userinfo.
//! * Where no ID token comes along, the one of before is the base: it was checked then, and nobody could change it in its sealed record. Userinfo,
//!   where it is offered, says what is new. An ID token that cannot be trusted is not kept: next time it would be believed.
//! * Only the provider's word ends a session. Whatever else goes wrong says nothing about anybody.

use std::time::Duration;

use super::{
    Protocol, Provider, SignInError, SignedIn, UserinfoError, UserinfoMode,
    error::AnswerError,
    exchange::Tokens,
    metadata::{self, Metadata},
    provider::Occasion,
    userinfo,
};
use crate::grant::Grant;

/// For how long an answer shows that a provider can be reached.
const REACHED: Duration = Duration::from_secs(60);

/// What userinfo may say about itself, as a JWT, and not about the person.
const ABOUT_THE_TOKEN: [&str; 9] = ["iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "sid"];

/// What came of it.
#[derive(Debug)]
pub struct Refreshed {
    /// What the session has from now on: the new tokens, and of the old ones those that stay good. It has to be kept whatever `who` says, because
    /// the old refresh token may have been used up.
    pub grant: Grant,
    /// Whose session it is, as the provider says now; whether that is still the same subject is for the caller to see. With an error whose
    /// [`SignInError::fault`] is the caller's, this person may no longer sign in; with any other, nothing new is known about them. What `SignedIn`
    /// has beside it as `grant` is empty.
    pub who: Result<SignedIn, SignInError>,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The provider has ended it (`invalid_grant`): logged out, disabled, expired, or the refresh token was used elsewhere.
    #[error("the provider no longer accepts this session's refresh token")]
    Ended,
    /// There is no refresh token.
    #[error("this session has no refresh token")]
    NoToken,
    /// The provider does not answer, refuses us as a client, or says nothing that can be read: the session is neither confirmed nor ended.
    #[error("the provider did not say whether this session still stands")]
    Unknown(#[source] SignInError),
}

/// RFC 6749 §5.2. GitHub has a word of its own, and by the last one Microsoft means that the session does not go on without the person.
fn has_ended(error: &SignInError) -> bool {
    matches!(error, SignInError::CodeSpent)
        || matches!(error, SignInError::Refused(code) if ["bad_refresh_token", "interaction_required"].contains(&code.as_str()))
}

impl Provider {
    /// Asks whether the session that `grant` belongs to still stands. With a provider that rotates refresh tokens, whoever asks has to be the only
    /// one, and has to see the answer.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self, grant: &Grant) -> Result<Refreshed, RefreshError> {
        let refresh_token = grant.refresh_token.as_ref().ok_or(RefreshError::NoToken)?;
        let metadata = self.metadata.get().await.map_err(|error| RefreshError::Unknown(error.into()))?;
        let renewed = Box::pin(self.client.renew(&metadata, refresh_token, self.clock.now())).await;
        let (mut tokens, usable) = renewed
            .map_err(|error| if has_ended(&error) { RefreshError::Ended } else { RefreshError::Unknown(error) })?;
        let who = match usable {
            Ok(()) => Box::pin(self.confirmed(&mut tokens, grant, &metadata)).await,
            Err(error) => {
                tokens.id_token = None;
                Err(error.into())
            }
        };
        Ok(Refreshed { grant: tokens.over(grant.clone()), who })
    }

    /// Who it is by the word of `tokens`, of which an ID token that cannot be trusted is taken away.
    async fn confirmed(&self, tokens: &mut Tokens, old: &Grant, metadata: &Metadata) -> Result<SignedIn, SignInError> {
        let protocol = match &self.settings.protocol {
            Protocol::Oidc => None,
            Protocol::OAuth2(protocol) => Some(protocol),
        };
        if let Some(protocol) = protocol {
            return self.profiled(protocol, tokens, metadata, Occasion::Refresh).await;
        }
        let (claims, subject) = if tokens.id_token.is_some() {
            let trusted = self.trusted(tokens, None).await;
            trusted.inspect_err(|_| tokens.id_token = None)?
        } else {
            let (mut claims, subject) = self.remembered(old.id_token.as_ref().ok_or(AnswerError::NoIdToken)?)?;
            // What is in it is old, so it is not enough that nothing is missing.
            if let Some(endpoint) = &metadata.userinfo_endpoint
                && self.settings.userinfo != UserinfoMode::Never
            {
                let (token, now) = (tokens.access_token.as_ref(), self.clock.now());
                match userinfo::ask(&self.client, &self.keys, endpoint, token, &subject.id, now).await {
                    Ok(news) => {
                        claims.extend(news.into_iter().filter(|(name, _)| !ABOUT_THE_TOKEN.contains(&name.as_str())));
                    }
                    Err(error @ SignInError::Userinfo(UserinfoError::Subject)) => return Err(error),
                    // Offered is not promised. What is missing is asked for once more below, and then it has to be there.
                    Err(error) => {
                        tracing::debug!(provider.name = %self.name(), error = &error as &dyn std::error::Error, "Userinfo has no news")
                    }
                }
            }
            (claims, subject)
        };
        self.signed_in(claims, subject, tokens, metadata, Occasion::Refresh).await
    }

    /// Whether it can be reached: its metadata is asked for anew when that was more than a minute ago. Where nothing is asked for, it is taken
    /// for reachable.
    pub async fn is_reachable(&self) -> bool {
        metadata::is_by_hand(&self.settings) || self.metadata.is_fetched_within(REACHED).await
    }
}
