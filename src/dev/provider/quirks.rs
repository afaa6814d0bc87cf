//! What the provider does in its own way: what real ones do beside the standard, or ask of their clients besides.
//!
//! A fault is wrong and has to be refused; a quirk is somebody's habit and has to work. Like [`Faults`](super::Faults), quirks are switched
//! on by the program that embeds the provider and by nobody else, and they last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::json;

use super::{
    Endpoint, lock,
    request::{Params, Received},
};
use crate::dev::answer::{self, Answer};

/// A habit.
#[derive(Clone, Debug)]
pub enum Quirk {
    /// It calls itself this in its metadata, its tokens and its callbacks, wherever it is.
    Issuer(String),
    /// Its callbacks do not name the issuer: most providers are older than RFC 9207.
    SilentCallbacks,
    /// Its callbacks carry this parameter besides.
    CallbackParameter(String, String),
    /// PKCE is not asked for, and not looked at.
    NoPkce,
    /// It takes pushed authorization requests (RFC 9126), and no others when they are required.
    PushedRequests {
        /// What the metadata says about it.
        required: bool,
    },
    /// Userinfo comes as a signed JWT (OpenID Connect Core §5.3.2).
    SignedUserinfo,
    /// Refresh tokens are good again and again, and not replaced.
    KeepsRefreshTokens,
    /// A refresh brings no ID token.
    BareRefreshes,
    /// Refresh tokens come otherwise than by the scope `offline_access`: with this parameter of the authorization request; `None`, with every
    /// sign-in.
    RefreshTokens(Option<(String, String)>),
    /// The answers of this endpoint say that they are of this type.
    ContentType(Endpoint, String),
}

/// A request, as a [requirement](Quirks::require) sees it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// All header fields.
    pub headers: &'a HeaderMap,
    /// The parameters of the query.
    pub query: Vec<(String, String)>,
    /// The parameters of the form in the body, if it is one.
    pub form: Vec<(String, String)>,
}

impl Asked<'_> {
    /// The parameter's first value, wherever it stands.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().chain(&self.form).find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

type Requirement = Arc<dyn Fn(&Asked<'_>) -> Result<(), &'static str> + Send + Sync>;

/// The switches. All are off at first.
#[derive(Default)]
pub struct Quirks {
    habits: Mutex<Vec<Quirk>>,
    requirements: Mutex<HashMap<Endpoint, Vec<Requirement>>>,
}

impl Quirks {
    /// From now on it does that; of two that speak of the same, the later one counts.
    pub fn add(&self, quirk: Quirk) {
        lock(&self.habits).push(quirk);
    }

    /// Every request to `endpoint` has to pass `check`, or is answered with the error code it gives.
    pub fn require(
        &self,
        endpoint: Endpoint,
        check: impl Fn(&Asked<'_>) -> Result<(), &'static str> + Send + Sync + 'static,
    ) {
        lock(&self.requirements).entry(endpoint).or_default().push(Arc::new(check));
    }

    /// The refusal of a request that does not meet the requirements.
    pub(super) fn refusal(&self, endpoint: Endpoint, received: &Received) -> Option<Answer> {
        let checks = lock(&self.requirements).get(&endpoint).cloned()?;
        let form = received.form().map(|form| form.all().to_vec()).unwrap_or_default();
        let asked = Asked { headers: &received.head.headers, query: received.query().all().to_vec(), form };
        let code = checks.iter().find_map(|check| check(&asked).err())?;
        let status = if code == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        Some(answer::json(status, &json!({ "error": code })))
    }

    pub(super) fn issuer(&self) -> Option<String> {
        self.last(|quirk| if let Quirk::Issuer(issuer) = quirk { Some(issuer.clone()) } else { None })
    }

    pub(super) fn are_callbacks_silent(&self) -> bool {
        self.last(|quirk| matches!(quirk, Quirk::SilentCallbacks).then_some(())).is_some()
    }

    pub(super) fn callback_parameters(&self) -> Vec<(String, String)> {
        let parameter = |quirk: &Quirk| {
            if let Quirk::CallbackParameter(name, value) = quirk { Some((name.clone(), value.clone())) } else { None }
        };
        lock(&self.habits).iter().filter_map(parameter).collect()
    }

    pub(super) fn asks_pkce(&self) -> bool {
        self.last(|quirk| matches!(quirk, Quirk::NoPkce).then_some(())).is_none()
    }

    /// Whether pushed requests are taken, and then whether they are required.
    pub(super) fn pushed_requests(&self) -> Option<bool> {
        self.last(|quirk| if let Quirk::PushedRequests { required } = quirk { Some(*required) } else { None })
    }

    pub(super) fn signs_userinfo(&self) -> bool {
        self.last(|quirk| matches!(quirk, Quirk::SignedUserinfo).then_some(())).is_some()
    }

    pub(super) fn keeps_refresh_tokens(&self) -> bool {
        self.last(|quirk| matches!(quirk, Quirk::KeepsRefreshTokens).then_some(())).is_some()
    }

    pub(super) fn are_refreshes_bare(&self) -> bool {
        self.last(|quirk| matches!(quirk, Quirk::BareRefreshes).then_some(())).is_some()
    }

    /// Whether the sign-in that `request` asks for brings a refresh token; `None` where the scope says it.
    pub(super) fn gives_refresh_token(&self, request: &Params) -> Option<bool> {
        let by = self.last(|quirk| if let Quirk::RefreshTokens(by) = quirk { Some(by.clone()) } else { None })?;
        Some(by.is_none_or(|(name, value)| request.typed(&name) == value))
    }

    /// Says what an answer of `endpoint` is said to be.
    pub(super) fn label(&self, endpoint: Endpoint, answer: &mut Answer) {
        let content_type = self.last(|quirk| {
            let Quirk::ContentType(labelled, content_type) = quirk else { return None };
            (*labelled == endpoint).then(|| content_type.clone())
        });
        if let Some(content_type) = content_type {
            answer::set(answer, CONTENT_TYPE, &content_type);
        }
    }

    fn last<T>(&self, find: impl Fn(&Quirk) -> Option<T>) -> Option<T> {
        lock(&self.habits).iter().rev().find_map(find)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::dev::provider::testing::{CALLBACK, Running, redemption, request};

    #[tokio::test]
    async fn it_goes_by_another_name() {
        let op = Running::start().await;
        let name = "https://login.example.com/{tenantid}";
        op.provider.quirks().add(Quirk::Issuer("https://before.example.com".to_owned()));
        op.provider.quirks().add(Quirk::Issuer(name.to_owned()));
        let metadata = op.get(Endpoint::Discovery).await.json();
        assert_eq!(metadata["issuer"], name);
        assert_eq!(metadata["token_endpoint"], op.provider.url(Endpoint::Token), "it stays where it is");
        let back = op.choose(&request(&[]), &[("person", "ada")]).await;
        assert_eq!(back.redirected_with("iss").as_deref(), Some(name));
        let token = op.redeem(&back.redirected_with("code").unwrap()).await.json()["id_token"].clone();
        assert_eq!(claims_of(token.as_str().unwrap())["iss"], name);
    }

    #[tokio::test]
    async fn callbacks_may_say_less_or_more() {
        let op = Running::start().await;
        op.provider.quirks().add(Quirk::SilentCallbacks);
        op.provider.quirks().add(Quirk::CallbackParameter("session_state".to_owned(), "a b".to_owned()));
        let back = op.choose(&request(&[]), &[("person", "ada")]).await;
        assert!(back.header("location").starts_with(CALLBACK));
        assert_eq!(back.redirected_with("iss"), None);
        assert_eq!(back.redirected_with("session_state").as_deref(), Some("a b"));
        let metadata = op.get(Endpoint::Discovery).await.json();
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], false);
    }

    #[tokio::test]
    async fn pkce_may_be_nobodys_business() {
        let op = Running::start().await;
        op.provider.quirks().add(Quirk::NoPkce);
        let code = op.code(&request(&[("code_challenge", ""), ("code_challenge_method", "")])).await;
        let fields: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "code_verifier").collect();
        assert_eq!(op.token(&fields).await.status, 200);
    }

    /// OpenID Connect Core §5.3.2.
    #[tokio::test]
    async fn userinfo_may_be_signed_and_answers_mislabelled() {
        let op = Running::start().await;
        op.provider.quirks().add(Quirk::SignedUserinfo);
        op.provider.quirks().add(Quirk::ContentType(Endpoint::Token, "text/plain".to_owned()));
        let tokens = {
            let code = op.code(&request(&[])).await;
            let answer = op.redeem(&code).await;
            assert_eq!(answer.header("content-type"), "text/plain");
            answer.json()
        };
        let answer = op.userinfo(tokens["access_token"].as_str().unwrap()).await;
        assert_eq!(answer.header("content-type"), "application/jwt");
        let claims = op.checked(&Value::from(answer.text())).await;
        assert!(claims.is_err(), "it is no ID token: it has no end");
        let claims = claims_of(answer.text());
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!("ada"), &json!("app")));
    }

    #[tokio::test]
    async fn requests_have_to_meet_what_is_required() {
        let op = Running::start().await;
        let quirks = op.provider.quirks();
        quirks.require(Endpoint::Authorization, |asked| match asked.parameter("code_challenge") {
            Some(_) => Err("invalid_request"),
            None => Ok(()),
        });
        quirks.require(Endpoint::Token, |asked| match asked.headers.get("authorization") {
            Some(_) => Err("invalid_client"),
            None => Ok(()),
        });
        let answer = op.ask(&request(&[])).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (400, r#"{"error":"invalid_request"}"#));
        let answer = op.redeem("x").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (401, r#"{"error":"invalid_client"}"#));
        assert_eq!(op.get(Endpoint::Keys).await.status, 200);
    }

    fn claims_of(token: &str) -> Value {
        jsonwebtoken::dangerous::insecure_decode::<Value>(token).unwrap().claims
    }
}
