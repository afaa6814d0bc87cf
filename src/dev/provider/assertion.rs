//! Clients that prove themselves with a key: by an assertion (`private_key_jwt`, RFC 7523 §3), or by a client secret that is a token of their
//! own making (Apple).

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous};
use serde_json::Value;

use super::{
    Endpoint, State,
    client::Client,
    faults::JsonObject,
    lock,
    refusal::{ErrorCode, Refusal},
    request::Params,
};
use crate::clock::UnixTime;

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion may be good.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long a minted secret may be good: six months, as Apple has it.
const SECRET_LIFETIME: Duration = Duration::from_secs(182 * 24 * 60 * 60);

/// A client's public key, and what is proven with it.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// The public key in PEM.
    pub pem: String,
    /// The only algorithm it is used with.
    pub algorithm: Algorithm,
    /// What the client shows.
    pub proof: KeyProof,
}

/// What a client with a key shows.
#[derive(Clone, Debug)]
pub enum KeyProof {
    /// `client_assertion`.
    Assertion,
    /// `client_secret`, a token.
    MintedSecret {
        /// Its `iss`: whom the client belongs to.
        team: String,
        /// Its `aud`.
        audience: String,
    },
}

impl ClientKey {
    fn decoding_key(&self) -> Option<DecodingKey> {
        let pem = self.pem.as_bytes();
        match self.algorithm.family() {
            jsonwebtoken::AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem).ok(),
            jsonwebtoken::AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem).ok(),
            jsonwebtoken::AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem).ok(),
            jsonwebtoken::AlgorithmFamily::Hmac => None,
        }
    }

    /// The claims of `token` when this key signed it. Times are not looked at: the library's clock is not ours.
    fn claims(&self, token: &str) -> Option<JsonObject> {
        let mut checks = Validation::new(self.algorithm);
        checks.required_spec_claims.clear();
        checks.validate_exp = false;
        checks.validate_aud = false;
        let data = jsonwebtoken::decode::<JsonObject>(token, &self.decoding_key()?, &checks).ok()?;
        Some(data.claims)
    }
}

fn refused(description: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidClient, description)
}

impl State {
    /// The client whose assertion the form carries, proven; `None` when it carries none.
    pub(super) fn asserted(&self, form: &Params) -> Result<Option<&Client>, Refusal> {
        let Some(token) = form.one("client_assertion")? else { return Ok(None) };
        if form.one("client_assertion_type")? != Some(ASSERTION_TYPE) {
            return Err(refused("the type of the client assertion is not supported"));
        }
        // RFC 7521 §4.2: `client_id` may be left out, the subject says it. It is believed only once the key has been seen.
        let unproven = dangerous::insecure_decode::<JsonObject>(token)
            .map_err(|_| refused("the client assertion is not a JWT"))?;
        let id = text(&unproven.claims, "sub").ok_or_else(|| refused("the client assertion names nobody"))?;
        if form.one("client_id")?.is_some_and(|named| named != id) {
            return Err(refused("client_id differs from the client assertion"));
        }
        let client = self.client(id).ok_or_else(|| refused("unknown client"))?;
        let key = client.key.as_ref().filter(|key| matches!(key.proof, KeyProof::Assertion));
        let claims = key.and_then(|key| key.claims(token)).ok_or_else(|| refused("not signed by the client's key"))?;
        if text(&claims, "iss") != Some(id) {
            return Err(refused("the client assertion has another issuer"));
        }
        let ours = [self.name(), self.issuer.text.clone(), self.issuer.at(Endpoint::Token)];
        if !audience(&claims).iter().any(|found| ours.iter().any(|ours| found == ours)) {
            return Err(refused("the client assertion is meant for somebody else"));
        }
        is_fresh(&claims, self.clock.now(), ASSERTION_LIFETIME)?;
        // RFC 7523 §3 (7): once.
        let jti = text(&claims, "jti").ok_or_else(|| refused("the client assertion has no jti"))?;
        if !lock(&self.grants).assertions.insert(jti.to_owned()) {
            return Err(refused("the client assertion was used before"));
        }
        Ok(Some(client))
    }
}

/// Whether `secret` is one that `key` minted for `client`.
pub(super) fn is_minted(key: &ClientKey, client: &str, secret: &str, now: UnixTime) -> bool {
    let KeyProof::MintedSecret { team, audience: meant } = &key.proof else { return false };
    key.claims(secret).is_some_and(|claims| {
        text(&claims, "iss") == Some(team)
            && text(&claims, "sub") == Some(client)
            && audience(&claims) == [meant.as_str()]
            && is_fresh(&claims, now, SECRET_LIFETIME).is_ok()
    })
}

fn text<'a>(claims: &'a JsonObject, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// RFC 7519 §4.1.3: one text or several.
fn audience(claims: &JsonObject) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        one => one.and_then(Value::as_str).into_iter().collect(),
    }
}

fn is_fresh(claims: &JsonObject, now: UnixTime, lifetime: Duration) -> Result<(), Refusal> {
    let ends = claims.get("exp").and_then(Value::as_u64).ok_or_else(|| refused("the proof never ends"))?;
    if ends <= now.0 || ends > now.plus(lifetime).0 {
        return Err(refused("the proof has ended, or lives too long"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use base64::{Engine, engine::general_purpose::STANDARD};
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        clock::Clock,
        dev::{
            provider::{
                Provider,
                testing::{CALLBACK, START, changed, redemption, request},
            },
            testing::{Caller, Stop},
        },
    };

    struct Key {
        private: EncodingKey,
        public: String,
    }

    impl Key {
        fn new() -> Self {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let private = pair.to_pkcs8v1().unwrap();
            let public = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
            let public = STANDARD.encode(public.as_ref());
            Self {
                private: EncodingKey::from_ec_der(private.as_ref()),
                public: format!("-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----\n"),
            }
        }

        fn sign(&self, claims: &Value) -> String {
            jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &self.private).unwrap()
        }
    }

    fn with(mut claims: Value, changes: &Value) -> Value {
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    /// A provider that knows `app` by `key`; what its token endpoint answers to each of `forms`.
    async fn answers(key: &Key, proof: KeyProof, forms: impl Fn(&str) -> Vec<Vec<(&'static str, String)>>) -> Vec<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = Client {
            id: "app".to_owned(),
            secret: None,
            key: Some(ClientKey { pem: key.public.clone(), algorithm: Algorithm::ES256, proof }),
            redirect_uris: vec![CALLBACK.to_owned()],
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            frontchannel_logout_uri: None,
        };
        let provider = Provider::new(format!("http://{address}"), vec![client], Clock::stopped(START));
        let _stop = Stop::when(|stop| provider.clone().serve(listener, stop));
        let caller = Caller::new(address);
        let mut answers = Vec::new();
        for proof in forms(provider.issuer()) {
            let choice = [("request", &*request(&[])), ("person", "ada")];
            let back = caller.send(caller.form(Endpoint::Decision.path(), &choice)).await;
            let code = back.redirected_with("code").unwrap();
            let proof: Vec<_> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let form = changed(&redemption(&code), &proof);
            answers.push(caller.send(caller.form(Endpoint::Token.path(), &form)).await.status.as_u16());
        }
        answers
    }

    /// RFC 7523 §3.
    #[tokio::test]
    async fn an_assertion_is_the_clients_own_fresh_and_used_once() {
        let key = Key::new();
        let cases = [
            (json!({}), 200),
            (json!({}), 401), // the same `jti`
            (json!({"jti": null}), 401),
            (json!({"jti": "2", "iss": "other"}), 401),
            (json!({"jti": "3", "sub": "other"}), 401),
            (json!({"jti": "4", "aud": "https://elsewhere.example"}), 401),
            (json!({"jti": "5", "exp": START.0}), 401),
            (json!({"jti": "6", "exp": START.0 + 301}), 401),
            (json!({"jti": "7", "exp": null}), 401),
            (json!({"jti": "8", "aud": ["ISSUER"]}), 200),
        ];
        let forms = |issuer: &str| {
            let good =
                json!({"iss": "app", "sub": "app", "aud": format!("{issuer}/token"), "exp": START.0 + 60, "jti": "1"});
            let form =
                |token: String| vec![("client_assertion_type", ASSERTION_TYPE.to_owned()), ("client_assertion", token)];
            let tokens = cases.iter().map(|(changes, _)| {
                let claims = with(good.clone(), changes).to_string().replace("ISSUER", issuer);
                form(key.sign(&serde_json::from_str(&claims).unwrap()))
            });
            let forged = with(good.clone(), &json!({"jti": "9"}));
            let others = [
                form(Key::new().sign(&forged)),
                vec![("client_assertion", key.sign(&forged))],
                vec![("client_id", "app".to_owned())],
                vec![("client_id", "app".to_owned()), ("client_secret", key.sign(&forged))],
            ];
            tokens.chain(others).collect()
        };
        let expected: Vec<u16> = cases.iter().map(|(_, status)| *status).chain([401; 4]).collect();
        assert_eq!(answers(&key, KeyProof::Assertion, forms).await, expected);
    }

    #[tokio::test]
    async fn a_minted_secret_is_the_teams_own() {
        let key = Key::new();
        let cases = [
            (json!({}), 200),
            (json!({}), 200), // as often as one likes
            (json!({"iss": "app"}), 401),
            (json!({"sub": "TEAM"}), 401),
            (json!({"aud": "https://elsewhere.example"}), 401),
            (json!({"exp": START.0}), 401),
            (json!({"exp": START.0 + 200 * 86_400}), 401),
        ];
        let forms = |_: &str| {
            let good = json!({"iss": "TEAM", "sub": "app", "aud": "https://appleid.apple.com", "exp": START.0 + 300});
            let form = |secret| vec![("client_id", "app".to_owned()), ("client_secret", secret)];
            let forged = form(Key::new().sign(&good));
            let minted = cases.iter().map(|(changes, _)| form(key.sign(&with(good.clone(), changes))));
            minted.chain([forged, vec![("client_id", "app".to_owned())]]).collect()
        };
        let proof =
            KeyProof::MintedSecret { team: "TEAM".to_owned(), audience: "https://appleid.apple.com".to_owned() };
        let expected: Vec<u16> = cases.iter().map(|(_, status)| *status).chain([401; 2]).collect();
        assert_eq!(answers(&key, proof, forms).await, expected);
    }
}
