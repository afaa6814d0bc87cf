//! A signed token as it comes: compact serialization, its header, its signature (RFC 7515, RFC 8725).
//!
//! * Everything that can be refused by looking is refused before any key is looked for.
//! * The header says which of *our* algorithms and which of the *provider's published* keys to use, and nothing else: keys and
//!   addresses that it carries itself (`jwk`, `jku`, `x5c`, `x5u`) are not looked at. A proof's `jwk` is the exception: see `proof`.
//! * The claims can be read only from a token whose signature has been checked: [`Verified`] has no other origin. What was checked before, and is
//!   of a sealed record of ours, is read by [`remembered`].
//! * Whatever else a token is taken for, one that says of somebody that they are logged out is a logout token and nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::{error::printable, id_token::LEEWAY, json::Object};
use crate::clock::UnixTime;

/// The largest token that is looked at, in bytes: five hundred groups of 120 characters make 82 KiB (T-019).
pub(super) const MAX_TOKEN: usize = 128 * 1024;
/// The largest header, in base64url characters.
pub(super) const MAX_HEADER: usize = 4 * 1024;

/// Why a text is not a token whose signature could be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// More bytes than a token of ours ever has.
    #[error("it is larger than {MAX_TOKEN} bytes")]
    TooLarge,
    /// Five parts: encrypted (RFC 7516), and not opened before.
    #[error(
        "it is encrypted (JWE), which is not supported without a key: `decryption_key_file`, for ID tokens and access tokens; or ask the provider to sign only"
    )]
    Encrypted,
    /// Not `header.payload.signature`.
    #[error("it does not have the three parts of a JWS")]
    Parts,
    /// The header is not base64url of a JSON object with unique names, or is too large.
    #[error("its header cannot be read")]
    Header,
    /// `alg` is not one that we accept; `none` and `HS…` never are.
    #[error("its algorithm `{0}` is not among the accepted ones")]
    Algorithm(Box<str>),
    /// The header asks for something that is not done here.
    #[error("its header has `{0}`, which is not supported")]
    Unsupported(&'static str),
    /// Another kind of token (RFC 8725 §3.11).
    #[error("its type is `{0}`, another than expected")]
    Type(Box<str>),
    /// It has to say what it is, and does not.
    #[error("it does not say its type (`typ`)")]
    Untyped,
    /// The payload is not base64url of a JSON object with unique names.
    #[error("its payload is not a JSON object with unique member names")]
    Payload,
}

/// What a token is expected to be, as its `typ` says (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// `JWT` or absent: an ID token, a signed userinfo answer.
    Jwt,
    /// `at+jwt` besides (RFC 9068 §2.1).
    AccessToken,
    /// `dpop+jwt` and nothing else (RFC 9449 §4.2).
    Proof,
    /// `logout+jwt`, `JWT` or absent (Back-Channel Logout §2.4: most providers are older than the type).
    Logout,
}

/// What a logout token says happened (Back-Channel Logout §2.4).
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A token that has the form of one, nothing more.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Box<str>>,
    /// Its `typ` says that it is an access token (RFC 9068 §2.1).
    pub(super) is_access_token: bool,
    /// The key that a proof brings; of other tokens it is not read.
    pub(super) jwk: Option<Value>,
    kind: TokenKind,
    /// Header and payload as they were sent: what the signature is over.
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Unverified<'a> {
    /// Splits `token` and reads its header; `accepted` are the algorithms that may have signed it.
    pub(super) fn parse(token: &'a str, kind: TokenKind, accepted: &[Algorithm]) -> Result<Self, JwsError> {
        if token.len() > MAX_TOKEN {
            return Err(JwsError::TooLarge);
        }
        // One more than five, so that ten dots are not taken for five parts.
        let parts: Vec<&str> = token.splitn(6, '.').collect();
        let &[header, payload, signature] = parts.as_slice() else {
            return Err(if parts.len() == 5 { JwsError::Encrypted } else { JwsError::Parts });
        };
        let message = token.get(..header.len() + 1 + payload.len()).ok_or(JwsError::Parts)?;
        let Header { algorithm, kid, is_access_token, jwk } = read_header(header, kind, accepted)?;
        Ok(Self { algorithm, kid, is_access_token, jwk, kind, message, payload, signature })
    }

    /// The same token when `key` made the signature, over the bytes as they were sent.
    pub(super) fn verified_by(&self, key: &DecodingKey) -> Option<Verified<'a>> {
        let fits = crypto::verify(self.signature, self.message.as_bytes(), key, self.algorithm);
        let verified = Verified { algorithm: self.algorithm, kind: self.kind, payload: self.payload };
        fits.unwrap_or(false).then_some(verified)
    }
}

/// A token whose signature fits.
#[derive(Debug)]
pub(super) struct Verified<'a> {
    pub(super) algorithm: Algorithm,
    kind: TokenKind,
    payload: &'a str,
}

impl Verified<'_> {
    /// What it claims.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, JwsError> {
        let claims = read_payload(self.payload)?;
        if self.kind != TokenKind::Logout && logout_event(&claims).is_some() {
            // Its `typ` need not say so.
            return Err(JwsError::Type("logout+jwt".into()));
        }
        Ok(claims)
    }
}

/// What `token` claims, which was verified when it came and which nobody could change since then.
pub(super) fn remembered(token: &str) -> Result<Map<String, Value>, JwsError> {
    let parts: Vec<&str> = token.splitn(4, '.').collect();
    let &[_, payload, _] = parts.as_slice() else { return Err(JwsError::Parts) };
    read_payload(payload)
}

fn read_payload(payload: &str) -> Result<Map<String, Value>, JwsError> {
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| JwsError::Payload)?;
    Object::parse(&payload).ok_or(JwsError::Payload)
}

/// What `claims` say about a logout, if anything.
pub(super) fn logout_event(claims: &Map<String, Value>) -> Option<&Value> {
    claims.get("events")?.get(LOGOUT)
}

/// What counts of a header.
struct Header {
    algorithm: Algorithm,
    kid: Option<Box<str>>,
    is_access_token: bool,
    jwk: Option<Value>,
}

fn read_header(encoded: &str, kind: TokenKind, accepted: &[Algorithm]) -> Result<Header, JwsError> {
    if encoded.len() > MAX_HEADER {
        return Err(JwsError::Header);
    }
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JwsError::Header)?;
    let mut header = Object::parse(&json).ok_or(JwsError::Header)?;

    let name = header.get("alg").and_then(Value::as_str).ok_or(JwsError::Header)?;
    // Asymmetric ones only, even if somebody listed others (RFC 8725 §2.1): a public key is nobody's secret.
    let algorithm = named(name).filter(|algorithm| is_asymmetric(*algorithm) && accepted.contains(algorithm));
    let algorithm = algorithm.ok_or_else(|| JwsError::Algorithm(printable(name)))?;

    // RFC 7515 §4.1.11: what is critical has to be understood, and none is. RFC 7797 and JWE members have no place here.
    for member in ["crit", "b64", "zip", "enc", "cty"] {
        if header.contains_key(member) {
            return Err(JwsError::Unsupported(member));
        }
    }
    let is_access_token = match (kind, header.get("typ")) {
        (TokenKind::Jwt | TokenKind::AccessToken | TokenKind::Logout, None) => false,
        (TokenKind::Jwt | TokenKind::AccessToken | TokenKind::Logout, Some(Value::String(typ)))
            if typ.eq_ignore_ascii_case("JWT") =>
        {
            false
        }
        (TokenKind::AccessToken, Some(Value::String(typ))) if is_access_token(typ) => true,
        (TokenKind::Proof, Some(Value::String(typ))) if typ == "dpop+jwt" => false,
        (TokenKind::Logout, Some(Value::String(typ))) if is_logout_token(typ) => false,
        (TokenKind::Proof, None) => return Err(JwsError::Untyped),
        (_, Some(typ)) => return Err(JwsError::Type(printable(typ.as_str().unwrap_or_default()))),
    };
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str().into()),
        Some(_) => return Err(JwsError::Header),
    };
    let jwk = if kind == TokenKind::Proof { header.remove("jwk") } else { None };
    Ok(Header { algorithm, kid, is_access_token, jwk })
}

/// The algorithm called `name`. Ed25519 has two names: `EdDSA`, which does not say the curve, and since RFC 9864 its own.
pub(super) fn named(name: &str) -> Option<Algorithm> {
    match name {
        "Ed25519" => Some(Algorithm::EdDSA),
        name => name.parse().ok(),
    }
}

/// RFC 9068 §4: `application/` may be left out (RFC 7515 §4.1.9).
pub(super) fn is_access_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
}

fn is_logout_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("logout+jwt") || typ.eq_ignore_ascii_case("application/logout+jwt")
}

/// Whether `exp` lies in the past, or is no time at all (RFC 7519 §4.1.4).
pub(super) fn has_expired(exp: &Value, now: UnixTime) -> bool {
    exp.as_f64().is_none_or(|exp| exp + LEEWAY.as_secs_f64() <= now.0 as f64)
}

/// Whether `algorithm` signs with a key that its verifiers do not have.
pub(super) fn is_asymmetric(algorithm: Algorithm) -> bool {
    algorithm.family() != jsonwebtoken::AlgorithmFamily::Hmac
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::testing::{Signer, token_with};

    const RS: &[Algorithm] = &[Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

    fn error(token: &str) -> JwsError {
        Unverified::parse(token, TokenKind::Jwt, RS).unwrap_err()
    }

    /// T-086, T-082.
    #[test]
    fn a_header_is_refused_by_looking_at_it() {
        use JwsError as E;
        for (header, answer) in [
            (json!({"alg": "none"}), E::Algorithm("none".into())),
            (json!({"alg": "None"}), E::Algorithm("None".into())),
            (json!({"alg": ""}), E::Algorithm("".into())),
            (json!({"alg": "HS256"}), E::Algorithm("HS256".into())),
            (json!({"alg": "RS512"}), E::Algorithm("RS512".into())),
            (json!({"alg": "rs256"}), E::Algorithm("rs256".into())),
            (json!({"alg": "ES256K\n"}), E::Algorithm("ES256K\u{fffd}".into())),
            (json!({"alg": ["RS256"]}), E::Header),
            (json!({}), E::Header),
            (json!([]), E::Header),
            (json!({"alg": "RS256", "crit": []}), E::Unsupported("crit")),
            (json!({"alg": "RS256", "crit": ["b64"], "b64": false}), E::Unsupported("crit")),
            (json!({"alg": "RS256", "b64": false}), E::Unsupported("b64")),
            (json!({"alg": "RS256", "zip": "DEF"}), E::Unsupported("zip")),
            (json!({"alg": "RS256", "cty": "JWT"}), E::Unsupported("cty")),
            (json!({"alg": "RS256", "typ": "at+jwt"}), E::Type("at+jwt".into())),
            (json!({"alg": "RS256", "typ": "logout+jwt"}), E::Type("logout+jwt".into())),
            (json!({"alg": "RS256", "typ": 1}), E::Type("".into())),
            (json!({"alg": "RS256", "kid": 7}), E::Header),
            (json!({"alg": "RS256", "kid": "x".repeat(MAX_TOKEN)}), E::TooLarge),
            (json!({"alg": "RS256", "kid": "x".repeat(4_000)}), E::Header),
        ] {
            let token = token_with(&header, &json!({}), "c2ln");
            assert_eq!(error(&token), answer, "{:.80}", header.to_string());
        }
    }

    /// T-086.
    #[test]
    fn a_token_has_three_parts() {
        use JwsError as E;
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        for (token, answer) in [
            (String::new(), E::Parts),
            ("..".to_owned(), E::Header),
            (header.clone(), E::Parts),
            (format!("{header}.e30"), E::Parts),
            (format!("{header}.e30.c2ln."), E::Parts),
            (format!("{header}.a.b.c.d"), E::Encrypted),
            (format!("{header}{}", ".".repeat(10)), E::Parts),
            (".".repeat(10_000), E::Parts),
            (format!("{header}.{}.c2ln", "A".repeat(MAX_TOKEN)), E::TooLarge),
            (format!("{header}=.e30.c2ln"), E::Header),
            (format!(" {header}.e30.c2ln"), E::Header),
            (format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","alg":"none"}"#)), E::Header),
        ] {
            assert_eq!(error(&token), answer, "{token:.60}");
        }
    }

    #[test]
    fn what_a_header_may_say_is_accepted() {
        for header in [
            json!({"alg": "RS256"}),
            json!({"alg": "RS256", "typ": "jwt", "kid": "a/b@c="}),
            json!({"alg": "ES256", "typ": "JWT", "kid": "../../dev/null"}),
            json!({"alg": "EdDSA"}),
            json!({"alg": "Ed25519"}),
            json!({"alg": "RS256", "jku": "https://evil/", "x5u": "https://evil/", "x5c": ["AAAA"], "jwk": {"kty": "RSA"}}),
        ] {
            let token = token_with(&header, &json!({}), "c2ln");
            assert!(Unverified::parse(&token, TokenKind::Jwt, RS).is_ok(), "{header}");
        }
    }

    /// T-086: only what was signed is read, and only in one way.
    #[test]
    fn a_payload_has_one_meaning() {
        let signer = Signer::es256("k");
        for (payload, ok) in [
            (r#"{"a":1}"#, true),
            (r#"{"a":1,"a":2}"#, false),
            ("[]", false),
            ("\"eyJhbGciOiJub25lIn0.e30.\"", false),
            (&format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)), false),
        ] {
            let token = signer.sign_bytes(&json!({"alg": "ES256"}), payload.as_bytes());
            let verified =
                Unverified::parse(&token, TokenKind::Jwt, RS).unwrap().verified_by(&signer.decoding_key()).unwrap();
            assert_eq!(verified.claims().is_ok(), ok, "{payload:.40}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_looked_at_without_a_panic(text in ".*", header in ".*", dots in 0_usize..7) {
            let _refused = Unverified::parse(&text, TokenKind::Jwt, RS);
            let header = URL_SAFE_NO_PAD.encode(header);
            let _refused = Unverified::parse(&format!("{header}{}", ".e30".repeat(dots)), TokenKind::Jwt, RS);
        }
    }

    #[test]
    fn a_changed_byte_is_another_token() {
        let signer = Signer::es256("k");
        let key = signer.decoding_key();
        let token = signer.sign_bytes(&json!({"alg": "ES256"}), br#"{"sub":"alice"}"#);
        assert!(Unverified::parse(&token, TokenKind::Jwt, RS).unwrap().verified_by(&key).is_some());
        let payload = token.find('.').unwrap() + 1;
        for at in payload..token.len() {
            let mut bytes = token.clone().into_bytes();
            if bytes[at] == b'.' {
                continue;
            }
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Unverified::parse(&changed, TokenKind::Jwt, RS).unwrap().verified_by(&key).is_none(), "at {at}");
        }
    }

    #[test]
    fn an_access_token_may_call_itself_one() {
        for (typ, as_jwt, as_access_token, as_logout_token) in [
            ("JWT", true, true, true),
            ("at+jwt", false, true, false),
            ("AT+JWT", false, true, false),
            ("application/at+jwt", false, true, false),
            ("logout+jwt", false, false, true),
            ("Logout+JWT", false, false, true),
            ("application/logout+jwt", false, false, true),
            ("logout", false, false, false),
            ("secevent+jwt", false, false, false),
            ("dpop+jwt", false, false, false),
            ("", false, false, false),
        ] {
            let token = token_with(&json!({"alg": "RS256", "typ": typ}), &json!({}), "c2ln");
            let is = |kind| Unverified::parse(&token, kind, RS).is_ok();
            assert_eq!(is(TokenKind::Jwt), as_jwt, "{typ}");
            assert_eq!(is(TokenKind::AccessToken), as_access_token, "{typ}");
            assert_eq!(is(TokenKind::Logout), as_logout_token, "{typ}");
        }
    }

    /// Whatever its type says, and whatever stands in the event.
    #[test]
    fn what_says_that_somebody_is_logged_out_is_nothing_else() {
        let signer = Signer::es256("k");
        for (payload, is_one) in [
            (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}), true),
            (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": null, "x": {}}}), true),
            (json!({"events": {"http://schemas.openid.net/event/backchannel-Logout": {}}}), false),
            (json!({"events": ["http://schemas.openid.net/event/backchannel-logout"]}), false),
            (json!({"events": "http://schemas.openid.net/event/backchannel-logout"}), false),
            (json!({"events": {}}), false),
            (json!({"http://schemas.openid.net/event/backchannel-logout": {}}), false),
        ] {
            let token = signer.sign_bytes(&json!({"alg": "ES256"}), payload.to_string().as_bytes());
            let claims = |kind| {
                Unverified::parse(&token, kind, RS).unwrap().verified_by(&signer.decoding_key()).unwrap().claims()
            };
            assert!(claims(TokenKind::Logout).is_ok(), "{payload}");
            for kind in [TokenKind::Jwt, TokenKind::AccessToken] {
                let expected = is_one.then(|| JwsError::Type("logout+jwt".into()));
                assert_eq!(claims(kind).err(), expected, "{payload}");
            }
        }
    }

    #[test]
    fn a_remembered_token_is_read_strictly_all_the_same() {
        for (token, ok) in [
            (token_with(&json!({}), &json!({"sub": "a"}), "c2ln"), true),
            (token_with(&json!({}), &json!([]), "c2ln"), false),
            (format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"sub":"a","sub":"b"}"#)), false),
            ("e30.e30".to_owned(), false),
            ("e30.e30.e30.e30".to_owned(), false),
            ("e30.!.e30".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(remembered(&token).is_ok(), ok, "{token}");
        }
    }

    #[test]
    fn a_proof_says_so_exactly() {
        for (typ, error) in [
            (json!("dpop+jwt"), None),
            (json!("DPoP+JWT"), Some(JwsError::Type("DPoP+JWT".into()))),
            (json!("application/dpop+jwt"), Some(JwsError::Type("application/dpop+jwt".into()))),
            (json!("JWT"), Some(JwsError::Type("JWT".into()))),
            (json!("at+jwt"), Some(JwsError::Type("at+jwt".into()))),
            (json!(["dpop+jwt"]), Some(JwsError::Type("".into()))),
            (json!(null), Some(JwsError::Type("".into()))),
        ] {
            let token = token_with(&json!({"alg": "RS256", "typ": typ}), &json!({}), "c2ln");
            assert_eq!(Unverified::parse(&token, TokenKind::Proof, RS).err(), error, "{typ}");
        }
        let token = token_with(&json!({"alg": "RS256"}), &json!({}), "c2ln");
        assert_eq!(Unverified::parse(&token, TokenKind::Proof, RS).unwrap_err(), JwsError::Untyped);
        // And a proof is nothing else.
        let token = token_with(&json!({"alg": "RS256", "typ": "dpop+jwt"}), &json!({}), "c2ln");
        for kind in [TokenKind::Jwt, TokenKind::AccessToken] {
            assert_eq!(Unverified::parse(&token, kind, RS).unwrap_err(), JwsError::Type("dpop+jwt".into()));
        }
    }

    #[test]
    fn what_is_no_time_has_passed() {
        let now = UnixTime(1_000);
        for (exp, expired) in [
            (json!(940), true),
            (json!(940.5), false),
            (json!(941), false),
            (json!(5_000), false),
            (json!(-1), true),
            (json!("5000"), true),
            (json!(null), true),
            (json!([5_000]), true),
        ] {
            assert_eq!(has_expired(&exp, now), expired, "{exp}");
        }
    }
}
