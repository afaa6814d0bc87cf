//! A signed word to one application about who is calling: an ES256 JWT for the next minutes, for those that verify instead of trust.
//!
//! * It is for one audience: an application that checks `aud` takes none that was made for another (RFC 8725 §3.9).
//! * The first key signs, all are published, so that keys can change without a gap.
//! * It is made once for each session or token, audience and minute. The cache has a size, and no lock is held while signing.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::{clock::UnixTime, identity::Identity, origin::Origin, sessions::SessionId, tokens};

/// Assertions that are kept at most: about a kilobyte each.
const MAX_KEPT: usize = 10_000;

/// How assertions are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Carries them.
    pub header: HeaderName,
    /// Signs.
    pub key: Key,
    /// Published beside it.
    pub previous_keys: Vec<Key>,
    /// How long they count from the moment they are signed; longer than a minute, as they are used again for so long.
    pub lifetime: Duration,
}

/// A key on P-256 with its public half.
#[derive(Clone)]
pub struct Key(Arc<Pair>);

struct Pair {
    pair: EcdsaKeyPair,
    kid: String,
    x: String,
    y: String,
}

impl Key {
    /// The private key in `der`: PKCS#8 or SEC 1. `None` for anything else, or another curve.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?;
        // SEC 1 §2.3.3, uncompressed: 04, x, y.
        let (x, y) = match pair.public_key().as_ref() {
            [4, point @ ..] => point.split_at_checked(32)?,
            _ => return None,
        };
        let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
        // RFC 7638 §3: the required members, sorted, without white space.
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = BASE64URL.encode(digest(&SHA256, members.as_bytes()));
        Some(Self(Arc::new(Pair { pair, kid, x, y })))
    }

    /// Its name in tokens and in the published set: its thumbprint (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    fn jwk(&self) -> Value {
        let Pair { kid, x, y, .. } = &*self.0;
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256" })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.kid()).finish()
    }
}

impl Settings {
    /// The public halves of all keys, as a JWK set (RFC 7517 §5).
    #[must_use]
    pub fn jwks(&self) -> String {
        let keys: Vec<_> = [&self.key].into_iter().chain(&self.previous_keys).map(Key::jwk).collect();
        json!({ "keys": keys }).to_string()
    }
}

/// The key did not sign.
#[derive(Debug, thiserror::Error)]
#[error("the assertion could not be signed")]
pub struct NotSigned;

/// Makes assertions, and keeps those of this minute.
pub struct Assertions {
    header: HeaderName,
    key: Key,
    lifetime: Duration,
    issuer: Box<str>,
    /// The claims that they carry where the session has them.
    claims: Box<[Box<str>]>,
    /// The JOSE header, encoded.
    jose: String,
    kept: Mutex<Kept>,
}

/// By what it is known who is calling: an assertion is kept for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KnownBy {
    /// A session.
    Session(SessionId),
    /// A token, and whom it was checked with.
    Token(tokens::Key),
}

/// The assertions of one minute.
#[derive(Default)]
struct Kept {
    minute: u64,
    signed: HashMap<(KnownBy, Arc<str>), HeaderValue>,
}

impl fmt::Debug for Assertions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertions").field("header", &self.header).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Assertions {
    /// Those of `issuer`, our own origin. They carry `claims` where the session has them.
    #[must_use]
    pub fn new<'a>(settings: &Settings, issuer: &Origin, claims: impl Iterator<Item = &'a str>) -> Self {
        let jose = json!({ "alg": "ES256", "typ": "JWT", "kid": settings.key.kid() });
        Self {
            header: settings.header.clone(),
            key: settings.key.clone(),
            lifetime: settings.lifetime,
            issuer: issuer.as_str().into(),
            claims: claims.map(Into::into).collect(),
            jose: BASE64URL.encode(jose.to_string()),
            kept: Mutex::default(),
        }
    }

    /// The header that carries them.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// That `identity`, known by `by`, is calling `audience`.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn of(
        &self,
        identity: &Identity,
        by: KnownBy,
        audience: &Arc<str>,
        now: UnixTime,
    ) -> Result<HeaderValue, NotSigned> {
        let minute = now.0 / 60;
        let key = (by, Arc::clone(audience));
        if let Some(signed) = self.kept(minute, |kept| kept.get(&key).cloned()) {
            return Ok(signed);
        }
        let signed = self.sign(&self.payload(identity, audience, now))?;
        self.kept(minute, |kept| {
            if kept.len() < MAX_KEPT {
                kept.insert(key, signed.clone());
            }
        });
        Ok(signed)
    }

    /// What is kept for `minute`; what was kept for another is forgotten.
    fn kept<T>(&self, minute: u64, with: impl FnOnce(&mut HashMap<(KnownBy, Arc<str>), HeaderValue>) -> T) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.minute != minute {
            kept.minute = minute;
            kept.signed.clear();
        }
        with(&mut kept.signed)
    }

    fn payload(&self, identity: &Identity, audience: &str, now: UnixTime) -> Value {
        let has = |name: &str| Some((name.to_owned(), identity.claims.get(name)?.into()));
        let mut payload: Map<String, Value> = self.claims.iter().filter_map(|name| has(name)).collect();
        // Last: what a provider calls `sub` is not whom we speak of.
        payload.extend([
            ("iss".to_owned(), json!(self.issuer)),
            ("sub".to_owned(), json!(identity.user.as_str())),
            ("aud".to_owned(), json!(audience)),
            ("iat".to_owned(), json!(now.0)),
            ("exp".to_owned(), json!(now.plus(self.lifetime).0)),
        ]);
        Value::Object(payload)
    }

    /// RFC 7515 §5.1.
    fn sign(&self, payload: &Value) -> Result<HeaderValue, NotSigned> {
        let mut token = format!("{}.{}", self.jose, BASE64URL.encode(payload.to_string()));
        let signature = self.key.0.pair.sign(&SystemRandom::new(), token.as_bytes()).map_err(|_| NotSigned)?;
        token.push('.');
        token.push_str(&BASE64URL.encode(signature));
        let mut value = HeaderValue::try_from(token).map_err(|_| NotSigned)?;
        // Whoever has it is believed for as long as it counts.
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};

    use super::*;
    use crate::identity::{ClaimValue, Claims, UserId};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn key() -> Key {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Key::from_der(pair.to_pkcs8v1().unwrap().as_ref()).unwrap()
    }

    fn settings(key: Key, previous_keys: Vec<Key>) -> Settings {
        let header = HeaderName::from_static("x-assertion");
        Settings { header, key, previous_keys, lifetime: Duration::from_secs(120) }
    }

    fn assertions(settings: &Settings) -> Assertions {
        let issuer = Origin::parse("https://app.example.com").unwrap();
        Assertions::new(settings, &issuer, ["groups", "email", "sub"].into_iter())
    }

    fn identity(user: &str) -> Identity {
        let claims = Claims::from([
            ("groups".into(), ClaimValue::Many(vec!["staff".into(), "a,b".into()])),
            ("sub".into(), ClaimValue::One("the provider's".into())),
            ("unnamed".into(), ClaimValue::One("stays here".into())),
        ]);
        Identity { user: UserId::parse(user).unwrap(), claims }
    }

    fn a_session() -> KnownBy {
        KnownBy::Session(SessionId::random())
    }

    /// What an application does that knows the published keys, its own name and ours; without the clock, which is the test's.
    fn verified(token: &HeaderValue, jwks: &str, audience: &str) -> Option<Value> {
        let token = token.to_str().unwrap();
        let kid = jsonwebtoken::decode_header(token).unwrap().kid?;
        let keys: JwkSet = serde_json::from_str(jwks).unwrap();
        let key = DecodingKey::from_jwk(keys.find(&kid)?).unwrap();
        let mut expected = Validation::new(Algorithm::ES256);
        expected.set_audience(&[audience]);
        expected.set_issuer(&["https://app.example.com"]);
        expected.validate_exp = false;
        jsonwebtoken::decode(token, &key, &expected).ok().map(|verified| verified.claims)
    }

    /// T-010.
    #[test]
    fn another_audience_and_another_gateway_are_refused() {
        let (ours, theirs) = (settings(key(), vec![]), settings(key(), vec![]));
        let audience: Arc<str> = "http://a.internal".into();
        let token = assertions(&ours).of(&identity("ada"), a_session(), &audience, NOW).unwrap();
        assert!(verified(&token, &ours.jwks(), "http://a.internal").is_some());
        assert!(verified(&token, &ours.jwks(), "http://b.internal").is_none(), "for another application");
        assert!(verified(&token, &theirs.jwks(), "http://a.internal").is_none(), "of another gateway");
        let mut changed = token.to_str().unwrap().to_owned();
        let last = changed.pop().unwrap();
        changed.push(if last == 'A' { 'E' } else { 'A' });
        assert!(verified(&changed.parse().unwrap(), &ours.jwks(), "http://a.internal").is_none(), "changed");
    }

    #[test]
    fn it_says_who_for_whom_and_until_when() {
        let settings = settings(key(), vec![]);
        let token = assertions(&settings).of(&identity("ada"), a_session(), &"http://a.internal".into(), NOW).unwrap();
        assert_eq!(
            verified(&token, &settings.jwks(), "http://a.internal").unwrap(),
            json!({
                "iss": "https://app.example.com",
                "sub": "ada",
                "aud": "http://a.internal",
                "iat": NOW.0,
                "exp": NOW.0 + 120,
                "groups": ["staff", "a,b"],
            })
        );
        assert!(token.is_sensitive());
    }

    #[test]
    fn a_former_key_is_published_until_it_is_taken_out() {
        let (old, new) = (key(), key());
        let before = settings(old.clone(), vec![]);
        let token = assertions(&before).of(&identity("ada"), a_session(), &"a".into(), NOW).unwrap();
        let during = settings(new.clone(), vec![old]);
        let later = settings(new, vec![]);
        for (jwks, counts) in [(before.jwks(), true), (during.jwks(), true), (later.jwks(), false)] {
            assert_eq!(verified(&token, &jwks, "a").is_some(), counts, "{jwks}");
        }
        let token = assertions(&during).of(&identity("ada"), a_session(), &"a".into(), NOW).unwrap();
        assert!(verified(&token, &later.jwks(), "a").is_some(), "the first signs");
        assert!(!during.jwks().contains("\"d\""), "public halves only");
    }

    /// One for each session or token, audience and minute; ES256 signatures differ each time, so the same token is the same signing.
    #[test]
    fn it_is_signed_once_a_minute() {
        let assertions = assertions(&settings(key(), vec![]));
        let ada = identity("ada");
        let (one, other, token) = (a_session(), a_session(), KnownBy::Token([7; 32]));
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let first = assertions.of(&ada, one, &a, NOW).unwrap();
        for (by, audience, seconds, is_same) in [
            (one, &a, 0, true),
            (one, &a, 59, true),
            (one, &b, 0, false),
            (other, &a, 0, false),
            (token, &a, 0, false),
            (one, &a, 60, false),
        ] {
            let again = assertions.of(&ada, by, audience, NOW.plus(Duration::from_secs(seconds))).unwrap();
            assert_eq!(first == again, is_same, "{seconds} {audience}");
        }
        assert_eq!(NOW.0 % 60, 0);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let assertions = assertions(&settings(key(), vec![]));
        let value = HeaderValue::from_static("kept");
        assertions.kept(NOW.0 / 60, |kept| {
            kept.extend((0..MAX_KEPT).map(|n| ((KnownBy::Token([7; 32]), n.to_string().into()), value.clone())));
        });
        assertions.of(&identity("ada"), a_session(), &"a".into(), NOW).unwrap();
        assert_eq!(assertions.kept(NOW.0 / 60, |kept| kept.len()), MAX_KEPT);
        assert_eq!(assertions.kept(NOW.0 / 60 + 1, |kept| kept.len()), 0);
    }

    #[test]
    fn a_key_is_one_on_p256() {
        use aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
        let other = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        assert!(Key::from_der(other.to_pkcs8v1().unwrap().as_ref()).is_none(), "another curve");
        assert!(Key::from_der(b"").is_none());
        let key = key();
        assert_eq!(BASE64URL.decode(key.kid()).unwrap().len(), 32);
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk()).unwrap();
        assert_eq!(key.kid(), jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap());
        assert_eq!(format!("{key:?}"), format!("Key({:?})", key.kid()));
    }
}
