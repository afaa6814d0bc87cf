//! Several providers: which one a sign-in is for, said by a person on our page, by an address, or by another site (OpenID Connect Core §4).

use doorward::{clock::Clock, dev::provider::Provider, providers::Settings};
use http::Method;
use tokio::net::TcpListener;
use url::Url;

use crate::support::{
    Browser, Endpoint, Gate, Upstream,
    browser::Answer,
    gate::{self, load},
};

/// A gateway in front of `dev`, for addresses at example.com, `other`, for partner.example, and `open`, for everybody: `open` and `other` are
/// registrations at one further provider.
async fn three() -> (Gate, Provider) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}", listener.local_addr().unwrap());
    let clock = Clock::stopped(gate::NOW);
    let (dev, further) = (gate::provider(&public, &clock).await, gate::provider(&public, &clock).await);
    let upstream = Upstream::start().await;
    let scopes = ("providers.dev.scopes", "openid,email");
    let mut settings = load(&public, &dev, &upstream, &[scopes]);
    let mut first = settings.providers.pop().unwrap();
    first.email.domains = ["example.com".into()].into();
    let mut other = Settings {
        name: doorward::identity::ProviderName::parse("other").unwrap(),
        display_name: "Partners".to_owned(),
        issuer: further.issuer().to_owned(),
        ..first.clone()
    };
    other.email.domains = ["partner.example".into()].into();
    let mut open = Settings {
        name: doorward::identity::ProviderName::parse("open").unwrap(),
        display_name: "Anybody".to_owned(),
        issuer_aliases: vec!["open.example".to_owned()],
        ..other.clone()
    };
    open.email.domains.clear();
    settings.providers = vec![first, open, other];
    (Gate::told(listener, settings, dev, upstream, clock), further)
}

fn link(gate: &Gate, parameters: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    gate.url(&format!("/_auth/login?{query}"))
}

/// The parameters of the authorization request that `answer` is, when it is one to `provider`.
fn asked_of(provider: &Provider, answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 302, "{answer:?}");
    assert!(answer.header("location").starts_with(&provider.url(Endpoint::Authorization)), "{answer:?}");
    Url::parse(answer.header("location")).unwrap().query_pairs().into_owned().collect()
}

fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// T-067: what names no provider of ours, or contradicts itself, is a page that says so; nobody is asked, and no login begins.
#[tokio::test]
async fn another_site_names_a_provider_of_ours_or_nothing_begins() {
    let (gate, further) = three().await;
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unknown = format!("http://{}", stranger.local_addr().unwrap());
    let (iss, dev) = (further.issuer(), gate.provider.issuer());
    let slash = format!("{iss}/");
    // What is known of both is fetched now, so that any further request would show.
    for provider in ["dev", "other"] {
        Browser::new().get(&link(&gate, &[("provider", provider)])).await;
    }
    let requests = || [&gate.provider, &further].map(|provider| provider.requests(Endpoint::Discovery));
    let before = requests();
    for (what, parameters, status) in [
        ("unknown", vec![("iss", &*unknown)], 404),
        ("unknown, with everything else right", vec![("iss", &*unknown), ("target_link_uri", "/x")], 404),
        ("unknown, with an address of ours", vec![("iss", &*unknown), ("login_hint", "ada@example.com")], 404),
        ("one slash more", vec![("iss", &*slash)], 404),
        ("no issuer", vec![("iss", "")], 404),
        ("no URL", vec![("iss", "<script>alert(1)</script>")], 404),
        ("another than the provider's", vec![("iss", iss), ("provider", "dev")], 400),
        ("two targets", vec![("iss", dev), ("target_link_uri", "/x"), ("rd", "/x")], 400),
        ("two issuers", vec![("iss", dev), ("iss", iss)], 400),
        ("two hints", vec![("iss", dev), ("login_hint", "a"), ("login_hint", "a")], 400),
    ] {
        let mut browser = Browser::new();
        for answer in
            [browser.get(&link(&gate, &parameters)).await, browser.post(&gate.url("/_auth/login"), &parameters).await]
        {
            assert_eq!((answer.status.as_u16(), answer.header("location")), (status, ""), "{what}: {answer:?}");
            assert!(answer.body.contains("Reference") && !answer.body.contains("<script"), "{what}: {answer:?}");
            assert!(answer.set_cookies().is_empty(), "{what}: {answer:?}");
        }
    }
    assert_eq!(requests(), before);
    let asked = tokio::time::timeout(std::time::Duration::ZERO, stranger.accept()).await;
    assert!(asked.is_err(), "the stranger is not asked either");
}

/// T-104: a posted login is read within bounds, and only as a form.
#[tokio::test]
async fn a_posted_login_is_a_form_or_nothing() {
    let (gate, _) = three().await;
    let large = "iss=".to_owned() + &"x".repeat(10_000_000);
    for (content_type, body) in [
        ("", ""),
        ("application/json", "{}"),
        ("multipart/form-data; boundary=x", "--x\r\n\r\n"),
        ("application/x-www-form-urlencoded", &large),
    ] {
        let headers = [("content-type", content_type), ("accept", "text/html")];
        let headers = if content_type.is_empty() { &headers[1..] } else { &headers[..] };
        let answer = Browser::new().send(Method::POST, &gate.url("/_auth/login"), headers, body.to_owned()).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{content_type}: {answer:?}");
    }
    for method in [Method::PUT, Method::DELETE] {
        let answer = Browser::new().send(method, &gate.url("/_auth/login"), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD, POST"), "{answer:?}");
    }
}

/// T-046: of all that a link brings, the provider gets the hint.
#[tokio::test]
async fn a_hint_is_all_that_a_link_brings_to_the_provider() {
    let (gate, further) = three().await;
    let other = ["scope", "prompt", "acr_values", "client_id", "redirect_uri", "request", "claims", "domain_hint", "x"];
    let mut parameters = vec![("iss", gate.provider.issuer()), ("target_link_uri", "/x"), ("login_hint", "b+c@d&e=f")];
    parameters.extend(other.map(|name| (name, "evil")));
    let asked = asked_of(&gate.provider, &Browser::new().get(&link(&gate, &parameters)).await);
    assert_eq!(value(&asked, "login_hint"), Some("b+c@d&e=f"));
    assert!(
        asked.iter().all(|(name, value)| value != "evil" && name != "iss" && name != "target_link_uri"),
        "{asked:?}"
    );

    let none = "x".repeat(513);
    for hint in ["", " ", "a\r\nb", "\0", &none] {
        let asked =
            asked_of(&further, &Browser::new().get(&link(&gate, &[("provider", "other"), ("login_hint", hint)])).await);
        assert_eq!(value(&asked, "login_hint"), None, "{hint:?}");
    }
}

/// OpenID Connect Core §4: by GET and by POST, whoever is signed in already.
#[tokio::test]
async fn another_site_begins_a_sign_in() {
    let (gate, further) = three().await;
    let mut browser = as_ada(&gate).await;
    let iss = gate.provider.issuer();
    let parameters = [("iss", iss), ("target_link_uri", &*gate.url("/deep?x=1")), ("login_hint", "grace")];
    let begun = browser.get(&link(&gate, &parameters)).await;
    assert_eq!(value(&asked_of(&gate.provider, &begun), "login_hint"), Some("grace"));
    let back = browser.sign_in_at(&link(&gate, &parameters), "grace").await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/deep?x=1"), "{back:?}");
    assert_eq!(browser.user(&gate).await.as_deref(), Some("grace"));

    // `open` and `other` are of one issuer: the form's address has said which by a query of its own.
    let form = [("iss", further.issuer()), ("target_link_uri", "/deep"), ("login_hint", "ada@x")];
    let posted = browser.post(&gate.url("/_auth/login?provider=open"), &form).await;
    assert_eq!(posted.status, 303, "{posted:?}");
    let asked = asked_of(&further, &browser.get(&posted.location()).await);
    assert_eq!(value(&asked, "redirect_uri"), Some(&*gate.url("/_auth/callback/open")));
    assert_eq!(value(&asked, "login_hint"), Some("ada@x"));
    let twice = browser.post(&gate.url("/_auth/login?iss=x"), &form).await;
    assert_eq!(twice.status, 400, "{twice:?}");

    let alias = browser.get(&link(&gate, &[("iss", "open.example")])).await;
    assert_eq!(value(&asked_of(&further, &alias), "redirect_uri"), Some(&*gate.url("/_auth/callback/open")));
}

/// A form of another site brings no cookie along, and must not take the one that other tabs need.
#[tokio::test]
async fn a_posted_login_leaves_other_tabs_their_cookie() {
    let (gate, _) = three().await;
    let mut browser = Browser::new();
    let callback = browser.begin(&link(&gate, &[("provider", "dev"), ("rd", "/first")]), "ada").await;
    let cookie = browser.cookie(&gate, "doorward-login").unwrap().to_owned();
    let posted = Browser::new().post(&gate.url("/_auth/login"), &[("iss", gate.provider.issuer())]).await;
    assert!(posted.set_cookies().is_empty(), "{posted:?}");
    browser.get(&posted.location()).await;
    assert_eq!(browser.cookie(&gate, "doorward-login"), Some(&*cookie));
    let back = browser.get(&callback).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/first"), "{back:?}");
}

/// The page of providers asks for the address, keeps it, and says why it settled nothing.
#[tokio::test]
async fn an_address_leads_to_its_provider_or_back_to_the_page() {
    let (gate, further) = three().await;
    let mut browser = Browser::new();
    let page = browser.get(&link(&gate, &[("rd", "/x?y=1&z")])).await;
    assert_eq!(page.status, 200, "{page:?}");
    for part in [
        "Continue with <bdi>Partners</bdi>",
        "<form class=\"address\" method=\"get\" action=\"/_auth/login\">",
        "name=\"rd\" value=\"&#x2f;x?y=1&amp;z\"",
        "<label for=\"address\">Your e-mail address</label>",
        "name=\"login_hint\" value=\"\"",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains("aria-invalid=\"true\""), "{}", page.body);
    // Chromium holds the redirects behind a form against it; these providers are on loopback.
    assert!(page.header("content-security-policy").contains("form-action 'self' https: http:;"), "{page:?}");

    for (typed, says) in [
        ("ada@nowhere.example", "None of these is meant for addresses like this one."),
        ("ada@sub.example.com", "None of these is meant for addresses like this one."),
        ("ada@example.com.evil.com", "None of these is meant for addresses like this one."),
        ("ada", "This is no e-mail address"),
        ("\"><script>alert(1)</script>@x", "None of these is meant for addresses like this one."),
    ] {
        let again = browser.get(&link(&gate, &[("rd", "/x"), ("login_hint", typed)])).await;
        assert_eq!(again.status, 200, "{typed}: {again:?}");
        assert!(again.body.contains(says) && again.body.contains("aria-invalid=\"true\""), "{typed}: {}", again.body);
        assert!(again.text().contains(&format!("name=\"login_hint\" value=\"{typed}\"")), "{typed}: {}", again.text());
        assert!(!again.body.contains("<script"), "{typed}: {}", again.body);
        let kept = format!("rd=%2Fx&provider=open&login_hint={}", encoded(typed));
        assert!(again.text().contains(&kept), "whoever chooses need not type again: {}", again.text());
        assert!(again.set_cookies().is_empty(), "{again:?}");
    }
    for (typed, provider, name) in [
        ("ada@example.com", &gate.provider, "dev"),
        ("ADA@EXAMPLE.COM", &gate.provider, "dev"),
        (" bob@partner.example ", &further, "other"),
    ] {
        let begun = browser.get(&link(&gate, &[("rd", "/x"), ("login_hint", typed)])).await;
        let asked = asked_of(provider, &begun);
        assert_eq!(value(&asked, "redirect_uri"), Some(&*gate.url(&format!("/_auth/callback/{name}"))));
        assert_eq!(value(&asked, "login_hint"), Some(typed.trim()));
    }
    let back = browser.sign_in_at(&link(&gate, &[("rd", "/x"), ("login_hint", "ada@example.com")]), "ada").await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/x"), "{back:?}");
}

/// Without domains there is nothing an address could settle.
#[tokio::test]
async fn nobody_is_asked_for_an_address_that_settles_nothing() {
    let two = [
        ("providers.other.issuer", "ISSUER"),
        ("providers.other.client_id", gate::CLIENT_ID),
        ("providers.other.client_secret", gate::CLIENT_SECRET),
    ];
    let gate = Gate::with(&two).await;
    for hint in ["", "ada@example.com", "ada"] {
        let page = Browser::new().get(&link(&gate, &[("login_hint", hint)])).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(!page.body.contains("<form") && !page.body.contains("<input"), "{hint}: {}", page.body);
        assert!(page.header("content-security-policy").contains("form-action 'none'"), "{page:?}");
    }
}

/// Signed in as Ada at `dev`.
async fn as_ada(gate: &Gate) -> Browser {
    let mut browser = Browser::new();
    let back = browser.sign_in_at(&link(gate, &[("provider", "dev")]), "ada").await;
    assert_eq!(back.status, 303, "{back:?}");
    browser
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
