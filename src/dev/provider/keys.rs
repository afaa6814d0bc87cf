//! The provider's signing keys: ES256, made at start, one that signs and at most one more that is still published.

use std::sync::Arc;

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL},
};
use serde_json::{Value, json};

use super::faults::JsonObject;

/// The keys as they are published: swapped as a whole.
pub(super) struct KeySet {
    current: Arc<SigningKey>,
    previous: Option<Arc<SigningKey>>,
}

impl KeySet {
    pub(super) fn generate() -> Self {
        Self { current: Arc::new(SigningKey::generate()), previous: None }
    }

    /// A new key signs, the one before stays.
    pub(super) fn rotated(&self) -> Self {
        Self { current: Arc::new(SigningKey::generate()), previous: Some(self.current.clone()) }
    }

    pub(super) fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The public halves.
    pub(super) fn jwks(&self) -> Vec<Value> {
        self.all().map(SigningKey::jwk).collect()
    }

    /// The claims of a token that one of these keys signed; nothing but the signature is checked.
    pub(super) fn verified(&self, token: &str) -> Option<JsonObject> {
        let (input, signature) = token.rsplit_once('.')?;
        let (header, payload) = input.split_once('.')?;
        let object = |part: &str| serde_json::from_slice::<JsonObject>(&BASE64URL.decode(part).ok()?).ok();
        let kid = object(header)?.get("kid")?.as_str()?.to_owned();
        let key = self.all().find(|key| key.kid == kid)?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key());
        public.verify(input.as_bytes(), &BASE64URL.decode(signature).ok()?).ok()?;
        object(payload)
    }

    fn all(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.current).chain(&self.previous).map(AsRef::as_ref)
    }
}

/// One ES256 key.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    kid: String,
    x: String,
    y: String,
}

impl SigningKey {
    /// # Panics
    /// When the operating system has no randomness to give.
    pub(super) fn generate() -> Self {
        #[expect(clippy::expect_used, reason = "without randomness there is no key: stop")]
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key can be made");
        // SEC 1 §2.3.3, uncompressed: 04, x, y.
        let point = pair.public_key().as_ref();
        let coordinate = |range| BASE64URL.encode(point.get(range).unwrap_or_default());
        let (x, y) = (coordinate(1..33), coordinate(33..65));
        // RFC 7638 §3: the required members, sorted, without white space.
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = BASE64URL.encode(digest(&SHA256, members.as_bytes()));
        Self { pair, kid, x, y }
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn jwk(&self) -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": self.x, "y": self.y, "kid": self.kid, "use": "sig", "alg": "ES256" })
    }

    /// The ES256 signature over `input`.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub(super) fn sign(&self, input: &[u8]) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "without randomness there is no signature: stop")]
        let signature = self.pair.sign(&SystemRandom::new(), input).expect("a signature can be made");
        signature.as_ref().to_vec()
    }

    /// The public half as SubjectPublicKeyInfo; empty if it cannot be written.
    pub(super) fn der(&self) -> Vec<u8> {
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(self.pair.public_key());
        der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
    }

    /// The same in PEM, as a file would hold it.
    pub(super) fn pem(&self) -> String {
        let text = STANDARD.encode(self.der());
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        // RFC 7468 §2: lines of 64 characters.
        let mut rest = text.as_str();
        while let Some((line, more)) = rest.split_at_checked(64) {
            pem.extend([line, "\n"]);
            rest = more;
        }
        pem.extend([rest, "\n-----END PUBLIC KEY-----\n"]);
        pem
    }
}

/// A JWS in compact form (RFC 7515 §7.1).
pub(super) fn compact(header: &[u8], payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
    let signature = BASE64URL.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_forms_are_the_same_key() {
        let key = SigningKey::generate();
        let pem = jsonwebtoken::DecodingKey::from_ec_pem(key.pem().as_bytes()).unwrap();
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk()).unwrap();
        let thumbprint = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
        assert_eq!(key.kid(), thumbprint);
        let token = compact(br#"{"alg":"ES256"}"#, br#"{"sub":"ada"}"#, |input| key.sign(input));
        let mut checks = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        checks.required_spec_claims.clear();
        for decoding in [pem, jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap()] {
            let claims = jsonwebtoken::decode::<JsonObject>(&token, &decoding, &checks).unwrap().claims;
            assert_eq!(claims["sub"], "ada");
        }
    }

    #[test]
    fn only_published_keys_verify() {
        let first = KeySet::generate();
        let header = json!({ "alg": "ES256", "kid": first.current().kid() }).to_string();
        let token = compact(header.as_bytes(), b"{}", |input| first.current().sign(input));
        let forged = compact(header.as_bytes(), b"{}", |input| SigningKey::generate().sign(input));
        let second = first.rotated();
        assert!(first.verified(&token).is_some());
        assert!(second.verified(&token).is_some(), "the key before is still published");
        assert!(second.rotated().verified(&token).is_none(), "the key before that is not");
        for bad in [forged.as_str(), "", "a.b", "..", &token.replace('.', "")] {
            assert!(first.verified(bad).is_none(), "{bad}");
        }
    }
}
