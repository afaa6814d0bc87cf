//! The provider says behind the browser's back that somebody is logged out (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6).
//!
//! Strangers reach this too. A logout token is signed by the provider's keys, for us, lately, and says that it is one; no other token of the
//! provider's does, and one that does is nothing else (see `jws`).

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    IdTokenError, Protocol, Provider, Settings, TokenError, Unavailable,
    error::printable,
    id_token::{LEEWAY, audience, seconds, short, text, time, whole},
    issuer, jwe,
    jws::{TokenKind, logout_event},
    keys::{self, VerifyError},
};
use crate::{clock::UnixTime, secret::Secret};

/// For how long one without `exp` is accepted. The final specification requires it; providers that follow a draft leave it out.
const LIFETIME: Duration = Duration::from_secs(180);
/// For how long any is accepted, whatever its `exp`: two minutes are recommended (§2.4), and each has to be remembered until then.
const LONGEST_LIFETIME: Duration = Duration::from_secs(3_600);

/// Whose sessions end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// Whose words these are: as in [`super::SignedIn`].
    pub issuer: String,
    /// Who is logged out; there is this, or a session, or both.
    pub subject: Option<String>,
    /// Which session at the provider is (`sid`).
    pub provider_session: Option<String>,
    /// Never the same twice (`jti`).
    pub id: String,
    /// When it was issued.
    pub issued: UnixTime,
    /// When it is too old to be accepted.
    pub expires: UnixTime,
}

/// Why nobody is logged out.
#[derive(Debug, thiserror::Error)]
pub enum LogoutTokenError {
    /// It is not one, or its signature is not by one of the provider's keys.
    #[error("the logout token cannot be trusted")]
    Signature(#[source] TokenError),
    /// It says something that it must not, or lacks something.
    #[error("the logout token is not for us, or not for now")]
    Claims(#[source] IdTokenError),
    /// It is another kind of token: without the event of a logout, or with a nonce.
    #[error("this is no logout token: {0}")]
    Kind(&'static str),
    /// Keys cannot be had, so nobody can tell.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<IdTokenError> for LogoutTokenError {
    fn from(error: IdTokenError) -> Self {
        Self::Claims(error)
    }
}

impl Provider {
    /// What `token` says, once everything about it has been checked, except that it has not been used before.
    ///
    /// # Errors
    /// [`LogoutTokenError`].
    pub async fn logout_token(&self, token: &str) -> Result<LogoutToken, LogoutTokenError> {
        if self.settings.protocol != Protocol::Oidc {
            return Err(LogoutTokenError::Kind("this provider signs nothing"));
        }
        let token = Secret::new(token.to_owned());
        let opened = jwe::opened(&token, &self.settings.decryption_keys);
        let opened = opened.map_err(|error| LogoutTokenError::Signature(error.into()))?;
        let token = opened.as_ref().unwrap_or(&token);
        let trusted = keys::claims(token.expose(), TokenKind::Logout, &self.settings.algorithms, &self.keys).await;
        let (_, claims) = trusted.map_err(|error| match error {
            VerifyError::Unavailable(error) => LogoutTokenError::Unavailable(error),
            VerifyError::Token(error) => LogoutTokenError::Signature(error),
        })?;
        let told = check(&claims, &self.settings, self.clock.now())?;
        Ok(LogoutToken { issuer: self.own_name(&told.issuer).to_owned(), ..told })
    }
}

/// §2.6 (4–9).
fn check(claims: &Map<String, Value>, settings: &Settings, now: UnixTime) -> Result<LogoutToken, LogoutTokenError> {
    use IdTokenError as E;
    use LogoutTokenError::Kind;

    match logout_event(claims) {
        Some(Value::Object(_)) => {}
        Some(_) => return Err(Kind("its event is not an object")),
        None => return Err(Kind("its `events` are not that of a logout")),
    }
    // So that no ID token is ever taken for one (§2.4).
    if claims.contains_key("nonce") {
        return Err(Kind("it has a nonce"));
    }
    let issuer = text(claims, "iss")?.ok_or(E::Missing("iss"))?;
    if !is_ours(settings, issuer) {
        return Err(E::Issuer { expected: printable(&settings.issuer), found: printable(issuer) }.into());
    }
    audience(claims, &settings.client_id)?;

    let issued = time(claims, "iat")?.ok_or(E::Missing("iat"))?;
    if issued > seconds(now.plus(LEEWAY)) {
        return Err(E::IssuedInTheFuture { iat: whole(issued), now }.into());
    }
    let end = match time(claims, "exp")? {
        Some(exp) => exp.min(issued + LONGEST_LIFETIME.as_secs_f64()),
        None => issued + LIFETIME.as_secs_f64(),
    };
    let expires = end + LEEWAY.as_secs_f64();
    if seconds(now) >= expires {
        return Err(E::Expired { exp: whole(end), now }.into());
    }
    if let Some(nbf) = time(claims, "nbf")?.filter(|nbf| *nbf > seconds(now.plus(LEEWAY))) {
        return Err(E::NotYetValid { nbf: whole(nbf), now }.into());
    }

    let id = short(claims, "jti")?.ok_or(E::Missing("jti"))?;
    let (subject, session) = (short(claims, "sub")?, short(claims, "sid")?);
    if subject.is_none() && session.is_none() {
        return Err(E::Missing("sub").into());
    }
    Ok(LogoutToken {
        issuer: issuer.to_owned(),
        subject: subject.map(str::to_owned),
        provider_session: session.map(str::to_owned),
        id: id.to_owned(),
        issued: whole(issued),
        expires: whole(expires.ceil()),
    })
}

/// With tenants, the claim that names somebody's is about people and may be absent here; the issuer says it too.
fn is_ours(settings: &Settings, iss: &str) -> bool {
    issuer::is_named_by(settings, iss) || issuer::is_one_of(settings, &settings.issuer_aliases, iss)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::{Tenants, testing::settings};

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const ISSUER: &str = "https://op.example/realm";
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

    fn good() -> Map<String, Value> {
        let Value::Object(claims) = json!({
            "iss": ISSUER, "aud": "us", "iat": NOW.0, "exp": NOW.0 + 120, "jti": "j-1", "sub": "s-1", "sid": "sid-1",
            "events": {EVENT: {}},
        }) else {
            unreachable!()
        };
        claims
    }

    /// The good token with some claims changed; `null` takes one away.
    fn with(changes: &Value) -> Result<LogoutToken, LogoutTokenError> {
        let mut claims = good();
        for (name, value) in changes.as_object().unwrap() {
            claims.insert(name.clone(), value.clone());
        }
        claims.retain(|_, value| !value.is_null());
        check(&claims, &settings(ISSUER), NOW)
    }

    fn texts(error: &LogoutTokenError) -> String {
        match error {
            LogoutTokenError::Claims(error) => error.to_string(),
            LogoutTokenError::Signature(_) | LogoutTokenError::Kind(_) | LogoutTokenError::Unavailable(_) => {
                error.to_string()
            }
        }
    }

    #[test]
    fn a_token_that_is_wrong_in_anything_ends_nothing() {
        let long = "x".repeat(256);
        for (changes, text) in [
            (json!({"events": null}), "its `events` are not that of a logout"),
            (json!({"events": {}}), "its `events` are not that of a logout"),
            (json!({"events": EVENT}), "its `events` are not that of a logout"),
            (json!({"events": [EVENT]}), "its `events` are not that of a logout"),
            (json!({"events": {"http://schemas.openid.net/event/other": {}}}), "its `events` are not that of a logout"),
            (json!({"events": {EVENT: true}}), "its event is not an object"),
            (json!({"events": {EVENT: []}}), "its event is not an object"),
            (json!({"events": {EVENT: "{}"}}), "its event is not an object"),
            (json!({"nonce": "n"}), "it has a nonce"),
            (json!({"nonce": ""}), "it has a nonce"),
            (json!({"nonce": 7}), "it has a nonce"),
            (json!({"iss": null}), "it has no `iss`"),
            (json!({"iss": [ISSUER]}), "its `iss` is malformed"),
            (json!({"iss": "https://op.example/realm/"}), "its `iss` is `https://op.example/realm/`, expected is"),
            (json!({"iss": "https://evil"}), "its `iss` is `https://evil`, expected is"),
            (json!({"aud": null}), "it has no `aud`"),
            (json!({"aud": "them"}), "its `aud` is `them`, expected is `us`"),
            (json!({"aud": []}), "its `aud` is"),
            (json!({"aud": ["them", "US"]}), "its `aud` is `them, US`"),
            (json!({"aud": ["us", 7]}), "its `aud` is malformed"),
            (json!({"aud": {"us": true}}), "its `aud` is malformed"),
            (json!({"iat": null}), "it has no `iat`"),
            (json!({"iat": "now"}), "its `iat` is malformed"),
            (json!({"iat": -1}), "its `iat` is malformed"),
            (json!({"iat": 1e300}), "its `iat` is malformed"),
            (json!({"iat": NOW.0 + 61}), "it was issued at"),
            (json!({"exp": NOW.0 - 60}), "it expired at"),
            (json!({"exp": NOW.0 - 300, "iat": NOW.0 - 400}), "it expired at"),
            (json!({"exp": "later"}), "its `exp` is malformed"),
            (json!({"exp": 1e300}), "its `exp` is malformed"),
            (json!({"exp": null, "iat": NOW.0 - 240}), "it expired at"),
            (json!({"exp": NOW.0 + 86_400, "iat": NOW.0 - 3_660}), "it expired at"),
            (json!({"nbf": NOW.0 + 61}), "it is valid from"),
            (json!({"jti": null}), "it has no `jti`"),
            (json!({"jti": ""}), "its `jti` is malformed"),
            (json!({"jti": 7}), "its `jti` is malformed"),
            (json!({"jti": long}), "its `jti` is malformed"),
            (json!({"sub": null, "sid": null}), "it has no `sub`"),
            (json!({"sub": ""}), "its `sub` is malformed"),
            (json!({"sub": 7}), "its `sub` is malformed"),
            (json!({"sub": long, "sid": null}), "its `sub` is malformed"),
            (json!({"sid": ""}), "its `sid` is malformed"),
            (json!({"sid": ["a"]}), "its `sid` is malformed"),
            (json!({"sid": long}), "its `sid` is malformed"),
        ] {
            let error = with(&changes).unwrap_err();
            assert!(texts(&error).contains(text), "{changes}: {}", texts(&error));
        }
    }

    #[test]
    fn what_providers_do_differently_is_accepted() {
        let owned = |text: &str| Some(text.to_owned());
        for (changes, subject, session, left) in [
            (json!({}), owned("s-1"), owned("sid-1"), 180),
            (json!({"sid": null}), owned("s-1"), None, 180),
            (json!({"sub": null}), None, owned("sid-1"), 180),
            (json!({"aud": ["them", "us"]}), owned("s-1"), owned("sid-1"), 180),
            (json!({"events": {EVENT: {"more": 1}, "x": {}}}), owned("s-1"), owned("sid-1"), 180),
            (json!({"jti": "x".repeat(255)}), owned("s-1"), owned("sid-1"), 180),
            (json!({"exp": null}), owned("s-1"), owned("sid-1"), 240),
            (json!({"exp": null, "iat": NOW.0 - 239}), owned("s-1"), owned("sid-1"), 1),
            (json!({"exp": NOW.0 - 59, "iat": NOW.0 - 900}), owned("s-1"), owned("sid-1"), 1),
            (json!({"exp": NOW.0 as f64 + 0.5}), owned("s-1"), owned("sid-1"), 61),
            (json!({"exp": NOW.0 + 86_400}), owned("s-1"), owned("sid-1"), 3_660),
            (json!({"iat": NOW.0 + 60, "exp": NOW.0 + 180}), owned("s-1"), owned("sid-1"), 240),
        ] {
            let told = with(&changes).unwrap_or_else(|error| panic!("{changes}: {}", texts(&error)));
            assert_eq!((told.subject, told.provider_session), (subject, session), "{changes}");
            assert_eq!((told.expires.0 - NOW.0, told.issuer.as_str()), (left, ISSUER), "{changes}");
        }
    }

    #[test]
    fn a_tenant_speaks_for_its_own_people() {
        let mut settings = settings("https://op.example/{tenantid}/v2.0");
        settings.tenants = Some(Tenants { claim: "tid".into(), allowed: ["t-1".into()].into() });
        settings.issuer_aliases = vec!["https://old.example/{tenantid}/".to_owned()];
        for (iss, ok) in [
            ("https://op.example/{tenantid}/v2.0", false),
            ("https://op.example/t-2/v2.0", false),
            ("https://old.example/t-2/", false),
            ("https://op.example//v2.0", false),
            ("https://op.example/t-1/v2.0", true),
            ("https://old.example/t-1/", true),
        ] {
            let mut claims = good();
            claims.insert("iss".into(), json!(iss));
            assert_eq!(check(&claims, &settings, NOW).map(|told| told.issuer).ok().as_deref(), ok.then_some(iss));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_number_is_looked_at_without_a_panic(time: f64, now: u64) {
            for claim in ["exp", "nbf", "iat"] {
                let mut claims = good();
                claims.insert(claim.into(), json!(time));
                let _answer = check(&claims, &settings(ISSUER), NOW);
                let _answer = check(&claims, &settings(ISSUER), UnixTime(now));
            }
        }
    }
}
