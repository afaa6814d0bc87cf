//! A store of several servers: Sentinel promotes, a Cluster fails over and moves slots.

use std::time::Duration;

use crate::{
    outage::Outage,
    support::redis::{cluster::Cluster, sentinel::Sentinel},
};

/// Longer than it takes until the provider has to be asked again about everybody.
const A_WHILE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn the_primary_is_killed_and_another_is_promoted() {
    let mut sentinel = Sentinel::start().await;
    let outage = Outage::ahead(&sentinel.url(), &[]).await;
    let old = sentinel.kill_primary().await;
    outage.is_noticed().await;
    sentinel.await_new_primary(old).await;
    outage.is_over().await;
    outage.was_said_once();
    // It comes back as a replica; nobody may write there.
    sentinel.restart_killed().await;
    outage.leaves_no_trace().await;
}

/// Where the log is matters: each of the three masters is killed once.
#[tokio::test]
async fn a_node_of_a_cluster_is_killed_and_slots_move() {
    let mut cluster = Cluster::start(1).await;
    let mut outage = Outage::ahead(&cluster.url(), &[]).await;
    cluster.move_slots(0, 1, 2_000).await;
    cluster.await_whole().await;
    outage.sign_somebody_out().await;
    for master in 0..3 {
        cluster.kill_node(master);
        cluster.await_whole().await;
        let cookie = outage.sign_somebody_out().await;
        outage.is_out_everywhere(&cookie).await;
        tokio::time::sleep(A_WHILE).await;
        // As a replica of the one that took over.
        cluster.restart_node(master).await;
        cluster.await_whole().await;
    }
    outage.leaves_no_trace().await;
}
