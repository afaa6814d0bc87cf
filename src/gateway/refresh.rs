//! Step 3, continued: a session whose provider has not been asked for a while is looked at again. Once, whoever asks, on whichever replica.
//!
//! * The cookie says when (`due`). Until then nobody is asked anything.
//! * With a refresh token the provider is asked behind the browser's back: by one request, which the others wait for; by one replica, which
//!   has the session's lock; and what came of it is in the session's record, where everybody finds it.
//! * A provider or store that does not answer ends nothing: the session goes on as it was, for `outage_grace`.
//! * Without a refresh token the next navigation goes through the provider; everything else goes on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use quick_cache::{UnitWeighter, Weighter, sync::Cache};
use tokio::{sync::watch, time::Instant};

use super::{Gateway, authenticate::Caller, hygiene::Clean, reply::Rejection, route::Route, wants::Wants};
use crate::{
    clock::UnixTime,
    grant::AccessToken,
    identity::Identity,
    providers::SilentCheck,
    sessions::{Session, SessionId, Sessions, Stored},
};

mod look;

use look::{Job, Outages};

/// How long a request waits for others to look; then it goes on with what the cookie says.
const WAIT: Duration = Duration::from_secs(3);
/// How long a navigation waits to find out whether the provider can be reached.
const REACH: Duration = Duration::from_secs(2);
/// What this replica remembers of last looks, in bytes: some 100,000 ordinary sessions.
const MAX_KNOWN: u64 = 64 << 20;

/// What came of the last look at a session, and the looks under way.
#[derive(Debug)]
pub struct Refresher {
    known: Cache<SessionId, Arc<Known>, ByBytes>,
    /// When this replica last noted that a session is used.
    noted: Cache<SessionId, UnixTime>,
    looks: Mutex<HashMap<SessionId, Look>>,
    /// Records that the store did not take. They are the only ones that have the refresh token that counts.
    unsaved: Mutex<HashMap<SessionId, Stored>>,
    outages: Outages,
}

/// A look under way.
#[derive(Clone, Debug)]
struct Look {
    came_of_it: watch::Receiver<Option<Looked>>,
    since: Instant,
}

/// What is known about a session that its cookie need not know.
#[derive(Clone, Debug)]
struct Known {
    /// Who it is now.
    identity: Identity,
    /// When its provider is to be asked.
    due: Option<UnixTime>,
    /// Whether there is a refresh token to ask with.
    refreshes: bool,
    /// Whether its claims are too many for the cookie.
    has_stored_claims: bool,
    /// Until then nobody has to look again.
    holds_until: UnixTime,
    /// Since when nobody could tell more.
    failing: Option<UnixTime>,
    /// For applications that need it.
    access_token: Option<AccessToken>,
}

/// What came of a look.
#[derive(Clone, Debug)]
enum Looked {
    Known(Arc<Known>),
    /// There is no session any more.
    Ended,
    /// Nobody can tell, and nothing was known before.
    Nothing,
}

/// Sessions of which this replica remembers when it noted their use.
const MAX_NOTED: u64 = 100_000;

/// How much room is taken.
#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl Weighter<SessionId, Arc<Known>> for ByBytes {
    fn weight(&self, _: &SessionId, known: &Arc<Known>) -> u64 {
        let token = known.access_token.as_ref().map_or(0, |access| access.token.expose().len());
        // The rest is about as large as this.
        (known.identity.bytes() + token + 400) as u64
    }
}

impl Known {
    /// Makes of `session` what it is now.
    fn apply(&self, session: &mut Session) {
        session.identity.clone_from(&self.identity);
        session.due = self.due;
        session.refreshes = self.refreshes;
        session.has_stored_claims = self.has_stored_claims;
    }
}

impl Default for Refresher {
    fn default() -> Self {
        Self {
            known: Cache::with_weighter(1_000, MAX_KNOWN, ByBytes),
            noted: Cache::with_weighter(1_000, MAX_NOTED, UnitWeighter),
            looks: Mutex::default(),
            unsaved: Mutex::default(),
            outages: Outages::default(),
        }
    }
}

impl Gateway {
    /// `session` as its provider sees it, as far as that is known or has to be known; `None` when it has ended, or nobody could tell for too long.
    ///
    /// # Errors
    /// [`Rejection::CutOff`], [`Rejection::Recheck`], [`Rejection::ClaimsUnavailable`].
    pub(super) async fn up_to_date(
        &self,
        session: Box<Session>,
        request: &Clean,
        route: &Route,
        now: UnixTime,
    ) -> Result<Option<Caller>, Rejection> {
        if self.sessions.is_cut_off(now) {
            return Err(Rejection::CutOff);
        }
        let wants_record =
            session.has_stored_claims || (route.access_token_header.is_some() && session.record.is_some());
        if !wants_record && !self.sessions.is_ageing(&session, now) {
            return Ok(Some(Caller::Session { session, is_renewed: false, access_token: None }));
        }
        // Boxed: rare, and every other request would have to make room for it.
        Box::pin(self.looked_at(session, wants_record, request, now)).await
    }

    async fn looked_at(
        &self,
        mut session: Box<Session>,
        wants_record: bool,
        request: &Clean,
        now: UnixTime,
    ) -> Result<Option<Caller>, Rejection> {
        let is_ageing = self.sessions.is_ageing(&session, now);
        // A cookie that is due later was made since.
        let due = self.sessions.due(&session, now);
        let mut known = self.refresher.known.get(&session.id).filter(|known| known.due >= due);
        let holds = known.as_ref().is_some_and(|known| now < known.holds_until);
        // A try that has not ended yet says nothing about the provider.
        let mut is_judged = holds;
        if !holds && (session.refreshes || wants_record) {
            let looked = self.look(&session, request).await;
            is_judged = looked.is_some();
            match looked {
                Some(Looked::Known(found)) => known = Some(found),
                Some(Looked::Ended) => return Ok(None),
                Some(Looked::Nothing) | None => {}
            }
        }
        let mut is_renewed = false;
        match known.as_deref() {
            Some(Known { failing: Some(since), .. }) if is_judged && self.sessions.is_beyond_grace(*since, now) => {
                return Ok(None);
            }
            // Nobody can tell, so it goes on as it was; with the claims that were there at the last look.
            Some(Known { failing: Some(_), identity, .. }) => session.identity = identity.clone(),
            Some(known) => {
                let found = (known.due, known.refreshes, known.has_stored_claims);
                is_renewed = found != (session.due, session.refreshes, session.has_stored_claims);
                known.apply(&mut session);
            }
            None if session.has_stored_claims => return Err(Rejection::ClaimsUnavailable),
            None => {}
        }
        if is_ageing && !session.refreshes && self.sessions.is_ageing(&session, now) {
            self.through_the_browser(&session, is_renewed, request).await?;
        }
        let access_token = known.and_then(|known| known.access_token.clone());
        let access_token = access_token.filter(|token| token.expires.is_none_or(|expires| now < expires));
        Ok(Some(Caller::Session { session, is_renewed, access_token: access_token.map(|access| access.token) }))
    }

    /// The provider of a session without a refresh token can be asked only where the browser goes to it, which a navigation can.
    async fn through_the_browser(&self, session: &Session, is_renewed: bool, request: &Clean) -> Result<(), Rejection> {
        let Some(provider) = self.providers.by_tag(session.provider) else { return Ok(()) };
        let goes = *request.method() == Method::GET
            && Wants::of(request.method(), request.headers()) == Wants::Navigation
            && provider.silent_check() != SilentCheck::Off
            && tokio::time::timeout(REACH, provider.is_reachable()).await == Ok(true);
        if !goes {
            return Ok(());
        }
        let cookie = is_renewed.then(|| self.sessions.seal(session).ok()).flatten();
        Err(Rejection::Recheck { provider: provider.name().clone(), cookie })
    }

    /// What comes of a look at `session`, if that is known soon enough. It goes on when nobody waits any more: a refresh token that has been sent may
    /// be used up.
    async fn look(&self, session: &Session, request: &Clean) -> Option<Looked> {
        let Look { mut came_of_it, since } = {
            let mut looks = self.refresher.looks();
            match looks.get(&session.id) {
                Some(look) => look.clone(),
                None => {
                    let (tell, came_of_it) = watch::channel(None);
                    let look = Look { came_of_it, since: Instant::now() };
                    looks.insert(session.id, look.clone());
                    let job = Job {
                        refresher: Arc::clone(&self.refresher),
                        sessions: Arc::clone(&self.sessions),
                        provider: self.providers.by_tag(session.provider).cloned(),
                        session: session.clone(),
                        whence: self.hygiene.whence(request),
                        clock: self.clock.clone(),
                    };
                    tokio::spawn(job.run(tell));
                    look
                }
            }
        };
        let waited = tokio::time::timeout_at(since + WAIT, came_of_it.wait_for(Option::is_some)).await;
        waited.ok()?.ok()?.clone()
    }
}

impl Refresher {
    /// Whether the use of a session should be noted now, which this counts as: once in `pause`, whatever cookie comes along. There are callers that never
    /// take a new one.
    pub(super) fn notes(&self, id: &SessionId, pause: Duration, now: UnixTime) -> bool {
        let is_due = self.noted.get(id).is_none_or(|noted| now >= noted.plus(pause));
        if is_due {
            self.noted.insert(*id, now);
        }
        is_due
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<SessionId, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsaved(&self) -> MutexGuard<'_, HashMap<SessionId, Stored>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of `session`: the store's, or the one that it did not take.
    async fn stored(
        &self,
        sessions: &Sessions,
        session: &Session,
    ) -> Result<Option<Stored>, crate::sessions::store::StoreError> {
        let unsaved = self.unsaved().get(&session.id).cloned();
        match (sessions.stored(session).await, unsaved) {
            (Ok(Some(stored)), Some(unsaved)) if stored.generation > unsaved.generation => Ok(Some(stored)),
            (_, Some(unsaved)) => Ok(Some(unsaved)),
            (found, None) => found,
        }
    }
}
