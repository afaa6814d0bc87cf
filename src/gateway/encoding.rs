//! How a claim becomes a header's value, and why it sometimes cannot.
//!
//! * First one text: a single value is itself, a list is joined or becomes a JSON array. Then the text is encoded.
//! * No value adds, splits or ends a header, whatever it holds. What an encoding cannot carry unchanged is not sent at all.
//! * Every step can be undone: two claims never look the same to an application that follows `docs/headers.md`.

use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, prelude::*};
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::settings::{ClaimFormat, Encoding, ListForm};
use crate::identity::ClaimValue;

/// RFC 3986 §2.3: everything but the unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes of text in one encoded-word: with `=?UTF-8?B?` and `?=` their base64 has 72 of the 75 characters that RFC 2047 §2 allows.
const WORD_BYTES: usize = 45;

/// Why a claim that is there is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsendable {
    /// A control character, or white space at an end, which HTTP would drop.
    #[error("its encoding cannot carry a control character or white space at an end")]
    NotCarried,
    /// More bytes than `max_bytes`, once it is encoded.
    #[error("it has {bytes} bytes; at most {limit} are sent")]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// The header value of `claim`; `None` when the claim holds nothing.
///
/// # Errors
/// [`Unsendable`].
pub(super) fn claim(claim: &ClaimValue, format: &ClaimFormat) -> Result<Option<HeaderValue>, Unsendable> {
    let text = text(claim, format);
    if text.is_empty() {
        return Ok(None);
    }
    let text = encoded(&text, format.encoding).ok_or(Unsendable::NotCarried)?;
    if text.len() > format.max_bytes {
        return Err(Unsendable::TooLong { bytes: text.len(), limit: format.max_bytes });
    }
    HeaderValue::from_bytes(text.as_bytes()).map(Some).map_err(|_| Unsendable::NotCarried)
}

/// The header value of `text` alone.
pub(super) fn single(text: &str, encoding: Encoding) -> Option<HeaderValue> {
    let text = encoded(text, encoding)?;
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

fn text<'c>(claim: &'c ClaimValue, format: &ClaimFormat) -> Cow<'c, str> {
    let values = match (claim, format.list) {
        (ClaimValue::One(value), None) => return value.as_ref().into(),
        (ClaimValue::Many(values), _) => values.as_slice(),
        (ClaimValue::One(value), Some(_)) => std::slice::from_ref(value),
    };
    // Nothing at all stays nothing, in every form.
    if values.iter().all(|value| value.is_empty()) {
        return Cow::Borrowed("");
    }
    match format.list.unwrap_or(ListForm::Joined) {
        ListForm::Joined => joined(values, format.separator).into(),
        ListForm::Json => json(values).into(),
    }
}

/// The values with `separator` between them; where a value holds it or a `\`, a `\` stands before that.
fn joined(values: &[Box<str>], separator: char) -> String {
    let mut text = String::with_capacity(values.iter().map(|value| value.len() + 1).sum());
    for (number, value) in values.iter().enumerate() {
        if number > 0 {
            text.push(separator);
        }
        for c in value.chars() {
            if c == separator || c == '\\' {
                text.push('\\');
            }
            text.push(c);
        }
    }
    text
}

/// A JSON array in ASCII: what is not, and DEL, is escaped (RFC 8259 §7), so that every encoding carries it.
fn json(values: &[Box<str>]) -> String {
    let array = serde_json::json!(values).to_string();
    let mut text = String::with_capacity(array.len());
    for c in array.chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

fn encoded(text: &str, encoding: Encoding) -> Option<Cow<'_, str>> {
    match encoding {
        Encoding::Utf8 => is_plain(text).then_some(Cow::Borrowed(text)),
        Encoding::Percent => Some(utf8_percent_encode(text, RESERVED).into()),
        Encoding::Rfc2047 => Some(rfc2047(text)),
        Encoding::Base64Url => Some(BASE64_URL_SAFE_NO_PAD.encode(text).into()),
    }
}

/// Whether HTTP carries `text` as it is (RFC 9110 §5.5).
fn is_plain(text: &str) -> bool {
    text.trim() == text && !text.chars().any(char::is_control)
}

/// RFC 2047: printable ASCII as it is, everything else as encoded-words, each whole characters (§5), one space between them (§6.2 drops it).
fn rfc2047(text: &str) -> Cow<'_, str> {
    let is_ascii = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    // What looks like an encoded-word would be read as one.
    if is_ascii && is_plain(text) && !text.contains("=?") {
        return text.into();
    }
    let mut words = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD_BYTES));
        let space = if words.is_empty() { "" } else { " " };
        let _ = write!(words, "{space}=?UTF-8?B?{}?=", BASE64_STANDARD.encode(word));
        rest = after;
    }
    words.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::settings::TooLong;

    fn format(list: Option<ListForm>, encoding: Encoding) -> ClaimFormat {
        ClaimFormat { list, encoding, ..ClaimFormat::default() }
    }

    fn many(values: &[&str]) -> ClaimValue {
        ClaimValue::Many(values.iter().map(|&value| value.into()).collect())
    }

    fn one(value: &str) -> ClaimValue {
        ClaimValue::One(value.into())
    }

    const NO_LIST: Option<ListForm> = None;
    const JOINED: Option<ListForm> = Some(ListForm::Joined);
    const JSON: Option<ListForm> = Some(ListForm::Json);

    /// T-008.
    #[test]
    fn a_claim_that_cannot_be_carried_has_no_header() {
        for (value, encoding) in [
            (one("a\r\nX-Admin: 1"), Encoding::Utf8),
            (one("a\rb"), Encoding::Utf8),
            (one("a\0b"), Encoding::Utf8),
            (one("a\tb"), Encoding::Utf8),
            (one("a\u{85}b"), Encoding::Utf8),
            (one(" a"), Encoding::Utf8),
            (one("a\u{a0}"), Encoding::Utf8),
            (many(&["a", "b\n"]), Encoding::Utf8),
            (many(&["a", "b "]), Encoding::Utf8),
        ] {
            assert_eq!(claim(&value, &format(None, encoding)), Err(Unsendable::NotCarried), "{value:?}");
        }
        for list in [NO_LIST, JOINED, JSON] {
            for nothing in [one(""), many(&[]), many(&[""]), many(&["", ""])] {
                assert_eq!(claim(&nothing, &format(list, Encoding::Base64Url)), Ok(None), "{nothing:?}");
            }
        }
    }

    #[test]
    fn each_form_has_one_spelling() {
        use Encoding as E;
        for (value, list, encoding, header) in [
            (one("Ada Lovelace"), NO_LIST, E::Utf8, "Ada Lovelace"),
            (one("Lovelace, Ada"), NO_LIST, E::Utf8, "Lovelace, Ada"),
            (one("Þór"), NO_LIST, E::Utf8, "Þór"),
            (many(&["staff", "admin"]), NO_LIST, E::Utf8, "staff,admin"),
            (many(&["a,b", "c\\d"]), NO_LIST, E::Utf8, "a\\,b,c\\\\d"),
            // a list of one, when the header is said to hold a list
            (one("a,b"), JOINED, E::Utf8, "a\\,b"),
            (one("[\"admin\"]"), JSON, E::Utf8, r#"["[\"admin\"]"]"#),
            (many(&["é", "\u{7f}\n", "😀"]), JSON, E::Utf8, r#"["\u00e9","\u007f\n","\ud83d\ude00"]"#),
            (many(&["staff"]), JSON, E::Utf8, r#"["staff"]"#),
            (one("a b/é~"), NO_LIST, E::Percent, "a%20b%2F%C3%A9~"),
            (one("a\r\nb"), NO_LIST, E::Percent, "a%0D%0Ab"),
            (many(&["a", "b"]), NO_LIST, E::Percent, "a%2Cb"),
            (one("Ada Lovelace"), NO_LIST, E::Rfc2047, "Ada Lovelace"),
            (one("Þór"), NO_LIST, E::Rfc2047, "=?UTF-8?B?w57Ds3I=?="),
            (one("=?UTF-8?B?YQ==?="), NO_LIST, E::Rfc2047, "=?UTF-8?B?PT9VVEYtOD9CP1lRPT0/PQ==?="),
            (one("Þór"), NO_LIST, E::Base64Url, "w57Ds3I"),
            (one("a\0"), NO_LIST, E::Base64Url, "YQA"),
        ] {
            let sent = claim(&value, &format(list, encoding)).unwrap().unwrap();
            assert_eq!(sent.as_bytes(), header.as_bytes(), "{value:?} {sent:?}");
        }
    }

    #[test]
    fn the_cap_counts_what_is_sent() {
        let format = |max_bytes, encoding| ClaimFormat {
            max_bytes,
            encoding,
            too_long: TooLong::Omit,
            ..ClaimFormat::default()
        };
        for (max_bytes, encoding, answer) in [
            (4, Encoding::Utf8, true),
            (3, Encoding::Utf8, false),
            (6, Encoding::Base64Url, true),
            (5, Encoding::Base64Url, false),
            (8, Encoding::Percent, true),
            (7, Encoding::Percent, false),
        ] {
            let sent = claim(&one("abé"), &format(max_bytes, encoding));
            let is_too_long = matches!(sent, Err(Unsendable::TooLong { limit, .. }) if limit == max_bytes);
            assert_eq!((sent.is_ok(), is_too_long), (answer, !answer), "{encoding:?} {max_bytes}: {sent:?}");
        }
    }

    /// What an application does to get the text back; each written from its specification alone.
    fn decoded(value: &str, encoding: Encoding) -> String {
        match encoding {
            Encoding::Utf8 => value.to_owned(),
            Encoding::Percent => percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned(),
            Encoding::Base64Url => String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(value).unwrap()).unwrap(),
            Encoding::Rfc2047 if !value.contains("=?") => value.to_owned(),
            Encoding::Rfc2047 => {
                let words = value.split(' ').map(|word| {
                    assert!(word.len() <= 75, "{word}");
                    let word = word.strip_prefix("=?UTF-8?B?").unwrap().strip_suffix("?=").unwrap();
                    String::from_utf8(BASE64_STANDARD.decode(word).unwrap()).expect("whole characters")
                });
                words.collect()
            }
        }
    }

    /// Undoes [`joined`].
    fn parted(text: &str, separator: char) -> Vec<Box<str>> {
        let mut values = vec![String::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => values.last_mut().unwrap().push(chars.next().unwrap()),
                c if c == separator => values.push(String::new()),
                c => values.last_mut().unwrap().push(c),
            }
        }
        values.into_iter().map(Into::into).collect()
    }

    fn any_encoding() -> impl Strategy<Value = Encoding> {
        proptest::sample::select(vec![Encoding::Utf8, Encoding::Percent, Encoding::Rfc2047, Encoding::Base64Url])
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,80}",
            proptest::collection::vec(any::<char>(), 0..60).prop_map(|chars| chars.into_iter().collect()),
            // What somebody would try.
            proptest::collection::vec(
                proptest::sample::select(vec![
                    "\r\n",
                    "\n",
                    "\r",
                    "\0",
                    ",",
                    ";",
                    "\\",
                    "\"",
                    "=?",
                    "?=",
                    "=?UTF-8?B?YQ==?=",
                    " ",
                    "\t",
                    "é",
                    "[",
                    "]",
                    "X-User: a",
                    "%0a",
                    "\\u000a",
                    "\u{85}",
                    "\u{2028}",
                    "😀",
                ]),
                0..12,
            )
            .prop_map(|parts| parts.concat()),
        ]
    }

    proptest! {
        /// Whatever a single value holds: it comes back as it was, or is not sent.
        #[test]
        fn a_single_value_comes_back(text in any_text(), encoding in any_encoding()) {
            let format = ClaimFormat { max_bytes: usize::MAX, ..format(None, encoding) };
            match claim(&one(&text), &format) {
                Ok(Some(sent)) => prop_assert_eq!(decoded(std::str::from_utf8(sent.as_bytes()).unwrap(), encoding), text),
                Ok(None) => prop_assert!(text.is_empty()),
                Err(Unsendable::NotCarried) => prop_assert_eq!(encoding, Encoding::Utf8),
                Err(why) => prop_assert!(false, "{}", why),
            }
        }

        /// A list comes back with as many values as it had.
        #[test]
        fn a_list_comes_back(
            values in proptest::collection::vec(any_text(), 1..6),
            encoding in any_encoding(),
            separator in proptest::sample::select(vec![',', ';', '|', ':']),
            list in proptest::sample::select(vec![NO_LIST, JOINED, JSON]),
        ) {
            let values: Vec<Box<str>> = values.into_iter().map(Into::into).collect();
            let format = ClaimFormat { separator, max_bytes: usize::MAX, ..format(list, encoding) };
            match claim(&ClaimValue::Many(values.clone()), &format) {
                Ok(Some(sent)) => {
                    let text = decoded(std::str::from_utf8(sent.as_bytes()).unwrap(), encoding);
                    let back = match list {
                        JSON => serde_json::from_str(&text).unwrap(),
                        _ => parted(&text, separator),
                    };
                    prop_assert_eq!(back, values);
                }
                Ok(None) => prop_assert!(values.iter().all(|value| value.is_empty())),
                Err(Unsendable::NotCarried) => prop_assert!(encoding == Encoding::Utf8 && list != JSON),
                Err(why) => prop_assert!(false, "{}", why),
            }
        }

        /// No value adds, splits or ends a header: what is sent is one line that HTTP leaves alone.
        #[test]
        fn no_value_leaves_its_header(
            values in proptest::collection::vec(any_text(), 1..4),
            is_list in any::<bool>(),
            encoding in any_encoding(),
            list in proptest::sample::select(vec![NO_LIST, JOINED, JSON]),
        ) {
            let value = match is_list {
                true => ClaimValue::Many(values.into_iter().map(Into::into).collect()),
                false => ClaimValue::One(values.concat().into()),
            };
            if let Ok(Some(sent)) = claim(&value, &format(list, encoding)) {
                let sent = sent.as_bytes();
                prop_assert!(!sent.is_empty() && sent.len() <= ClaimFormat::default().max_bytes);
                prop_assert!(!sent.iter().any(|b| b.is_ascii_control()));
                prop_assert_eq!(sent.trim_ascii(), sent);
                prop_assert!(encoding == Encoding::Utf8 || sent.is_ascii());
            }
        }
    }
}
