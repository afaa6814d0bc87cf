//! One value of the configuration: a duration, a size, a list. Each kind says how it is written and what is wrong with it.
//!
//! A value that cannot be read does not end the reading: [`Given`] keeps what is wrong with it, so that all problems are
//! reported at once. No message repeats the value of a secret.

use std::{borrow::Cow, path::PathBuf, time::Duration};

use figment::value::Value;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::secret::Secret;

/// A kind of value.
pub(super) trait Leaf: Sized {
    /// Reads it. The message completes the sentence that begins with the key: "is a number; …".
    fn parse(value: &Value) -> Result<Self, String>;

    /// What editors are told: a JSON Schema whose `type` is also what the effective configuration is printed by.
    fn schema() -> serde_json::Value;
}

/// A value if it was given, and what is wrong with it if it cannot be read.
#[derive(Debug)]
pub(super) struct Given<T>(Option<Result<T, String>>);

impl<T> Given<T> {
    /// Whether anybody wrote it, readable or not.
    pub(super) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// `None` when nobody wrote it.
    pub(super) fn into_result(self) -> Option<Result<T, String>> {
        self.0
    }
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Leaf> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Some(T::parse(&<Value as Deserialize>::deserialize(from)?))))
    }
}

impl<T: Leaf> JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Given".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::try_from(T::schema()).unwrap_or_default()
    }
}

/// The text of `value`, whatever it is; nothing has been checked.
pub(super) fn any_text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("is {}; a text in quotes is expected", kind(value)))
}

/// The text of `value`: not empty, without control characters, without white space at its ends.
pub(super) fn text(value: &Value) -> Result<&str, String> {
    let text = any_text(value)?;
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("holds a line break or another control character".to_owned());
    }
    if text.trim() != text {
        return Err("begins or ends with white space".to_owned());
    }
    Ok(text)
}

/// `text` as a message shows it: quoted, escaped, not longer than a line. Never for secrets.
pub(super) fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let start: String = characters.by_ref().take(60).flat_map(char::escape_debug).collect();
    let rest = if characters.next().is_some() { "…" } else { "" };
    format!("`{start}{rest}`")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a text",
        Value::Bool(..) => "a boolean",
        Value::Num(..) => "a number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a table",
        Value::Array(..) => "a list",
    }
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, String> {
    let text = text(value)?;
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        format!("is {}; known are {}", shown(text), words.join(", "))
    })
}

/// The schema of [`one_of`].
pub(super) fn one_of_schema<T>(words: &[(&str, T)]) -> serde_json::Value {
    json!({ "type": "string", "enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>() })
}

impl Leaf for String {
    fn parse(value: &Value) -> Result<Self, String> {
        text(value).map(str::to_owned)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Leaf for Secret<String> {
    fn parse(value: &Value) -> Result<Self, String> {
        text(value).map(|text| Self::new(text.to_owned()))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1, "writeOnly": true })
    }
}

impl Leaf for PathBuf {
    fn parse(value: &Value) -> Result<Self, String> {
        text(value).map(Self::from)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Leaf for bool {
    fn parse(value: &Value) -> Result<Self, String> {
        match (value.to_bool(), value.as_str()) {
            (Some(is), _) => Ok(is),
            (None, Some("true")) => Ok(true),
            (None, Some("false")) => Ok(false),
            (None, Some(other)) => Err(format!("is {}; `true` or `false` is expected", shown(other))),
            (None, None) => Err(format!("is {}; `true` or `false` is expected", kind(value))),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "boolean" })
    }
}

impl Leaf for usize {
    fn parse(value: &Value) -> Result<Self, String> {
        whole_number(value).map_err(|wrong| format!("{wrong}; a whole number is expected"))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "integer", "minimum": 0 })
    }
}

fn whole_number(value: &Value) -> Result<usize, String> {
    if let Some(text) = value.as_str() {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        return digits.then(|| text.parse().ok()).flatten().ok_or_else(|| format!("is {}", shown(text)));
    }
    if let Some(number) = value.to_i128() {
        return usize::try_from(number).map_err(|_| format!("is {number}"));
    }
    value.to_u128().and_then(|number| usize::try_from(number).ok()).ok_or_else(|| format!("is {}", kind(value)))
}

/// A number of bytes: `32KiB`, `1MiB`, or plain bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

impl Leaf for Size {
    fn parse(value: &Value) -> Result<Self, String> {
        const EXPECTED: &str = "a size such as `32KiB`, `1MiB` or a plain number of bytes is expected";
        let unit = |text: &str| {
            [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
                .into_iter()
                .find_map(|(unit, bytes)| text.strip_suffix(unit).map(|digits| (digits.to_owned(), bytes)))
        };
        let (number, bytes) = match value.as_str().and_then(unit) {
            Some((digits, bytes)) => (whole_number(&Value::from(digits)), bytes),
            None => (whole_number(value), 1_usize),
        };
        let wrong = || match value.as_str() {
            Some(text) => format!("is {}; {EXPECTED}", shown(text)),
            None => format!("is {}; {EXPECTED}", kind(value)),
        };
        number.ok().and_then(|number| number.checked_mul(bytes)).map(Self).ok_or_else(wrong)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": ["string", "integer"], "pattern": "^[0-9]+(KiB|MiB|GiB)?$", "minimum": 0 })
    }
}

/// Ten years: what is meant to last longer is a mistake, and timers must not overflow.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// `90s`, `5m`, `12h`, `1h30m`, `500ms`, `7d`.
impl Leaf for Duration {
    fn parse(value: &Value) -> Result<Self, String> {
        const EXPECTED: &str = "a duration such as `90s`, `5m`, `1h30m` or `500ms` is expected";
        let Some(text) = value.as_str() else {
            return Err(match value.to_i128() {
                Some(number) => format!("is {number} without a unit; {EXPECTED}"),
                None => format!("is {}; {EXPECTED}", kind(value)),
            });
        };
        let duration = duration(text).ok_or_else(|| format!("is {}; {EXPECTED}", shown(text)))?;
        if duration > LONGEST {
            return Err(format!("is {}; more than ten years cannot be meant", shown(text)));
        }
        Ok(duration)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", "minLength": 2 })
    }
}

fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut last = Duration::MAX;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let (unit, after) = after.split_at(after.bytes().take_while(u8::is_ascii_lowercase).count());
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(86_400),
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(unit.checked_mul(number.parse().ok()?)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// A list; from the environment and the command line separated by commas.
impl<T: Leaf> Leaf for Vec<T> {
    fn parse(value: &Value) -> Result<Self, String> {
        let split;
        let entries = match (value.as_array(), value.as_str()) {
            (Some(entries), _) => entries,
            (None, Some(text)) => {
                split = entries(text).map(Value::from).collect::<Vec<_>>();
                &split
            }
            (None, None) => return Err(format!("is {}; a list is expected", kind(value))),
        };
        let mut wrong = Vec::new();
        let mut read = Vec::with_capacity(entries.len());
        for (number, entry) in entries.iter().enumerate() {
            match T::parse(entry) {
                Ok(entry) => read.push(entry),
                Err(what) => wrong.push(format!("entry {} {what}", number + 1)),
            }
        }
        if wrong.is_empty() { Ok(read) } else { Err(format!("has a wrong entry: {}", wrong.join(", and "))) }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// The entries of a list that is written as one text.
pub(super) fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_units() {
        for (text, milliseconds) in [
            ("90s", Some(90_000)),
            ("5m", Some(300_000)),
            ("12h", Some(43_200_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1s500ms", Some(1_500)),
            ("2d", Some(172_800_000)),
            ("0s", Some(0)),
            ("3650d", Some(315_360_000_000)),
            ("3651d", None),
            ("", None),
            ("90", None),
            ("s", None),
            ("300x", None),
            ("1.5h", None),
            ("-5m", None),
            ("+5m", None),
            (" 5m", None),
            ("5 m", None),
            ("5M", None),
            ("30m1h", None),
            ("1h1h", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("5é", None),
        ] {
            let read = Duration::parse(&text.into()).ok();
            assert_eq!(read, milliseconds.map(Duration::from_millis), "{text:?}");
        }
        assert!(Duration::parse(&90.into()).unwrap_err().contains("90 without a unit"));
    }

    #[test]
    fn a_size_is_binary_or_plain() {
        for (text, bytes) in [
            ("32KiB", Some(32_768)),
            ("1MiB", Some(1 << 20)),
            ("2GiB", Some(2 << 30)),
            ("4096", Some(4_096)),
            ("", None),
            ("KiB", None),
            ("32kb", None),
            ("32KB", None),
            ("32 KiB", None),
            ("1.5MiB", None),
            ("-1", None),
            ("99999999999999GiB", None),
        ] {
            assert_eq!(Size::parse(&text.into()).ok(), bytes.map(Size), "{text:?}");
        }
        assert_eq!(Size::parse(&4_096.into()), Ok(Size(4_096)));
        assert!(Size::parse(&(-1).into()).is_err());
    }

    #[test]
    fn numbers_and_booleans_can_be_texts() {
        for (value, number) in [
            (Value::from("100"), Some(100)),
            (Value::from(100), Some(100)),
            (Value::from("+100"), None),
            (Value::from("1e3"), None),
            (Value::from(-1), None),
            (Value::from(1.5), None),
            (Value::from(true), None),
            (Value::from(""), None),
        ] {
            assert_eq!(usize::parse(&value).ok(), number, "{value:?}");
        }
        for (value, is) in [
            (Value::from("true"), Some(true)),
            (Value::from(false), Some(false)),
            (Value::from("yes"), None),
            (Value::from("1"), None),
            (Value::from(1), None),
        ] {
            assert_eq!(bool::parse(&value).ok(), is, "{value:?}");
        }
    }

    /// T-121.
    #[test]
    fn a_list_has_no_empty_entry() {
        let list = |value: Value| Vec::<String>::parse(&value);
        assert_eq!(list("a, b".into()), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(list(vec!["a", "b"].into()), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(list(Vec::<String>::new().into()), Ok(vec![]));
        for wrong in [Value::from(""), "a,,b".into(), "a,".into(), ",".into(), vec!["a", ""].into(), 5.into()] {
            assert!(list(wrong.clone()).is_err(), "{wrong:?}");
        }
        assert!(list("a,,b,".into()).unwrap_err().contains("entry 2 is empty, and entry 4 is empty"));
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(shown("a\nb"), "`a\\nb`");
        assert_eq!(shown(&"x".repeat(100)), format!("`{}…`", "x".repeat(60)));
    }
}
