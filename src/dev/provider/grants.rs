//! What has been given out and not yet ended: codes, access tokens, refresh tokens.
//!
//! Each is random, expires, and lives in a store of bounded size that lets the oldest go first. A code or refresh token that
//! was used stays known as used until it expires, so that the second use is noticed.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};

use super::{logout::Refreshes, people::Person, request::Params};
use crate::{clock::UnixTime, secret};

/// RFC 6749 §4.1.2 allows ten minutes at most.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// Also that of ID tokens.
pub(super) const ACCESS_LIFETIME: Duration = Duration::from_secs(10 * 60);
const REFRESH_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Entries of each store.
const CAPACITY: usize = 10_000;

/// One sign-in: who, for which client, how.
#[derive(Debug)]
pub(super) struct Grant {
    /// The provider's session; a new one at every sign-in on the page of people.
    pub(super) sid: String,
    pub(super) client: String,
    pub(super) person: Person,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) auth_time: UnixTime,
    /// There are refresh tokens.
    pub(super) is_lasting: bool,
}

impl Grant {
    /// Whether `scope`, a single one, was granted.
    pub(super) fn has(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|granted| granted == scope)
    }
}

/// Somebody is signed in here, in one browser.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// As in its grants.
    pub(super) sid: String,
    pub(super) person: Person,
    pub(super) auth_time: UnixTime,
    /// Where it has been used.
    pub(super) clients: BTreeSet<String>,
}

/// A code: what it is for, and what it is bound to.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) grant: Arc<Grant>,
    pub(super) redirect_uri: String,
    /// RFC 7636: the S256 challenge, where PKCE is asked for.
    pub(super) challenge: Option<String>,
    pub(super) used: bool,
}

/// A refresh token.
#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) grant: Arc<Grant>,
    pub(super) used: bool,
}

/// An access token.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) grant: Arc<Grant>,
    pub(super) issued: UnixTime,
}

/// The stores.
pub(super) struct Grants {
    pub(super) codes: Store<Code>,
    pub(super) refresh: Store<Refresh>,
    pub(super) access: Store<Access>,
    /// By the name that the browser's cookie has.
    pub(super) sessions: Store<Session>,
    /// What has come of refresh tokens.
    pub(super) refreshes: Refreshes,
    /// Authorization requests that came ahead of the browser.
    pub(super) pushed: Store<Params>,
    /// Assertions (`jti`) that were used.
    pub(super) assertions: Used,
}

impl Grants {
    pub(super) fn new() -> Self {
        Self {
            codes: Store::new(CODE_LIFETIME, CAPACITY),
            refresh: Store::new(REFRESH_LIFETIME, CAPACITY),
            access: Store::new(ACCESS_LIFETIME, CAPACITY),
            sessions: Store::new(REFRESH_LIFETIME, CAPACITY),
            refreshes: Refreshes::default(),
            pushed: Store::new(CODE_LIFETIME, CAPACITY),
            assertions: Used::default(),
        }
    }

    /// Everything that came from one sign-in is over. Gives back the session, if there was one.
    pub(super) fn end(&mut self, sid: &str) -> Option<Session> {
        self.end_all(|grant| grant.sid == sid, |session| session.sid == sid).pop()
    }

    /// The same of all that these are about.
    pub(super) fn end_all(
        &mut self,
        grant: impl Fn(&Grant) -> bool,
        session: impl Fn(&Session) -> bool,
    ) -> Vec<Session> {
        self.codes.take(|code| grant(&code.grant));
        self.refresh.take(|refresh| grant(&refresh.grant));
        self.access.take(|access| grant(&access.grant));
        self.sessions.take(session)
    }
}

/// Names that count once.
#[derive(Default)]
pub(super) struct Used(HashSet<String>);

impl Used {
    /// Whether `name` is new. When there are too many, all are forgotten: what they belong to ends sooner than that.
    pub(super) fn insert(&mut self, name: String) -> bool {
        if self.0.len() >= CAPACITY {
            self.0.clear();
        }
        self.0.insert(name)
    }
}

/// Values under names nobody can guess. All live equally long, so the order of arrival is the order of expiry.
pub(super) struct Store<V> {
    lifetime: Duration,
    capacity: usize,
    entries: HashMap<String, Entry<V>>,
    order: VecDeque<String>,
}

struct Entry<V> {
    value: V,
    expires: UnixTime,
}

impl<V> Store<V> {
    fn new(lifetime: Duration, capacity: usize) -> Self {
        Self { lifetime, capacity, entries: HashMap::new(), order: VecDeque::new() }
    }

    /// Keeps `value` and tells its name.
    pub(super) fn insert(&mut self, value: V, now: UnixTime) -> String {
        while let Some(oldest) = self.order.front() {
            let is_alive = self.entries.get(oldest).is_some_and(|entry| now < entry.expires);
            if is_alive && self.order.len() < self.capacity {
                break;
            }
            self.entries.remove(oldest);
            self.order.pop_front();
        }
        let name = random_name();
        self.order.push_back(name.clone());
        self.entries.insert(name.clone(), Entry { value, expires: now.plus(self.lifetime) });
        name
    }

    /// What has that name, unless its time is over.
    pub(super) fn get(&mut self, name: &str, now: UnixTime) -> Option<&mut V> {
        self.entries.get_mut(name).filter(|entry| now < entry.expires).map(|entry| &mut entry.value)
    }

    /// Forgets what has that name.
    pub(super) fn remove(&mut self, name: &str) {
        self.entries.remove(name);
    }

    /// All of them, in no order; those whose time is over may be among them.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|entry| &entry.value)
    }

    /// Takes those away that `which` says.
    fn take(&mut self, which: impl Fn(&V) -> bool) -> Vec<V> {
        self.entries.extract_if(|_, entry| which(&entry.value)).map(|(_, entry)| entry.value).collect()
    }
}

/// 256 bits, in base64url.
pub(super) fn random_name() -> String {
    BASE64URL.encode(secret::random::<32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000);

    #[test]
    fn what_expired_is_gone_on_the_second() {
        let mut store = Store::new(Duration::from_secs(60), 10);
        let name = store.insert("x", NOW);
        assert!(store.get("other", NOW).is_none());
        assert!(store.get(&name, NOW.plus(Duration::from_secs(59))).is_some());
        assert!(store.get(&name, NOW.plus(Duration::from_secs(60))).is_none());
    }

    #[test]
    fn a_store_never_grows_beyond_its_capacity() {
        let mut store = Store::new(Duration::from_secs(60), 3);
        let names: Vec<String> = (0..10).map(|value| store.insert(value, NOW)).collect();
        assert_eq!((store.entries.len(), store.order.len()), (3, 3));
        assert!(store.get(&names[6], NOW).is_none());
        assert_eq!(store.get(&names[7], NOW), Some(&mut 7));
        // Ended ones leave their place in the order; that is bounded too.
        for value in 0..10 {
            let name = store.insert(value, NOW);
            store.remove(&name);
        }
        assert!(store.order.len() <= 3, "{}", store.order.len());
        store.insert(0, NOW.plus(Duration::from_secs(60)));
        assert_eq!((store.entries.len(), store.order.len()), (1, 1));
    }
}
