//! What operators are told about a provider: what is in force and why, and what sessions keep.

use super::{Case, KEY};
use crate::config::{ExplainError, explain};

#[test]
fn a_provider_is_explained_key_by_key() {
    let case = Case::good()
        .variable("PROVIDERS__CORP__KIND", "linkedin")
        .without("PROVIDERS__CORP__ISSUER")
        .variable("PROVIDERS__CORP__CLIENT_SECRET", "hunter2")
        .variable("PROVIDERS__CORP__PKCE", "true");
    let explained = explain(&case.sources(), "providers.corp").unwrap();
    for lines in [
        "[providers.corp]\n",
        "\n# Its ID tokens never repeat it.\nnonce = false  # kind linkedin\n",
        // What the kind does not say, `oidc` does.
        "\n# Access tokens are meant for somebody else.\naccess_token_claims = false  # default\n",
        "\nclient_secret = \"[secret]\"  # DOORWARD_PROVIDERS__CORP__CLIENT_SECRET\n",
        "\nissuer = \"https://www.linkedin.com/oauth\"  # kind linkedin\n",
    ] {
        assert!(explained.contains(lines), "{lines} in\n{explained}");
    }
    // The kind's reason is none for what the operator wrote.
    let (before, _) = explained.split_once("pkce = true  # DOORWARD_PROVIDERS__CORP__PKCE").unwrap();
    assert!(!before.lines().last().unwrap().starts_with('#'), "{explained}");
    assert!(!explained.contains("hunter2") && !explained.contains(KEY) && !explained.contains("[session]"));
}

#[test]
fn parameters_of_a_kind_are_explained_too() {
    let explained = explain(
        &Case::good()
            .variable("PROVIDERS__CORP__AUTHORIZATION_PARAMETERS__PROMPT", "login")
            .file("[providers.corp]\nkind = 'logingov'\nclient_auth = 'client_secret_basic'\nclient_secret = 's'\n")
            .sources(),
        "providers.corp",
    )
    .unwrap();
    let table = "\n[providers.corp.authorization_parameters]\n\
               # It has to be sent. Without identity proofing; other values ask for more.\n\
               acr_values = \"urn:acr.login.gov:auth-only\"  # kind logingov\n\
               prompt = \"login\"  # DOORWARD_PROVIDERS__CORP__AUTHORIZATION_PARAMETERS__PROMPT\n\n[providers.corp.bearer]\n";
    assert!(explained.contains(table), "{explained}");
}

#[test]
fn a_table_within_a_kind_is_explained_key_by_key() {
    let case = Case::good()
        .variable("PROVIDERS__CORP__KIND", "cognito")
        .variable("PROVIDERS__CORP__BEARER__RECHECK", "5s")
        .variable("CREDENTIALS", "both");
    let explained = explain(&case.sources(), "providers.corp").unwrap();
    let (_, bearer) = explained.split_once("\n[providers.corp.bearer]\n").unwrap();
    for lines in [
        "# Access tokens have no `aud`.\naudience_claim = \"client_id\"  # kind cognito\n",
        // What the kind does not say, `oidc` does.
        "# Whom to ask has to be said: a token is shown to nobody by guess.\nintrospection = \"none\"  # default\n",
        "\nrecheck = \"5s\"  # DOORWARD_PROVIDERS__CORP__BEARER__RECHECK\n",
    ] {
        assert!(bearer.contains(lines), "{lines} in\n{bearer}");
    }
    let effective = case.loaded().effective().to_owned();
    for line in [
        "credentials = \"both\"  # DOORWARD_CREDENTIALS",
        "audiences = [\"{client_id}\"]  # kind cognito",
        "login = true  # default",
    ] {
        assert!(effective.lines().any(|found| found == line), "{line} in\n{effective}");
    }
}

#[test]
fn only_providers_that_exist_are_explained() {
    let case = Case::good().file("[providers.b]\nissuer = 'https://b.example'\nclient_id = 'b'\nuser_prefix = 'b:'\n");
    let case = case.variable("PROVIDERS__CORP__USER_PREFIX", "c:");
    for asked in ["providers.google", "providers", "providers.", "corp", "session", "", "providers.corp.issuer"] {
        let error = explain(&case.sources(), asked).unwrap_err();
        assert_eq!(error.to_string(), format!("`{asked}` is no provider; known are `providers.b`, `providers.corp`"));
    }
    let wrong = Case::good().without("PUBLIC_URL");
    assert!(matches!(explain(&wrong.sources(), "providers.corp"), Err(ExplainError::Problems(_))));
}

#[test]
fn what_sessions_keep_is_said_for_each_provider() {
    let kept = |case: Case| case.loaded().kept().collect::<Vec<_>>();
    assert_eq!(kept(Case::good()), ["provider corp: a session keeps none of its claims"]);
    let case = Case::good()
        .variable("PROVIDERS__CORP__EMAIL_CLAIM", "mail")
        .variable("PROVIDERS__CORP__GROUPS_CLAIM", "/realm_access/roles")
        .variable("HEADERS__CLAIMS__X_EMAIL", "email")
        .variable("ALLOW__EMAIL_DOMAINS", "example.com")
        .variable("ALLOW__CLAIMS__GROUPS", "staff,admin");
    assert_eq!(
        kept(case),
        [
            "provider corp: a session keeps `email` (there called `mail`); of `email_domain` (of a verified address) only \
          `example.com`; of `groups` (there called `/realm_access/roles`) only `admin`, `staff`"
        ]
    );
    let many: Vec<_> = (10..40).map(|number| number.to_string()).collect();
    let lines = kept(Case::good().variable("ALLOW__CLAIMS__ROLE", &many.join(",")));
    assert!(lines[0].ends_with("`18`, `19`, 20 more"), "{lines:?}");
}
