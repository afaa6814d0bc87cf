//! Each kind of provider: what is enough to sign in there, and what it then means.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::Case;
use crate::{
    config::kinds,
    providers::{ClientAuth, GroupLookup, OAuth2, Protocol, ResponseMode, Settings, SilentCheck, UserinfoMode},
};

/// Two or three variables besides `client_id`, for each kind.
const ENOUGH: [(&str, &[(&str, &str)]); 18] = [
    ("adfs", &[("ISSUER", "https://sts.example.com/adfs"), ("CLIENT_SECRET", "s")]),
    ("apple", &[("CLIENT_KEY_FILE", "DIR/key.pem"), ("CLIENT_KEY_ID", "ABC"), ("CLIENT_TEAM", "TEAM")]),
    ("auth0", &[("ISSUER", "https://example.auth0.com/"), ("CLIENT_SECRET", "s")]),
    ("cognito", &[("ISSUER", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x"), ("CLIENT_SECRET", "s")]),
    ("facebook", &[("CLIENT_SECRET", "s")]),
    (
        "forgerock",
        &[("ISSUER", "https://am.example.com:443/am/oauth2/realms/root/realms/alpha"), ("CLIENT_SECRET", "s")],
    ),
    ("github", &[("CLIENT_SECRET", "s")]),
    ("gitlab", &[("CLIENT_SECRET", "s")]),
    ("google", &[("CLIENT_SECRET", "s")]),
    ("keycloak", &[("ISSUER", "https://sso.example.com/realms/staff"), ("CLIENT_SECRET", "s")]),
    ("linkedin", &[("CLIENT_SECRET", "s")]),
    ("logingov", &[("CLIENT_KEY_FILE", "DIR/key.pem")]),
    ("microsoft", &[("TENANT", "9188040d-6c67-4c5b-b112-36a304b66dad"), ("CLIENT_SECRET", "s")]),
    (
        "oauth2",
        &[
            ("AUTHORIZATION_ENDPOINT", "https://login.example.com/authorize"),
            ("TOKEN_ENDPOINT", "https://login.example.com/token"),
            ("USERINFO_ENDPOINT", "https://login.example.com/me"),
        ],
    ),
    ("oidc", &[("ISSUER", "https://login.example.com"), ("CLIENT_SECRET", "s")]),
    ("okta", &[("ISSUER", "https://example.okta.com"), ("CLIENT_SECRET", "s")]),
    ("pingfederate", &[("ISSUER", "https://ping.example.com:9031"), ("CLIENT_SECRET", "s")]),
    ("pingone", &[("ISSUER", "https://auth.pingone.eu/0d5b/as"), ("CLIENT_SECRET", "s")]),
];

fn case(kind: &str) -> Case {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    let case = Case::good().without("PROVIDERS__CORP__ISSUER").with("key.pem", &key);
    let (_, enough) = ENOUGH.iter().find(|(known, _)| *known == kind).unwrap();
    enough.iter().fold(case.variable("PROVIDERS__CORP__KIND", kind), |case, (name, value)| {
        case.variable(&format!("PROVIDERS__CORP__{name}"), value)
    })
}

fn settings(case: &Case) -> Settings {
    case.loaded().settings.providers.remove(0)
}

#[test]
fn a_few_variables_are_enough_for_each_kind() {
    assert_eq!(ENOUGH.map(|(kind, _)| kind).to_vec(), kinds::names());
    for (kind, enough) in ENOUGH {
        let loaded = case(kind).loaded();
        let warned = loaded.warnings.iter().filter(|warning| !warning.contains("(kind linkedin)"));
        assert_eq!(warned.count(), 0, "{kind}: {:?}", loaded.warnings);
        // And each of them is needed, except for a secret, which a public client lacks.
        for (name, _) in enough.iter().filter(|(name, _)| *name != "CLIENT_SECRET" || kind == "facebook") {
            let problems = case(kind).without(&format!("PROVIDERS__CORP__{name}")).problems();
            let [problem] = problems.as_slice() else { panic!("{kind} without {name}: {problems:#?}") };
            assert!(problem.contains("is required"), "{problem}");
        }
    }
}

#[test]
fn the_effective_configuration_of_each_kind_is_a_configuration() {
    for (kind, _) in ENOUGH {
        let case = case(kind);
        let loaded = case.loaded();
        let again = Case::empty().file(&loaded.effective().replace("[secret]", super::KEY)).loaded();
        let told = |settings: &Settings| {
            let mut settings = settings.clone();
            settings.client_secret = None;
            format!("{settings:?}")
        };
        assert_eq!(told(&loaded.settings.providers[0]), told(&again.settings.providers[0]), "{kind}");
    }
}

#[test]
fn every_key_of_every_kind_says_why() {
    for kind in kinds::names() {
        for key in kinds::keys(&kind) {
            let why = kinds::why(&kind, &key).unwrap_or_default();
            assert!(why.ends_with('.'), "{kind}.{key}: {why:?}");
        }
    }
    assert_eq!(kinds::why("oidc", "issuer"), None);
    assert!(kinds::why("linkedin", "authorization_parameters.prompt").is_none());
}

#[test]
fn people_are_named_by_what_never_changes_hands() {
    for (kind, claims) in [
        ("adfs", &["upn", "unique_name"] as &[&str]),
        ("apple", &["sub"]),
        ("facebook", &["id"]),
        ("github", &["id"]),
        ("google", &["email"]),
        ("keycloak", &["sub"]),
        ("microsoft", &["oid"]),
        ("okta", &["sub"]),
    ] {
        let settings = settings(&case(kind));
        let found: Vec<_> = settings.user.claims.iter().map(AsRef::as_ref).collect();
        assert_eq!(found, claims, "{kind}");
        assert!(!settings.email.insecure_unverified);
    }
}

#[test]
fn a_tenant_is_put_into_the_addresses() {
    let one = settings(&case("microsoft"));
    assert_eq!(one.issuer, "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0");
    assert_eq!((one.tenants, one.discovery_url), (None, None));
    assert_eq!(&*one.email.verified_claim, "xms_edov");
    assert_eq!(one.userinfo, UserinfoMode::Never);

    let many = case("microsoft")
        .variable("PROVIDERS__CORP__TENANT", "organizations")
        .variable("PROVIDERS__CORP__ALLOWED_TENANTS", "t-1,t-2");
    let many = settings(&many);
    assert_eq!(many.issuer, "https://login.microsoftonline.com/{tenantid}/v2.0");
    let tenants = many.tenants.unwrap();
    assert_eq!(&*tenants.claim, "tid");
    assert_eq!(tenants.allowed, ["t-1".into(), "t-2".into()].into());
    let discovery = many.discovery_url.unwrap();
    assert_eq!(
        discovery.as_str(),
        "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration"
    );

    // Another cloud: the issuer by hand.
    let by_hand = case("microsoft")
        .without("PROVIDERS__CORP__TENANT")
        .variable("PROVIDERS__CORP__ISSUER", "https://login.microsoftonline.us/t-1/v2.0");
    assert_eq!(settings(&by_hand).issuer, "https://login.microsoftonline.us/t-1/v2.0");
}

#[test]
fn what_differs_from_the_standard_is_told() {
    let github = settings(&case("github"));
    assert_eq!(github.issuer, "https://github.com/login/oauth");
    assert_eq!(github.scopes, ["read:user", "user:email"]);
    let Protocol::OAuth2(OAuth2 { subject_claim, appsecret_proof: false, email_endpoint: Some(_) }) = github.protocol
    else {
        panic!("{:?}", github.protocol)
    };
    assert_eq!(&*subject_claim, "id");
    assert!(matches!(github.groups.lookup, Some(GroupLookup::GitHub { .. })));

    let facebook = settings(&case("facebook"));
    assert!(matches!(facebook.protocol, Protocol::OAuth2(OAuth2 { appsecret_proof: true, .. })));
    assert_eq!(facebook.endpoints.userinfo.unwrap().query(), Some("fields=id,name,email"));

    let apple = settings(&case("apple"));
    assert_eq!((apple.client_auth, apple.response_mode), (Some(ClientAuth::MintedSecret), ResponseMode::FormPost));
    let key = apple.client_key.unwrap();
    assert_eq!((key.issuer.as_deref(), key.id.as_deref()), (Some("TEAM"), Some("ABC")));
    assert_eq!(key.audience.as_deref(), Some("https://appleid.apple.com"));

    let linkedin = case("linkedin").loaded();
    assert!(!linkedin.settings.providers[0].pkce && !linkedin.settings.providers[0].nonce);
    let [pkce, nonce] = linkedin.warnings.as_slice() else { panic!("{:?}", linkedin.warnings) };
    assert_eq!(
        pkce,
        "providers.corp.pkce (kind linkedin) is off: whoever gets hold of a code can use it. It is the kind's: Ordinary web \
         applications are refused as clients when they use it."
    );
    assert!(
        nonce.starts_with("providers.corp.nonce (kind linkedin) is off: an ID token can be used a second time. It is")
    );

    let oauth2 = settings(&case("oauth2"));
    assert_eq!((oauth2.issuer.as_str(), oauth2.scopes.len()), ("https://login.example.com", 0));

    let logingov = settings(&case("logingov"));
    let parameter = ("acr_values".to_owned(), "urn:acr.login.gov:auth-only".to_owned());
    assert_eq!(logingov.authorization_parameters, [parameter]);
    assert_eq!(logingov.client_auth, Some(ClientAuth::PrivateKeyJwt));
}

/// Where a provider has no question that shows no page, none is asked; an operator may ask otherwise.
#[test]
fn a_kind_says_how_a_session_is_checked() {
    use SilentCheck::{Off, PromptNone, Redirect};
    for (kind, check) in [
        ("oidc", PromptNone),
        ("google", PromptNone),
        ("microsoft", PromptNone),
        ("adfs", PromptNone),
        ("keycloak", PromptNone),
        ("okta", PromptNone),
        ("auth0", PromptNone),
        ("forgerock", PromptNone),
        ("pingfederate", PromptNone),
        ("pingone", PromptNone),
        ("cognito", PromptNone),
        ("gitlab", PromptNone),
        ("oauth2", Off),
        ("facebook", Off),
        ("github", Off),
        ("linkedin", Off),
        ("apple", Off),
        ("logingov", Off),
    ] {
        assert_eq!(settings(&case(kind)).silent_check, check, "{kind}");
        let redirect = case(kind).variable("PROVIDERS__CORP__SILENT_CHECK", "redirect");
        assert_eq!(settings(&redirect).silent_check, Redirect, "{kind}");
    }
    // OAuth 2.0 by hand, whatever the kind has.
    let by_hand = case("oauth2")
        .variable("PROVIDERS__CORP__KIND", "oidc")
        .variable("PROVIDERS__CORP__PROTOCOL", "oauth2")
        .variable("PROVIDERS__CORP__SUBJECT_CLAIM", "id");
    assert_eq!(settings(&by_hand).silent_check, Off);
}

#[test]
fn a_hosted_domain_that_is_asked_for_is_required() {
    let hd = |domain: &str| {
        let case = case("google").variable("PROVIDERS__CORP__AUTHORIZATION_PARAMETERS__HD", domain);
        settings(&case).required_claims
    };
    assert_eq!(hd("example.com"), [("hd".into(), ["example.com".into()].into())].into());
    assert_eq!(hd("*"), [("hd".into(), [].into())].into());
    assert_eq!(settings(&case("google")).required_claims, [].into());
    let both = case("google")
        .variable("PROVIDERS__CORP__AUTHORIZATION_PARAMETERS__HD", "*")
        .variable("PROVIDERS__CORP__REQUIRED_CLAIMS__HD", "a.example,b.example");
    assert_eq!(
        settings(&both).required_claims,
        [("hd".into(), ["a.example".into(), "b.example".into()].into())].into()
    );
}

#[test]
fn a_key_signs_with_what_fits_it() {
    for (kind, algorithm) in
        [(&PKCS_ECDSA_P256_SHA256, "ES256"), (&PKCS_ECDSA_P384_SHA384, "ES384"), (&PKCS_ED25519, "EdDSA")]
    {
        let key = KeyPair::generate_for(kind).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let case = case("logingov")
            .with("key.pem", &key.serialize_pem())
            .with("client.crt", &certificate.pem())
            .variable("PROVIDERS__CORP__CLIENT_CERTIFICATE_FILE", "DIR/client.crt");
        let found = settings(&case).client_key.unwrap();
        assert_eq!(format!("{:?}", found.algorithm), algorithm);
        assert_eq!(found.x5t.map(|thumbprint| thumbprint.len()), Some(27), "20 bytes in base64url");
        let other = case.variable("PROVIDERS__CORP__CLIENT_KEY_ALGORITHM", "PS512").problems();
        assert_eq!(
            other,
            [format!(
                "DOORWARD_PROVIDERS__CORP__CLIENT_KEY_ALGORITHM: does not fit the key, which signs with `{algorithm}`"
            )]
        );
    }
}
