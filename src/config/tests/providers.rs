//! What is refused about providers: each rule that more than one key has a part in.

use std::sync::LazyLock;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};

use super::Case;

const NEEDED: &str = "is required";

/// Made once: it takes a while.
static RSA: LazyLock<String> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem());

/// One provider `corp` with `lines` in a file, and nothing else; keys and a service account lie beside it.
fn case(lines: &str) -> Case {
    let pem = |kind| KeyPair::generate_for(kind).unwrap().serialize_pem();
    let account = |key: &str, token_uri: &str| {
        serde_json::json!({ "client_email": "a@p.example", "private_key": key, "token_uri": token_uri }).to_string()
    };
    let key = pem(&PKCS_ECDSA_P256_SHA256);
    Case::good()
        .without("PROVIDERS__CORP__ISSUER")
        .with("p256.pem", &key)
        .with("p384.pem", &pem(&PKCS_ECDSA_P384_SHA384))
        .with("none.pem", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")
        .with("odd.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        .with("rsa.pem", &RSA)
        .with("both.pem", &format!("{}{key}", *RSA))
        .with("five.pem", &key.repeat(5))
        .with("mixed.pem", &format!("{key}{}", pem(&PKCS_ECDSA_P384_SHA384)))
        .with("account.json", &account(&RSA, "https://oauth2.example/token"))
        .with("http.json", &account(&RSA, "http://oauth2.example/token"))
        .with("curve.json", &account(&key, "https://oauth2.example/token"))
        .with("keyless.json", &account("none", "https://oauth2.example/token"))
        .with("empty.json", "{}")
        .with("text.json", "a@p.example")
        .file(&format!("[providers.corp]\n{lines}"))
}

const OIDC: &str = "issuer = 'https://login.example.com'\n";
const OAUTH2: &str = "kind = 'oauth2'\nauthorization_endpoint = 'https://l.example/a'\ntoken_endpoint = 'https://l.example/t'\n\
                      userinfo_endpoint = 'https://l.example/u'\n";
const DIRECTORY: &str = "kind = 'google'\ngroups_lookup = 'google_directory'\ngroups_subject = 'admin@example.com'\n";

#[test]
fn a_provider_that_contradicts_itself_is_refused() {
    for (base, lines, key, what) in [
        // where it is
        ("kind = 'keycloak'\n", "", "issuer", NEEDED),
        ("kind = 'microsoft'\n", "", "tenant", NEEDED),
        ("kind = 'microsoft'\n", "tenant = 'common'", "allowed_tenants", NEEDED),
        ("kind = 'microsoft'\n", "tenant = 'common'\nallowed_tenants = []", "allowed_tenants", "is empty"),
        (
            "kind = 'microsoft'\n",
            "tenant = 'common'\nallowed_tenants = ['t', 'consumers']",
            "allowed_tenants",
            "has `consumers`, which stands for many",
        ),
        ("kind = 'microsoft'\n", "tenant = 't'\nallowed_tenants = ['t']", "allowed_tenants", "means nothing"),
        ("kind = 'microsoft'\n", "tenant = 'a/b'", "tenant", "is `a/b`, which is no tenant"),
        (
            "kind = 'microsoft'\n",
            "tenant = 't'\nissuer = 'https://x.example/u'",
            "tenant",
            "is not in `providers.corp.issuer`",
        ),
        (OIDC, "tenant = 't'", "tenant", "means nothing: providers of kind `oidc` have no tenants"),
        (
            "issuer = 'https://login.example.com/{tenantid}'\n",
            "allowed_tenants = ['t']\ndiscovery_url = 'https://login.example.com/d'",
            "tenant_claim",
            NEEDED,
        ),
        (
            "issuer = 'https://login.example.com/{tenantid}'\n",
            "allowed_tenants = ['t']\ntenant_claim = 'tid'",
            "discovery_url",
            NEEDED,
        ),
        (OIDC, "token_endpoint = 'http://login.example.com/t'", "token_endpoint", "is plain http"),
        (OIDC, "jwks_uri = '/keys'", "jwks_uri", "is not a URL"),
        (OIDC, "back_channel_origin = 'http://keycloak:8080'", "back_channel_origin", "is plain http"),
        (
            OIDC,
            "back_channel_origin = 'https://x.example/realms'",
            "back_channel_origin",
            "cannot be used: it has more",
        ),
        (OIDC, "logout_url = 'http://login.example.com/out'", "logout_url", "is plain http"),
        (OIDC, "logout_url = '{origin}/out'", "logout_url", "is no http or https URL"),
        // what is spoken
        (OIDC, "protocol = 'saml'", "protocol", "is `saml`; known are `oidc`, `oauth2`"),
        (OIDC, "subject_claim = 'id'", "subject_claim", "is for `protocol = \"oauth2\"`"),
        (OIDC, "appsecret_proof = true", "appsecret_proof", "is for `protocol = \"oauth2\"`"),
        (OIDC, "email_endpoint = 'https://l.example/e'", "email_endpoint", "is for `protocol = \"oauth2\"`"),
        (OAUTH2, "discovery_url = 'https://l.example/d'", "discovery_url", "is for `protocol = \"oidc\"`"),
        (OAUTH2, "max_age = '1h'", "max_age", "is for `protocol = \"oidc\"`"),
        (OAUTH2, "access_token_claims = true", "access_token_claims", "is for `protocol = \"oidc\"`"),
        (OAUTH2, "appsecret_proof = true", "client_secret", NEEDED),
        // who we are
        (OIDC, "client_auth = 'private_key_jwt'", "client_key", NEEDED),
        (OIDC, "client_auth = 'client_secret_post'", "client_auth", "says how a secret is presented"),
        (
            OIDC,
            "client_secret = 's'\nclient_auth = 'private_key_jwt'",
            "client_secret",
            "is not what this provider wants",
        ),
        ("kind = 'apple'\n", "client_secret = 's'", "client_secret", "is not what this provider wants"),
        ("kind = 'apple'\n", "client_key_file = 'DIR/p256.pem'\nclient_team = 't'", "client_key_id", NEEDED),
        ("kind = 'apple'\n", "client_key_file = 'DIR/p256.pem'\nclient_key_id = 'k'", "client_team", NEEDED),
        (
            "kind = 'apple'\n",
            "client_key_file = 'DIR/p384.pem'\nclient_key_id = 'k'\nclient_team = 't'",
            "client_key_file",
            "is no P-256 key",
        ),
        (OIDC, "client_key_id = 'k'", "client_key_id", "means nothing without `client_key`"),
        (OIDC, "client_certificate_file = 'DIR/x'", "client_certificate_file", "means nothing without `client_key`"),
        (OIDC, "client_key_file = 'DIR/absent.pem'", "client_key_file", "names DIR/absent.pem, which cannot be read"),
        (OIDC, "client_key_file = 'DIR/none.pem'", "client_key_file", "is no private key in PEM"),
        (OIDC, "client_key_file = 'DIR/odd.pem'", "client_key_file", "is no key that can be used"),
        (OIDC, "client_key = 'x'", "client_key", "is no PEM"),
        (OIDC, "client_key = 'x'\nclient_key_file = 'DIR/p256.pem'", "client_key_file", "stands beside"),
        (
            OIDC,
            "client_key_file = 'DIR/p256.pem'\nclient_key_algorithm = 'RS256'",
            "client_key_algorithm",
            "does not fit the key, which signs with `ES256`",
        ),
        (
            OIDC,
            "client_key_file = 'DIR/p256.pem'\nclient_certificate_file = 'DIR/p256.pem'",
            "client_certificate_file",
            "names DIR/p256.pem, which holds no PEM certificate",
        ),
        // what opens tokens
        (OIDC, "decryption_key = 'x'", "decryption_key", "is no PEM"),
        (OIDC, "decryption_key_file = 'DIR/absent.pem'", "decryption_key_file", "names DIR/absent.pem, which cannot"),
        (OIDC, "decryption_key_file = 'DIR/none.pem'", "decryption_key_file", "holds no PEM private key (PKCS#8)"),
        (OIDC, "decryption_key_file = 'DIR/odd.pem'", "decryption_key_file", "holds no PEM private key (PKCS#8)"),
        (OIDC, "decryption_key_file = 'DIR/p384.pem'", "decryption_key_file", "holds no PEM private key (PKCS#8)"),
        (OIDC, "decryption_key_file = 'DIR/mixed.pem'", "decryption_key_file", "holds no PEM private key (PKCS#8)"),
        (OIDC, "decryption_key_file = 'DIR/five.pem'", "decryption_key_file", "holds 5 keys; a token is tried with 4"),
        (OIDC, "decryption_key = 'x'\ndecryption_key_file = 'DIR/p256.pem'", "decryption_key_file", "stands beside"),
        (OAUTH2, "decryption_key_file = 'DIR/p256.pem'", "decryption_key_file", "is for `protocol = \"oidc\"`"),
        // what is asked for
        (OIDC, "response_mode = 'fragment'", "response_mode", "is `fragment`; known are `query`, `form_post`"),
        (OIDC, "silent_check = 'none'", "silent_check", "is `none`; known are `prompt_none`, `redirect`, `off`"),
        (
            OAUTH2,
            "silent_check = 'prompt_none'",
            "silent_check",
            "is `prompt_none`, which is for `protocol = \"oidc\"`",
        ),
        (OIDC, "pushed_authorization_requests = 'never'", "pushed_authorization_requests", "is `never`; known are"),
        (OIDC, "max_age = '1s500ms'", "max_age", "has a part of a second"),
        (
            OIDC,
            "authorization_parameters = { max_age = '60' }",
            "authorization_parameters.max_age",
            "would be asked for but not checked",
        ),
        (
            OIDC,
            "authorization_parameters = { response_mode = 'form_post' }",
            "authorization_parameters.response_mode",
            "is set by the gateway itself",
        ),
        // what is believed
        (OIDC, "user_claim = []", "user_claim", "is empty; nobody would have a name"),
        (OIDC, "user_claim = ['a', '']", "user_claim", "has a wrong entry: entry 2 is empty"),
        (OIDC, "user_strip_domain = '@corp.com'", "user_strip_domain", "is `@corp.com`; a domain"),
        (OIDC, "user_prefix = ''", "user_prefix", "is empty"),
        (OIDC, "user_prefix = ' x'", "user_prefix", "begins or ends with white space"),
        (OIDC, "email_domains = []", "email_domains", "is empty; it lets nobody in"),
        (OIDC, "required_claims = { hd = 'a,,b' }", "required_claims.hd", "has a wrong entry: entry 2 is empty"),
        (OIDC, "groups_lookup = 'ldap'", "groups_lookup", "is `ldap`; known are `none`"),
        (OIDC, "groups_lookup = 'microsoft_graph'", "groups_endpoint", NEEDED),
        (OIDC, "groups_subject = 'a'", "groups_subject", "is for `groups_lookup = \"google_directory\"`"),
        (DIRECTORY, "", "groups_account_file", NEEDED),
        (
            "kind = 'google'\n",
            "groups_lookup = 'google_directory'\ngroups_account_file = 'DIR/account.json'",
            "groups_subject",
            NEEDED,
        ),
        (
            DIRECTORY,
            "groups_account_file = 'DIR/text.json'",
            "groups_account_file",
            "names DIR/text.json, which is not JSON",
        ),
        (
            DIRECTORY,
            "groups_account_file = 'DIR/empty.json'",
            "groups_account_file",
            "names DIR/empty.json, which has no `client_email`",
        ),
        (
            DIRECTORY,
            "groups_account_file = 'DIR/keyless.json'",
            "groups_account_file",
            "names DIR/keyless.json, which has a `private_key` that is no private key",
        ),
        (
            DIRECTORY,
            "groups_account_file = 'DIR/curve.json'",
            "groups_account_file",
            "names DIR/curve.json, which has a `private_key` that is no RSA key",
        ),
        (DIRECTORY, "groups_account_file = 'DIR/http.json'", "groups_account_file", "is plain http"),
        (
            "kind = 'microsoft'\ntenant = 't'\n",
            "groups_claim = '/a/b'",
            "groups_claim",
            "leads into another claim; what `providers.corp.groups_lookup` (kind microsoft) finds",
        ),
    ] {
        let problems = case(&format!("{base}{lines}")).problems();
        let [problem] = problems.as_slice() else { panic!("{base}{lines}: {problems:#?}") };
        assert!(problem.contains(&format!("providers.corp.{key} {what}")), "{base}{lines}: {problem}");
        // What is missing from a table is said where the table begins.
        assert!(problem.starts_with("DIR/doorward.toml:"), "{problem}");
    }
    for right in [
        OIDC.to_owned(),
        OAUTH2.to_owned(),
        format!("{DIRECTORY}groups_account_file = 'DIR/account.json'"),
        format!("{OIDC}client_auth = 'private_key_jwt'\nclient_key_file = 'DIR/p384.pem'"),
        format!("{OIDC}client_key_file = 'DIR/rsa.pem'\nclient_key_algorithm = 'PS256'"),
        "kind = 'logingov'\nclient_key_file = 'DIR/rsa.pem'".to_owned(),
        format!("{OIDC}decryption_key_file = 'DIR/both.pem'"),
        format!("{OIDC}logout_url = ''\nmax_age = '0s'\nuser_claim = ['upn', '/a/b']"),
        format!("{OIDC}required_claims = {{ hd = [], 'urn:x' = ['a'] }}"),
    ] {
        assert_eq!(case(&right).problems(), [] as [String; 0], "{right}");
    }
}

#[test]
fn oauth2_needs_to_be_told_where_everything_is() {
    let problems = case("protocol = 'oauth2'\n").problems();
    let keys = ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "subject_claim"];
    assert_eq!(problems.len(), keys.len(), "{problems:#?}");
    for key in keys {
        assert!(
            problems
                .iter()
                .any(|problem| problem.contains(&format!("providers.corp.{key} is required with OAuth 2.0")))
        );
    }
}

/// Two providers, `a` and `b`, at different issuers unless their lines say otherwise.
fn two(a: &str, b: &str) -> Vec<String> {
    let one = |name: &str, lines: &str| {
        let issuer = if lines.contains("issuer") { "" } else { "issuer = 'https://NAME.example'\n" };
        format!("[providers.{name}]\nclient_id = '{name}'\n{issuer}{lines}\n").replace("NAME", name)
    };
    let case = Case::good().without("PROVIDERS__CORP__ISSUER").without("PROVIDERS__CORP__CLIENT_ID");
    case.file(&format!("{}{}", one("a", a), one("b", b))).problems()
}

#[test]
fn two_providers_cannot_name_the_same_user() {
    const MAIL_A: &str = "user_claim = 'email'\nemail_domains = ['a.example', 'c.example']";
    const MAIL_B: &str = "user_claim = 'email'\nemail_domains = ['b.example']";
    const SAME: &str = "issuer = 'https://same.example'\n";
    for (a, b, are_apart) in [
        ("", "", false),
        ("user_claim = 'email'", "user_claim = 'email'", false),
        ("user_claim = 'email'", "", false),
        // prefixes
        ("user_prefix = 'a:'", "user_prefix = 'b:'", true),
        ("user_prefix = 'a:'", "", false),
        ("", "user_prefix = 'b:'", false),
        ("user_prefix = 'a'", "user_prefix = 'ab'", false),
        ("user_prefix = 'ab'", "user_prefix = 'a'", false),
        ("user_prefix = 'a'", "user_prefix = 'a'", false),
        // verified addresses
        (MAIL_A, MAIL_B, true),
        (MAIL_A, "user_claim = 'email'\nemail_domains = ['C.example']", false),
        (MAIL_A, "user_claim = 'email'", false),
        (MAIL_A, "email_domains = ['b.example']", false),
        (MAIL_A, "user_claim = ['email', 'sub']\nemail_domains = ['b.example']", false),
        (MAIL_A, "user_claim = 'mail'\nemail_claim = 'mail'\nemail_domains = ['b.example']", true),
        (MAIL_A, "user_claim = 'email'\nemail_domains = ['b.example']\ninsecure_unverified_email = true", false),
        (MAIL_A, "user_claim = 'email'\nemail_domains = ['b.example']\nuser_strip_domain = 'b.example'", false),
        (MAIL_A, "user_claim = 'email'\nemail_domains = ['b.example']\nuser_lower_case = true", true),
        // the same people
        (SAME, SAME, true),
        (SAME, "issuer = 'https://same.example/'", false),
        (SAME, "issuer = 'https://same.example'\nuser_claim = 'name'", false),
        (SAME, "issuer = 'https://same.example'\nuser_lower_case = true", false),
        (SAME, "issuer = 'https://same.example'\njwks_uri = 'https://other.example/keys'", false),
        (
            "kind = 'github'\nissuer = 'https://github.com/login/oauth'",
            "kind = 'github'\nissuer = 'https://github.com/login/oauth'",
            true,
        ),
        (
            "kind = 'github'\nissuer = 'https://github.com/login/oauth'",
            "kind = 'github'\nissuer = 'https://github.com/login/oauth'\nuserinfo_endpoint = 'https://git.example/api/v3/user'",
            false,
        ),
        // on purpose
        ("insecure_shared_identifiers = true", "insecure_shared_identifiers = true", true),
        ("insecure_shared_identifiers = true", "", false),
    ] {
        let problems = two(a, b);
        assert_eq!(problems.is_empty(), are_apart, "{a} / {b}: {problems:#?}");
        if let [problem] = problems.as_slice() {
            assert!(problem.contains("providers.b could name the same user as `providers.a`"), "{problem}");
        }
    }
}

#[test]
fn identifiers_that_are_shared_on_purpose_are_warned_about() {
    let case = Case::good()
        .variable("PROVIDERS__CORP__INSECURE_SHARED_IDENTIFIERS", "true")
        .file("[providers.b]\nissuer = 'https://b.example'\nclient_id = 'b'\ninsecure_shared_identifiers = true\n");
    let warnings = case.loaded().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings.iter().all(|warning| warning.contains("is on: who is called alike")));
}

#[test]
fn a_protection_that_is_off_is_warned_about() {
    let lines = "pkce = false\nnonce = false\nresponse_mode = 'form_post'\n";
    let case = case(&format!("{OIDC}{lines}")).variable("PUBLIC_URL", "http://localhost:4180");
    let directory = case.directory.path().to_str().unwrap();
    let warnings: Vec<_> = case.loaded().warnings.iter().map(|warning| warning.replace(directory, "DIR")).collect();
    for warning in [
        "DIR/doorward.toml:3: providers.corp.pkce is off: whoever gets hold of a code can use it",
        "DIR/doorward.toml:4: providers.corp.nonce is off: an ID token can be used a second time",
        "DIR/doorward.toml:5: providers.corp.response_mode is `form_post` although `public_url` is plain http: browsers send no \
         cookie along with what another site posts, so it goes on as a link",
    ] {
        assert!(warnings.iter().any(|found| found == warning), "{warning} in {warnings:#?}");
    }
}

#[test]
fn groups_at_github_need_a_scope() {
    let case = |scopes: &str| {
        case(&format!("kind = 'github'\nclient_secret = 's'\n{scopes}")).variable("HEADERS__CLAIMS__X_GROUPS", "groups")
    };
    let warnings = case("").loaded().warnings;
    let [warning] = warnings.as_slice() else { panic!("{warnings:#?}") };
    assert!(warning.starts_with("providers.corp.scopes (kind github) lack `read:org`"), "{warning}");
    assert_eq!(case("scopes = ['read:org']").loaded().warnings, [] as [String; 0]);
}
