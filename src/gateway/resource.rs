//! What programs are told about a route where tokens count: its metadata as a protected resource (RFC 9728), and how to ask for it.

use http::{HeaderValue, Method, Response, header};
use serde_json::json;

use super::{reply::Rejection, route::TokenRoute};
use crate::{body::Body, endpoints::EndpointError, tokens::dpop};

/// Where the metadata of the resource at the root is (RFC 9728 §3.1); that of another stands below, under the resource's own path.
pub(super) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The document about `route`. Public: any page may read it.
///
/// # Errors
/// Another method than GET or HEAD.
pub(super) fn metadata(method: &Method, route: &TokenRoute) -> Result<Response<Body>, Rejection> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(EndpointError::MethodNotAllowed("GET, HEAD").into());
    }
    let mut document = json!({
        "resource": route.resource,
        "authorization_servers": route.realm.issuers().collect::<Vec<_>>(),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
    });
    if !route.rules.scopes.is_empty()
        && let Some(members) = document.as_object_mut()
    {
        members.insert("scopes_supported".to_owned(), json!(route.rules.scopes));
    }
    let mut response = Response::new(Body::from(document.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}

/// How a caller can make itself known at a route where tokens count: the `WWW-Authenticate` of its refusals.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    /// Where the route's metadata is.
    metadata_url: Box<str>,
}

impl Challenge {
    /// `base` is scheme, host and port as callers see them; `path` the route's, empty for the root.
    pub(super) fn new(base: &str, path: &str) -> Self {
        Self { metadata_url: format!("{base}{WELL_KNOWN}{path}").into() }
    }

    /// With `parameters`, which hold neither `"` nor `\` (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1): for a token without, and one with a proof.
    pub(super) fn with(&self, parameters: &[(&str, &str)]) -> [HeaderValue; 2] {
        let said: String = parameters.iter().map(|(name, value)| format!("{name}=\"{value}\", ")).collect();
        let url = &self.metadata_url;
        let bearer = format!("Bearer {said}resource_metadata=\"{url}\"");
        let dpop = format!("DPoP {said}algs=\"{}\", resource_metadata=\"{url}\"", dpop::ALGORITHMS.join(" "));
        // What no header could carry is left out, and the challenge stands.
        [(bearer, "Bearer"), (dpop, "DPoP")]
            .map(|(value, bare)| HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(bare)))
    }
}
