//! A person sees where they are signed in, and ends what they do not know.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{Browser, Gate, browser::Answer};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/18.5 Mobile/15E148 Safari/604.1";

async fn listed(browser: &mut Browser, gate: &Gate) -> Answer {
    browser.send(Method::GET, &gate.url("/_auth/sessions"), &[("accept", "application/json")], "").await
}

async fn ids(browser: &mut Browser, gate: &Gate) -> Vec<(String, bool)> {
    let answer = listed(browser, gate).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let list = answer.json();
    let id = |one: &serde_json::Value| (one["id"].as_str().unwrap().to_owned(), one["current"].as_bool().unwrap());
    list["sessions"].as_array().unwrap().iter().map(id).collect()
}

async fn end(browser: &mut Browser, gate: &Gate, form: &[(&str, &str)]) -> Answer {
    browser.post(&gate.url("/_auth/sessions"), form).await
}

/// Signed in with a browser that calls itself `agent`.
async fn signed_in_with(gate: &Gate, person: &str, agent: &str) -> Browser {
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/"), person).await;
    let back = browser.navigate(Method::GET, &callback, None, &[("user-agent", agent)]).await;
    assert_eq!(back.status, 303, "{back:?}");
    browser
}

#[tokio::test]
async fn somebody_has_to_be_signed_in() {
    let gate = Gate::start().await;
    let mut nobody = Browser::new();
    let page = nobody.get(&gate.url("/_auth/sessions")).await;
    assert_eq!((page.status.as_u16(), page.header("location")), (302, "/_auth/login?rd=%2F_auth%2Fsessions"));
    let back = nobody.sign_in_at(&gate.url("/_auth/sessions"), "ada").await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/_auth/sessions"));

    let program = listed(&mut Browser::new(), &gate).await;
    assert_eq!((program.status.as_u16(), program.header("www-authenticate")), (401, "Bearer"), "{program:?}");
    let posted = end(&mut Browser::new(), &gate, &[("all", "everything")]).await;
    assert_eq!((posted.status.as_u16(), posted.header("content-type")), (401, "text/html; charset=utf-8"));
    for method in [Method::PUT, Method::DELETE] {
        let answer = Browser::new().send(method, &gate.url("/_auth/sessions"), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD, POST"));
    }
}

/// T-058: as strictly as a logout.
#[tokio::test]
async fn another_site_ends_nothing() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let mut phone = gate.signed_in("ada").await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    for headers in [
        vec![form, ("sec-fetch-site", "cross-site")],
        vec![form, ("sec-fetch-site", "same-site")],
        vec![form, ("sec-fetch-site", "none")],
        vec![form, ("origin", "https://evil.example")],
        vec![form, ("origin", "null")],
        vec![form, ("referer", "https://evil.example/")],
    ] {
        for body in ["all=everything", "all=others"] {
            let answer = browser.send(Method::POST, &gate.url("/_auth/sessions"), &headers, body).await;
            assert_eq!(answer.status, 403, "{headers:?}: {answer:?}");
            assert!(answer.set_cookies().is_empty());
        }
    }
    for one in [&mut browser, &mut phone] {
        assert_eq!(one.user(&gate).await.as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn nothing_ends_that_is_not_ones_own() {
    let gate = Gate::start().await;
    let mut ada = gate.signed_in("ada").await;
    let mut grace = gate.signed_in("grace").await;
    let hers = ids(&mut grace, &gate).await[0].0.clone();
    for (form, status) in [
        (&[("session", &*hers)][..], 404),
        (&[("session", &*"0".repeat(32))], 404),
        (&[("session", "*")], 404),
        (&[("session", "")], 404),
        (&[("all", "")], 400),
        (&[("all", "of-them")], 400),
        (&[("session", &*hers), ("all", "others")], 400),
        (&[("session", &*hers), ("session", &*hers)], 400),
        (&[], 400),
    ] {
        let answer = end(&mut ada, &gate, form).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (status, "text/html; charset=utf-8"),
            "{form:?}"
        );
        assert!(!answer.body.contains(&hers), "{answer:?}");
    }
    let json =
        ada.send(Method::POST, &gate.url("/_auth/sessions"), &[("content-type", "application/json")], "{}").await;
    assert_eq!(json.status, 400);
    assert_eq!(grace.user(&gate).await.as_deref(), Some("grace"));
    assert_eq!(ada.user(&gate).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn people_see_where_they_are_signed_in() {
    let gate = Gate::with(&[("providers.dev.display_name", "Söhne & Co")]).await;
    let mut browser = signed_in_with(&gate, "ada", FIREFOX).await;
    gate.advance(Duration::from_secs(60));
    let mut phone = signed_in_with(&gate, "ada", IPHONE).await;
    let mut grace = signed_in_with(&gate, "grace", "<script>alert(1)</script>").await;

    let page = browser.get(&gate.url("/_auth/sessions")).await;
    assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, "no-store"), "{page:?}");
    let text = page.text();
    for shown in [
        "<h2><bdi>Firefox on Linux</bdi> <span class=\"own\">this session</span></h2>",
        "<h2><bdi>Safari on iPhone</bdi></h2>",
        "<bdi>Söhne & Co</bdi>",
        "<dd>127.0.0.1</dd>",
        "<time datetime=\"2027-01-15T08:00:00Z\">15 January 2027, 08:00 UTC</time>",
        "<time datetime=\"2027-01-15T08:01:00Z\">15 January 2027, 08:01 UTC</time>",
        "End all others",
        "Sign out everywhere",
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
    assert_eq!(page.body.matches("this session</span>").count(), 1);
    assert!(!page.body.contains("script"));
    let hers = grace.get(&gate.url("/_auth/sessions")).await;
    assert!(!hers.body.contains("<script") && hers.text().contains("<bdi><script>alert(1)</script></bdi>"), "{hers:?}");
    assert!(!hers.body.contains("Firefox") && !hers.body.contains("End all others"), "her own only: {hers:?}");

    let list = listed(&mut phone, &gate).await;
    assert_eq!((list.header("content-type"), list.header("cache-control")), ("application/json", "no-store"));
    assert!(!list.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    let list = list.json();
    assert_eq!((&list["user"], list["sessions"].as_array().unwrap().len()), (&json!("ada"), 2), "{list}");
    let (first, second) = (&list["sessions"][0], &list["sessions"][1]);
    assert_eq!((&first["agent"], &first["current"]), (&json!(IPHONE), &json!(true)), "the one used last comes first");
    assert_eq!(
        (&second["agent"], &second["address"], &second["provider"], &second["signed_in"], &second["current"]),
        (&json!(FIREFOX), &json!("127.0.0.1"), &json!("dev"), &json!(1_800_000_000), &json!(false))
    );
}

#[tokio::test]
async fn one_of_them_ends_and_stays_so() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let mut phone = gate.signed_in("ada").await;
    let other = ids(&mut browser, &gate).await.into_iter().find(|(_, current)| !current).unwrap().0;
    let answer = end(&mut browser, &gate, &[("session", &other)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/_auth/sessions"), "{answer:?}");
    assert!(answer.set_cookies().is_empty());
    assert_eq!(phone.user(&gate).await, None);
    assert_eq!(ids(&mut browser, &gate).await.len(), 1);
    assert_eq!(end(&mut browser, &gate, &[("session", &other)]).await.status, 404, "it has ended");
}

#[tokio::test]
async fn the_others_end_and_this_one_goes_on() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let mut others = [gate.signed_in("ada").await, gate.signed_in("ada").await];
    let mut grace = gate.signed_in("grace").await;
    let answer = end(&mut browser, &gate, &[("all", "others")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/_auth/sessions"), "{answer:?}");
    for other in &mut others {
        assert_eq!(other.user(&gate).await, None);
    }
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    assert_eq!(grace.user(&gate).await.as_deref(), Some("grace"));
}

#[tokio::test]
async fn ones_own_ends_with_its_cookies() {
    let gate = Gate::start().await;
    for everything in [false, true] {
        let mut browser = gate.signed_in("ada").await;
        let mut copy = browser.clone();
        let mut phone = gate.signed_in("ada").await;
        let own = ids(&mut browser, &gate).await.into_iter().find(|(_, current)| *current).unwrap().0;
        let form = if everything { ("all", "everything") } else { ("session", &*own) };
        let answer = end(&mut browser, &gate, &[form]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        assert!(answer.header("location").starts_with("/_auth/signed-out?"), "{answer:?}");
        assert_eq!(browser.cookies_for(&gate.address.to_string()), "");
        let page = browser.get(&answer.location()).await;
        assert!(page.body.contains("may still know you"), "its session at the provider goes on: {page:?}");
        assert_eq!(copy.user(&gate).await, None);
        assert_eq!(phone.user(&gate).await.is_none(), everything);
    }
}

#[tokio::test]
async fn without_the_store_people_can_still_leave() {
    let gate = Gate::without_store(&[]).await;
    let mut browser = gate.signed_in("ada").await;
    let page = browser.get(&gate.url("/_auth/sessions")).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (503, "text/html; charset=utf-8"), "{page:?}");
    assert!(page.body.contains("cannot be shown right now") && !page.header("retry-after").is_empty(), "{page:?}");
    assert!(page.body.contains("href=\"/_auth/logout?rd=%2F\""), "{page:?}");
    assert!(page.body.contains("href=\"/_auth/logout?rd=%2F&amp;everywhere=1\""), "{page:?}");
    let list = listed(&mut browser, &gate).await;
    assert_eq!((list.status.as_u16(), list.header("content-type")), (503, "application/problem+json"));
    let mut copy = browser.clone();
    let everywhere = gate.url("/_auth/logout?everywhere=1");
    let left = browser.navigate(Method::GET, &everywhere, None, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(left.status, 303);
    assert_eq!(copy.user(&gate).await, None);
}
