//! A request with its body, and the parameters it carries.

use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CONTENT_TYPE, HeaderName},
    request::Parts,
};

use super::refusal::{ErrorCode, Refusal};

/// A request, whole.
pub(super) struct Received {
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

impl Received {
    /// The header's value, when it is there once and in ASCII.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        let mut values = self.head.headers.get_all(name).iter();
        let first = values.next().and_then(|value: &HeaderValue| value.to_str().ok());
        if values.next().is_some() { None } else { first }
    }

    /// The parameters of the query.
    pub(super) fn query(&self) -> Params {
        Params::parse(self.head.uri.query().unwrap_or_default().as_bytes())
    }

    /// The parameters of the form in the body.
    pub(super) fn form(&self) -> Result<Params, Refusal> {
        let kind = self.header(CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refusal::new(ErrorCode::InvalidRequest, "the body is not a form"));
        }
        Ok(Params::parse(&self.body))
    }

    /// The parameters of the query, or of the form when it is a POST.
    pub(super) fn query_or_form(&self) -> Result<Params, Refusal> {
        if self.head.method == http::Method::POST { self.form() } else { Ok(self.query()) }
    }
}

/// Decoded parameters in their order.
#[derive(Clone)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn of(all: Vec<(String, String)>) -> Self {
        Self(all)
    }

    pub(super) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// The parameter's value. One without a value counts as omitted, one that comes twice is refused (RFC 6749 §3.1, §3.2).
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::new(ErrorCode::InvalidRequest, format!("{name} is given more than once")));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// The parameter's value, which must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.one(name)?.ok_or_else(|| Refusal::new(ErrorCode::InvalidRequest, format!("{name} is missing")))
    }

    /// The first value as typed, for showing a form again; empty when it is absent.
    pub(super) fn typed(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Everything, in its order.
    pub(super) fn all(&self) -> &[(String, String)] {
        &self.0
    }

    /// Everything, encoded again.
    pub(super) fn encoded(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}
