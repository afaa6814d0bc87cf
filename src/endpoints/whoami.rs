//! `GET /whoami`: who the gateway thinks the caller is. Never a token; never readable by other origins (no CORS).

use http::{HeaderValue, Response, header};
use serde_json::json;

use super::{EndpointError, Endpoints, Visit};
use crate::body::Body;

impl Endpoints {
    pub(super) fn whoami(&self, visit: &Visit<'_>) -> Result<Response<Body>, EndpointError> {
        let session = visit.session.ok_or(EndpointError::NotSignedIn)?;
        let identity = &session.identity;
        let provider = self.providers.by_tag(session.provider).map(|provider| provider.name().as_str());
        let claims: serde_json::Map<String, serde_json::Value> =
            identity.claims.iter().map(|(name, value)| (name.to_string(), value.into())).collect();
        // Nobody asks the store for those that are there.
        let claims = (!session.has_stored_claims).then_some(claims);
        let answer = json!({
            "user": identity.user.as_str(),
            "provider": provider,
            "claims": claims,
            "signed_in": session.signed_in.0,
            "expires": session.signed_in.plus(self.max_age).0,
        });
        let mut response = Response::new(Body::from(answer.to_string()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}
