//! What a session costs the store: the figures of docs/scaling.md, with `--nocapture`.

use std::time::Duration;

use doorward::dev::provider::Endpoint;

use crate::{
    crowd::{Crowd, ORDINARY, Rotation, sign_out, signed_in},
    fleet::Fleet,
    support::redis::Redis,
};

const PEOPLE: usize = 20;
const WATCHED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_session_costs_the_store_a_few_kilobytes_and_a_refresh_a_few_questions() {
    let redis = Redis::start(&[]).await;
    let fleet = Fleet::start(1, &redis.url(), &[]).await;
    let crowd = Crowd::gather(&fleet, &Rotation::of(&fleet), PEOPLE, ORDINARY).await;
    let mut victim = signed_in(&fleet.authority, fleet.replicas[0].address, "victim").await;
    let _ = sign_out(&mut victim, &fleet.authority, fleet.replicas[0].address).await;

    let mut bytes = [0; 2];
    for (of, suffix) in bytes.iter_mut().zip(["r", "a"]) {
        let keys = redis.keys(&format!("doorward:*:{suffix}")).await;
        assert!(keys.len() >= PEOPLE, "{keys:?}");
        for key in keys.iter().take(PEOPLE) {
            *of += redis.cli(&["MEMORY", "USAGE", key, "SAMPLES", "0"]).await.parse::<usize>().unwrap();
        }
    }
    let [record, listing] = bytes.map(|sum| sum / PEOPLE);

    // What is done inside a script counts as well there, so scripts and what is read are looked at apart.
    let scripts = async || redis.calls("eval").await + redis.calls("evalsha").await;
    let calls = async || [scripts().await, redis.calls("get").await, redis.calls("xrange").await];
    let (asked, refreshed) = (calls().await, fleet.provider.requests(Endpoint::Token));
    tokio::time::sleep(WATCHED).await;
    let refreshes = fleet.provider.requests(Endpoint::Token) - refreshed;
    let now = calls().await;
    crowd.disperse().await;
    let [scripts, gets] = [0, 1].map(|at| (now[at] - asked[at]) as f64 / refreshes as f64);
    let polls = (now[2] - asked[2]) as f64 / WATCHED.as_secs_f64();
    println!(
        "a record {record} bytes, a listing of one {listing} bytes; {refreshes} refreshes, each of {scripts:.1} scripts"
    );
    println!("and {gets:.1} GETs, those in scripts included; {polls:.1} looks a second at the log");
    assert!(record < 8_192 && listing < 2_048, "{record} and {listing} bytes");
    assert!(refreshes >= PEOPLE && (1.0..8.0).contains(&scripts), "{scripts} scripts in each of {refreshes} refreshes");
}
