//! Routes that name the providers they accept: a session of another provider is nobody there.

use tokio::net::TcpListener;
use url::Url;

use crate::support::{Browser, Gate, browser::Answer, gate};

/// Everybody, those of one provider, those of either, of two providers and a third.
const ROUTES: &str = r#"
    [[routes]]
    path = "/"
    upstream = "UPSTREAM"
    [[routes]]
    path = "/partners"
    upstream = "UPSTREAM"
    providers = ["other"]
    [[routes]]
    path = "/both"
    upstream = "UPSTREAM"
    providers = ["dev", "other"]
    [[routes]]
    path = "/open"
    upstream = "UPSTREAM"
    anonymous = true
"#;

/// A gateway with the providers `dev` and `other`, each with people of its own.
async fn two_providers() -> Gate {
    let clock = doorward::clock::Clock::stopped(gate::NOW);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}", listener.local_addr().unwrap());
    let dev = gate::provider(&public, &clock).await;
    let other = gate::provider(&public, &clock).await;
    let upstream = crate::support::Upstream::start().await;
    let more = [
        ("upstream", "-"),
        ("file", ROUTES),
        ("providers.other.issuer", other.issuer()),
        ("providers.other.client_id", gate::CLIENT_ID),
        ("providers.other.client_secret", gate::CLIENT_SECRET),
        // The same people at both.
        ("providers.dev.insecure_shared_identifiers", "true"),
        ("providers.other.insecure_shared_identifiers", "true"),
    ];
    Gate::beside(listener, dev, upstream, clock, &more)
}

async fn sign_in(browser: &mut Browser, gate: &Gate, provider: &str, person: &str) -> Answer {
    browser.sign_in_at(&gate.url(&format!("/_auth/login?provider={provider}&rd=%2F")), person).await
}

#[tokio::test]
async fn a_session_of_another_provider_is_nobody_there() {
    let gate = two_providers().await;
    let mut browser = Browser::new();
    sign_in(&mut browser, &gate, "dev", "ada").await;
    let cookie = format!("Cookie: doorward={}", browser.cookie(&gate, "doorward").unwrap());
    for (target, status) in [("/", 200), ("/both", 200), ("/open", 200), ("/partners", 401), ("/partners/x", 401)] {
        let answer = gate.ask(&format!("GET {target}"), &[&cookie]).await;
        assert_eq!(answer.status, status, "{target}");
        let received = gate.upstream.take();
        assert_eq!(received.len(), usize::from(status == 200), "{target}");
    }
    // Not forbidden: there is something to be done about it.
    let answer = gate.ask("GET /partners", &[&cookie]).await;
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

/// The way in leads to the provider that counts, or to the page where one of those that count is chosen.
#[tokio::test]
async fn the_login_of_a_route_is_at_its_provider() {
    let gate = two_providers().await;
    let mut browser = Browser::new();
    for (target, provider) in [("/partners/x?y", Some("other")), ("/both", Some("dev,other")), ("/", None)] {
        let answer = browser.get(&gate.url(target)).await;
        assert_eq!(answer.status, 302, "{target}");
        let login = Url::parse(&answer.location()).unwrap();
        let asked =
            |name: &str| login.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
        assert_eq!(asked("rd").as_deref(), Some(target));
        assert_eq!(asked("provider").as_deref(), provider, "{login}");
    }
    let page = browser.post(&gate.url("/partners"), &[("a", "b")]).await;
    assert_eq!(page.status, 401, "{page:?}");
    assert!(page.text().contains("/_auth/login?rd=%2F&provider=other"), "{}", page.text());
}

#[tokio::test]
async fn who_signs_in_at_the_right_provider_arrives() {
    let gate = two_providers().await;
    let mut browser = Browser::new();
    sign_in(&mut browser, &gate, "dev", "ada").await;
    // Asked for once, and no more after that.
    let back = browser.sign_in_at(&gate.url("/partners/deep"), "ada").await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/partners/deep"), "{back:?}");
    let page = browser.get(&back.location()).await;
    assert_eq!((page.status.as_u16(), &*page.body), (200, "hello"));
    assert_eq!(gate.upstream.take_one().alike("x-user"), ["ada"]);
    let whoami = browser.get(&gate.url("/_auth/whoami")).await.json();
    assert_eq!(whoami["provider"], "other", "the session is the second provider's");
    assert_eq!(browser.get(&gate.url("/both")).await.status, 200);
    assert_eq!(browser.get(&gate.url("/")).await.status, 200);
}
