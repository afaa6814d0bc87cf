//! Nothing that is shown holds a secret, whatever is wrong with it.

use super::{Case, KEY, OTHER_KEY};

/// Every text that a configuration can end in.
fn everything_shown(case: &Case) -> String {
    let shown = match case.load() {
        Ok(loaded) => format!("{loaded:?} {:#?} {} {:?}", loaded, loaded.effective(), loaded.warnings),
        Err(problems) => format!("{problems} {problems:?} {problems:#?}"),
    };
    format!("{shown} {:?} {:#?}", case.sources(), case.sources())
}

#[test]
fn a_right_secret_is_never_shown() {
    let case = Case::good()
        .with("client-secret", "hunter2-in-a-file\n")
        .variable("SESSION__PREVIOUS_KEYS", OTHER_KEY)
        .variable("PROVIDERS__CORP__CLIENT_SECRET", "hunter2")
        .variable("PROVIDERS__CORP__USER_PREFIX", "c:")
        .variable("PROVIDERS__GOOGLE__USER_PREFIX", "g:")
        .variable("PROVIDERS__GOOGLE__CLIENT_ID", "x")
        .variable("PROVIDERS__GOOGLE__CLIENT_SECRET_FILE", "DIR/client-secret")
        .with("proxy-secret", "hunter2 in a file\n")
        .variable("SECRET_HEADERS__X_GATE__VALUE", "hunter2")
        .variable("SECRET_HEADERS__X_OTHER__VALUE_FILE", "DIR/proxy-secret");
    let loaded = case.loaded();
    let secret = |number: usize| loaded.settings.providers[number].client_secret.as_ref().unwrap().expose().clone();
    assert_eq!([secret(0), secret(1)], ["hunter2", "hunter2-in-a-file"]);
    let headers = loaded.settings.gateway.routes[0].secret_headers.iter();
    let headers: Vec<_> = headers.map(|secret| (secret.name.as_str(), secret.value.to_str().unwrap())).collect();
    assert_eq!(headers, [("x-gate", "hunter2"), ("x-other", "hunter2 in a file")]);
    let shown = everything_shown(&case);
    for secret in [KEY, OTHER_KEY, "hunter2", "hunter2-in-a-file"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert_eq!(loaded.effective().matches("\"[secret]\"").count(), 4, "{}", loaded.effective());
}

#[test]
fn a_private_key_is_never_shown() {
    let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let inside = pem.lines().nth(1).unwrap();
    let case = Case::good().variable("PROVIDERS__CORP__CLIENT_KEY", &pem);
    let key = case.loaded().settings.providers.remove(0).client_key.unwrap();
    assert_eq!(*key.pem.expose(), pem);
    let case = case.variable("PROVIDERS__CORP__DECRYPTION_KEY", &pem);
    assert_eq!(case.loaded().settings.providers.remove(0).decryption_keys.len(), 1);
    let shown = everything_shown(&case);
    assert!(shown.contains("client_key = \"[secret]\"") && shown.contains("decryption_key = \"[secret]\""), "{shown}");
    assert!(!shown.contains(inside), "{shown}");
}

#[test]
fn a_wrong_secret_is_not_shown_either() {
    const SECRET: &str = "hunter2";
    for case in [
        Case::good().variable("SESSION__KEY", SECRET),
        Case::good().variable("SESSION__KEY", "hunter2="),
        Case::good().variable("SESSION__KEY", " hunter2\n"),
        Case::good().variable("SESSION__PREVIOUS_KEYS", "hunter2,hunter2"),
        Case::good().variable("SESSION__KEY_FILE", SECRET).without("SESSION__KEY"),
        Case::good().with("key", "hunter2").without("SESSION__KEY").variable("SESSION__KEY_FILE", "DIR/key"),
        Case::good().with("key", "\thunter2").without("SESSION__KEY").variable("SESSION__KEY_FILE", "DIR/key"),
        Case::good().with("keys", "hunter2\nhunter2").variable("SESSION__PREVIOUS_KEYS_FILE", "DIR/keys"),
        Case::good().variable("SECRET_HEADERS__X_SECRET", SECRET),
        Case::good().variable("SECRET_HEADERS__X_SECRET__VALUE", "hunter2\n"),
        Case::good().variable("SECRET_HEADERS__HOST__VALUE", SECRET),
        Case::good().variable("PROVIDERS__CORP__CLIENT_SECRET", "hunter2 "),
        Case::good().variable("PROVIDERS__CORP__CLIENT_SECRT", SECRET),
        Case::good().variable("PROVIDERS__CORP__CLIENT_KEY", SECRET),
        Case::good()
            .variable("PROVIDERS__CORP__CLIENT_KEY", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"),
        Case::good().with("key", "hunter2").variable("PROVIDERS__CORP__CLIENT_KEY_FILE", "DIR/key"),
        Case::good()
            .with("account", "{\"client_email\": \"a\", \"private_key\": \"hunter2\"}")
            .variable("PROVIDERS__CORP__KIND", "google")
            .variable("PROVIDERS__CORP__GROUPS_LOOKUP", "google_directory")
            .variable("PROVIDERS__CORP__GROUPS_SUBJECT", "a")
            .variable("PROVIDERS__CORP__GROUPS_ACCOUNT_FILE", "DIR/account"),
        Case::good().variable("PROVIDERS__CORP__CLIENT_SECRET__X", SECRET),
        Case::good().variable("PROVIDERS__CORP", SECRET),
        Case::good().variable("CLIENT_SECRET", SECRET),
        Case::good().variable("PUBLIC_URL", "https://me:hunter2@app.example.com"),
        Case::good().variable("UPSTREAM", "http://me:hunter2@127.0.0.1"),
        Case::good().variable("UPSTREAM", "me:hunter2@127.0.0.1"),
        Case::good().variable("PROVIDERS__CORP__ISSUER", "https://me:hunter2@login.example.com"),
        Case::good().file("[providers.corp]\nclient_secret = 'hunter2\n"),
        Case::good().file("[providers.corp]\nclient_secret = hunter2\n"),
        Case::good().file("[providers.corp]\nclient_secret = ['hunter2']\n"),
        Case::good().file("[providers.corp]\nclient_secret = { a = 'hunter2' }\n"),
        Case::good().file("[providers.corp]\nclient_secert = 'hunter2'\n"),
        Case::good().file("[providers.corp]\nclient_secret = 'hunter2'\nclient_secret = 'hunter2'\n"),
        Case::good().file("[session]\nkeys = ['hunter2']\n"),
        Case::good().file("session = 'hunter2'\n"),
        Case::good().file("routes = 'hunter2'\n"),
        Case::good().flag("session.kez", SECRET),
    ] {
        let shown = everything_shown(&case);
        assert!(case.load().is_err(), "{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
    // A number in a file: figment's own message would repeat it.
    let shown = everything_shown(&Case::good().file("[providers.corp]\nclient_secret = 20250731\n"));
    assert!(shown.contains("client_secret is a number") && !shown.contains("20250731"), "{shown}");
}

#[test]
fn a_secret_of_digits_stays_what_it_is() {
    let loaded = Case::good().variable("PROVIDERS__CORP__CLIENT_SECRET", "00123").loaded();
    assert_eq!(loaded.settings.providers[0].client_secret.as_ref().unwrap().expose(), "00123");
}
