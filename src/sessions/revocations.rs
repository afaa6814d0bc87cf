//! What has ended before its time, in this replica's memory: looked at by every request that brings a session.
//!
//! * An empty map costs a request one look at a number. Kinds of entries that are not there are not looked for, and most of what is not
//!   there is told without a lock.
//! * It is cut into parts with a lock each, so that nobody waits long for what is done to all of it.
//! * It is bounded. When it is full, what has ended for good makes room, then the entry that would have gone first, which is said once.

mod filter;
mod hash;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::BuildHasher,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use self::{filter::Filter, hash::Seeds};
use super::{AccountTag, ProviderSessionTag, Session, SessionId, SubjectTag};
use crate::{clock::UnixTime, identity::ProviderTag};

/// Whose sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One session, whenever it began: what is over stays so.
    Session(SessionId),
    /// Those that began with this session at the provider (`iss`, `sid`).
    ProviderSession(ProviderSessionTag),
    /// Those of this subject (`iss`, `sub`).
    Subject(SubjectTag),
    /// Those of this user identifier, wherever they signed in.
    Account(AccountTag),
    /// Those that began at this provider.
    Provider(ProviderTag),
}

/// Some sessions have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub what: Revoked,
    /// Those whose sign-in was at this time or earlier.
    pub until: UnixTime,
    /// When the last of them would have ended anyway: then nobody needs to remember.
    pub ends: UnixTime,
}

/// How many parts the map has: a million entries are about 4,000 in each, gone through in some ten microseconds.
pub(super) const PARTS: usize = 256;

/// A time that no entry has.
const NEVER: u32 = u32::MAX;

/// Which reading of the log, from its start, somebody is at; [`UNREAD`] is none.
pub(super) type Reading = u8;

/// No reading.
pub(super) const UNREAD: Reading = 0;

/// A bounded map of what has ended.
pub(super) struct Revocations {
    limit: usize,
    seeds: Seeds,
    parts: Box<[Part]>,
    counts: Counts,
    /// The part that is swept next.
    broom: AtomicUsize,
    has_warned: AtomicBool,
}

type Entries = HashMap<Revoked, Known, Seeds>;

#[derive(Debug)]
struct Part {
    entries: RwLock<Entries>,
    /// What `entries` holds, and for a while what it held. Written to by whoever has its lock.
    filter: Filter,
    /// No entry ends before this second; [`NEVER`] without entries.
    soonest: AtomicU32,
    /// Entries that went since the filter was made.
    gone: AtomicUsize,
}

/// What is known of one [`Revoked`]. Nothing in it is aligned: with its key it takes 26 bytes, and there may be millions.
#[derive(Clone, Copy, Debug)]
struct Known {
    until: [u8; 4],
    ends: [u8; 4],
    /// The last reading of the log that met this entry, or one that says as much.
    logged: Reading,
}

/// How many entries there are, so that nobody looks for what is not there.
#[derive(Debug, Default)]
struct Counts {
    all: AtomicUsize,
    sessions: AtomicUsize,
    provider_sessions: AtomicUsize,
    subjects: AtomicUsize,
    accounts: AtomicUsize,
    providers: AtomicUsize,
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("entries", &self.len()).finish_non_exhaustive()
    }
}

impl Revocations {
    pub(super) fn new(limit: usize) -> Self {
        let seeds = Seeds::new();
        let part = || Part {
            entries: RwLock::new(HashMap::with_hasher(seeds)),
            filter: Filter::new(limit.div_ceil(PARTS)),
            soonest: AtomicU32::new(NEVER),
            gone: AtomicUsize::new(0),
        };
        Self {
            limit,
            seeds,
            parts: std::iter::repeat_with(part).take(PARTS).collect(),
            counts: Counts::default(),
            broom: AtomicUsize::new(0),
            has_warned: AtomicBool::new(false),
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.counts.all.load(Ordering::Acquire)
    }

    /// The last sign-in that has ended among those like `session`'s; `None` when nobody ended any.
    pub(super) fn until(&self, session: &Session) -> Option<UnixTime> {
        if self.len() == 0 {
            return None;
        }
        let counts = &self.counts;
        // Whoever ended this very session did not ask when it had begun.
        let itself =
            self.found(&counts.sessions, || Revoked::Session(session.id)).map(|until| until.max(session.signed_in));
        let provider_session = session.provider_session;
        let at_provider =
            provider_session.and_then(|tag| self.found(&counts.provider_sessions, || Revoked::ProviderSession(tag)));
        let subject = self.found(&counts.subjects, || Revoked::Subject(session.subject));
        // The tag is a hash, dearer than everything else here.
        let account = self.found(&counts.accounts, || Revoked::Account(AccountTag::of(&session.identity.user)));
        let provider = self.found(&counts.providers, || Revoked::Provider(session.provider));
        [itself, at_provider, subject, account, provider].into_iter().flatten().max()
    }

    /// Whether it says more than what was known. What has ended for good says nothing.
    pub(super) fn add(&self, revocation: Revocation, now: UnixTime) -> bool {
        self.put(revocation, now, UNREAD)
    }

    /// The same for an entry that this reading of the log has met.
    pub(super) fn add_logged(&self, revocation: Revocation, now: UnixTime, reading: Reading) -> bool {
        self.put(revocation, now, reading)
    }

    /// What is known of `what`, if this reading of the log has not met it and it has not ended for good.
    pub(super) fn missing(&self, what: &Revoked, reading: Reading, now: UnixTime) -> Option<Revocation> {
        self.known(what).filter(|known| known.is_missing(reading, now)).map(|known| known.of(*what))
    }

    /// Whether this reading of the log has met what is known of `what`.
    pub(super) fn is_logged(&self, what: &Revoked, reading: Reading) -> bool {
        self.known(what).is_some_and(|known| known.logged == reading)
    }

    /// Everything [`missing`](Self::missing) in one of the [`PARTS`].
    pub(super) fn missing_in(&self, part: usize, reading: Reading, now: UnixTime) -> Vec<Revocation> {
        let Some(part) = self.parts.get(part) else { return Vec::new() };
        let entries = part.read();
        let missing = entries.iter().filter(|(_, known)| known.is_missing(reading, now));
        missing.map(|(what, known)| known.of(*what)).collect()
    }

    /// Forgets what has ended for good in one part, each time in the next.
    pub(super) fn sweep(&self, now: UnixTime) {
        let next = self.broom.fetch_add(1, Ordering::Relaxed) % PARTS;
        let now = seconds(now);
        if let Some(part) = self.parts.get(next).filter(|part| part.soonest.load(Ordering::Relaxed) <= now) {
            self.retain(part, &mut part.write(), |_, ends| ends > now);
        }
    }

    fn found(&self, count: &AtomicUsize, what: impl FnOnce() -> Revoked) -> Option<UnixTime> {
        (count.load(Ordering::Acquire) > 0).then(|| self.known(&what())).flatten().map(|known| known.until())
    }

    fn known(&self, what: &Revoked) -> Option<Known> {
        let hash = self.seeds.hash_one(what);
        let part = self.part(hash).filter(|part| part.filter.may_hold(hash))?;
        part.read().get(what).copied()
    }

    fn part(&self, hash: u64) -> Option<&Part> {
        // The maps use the lowest bits and the highest ones.
        self.parts.get((hash >> 32) as usize % PARTS)
    }

    fn put(&self, revocation: Revocation, now: UnixTime, logged: Reading) -> bool {
        let Revocation { what, until, ends } = revocation;
        let hash = self.seeds.hash_one(what);
        let Some(part) = self.part(hash).filter(|_| ends > now) else { return false };
        while self.len() >= self.limit && !part.read().contains_key(&what) && self.make_room(seconds(now)) {}
        let (until, ends) = (seconds(until), seconds(ends));
        let mut entries = part.write();
        let is_news = match entries.entry(what) {
            Entry::Occupied(mut entry) => entry.get_mut().merge(until, ends, logged),
            Entry::Vacant(entry) => {
                entry.insert(Known { until: until.to_ne_bytes(), ends: ends.to_ne_bytes(), logged });
                part.filter.add(hash);
                // Last: whoever sees the count finds the rest.
                self.counts.add(&what);
                true
            }
        };
        part.soonest.fetch_min(ends, Ordering::Relaxed);
        is_news
    }

    /// Takes out what has ended for good, in the part where something ends first; if nothing has, what ends first. `false` when there is
    /// nothing to take out.
    fn make_room(&self, now: u32) -> bool {
        loop {
            let first = self.parts.iter().min_by_key(|part| part.soonest.load(Ordering::Relaxed));
            let Some(part) = first.filter(|part| part.soonest.load(Ordering::Relaxed) != NEVER) else { return false };
            let mut entries = part.write();
            let first = entries.iter().map(|(what, known)| (known.ends(), *what)).min_by_key(|(ends, _)| *ends);
            let (ends, what) = first.map_or((NEVER, None), |(ends, what)| (ends, Some(what)));
            if ends > part.soonest.load(Ordering::Relaxed) {
                // What ended first here was prolonged, or is gone: perhaps another part has what ends first.
                part.soonest.store(ends, Ordering::Relaxed);
                continue;
            }
            if ends <= now {
                self.retain(part, &mut entries, |_, ends| ends > now);
            } else {
                self.retain(part, &mut entries, |other, _| Some(*other) != what);
                self.warn();
            }
            return true;
        }
    }

    fn retain(&self, part: &Part, entries: &mut Entries, stays: impl Fn(&Revoked, u32) -> bool) {
        let (before, mut soonest) = (entries.len(), NEVER);
        entries.retain(|what, known| {
            let ends = known.ends();
            let stays = stays(what, ends);
            if stays {
                soonest = soonest.min(ends);
            } else {
                self.counts.remove(what);
            }
            stays
        });
        part.soonest.store(soonest, Ordering::Relaxed);
        let gone = part.gone.load(Ordering::Relaxed) + before - entries.len();
        // Not with each entry that goes from a full map.
        let is_worth_it = gone > entries.len() / 4;
        part.gone.store(if is_worth_it { 0 } else { gone }, Ordering::Relaxed);
        if is_worth_it {
            part.filter.replace(entries.keys().map(|what| self.seeds.hash_one(what)));
        }
        // What one large sign-out took is given back when it is over.
        if entries.len() < entries.capacity() / 4 {
            let len = entries.len();
            entries.shrink_to(2 * len);
        }
    }

    fn warn(&self) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                list.limit = self.limit,
                "More sessions have been ended than `session.revocations` lets this gateway remember: those that would have ended first count again"
            );
        }
    }
}

impl Part {
    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        // Nothing can panic while the lock is held, so a poisoned one is as good as any.
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn until(&self) -> UnixTime {
        UnixTime(u32::from_ne_bytes(self.until).into())
    }

    fn ends(&self) -> u32 {
        u32::from_ne_bytes(self.ends)
    }

    fn of(self, what: Revoked) -> Revocation {
        Revocation { what, until: self.until(), ends: UnixTime(self.ends().into()) }
    }

    fn is_missing(&self, reading: Reading, now: UnixTime) -> bool {
        self.logged != reading && self.ends() > seconds(now)
    }

    /// Whether this becomes more by what somebody else knows.
    fn merge(&mut self, until: u32, ends: u32, logged: Reading) -> bool {
        let known = (u32::from_ne_bytes(self.until), self.ends());
        let both = (known.0.max(until), known.1.max(ends));
        if both != known {
            *self = Self { until: both.0.to_ne_bytes(), ends: both.1.to_ne_bytes(), logged: UNREAD };
        }
        // Two entries of the log that say as much only together are written once more, as one.
        if logged != UNREAD && both == (until, ends) {
            self.logged = logged;
        }
        both != known
    }
}

impl Counts {
    fn add(&self, what: &Revoked) {
        self.of(what).fetch_add(1, Ordering::Release);
        self.all.fetch_add(1, Ordering::Release);
    }

    fn remove(&self, what: &Revoked) {
        self.of(what).fetch_sub(1, Ordering::Release);
        self.all.fetch_sub(1, Ordering::Release);
    }

    fn of(&self, what: &Revoked) -> &AtomicUsize {
        match what {
            Revoked::Session(_) => &self.sessions,
            Revoked::ProviderSession(_) => &self.provider_sessions,
            Revoked::Subject(_) => &self.subjects,
            Revoked::Account(_) => &self.accounts,
            Revoked::Provider(_) => &self.providers,
        }
    }
}

/// Seconds as an entry holds them: good until 2106.
fn seconds(time: UnixTime) -> u32 {
    u32::try_from(time.0).unwrap_or(NEVER).min(NEVER - 1)
}

#[cfg(test)]
mod tests;
