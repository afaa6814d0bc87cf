//! `GET /jwks.json`: the public keys of the signed assertion, for the applications that verify it.

use http::{HeaderValue, Response, header};

use super::{EndpointError, Endpoints};
use crate::body::Body;

impl Endpoints {
    pub(super) fn jwks(&self) -> Result<Response<Body>, EndpointError> {
        let keys = self.jwks.clone().ok_or(EndpointError::NotFound)?;
        let mut response = Response::new(Body::from(keys));
        let headers = response.headers_mut();
        // RFC 7517 §8.5.2.
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
        // As long as a new key should be published before it signs.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}
