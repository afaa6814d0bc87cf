//! What a browser may do with a page of ours (Content Security Policy Level 3): show it, with its one stylesheet, and post its one form.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, header::InvalidHeaderValue};
use url::Url;

/// The policies there are; they differ in where a form may lead.
#[derive(Clone, Debug)]
pub(super) struct Policies {
    /// The page has no form.
    pub(super) no_form: HeaderValue,
    form_to_us: HeaderValue,
    form_and_on_by_https: HeaderValue,
    form_and_on_by_http: HeaderValue,
}

impl Policies {
    /// For pages that hold `style`, byte for byte, in a `style` element.
    pub(super) fn new(style: &str) -> Result<Self, InvalidHeaderValue> {
        let hash = BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let policy = |form: &str| {
            HeaderValue::try_from(format!(
                "default-src 'none'; style-src 'sha256-{hash}'; form-action {form}; base-uri 'none'; frame-ancestors 'none'"
            ))
        };
        Ok(Self {
            no_form: policy("'none'")?,
            form_to_us: policy("'self'")?,
            form_and_on_by_https: policy("'self' https:")?,
            form_and_on_by_http: policy("'self' https: http:")?,
        })
    }

    /// For a form posted to us, after which we redirect to `next`.
    ///
    /// Browsers hold every redirect after a form against `form-action`, not only the first address. The provider may redirect further,
    /// to a provider of its own for example, so naming its origin would strand people half signed out: only the scheme is bound.
    pub(super) fn form_leading_to(&self, next: Option<&Url>) -> &HeaderValue {
        match next {
            None => &self.form_to_us,
            Some(next) => self.form_leading_on(next.scheme() == "http"),
        }
    }

    /// The same where the address we redirect to is not known yet.
    pub(super) fn form_leading_on(&self, may_be_plain_http: bool) -> &HeaderValue {
        if may_be_plain_http { &self.form_and_on_by_http } else { &self.form_and_on_by_https }
    }
}
