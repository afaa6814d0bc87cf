//! placeholder
use crate::clock::UnixTime;
use http::Method;
use url::Url;
/// x
pub struct Demand<'a> {
    /// x
    pub method: &'a Method,
    /// x
    pub url: &'a Url,
    /// x
    pub token: &'a str,
    /// x
    pub thumbprint: &'a str,
}
/// x
#[derive(Debug)]
pub struct Proofs;
/// x
#[derive(Debug, thiserror::Error, Clone)]
#[error("x")]
pub struct ProofError;
/// x
pub const ALGORITHMS: &[jsonwebtoken::Algorithm] = &[];
impl Proofs {
    /// x
    pub fn new(_limit: usize) -> Self {
        Self
    }
    /// x
    pub fn check(&self, _proof: &str, _demand: &Demand<'_>, _now: UnixTime) -> Result<(), ProofError> {
        Err(ProofError)
    }
}
