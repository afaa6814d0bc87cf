//! Microsoft Entra ID: one registration for many tenants, addresses that nobody verified, access tokens that are for somebody else, groups that
//! do not fit into the token.

use doorward::dev::provider::{Endpoint, Fault, JsonObject, KeyProof, Provider, Quirk};
use http::StatusCode;
use serde_json::{Value, json};

use super::{api, without};
use crate::support::{
    Log, Upstream,
    personality::{Expected, Key, Personality, check, parameter},
};

pub const OURS: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const PARTNER: &str = "cccccccc-0000-4000-8000-000000000001";
/// Why somebody of another tenant is turned away, in whose page no tenant is named.
const NOT_HERE: Expected = Err((403, "Not for this account"));
const FOREIGN: &str = "eeeeeeee-0000-4000-8000-00000000000e";
/// The tenant of all personal accounts.
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// For every organisation, of which two are let in.
pub const COMMON: Personality = Personality {
    kind: "microsoft",
    path: "/common/v2.0",
    behaves: entra,
    settings: &[
        ("tenant", "common"),
        ("allowed_tenants", "72f988bf-86f1-41af-91ab-2d7cd011db47,cccccccc-0000-4000-8000-000000000001"),
        ("discovery_url", "ISSUER/.well-known/openid-configuration"),
    ],
};

/// For one.
pub const SINGLE: Personality = Personality {
    kind: "microsoft",
    path: "/single/v2.0",
    behaves: single,
    settings: &[("tenant", OURS), ("discovery_url", "ISSUER/.well-known/openid-configuration")],
};

fn entra(provider: &Provider) {
    provider.quirks().add(Quirk::Issuer("https://login.microsoftonline.com/{tenantid}/v2.0".to_owned()));
    habits(provider);
}

fn single(provider: &Provider) {
    provider.quirks().add(Quirk::Issuer(format!("https://login.microsoftonline.com/{OURS}/v2.0")));
    habits(provider);
}

fn habits(provider: &Provider) {
    provider.quirks().add(Quirk::SilentCallbacks);
    let faults = provider.faults();
    faults.id_tokens(|_, claims| as_entra(claims));
    let signer = provider.clone();
    faults.token_answers(move |answer| {
        // It is for Graph, signed over another header than the one it has: nobody else can check it.
        let header = json!({"typ": "JWT", "nonce": "n", "alg": "RS256", "kid": signer.kid(), "x5t": "x"}).to_string();
        let claims =
            json!({"iss": format!("https://sts.windows.net/{OURS}/"), "aud": "00000003-0000-0000-c000-000000000000"});
        answer.insert("access_token".to_owned(), json!(signer.sign(header.as_bytes(), claims.to_string().as_bytes())));
        answer.insert("expires_in".to_owned(), json!("3599"));
        answer.insert("ext_expires_in".to_owned(), json!("3599"));
    });
    // Graph's userinfo, which takes tokens for Graph only.
    faults.lasting(
        Endpoint::Userinfo,
        Fault::json(StatusCode::UNAUTHORIZED, &json!({"error": {"code": "InvalidAuthenticationToken"}})),
    );
}

/// The tenant decides the issuer; nothing is said about verified addresses; `at_hash` comes with other flows only.
fn as_entra(claims: &mut JsonObject) {
    without(claims, &["email_verified", "at_hash", "sid", "auth_time"]);
    if let Some(tenant) = claims.get("tid").and_then(Value::as_str) {
        let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        claims.insert("iss".to_owned(), json!(issuer));
    }
}

fn of(tenant: &str) -> Value {
    json!({"tid": tenant, "oid": "0a-1", "preferred_username": "ada@corp.com", "email": "ada@corp.com", "ver": "2.0"})
}

fn with(mut claims: Value, more: &Value) -> Value {
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

/// T-127, T-095.
#[tokio::test]
async fn only_allowed_tenants_sign_in_and_the_object_id_is_the_user() {
    let world = COMMON.world().await;
    world
        .signs_in(&[
            ("s1", of(FOREIGN), NOT_HERE),
            ("s1", of(PERSONAL), NOT_HERE),
            ("s1", of("../organizations"), NOT_HERE),
            ("s1", of(OURS), Ok("0a-1")),
            ("s2", with(of(PARTNER), &json!({"oid": "0a-2"})), Ok("0a-2")),
            // A guest has no address, or one that says where it is from.
            ("s3", json!({"tid": OURS, "oid": "0a-3", "upn": "eve_evil.example#EXT#@corp.com"}), Ok("0a-3")),
            ("s4", json!({"tid": OURS, "email": "ada@corp.com"}), Err((403, "oid"))),
        ])
        .await;
    assert_eq!(world.asked(Endpoint::Userinfo), 0, "it is not ours to ask");
}

/// T-127: the tenant is what the issuer says and the claim says, or it is nobody's token.
#[tokio::test]
async fn issuer_and_tenant_fit_together() {
    let world = COMMON.world().await;
    let at = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    for (iss, tid, status) in [
        (at(FOREIGN), json!(OURS), 502),
        (at(OURS), json!(PARTNER), 502),
        (at(OURS), json!(null), 502),
        (at(OURS), json!(7), 502),
        (at("{tenantid}"), json!("{tenantid}"), 403),
        (at("{tenantid}"), json!(OURS), 502),
        (format!("https://sts.windows.net/{OURS}/"), json!(OURS), 502),
        (format!("https://login.microsoftonline.com/{OURS}/v2.0/"), json!(OURS), 502),
        (format!("https://evil.example/{OURS}/v2.0"), json!(OURS), 502),
    ] {
        let case = format!("{iss} {tid}");
        world.provider().faults().next_id_token(move |_, claims| {
            claims.insert("iss".to_owned(), json!(iss));
            claims.insert("tid".to_owned(), tid);
        });
        let refused = world.sign_in("s1", &of(OURS)).await.expect_err(&case);
        assert!(refused.status == status || refused.status == 403, "{case}: {refused:?}");
    }
}

/// Each of Microsoft's words stands for many, and the list is what counts.
#[tokio::test]
async fn every_word_for_many_tenants_needs_the_list() {
    for word in ["organizations", "consumers"] {
        let world = COMMON.with(&[("tenant", word), ("allowed_tenants", PERSONAL)]).await;
        check(word, &world.sign_in("s1", &of(OURS)).await, NOT_HERE);
        check(word, &world.sign_in("s1", &of(PERSONAL)).await, Ok("0a-1"));
    }
}

#[tokio::test]
async fn a_single_tenant_is_an_issuer_like_any_other() {
    let world = SINGLE.world().await;
    world.signs_in(&[("s1", of(FOREIGN), Err((502, FOREIGN))), ("s1", of(OURS), Ok("0a-1"))]).await;
}

/// T-095: the provider has to say that the domain's owner verified the address.
#[tokio::test]
async fn an_address_names_the_user_only_when_its_domain_is_verified() {
    let world = COMMON.with(&[("user_claim", "email")]).await;
    let refused: Expected = Err((403, "E-mail"));
    for (edov, expected) in [
        (json!(null), refused),
        (json!(false), refused),
        (json!("false"), refused),
        (json!(0), refused),
        (json!("0"), refused),
        (json!(true), Ok("ada@corp.com")),
        (json!("true"), Ok("ada@corp.com")),
        (json!(1), Ok("ada@corp.com")),
        (json!("1"), Ok("ada@corp.com")),
    ] {
        let claims = with(of(OURS), &json!({"xms_edov": edov}));
        check(&edov.to_string(), &world.sign_in("s1", &claims).await, expected);
    }
    let foreign = with(of(FOREIGN), &json!({"xms_edov": true}));
    check("another tenant", &world.sign_in("s1", &foreign).await, NOT_HERE);
}

#[tokio::test]
async fn logout_goes_on_at_microsoft() {
    let world = COMMON.world().await;
    let left = world.logout("s1", &of(OURS)).await;
    assert!(left.as_str().starts_with(&world.provider().url(Endpoint::EndSession)), "{left}");
    assert_eq!(parameter(&left, "post_logout_redirect_uri"), Some(world.url("/_auth/signed-out")));
}

/// Entra finds the certificate by its thumbprint.
#[tokio::test]
async fn a_certificate_stands_for_the_client() {
    let key = Key::rsa(KeyProof::Assertion);
    let certificate = rcgen::CertificateParams::default().self_signed(&key.pair).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate.pem()).unwrap();
    let more = [("client_auth", "private_key_jwt"), ("client_certificate_file", file.path().to_str().unwrap())];
    let world = COMMON.with_key(&key, &more).await;
    let thumbprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.der());
    let thumbprint = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, thumbprint);
    world.provider().quirks().require(Endpoint::Token, move |asked| {
        let header = asked.parameter("client_assertion").and_then(|token| jsonwebtoken::decode_header(token).ok());
        if header.and_then(|header| header.x5t) == Some(thumbprint.clone()) { Ok(()) } else { Err("invalid_client") }
    });
    world.signs_in(&[("s1", of(OURS), Ok("0a-1"))]).await;
}

const OVERAGE: [&str; 2] = [
    r#"{"_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/72f988bf/users/0a-1/getMemberObjects"}}}"#,
    r#"{"hasgroups": true}"#,
];

/// Graph with three pages of groups.
pub async fn graph() -> Upstream {
    let graph = Upstream::start().await;
    let origin = graph.url();
    graph.replies(move |request| {
        assert_eq!(request.one("consistencylevel").as_deref(), Some("eventual"));
        assert!(request.one("authorization").is_some_and(|token| token.starts_with("Bearer ey")));
        assert_eq!(request.path(), "/v1.0/me/transitiveMemberOf/microsoft.graph.group");
        let next = |page: u8| {
            json!(format!("{origin}/v1.0/me/transitiveMemberOf/microsoft.graph.group?$select=id&$skiptoken={page}"))
        };
        let page = request.parameter("$skiptoken").unwrap_or_else(|| "1".to_owned());
        let body = match &*page {
            "1" => json!({"value": [{"id": "g-1"}, {"id": "g-2"}], "@odata.nextLink": next(2)}),
            "2" => json!({"value": [{"id": "g-3"}], "@odata.nextLink": next(3)}),
            _ => json!({"value": [{"id": "g-4"}]}),
        };
        (200, vec![("Content-Type", "application/json".to_owned())], body.to_string())
    });
    graph
}

pub fn endpoint(graph: &Upstream) -> String {
    format!("{}/v1.0/me/transitiveMemberOf/microsoft.graph.group?$count=true&$select=id&$top=100", graph.url())
}

/// T-128.
#[tokio::test]
async fn too_many_groups_are_asked_for_at_graph() {
    let graph = graph().await;
    let world = COMMON.with(&[("groups_endpoint", &endpoint(&graph))]).await;
    let few = world.groups("s1", &with(of(OURS), &json!({"groups": ["g-1"]}))).await;
    assert_eq!(few.as_deref(), Some("g-1"));
    graph.nothing();
    for overage in OVERAGE {
        let overage: Value = serde_json::from_str(overage).unwrap();
        let groups = world.groups("s1", &with(of(OURS), &overage)).await;
        assert_eq!(groups.as_deref(), Some("g-1,g-2,g-3,g-4"));
        assert_eq!(graph.take().len(), 3);
    }
}

/// T-128: fail closed, and say why.
#[tokio::test]
async fn without_graph_rules_about_groups_let_nobody_in() {
    let refusing = api(|_| (403, json!({"error": {"code": "Authorization_RequestDenied"}}))).await;
    let elsewhere = graph().await;
    let leads_away = {
        let next = endpoint(&elsewhere);
        api(move |_| (200, json!({"value": [{"id": "g-1"}], "@odata.nextLink": next}))).await
    };
    let endless = {
        let endless = Upstream::start().await;
        let next = endpoint(&endless);
        endless.replies(move |_| {
            let page = json!({"value": [{"id": "g-1"}], "@odata.nextLink": next});
            (200, vec![("Content-Type", "application/json".to_owned())], page.to_string())
        });
        endless
    };
    for (case, graph) in [("refused", refusing), ("another origin", leads_away), ("no end", endless)] {
        let log = Log::capture();
        for (rule, status) in [(("allow.claims.groups", "g-1"), Some(403)), (("log.filter", "info"), None)] {
            let world = COMMON.with(&[("groups_endpoint", &endpoint(&graph)), rule]).await;
            // What the token lists besides is not all there is.
            let overage = with(serde_json::from_str(OVERAGE[0]).unwrap(), &json!({"groups": ["g-1"]}));
            match (world.sign_in("s1", &with(of(OURS), &overage)).await, status) {
                (Err(refused), Some(status)) => assert_eq!(refused.status, status, "{case}"),
                (Ok(told), None) => assert_eq!(told.groups, None, "{case}"),
                (found, _) => panic!("{case}: {found:?}"),
            }
        }
        assert!(log.text().contains("microsoft") && log.text().contains("groups"), "{case}: {}", log.text());
    }
    elsewhere.nothing();
}
