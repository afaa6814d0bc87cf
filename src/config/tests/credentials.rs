//! What counts at which route, and whether there is a provider for it.

use super::Case;
use crate::gateway::settings::{Credentials, RouteSettings};

const UP: &str = "upstream = 'http://127.0.0.1:1'\n";

/// What `text` says, in which `UP` is an application, and `providers`, each with its lines.
fn case(text: &str, providers: &[(&str, &str)]) -> Case {
    let mut file = text.replace("UP", UP) + "\n";
    for (name, lines) in providers {
        let issuer = if lines.contains("issuer =") { "" } else { "issuer = 'https://NAME.example'\n" };
        let client = if lines.contains("login = false") { "" } else { "client_id = 'NAME'\n" };
        let table = format!("[providers.NAME]\nuser_prefix = 'NAME:'\n{client}{issuer}{lines}\n");
        file.push_str(&table.replace("NAME", name));
    }
    Case::empty().variable("PUBLIC_URL", "https://app.example.com").variable("SESSION__KEY", super::KEY).file(&file)
}

fn routes(case: &Case) -> Vec<RouteSettings> {
    case.loaded().settings.gateway.routes
}

/// People sign in, and JWTs count; nobody signs in; no token counts.
const A: (&str, &str) = ("a", "");
const TOKENS: (&str, &str) = ("t", "login = false");
const NONE: (&str, &str) = ("n", "bearer.method = 'none'");
/// Both are asked about tokens that do not say whose they are.
const BOX: (&str, &str) = ("x", "bearer.introspection = 'standard'");
const BOXES: (&str, &str) = ("y", "bearer = { method = 'userinfo', insecure_any_audience = true }");

#[test]
fn routes_do_not_contradict_themselves_about_tokens() {
    for (text, providers, answers) in [
        // words and forms
        (
            "credentials = 'token'\nUP",
            &[A] as &[_],
            &["DIR/doorward.toml:1: credentials is `token`; known are `cookie`, `bearer`, `both`"] as &[_],
        ),
        (
            "[[routes]]\nUPcredentials = 'none'",
            &[A],
            &["DIR/doorward.toml:3: routes[0].credentials is `none`; known are"],
        ),
        (
            "credentials = 'both'\nUP[tokens]\nanswers = 99",
            &[A],
            &["DIR/doorward.toml:4: tokens.answers is 99; it must be 100 to 1000000"],
        ),
        (
            "UP[tokens]\nanswers = 1000001",
            &[A],
            &["DIR/doorward.toml:3: tokens.answers is 1000001; it must be 100 to 1000000"],
        ),
        (
            "credentials = 'both'\nUP[tokens]\nscopes = ['a b']",
            &[A],
            &["DIR/doorward.toml:4: tokens.scopes has a wrong entry: entry 1 is `a b`"],
        ),
        ("credentials = 'both'\nUP[tokens]\naudiences = []", &[A], &["DIR/doorward.toml:4: tokens.audiences is empty"]),
        (
            "credentials = 'both'\nUP[tokens]\naudiences = ['{client_id}']",
            &[A],
            &["DIR/doorward.toml:4: tokens.audiences holds `{` or `}`; nothing is replaced here"],
        ),
        (
            "[[routes]]\nUPcredentials = 'both'\ntoken_scopes = ['a', '']\ntoken_audiences = ['']\nforward_token = 'no'",
            &[A],
            &[
                "DIR/doorward.toml:4: routes[0].token_scopes has a wrong entry: entry 2 is empty",
                "DIR/doorward.toml:5: routes[0].token_audiences has a wrong entry: entry 1 is empty",
                "DIR/doorward.toml:6: routes[0].forward_token is `no`",
            ],
        ),
        (
            "[[routes]]\nUPcredentials = 'both'\ntoken_audiences = []",
            &[A],
            &["DIR/doorward.toml:4: routes[0].token_audiences is empty"],
        ),
        // where nobody is asked
        (
            "[[routes]]\nUPanonymous = true\ncredentials = 'bearer'\ntoken_scopes = []\ntoken_audiences = ['x']\nforward_token = false",
            &[A],
            &[
                "DIR/doorward.toml:4: routes[0].credentials stands beside `routes[0].anonymous` (DIR/doorward.toml:3): where nobody is asked who they \
                 are, no credentials count",
                "DIR/doorward.toml:5: routes[0].token_scopes stands beside `routes[0].anonymous` (DIR/doorward.toml:3)",
                "DIR/doorward.toml:6: routes[0].token_audiences stands beside `routes[0].anonymous` (DIR/doorward.toml:3)",
                "DIR/doorward.toml:7: routes[0].forward_token stands beside `routes[0].anonymous` (DIR/doorward.toml:3)",
            ],
        ),
        // where only cookies count
        (
            "[[routes]]\nUPtoken_scopes = ['a']\ntoken_audiences = ['x']\nforward_token = false",
            &[A],
            &[
                "DIR/doorward.toml:3: routes[0].token_scopes means nothing where only cookies count, as `credentials` (default) says",
                "DIR/doorward.toml:4: routes[0].token_audiences means nothing where only cookies count",
                "DIR/doorward.toml:5: routes[0].forward_token means nothing where only cookies count",
            ],
        ),
        (
            "credentials = 'both'\n[[routes]]\nUPcredentials = 'cookie'\ntoken_scopes = ['a']\n[[routes]]\npath = '/b'\nUP",
            &[A],
            &[
                "DIR/doorward.toml:5: routes[0].token_scopes means nothing where only cookies count, as `routes[0].credentials` (DIR/doorward.toml:4) says",
            ],
        ),
        (
            "UP[tokens]\nscopes = ['a']\naudiences = ['x']",
            &[A],
            &[
                "DIR/doorward.toml:3: tokens.scopes means nothing: no route counts tokens (see `credentials` (default))",
                "DIR/doorward.toml:4: tokens.audiences means nothing: no route counts tokens",
            ],
        ),
        (
            "credentials = 'both'\n[tokens]\nscopes = ['a']\n[[routes]]\nUPanonymous = true",
            &[A],
            &["DIR/doorward.toml:3: tokens.scopes means nothing"],
        ),
    ] {
        let problems = case(text, providers).problems();
        assert_eq!(problems.len(), answers.len(), "{text}: {problems:#?}");
        for (problem, answer) in problems.iter().zip(answers) {
            assert!(problem.starts_with(answer), "{text}\n  expected {answer}\n  found {problem}");
        }
    }
}

#[test]
fn whatever_counts_has_a_provider() {
    const TWO: &str =
        "[[routes]]\nUPcredentials = 'CREDENTIALS'\nproviders = [PROVIDERS]\n[[routes]]\npath = '/other'\nUP";
    let two =
        |credentials: &str, providers: &str| TWO.replace("CREDENTIALS", credentials).replace("PROVIDERS", providers);
    let same = ("s", "issuer = 'https://a.example'");
    let alias = ("s", "issuer_aliases = ['https://a.example']");
    let further = ("s", "bearer.issuers = ['https://a.example']");
    for (text, providers, answers) in [
        // nowhere to sign in
        (
            "UP".to_owned(),
            &[TOKENS] as &[_],
            &["providers are all without `login`: nobody could sign in where cookies count"] as &[_],
        ),
        ("credentials = 'both'\nUP".to_owned(), &[TOKENS], &["providers are all without `login`"]),
        ("credentials = 'bearer'\nUP".to_owned(), &[TOKENS], &[]),
        (
            "credentials = 'bearer'\n[[routes]]\nUP[[routes]]\npath = '/b'\nUPanonymous = true".to_owned(),
            &[TOKENS],
            &[],
        ),
        (
            "credentials = 'bearer'\n[[routes]]\nUP[[routes]]\npath = '/b'\nUPcredentials = 'cookie'".to_owned(),
            &[TOKENS],
            &["are all without"],
        ),
        (
            two("cookie", "'t'"),
            &[A, TOKENS],
            &["DIR/doorward.toml:4: routes[0].providers names only providers without `login`"],
        ),
        (
            two("both", "'t'"),
            &[A, TOKENS],
            &["DIR/doorward.toml:4: routes[0].providers names only providers without `login`"],
        ),
        (two("bearer", "'t'"), &[A, TOKENS], &[]),
        (two("both", "'t', 'a'"), &[A, TOKENS], &[]),
        // nobody who answers for a token
        (
            "credentials = 'both'\nUP".to_owned(),
            &[NONE],
            &["DIR/doorward.toml:1: credentials lets tokens count, but no provider there takes any"],
        ),
        (
            two("bearer", "'n'"),
            &[A, NONE],
            &["DIR/doorward.toml:3: routes[0].credentials lets tokens count, but no provider there takes any"],
        ),
        (
            format!("credentials = 'both'\n{}", two("both", "'n'").replace("credentials = 'both'\n", "")),
            &[A, NONE],
            &[
                "DIR/doorward.toml:1: credentials lets tokens count at `routes[0]` (DIR/doorward.toml:3), but no provider there takes any",
            ],
        ),
        (two("cookie", "'n'"), &[A, NONE], &[]),
        ("credentials = 'both'\nUP".to_owned(), &[A, NONE], &[]),
        // two who would both be asked
        (
            "credentials = 'both'\nUP".to_owned(),
            &[BOX, BOXES],
            &[
                "DIR/doorward.toml:1: credentials lets tokens count, and `providers.x` and `providers.y` would each be shown",
            ],
        ),
        (
            "credentials = 'both'\nUP".to_owned(),
            &[A, BOX, BOXES, ("z", "bearer.method = 'introspection'")],
            &[
                "DIR/doorward.toml:1: credentials lets tokens count, and `providers.x`, `providers.y` and `providers.z` would each be shown",
            ],
        ),
        (
            two("bearer", "'x', 'y'"),
            &[BOX, BOXES],
            &["DIR/doorward.toml:3: routes[0].credentials lets tokens count, and `providers.x` and"],
        ),
        (two("bearer", "'x'"), &[BOX, BOXES], &[]),
        (two("cookie", "'x', 'y'"), &[BOX, BOXES], &[]),
        ("credentials = 'both'\nUP".to_owned(), &[A, BOX, NONE], &[]),
        // two whose tokens are the same
        (
            "credentials = 'both'\nUP".to_owned(),
            &[A, same],
            &["providers.s takes tokens of the issuer `https://a.example`, and so does `providers.a`"],
        ),
        (
            "credentials = 'both'\nUP".to_owned(),
            &[A, alias],
            &["providers.s takes tokens of the issuer `https://a.example`"],
        ),
        (
            "credentials = 'both'\nUP".to_owned(),
            &[A, further],
            &["providers.s takes tokens of the issuer `https://a.example`"],
        ),
        // Said once.
        (
            "credentials = 'both'\n[[routes]]\nUP[[routes]]\npath = '/b'\nUP".to_owned(),
            &[A, same],
            &["providers.s takes tokens of the issuer `https://a.example`"],
        ),
        (two("bearer", "'s'"), &[A, same], &[]),
        (two("bearer", "'a', 's'"), &[A, ("s", "issuer = 'https://a.example'\nbearer.method = 'none'")], &[]),
        ("UP".to_owned(), &[A, same], &[]),
        (
            "credentials = 'both'\nUP".to_owned(),
            &[
                (
                    "m",
                    "kind = 'microsoft'\nissuer = 'https://m.example/{tenantid}'\ndiscovery_url = 'https://m.example/d'\nallowed_tenants = ['t', 'u']",
                ),
                ("n", "issuer = 'https://m.example/u'"),
            ],
            &["providers.n takes tokens of the issuer `https://m.example/u`, and so does `providers.m`"],
        ),
        // whom tokens are for
        (
            "credentials = 'both'\nUP[tokens]\naudiences = ['x']".to_owned(),
            &[BOXES],
            &[
                "DIR/doorward.toml:4: tokens.audiences cannot be kept to: nothing says whom the tokens of `providers.y` are for",
            ],
        ),
        (
            "credentials = 'both'\nUP[tokens]\naudiences = ['x']".to_owned(),
            &[("f", "kind = 'facebook'\nclient_secret = 's'")],
            &[
                "DIR/doorward.toml:4: tokens.audiences cannot be kept to: nothing says whom the tokens of `providers.f` are for",
            ],
        ),
        ("credentials = 'both'\nUP[tokens]\naudiences = ['x']".to_owned(), &[A, BOX], &[]),
        (
            "[tokens]\naudiences = ['x']\n[[routes]]\nUPcredentials = 'both'\ntoken_audiences = ['z']".to_owned(),
            &[BOXES],
            &[
                "DIR/doorward.toml:6: routes[0].token_audiences cannot be kept to: nothing says whom the tokens of `providers.y`",
            ],
        ),
    ] {
        let problems = case(&text, providers).problems();
        assert_eq!(problems.len(), answers.len(), "{text} {providers:?}: {problems:#?}");
        for (problem, answer) in problems.iter().zip(answers) {
            assert!(problem.contains(answer), "{text} {providers:?}\n  expected {answer}\n  found {problem}");
        }
    }
}

#[test]
fn a_route_says_otherwise() {
    const COOKIE: (Credentials, &[&str], &[&str], bool) = (Credentials::Cookie, &[], &[], false);
    for (text, told) in [
        ("UP", vec![COOKIE]),
        ("credentials = 'bearer'\nUP", vec![(Credentials::Bearer, &[] as &[_], &[] as &[_], false)]),
        (
            "credentials = 'both'\nUP[tokens]\nscopes = ['a', 'b']\naudiences = ['x']\nforward = true",
            vec![(Credentials::Both, &["a", "b"], &["x"], true)],
        ),
        (
            "credentials = 'bearer'\n[tokens]\nscopes = ['a']\naudiences = ['x']\nforward = true\n[[routes]]\nUP\
             [[routes]]\npath = '/b'\nUPcredentials = 'both'\ntoken_scopes = []\ntoken_audiences = ['y']\nforward_token = false\n\
             [[routes]]\npath = '/c'\nUPcredentials = 'cookie'\n[[routes]]\npath = '/d'\nUPanonymous = true",
            vec![(Credentials::Bearer, &["a"], &["x"], true), (Credentials::Both, &[], &["y"], false), COOKIE, COOKIE],
        ),
    ] {
        let routes = routes(&case(text, &[A]));
        assert_eq!(routes.len(), told.len(), "{text}");
        for (route, (credentials, scopes, audiences, forward)) in routes.iter().zip(told) {
            assert_eq!((route.credentials, route.tokens.forward), (credentials, forward), "{text}");
            assert!(route.tokens.scopes.iter().map(AsRef::as_ref).eq(scopes.iter().copied()), "{text}: {route:?}");
            assert!(
                route.tokens.audiences.iter().map(AsRef::as_ref).eq(audiences.iter().copied()),
                "{text}: {route:?}"
            );
        }
    }
    assert_eq!(case("UP", &[A]).loaded().settings.gateway.token_answers, 10_000);
    assert_eq!(case("UP[tokens]\nanswers = 100", &[A]).loaded().settings.gateway.token_answers, 100);
}

/// Programs have no cookies, and need none on another host.
#[test]
fn a_host_without_sessions_is_no_matter_to_tokens() {
    for (credentials, warnings) in [("bearer", 0), ("both", 1), ("cookie", 1)] {
        let text = format!("[[routes]]\nhost = 'api.example.com'\nUPcredentials = '{credentials}'\n");
        assert_eq!(case(&text, &[A]).loaded().warnings.len(), warnings, "{credentials}");
    }
}

#[test]
fn buttons_of_those_who_sign_nobody_in_are_none() {
    let named = |login: &'static str| {
        let lines = format!("display_name = 'Corp'\n{login}");
        case("credentials = 'both'\nUP", &[("a", "display_name = 'Corp'"), ("b", &lines)]).loaded().warnings.len()
    };
    assert_eq!((named(""), named("login = false")), (1, 0));
}
