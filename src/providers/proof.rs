//! A JWT that brings the key it is signed with: a DPoP proof (RFC 9449 §4.2), before anybody has asked what it proves.
//!
//! That it fits its own key says nothing yet. Whoever uses it compares the thumbprint with one that somebody else vouches for, and does so
//! before asking for the claims: strangers then make nobody calculate.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::{
    jws::{JwsError, TokenKind, Unverified},
    keys,
};

/// A proof that has the form of one.
pub struct ProofJwt<'a> {
    token: Unverified<'a>,
    key: DecodingKey,
    thumbprint: String,
}

/// Why a text is not a proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofJwtError {
    /// Not a JWT whose signature could be checked, or one of another type.
    #[error(transparent)]
    Form(#[from] JwsError),
    /// It brings none.
    #[error("its header has no `jwk`")]
    NoKey,
    /// It brings one that cannot be used.
    #[error("the key in its header cannot be used: {0}")]
    Key(&'static str),
    /// Another key made the signature.
    #[error("its signature does not fit the key in its header")]
    Signature,
}

impl<'a> ProofJwt<'a> {
    /// Reads the header of `text`; `accepted` are the algorithms that may have signed it, of which only asymmetric ones count.
    ///
    /// # Errors
    /// [`ProofJwtError`], all but the last.
    pub fn parse(text: &'a str, accepted: &[Algorithm]) -> Result<Self, ProofJwtError> {
        let mut token = Unverified::parse(text, TokenKind::Proof, accepted)?;
        let jwk = token.jwk.take().ok_or(ProofJwtError::NoKey)?;
        let (key, thumbprint) = keys::brought(jwk, token.algorithm).map_err(ProofJwtError::Key)?;
        Ok(Self { token, key, thumbprint })
    }

    /// The SHA-256 thumbprint of its key, base64url (RFC 7638): what a token's `jkt` is compared with.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// What it claims, once its key has been seen to have signed it.
    ///
    /// # Errors
    /// [`ProofJwtError::Signature`], or the payload is not an object.
    pub fn claims(&self) -> Result<Map<String, Value>, ProofJwtError> {
        let verified = self.token.verified_by(&self.key).ok_or(ProofJwtError::Signature)?;
        Ok(verified.claims()?)
    }
}
