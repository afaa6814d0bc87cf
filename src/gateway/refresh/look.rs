//! One look at one session: its record, and where that is too old its provider.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::{Known, Looked, Refresher};
use crate::{
    clock::{Clock, UnixTime},
    grant::Grant,
    identity::{Identity, ProviderName},
    providers::{Fault, Provider, RefreshError, Refreshed},
    secret::random,
    sessions::{
        Session, Sessions, Stored, SubjectTag, Whence,
        store::{Owner, StoreError},
    },
    telemetry::causes,
};

/// For how long a lock is taken; it is renewed long before.
const LOCK: Duration = Duration::from_secs(10);
/// How often somebody looks whether another replica has finished.
const PAUSE: Duration = Duration::from_millis(200);
/// How often before that is given up.
const PAUSES: usize = 100;
/// When nobody could tell, when to ask again.
const RETRY: Duration = Duration::from_secs(30);
/// Between a refusal and the second look at the record: another replica may have got the answer.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// How often somebody looks while another replica has the lock.
const SECOND_LOOKS: usize = 10;

/// A look that has begun.
pub(super) struct Job {
    pub(super) refresher: Arc<Refresher>,
    pub(super) sessions: Arc<Sessions>,
    /// `None` when it is no longer configured.
    pub(super) provider: Option<Arc<Provider>>,
    pub(super) session: Session,
    pub(super) whence: Whence,
    pub(super) clock: Clock,
}

/// Why nobody can tell now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Provider(RefreshError),
    #[error("another replica has been asking the provider for too long")]
    Busy,
}

/// Whom somebody waits for in vain: said once, and once that it is over.
#[derive(Debug, Default)]
pub(super) struct Outages(Mutex<HashMap<ProviderName, Seen>>);

/// What was seen of one provider.
#[derive(Debug, Default)]
struct Seen {
    failing: Option<UnixTime>,
    answered: Option<UnixTime>,
}

impl Job {
    /// Looks, and tells those who wait.
    pub(super) async fn run(self, tell: watch::Sender<Option<Looked>>) {
        let _cleared = Cleared(&self);
        // Boxed: a task is moved when it begins.
        let looked = match Box::pin(self.look()).await {
            Ok(looked) => looked,
            Err(trouble) => self.in_trouble(&trouble),
        };
        match &looked {
            Looked::Known(known) => self.refresher.known.insert(self.session.id, Arc::clone(known)),
            Looked::Ended | Looked::Nothing => drop(self.refresher.known.remove(&self.session.id)),
        }
        tell.send_replace(Some(looked));
    }

    async fn look(&self) -> Result<Looked, Trouble> {
        let owner: Owner = random();
        for _ in 0..PAUSES {
            let Some(stored) = self.stored().await? else { return Ok(self.without_record()) };
            if let Some(known) = self.settled(&stored) {
                return Ok(known);
            }
            if self.sessions.kept_in().lock(&self.session.id, &owner, LOCK).await? {
                let looked = Box::pin(self.ask(&owner)).await;
                // One that is not given back runs out.
                let _unless_it_fails = self.sessions.kept_in().unlock(&self.session.id, &owner).await;
                return looked;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Trouble::Busy)
    }

    async fn stored(&self) -> Result<Option<Stored>, StoreError> {
        self.refresher.stored(&self.sessions, &self.session).await
    }

    /// What a record says when nobody has to be asked.
    fn settled(&self, stored: &Stored) -> Option<Looked> {
        let now = self.clock.now();
        let is_old = self.sessions.due(&self.session, now).is_some_and(|due| stored.due < due);
        if !self.session.refreshes {
            // Only the claims are wanted; when the browser is asked is the cookie's affair.
            let holds_until = self.sessions.next_due(&stored.grant, now).unwrap_or(now.plus(RETRY));
            return Some(self.known(stored, self.session.due, false, holds_until));
        }
        if !is_old && !self.sessions.is_past(stored.due, now) {
            // Where nobody is asked again, only the token is wanted.
            let holds_until = self.sessions.next_due(&stored.grant, now).map_or(now.plus(RETRY), |_| stored.due);
            return Some(self.known(stored, Some(stored.due), true, holds_until));
        }
        // The store has come back with an old copy, whose refresh token has been used since.
        (is_old || stored.grant.refresh_token.is_none()).then(|| self.without_record())
    }

    /// There is nothing to ask with: from now on the browser is asked.
    fn without_record(&self) -> Looked {
        debug!("A session has no record any more");
        if self.session.has_stored_claims {
            return Looked::Ended;
        }
        told(Known { refreshes: false, ..self.unchanged() })
    }

    /// What the cookie says, which holds for no time.
    fn unchanged(&self) -> Known {
        let Session { identity, due, refreshes, has_stored_claims, .. } = &self.session;
        Known {
            identity: identity.clone(),
            due: *due,
            refreshes: *refreshes,
            has_stored_claims: *has_stored_claims,
            holds_until: self.clock.now(),
            failing: None,
            access_token: None,
        }
    }

    /// What `stored` says about the session, and for how long.
    fn known(&self, stored: &Stored, due: Option<UnixTime>, refreshes: bool, holds_until: UnixTime) -> Looked {
        let (identity, access_token) = (stored.identity.clone(), stored.grant.access_token.clone());
        let has_stored_claims = self.session.has_stored_claims
            || !self.sessions.fits(&Session { identity: identity.clone(), due, ..self.session.clone() });
        told(Known { identity, due, refreshes, has_stored_claims, holds_until, failing: None, access_token })
    }

    /// With the lock: asks the provider, unless that has been done meanwhile.
    async fn ask(&self, owner: &Owner) -> Result<Looked, Trouble> {
        let Some(stored) = self.stored().await? else { return Ok(self.without_record()) };
        if let Some(known) = self.settled(&stored) {
            return Ok(known);
        }
        let Some(provider) = &self.provider else { return Ok(self.without_record()) };
        match self.refresh(provider, &stored.grant, owner).await {
            Ok(refreshed) => {
                self.refresher.outages.over(provider.name(), self.clock.now());
                Ok(Box::pin(self.refreshed(stored, refreshed)).await)
            }
            Err(RefreshError::NoToken) => Ok(self.without_record()),
            Err(RefreshError::Ended) => self.second_look(&stored, owner).await,
            Err(error @ RefreshError::Unknown(_)) => {
                let trouble = Trouble::Provider(error);
                self.refresher.outages.begins(provider.name(), &trouble, self.clock.now());
                Err(trouble)
            }
        }
    }

    /// The provider refuses a refresh token. That is the end, unless another replica has used it at the same time and got the answer: then the lock is
    /// that one's, or its record is there.
    async fn second_look(&self, used: &Stored, owner: &Owner) -> Result<Looked, Trouble> {
        for _ in 0..SECOND_LOOKS {
            tokio::time::sleep(SECOND_LOOK).await;
            // A store that does not answer now must not end what somebody else has kept there.
            let is_ours = self.sessions.kept_in().lock(&self.session.id, owner, LOCK).await?;
            if let Some(again) = self.stored().await?
                && again.generation > used.generation
                && let Some(known) = self.settled(&again)
            {
                return Ok(known);
            }
            if is_ours {
                break;
            }
        }
        Ok(self.ended("the provider no longer accepts its refresh token").await)
    }

    /// Asks, and holds on to the lock meanwhile.
    async fn refresh(&self, provider: &Provider, grant: &Grant, owner: &Owner) -> Result<Refreshed, RefreshError> {
        let mut asked = pin!(provider.refresh(grant));
        loop {
            tokio::select! {
                answer = &mut asked => return answer,
                () = tokio::time::sleep(LOCK / 3) => {
                    // Without it another replica may ask too; a provider that minds says so, and the record is looked at once more.
                    let _unless_it_fails = self.sessions.kept_in().lock(&self.session.id, owner, LOCK).await;
                }
            }
        }
    }

    /// The provider has answered: what it says about the person decides, and the tokens are kept in any case.
    async fn refreshed(&self, before: Stored, Refreshed { grant, who }: Refreshed) -> Looked {
        let now = self.clock.now();
        let grant = self.sessions.kept_of(grant);
        let (identity, due) = match who {
            Ok(who) if SubjectTag::of(&who.issuer, &who.subject) != self.session.subject => {
                return self.ended("the provider answers about somebody else").await;
            }
            Ok(who) if who.user != self.session.identity.user => {
                return self.ended("the user is called something else now").await;
            }
            Ok(who) => (Identity { user: who.user, claims: who.claims }, self.sessions.next_due(&grant, now)),
            Err(error) if error.fault() == Fault::Caller => {
                return self.ended(&causes(&error)).await;
            }
            Err(error) => {
                warn!(
                    error = causes(&error),
                    "A session was refreshed, but what came with it cannot be used: nothing new is known about its user"
                );
                (before.identity.clone(), Some(now.plus(RETRY)))
            }
        };
        let due = due.unwrap_or(now);
        let generation = before.generation.saturating_add(1);
        let stored = Stored { identity, due, generation, grant };
        let seen = self.session.seen.max(now);
        let session = Session { due: Some(due), seen, identity: stored.identity.clone(), ..self.session.clone() };
        let session = Session { has_stored_claims: false, ..session };
        let fits = self.sessions.fits(&session);
        if !fits && !self.sessions.kept_in().is_shared() {
            return self.ended("its claims no longer fit into a cookie").await;
        }
        let session = Session { has_stored_claims: !fits, ..session };
        match self.sessions.store(&session, &stored, now).await {
            Ok(true) => {}
            // Somebody else's is the later one: what it says counts, if it says something.
            Ok(false) => {
                if let Ok(Some(later)) = self.sessions.stored(&session).await
                    && let Some(known) = self.settled(&later)
                {
                    return known;
                }
            }
            Err(error) => {
                debug!(error = causes(&error), "A refreshed record is not in the store yet");
                self.keep_trying(stored.clone());
            }
        }
        self.sessions.list(&session, &self.whence).await;
        let (identity, access_token) = (stored.identity, stored.grant.access_token);
        let (due, holds_until, has_stored_claims) = (Some(due), due, session.has_stored_claims);
        told(Known { identity, due, refreshes: true, has_stored_claims, holds_until, failing: None, access_token })
    }

    /// Until the store has taken `stored`: it is the only one that has the new refresh token.
    fn keep_trying(&self, stored: Stored) {
        let (refresher, sessions) = (Arc::clone(&self.refresher), Arc::clone(&self.sessions));
        let (session, clock) = (self.session.clone(), self.clock.clone());
        refresher.unsaved().insert(session.id, stored.clone());
        tokio::spawn(async move {
            let mut pause = PAUSE;
            while sessions.has_not_ended(&session, clock.now()) {
                tokio::time::sleep(pause).await;
                if sessions.store(&session, &stored, clock.now()).await.is_ok() {
                    break;
                }
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            let mut unsaved = refresher.unsaved();
            // A later one may have come in its place, which has a task of its own.
            if unsaved.get(&session.id).is_some_and(|one| one.generation == stored.generation) {
                unsaved.remove(&session.id);
            }
        });
    }

    async fn ended(&self, why: &str) -> Looked {
        info!(
            provider.name = self.provider.as_ref().map(|provider| provider.name().as_str()),
            reason = why,
            "A session has ended"
        );
        let _told = self.sessions.end(&self.session).await;
        Looked::Ended
    }

    /// The session goes on as it was. From when on nobody could tell is remembered from one try to the next.
    fn in_trouble(&self, trouble: &Trouble) -> Looked {
        debug!(error = causes(trouble), "A session could not be confirmed");
        let now = self.clock.now();
        let due = self.sessions.due(&self.session, now);
        let known = self.refresher.known.get(&self.session.id).filter(|known| known.due >= due);
        if known.is_none() && self.session.has_stored_claims {
            return Looked::Nothing;
        }
        let goes_on = |since: &UnixTime| {
            let provider = self.provider.as_ref();
            !provider.is_some_and(|provider| self.refresher.outages.was_over_after(provider.name(), *since))
        };
        let failing = known.as_ref().and_then(|known| known.failing).filter(goes_on).or(Some(now));
        let before = known.map(|known| (known.identity.clone(), known.access_token.clone()));
        let (identity, access_token) = before.unwrap_or_else(|| (self.session.identity.clone(), None));
        told(Known { identity, access_token, failing, holds_until: now.plus(RETRY), ..self.unchanged() })
    }
}

fn told(known: Known) -> Looked {
    Looked::Known(Arc::new(known))
}

impl Outages {
    fn begins(&self, provider: &ProviderName, trouble: &Trouble, now: UnixTime) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(provider.clone()).or_default();
        if seen.failing.is_none() {
            seen.failing = Some(now);
            warn!(
                provider.name = %provider, error = causes(trouble),
                "A provider does not confirm sessions: they go on until `session.outage_grace` is over"
            );
        }
    }

    fn over(&self, provider: &ProviderName, now: UnixTime) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(provider.clone()).or_default();
        seen.answered = Some(now);
        if let Some(since) = seen.failing.take() {
            info!(provider.name = %provider, outage.seconds = now.since(since).as_secs(), "A provider confirms sessions again");
        }
    }

    /// Whether `provider` has answered about anybody after `since`: then an outage that began there is another one than today's.
    fn was_over_after(&self, provider: &ProviderName, since: UnixTime) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(provider).and_then(|seen| seen.answered).is_some_and(|answered| answered > since)
    }
}

/// The look is over, however it ended.
struct Cleared<'j>(&'j Job);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        self.0.refresher.looks().remove(&self.0.session.id);
    }
}
