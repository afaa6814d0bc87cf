//! A session's provider is asked again: behind the browser's back with a refresh token, through the browser without one.

use std::{sync::Arc, time::Duration};

use doorward::dev::provider::{Fault, Signature};
use http::{Method, StatusCode};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Browser, Endpoint, Gate, browser::Answer, redis::Redis, soon};

const MINUTE: Duration = Duration::from_secs(60);
const REFRESHES: (&str, &str) = ("providers.dev.scopes", "openid,offline_access,groups");
const GROUPS: (&str, &str) = ("headers.claims.x_groups", "groups");
const SCRIPT: &[(&str, &str)] =
    &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin")];

async fn refreshing(more: &[(&str, &str)]) -> Gate {
    Gate::with(&[&[REFRESHES], more].concat()).await
}

/// What a script of the page gets, cookies kept.
async fn script(browser: &mut Browser, gate: &Gate) -> Answer {
    browser.send(Method::GET, &gate.url("/"), SCRIPT, "").await
}

fn granted(gate: &Gate) -> usize {
    gate.provider.refreshes().granted
}

#[tokio::test]
async fn nobody_is_asked_before_it_is_time() {
    let gate = refreshing(&[]).await;
    let mut browser = gate.signed_in("ada").await;
    gate.advance(5 * MINUTE - Duration::from_secs(1));
    let answer = browser.get(&gate.url("/")).await;
    assert_eq!((answer.status.as_u16(), granted(&gate)), (200, 0));
    assert_eq!(answer.set_cookies().len(), 0, "{answer:?}");
    gate.advance(Duration::from_secs(1));
    let answer = browser.get(&gate.url("/")).await;
    assert_eq!((answer.status.as_u16(), granted(&gate)), (200, 1));
    assert_eq!((answer.set_cookies().len(), answer.header("cache-control")), (1, "no-store"), "{answer:?}");
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(granted(&gate), 1);
}

#[tokio::test]
async fn zero_means_never() {
    for (key, value) in [REFRESHES, ("providers.dev.scopes", "openid")] {
        let gate = Gate::with(&[(key, value), ("session.revalidate", "0s"), ("session.idle_timeout", "12h")]).await;
        let mut browser = gate.signed_in("ada").await;
        gate.advance(60 * MINUTE);
        assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"), "{value}");
        assert_eq!((granted(&gate), gate.token_requests()), (0, 1), "{value}");
    }
}

/// T-092: groups that were given or taken are in force within the interval.
#[tokio::test]
async fn what_is_new_about_a_person_reaches_the_application() {
    let gate = refreshing(&[GROUPS]).await;
    let mut browser = gate.signed_in("ada").await;
    browser.get(&gate.url("/")).await;
    assert_eq!(gate.upstream.take_one().one("x-groups").as_deref(), Some("staff,engineering"));
    gate.provider.faults().id_tokens(|_, claims| {
        claims.insert("groups".to_owned(), json!(["staff"]));
    });
    gate.advance(5 * MINUTE);
    browser.get(&gate.url("/")).await;
    assert_eq!(gate.upstream.take_one().one("x-groups").as_deref(), Some("staff"), "with the same request");
    browser.get(&gate.url("/")).await;
    assert_eq!(gate.upstream.take_one().one("x-groups").as_deref(), Some("staff"), "and with the new cookie");
}

/// One flight, whoever asks, and old cookies find what came of it: a refresh token is good for one use.
#[tokio::test]
async fn a_session_is_refreshed_once_however_many_ask() {
    let gate = Arc::new(refreshing(&[]).await);
    let browser = gate.signed_in("ada").await;
    for interval in 1..=3 {
        gate.advance(5 * MINUTE);
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let (gate, mut copy) = (Arc::clone(&gate), browser.clone());
                tokio::spawn(async move { script(&mut copy, &gate).await.status })
            })
            .collect();
        for asked in asking {
            assert_eq!(asked.await.unwrap(), 200);
        }
        assert_eq!(granted(&gate), interval, "the cookie of the sign-in, again and again");
    }
    assert_eq!(gate.provider.refreshes().reused, 0);
}

#[tokio::test]
async fn whom_the_provider_has_ended_is_out() {
    let gate = refreshing(&[]).await;
    let (mut laptop, mut phone) = (gate.signed_in("ada").await, gate.signed_in("ada").await);
    let mut other = gate.signed_in("grace").await;
    let mut copy = laptop.clone();
    gate.provider.revoke("ada");
    assert_eq!(laptop.user(&gate).await.as_deref(), Some("ada"), "until it is asked");
    gate.advance(5 * MINUTE);
    let answer = script(&mut laptop, &gate).await;
    assert_eq!((answer.status.as_u16(), answer.set_cookies().len()), (401, 0), "no cookie is cleared: {answer:?}");
    assert_eq!(copy.user(&gate).await, None, "wherever it was copied to");
    assert_eq!(phone.user(&gate).await, None);
    assert_eq!(other.user(&gate).await.as_deref(), Some("grace"));
}

/// T-091, T-092: what ends a session, and what does not.
#[tokio::test]
async fn only_what_is_about_the_person_ends_a_session() {
    type Change = fn(&Gate);
    let cases: [(&str, Change, bool); 8] = [
        ("another subject", |gate| id_token(gate, "sub", json!("mallory")), false),
        ("another name for the user", |gate| id_token(gate, "preferred_username", json!("countess")), false),
        ("what is required is gone", |gate| id_token(gate, "department", json!("sales")), false),
        ("a bad signature", |gate| gate.provider.faults().next_signature(Signature::Unpublished), true),
        ("another issuer", |gate| id_token(gate, "iss", json!("https://evil.example")), true),
        ("another audience", |gate| id_token(gate, "aud", json!("somebody")), true),
        ("500", |gate| gate.provider.faults().next(Endpoint::Token, fault(500, &json!({}))), true),
        (
            "invalid_client",
            |gate| gate.provider.faults().next(Endpoint::Token, fault(401, &json!({"error": "invalid_client"}))),
            true,
        ),
    ];
    for (what, change, goes_on) in cases {
        let gate = refreshing(&[
            ("providers.dev.user_claim", "preferred_username"),
            ("providers.dev.required_claims.department", "research"),
        ])
        .await;
        gate.provider.faults().id_tokens(|_, claims| {
            claims.entry("preferred_username").or_insert(json!("ada"));
            claims.entry("department").or_insert(json!("research"));
        });
        let mut browser = gate.signed_in("ada").await;
        gate.advance(5 * MINUTE);
        change(&gate);
        assert_eq!(script(&mut browser, &gate).await.status == StatusCode::OK, goes_on, "{what}");
        gate.advance(MINUTE);
        assert_eq!(script(&mut browser, &gate).await.status == StatusCode::OK, goes_on, "{what}, at the next try");
        assert_eq!(gate.provider.refreshes().reused, 0, "{what}");
    }
}

fn id_token(gate: &Gate, claim: &'static str, value: serde_json::Value) {
    gate.provider.faults().next_id_token(move |_, claims| {
        claims.insert(claim.to_owned(), value);
    });
}

fn fault(status: u16, body: &serde_json::Value) -> Fault {
    Fault::json(StatusCode::from_u16(status).unwrap(), body)
}

/// T-119: nobody is out because the provider is, until the grace is over; and then as soon as it is back, everybody is in.
#[tokio::test]
async fn an_outage_of_the_provider_ends_nothing() {
    let gate = refreshing(&[("session.idle_timeout", "12h")]).await;
    let mut browser = gate.signed_in("ada").await;
    gate.provider.faults().lasting(Endpoint::Token, Fault::Close);
    for _ in 0..6 {
        gate.advance(11 * MINUTE);
        let asked = gate.token_requests();
        for _ in 0..3 {
            assert_eq!(script(&mut browser, &gate).await.status, 200);
        }
        assert!(gate.token_requests() <= asked + 1, "one try, not one a request");
    }
    gate.advance(6 * MINUTE);
    assert_eq!(script(&mut browser, &gate).await.status, 401, "an hour after the first try that failed");
    gate.provider.faults().clear_all();
    gate.advance(MINUTE);
    assert_eq!(script(&mut browser, &gate).await.status, 200, "nothing was ended");
    assert_eq!(granted(&gate), 1);
}

/// Whoever waits does not wait for ever, and whoever goes away does not break off what has been begun.
#[tokio::test]
async fn a_provider_that_takes_its_time_holds_nobody_up() {
    let gate = refreshing(&[]).await;
    let mut browser = gate.signed_in("ada").await;
    gate.advance(5 * MINUTE);
    let go_on = CancellationToken::new();
    gate.provider.faults().next(Endpoint::Token, Fault::Hold(go_on.clone()));
    let mut impatient = browser.clone();
    let broken_off = tokio::time::timeout(Duration::from_millis(500), script(&mut impatient, &gate)).await;
    assert!(broken_off.is_err(), "it waits");
    assert_eq!(script(&mut browser, &gate).await.status, 200, "as it was, after three seconds");
    let quick = tokio::time::timeout(Duration::from_secs(1), script(&mut browser, &gate)).await;
    assert_eq!(quick.expect("the others do not begin to wait anew").status, 200);
    assert_eq!(gate.token_requests(), 2);
    go_on.cancel();
    soon(async {
        while granted(&gate) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(script(&mut browser, &gate).await.status, 200);
    assert_eq!((granted(&gate), gate.provider.refreshes().reused, gate.token_requests()), (1, 0, 2));
}

/// The application gets an access token that is good, and nobody brings one of their own.
#[tokio::test]
async fn the_application_gets_the_access_token_it_needs() {
    let gate = refreshing(&[("access_token_header", "X-Access-Token")]).await;
    let mut browser = gate.signed_in("ada").await;
    let mut token = async |gate: &Gate| {
        gate.upstream.take();
        let answer = browser.send(Method::GET, &gate.url("/"), &[("x-access-token", "mine")], "").await;
        assert_eq!(answer.status, 200);
        gate.upstream.take_one().one("x-access-token")
    };
    let first = token(&gate).await.expect("a token");
    assert_eq!(token(&gate).await.as_ref(), Some(&first));
    assert_ne!(first, "mine");
    gate.advance(5 * MINUTE);
    let second = token(&gate).await.expect("a token");
    assert_ne!(first, second);
    assert_eq!(token(&gate).await, Some(second));
    assert_eq!(granted(&gate), 1);
}

/// Without a refresh token: a page goes through the provider and comes back as the same session; a script just goes on.
#[tokio::test]
async fn without_a_refresh_token_the_browser_asks() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let session = async |browser: &mut Browser| {
        let whoami = browser.send(Method::GET, &gate.url("/_auth/whoami"), &[], "").await.json();
        (whoami["user"].clone(), whoami["signed_in"].clone(), whoami["expires"].clone())
    };
    let before = session(&mut browser).await;
    gate.advance(5 * MINUTE);
    assert_eq!(script(&mut browser, &gate).await.status, 200, "a script cannot go there");
    let posted = browser.post(&gate.url("/form"), &[("a", "b")]).await;
    assert_eq!(posted.status, 200, "neither can a form");
    assert_eq!(gate.token_requests(), 1);
    let page = through_the_provider(&mut browser, &gate, "/deep?x=1").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/deep"));
    assert_eq!(gate.token_requests(), 2);
    assert_eq!(session(&mut browser).await, before, "it is the same session, and ends when it would have");
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"), "and not asked again");
}

/// Follows the redirects from `path` to a page, which may be the provider's; on the way there nobody is to be shown one.
async fn through_the_provider(browser: &mut Browser, gate: &Gate, path: &str) -> Answer {
    let mut answer = browser.get(&gate.url(path)).await;
    assert!(answer.location().contains("/_auth/login?"), "{answer:?}");
    answer = browser.get(&answer.location()).await;
    assert!(answer.location().contains("prompt=none"), "{answer:?}");
    for _ in 0..6 {
        if !answer.status.is_redirection() {
            break;
        }
        answer = browser.get(&answer.location()).await;
    }
    answer
}

#[tokio::test]
async fn who_is_not_known_there_any_more_is_asked_to_sign_in() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    gate.provider.revoke("ada");
    gate.advance(5 * MINUTE);
    let page = through_the_provider(&mut browser, &gate, "/deep").await;
    assert!(page.body.contains("Who do you want to be?"), "{page:?}");
    let callback = browser.choose(&page, &[("person", "grace")]).await;
    let back = browser.get(&callback).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/deep"));
    assert_eq!(browser.user(&gate).await.as_deref(), Some("grace"));
}

/// Somebody else has signed in there meanwhile, in the same browser: it is their session now, and the one before is over (T-052).
#[tokio::test]
async fn somebody_else_at_the_provider_is_somebody_else_here() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let mut copy = browser.clone();
    browser.sign_in_at(&gate.url("/_auth/login?rd=%2F"), "grace").await;
    for (key, value) in copy.cookies.clone() {
        if key.1 == "doorward" {
            browser.cookies.insert(key, value);
        }
    }
    assert_eq!(copy.user(&gate).await, None, "ended when grace signed in");
}

/// A check that comes to nothing because the provider is in trouble leaves everything as it was, for a minute.
#[tokio::test]
async fn a_provider_in_trouble_shows_nobody_its_trouble() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    gate.advance(5 * MINUTE);
    gate.provider.faults().next(Endpoint::Token, Fault::Close);
    let page = through_the_provider(&mut browser, &gate, "/deep").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/deep"));
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"), "not again at once");
    gate.advance(MINUTE);
    let page = through_the_provider(&mut browser, &gate, "/deep").await;
    assert_eq!((page.status.as_u16(), gate.token_requests()), (200, 3));

    // Nobody is sent to a provider that does not answer.
    gate.advance(6 * MINUTE);
    gate.provider.faults().lasting(Endpoint::Discovery, Fault::Close);
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_silently_is_not_asked() {
    let gate = Gate::with(&[("providers.dev.silent_check", "off")]).await;
    let mut browser = gate.signed_in("ada").await;
    gate.advance(30 * MINUTE);
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(gate.token_requests(), 1);
}

/// The store came back with what it had before the last refresh: a refresh token that has been used must not be used again. The browser is asked.
#[tokio::test]
async fn an_old_copy_of_the_store_ends_nothing() {
    let redis = Redis::start(&[]).await;
    let gate = refreshing(&[("session.store", &*redis.url())]).await;
    let mut browser = gate.signed_in("ada").await;
    let records = redis.cli(&["--raw", "KEYS", "*:r"]).await;
    let key = records.trim().to_owned();
    assert!(!key.is_empty() && !key.contains('\n'), "one record: {records}");
    redis.cli(&["COPY", &key, "old"]).await;
    gate.advance(5 * MINUTE);
    assert_eq!(script(&mut browser, &gate).await.status, 200);
    redis.cli(&["COPY", "old", &key, "REPLACE"]).await;
    gate.advance(5 * MINUTE);
    // Another replica, which remembers nothing.
    let replica = gate.replica(&[REFRESHES, ("session.store", &*redis.url())]).await;
    browser.moves(&gate, &replica);
    assert_eq!(script(&mut browser, &gate).await.status, 200);
    assert_eq!((granted(&gate), gate.provider.refreshes().reused), (1, 0));
    let page = through_the_provider(&mut browser, &gate, "/deep").await;
    assert_eq!(page.status, 200);
}

/// Claims that are too many for a cookie are in the record, where there is a store that outlives a restart.
#[tokio::test]
async fn many_groups_fit_where_there_is_a_store() {
    let mut redis = Redis::start(&[]).await;
    let store = [GROUPS, ("providers.dev.scopes", "openid,groups"), ("session.store", &*redis.url())];
    let gate = Gate::with(&store).await;
    let many: Vec<String> = (0..100).map(|n| format!("group-{n:0>12}")).collect();
    let expected = many.join(",");
    gate.provider.faults().id_tokens(move |_, claims| {
        claims.insert("groups".to_owned(), json!(many));
    });
    let mut browser = gate.signed_in("ada").await;
    assert!(browser.cookie(&gate, "doorward").unwrap().len() < 200);
    let replica = gate.replica(&store).await;
    browser.moves(&gate, &replica);
    for _ in 0..2 {
        assert_eq!(browser.get(&gate.url("/")).await.status, 200);
        assert_eq!(gate.upstream.take_one().one("x-groups").as_ref(), Some(&expected));
    }
    redis.freeze();
    assert_eq!(browser.get(&gate.url("/")).await.status, 200, "this replica has seen them");
    browser.moves(&gate, &gate);
    let answer = script(&mut browser, &gate).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "10"), "this one has not: {answer:?}");
    redis.thaw();
}

/// Two browsers of one person share nothing; where there is a limit, the oldest session ends.
#[tokio::test]
async fn a_user_has_as_many_sessions_as_are_allowed() {
    let gate = Gate::with(&[("session.per_user", "2")]).await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(gate.signed_in("ada").await);
        gate.advance(Duration::from_secs(1));
    }
    let mut other = gate.signed_in("grace").await;
    let mut users = Vec::new();
    for browser in &mut browsers {
        users.push(browser.user(&gate).await.is_some());
    }
    assert_eq!(users, [false, true, true]);
    // Signing in again in one of them costs the other nothing.
    let [_, laptop, phone] = &mut browsers[..] else { panic!() };
    laptop.sign_in_at(&gate.url("/_auth/login?rd=%2F"), "ada").await;
    assert_eq!(laptop.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(phone.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(other.user(&gate).await.as_deref(), Some("grace"));
}

/// A check is for sessions that have no other way, when it is time: nobody puts off what the provider would say, and no link of another site costs a
/// refresh token.
#[tokio::test]
async fn nobody_asks_for_a_check_that_is_not_due() {
    for (scopes, passed, is_check) in [
        ("openid,offline_access", 0, false),
        ("openid,offline_access", 6, false),
        ("openid", 0, false),
        ("openid", 6, true),
    ] {
        let gate = Gate::with(&[("providers.dev.scopes", scopes)]).await;
        let mut browser = gate.signed_in("ada").await;
        gate.advance(passed * MINUTE);
        let login = browser.get(&gate.url("/_auth/login?rd=%2F&check=1")).await;
        assert_eq!(login.header("location").contains("prompt=none"), is_check, "{scopes}, {passed} minutes: {login:?}");
    }
}

/// Whom the provider no longer lets in is out, whichever way it was asked.
#[tokio::test]
async fn a_check_that_refuses_the_person_ends_the_session() {
    let gate = Gate::with(&[("providers.dev.required_claims.department", "research")]).await;
    gate.provider.faults().id_tokens(|_, claims| {
        claims.entry("department").or_insert(json!("research"));
    });
    let mut browser = gate.signed_in("ada").await;
    gate.advance(5 * MINUTE);
    id_token(&gate, "department", json!("sales"));
    let page = through_the_provider(&mut browser, &gate, "/deep").await;
    assert_eq!(page.status, 403, "{page:?}");
    assert_eq!(script(&mut browser, &gate).await.status, 401);
}

/// Old cookies and old records are told from new ones by what can be, after the interval became shorter too.
#[tokio::test]
async fn a_shorter_interval_costs_nobody_a_refresh_token() {
    let gate = refreshing(&[("session.revalidate", "10h"), ("session.idle_timeout", "12h")]).await;
    let browser = gate.signed_in("ada").await;
    gate.reload(gate.settings(&[REFRESHES, ("session.revalidate", "5m"), ("session.idle_timeout", "12h")])).await;
    gate.advance(6 * MINUTE);
    for round in 1..=3 {
        // With the cookie of the sign-in, as the other requests of a page bring it.
        for _ in 0..2 {
            let mut tab = browser.clone();
            assert_eq!(script(&mut tab, &gate).await.status, 200, "{round}");
        }
        assert_eq!((granted(&gate), gate.provider.refreshes().reused), (round, 0));
        gate.advance(5 * MINUTE);
    }
}

/// What is new may be too much for a cookie: then it is in the record, or where there is none that lasts the session ends, rather than go on with
/// what was true before.
#[tokio::test]
async fn claims_that_outgrow_the_cookie_are_not_the_old_ones() {
    let redis = Redis::start(&[]).await;
    let many: Vec<String> = (0..100).map(|n| format!("group-{n:0>12}")).collect();
    for (store, status) in [(redis.url(), 200), ("memory".to_owned(), 401)] {
        let gate = refreshing(&[GROUPS, ("session.store", &*store)]).await;
        let mut browser = gate.signed_in("ada").await;
        let groups = json!(many);
        gate.provider.faults().id_tokens(move |_, claims| {
            claims.insert("groups".to_owned(), groups.clone());
        });
        gate.advance(5 * MINUTE);
        for _ in 0..2 {
            gate.upstream.take();
            assert_eq!(script(&mut browser, &gate).await.status, status, "{store}");
            if status == 200 {
                assert_eq!(gate.upstream.take_one().one("x-groups"), Some(many.join(",")));
            }
        }
        assert!(browser.cookie(&gate, "doorward").unwrap().len() < 300);
    }
}
