//! The e-mail address, and whether it counts.

use serde_json::{Map, Value};

use super::{EMAIL, Sources, Wanted, path};

impl Wanted<'_> {
    /// Whether the claim that the configuration calls `name` is the e-mail address, however it is spelt.
    pub(super) fn is_email(&self, name: &str) -> bool {
        path::is_same(name, EMAIL) || path::is_same(name, &self.email.claim)
    }

    /// The e-mail address, when it has been verified.
    pub(super) fn verified_email<'a>(&self, sources: Sources<'a>) -> Option<&'a str> {
        let email = sources.claim(&self.email.claim)?.as_str()?;
        let of_this_address =
            |document: &&Map<String, Value>| self.address(document) == Some(email) && self.word(document).is_some();
        let (_, says) = sources.documents().find(|(_, document)| of_this_address(document))?;
        is_yes(self.word(says)?).then_some(email)
    }

    /// The domain of the verified e-mail address, in lower case.
    pub(super) fn email_domain(&self, sources: Sources<'_>) -> Option<Box<str>> {
        let (local, domain) = self.verified_email(sources)?.rsplit_once('@')?;
        let plain = !domain.is_empty() && !domain.contains(|c: char| c.is_whitespace() || c.is_control());
        (plain && !local.is_empty()).then(|| domain.to_ascii_lowercase().into())
    }

    pub(super) fn says_whether_verified(&self, sources: Sources<'_>) -> bool {
        let says = |document| path::find(document, &self.email.claim).is_some() && self.word(document).is_some();
        sources.documents().any(|(_, document)| says(document))
    }

    fn address<'a>(&self, document: &'a Map<String, Value>) -> Option<&'a str> {
        path::find(document, &self.email.claim)?.as_str()
    }

    /// What the document says about whether its address has been verified.
    fn word<'a>(&self, document: &'a Map<String, Value>) -> Option<&'a Value> {
        path::find(document, &self.email.verified_claim)
    }
}

/// Truth as providers write it. Whatever else stands there is not the provider's word.
fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(is) => *is,
        Value::String(text) => text == "true" || text == "1",
        Value::Number(number) => number.as_u64() == Some(1),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}
