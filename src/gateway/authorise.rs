//! Step 4: may this caller use this route? The answer is a [`Permit`], and nothing reaches an application without one.

use super::{authenticate::Caller, reply::Rejection, route::Route};
use crate::policy::Decision;

/// Proof that policy let this request through. Only [`permit`] makes one; `upstream::send` asks for one.
#[derive(Debug)]
pub(super) struct Permit<'r> {
    route: &'r Route,
    caller: Option<Caller>,
}

impl<'r> Permit<'r> {
    /// The route it is for.
    #[must_use]
    pub(super) fn route(&self) -> &'r Route {
        self.route
    }

    /// Whom it is for; nobody on an anonymous route.
    #[must_use]
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }
}

/// Decides for `caller` on `route`.
///
/// # Errors
/// [`Rejection::NotSignedIn`], [`Rejection::Forbidden`] or [`Rejection::Scope`].
pub(super) fn permit(route: &Route, caller: Option<Caller>) -> Result<Permit<'_>, Rejection> {
    if let (Some(Caller::Token(bearer)), Some(tokens)) = (&caller, &route.tokens)
        && !bearer.allows(&tokens.rules.scopes)
    {
        let scopes = tokens.rules.scopes.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" ");
        return Err(Rejection::Scope { scopes: scopes.into(), challenge: tokens.challenge.clone() });
    }
    match route.access.decide(caller.as_ref().map(Caller::identity)) {
        Decision::Allow => Ok(Permit { route, caller }),
        Decision::Identify => Err(Rejection::NotSignedIn {
            providers: route.logins().into(),
            challenge: route.tokens.as_ref().map(|tokens| tokens.challenge.clone()),
        }),
        Decision::Deny(why) => Err(Rejection::Forbidden(why)),
    }
}
