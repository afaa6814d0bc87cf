//! The store of a gateway that stands alone: this process. Bounded, and gone at a restart.

mod bounded;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use self::bounded::{Bounded, after};
use super::{Owner, Page, Position, StoreError};
use crate::{
    clock::UnixTime,
    sessions::{AccountTag, ProviderSessionTag, SessionId, revocations::Revocation},
};

/// What a record takes beside its bytes, about: two maps know of it.
const RECORD_BYTES: usize = 200;

/// Bytes of the listings of all accounts.
const LISTING_BYTES: usize = 16 << 20;

/// Sessions that one account's listing holds at most; then one of the others goes, no matter which.
const MAX_LISTED: usize = 1_000;

const MAX_MARKS: usize = 200_000;

const MAX_LOCKS: usize = 100_000;

/// Entries of the log. Nobody needs it to learn anything: there is no other replica.
const MAX_LOG: usize = 10_000;

/// Everything in maps.
#[derive(Debug)]
pub struct Memory(Mutex<Maps>);

#[derive(Debug)]
struct Maps {
    records: Bounded<SessionId, (u32, Vec<u8>)>,
    listings: Bounded<AccountTag, HashMap<SessionId, Vec<u8>>>,
    marks: Bounded<ProviderSessionTag, ()>,
    locks: Bounded<SessionId, Owner>,
    log: VecDeque<Revocation>,
    /// Entries that have been dropped from the beginning of the log.
    dropped: usize,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Mutex::new(Maps {
            records: Bounded::new(bytes),
            listings: Bounded::new(LISTING_BYTES),
            marks: Bounded::new(MAX_MARKS),
            locks: Bounded::new(MAX_LOCKS),
            log: VecDeque::new(),
            dropped: 0,
        }))
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    pub(super) async fn load(&self, id: &SessionId) -> Result<Option<(u32, Vec<u8>)>, StoreError> {
        Ok(self.maps().records.get(id, Instant::now()).cloned())
    }

    pub(super) async fn save(
        &self,
        id: &SessionId,
        generation: u32,
        record: &[u8],
        keep: Duration,
    ) -> Result<bool, StoreError> {
        let (mut maps, now) = (self.maps(), Instant::now());
        if let Some((known, bytes)) = maps.records.get(id, now)
            && *known >= generation
        {
            return Ok(*known == generation && bytes == record);
        }
        let weight = RECORD_BYTES + record.len();
        match maps.records.insert(*id, (generation, record.to_vec()), weight, after(now, keep)) {
            true => Ok(true),
            false => Err(StoreError::ReadOnly("a record is larger than `session.store_memory_bytes`".into())),
        }
    }

    pub(super) async fn forget(&self, id: &SessionId) -> Result<(), StoreError> {
        self.maps().records.remove(id);
        Ok(())
    }

    pub(super) async fn lock(&self, id: &SessionId, owner: &Owner, time: Duration) -> Result<bool, StoreError> {
        let (mut maps, now) = (self.maps(), Instant::now());
        if maps.locks.get(id, now).is_some_and(|has| has != owner) {
            return Ok(false);
        }
        Ok(maps.locks.insert(*id, *owner, 1, after(now, time)))
    }

    pub(super) async fn unlock(&self, id: &SessionId, owner: &Owner) -> Result<(), StoreError> {
        let mut maps = self.maps();
        if maps.locks.get(id, Instant::now()) == Some(owner) {
            maps.locks.remove(id);
        }
        Ok(())
    }

    pub(super) async fn list(
        &self,
        account: AccountTag,
        id: &SessionId,
        entry: &[u8],
        keep: Duration,
    ) -> Result<(), StoreError> {
        let (mut maps, now) = (self.maps(), Instant::now());
        let until = maps.listings.until(&account).filter(|until| *until > now);
        let mut listing = maps.listings.remove(&account).filter(|_| until.is_some()).unwrap_or_default();
        if !listing.contains_key(id)
            && listing.len() >= MAX_LISTED
            && let Some(other) = listing.keys().next().copied()
        {
            listing.remove(&other);
        }
        listing.insert(*id, entry.to_vec());
        let until = until.unwrap_or(now).max(after(now, keep));
        maps.keep_listing(account, listing, until);
        Ok(())
    }

    pub(super) async fn unlist(&self, account: AccountTag, ids: &[SessionId]) -> Result<(), StoreError> {
        let mut maps = self.maps();
        let Some(until) = maps.listings.until(&account) else { return Ok(()) };
        let mut listing = maps.listings.remove(&account).unwrap_or_default();
        listing.retain(|id, _| !ids.contains(id));
        if !listing.is_empty() {
            maps.keep_listing(account, listing, until);
        }
        Ok(())
    }

    pub(super) async fn listed(&self, account: AccountTag) -> Result<Vec<(SessionId, Vec<u8>)>, StoreError> {
        let mut maps = self.maps();
        let listing = maps.listings.get(&account, Instant::now());
        Ok(listing.into_iter().flatten().map(|(id, entry)| (*id, entry.clone())).collect())
    }

    pub(super) async fn mark(&self, session: ProviderSessionTag, keep: Duration) -> Result<(), StoreError> {
        self.maps().marks.insert(session, (), 1, after(Instant::now(), keep));
        Ok(())
    }

    pub(super) async fn is_marked(&self, session: ProviderSessionTag) -> Result<bool, StoreError> {
        Ok(self.maps().marks.get(&session, Instant::now()).is_some())
    }

    pub(super) async fn append(&self, entries: &[Revocation], now: UnixTime) -> Result<(), StoreError> {
        let mut maps = self.maps();
        maps.log.extend(entries);
        // The last one stays, so that whoever has read it knows the log again.
        while maps.log.len() > MAX_LOG || maps.log.len() > 1 && maps.log.front().is_some_and(|one| one.ends <= now) {
            maps.log.pop_front();
            maps.dropped += 1;
        }
        Ok(())
    }

    pub(super) async fn read(&self, position: &Position, limit: usize) -> Result<Page, StoreError> {
        let maps = self.maps();
        let seen = number(position).max(maps.dropped);
        let entries: Vec<_> = maps.log.iter().skip(seen - maps.dropped).take(limit).copied().collect();
        let position = match entries.len() {
            0 => position.clone(),
            read => Position((seen + read).to_string().into()),
        };
        Ok(Page { entries, position })
    }

    pub(super) async fn still_has(&self, position: &Position) -> Result<bool, StoreError> {
        let (maps, number) = (self.maps(), number(position));
        Ok(number == 0 || (number > maps.dropped && number <= maps.dropped + maps.log.len()))
    }
}

impl Maps {
    fn keep_listing(&mut self, account: AccountTag, listing: HashMap<SessionId, Vec<u8>>, until: Instant) {
        let weight = RECORD_BYTES + listing.values().map(|entry| entry.len() + RECORD_BYTES / 4).sum::<usize>();
        self.listings.insert(account, listing, weight, until);
    }
}

/// How many entries have been before a position: the start has none.
fn number(position: &Position) -> usize {
    position.0.parse().unwrap_or(0)
}
