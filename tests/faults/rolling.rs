//! All gateways are replaced, one after the other, under load. A load balancer asks only those that are ready; nobody repeats a request.

use std::time::Duration;

use crate::{
    crowd::{Crowd, Habits, Rotation, sign_out, signed_in},
    fleet::Fleet,
    support::redis::Redis,
};

#[tokio::test]
async fn a_rolling_restart_is_not_noticed() {
    let redis = Redis::start(&[]).await;
    let mut fleet = Fleet::start(3, &redis.url(), &[]).await;
    let rotation = Rotation::of(&fleet);
    let quick = Habits { path: "/", rest: Duration::from_millis(50), is_parallel: false };
    // Under way when their gateway is told to stop.
    let slow = Habits { path: "/slow", rest: Duration::ZERO, is_parallel: false };
    let crowds = [Crowd::gather(&fleet, &rotation, 10, quick).await, Crowd::gather(&fleet, &rotation, 10, slow).await];
    let authority = fleet.authority.clone();
    let mut browser = signed_in(&authority, rotation.next().await, "victim").await;
    let cookie = sign_out(&mut browser, &authority, rotation.next().await).await;
    for replica in &mut fleet.replicas {
        rotation.take_out(replica.address).await;
        // Until those who were sent there have arrived.
        tokio::time::sleep(Duration::from_millis(200)).await;
        replica.stop().await;
        replica.run().await;
        assert!(!replica.knows(&authority, &cookie).await, "ready, and somebody who was signed out is let in");
        rotation.put_in(replica.address).await;
        // Until some are due at the provider.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for crowd in crowds {
        assert!(crowd.disperse().await > 30);
    }
}
