//! What a right configuration means.

use std::{collections::BTreeSet, time::Duration};

use super::{Case, KEY, OTHER_KEY};
use crate::{
    config::load,
    identity::Needed,
    policy::Access,
    providers::{ClientAuth, UserinfoMode},
    server::Listen,
    telemetry::Format,
};

#[test]
fn five_variables_are_enough() {
    let case = Case::empty()
        .with("google", "client secret\n")
        .with("session-key", KEY)
        .variable("PUBLIC_URL", "https://app.example.com")
        .variable("UPSTREAM", "http://127.0.0.1:8080")
        .variable("PROVIDERS__GOOGLE__CLIENT_ID", "x.apps.googleusercontent.com")
        .variable("PROVIDERS__GOOGLE__CLIENT_SECRET_FILE", "DIR/google")
        .variable("SESSION__KEY_FILE", "DIR/session-key");
    let loaded = case.loaded();
    assert_eq!(loaded.warnings, [] as [String; 0]);
    let settings = loaded.settings;
    assert_eq!(settings.server.listen, Listen::Tcp("127.0.0.1:4180".to_owned()));
    assert_eq!(settings.server.limits.header_bytes, 32 * 1024);
    assert_eq!(settings.server.shutdown_grace, Duration::from_secs(30));
    assert_eq!(settings.admin.listen, Some(Listen::Tcp("127.0.0.1:4181".to_owned())));
    assert_eq!(settings.gateway.origin.as_str(), "https://app.example.com");
    assert_eq!(settings.gateway.prefix.as_str(), "/_auth");
    assert_eq!(settings.gateway.headers.user, "x-user");
    let [route] = settings.gateway.routes.as_slice() else { panic!("one route") };
    assert_eq!((route.host.as_deref(), route.path.as_str(), &route.access), (None, "", &Access::SignedIn));
    assert_eq!(route.upstream.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(settings.sessions.max_age, Duration::from_secs(12 * 3_600));
    assert_eq!(settings.sessions.keys.len(), 1);
    let [google] = settings.providers.as_slice() else { panic!("one provider") };
    assert_eq!((google.name.as_str(), google.display_name.as_str()), ("google", "Google"));
    assert_eq!(google.issuer, "https://accounts.google.com");
    assert_eq!(google.scopes, ["openid", "email"]);
    assert_eq!(google.user.claims, [Box::<str>::from("email")]);
    assert_eq!(google.client_secret.as_ref().unwrap().expose(), "client secret");
    assert_eq!(settings.telemetry.format, Format::Text);
}

#[test]
fn the_later_source_wins_key_by_key() {
    let file = "listen = '127.0.0.1:1'\nprefix = '/file'\n[log]\nfilter = 'warn'\nformat = 'json'\n[session]\nmax_age = '2h'\n";
    let case = Case::good()
        .file(file)
        .variable("PREFIX", "/variable")
        .variable("LOG__FILTER", "error")
        .flag("log.filter", "debug");
    let settings = case.loaded().settings;
    assert_eq!(settings.server.listen, Listen::Tcp("127.0.0.1:1".to_owned()));
    assert_eq!(settings.gateway.prefix.as_str(), "/variable");
    assert_eq!(settings.telemetry.filter, "debug");
    assert_eq!(settings.telemetry.format, Format::Json);
    assert_eq!(settings.sessions.max_age, Duration::from_secs(7_200));
    assert_eq!(settings.sessions.idle_timeout, Duration::from_secs(3_600));
}

#[test]
fn the_command_line_names_the_file_before_the_environment() {
    let case = Case::good().with("other.toml", "prefix = '/other'").variable("CONFIG", "DIR/other.toml");
    assert_eq!(case.loaded().settings.gateway.prefix.as_str(), "/other");
    let case = case.file("prefix = '/named'");
    assert_eq!(case.loaded().settings.gateway.prefix.as_str(), "/named");
}

#[test]
fn the_usual_file_may_be_absent() {
    let case = Case::good().with("usual.toml", "prefix = '/usual'");
    let with = |name: &str| {
        let sources = case.sources().with_usual_file(case.directory.path().join(name));
        load(&sources).map(|loaded| loaded.settings.gateway.prefix.as_str().to_owned())
    };
    assert_eq!(with("usual.toml").unwrap(), "/usual");
    assert_eq!(with("none.toml").unwrap(), "/_auth");
    // There, but not readable as a file: that is not absence.
    let problems = with("").unwrap_err().to_string();
    assert!(problems.contains("cannot be read") && problems.ends_with("1 problem in the configuration"), "{problems}");
}

#[test]
fn other_variables_are_none_of_ours() {
    let mut case = Case::good().variable("SERVICE_HOST", "10.0.0.1").variable("PORT_80_TCP_ADDR", "10.0.0.1");
    case.environment.insert("PATH".to_owned(), "/bin".to_owned());
    case.environment.insert("DOORWARDEN_X".to_owned(), "x".to_owned());
    case.loaded();
}

#[test]
fn lists_and_tables_can_be_variables() {
    let case = Case::good()
        .variable("TRUSTED_PROXIES", "10.0.0.0/8, unix,::1")
        .variable("ALLOW__USERS", "alice,bob")
        .variable("ALLOW__EMAIL_DOMAINS", "Example.com")
        .variable("ALLOW__CLAIMS__GROUPS", "staff,admin")
        .variable("HEADERS__CLAIMS__X_GROUPS", "groups")
        .variable("HEADERS__CLAIMS__X_EMAIL", "email")
        .variable("PROVIDERS__CORP__SCOPES", "email,openid,email")
        .variable("PROVIDERS__CORP__AUTHORIZATION_PARAMETERS__PROMPT", "login")
        .variable("ADMIN__LISTEN", "");
    let settings = case.loaded().settings;
    assert_eq!(settings.admin.listen, None);
    assert!(settings.gateway.trusted_proxies.unix);
    assert_eq!(settings.gateway.trusted_proxies.nets, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    let Access::Allow(rules) = &settings.gateway.routes[0].access else { panic!("rules") };
    assert_eq!(rules.users, BTreeSet::from(["alice".into(), "bob".into()]));
    assert_eq!(rules.email_domains, BTreeSet::from(["example.com".into()]));
    let headers: Vec<_> = settings.gateway.headers.claims.iter().map(|h| (h.header.as_str(), &*h.claim)).collect();
    assert_eq!(headers, [("x-email", "email"), ("x-groups", "groups")]);
    let corp = &settings.providers[0];
    assert_eq!(corp.scopes, ["openid", "email"]);
    assert_eq!(corp.authorization_parameters, [("prompt".to_owned(), "login".to_owned())]);
    assert_eq!(corp.display_name, "Corp");
    assert_eq!(corp.userinfo, UserinfoMode::WhenMissing);
    // What headers carry is needed whole, what rules ask for is not.
    let needed = &corp.needed_claims.0;
    assert_eq!(needed.get("email"), Some(&Needed::Whole));
    assert_eq!(needed.get("groups"), Some(&Needed::Whole));
    assert_eq!(needed.get("email_domain"), Some(&Needed::Values(BTreeSet::from(["example.com".into()]))));
    assert_eq!(needed.len(), 3);
}

#[test]
fn a_provider_in_the_file_gets_its_secret_from_a_variable() {
    let file = "[providers.My-Corp]\nclient_id = 'x'\n[providers.my-idp]\nissuer = 'https://i.example'\nclient_id = 'y'\n\
         user_prefix = 'i:'\n";
    let case = Case::good()
        .file(&file.replace("My-Corp", "my-corp"))
        .variable("PROVIDERS__MY_IDP__CLIENT_SECRET", "s")
        .variable("PROVIDERS__MY_IDP__CLIENT_AUTH", "client_secret_post")
        .variable("PROVIDERS__CORP__USER_PREFIX", "c:")
        .variable("PROVIDERS__MY_CORP__USER_PREFIX", "m:")
        .variable("PROVIDERS__MY_CORP__ISSUER", "https://c.example");
    let providers = case.loaded().settings.providers;
    let names: Vec<_> = providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["corp", "my-corp", "my-idp"]);
    assert_eq!(providers[2].client_auth, Some(ClientAuth::Post));
    assert!(providers[2].client_secret.is_some());
}

#[test]
fn keys_stand_in_their_order() {
    let case = Case::good().with("keys", &format!("{OTHER_KEY}\n")).variable("SESSION__PREVIOUS_KEYS_FILE", "DIR/keys");
    let keys = case.loaded().settings.sessions.keys;
    assert_eq!(keys[0].expose(), b"session key for tests, nobody's!");
    assert_eq!(keys[1].expose(), b"another session key for tests, m");
    assert_eq!(keys.len(), 2);
}

#[test]
fn a_new_key_is_one() {
    let (one, other) = (crate::config::new_key(), crate::config::new_key());
    assert_ne!(one, other);
    Case::good().variable("SESSION__KEY", &one).variable("SESSION__PREVIOUS_KEYS", &other).loaded();
}

#[test]
fn what_weakens_a_protection_is_warned_about() {
    for (case, warnings) in [
        (
            Case::good().variable("PUBLIC_URL", "http://localhost:4180"),
            vec!["DOORWARD_PUBLIC_URL: is plain http on loopback"],
        ),
        (
            Case::good().variable("PROVIDERS__CORP__ISSUER", "http://127.0.0.1:9000"),
            vec!["DOORWARD_PROVIDERS__CORP__ISSUER: is plain http on loopback"],
        ),
        (
            Case::good()
                .variable("PROVIDERS__CORP__ISSUER", "http://login.internal")
                .variable("PROVIDERS__CORP__INSECURE_HTTP", "true"),
            vec!["DOORWARD_PROVIDERS__CORP__INSECURE_HTTP: is on"],
        ),
        (
            Case::good().file("[providers.corp]\ninsecure_unverified_email = true"),
            vec!["DIR/doorward.toml:2: providers.corp.insecure_unverified_email is on"],
        ),
        (Case::good().variable("TRUSTED_PROXIES", "0.0.0.0/0"), vec!["DOORWARD_TRUSTED_PROXIES: names every address"]),
        (
            Case::good()
                .without("UPSTREAM")
                .file("[[routes]]\nhost = 'b.example'\nupstream = 'http://b'\n[[routes]]\nhost = 'c.example'\nupstream = 'http://c'\nanonymous = true"),
            vec!["DIR/doorward.toml:2: routes[0].host is not the host of `public_url`"],
        ),
        (
            Case::good()
                .variable("PROVIDERS__CORP__USER_PREFIX", "c:")
                .file(
                    "[providers.a]\nkind = 'google'\nclient_id = 'a'\nuser_prefix = 'a:'\n\
                     [providers.b]\nkind = 'google'\nclient_id = 'b'\nuser_prefix = 'b:'\n",
                ),
            vec!["providers.b.display_name (kind google) is that of `a` too"],
        ),
    ] {
        let directory = case.directory.path().to_str().unwrap();
        let found: Vec<_> = case.loaded().warnings.iter().map(|warning| warning.replace(directory, "DIR")).collect();
        assert_eq!(found.len(), warnings.len(), "{found:#?}");
        for (found, warning) in found.iter().zip(warnings) {
            assert!(found.starts_with(warning), "{found} is not {warning}");
        }
    }
}

#[test]
fn every_value_says_where_it_came_from() {
    let case = Case::good()
        .without("UPSTREAM")
        .file(
            "trusted_proxies = ['unix']\n[[routes]]\nupstream = 'http://127.0.0.1:1'\n[routes.allow.claims]\n'urn:x' = ['a\"b']\n\
             [providers.google]\nclient_id = 'x'\nuser_prefix = 'g:'\n",
        )
        .variable("PROVIDERS__CORP__USER_PREFIX", "c:")
        .variable("LIMITS__HEADER_COUNT", "50")
        .variable("PROVIDERS__CORP__SCOPES", "openid,email")
        .flag("log.filter", "debug");
    let effective = case.loaded().effective().replace(case.directory.path().to_str().unwrap(), "DIR");
    for line in [
        "listen = \"127.0.0.1:4180\"  # default",
        "trusted_proxies = [\"unix\"]  # DIR/doorward.toml:1",
        "public_url = \"https://app.example.com\"  # DOORWARD_PUBLIC_URL",
        "[[routes]]",
        "upstream = \"http://127.0.0.1:1\"  # DIR/doorward.toml:3",
        "[routes.allow.claims]",
        "\"urn:x\" = ['a\"b']  # DIR/doorward.toml:5",
        "[providers.google]",
        "issuer = \"https://accounts.google.com\"  # kind google",
        "userinfo = \"when_missing\"  # default",
        "display_name = \"Corp\"  # from its name",
        "scopes = [\"openid\", \"email\"]  # DOORWARD_PROVIDERS__CORP__SCOPES",
        "header_count = 50  # DOORWARD_LIMITS__HEADER_COUNT",
        "filter = \"debug\"  # --log-filter",
        "key = \"[secret]\"  # DOORWARD_SESSION__KEY",
    ] {
        assert!(effective.lines().any(|found| found == line), "{line} in\n{effective}");
    }
    // It is a configuration again, but for its secrets.
    let again = Case::empty().file(&effective.replace("[secret]", KEY)).loaded();
    assert_eq!(again.settings.gateway.routes.len(), 1);
    assert_eq!(again.settings.server.limits.header_count, 50);
}
