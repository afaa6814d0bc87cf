//! The way in and what the application learns.

use serde_json::json;

use crate::{
    provider_faults::with_token,
    support::{Browser, Gate},
};

#[tokio::test]
async fn a_person_signs_in_and_the_application_learns_who_it_is() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();

    let login = browser.get(&gate.url("/deep/link?a=1&b=%2F")).await;
    assert_eq!(login.status, 302);
    assert!(login.set_cookies().is_empty(), "{login:?}");
    gate.upstream.nothing();

    let back = browser.sign_in_at(&gate.url("/deep/link?a=1&b=%2F"), "ada").await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/deep/link?a=1&b=%2F"), "{back:?}");

    let page = browser.get(&back.location()).await;
    assert_eq!((page.status.as_u16(), &*page.body), (200, "hello"));
    let received = gate.upstream.take_one();
    assert_eq!(received.target(), "/deep/link?a=1&b=%2F");
    assert_eq!(received.one("x-user").as_deref(), Some("ada"));
    assert_eq!(received.one("cookie"), None, "our own cookies stay with us");

    let whoami = browser.get(&gate.url("/_auth/whoami")).await.json();
    assert_eq!((&whoami["user"], &whoami["provider"]), (&"ada".into(), &"dev".into()));
}

/// What the application calls somebody is the configuration's choice.
#[tokio::test]
async fn the_user_is_what_is_made_of_the_claim() {
    for (settings, user) in [
        (&[("providers.dev.user_claim", "email")] as &[_], "ada@example.com"),
        (&[("providers.dev.user_claim", "upn,email"), ("providers.dev.user_prefix", "dev:")], "dev:ada@example.com"),
        (
            &[
                ("providers.dev.user_claim", "email"),
                ("providers.dev.user_strip_domain", "example.com"),
                ("providers.dev.email_domains", "example.com"),
            ],
            "ada",
        ),
        (&[("providers.dev.user_claim", "/groups/0"), ("providers.dev.user_lower_case", "true")], "staff"),
    ] {
        let more: Vec<_> = [("providers.dev.scopes", "openid,email,groups")].iter().chain(settings).copied().collect();
        let gate = Gate::with(&more).await;
        let mut browser = Browser::new();
        browser.sign_in(&gate, "ada").await;
        assert_eq!(browser.user(&gate).await.as_deref(), Some(user), "{settings:?}");
    }
}

/// T-095: whoever may not sign in is told why, without being told who may.
#[tokio::test]
async fn people_whom_the_configuration_keeps_out_are_told_so() {
    for (settings, claims, told) in [
        (
            ("providers.dev.email_domains", "example.org"),
            json!({"email": "ada@example.com", "email_verified": true}),
            "of certain domains may sign in here",
        ),
        (
            ("providers.dev.email_domains", "example.com"),
            json!({"email": "ada@example.com", "email_verified": false}),
            "has not verified this account",
        ),
        (
            ("providers.dev.required_claims.hd", "example.org"),
            json!({"hd": "example.net"}),
            "the claim `hd` is not there",
        ),
        (("providers.dev.required_claims.hd", "example.org"), json!({}), "the claim `hd` is not there"),
        (
            ("providers.dev.user_strip_domain", "example.org"),
            json!({"sub": "ada@example.com"}),
            "is not of the domain `example.org`",
        ),
    ] {
        let gate = Gate::with(&[settings]).await;
        let (status, page, has_session) = with_token(&gate, json!({}), claims.clone()).await;
        assert_eq!((status, has_session), (403, false), "{settings:?} {claims}: {page}");
        assert!(page.contains(told), "{settings:?} {claims}: {page}");
        assert!(!page.contains("example.net") && !page.contains("ada@"), "{page}");
    }
    let gate = Gate::with(&[("providers.dev.required_claims.hd", "example.org,example.net")]).await;
    let (status, page, has_session) = with_token(&gate, json!({}), json!({"hd": "example.net"})).await;
    assert_eq!((status, has_session), (303, true), "{page}");
}
