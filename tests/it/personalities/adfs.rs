//! AD FS: userinfo says nothing, the access token says it all, and names itself by another issuer.

use doorward::dev::provider::{Endpoint, Provider, Quirk};
use serde_json::{Value, json};

use super::without;
use crate::support::{
    gate::NOW,
    personality::{Personality, check, parameter},
};

const ADFS: Personality = Personality { kind: "adfs", path: "/adfs", behaves: adfs, settings: &[("issuer", "ISSUER")] };

/// Of the claims of whoever signs in, the ID token has the subject only and the access token the rest.
fn adfs(provider: &Provider) {
    provider.quirks().add(Quirk::SilentCallbacks);
    let faults = provider.faults();
    let trust = format!("{}/services/trust", provider.issuer());
    let named = trust.clone();
    faults.metadata(move |metadata| _ = metadata.insert("access_token_issuer".to_owned(), json!(named)));
    let person = std::sync::Arc::new(std::sync::Mutex::new(json!({})));
    let kept = person.clone();
    faults.id_tokens(move |_, claims| {
        let mut person = claims.clone();
        without(&mut person, &["nonce", "at_hash", "auth_time", "aud", "sid"]);
        *kept.lock().unwrap() = Value::Object(person);
        claims.retain(|name, _| matches!(name.as_str(), "iss" | "sub" | "aud" | "exp" | "iat" | "nonce" | "auth_time"));
        // A Windows SID, not a session.
        claims.insert("sid".to_owned(), json!("S-1-5-21-3623811015-3361044348-30300820-1013"));
        claims.insert("pwd_exp".to_owned(), json!("1209600"));
    });
    let signer = provider.clone();
    faults.token_answers(move |answer| {
        let mut claims = person.lock().unwrap().clone();
        claims["iss"] = json!(trust);
        claims["aud"] = json!("microsoft:identityserver:gate");
        claims["apptype"] = json!("Confidential");
        answer.insert("access_token".to_owned(), json!(access_token(&signer, &claims)));
    });
    // It answers whoever asks, and never says more than the subject.
    provider.faults().lasting(
        Endpoint::Userinfo,
        doorward::dev::provider::Fault::json(http::StatusCode::OK, &json!({"sub": "hash-1"})),
    );
}

fn access_token(provider: &Provider, claims: &Value) -> String {
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": provider.kid()});
    provider.sign(header.to_string().as_bytes(), claims.to_string().as_bytes())
}

#[tokio::test]
async fn the_access_token_names_the_user() {
    let world = ADFS.world().await;
    world
        .signs_in(&[
            ("hash-1", json!({}), Err((403, "upn"))),
            ("hash-1", json!({"upn": "ada@corp.local"}), Ok("ada@corp.local")),
            ("hash-1", json!({"unique_name": "CORP\\ada"}), Ok("CORP\\ada")),
            ("hash-1", json!({"unique_name": "CORP\\ada", "upn": "ada@corp.local"}), Ok("ada@corp.local")),
        ])
        .await;
}

/// An access token that is not this provider's says nothing.
#[tokio::test]
async fn an_access_token_counts_when_it_is_signed_and_issued_here() {
    let world = ADFS.world().await;
    let trust = format!("{}/services/trust", world.provider().issuer());
    let good = json!({"iss": trust, "sub": "hash-1", "upn": "ada@corp.local", "exp": NOW.0 + 600, "iat": NOW.0});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let signed = |claims: &Value| access_token(world.provider(), claims);
    let (input, _) = signed(&good).rsplit_once('.').map(|(input, end)| (input.to_owned(), end.to_owned())).unwrap();
    let refused = Err((403, "upn"));
    for (case, token, expected) in [
        ("good", signed(&good), Ok("ada@corp.local")),
        ("the ID tokens' issuer", signed(&with("iss", json!(world.provider().issuer()))), refused),
        ("another issuer", signed(&with("iss", json!("http://evil.example/adfs/services/trust"))), refused),
        ("expired", signed(&with("exp", json!(NOW.0 - 600))), refused),
        ("without an end", signed(&with("exp", Value::Null)), refused),
        ("another signature", format!("{input}.{}", "A".repeat(86)), refused),
        ("opaque", "opaque".to_owned(), refused),
    ] {
        world
            .provider()
            .faults()
            .next_token_answer(move |answer| _ = answer.insert("access_token".to_owned(), json!(token)));
        check(case, &world.sign_in("hash-1", &json!({})).await, expected);
    }
}

#[tokio::test]
async fn groups_come_in_the_access_token_too() {
    let world = ADFS.world().await;
    let claims = json!({"upn": "ada@corp.local", "group": ["CORP\\staff", "CORP\\eng"], "groups": ["CORP\\staff"]});
    assert!(world.groups("hash-1", &claims).await.is_some());
}

/// It decodes `state` once more than it should: nothing in it may change by that.
#[tokio::test]
async fn state_survives_decoding() {
    let state = parameter(&ADFS.world().await.authorization().await, "state").unwrap();
    assert!(state.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')), "{state}");
}

#[tokio::test]
async fn logout_goes_on_at_adfs() {
    let world = ADFS.world().await;
    let left = world.logout("hash-1", &json!({"upn": "ada@corp.local"})).await;
    assert!(left.as_str().starts_with(&world.provider().url(Endpoint::EndSession)), "{left}");
}
