//! The way in and what the application learns.

use crate::support::{Browser, Gate};

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
