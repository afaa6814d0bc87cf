//! An ID token with something wrong in it (C.8): a page that names what it is, and no session.

use doorward::dev::provider::{HmacKey, Signature};
use serde_json::json;

use crate::{
    provider_faults::{signed_in, with_token},
    support::{Gate, gate},
};

const NOW: u64 = gate::NOW.0;

/// T-079, T-080, T-083, T-086, T-098: every claim and header member that must not be, and the word for it on the page.
#[tokio::test]
async fn an_id_token_with_anything_wrong_signs_nobody_in() {
    let gate = Gate::start().await;
    let issuer = gate.provider.issuer().to_owned();
    let (slash, https) = (format!("{issuer}/"), issuer.replace("http:", "https:"));
    for (header, claims, says) in [
        (json!({}), json!({"aud": "other"}), "`aud`"),
        (json!({}), json!({"aud": ["other", "another"]}), "`aud`"),
        (json!({}), json!({"aud": []}), "`aud`"),
        (json!({}), json!({"aud": ["gate", "other"]}), "`azp`"),
        (json!({}), json!({"aud": ["gate", "other"], "azp": "other"}), "`azp`"),
        (json!({}), json!({"azp": "other"}), "`azp`"),
        (json!({}), json!({"aud": null}), "`aud`"),
        (json!({}), json!({"aud": 7}), "`aud`"),
        (json!({}), json!({"iss": "https://evil.example"}), "https://evil.example"),
        (json!({}), json!({"iss": slash}), &*slash),
        (json!({}), json!({"iss": https}), &*https),
        (json!({}), json!({"iss": null}), "`iss`"),
        (json!({}), json!({"nonce": "someone else's"}), "`nonce`"),
        (json!({}), json!({"nonce": null}), "`nonce`"),
        (json!({}), json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), "`at_hash`"),
        (json!({}), json!({"sub": null}), "`sub`"),
        (json!({}), json!({"exp": NOW - 60}), "expired"),
        (json!({}), json!({"exp": NOW - 301}), "expired"),
        (json!({}), json!({"exp": null}), "`exp`"),
        (json!({}), json!({"exp": "2000000000"}), "`exp`"),
        (json!({}), json!({"exp": 1e300}), "`exp`"),
        (json!({}), json!({"exp": -1}), "`exp`"),
        (json!({}), json!({"nbf": NOW + 61}), "valid from"),
        (json!({}), json!({"nbf": "x"}), "`nbf`"),
        (json!({}), json!({"iat": NOW + 61}), "issued"),
        (json!({}), json!({"iat": null}), "`iat`"),
        (json!({}), json!({"iat": 1e300}), "`iat`"),
        (json!({"alg": "RS256"}), json!({}), "cannot be trusted"),
        (json!({"alg": "ES384"}), json!({}), "cannot be trusted"),
        (json!({"alg": "HS256"}), json!({}), "HS256"),
        (json!({"alg": "none"}), json!({}), "none"),
        (json!({"alg": null}), json!({}), "cannot be trusted"),
        (json!({"crit": ["exp"]}), json!({}), "`crit`"),
        (json!({"b64": false, "crit": ["b64"]}), json!({}), "cannot be trusted"),
        (json!({"zip": "DEF"}), json!({}), "`zip`"),
        (json!({"cty": "JWT"}), json!({}), "`cty`"),
        (json!({"typ": "at+jwt"}), json!({}), "at+jwt"),
        (json!({"kid": "../../dev/null"}), json!({}), "cannot be trusted"),
        (json!({"kid": "' OR 1=1"}), json!({}), "cannot be trusted"),
        (json!({"kid": "http://evil.example/key"}), json!({}), "cannot be trusted"),
        (json!({"kid": "k".repeat(3_000)}), json!({}), "cannot be trusted"),
        (json!({"kid": "k".repeat(65_536)}), json!({}), "cannot be trusted"),
        (json!({"kid": 7}), json!({}), "cannot be trusted"),
    ] {
        let case = format!("{header:.60} {claims:.60}");
        let (status, page, has_session) = with_token(&gate, header, claims).await;
        assert_eq!((status, has_session), (502, false), "{case}: {page}");
        assert!(page.contains(says), "{case}: {page}");
    }
    gate.upstream.nothing();
}

/// T-079, T-098: what is merely unusual is accepted.
#[tokio::test]
async fn an_id_token_within_the_rules_signs_in() {
    let gate = Gate::start().await;
    for (header, claims) in [
        (json!({}), json!({"aud": ["gate"]})),
        (json!({}), json!({"aud": ["gate", "other"], "azp": "gate"})),
        (json!({}), json!({"azp": "gate"})),
        (json!({}), json!({"exp": NOW - 59})),
        (json!({}), json!({"exp": 1_900_000_000.5})),
        (json!({}), json!({"nbf": NOW + 60, "iat": NOW + 60})),
        (json!({}), json!({"at_hash": null})),
        (json!({"typ": null}), json!({})),
        (json!({"typ": "jwt"}), json!({})),
        (json!({"kid": null}), json!({"deep": [[[[1]]]]})),
        (
            json!({"jku": "http://evil.example/", "x5u": "http://evil.example/", "jwk": {"kty": "oct", "k": "AA"}}),
            json!({}),
        ),
    ] {
        let case = format!("{header} {claims}");
        let (status, page, has_session) = with_token(&gate, header, claims).await;
        assert_eq!((status, has_session), (303, true), "{case}: {page}");
    }
}

/// T-082.
#[tokio::test]
async fn a_signature_by_anything_but_the_providers_key_is_none() {
    let gate = Gate::start().await;
    for signature in [
        Signature::Unpublished,
        Signature::None,
        Signature::Hs256(HmacKey::PublicPem),
        Signature::Hs256(HmacKey::PublicDer),
        Signature::Hs256(HmacKey::PublicJwk),
        Signature::Hs256(HmacKey::Bytes(gate::CLIENT_SECRET.into())),
        Signature::Hs256(HmacKey::Bytes(Vec::new())),
    ] {
        gate.provider.faults().next_signature(signature.clone());
        let (status, page, has_session) = signed_in(&gate).await;
        assert_eq!((status, has_session), (502, false), "{signature:?}: {page}");
        assert!(page.contains("cannot be trusted"), "{signature:?}: {page}");
    }
}

/// T-086: what only looks like a token.
#[tokio::test]
async fn a_token_that_is_no_jws_is_refused() {
    let gate = Gate::start().await;
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": gate.provider.kid()}).to_string();
    let twice = gate.provider.sign(header.as_bytes(), br#"{"iss":"a","iss":"b"}"#);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let deep = gate.provider.sign(header.as_bytes(), deep.as_bytes());
    let list = gate.provider.sign(header.as_bytes(), b"[]");
    let twice_header = gate.provider.sign(format!("{{\"alg\":\"none\",{}", &header[1..]).as_bytes(), b"{}");
    for token in [
        json!("a.b.c.d.e"),
        json!("a.b"),
        json!(".........."),
        json!(".."),
        json!(""),
        json!(null),
        json!(7),
        json!({"a": 1}),
        json!(format!("{}.{}.", "A".repeat(30_000), "A".repeat(30_000))),
        json!("A".repeat(1_000_000)),
        json!(twice),
        json!(deep),
        json!(list),
        json!(twice_header),
    ] {
        let case = format!("{token:.60}");
        gate.provider.faults().next_token_answer(move |answer| _ = answer.insert("id_token".to_owned(), token));
        let (status, page, has_session) = signed_in(&gate).await;
        assert_eq!((status, has_session), (502, false), "{case}: {page}");
    }
    gate.provider.faults().next_token_answer(|answer| _ = answer.remove("id_token"));
    assert_eq!(signed_in(&gate).await.0, 502);
    gate.provider.faults().next_token_answer(|answer| _ = answer.insert("token_type".to_owned(), json!("DPoP")));
    assert_eq!(signed_in(&gate).await.0, 502);
}
