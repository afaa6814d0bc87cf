//! A session's life beside its cookie: it begins with a record and a place in the listing, its provider confirms it now and then, and it ends
//! everywhere.

use std::{cmp::Reverse, time::Duration};

use http::HeaderValue;

use super::{
    AccountTag, CLOCK_LEEWAY, Listed, ProviderSessionTag, RecordKey, Revocation, Revoked, Session, SessionId, Sessions,
    Spread, Standing, Stored, TooLarge, Whence,
    store::{Store, StoreError},
};
use crate::{clock::UnixTime, grant::Grant, identity::UserId};

/// How far apart the clocks of replicas that are looked after may be: what ends by time ends so much later, and a sign-in after it is dated behind that.
/// Not the whole leeway: a replica that is cut off does not know, and its sign-ins of that time end when it learns.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// The soonest that a session is asked about again.
const SOONEST: Duration = Duration::from_secs(10);

impl Sessions {
    /// Begins `session`: keeps `grant` in a record, notes where it was begun, ends what is more than `per_user` sessions; and the `Set-Cookie` for it.
    /// What cannot be kept, because the store does not answer, is left out: somebody who has signed in comes in. `asks_browser`: its provider
    /// can be asked through the browser. `replaced`: the one that this browser had before, which ends.
    ///
    /// # Errors
    /// [`TooLarge`]; then nothing ends.
    pub async fn begin(
        &self,
        session: Session,
        replaced: Option<&Session>,
        grant: Grant,
        asks_browser: bool,
        whence: &Whence,
        now: UnixTime,
    ) -> Result<HeaderValue, TooLarge> {
        let signed_in = self.ledger.begins(&session);
        let session = Session { signed_in, seen: session.seen.max(signed_in), ..session };
        let (session, cookie) = self.keep(session, grant, asks_browser, whence, now).await?;
        // What this browser had before is over, wherever it was copied to (T-052), and no longer counts.
        if let Some(replaced) = replaced {
            let _told = self.end(replaced).await;
        }
        self.limit(&session, now).await;
        Ok(cookie)
    }

    /// The provider has vouched for `session` once more, through the browser: it stays the same session, with what is new of it.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub async fn confirm(
        &self,
        session: Session,
        grant: Grant,
        whence: &Whence,
        now: UnixTime,
    ) -> Result<HeaderValue, TooLarge> {
        let session = Session { seen: session.seen.max(now), has_stored_claims: false, ..session };
        self.keep(session, grant, true, whence, now).await.map(|(_, cookie)| cookie)
    }

    /// `session` with its record, its mark and its place in the listing; and its cookie.
    async fn keep(
        &self,
        mut session: Session,
        grant: Grant,
        asks_browser: bool,
        whence: &Whence,
        now: UnixTime,
    ) -> Result<(Session, HeaderValue), TooLarge> {
        let grant = self.kept_of(grant);
        let refreshes = grant.refresh_token.is_some();
        let due = self.next_due(&grant, now);
        session.due = due.filter(|_| refreshes || asks_browser);
        // With a store of its own, a restart would end the session of everybody who has many groups.
        let too_large = match self.seal(&session) {
            Err(error) if !self.store.is_shared() => return Err(error),
            sealed => sealed.err(),
        };
        let is_needed = refreshes || grant.id_token.is_some() || grant.access_token.is_some() || too_large.is_some();
        let has_record = session.record.is_some();
        let key = session.record.take().unwrap_or_else(RecordKey::random);
        let stored = Stored {
            identity: session.identity.clone(),
            due: due.unwrap_or(now),
            generation: generation(0, now),
            grant,
        };
        let is_kept = is_needed
            && match self.save(&session, &key, &stored, now).await {
                // A later one that the same key opens is as good; with a new key, somebody else's opens nothing.
                Ok(is_saved) => is_saved || has_record,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "A session begins without its record");
                    false
                }
            };
        session.record = is_kept.then_some(key);
        session.refreshes = is_kept && refreshes;
        session.has_stored_claims = is_kept && too_large.is_some();
        if let Some(error) = too_large.filter(|_| !is_kept) {
            return Err(error);
        }
        let cookie = self.seal(&session)?;
        let mark = async {
            if let Some(tag) = session.provider_session
                && let Err(error) = self.store.mark(tag, self.max_age).await
            {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "A provider's session is not marked as known"
                );
            }
        };
        tokio::join!(mark, self.list(&session, whence));
        Ok((session, cookie))
    }

    /// Whether the cookie of `session` can hold its claims.
    #[must_use]
    pub fn fits(&self, session: &Session) -> bool {
        self.seal(session).is_ok()
    }

    /// Writes the record of `session`; `false` when there is a later one.
    async fn save(
        &self,
        session: &Session,
        key: &RecordKey,
        stored: &Stored,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let sealed = key.seal(&session.id, stored);
        let keep = session.signed_in.plus(self.max_age).since(now);
        self.store.save(&session.id, stored.generation, &sealed, keep).await
    }

    /// Ends the sessions of the same user that are too many, the oldest first.
    async fn limit(&self, session: &Session, now: UnixTime) {
        if self.per_user == 0 {
            return;
        }
        match self.listed(&session.identity.user, now).await {
            Ok(mut listed) => {
                // The new one stays, whatever another replica's clock says.
                listed.sort_by_key(|one| (one.id != session.id, Reverse(one.signed_in), one.id));
                let _told =
                    self.end_these(&session.identity.user, listed.get(self.per_user..).unwrap_or_default()).await;
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "A user's sessions cannot be counted");
            }
        }
    }

    /// Whether `session` should be looked at again: it is due.
    #[must_use]
    pub fn is_ageing(&self, session: &Session, now: UnixTime) -> bool {
        session.due.is_some_and(|due| self.is_past(due, now))
    }

    /// When `session` is due, if that can be: what is farther away than `revalidate` was written when that time was longer.
    #[must_use]
    pub fn due(&self, session: &Session, now: UnixTime) -> Option<UnixTime> {
        session.due.filter(|due| *due <= now.plus(self.revalidate + CLOCK_LEEWAY))
    }

    /// Whether it is time for what is due at `due`. What is farther away than `revalidate` is due now: that time was longer once.
    #[must_use]
    pub fn is_past(&self, due: UnixTime, now: UnixTime) -> bool {
        !self.revalidate.is_zero() && (due <= now || due > now.plus(self.revalidate + CLOCK_LEEWAY))
    }

    /// Whether nobody could tell for too long, when that began at `since`.
    #[must_use]
    pub fn is_beyond_grace(&self, since: UnixTime, now: UnixTime) -> bool {
        now >= since.plus(self.outage_grace)
    }

    /// Whether a request with `session` would find it.
    #[must_use]
    pub fn has_not_ended(&self, session: &Session, now: UnixTime) -> bool {
        self.is_alive(session, now).is_ok()
    }

    /// When a session that is confirmed now is asked about again: after `revalidate`, or before an access token that is needed ends; `None` for
    /// never.
    #[must_use]
    pub fn next_due(&self, grant: &Grant, now: UnixTime) -> Option<UnixTime> {
        if self.revalidate.is_zero() {
            return None;
        }
        let due = now.plus(self.revalidate);
        let expires = grant.access_token.as_ref().filter(|_| self.keeps_access_tokens && grant.refresh_token.is_some());
        let renewed = expires.and_then(|token| token.expires).map(|expires| now.plus(expires.since(now) / 10 * 9));
        // A provider whose tokens end at once is not asked all the time.
        Some(renewed.map_or(due, |renewed| renewed.max(now.plus(SOONEST)).min(due)))
    }

    /// What of `grant` has a use here.
    #[must_use]
    pub fn kept_of(&self, grant: Grant) -> Grant {
        Grant { access_token: grant.access_token.filter(|_| self.keeps_access_tokens), ..grant }
    }

    /// Whether this replica has not known for too long which sessions have ended.
    #[must_use]
    pub fn is_cut_off(&self, now: UnixTime) -> bool {
        match self.ledger.standing() {
            Standing::InStep => false,
            Standing::CutOff { since } | Standing::Unread { since } => now >= since.plus(self.cut_off_grace),
        }
    }

    /// The record of `session`; `None` when there is none, or none that its key opens.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stored(&self, session: &Session) -> Result<Option<Stored>, StoreError> {
        let Some(key) = &session.record else { return Ok(None) };
        let found = self.store.load(&session.id).await?;
        Ok(found.and_then(|(generation, sealed)| key.open(&session.id, generation, &sealed)))
    }

    /// Replaces the record of `session`, unless there is a later one: then `false`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn store(&self, session: &Session, stored: &Stored, now: UnixTime) -> Result<bool, StoreError> {
        match &session.record {
            Some(key) => self.save(session, key, stored, now).await,
            None => Ok(false),
        }
    }

    /// Ends `session`: every copy of its cookie is dead, here at once, and its record is forgotten.
    pub async fn end(&self, session: &Session) -> Spread {
        self.end_one(&session.identity.user, session.id, session.signed_in).await
    }

    /// Ends the session `id` of `user`; `None` when they have none with that id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_listed(&self, user: &UserId, id: &SessionId, now: UnixTime) -> Result<Option<Spread>, StoreError> {
        let listed = self.listed(user, now).await?;
        match listed.iter().find(|one| one.id == *id) {
            Some(one) => Ok(Some(self.end_one(user, one.id, one.signed_in).await)),
            None => Ok(None),
        }
    }

    /// Ends some of the sessions that [`Sessions::listed`] found for `user`.
    pub async fn end_these(&self, user: &UserId, listed: &[Listed]) -> Spread {
        let entry = |one: &Listed| self.ends(one.id, one.signed_in);
        let (revocations, ids): (Vec<_>, Vec<_>) = listed.iter().map(|one| (entry(one), one.id)).unzip();
        let spread = self.ledger.end(&revocations).await;
        for id in &ids {
            let _unless_it_fails = self.store.forget(id).await;
        }
        let _unless_it_fails = self.store.unlist(AccountTag::of(user), &ids).await;
        spread
    }

    /// Ends whatever `what` stands for and has begun by now, on whichever replica.
    pub async fn end_all(&self, what: Revoked, now: UnixTime) -> Spread {
        let until = now.plus(CLOCKS_APART);
        self.ledger.end(&[Revocation { what, until, ends: until.plus(self.max_age) }]).await
    }

    /// A session's end is for good, whenever it was dated.
    fn ends(&self, id: SessionId, signed_in: UnixTime) -> Revocation {
        let ends = signed_in.plus(self.max_age);
        Revocation { what: Revoked::Session(id), until: ends, ends }
    }

    async fn end_one(&self, user: &UserId, id: SessionId, signed_in: UnixTime) -> Spread {
        let revocations = [self.ends(id, signed_in)];
        let (spread, ..) = tokio::join!(
            self.ledger.end(&revocations),
            // What cannot be removed now is of no use any more, and goes by itself.
            self.store.forget(&id),
            self.store.unlist(AccountTag::of(user), std::slice::from_ref(&id)),
        );
        spread
    }

    /// Whether somebody signed in with this session of a provider, lately enough to be signed in still.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn knows(&self, session: ProviderSessionTag) -> Result<bool, StoreError> {
        self.store.is_marked(session).await
    }

    /// Where records are.
    #[must_use]
    pub fn kept_in(&self) -> &Store {
        &self.store
    }
}

/// A generation after `last`. From the clock, so that a record that is written without having been read is the later one too.
#[must_use]
pub(super) fn generation(last: u32, now: UnixTime) -> u32 {
    u32::try_from(now.0).unwrap_or(u32::MAX).max(last.saturating_add(1))
}
