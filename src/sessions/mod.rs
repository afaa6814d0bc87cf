//! Sessions that live in a sealed cookie, and logins under way that live in a sealed `state`.
//!
//! * Who is calling is read from the cookie alone: no store, no lock while nobody has logged out, no waiting.
//! * Whatever is wrong with a cookie, the answer is "no session", never an error.
//! * A session ends at its absolute end, or when it was not used for the idle time, or when it is revoked; the first two count from what is
//!   configured now, so a shorter time holds at once for the sessions that are out there.
//! * Revocations and used logins are remembered by this replica only.

mod cookie;
mod login_state;
mod record;
mod seal;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};

pub use self::login_state::{LoginStateError, ResumedLogin, ReturnsBy, StartedLogin};
use self::{cookie::Cookie, login_state::Logins, seal::Ring};
use crate::{
    clock::UnixTime,
    identity::{Identity, ProviderTag, short_hash},
    origin::{Origin, ReturnTo},
    remembered::Remembered,
    secret::{Secret, random},
};

const PURPOSE: &str = "doorward session v1";

/// The longest `name=value` that is sealed: what browsers, proxies and applications take without complaint beside other cookies.
const MAX_COOKIE_BYTES: usize = 1_024;

/// [`MAX_COOKIE_BYTES`], decoded.
const MAX_SEALED_BYTES: usize = MAX_COOKIE_BYTES / 4 * 3;

/// How far the clocks of two replicas may lie apart.
const CLOCK_LEEWAY: Duration = Duration::from_secs(60);

/// How sessions are sealed and how long they live.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Never empty. The first seals, all open.
    pub keys: Vec<Secret<[u8; 32]>>,
    /// A session ends this long after its sign-in, whatever happens.
    pub max_age: Duration,
    /// A session ends when nothing was asked with it for this long.
    pub idle_timeout: Duration,
    /// From the start of a login to its callback.
    pub login_timeout: Duration,
    /// Cookies are bound to it, and named by whether it is https.
    pub origin: Origin,
    /// Ended sessions that are remembered at most.
    pub revocations: usize,
}

/// Somebody has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// A new one at every sign-in.
    pub id: SessionId,
    /// Who it is.
    pub identity: Identity,
    /// Which provider vouched for it.
    pub provider: ProviderTag,
    /// Who that provider says it is.
    pub subject: SubjectTag,
    /// The session at the provider, when it named one.
    pub provider_session: Option<ProviderSessionTag>,
    /// When.
    pub signed_in: UnixTime,
    /// When something was last asked with it, to a tenth of the idle time.
    pub seen: UnixTime,
}

/// Tells one session from another. Not secret: nobody gets in with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(seal::Id);

impl SessionId {
    /// One that nobody has had.
    #[must_use]
    pub fn random() -> Self {
        Self(random())
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

/// A session does not fit into a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session cookie would be {bytes} bytes long; at most {limit} are allowed")]
pub struct TooLarge {
    /// Name and value together.
    pub bytes: usize,
    /// What is allowed.
    pub limit: usize,
}

/// Why a cookie is no session: for the log, callers learn only that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NoSession {
    #[error("not opened by any session key of this gateway")]
    Unopened,
    #[error("record not understood")]
    Malformed,
    #[error("dated in the future")]
    FromTheFuture,
    #[error("past its absolute end")]
    Ended,
    #[error("unused for too long")]
    Idle,
    #[error("revoked")]
    Revoked,
}

/// Opens and seals sessions and logins, and remembers which have ended early.
pub struct Sessions {
    cookie: Cookie,
    ring: Ring<MAX_SEALED_BYTES>,
    max_age: Duration,
    idle_timeout: Duration,
    revoked: Arc<Remembered>,
    logins: Logins,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("cookie", &self.cookie_name()).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Everything `settings` describe, with empty lists of revocations and used logins.
    ///
    /// # Panics
    /// When there is no key: the configuration without one is refused earlier.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let revoked = Arc::new(Remembered::new("revoked sessions", settings.revocations));
        Self::remembering(settings, revoked, Arc::new(Remembered::new("used logins", login_state::MAX_USED)))
    }

    /// The same for other `settings`, for a reload: what has been ended or used stays so. The size of the list of revocations stays too.
    #[must_use]
    pub fn reconfigured(&self, settings: &Settings) -> Self {
        Self::remembering(settings, Arc::clone(&self.revoked), Arc::clone(&self.logins.used))
    }

    fn remembering(settings: &Settings, revoked: Arc<Remembered>, used: Arc<Remembered>) -> Self {
        let cookie = Cookie::session(&settings.origin);
        Self {
            ring: Ring::new(&settings.keys, PURPOSE, cookie.name(), &settings.origin),
            cookie,
            max_age: settings.max_age,
            idle_timeout: settings.idle_timeout,
            revoked,
            logins: Logins::new(settings, used),
        }
    }

    /// The name of the session cookie.
    #[must_use]
    pub fn cookie_name(&self) -> &'static str {
        self.cookie.name()
    }

    /// The name of the cookie that logins are bound to.
    #[must_use]
    pub fn login_cookie_name(&self) -> &'static str {
        self.logins.cookie.name()
    }

    /// The session that `headers` bring: of several cookies of our name, among the first few, the first that is one.
    #[must_use]
    pub fn find(&self, headers: &HeaderMap, now: UnixTime) -> Option<Session> {
        self.cookie.values(headers).find_map(|value| match self.open(value, now) {
            Ok(session) => Some(session),
            Err(reason) => {
                tracing::debug!(session.refused = %reason, "A session cookie does not count: {reason}");
                None
            }
        })
    }

    /// Whether `session` should be sealed anew, as [`Sessions::renewed`], with this answer: a tenth of the idle time has passed.
    #[must_use]
    pub fn is_due(&self, session: &Session, now: UnixTime) -> bool {
        now.since(session.seen) >= self.idle_timeout / 10
    }

    /// `session`, used now.
    #[must_use]
    pub fn renewed(&self, session: &Session, now: UnixTime) -> Session {
        // Never backwards: another replica's clock may be ahead of ours.
        Session { seen: session.seen.max(now), ..session.clone() }
    }

    /// The `Set-Cookie` that stores `session` until its absolute end; an earlier end by disuse is known to us alone.
    ///
    /// # Errors
    /// [`TooLarge`] when it does not fit: at a sign-in, where a person can be told. A renewal is as large as what it renews.
    pub fn seal(&self, session: &Session) -> Result<HeaderValue, TooLarge> {
        let value = self.ring.seal(&session.id.0, &record::write(session));
        let bytes = self.cookie.name().len() + 1 + value.len();
        if bytes > MAX_COOKIE_BYTES {
            return Err(TooLarge { bytes, limit: MAX_COOKIE_BYTES });
        }
        Ok(self.cookie.set(&value, session.signed_in.plus(self.max_age).since(session.seen)))
    }

    /// The `Set-Cookie` that removes the session cookie.
    #[must_use]
    pub fn clear(&self) -> HeaderValue {
        self.cookie.clear()
    }

    /// The `Set-Cookie`s that remove the login cookies of the browser that sent `headers`. Logins under way in other tabs then end as
    /// [`LoginStateError::NoCookie`].
    pub fn clear_logins(&self, headers: &HeaderMap) -> impl Iterator<Item = HeaderValue> {
        // Few browsers have the second one, and nobody else needs to hear of it.
        let posted = &self.logins.posted_cookie;
        let has_posted = posted.values(headers).next().is_some();
        [Some(self.logins.cookie.clear()), has_posted.then(|| posted.clear())].into_iter().flatten()
    }

    /// Ends `session`: every copy of its cookie is dead on this replica from now on.
    pub fn revoke(&self, session: &Session, now: UnixTime) {
        self.revoked.add(session.id.0, session.signed_in.plus(self.max_age), now);
    }

    /// Takes our cookies out of a request for the application.
    pub fn strip(&self, headers: &mut HeaderMap) {
        cookie::strip(headers, self.cookies());
    }

    /// Whether the application's `set_cookie` would store a cookie of ours.
    #[must_use]
    pub fn is_ours(&self, set_cookie: &HeaderValue) -> bool {
        cookie::would_set(set_cookie, self.cookies())
    }

    fn cookies(&self) -> [&Cookie; 3] {
        [&self.cookie, &self.logins.cookie, &self.logins.posted_cookie]
    }

    /// Begins a login at `provider` in the browser that sent `headers`.
    pub fn start_login(
        &self,
        headers: &HeaderMap,
        provider: ProviderTag,
        returns: ReturnsBy,
        return_to: &ReturnTo,
        now: UnixTime,
    ) -> StartedLogin {
        self.logins.start(headers, provider, returns, return_to, now)
    }

    /// The login that comes back from `provider` with `state`. It is not used up by this: see [`Sessions::use_once`].
    ///
    /// # Errors
    /// [`LoginStateError`]: what is wrong, and where the login was meant to lead if that can be told.
    pub fn resume_login(
        &self,
        headers: &HeaderMap,
        state: &str,
        provider: ProviderTag,
        returns: ReturnsBy,
        now: UnixTime,
    ) -> Result<ResumedLogin, LoginStateError> {
        self.logins.resume(headers, state, provider, returns, now)
    }

    /// Uses `login` up; `false` when that has happened before, as after the back button. Ask before the code is sent anywhere.
    #[must_use]
    pub fn use_once(&self, login: &ResumedLogin, now: UnixTime) -> bool {
        self.logins.use_once(login, now)
    }

    fn open(&self, value: &[u8], now: UnixTime) -> Result<Session, NoSession> {
        let opened = self.ring.open(value).map_err(|_| NoSession::Unopened)?;
        let session = record::read(opened.id, &opened.record).ok_or(NoSession::Malformed)?;
        if session.signed_in.max(session.seen) > now.plus(CLOCK_LEEWAY) {
            return Err(NoSession::FromTheFuture);
        }
        if now >= session.signed_in.plus(self.max_age) {
            return Err(NoSession::Ended);
        }
        if now >= session.seen.plus(self.idle_timeout) {
            return Err(NoSession::Idle);
        }
        if self.revoked.holds(&session.id.0) {
            return Err(NoSession::Revoked);
        }
        Ok(session)
    }
}

#[cfg(test)]
mod tests;
