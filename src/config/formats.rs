//! How a claim is written into its header: the words of `headers.formats`.

use figment::value::Value;
use serde_json::json;

use super::leaf::{Leaf, one_of, one_of_schema, shown, text};
use crate::gateway::settings::{Encoding, ListForm, TooLong};

/// The claim that a header carries; `None` when it is switched off.
pub(super) struct ClaimSource(pub(super) Option<String>);

impl Leaf for ClaimSource {
    fn parse(value: &Value) -> Result<Self, String> {
        match (value.to_bool(), value.as_str()) {
            (Some(false), _) | (None, Some("false")) => Ok(Self(None)),
            (Some(true), _) | (None, Some("true")) => {
                Err("is `true`; a claim's name or `false` is expected".to_owned())
            }
            (None, _) => String::parse(value).map(|claim| Self(Some(claim))),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": ["string", "boolean"], "minLength": 1, "examples": ["email", false] })
    }
}

const LIST_FORMS: [(&str, ListForm); 2] = [("joined", ListForm::Joined), ("json", ListForm::Json)];

impl Leaf for ListForm {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &LIST_FORMS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&LIST_FORMS)
    }
}

const ENCODINGS: [(&str, Encoding); 4] = [
    ("utf8", Encoding::Utf8),
    ("percent", Encoding::Percent),
    ("rfc2047", Encoding::Rfc2047),
    ("base64url", Encoding::Base64Url),
];

impl Leaf for Encoding {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &ENCODINGS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&ENCODINGS)
    }
}

const TOO_LONG: [(&str, TooLong); 2] = [("omit", TooLong::Omit), ("refuse", TooLong::Refuse)];

impl Leaf for TooLong {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &TOO_LONG)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&TOO_LONG)
    }
}

/// What stands between joined values: one sign of ASCII that is neither a letter nor a digit nor the escape `\`.
pub(super) struct Separator(pub(super) char);

impl Leaf for Separator {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(sign), None) if sign.is_ascii_punctuation() && sign != '\\' => Ok(Self(sign)),
            _ => Err(format!("is {}; one sign such as `,` or `;` is expected, not `\\`", shown(text))),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1, "maxLength": 1, "examples": [",", ";", "|"] })
    }
}
