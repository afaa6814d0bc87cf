//! How soon every gateway knows that somebody has signed out.

use std::{
    env,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    crowd::{sign_out, signed_in},
    fleet::{Fleet, knows},
    support::{
        redis::{Redis, shim::Shim},
        soon,
    },
};

/// Sign-outs that are measured.
const SIGN_OUTS: usize = 120;
/// Under way at the same time.
const AT_ONCE: usize = 6;

#[tokio::test]
async fn a_sign_out_is_known_everywhere_within_a_second() {
    let redis = Redis::start(&[]).await;
    let fleet = Fleet::start(3, &redis.url(), &[]).await;
    let mut measuring = JoinSet::new();
    for worker in 0..AT_ONCE {
        let (places, authority) = (fleet.addresses(), fleet.authority.clone());
        measuring.spawn(async move {
            let mut took = Vec::new();
            for number in 0..SIGN_OUTS / AT_ONCE {
                let (from, at) = (places[number % 3], places[(number + worker) % 3]);
                let mut browser = signed_in(&authority, from, &format!("victim-{worker}-{number}")).await;
                for place in &places {
                    assert!(knows(*place, &authority, &browser.cookies_for(&authority)).await);
                }
                let since = Instant::now();
                let cookie = sign_out(&mut browser, &authority, at).await;
                out_everywhere(&places, &authority, &cookie).await;
                took.push(since.elapsed());
            }
            took
        });
    }
    let mut took = measuring.join_all().await.concat();
    took.sort();
    let (median, p99, last) = (took[took.len() / 2], took[took.len() * 99 / 100], took[took.len() - 1]);
    println!("{} sign-outs, known everywhere: median {median:?}, p99 {p99:?}, slowest {last:?}", took.len());
    assert!(p99 <= Duration::from_secs(1), "{p99:?}");
}

/// One gateway cannot reach the store for a while. Whoever signs out elsewhere meanwhile is out there soon after, and the other way round.
#[tokio::test]
async fn a_gateway_that_was_cut_off_catches_up_within_two_seconds() {
    let partition = env::var("DOORWARD_TEST_PARTITION").map_or(5, |seconds| seconds.parse().unwrap());
    let redis = Redis::start(&[]).await;
    let mut shim = Shim::before(redis.port()).await;
    let mut fleet = Fleet::start(2, &redis.url(), &[]).await;
    fleet.add(&[("session.store", &shim.url())]).await;
    let (places, authority) = (fleet.addresses(), fleet.authority.clone());
    let mut browsers = Vec::new();
    for number in 0..20 {
        browsers.push(signed_in(&authority, places[number % 3], &format!("victim-{number}")).await);
    }
    shim.swallow();
    let mut cookies = Vec::new();
    for (number, mut browser) in browsers.into_iter().enumerate() {
        cookies.push(sign_out(&mut browser, &authority, places[number % 3]).await);
    }
    tokio::time::sleep(Duration::from_secs(partition)).await;
    // Otherwise nothing was cut off.
    let cut_off = fleet.replicas[2].address;
    assert!(knows(cut_off, &authority, &cookies[0]).await, "signed out at the first");
    assert!(knows(places[0], &authority, &cookies[2]).await, "signed out at the last");
    shim.heal().await;
    let since = Instant::now();
    for cookie in &cookies {
        out_everywhere(&places, &authority, cookie).await;
    }
    let took = since.elapsed();
    println!("caught up {took:?} after {partition} s");
    assert!(took <= Duration::from_secs(2), "{took:?}");
}

async fn out_everywhere(places: &[SocketAddr], authority: &str, cookie: &str) {
    soon(async {
        for place in places {
            while knows(*place, authority, cookie).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    })
    .await;
}
