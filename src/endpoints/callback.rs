//! `/callback/NAME`: the provider sends the browser back. Everything that can be refused without asking anybody is refused first.
//!
//! Of a posted form only what a query may hold is read too: what a provider adds (`user` at Apple) is signed by nobody.

use std::time::Duration;

use http::{Method, Response, StatusCode, header};
use hyper::body::Incoming;
use tracing::{debug, info};
use url::form_urlencoded;

use super::{BadForm, EndpointError, Endpoints, Visit, form, redirect, returns_by};
use crate::{
    body::Body,
    identity::Identity,
    origin::ReturnTo,
    providers::{Fault, Provider, SignInError, SignedIn, SilentCheck},
    secret::Secret,
    sessions::{LoginStateError, ProviderSessionTag, ResumedLogin, ReturnsBy, Session, SessionId, SubjectTag},
    telemetry::causes,
};

/// When a session that could not be confirmed is to be tried again.
const PUT_OFF: Duration = Duration::from_secs(60);

/// What the provider sends along, each at most once (RFC 6749 §4.1.2, RFC 9207 §2).
struct Parameters {
    state: Secret<String>,
    code: Option<Secret<String>>,
    error: Option<String>,
    iss: Option<String>,
}

impl Parameters {
    fn parse(text: &str) -> Result<Self, BadForm> {
        let one = |name| form::one(text, name).map(|value| value.map(|value| value.into_owned()));
        Ok(Self {
            state: one("state")?.filter(|state| !state.is_empty()).ok_or(BadForm::Missing("state"))?.into(),
            code: one("code")?.filter(|code| !code.is_empty()).map(Secret::new),
            error: one("error")?,
            iss: one("iss")?,
        })
    }
}

impl Endpoints {
    pub(super) async fn callback(
        &self,
        visit: &Visit<'_>,
        name: &str,
        body: Incoming,
    ) -> Result<Response<Body>, EndpointError> {
        let provider = self.providers.find(name).ok_or(EndpointError::UnknownProvider)?;
        let posted = match *visit.method {
            Method::POST => Some(form::read(visit.headers, body).await?),
            _ => None,
        };
        let parameters = Parameters::parse(posted.as_deref().or(visit.query).unwrap_or_default())?;

        // RFC 6749 §10.12: the answer belongs to a question that this browser asked, of this provider, lately.
        let (state, returns) = (parameters.state.expose(), returns_by(provider));
        let login = self.sessions.resume_login(visit.headers, state, provider.tag(), returns, visit.now);
        let login = match login {
            Ok(login) => login,
            Err(LoginStateError::NoCookie { .. }) if posted.is_some() && !self.brings_cookie(returns) => {
                return Ok(self.as_query(provider, &parameters));
            }
            Err(error) => return after_stray_login(visit, error),
        };
        if let Some(error) = parameters.error {
            provider.check_callback_issuer(parameters.iss.as_deref()).map_err(|wrong| EndpointError::SignIn {
                error: Box::new(wrong.into()),
                provider: provider.display_name().into(),
                return_to: login.return_to.clone(),
            })?;
            return self.refused(visit, provider, &error, &login);
        }
        let code = parameters.code.ok_or(BadForm::Missing("code"))?;
        // A second time, by the back button or a reload: whoever is signed in by now just goes on (T-047).
        if !self.sessions.use_once(&login, visit.now) {
            return if posted.is_some() { Ok(seen_from_there(&login)) } else { self.after_replay(visit, login) };
        }

        let signed_in = provider.sign_in(&code, parameters.iss.as_deref(), &login.verifier, &login.nonce).await;
        match signed_in {
            Ok(signed_in) => Box::pin(self.begin_session(visit, provider, &login, signed_in)).await,
            // Nobody is out because the provider is, or because we are not configured for it.
            Err(error) if login.is_check && visit.session.is_some() && error.fault() != Fault::Caller => {
                Ok(self.put_off(visit, &login.return_to, &error))
            }
            // Spent elsewhere: on another replica, or by this browser's first try.
            Err(SignInError::CodeSpent) if self.signed_in_since(visit, &login) => self.after_replay(visit, login),
            Err(error) => {
                if let Some(session) = visit.session.filter(|_| login.is_check && is_about_the_person(&error)) {
                    info!(provider.name = %provider.name(), reason = causes(&error), "A session has ended");
                    let _told = self.sessions.end(session).await;
                }
                Err(EndpointError::SignIn {
                    error: Box::new(error),
                    provider: provider.display_name().into(),
                    return_to: login.return_to,
                })
            }
        }
    }

    /// Whether the login cookie comes along with what a provider's site posts.
    fn brings_cookie(&self, returns: ReturnsBy) -> bool {
        returns == ReturnsBy::Form && self.origin.is_https()
    }

    /// A form that the provider's page posts comes without our cookies: `SameSite=Lax` sends them with safe methods only (RFC 6265bis
    /// §5.6.7.1). The same answer as a query brings them; a browser that has none ends at the page that says so. Only where a provider is known
    /// to answer by forms, and over TLS, there is a cookie that comes along: then no code has to go into a URL.
    fn as_query(&self, provider: &Provider, parameters: &Parameters) -> Response<Body> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", parameters.state.expose());
        if let Some(code) = &parameters.code {
            query.append_pair("code", code.expose());
        }
        for (name, value) in [("error", &parameters.error), ("iss", &parameters.iss)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let callback = self.links.callback_uri(provider.name());
        redirect(StatusCode::SEE_OTHER, &format!("{callback}?{}", query.finish()))
    }

    async fn begin_session(
        &self,
        visit: &Visit<'_>,
        provider: &Provider,
        login: &ResumedLogin,
        signed_in: SignedIn,
    ) -> Result<Response<Body>, EndpointError> {
        let grant = signed_in.grant;
        let session = Session {
            id: SessionId::random(),
            identity: Identity { user: signed_in.user, claims: signed_in.claims },
            provider: provider.tag(),
            subject: SubjectTag::of(&signed_in.issuer, &signed_in.subject),
            provider_session: signed_in.provider_session.map(|sid| ProviderSessionTag::of(&signed_in.issuer, &sid)),
            signed_in: visit.now,
            seen: visit.now,
            due: None,
            record: None,
            refreshes: false,
            has_stored_claims: false,
        };
        let before = visit.session;
        let cookie = match before.filter(|before| login.is_check && is_the_same(before, &session)) {
            Some(Session { id, signed_in, record, .. }) => {
                let confirmed = Session { id: *id, signed_in: *signed_in, record: record.clone(), ..session };
                self.sessions.confirm(confirmed, grant, visit.whence, visit.now).await?
            }
            None => {
                let asks_browser = provider.silent_check() != SilentCheck::Off;
                let begun = self.sessions.begin(session, before, grant, asks_browser, visit.whence, visit.now);
                let cookie = begun.await?;
                info!(provider.name = %provider.name(), "Signed in");
                cookie
            }
        };
        let mut response = redirect(StatusCode::SEE_OTHER, login.return_to.as_str());
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    }

    /// RFC 6749 §4.1.2.1, and for a check OpenID Connect Core §3.1.2.6: the provider would have to show a page, so it is asked once more and may.
    fn refused(
        &self,
        visit: &Visit<'_>,
        provider: &Provider,
        code: &str,
        login: &ResumedLogin,
    ) -> Result<Response<Body>, EndpointError> {
        let refused = EndpointError::ProviderRefused { code: printable(code), return_to: login.return_to.clone() };
        match code {
            _ if !login.is_check => Err(refused),
            "temporarily_unavailable" | "server_error" if visit.session.is_some() => {
                Ok(self.put_off(visit, &login.return_to, &refused))
            }
            _ => {
                let again = self.links.login_at([provider.name()], &login.return_to);
                Ok(redirect(StatusCode::FOUND, again.as_str()))
            }
        }
    }

    /// A session could not be confirmed, for reasons that are not its own: back to where it was, and another try in a minute.
    pub(super) fn put_off(
        &self,
        visit: &Visit<'_>,
        return_to: &ReturnTo,
        why: &(dyn std::error::Error + 'static),
    ) -> Response<Body> {
        debug!(error = why, "A session could not be confirmed");
        let mut response = redirect(StatusCode::SEE_OTHER, return_to.as_str());
        let later = visit.session.map(|session| Session { due: Some(visit.now.plus(PUT_OFF)), ..session.clone() });
        if let Some(Ok(cookie)) = later.map(|session| self.sessions.seal(&session)) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    fn after_replay(&self, visit: &Visit<'_>, login: ResumedLogin) -> Result<Response<Body>, EndpointError> {
        match visit.session {
            Some(_) => Ok(redirect(StatusCode::SEE_OTHER, login.return_to.as_str())),
            None => Err(EndpointError::Replayed(login.return_to)),
        }
    }

    fn signed_in_since(&self, visit: &Visit<'_>, login: &ResumedLogin) -> bool {
        visit.session.is_some_and(|session| session.signed_in >= login.started)
    }
}

/// Whether the provider has answered, about somebody who may not be here.
fn is_about_the_person(error: &SignInError) -> bool {
    let is_answer = !matches!(error, SignInError::CodeSpent | SignInError::Code | SignInError::Issuer(_));
    is_answer && error.fault() == Fault::Caller
}

/// Whether a check has found the person it was for.
fn is_the_same(before: &Session, now: &Session) -> bool {
    (before.provider, before.subject, &before.identity.user) == (now.provider, now.subject, &now.identity.user)
}

/// A posted form brings no session cookie, so whether somebody is signed in shows only where the login was to lead (T-047).
fn seen_from_there(login: &ResumedLogin) -> Response<Body> {
    redirect(StatusCode::SEE_OTHER, login.return_to.as_str())
}

/// A login of ours, but not of this browser's cookie. Two tabs began at once and only one cookie stayed: then the place it wanted to go is where
/// it begins anew, or finds that the other tab has signed in. The cookie ran out, or is refused: then somebody who is signed in just goes on,
/// and nobody else is sent in circles (T-125). The place was sealed by us, and nothing else of the callback is looked at.
fn after_stray_login(visit: &Visit<'_>, error: LoginStateError) -> Result<Response<Body>, EndpointError> {
    let keeps_cookies = matches!(error, LoginStateError::OtherBrowser { .. });
    match error.return_to() {
        Some(return_to) if keeps_cookies || visit.session.is_some() => {
            Ok(redirect(StatusCode::SEE_OTHER, return_to.as_str()))
        }
        _ => Err(error.into()),
    }
}

/// An error code as RFC 6749 §4.1.2.1 allows it, short enough for a page and a log.
fn printable(code: &str) -> Box<str> {
    let ok = (1..=64).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if ok { code.into() } else { "unreadable error code".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-043.
    #[test]
    fn what_a_callback_cannot_lack_or_repeat() {
        for (query, answer) in [
            ("code=c&state=s", Ok(())),
            ("error=access_denied&state=s", Ok(())),
            ("", Err(BadForm::Missing("state"))),
            ("code=c", Err(BadForm::Missing("state"))),
            ("code=c&state=", Err(BadForm::Missing("state"))),
            ("state=a&state=b", Err(BadForm::Repeated("state"))),
            ("state=a&code=b&code=c", Err(BadForm::Repeated("code"))),
            ("state=a&iss=b&iss=c", Err(BadForm::Repeated("iss"))),
        ] {
            assert_eq!(Parameters::parse(query).map(|_| ()), answer, "{query}");
        }
    }

    #[test]
    fn an_error_code_cannot_speak_in_our_name() {
        assert_eq!(&*printable("access_denied"), "access_denied");
        for code in ["<script>", "Call this number", "", &"x".repeat(65)] {
            assert_eq!(&*printable(code), "unreadable error code");
        }
    }
}
