//! What the kinds send beyond an ordinary sign-in is as secret as a code (T-115): minted secrets, assertions, proofs, pushed requests, tokens
//! for directories. None of it reaches the log, at any level, whether the sign-in succeeds or not.

use std::sync::{Arc, Mutex};

use doorward::dev::provider::{Asked, Endpoint};
use serde_json::json;

use super::{
    back_with,
    facebook_github::{facebook, github, graph, hub},
    google, keycloak_gitlab,
    linkedin_apple::{answered, apples},
    logingov, microsoft,
};
use crate::support::{Log, Upstream, personality::World};

/// Parameters that are nobody's secret.
const PLAIN: [&str; 12] = [
    "grant_type",
    "redirect_uri",
    "client_id",
    "client_assertion_type",
    "response_type",
    "response_mode",
    "scope",
    "code_challenge_method",
    "realm",
    "fields",
    "per_page",
    "page",
];

/// What was sent, by the names of the parameters.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<(String, String)>>>);

impl Sent {
    /// Listens at an endpoint of the provider.
    fn at(&self, world: &World, endpoint: Endpoint) {
        let sent = self.clone();
        world.provider().quirks().require(endpoint, move |asked: &Asked<'_>| {
            for (name, value) in asked.query.iter().chain(&asked.form) {
                sent.add(name, value);
            }
            let authorization = asked.headers.get("authorization").and_then(|value| value.to_str().ok());
            if let Some((_, credentials)) = authorization.and_then(|value| value.split_once(' ')) {
                sent.add("authorization", credentials);
            }
            Ok(())
        });
    }

    /// Takes in what an API received.
    fn of(&self, api: &Upstream) {
        for request in api.take() {
            let query = request.target().split_once('?').map_or("", |(_, query)| query).as_bytes();
            for (name, value) in url::form_urlencoded::parse(query).chain(url::form_urlencoded::parse(&request.body)) {
                self.add(&name, &value);
            }
            for header in request.all("authorization") {
                self.add("authorization", header.split_once(' ').unwrap().1);
            }
        }
    }

    fn add(&self, name: &str, value: &str) {
        if !PLAIN.contains(&name) && value.len() >= 5 {
            self.0.lock().unwrap().push((name.to_owned(), value.to_owned()));
        }
    }

    /// None of it is in `log`; `needed` is among it.
    fn is_not_in(&self, log: &Log, needed: &[&str]) {
        let sent = self.0.lock().unwrap();
        for name in needed {
            assert!(sent.iter().any(|(found, _)| found == name), "the test has seen no {name}: {sent:?}");
        }
        let log = log.text();
        assert!(log.contains("TRACE"), "the log was listened to");
        for (name, value) in &*sent {
            let line = log.lines().find(|line| line.contains(value.as_str()));
            assert_eq!(line, None, "the log holds {name}");
        }
    }
}

#[tokio::test]
async fn proofs_of_the_client_reach_no_log() {
    let (log, sent) = (Log::capture(), Sent::default());
    let world = apples().await;
    sent.at(&world, Endpoint::Token);
    let mut browser = world.browser();
    let (action, fields) = answered(&world, &mut browser, &json!({})).await.form();
    for (name, value) in fields.iter().filter(|(name, _)| name != "iss") {
        sent.add(name, value);
    }
    assert_eq!(browser.post_across(&action, &fields).await.status, 303);

    let world = logingov::world(&[]).await;
    sent.at(&world, Endpoint::Token);
    world.sign_in("somebody", &json!({})).await.unwrap();

    let world = keycloak_gitlab::KEYCLOAK.world().await;
    for endpoint in [Endpoint::PushedRequests, Endpoint::Token] {
        sent.at(&world, endpoint);
    }
    let asked = world.authorization().await;
    sent.add("request_uri", &crate::support::personality::parameter(&asked, "request_uri").unwrap());
    world.sign_in("somebody", &json!({})).await.unwrap();
    sent.is_not_in(
        &log,
        &[
            "client_secret",
            "client_assertion",
            "code",
            "code_verifier",
            "request_uri",
            "user",
            "state",
            "authorization",
        ],
    );
}

#[tokio::test]
async fn what_directories_are_asked_with_reaches_no_log() {
    let (log, sent) = (Log::capture(), Sent::default());
    let graph_api = microsoft::graph().await;
    let world = microsoft::COMMON.with(&[("groups_endpoint", &microsoft::endpoint(&graph_api))]).await;
    let overage = json!({"tid": microsoft::OURS, "oid": "0a-1", "hasgroups": true});
    world.sign_in("somebody", &overage).await.unwrap();
    sent.of(&graph_api);

    for status in [200, 403] {
        let directory = google::directory(status).await;
        let (world, key, _file) = google::beside(&directory, &[]).await;
        world.sign_in("1", &google::somebody(&json!(true))).await.unwrap();
        sent.of(&directory);
        for line in key.serialize_pem().lines().filter(|line| !line.starts_with("-----")) {
            sent.add("key", line);
        }
    }
    sent.is_not_in(&log, &["assertion", "authorization", "key"]);
}

#[tokio::test]
async fn what_profiles_are_asked_with_reaches_no_log() {
    let (log, sent) = (Log::capture(), Sent::default());
    for me in [
        (200, json!({"id": "10158"})),
        (400, json!({"error": {"message": "x", "type": "OAuthException", "code": 190}})),
    ] {
        let api = graph(me).await;
        let world = facebook(&api, &[]).await;
        back_with(&world, &mut world.browser(), &[("code", "good")]).await;
        sent.of(&api);
    }
    let api = hub(None).await;
    let world = github(&api, &[]).await;
    back_with(&world, &mut world.browser(), &[("code", "good")]).await;
    sent.of(&api);
    sent.is_not_in(&log, &["appsecret_proof", "client_secret", "code_verifier", "authorization"]);
}
