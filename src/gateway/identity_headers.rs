//! Step 5: what the upstream is told about the caller, and by what it knows us. Relies on `hygiene` having removed every such header of the
//! caller's own.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::warn;

use super::{
    authenticate::{self, Caller},
    authorise::Permit,
    encoding::{self, Unsendable},
    reply::Rejection,
    settings::{ClaimHeader, HeaderSettings, Settings, TooLong},
};
use crate::{assertion::Assertions, clock::UnixTime, identity::Claims};

/// The identity headers, as they are configured.
#[derive(Debug)]
pub(super) struct IdentityHeaders {
    settings: HeaderSettings,
    /// For each header of a claim whether the log has been told that it was left out.
    is_told: Box<[AtomicBool]>,
    assertions: Option<Assertions>,
}

/// A header that must not be left out does not fit.
#[derive(Debug, thiserror::Error)]
#[error("the header {header} cannot carry the claim `{claim}`: {why}")]
pub(super) struct Withheld {
    /// Its name.
    pub(super) header: HeaderName,
    claim: Box<str>,
    why: Unsendable,
}

impl IdentityHeaders {
    #[must_use]
    pub(super) fn new(settings: &Settings) -> Self {
        let headers = settings.headers.clone();
        let is_told = headers.claims.iter().map(|_| AtomicBool::new(false)).collect();
        let claims = || headers.claims.iter().map(|claim| &*claim.claim);
        let assertions = settings.assertion.as_ref();
        let assertions = assertions.map(|assertion| Assertions::new(assertion, &settings.origin, claims()));
        Self { settings: headers, is_told, assertions }
    }

    /// Writes what `permit` says into `headers`. On an anonymous route nobody is named; that it comes from us is said there too.
    ///
    /// # Errors
    /// [`Rejection::Withheld`] where the configuration would rather refuse than leave a header out, [`Rejection::NotSigned`].
    pub(super) fn apply(&self, headers: &mut HeaderMap, permit: &Permit<'_>, now: UnixTime) -> Result<(), Rejection> {
        let route = permit.route();
        for secret in &route.secret_headers {
            headers.insert(secret.name.clone(), secret.value.clone());
        }
        if let (Some(Caller::Token(_)), Some(tokens)) = (permit.caller(), &route.tokens)
            && !tokens.rules.forward
        {
            authenticate::hide_token(headers);
        }
        let Some(caller) = permit.caller() else { return Ok(()) };
        let identity = caller.identity();
        // A UserId holds nothing a header cannot carry; were it otherwise, the application would be told nobody.
        if let Some(user) = encoding::user(&identity.user, self.settings.user_encoding) {
            headers.insert(route.user_header.as_ref().unwrap_or(&self.settings.user).clone(), user);
        }
        if let (Some(header), Caller::Session { access_token: Some(token), .. }) = (&route.access_token_header, caller)
            && let Ok(mut token) = HeaderValue::from_str(token.expose())
        {
            token.set_sensitive(true);
            headers.insert(header.clone(), token);
        }
        for (header, is_told) in self.settings.claims.iter().zip(&self.is_told) {
            add_claim(headers, &identity.claims, header, is_told)?;
        }
        if let Some(assertions) = &self.assertions {
            headers
                .insert(assertions.header().clone(), assertions.of(identity, caller.known_by(), &route.audience, now)?);
        }
        Ok(())
    }
}

fn add_claim(
    headers: &mut HeaderMap,
    claims: &Claims,
    ClaimHeader { header, claim, format }: &ClaimHeader,
    is_told: &AtomicBool,
) -> Result<(), Withheld> {
    let Some(value) = claims.get(claim) else { return Ok(()) };
    let why = match encoding::claim(value, format) {
        Ok(Some(value)) => {
            headers.insert(header.clone(), value);
            return Ok(());
        }
        Ok(None) => return Ok(()),
        Err(why) => why,
    };
    if !is_told.swap(true, Ordering::Relaxed) {
        // By the claim's name: what it holds is the person's. Once: it happens at each of their requests.
        warn!(header = %header, claim = %claim, reason = %why, "A claim was not sent to the application; said once for each header");
    }
    match (format.too_long, why) {
        (TooLong::Refuse, Unsendable::TooLong { .. }) => {
            Err(Withheld { header: header.clone(), claim: claim.clone(), why })
        }
        (TooLong::Omit, Unsendable::TooLong { .. }) | (_, Unsendable::NotCarried) => Ok(()),
    }
}
