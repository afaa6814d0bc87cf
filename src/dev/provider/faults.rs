//! What the provider gets wrong on purpose, so that a gateway's refusals can be tested against a real one.
//!
//! Every switch is a method on [`Faults`], reached through [`Provider::faults`](super::Provider::faults) by the program that
//! embeds the provider. No address, parameter or header leads here: `doorward dev` never calls them, and nothing outside its
//! process can.
//!
//! What happens `next` happens once, in the order it was asked for; everything else lasts until it is replaced or cleared.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{Endpoint, lock};
use crate::dev::{
    answer::{self, Answer, Body},
    loopback::HangUp,
};

/// A JSON object.
pub type JsonObject = Map<String, Value>;

/// What happens at an endpoint instead of its answer, or before it.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer.
    Answer {
        /// Any status.
        status: StatusCode,
        /// What `Content-Type` says.
        content_type: String,
        /// The body, whatever it is.
        body: Bytes,
    },
    /// A redirect (302) there.
    Redirect(String),
    /// The connection closes and nothing is said.
    Close,
    /// 200 and JSON's content type, then `chunk` again and again without an end: zero `every` is as fast as the peer reads.
    Endless {
        /// What is repeated.
        chunk: Bytes,
        /// The time between two.
        every: Duration,
    },
    /// The ordinary answer, this much later.
    Delay(Duration),
    /// The ordinary answer once the token is cancelled, at most [`Fault::LONGEST_HOLD`] later: for tests that decide when
    /// the provider goes on.
    Hold(CancellationToken),
}

impl Fault {
    /// How long [`Fault::Hold`] waits.
    pub const LONGEST_HOLD: Duration = Duration::from_secs(60);

    /// An answer with a body in JSON.
    #[must_use]
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// An answer with any body.
    #[must_use]
    pub fn text(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::Answer { status, content_type: content_type.to_owned(), body: body.into() }
    }
}

/// How an ID token is signed instead of properly. The header's `alg` follows.
#[derive(Clone, Debug)]
pub enum Signature {
    /// By an ES256 key that was never published, under the `kid` of one that is.
    Unpublished,
    /// Not at all: `alg` is `none` and the signature empty.
    None,
    /// `HS256` with a key that a careless verifier might use (RFC 8725 §2.1).
    Hs256(HmacKey),
}

/// Bytes used as a shared secret.
#[derive(Clone, Debug)]
pub enum HmacKey {
    /// The public key as a PEM file.
    PublicPem,
    /// The public key as DER.
    PublicDer,
    /// The public key as JSON, as the JWKS has it.
    PublicJwk,
    /// Anything else, a client secret for instance.
    Bytes(Vec<u8>),
}

/// The switches. All are off at first; all can be turned while the provider runs.
#[derive(Default)]
pub struct Faults {
    planned: Mutex<HashMap<Endpoint, Planned>>,
    signature: Mutex<VecDeque<Signature>>,
    id_token: Hook<IdToken>,
    logout_token: Hook<IdToken>,
    token_answer: Hook<JsonObject>,
    userinfo: Hook<JsonObject>,
    introspection: Hook<JsonObject>,
    metadata: Hook<JsonObject>,
    keys: Hook<Vec<Value>>,
}

#[derive(Default)]
struct Planned {
    next: VecDeque<Fault>,
    lasting: Option<Fault>,
}

/// An ID token, or a logout token, that is not signed yet.
pub(super) struct IdToken {
    pub(super) header: JsonObject,
    pub(super) claims: JsonObject,
}

impl Faults {
    /// The next request to `endpoint` meets `fault`.
    pub fn next(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.planned).entry(endpoint).or_default().next.push_back(fault);
    }

    /// Every request to `endpoint` meets `fault` from now on.
    pub fn lasting(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.planned).entry(endpoint).or_default().lasting = Some(fault);
    }

    /// Requests to `endpoint` meet no fault any more, planned ones included.
    pub fn clear(&self, endpoint: Endpoint) {
        lock(&self.planned).remove(&endpoint);
    }

    /// Signs the next ID token that way. A change of its header comes afterwards and may contradict it.
    pub fn next_signature(&self, signature: Signature) {
        lock(&self.signature).push_back(signature);
    }

    /// Changes the next ID token's header and claims before it is signed.
    pub fn next_id_token(&self, change: impl FnOnce(&mut JsonObject, &mut JsonObject) + Send + 'static) {
        self.id_token.next(|token| change(&mut token.header, &mut token.claims));
    }

    /// Changes every ID token's header and claims before it is signed.
    pub fn id_tokens(&self, mut change: impl FnMut(&mut JsonObject, &mut JsonObject) + Send + 'static) {
        self.id_token.lasting(move |token| change(&mut token.header, &mut token.claims));
    }

    /// Changes the next logout token's header and claims before it is signed.
    pub fn next_logout_token(&self, change: impl FnOnce(&mut JsonObject, &mut JsonObject) + Send + 'static) {
        self.logout_token.next(|token| change(&mut token.header, &mut token.claims));
    }

    /// Changes the next good answer of the token endpoint.
    pub fn next_token_answer(&self, change: impl FnOnce(&mut JsonObject) + Send + 'static) {
        self.token_answer.next(change);
    }

    /// Changes every good answer of the token endpoint.
    pub fn token_answers(&self, change: impl FnMut(&mut JsonObject) + Send + 'static) {
        self.token_answer.lasting(change);
    }

    /// Changes the next good answer of the userinfo endpoint.
    pub fn next_userinfo(&self, change: impl FnOnce(&mut JsonObject) + Send + 'static) {
        self.userinfo.next(change);
    }

    /// Changes every good answer of the userinfo endpoint.
    pub fn userinfos(&self, change: impl FnMut(&mut JsonObject) + Send + 'static) {
        self.userinfo.lasting(change);
    }

    /// Changes the next answer about a token at the introspection endpoint.
    pub fn next_introspection(&self, change: impl FnOnce(&mut JsonObject) + Send + 'static) {
        self.introspection.next(change);
    }

    /// Changes the metadata.
    pub fn metadata(&self, change: impl FnMut(&mut JsonObject) + Send + 'static) {
        self.metadata.lasting(change);
    }

    /// Changes the published keys, each a JWK.
    pub fn keys(&self, change: impl FnMut(&mut Vec<Value>) + Send + 'static) {
        self.keys.lasting(change);
    }

    /// Ends every change, planned or lasting, and every fault.
    pub fn clear_all(&self) {
        lock(&self.planned).clear();
        lock(&self.signature).clear();
        self.id_token.clear();
        self.logout_token.clear();
        self.token_answer.clear();
        self.userinfo.clear();
        self.introspection.clear();
        self.metadata.clear();
        self.keys.clear();
    }

    /// What the fault planned for `endpoint` answers; `None` when the endpoint shall answer itself.
    pub(in crate::dev) async fn strike(&self, endpoint: Endpoint) -> Result<Option<Answer>, HangUp> {
        let Some(fault) = self.planned_for(endpoint) else { return Ok(None) };
        match fault {
            Fault::Answer { status, content_type, body } => Ok(Some(answer::with(status, &content_type, body))),
            Fault::Redirect(location) => {
                let mut answer = answer::redirect(&location);
                *answer.status_mut() = StatusCode::FOUND;
                Ok(Some(answer))
            }
            Fault::Close => Err(HangUp),
            Fault::Endless { chunk, every } => {
                Ok(Some(answer::with(StatusCode::OK, "application/json", Body::endless(chunk, every))))
            }
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(None)
            }
            Fault::Hold(until) => {
                // When the time is over first, the answer comes anyway and the test sees that.
                let _ = tokio::time::timeout(Fault::LONGEST_HOLD, until.cancelled()).await;
                Ok(None)
            }
        }
    }

    fn planned_for(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut planned = lock(&self.planned);
        let planned = planned.get_mut(&endpoint)?;
        planned.next.pop_front().or_else(|| planned.lasting.clone())
    }

    pub(super) fn take_signature(&self) -> Option<Signature> {
        lock(&self.signature).pop_front()
    }

    pub(super) fn change_id_token(&self, token: &mut IdToken) {
        self.id_token.apply(token);
    }

    pub(super) fn change_logout_token(&self, token: &mut IdToken) {
        self.logout_token.apply(token);
    }

    pub(super) fn change_token_answer(&self, answer: &mut JsonObject) {
        self.token_answer.apply(answer);
    }

    pub(super) fn change_userinfo(&self, answer: &mut JsonObject) {
        self.userinfo.apply(answer);
    }

    pub(super) fn change_introspection(&self, answer: &mut JsonObject) {
        self.introspection.apply(answer);
    }

    pub(super) fn change_metadata(&self, metadata: &mut JsonObject) {
        self.metadata.apply(metadata);
    }

    pub(super) fn change_keys(&self, keys: &mut Vec<Value>) {
        self.keys.apply(keys);
    }
}

type Once<T> = Box<dyn FnOnce(&mut T) + Send>;
type Lasting<T> = Arc<Mutex<dyn FnMut(&mut T) + Send>>;

/// Changes to one kind of answer: the lasting one first, then the next one planned.
struct Hook<T> {
    next: Mutex<VecDeque<Once<T>>>,
    lasting: Mutex<Option<Lasting<T>>>,
}

impl<T> Default for Hook<T> {
    fn default() -> Self {
        Self { next: Mutex::default(), lasting: Mutex::default() }
    }
}

impl<T> Hook<T> {
    fn next(&self, change: impl FnOnce(&mut T) + Send + 'static) {
        lock(&self.next).push_back(Box::new(change));
    }

    fn lasting(&self, change: impl FnMut(&mut T) + Send + 'static) {
        *lock(&self.lasting) = Some(Arc::new(Mutex::new(change)));
    }

    fn clear(&self) {
        lock(&self.next).clear();
        *lock(&self.lasting) = None;
    }

    fn apply(&self, value: &mut T) {
        // Taken out of the lock before it runs: a change may plan the next one.
        let lasting = lock(&self.lasting).clone();
        if let Some(change) = lasting {
            (lock(&change))(value);
        }
        let next = lock(&self.next).pop_front();
        if let Some(change) = next {
            change(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::dev::provider::{
        id_token::hs256,
        testing::{Running, SECRET},
    };

    #[tokio::test]
    async fn a_fault_strikes_once_or_until_it_is_cleared() {
        let op = Running::start().await;
        let faults = op.provider.faults();
        faults.next(Endpoint::Keys, Fault::json(StatusCode::BAD_GATEWAY, &json!({"x": 1})));
        faults.next(Endpoint::Keys, Fault::Redirect("http://evil.example/".to_owned()));
        faults.lasting(Endpoint::Keys, Fault::text(StatusCode::OK, "text/html", "<html>"));
        let answer = op.get(Endpoint::Keys).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (502, r#"{"x":1}"#));
        let answer = op.get(Endpoint::Keys).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, "http://evil.example/"));
        for _ in 0..2 {
            let answer = op.get(Endpoint::Keys).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/html"));
        }
        assert_eq!(op.get(Endpoint::Discovery).await.status, 200, "the other endpoints are well");
        faults.clear(Endpoint::Keys);
        assert!(op.get(Endpoint::Keys).await.json()["keys"].is_array());
        assert_eq!(op.provider.requests(Endpoint::Keys), 5);
    }

    #[tokio::test]
    async fn a_connection_can_break() {
        let op = Running::start().await;
        op.provider.faults().next(Endpoint::Token, Fault::Close);
        let request = op.caller.form(Endpoint::Token.path(), &[]);
        assert!(op.caller.try_send(request).await.unwrap_err().is_incomplete_message());
    }

    #[tokio::test]
    async fn an_answer_can_be_held_until_the_test_says_so() {
        let op = Running::start().await;
        let until = CancellationToken::new();
        op.provider.faults().next(Endpoint::Keys, Fault::Hold(until.clone()));
        let meanwhile = async {
            op.provider.received(Endpoint::Keys, 1).await;
            assert_eq!(op.get(Endpoint::Discovery).await.status, 200);
            until.cancel();
        };
        let (answer, ()) = tokio::join!(op.get(Endpoint::Keys), meanwhile);
        assert_eq!(answer.status, 200);
        op.provider.faults().next(Endpoint::Keys, Fault::Delay(Duration::from_millis(1)));
        assert_eq!(op.get(Endpoint::Keys).await.status, 200);
    }

    /// T-107.
    #[tokio::test]
    async fn an_answer_can_have_no_end() {
        let op = Running::start().await;
        for (every, enough) in [(Duration::ZERO, 4 * 1024 * 1024), (Duration::from_millis(1), 10)] {
            let chunk = Bytes::from_static(&[b' '; 1024]);
            op.provider.faults().next(Endpoint::Token, Fault::Endless { chunk, every });
            let address = op.provider.issuer().strip_prefix("http://").unwrap();
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("POST /token HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let read = stream.take(enough).read_to_end(&mut Vec::new()).await.unwrap();
            assert_eq!(read as u64, enough);
        }
    }

    #[tokio::test]
    async fn answers_change_once_or_from_now_on() {
        let op = Running::start().await;
        let faults = op.provider.faults();
        faults.metadata(|metadata| _ = metadata.insert("issuer".to_owned(), json!("someone else")));
        faults.keys(Vec::clear);
        for _ in 0..2 {
            assert_eq!(op.get(Endpoint::Discovery).await.json()["issuer"], "someone else");
            assert_eq!(op.get(Endpoint::Keys).await.json(), json!({"keys": []}));
        }
        faults.next_token_answer(|answer| _ = answer.insert("expires_in".to_owned(), json!("3600")));
        faults.token_answers(|answer| _ = answer.remove("refresh_token"));
        let tokens = op.tokens().await;
        assert_eq!((&tokens["expires_in"], tokens.get("refresh_token")), (&json!("3600"), None));
        let tokens = op.tokens().await;
        assert_eq!((&tokens["expires_in"], tokens.get("refresh_token")), (&json!(600), None));
        faults.userinfos(|claims| _ = claims.remove("email"));
        faults.next_userinfo(|claims| _ = claims.insert("sub".to_owned(), json!("grace")));
        let access_token = tokens["access_token"].as_str().unwrap();
        for sub in ["grace", "ada"] {
            let claims = op.userinfo(access_token).await.json();
            assert_eq!((&claims["sub"], claims.get("email")), (&json!(sub), None));
        }
        faults.next_introspection(|told| _ = told.insert("active".to_owned(), json!(false)));
        for active in [false, true] {
            assert_eq!(op.is_active(access_token).await, active);
        }
        faults.clear_all();
        assert_eq!(op.get(Endpoint::Discovery).await.json()["issuer"], op.provider.issuer());
        assert_eq!(op.userinfo(access_token).await.json()["email"], "ada@example.com");
    }

    #[tokio::test]
    async fn an_id_token_is_changed_before_it_is_signed() {
        let op = Running::start().await;
        let faults = op.provider.faults();
        faults.next_id_token(|header, claims| {
            header.insert("typ".to_owned(), json!("at+jwt"));
            claims.insert("nonce".to_owned(), json!("someone else's"));
        });
        let token = op.checked(&op.tokens().await["id_token"]).await.unwrap();
        assert_eq!((token.header.typ.as_deref(), &token.claims["nonce"]), (Some("at+jwt"), &json!("someone else's")));
        let token = op.checked(&op.tokens().await["id_token"]).await.unwrap();
        assert_eq!(token.claims["nonce"], json!("a-nonce"));
        faults.id_tokens(|_, claims| claims.retain(|name, _| !matches!(&**name, "email" | "groups")));
        for _ in 0..2 {
            let token = op.checked(&op.tokens().await["id_token"]).await.unwrap();
            assert!(!token.claims.contains_key("email") && token.claims.contains_key("name"));
        }
    }

    /// T-082.
    #[tokio::test]
    async fn a_signature_can_be_anything_but_good() {
        let op = Running::start().await;
        let jwk = op.get(Endpoint::Keys).await.json()["keys"][0].to_string();
        for (signature, algorithm) in [
            (Signature::Unpublished, "ES256"),
            (Signature::None, "none"),
            (Signature::Hs256(HmacKey::PublicPem), "HS256"),
            (Signature::Hs256(HmacKey::PublicDer), "HS256"),
            (Signature::Hs256(HmacKey::PublicJwk), "HS256"),
            (Signature::Hs256(HmacKey::Bytes(SECRET.into())), "HS256"),
        ] {
            op.provider.faults().next_signature(signature.clone());
            let tokens = op.tokens().await;
            let token = tokens["id_token"].as_str().unwrap();
            let (input, signed) = token.rsplit_once('.').unwrap();
            let header = BASE64URL.decode(token.split('.').next().unwrap()).unwrap();
            let header: JsonObject = serde_json::from_slice(&header).unwrap();
            assert_eq!((&header["alg"], &header["kid"]), (&json!(algorithm), &json!(op.provider.kid())));
            match signature {
                Signature::Unpublished => assert!(op.checked(&tokens["id_token"]).await.is_err()),
                Signature::None => assert_eq!(signed, ""),
                Signature::Hs256(HmacKey::PublicJwk) => {
                    assert_eq!(signed, BASE64URL.encode(hs256(jwk.as_bytes(), input.as_bytes())));
                }
                Signature::Hs256(HmacKey::Bytes(bytes)) => {
                    assert_eq!(signed, BASE64URL.encode(hs256(&bytes, input.as_bytes())));
                }
                Signature::Hs256(HmacKey::PublicPem | HmacKey::PublicDer) => assert_eq!(signed.len(), 43),
            }
        }
        op.checked(&op.tokens().await["id_token"]).await.unwrap();
    }
}
