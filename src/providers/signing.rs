//! Keys of ours that a provider knows the public half of, and the short-lived JWTs that we sign with them (RFC 7519).

use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header, crypto};
use serde_json::Value;

/// A private key that has been tried.
#[derive(Clone)]
pub(super) struct SigningKey {
    key: EncodingKey,
    algorithm: Algorithm,
}

/// A key that was tried refuses to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("our own key does not sign")]
pub struct SigningError;

impl SigningKey {
    /// The key in `pem`, when it can sign with `algorithm`.
    pub(super) fn parse(pem: &str, algorithm: Algorithm) -> Option<Self> {
        let pem = pem.as_bytes();
        let key = match algorithm.family() {
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem),
            // A shared secret is no key of ours.
            AlgorithmFamily::Hmac => return None,
        };
        let key = key.ok()?;
        // A key of another curve is noticed only now.
        crypto::sign(b"tried", &key, algorithm).ok()?;
        Some(Self { key, algorithm })
    }

    /// `claims` as a JWT; `header` may name the key.
    pub(super) fn sign(&self, header: impl FnOnce(&mut Header), claims: &Value) -> Result<String, SigningError> {
        let mut head = Header::new(self.algorithm);
        header(&mut head);
        jsonwebtoken::encode(&head, claims, &self.key).map_err(|_| SigningError)
    }
}
