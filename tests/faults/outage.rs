//! One outage of the store, from before it to after: three gateways, people who ask all the time, and people who are signed out before and
//! during it.

use std::{future::Future, time::Duration};

use doorward::dev::provider::Endpoint;

use crate::{
    crowd::{Crowd, ORDINARY, Rotation, sign_out, signed_in},
    fleet::{Fleet, pause, until},
};

/// What the log says when a gateway no longer learns what has been ended, and when it does again.
const CUT_OFF: &str = "not known here until";
const BACK: &str = "answers again: what has been ended";

const PEOPLE: usize = 5;

pub struct Outage {
    pub fleet: Fleet,
    crowd: Crowd,
    /// Cookies that no gateway may take any more.
    out: Vec<String>,
    victims: usize,
}

impl Outage {
    /// All is well, and somebody has signed out.
    pub async fn ahead(store: &str, more: &[(&str, &str)]) -> Self {
        let fleet = Fleet::start(3, store, more).await;
        let crowd = Crowd::gather(&fleet, &Rotation::of(&fleet), PEOPLE, ORDINARY).await;
        let mut outage = Self { fleet, crowd, out: Vec::new(), victims: 0 };
        let cookie = outage.sign_somebody_out().await;
        outage.is_out_everywhere(&cookie).await;
        outage
    }

    /// From where the store has just failed to where nobody has noticed it: `time` passes, then it is healed.
    pub async fn lived_through(mut self, time: Duration, healed: impl Future<Output = ()>) {
        self.is_noticed().await;
        self.is_lived_with(time).await;
        healed.await;
        self.is_over().await;
        self.was_said_once();
        self.leaves_no_trace().await;
    }

    /// Until every gateway has noticed and said so.
    pub async fn is_noticed(&self) {
        for replica in &self.fleet.replicas {
            until("the log says that the store fails", async || replica.said().contains(CUT_OFF)).await;
        }
    }

    /// People who ask go on asking; somebody signs out where the store cannot be told; every gateway is ready all the same, and says why one
    /// should look.
    pub async fn is_lived_with(&mut self, time: Duration) {
        for replica in &self.fleet.replicas {
            until("the gateway is ready, and says what is wrong", async || {
                let (status, text) = replica.readiness().await;
                assert_eq!(status, 200, "{text}");
                text.contains("store")
            })
            .await;
        }
        let cookie = self.sign_somebody_out().await;
        let here = &self.fleet.replicas[0];
        assert!(!here.knows(&self.fleet.authority, &cookie).await, "out at once where they asked");
        tokio::time::sleep(time).await;
        for replica in &self.fleet.replicas {
            assert_eq!(replica.readiness().await.0, 200);
        }
        self.crowd.must_be_content();
    }

    /// Until every gateway has said that it is over.
    pub async fn is_over(&self) {
        for replica in &self.fleet.replicas {
            until("the log says that the store is back", async || replica.said().contains(BACK)).await;
            let is_well = async || replica.readiness().await == (200, "ready\n".to_owned());
            until("the gateway says that all is well", is_well).await;
        }
    }

    /// Each gateway has said once what was wrong, and once that it is over.
    pub fn was_said_once(&self) {
        for replica in &self.fleet.replicas {
            let said = replica.said();
            let mut messages: Vec<_> = said.lines().filter(|line| line.contains("store")).collect();
            for once in [CUT_OFF, BACK] {
                assert_eq!(messages.iter().filter(|line| line.contains(once)).count(), 1, "{said}");
            }
            // And nothing else about it again and again.
            let all = messages.len();
            messages.sort();
            messages.dedup();
            assert!(all <= messages.len() + 1, "{said}");
        }
    }

    /// Nobody has noticed anything; who was signed out is out, also at a gateway that starts only now; and signing in and out works everywhere.
    pub async fn leaves_no_trace(mut self) {
        let late = self.sign_somebody_out().await;
        self.is_out_everywhere(&late).await;
        self.fleet.add(&[]).await;
        for cookie in std::mem::take(&mut self.out) {
            self.is_out_everywhere(&cookie).await;
        }
        // After an outage each gateway waits for its next try, half a minute at most.
        let asked = self.fleet.provider.requests(Endpoint::Token);
        until("the provider is asked again about those who stay", async || {
            self.fleet.provider.requests(Endpoint::Token) >= asked + PEOPLE
        })
        .await;
        assert!(self.crowd.disperse().await > 0);
    }

    /// Signs in at one gateway and out at the first.
    pub async fn sign_somebody_out(&mut self) -> String {
        self.victims += 1;
        let at = self.fleet.replicas[self.victims % 3].address;
        let authority = self.fleet.authority.clone();
        let mut browser = signed_in(&authority, at, &format!("victim-{}", self.victims)).await;
        let cookie = sign_out(&mut browser, &authority, self.fleet.replicas[0].address).await;
        self.out.push(cookie.clone());
        cookie
    }

    pub async fn is_out_everywhere(&self, cookie: &str) {
        for replica in &self.fleet.replicas {
            until("signed out everywhere", async || !replica.knows(&self.fleet.authority, cookie).await).await;
        }
        // And stays so.
        pause().await;
        for replica in &self.fleet.replicas {
            assert!(!replica.knows(&self.fleet.authority, cookie).await, "signed in again");
        }
    }
}
