//! What is refused, and with which words: where it was written comes first.

use proptest::prelude::*;

use super::{Case, KEY, OTHER_KEY};

/// T-121.
#[test]
fn a_wrong_variable_is_named() {
    for (name, value, answer) in [
        (
            "PUBLIC_URL",
            "http://app.example.com",
            "DOORWARD_PUBLIC_URL: is plain http; https is needed, except on loopback",
        ),
        ("PUBLIC_URL", "app.example.com", "DOORWARD_PUBLIC_URL: cannot be used: it is not a URL"),
        ("PUBLIC_URL", "https://app.example.com/app", "DOORWARD_PUBLIC_URL: cannot be used: it has more than"),
        ("PUBLIC_URL", "", "DOORWARD_PUBLIC_URL: is empty"),
        ("PUBLIC_URI", "x", "DOORWARD_PUBLIC_URI: means nothing; the nearest known variable is `DOORWARD_PUBLIC_URL`"),
        (
            "SESSION_KEY",
            "x",
            "DOORWARD_SESSION_KEY: means nothing; the nearest known variable is `DOORWARD_SESSION__KEY`",
        ),
        ("SESSION__REVALIDATES", "5m", "DOORWARD_SESSION__REVALIDATES: means nothing; the nearest known variable is"),
        ("SESSION", "x", "DOORWARD_SESSION: is a table; its keys are `DOORWARD_SESSION__CUT_OFF_GRACE`"),
        ("ROUTES", "x", "DOORWARD_ROUTES: cannot be a variable"),
        ("LISTEN__PORT", "1", "DOORWARD_LISTEN__PORT: goes too far"),
        ("LISTEN", ":4180", "DOORWARD_LISTEN: is `:4180`; `host:port`"),
        ("UPSTREAM", "127.0.0.1:8080", "DOORWARD_UPSTREAM: is not a URL such as `http://127.0.0.1:8080`"),
        ("UPSTREAM", "http://127.0.0.1/base", "DOORWARD_UPSTREAM: has more than scheme, host and port"),
        ("UPSTREAM", "http://me@127.0.0.1", "DOORWARD_UPSTREAM: holds credentials"),
        (
            "PREFIX",
            "_auth",
            "DOORWARD_PREFIX: is `_auth`, which is no path prefix such as `/app`: it must begin with `/`",
        ),
        ("PREFIX", "/", "DOORWARD_PREFIX: is `/`; nothing would be left"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,,unix", "DOORWARD_TRUSTED_PROXIES: has a wrong entry: entry 2 is empty"),
        ("TRUSTED_PROXIES", "", "DOORWARD_TRUSTED_PROXIES: has a wrong entry: entry 1 is empty"),
        (
            "TRUSTED_PROXIES",
            "10.0.0.1/8",
            "DOORWARD_TRUSTED_PROXIES: has a wrong entry: entry 1 is `10.0.0.1/8`; that range",
        ),
        ("SESSION__MAX_AGE", "300x", "DOORWARD_SESSION__MAX_AGE: is `300x`; a duration such as"),
        ("SESSION__MAX_AGE", "300", "DOORWARD_SESSION__MAX_AGE: is `300`; a duration such as"),
        ("SESSION__LOGIN_TIMEOUT", "0s", "DOORWARD_SESSION__LOGIN_TIMEOUT: is less than a second"),
        ("SESSION__LOGIN_TIMEOUT", "1s500ms", "DOORWARD_SESSION__LOGIN_TIMEOUT: has a part of a second"),
        ("SESSION__IDLE_TIMEOUT", "13h", "DOORWARD_SESSION__IDLE_TIMEOUT: is longer than `session.max_age` (default)"),
        (
            "SESSION__STORE",
            "postgres://localhost",
            "DOORWARD_SESSION__STORE: has an unknown scheme; `memory`, `redis://",
        ),
        ("SESSION__STORE_TIMEOUT", "10ms", "DOORWARD_SESSION__STORE_TIMEOUT: is 10ms; it must be 50ms to 10s"),
        ("SESSION__STORE_TIMEOUT", "11s", "DOORWARD_SESSION__STORE_TIMEOUT: is 11s; it must be 50ms to 10s"),
        (
            "SESSION__STORE_MEMORY_BYTES",
            "1KiB",
            "DOORWARD_SESSION__STORE_MEMORY_BYTES: is 1024 bytes; it must be 1048576",
        ),
        ("SESSION__STORE_PREFIX", "a{b}", "DOORWARD_SESSION__STORE_PREFIX: is `a{b}`; at most 64 letters"),
        ("SESSION__REVOCATIONS", "0", "DOORWARD_SESSION__REVOCATIONS: is 0; it must be 1 to"),
        (
            "SESSION__KEY",
            "short",
            "DOORWARD_SESSION__KEY: is no session key: it is not base64url; `doorward key` makes one",
        ),
        ("SESSION__KEY", "c2hvcnQ", "DOORWARD_SESSION__KEY: is no session key: it holds 5 bytes instead of 32"),
        (
            "SESSION__KEY",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "DOORWARD_SESSION__KEY: is no session key: it is one byte",
        ),
        (
            "SESSION__KEY",
            "c2Vzc2lvbiBrZXkgZm9yIHRlc3RzLCBub2JvZHkncyE=",
            "DOORWARD_SESSION__KEY: is no session key: it is base64 with",
        ),
        ("SESSION__PREVIOUS_KEYS", KEY, "DOORWARD_SESSION__PREVIOUS_KEYS: has key 1 twice"),
        ("SESSION__PREVIOUS_KEYS", "c2hvcnQ", "DOORWARD_SESSION__PREVIOUS_KEYS: has a wrong key 1: it holds 5 bytes"),
        (
            "SESSION__KEY_FILE",
            "DIR/key",
            "DOORWARD_SESSION__KEY_FILE: stands beside `session.key` (DOORWARD_SESSION__KEY)",
        ),
        ("HEADERS__USER", "Cookie", "DOORWARD_HEADERS__USER: is `Cookie`, which has another meaning"),
        ("HEADERS__USER", "X User", "DOORWARD_HEADERS__USER: is `X User`, which is no header name"),
        (
            "HEADERS__CLAIMS__X_USER",
            "email",
            "DOORWARD_HEADERS__CLAIMS__X_USER: is the same header as `headers.user` (default)",
        ),
        (
            "HEADERS__CLAIMS__TRANSFER_ENCODING",
            "email",
            "DOORWARD_HEADERS__CLAIMS__TRANSFER_ENCODING: is `transfer-encoding`",
        ),
        ("ALLOW__USERS", "alice, ", "DOORWARD_ALLOW__USERS: has a wrong entry: entry 2 names nobody: it is empty"),
        (
            "ALLOW__EMAIL_DOMAINS",
            "@example.com",
            "DOORWARD_ALLOW__EMAIL_DOMAINS: has a wrong entry: entry 1 is `@example.com`",
        ),
        ("TLS__CERT", "DIR/key", "DOORWARD_TLS__CERT: stands alone; `tls.key` is needed with it"),
        (
            "TLS__CLIENT_CERTIFICATES",
            "true",
            "DOORWARD_TLS__CLIENT_CERTIFICATES: is on, but there is no `tls.cert`; only who ends TLS can ask",
        ),
        ("TLS__CLIENT_CERTIFICATES", "optional", "DOORWARD_TLS__CLIENT_CERTIFICATES: is `optional`; `true` or `false`"),
        ("ADMIN__LISTEN", "127.0.0.1:4180", "DOORWARD_ADMIN__LISTEN: is the same place as `listen`"),
        ("LOG__FORMAT", "xml", "DOORWARD_LOG__FORMAT: is `xml`; known are `text`, `json`"),
        ("LOG__FILTER", "doorward=loud", "DOORWARD_LOG__FILTER: is `doorward=loud`, which is no filter"),
        ("LIMITS__HEADER_BYTES", "32kb", "DOORWARD_LIMITS__HEADER_BYTES: is `32kb`; a size such as"),
        ("LIMITS__HEADER_BYTES", "4KiB", "DOORWARD_LIMITS__HEADER_BYTES: is 4096 bytes; it must be 8192 to"),
        ("LIMITS__CONNECTIONS", "many", "DOORWARD_LIMITS__CONNECTIONS: is `many`; a whole number is expected"),
        ("LIMITS__PROVIDER_TIMEOUT", "0s", "DOORWARD_LIMITS__PROVIDER_TIMEOUT: is zero"),
        (
            "PROVIDERS__CORP__ISSUER",
            "http://login.example.com",
            "DOORWARD_PROVIDERS__CORP__ISSUER: is plain http; https",
        ),
        ("PROVIDERS__CORP__ISSUER", "https://login.example.com?x", "DOORWARD_PROVIDERS__CORP__ISSUER: has a query"),
        (
            "PROVIDERS__CORP__DISCOVERY_URL",
            "http://login.example.com",
            "DOORWARD_PROVIDERS__CORP__DISCOVERY_URL: is plain http",
        ),
        (
            "PROVIDERS__CORP__KIND",
            "gogle",
            "DOORWARD_PROVIDERS__CORP__KIND: is no known kind; known are `adfs`, `apple`",
        ),
        (
            "PROVIDERS__CORP__CLIENTID",
            "x",
            "DOORWARD_PROVIDERS__CORP__CLIENTID: means nothing; the nearest known variable is `DOORWARD_PROVIDERS__CORP__CLIENT_ID`",
        ),
        (
            "PROVIDERS__CORP__SCOPES",
            "openid email",
            "DOORWARD_PROVIDERS__CORP__SCOPES: has a wrong entry: entry 1 is `openid email`",
        ),
        (
            "PROVIDERS__CORP__ALGORITHMS",
            "RS256,HS256",
            "DOORWARD_PROVIDERS__CORP__ALGORITHMS: has a wrong entry: entry 2 is `HS256`",
        ),
        (
            "PROVIDERS__CORP__USERINFO",
            "sometimes",
            "DOORWARD_PROVIDERS__CORP__USERINFO: is `sometimes`; known are `never`",
        ),
        (
            "PROVIDERS__CORP__CLIENT_AUTH",
            "client_secret_post",
            "DOORWARD_PROVIDERS__CORP__CLIENT_AUTH: says how a secret",
        ),
        (
            "PROVIDERS__CORP__INSECURE_HTTP",
            "yes",
            "DOORWARD_PROVIDERS__CORP__INSECURE_HTTP: is `yes`; `true` or `false`",
        ),
        (
            "PROVIDERS__CORP__CLIENT_SECRET_FILE",
            "DIR/none",
            "DOORWARD_PROVIDERS__CORP__CLIENT_SECRET_FILE: names DIR/none, which cannot be read",
        ),
        (
            "PROVIDERS__CORP__CLIENT_SECRET_FILE",
            "DIR/empty",
            "DOORWARD_PROVIDERS__CORP__CLIENT_SECRET_FILE: names DIR/empty, which is empty",
        ),
        (
            "PROVIDERS__CORP__CA_FILE",
            "DIR/key",
            "DOORWARD_PROVIDERS__CORP__CA_FILE: names DIR/key, which holds no PEM certificate",
        ),
        (
            "PROVIDERS__CORP__CA_FILE",
            "DIR/broken.pem",
            "DOORWARD_PROVIDERS__CORP__CA_FILE: names DIR/broken.pem, which",
        ),
        (
            "PROVIDERS__CORP__CA_FILE",
            "DIR/none",
            "DOORWARD_PROVIDERS__CORP__CA_FILE: names DIR/none, which cannot be read",
        ),
        (
            "PROVIDERS__CORP__AUTHORIZATION_PARAMETERS__STATE",
            "x",
            "DOORWARD_PROVIDERS__CORP__AUTHORIZATION_PARAMETERS__STATE: is set by the gateway",
        ),
        (
            "PROVIDERS__-X__ISSUER",
            "https://x.example.com",
            "DOORWARD_PROVIDERS__-X__ISSUER: `providers.-x` is no name that can stand in a URL",
        ),
        ("CONFIG", "DIR/none.toml", "DOORWARD_CONFIG: names DIR/none.toml, which cannot be read"),
    ] {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let case = Case::good().with("key", KEY).with("empty", "\n").with("broken.pem", broken).variable(name, value);
        let problems = case.problems();
        let first = problems.iter().any(|problem| problem.starts_with(answer));
        assert!(first, "{name}={value}\n  expected {answer}\n  found {problems:#?}");
        // A provider that is only a bad name lacks the rest, too; a certificate that stands alone may be no certificate.
        if !matches!(name, "PROVIDERS__-X__ISSUER" | "TLS__CERT") {
            assert_eq!(problems.len(), 1, "{name}={value}: {problems:#?}");
        }
    }
}

/// T-121.
#[test]
fn a_wrong_line_is_named() {
    for (text, answer) in [
        ("listen = 4180", "DIR/doorward.toml:1: listen is a number; a text in quotes is expected"),
        (
            "\n[session]\nmaxage = '1h'",
            "DIR/doorward.toml:3: session.maxage is no key; the nearest known key is `session.max_age`",
        ),
        ("\n\nmax_age = '1h'", "DIR/doorward.toml:3: max_age is no key; the nearest known key is `session.max_age`"),
        ("[sesion]\nmax_age = '1h'", "DIR/doorward.toml:1: sesion is no key; the nearest known key is `session`"),
        ("session = 'x'", "DIR/doorward.toml:1: session is a single value; a table (`[session]`) is expected"),
        ("[listen]\nport = 1", "DIR/doorward.toml:1: listen is a table; a single value is expected"),
        ("routes = 'x'", "DIR/doorward.toml:1: routes is no list"),
        ("routes = ['x']", "DIR/doorward.toml:1: routes is no list"),
        ("listen = \n", "DIR/doorward.toml:1: this is not TOML"),
        ("[limits]\nheader_count = 5\nheader_count = 6", "DIR/doorward.toml:3: this is not TOML: duplicate key"),
        ("[session]\nmax_age = 300", "DIR/doorward.toml:2: session.max_age is 300 without a unit"),
        ("[session]\nmax_age = 1979-05-27", "DIR/doorward.toml:2: session.max_age is a table"),
        ("[session]\nrevocations = -1", "DIR/doorward.toml:2: session.revocations is -1; a whole number"),
        (
            "[headers.claims]\nX-Email = 'email'\nx_email = 'mail'",
            "DIR/doorward.toml:3: headers.claims.x_email is the same header as `headers.claims.X-Email` (DIR/doorward.toml:2)",
        ),
        (
            "[headers.claims]\n'a b' = 'x'",
            "DIR/doorward.toml:2: headers.claims.\"a b\" is `a b`, which is no header name",
        ),
        (
            "[headers.claims]\nAuthorization = 'token'",
            "DIR/doorward.toml:2: headers.claims.Authorization is `Authorization`, which has",
        ),
        ("[allow]", "DIR/doorward.toml:1: allow is empty and would let nobody in"),
        ("[allow]\nusers = []", "DIR/doorward.toml:2: allow.users is empty; it lets nobody in"),
        ("[allow]\nusers = ['']", "DIR/doorward.toml:2: allow.users has a wrong entry: entry 1 names nobody"),
        ("[allow.claims]\ngroups = 5", "DIR/doorward.toml:2: allow.claims.groups is a number; a list is expected"),
        (
            "[providers.corp]\nissuer_url = 'x'",
            "DIR/doorward.toml:2: providers.corp.issuer_url is no key; the nearest known key is `providers.corp.issuer`",
        ),
        ("[providers.corp]\nalgorithms = []", "DIR/doorward.toml:2: providers.corp.algorithms is empty"),
        ("[providers.corp]\nkind = 5", "DIR/doorward.toml:2: providers.corp.kind is a number"),
        (
            "[providers.Corp2]\nissuer = 'https://x.example'\nclient_id = 'x'",
            "DIR/doorward.toml:1: providers.Corp2 is no name that can stand in a URL",
        ),
        ("[providers.other]\nclient_id = 'x'", "DIR/doorward.toml:1: providers.other.issuer is required"),
        ("[providers.google]", "DIR/doorward.toml:1: providers.google.client_id is required"),
        ("[tls]\nkey = 'DIR/none'", "DIR/doorward.toml:2: tls.key stands alone"),
    ] {
        let problems = Case::good().file(text).problems();
        let found = problems.iter().any(|problem| problem.starts_with(answer));
        assert!(found, "{text}\n  expected {answer}\n  found {problems:#?}");
        if !text.starts_with("[tls]") {
            assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
        }
    }
}

/// T-121.
#[test]
fn routes_do_not_contradict_each_other() {
    const UP: &str = "upstream = 'http://127.0.0.1:1'\n";
    for (text, answer) in [
        ("[[routes]]\npath = '/a'", "DIR/doorward.toml:2: routes[0].upstream is required"),
        (
            "[[routes]]\nUP[[routes]]\npath = 'a'\nUP",
            "DIR/doorward.toml:4: routes[1].path is `a`, which is no path prefix",
        ),
        ("[[routes]]\npath = '/a%2fb'\nUP", "DIR/doorward.toml:2: routes[0].path is `/a%2fb`, which is no path prefix"),
        ("[[routes]]\npath = '/_auth'\nUP", "DIR/doorward.toml:2: routes[0].path lies within `prefix` (default)"),
        ("[[routes]]\npath = '/_auth/deep'\nUP", "DIR/doorward.toml:2: routes[0].path lies within `prefix` (default)"),
        (
            "[[routes]]\npath = '/a'\nUP[[routes]]\npath = '/a/'\nUP",
            "DIR/doorward.toml:5: routes[1] has the host and path of `routes[0]` (DIR/doorward.toml:2)",
        ),
        (
            "[[routes]]\nhost = 'A.example.com.'\nUP[[routes]]\nhost = 'a.example.com'\npath = '/'\nUP",
            "DIR/doorward.toml:5: routes[1] has the host and path of",
        ),
        (
            "[[routes]]\nhost = 'a.example.com:80'\nUP",
            "DIR/doorward.toml:2: routes[0].host is `a.example.com:80`; a host",
        ),
        ("[[routes]]\nhost = '*.example.com'\nUP", "DIR/doorward.toml:2: routes[0].host is `*.example.com`; a host"),
        (
            "[[routes]]\nanonymous = true\nUPallow = { users = ['alice'] }",
            "DIR/doorward.toml:2: routes[0].anonymous stands beside `allow`",
        ),
        (
            "[[routes]]\nanonymous = true\nUPallow = {}",
            "DIR/doorward.toml:2: routes[0].anonymous stands beside `allow`",
        ),
        (
            "[[routes]]\nUPproviders = ['corp', 'corb']",
            "DIR/doorward.toml:3: routes[0].providers names `corb`, which is no provider here; there are `corp`",
        ),
        (
            "[[routes]]\nUPproviders = []",
            "DIR/doorward.toml:3: routes[0].providers is empty; nobody's session would count",
        ),
        (
            "[[routes]]\nUPanonymous = true\nproviders = ['corp']",
            "DIR/doorward.toml:4: routes[0].providers stands beside `routes[0].anonymous` (DIR/doorward.toml:3)",
        ),
        ("[[routes]]\nUPallow = {}", "DIR/doorward.toml:3: routes[0].allow is empty and would let nobody in"),
        (
            "[[routes]]\nUP[routes.allow.claims]\ngroups = []",
            "DIR/doorward.toml:4: routes[0].allow.claims.groups is empty",
        ),
        (
            "[[routes]]\nUPanonymus = true",
            "DIR/doorward.toml:3: routes[0].anonymus is no key; the nearest known key is `routes[0].anonymous`",
        ),
        ("[allow]\nusers = ['alice']\n[[routes]]\nUP", "DIR/doorward.toml:1: allow stands beside `routes`"),
        ("routes = []", "upstream is required, or `routes`"),
        ("[prefix]", "DIR/doorward.toml:1: prefix is a table"),
    ] {
        let case = Case::good().without("UPSTREAM").file(&text.replace("UP", UP));
        let problems = case.problems();
        let found = problems.iter().any(|problem| problem.starts_with(answer));
        assert!(found, "{text}\n  expected {answer}\n  found {problems:#?}");
    }
    let both = Case::good().file("[[routes]]\nupstream = 'http://127.0.0.1:1'").problems();
    assert_eq!(
        both,
        [
            "DIR/doorward.toml:1: routes stand beside `upstream` (DOORWARD_UPSTREAM), which is short for a route; give one of the two"
        ]
    );
}

#[test]
fn what_is_missing_is_asked_for() {
    assert_eq!(
        Case::empty().problems(),
        [
            "public_url is required; set it in the file or as `DOORWARD_PUBLIC_URL`",
            "upstream is required, or `routes`: which application stands behind the gateway?",
            "providers lacks a provider; one is required, with at least `issuer` and `client_id` (`[providers.NAME]`)",
            "session.key is required, or `session.key_file`; `doorward key` makes one",
        ]
    );
    assert_eq!(
        Case::good().without("PROVIDERS__CORP__CLIENT_ID").problems(),
        ["providers.corp.client_id is required; set it in the file or as `DOORWARD_PROVIDERS__CORP__CLIENT_ID`"]
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let case = Case::good()
        .without("PUBLIC_URL")
        .variable("LISTN", "x")
        .variable("SESSION__MAX_AGE", "long")
        .variable("PROVIDERS__CORP__SCOPES", ",")
        .flag("log.format", "xml")
        .flag("logformat", "xml")
        .file("upstrem = 'x'\n[limits]\nheader_count = 'x'\nheader_bites = 1\n[headers]\nuser = 'Host'\n");
    let problems = case.problems();
    let answers = [
        "DIR/doorward.toml:1: upstrem is no key; the nearest known key is `upstream`",
        "DIR/doorward.toml:3: limits.header_count is `x`",
        "DIR/doorward.toml:4: limits.header_bites is no key; the nearest known key is `limits.header_bytes`",
        "DIR/doorward.toml:6: headers.user is `Host`",
        "DOORWARD_LISTN: means nothing; the nearest known variable is `DOORWARD_LISTEN`",
        "DOORWARD_PROVIDERS__CORP__SCOPES: has a wrong entry: entry 1 is empty, and entry 2 is empty",
        "DOORWARD_SESSION__MAX_AGE: is `long`",
        "--logformat: means nothing; the nearest known key is `log.format`",
        "--log-format: is `xml`",
        "public_url is required",
    ];
    assert_eq!(problems.len(), answers.len(), "{problems:#?}");
    for (problem, answer) in problems.iter().zip(answers) {
        assert!(problem.starts_with(answer), "{problem} is not {answer}");
    }
}

#[test]
fn the_public_port_is_not_plain_when_we_end_tls() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let case = Case::good()
        .with("tls.crt", &key.cert.pem())
        .with("tls.key", &key.signing_key.serialize_pem())
        .variable("TLS__CERT", "DIR/tls.crt")
        .variable("TLS__KEY", "DIR/tls.key");
    let tls = case.loaded().settings.server.tls.unwrap();
    assert!(!tls.client_certificates, "nobody is asked unless somebody wants it");
    let case = case.variable("TLS__CLIENT_CERTIFICATES", "true");
    assert!(case.loaded().settings.server.tls.unwrap().client_certificates);
    let problems = case.variable("PUBLIC_URL", "http://localhost:4180").problems();
    assert_eq!(problems, ["DOORWARD_PUBLIC_URL: is plain http although `tls.cert` is set; browsers would not find us"]);
}

#[test]
fn previous_keys_are_whole_lines() {
    for (content, answer) in [
        (OTHER_KEY.to_owned(), ""),
        (format!("{OTHER_KEY}\r\n"), ""),
        (format!("{OTHER_KEY}\n\n{KEY}"), "has a wrong key 2: it is empty"),
        (format!("{OTHER_KEY}\n{OTHER_KEY}\n"), "has key 2 twice"),
        (format!("{OTHER_KEY} \n"), "has a wrong key 1: it is not base64url"),
        (String::new(), "names DIR/keys, which is empty"),
    ] {
        let case = Case::good().with("keys", &content).variable("SESSION__PREVIOUS_KEYS_FILE", "DIR/keys");
        let problems = case.problems().join("\n");
        assert!(problems.contains(answer) && problems.is_empty() == answer.is_empty(), "{content:?}: {problems}");
        let both = case.variable("SESSION__PREVIOUS_KEYS", OTHER_KEY).problems().join("\n");
        assert!(both.contains("PREVIOUS_KEYS_FILE: stands beside `session.previous_keys`"), "{both}");
    }
}

proptest! {
    /// Whatever stands in the environment, the answer is settings or problems.
    #[test]
    fn no_environment_makes_it_panic(
        variables in proptest::collection::btree_map(
            proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(vec![
                        "PUBLIC_URL", "UPSTREAM", "LISTEN", "PROVIDERS", "GOOGLE", "CLIENT_ID", "ISSUER", "SESSION", "KEY",
                        "PREVIOUS_KEYS", "MAX_AGE", "HEADERS", "CLAIMS", "USER", "ALLOW", "USERS", "TRUSTED_PROXIES", "LIMITS",
                        "HEADER_BYTES", "AUTHORIZATION_PARAMETERS", "SCOPES", "ADMIN", "LOG", "FILTER", "ROUTES", "PREFIX", "KIND",
                        "FORMATS", "LIST", "PRESET", "SECRET_HEADERS", "VALUE", "VALUE_FILE", "ASSERTION", "HEADER", "BEARER", "METHOD", "AUDIENCES", "TOKENS", "CREDENTIALS", "LOGIN",
                    ]).prop_map(str::to_owned),
                    "\\PC{0,8}",
                ],
                0..4,
            ).prop_map(|parts| parts.join("__")),
            prop_oneof![
                "\\PC{0,20}",
                ".{0,8}",
                "[0-9]{1,25}(ms|s|m|h|d|KiB|GiB)?",
                proptest::sample::select(vec!["https://a.example", "http://[::1", "a,b,,", "é1s", "0.0.0.0/0", "unix:/", "[", "/%"])
                    .prop_map(str::to_owned),
            ],
            0..12,
        )
    ) {
        let mut case = Case::good();
        case.environment.extend(variables.into_iter().map(|(name, value)| (format!("DOORWARD_{name}"), value)));
        case.environment.remove("DOORWARD_CONFIG");
        match case.load() {
            Ok(loaded) => prop_assert!(!loaded.effective().contains(KEY)),
            Err(problems) => {
                prop_assert!(problems.count() > 0);
                prop_assert!(!problems.to_string().contains(KEY));
                prop_assert_eq!(problems.to_string().lines().count(), problems.count() + 1);
            }
        }
    }

    /// Nor does whatever stands in a file.
    #[test]
    fn no_file_makes_it_panic(text in "(\\[{0,2}(session|routes|providers.x|allow)\\]{0,2}\n)?(([a-z_]{1,8}|key|path)( = )?[^\u{0}]{0,12}\n){0,4}") {
        let _ = Case::good().file(&text).problems();
    }
}
