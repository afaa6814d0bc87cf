//! Step 4: may this caller use this route? The answer is a [`Permit`], and nothing reaches an application without one.

use super::{reply::Rejection, route::Route};
use crate::{policy::Decision, sessions::Session};

/// Proof that policy let this request through. Only [`permit`] makes one; `upstream::send` asks for one.
#[derive(Debug)]
pub(super) struct Permit<'r> {
    route: &'r Route,
    caller: Option<Session>,
}

impl<'r> Permit<'r> {
    /// The route it is for.
    #[must_use]
    pub(super) fn route(&self) -> &'r Route {
        self.route
    }

    /// Whom it is for; nobody on an anonymous route.
    #[must_use]
    pub(super) fn caller(&self) -> Option<&Session> {
        self.caller.as_ref()
    }
}

/// Decides for `caller` on `route`.
///
/// # Errors
/// [`Rejection::NotSignedIn`] or [`Rejection::Forbidden`].
pub(super) fn permit(route: &Route, caller: Option<Session>) -> Result<Permit<'_>, Rejection> {
    match route.access.decide(caller.as_ref().map(|caller| &caller.identity)) {
        Decision::Allow => Ok(Permit { route, caller }),
        Decision::Identify => Err(Rejection::NotSignedIn(route.providers().into())),
        Decision::Deny(why) => Err(Rejection::Forbidden(why)),
    }
}
