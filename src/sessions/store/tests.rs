//! What every store keeps to, and what becomes of a question when Redis does not.

#[expect(dead_code, unreachable_pub, reason = "nobody needs all of it")]
#[path = "../../../tests/it/support/redis.rs"]
mod servers;

mod contract;
mod faults;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Position, RedisSettings, RedisTls, Settings, Store, StoreError, redis::Location};
use crate::{
    clock::UnixTime,
    secret::{Secret, random},
    sessions::{
        SessionId,
        revocations::{Revocation, Revoked},
    },
};

const TIMEOUT: Duration = Duration::from_millis(300);

/// What a loaded machine may take on top of it.
const SLACK: Duration = Duration::from_secs(1);

const NOW: UnixTime = UnixTime(1_800_000_000);

const LONG: Duration = Duration::from_secs(3_600);

fn settings(location: Location) -> RedisSettings {
    RedisSettings {
        location,
        tls: None,
        username: None,
        password: None,
        sentinel_password: None,
        prefix: "doorward".into(),
        timeout: TIMEOUT,
    }
}

fn standalone(address: &str) -> RedisSettings {
    settings(Location::Standalone { address: address.into(), database: 0 })
}

fn store(settings: RedisSettings) -> Store {
    Store::new(&Settings::Redis(Box::new(settings)))
}

fn secret(text: &str) -> Option<Secret<String>> {
    Some(Secret::new(text.to_owned()))
}

/// Addresses in `scheme://one,two/rest`, and the rest.
fn parts(url: &str) -> (Vec<Box<str>>, &str) {
    let (_, url) = url.split_once("://").unwrap();
    let (addresses, rest) = url.split_once('/').unwrap_or((url, ""));
    (addresses.split(',').map(Box::from).collect(), rest)
}

fn at_cluster(cluster: &servers::cluster::Cluster) -> RedisSettings {
    settings(Location::Cluster { nodes: parts(&cluster.url()).0 })
}

fn at_sentinels(sentinel: &servers::sentinel::Sentinel) -> RedisSettings {
    let url = sentinel.url();
    let (sentinels, primary) = parts(&url);
    settings(Location::Sentinel { sentinels, primary: primary.into(), database: 0 })
}

fn ends(number: u64, ends: UnixTime) -> Revocation {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    Revocation { what: Revoked::Session(SessionId(id)), until: ends, ends }
}

/// Asks again until `is_so`: what happens elsewhere gives no sign to wait for.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < end, "{what}: not within 20 seconds");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How a question ended, in a word.
fn told<T>(answer: &Result<T, StoreError>) -> &'static str {
    match answer {
        Ok(_) => "fine",
        Err(StoreError::Unreachable(_)) => "unreachable",
        Err(StoreError::Refused(_)) => "refused",
        Err(StoreError::ReadOnly(_)) => "read-only",
        Err(StoreError::Answer(_)) => "answer",
    }
}
