//! For tests only: keys made on the spot, and a provider on a loopback socket that answers whatever it is told to.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto, jwk::Jwk};
use rustls::RootCertStore;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::{Bearer, BearerMethod, Limits, Providers, Settings};
use crate::{
    clock::{Clock, UnixTime},
    identity::ProviderName,
    secret::Secret,
};

pub(super) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Read once: that takes longer than most tests.
static SYSTEM_ROOTS: LazyLock<RootCertStore> = LazyLock::new(crate::outgoing::system_roots);

/// A signing key of a provider.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(super) kid: &'static str,
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
    pkcs8: Vec<u8>,
}

impl Signer {
    pub(crate) fn rs256(kid: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // jsonwebtoken's DER is PKCS#1; its PEM reader also takes the PKCS#8 that aws-lc gives.
        let key = EncodingKey::from_rsa_pem(pem(der.as_ref()).as_bytes()).unwrap();
        Self { kid, algorithm: Algorithm::RS256, key, pkcs8: der.as_ref().to_vec() }
    }

    pub(crate) fn es256(kid: &'static str) -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        Self { kid, algorithm: Algorithm::ES256, key, pkcs8: pkcs8.as_ref().to_vec() }
    }

    pub(crate) fn es384(kid: &'static str) -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        Self { kid, algorithm: Algorithm::ES384, key, pkcs8: pkcs8.as_ref().to_vec() }
    }

    pub(crate) fn eddsa(kid: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        let key = EncodingKey::from_ed_der(pkcs8.as_ref());
        Self { kid, algorithm: Algorithm::EdDSA, key, pkcs8: pkcs8.as_ref().to_vec() }
    }

    pub(crate) fn using(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The private key.
    pub(super) fn pem(&self) -> Secret<String> {
        Secret::new(pem(&self.pkcs8))
    }

    /// The public key, without `alg`.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        let members = jwk.as_object_mut().unwrap();
        members.remove("alg");
        members.insert("kid".to_owned(), json!(self.kid));
        jwk
    }

    pub(super) fn decoding_key(&self) -> DecodingKey {
        DecodingKey::from_jwk(&serde_json::from_value(self.jwk()).unwrap()).unwrap()
    }

    pub(super) fn header(&self) -> Value {
        json!({"alg": self.algorithm, "kid": self.kid, "typ": "JWT"})
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_bytes(&self.header(), claims.to_string().as_bytes())
    }

    pub(crate) fn sign_bytes(&self, header: &Value, payload: &[u8]) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let signature = crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

fn pem(pkcs8: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8))
}

/// Header and claims of a token by `signer`, whose signature has been checked.
pub(super) fn opened(signer: &Signer, token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let message = format!("{}.{}", parts[0], parts[1]);
    assert!(crypto::verify(parts[2], message.as_bytes(), &signer.decoding_key(), signer.algorithm).unwrap());
    let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    (part(parts[0]), part(parts[1]))
}

/// A token with any signature.
pub(super) fn token_with(header: &Value, payload: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(payload))
}

/// What the fake provider answers at a path.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Status 200, `application/json`.
    Json(Value),
    /// Anything.
    Any { status: u16, headers: Vec<(&'static str, &'static str)>, body: Bytes },
    /// Nothing, ever.
    Never,
    /// A head, and then no body.
    Stalls,
}

/// A request that the fake provider got.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Seen {
    /// The posted form.
    pub(super) fn form(&self) -> HashMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    /// A header, or nothing.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A provider on a loopback socket.
pub(super) struct FakeProvider {
    pub(super) origin: String,
    script: Arc<Script>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    answers: Mutex<HashMap<String, Answer>>,
    seen: Mutex<Vec<Seen>>,
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeProvider {
    /// With metadata and nothing else.
    pub(super) async fn start() -> Self {
        Self::listen("http", "127.0.0.1", None).await
    }

    /// The same over TLS, as `localhost`.
    pub(super) async fn start_tls(tls: TlsAcceptor) -> Self {
        Self::listen("https", "localhost", Some(tls)).await
    }

    async fn listen(scheme: &str, host: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let origin = format!("{scheme}://{host}:{}", listener.local_addr().unwrap().port());
        let script = Arc::new(Script::default());
        let shared = Arc::clone(&script);
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (script, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&script), request));
                    // A client that gives up is one of the cases.
                    let _over = match tls {
                        None => http1::Builder::new().serve_connection(TokioIo::new(socket), service).await,
                        Some(tls) => {
                            let Ok(socket) = tls.accept(socket).await else { return };
                            http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
                        }
                    };
                });
            }
        });
        let this = Self { origin, script, server };
        this.json("/.well-known/openid-configuration", this.metadata());
        this
    }

    pub(super) fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.origin);
        json!({
            "issuer": self.origin,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
            "userinfo_endpoint": at("/userinfo"),
            "end_session_endpoint": at("/logout?realm=x"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        })
    }

    /// The metadata with some members changed; `null` takes one away.
    pub(super) fn metadata_with(&self, changes: &Value) {
        let mut metadata = self.metadata();
        for (name, value) in changes.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        metadata.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.json("/.well-known/openid-configuration", metadata);
    }

    /// At `path`, or only at `path?query`.
    pub(super) fn answers(&self, path: &str, answer: Answer) {
        self.script.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub(super) fn json(&self, path: &str, body: Value) {
        self.answers(path, Answer::Json(body));
    }

    pub(super) fn status(&self, path: &str, status: u16, body: &'static str) {
        self.answers(path, Answer::Any { status, headers: vec![], body: Bytes::from_static(body.as_bytes()) });
    }

    pub(super) fn keys(&self, signers: &[&Signer]) {
        self.json("/jwks", json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}));
    }

    /// The claims of a good ID token.
    pub(super) fn claims(&self) -> Value {
        json!({
            "iss": self.origin, "aud": "us", "sub": "s-1", "nonce": "n", "exp": NOW.0 + 300, "iat": NOW.0,
        })
    }

    /// The token endpoint gives `id_token`.
    pub(super) fn gives(&self, id_token: &str) {
        self.json("/token", json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token}));
    }

    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        self.script.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// How often `path` was asked for.
    pub(super) fn hits(&self, path: &str) -> usize {
        self.seen(path).len()
    }

    /// Settings of a client registered here.
    pub(super) fn settings(&self) -> Settings {
        settings(&self.origin)
    }

    /// This provider as the gateway knows it.
    pub(super) fn known(&self, settings: Settings) -> (Arc<super::Provider>, Clock) {
        let clock = Clock::stopped(NOW);
        let providers =
            Providers::new(vec![settings], |_| "http://localhost/_auth/callback/op".into(), &SYSTEM_ROOTS, &clock);
        (Arc::clone(providers.unwrap().only().unwrap()), clock)
    }
}

pub(crate) fn settings(issuer: &str) -> Settings {
    let limits = Limits {
        timeout: Duration::from_secs(10),
        answer_bytes: 256 * 1024,
        renew_after: Duration::from_secs(3600),
        min_interval: Duration::from_secs(30),
        concurrency: 8,
    };
    Settings {
        display_name: "OP".into(),
        client_secret: Some(Secret::new("s3cr3t".to_owned())),
        scopes: vec!["openid".into(), "email".into()],
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA],
        ..Settings::standard(ProviderName::parse("op").unwrap(), issuer, "us", limits)
    }
}

/// Tokens as the standard has them, by `method`.
pub(super) fn bearer(method: BearerMethod) -> Bearer {
    Bearer {
        method,
        introspection: None,
        audiences: [].into(),
        audience_claim: "aud".into(),
        clients: [].into(),
        issuers: Vec::new(),
        plain_jwt: false,
        id_tokens: false,
        userinfo_fallback: false,
        recheck: Duration::from_secs(60),
        insecure_any_audience: false,
    }
}

/// A fixed text, or nothing for ever.
enum Body {
    Full(Full<Bytes>),
    Stalled,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(cx),
            Self::Stalled => Poll::Pending,
        }
    }
}

async fn answer(script: Arc<Script>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let answers = script.answers.lock().unwrap().clone();
    let found = answers.get(&format!("{path}?{query}")).or_else(|| answers.get(&path)).cloned();
    script.seen.lock().unwrap().push(Seen { path, query, headers: head.headers, body });
    let full = |bytes: Bytes| Body::Full(Full::new(bytes));
    let response = match found {
        None => Response::builder().status(404).body(full(Bytes::new())),
        Some(Answer::Json(value)) => Response::builder()
            .header("content-type", "application/json; charset=utf-8")
            .body(full(value.to_string().into())),
        Some(Answer::Any { status, headers, body }) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(full(body))
        }
        Some(Answer::Never) => pending().await,
        Some(Answer::Stalls) => Response::builder().body(Body::Stalled),
    };
    Ok(response.unwrap())
}
