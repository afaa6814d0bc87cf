//! A cluster: which node has which key, and the ways to them.
//!
//! The nodes say it themselves (`CLUSTER SLOTS`), and correct whoever asks the wrong one. A node that is down costs nobody anything but the keys
//! it had: each has a way of its own. Every question of ours is about one key.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use redis::{Cmd, Value};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    access::{Access, host_of},
    failure::Failure,
    link::{Link, Way},
    sentinel::address,
};
use crate::sessions::store::StoreError;

const SLOTS: u16 = 16_384;

/// Nodes that one question is sent to at most.
const MAX_HOPS: usize = 4;

/// The map is asked for at most once in this time.
const BETWEEN_MAPS: Duration = Duration::from_millis(200);

/// A cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    /// The nodes that are written in the configuration.
    seeds: Box<[Box<str>]>,
    access: Arc<ArcSwap<Access>>,
    links: Mutex<HashMap<Box<str>, Arc<Link>>>,
    map: watch::Sender<Map>,
    turn: AtomicUsize,
}

/// What is known about who has what.
#[derive(Clone, Debug, Default)]
struct Map {
    /// `None` until some node has said it.
    owners: Option<Arc<[Owner]>>,
    /// Why nobody says it, as of the last try.
    error: Option<StoreError>,
    is_asking: bool,
    asked: Option<Instant>,
}

/// Who has the slots from `first` to `last`.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    first: u16,
    last: u16,
    address: Box<str>,
}

impl Cluster {
    pub(super) fn new(seeds: &[Box<str>], access: Arc<ArcSwap<Access>>) -> Arc<Self> {
        Arc::new(Self {
            seeds: seeds.into(),
            access,
            links: Mutex::default(),
            map: watch::Sender::default(),
            turn: AtomicUsize::new(0),
        })
    }

    /// The answer to `command`, which is about `key`, at `until` at the latest.
    pub(super) async fn ask(self: &Arc<Self>, key: &str, command: &Cmd, until: Instant) -> Result<Value, Failure> {
        let slot = slot(key.as_bytes());
        let owners = self.owners(until).await?;
        let Some(owner) = owners.iter().find(|owner| (owner.first..=owner.last).contains(&slot)) else {
            self.look_again();
            return Err(StoreError::ReadOnly("no node of the cluster has the key".into()).into());
        };
        let (mut address, mut is_asking) = (owner.address.clone(), false);
        for _ in 0..MAX_HOPS {
            let failure = match self.link(&address).ask(command, is_asking, until).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            match failure {
                Failure::Moved(to) => {
                    self.look_again();
                    (address, is_asking) = (whole(&to, &address).ok_or_else(nowhere)?, false);
                }
                Failure::Asking(to) => (address, is_asking) = (whole(&to, &address).ok_or_else(nowhere)?, true),
                // Perhaps another node has taken its place.
                Failure::Broken(_) | Failure::Replica | Failure::Store(_) => {
                    self.look_again();
                    return Err(failure);
                }
            }
        }
        Err(nowhere().into())
    }

    /// As [`Link::hurry`].
    pub(super) fn hurry(&self) {
        self.links().values().for_each(|link| link.hurry());
    }

    fn links(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, address: &str) -> Arc<Link> {
        let mut links = self.links();
        if let Some(link) = links.get(address) {
            return Arc::clone(link);
        }
        let link = Link::new(Way::Node(address.into()), Arc::clone(&self.access));
        links.insert(address.into(), Arc::clone(&link));
        link
    }

    /// Who has what, waiting for the first answer to that but for no later one.
    async fn owners(self: &Arc<Self>, until: Instant) -> Result<Arc<[Owner]>, StoreError> {
        let mut watching = self.map.subscribe();
        if let Some(owners) = &watching.borrow().owners {
            return Ok(Arc::clone(owners));
        }
        let was_tried = self.map.borrow().error.clone();
        self.look_again();
        if let Some(error) = was_tried {
            return Err(error);
        }
        let known = watching.wait_for(|map| map.owners.is_some() || map.error.is_some());
        let Ok(Ok(map)) = timeout_at(until, known).await else {
            return Err(StoreError::Unreachable("no node of the cluster answers in time".into()));
        };
        let unknown = || StoreError::Unreachable("no node of the cluster answers".into());
        map.owners.clone().ok_or_else(|| map.error.clone().unwrap_or_else(unknown))
    }

    /// Asks for the map in the background, unless that has just been done.
    fn look_again(self: &Arc<Self>) {
        let begins = self.map.send_if_modified(|map| {
            let is_recent = map.asked.is_some_and(|asked| asked.elapsed() < BETWEEN_MAPS);
            let begins = !map.is_asking && !is_recent;
            if begins {
                (map.is_asking, map.asked) = (true, Some(Instant::now()));
            }
            begins
        });
        if begins {
            let cluster = Arc::clone(self);
            tokio::spawn(async move { cluster.ask_for_map().await });
        }
    }

    /// Every node once at most, each time beginning with another one: a node that is cut off from the others may still believe an old map.
    async fn ask_for_map(self: &Arc<Self>) {
        let mut nodes: Vec<Box<str>> = self.seeds.to_vec();
        if let Some(owners) = &self.map.borrow().owners {
            for owner in owners.iter().filter(|owner| !self.seeds.contains(&owner.address)) {
                if !nodes.contains(&owner.address) {
                    nodes.push(owner.address.clone());
                }
            }
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % nodes.len().max(1);
        nodes.rotate_left(first);
        let mut question = redis::cmd("CLUSTER");
        question.arg("SLOTS");
        let mut found = Err(StoreError::Unreachable("no node of the cluster answers".into()));
        for node in nodes {
            let until = Instant::now() + self.access.load().timeout();
            let answer = self.link(&node).ask(&question, false, until).await;
            let read = |answer: Value| owners(&answer, &node).ok_or_else(no_cluster);
            found = answer.map_err(Failure::into_error).and_then(read);
            if found.is_ok() {
                break;
            }
        }
        if let Ok(owners) = &found {
            self.links().retain(|address, _| {
                self.seeds.contains(address) || owners.iter().any(|owner| owner.address == *address)
            });
        }
        self.map.send_modify(|map| {
            map.is_asking = false;
            match found {
                Ok(owners) => (map.owners, map.error) = (Some(owners), None),
                Err(error) => map.error = Some(error),
            }
        });
    }
}

fn nowhere() -> StoreError {
    StoreError::Answer("a node of the cluster sends us to no other".into())
}

fn no_cluster() -> StoreError {
    StoreError::Answer("it is no node of a cluster with keys".into())
}

/// The answer to `CLUSTER SLOTS` of the node at `asked`; `None` when it is none, or nobody has anything.
fn owners(answer: &Value, asked: &str) -> Option<Arc<[Owner]>> {
    let Value::Array(ranges) = answer else { return None };
    let owner = |range: &Value| {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = parts.as_slice() else { return None };
        let [host, Value::Int(port), ..] = primary.as_slice() else { return None };
        // A node that does not know its own address, or how we should call it, means itself as we called it.
        let host = if let Value::BulkString(host) = host
            && !host.is_empty()
            && host != b"?"
        {
            host
        } else if matches!(host, Value::BulkString(_) | Value::Nil) {
            host_of(asked).as_bytes()
        } else {
            return None;
        };
        let slot = |number: &i64| u16::try_from(*number).ok().filter(|slot| *slot < SLOTS);
        Some(Owner { first: slot(first)?, last: slot(last)?, address: address(host, port.to_string().as_bytes())? })
    };
    let owners: Option<Arc<[Owner]>> = ranges.iter().map(owner).collect();
    owners.filter(|owners| !owners.is_empty())
}

/// Where a redirection leads, which names no host when it means the one that was asked, and IPv6 without brackets.
fn whole(to: &str, asked: &str) -> Option<Box<str>> {
    let (host, port) = to.rsplit_once(':')?;
    let host = if host.is_empty() { host_of(asked) } else { host.trim_matches(['[', ']']) };
    address(host.as_bytes(), port.as_bytes())
}

/// The slot of a key: CRC-16 (XMODEM) of the part in its first braces, or of all of it.
fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let open = key.iter().position(|b| *b == b'{')? + 1;
        let rest = key.get(open..)?;
        let close = rest.iter().position(|b| *b == b'}').filter(|length| *length > 0)?;
        rest.get(..close)
    };
    let step = |crc: u16, bit: u16| if crc & 0x8000 == bit { crc << 1 } else { crc << 1 ^ 0x1021 };
    let crc = tag()
        .unwrap_or(key)
        .iter()
        .fold(0, |crc: u16, byte| (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| step(crc, 0)));
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_slot_that_redis_gives_it() {
        // CLUSTER KEYSLOT says so.
        for (key, expected) in [
            ("123456789", 12_739),
            ("foo", 12_182),
            ("", 0),
            ("doorward:{foo}:r", 12_182),
            ("{foo}{bar}", 12_182),
            ("foo{}{bar}", 8_363),
            ("{foo", slot(b"{foo")),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(host: Value) -> Value {
        let node = Value::Array(vec![host, Value::Int(7_001), text("id"), Value::Array(Vec::new())]);
        Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(5_460), node.clone(), node])])
    }

    #[test]
    fn a_map_is_read_whole_or_not_at_all() {
        let read = |answer: &Value| owners(answer, "seed.internal:7000").map(|owners| owners[0].address.to_string());
        for (host, expected) in [
            (text("10.0.0.1"), Some("10.0.0.1:7001")),
            (text("fd00::1"), Some("[fd00::1]:7001")),
            (text(""), Some("seed.internal:7001")),
            (text("?"), Some("seed.internal:7001")),
            (Value::Nil, Some("seed.internal:7001")),
            (Value::Int(1), None),
        ] {
            assert_eq!(read(&range(host.clone())).as_deref(), expected, "{host:?}");
        }
        let broken = Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(16_384), Value::Array(vec![])])]);
        for answer in [Value::Nil, Value::Okay, Value::Array(vec![]), Value::Array(vec![Value::Nil]), broken] {
            assert_eq!(read(&answer), None, "{answer:?}");
        }
    }

    #[test]
    fn a_redirection_without_a_host_stays_there() {
        for (to, asked, expected) in [
            ("10.0.0.2:7002", "10.0.0.1:7001", "10.0.0.2:7002"),
            (":7002", "10.0.0.1:7001", "10.0.0.1:7002"),
            (":7002", "[fd00::1]:7001", "[fd00::1]:7002"),
            ("fd00::2:7002", "[fd00::1]:7001", "[fd00::2]:7002"),
        ] {
            assert_eq!(whole(to, asked).as_deref(), Some(expected));
        }
    }
}
