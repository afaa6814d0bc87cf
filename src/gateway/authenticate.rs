//! Step 3: who is calling? The session cookie says; a route that lets everybody in does not ask, and one that names providers believes no
//! other.

use super::{hygiene::Clean, route::Route};
use crate::{
    clock::UnixTime,
    policy::Access,
    providers::Providers,
    sessions::{Session, Sessions},
};

/// The caller of `request`, when it can be told and `route` asks for it.
#[must_use]
pub(super) fn caller(
    request: &Clean,
    route: &Route,
    sessions: &Sessions,
    providers: &Providers,
    now: UnixTime,
) -> Option<Session> {
    match route.access {
        Access::Anonymous => None,
        Access::SignedIn | Access::Allow(_) => {
            session(request, sessions, providers, now).filter(|session| counts(session, route, providers))
        }
    }
}

/// Whether the provider of `session` is one that `route` accepts.
fn counts(session: &Session, route: &Route, providers: &Providers) -> bool {
    route.accepts_all() || providers.by_tag(session.provider).is_some_and(|provider| route.accepts(provider.name()))
}

/// The session of `request`, whatever the route. One whose provider is no longer configured is none.
#[must_use]
pub(super) fn session(request: &Clean, sessions: &Sessions, providers: &Providers, now: UnixTime) -> Option<Session> {
    sessions.find(request.headers(), now).filter(|session| providers.by_tag(session.provider).is_some())
}
