//! From the first redirect to the callback (C.4): a login ends in the browser it began in, once, and where that browser wanted to go.

use std::time::Duration;

use http::Method;
use url::Url;

use crate::support::{Browser, Gate, gate};

fn parameters(url: &str) -> Vec<(String, String)> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn parameter(url: &str, name: &str) -> String {
    parameters(url).into_iter().find(|(found, _)| found == name).unwrap().1
}

/// The same address with another value of `name`.
fn with(url: &str, name: &str, value: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    let pairs: Vec<_> =
        url.query_pairs().into_owned().map(|(n, v)| if n == name { (n, value.to_owned()) } else { (n, v) }).collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url.into()
}

/// T-041, T-049: somebody else's login, or nobody's, signs nobody in, and the provider is not even asked.
#[tokio::test]
async fn a_callback_counts_only_in_the_browser_that_began() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/x"), "ada").await;
    let mut busy = Browser::new();
    busy.reach_provider(&gate.url("/mine")).await;

    let mut without = Browser::new();
    let answer = without.get(&callback).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("/_auth/login"), "a friendly way to begin anew");
    // This one keeps cookies, so it cannot go in circles: it begins anew where the login wanted to go.
    let answer = busy.get(&callback).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/x"), "{answer:?}");
    for victim in [without, busy] {
        assert_eq!(victim.cookie(&gate, "doorward"), None);
    }
    assert_eq!(gate.token_requests(), 0);
    assert_eq!(browser.get(&callback).await.status, 303, "it still works where it began");
}

/// T-043.
#[tokio::test]
async fn a_callback_that_lacks_something_is_a_page() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/x"), "ada").await;
    let state = parameter(&callback, "state");
    let huge = "A".repeat(7_000);
    for query in [
        "",
        "?",
        "?code=abc",
        "?state=",
        "?code=abc&state=",
        &format!("?state={state}"),
        &format!("?state={state}&code="),
        &format!("?code=abc&state={huge}"),
        &format!("?code=abc&state={state}&state={state}"),
        &format!("?code=abc&code=abd&state={state}"),
        "?code=%00&state=%00",
        "?code=abc&state=%ff%fe",
        "?code=abc&state=AAAA",
        "?error=access_denied&error_description=<script>alert(1)</script>",
        "?error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E&state=x",
        &format!("?error=%3Cscript%3E&state={state}&error_description=%3Cscript%3E"),
    ] {
        let answer = browser.get(&gate.url(&format!("/_auth/callback/dev{query}"))).await;
        let refused = answer.status.is_client_error() || query.contains("error=%3C");
        assert!(refused, "{query:.80}: {answer:?}");
        assert!(!answer.body.contains("<script"), "{query:.80}: {answer:?}");
        assert!(answer.header("content-type").starts_with("text/html"), "{query:.80}");
    }
    // Longer than any target may be; the case's 100 kB end even earlier.
    for length in [9_000, 100_000] {
        let target = format!("GET /_auth/callback/dev?code=abc&state={}", "A".repeat(length));
        let status = gate.ask(&target, &[]).await.status;
        assert!(matches!(status, 414 | 431), "{length}: {status}");
    }
    assert_eq!((gate.token_requests(), browser.cookie(&gate, "doorward")), (0, None));
}

/// T-043: the provider's refusal is told in our own words.
#[tokio::test]
async fn a_refusal_of_the_provider_is_told() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let refused = browser.begin(&gate.url("/x?y"), "refuse").await;
    assert_eq!(parameter(&refused, "error"), "access_denied");
    let refused = with(&refused, "error_description", "<script>alert(1)</script>");
    let answer = browser.get(&refused).await;
    assert_eq!((answer.status.as_u16(), gate.token_requests()), (403, 0), "{answer:?}");
    assert!(answer.body.contains("access_denied") && !answer.body.contains("alert(1)"), "{answer:?}");
    assert!(
        answer.body.contains("rd=%2Fx%3Fy") || answer.body.contains("rd=/x%3Fy"),
        "back to where they wanted to go: {answer:?}"
    );
}

/// T-104: a posted callback is read within bounds, and only as a form.
#[tokio::test]
async fn a_posted_callback_is_a_form_or_nothing() {
    let gate = Gate::start().await;
    let callback = gate.url("/_auth/callback/dev");
    let large = "state=".to_owned() + &"x".repeat(10_000_000);
    for (content_type, body) in [
        ("", ""),
        ("application/x-www-form-urlencoded", ""),
        ("multipart/form-data; boundary=x", "--x\r\n\r\n"),
        ("application/json", "{}"),
        ("application/x-www-form-urlencoded; charset=utf-16", "\u{fffd}\0s\0t\0"),
        ("application/x-www-form-urlencoded", &large),
    ] {
        let headers: &[(&str, &str)] = if content_type.is_empty() { &[] } else { &[("content-type", content_type)] };
        let length = body.len();
        if length < 1_000 {
            let answer = Browser::new().send(Method::POST, &callback, headers, body.to_owned()).await;
            assert_eq!(answer.status, 400, "{content_type}: {answer:?}");
            continue;
        }
        // The gateway may answer and hang up long before everything has been written.
        let mut caller = crate::support::Caller::connect(gate.address).await;
        let content_type = format!("Content-Type: {content_type}");
        let head = crate::support::wire::request(
            &gate,
            "POST /_auth/callback/dev",
            &[&content_type, &format!("Content-Length: {length}")],
        );
        caller.say([&head[..], &body.as_bytes()[..200_000]].concat()).await;
        assert_eq!(caller.answer().await.status, 400);
    }
    // As a form it works like a query (`response_mode=form_post`).
    let mut browser = Browser::new();
    let url = browser.begin(&gate.url("/x"), "ada").await;
    let fields = parameters(&url);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    let back = browser.post(&callback, &fields).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/x"), "{back:?}");
}

/// T-130: a form from the provider's page brings no cookie of ours (`SameSite=Lax`); the login finishes all the same, in this browser only.
#[tokio::test]
async fn a_callback_posted_from_another_site_finishes_in_the_browser_that_began() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let url = browser.begin(&gate.url("/x"), "ada").await;
    let fields = parameters(&url);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    // What a browser does with a cross-site form: it sends none of the cookies it has.
    let posted = Browser::new().post(&gate.url("/_auth/callback/dev"), &fields).await;
    assert_eq!((posted.status.as_u16(), gate.token_requests()), (303, 0), "{posted:?}");
    assert!(
        posted.location().starts_with(&gate.url("/_auth/callback/dev?")) && posted.set_cookies().is_empty(),
        "{posted:?}"
    );
    assert_eq!(Browser::new().get(&posted.location()).await.status, 400, "not elsewhere");
    let back = browser.get(&posted.location()).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/x"), "{back:?}");
    for strange in ["state=x&code=y", "code=y", "state=&code=y"] {
        let fields: Vec<_> = strange.split('&').map(|field| field.split_once('=').unwrap()).collect();
        assert_eq!(Browser::new().post(&gate.url("/_auth/callback/dev"), &fields).await.status, 400, "{strange}");
    }
}

/// T-130: where a provider is known to post its answers, its logins alone have a cookie that comes along; the code never stands in a URL of ours.
#[tokio::test]
async fn an_answer_posted_from_another_site_brings_the_cookie_made_for_it() {
    let clock = doorward::clock::Clock::stopped(gate::NOW);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider = gate::provider("https://app.test", &clock).await;
    let public = [("public_url", "https://app.test")];
    let gate = Gate::beside(listener, provider, crate::support::Upstream::start().await, clock, &public);
    let host = [("host", "app.test")];
    let callback = gate.url("/_auth/callback/dev");

    // A provider that answers as usual keeps the cookie that other sites cannot make a browser send.
    let answer = Browser::new().navigate(Method::GET, &gate.url("/_auth/login?rd=/x"), None, &host).await;
    assert!(answer.set_cookies()[0].starts_with("__Host-doorward-login=") && !answer.location().contains("form_post"));
    assert!(answer.set_cookies()[0].ends_with("SameSite=Lax"), "{answer:?}");

    let mut settings = gate.settings(&public);
    settings.providers[0].response_mode = doorward::providers::ResponseMode::FormPost;
    gate.reload(settings).await;
    let mut browser = Browser::new();
    let answer = browser.navigate(Method::GET, &gate.url("/_auth/login?rd=/x"), None, &host).await;
    assert!(answer.location().contains("&response_mode=form_post"), "{answer:?}");
    let [set_cookie] = answer.set_cookies()[..] else { panic!("{answer:?}") };
    assert!(set_cookie.ends_with("Path=/; Secure; HttpOnly; SameSite=None"), "{set_cookie}");
    // The provider of these tests answers by links only; the test plays the page that posts.
    let page = browser.reach_provider(&answer.location().replace("&response_mode=form_post", "")).await;
    let url = browser.choose(&page, &[("person", "ada")]).await;
    let mut form: Vec<_> = parameters(&url);
    // Apple adds who it is, unsigned; that is nobody's word.
    form.push(("user".into(), r#"{"name":{"firstName":"Eve"},"email":"eve@example.org"}"#.into()));
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let cross_site = [("host", "app.test"), ("sec-fetch-site", "cross-site"), ("origin", "https://provider.test")];

    let elsewhere = Browser::new().navigate(Method::POST, &callback, Some(form.clone()), &cross_site).await;
    assert_eq!((elsewhere.status.as_u16(), gate.token_requests()), (400, 0), "{elsewhere:?}");
    let back = browser.navigate(Method::POST, &callback, Some(form.clone()), &cross_site).await;
    assert_eq!((back.status.as_u16(), back.header("location"), gate.token_requests()), (303, "/x", 1), "{back:?}");
    let session = back.set_cookies()[0].split(';').next().unwrap().to_owned();
    let who =
        gate.say(format!("GET /x HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nCookie: {session}\r\n\r\n")).await;
    assert_eq!((who.status, gate.upstream.take_one().one("x-user").as_deref()), (200, Some("ada")));

    // The session cookie does not come along, so a second time leads where it shows (T-047).
    let again = browser.navigate(Method::POST, &callback, Some(form), &cross_site).await;
    assert_eq!((again.status.as_u16(), again.header("location"), gate.token_requests()), (303, "/x", 1), "{again:?}");
    assert!(again.set_cookies().is_empty());
}

/// T-044, T-101: any number of tabs, one cookie, and each tab ends where it wanted to go.
#[tokio::test]
async fn twenty_tabs_cost_one_cookie_and_all_finish() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let mut callbacks = Vec::new();
    for tab in 0..20 {
        callbacks.push(browser.begin(&gate.url(&format!("/tab/{tab}?q=%2F")), "ada").await);
        let favicon = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        assert_eq!(browser.send(Method::GET, &gate.url("/favicon.ico"), &favicon, "").await.status, 401);
        let xhr = [("x-requested-with", "XMLHttpRequest"), ("accept", "*/*")];
        assert_eq!(browser.send(Method::GET, &gate.url("/api"), &xhr, "").await.status, 401);
    }
    assert_eq!(browser.cookies_for(&gate.address.to_string()).matches('=').count(), 1);
    assert!(browser.cookies_for(&gate.address.to_string()).len() < 64);
    for (tab, callback) in callbacks.iter().enumerate().rev() {
        let back = browser.get(callback).await;
        assert_eq!((back.status.as_u16(), back.header("location")), (303, &*format!("/tab/{tab}?q=%2F")), "{back:?}");
    }
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));
    let left = browser.cookies_for(&gate.address.to_string());
    assert!(left.matches('=').count() <= 2 && left.len() < 256, "{left}");
}

/// T-044: tabs that begin in the same moment share no cookie yet; they too end where they wanted to go.
#[tokio::test]
async fn tabs_that_begin_at_once_all_find_their_way() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let mut callbacks = Vec::new();
    let mut cookies = Vec::new();
    for tab in 0..10 {
        let mut alone = Browser::new();
        callbacks.push(alone.begin(&gate.url(&format!("/tab/{tab}")), "ada").await);
        cookies.push(alone.cookie(&gate, "doorward-login").unwrap().to_owned());
    }
    // The last answer's cookie is the one that stays.
    browser.set_cookie(&gate, "doorward-login", &cookies[9]);
    for (tab, callback) in callbacks.iter().enumerate().rev() {
        let back = browser.get(callback).await;
        assert_eq!((back.status.as_u16(), back.header("location")), (303, &*format!("/tab/{tab}")), "{back:?}");
    }
    assert_eq!((gate.token_requests(), browser.user(&gate).await.as_deref()), (1, Some("ada")));
}

/// T-046, T-100: what is asked of the provider is ours to say, every time the same.
#[tokio::test]
async fn a_link_adds_nothing_to_what_the_provider_is_asked() {
    let gate = Gate::with(&[("providers.dev.scopes", "openid,profile,email")]).await;
    let hostile = "&scope=admin&prompt=none&check=1&acr_values=0&client_id=evil&redirect_uri=https%3A%2F%2Fevil.com\
                   &response_type=token&state=x&nonce=x&code_challenge=x&response_mode=fragment&id_token_hint=x&domain_hint=x&claims=%7B%7D&max_age=1&request=x&lti_message_hint=x";
    let mut seen = Vec::new();
    for query in ["", hostile] {
        let login = Browser::new().get(&gate.url(&format!("/_auth/login?rd=%2Fx{query}"))).await;
        assert_eq!(login.status, 302, "{login:?}");
        let url = login.header("location");
        assert!(!url.contains('+') && url.contains("scope=openid%20profile%20email"), "{url}");
        let mut asked = parameters(url);
        asked.sort();
        let names: Vec<_> = asked.iter().map(|(name, _)| &**name).collect();
        let expected = [
            "client_id",
            "code_challenge",
            "code_challenge_method",
            "nonce",
            "redirect_uri",
            "response_type",
            "scope",
            "state",
        ];
        assert_eq!(names, expected, "{url}");
        for (name, value) in [
            ("client_id", gate::CLIENT_ID),
            ("code_challenge_method", "S256"),
            ("redirect_uri", &gate.url("/_auth/callback/dev")),
            ("response_type", "code"),
        ] {
            assert_eq!(parameter(url, name), value);
        }
        let base64url = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        for (name, least) in [("state", 64), ("nonce", 22), ("code_challenge", 43)] {
            let value = parameter(url, name);
            assert!(value.len() >= least && base64url(&value), "{name}={value}");
            assert!(!seen.contains(&value), "{name} is new each time");
            seen.push(value);
        }
    }
}

/// T-047: the back button.
#[tokio::test]
async fn the_same_callback_twice_redeems_nothing_twice() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/x"), "ada").await;
    let before = browser.clone();
    assert_eq!(browser.get(&callback).await.header("location"), "/x");
    let again = browser.get(&callback).await;
    assert_eq!((again.status.as_u16(), again.header("location")), (303, "/x"), "whoever is signed in goes on");
    assert_eq!(browser.user(&gate).await.as_deref(), Some("ada"));

    let mut nobody = before;
    let again = nobody.get(&callback).await;
    assert_eq!(again.status, 400, "{again:?}");
    assert!(again.body.contains("/_auth/login"), "begin anew: {again:?}");
    assert_eq!((nobody.cookie(&gate, "doorward"), gate.token_requests()), (None, 1));
}

/// T-049.
#[tokio::test]
async fn a_login_has_its_time() {
    let gate = Gate::with(&[("session.login_timeout", "10m")]).await;
    for (passed, status) in [(599, 303), (600, 400), (660, 400)] {
        let mut browser = Browser::new();
        let page = browser.reach_provider(&gate.url("/x")).await;
        gate.advance(Duration::from_secs(passed));
        let callback = browser.choose(&page, &[("person", "ada")]).await;
        let back = browser.get(&callback).await;
        assert_eq!(back.status, status, "{passed} s: {back:?}");
        assert_eq!(browser.cookie(&gate, "doorward").is_some(), status == 303);
    }
    assert_eq!(gate.token_requests(), 1);
}

/// T-049: what another gateway sealed, with another key or for another address, is nothing here.
#[tokio::test]
async fn another_gateways_login_is_none_of_ours() {
    let gate = Gate::start().await;
    let other_key = gate.replica(&[("session.key", "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb28")]).await;
    let stopped = gate.replica(&[("session.login_timeout", "1s")]).await;
    for replica in [&other_key, &stopped] {
        let mut browser = Browser::new();
        let callback = browser.begin(&gate.url("/x"), "ada").await;
        gate.advance(Duration::from_secs(1));
        browser.moves(&gate, replica);
        let back = browser.get(&callback).await;
        assert_eq!((back.status.as_u16(), browser.cookie(&gate, "doorward")), (400, None), "{back:?}");
    }
    let other = Gate::start().await;
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/x"), "ada").await;
    let cookie = browser.cookie(&gate, "doorward-login").unwrap().to_owned();
    browser.set_cookie(&other, "doorward-login", &cookie);
    let back = browser.get(&callback.replace(&gate.address.to_string(), &other.address.to_string())).await;
    assert_eq!((back.status.as_u16(), browser.cookie(&other, "doorward")), (400, None), "{back:?}");
    assert_eq!(gate.token_requests() + other.token_requests(), 0);
}

/// T-049: each changed character is noticed.
#[tokio::test]
async fn a_tampered_login_is_none() {
    let gate = Gate::start().await;
    let mut browser = Browser::new();
    let callback = browser.begin(&gate.url("/x"), "ada").await;
    let state = parameter(&callback, "state");
    for at in (0..state.len()).step_by(3) {
        let mut changed = state.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let answer = browser.get(&with(&callback, "state", &changed)).await;
        assert_eq!(answer.status, 400, "character {at}");
    }
    for (what, changed) in [("cut", state[..state.len() - 4].to_owned()), ("longer", format!("{state}AAAA"))] {
        assert_eq!(browser.get(&with(&callback, "state", &changed)).await.status, 400, "{what}");
    }
    assert_eq!((gate.token_requests(), browser.cookie(&gate, "doorward")), (0, None));
}

/// T-050: many logins at once over two replicas: everybody is who they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_logins_at_once_do_not_mix() {
    let gate = std::sync::Arc::new(Gate::start().await);
    let replica = std::sync::Arc::new(gate.replica(&[]).await);
    let mut logins = tokio::task::JoinSet::new();
    for n in 0..100_u32 {
        let (gate, replica) = (std::sync::Arc::clone(&gate), std::sync::Arc::clone(&replica));
        logins.spawn(async move {
            let mut browser = Browser::new();
            let page = browser.reach_provider(&gate.url(&format!("/{n}"))).await;
            let sub = format!("user-{n}");
            let fields =
                [("person", "other"), ("sub", &*sub), ("email", ""), ("name", ""), ("groups", ""), ("claims", "")];
            let callback = browser.choose(&page, &fields).await;
            if n % 2 == 0 {
                browser.moves(&gate, &replica);
            }
            let back = browser.get(&callback).await;
            assert_eq!((back.status.as_u16(), back.header("location")), (303, &*format!("/{n}")), "{back:?}");
            let whoami = browser.get(&gate.url("/_auth/whoami")).await.json();
            assert_eq!(whoami["user"], sub);
        });
    }
    while let Some(login) = logins.join_next().await {
        login.unwrap();
    }
    assert_eq!(gate.token_requests(), 100);
}

/// T-097, RFC 9700 §4.4: a callback belongs to the provider the login was begun at.
#[tokio::test]
async fn the_answer_of_another_provider_is_none() {
    let two = [
        ("providers.other.issuer", "ISSUER"),
        ("providers.other.client_id", gate::CLIENT_ID),
        ("providers.other.client_secret", gate::CLIENT_SECRET),
    ];
    let gate = Gate::with(&two).await;
    let mut browser = Browser::new();
    let chooser = browser.get(&gate.url("/_auth/login?rd=%2Fx")).await;
    assert_eq!(chooser.status, 200, "{chooser:?}");
    assert!(chooser.body.contains("provider=dev") && chooser.body.contains("provider=other"), "{chooser:?}");
    assert_eq!(browser.get(&gate.url("/_auth/login?provider=nobody")).await.status, 404);

    let callback = browser.begin(&gate.url("/_auth/login?rd=%2Fx&provider=dev"), "ada").await;
    let mixed = callback.replace("/callback/dev", "/callback/other");
    let answer = browser.get(&mixed).await;
    assert_eq!((answer.status.as_u16(), gate.token_requests()), (400, 0), "{answer:?}");
    assert_eq!(browser.cookie(&gate, "doorward"), None);

    // RFC 9207 §2.4
    for (what, forged) in [
        ("another issuer", with(&callback, "iss", "https://evil.example")),
        ("the issuer with a slash", with(&callback, "iss", &format!("{}/", gate.provider.issuer()))),
        ("none, though promised", callback.split("&iss=").next().unwrap().to_owned()),
    ] {
        let mut browser = Browser::new();
        let fresh = browser.begin(&gate.url("/_auth/login?rd=%2Fx&provider=dev"), "ada").await;
        let forged = with(&with(&forged, "state", &parameter(&fresh, "state")), "code", &parameter(&fresh, "code"));
        let answer = browser.get(&forged).await;
        assert_eq!((answer.status.as_u16(), gate.token_requests()), (400, 0), "{what}: {answer:?}");
        assert_eq!(browser.cookie(&gate, "doorward"), None, "{what}");
    }
}
