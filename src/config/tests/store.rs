//! Where sessions are kept: what does not fit together, what is warned about, and what is never shown.

use std::time::Duration;

use super::Case;
use crate::sessions::store::{Location, RedisSettings, Settings};

fn redis(case: &Case) -> RedisSettings {
    match case.loaded().settings.sessions.store {
        Settings::Redis(settings) => *settings,
        Settings::Memory { .. } => panic!("memory"),
    }
}

fn with(variables: &[(&str, &str)]) -> Case {
    let case = Case::good().with("password", "hunter2\n");
    variables.iter().fold(case, |case, (name, value)| case.variable(&format!("SESSION__{name}"), value))
}

#[test]
fn what_does_not_fit_together_is_refused() {
    const REDIS: &str = "redis://localhost";
    const STORE: &str = "`session.store` (DOORWARD_SESSION__STORE)";
    for (variables, key, expected) in [
        (&[("STORE_PASSWORD", "hunter2")][..], "STORE_PASSWORD", "is of no use: `session.store` (default) is `memory`"),
        (&[("STORE_USERNAME", "me")], "STORE_USERNAME", "is of no use: `session.store` (default) is `memory`"),
        (
            &[("STORE", "redis://:hunter2@localhost"), ("STORE_PASSWORD", "hunter2")],
            "STORE_PASSWORD",
            &format!("stands beside the password in {STORE}; give one of the two"),
        ),
        (
            &[("STORE", "redis://:hunter2@localhost"), ("STORE_PASSWORD_FILE", "DIR/password")],
            "STORE_PASSWORD_FILE",
            &format!("stands beside the password in {STORE}; give one of the two"),
        ),
        (
            &[("STORE", REDIS), ("STORE_PASSWORD_FILE", "DIR/password"), ("STORE_PASSWORD", "hunter2")],
            "STORE_PASSWORD_FILE",
            "stands beside `session.store_password` (DOORWARD_SESSION__STORE_PASSWORD); give exactly one of the two",
        ),
        (
            &[("STORE", "redis://me:hunter2@localhost"), ("STORE_USERNAME", "me")],
            "STORE_USERNAME",
            &format!("stands beside the user in {STORE}; give one of the two"),
        ),
        (
            &[("STORE", REDIS), ("STORE_USERNAME", "me")],
            "STORE_USERNAME",
            "names a user, but there is no password; `session.store_password` is needed with it",
        ),
        (
            &[("STORE", "redis://me@localhost")],
            "STORE",
            "names a user, but there is no password; `session.store_password` is needed with it",
        ),
        (
            &[("STORE", REDIS), ("STORE_SENTINEL_PASSWORD", "hunter2")],
            "STORE_SENTINEL_PASSWORD",
            &format!("is of no use: {STORE} has no sentinels"),
        ),
        (
            &[("STORE", REDIS), ("STORE_CA_FILE", "DIR/password")],
            "STORE_CA_FILE",
            "names DIR/password, which holds no PEM certificate",
        ),
    ] {
        let problems = with(variables).problems();
        let line = format!("DOORWARD_SESSION__{key}: {expected}");
        assert!(problems.contains(&line), "{line}: {problems:#?}");
        assert!(!problems.join("\n").contains("hunter2"), "{problems:#?}");
    }
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let plain = with(&[("STORE", REDIS), ("STORE_CA_FILE", "DIR/ca")]).with("ca", &certificate).problems();
    assert!(plain.join("\n").contains("STORE_CA_FILE: is of no use"), "{plain:#?}");
}

#[test]
fn a_store_is_what_url_and_keys_say_together() {
    let plain = redis(&with(&[("STORE", "redis://localhost:7000/2")]));
    assert_eq!(plain.location, Location::Standalone { address: "localhost:7000".into(), database: 2 });
    assert!(plain.tls.is_none() && plain.username.is_none() && plain.password.is_none());
    assert_eq!((&*plain.prefix, plain.timeout), ("doorward", Duration::from_millis(500)));

    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let case = with(&[
        ("STORE", "rediss+sentinel://gate@a,b/main"),
        ("STORE_PASSWORD_FILE", "DIR/password"),
        ("STORE_SENTINEL_PASSWORD", "hunter3"),
        ("STORE_CA_FILE", "DIR/ca"),
        ("STORE_PREFIX", "team-a:doorward"),
        ("STORE_TIMEOUT", "1s"),
    ]);
    let settings = redis(&case.with("ca", &certificate));
    let sentinels = vec!["a:26379".into(), "b:26379".into()];
    assert_eq!(settings.location, Location::Sentinel { sentinels, primary: "main".into(), database: 0 });
    assert_eq!(settings.tls.unwrap().ca.as_deref(), Some(certificate.as_bytes()));
    assert_eq!(settings.username.as_deref(), Some("gate"));
    assert_eq!(settings.password.unwrap().expose(), "hunter2");
    assert_eq!(settings.sentinel_password.unwrap().expose(), "hunter3");
    assert_eq!((&*settings.prefix, settings.timeout), ("team-a:doorward", Duration::from_secs(1)));

    let memory = with(&[("STORE_MEMORY_BYTES", "1MiB")]).loaded().settings.sessions.store;
    assert!(matches!(memory, Settings::Memory { bytes: 1_048_576 }), "{memory:?}");
}

#[test]
fn whoever_is_on_the_way_is_warned_about() {
    for (variables, expected) in [
        (&[("STORE", "memory")][..], None),
        (&[("STORE", "redis://127.0.0.1")], None),
        (&[("STORE", "rediss://redis.internal")], None),
        (
            &[("STORE", "redis://redis.internal")],
            Some("is without TLS: ids of sessions and what has ended go in clear to `redis.internal`"),
        ),
        (
            &[("STORE", "redis://:hunter2@redis.internal")],
            Some("is without TLS: the password goes in clear to `redis.internal`"),
        ),
        (
            &[("STORE", "redis+cluster://localhost,a,b"), ("STORE_PASSWORD", "hunter2")],
            Some("is without TLS: the password goes in clear to `a`, `b`"),
        ),
    ] {
        let warnings = with(variables).loaded().warnings;
        assert_eq!(warnings.len(), usize::from(expected.is_some()), "{warnings:?}");
        assert!(warnings.join("\n").contains(expected.unwrap_or_default()), "{warnings:?}");
    }
}

#[test]
fn its_passwords_are_never_shown() {
    for (variables, shown) in [
        (&[("STORE", "redis://gate:hunter2@localhost/1")][..], "store = \"redis://gate:[secret]@localhost/1\""),
        (&[("STORE", "redis://:hunter2@hunter2@localhost")], "store = \"redis://:[secret]@localhost\""),
        (&[("STORE", "redis://localhost"), ("STORE_PASSWORD", "hunter2")], "store_password = \"[secret]\""),
        (
            &[("STORE", "redis+sentinel://a/main"), ("STORE_SENTINEL_PASSWORD", "hunter2")],
            "store_sentinel_password = \"[secret]\"",
        ),
    ] {
        let loaded = with(variables).loaded();
        let all = format!("{loaded:?} {loaded:#?} {} {:?}", loaded.effective(), loaded.warnings);
        assert!(all.contains(shown) && !all.contains("hunter2"), "{shown}: {}", loaded.effective());
    }
    for wrong in ["redis://:hunter2@", "redis://hunter2/hunter2", "redis://:hunter2@a/hunter2", "hunter2://hunter2"] {
        let problems = with(&[("STORE", wrong)]).problems().join("\n");
        assert!(!problems.is_empty() && !problems.contains("hunter2"), "{problems}");
    }
}
