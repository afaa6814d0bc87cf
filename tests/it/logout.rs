//! The way out that a person takes: here, everywhere, and at the provider (RP-Initiated Logout).

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{Browser, Endpoint, Gate};

/// T-058: also everywhere.
#[tokio::test]
async fn another_site_cannot_sign_anybody_out_everywhere() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let mut phone = gate.signed_in("ada").await;
    let logout = gate.url("/_auth/logout?everywhere=1");
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("referer", "https://evil.example/")],
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = browser.send(method.clone(), &logout, headers, "").await;
            assert_eq!(answer.status, 200, "{method} {headers:?}: {answer:?}");
            assert!(answer.set_cookies().is_empty(), "asked first: {answer:?}");
            assert!(answer.body.contains("name=\"everywhere\" value=\"1\""), "{answer:?}");
            assert!(!answer.form().0.contains("everywhere"), "nothing is chosen already: {answer:?}");
        }
    }
    for person in [&mut browser, &mut phone] {
        assert_eq!(person.user(&gate).await.as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn everywhere_is_every_session_of_this_person_and_nobody_elses() {
    let gate = Gate::start().await;
    let logout = gate.url("/_auth/logout");
    for (query, form) in [("?everywhere=1", ""), ("", "everywhere=1"), ("?rd=%2Fx&everywhere=1", "")] {
        let mut browser = gate.signed_in("ada").await;
        let mut phone = gate.signed_in("ada").await;
        let mut copy = browser.clone();
        let mut grace = gate.signed_in("grace").await;
        let answer = browser.navigate(Method::POST, &format!("{logout}{query}"), Some(form.to_owned()), &[]).await;
        assert_eq!(answer.status, 303, "{query} {form}: {answer:?}");
        assert!(answer.header("location").starts_with(&gate.provider.url(Endpoint::EndSession)), "{answer:?}");
        assert_eq!(browser.cookies_for(&gate.address.to_string()), "");
        for ended in [&mut copy, &mut phone] {
            assert_eq!(ended.user(&gate).await, None, "{query} {form}");
        }
        assert_eq!(grace.user(&gate).await.as_deref(), Some("grace"));
        // In the same second.
        assert_eq!(gate.signed_in("ada").await.user(&gate).await.as_deref(), Some("ada"), "a new sign-in counts");
        gate.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_logout_is_here_unless_it_says_otherwise() {
    let gate = Gate::start().await;
    let mut phone = gate.signed_in("ada").await;
    let logout = gate.url("/_auth/logout");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (content_type, body, status) in [
        (form, "everywhere=yes", 400),
        (form, "everywhere=", 400),
        (form, "everywhere=1&everywhere=1", 400),
        (form, "", 303),
        (form, "a=b", 303),
        (("content-type", "application/json"), "{\"everywhere\":1}", 303),
        (("x-nothing", "1"), "everywhere=1", 303),
    ] {
        let mut browser = gate.signed_in("ada").await;
        let headers = [content_type, ("sec-fetch-site", "same-origin")];
        let answer = browser.send(Method::POST, &logout, &headers, body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert_eq!(browser.cookie(&gate, "doorward").is_some(), status == 400, "{body}");
        assert_eq!(phone.user(&gate).await.as_deref(), Some("ada"), "{body}");
    }
}

/// RP-Initiated Logout §2: the hint is the ID token as it came.
#[tokio::test]
async fn the_provider_is_told_which_session_is_meant() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    let logout = browser.get(&gate.url("/_auth/logout?rd=%2Fx%3Fy")).await;
    let asked = url::Url::parse(&logout.location()).unwrap();
    let parameter = |name| asked.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
    let hint = parameter("id_token_hint").expect("a hint");
    assert_eq!(hint.split('.').count(), 3, "{hint}");
    assert_eq!(parameter("state").as_deref(), Some("/x?y"));
    assert_eq!(parameter("post_logout_redirect_uri"), Some(gate.url("/_auth/signed-out")));
    assert_eq!(parameter("client_id").as_deref(), Some("gate"));
    // It refuses hints that are none of its own.
    let back = browser.get(&logout.location()).await;
    assert!(back.location().starts_with(&gate.url("/_auth/signed-out")), "{back:?}");
}

#[tokio::test]
async fn a_hint_that_makes_the_url_too_long_is_left_out() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    browser.sign_in_with(&gate, "ada", &json!({"filler": "x".repeat(4_000)})).await;
    let logout = browser.get(&gate.url("/_auth/logout")).await;
    let location = logout.location();
    assert!(location.len() < 4_096 && !location.contains("id_token_hint"), "{location}");
    assert!(location.contains("post_logout_redirect_uri=") && location.contains("client_id=gate"), "{location}");
}

#[tokio::test]
async fn without_the_store_a_logout_goes_without_a_hint() {
    let gate = Gate::without_store(&[]).await;
    let mut browser = gate.signed_in("ada").await;
    let mut copy = browser.clone();
    let logout = browser.get(&gate.url("/_auth/logout")).await;
    assert_eq!(logout.status, 303, "{logout:?}");
    assert!(logout.location().starts_with(&gate.provider.url(Endpoint::EndSession)), "{logout:?}");
    assert!(!logout.location().contains("id_token_hint"));
    assert_eq!(copy.user(&gate).await, None, "it has ended here all the same");
}

/// A URL of the operator's own is taken as it is.
#[tokio::test]
async fn a_logout_url_of_its_own_gets_no_hint() {
    let template = "https://op.example/out?to={return_to}";
    let gate = Gate::with(&[("providers.dev.logout_url", template)]).await;
    let mut browser = gate.signed_in("ada").await;
    let location = browser.get(&gate.url("/_auth/logout")).await.location();
    assert!(location.starts_with("https://op.example/out?to=http"), "{location}");
    assert!(!location.contains("hint") && !location.contains("ey"), "{location}");
}
