//! A proof that whoever brings a token holds the key that the token is bound to (DPoP, RFC 9449).
//!
//! * A proof is for one request: its method, its URL, its token and its time are in it, and it counts once.
//! * What is remembered comes last: only who holds the key of a good token can fill the memory.
//! * Memory that is full refuses proofs and forgets none. It is this replica's own and is lost at a restart; a proof that has been used here
//!   counts elsewhere for what is left of its minute.
//!
//! Relies on somebody having vouched for the token, and for the thumbprint that it is bound to.

use std::{fmt, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Method;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    clock::UnixTime,
    identity::short_hash,
    providers::{ProofJwt, ProofJwtError},
    remembered::Remembered,
};

/// The algorithms whose proofs are accepted, by the names that metadata (RFC 9728 §2) and challenges (RFC 9449 §7.1) list.
pub const ALGORITHMS: &[&str] =
    &["ES256", "ES384", "EdDSA", "Ed25519", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

/// The largest proof that is looked at, in bytes: one with an RSA key of 8192 bits has less than 4 KiB.
const MAX_PROOF: usize = 8 * 1024;
/// The longest `jti`, in bytes.
const MAX_JTI: usize = 255;
/// How far `iat` and our clock may lie apart (RFC 9449 §11.1).
const WINDOW: Duration = Duration::from_secs(60);
/// How long after its `iat` a proof is remembered: longer than it is accepted, so that a clock that is set back brings none to life.
const REMEMBERED: Duration = Duration::from_secs(120);
/// How much of a URL stands in an error, in bytes.
const MAX_SHOWN: usize = 256;

/// What a proof has to fit.
#[derive(Clone, Copy)]
pub struct Demand<'a> {
    /// Of the request.
    pub method: &'a Method,
    /// As callers see it: scheme, host and port, path; no query.
    pub url: &'a Url,
    /// That comes with the proof.
    pub token: &'a str,
    /// `jkt` of the token (RFC 9449 §6).
    pub thumbprint: &'a str,
}

/// Why a proof does not count. Holds nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// More bytes than a proof ever has.
    #[error("the proof is larger than {MAX_PROOF} bytes")]
    TooLarge,
    /// Not a JWT that its own key has signed.
    #[error("the proof cannot be trusted")]
    Jwt(#[from] ProofJwtError),
    /// The token is bound to another key.
    #[error("the proof is signed by another key than the one that the token is bound to")]
    OtherKey,
    /// A claim is not there.
    #[error("the proof has no `{0}`")]
    Missing(&'static str),
    /// A claim is of the wrong type, empty or too long.
    #[error("the proof's `{0}` is malformed")]
    Malformed(&'static str),
    /// For another method.
    #[error("the proof's `htm` is not `{expected}`")]
    Method {
        /// Of the request.
        expected: Method,
    },
    /// For another URL.
    #[error("the proof's `htu` is `{found}`, the request's URL is `{expected}`")]
    Url {
        /// Without query and credentials.
        expected: Box<str>,
        /// The same of `htu`.
        found: Box<str>,
    },
    /// Too old, or from the future.
    #[error("the proof was made at {iat}, it is {now}; they may lie {} seconds apart", WINDOW.as_secs())]
    Time {
        /// Its `iat`, whole seconds.
        iat: UnixTime,
        /// Our clock.
        now: UnixTime,
    },
    /// For another token.
    #[error("the proof's `ath` is not the hash of the token")]
    Token,
    /// It has been used.
    #[error("the proof has been used before")]
    Used,
    /// There is no room to remember it: who brings it has done nothing wrong.
    #[error("too many proofs have been used within two minutes to remember another")]
    Full,
}

/// Checks proofs, and remembers which have been used.
pub struct Proofs {
    algorithms: Vec<Algorithm>,
    used: Remembered,
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs").finish_non_exhaustive()
    }
}

impl Proofs {
    /// `limit` is how many are remembered at most: those of two minutes, three where callers' clocks are ahead.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let algorithms = ALGORITHMS.iter().filter_map(|name| name.parse().ok()).collect();
        Self { algorithms, used: Remembered::new("used DPoP proofs", limit) }
    }

    /// Whether `proof`, the value of the one `DPoP` header, fits `demand` (RFC 9449 §4.3). Then it does not count a second time.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn check(&self, proof: &str, demand: &Demand<'_>, now: UnixTime) -> Result<(), ProofError> {
        if proof.len() > MAX_PROOF {
            return Err(ProofError::TooLarge);
        }
        let proof = ProofJwt::parse(proof, &self.algorithms)?;
        // Thumbprints are no secrets. Before the signature, so that only the key that counts costs arithmetic.
        if proof.thumbprint() != demand.thumbprint {
            return Err(ProofError::OtherKey);
        }
        let claims = proof.claims()?;

        let jti = text(&claims, "jti")?;
        if !(1..=MAX_JTI).contains(&jti.len()) {
            return Err(ProofError::Malformed("jti"));
        }
        if text(&claims, "htm")? != demand.method.as_str() {
            return Err(ProofError::Method { expected: demand.method.clone() });
        }
        check_url(text(&claims, "htu")?, demand.url)?;
        let made = made(&claims, now)?;
        // RFC 9449 §7.1: the proof is of no use beside another token.
        if text(&claims, "ath")? != BASE64_URL_SAFE_NO_PAD.encode(short_hash::<32>(&[demand.token.as_bytes()])) {
            return Err(ProofError::Token);
        }

        // RFC 9449 §11.1. A thumbprint has no NUL, so no two pairs are written alike.
        let id = short_hash(&[demand.thumbprint.as_bytes(), b"\0", jti.as_bytes()]);
        match self.used.add_if_room(id, made.plus(REMEMBERED), now) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ProofError::Used),
            Err(_full) => Err(ProofError::Full),
        }
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &'static str) -> Result<&'c str, ProofError> {
    claims.get(name).ok_or(ProofError::Missing(name))?.as_str().ok_or(ProofError::Malformed(name))
}

/// RFC 9449 §4.3: query and fragment are ignored, and URLs are compared as URLs.
fn check_url(htu: &str, expected: &Url) -> Result<(), ProofError> {
    let mut found = Url::parse(htu).map_err(|_| ProofError::Malformed("htu"))?;
    let mut expected = expected.clone();
    for url in [&mut found, &mut expected] {
        url.set_query(None);
        url.set_fragment(None);
    }
    if found == expected {
        return Ok(());
    }
    let shown = |url: &Url| format!("{}{}", url.origin().ascii_serialization(), url.path());
    let shown = |url: &Url| shown(url).chars().take(MAX_SHOWN).collect();
    Err(ProofError::Url { expected: shown(&expected), found: shown(&found) })
}

/// When the proof was made, which is about now. Some write fractions of a second; the next whole one is told.
fn made(claims: &Map<String, Value>, now: UnixTime) -> Result<UnixTime, ProofError> {
    let iat = claims.get("iat").ok_or(ProofError::Missing("iat"))?.as_f64().ok_or(ProofError::Malformed("iat"))?;
    if (iat - now.0 as f64).abs() > WINDOW.as_secs_f64() {
        return Err(ProofError::Time { iat: UnixTime(iat as u64), now });
    }
    Ok(UnixTime(iat.ceil() as u64))
}

#[cfg(test)]
#[path = "dpop_tests.rs"]
mod tests;
