//! `GET /frontchannel-logout/NAME`: the provider's page shows us in a frame while somebody logs out there (OpenID Connect Front-Channel Logout
//! 1.0 §2).
//!
//! Nothing is signed, and browsers send no cookie of ours into another site's frame. So with `sid` it is the provider's session that ends, if
//! somebody signed in with it: strangers cannot guess one, nor fill the ledger with others. Without it the cookie has to say whose, and a link
//! or an image on another site ends nothing (T-058). The answer does not tell whether anything ended.

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use tracing::info;

use super::{EndpointError, Endpoints, Visit, form};
use crate::{
    body::Body,
    providers::Provider,
    sessions::{ProviderSessionTag, Revoked, Session},
};

/// Nobody looks at it: the provider's frame is hidden as a rule.
const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Signed out</title></head><body></body></html>\n";

impl Endpoints {
    pub(super) async fn frontchannel_logout(
        &self,
        visit: &Visit<'_>,
        name: &str,
    ) -> Result<Response<Body>, EndpointError> {
        let provider = self.providers.find(name).ok_or(EndpointError::UnknownProvider)?;
        let query = visit.query.unwrap_or_default();
        let iss = form::one(query, "iss").map_err(EndpointError::Parameters)?;
        let sid = form::one(query, "sid").map_err(EndpointError::Parameters)?;
        let has_own_ended = match (iss, sid) {
            (Some(iss), _) if !provider.is_issuer(&iss) => false,
            (iss, Some(sid)) => self.end_provider_session(visit, provider, iss.as_deref(), &sid).await?,
            (_, None) => self.end_framed(visit, provider).await,
        };
        let mut response = Response::new(Body::from(PAGE));
        let headers = response.headers_mut();
        headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
        if has_own_ended {
            headers.append(header::SET_COOKIE, self.sessions.clear());
        }
        Ok(response)
    }

    /// Whether the session of this browser is among those that have ended.
    async fn end_provider_session(
        &self,
        visit: &Visit<'_>,
        provider: &Provider,
        iss: Option<&str>,
        sid: &str,
    ) -> Result<bool, EndpointError> {
        let mut has_own_ended = false;
        for tag in tags(provider, iss, sid) {
            if self.sessions.knows(tag).await.map_err(EndpointError::Store)? {
                let _told = self.sessions.end_all(Revoked::ProviderSession(tag), visit.now).await;
                info!(provider.name = %provider.name(), ended = "session", "The provider has logged somebody out in a frame");
                has_own_ended |= visit.session.is_some_and(|session| session.provider_session == Some(tag));
            }
        }
        Ok(has_own_ended)
    }

    /// Ends the session of the cookie, which a browser sends along where provider and gateway are of one site.
    async fn end_framed(&self, visit: &Visit<'_>, provider: &Provider) -> bool {
        let is_of_provider = |session: &&Session| session.provider == provider.tag();
        let Some(session) = visit.session.filter(is_of_provider).filter(|_| may_be_framed(visit.headers)) else {
            return false;
        };
        let _told = self.sessions.end(session).await;
        info!(provider.name = %provider.name(), ended = "cookie", "The provider has logged somebody out in a frame");
        true
    }
}

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    // Whoever frames it sees an empty page.
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors *"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What the session may be known as; with tenants and without `iss` it may be any one's.
fn tags(provider: &Provider, iss: Option<&str>, sid: &str) -> Vec<ProviderSessionTag> {
    match iss {
        Some(iss) => vec![ProviderSessionTag::of(provider.own_name(iss), sid)],
        None => provider.issuers().map(|issuer| ProviderSessionTag::of(&issuer, sid)).collect(),
    }
}

/// Whether this is a frame, or a browser that does not tell; one that tells by `Origin` or `Referer` where it comes from is not taken at its
/// word, because a link looks the same.
fn may_be_framed(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-dest") {
        Some(dest) => dest == "iframe",
        None => {
            ["sec-fetch-site", "sec-fetch-mode", "origin", "referer"].iter().all(|name| !headers.contains_key(*name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-058.
    #[test]
    fn only_a_frame_ends_what_a_cookie_says() {
        for (headers, may) in [
            (&[("sec-fetch-dest", "document"), ("sec-fetch-site", "cross-site")][..], false),
            (&[("sec-fetch-dest", "document")], false),
            (&[("sec-fetch-dest", "image")], false),
            (&[("sec-fetch-dest", "empty")], false),
            (&[("sec-fetch-dest", "")], false),
            (&[("sec-fetch-mode", "navigate")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("referer", "https://evil.example/")], false),
            (&[("origin", "null")], false),
            (&[("sec-fetch-dest", "iframe"), ("sec-fetch-site", "same-site")], true),
            (&[], true),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(may_be_framed(&map), may, "{headers:?}");
        }
    }
}
