//! `/logout`: the session ends here, then at the provider (OpenID Connect RP-Initiated Logout 1.0). `/signed-out`: the way back from there.
//!
//! Another site can make a browser come here but cannot end a session with it: it is asked first (T-058).

use http::{HeaderMap, Method, Response, StatusCode, header};
use hyper::body::Incoming;
use tracing::{debug, info};
use url::Url;

use super::{
    BadForm, EndpointError, Endpoints, Visit, form, page,
    pages::{ConfirmLogout, Href, LogoutAt, SignedOut},
    redirect,
};
use crate::{
    body::Body,
    origin::{Origin, ReturnTo},
    providers::Provider,
    sessions::{AccountTag, Revoked, Session},
    telemetry::causes,
};

/// The longest URL that carries a hint, in bytes: some servers take no longer ones.
const MAX_HINTED_URL: usize = 4 * 1_024;

impl Endpoints {
    pub(super) async fn logout(&self, visit: &Visit<'_>, body: Incoming) -> Result<Response<Body>, EndpointError> {
        let query = visit.query.unwrap_or_default();
        let asked = form::one(query, "rd").map_err(EndpointError::Parameters)?;
        let return_to = asked.map_or_else(ReturnTo::root, |asked| ReturnTo::parse(&asked, &self.origin));
        let Some(session) = visit.session else {
            return Ok(self.leave(visit, self.links.signed_out(&return_to).as_str()));
        };
        // The gateway takes no session for one whose provider it does not know.
        let provider = self.providers.by_tag(session.provider).ok_or(EndpointError::UnknownProvider)?;
        if !comes_from_here(visit.method, visit.headers, &self.origin) {
            let at_provider = provider.logout_url(&self.links.signed_out_uri(), None, None);
            return Ok(page(self.pages.confirm_logout(&ConfirmLogout {
                user: session.identity.user.as_str(),
                logout: self.links.logout(&return_to),
                cancel: Href::from(&ReturnTo::root()),
                then_at:
                    at_provider.as_ref().map(|endpoint| LogoutAt { display_name: provider.display_name(), endpoint }),
            })));
        }
        // Whatever else is posted here is no form of ours, and the session ends all the same.
        let posted = match form::is_form(visit.headers) {
            true => form::read(visit.headers, body).await.map_err(EndpointError::Parameters)?,
            false => String::new(),
        };
        let everywhere = everywhere(query)? || everywhere(&posted)?;
        // First: the hint is in the record, which goes with the session.
        let at_provider = self.logout_at(provider, session, &return_to).await;
        let _told = self.sessions.end(session).await;
        if everywhere {
            // Beside its own: a session that another replica's clock has dated ahead of ours would go on.
            let _told =
                self.sessions.end_all(Revoked::Account(AccountTag::of(&session.identity.user)), visit.now).await;
        }
        info!(provider.name = %provider.name(), at_provider = at_provider.is_some(), everywhere, "Signed out");
        match at_provider {
            Some(url) => Ok(self.leave(visit, url.as_str())),
            None => Ok(self.leave_knowing(visit, provider, &return_to)),
        }
    }

    /// Where the provider ends its own session. The hint spares people a question there, and tells which session is meant; without one it works
    /// as well (RP-Initiated Logout §2), except where the provider says otherwise.
    async fn logout_at(&self, provider: &Provider, session: &Session, return_to: &ReturnTo) -> Option<Url> {
        let back = self.links.signed_out_uri();
        let url = |hint| provider.logout_url(&back, hint, Some(return_to.as_str()));
        let plain = url(None);
        let stored = self.sessions.stored(session).await.unwrap_or_else(|error| {
            debug!(error = causes(&error), "A logout goes without a hint");
            None
        });
        let Some(hint) = stored.and_then(|stored| stored.grant.id_token) else { return plain };
        url(Some(&hint)).filter(|hinted| hinted.as_str().len() <= MAX_HINTED_URL).or(plain)
    }

    /// To the page that says that `provider` still knows this person: its own session goes on, and people should know.
    pub(super) fn leave_knowing(&self, visit: &Visit<'_>, provider: &Provider, return_to: &ReturnTo) -> Response<Body> {
        self.leave(visit, self.links.signed_out(return_to).with("at", provider.name().as_str()).as_str())
    }

    /// `state` is what we gave the provider at logout, or what somebody made up: a place of ours to offer as the next sign-in's target.
    pub(super) fn signed_out(&self, visit: &Visit<'_>) -> Response<Body> {
        let query = visit.query.unwrap_or_default();
        let asked = form::one(query, "state").ok().flatten();
        let return_to = asked.map_or_else(ReturnTo::root, |asked| ReturnTo::parse(&asked, &self.origin));
        let still_known_at = form::one(query, "at").ok().flatten().and_then(|name| self.providers.find(&name));
        page(self.pages.signed_out(&SignedOut {
            sign_in: self.links.login(&return_to),
            still_known_at: still_known_at.map(|provider| provider.display_name()),
        }))
    }

    /// On to `to`; our cookies go.
    pub(super) fn leave(&self, visit: &Visit<'_>, to: &str) -> Response<Body> {
        let mut response = redirect(StatusCode::SEE_OTHER, to);
        response.headers_mut().append(header::SET_COOKIE, self.sessions.clear());
        for cleared in self.sessions.clear_logins(visit.headers) {
            response.headers_mut().append(header::SET_COOKIE, cleared);
        }
        response
    }
}

/// Whether every session of this person should end.
fn everywhere(parameters: &str) -> Result<bool, EndpointError> {
    match form::one(parameters, "everywhere").map_err(EndpointError::Parameters)?.as_deref() {
        Some("1") => Ok(true),
        // Who asks for something else should not believe that it was done.
        Some(_) => Err(EndpointError::Parameters(BadForm::Value("everywhere"))),
        None => Ok(false),
    }
}

/// Whether a person on one of our own pages, or at the address bar, asked for this. Browsers tell by `Sec-Fetch-Site`; older ones by
/// `Origin` or `Referer`; one that tells nothing is taken at its word only with the session cookie, which no other site's form can send.
pub(super) fn comes_from_here(method: &Method, headers: &HeaderMap, home: &Origin) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    // An image or a frame of our own pages is not the person's doing either: applications show what others have written.
    let is_part_of_a_page = |dest: &str| !matches!(dest, "document" | "empty");
    if *method != Method::POST && text(header::HeaderName::from_static("sec-fetch-dest")).is_some_and(is_part_of_a_page)
    {
        return false;
    }
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin") || (site == "none" && *method != Method::POST);
    }
    if let Some(origin) = text(header::ORIGIN) {
        return origin == home.as_str();
    }
    match text(header::REFERER) {
        Some(referer) => {
            referer.strip_prefix(home.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_is_asked_for_in_one_way() {
        for (parameters, asked) in [
            ("everywhere=", None),
            ("everywhere=yes", None),
            ("everywhere=0", None),
            ("everywhere=1&everywhere=1", None),
            ("", Some(false)),
            ("rd=/&everywhere=1", Some(true)),
        ] {
            assert_eq!(everywhere(parameters).ok(), asked, "{parameters}");
        }
    }

    #[test]
    fn another_site_cannot_end_a_session() {
        let home = Origin::parse("https://app.example.com").unwrap();
        for (method, name, value, ours) in [
            ("GET", "sec-fetch-site", "same-origin", true),
            ("GET", "sec-fetch-site", "none", true),
            ("GET", "sec-fetch-site", "same-site", false),
            ("GET", "sec-fetch-site", "cross-site", false),
            ("GET", "sec-fetch-site", "", false),
            ("POST", "sec-fetch-site", "same-origin", true),
            ("POST", "sec-fetch-site", "none", false),
            ("POST", "sec-fetch-site", "cross-site", false),
            ("POST", "origin", "https://app.example.com", true),
            ("POST", "origin", "https://evil.com", false),
            ("POST", "origin", "null", false),
            ("POST", "origin", "https://app.example.com.evil.com", false),
            ("GET", "referer", "https://app.example.com/x", true),
            ("GET", "referer", "https://app.example.com", true),
            ("GET", "referer", "https://app.example.com.evil.com/", false),
            ("GET", "referer", "https://evil.com/", false),
            ("GET", "x-nothing", "", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let method = method.parse().unwrap();
            assert_eq!(comes_from_here(&method, &headers, &home), ours, "{method} {name}: {value}");
        }
    }
}
