//! Parameters that strangers send: queries, and posted forms.

use std::borrow::Cow;

use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use url::form_urlencoded;

/// The largest form that is read, in bytes.
const MAX_BYTES: usize = 64 * 1_024;

/// Why parameters cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    /// The same parameter twice (RFC 6749 §3.1).
    #[error("the parameter “{0}” occurs more than once")]
    Repeated(&'static str),
    /// A parameter that has to be there.
    #[error("the parameter “{0}” is missing")]
    Missing(&'static str),
    /// Two parameters of which only one can be meant.
    #[error("the parameters “{0}” and “{1}” do not go together")]
    Conflict(&'static str, &'static str),
    /// A parameter that says nothing that is understood.
    #[error("the parameter “{0}” has another value than it may have")]
    Value(&'static str),
    /// A body that is not `application/x-www-form-urlencoded`.
    #[error("the body is not a form")]
    NotAForm,
    /// More than [`MAX_BYTES`].
    #[error("the form is larger than 64 KiB")]
    TooLarge,
    /// The connection broke while the body was read.
    #[error("the form ended early")]
    Incomplete,
}

/// The parameter `name`, when it occurs exactly once.
pub(crate) fn one<'q>(query: &'q str, name: &'static str) -> Result<Option<Cow<'q, str>>, BadForm> {
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(BadForm::Repeated(name)),
        (value, None) => Ok(value),
    }
}

/// Whether the body says that it is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The body of a posted form.
pub(super) async fn read(headers: &HeaderMap, body: Incoming) -> Result<String, BadForm> {
    if !is_form(headers) {
        return Err(BadForm::NotAForm);
    }
    let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() { BadForm::TooLarge } else { BadForm::Incomplete }
    })?;
    String::from_utf8(body.to_bytes().into()).map_err(|_| BadForm::NotAForm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_occurs_once_or_not_at_all() {
        assert_eq!(one("code=a&state=b", "code").unwrap().as_deref(), Some("a"));
        assert_eq!(one("state=b", "code").unwrap(), None);
        assert_eq!(one("code=a&code=b", "code"), Err(BadForm::Repeated("code")));
        assert_eq!(one("%63ode=a&code=b", "code"), Err(BadForm::Repeated("code")));
    }
}
