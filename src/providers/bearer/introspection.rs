//! A black box: the provider says what is in it, and whether it is active (RFC 7662).
//!
//! * What only looks like yes is no: `active` is the literal `true`, or the token is not.
//! * No answer, or one that cannot be read, is no refusal either: provider or operator have to do something about it, not the caller.
//! * The token goes into the body: in a URL it would end up in logs.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Number, Value};

use super::{BearerAnswerError, BearerError, BearerRefusal};
use crate::{
    clock::UnixTime,
    providers::{
        IntrospectionProtocol,
        client_auth::Client,
        error::ErrorCode,
        http::{Form, HttpError},
        json::Object,
        metadata::Metadata,
    },
    secret::Secret,
};

/// PingFederate's name for the question whether a token is good.
const VALIDATE_BEARER: &str = "urn:pingidentity.com:oauth2:grant_type:validate_bearer";
/// What stands for the code of a 401 that has none.
const UNAUTHORIZED: &str = "HTTP-401";

/// Who is asked, and how.
#[derive(Clone, Copy)]
struct Asked {
    protocol: IntrospectionProtocol,
    /// As errors call it.
    endpoint: &'static str,
}

/// What the provider says of `token`, which is active: members as RFC 7662 §2.2 names them.
pub(super) async fn ask(
    client: &Client,
    metadata: &Metadata,
    protocol: IntrospectionProtocol,
    token: &Secret<String>,
    now: UnixTime,
) -> Result<Map<String, Value>, BearerError> {
    let (endpoint, url) = match protocol {
        IntrospectionProtocol::Standard | IntrospectionProtocol::Tokeninfo => {
            ("introspection", metadata.introspection_endpoint.as_ref())
        }
        IntrospectionProtocol::ValidateBearer => ("token", Some(&metadata.token_endpoint)),
    };
    let url = url.ok_or(BearerError::NotOffered(endpoint))?;
    let asked = Asked { protocol, endpoint };

    let mut form = Form::default();
    match protocol {
        IntrospectionProtocol::Standard => {
            form.set("token", token.expose());
            form.set("token_type_hint", "access_token");
        }
        IntrospectionProtocol::Tokeninfo => form.set("access_token", token.expose()),
        IntrospectionProtocol::ValidateBearer => {
            form.set("grant_type", VALIDATE_BEARER);
            form.set("token", token.expose());
        }
    }
    if asked.knows_us() {
        client.authenticate(&mut form, metadata, now)?;
    }
    let reply = client.http.post(url, form).await.map_err(|error| asked.failed(error))?;
    let members = Object::parse(&reply.body).ok_or_else(|| match reply.status {
        StatusCode::UNAUTHORIZED => asked.failed(HttpError::Status(401)),
        _ => asked.no_answer(BearerAnswerError::NotJson),
    })?;
    // Whatever the status: some refuse with 200.
    if reply.is_refusal || (members.contains_key("error") && !members.contains_key("active")) {
        return Err(asked.refused(reply.status, &members));
    }
    asked.active(members, now)
}

impl Asked {
    /// Whether we authenticate there, so that it may refuse us.
    fn knows_us(self) -> bool {
        match self.protocol {
            IntrospectionProtocol::Standard | IntrospectionProtocol::ValidateBearer => true,
            IntrospectionProtocol::Tokeninfo => false,
        }
    }

    /// Without an answer that can be read; the status of one may say enough (RFC 7662 §2.3).
    fn failed(self, error: HttpError) -> BearerError {
        if self.knows_us() && error == HttpError::Status(401) {
            return BearerError::Misconfigured(ErrorCode::new(UNAUTHORIZED));
        }
        BearerError::Endpoint { endpoint: self.endpoint, error }
    }

    fn no_answer(self, error: BearerAnswerError) -> BearerError {
        BearerError::Answer { endpoint: self.endpoint, error }
    }

    fn unusable(self, member: &str) -> BearerError {
        self.no_answer(BearerAnswerError::Member(member.into()))
    }

    /// What a refusal is about (RFC 7662 §2.3, RFC 6749 §5.2): us, the token, or neither.
    fn refused(self, status: StatusCode, members: &Map<String, Value>) -> BearerError {
        let code = members.get("error").map(|error| ErrorCode::of(Some(error)));
        let named = code.as_ref().map(ErrorCode::as_str);
        // Some call it `invalid_request` that they do not know us. A token of a caller's choosing brings neither status about.
        let is_about_us = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || matches!(
                named,
                Some(
                    "invalid_client"
                        | "unauthorized_client"
                        | "access_denied"
                        | "unsupported_grant_type"
                        | "invalid_scope"
                        | "incorrect_client_credentials"
                )
            );
        let is_about_token = match self.protocol {
            IntrospectionProtocol::Standard => named == Some("invalid_token"),
            // Older versions give a sentence and no code.
            IntrospectionProtocol::Tokeninfo => {
                named == Some("invalid_token")
                    || (status == StatusCode::BAD_REQUEST && members.contains_key("error_description"))
            }
            IntrospectionProtocol::ValidateBearer => matches!(named, Some("invalid_grant" | "invalid_token")),
        };
        match code {
            Some(code) if self.knows_us() && is_about_us => BearerError::Misconfigured(code),
            _ if is_about_token => BearerRefusal::Inactive.into(),
            Some(code) => self.no_answer(BearerAnswerError::Refused(code)),
            None => self.failed(HttpError::Status(status.as_u16())),
        }
    }

    /// What is said of a token, when that is said to be active.
    fn active(self, mut members: Map<String, Value>, now: UnixTime) -> Result<Map<String, Value>, BearerError> {
        let is_active = match (self.protocol, members.get("active")) {
            (_, Some(active)) => *active == Value::Bool(true),
            (IntrospectionProtocol::Standard, None) => false,
            // They do not say it: what is not active, they refuse.
            (IntrospectionProtocol::Tokeninfo | IntrospectionProtocol::ValidateBearer, None) => true,
        };
        if !is_active {
            return Err(BearerRefusal::Inactive.into());
        }
        match self.protocol {
            IntrospectionProtocol::Standard => {
                if let Some(exp) = number(members.get("exp")) {
                    members.insert("exp".to_owned(), exp.into());
                }
                Ok(members)
            }
            IntrospectionProtocol::Tokeninfo => {
                let exp = match number(members.get("exp")) {
                    Some(exp) => exp,
                    None => self.end(&members, now)?,
                };
                members.insert("exp".to_owned(), exp.into());
                Ok(members)
            }
            IntrospectionProtocol::ValidateBearer => {
                let exp = self.end(&members, now)?;
                let Some(Value::Object(mut claims)) = members.remove("access_token") else {
                    return Err(self.unusable("access_token"));
                };
                // What the server says of the token outweighs what stands in it.
                for name in ["client_id", "scope"] {
                    if let Some(outside) = members.remove(name) {
                        claims.insert(name.to_owned(), outside);
                    }
                }
                claims.insert("exp".to_owned(), exp.into());
                Ok(claims)
            }
        }
    }

    /// `expires_in` as a point in time. The provider counted, so its clock does not matter: nothing left is expired.
    fn end(self, members: &Map<String, Value>, now: UnixTime) -> Result<Number, BearerError> {
        let left = number(members.get("expires_in")).and_then(|left| left.as_f64());
        let left = left.ok_or_else(|| self.unusable("expires_in"))?;
        if left <= 0.0 {
            return Err(BearerRefusal::Inactive.into());
        }
        Ok(now.plus(Duration::from_secs(left as u64)).0.into())
    }
}

/// A number, or a text that is one: Google's are texts.
fn number(value: Option<&Value>) -> Option<Number> {
    match value? {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
