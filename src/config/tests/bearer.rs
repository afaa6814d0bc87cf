//! Which tokens of a provider count: what is refused, what is warned about, and what it then means.

use std::time::Duration;

use super::Case;
use crate::providers::{Bearer, BearerMethod, IntrospectionProtocol, Settings};

const OIDC: &str = "issuer = 'https://login.example.com'\n";
const CLIENT: &str = "client_id = 'ours'\n";
const OAUTH2: &str = "kind = 'oauth2'\nauthorization_endpoint = 'https://l.example/a'\ntoken_endpoint = 'https://l.example/t'\n\
                      userinfo_endpoint = 'https://l.example/u'\n";
const FACEBOOK: &str = "kind = 'facebook'\nclient_secret = 's'\n";
const MICROSOFT: &str = "kind = 'microsoft'\n";

/// One provider `corp` with `lines` in a file, where `credentials` count.
fn case(credentials: &str, lines: &str) -> Case {
    Case::good()
        .without("PROVIDERS__CORP__ISSUER")
        .without("PROVIDERS__CORP__CLIENT_ID")
        .variable("CREDENTIALS", credentials)
        .file(&format!("[providers.corp]\n{lines}"))
}

fn settings(lines: &str) -> Settings {
    case("bearer", lines).loaded().settings.providers.remove(0)
}

fn bearer(lines: &str) -> Bearer {
    settings(lines).bearer.unwrap_or_else(|| panic!("{lines}"))
}

#[test]
fn a_wrong_rule_for_tokens_is_refused_whether_tokens_count_or_not() {
    const INTROSPECTION: &str = "bearer.method = 'introspection'\n";
    for (base, lines, key, what) in [
        // words and forms
        (OIDC, "bearer.method = 'opaque'", "bearer.method", "is `opaque`; known are `auto`, `jwt`, `introspection`"),
        (
            OIDC,
            "bearer.introspection = 'rfc7662'",
            "bearer.introspection",
            "is `rfc7662`; known are `none`, `standard`",
        ),
        (OIDC, "bearer.plain_jwt = 'yes'", "bearer.plain_jwt", "is `yes`; `true` or `false`"),
        (OIDC, "bearer.audience_claim = ''", "bearer.audience_claim", "is empty"),
        (OIDC, "bearer.audience = 'x'", "bearer.audience", "is no key; the nearest known key is"),
        (OIDC, "bearer = 'jwt'", "bearer", "is a single value; a table"),
        (OIDC, "bearer.recheck = 60", "bearer.recheck", "is 60 without a unit"),
        (OIDC, "bearer.recheck = '0s'", "bearer.recheck", "is less than a second"),
        (OIDC, "bearer.recheck = '999ms'", "bearer.recheck", "is less than a second"),
        (OIDC, "bearer.recheck = '1s500ms'", "bearer.recheck", "has a part of a second"),
        (OIDC, "bearer.recheck = '1h1s'", "bearer.recheck", "is longer than an hour"),
        (
            OIDC,
            "introspection_endpoint = 'http://l.example/i'\nbearer.introspection = 'standard'",
            "introspection_endpoint",
            "is plain http",
        ),
        // lists that name nobody
        (OIDC, "bearer.audiences = []", "bearer.audiences", "is empty"),
        (OIDC, "bearer.clients = []", "bearer.clients", "is empty"),
        (OIDC, "bearer.issuers = []", "bearer.issuers", "is empty"),
        (OIDC, "bearer.audiences = ['a', '']", "bearer.audiences", "has a wrong entry: entry 2 is empty"),
        // what is replaced
        (
            OIDC,
            "bearer.audiences = ['api://{client}']",
            "bearer.audiences",
            "holds `api://{client}`; replaced in it are",
        ),
        (OIDC, "bearer.audiences = ['{{client_id}']", "bearer.audiences", "holds `{{client_id}`; replaced in it are"),
        (
            OIDC,
            "bearer.issuers = ['https://x.example/{tenant}']",
            "bearer.issuers",
            "hold `{tenant}`, which nothing replaces",
        ),
        (
            OIDC,
            "bearer.issuers = ['https://x.example/{tenantid}']",
            "bearer.issuers",
            "hold `{tenantid}`, which nothing replaces",
        ),
        (
            MICROSOFT,
            "tenant = 'common'\nallowed_tenants = ['t']\nbearer.audiences = ['{issuer}']",
            "bearer.audiences",
            "holds `{issuer}`, but each tenant has an issuer of its own",
        ),
        // who is asked
        (
            OIDC,
            "bearer.method = 'jwt'\nbearer.introspection = 'standard'",
            "bearer.introspection",
            "means nothing: `providers.corp.bearer.method`",
        ),
        (
            OIDC,
            "bearer = { method = 'userinfo', introspection = 'tokeninfo', insecure_any_audience = true }",
            "bearer.introspection",
            "means nothing",
        ),
        (
            OIDC,
            "introspection_endpoint = 'https://l.example/i'",
            "introspection_endpoint",
            "means nothing: no token is asked about",
        ),
        (
            OIDC,
            "introspection_endpoint = 'https://l.example/i'\nbearer.method = 'none'",
            "introspection_endpoint",
            "means nothing: no token is asked about",
        ),
        (
            OIDC,
            "introspection_endpoint = 'https://l.example/i'\nbearer = { method = 'introspection', introspection = 'validate_bearer' }",
            "introspection_endpoint",
            "means nothing: `validate_bearer` asks at the token endpoint",
        ),
        (
            OIDC,
            "bearer.introspection = 'tokeninfo'",
            "introspection_endpoint",
            "is required with `bearer.introspection = \"tokeninfo\"`",
        ),
        (OAUTH2, INTROSPECTION, "introspection_endpoint", "is required with OAuth 2.0"),
        // whom userinfo cannot tell apart
        (OIDC, "bearer.method = 'userinfo'", "bearer.method", "is `userinfo`, which does not say whom a token is for"),
        (
            OAUTH2,
            "bearer.method = 'userinfo'",
            "bearer.method",
            "is `userinfo`, which does not say whom a token is for",
        ),
        (
            FACEBOOK,
            "bearer.audiences = ['x']",
            "bearer.audiences",
            "cannot be checked with `bearer.method = \"userinfo\"`",
        ),
        (FACEBOOK, "bearer.clients = ['x']", "bearer.clients", "cannot be checked with `bearer.method = \"userinfo\"`"),
        (
            OIDC,
            "bearer = { method = 'userinfo', userinfo_fallback = true, insecure_any_audience = true }",
            "bearer.userinfo_fallback",
            "means nothing with `bearer.method = \"userinfo\"`",
        ),
        (
            OIDC,
            "bearer = { audiences = ['x'], insecure_any_audience = true }",
            "bearer.audiences",
            "stand beside `providers.corp.bearer.insecure_any_audience`",
        ),
        // what is spoken
        (OAUTH2, "bearer.method = 'jwt'", "bearer.method", "expects JWTs"),
        (OAUTH2, "bearer.method = 'auto'", "bearer.method", "expects JWTs"),
        (OAUTH2, "bearer.plain_jwt = true", "bearer.plain_jwt", "is for `protocol = \"oidc\"`"),
        (OAUTH2, "bearer.id_tokens = true", "bearer.id_tokens", "is for `protocol = \"oidc\"`"),
        (OAUTH2, "bearer.userinfo_fallback = true", "bearer.userinfo_fallback", "is for `protocol = \"oidc\"`"),
    ] {
        let problems = case("cookie", &format!("{CLIENT}{base}{lines}")).problems();
        let [problem] = problems.as_slice() else { panic!("{base}{lines}: {problems:#?}") };
        assert!(problem.contains(&format!("providers.corp.{key} {what}")), "{base}{lines}: {problem}");
        assert!(problem.starts_with("DIR/doorward.toml:"), "{problem}");
    }
}

/// What a kind brings along is refused only where tokens count.
#[test]
fn what_a_kind_brings_along_is_judged_where_tokens_count() {
    for (lines, key, what) in [
        (
            format!("{CLIENT}{FACEBOOK}appsecret_proof = false"),
            "bearer.method (kind facebook)",
            "is `userinfo`, which does not say whom a token is for",
        ),
        (
            "kind = 'google'\nlogin = false".to_owned(),
            "bearer.audiences (kind google)",
            "holds `{client_id}`, but there is no `client_id`",
        ),
        (
            "kind = 'cognito'\nissuer = 'https://c.example'\nlogin = false".to_owned(),
            "bearer.audiences (kind cognito)",
            "holds `{client_id}`, but there is no `client_id`",
        ),
    ] {
        let problems = case("bearer", &lines).problems();
        let [problem] = problems.as_slice() else { panic!("{lines}: {problems:#?}") };
        assert!(problem.starts_with(&format!("providers.corp.{key} {what}")), "{lines}: {problem}");
        let problems = case("cookie", &lines).problems();
        assert!(problems.iter().all(|problem| problem.contains("nobody could sign in")), "{lines}: {problems:#?}");
    }
    // Nothing of it: no token of theirs counts unless somebody says how.
    for lines in [format!("{OIDC}protocol = 'oauth2'\n"), OAUTH2.to_owned()] {
        let lines = format!(
            "{CLIENT}{lines}authorization_endpoint = 'https://l.example/a'\ntoken_endpoint = 'https://l.example/t'\n\
             userinfo_endpoint = 'https://l.example/u'\nsubject_claim = 'id'\n"
        );
        let mut once = std::collections::BTreeSet::new();
        let lines: Vec<_> = lines.lines().filter(|line| once.insert(*line)).collect();
        let settings = case("cookie", &lines.join("\n")).loaded().settings.providers.remove(0);
        assert_eq!(settings.bearer, None, "{lines:?}");
    }
}

#[test]
fn a_client_is_needed_where_people_sign_in_or_it_asks() {
    for (lines, is_needed) in [
        ("", true),
        ("login = true", true),
        ("login = false", false),
        ("login = false\nbearer.method = 'jwt'", false),
        ("login = false\nbearer = { method = 'userinfo', insecure_any_audience = true }", false),
        ("login = false\nintrospection_endpoint = 'https://l.example/i'\nbearer.introspection = 'tokeninfo'", false),
        ("login = false\nbearer.method = 'introspection'", true),
        ("login = false\nbearer.introspection = 'standard'", true),
        ("login = false\nbearer.introspection = 'validate_bearer'", true),
    ] {
        let problems = case("bearer", &format!("{OIDC}{lines}")).problems();
        let needs = problems.iter().any(|problem| problem.contains("providers.corp.client_id is required"));
        assert_eq!((needs, problems.len()), (is_needed, usize::from(is_needed)), "{lines}: {problems:#?}");
        let with = settings(&format!("{CLIENT}{OIDC}{lines}"));
        assert_eq!(with.client_id, "ours", "{lines}");
    }
    let without = settings(&format!("{OIDC}login = false"));
    assert_eq!((without.client_id.as_str(), without.login), ("", false));
    // A kind that wants a key of us wants it of whoever signs people in.
    let without = settings("kind = 'logingov'\nlogin = false\nbearer.method = 'jwt'");
    assert_eq!((without.client_id.as_str(), without.client_auth), ("", None));
}

#[test]
fn a_provider_is_for_something() {
    for (lines, named) in [
        (format!("{OIDC}bearer.method = 'none'"), "DIR/doorward.toml:4"),
        ("kind = 'github'\n".to_owned(), "kind github"),
        ("kind = 'gitlab'\n".to_owned(), "kind gitlab"),
    ] {
        let problems = case("cookie", &format!("login = false\n{lines}")).problems();
        let [_, problem] = problems.as_slice() else { panic!("{lines}: {problems:#?}") };
        assert!(problems[0].contains("nobody could sign in"), "{problems:#?}");
        let answer = format!(
            "DIR/doorward.toml:2: providers.corp.login is off, and no token counts either (`providers.corp.bearer.method` ({named})): \
             the provider would be for nothing"
        );
        assert_eq!(*problem, answer, "{lines}");
    }
}

#[test]
fn tokens_that_can_be_mistaken_are_warned_about() {
    const ISSUER: &str = "issuer = 'https://i.example'\n";
    for (lines, warning) in [
        (
            format!("{OIDC}bearer.insecure_any_audience = true"),
            "providers.corp.bearer.insecure_any_audience is on: whoever can read",
        ),
        // Nobody mistakes these.
        (format!("{ISSUER}kind = 'keycloak'\nbearer.audiences = ['orders']"), ""),
        (format!("{ISSUER}kind = 'cognito'\n"), ""),
        (format!("{MICROSOFT}tenant = 't'\n"), ""),
        (format!("{OIDC}bearer = {{ plain_jwt = true }}"), ""),
        (format!("{OIDC}bearer = {{ audiences = ['{{client_id}}'] }}"), ""),
        // An unmarked token for our own client is taken for an ID token, and refused.
        (format!("{OIDC}bearer = {{ plain_jwt = true, audiences = ['{{client_id}}', 'x'] }}"), ""),
    ] {
        for credentials in ["cookie", "both"] {
            let warnings = case(credentials, &format!("{CLIENT}{lines}")).loaded().warnings;
            assert_eq!(warnings.len(), usize::from(!warning.is_empty()), "{lines}: {warnings:#?}");
            assert!(warnings.iter().all(|found| found.contains(warning)), "{lines}: {warnings:#?}");
        }
    }
}

#[test]
fn who_is_asked_follows_from_two_words() {
    use BearerMethod::{Auto, Introspection, Jwt, Userinfo};
    use IntrospectionProtocol::{Standard, Tokeninfo, ValidateBearer};
    let google = format!("{CLIENT}kind = 'google'\n");
    let oidc = format!("{CLIENT}{OIDC}");
    for (base, lines, method, introspection) in [
        (&oidc, "", Auto, None),
        (&oidc, "bearer.introspection = 'standard'", Auto, Some(Standard)),
        (&oidc, "bearer.introspection = 'validate_bearer'", Auto, Some(ValidateBearer)),
        (&oidc, "bearer.method = 'jwt'\nbearer.introspection = 'none'", Jwt, None),
        (&oidc, "bearer.method = 'introspection'", Introspection, Some(Standard)),
        (&oidc, "bearer = { method = 'introspection', introspection = 'none' }", Introspection, Some(Standard)),
        (
            &oidc,
            "bearer = { method = 'introspection', introspection = 'validate_bearer' }",
            Introspection,
            Some(ValidateBearer),
        ),
        (&oidc, "bearer = { method = 'userinfo', insecure_any_audience = true }", Userinfo, None),
        (&google, "", Introspection, Some(Tokeninfo)),
        (&google, "bearer.method = 'auto'", Auto, Some(Tokeninfo)),
        // The kind's word is no mistake of the operator's.
        (&google, "bearer.method = 'jwt'", Jwt, None),
    ] {
        let bearer = bearer(&format!("{base}{lines}"));
        assert_eq!((bearer.method, bearer.introspection), (method, introspection), "{base}{lines}");
    }
    assert_eq!(
        settings(&format!("{oidc}bearer.introspection = 'standard'\nintrospection_endpoint = 'https://l.example/i'"))
            .endpoints
            .introspection
            .unwrap()
            .as_str(),
        "https://l.example/i"
    );
}

#[test]
fn everything_that_is_written_arrives() {
    let lines = "bearer = { audiences = ['{client_id}', '{issuer}/api', 'x'], audience_claim = 'resource', clients = ['a', 'b'], \
                 issuers = ['https://old.example'], plain_jwt = true, id_tokens = true, userinfo_fallback = true, recheck = '1h' }";
    let bearer = bearer(&format!("{CLIENT}{OIDC}{lines}"));
    let expected = Bearer {
        method: BearerMethod::Auto,
        introspection: None,
        audiences: ["ours".into(), "https://login.example.com/api".into(), "x".into()].into(),
        audience_claim: "resource".into(),
        clients: ["a".into(), "b".into()].into(),
        issuers: vec!["https://old.example".to_owned()],
        plain_jwt: true,
        id_tokens: true,
        userinfo_fallback: true,
        recheck: Duration::from_secs(3_600),
        insecure_any_audience: false,
    };
    assert_eq!(bearer, expected);
    let case = Case::good()
        .variable("CREDENTIALS", "both")
        .variable("PROVIDERS__CORP__BEARER__METHOD", "jwt")
        .variable("PROVIDERS__CORP__BEARER__AUDIENCES", "a,b")
        .variable("PROVIDERS__CORP__BEARER__RECHECK", "1s");
    let bearer = case.loaded().settings.providers.remove(0).bearer.unwrap();
    assert_eq!((bearer.method, bearer.recheck), (BearerMethod::Jwt, Duration::from_secs(1)));
    assert_eq!(bearer.audiences, ["a".into(), "b".into()].into());
    // One key of a kind's table that is written leaves the others.
    let keycloak =
        self::bearer("client_id = 'x'\nkind = 'keycloak'\nissuer = 'https://i.example'\nbearer.recheck = '5s'\n");
    assert!(keycloak.plain_jwt && !keycloak.id_tokens);
    assert_eq!((keycloak.recheck, &*keycloak.audience_claim), (Duration::from_secs(5), "aud"));
}

#[test]
fn a_tenant_is_put_into_the_issuers_of_tokens_too() {
    for (lines, issuers) in [
        ("tenant = 't-1'\n", &["https://sts.windows.net/t-1/"] as &[&str]),
        ("tenant = 'organizations'\nallowed_tenants = ['t-1']\n", &["https://sts.windows.net/{tenantid}/"]),
        // Another cloud, by hand: those of the kind are nobody's.
        ("issuer = 'https://login.microsoftonline.us/t-1/v2.0'\n", &[]),
        ("tenant = 't-1'\nbearer.issuers = ['https://sts.example/']", &["https://sts.example/"]),
    ] {
        let bearer = bearer(&format!("{CLIENT}{MICROSOFT}{lines}"));
        assert_eq!(bearer.issuers, issuers, "{lines}");
        assert_eq!(bearer.audiences, ["ours".into(), "api://ours".into()].into(), "{lines}");
        assert!(bearer.plain_jwt);
    }
}

#[test]
fn each_kind_knows_its_tokens() {
    use BearerMethod::{Auto, Introspection, Userinfo};
    const ISSUER: &str = "issuer = 'https://i.example'\n";
    for (kind, lines, method) in [
        ("adfs", ISSUER, Some(Auto)),
        ("apple", "client_key_id = 'k'\nclient_team = 't'\nclient_key_file = 'DIR/key.pem'\n", None),
        ("auth0", ISSUER, Some(Auto)),
        ("cognito", ISSUER, Some(Auto)),
        ("facebook", "client_secret = 's'\n", Some(Userinfo)),
        ("forgerock", ISSUER, Some(Auto)),
        ("github", "client_secret = 's'\n", None),
        ("gitlab", "client_secret = 's'\n", None),
        ("google", "client_secret = 's'\n", Some(Introspection)),
        ("keycloak", ISSUER, Some(Auto)),
        ("linkedin", "client_secret = 's'\n", None),
        ("logingov", "client_key_file = 'DIR/key.pem'\n", None),
        ("microsoft", "tenant = 't'\n", Some(Auto)),
        ("oidc", ISSUER, Some(Auto)),
        ("okta", ISSUER, Some(Auto)),
        ("pingfederate", ISSUER, Some(Auto)),
        ("pingone", ISSUER, Some(Auto)),
    ] {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let case = case("cookie", &format!("{CLIENT}kind = '{kind}'\n{lines}")).with("key.pem", &key);
        let settings = case.loaded().settings.providers.remove(0);
        let bearer = settings.bearer;
        assert_eq!(bearer.as_ref().map(|bearer| bearer.method), method, "{kind}");
        let Some(bearer) = bearer else { continue };
        assert!(!bearer.insecure_any_audience && !bearer.id_tokens && bearer.clients.is_empty(), "{kind}");
        assert_eq!(bearer.recheck, Duration::from_secs(60), "{kind}");
        assert_eq!(bearer.plain_jwt, method == Some(Auto) && kind != "oidc", "{kind}");
        let audiences: Vec<_> = bearer.audiences.iter().map(AsRef::as_ref).collect();
        let expected: &[&str] = match kind {
            "cognito" | "google" => &["ours"],
            "microsoft" => &["api://ours", "ours"],
            _ => &[],
        };
        assert_eq!(audiences, expected, "{kind}");
        assert_eq!(&*bearer.audience_claim, if kind == "cognito" { "client_id" } else { "aud" }, "{kind}");
        let endpoint = settings.endpoints.introspection.map(String::from);
        let google = (kind == "google").then(|| "https://oauth2.googleapis.com/tokeninfo".to_owned());
        assert_eq!(endpoint, google, "{kind}");
    }
}
