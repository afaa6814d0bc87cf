//! A provider on a real socket with a stopped clock, and the steps of a sign-in, each of which can be done wrongly.

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, jwk::JwkSet};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{Client, Endpoint, JsonObject, Provider};
use crate::{
    clock::{Clock, UnixTime},
    dev::testing::{Answered, Asked, Caller, Stop},
};

/// RFC 7636 appendix B.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(super) const CALLBACK: &str = "http://127.0.0.1:4180/_auth/callback/dev";
pub(super) const SIGNED_OUT: &str = "http://127.0.0.1:4180/_auth/signed-out";
/// Every character that is written differently in a form.
pub(super) const SECRET: &str = "s:e/c+r%e t&=";
pub(super) const START: UnixTime = UnixTime(1_800_000_000);

pub(super) struct Running {
    pub(super) provider: Provider,
    pub(super) caller: Caller,
    pub(super) clock: Clock,
    path: &'static str,
    _stop: Stop,
}

fn clients() -> Vec<Client> {
    let client = |id: &str, secret: Option<&str>, redirect_uris: &[&str]| Client {
        id: id.to_owned(),
        secret: secret.map(|secret| secret.to_owned().into()),
        key: None,
        redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
        post_logout_redirect_uris: vec![SIGNED_OUT.to_owned()],
        backchannel_logout_uri: None,
        frontchannel_logout_uri: (id == "other").then(|| "http://127.0.0.1:4181/over?a=b".to_owned()),
    };
    vec![
        client("app", Some(SECRET), &[CALLBACK, "http://127.0.0.1:4180/with?query=1"]),
        client("other", Some("other-secret"), &[CALLBACK]),
        client("public", None, &[CALLBACK]),
    ]
}

impl Running {
    pub(super) async fn start() -> Self {
        Self::start_below("").await
    }

    /// With `path` behind the issuer's port.
    pub(super) async fn start_below(path: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Clock::stopped(START);
        let provider = Provider::new(format!("http://{address}{path}"), clients(), clock.clone());
        let stop = Stop::when(|stop| provider.clone().serve(listener, stop));
        let path = path.strip_suffix('/').unwrap_or(path);
        Self { provider, caller: Caller::new(address), clock, path, _stop: stop }
    }

    pub(super) fn target(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.path, endpoint.path())
    }

    pub(super) async fn get(&self, endpoint: Endpoint) -> Answered {
        self.caller.send(self.caller.get(&self.target(endpoint))).await
    }

    pub(super) async fn post(&self, endpoint: Endpoint, fields: &[(&str, &str)]) -> Answered {
        self.caller.send(self.caller.form(&self.target(endpoint), fields)).await
    }

    /// Shows the page.
    pub(super) async fn ask(&self, query: &str) -> Answered {
        self.caller.send(self.caller.get(&format!("{}?{query}", self.target(Endpoint::Authorization)))).await
    }

    /// Answers the page.
    pub(super) async fn choose(&self, query: &str, fields: &[(&str, &str)]) -> Answered {
        self.post(Endpoint::Decision, &[&[("request", query)], fields].concat()).await
    }

    /// A code for Ada.
    pub(super) async fn code(&self, query: &str) -> String {
        self.choose(query, &[("person", "ada")]).await.redirected_with("code").unwrap()
    }

    /// Asks for tokens as `app`.
    pub(super) async fn token(&self, fields: &[(&str, &str)]) -> Answered {
        let request = self.caller.form(&self.target(Endpoint::Token), fields);
        self.caller.send(as_app(request)).await
    }

    pub(super) async fn redeem(&self, code: &str) -> Answered {
        self.token(&redemption(code)).await
    }

    /// The token endpoint's answer to a sign-in of Ada.
    pub(super) async fn tokens(&self) -> Value {
        let code = self.code(&request(&[])).await;
        self.redeem(&code).await.json()
    }

    pub(super) async fn userinfo(&self, access_token: &str) -> Answered {
        let request = self.caller.get(&self.target(Endpoint::Userinfo));
        self.caller.send(request.header("authorization", &format!("Bearer {access_token}"))).await
    }

    pub(super) async fn is_active(&self, access_token: &str) -> bool {
        let request = self.caller.form(&self.target(Endpoint::Introspection), &[("token", access_token)]);
        self.caller.send(as_app(request)).await.json()["active"].as_bool().unwrap()
    }

    /// The ID token, checked against the published keys.
    pub(super) async fn checked(&self, token: &Value) -> jsonwebtoken::errors::Result<TokenData<JsonObject>> {
        let token = token.as_str().unwrap();
        let keys: JwkSet = serde_json::from_value(self.get(Endpoint::Keys).await.json()).unwrap();
        let mut checks = Validation::new(Algorithm::ES256);
        // The clock is stopped; times are compared by the tests that are about them.
        checks.validate_exp = false;
        checks.set_audience(&["app"]);
        checks.set_issuer(&[self.provider.issuer()]);
        checks.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let kid = jsonwebtoken::decode_header(token)?.kid.unwrap_or_default();
        let key = DecodingKey::from_jwk(keys.find(&kid).unwrap())?;
        jsonwebtoken::decode(token, &key, &checks)
    }
}

/// The client `app`, by Basic.
pub(super) fn as_app(request: Asked) -> Asked {
    basic(request, "app", SECRET)
}

/// RFC 6749 §2.3.1.
pub(super) fn basic(request: Asked, id: &str, secret: &str) -> Asked {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
    request.header("authorization", &format!("Basic {credentials}"))
}

/// The query of a good authorization request by `app`, with `changes`; an empty value leaves the parameter out.
pub(super) fn request(changes: &[(&str, &str)]) -> String {
    let good = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid email offline_access"),
        ("state", "a state&=+"),
        ("nonce", "a-nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    encoded(&changed(&good, changes))
}

/// The form that redeems `code`.
pub(super) fn redemption(code: &str) -> Vec<(&str, &str)> {
    vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)]
}

/// `good` with the fields of `changes` instead of its own; an empty value leaves the field out.
pub(super) fn changed<'a>(good: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = good.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    kept.chain(changes).copied().filter(|(_, value)| !value.is_empty()).collect()
}

pub(super) fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
