use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};

use super::*;

fn pages() -> Pages {
    Pages::new(&Origin::parse("https://app.example.com").unwrap()).unwrap()
}

/// Every page in every form, with `text` wherever a text can be and `path` wherever a link can lead.
fn all(pages: &Pages, text: &str, path: &str) -> Vec<(&'static str, Page)> {
    let href = || Href::parse(path).unwrap();
    let choice = || Choice { display_name: text, href: href() };
    let return_to = ReturnTo::parse("/x?y", &Origin::parse("https://app.example.com").unwrap());
    let address = |problem: Option<AddressProblem>| AskAddress {
        action: href(),
        return_to: &return_to,
        providers: problem.map(|_| "google,partner"),
        typed: text,
        problem,
        may_be_plain_http: problem.is_some(),
    };
    let action = || Action { label: text.into(), href: href() };
    let error = ErrorPage {
        status: StatusCode::FORBIDDEN,
        title: text.into(),
        cause: text.into(),
        advice: text.into(),
        actions: vec![action(), action()],
        request_id: text,
    };
    let endpoint = Url::parse("https://op.example/end?x=\"'<>;").unwrap();
    let confirm = ConfirmLogout { user: text, logout: href(), cancel: href(), then_at: None };
    let then_at = Some(LogoutAt { display_name: text, endpoint: &endpoint });
    let listed = |is_own, known: Option<&'static str>| ListedSession {
        id: text.to_owned(),
        browser: text.to_owned(),
        address: known.map(str::to_owned),
        provider: known.map(|_| text),
        signed_in: UnixTime(1_800_000_000),
        seen: UnixTime(1_800_003_661),
        is_own,
    };
    let (two, one) = ([listed(true, Some("192.0.2.1")), listed(false, Some("2001:db8::1"))], [listed(true, None)]);
    let sessions = |sessions, then_at| SessionsPage { user: text, sessions, action: href(), logout: href(), then_at };
    vec![
        ("sign-in", pages.sign_in(&[choice(), choice()], None)),
        ("sign-in by address", pages.sign_in(&[choice(), choice()], Some(&address(None)))),
        ("sign-in by another address", pages.sign_in(&[choice()], Some(&address(Some(AddressProblem::NoProvider))))),
        ("sign-in without choice", pages.sign_in(&[], None)),
        ("error", pages.error(&error)),
        ("error without actions", pages.error(&ErrorPage { actions: vec![], ..error })),
        ("sessions", pages.sessions(&sessions(&two, Some(&endpoint)))),
        ("one session", pages.sessions(&sessions(&one, None))),
        ("signed out", pages.signed_out(&SignedOut { sign_in: href(), still_known_at: None })),
        ("signed out here", pages.signed_out(&SignedOut { sign_in: href(), still_known_at: Some(text) })),
        ("logout", pages.confirm_logout(&confirm)),
        ("logout at the provider", pages.confirm_logout(&ConfirmLogout { then_at, ..confirm })),
    ]
}

const PATH: &str = "/_auth/login?provider=google&rd=%2F";

/// T-043.
#[test]
fn hostile_text_changes_no_page() {
    let pages = pages();
    let paths = ["/\"onclick=\"alert(1)", "/?'><script>alert(1)</script>", "/?&quot;&gt=``<!--"];
    let texts = [
        "<script>alert(1)</script>",
        "\" autofocus onfocus=\"alert(1)",
        "' onfocus='alert(1)",
        "</style></title></main></html><svg onload=alert(1)>",
        "<!-- --><![CDATA[ ]]>",
        "{{ style }}{% include 'x' %}{# #}",
        "&lt;script&gt;&#60;script&#x3e;",
        "\0\u{1}\r\n\u{85}\u{202e}\u{2066}",
        &"<".repeat(100_000),
        " ",
    ];
    for (text, path) in texts.iter().zip(paths.iter().cycle()) {
        for ((page, benign), (_, hostile)) in all(&pages, "Google", PATH).iter().zip(all(&pages, text, path)) {
            assert_eq!(structure(&hostile.html), structure(&benign.html), "{page} with {text:.40}");
            assert_eq!(hostile.content_security_policy, benign.content_security_policy, "{page}");
            assert!(!hostile.html.contains(|c: char| (c.is_control() && c != '\n') || is_bidi_control(c)), "{page}");
            assert!(hostile.html.len() < 50_000, "{page} with {text:.40}: {} bytes", hostile.html.len());
        }
    }
}

#[test]
fn a_page_shows_what_it_was_given() {
    let shown = all(&pages(), "Ólafur & Söhne", PATH);
    for (page, contains) in [
        ("sign-in", "Continue with <bdi>Ólafur &amp; Söhne</bdi></a>"),
        ("sign-in", "href=\"/_auth/login?provider=google&amp;rd=%2F\""),
        (
            "sign-in by address",
            "<form class=\"address\" method=\"get\" action=\"/_auth/login?provider=google&amp;rd=%2F\">",
        ),
        ("sign-in by address", "<input type=\"hidden\" name=\"rd\" value=\"&#x2f;x?y\">"),
        ("sign-in by address", "<label for=\"address\">Your e-mail address</label>"),
        ("sign-in by another address", "name=\"login_hint\" value=\"Ólafur &amp; Söhne\""),
        ("sign-in by another address", "aria-describedby=\"problem\""),
        ("sign-in by another address", "<input type=\"hidden\" name=\"provider\" value=\"google,partner\">"),
        (
            "sign-in by another address",
            "<p class=\"problem\" id=\"problem\">None of these is meant for addresses like this one.",
        ),
        ("error", "<title>Ólafur &amp; Söhne · app.example.com</title>"),
        ("error", "<h1>Ólafur &amp; Söhne</h1>"),
        ("error", "<code>Ólafur &amp; Söhne</code>"),
        ("error", "<dd>403</dd>"),
        ("sessions", "<h2><bdi>Ólafur &amp; Söhne</bdi> <span class=\"own\">this session</span></h2>"),
        ("sessions", "<time datetime=\"2027-01-15T09:01:01Z\">15 January 2027, 09:01 UTC</time>"),
        ("sessions", "<dd>2001:db8::1</dd>"),
        ("sessions", "<input type=\"hidden\" name=\"session\" value=\"Ólafur &amp; Söhne\">"),
        ("sessions", "name=\"all\" value=\"others\">End all others</button>"),
        ("sessions", "name=\"everywhere\" value=\"1\">Sign out everywhere</button>"),
        ("signed out here", "Ólafur &amp; Söhne</bdi> may still know you"),
        ("logout", "signed in as <bdi class=\"name\">Ólafur &amp; Söhne</bdi>"),
        ("logout", "<form class=\"actions\" method=\"post\" action=\"/_auth/login?provider=google&amp;rd=%2F\">"),
    ] {
        let html = &shown.iter().find(|(name, _)| *name == page).unwrap().1.html;
        assert!(html.contains(contains), "{page} has no {contains}:\n{html}");
    }
}

#[test]
fn a_person_with_one_session_has_no_others_to_end() {
    let pages = all(&pages(), "x", PATH);
    let html = &pages.iter().find(|(name, _)| *name == "one session").unwrap().1.html;
    assert!(!html.contains("others") && html.contains("Sign out everywhere"), "{html}");
}

#[test]
fn every_page_can_be_read_aloud() {
    for (page, Page { html, .. }) in all(&pages(), "Google", PATH) {
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{page}");
        let tags = structure(&html);
        for landmark in ["title", "header", "main", "h1"] {
            assert_eq!(tags.iter().filter(|(tag, _)| tag == landmark).count(), 1, "{page}: one {landmark}");
        }
        let title = html.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
        let (subject, application) = title.split_once(" · ").unwrap();
        assert!(!subject.is_empty() && application == "app.example.com", "{page}: {title}");
        for (tag, attributes) in &tags {
            assert!(!matches!(tag.as_str(), "script" | "img" | "link" | "iframe" | "object"), "{page}: {tag}");
            let inert = |name: &String| name != "style" && name != "src" && !name.starts_with("on");
            assert!(attributes.iter().all(inert), "{page}: {tag} {attributes:?}");
        }
    }
    structure(PLAIN);
}

#[test]
fn nothing_in_a_template_goes_around_the_escaping() {
    let pages = pages();
    for (name, template) in pages.templates.templates() {
        assert!(!template.source().contains("safe") && !template.source().contains("autoescape"), "{name}");
    }
    assert!(!served(include_str!("style.css")).contains(['<', '&', '\r']), "the style element ends where it should");
}

#[test]
fn the_stylesheet_is_the_only_thing_a_page_may_load() {
    for (page, shown) in all(&pages(), "Google", PATH) {
        let style = shown.html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let form = match page {
            "logout" | "one session" => "'self'",
            "sessions" | "logout at the provider" | "sign-in by address" => "'self' https:",
            "sign-in by another address" => "'self' https: http:",
            _ => "'none'",
        };
        assert_eq!(
            shown.content_security_policy.to_str().unwrap(),
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; form-action {form}; base-uri 'none'; frame-ancestors 'none'"
            ),
            "{page}"
        );
    }
}

#[test]
fn a_form_may_lead_to_a_provider_on_plain_http_only_where_there_is_one() {
    let pages = pages();
    for (endpoint, form) in
        [("http://127.0.0.1:5556/end", "'self' https: http:;"), ("https://op.example/", "'self' https:;")]
    {
        let endpoint = Url::parse(endpoint).unwrap();
        let policy = pages.policies.form_leading_to(Some(&endpoint)).to_str().unwrap();
        assert!(policy.contains(&format!("form-action {form}")), "{endpoint}: {policy}");
    }
}

#[test]
fn the_style_is_the_same_after_any_checkout() {
    let source = include_str!("style.css").replace('\r', "");
    assert_eq!(served(&source), served(&source.replace('\n', "\r\n")));
    assert!(served(&source).len() < 3_500, "small");
}

#[test]
fn no_page_is_kept_framed_or_guessed_at() {
    let page = pages().sign_in(&[], None);
    let headers = page.headers();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", page.content_security_policy.to_str().unwrap()),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert!(headers.iter().any(|(n, v)| n == name && v == value), "{name}: {value}");
    }
}

#[test]
fn there_is_a_page_even_when_its_template_fails() {
    let pages = pages();
    for (template, why) in [("nowhere.html", "no such template"), ("error.html", "nothing it asks for is defined")] {
        let page = pages.page(template, context! {}, &pages.policies.no_form);
        assert_eq!(page.html, PLAIN, "{why}");
        assert_eq!(page.content_security_policy, pages.policies.no_form);
    }
}

#[test]
fn the_application_is_named_as_the_address_bar_names_it() {
    for (origin, name) in [
        ("https://app.example.com", "app.example.com"),
        ("https://app.example.com:8443", "app.example.com:8443"),
        ("http://127.0.0.1:4180", "127.0.0.1:4180"),
        ("https://b\u{fc}cher.example", "xn--bcher-kva.example"),
    ] {
        assert_eq!(authority(&Origin::parse(origin).unwrap()), name);
    }
}

#[test]
fn text_is_shortened_and_visible() {
    for (text, limit, answer) in [
        ("", 3, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "abc…"),
        ("ééé", 3, "ééé"),
        ("éééé", 3, "ééé…"),
        ("a\0b\nc", 9, "a\u{fffd}b\u{fffd}c"),
        ("\u{202e}evil", 9, "\u{fffd}evil"),
        ("שלום", 9, "שלום"),
    ] {
        assert_eq!(shown(text, limit), answer, "{text:?}");
    }
}

/// WCAG 2.2 §1.4.3 for text, §1.4.11 for what shows where a button is.
#[test]
fn text_can_be_read_on_its_ground() {
    let style = include_str!("style.css");
    let (light, dark) = style.split_once("@media (prefers-color-scheme: dark)").unwrap();
    for (palette, name) in [(light, "light"), (dark, "dark")] {
        let luminance = |colour: &str| {
            let hex = palette.split_once(&format!("--{colour}: #")).unwrap().1;
            let linear = |at: usize| {
                let c = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(0) + 0.7152 * linear(2) + 0.0722 * linear(4)
        };
        for (one, other, at_least) in [
            ("text", "sheet", 7.0),
            ("quiet", "sheet", 4.5),
            ("quiet", "ground", 4.5),
            ("accent", "sheet", 4.5),
            ("on-accent", "accent", 4.5),
            ("problem", "sheet", 4.5),
            ("edge", "sheet", 3.0),
        ] {
            let (a, b) = (luminance(one), luminance(other));
            let ratio = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(ratio >= at_least, "{name}: {one} on {other} is {ratio:.2}, less than {at_least}");
        }
    }
}

/// Tags in order, each with the names of its attributes. Panics at what is not well-formed: tags that do not close in turn, attributes without
/// double quotes, a bare `<` or `&`.
fn structure(html: &str) -> Vec<(String, Vec<String>)> {
    const VOID: [&str; 3] = ["meta", "br", "input"];
    let (mut seen, mut open) = (Vec::new(), Vec::new());
    let mut rest = html.strip_prefix("<!doctype html>").unwrap();
    while let Some((text, tag)) = rest.split_once('<') {
        assert!(references(text), "{text}");
        assert!(!text.contains('>') || open.last() == Some(&"style"), "a bare > in {text}");
        let mut tag = tag;
        if let Some(closing) = tag.strip_prefix('/') {
            let (name, after) = closing.split_once('>').unwrap();
            assert_eq!(open.pop(), Some(name), "</{name}> closes something else");
            rest = after;
            continue;
        }
        let name;
        (name, tag) = tag.split_at(tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap());
        assert!(!name.is_empty(), "a bare < before {tag:.40}");
        let mut attributes = Vec::new();
        while let Some(attribute) = tag.strip_prefix(' ') {
            let (key, after) = attribute.split_once("=\"").unwrap();
            assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{key}");
            let (value, after) = after.split_once('"').unwrap();
            assert!(references(value) && !value.contains(['<', '>']), "{value}");
            attributes.push(key.to_owned());
            tag = after;
        }
        rest = tag.strip_prefix('>').unwrap_or_else(|| panic!("<{name}> does not end: {tag:.40}"));
        if !VOID.contains(&name) {
            open.push(name);
        }
        seen.push((name.to_owned(), attributes));
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "left open: {open:?}");
    seen
}

/// Every `&` begins a character reference.
fn references(text: &str) -> bool {
    text.split('&').skip(1).all(|after| {
        after
            .split_once(';')
            .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#'))
    })
}
