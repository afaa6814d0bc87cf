//! Where a browser is sent back to (C.6): to a place of ours, always.

use crate::support::{Browser, Endpoint, Gate};

/// T-061, T-062, T-064, T-065; `HOME` is our own origin.
const ELSEWHERE: &[&str] = &[
    "https://evil.com",
    "http:evil.com",
    "https:evil.com",
    "//evil.com",
    "///evil.com",
    "////evil",
    "/\\evil.com",
    "\\/evil.com",
    "\\\\evil",
    "/%5cevil.com",
    "/%2f/evil.com",
    "/%2fevil.com",
    "/\t/evil.com",
    "/%09/evil.com",
    "\t//evil.com",
    " //evil.com",
    "/\r\nSet-Cookie: a=b",
    "/%0d%0aSet-Cookie:a=b",
    "HOME.evil.com",
    "HOME@evil.com",
    "HOME:8443",
    "HOME%00.evil.com",
    "HOME\\@evil.com",
    "https://evilexample.com",
    "https://evil.com#@HOME",
    "https://[::1]",
    "http://2130706433",
    "http://0177.0.0.1/",
    "http://localhost/",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil",
    ".",
    "",
];

const HERE: &[(&str, &str)] = &[
    ("/", "/"),
    ("/x?y=%2F&z", "/x?y=%2F&z"),
    ("HOME/x", "/x"),
    ("HOME", "/"),
    ("/x#part", "/x"),
    ("/a?u=https://evil.com/", "/a?u=https://evil.com/"),
];

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Each question with its answer.
fn cases(gate: &Gate) -> Vec<(String, &'static str)> {
    let home = gate.url("");
    let elsewhere = ELSEWHERE.iter().map(|asked| (asked.replace("HOME", &home), "/"));
    elsewhere.chain(HERE.iter().map(|(asked, to)| (asked.replace("HOME", &home), *to))).collect()
}

/// T-061 to T-065, T-068: through `rd` at the login and the sealed state.
#[tokio::test]
async fn a_login_leads_home() {
    let gate = Gate::start().await;
    for (asked, to) in cases(&gate) {
        let mut browser = Browser::new();
        let back = browser.sign_in_at(&gate.url(&format!("/_auth/login?rd={}", encoded(&asked))), "ada").await;
        assert_eq!((back.status.as_u16(), back.header("location")), (303, to), "{asked:?}");
    }
}

/// T-067, T-061 to T-065: through `target_link_uri`, as a link and as a form of another site.
#[tokio::test]
async fn a_login_that_another_site_begins_leads_home() {
    let gate = Gate::start().await;
    let iss = gate.provider.issuer();
    for (asked, to) in cases(&gate) {
        let link = format!("/_auth/login?iss={}&target_link_uri={}", encoded(iss), encoded(&asked));
        let back = Browser::new().sign_in_at(&gate.url(&link), "ada").await;
        assert_eq!((back.status.as_u16(), back.header("location")), (303, to), "{asked:?}");

        let mut browser = Browser::new();
        let form = [("iss", iss), ("target_link_uri", &*asked)];
        let begun = browser.post(&gate.url("/_auth/login"), &form).await;
        let back = browser.sign_in_at(&begun.location(), "ada").await;
        assert_eq!((back.status.as_u16(), back.header("location")), (303, to), "{asked:?} posted");
    }
}

/// T-061, T-068: through the path somebody without a session asked for. Nothing of the login stays in the address.
#[tokio::test]
async fn the_path_that_was_asked_for_is_where_the_login_leads() {
    let gate = Gate::start().await;
    for (path, to) in [
        ("/deep/link?a=1&b=%2F", "/deep/link?a=1&b=%2F"),
        ("/?", "/?"),
        ("//evil.com", "/"),
        ("//evil.com/%2e%2e", "/"),
        ("/%5cevil.com", "/"),
    ] {
        let mut browser = Browser::new();
        let back = browser.sign_in_at(&gate.url(path), "ada").await;
        assert_eq!((back.status.as_u16(), back.header("location")), (303, to), "{path}");
        assert!(!back.header("location").contains("code=") && !back.header("location").contains("state="));
    }
}

/// T-061 to T-065: through `rd` at the logout, and through the `state` that comes back from there.
#[tokio::test]
async fn a_logout_leads_home() {
    let gate = Gate::start().await;
    for (asked, to) in cases(&gate) {
        let link = format!("/_auth/login?rd={}", encoded(to));
        let mut browser = gate.signed_in("ada").await;
        let logout = browser.get(&gate.url(&format!("/_auth/logout?rd={}", encoded(&asked)))).await;
        assert!(logout.location().starts_with(&gate.provider.url(Endpoint::EndSession)), "{asked:?}: {logout:?}");
        let back = browser.get(&logout.location()).await;
        let page = browser.get(&back.location()).await;
        assert!(page.body.contains(&format!("\"{link}\"")), "{asked:?}: {page:?}");

        let forged = Browser::new().get(&gate.url(&format!("/_auth/signed-out?state={}", encoded(&asked)))).await;
        assert_eq!(forged.status, 200);
        assert!(forged.body.contains(&format!("\"{link}\"")), "{asked:?}: {forged:?}");
        assert!(!forged.body.contains("evil.com\"") && !forged.body.contains("javascript:"), "{asked:?}: {forged:?}");
    }
}

/// T-061: without anybody signed in too.
#[tokio::test]
async fn a_logout_of_nobody_leads_home() {
    let gate = Gate::start().await;
    for (asked, to) in cases(&gate) {
        let logout = Browser::new().get(&gate.url(&format!("/_auth/logout?rd={}", encoded(&asked)))).await;
        assert_eq!(logout.header("location"), format!("/_auth/signed-out?state={}", encoded(to)), "{asked:?}");
    }
}

/// T-061: a state is sealed; one that somebody wrote leads nowhere.
#[tokio::test]
async fn a_written_state_leads_nowhere() {
    let gate = Gate::start().await;
    let mut browser = gate.signed_in("ada").await;
    for (asked, _) in cases(&gate) {
        let answer = browser.get(&gate.url(&format!("/_auth/callback/dev?code=x&state={}", encoded(&asked)))).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{asked:?}");
    }
    assert_eq!(gate.token_requests(), 1, "the one of the sign-in");
}

/// T-070: other words for the same wish have no effect.
#[tokio::test]
async fn no_other_parameter_or_header_says_where_to_go() {
    let gate = Gate::start().await;
    let link = "/_auth/login?redirect=%2F%2Fevil.com&next=%2F%2Fevil.com";
    let mut browser = Browser::new();
    let back = browser.sign_in_at(&gate.url(link), "ada").await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/"));
    for (name, value) in [
        ("x-forwarded-prefix", "//evil.com"),
        ("x-forwarded-host", "evil.com"),
        ("x-forwarded-proto", "javascript"),
        ("referer", "https://evil.com/"),
    ] {
        let answer = Browser::new().navigate(http::Method::GET, &gate.url("/x"), None, &[(name, value)]).await;
        assert_eq!(answer.header("location"), "/_auth/login?rd=%2Fx", "{name}");
    }
    for link in ["/_auth/login?rd=%2Fa&rd=%2Fb", "/_auth/logout?rd=%2Fa&rd=%2Fb"] {
        assert_eq!(browser.get(&gate.url(link)).await.status, 400, "{link}");
    }
}
