//! What many providers do a little differently and nobody should notice (T-140).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward::dev::provider::{Asked, Endpoint, Fault, JsonObject, Provider, Quirk};
use http::StatusCode;
use serde_json::{Value, json};

use super::without;
use crate::support::{
    gate::{CLIENT_ID, CLIENT_SECRET, NOW},
    personality::{Personality, World, check},
};

const PLAIN: Personality = Personality { kind: "oidc", path: "", behaves: |_| {}, settings: &[("issuer", "ISSUER")] };

async fn behaving(habit: impl FnOnce(&Provider)) -> World {
    let world = PLAIN.world().await;
    habit(world.provider());
    world
}

/// T-140.
#[tokio::test]
async fn token_answers_differ_and_it_does_not_matter() {
    let world = PLAIN.world().await;
    type Change = fn(&mut JsonObject);
    let changes: [(&str, Change); 9] = [
        ("token_type", |answer| _ = answer.insert("token_type".to_owned(), json!("BEARER"))),
        ("token_type", |answer| _ = answer.insert("token_type".to_owned(), json!("bearer"))),
        ("expires_in as text", |answer| _ = answer.insert("expires_in".to_owned(), json!("3600"))),
        ("expires_in missing", |answer| without(answer, &["expires_in"])),
        ("expires_in fractional", |answer| _ = answer.insert("expires_in".to_owned(), json!(3599.5))),
        ("scope missing", |answer| without(answer, &["scope"])),
        ("scope as a list", |answer| _ = answer.insert("scope".to_owned(), json!(["openid", "email"]))),
        ("scope empty", |answer| _ = answer.insert("scope".to_owned(), json!(""))),
        ("more members", |answer| _ = answer.insert("not-before-policy".to_owned(), json!({"a": [null, 1e300]}))),
    ];
    for (case, change) in changes {
        world.provider().faults().next_token_answer(change);
        check(case, &world.sign_in("ada", &json!({})).await, Ok("ada"));
    }
    for content_type in ["text/plain", "text/html; charset=utf-8", "application/json;charset=UTF-8", ""] {
        let world = behaving(|provider| {
            provider.quirks().add(Quirk::ContentType(Endpoint::Token, content_type.to_owned()));
        })
        .await;
        check(content_type, &world.sign_in("ada", &json!({})).await, Ok("ada"));
    }
}

/// T-140.
#[tokio::test]
async fn times_may_be_fractional() {
    let world = PLAIN.world().await;
    for (name, value) in [
        ("exp", json!(NOW.0 as f64 + 300.75)),
        ("iat", json!(NOW.0 as f64 + 0.25)),
        ("nbf", json!(NOW.0 as f64 - 0.5)),
        ("auth_time", json!(NOW.0 as f64 - 10.5)),
    ] {
        world.provider().faults().next_id_token(move |_, claims| _ = claims.insert(name.to_owned(), value));
        check(name, &world.sign_in("ada", &json!({})).await, Ok("ada"));
    }
}

/// An ES256 key nobody signs with.
fn stranger(kid: Option<&str>) -> Value {
    let pair = rcgen::KeyPair::generate().unwrap();
    let point = pair.public_key_raw();
    let coordinate = |range: std::ops::Range<usize>| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&point[range]);
    let mut key = json!({"kty": "EC", "crv": "P-256", "x": coordinate(1..33), "y": coordinate(33..65), "use": "sig"});
    if let Some(kid) = kid {
        key["kid"] = json!(kid);
    }
    key
}

/// T-140, T-083: without names each key of the right kind is tried.
#[tokio::test]
async fn keys_may_lack_their_names() {
    let world = behaving(|provider| {
        let faults = provider.faults();
        faults.id_tokens(|header, _| without(header, &["kid", "typ"]));
        faults.keys(|keys| {
            for key in keys.iter_mut() {
                let key = key.as_object_mut().unwrap();
                without(key, &["kid", "use", "alg"]);
            }
            keys.insert(0, stranger(None));
            keys.push(stranger(None));
            keys.push(json!({"kty": "oct", "k": "c2VjcmV0"}));
            keys.push(json!({"kty": "something new", "x": 1}));
        });
    })
    .await;
    check("no kid", &world.sign_in("ada", &json!({})).await, Ok("ada"));
}

/// T-140: a key that comes as a certificate only is either understood or the refusal says that there is none.
#[tokio::test]
async fn names_of_keys_may_be_strange() {
    for kid in ["a/b", "a@b", "k=", "../../dev/null", "ключ"] {
        let world = behaving(|provider| {
            provider.faults().id_tokens(move |header, _| _ = header.insert("kid".to_owned(), json!(kid)));
            provider.faults().keys(move |keys| {
                keys[0]["kid"] = json!(kid);
                keys.push(stranger(Some("other")));
            });
        })
        .await;
        check(kid, &world.sign_in("ada", &json!({})).await, Ok("ada"));
    }
}

/// T-140: RFC 6749 §2.3.1 wants both parts encoded as in a form; where a provider refuses that, the secret goes into the form.
#[tokio::test]
async fn a_secret_with_special_characters_arrives_in_either_way() {
    let basic = |asked: &Asked<'_>| {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let expected =
            format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT_ID), encoded(CLIENT_SECRET))));
        let found = asked.headers.get("authorization").and_then(|value| value.to_str().ok());
        if found == Some(&*expected) { Ok(()) } else { Err("invalid_client") }
    };
    let post = |asked: &Asked<'_>| {
        let secret = asked.form.iter().find(|(name, _)| name == "client_secret").map(|(_, value)| value.as_str());
        if secret == Some(CLIENT_SECRET) && !asked.headers.contains_key("authorization") {
            Ok(())
        } else {
            Err("invalid_client")
        }
    };
    assert!([':', '/', '+', '%'].iter().all(|sign| CLIENT_SECRET.contains(*sign)));
    for (client_auth, offered, is_basic) in [
        (None, json!(["client_secret_basic", "client_secret_post"]), true),
        (None, json!(["client_secret_post"]), false),
        (None, json!(null), true),
        (Some("client_secret_post"), json!(["client_secret_basic", "client_secret_post"]), false),
        (Some("client_secret_basic"), json!(["client_secret_post"]), true),
    ] {
        let case = format!("{client_auth:?} {offered}");
        let more: Vec<_> = client_auth.map(|method| ("client_auth", method)).into_iter().collect();
        let world = PLAIN.with(&more).await;
        let provider = world.provider();
        provider.faults().metadata(move |metadata| {
            metadata.insert("token_endpoint_auth_methods_supported".to_owned(), offered.clone());
            metadata.retain(|_, value| !value.is_null());
        });
        if is_basic {
            provider.quirks().require(Endpoint::Token, basic);
        } else {
            provider.quirks().require(Endpoint::Token, post);
        }
        check(&case, &world.sign_in("ada", &json!({})).await, Ok("ada"));
    }
}

/// T-140: metadata says more, less or odder things than anybody reads.
#[tokio::test]
async fn metadata_may_be_odd_where_nobody_looks() {
    let world = behaving(|provider| {
        provider.faults().metadata(|metadata| {
            metadata.insert("scopes_supported".to_owned(), json!("openid"));
            metadata.insert("claims_supported".to_owned(), json!(null));
            metadata.insert("acr_values_supported".to_owned(), json!({"a": 1}));
            without(metadata, &["response_types_supported", "subject_types_supported", "grant_types_supported"]);
        });
    })
    .await;
    check("metadata", &world.sign_in("ada", &json!({})).await, Ok("ada"));
}

/// Everybody is asked at every login whether they agree; whoever does not is told so, and may try again.
#[tokio::test]
async fn a_person_may_say_no_and_a_provider_may_be_busy() {
    let world = PLAIN.world().await;
    let mut browser = world.browser();
    let page = browser.reach_provider(&world.url("/")).await;
    let callback = browser.choose(&page, &[("person", "refuse")]).await;
    let back = browser.get(&callback).await;
    assert!(back.status.is_client_error() && back.text().contains("access_denied"), "{back:?}");

    let busy = Fault::json(StatusCode::TOO_MANY_REQUESTS, &json!({"error": "temporarily_unavailable"}));
    world.provider().faults().next(Endpoint::Token, busy);
    let refused = world.sign_in("ada", &json!({})).await.unwrap_err();
    assert!(matches!(refused.status, 502 | 503), "{refused:?}");
    check("again", &world.sign_in("ada", &json!({})).await, Ok("ada"));
}

#[tokio::test]
async fn an_ordinary_provider_signs_out_too() {
    let world = PLAIN.world().await;
    let left = world.logout("ada", &json!({})).await;
    assert!(left.as_str().starts_with(&world.provider().url(Endpoint::EndSession)), "{left}");
    let page = world.browser().get(left.as_str()).await;
    assert_eq!(page.header("location").split('?').next(), Some(&*world.url("/_auth/signed-out")), "{page:?}");
}

/// Oracle's tenants all call themselves the same and live elsewhere.
#[tokio::test]
async fn a_name_and_an_address_are_two_things() {
    let issuer = "https://identity.oraclecloud.com/";
    let more = [("issuer", issuer), ("discovery_url", "ISSUER/.well-known/openid-configuration")];
    let world = PLAIN.with(&more).await;
    world.provider().quirks().add(Quirk::Issuer(issuer.to_owned()));
    check("by its name", &world.sign_in("ada", &json!({})).await, Ok("ada"));
    let address = world.provider().url(Endpoint::Discovery);
    world.provider().faults().next_id_token(move |_, claims| _ = claims.insert("iss".to_owned(), json!(address)));
    check("by its address", &world.sign_in("ada", &json!({})).await, Err((502, "iss")));
}

/// Twitch says an address only when it is asked for by name; others want a hint or a level.
#[tokio::test]
async fn parameters_of_any_kind_go_along() {
    let claims = r#"{"id_token":{"email":null,"email_verified":null}}"#;
    let more = [
        ("authorization_parameters.claims", claims),
        ("authorization_parameters.domain_hint", "corp.com"),
        ("authorization_parameters.acr_values", "urn:a urn:b"),
    ];
    let world = PLAIN.with(&more).await;
    world.provider().quirks().require(Endpoint::Authorization, move |asked| {
        let right = asked.parameter("claims") == Some(claims)
            && asked.parameter("domain_hint") == Some("corp.com")
            && asked.parameter("acr_values") == Some("urn:a urn:b");
        if right { Ok(()) } else { Err("invalid_request") }
    });
    check("parameters", &world.sign_in("ada", &json!({})).await, Ok("ada"));
    // RFC 3986: a plus sign is a space in forms only, and some providers do not know that (Apple).
    let asked = world.authorization().await;
    assert!(asked.as_str().contains("acr_values=urn%3Aa%20urn%3Ab"), "{asked}");
}
