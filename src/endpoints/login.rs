//! `GET /login`: on to a provider, or the page to choose one.

use http::{Response, StatusCode, header};
use tracing::info;

use super::{EndpointError, Endpoints, Visit, form, page, pages::Choice, redirect, returns_by};
use crate::{
    body::Body,
    origin::ReturnTo,
    providers::{AuthorizationRequest, SignInError},
};

impl Endpoints {
    /// Only `rd` and `provider` are looked at: whatever else a link brings never reaches the provider (T-046).
    pub(super) async fn login(&self, visit: &Visit<'_>) -> Result<Response<Body>, EndpointError> {
        let query = visit.query.unwrap_or_default();
        let asked = form::one(query, "rd")?;
        let return_to = asked.map_or_else(ReturnTo::root, |asked| ReturnTo::parse(&asked, &self.origin));
        let provider = match form::one(query, "provider")? {
            Some(name) => self.providers.find(&name).ok_or(EndpointError::UnknownProvider)?,
            None => match self.providers.only() {
                Some(provider) => provider,
                None => return Ok(self.choose(&return_to)),
            },
        };
        let login =
            self.sessions.start_login(visit.headers, provider.tag(), returns_by(provider), &return_to, visit.now);
        let request = AuthorizationRequest {
            state: &login.state,
            nonce: &login.nonce,
            verifier: &login.verifier,
            login_hint: None,
        };
        let url = match provider.authorization_url(&request).await {
            Ok(url) => url,
            Err(SignInError::Unavailable(unavailable)) => return Err(EndpointError::Unavailable(unavailable)),
            Err(error) => {
                let (error, provider) = (Box::new(error), provider.display_name().into());
                return Err(EndpointError::SignIn { error, provider, return_to });
            }
        };
        info!(provider.name = %provider.name(), "A sign-in begins");
        let mut response = redirect(StatusCode::FOUND, url.as_str());
        response.headers_mut().append(header::SET_COOKIE, login.set_cookie);
        Ok(response)
    }

    fn choose(&self, return_to: &ReturnTo) -> Response<Body> {
        let choices: Vec<Choice<'_>> = self
            .providers
            .iter()
            .map(|provider| Choice {
                display_name: provider.display_name(),
                href: self.links.login_at(provider.name(), return_to),
            })
            .collect();
        page(self.pages.sign_in(&choices))
    }
}
