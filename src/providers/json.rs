//! JSON objects from strangers, read so that there is one meaning only.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// A JSON object whose member names are all different (RFC 7515 §4, RFC 7519 §4): two parsers that pick different ones of
/// two equal names would verify one thing and use another. Nesting is bounded by serde_json (128 levels).
#[derive(Debug)]
pub(super) struct Object(pub(super) Map<String, Value>);

impl Object {
    /// The object that `bytes` are, with nothing after it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Map<String, Value>> {
        serde_json::from_slice::<Self>(bytes).ok().map(|object| object.0)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Unique;

        impl<'de> Visitor<'de> for Unique {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if object.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member name occurs twice"));
                    }
                }
                Ok(Object(object))
            }
        }

        from.deserialize_map(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-086.
    #[test]
    fn an_object_has_one_meaning() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for (text, ok) in [
            (r#"{"a":1,"b":{"a":2}}"#, true),
            ("{}", true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":2}"#, false),
            ("[]", false),
            ("\"a\"", false),
            ("", false),
            ("{} {}", false),
            ("{\"a\":NaN}", false),
            (&deep, false),
        ] {
            assert_eq!(Object::parse(text.as_bytes()).is_some(), ok, "{:.40}", text);
        }
    }
}
