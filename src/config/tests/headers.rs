//! What the application is told, as it is configured: refusals, then meanings.

use super::Case;
use crate::gateway::settings::{ClaimFormat, Encoding, ListForm, TooLong};

/// T-121.
#[test]
fn a_wrong_variable_about_headers_is_named() {
    for (name, value, answer) in [
        (
            "HEADERS__PRESET",
            "traefik",
            "DOORWARD_HEADERS__PRESET: is `traefik`; known are `doorward`, `oauth2-proxy`, `remote-user`, `webauth`",
        ),
        (
            "HEADERS__CLAIMS__X_EMAIL",
            "true",
            "DOORWARD_HEADERS__CLAIMS__X_EMAIL: is `true`; a claim's name or `false` is expected",
        ),
        (
            "HEADERS__USER_ENCODING",
            "utf-8",
            "DOORWARD_HEADERS__USER_ENCODING: is `utf-8`; known are `utf8`, `percent`, `rfc2047`, `base64url`",
        ),
        (
            "HEADERS__FORMATS__X_GROUPS__LIST",
            "json",
            "DOORWARD_HEADERS__FORMATS__X_GROUPS__LIST: `headers.formats.x-groups` is for a header that `headers.claims` does not name",
        ),
    ] {
        assert_eq!(Case::good().variable(name, value).problems(), [answer], "{name}={value}");
    }
}

/// T-121. `UP` is an application.
#[test]
fn a_wrong_line_about_headers_is_named() {
    for (text, answer) in [
        (
            "[headers.claims]\nX-G = 'g'\n[headers.formats.x-g]\nseparator = 'ab'",
            "DIR/doorward.toml:4: headers.formats.x-g.separator is `ab`; one sign such as",
        ),
        (
            "[headers.claims]\nX-G = 'g'\n[headers.formats.X-G]\nseparator = '\\'",
            "DIR/doorward.toml:4: headers.formats.X-G.separator is `\\\\`; one sign such as",
        ),
        (
            "[headers.claims]\nX-G = 'g'\n[headers.formats.X-G]\nlist = 'json'\nseparator = ';'",
            "DIR/doorward.toml:5: headers.formats.X-G.separator stands beside `headers.formats.X-G.list` (DIR/doorward.toml:4)",
        ),
        (
            "[headers.claims]\nX-G = 'g'\n[headers.formats.X-G]\nmax_bytes = '1MiB'",
            "DIR/doorward.toml:4: headers.formats.X-G.max_bytes is 1048576 bytes; it must be 1 to 65536 bytes",
        ),
        (
            "[headers.claims]\nX-G = 'g'\n[headers.formats.X-G]\nx = 1",
            "DIR/doorward.toml:4: headers.formats.X-G.x is no key; the nearest known key is `headers.formats.X-G.list`",
        ),
        (
            "[headers.claims]\nX-G = 'g'\n[headers.formats.X-G]\nlist = 'json'\n[headers.formats.x_g]\nlist = 'json'",
            "DIR/doorward.toml:5: headers.formats.x_g is for the same header as `headers.formats.X-G`",
        ),
        (
            "[headers.claims]\nX-Email = 'email'\n[[routes]]\nUPuser_header = 'x_email'",
            "DIR/doorward.toml:5: routes[0].user_header is the same header as `headers.claims.X-Email` (DIR/doorward.toml:2)",
        ),
        (
            "[[routes]]\nUPuser_header = 'Cookie'",
            "DIR/doorward.toml:3: routes[0].user_header is `Cookie`, which has another meaning",
        ),
        (
            "[[routes]]\nUPanonymous = true\nuser_header = 'X-Me'",
            "DIR/doorward.toml:4: routes[0].user_header stands beside `routes[0].anonymous` (DIR/doorward.toml:3)",
        ),
        (
            "[[routes]]\nUPsecret_headers.Host.value = 'hunter2'",
            "DIR/doorward.toml:3: routes[0].secret_headers.Host is `Host`, which has another meaning",
        ),
        (
            "[[routes]]\nUPsecret_headers.X_User.value = 'hunter2'",
            "DIR/doorward.toml:3: routes[0].secret_headers.X_User is the same header as `headers.user` (default)",
        ),
        (
            "[[routes]]\nUPuser_header = 'X-Me'\nsecret_headers.x-me.value = 'hunter2'",
            "DIR/doorward.toml:4: routes[0].secret_headers.x-me is the same header as `routes[0].user_header` (DIR/doorward.toml:3)",
        ),
        (
            "[[routes]]\nUPsecret_headers.X-S.value = 'hunter2'\nsecret_headers.x_s.value = 'hunter2'",
            "DIR/doorward.toml:4: routes[0].secret_headers.x_s is the same header as `routes[0].secret_headers.X-S`",
        ),
        (
            "[[routes]]\nUPsecret_headers.X-S = {}",
            "DIR/doorward.toml:3: routes[0].secret_headers.X-S.value is required, or `routes[0].secret_headers.X-S.value_file`",
        ),
        (
            "[[routes]]\nUPsecret_headers.X-S = { value = 'hunter2', value_file = 'DIR/s' }",
            "DIR/doorward.toml:3: routes[0].secret_headers.X-S.value_file stands beside",
        ),
        (
            "[[routes]]\nUPsecret_headers.X-S.value = \"hunter2\\t\"",
            "DIR/doorward.toml:3: routes[0].secret_headers.X-S.value holds a line break",
        ),
        (
            "[secret_headers.X-S]\nvalue = 'hunter2'\n[[routes]]\nUP",
            "DIR/doorward.toml:1: secret_headers stand beside `routes`",
        ),
        (
            "[[routes]]\nUPaudience = 'wiki'",
            "DIR/doorward.toml:3: routes[0].audience is for the signed assertion, but there is no `assertion.header`",
        ),
    ] {
        let case = match text.contains("[[routes]]") {
            true => Case::good().without("UPSTREAM"),
            false => Case::good(),
        };
        let problems = case.file(&text.replace("UP", "upstream = 'http://127.0.0.1:1'\n")).problems();
        assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
        assert!(problems[0].starts_with(answer), "{text}\n  expected {answer}\n  found {problems:#?}");
        assert!(!problems.concat().contains("hunter2"), "{problems:#?}");
    }
}

#[test]
fn an_assertion_has_a_key_on_p256() {
    let key = || rcgen::KeyPair::generate().unwrap().serialize_pem();
    let (ours, other) = (key(), key());
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    let both = format!("{ours}{other}");
    let broken = ours.replacen("M", "?", 1);
    let header = ("HEADER", "X-Assertion");
    let wrong_key = "DOORWARD_ASSERTION__KEY: holds no PEM private key on P-256 (PKCS#8), or also something else";
    for (variables, answer) in [
        (vec![header, ("KEY", &*ours)], ""),
        (vec![header, ("KEY", &*ours), ("PREVIOUS_KEYS", &*other)], ""),
        (vec![header, ("KEY_FILE", "DIR/both")], "DOORWARD_ASSERTION__KEY_FILE: holds more than one key"),
        (vec![header], "assertion.key is required, or `assertion.key_file`; `openssl genpkey"),
        (vec![("KEY", &*ours)], "DOORWARD_ASSERTION__KEY: is for the signed assertion, but there is no"),
        (vec![("PREVIOUS_KEYS_FILE", "DIR/both")], "DOORWARD_ASSERTION__PREVIOUS_KEYS_FILE: is for the signed"),
        (vec![header, ("KEY", "hunter2")], "DOORWARD_ASSERTION__KEY: is no PEM"),
        (vec![header, ("KEY", &*p384)], wrong_key),
        (vec![header, ("KEY", &*broken)], wrong_key),
        (vec![header, ("KEY", &*ours), ("KEY_FILE", "DIR/both")], "DOORWARD_ASSERTION__KEY_FILE: stands beside"),
        (
            vec![header, ("KEY", &*ours), ("PREVIOUS_KEYS_FILE", "DIR/both")],
            "DOORWARD_ASSERTION__PREVIOUS_KEYS_FILE: has a key twice",
        ),
        (
            vec![("HEADER", "X_User"), ("KEY", &*ours)],
            "DOORWARD_ASSERTION__HEADER: is the same header as `headers.user`",
        ),
        (
            vec![("HEADER", "Authorization"), ("KEY", &*ours)],
            "DOORWARD_ASSERTION__HEADER: is `Authorization`, which has",
        ),
        (vec![("LIFETIME", "1m")], "DOORWARD_ASSERTION__LIFETIME: is not within `2m` and `1h`"),
        (vec![("LIFETIME", "2h")], "DOORWARD_ASSERTION__LIFETIME: is not within `2m` and `1h`"),
    ] {
        let case = Case::good().with("both", &both);
        let case =
            variables.iter().fold(case, |case, (name, value)| case.variable(&format!("ASSERTION__{name}"), value));
        let problems = case.problems().join("\n");
        assert!(problems.starts_with(answer) && problems.is_empty() == answer.is_empty(), "{answer}: {problems}");
        let secret = ours.lines().nth(1).unwrap();
        assert!(!problems.contains(secret) && !problems.contains("hunter2"), "{problems}");
        if let Ok(loaded) = case.load() {
            let shown = format!("{loaded:?} {}", loaded.effective());
            assert!(shown.contains("key = \"[secret]\"") && !shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn a_claim_is_written_as_its_header_says() {
    let file = "[headers.claims]\nX-Groups = 'groups'\nX-Email = 'email'\n[headers.formats.X-Groups]\nlist = 'json'\nmax_bytes = '8KiB'\n";
    let case = Case::good()
        .file(file)
        .variable("HEADERS__USER_ENCODING", "percent")
        .variable("HEADERS__FORMATS__X_GROUPS__LIST", "joined")
        .variable("HEADERS__FORMATS__X_GROUPS__SEPARATOR", ";")
        .variable("HEADERS__FORMATS__X_EMAIL__TOO_LONG", "refuse");
    let headers = case.loaded().settings.gateway.headers;
    assert_eq!(headers.user_encoding, Encoding::Percent);
    let formats: Vec<_> = headers.claims.iter().map(|claim| (claim.header.as_str(), claim.format.clone())).collect();
    let groups =
        ClaimFormat { list: Some(ListForm::Joined), separator: ';', max_bytes: 8_192, ..ClaimFormat::default() };
    let email = ClaimFormat { too_long: TooLong::Refuse, ..ClaimFormat::default() };
    assert_eq!(formats, [("x-email", email), ("x-groups", groups)]);
}

#[test]
fn a_preset_gives_way_to_what_is_written() {
    let sent = |case: &Case| {
        let headers = case.loaded().settings.gateway.headers;
        let claims = headers.claims.iter().map(|claim| format!("{} = {}", claim.header, claim.claim));
        [vec![headers.user.to_string()], claims.collect()].concat().join(", ")
    };
    let case = Case::good().variable("HEADERS__PRESET", "doorward");
    assert_eq!(sent(&case), "x-user");
    for (preset, all) in [
        (
            "oauth2-proxy",
            "x-forwarded-user, x-forwarded-email = email, x-forwarded-groups = groups, x-forwarded-preferred-username = preferred_username",
        ),
        ("remote-user", "remote-user, remote-email = email, remote-groups = groups, remote-name = name"),
        ("webauth", "x-webauth-user, x-webauth-email = email, x-webauth-groups = groups, x-webauth-name = name"),
    ] {
        assert_eq!(sent(&Case::good().variable("HEADERS__PRESET", preset)), all);
    }
    let case = Case::good()
        .file("[headers]\npreset = 'remote-user'\n[headers.claims]\nRemote_Email = 'mail'\nX-More = 'more'\n")
        .variable("HEADERS__USER", "X-Me")
        .variable("HEADERS__CLAIMS__REMOTE_GROUPS", "false");
    assert_eq!(sent(&case), "x-me, remote-name = name, remote_email = mail, x-more = more");
    let by_address = case.variable("HEADERS__USER", "remote_name");
    assert_eq!(sent(&by_address), "remote_name, remote_email = mail, x-more = more");
    let case = by_address.variable("HEADERS__USER", "X-Me");
    let effective = case.loaded().effective().replace(case.directory.path().to_str().unwrap(), "DIR");
    for line in [
        "preset = \"remote-user\"  # DIR/doorward.toml:2",
        "user = \"X-Me\"  # DOORWARD_HEADERS__USER",
        "Remote-Name = \"name\"  # preset remote-user",
        "Remote_Email = \"mail\"  # DIR/doorward.toml:4",
    ] {
        assert!(effective.lines().any(|found| found == line), "{line} in\n{effective}");
    }
}
