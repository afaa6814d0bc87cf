//! Sessions that live in a sealed cookie, and logins under way that live in a sealed `state`.
//!
//! * Who is calling is read from the cookie alone: no store, no lock while nobody has logged out, no waiting.
//! * Whatever is wrong with a cookie, the answer is "no session", never an error.
//! * A session ends at its absolute end, or when it was not used for the idle time, or when it is revoked; the first two count from what is
//!   configured now, so a shorter time holds at once for the sessions that are out there.
//! * What a cookie should not carry is in a store, sealed with a key that only the cookie has; what was ended is in a ledger. See `store` and
//!   `ledger`.
//! * Used logins are remembered by this replica only.

mod cookie;
mod ids;
mod keeping;
mod ledger;
mod listing;
mod login_state;
mod record;
mod revocations;
mod seal;
pub mod store;
mod stored;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};

use self::{cookie::Cookie, login_state::Logins, seal::Ring, store::Store};
pub use self::{
    ids::{AccountTag, NoSessionId, ProviderSessionTag, SessionId, SubjectTag},
    ledger::{Ledger, Spread, Standing},
    listing::{Listed, Whence},
    login_state::{LoginStateError, ResumedLogin, ReturnsBy, StartedLogin},
    revocations::{Revocation, Revoked},
    stored::{RecordKey, Stored},
};
use crate::{
    clock::{Clock, UnixTime},
    identity::{Identity, ProviderTag},
    origin::{Origin, ReturnTo},
    remembered::Remembered,
    secret::Secret,
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
    /// How often a provider is asked again about a session; zero for never.
    pub revalidate: Duration,
    /// How long a session goes on whose provider, or whose record, should be asked and does not answer.
    pub outage_grace: Duration,
    /// How long sessions count on a replica that cannot learn which have been ended.
    pub cut_off_grace: Duration,
    /// Sessions that a user may have at once, the oldest end; zero for any number.
    pub per_user: usize,
    /// Access tokens are kept, because an application needs them.
    pub keeps_access_tokens: bool,
    /// Where records, listings and the log of ended sessions are.
    pub store: store::Settings,
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
    /// When its provider should be asked again; `None` where nobody is asked.
    pub due: Option<UnixTime>,
    /// What opens its record in the store; `None` when it has none.
    pub record: Option<RecordKey>,
    /// Its record has a refresh token, so that its provider can be asked behind the browser's back.
    pub refreshes: bool,
    /// Its claims are in its record, because the cookie would be too large with them. Those in `identity` are missing until they are loaded.
    pub has_stored_claims: bool,
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
    revalidate: Duration,
    outage_grace: Duration,
    cut_off_grace: Duration,
    per_user: usize,
    keeps_access_tokens: bool,
    ledger: Arc<Ledger>,
    store: Arc<Store>,
    listings: Ring<{ listing::MAX_BYTES }>,
    logins: Logins,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("cookie", &self.cookie_name()).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Everything `settings` describe; nothing has ended or been used. Asks nobody: see [`Ledger::keep_in_step`].
    ///
    /// # Panics
    /// When there is no key: the configuration without one is refused earlier.
    #[must_use]
    pub fn new(settings: &Settings, clock: Clock) -> Self {
        let store = Arc::new(Store::new(&settings.store));
        let ledger = Arc::new(Ledger::new(settings.revocations, Arc::clone(&store), clock));
        Self::keeping(settings, ledger, store, Arc::new(Remembered::new("used logins", login_state::MAX_USED)))
    }

    /// The same for other `settings`, for a reload: what has been ended or used stays so, and the store stays the same one.
    #[must_use]
    pub fn reconfigured(&self, settings: &Settings) -> Self {
        let (ledger, store) = (Arc::clone(&self.ledger), Arc::clone(&self.store));
        Self::keeping(settings, ledger, store, Arc::clone(&self.logins.used))
    }

    fn keeping(settings: &Settings, ledger: Arc<Ledger>, store: Arc<Store>, used: Arc<Remembered>) -> Self {
        let cookie = Cookie::session(&settings.origin);
        Self {
            ring: Ring::new(&settings.keys, PURPOSE, cookie.name(), &settings.origin),
            max_age: settings.max_age,
            idle_timeout: settings.idle_timeout,
            revalidate: settings.revalidate,
            outage_grace: settings.outage_grace,
            cut_off_grace: settings.cut_off_grace,
            per_user: settings.per_user,
            keeps_access_tokens: settings.keeps_access_tokens,
            ledger,
            store,
            listings: Ring::new(&settings.keys, listing::PURPOSE, cookie.name(), &settings.origin),
            logins: Logins::new(settings, used),
            cookie,
        }
    }

    /// What has ended before its time.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
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
        now.since(session.seen) >= self.renewal()
    }

    /// How long a session that is used goes without being sealed anew.
    #[must_use]
    pub fn renewal(&self) -> Duration {
        self.idle_timeout / 10
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

    /// Begins a login at `provider` in the browser that sent `headers`; `is_check` when it is only to confirm a session.
    pub fn start_login(
        &self,
        headers: &HeaderMap,
        provider: ProviderTag,
        returns: ReturnsBy,
        return_to: &ReturnTo,
        is_check: bool,
        now: UnixTime,
    ) -> StartedLogin {
        self.logins.start(headers, provider, returns, return_to, is_check, now)
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
        self.is_alive(&session, now)?;
        Ok(session)
    }

    fn is_alive(&self, session: &Session, now: UnixTime) -> Result<(), NoSession> {
        if session.signed_in.max(session.seen) > now.plus(CLOCK_LEEWAY) {
            return Err(NoSession::FromTheFuture);
        }
        if now >= session.signed_in.plus(self.max_age) {
            return Err(NoSession::Ended);
        }
        if now >= session.seen.plus(self.idle_timeout) {
            return Err(NoSession::Idle);
        }
        if self.ledger.has_ended(session) {
            return Err(NoSession::Revoked);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
