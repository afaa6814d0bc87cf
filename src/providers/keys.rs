//! The keys a provider publishes (RFC 7517), and which of them made a signature.
//!
//! * A key set is a mixed bag: what cannot be used (encryption keys, unknown types, weak keys) is
//!   skipped with a debug line. A set without any usable key is an error, so that it never replaces a good one.
//! * A key is tried only for algorithms that fit its type, its curve and its own `alg`. That is what makes an HMAC over a public
//!   key, or an ES256 key under an RS256 header, end before any arithmetic.
//! * An unknown `kid`, or a signature that fits no key, makes the set be fetched once more, within the limits of
//!   [`Cached`]: made-up tokens cannot make more of it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    cached::{Cached, Source, Unavailable},
    certificate,
    error::{FetchError, TokenError, printable},
    http::Http,
    jws::{self, TokenKind, Unverified, Verified},
    metadata::Discovery,
};
use crate::identity::short_hash;

/// Keys of a set that are looked at.
const MAX_KEYS: usize = 100;
/// Keys that one signature is checked with at most.
const MAX_TRIED: usize = 16;
/// Smaller RSA keys are not accepted, in bits (NIST SP 800-131A; RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;
/// Larger ones are not understood by the crypto library, in bits.
const MAX_RSA_BITS: usize = 8192;

/// Why no key vouches for a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The provider publishes no key with this `kid` that fits the algorithm.
    #[error("the provider publishes no {algorithm} key with `kid` `{kid}`")]
    Unknown {
        /// What the header asks for.
        algorithm: &'static str,
        /// Made printable.
        kid: Box<str>,
    },
    /// The header names none, and no key fits the algorithm.
    #[error("the provider publishes no {0} key")]
    None(&'static str),
    /// None of the keys that fit made the signature.
    #[error("its signature does not fit the provider's keys")]
    Signature,
}

/// The keys of one provider.
#[derive(Debug)]
pub(super) struct KeySet {
    pub(super) keys: Vec<Key>,
}

#[derive(Debug)]
pub(super) struct Key {
    kid: Option<Box<str>>,
    /// The only algorithm it may be used with, where the provider says so.
    algorithm: Option<Box<str>>,
    kind: Kind,
    key: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// Fetches the key set that the metadata points to.
pub(super) struct KeySource {
    pub(super) http: Http,
    pub(super) metadata: Cached<Discovery>,
}

impl Source for KeySource {
    type Value = KeySet;
    const WHAT: &'static str = "keys";

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let metadata = self.metadata.get().await.map_err(|error| FetchError::Metadata(error.cause))?;
        let uri = metadata.jwks_uri.as_ref().ok_or(FetchError::Member("jwks_uri"))?;
        let url = uri.as_str();
        let document = self.http.document(uri).await;
        let document = document.map_err(|error| FetchError::Http { url: url.into(), error })?;
        KeySet::parse(&document, url)
    }
}

/// What `token` claims, once one of the provider's keys has vouched for it, and with which algorithm.
pub(super) async fn claims(
    token: &str,
    kind: TokenKind,
    accepted: &[Algorithm],
    keys: &Cached<KeySource>,
) -> Result<(Algorithm, Map<String, Value>), VerifyError> {
    let token = Unverified::parse(token, kind, accepted).map_err(TokenError::from)?;
    let verified = verify(&token, keys).await?;
    let claims = verified.claims().map_err(TokenError::from)?;
    Ok((verified.algorithm, claims))
}

/// The token as the provider signed it. Fetches the keys when there are none, and once more when none of them fits.
pub(super) async fn verify<'a>(token: &Unverified<'a>, keys: &Cached<KeySource>) -> Result<Verified<'a>, VerifyError> {
    let known = keys.get().await?;
    let refusal = match known.verify(token) {
        Ok(verified) => return Ok(verified),
        Err(refusal) => refusal,
    };
    match keys.other_than(&known).await {
        Some(newer) => Ok(newer.verify(token).map_err(TokenError::from)?),
        None => Err(TokenError::from(refusal).into()),
    }
}

/// Why a token could not be verified.
#[derive(Debug, thiserror::Error)]
pub(super) enum VerifyError {
    /// There are no keys to do it with.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It has not the form of one, or none of the keys vouches for it.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl KeySet {
    fn parse(document: &[u8], url: &str) -> Result<Self, FetchError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document =
            serde_json::from_slice(document).map_err(|_| FetchError::NotJson { url: url.into() })?;
        let all = document.keys.len();
        let keys: Vec<Key> = document.keys.into_iter().take(MAX_KEYS).filter_map(usable).collect();
        if keys.is_empty() {
            return Err(FetchError::NoKeys { url: url.into(), skipped: all });
        }
        Ok(Self { keys })
    }

    /// The token when one of these keys made its signature.
    fn verify<'a>(&self, token: &Unverified<'a>) -> Result<Verified<'a>, KeyError> {
        let mut tried = 0;
        // A key without `kid` can be the one that is meant; a key with another `kid` cannot.
        let named = |key: &&Key| match (&token.kid, &key.kid) {
            (Some(asked), Some(has)) => asked == has,
            (None, _) | (_, None) => true,
        };
        for key in self.keys.iter().filter(|key| key.fits(token.algorithm)).filter(named).take(MAX_TRIED) {
            tried += 1;
            if let Some(verified) = token.verified_by(&key.key) {
                return Ok(verified);
            }
        }
        let algorithm = name(token.algorithm);
        Err(match &token.kid {
            _ if tried > 0 => KeyError::Signature,
            Some(kid) => KeyError::Unknown { algorithm, kid: printable(kid) },
            None => KeyError::None(algorithm),
        })
    }

    /// How many keys can be used with one of `algorithms`.
    pub(super) fn usable_with(&self, algorithms: &[Algorithm]) -> usize {
        self.keys.iter().filter(|key| algorithms.iter().any(|algorithm| key.fits(*algorithm))).count()
    }
}

impl Key {
    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = asymmetric(algorithm).map(|(kind, _)| kind);
        Some(self.kind) == kind && self.algorithm.as_deref().is_none_or(|only| jws::named(only) == Some(algorithm))
    }
}

/// Which keys an algorithm needs, and its name (RFC 7518 §3.1, RFC 8037 §3.1).
fn asymmetric(algorithm: Algorithm) -> Option<(Kind, &'static str)> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "not our enum, and non-exhaustive: what is not listed is refused"
    )]
    Some(match algorithm {
        Algorithm::RS256 => (Kind::Rsa, "RS256"),
        Algorithm::RS384 => (Kind::Rsa, "RS384"),
        Algorithm::RS512 => (Kind::Rsa, "RS512"),
        Algorithm::PS256 => (Kind::Rsa, "PS256"),
        Algorithm::PS384 => (Kind::Rsa, "PS384"),
        Algorithm::PS512 => (Kind::Rsa, "PS512"),
        Algorithm::ES256 => (Kind::P256, "ES256"),
        Algorithm::ES384 => (Kind::P384, "ES384"),
        Algorithm::EdDSA => (Kind::Ed25519, "EdDSA"),
        _ => return None,
    })
}

fn name(algorithm: Algorithm) -> &'static str {
    asymmetric(algorithm).map_or("(symmetric)", |(_, name)| name)
}

/// What a private or a secret key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1; RFC 8037 §2).
const PRIVATE_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// The public key that a token brings along itself, when `algorithm` can be checked with it, and its thumbprint.
pub(super) fn brought(jwk: Value, algorithm: Algorithm) -> Result<(DecodingKey, String), &'static str> {
    if PRIVATE_MEMBERS.iter().any(|member| jwk.get(member).is_some()) {
        return Err("it is not a public one");
    }
    let mut jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "it is not a JWK")?;
    // The thumbprint is of what is written in the key, so nothing else may be what signatures are checked with.
    jwk.x5c = None;
    let (kind, key) = read(&jwk)?;
    let key = Key { kid: None, algorithm: jwk.alg.as_deref().map(Into::into), kind, key };
    if !key.fits(algorithm) {
        return Err("it does not fit the algorithm");
    }
    let thumbprint = thumbprint(&jwk, kind).ok_or("it is not complete")?;
    Ok((key.key, thumbprint))
}

/// RFC 7638 §3: SHA-256 over the members that make the key, base64url. `read` has seen that they are base64url themselves.
fn thumbprint(jwk: &Jwk, kind: Kind) -> Option<String> {
    let (crv, x, y) = (jwk.crv.as_deref(), jwk.x.as_deref(), jwk.y.as_deref());
    let members = match kind {
        Kind::Rsa => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, jwk.e.as_deref()?, jwk.n.as_deref()?),
        Kind::P256 | Kind::P384 => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, crv?, x?, y?),
        Kind::Ed25519 => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, crv?, x?),
    };
    Some(URL_SAFE_NO_PAD.encode(short_hash::<32>(&[members.as_bytes()])))
}

/// The members of a JWK that matter; others are ignored.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<Value>,
    key_ops: Option<Value>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    x5c: Option<Value>,
}

/// The key when it can check signatures.
fn usable(jwk: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(jwk).inspect_err(|_| tracing::debug!("skipping a key: not a JWK")).ok()?;
    let kid = jwk.kid.as_deref().unwrap_or_default();
    match read(&jwk) {
        Ok((kind, key)) => Some(Key { kid: jwk.kid.map(Into::into), algorithm: jwk.alg.map(Into::into), kind, key }),
        Err(reason) => {
            tracing::debug!(key.kid = %printable(kid), "skipping key `{}`: {reason}", printable(kid));
            None
        }
    }
}

fn read(jwk: &Jwk) -> Result<(Kind, DecodingKey), &'static str> {
    if jwk.usage.as_ref().is_some_and(|usage| usage != "sig") {
        return Err("its use is not signing");
    }
    let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    if jwk.key_ops.as_ref().is_some_and(|ops| !verifies(ops)) {
        return Err("its operations do not include verifying");
    }
    let part = |member: &Option<String>| member.as_ref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let (n, e) = match (part(&jwk.n), part(&jwk.e)) {
                (Some(n), Some(e)) => (n, e),
                (None, None) => {
                    certified(jwk).ok_or("it has neither modulus and exponent nor a certificate with them")?
                }
                _ => return Err("it has half of modulus and exponent"),
            };
            // Some write a leading zero, as in ASN.1.
            let n = without_leading_zeros(&n);
            let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
            if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
                return Err("its modulus has fewer than 2048 or more than 8192 bits");
            }
            Ok((Kind::Rsa, DecodingKey::from_rsa_raw_components(n, without_leading_zeros(&e))))
        }
        ("EC", Some(curve @ ("P-256" | "P-384"))) => {
            let (kind, bytes) = if curve == "P-256" { (Kind::P256, 32) } else { (Kind::P384, 48) };
            let (Some(x), Some(y)) = (part(&jwk.x), part(&jwk.y)) else { return Err("it has no coordinates") };
            // RFC 7518 §6.2.1.2: full length, always.
            if x.len() != bytes || y.len() != bytes {
                return Err("its coordinates do not have the length of its curve");
            }
            Ok((kind, DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat())))
        }
        ("OKP", Some("Ed25519")) => match part(&jwk.x) {
            Some(x) if x.len() == 32 => Ok((Kind::Ed25519, DecodingKey::from_ed_der(&x))),
            Some(_) | None => Err("its public part does not have 32 bytes"),
        },
        _ => Err("its type or curve is not supported"),
    }
}

/// Modulus and exponent as the first certificate has them: that of the key itself (RFC 7517 §4.7).
fn certified(jwk: &Jwk) -> Option<(Vec<u8>, Vec<u8>)> {
    certificate::rsa_key(jwk.x5c.as_ref()?.get(0)?.as_str()?)
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::testing::{Signer, token_with};

    const ALL: &[Algorithm] =
        &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

    fn set(keys: &[Value]) -> Result<KeySet, FetchError> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), "https://op/jwks")
    }

    fn verify(keys: &KeySet, token: &str) -> Result<(), KeyError> {
        keys.verify(&Unverified::parse(token, TokenKind::Jwt, ALL).unwrap()).map(|_| ())
    }

    /// `jwk` with some members changed; `null` takes one away.
    fn with(jwk: &Value, changes: &Value) -> Value {
        let mut jwk = jwk.clone();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        jwk
    }

    #[test]
    fn every_algorithm_verifies_with_its_key() {
        let rsa = Signer::rs256("r");
        for signer in
            [rsa.clone(), rsa.using(Algorithm::PS256), Signer::es256("e"), Signer::es384("f"), Signer::eddsa("d")]
        {
            let keys = set(&[signer.jwk()]).unwrap();
            assert_eq!(verify(&keys, &signer.sign(&json!({}))), Ok(()), "{:?}", signer.algorithm);
        }
    }

    /// T-082.
    #[test]
    fn a_key_is_used_only_for_what_it_is() {
        let (rsa, p256, p384) = (Signer::rs256("k"), Signer::es256("k"), Signer::es384("k"));
        let signed =
            |signer: &Signer, algorithm: &str| signer.sign_bytes(&json!({"alg": algorithm, "kid": "k"}), b"{}");
        for (key, token, what) in [
            (p256.jwk(), signed(&rsa, "RS256"), "an EC key under RS256"),
            (rsa.jwk(), signed(&p256, "ES256"), "an RSA key under ES256"),
            (p384.jwk(), signed(&p256, "ES256"), "a P-384 key under ES256"),
            (p256.jwk(), signed(&p256, "ES384"), "a P-256 key under ES384"),
            (with(&rsa.jwk(), &json!({"alg": "PS256"})), signed(&rsa, "RS256"), "a key for PS256 under RS256"),
            (with(&rsa.jwk(), &json!({"alg": "RS256"})), signed(&rsa, "PS256"), "a key for RS256 under PS256"),
        ] {
            assert!(matches!(verify(&set(&[key]).unwrap(), &token), Err(KeyError::Unknown { .. })), "{what}");
        }
        // The right kind of key, the wrong signature.
        assert_eq!(verify(&set(&[rsa.jwk()]).unwrap(), &signed(&rsa, "PS256")), Err(KeyError::Signature));
        assert_eq!(
            verify(&set(&[rsa.jwk()]).unwrap(), &signed(&Signer::rs256("k"), "RS256")),
            Err(KeyError::Signature)
        );
        let unsigned = token_with(&json!({"alg": "RS256", "kid": "k"}), &json!({}), "");
        assert_eq!(verify(&set(&[rsa.jwk()]).unwrap(), &unsigned), Err(KeyError::Signature));
    }

    /// T-082: the public key is no secret, so an HMAC with it proves nothing.
    #[test]
    fn an_hmac_with_the_public_key_is_refused_before_any_key_is_looked_at() {
        let rsa = Signer::rs256("k");
        for secret in [rsa.jwk().to_string(), rsa.jwk()["n"].as_str().unwrap().to_owned(), "s3cr3t".to_owned()] {
            let header = jsonwebtoken::Header::new(Algorithm::HS256);
            let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
            let token = jsonwebtoken::encode(&header, &json!({}), &key).unwrap();
            // Not even where somebody lists it.
            for accepted in [ALL, &[Algorithm::HS256, Algorithm::RS256]] {
                let error = Unverified::parse(&token, TokenKind::Jwt, accepted).unwrap_err();
                assert_eq!(error, crate::providers::JwsError::Algorithm("HS256".into()));
            }
        }
    }

    /// T-083.
    #[test]
    fn a_kid_chooses_among_the_keys_that_fit() {
        let rsa: Vec<Signer> = ["a", "b", "c"].into_iter().map(Signer::rs256).collect();
        let ec = Signer::es256("a"); // the same kid, another type
        let jwks: Vec<Value> = rsa.iter().map(Signer::jwk).chain([ec.jwk()]).collect();
        let all = set(&jwks).unwrap();
        for signer in rsa.iter().chain([&ec]) {
            assert_eq!(verify(&all, &signer.sign(&json!({}))), Ok(()), "{}", signer.kid);
            let without_kid = signer.sign_bytes(&json!({"alg": signer.algorithm}), b"{}");
            assert_eq!(verify(&all, &without_kid), Ok(()), "no kid, several keys");
            let only = set(&[with(&signer.jwk(), &json!({"kid": null}))]).unwrap();
            assert_eq!(verify(&only, &signer.sign(&json!({}))), Ok(()), "a kid, and a key without one");
        }
        let wrong_kid = rsa[0].sign_bytes(&json!({"alg": "RS256", "kid": "b"}), b"{}");
        assert_eq!(verify(&all, &wrong_kid), Err(KeyError::Signature));
        for kid in ["../../dev/null", "' OR 1=1", "https://evil/", "", "A", "a "] {
            let token = rsa[0].sign_bytes(&json!({"alg": "RS256", "kid": kid}), b"{}");
            assert_eq!(verify(&all, &token), Err(KeyError::Unknown { algorithm: "RS256", kid: kid.into() }));
        }
        let token = Signer::eddsa("x").sign_bytes(&json!({"alg": "EdDSA"}), b"{}");
        assert_eq!(verify(&all, &token), Err(KeyError::None("EdDSA")));
    }

    /// T-140.
    #[test]
    fn unusable_keys_are_skipped() {
        let (rsa, ec) = (Signer::rs256("k"), Signer::es256("k"));
        let (rsa, ec) = (rsa.jwk(), ec.jwk());
        let n = |bytes: usize| json!({"n": URL_SAFE_NO_PAD.encode(vec![0xc3; bytes])});
        let certified = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&certified).unwrap();
        let certificate = base64::engine::general_purpose::STANDARD.encode(certificate.der());
        let padded = [&[0][..], &URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap()].concat();
        for (key, usable, what) in [
            (with(&rsa, &json!({"use": "sig"})), true, "use sig"),
            (with(&rsa, &json!({"use": "enc"})), false, "use enc"),
            (with(&rsa, &json!({"key_ops": ["verify"]})), true, "verify"),
            (with(&rsa, &json!({"key_ops": ["wrapKey"]})), false, "wrapKey"),
            (with(&rsa, &json!({"x5c": [], "x5t": 1, "issuer": {}})), true, "members nobody asked for"),
            (with(&rsa, &json!({"n": null, "e": null, "x5c": [certificate]})), true, "a certificate only"),
            (with(&rsa, &json!({"n": null, "e": null, "x5c": ["MIIB"]})), false, "a broken certificate only"),
            (with(&rsa, &json!({"n": null, "e": null, "x5c": []})), false, "no certificate after all"),
            (with(&rsa, &json!({"n": null, "x5c": [certificate]})), false, "half, and a certificate"),
            (with(&rsa, &json!({"n": URL_SAFE_NO_PAD.encode(padded)})), true, "a leading zero"),
            (with(&rsa, &n(128)), false, "1024 bits"),
            (with(&rsa, &n(255)), false, "2040 bits"),
            (with(&rsa, &n(256)), true, "2048 bits"),
            (with(&rsa, &n(1025)), false, "8200 bits"),
            (with(&rsa, &json!({"n": ""})), false, "no modulus"),
            (with(&rsa, &json!({"n": "+/=="})), false, "not base64url"),
            (with(&rsa, &json!({"kty": "oct", "k": "c2VjcmV0"})), false, "a shared secret"),
            (with(&rsa, &json!({"kty": "AKP"})), false, "a type of the future"),
            (with(&rsa, &json!({"kty": null})), false, "no type"),
            (with(&ec, &json!({"crv": "secp256k1"})), false, "another curve"),
            (with(&ec, &json!({"crv": "P-384"})), false, "coordinates of another curve"),
            (with(&ec, &json!({"crv": null})), false, "no curve"),
            (with(&ec, &json!({"y": null})), false, "half a point"),
            (json!("text"), false, "not an object"),
            (json!(null), false, "null"),
        ] {
            let found = set(&[key.clone(), ec.clone()]).unwrap().keys.len();
            assert_eq!(found, 1 + usize::from(usable), "{what}");
            assert_eq!(set(&[key]).is_ok(), usable, "{what}, alone");
        }
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, "<html>"] {
            assert!(KeySet::parse(text.as_bytes(), "https://op/jwks").is_err(), "{text}");
        }
    }

    /// The examples of RFC 7638 §3.1 and RFC 8037 §A.3.
    #[test]
    fn a_thumbprint_is_of_what_makes_the_key() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        for (jwk, algorithm, thumbprint) in [
            (rsa, Algorithm::RS256, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (ed, Algorithm::EdDSA, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        ] {
            assert_eq!(brought(jwk, algorithm).unwrap().1, thumbprint);
        }
    }

    #[test]
    fn a_key_that_is_brought_is_public_whole_and_fits() {
        use Algorithm::{ES256, ES384, PS256, RS256};
        let (rsa, ec) = (Signer::rs256("k").jwk(), Signer::es256("k").jwk());
        let certified = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&certified).unwrap();
        let certificate = base64::engine::general_purpose::STANDARD.encode(certificate.der());
        for member in PRIVATE_MEMBERS {
            for value in [json!("c2VjcmV0"), json!(""), json!([])] {
                let key = with(&ec, &json!({*member: value}));
                assert_eq!(brought(key, ES256).err(), Some("it is not a public one"), "{member}");
            }
        }
        for (key, algorithm, usable, what) in [
            (json!({"kty": "oct", "k": "c2VjcmV0"}), ES256, false, "a shared secret"),
            (json!("text"), ES256, false, "not an object"),
            (json!({}), ES256, false, "nothing"),
            (with(&ec, &json!({"y": null})), ES256, false, "half a point"),
            (ec.clone(), ES384, false, "another curve"),
            (ec.clone(), RS256, false, "another type"),
            (with(&rsa, &json!({"alg": "PS256"})), RS256, false, "another algorithm of the same type"),
            (with(&ec, &json!({"use": "enc"})), ES256, false, "for encryption"),
            (with(&rsa, &json!({"n": "w".repeat(171)})), RS256, false, "1024 bits"),
            (with(&rsa, &json!({"n": null, "e": null, "x5c": [certificate]})), RS256, false, "a certificate only"),
            (with(&rsa, &json!({"n": "\"", "e": "\"", "x5c": [certificate]})), RS256, false, "a certificate instead"),
            (with(&ec, &json!({"key_ops": ["verify"], "ext": true})), ES256, true, "as browsers export it"),
            (with(&rsa, &json!({"use": "sig", "alg": "PS256"})), PS256, true, "for this"),
        ] {
            assert_eq!(brought(key, algorithm).is_ok(), usable, "{what}");
        }
    }

    #[test]
    fn a_set_and_the_work_for_one_token_are_bounded() {
        let signer = Signer::es256("k");
        let others: Vec<Value> = (0..20).map(|_| Signer::es256("k").jwk()).chain([signer.jwk()]).collect();
        let token = signer.sign(&json!({}));
        assert_eq!(verify(&set(&others).unwrap(), &token), Err(KeyError::Signature), "the 21st is not tried");
        assert_eq!(verify(&set(&others[10..]).unwrap(), &token), Ok(()));
        let many: Vec<Value> = (0..1000).map(|_| signer.jwk()).collect();
        assert_eq!(set(&many).unwrap().keys.len(), MAX_KEYS);
    }
}
