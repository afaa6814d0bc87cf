//! A single Redis, and everything that can happen to it. Whoever is signed in stays so, whoever is signed out too.

use std::{fs, time::Duration};

use crate::{
    fleet::until,
    outage::Outage,
    support::redis::{Redis, shim::Shim},
};

/// Longer than it takes until the provider has to be asked again about everybody.
const A_WHILE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn redis_is_killed_and_starts_again() {
    for persistence in [&[][..], &["--appendonly", "yes", "--appendfsync", "always"]] {
        let mut redis = Redis::start(persistence).await;
        let outage = Outage::ahead(&redis.url(), &[]).await;
        redis.kill();
        outage.lived_through(A_WHILE, redis.restart()).await;
    }
}

#[tokio::test]
async fn redis_hangs_for_ten_seconds() {
    let mut redis = Redis::start(&[]).await;
    let outage = Outage::ahead(&redis.url(), &[]).await;
    redis.freeze();
    outage.lived_through(Duration::from_secs(10), async { redis.thaw() }).await;
}

#[tokio::test]
async fn connections_break_in_the_middle_of_an_answer() {
    let redis = Redis::start(&[]).await;
    let mut shim = Shim::before(redis.port()).await;
    let outage = Outage::ahead(&shim.url(), &[]).await;
    shim.cut_after(7);
    outage.lived_through(A_WHILE, shim.heal()).await;
}

#[tokio::test]
async fn every_answer_takes_five_seconds() {
    let redis = Redis::start(&[]).await;
    let mut shim = Shim::before(redis.port()).await;
    let outage = Outage::ahead(&shim.url(), &[]).await;
    shim.delay(Duration::from_secs(5));
    outage.lived_through(A_WHILE, shim.heal()).await;
}

#[tokio::test]
async fn the_password_changes_and_is_told_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "first").unwrap();
    let mut redis = Redis::with_password("first").await;
    let told = [("session.store_password_file", file.to_str().unwrap())];
    let mut outage = Outage::ahead(&format!("redis://{}", redis.address()), &told).await;
    redis.rotate_password("second").await;
    outage.is_noticed().await;
    outage.is_lived_with(A_WHILE).await;
    fs::write(&file, "second").unwrap();
    for replica in &outage.fleet.replicas {
        replica.reload().await;
    }
    outage.is_over().await;
    outage.was_said_once();
    for replica in &outage.fleet.replicas {
        assert!(!replica.log().contains("second"), "the password is in the log");
    }
    outage.leaves_no_trace().await;
}

/// What is there can be read, and nothing can be written: sign-ins and sign-outs go on here, and are told to the others once there is room.
#[tokio::test]
async fn redis_is_full() {
    let redis = Redis::start(&["--maxmemory-policy", "noeviction"]).await;
    let mut outage = Outage::ahead(&redis.url(), &[]).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let cookie = outage.sign_somebody_out().await;
    let here = &outage.fleet.replicas[0];
    assert!(!here.knows(&outage.fleet.authority, &cookie).await);
    until("the log says that the store takes no writes", async || here.said().contains("not known to other replicas"))
        .await;
    tokio::time::sleep(A_WHILE).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]).await;
    outage.is_out_everywhere(&cookie).await;
    outage.leaves_no_trace().await;
}

/// The store loses what it has, or some of it, and answers all the time.
#[tokio::test]
async fn redis_forgets() {
    for what in ["the log", "records", "whatever comes", "everything"] {
        let redis = Redis::start(&[]).await;
        let mut outage = Outage::ahead(&redis.url(), &[]).await;
        match what {
            "the log" => forget(&redis, "*:log").await,
            "records" => forget(&redis, "*:r").await,
            "whatever comes" => {
                redis.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]).await;
                redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                redis.cli(&["CONFIG", "SET", "maxmemory", "0"]).await;
            }
            _ => {
                redis.cli(&["FLUSHALL"]).await;
            }
        }
        outage.sign_somebody_out().await;
        until("the log of what has ended is there again", async || !redis.keys("*:log").await.is_empty()).await;
        outage.leaves_no_trace().await;
    }
}

async fn forget(redis: &Redis, pattern: &str) {
    let keys = redis.keys(pattern).await;
    assert!(!keys.is_empty(), "no {pattern}");
    for key in keys {
        redis.cli(&["DEL", &key]).await;
    }
}
