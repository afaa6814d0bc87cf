//! Many browsers, many replicas, refresh tokens that are good for one use, and a provider that takes its time.

use std::{env, time::Duration};

use doorward::dev::provider::{Endpoint, Fault};

use crate::{
    crowd::{Crowd, Habits, Rotation},
    fleet::Fleet,
    support::redis::Redis,
};

const PEOPLE: usize = 50;
/// How long the provider takes to renew tokens.
const SLOW: Duration = Duration::from_secs(2);
/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(4);

/// Every browser asks all three gateways at once, again and again: whoever sees that a session is due must find out whether another does it
/// already. A refresh token that is used twice would end the session, and the crowd would complain.
#[tokio::test]
async fn a_session_is_refreshed_once_an_interval_whoever_asks() {
    let redis = Redis::start(&[]).await;
    let fleet = Fleet::start(3, &redis.url(), &[("session.revalidate", "4s")]).await;
    let habits = Habits { path: "/", rest: Duration::from_millis(500), is_parallel: true };
    let crowd = Crowd::gather(&fleet, &Rotation::of(&fleet), PEOPLE, habits).await;
    let signed_in = fleet.provider.requests(Endpoint::Token);
    fleet.provider.faults().lasting(Endpoint::Token, Fault::Delay(SLOW));
    let intervals: u32 = env::var("DOORWARD_TEST_INTERVALS").map_or(3, |count| count.parse().unwrap());
    // Due after an interval, known after the provider's time; the next one counts from there or from when it was asked.
    tokio::time::sleep(INTERVAL * intervals + SLOW).await;
    let asked = crowd.disperse().await;
    let refreshed = fleet.provider.requests(Endpoint::Token) - signed_in;
    println!("{PEOPLE} sessions, {intervals} intervals of {INTERVAL:?}: {asked} requests, {refreshed} refreshes");
    let intervals = intervals as usize;
    assert!(refreshed >= PEOPLE * (intervals - 1), "{refreshed} refreshes in {intervals} intervals");
    // The first came while people were signing in; the last may have begun.
    assert!(refreshed <= PEOPLE * (intervals + 1), "{refreshed} refreshes in {intervals} intervals");
}
