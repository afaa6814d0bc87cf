//! What an ID token has to say before anybody is signed in by it (OpenID Connect Core §3.1.3.7). No clock, no network.
//!
//! Nothing is optional because a library might have looked at it: every claim is checked here, present or absent.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::{
    error::printable,
    settings::{Settings, Tenants},
};
use crate::clock::UnixTime;

/// How far the provider's clock may be from ours, either way.
pub(super) const LEEWAY: Duration = Duration::from_secs(60);
/// The longest `sub` (Core §2 says 255 ASCII characters).
const MAX_SUBJECT: usize = 255;
/// Times beyond it (the year 9999) are nonsense; below it, an `f64` counts seconds exactly.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// What the claims are compared with.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    /// With `tenants`, [`TENANT`] in it and in the aliases stands for the token's tenant.
    pub(super) issuer: &'a str,
    pub(super) aliases: &'a [String],
    pub(super) tenants: Option<&'a Tenants>,
    pub(super) client_id: &'a str,
    /// What the authorization request carried; `None` at a refresh, which answers none: a nonce is then not looked at.
    pub(super) nonce: Option<&'a str>,
    /// Without it the nonce is compared only when it is there.
    pub(super) needs_nonce: bool,
    /// How long ago the person may have signed in at the provider.
    pub(super) max_age: Option<Duration>,
    /// What the signature was made with: `at_hash` uses the same hash.
    pub(super) algorithm: Algorithm,
    /// What came beside the ID token.
    pub(super) access_token: Option<&'a str>,
}

/// What stands for the tenant in the issuer of a provider that serves many.
const TENANT: &str = "{tenantid}";

/// Whom an ID token is about: a subject is one only together with its issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About<'a> {
    /// As the token has it: the issuer, one of its aliases, or that of the tenant.
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
}

/// Why an ID token signs nobody in. Where both sides are no secret, it holds both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Another issuer's.
    #[error("its `iss` is `{found}`, expected is `{expected}`")]
    Issuer {
        /// As configured.
        expected: Box<str>,
        /// Made printable.
        found: Box<str>,
    },
    /// Of a tenant whose people may not sign in here.
    #[error("its tenant `{found}` is none of the allowed ones: {allowed}")]
    Tenant {
        /// As configured.
        allowed: Box<str>,
        /// Made printable.
        found: Box<str>,
    },
    /// For other clients only.
    #[error("its `aud` is `{found}`, expected is `{expected}`")]
    Audience {
        /// Our client identifier.
        expected: Box<str>,
        /// Made printable.
        found: Box<str>,
    },
    /// Requested by another client, or for several without saying by whom.
    #[error("its `azp` is `{found}`, expected is `{expected}`")]
    AuthorizedParty {
        /// Our client identifier.
        expected: Box<str>,
        /// Made printable.
        found: Box<str>,
    },
    /// A claim that has to be there is not.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// A claim is of the wrong type or out of all bounds.
    #[error("its `{0}` is malformed")]
    Malformed(&'static str),
    /// Too old.
    #[error("it expired at {exp}, it is {now}")]
    Expired {
        /// `exp`.
        exp: UnixTime,
        /// Our clock.
        now: UnixTime,
    },
    /// Not valid yet.
    #[error("it is valid from {nbf} on, it is {now}")]
    NotYetValid {
        /// `nbf`.
        nbf: UnixTime,
        /// Our clock.
        now: UnixTime,
    },
    /// Made in the future: the provider's clock or ours is wrong.
    #[error("it was issued at {iat}, it is {now}")]
    IssuedInTheFuture {
        /// `iat`.
        iat: UnixTime,
        /// Our clock.
        now: UnixTime,
    },
    /// The person signed in at the provider longer ago than `max_age` allows.
    #[error("its person signed in there at {auth_time}, it is {now}")]
    SignedInTooLongAgo {
        /// `auth_time`.
        auth_time: UnixTime,
        /// Our clock.
        now: UnixTime,
    },
    /// It answers another login: replayed, or mixed up.
    #[error("its `nonce` is not the one of this login")]
    Nonce,
    /// The access token beside it belongs to another ID token.
    #[error("its `at_hash` does not fit the access token")]
    AccessTokenHash,
}

/// Whom an ID token that fits `rules` at `now` is about.
pub(super) fn check<'a>(
    claims: &'a Map<String, Value>,
    rules: &Rules<'_>,
    now: UnixTime,
) -> Result<About<'a>, IdTokenError> {
    use IdTokenError as E;

    let issuer = issuer(claims, rules.issuer, rules.aliases, rules.tenants)?;
    authorized_party(claims, rules.client_id)?;

    let latest = seconds(now.plus(LEEWAY));
    let exp = time(claims, "exp")?.ok_or(E::Missing("exp"))?;
    // RFC 7519 §4.1.4: on the second it expires, it has expired.
    if seconds(now) >= exp + LEEWAY.as_secs_f64() {
        return Err(E::Expired { exp: whole(exp), now });
    }
    if let Some(nbf) = time(claims, "nbf")?.filter(|nbf| *nbf > latest) {
        return Err(E::NotYetValid { nbf: whole(nbf), now });
    }
    let iat = time(claims, "iat")?.ok_or(E::Missing("iat"))?;
    if iat > latest {
        return Err(E::IssuedInTheFuture { iat: whole(iat), now });
    }

    if let Some(max_age) = rules.max_age {
        // Core §3.1.2.1: required where it was asked for.
        let auth_time = time(claims, "auth_time")?.ok_or(E::Missing("auth_time"))?;
        if seconds(now) > auth_time + (max_age + LEEWAY).as_secs_f64() {
            return Err(E::SignedInTooLongAgo { auth_time: whole(auth_time), now });
        }
    }

    if let Some(ours) = rules.nonce {
        match text(claims, "nonce")? {
            Some(nonce) if bool::from(nonce.as_bytes().ct_eq(ours.as_bytes())) => {}
            Some(_) => return Err(E::Nonce),
            None if rules.needs_nonce => return Err(E::Missing("nonce")),
            None => {}
        }
    }
    if let Some(at_hash) = text(claims, "at_hash")? {
        let expected = rules.access_token.and_then(|token| half_hash(token, rules.algorithm));
        if expected.as_deref() != Some(at_hash) {
            return Err(E::AccessTokenHash);
        }
    }
    Ok(About { issuer, subject: short(claims, "sub")?.ok_or(E::Missing("sub"))? })
}

/// Whom an ID token is about that fitted once and is of our own record: by the rules of now only its issuer, whose tenants may be others by now,
/// and its audience. That it has expired since then says nothing.
pub(super) fn remembered<'a>(claims: &'a Map<String, Value>, settings: &Settings) -> Result<About<'a>, IdTokenError> {
    let issuer = issuer(claims, &settings.issuer, &settings.issuer_aliases, settings.tenants.as_ref())?;
    audience(claims, &settings.client_id)?;
    Ok(About { issuer, subject: short(claims, "sub")?.ok_or(IdTokenError::Missing("sub"))? })
}

/// Core §3.1.3.7 (2): the token's issuer is ours, byte for byte. Where it has tenants, the issuer is that of the token's own tenant, and that
/// tenant is one of ours: everybody can have a tenant, and says in it who its people are.
fn issuer<'a>(
    claims: &'a Map<String, Value>,
    configured: &str,
    aliases: &[String],
    tenants: Option<&Tenants>,
) -> Result<&'a str, IdTokenError> {
    let found = text(claims, "iss")?.ok_or(IdTokenError::Missing("iss"))?;
    let tenant = match tenants {
        // Its name is the configuration's, so the error cannot hold it.
        Some(tenants) => match claims.get(&*tenants.claim) {
            Some(Value::String(tenant)) => Some((tenant.as_str(), tenants)),
            Some(_) => return Err(IdTokenError::Malformed("tenant")),
            None => return Err(IdTokenError::Missing("tenant")),
        },
        None => None,
    };
    let expected = |template: &str| match tenant {
        Some((tenant, _)) => template.replace(TENANT, tenant),
        None => template.to_owned(),
    };
    let known = std::iter::once(configured).chain(aliases.iter().map(String::as_str));
    if !known.map(expected).any(|expected| expected == found) {
        return Err(IdTokenError::Issuer { expected: printable(&expected(configured)), found: printable(found) });
    }
    if let Some((tenant, tenants)) = tenant.filter(|(tenant, tenants)| !tenants.allowed.contains(*tenant)) {
        let allowed = tenants.allowed.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
        return Err(IdTokenError::Tenant { allowed: allowed.into(), found: printable(tenant) });
    }
    Ok(found)
}

/// Core §3.1.3.7 (3): we are among the audience, which is given back.
pub(super) fn audience<'a>(claims: &'a Map<String, Value>, client_id: &str) -> Result<Vec<&'a str>, IdTokenError> {
    let audience: Vec<&str> = match claims.get("aud") {
        None => return Err(IdTokenError::Missing("aud")),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => {
            many.iter().map(Value::as_str).collect::<Option<_>>().ok_or(IdTokenError::Malformed("aud"))?
        }
        Some(_) => return Err(IdTokenError::Malformed("aud")),
    };
    if !audience.contains(&client_id) {
        return Err(IdTokenError::Audience { expected: client_id.into(), found: printable(&audience.join(", ")) });
    }
    Ok(audience)
}

/// Core §3.1.3.7 (3–5): the same, and where others are among the audience too, we are the one who asked for the token.
fn authorized_party(claims: &Map<String, Value>, client_id: &str) -> Result<(), IdTokenError> {
    let audience = audience(claims, client_id)?;
    let asked_by = text(claims, "azp")?;
    let shared = audience.iter().any(|other| *other != client_id);
    match asked_by {
        Some(azp) if azp == client_id => Ok(()),
        None if !shared => Ok(()),
        other => Err(IdTokenError::AuthorizedParty {
            expected: client_id.into(),
            found: printable(other.unwrap_or("(none)")),
        }),
    }
}

/// A text of 1 to 255 bytes, as a subject is (Core §2).
pub(super) fn short<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, IdTokenError> {
    match text(claims, name)? {
        Some(text) if !(1..=MAX_SUBJECT).contains(&text.len()) => Err(IdTokenError::Malformed(name)),
        found => Ok(found),
    }
}

/// A string claim; absent is not malformed.
pub(super) fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, IdTokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(IdTokenError::Malformed(name)),
    }
}

/// A NumericDate (RFC 7519 §2): a number, perhaps with a fraction.
pub(super) fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, IdTokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds));
            seconds.map(Some).ok_or(IdTokenError::Malformed(name))
        }
    }
}

pub(super) fn seconds(time: UnixTime) -> f64 {
    // Exact below LAST_SECOND, and what lies above it is later than every claim that passes `time`.
    time.0 as f64
}

pub(super) fn whole(seconds: f64) -> UnixTime {
    UnixTime(seconds as u64)
}

/// The left half of the token's hash (Core §3.1.3.6); `None` for algorithms that have no hash here.
fn half_hash(token: &str, algorithm: Algorithm) -> Option<String> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "not our enum, and non-exhaustive: what is not listed is refused"
    )]
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &digest::SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        // Ed25519 hashes with SHA-512.
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &digest::SHA512,
        _ => return None,
    };
    let digest = digest::digest(hash, token.as_bytes());
    let (left, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    Some(URL_SAFE_NO_PAD.encode(left))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const ISSUER: &str = "https://op.example/realm";

    fn rules() -> Rules<'static> {
        Rules {
            issuer: ISSUER,
            aliases: &[],
            tenants: None,
            client_id: "us",
            nonce: Some("n-0S6"),
            needs_nonce: true,
            max_age: None,
            algorithm: Algorithm::RS256,
            access_token: Some("at"),
        }
    }

    fn good() -> Map<String, Value> {
        let Value::Object(claims) = json!({
            "iss": ISSUER, "aud": "us", "sub": "248289761001", "nonce": "n-0S6",
            "exp": NOW.0 + 300, "iat": NOW.0,
        }) else {
            unreachable!()
        };
        claims
    }

    /// The good token with `name` set to `value`, or without it.
    fn with(name: &str, value: Option<Value>) -> Result<(), IdTokenError> {
        let mut claims = good();
        match value {
            Some(value) => claims.insert(name.to_owned(), value),
            None => claims.remove(name),
        };
        check(&claims, &rules(), NOW).map(|_| ())
    }

    #[test]
    fn a_good_token_names_its_subject() {
        assert_eq!(check(&good(), &rules(), NOW), Ok(About { issuer: ISSUER, subject: "248289761001" }));
    }

    /// T-080.
    #[test]
    fn the_issuer_is_the_same_byte_for_byte() {
        for other in [
            "https://op.example/realm/",
            "http://op.example/realm",
            "https://OP.example/realm",
            "",
            "https://op.example",
        ] {
            let error = with("iss", Some(json!(other))).unwrap_err();
            assert_eq!(error, IdTokenError::Issuer { expected: ISSUER.into(), found: other.into() });
            assert!(error.to_string().contains(ISSUER) && error.to_string().contains(other));
        }
        assert_eq!(with("iss", None), Err(IdTokenError::Missing("iss")));
        assert_eq!(with("iss", Some(json!([ISSUER]))), Err(IdTokenError::Malformed("iss")));
    }

    /// T-080.
    #[test]
    fn an_alias_is_the_issuer_too_byte_for_byte() {
        let aliases = ["accounts.example".to_owned(), "https://op.example/old".to_owned()];
        let rules = Rules { aliases: &aliases, ..rules() };
        for (iss, ok) in [
            (ISSUER, true),
            ("accounts.example", true),
            ("https://op.example/old", true),
            ("https://accounts.example", false),
            ("https://op.example/old/", false),
            ("", false),
        ] {
            let mut claims = good();
            claims.insert("iss".into(), json!(iss));
            let about = check(&claims, &rules, NOW);
            assert_eq!(about.map(|about| about.issuer).ok(), ok.then_some(iss), "{iss}");
        }
        // Without tenants, braces are only braces.
        assert!(with("iss", Some(json!("https://op.example/{tenantid}"))).is_err());
    }

    /// T-080, T-095: a token of another tenant is refused however well it is signed.
    #[test]
    fn the_issuer_is_that_of_an_allowed_tenant() {
        use IdTokenError as E;
        let tenants = Tenants { claim: "tid".into(), allowed: ["t-1".into(), "t-2".into()].into() };
        let aliases = ["https://old.example/{tenantid}/".to_owned()];
        let rules = Rules {
            issuer: "https://op.example/{tenantid}/v2.0",
            aliases: &aliases,
            tenants: Some(&tenants),
            ..rules()
        };
        let issuer = |expected: &str, found: &str| Err(E::Issuer { expected: expected.into(), found: found.into() });
        for (iss, tid, answer) in [
            ("https://op.example/t-1/v2.0", Some(json!("t-1")), Ok(())),
            ("https://op.example/t-2/v2.0", Some(json!("t-2")), Ok(())),
            ("https://old.example/t-1/", Some(json!("t-1")), Ok(())),
            (
                "https://op.example/t-1/v2.0",
                Some(json!("t-2")),
                issuer("https://op.example/t-2/v2.0", "https://op.example/t-1/v2.0"),
            ),
            (
                "https://op.example/rogue/v2.0",
                Some(json!("rogue")),
                Err(E::Tenant { allowed: "t-1, t-2".into(), found: "rogue".into() }),
            ),
            (
                "https://op.example/rogue/v2.0",
                Some(json!("t-1")),
                issuer("https://op.example/t-1/v2.0", "https://op.example/rogue/v2.0"),
            ),
            (
                "https://op.example/{tenantid}/v2.0",
                Some(json!("{tenantid}")),
                Err(E::Tenant { allowed: "t-1, t-2".into(), found: "{tenantid}".into() }),
            ),
            (
                "https://op.example//v2.0",
                Some(json!("")),
                Err(E::Tenant { allowed: "t-1, t-2".into(), found: "".into() }),
            ),
            ("https://op.example/t-1/v2.0", Some(json!(["t-1"])), Err(E::Malformed("tenant"))),
            ("https://op.example/t-1/v2.0", Some(json!(null)), Err(E::Malformed("tenant"))),
            ("https://op.example/t-1/v2.0", None, Err(E::Missing("tenant"))),
        ] {
            let mut claims = good();
            claims.insert("iss".into(), json!(iss));
            tid.clone().map(|tid| claims.insert("tid".into(), tid));
            assert_eq!(check(&claims, &rules, NOW).map(|_| ()), answer, "{iss} {tid:?}");
        }
    }

    #[test]
    fn a_sign_in_there_can_be_too_long_ago() {
        let rules = Rules { max_age: Some(Duration::from_secs(300)), ..rules() };
        let now = NOW.0 as i64;
        for (auth_time, answer) in [
            (Some(json!(now)), Ok(())),
            (Some(json!(now + 30)), Ok(())),
            (Some(json!(now - 300)), Ok(())),
            (Some(json!(now - 360)), Ok(())),
            (
                Some(json!(now - 361)),
                Err(IdTokenError::SignedInTooLongAgo { auth_time: UnixTime(NOW.0 - 361), now: NOW }),
            ),
            (Some(json!(0)), Err(IdTokenError::SignedInTooLongAgo { auth_time: UnixTime(0), now: NOW })),
            (Some(json!("now")), Err(IdTokenError::Malformed("auth_time"))),
            (Some(json!(1e300)), Err(IdTokenError::Malformed("auth_time"))),
            (Some(json!(-1)), Err(IdTokenError::Malformed("auth_time"))),
            (None, Err(IdTokenError::Missing("auth_time"))),
        ] {
            let mut claims = good();
            auth_time.clone().map(|time| claims.insert("auth_time".into(), time));
            assert_eq!(check(&claims, &rules, NOW).map(|_| ()), answer, "{auth_time:?}");
        }
        // Whoever did not ask for it does not look at it.
        assert_eq!(with("auth_time", Some(json!("never"))), Ok(()));
    }

    /// T-079.
    #[test]
    fn the_token_is_for_us_and_was_asked_for_by_us() {
        use IdTokenError as E;
        let aud = |found: &str| Err(E::Audience { expected: "us".into(), found: found.into() });
        let azp = |found: &str| Err(E::AuthorizedParty { expected: "us".into(), found: found.into() });
        for (audience, party, answer) in [
            (json!("us"), None, Ok(())),
            (json!(["us"]), None, Ok(())),
            (json!(["us", "us"]), None, Ok(())),
            (json!("us"), Some(json!("us")), Ok(())),
            (json!(["us", "them"]), Some(json!("us")), Ok(())),
            (json!("them"), None, aud("them")),
            (json!("them"), Some(json!("us")), aud("them")),
            (json!("US"), None, aud("US")),
            (json!(["them", "others"]), Some(json!("us")), aud("them, others")),
            (json!([]), None, aud("")),
            (json!(""), None, aud("")),
            (json!(["us", "them"]), None, azp("(none)")),
            (json!(["us", "them"]), Some(json!("them")), azp("them")),
            (json!("us"), Some(json!("them")), azp("them")),
            (json!(["us"]), Some(json!("")), azp("")),
            (json!("us"), Some(json!(["us"])), Err(E::Malformed("azp"))),
            (json!(["us", 7]), Some(json!("us")), Err(E::Malformed("aud"))),
            (json!({"us": true}), None, Err(E::Malformed("aud"))),
            (json!(null), None, Err(E::Malformed("aud"))),
        ] {
            let mut claims = good();
            claims.insert("aud".into(), audience.clone());
            party.clone().map(|party| claims.insert("azp".into(), party));
            assert_eq!(check(&claims, &rules(), NOW).map(|_| ()), answer, "aud {audience} azp {party:?}");
        }
        assert_eq!(with("aud", None), Err(E::Missing("aud")));
    }

    /// T-098.
    #[test]
    fn times_have_sixty_seconds_of_leeway_and_no_more() {
        let now = NOW.0 as i64;
        for (claim, offset, ok) in [
            ("exp", 301, true),
            ("exp", 60, true),
            ("exp", 0, true),
            ("exp", -59, true),
            ("exp", -60, false),
            ("exp", -61, false),
            ("exp", -301, false),
            ("nbf", -301, true),
            ("nbf", 0, true),
            ("nbf", 60, true),
            ("nbf", 61, false),
            ("nbf", 301, false),
            ("iat", -301, true),
            ("iat", 0, true),
            ("iat", 60, true),
            ("iat", 61, false),
            ("iat", 301, false),
        ] {
            let result = with(claim, Some(json!(now + offset)));
            assert_eq!(result.is_ok(), ok, "{claim} {offset}: {result:?}");
        }
        assert!(with("exp", Some(json!(NOW.0 as f64 - 59.5))).is_ok());
        assert!(with("exp", Some(json!(NOW.0 as f64 - 60.5))).is_err());
        assert!(with("iat", Some(json!(NOW.0 as f64 + 60.25))).is_err());
    }

    /// T-098.
    #[test]
    fn times_are_numbers_within_reason() {
        for claim in ["exp", "nbf", "iat"] {
            for value in [
                json!("1800000300"),
                json!(-1),
                json!(-1.5),
                json!(1e300),
                json!(-1e300),
                json!(u64::MAX),
                json!(i64::MIN),
                json!(f64::NAN), // becomes null
                json!([NOW.0]),
                json!(true),
                json!(null),
            ] {
                assert_eq!(with(claim, Some(value.clone())), Err(IdTokenError::Malformed(claim)), "{claim} {value}");
            }
        }
        assert_eq!(with("exp", None), Err(IdTokenError::Missing("exp")));
        assert_eq!(with("iat", None), Err(IdTokenError::Missing("iat")));
        assert_eq!(with("nbf", None), Ok(()));
    }

    proptest::proptest! {
        /// T-098.
        #[test]
        fn any_number_is_looked_at_without_a_panic(time: f64, now: u64) {
            for claim in ["exp", "nbf", "iat"] {
                let mut claims = good();
                claims.insert(claim.into(), json!(time));
                let _answer = check(&claims, &rules(), NOW);
                let _answer = check(&claims, &rules(), UnixTime(now));
            }
        }
    }

    #[test]
    fn the_nonce_is_ours() {
        for (nonce, answer) in [
            (Some(json!("n-0S7")), Err(IdTokenError::Nonce)),
            (Some(json!("n-0S6x")), Err(IdTokenError::Nonce)),
            (Some(json!("")), Err(IdTokenError::Nonce)),
            (Some(json!(7)), Err(IdTokenError::Malformed("nonce"))),
            (None, Err(IdTokenError::Missing("nonce"))),
        ] {
            assert_eq!(with("nonce", nonce.clone()), answer, "{nonce:?}");
        }
    }

    #[test]
    fn a_nonce_that_may_be_absent_is_still_compared() {
        let rules = Rules { needs_nonce: false, ..rules() };
        for (nonce, answer) in [
            (None, Ok(())),
            (Some(json!("n-0S6")), Ok(())),
            (Some(json!("n-0S7")), Err(IdTokenError::Nonce)),
            (Some(json!("")), Err(IdTokenError::Nonce)),
            (Some(json!(null)), Err(IdTokenError::Malformed("nonce"))),
        ] {
            let mut claims = good();
            claims.remove("nonce");
            nonce.clone().map(|nonce| claims.insert("nonce".into(), nonce));
            assert_eq!(check(&claims, &rules, NOW).map(|_| ()), answer, "{nonce:?}");
        }
    }

    /// T-091: a refresh answers no request that had one.
    #[test]
    fn at_a_refresh_a_nonce_is_not_looked_at() {
        let rules = Rules { nonce: None, ..rules() };
        for nonce in [None, Some(json!("n-0S6")), Some(json!("another")), Some(json!("")), Some(json!(7))] {
            let mut claims = good();
            claims.remove("nonce");
            nonce.clone().map(|nonce| claims.insert("nonce".into(), nonce));
            assert!(check(&claims, &rules, NOW).is_ok(), "{nonce:?}");
        }
    }

    #[test]
    fn of_a_remembered_token_only_its_times_do_not_matter() {
        use IdTokenError as E;
        let mut settings = crate::providers::testing::settings(ISSUER);
        let expired = || with_claims(&[("exp", json!(1)), ("nonce", json!(null))]);
        let about = |claims, settings: &Settings| remembered(&claims, settings).map(|about| about.subject.to_owned());
        assert_eq!(about(expired(), &settings), Ok("248289761001".to_owned()));
        for (claim, value, error) in [
            ("iss", json!("https://evil"), E::Issuer { expected: ISSUER.into(), found: "https://evil".into() }),
            ("aud", json!("them"), E::Audience { expected: "us".into(), found: "them".into() }),
            ("sub", json!(""), E::Malformed("sub")),
            ("sub", json!(null), E::Malformed("sub")),
        ] {
            assert_eq!(about(with_claims(&[(claim, value)]), &settings), Err(error));
        }
        // A tenant that was allowed then.
        settings.issuer = "https://op.example/{tenantid}".into();
        settings.tenants = Some(Tenants { claim: "tid".into(), allowed: ["realm".into()].into() });
        assert!(about(with_claims(&[("tid", json!("realm"))]), &settings).is_ok());
        settings.tenants = Some(Tenants { claim: "tid".into(), allowed: ["another".into()].into() });
        let gone = about(with_claims(&[("tid", json!("realm"))]), &settings);
        assert_eq!(gone, Err(E::Tenant { allowed: "another".into(), found: "realm".into() }));
    }

    fn with_claims(changes: &[(&str, Value)]) -> Map<String, Value> {
        let mut claims = good();
        claims.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        claims
    }

    /// T-020.
    #[test]
    fn a_subject_is_one_to_255_bytes() {
        for (sub, answer) in [
            (None, Err(IdTokenError::Missing("sub"))),
            (Some(json!("")), Err(IdTokenError::Malformed("sub"))),
            (Some(json!("x".repeat(256))), Err(IdTokenError::Malformed("sub"))),
            (Some(json!(7)), Err(IdTokenError::Malformed("sub"))),
            (Some(json!("x".repeat(255))), Ok(())),
            (Some(json!("google-oauth2|123")), Ok(())),
        ] {
            assert_eq!(with("sub", sub), answer);
        }
    }

    /// The vectors of OpenID Connect Core A.3 (RS256), and the hash of each algorithm.
    #[test]
    fn at_hash_binds_the_access_token() {
        let mut claims = good();
        claims.insert("at_hash".into(), json!("77QmUPtjPfzWtF2AnpK9RQ"));
        let token = |access_token| Rules { access_token, ..rules() };
        let theirs = Some("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
        assert!(check(&claims, &token(theirs), NOW).is_ok());
        for rules in [
            token(Some("another")),
            token(None),
            Rules { algorithm: Algorithm::ES384, ..token(theirs) },
            Rules { algorithm: Algorithm::EdDSA, ..token(theirs) },
            Rules { algorithm: Algorithm::HS256, ..token(theirs) },
        ] {
            assert_eq!(check(&claims, &rules, NOW), Err(IdTokenError::AccessTokenHash), "{rules:?}");
        }
        for (algorithm, characters) in
            [(Algorithm::ES256, 22), (Algorithm::PS384, 32), (Algorithm::RS512, 43), (Algorithm::EdDSA, 43)]
        {
            let half = half_hash("at", algorithm).unwrap();
            assert_eq!(half.len(), characters);
            let mut claims = good();
            claims.insert("at_hash".into(), json!(half));
            assert!(check(&claims, &Rules { algorithm, ..rules() }, NOW).is_ok());
        }
        assert_eq!(with("at_hash", Some(json!(7))), Err(IdTokenError::Malformed("at_hash")));
    }
}
