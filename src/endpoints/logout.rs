//! `/logout`: the session ends here, then at the provider (OpenID Connect RP-Initiated Logout 1.0). `/signed-out`: the way back from there.
//!
//! Another site can make a browser come here but cannot end a session with it: it is asked first (T-058).

use http::{HeaderMap, Method, Response, StatusCode, header};
use tracing::info;

use super::{
    EndpointError, Endpoints, Visit, form, page,
    pages::{ConfirmLogout, Href, LogoutAt, SignedOut},
    redirect,
};
use crate::{
    body::Body,
    origin::{Origin, ReturnTo},
};

impl Endpoints {
    pub(super) fn logout(&self, visit: &Visit<'_>) -> Result<Response<Body>, EndpointError> {
        let asked = form::one(visit.query.unwrap_or_default(), "rd")?;
        let return_to = asked.map_or_else(ReturnTo::root, |asked| ReturnTo::parse(&asked, &self.origin));
        let Some(session) = visit.session else {
            return Ok(self.leave(visit, self.links.signed_out(&return_to).as_str()));
        };
        // The gateway takes no session for one whose provider it does not know.
        let provider = self.providers.by_tag(session.provider).ok_or(EndpointError::UnknownProvider)?;
        let at_provider = provider.logout_url(&self.links.signed_out_uri(), None, Some(return_to.as_str()));
        if !comes_from_here(visit.method, visit.headers, &self.origin) {
            return Ok(page(self.pages.confirm_logout(&ConfirmLogout {
                user: session.identity.user.as_str(),
                logout: self.links.logout(&return_to),
                cancel: Href::from(&ReturnTo::root()),
                then_at:
                    at_provider.as_ref().map(|endpoint| LogoutAt { display_name: provider.display_name(), endpoint }),
            })));
        }
        self.sessions.revoke(session, visit.now);
        info!(provider.name = %provider.name(), at_provider = at_provider.is_some(), "Signed out");
        match at_provider {
            Some(url) => Ok(self.leave(visit, url.as_str())),
            // Its own session goes on, and people should know.
            None => {
                Ok(self.leave(visit, self.links.signed_out(&return_to).with("at", provider.name().as_str()).as_str()))
            }
        }
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
    fn leave(&self, visit: &Visit<'_>, to: &str) -> Response<Body> {
        let mut response = redirect(StatusCode::SEE_OTHER, to);
        response.headers_mut().append(header::SET_COOKIE, self.sessions.clear());
        for cleared in self.sessions.clear_logins(visit.headers) {
            response.headers_mut().append(header::SET_COOKIE, cleared);
        }
        response
    }
}

/// Whether a person on one of our own pages, or at the address bar, asked for this. Browsers tell by `Sec-Fetch-Site`; older ones by
/// `Origin` or `Referer`; one that tells nothing is taken at its word only with the session cookie, which no other site's form can send.
fn comes_from_here(method: &Method, headers: &HeaderMap, home: &Origin) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
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
