//! What the userinfo endpoint adds about the person the ID token is about (OpenID Connect Core §5.3).
//!
//! Its answer counts only with the same `sub` as the ID token: an access token can belong to somebody else. Signed answers
//! (`application/jwt`) are refused rather than half understood.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::{Map, Value};
use url::Url;

use super::{
    error::UserinfoError,
    http::{Http, HttpError},
    json::Object,
};
use crate::secret::Secret;

/// The claims that `endpoint` has about `subject`.
pub(super) async fn ask(
    http: &Http,
    endpoint: &Url,
    access_token: Option<&Secret<String>>,
    subject: &str,
) -> Result<Map<String, Value>, UserinfoError> {
    let token = access_token.ok_or(UserinfoError::NoAccessToken)?;
    let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut bearer = bearer.map_err(|_| UserinfoError::NoAccessToken)?;
    bearer.set_sensitive(true);
    let request = Request::get(endpoint.as_str()).header(header::AUTHORIZATION, bearer).body(Bytes::new());
    let response = http.send(request.map_err(|_| HttpError::Url)?).await?;

    if response.status() != StatusCode::OK {
        return Err(HttpError::Status(response.status().as_u16()).into());
    }
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("application/jwt")) {
        return Err(UserinfoError::Signed);
    }
    let claims = Object::parse(response.body()).ok_or(UserinfoError::NotJson)?;
    match claims.get("sub").and_then(Value::as_str) {
        None => Err(UserinfoError::NoSubject),
        Some(other) if other != subject => Err(UserinfoError::Subject),
        Some(_) => Ok(claims),
    }
}
