//! Whom one can be: two people, or someone else with any claims typed in.

use serde_json::{Map, Value, json};

use super::{faults::JsonObject, request::Params};

/// Who somebody chose to be: `sub` and every further claim.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) sub: String,
    pub(super) claims: JsonObject,
}

/// What the page shows of one of the two.
#[derive(Debug, serde::Serialize)]
pub(super) struct Card {
    pub(super) key: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    pub(super) groups: String,
}

struct Known {
    key: &'static str,
    given_name: &'static str,
    family_name: &'static str,
    name: &'static str,
    email: &'static str,
    groups: [&'static str; 2],
}

const KNOWN: [Known; 2] = [
    Known {
        key: "ada",
        given_name: "Ada",
        family_name: "Lovelace",
        name: "Ada Lovelace",
        email: "ada@example.com",
        groups: ["staff", "engineering"],
    },
    Known {
        key: "grace",
        given_name: "Grace",
        family_name: "Hopper",
        name: "Grace Hopper",
        email: "grace@example.com",
        groups: ["staff", "operations"],
    },
];

/// The two, as cards.
pub(super) fn cards() -> Vec<Card> {
    let card = |p: &Known| Card { key: p.key, name: p.name, email: p.email, groups: p.groups.join(", ") };
    KNOWN.iter().map(card).collect()
}

/// One of the two; the key is also the subject.
pub(super) fn known(key: &str) -> Option<Person> {
    let person = KNOWN.iter().find(|person| person.key == key)?;
    let claims = Map::from_iter([
        ("name".to_owned(), json!(person.name)),
        ("given_name".to_owned(), json!(person.given_name)),
        ("family_name".to_owned(), json!(person.family_name)),
        ("preferred_username".to_owned(), json!(person.key)),
        ("email".to_owned(), json!(person.email)),
        ("email_verified".to_owned(), json!(true)),
        ("groups".to_owned(), json!(person.groups)),
    ]);
    Some(Person { sub: key.to_owned(), claims })
}

/// Why what was typed is nobody.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidPerson {
    #[error("The identifier is missing.")]
    NoIdentifier,
    #[error("The further claims are not JSON.")]
    NotJson(#[source] serde_json::Error),
    #[error("The further claims are not a JSON object, such as {{\"department\": \"sales\"}}.")]
    NotAnObject,
    #[error("The claim “{0}” is the provider's to say.")]
    Reserved(String),
}

impl InvalidPerson {
    /// The form's field that has to change.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::NoIdentifier => "sub",
            Self::NotJson(_) | Self::NotAnObject | Self::Reserved(_) => "claims",
        }
    }
}

/// What the provider says about a sign-in, not about a person; and `sub`, which has its own field.
const RESERVED: [&str; 11] = ["iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "auth_time", "at_hash", "sid"];

/// Whoever was typed in. Nothing but the reserved claims is refused: what a gateway makes of a strange person is what one
/// wants to see.
pub(super) fn typed(form: &Params) -> Result<Person, InvalidPerson> {
    let sub = form.typed("sub");
    if sub.is_empty() {
        return Err(InvalidPerson::NoIdentifier);
    }
    let mut claims = Map::new();
    let (email, name) = (form.typed("email"), form.typed("name"));
    if !email.is_empty() {
        claims.insert("email".to_owned(), json!(email));
        claims.insert("email_verified".to_owned(), json!(true));
    }
    if !name.is_empty() {
        claims.insert("name".to_owned(), json!(name));
    }
    let groups: Vec<&str> = form.typed("groups").split(',').map(str::trim).filter(|group| !group.is_empty()).collect();
    if !groups.is_empty() {
        claims.insert("groups".to_owned(), json!(groups));
    }
    // Last, so that they may say otherwise.
    claims.extend(further(form.typed("claims"))?);
    Ok(Person { sub: sub.to_owned(), claims })
}

fn further(text: &str) -> Result<JsonObject, InvalidPerson> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let Value::Object(claims) = serde_json::from_str(text).map_err(InvalidPerson::NotJson)? else {
        return Err(InvalidPerson::NotAnObject);
    };
    match claims.keys().find(|name| RESERVED.contains(&name.as_str())) {
        Some(name) => Err(InvalidPerson::Reserved(name.clone())),
        None => Ok(claims),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_refused_or_becomes_claims() {
        for (form, answer) in [
            ("", Err("sub")),
            ("sub=", Err("sub")),
            ("sub=x&claims={", Err("claims")),
            ("sub=x&claims=[1]", Err("claims")),
            ("sub=x&claims={\"sub\":\"y\"}", Err("claims")),
            ("sub=x&claims={\"iss\":\"y\"}", Err("claims")),
            ("sub=x", Ok(json!({}))),
            ("sub=x&claims=+", Ok(json!({}))),
            ("sub=x&email=a@b", Ok(json!({"email": "a@b", "email_verified": true}))),
            ("sub=x&email=a@b&claims={\"email_verified\":false}", Ok(json!({"email": "a@b", "email_verified": false}))),
            ("sub=x&groups=a,+b+,,c%20d", Ok(json!({"groups": ["a", "b", "c d"]}))),
            ("sub=x&name=N&claims={\"a\":{\"b\":[1]}}", Ok(json!({"name": "N", "a": {"b": [1]}}))),
        ] {
            let person = typed(&Params::parse(form.as_bytes()));
            let claims = person.map(|person| Value::Object(person.claims)).map_err(|error| error.field());
            assert_eq!(claims, answer, "{form}");
        }
    }
}
