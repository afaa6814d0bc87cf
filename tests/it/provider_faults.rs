//! A provider that gets something wrong (C.8, T-107, T-118, T-119): a page that names the cause, and no session.

use std::time::Duration;

use bytes::Bytes;
use doorward::dev::provider::{Fault, JsonObject};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Browser, Endpoint, Gate, Log, Upstream, gate};

/// Writes what `patch` has into `object`; `null` takes a member away.
fn patch(object: &mut JsonObject, patch: &Value) {
    for (name, value) in patch.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}

/// Signs in with an ID token that has these changes; what the callback answers, and whether there is a session then.
pub async fn with_token(gate: &Gate, header: Value, claims: Value) -> (u16, String, bool) {
    gate.provider.faults().next_id_token(move |own_header, own_claims| {
        patch(own_header, &header);
        patch(own_claims, &claims);
    });
    signed_in(gate).await
}

pub async fn signed_in(gate: &Gate) -> (u16, String, bool) {
    let mut browser = Browser::new();
    let back = browser.sign_in(gate, "ada").await;
    (back.status.as_u16(), back.text(), browser.cookie(gate, "doorward").is_some())
}

/// T-107: whatever the token endpoint does, it is one request, a bounded answer, and a page.
#[tokio::test]
async fn a_token_endpoint_that_does_not_answer_signs_nobody_in() {
    let gate = Gate::with(&[("limits.provider_timeout", "500ms"), ("limits.provider_answer_bytes", "64KiB")]).await;
    let json = |status, body: Value| Fault::json(StatusCode::from_u16(status).unwrap(), &body);
    let elsewhere = Fault::Redirect(gate.upstream.url());
    for (fault, status) in [
        (json(400, json!({"error": "invalid_grant"})), 400),
        (json(200, json!({"error": "invalid_client"})), 502),
        (json(401, json!({"error": "invalid_client", "error_description": "<script>"})), 502),
        (json(400, json!({"error": "<script>"})), 502),
        (json(500, json!({"message": "x"})), 502),
        (json(200, json!([])), 502),
        (json(200, json!({})), 502),
        (Fault::text(StatusCode::OK, "application/json", "{"), 502),
        (Fault::text(StatusCode::OK, "text/html", "<html><script>"), 502),
        (Fault::text(StatusCode::OK, "application/x-www-form-urlencoded", "access_token=a&id_token=b"), 502),
        (Fault::text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "busy"), 502),
        (elsewhere, 502),
        (Fault::Close, 502),
        (Fault::Endless { chunk: Bytes::from_static(&[b' '; 4096]), every: Duration::ZERO }, 502),
        (Fault::Endless { chunk: Bytes::from_static(b" "), every: Duration::from_millis(20) }, 502),
        (Fault::Hold(tokio_util::sync::CancellationToken::new()), 502),
    ] {
        let before = gate.token_requests();
        let case = format!("{fault:?}");
        gate.provider.faults().next(Endpoint::Token, fault);
        let (answered, page, has_session) = signed_in(&gate).await;
        assert_eq!((answered, has_session), (status, false), "{case}: {page}");
        assert!(!page.contains("<script"), "{case}: {page}");
        assert_eq!(gate.token_requests() - before, 1, "{case}: asked once");
    }
    gate.upstream.nothing();
    assert_eq!(signed_in(&gate).await.0, 303, "and then it works again");
}

/// T-118, T-107: without metadata there is no login, and everything else works.
#[tokio::test]
async fn a_provider_that_is_down_at_start_stops_only_the_login() {
    // An address of its own on loopback, so that nobody else listens there in the meantime.
    let listener = TcpListener::bind("127.0.7.1:0").await.unwrap();
    let issuer = listener.local_addr().unwrap();
    drop(listener);
    let healthy = Gate::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}", listener.local_addr().unwrap());
    let provider = gate::provider_called(format!("http://{issuer}"), &public, &healthy.clock);
    let more = [("upstream", "-"), ("file", gate::ROUTES), ("limits.provider_min_interval", "30s")];
    let gate = Gate::beside(listener, provider.clone(), Upstream::start().await, healthy.clock.clone(), &more);

    let mut browser = Browser::new();
    for (passed, retry_after) in [(0, "30"), (10, "20"), (19, "1")] {
        gate.advance(Duration::from_secs(passed));
        let login = browser.get(&gate.url("/_auth/login?rd=%2Fx")).await;
        assert_eq!((login.status.as_u16(), login.header("retry-after")), (503, retry_after), "{login:?}");
        assert!(login.header("content-type").starts_with("text/html") && login.set_cookies().is_empty(), "{login:?}");
    }
    assert_eq!(gate.ask("GET /public/x", &[]).await.status, 200);
    assert_eq!(gate.ask("GET /x", &[]).await.status, 401);
    assert_eq!(gate.ask("GET /_auth/whoami", &[]).await.status, 401);

    let listener = TcpListener::bind(issuer).await.unwrap();
    tokio::spawn(provider.serve(listener, std::future::pending()));
    gate.advance(Duration::from_secs(1));
    assert_eq!(browser.sign_in_at(&gate.url("/x"), "ada").await.header("location"), "/x");
}

/// T-118, T-119: who is signed in stays so, after a restart too, and costs the provider nothing.
#[tokio::test]
async fn sessions_outlive_the_provider() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let all = [
        Endpoint::Discovery,
        Endpoint::Keys,
        Endpoint::Authorization,
        Endpoint::Token,
        Endpoint::Userinfo,
        Endpoint::Introspection,
    ];
    for endpoint in all {
        gate.provider.faults().lasting(endpoint, Fault::Close);
    }
    let asked = || all.map(|endpoint| gate.provider.requests(endpoint));
    let before = asked();
    let restarted = gate.replica(&[]).await;
    for round in 0..20 {
        if round == 10 {
            browser.moves(&gate, &restarted);
        }
        assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
        gate.advance(Duration::from_secs(1_800));
    }
    // A page that is opened when a check is due asks whether the provider is there, and a start asks for the metadata: nothing else is asked.
    let [discovery, rest @ ..] = asked();
    assert_eq!(rest, before[1..]);
    assert!(discovery <= before[0] + 1 + 20, "{discovery} in 20 half hours");
    let login = browser.get(&restarted.url("/_auth/login")).await;
    assert_eq!(login.status, 503, "{login:?}");
}

/// T-119, T-107: whatever comes instead of metadata or keys, the old ones serve on, and the first ones are waited for within bounds.
#[tokio::test]
async fn metadata_and_keys_that_are_none_are_a_503() {
    let gate = Gate::start().await;
    let quick = [("limits.provider_timeout", "500ms"), ("limits.provider_answer_bytes", "64KiB")];
    for endpoint in [Endpoint::Discovery, Endpoint::Keys] {
        for fault in [
            Fault::Close,
            Fault::Redirect(gate.upstream.url()),
            Fault::text(StatusCode::OK, "application/json", "{"),
            Fault::text(StatusCode::OK, "application/json", "{}"),
            Fault::text(StatusCode::INTERNAL_SERVER_ERROR, "application/json", "{}"),
            Fault::Endless { chunk: Bytes::from_static(&[b' '; 4096]), every: Duration::ZERO },
            Fault::Hold(tokio_util::sync::CancellationToken::new()),
        ] {
            let case = format!("{endpoint:?} {fault:?}");
            gate.provider.faults().lasting(endpoint, fault);
            let fresh = gate.replica(&quick).await;
            let mut browser = Browser::new();
            browser.moves(&gate, &fresh);
            let mut answer = browser.get(&gate.url("/_auth/login")).await;
            if endpoint == Endpoint::Keys {
                assert_eq!(answer.status, 302, "{case}: {answer:?}");
                answer = browser.sign_in(&gate, "ada").await;
            }
            assert_eq!(answer.status, 503, "{case}: {answer:?}");
            assert!(!answer.header("retry-after").is_empty(), "{case}: {answer:?}");
            assert_eq!(browser.cookie(&gate, "doorward"), None, "{case}");

            gate.provider.faults().clear(endpoint);
            gate.advance(Duration::from_secs(300));
            assert_eq!(browser.sign_in(&gate, "ada").await.status, 303, "{case}: recovered without a restart");
            gate.provider.faults().lasting(endpoint, Fault::Close);
            gate.advance(Duration::from_secs(90_000));
            let mut other = Browser::new();
            other.moves(&gate, &fresh);
            assert_eq!(other.sign_in(&gate, "grace").await.status, 303, "{case}: what is old serves on");
            gate.provider.faults().clear(endpoint);
        }
    }
    gate.upstream.nothing();
}

/// T-080: both strings are said, to whoever can do something about it.
#[tokio::test]
async fn metadata_of_another_issuer_is_refused_and_both_are_named() {
    let log = Log::capture();
    let gate = Gate::start().await;
    let issuer = gate.provider.issuer().to_owned();
    for found in [format!("{issuer}/"), issuer.replace("http:", "https:"), "https://evil.example".to_owned()] {
        let said = json!(found);
        gate.provider.faults().metadata(move |metadata| _ = metadata.insert("issuer".to_owned(), said.clone()));
        let answer = Browser::new().get(&gate.url("/_auth/login")).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        let log = log.text();
        assert!(log.contains(&format!("`{found}`")) && log.contains(&format!("`{issuer}`")), "{log}");
        gate.advance(Duration::from_secs(600));
    }
    // Endpoints nobody should be sent to.
    gate.provider.faults().clear_all();
    for (member, value) in [
        ("authorization_endpoint", "javascript:alert(1)"),
        ("token_endpoint", "http://192.0.2.1/token"),
        ("jwks_uri", ""),
    ] {
        let fresh = gate.replica(&[]).await;
        gate.provider.faults().metadata(move |metadata| _ = metadata.insert(member.to_owned(), json!(value)));
        let answer = Browser::new().get(&fresh.url("/_auth/login")).await;
        assert!(matches!(answer.status.as_u16(), 400 | 421 | 503), "{member}: {answer:?}");
        let mut browser = Browser::new();
        browser.moves(&gate, &fresh);
        assert_eq!(browser.get(&gate.url("/_auth/login")).await.status, 503, "{member}");
    }
}

/// T-083, T-085: a new key works at the next login, with one question; made-up names cannot make the gateway ask more than once an interval.
#[tokio::test]
async fn a_new_key_is_found_and_made_up_ones_cost_nothing() {
    let gate = Gate::with(&[("limits.provider_min_interval", "30s")]).await;
    assert_eq!(signed_in(&gate).await.0, 303);
    let asked = || gate.provider.requests(Endpoint::Keys);
    assert_eq!(asked(), 1);
    gate.advance(Duration::from_secs(30));
    gate.provider.rotate_keys();
    assert_eq!(signed_in(&gate).await.0, 303, "without a restart");
    assert_eq!(asked(), 2);
    assert_eq!(signed_in(&gate).await.0, 303);
    assert_eq!(asked(), 2);
    for interval in 1..=3 {
        gate.advance(Duration::from_secs(30));
        for n in 0..10 {
            let (status, page, has_session) =
                with_token(&gate, json!({"kid": format!("made-up-{n}")}), json!({})).await;
            assert_eq!((status, has_session), (502, false), "{page}");
        }
        assert_eq!(asked(), 2 + interval);
    }
    assert_eq!(signed_in(&gate).await.0, 303, "others are not disturbed");
}

/// OpenID Connect Core §5.3.2: userinfo speaks of the same person or of nobody.
#[tokio::test]
async fn userinfo_fills_gaps_for_the_same_person_only() {
    let gate = Gate::with(&[("providers.dev.user_claim", "preferred_username")]).await;
    let faults = gate.provider.faults();
    faults.id_tokens(|_, claims| _ = claims.remove("preferred_username"));
    assert_eq!(
        gate.signed_in("ada").await.user(&gate).await.as_deref(),
        Some("ada"),
        "asked because the claim is missing"
    );
    for (change, says) in [
        (json!({"sub": "grace"}), "`sub`"),
        (json!({"sub": null}), "`sub`"),
        (json!({"preferred_username": null}), "preferred_username"),
    ] {
        let case = change.to_string();
        faults.next_userinfo(move |userinfo| patch(userinfo, &change));
        let (status, page, has_session) = signed_in(&gate).await;
        assert!(matches!(status, 403 | 502) && !has_session, "{case}: {page}");
        assert!(page.contains(says), "{case}: {page}");
    }
    for fault in [
        Fault::Close,
        Fault::Redirect(gate.upstream.url()),
        Fault::text(StatusCode::OK, "application/jwt", "a.b.c"),
        Fault::text(StatusCode::OK, "application/json", "{"),
        Fault::text(StatusCode::UNAUTHORIZED, "application/json", "{}"),
    ] {
        let case = format!("{fault:?}");
        faults.next(Endpoint::Userinfo, fault);
        let (status, page, has_session) = signed_in(&gate).await;
        assert_eq!((status, has_session), (502, false), "{case}: {page}");
    }
    assert!(gate.upstream.take().is_empty(), "no redirect was followed");
}

/// T-095: an address that nobody verified names nobody.
#[tokio::test]
async fn an_unverified_address_is_nobodys_name() {
    let gate = Gate::with(&[("providers.dev.user_claim", "email")]).await;
    let userinfo = |verified: Value| json!({"email": "ada@example.com", "email_verified": verified});
    for (verified, status) in [
        (json!(true), 303),
        (json!("true"), 303),
        (json!(1), 303),
        (json!("1"), 303),
        (json!(null), 403),
        (json!(false), 403),
        (json!("false"), 403),
        (json!(0), 403),
        (json!("0"), 403),
        (json!("yes"), 403),
        (json!(["true"]), 403),
    ] {
        let mut browser = Browser::new();
        let back = browser.sign_in_with(&gate, "eve", &userinfo(verified.clone())).await;
        assert_eq!(back.status, status, "{verified}: {back:?}");
        assert_eq!(browser.cookie(&gate, "doorward").is_some(), status == 303, "{verified}");
    }
}
