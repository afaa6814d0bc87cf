//! Encrypted tokens: an ID token at a sign-in, an access token that a program brings.

use std::collections::BTreeSet;

use super::*;
use crate::providers::jwe::testing::Recipient;

fn alg() -> Value {
    json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT", "kid": "enc-1"})
}

fn bearer() -> Bearer {
    Bearer {
        method: BearerMethod::Jwt,
        introspection: None,
        audiences: BTreeSet::from(["api".into()]),
        audience_claim: "aud".into(),
        clients: BTreeSet::new(),
        issuers: Vec::new(),
        plain_jwt: false,
        id_tokens: false,
        userinfo_fallback: false,
        recheck: Duration::from_secs(60),
        insecure_any_audience: false,
    }
}

const UNSUPPORTED: &str = "it is encrypted (JWE), which is not supported without a key: `decryption_key_file`";
const CLOSED: &str = "none of our decryption keys opens it";
const NO_JWT: &str = "what it holds is not a signed JWT";

#[tokio::test]
async fn an_encrypted_id_token_signs_somebody_in_when_what_is_inside_would() {
    let (op, signer) = good().await;
    let (ours, theirs) = (Recipient::rsa(), Recipient::rsa());
    let without = op.settings();
    let mut settings = op.settings();
    settings.decryption_keys = vec![ours.key.clone()];
    let good = signer.sign(&op.claims());
    let unsigned = token_with(&json!({"alg": "none"}), &op.claims(), "");
    let marked = signer.sign_bytes(&with(signer.header(), &json!({"cty": "JWT"})), op.claims().to_string().as_bytes());
    let forged = Signer::es256("k1").sign(&op.claims());
    let another = signer.sign(&with(op.claims(), &json!({"nonce": "m"})));
    let for_us = |content: &str| ours.encrypt(alg(), content.as_bytes());
    for (settings, token, text) in [
        (&without, for_us(&good), UNSUPPORTED),
        (&settings, theirs.encrypt(alg(), good.as_bytes()), CLOSED),
        (&settings, for_us(&for_us(&good)), NO_JWT),
        (&settings, for_us(&op.claims().to_string()), NO_JWT),
        (&settings, for_us(&unsigned), "its algorithm `none` is not among the accepted ones"),
        (&settings, for_us(&marked), "its header has `cty`, which is not supported"),
        (&settings, for_us(&forged), "its signature does not fit"),
        (&settings, for_us(&another), "its `nonce` is not the one"),
        (&settings, ours.encrypt(with(alg(), &json!({"zip": "DEF"})), good.as_bytes()), "its header has `zip`"),
    ] {
        op.gives(&token);
        let (provider, _) = op.known(settings.clone());
        let error = sign_in(&provider).await.unwrap_err();
        assert!(texts(&error).contains(text), "{text}: {}", texts(&error));
        assert_eq!(error.fault(), Fault::Provider, "{text}");
        assert!(!texts(&error).contains(&token) && !format!("{error:?}").contains(&good), "no tokens in errors");
    }
    for token in [for_us(&good), good.clone()] {
        op.gives(&token);
        let (provider, _) = op.known(settings.clone());
        assert_eq!(sign_in(&provider).await.unwrap().user.as_str(), "s-1");
    }
}

#[tokio::test]
async fn an_encrypted_access_token_counts_when_what_is_inside_would() {
    let (op, signer) = good().await;
    let (ours, theirs) = (Recipient::p256(), Recipient::p256());
    let mut without = op.settings();
    without.bearer = Some(bearer());
    let mut settings = without.clone();
    settings.decryption_keys = vec![theirs.key.clone(), ours.key.clone()];
    assert!(op.known(settings.clone()).0.decrypts() && !op.known(without.clone()).0.decrypts());

    let claims =
        json!({"iss": op.origin, "aud": "api", "sub": "s-2", "client_id": "cli", "exp": NOW.0 + 300, "iat": NOW.0});
    let typed = with(signer.header(), &json!({"typ": "at+jwt"}));
    let good = signer.sign_bytes(&typed, claims.to_string().as_bytes());
    let alg = json!({"alg": "ECDH-ES+A256KW", "enc": "A256CBC-HS512", "cty": "at+jwt", "iss": op.origin, "aud": "api"});
    let for_us = |content: &str| ours.encrypt(alg.clone(), content.as_bytes());
    let nobodys = Recipient::p256().encrypt(alg.clone(), good.as_bytes());
    let unsigned = token_with(&json!({"alg": "none", "typ": "at+jwt"}), &claims, "");
    for (settings, token, text) in [
        (&without, for_us(&good), UNSUPPORTED),
        (&settings, nobodys, CLOSED),
        (&settings, for_us(&for_us(&good)), NO_JWT),
        (&settings, for_us(&claims.to_string()), NO_JWT),
        (&settings, for_us(&unsigned), "its algorithm `none` is not among the accepted ones"),
        (&settings, for_us(&Signer::es256("k1").sign_bytes(&typed, claims.to_string().as_bytes())), "does not fit"),
        (&settings, for_us(&signer.sign(&op.claims())), "it is an ID token"),
        (&settings, for_us(&signer.sign_bytes(&typed, b"{}")), "it has no `iss`"),
        (&settings, ours.encrypt(json!({"alg": "dir", "enc": "A128GCM"}), good.as_bytes()), "the algorithm `dir`"),
    ] {
        let (provider, _) = op.known(settings.clone());
        let error = provider.vouch(&secret(&token)).await.unwrap_err();
        assert!(matches!(error, BearerError::Refused(_)) && texts(&error).contains(text), "{text}: {}", texts(&error));
        assert!(!texts(&error).contains(&token) && !format!("{error:?}").contains(&good), "no tokens in errors");
    }
    let token = for_us(&good);
    assert_eq!(Shape::of(&token), Shape::Encrypted(Some(op.origin.as_str().into())));
    for token in [token, good] {
        let (provider, _) = op.known(settings.clone());
        let vouched = provider.vouch(&secret(&token)).await.unwrap();
        assert_eq!(vouched.identity.unwrap().user.as_str(), "s-2");
    }
}
