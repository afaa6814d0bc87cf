//! Sessions and their cookie (C.5, C.7): how they end, and that nothing but our own seal is one.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{Browser, Caller, Gate, wire};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
const NEW_KEY: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb28";
const HOUR: Duration = Duration::from_secs(3_600);

/// T-052: who signs in last is who it is, and the session before is over, wherever it was copied to.
#[tokio::test]
async fn one_browser_two_people_one_after_the_other() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let mut copy = browser.clone();
    assert_eq!(copy.user(&gate).await.as_deref(), Some("ada"));
    browser.sign_in_at(&gate.url("/_auth/login?rd=%2F"), "grace").await;
    assert_eq!(browser.user(&gate).await.as_deref(), Some("grace"));
    assert_eq!(copy.user(&gate).await, None);
}

/// T-053, and the contract: who am I, for nobody else to read.
#[tokio::test]
async fn whoami_is_for_the_caller_alone() {
    let gate = Gate::with(&[("headers.claims.x_groups", "groups")]).await;
    let mut browser = gate.signed_in("ada").await;
    let session = browser.cookie(&gate, "doorward").unwrap().to_owned();
    for headers in [
        vec![],
        vec![("origin", "https://evil.example")],
        vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")],
    ] {
        let answer = browser.send(Method::GET, &gate.url("/_auth/whoami"), &headers, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")), "{answer:?}");
        assert!(!answer.body.contains(&session) && !answer.body.contains("ey"), "no token, no cookie: {answer:?}");
        let whoami = answer.json();
        assert_eq!((&whoami["user"], &whoami["provider"]), (&json!("ada"), &json!("dev")));
        assert_eq!(whoami["claims"], json!({"groups": ["staff", "engineering"]}));
    }
    let nobody = Browser::new().send(Method::GET, &gate.url("/_auth/whoami"), &[], "").await;
    assert_eq!((nobody.status.as_u16(), nobody.header("www-authenticate")), (401, "Bearer"));
    assert_eq!(browser.send(Method::POST, &gate.url("/_auth/whoami"), &[], "").await.status, 405);
}

/// T-055, T-049: a cookie counts where it was made.
#[tokio::test]
async fn another_gateways_session_is_none() {
    let (here, there) = (Gate::start().await, Gate::start().await);
    let cookie = here.cookie_of("ada").await;
    assert_eq!(here.ask("GET /", &[&cookie]).await.status, 200);
    assert_eq!(there.ask("GET /", &[&cookie]).await.status, 401, "the same key, another address");
    let other_key = here.replica(&[("session.key", NEW_KEY)]).await;
    let request = wire::request(&here, "GET /", &[&cookie]);
    assert_eq!(other_key.say(&request).await.status, 401, "the same address, another key");
    let replica = here.replica(&[]).await;
    assert_eq!(replica.say(&request).await.status, 200);
    assert!(there.upstream.take().is_empty());
}

/// A session whose provider is no longer configured is none.
#[tokio::test]
async fn a_session_needs_its_provider() {
    let gate = Gate::start().await;
    let cookie = gate.cookie_of("ada").await;
    let without = gate.replica(&[
        ("providers.dev.issuer", "-"),
        ("providers.dev.client_id", "-"),
        ("providers.dev.client_secret", "-"),
        ("providers.other.issuer", "ISSUER"),
        ("providers.other.client_id", "x"),
    ]);
    assert_eq!(without.await.say(wire::request(&gate, "GET /", &[&cookie])).await.status, 401);
}

/// T-056: whatever a name holds, it is one person's.
#[tokio::test]
async fn names_that_look_alike_when_joined_stay_apart() {
    let gate = Gate::with(&[("headers.claims.x_email", "email")]).await;
    for (sub, email) in [("a|b", "c"), ("a", "b|c"), ("a,b", "c"), ("a;doorward=b", "c"), ("x\u{e9}", "\u{e9}")] {
        let mut browser = Browser::new();
        browser.sign_in_with(&gate, sub, &json!({"email": email})).await;
        browser.get(&gate.url("/")).await;
        let received = gate.upstream.take_one();
        assert_eq!((received.one("x-user"), received.one("x-email")), (Some(sub.to_owned()), Some(email.to_owned())));
    }
}

/// T-058: after a logout the old value is dead, and the provider is told.
#[tokio::test]
async fn a_logout_ends_the_session_here_and_at_the_provider() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let mut copy = browser.clone();
    let logout = browser.get(&gate.url("/_auth/logout?rd=%2Fx%3Fy")).await;
    assert_eq!(logout.status, 303, "{logout:?}");
    let asked = url::Url::parse(&logout.location()).unwrap();
    assert!(asked.as_str().starts_with(&gate.provider.url(crate::support::Endpoint::EndSession)), "{asked}");
    let mut named: Vec<_> = asked.query_pairs().map(|(name, _)| name.into_owned()).collect();
    named.sort();
    assert_eq!(named, ["client_id", "id_token_hint", "post_logout_redirect_uri", "state"], "see `logout`");
    assert_eq!(browser.cookies_for(&gate.address.to_string()), "", "both cookies are gone");

    let back = browser.get(&logout.location()).await;
    let page = browser.get(&back.location()).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("/_auth/login?rd=%2Fx%3Fy"), "{page:?}");
    assert_eq!(copy.user(&gate).await, None, "a copy of the cookie is worth nothing");
    assert_eq!(copy.get(&gate.url("/_auth/whoami")).await.status, 401);
    // Again, with nobody signed in: nothing to end, and no error.
    assert_eq!(browser.get(&gate.url("/_auth/logout")).await.status, 303);
}

/// T-058: another site's image, frame, link or form ends nothing by itself.
#[tokio::test]
async fn another_site_cannot_sign_anybody_out() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let home = gate.url("");
    let logout = gate.url("/_auth/logout");
    for headers in [
        vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
        vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        vec![("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("referer", "https://evil.example/")],
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = browser.send(method.clone(), &logout, &headers, "").await;
            assert_eq!(answer.status, 200, "{method} {headers:?}: {answer:?}");
            assert!(answer.body.contains("<form") && answer.set_cookies().is_empty(), "asked first: {answer:?}");
        }
    }
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    let ours = [("origin", &*home), ("sec-fetch-site", "same-origin")];
    assert_eq!(browser.send(Method::POST, &logout, &ours, "").await.status, 303);
    assert_eq!(browser.user(&gate).await, None);
}

/// T-059: on the second.
#[tokio::test]
async fn a_session_ends_on_time() {
    let gate =
        Gate::with(&[("session.idle_timeout", "1h"), ("session.max_age", "12h"), ("session.revalidate", "0s")]).await;
    let cookie = gate.cookie_of("ada").await;
    gate.advance(HOUR - Duration::from_secs(1));
    assert_eq!(gate.ask("GET /", &[&cookie]).await.status, 200);
    gate.advance(Duration::from_secs(1));
    assert_eq!(gate.ask("GET /", &[&cookie]).await.status, 401, "this cookie has not been used for an hour");

    let mut browser = gate.signed_in("ada").await;
    for hour in 0..23 {
        assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"), "after {hour} half hours");
        gate.advance(HOUR / 2);
    }
    gate.advance(HOUR / 2 - Duration::from_secs(1));
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"), "a second before its end");
    gate.advance(Duration::from_secs(1));
    assert_eq!(browser.user(&gate).await, None, "however busy");
}

/// T-059: sealed anew after a tenth of the idle time, not at every answer.
#[tokio::test]
async fn a_session_is_sealed_anew_now_and_then() {
    let gate =
        Gate::with(&[("session.idle_timeout", "1h"), ("session.max_age", "12h"), ("session.revalidate", "0s")]).await;
    let mut browser = gate.signed_in("ada").await;
    let first = browser.cookie(&gate, "doorward").unwrap().to_owned();
    for (passed, is_renewed) in [(0, false), (359, false), (1, true), (0, false), (300, false), (60, true)] {
        gate.advance(Duration::from_secs(passed));
        let answer = browser.get(&gate.url("/")).await;
        assert_eq!(answer.set_cookies().len(), usize::from(is_renewed), "{passed} s later: {answer:?}");
        for cookie in answer.set_cookies() {
            assert!(cookie.starts_with("doorward=") && cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            assert!(cookie.contains("; Path=/") && !cookie.contains("Domain"), "{cookie}");
        }
    }
    assert_ne!(browser.cookie(&gate, "doorward").unwrap(), first);
    // Nothing is renewed for who is nobody, and a logout is final for every sealing of the session.
    let mut copy = browser.clone();
    copy.set_cookie(&gate, "doorward", &first);
    browser.get(&gate.url("/_auth/logout")).await;
    assert_eq!(copy.user(&gate).await, None);
}

/// T-059: dates beyond 2038 are dates.
#[tokio::test]
async fn a_session_lives_beyond_2038() {
    let gate = Gate::start().await;
    // 2065; the cookie counts seconds to 2106.
    gate.advance(Duration::from_secs(1_200_000_000));
    let mut browser = gate.signed_in("ada").await;
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    gate.advance(HOUR * 13);
    assert_eq!(browser.user(&gate).await, None);
}

/// T-059: `expires_in` is about the access token, whatever it says.
#[tokio::test]
async fn the_providers_expires_in_does_not_matter() {
    let gate = Gate::start().await;
    for expires_in in [json!(null), json!("3600"), json!(-1), json!(0), json!(1e300), json!({"a": []})] {
        let value = expires_in.clone();
        gate.provider.faults().next_token_answer(move |answer| _ = answer.insert("expires_in".to_owned(), value));
        let mut browser = gate.signed_in("ada").await;
        gate.advance(Duration::from_secs(120));
        assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"), "{expires_in}");
    }
}

/// T-071, T-073, T-074: whatever is done to a cookie, it is no session, and nothing worse.
#[tokio::test]
async fn a_changed_cookie_is_no_session() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/"), "ada").await;
    let state =
        url::Url::parse(&callback).unwrap().query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    browser.get(&callback).await;
    let sealed = browser.cookie(&gate, "doorward").unwrap().to_owned();
    let login = browser.cookie(&gate, "doorward-login").unwrap().to_owned();
    let grace = gate.cookie_of("grace").await.replace("Cookie: doorward=", "");

    let mut changed: Vec<String> = Vec::new();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for at in 0..sealed.len() {
        // Each of the six bits of a character; those behind the last byte's end included.
        let digit = alphabet.iter().position(|&c| c == sealed.as_bytes()[at]).unwrap();
        for bit in 0..6 {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = alphabet[digit ^ (1 << bit)];
            changed.push(String::from_utf8(bytes).unwrap());
        }
    }
    for at in [4, 24, sealed.len() / 2, sealed.len() - 4] {
        changed.push(sealed[..at].to_owned());
        changed.push(format!("{}{}", &sealed[..at], &grace[at.min(grace.len())..]));
        changed.push(format!("{}{}", &sealed[at..], &sealed[..at]));
    }
    changed.extend([
        format!("{sealed}A"),
        format!("{sealed}="),
        format!("{sealed}{sealed}"),
        format!("\"{sealed}\""),
        sealed.to_lowercase(),
    ]);
    // Other things that we sealed, under the session's name.
    changed.extend([state, login]);
    let mut caller = Caller::connect(gate.address).await;
    for value in changed {
        assert_ne!(value, sealed);
        let answer = caller.ask(wire::request(&gate, "GET /", &[&format!("Cookie: doorward={value}")])).await;
        assert_eq!((answer.status, answer.all("set-cookie").len()), (401, 0), "{value}");
    }
    gate.upstream.nothing();
    let answer = caller.ask(wire::request(&gate, "GET /", &[&format!("Cookie: doorward={sealed}")])).await;
    assert_eq!(answer.status, 200, "unchanged it still is one");
}

/// T-074: and the other way round.
#[tokio::test]
async fn a_session_cookie_is_no_login_cookie() {
    let gate = Gate::start().await;
    let session = gate.signed_in("ada").await.cookie(&gate, "doorward").unwrap().to_owned();
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/"), "grace").await;
    let asked = gate.token_requests();
    browser.set_cookie(&gate, "doorward-login", &session);
    assert_eq!(browser.get(&callback).await.status, 400);
    let as_state = gate.url(&format!("/_auth/callback/dev?code=x&state={session}"));
    assert_eq!(browser.get(&as_state).await.status, 400);
    assert_eq!((gate.token_requests(), browser.cookie(&gate, "doorward")), (asked, None));
}

/// T-077: a new key first, the old one second, then the old one gone.
#[tokio::test]
async fn keys_rotate_without_anybody_noticing() {
    let unasked = ("session.revalidate", "0s");
    let gate = Gate::with(&[("session.key", KEY), unasked]).await;
    let mut browser = gate.signed_in("ada").await;
    let mut tab = Browser::new();
    let open = tab.begin(&gate.url("/open"), "grace").await;

    let rotated = gate.replica(&[("session.key", NEW_KEY), ("session.previous_keys", KEY), unasked]).await;
    browser.moves(&gate, &rotated);
    tab.moves(&gate, &rotated);
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    let back = tab.get(&open).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/open"), "{back:?}");
    let mut old = browser.clone();
    gate.advance(Duration::from_secs(600));
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"), "sealed anew, with the new key");

    let retired = gate.replica(&[("session.key", NEW_KEY), unasked]).await;
    for browser in [&mut browser, &mut tab, &mut old] {
        browser.moves(&gate, &retired);
    }
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(tab.user(&gate).await.as_deref(), Some("grace"));
    assert_eq!(old.user(&gate).await, None, "no error page, a new login");
}

/// The contract's bounds.
#[tokio::test]
async fn the_cookie_is_small() {
    let gate = Gate::start().await;
    for (length, at_most) in [(1, 192), (6, 192), (32, 192), (255, 1_024)] {
        let mut browser = Browser::new();
        let groups: Vec<String> = (0..200).map(|n| format!("group-{n}")).collect();
        let back = browser
            .sign_in_with(&gate, &"u".repeat(length), &json!({"groups": groups, "email": "a@example.com"}))
            .await;
        let set = back.set_cookies();
        let cookie = set.iter().find(|cookie| cookie.starts_with("doorward=")).unwrap();
        let pair = cookie.split(';').next().unwrap();
        assert!(pair.len() <= at_most, "{length}: {} bytes", pair.len());
        assert!(!back.header("location").contains("eyJ"));
    }
}
