//! Step 3: who is calling? A session cookie or a token; the route says which may count, and of which providers. One that lets everybody in does
//! not ask.

use std::{collections::BTreeSet, sync::Arc};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, header};
use url::Url;

use super::{
    Gateway,
    hygiene::Clean,
    reply::Rejection,
    route::{Route, TokenRoute},
    settings::Credentials,
};
use crate::{
    assertion::KnownBy,
    clock::UnixTime,
    identity::{Identity, printable},
    policy::Access,
    providers::{Audience, Confirmation, Nameless, Providers, Vouched},
    secret::Secret,
    server::Connection,
    sessions::{Session, Sessions},
    tokens::{
        Answer, TokenError,
        dpop::{Demand, ProofError},
        presented::{Presented, Scheme, Unreadable, presented},
    },
};

/// Who is calling, and by what that is known.
#[derive(Debug)]
pub(super) enum Caller {
    /// By a session cookie.
    Session {
        /// What it holds, or what has been found out since. Boxed: it is moved from step to step.
        session: Box<Session>,
        /// The cookie is out of date.
        is_renewed: bool,
        /// Where the application needs it, and it is good.
        access_token: Option<Secret<String>>,
    },
    /// By a token that counts at this route.
    Token(Bearer),
}

/// The bearer of a token.
#[derive(Debug)]
pub(super) struct Bearer {
    /// What is known about the token.
    pub(super) answer: Arc<Answer>,
    identity: Arc<Identity>,
}

impl Bearer {
    /// Whether the token allows all of `scopes`.
    pub(super) fn allows(&self, scopes: &BTreeSet<Box<str>>) -> bool {
        self.answer.outcome.as_ref().is_ok_and(|vouched| scopes.is_subset(&vouched.scopes))
    }
}

impl Caller {
    /// Who it is.
    pub(super) fn identity(&self) -> &Identity {
        match self {
            Self::Session { session, .. } => &session.identity,
            Self::Token(bearer) => &bearer.identity,
        }
    }

    /// By what that is known.
    pub(super) fn known_by(&self) -> KnownBy {
        match self {
            Self::Session { session, .. } => KnownBy::Session(session.id),
            Self::Token(bearer) => KnownBy::Token(bearer.answer.key),
        }
    }
}

/// Why nobody is calling whom a token could name.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallerError {
    /// `Authorization` cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A cookie and a token: nobody knows whose request it is.
    #[error("the request has a session cookie and a token")]
    BothAtOnce,
    /// Nothing was shown, and only tokens count.
    #[error("there is no token")]
    NoToken,
    /// Nobody vouches for the token, or nobody could be asked. Its answer holds the error.
    #[error("the token says nothing about its bearer")]
    Token(#[source] TokenError),
    /// It is for somebody else.
    #[error("it is for `{found}`, expected is one of `{expected}`")]
    Audience {
        /// Of the token.
        found: Box<str>,
        /// Of the route, or the provider's settings.
        expected: Box<str>,
    },
    /// It is bound to a key or certificate, and whoever brings it has not shown that.
    #[error(transparent)]
    Unbound(#[from] Unbound),
    /// It is good, but the application cannot be told whose it is.
    #[error("the token names nobody")]
    Nameless(#[source] Nameless),
}

/// Why a token and its proof do not belong together.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unbound {
    /// `Bearer`, though the token is bound to a key (RFC 9449 §7.2).
    #[error("it is bound to a key, and comes without a proof")]
    NoProof,
    /// None, or more than one.
    #[error("there is not exactly one `DPoP` header")]
    Proofs,
    /// It proves nothing.
    #[error("its proof is not accepted")]
    Proof(#[source] ProofError),
    /// `DPoP`, though the token is bound to no key.
    #[error("it comes with a proof, but is bound to no key")]
    NotBound,
    /// The connection has no certificate, or another.
    #[error("it is bound to another client certificate than the connection's")]
    Certificate,
    /// A `cnf` that nobody here can check.
    #[error("it is bound to something that cannot be checked here")]
    Unknown,
}

const DPOP: HeaderName = HeaderName::from_static("dpop");

impl Gateway {
    /// The caller of `request`, when it can be told and `route` asks for it.
    ///
    /// # Errors
    /// [`Rejection::Caller`], where tokens count; those of [`Gateway::up_to_date`].
    pub(super) async fn caller(
        &self,
        request: &Clean,
        route: &Route,
        on: &Connection,
        now: UnixTime,
    ) -> Result<Option<Caller>, Rejection> {
        if route.access == Access::Anonymous {
            return Ok(None);
        }
        let session = || {
            let session = session(request, &self.sessions, &self.providers, now);
            session.filter(|session| counts(session, route, &self.providers)).map(Box::new)
        };
        let Some(tokens) = &route.tokens else {
            return match session() {
                Some(session) => self.up_to_date(session, request, route, now).await,
                None => Ok(None),
            };
        };
        let refused = |error| Rejection::Caller { error, challenge: tokens.challenge.clone() };
        let token = presented(request.headers()).map_err(|error| refused(error.into()))?;
        let session = if route.credentials == Credentials::Bearer { None } else { session() };
        match (token, session) {
            (Some(_), Some(_)) => Err(refused(CallerError::BothAtOnce)),
            (Some(token), None) => {
                let bearer = self.bearer(token, request, tokens, on, now).await;
                bearer.map(|bearer| Some(Caller::Token(bearer))).map_err(refused)
            }
            (None, Some(session)) => self.up_to_date(session, request, route, now).await,
            (None, None) if route.credentials == Credentials::Bearer => Err(refused(CallerError::NoToken)),
            (None, None) => Ok(None),
        }
    }

    /// Whose `token` is, when it may be used here, by whoever shows it.
    async fn bearer(
        &self,
        token: Presented<'_>,
        request: &Clean,
        route: &TokenRoute,
        on: &Connection,
        now: UnixTime,
    ) -> Result<Bearer, CallerError> {
        let answer = self.tokens.look_up(&route.realm, token.token).await;
        let vouched = answer.outcome.as_ref().map_err(|error| CallerError::Token(error.clone()))?;
        check_audience(vouched, route)?;
        self.check_binding(vouched, token, request, on, now)?;
        let identity = vouched.identity.clone().map_err(CallerError::Nameless)?;
        Ok(Bearer { answer, identity })
    }

    /// RFC 9449 §7, RFC 8705 §3: a bound token counts only together with what it is bound to.
    fn check_binding(
        &self,
        vouched: &Vouched,
        token: Presented<'_>,
        request: &Clean,
        on: &Connection,
        now: UnixTime,
    ) -> Result<(), Unbound> {
        match (token.scheme, &vouched.confirmation) {
            (Scheme::Bearer, None) => Ok(()),
            (Scheme::Bearer, Some(Confirmation::Key(_))) => Err(Unbound::NoProof),
            (Scheme::Bearer, Some(Confirmation::Certificate(thumbprint))) => {
                let shown = on.client_certificate.map(|shown| URL_SAFE_NO_PAD.encode(shown));
                let fits = |shown: &String| verify_slices_are_equal(shown.as_bytes(), thumbprint.as_bytes()).is_ok();
                shown.as_ref().is_some_and(fits).then_some(()).ok_or(Unbound::Certificate)
            }
            (Scheme::DPoP, Some(Confirmation::Key(thumbprint))) => {
                let url = self.as_callers_see(request).ok_or(Unbound::Proofs)?;
                let demand = Demand { method: request.method(), url: &url, token: token.token, thumbprint };
                let proof = only_proof(request.headers()).ok_or(Unbound::Proofs)?;
                self.proofs.check(proof, &demand, now).map_err(Unbound::Proof)
            }
            (Scheme::DPoP, None | Some(Confirmation::Certificate(_))) => Err(Unbound::NotBound),
            (_, Some(Confirmation::Unknown)) => Err(Unbound::Unknown),
        }
    }

    /// The address of `request` on the outside, without its query: a proxy before us may have ended TLS.
    fn as_callers_see(&self, request: &Clean) -> Option<Url> {
        Url::parse(&format!("{}{}", self.routes.origin_of(request.host()), request.path())).ok()
    }
}

fn only_proof(headers: &HeaderMap) -> Option<&str> {
    let mut proofs = headers.get_all(DPOP).iter();
    proofs.next().filter(|_| proofs.next().is_none())?.to_str().ok()
}

/// The route's own audiences come before the provider's, and where neither has any, a token is for the route as a resource, or for all of us.
fn check_audience(vouched: &Vouched, route: &TokenRoute) -> Result<(), CallerError> {
    let (named, accepted) = match &vouched.audience {
        Audience::Named { named, accepted } => (named, accepted),
        Audience::Any => return Ok(()),
        Audience::OurClient if route.rules.audiences.is_empty() => return Ok(()),
        // The route wants to see one.
        Audience::OurClient => (&Box::default(), &Arc::default()),
    };
    let accepted = match (route.rules.audiences.is_empty(), accepted.is_empty()) {
        (false, _) => &route.rules.audiences,
        (true, false) => accepted,
        (true, true) => &route.resources,
    };
    if named.iter().any(|one| accepted.contains(one)) {
        return Ok(());
    }
    let list = |texts: &mut dyn Iterator<Item = &Box<str>>| {
        texts.map(|text| printable(text)).collect::<Vec<_>>().join("`, `").into()
    };
    Err(CallerError::Audience { found: list(&mut named.iter()), expected: list(&mut accepted.iter()) })
}

/// What of a token the application does not get to see, unless its route says so.
pub(super) fn hide_token(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    headers.remove(DPOP);
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
