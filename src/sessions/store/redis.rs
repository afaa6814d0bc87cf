//! Redis as the store of several replicas: standalone, Sentinel or Cluster.
//!
//! | key | holds |
//! | --- | --- |
//! | `PREFIX:{SESSION}:r` | a record: its generation in four bytes, big-endian, and the sealed bytes |
//! | `PREFIX:{SESSION}:l` | a lock: its owner |
//! | `PREFIX:{ACCOUNT}:a` | a listing: a hash from session ids to sealed entries |
//! | `PREFIX:{PROVIDER SESSION}:m` | a mark: nothing |
//! | `PREFIX:log` | the log: a stream of [entries](entry) |
//!
//! * Every question is one command or one script, about one key: so it works in a cluster, and can be asked again without harm.
//! * Nobody waits longer than `timeout`, whatever has become of the server; and once it is known to be down, not at all. See [`link`].
//! * Scripts write, plain commands read: a server that is full still tells what it knows.

mod access;
mod cluster;
mod entry;
mod failure;
mod link;
mod log;
mod sentinel;

use std::{
    fmt::{self, Display},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use arc_swap::ArcSwap;
use redis::{Cmd, Value};
use tokio::time::Instant;

use self::{
    access::Access,
    cluster::Cluster,
    failure::Failure,
    link::{Link, Way},
    log::Trimmed,
    sentinel::Sentinels,
};
use super::{Owner, StoreError};
use crate::{
    secret::{Secret, random},
    sessions::{AccountTag, ProviderSessionTag, SessionId},
};

/// How Redis is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub location: Location,
    /// TLS on the way, to sentinels and nodes alike; `None` for plain TCP.
    pub tls: Option<Tls>,
    /// The ACL user; `None` for `default`.
    pub username: Option<Box<str>>,
    /// Their password.
    pub password: Option<Secret<String>>,
    /// The password of the sentinels themselves, where they have one.
    pub sentinel_password: Option<Secret<String>>,
    /// Every key begins with it: several gateways may share a Redis.
    pub prefix: Box<str>,
    /// From a question to its answer; a connection has three times as long.
    pub timeout: Duration,
}

/// Where Redis is. Addresses are `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// One server.
    Standalone {
        /// Its address.
        address: Box<str>,
        /// The number of its database.
        database: u16,
    },
    /// Sentinels that know which server is the primary.
    Sentinel {
        /// Their addresses.
        sentinels: Vec<Box<str>>,
        /// What they call the primary.
        primary: Box<str>,
        /// The number of its database.
        database: u16,
    },
    /// A cluster.
    Cluster {
        /// Addresses of some of its nodes; they know the others.
        nodes: Vec<Box<str>>,
    },
}

/// Whom we believe on the way to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM certificates to trust instead of the system's.
    pub ca: Option<Arc<[u8]>>,
}

/// Sessions that one account's listing holds at most; then one of the others goes, no matter which.
const MAX_LISTED: usize = 1_000;

/// The same record once more is no refusal: the answer to the first try may have been lost.
const SAVE: &str = "
local old = redis.call('GET', KEYS[1])
if old and #old >= 4 and struct.unpack('>I4', old) >= tonumber(ARGV[1]) then
  if old == ARGV[2] then return 1 end
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

const LOCK: &str = "
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

const UNLOCK: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

/// Redis 6 cannot make a time only longer by itself.
const LIST: &str = "
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  redis.call('HDEL', KEYS[1], redis.call('HRANDFIELD', KEYS[1]))
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1";

/// What an ACL user needs to be allowed, beside `~PREFIX:*`; `cluster|slots` in a cluster only.
#[cfg(test)]
pub(super) const RIGHTS: &str = "+get +set +del +exists +pexpire +pttl +hset +hdel +hexists +hlen +hgetall +hrandfield +xadd +xrange +xtrim +eval +select +cluster|slots";

/// Redis, connected to when it is first asked.
pub struct Redis {
    access: Arc<ArcSwap<Access>>,
    route: ArcSwap<Route>,
    trimmed: Trimmed,
    has_warned_of_entries: AtomicBool,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("settings", &self.access.load().settings).finish_non_exhaustive()
    }
}

/// Whom a question goes to.
#[derive(Debug)]
enum Route {
    /// The one server that there is, or the one that is the primary.
    One(Arc<Link>),
    /// The node that has the key.
    Cluster(Arc<Cluster>),
}

impl Route {
    fn new(location: &Location, access: &Arc<ArcSwap<Access>>) -> Self {
        let access = Arc::clone(access);
        match location {
            Location::Standalone { address, .. } => Self::One(Link::new(Way::Fixed(address.clone()), access)),
            Location::Sentinel { sentinels, primary, .. } => {
                let sentinels = Sentinels { addresses: sentinels.as_slice().into(), primary: primary.clone() };
                Self::One(Link::new(Way::Sentinels(sentinels), access))
            }
            Location::Cluster { nodes } => Self::Cluster(Cluster::new(nodes, access)),
        }
    }
}

impl Redis {
    pub(super) fn new(settings: &Settings) -> Self {
        let access = Arc::new(ArcSwap::from_pointee(Access::new(settings)));
        let route = ArcSwap::from_pointee(Route::new(&settings.location, &access));
        Self { access, route, trimmed: Trimmed::default(), has_warned_of_entries: AtomicBool::new(false) }
    }

    /// A connection that works is kept, and the next one made with what `settings` say; another place is gone to at once.
    pub(super) fn reconfigure(&self, settings: &Settings) {
        let before = self.access.swap(Arc::new(Access::new(settings)));
        if before.settings.location != settings.location || before.settings.tls != settings.tls {
            self.route.store(Arc::new(Route::new(&settings.location, &self.access)));
        } else {
            match &**self.route.load() {
                Route::One(link) => link.hurry(),
                Route::Cluster(cluster) => cluster.hurry(),
            }
        }
    }

    /// Does everything once that sessions do, with keys of its own.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        const KEEP: Duration = Duration::from_secs(10);
        let (id, owner, account) = (SessionId::random(), random(), AccountTag(random()));
        self.save(&id, 1, b"probe", KEEP).await?;
        if self.load(&id).await? != Some((1, b"probe".to_vec())) {
            return Err(StoreError::Answer("what was written is not what is read".into()));
        }
        self.forget(&id).await?;
        self.lock(&id, &owner, KEEP).await?;
        self.unlock(&id, &owner).await?;
        self.list(account, &id, b"probe", KEEP).await?;
        self.listed(account).await?;
        self.unlist(account, &[id]).await?;
        let mark = ProviderSessionTag(random());
        self.mark(mark, Duration::from_millis(1)).await?;
        self.is_marked(mark).await?;
        self.probe_log(&self.key(&id, "probe")).await
    }

    pub(super) async fn load(&self, id: &SessionId) -> Result<Option<(u32, Vec<u8>)>, StoreError> {
        let found = self.ask(&self.key(id, "r"), "GET", |_| {}).await?;
        if found == Value::Nil {
            return Ok(None);
        }
        let Value::BulkString(value) = found else { return Err(unexpected()) };
        let (generation, record) = value.split_first_chunk().ok_or_else(unexpected)?;
        Ok(Some((u32::from_be_bytes(*generation), record.to_vec())))
    }

    pub(super) async fn save(
        &self,
        id: &SessionId,
        generation: u32,
        record: &[u8],
        keep: Duration,
    ) -> Result<bool, StoreError> {
        let value = [&generation.to_be_bytes(), record].concat();
        self.run(SAVE, &self.key(id, "r"), |script| {
            script.arg(generation).arg(value).arg(milliseconds(keep));
        })
        .await
    }

    pub(super) async fn forget(&self, id: &SessionId) -> Result<(), StoreError> {
        self.ask(&self.key(id, "r"), "DEL", |_| {}).await.map(drop)
    }

    pub(super) async fn lock(&self, id: &SessionId, owner: &Owner, time: Duration) -> Result<bool, StoreError> {
        self.run(LOCK, &self.key(id, "l"), |script| {
            script.arg(owner.as_slice()).arg(milliseconds(time));
        })
        .await
    }

    pub(super) async fn unlock(&self, id: &SessionId, owner: &Owner) -> Result<(), StoreError> {
        self.run(UNLOCK, &self.key(id, "l"), |script| {
            script.arg(owner.as_slice());
        })
        .await
        .map(drop)
    }

    pub(super) async fn list(
        &self,
        account: AccountTag,
        id: &SessionId,
        entry: &[u8],
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.run(LIST, &self.key(&Hex(&account.0), "a"), |script| {
            script.arg(id.0.as_slice()).arg(entry).arg(milliseconds(keep)).arg(MAX_LISTED);
        })
        .await
        .map(drop)
    }

    pub(super) async fn unlist(&self, account: AccountTag, ids: &[SessionId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.ask(&self.key(&Hex(&account.0), "a"), "HDEL", |command| {
            for id in ids {
                command.arg(id.0.as_slice());
            }
        })
        .await
        .map(drop)
    }

    pub(super) async fn listed(&self, account: AccountTag) -> Result<Vec<(SessionId, Vec<u8>)>, StoreError> {
        let Value::Array(fields) = self.ask(&self.key(&Hex(&account.0), "a"), "HGETALL", |_| {}).await? else {
            return Err(unexpected());
        };
        let (pairs, _) = fields.as_chunks::<2>();
        let pair = |[id, entry]: &[Value; 2]| match (id, entry) {
            (Value::BulkString(id), Value::BulkString(entry)) => {
                Some((SessionId(id.as_slice().try_into().ok()?), entry.clone()))
            }
            _ => None,
        };
        pairs.iter().map(|fields| pair(fields).ok_or_else(unexpected)).collect()
    }

    pub(super) async fn mark(&self, session: ProviderSessionTag, keep: Duration) -> Result<(), StoreError> {
        self.ask(&self.key(&Hex(&session.0), "m"), "SET", |command| {
            command.arg("").arg("PX").arg(milliseconds(keep));
        })
        .await
        .map(drop)
    }

    pub(super) async fn is_marked(&self, session: ProviderSessionTag) -> Result<bool, StoreError> {
        truth(&self.ask(&self.key(&Hex(&session.0), "m"), "EXISTS", |_| {}).await?)
    }

    /// The braces keep what belongs together on one node of a cluster.
    fn key(&self, tag: &impl Display, kind: &str) -> String {
        format!("{}:{{{tag}}}:{kind}", self.access.load().settings.prefix)
    }

    /// The answer to `command`, `key` and what `arguments` add.
    async fn ask(&self, key: &str, command: &str, arguments: impl FnOnce(&mut Cmd)) -> Result<Value, StoreError> {
        let mut command = redis::cmd(command);
        command.arg(key);
        arguments(&mut command);
        self.send(key, &command).await
    }

    /// What `script` says, which is yes or no. It is sent whole each time: it is short, and Redis knows it again.
    async fn run(&self, script: &str, key: &str, arguments: impl FnOnce(&mut Cmd)) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(1).arg(key);
        arguments(&mut command);
        truth(&self.send(key, &command).await?)
    }

    async fn send(&self, key: &str, command: &Cmd) -> Result<Value, StoreError> {
        let until = Instant::now() + self.access.load().timeout();
        let route = self.route.load_full();
        let answer = match &*route {
            Route::One(link) => link.ask(command, false, until).await,
            Route::Cluster(cluster) => cluster.ask(key, command, until).await,
        };
        answer.map_err(Failure::into_error)
    }
}

/// Whole ones, and one at least: nothing is kept for no time.
fn milliseconds(time: Duration) -> u64 {
    // Ten thousand years; Redis adds it to the time of day and refuses what does not fit.
    const LONGEST: u64 = 315_360_000_000_000;
    u64::try_from(time.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

fn truth(answer: &Value) -> Result<bool, StoreError> {
    if let Value::Int(number) = answer { Ok(*number != 0) } else { Err(unexpected()) }
}

fn unexpected() -> StoreError {
    StoreError::Answer("a value of another kind".into())
}

/// Bytes in hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
