//! `/login`: on to a provider, or the page to choose one. Other sites may begin a sign-in too (OpenID Connect Core §4), by a link or a form.
//!
//! Anybody can make a browser begin a sign-in, and nothing is lost by it, so no form carries a token of ours: a session that is there stays,
//! only the login cookie changes, the callback opens in this browser alone, and it ends at a place of ours.

use std::sync::Arc;

use http::{Response, StatusCode, header};
use hyper::body::Incoming;
use tracing::info;

use super::{
    EndpointError, Endpoints, Visit,
    choosing::{Chosen, Wish},
    form, page,
    pages::{AddressProblem, AskAddress, Choice},
    redirect, returns_by,
};
use crate::{
    body::Body,
    providers::{AuthorizationRequest, Provider, SignInError, SilentCheck},
    sessions::Session,
};

impl Endpoints {
    /// A session that is already there does not matter: whoever comes here wants to sign in.
    pub(super) async fn login(&self, visit: &Visit<'_>) -> Result<Response<Body>, EndpointError> {
        let mut wish = Wish::parse(visit.query.unwrap_or_default(), &self.origin)?;
        // Of a session that has no other way, when it is time: whoever else comes here wants to sign in.
        let may_be_checked = |session: &Session| !session.refreshes && self.sessions.is_ageing(session, visit.now);
        wish.is_check &= visit.session.is_some_and(may_be_checked);
        match wish.choose(&self.providers)? {
            Chosen::One(provider) => self.begin(visit, &wish, provider).await,
            Chosen::Among(providers, problem) => Ok(self.ask(&wish, &providers, problem)),
        }
    }

    /// A form that another site posts comes without our cookies (`SameSite=Lax`), and a login begun here would cost this browser those of
    /// its other tabs. What is refused is refused at once; the rest goes on as the link that says the same.
    pub(super) async fn login_form(&self, visit: &Visit<'_>, body: Incoming) -> Result<Response<Body>, EndpointError> {
        let posted = form::read(visit.headers, body).await?;
        // The registered `initiate_login_uri` may have a query of its own; a parameter in both occurs twice.
        let parameters = match visit.query {
            Some(query) => format!("{query}&{posted}"),
            None => posted,
        };
        let wish = Wish::parse(&parameters, &self.origin)?;
        wish.choose(&self.providers)?;
        Ok(redirect(StatusCode::SEE_OTHER, wish.link(&self.links).as_str()))
    }

    async fn begin(
        &self,
        visit: &Visit<'_>,
        wish: &Wish<'_>,
        provider: &Provider,
    ) -> Result<Response<Body>, EndpointError> {
        let login = self.sessions.start_login(
            visit.headers,
            provider.tag(),
            returns_by(provider),
            &wish.return_to,
            wish.is_check,
            visit.now,
        );
        let request = AuthorizationRequest {
            state: &login.state,
            nonce: &login.nonce,
            verifier: &login.verifier,
            login_hint: wish.hint(),
            silent: wish.is_check && provider.silent_check() == SilentCheck::PromptNone,
        };
        let url = match provider.authorization_url(&request).await {
            Ok(url) => url,
            Err(error) if wish.is_check => return Ok(self.put_off(visit, &wish.return_to, &error)),
            Err(SignInError::Unavailable(unavailable)) => return Err(EndpointError::Unavailable(unavailable)),
            Err(error) => {
                return Err(EndpointError::SignIn {
                    error: Box::new(error),
                    provider: provider.display_name().into(),
                    return_to: wish.return_to.clone(),
                });
            }
        };
        info!(provider.name = %provider.name(), "A sign-in begins");
        let mut response = redirect(StatusCode::FOUND, url.as_str());
        response.headers_mut().append(header::SET_COOKIE, login.set_cookie);
        Ok(response)
    }

    /// The address is asked for where it can settle something: where a provider is for certain domains.
    fn ask(&self, wish: &Wish<'_>, providers: &[&Arc<Provider>], problem: Option<AddressProblem>) -> Response<Body> {
        let choices: Vec<_> = providers
            .iter()
            .map(|provider| Choice { display_name: provider.display_name(), href: wish.link_to(provider, &self.links) })
            .collect();
        let by_domain = providers.iter().any(|provider| !provider.email_domains().is_empty());
        let address = by_domain.then(|| AskAddress {
            action: self.links.login_form(),
            return_to: &wish.return_to,
            providers: wish.providers(),
            typed: wish.hint().unwrap_or_default(),
            problem,
            may_be_plain_http: providers.iter().any(|provider| provider.may_be_plain_http()),
        });
        page(self.pages.sign_in(&choices, address.as_ref()))
    }
}
