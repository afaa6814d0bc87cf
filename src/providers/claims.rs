//! Which claim is the user, and which claims are kept.
//!
//! * What the ID token says wins; userinfo only fills what the ID token leaves open. The access token is never looked into: it is
//!   not for us.
//! * Only claims that a rule or a header of the configuration names are kept, and of those only the values that are named,
//!   where rules name values.
//! * An e-mail address counts as verified only when the document that has it says so, or another one says so of the same
//!   address. [`EMAIL_DOMAIN`] is derived from such an address and from nothing else: a provider that sends a claim of
//!   that name sends it in vain.
//! * Logs name claims, never values.

use serde_json::{Map, Value};

use crate::{
    identity::{ClaimValue, Claims, InvalidUserId, Needed, NeededClaims, UserId},
    policy::EMAIL_DOMAIN,
};

/// The claim whose value needs the provider's word that it has been verified.
const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";

/// Why nobody can be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Neither the ID token nor userinfo has it.
    #[error("the provider sends no claim `{claim}`")]
    Missing {
        /// The user claim.
        claim: Box<str>,
    },
    /// A list, an object, a truth value, a fraction.
    #[error("the claim `{claim}` is neither a text nor a whole number")]
    NotText {
        /// The user claim.
        claim: Box<str>,
    },
    /// Empty, too long, or with a control character.
    #[error("the claim `{claim}` cannot be used")]
    Invalid {
        /// The user claim.
        claim: Box<str>,
        /// Why.
        #[source]
        error: InvalidUserId,
    },
    /// The user claim is `email`, and nobody says that the address is this person's.
    #[error("the provider does not say that the claim `email` has been verified")]
    UnverifiedEmail,
}

/// What is known about a person: two documents, the first wins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a> {
    pub(super) id_token: &'a Map<String, Value>,
    pub(super) userinfo: Option<&'a Map<String, Value>>,
}

/// What is taken from them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) user_claim: &'a str,
    pub(super) needed: &'a NeededClaims,
    pub(super) insecure_unverified_email: bool,
}

impl<'a> Sources<'a> {
    fn documents(self) -> impl Iterator<Item = (&'static str, &'a Map<String, Value>)> {
        [Some(("id_token", self.id_token)), self.userinfo.map(|userinfo| ("userinfo", userinfo))].into_iter().flatten()
    }

    /// The claim as the first document that has it says; `null` is not having it.
    fn claim(self, name: &str) -> Option<&'a Value> {
        let found = self.documents().find_map(|(from, document)| Some((from, present(document, name)?)));
        tracing::debug!(
            claim.name = name,
            claim.found_in = found.map_or("nowhere", |(from, _)| from),
            "looked up a claim"
        );
        found.map(|(_, value)| value)
    }

    /// The e-mail address, when it has been verified.
    fn verified_email(self) -> Option<&'a str> {
        let email = self.claim(EMAIL)?.as_str()?;
        let of_this_address = |document: &&Map<String, Value>| {
            present(document, EMAIL).and_then(Value::as_str) == Some(email)
                && present(document, EMAIL_VERIFIED).is_some()
        };
        let (_, says) = self.documents().find(|(_, document)| of_this_address(document))?;
        let verified = match present(says, EMAIL_VERIFIED)? {
            Value::Bool(verified) => *verified,
            // Some providers send truth values as text.
            Value::String(text) => text == "true",
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
        };
        verified.then_some(email)
    }

    /// The domain of the verified e-mail address, in lower case.
    fn email_domain(self) -> Option<Box<str>> {
        let (local, domain) = self.verified_email()?.rsplit_once('@')?;
        let plain = !domain.is_empty() && !domain.contains(|c: char| c.is_whitespace() || c.is_control());
        (plain && !local.is_empty()).then(|| domain.to_ascii_lowercase().into())
    }
}

impl Wanted<'_> {
    /// The claims that `sources` leave open, for the log and for the question whether userinfo is worth asking.
    pub(super) fn missing(&self, sources: Sources<'_>) -> Vec<Box<str>> {
        let is_open = |name: &&str| match *name {
            // A claim that says who verified what is open as long as nobody said anything.
            EMAIL_DOMAIN => !sources.says_whether_verified(),
            EMAIL if self.user_claim == EMAIL && !self.insecure_unverified_email => !sources.says_whether_verified(),
            name => sources.documents().all(|(_, document)| present(document, name).is_none()),
        };
        let needed = self.needed.0.keys().map(AsRef::as_ref);
        [self.user_claim].into_iter().chain(needed).filter(is_open).map(Into::into).collect()
    }

    /// The user.
    pub(super) fn user(&self, sources: Sources<'_>) -> Result<UserId, UserError> {
        let claim = || self.user_claim.into();
        let value = sources.claim(self.user_claim).ok_or_else(|| UserError::Missing { claim: claim() })?;
        let text = match value {
            Value::String(text) => text.clone(),
            // Other numbers have more than one spelling.
            Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err(UserError::NotText { claim: claim() });
            }
        };
        let user = UserId::parse(&text).map_err(|error| UserError::Invalid { claim: claim(), error })?;
        if self.user_claim == EMAIL && !self.insecure_unverified_email && sources.verified_email().is_none() {
            return Err(UserError::UnverifiedEmail);
        }
        Ok(user)
    }

    /// What the session keeps.
    pub(super) fn kept(&self, sources: Sources<'_>) -> Claims {
        let mut kept = Claims::new();
        for (name, needed) in &self.needed.0 {
            let value = match &**name {
                EMAIL_DOMAIN => sources.email_domain().map(ClaimValue::One),
                name => sources.claim(name).and_then(|value| as_text(name, value)),
            };
            if let Some(value) = value.and_then(|value| only(value, needed)) {
                kept.insert(name.clone(), value);
            }
        }
        kept
    }
}

impl Sources<'_> {
    fn says_whether_verified(self) -> bool {
        self.documents().any(|(_, d)| present(d, EMAIL).is_some() && present(d, EMAIL_VERIFIED).is_some())
    }
}

fn present<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    document.get(name).filter(|value| !value.is_null())
}

/// Texts, numbers and truth values, alone or in a list. What cannot be a text is left out.
fn as_text(name: &str, value: &Value) -> Option<ClaimValue> {
    let left_out =
        |reason: &'static str| tracing::debug!(claim.name = name, "leaving out a value of `{name}`: {reason}");
    let one = |value: &Value| -> Option<Box<str>> {
        let text: Box<str> = match value {
            Value::String(text) => text.as_str().into(),
            Value::Number(number) => number.to_string().into(),
            Value::Bool(truth) => truth.to_string().into(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                left_out("it is neither text, number nor truth value");
                return None;
            }
        };
        // No header can carry it, and no rule should depend on it.
        if text.chars().any(char::is_control) {
            left_out("it holds a control character");
            return None;
        }
        Some(text)
    };
    match value {
        Value::Array(many) => Some(ClaimValue::Many(many.iter().filter_map(one).collect())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            one(value).map(ClaimValue::One)
        }
    }
}

/// The part of `value` that is needed; `None` when nothing is left.
fn only(value: ClaimValue, needed: &Needed) -> Option<ClaimValue> {
    match (needed, value) {
        (Needed::Whole, value) => Some(value),
        (Needed::Values(named), ClaimValue::One(one)) => named.contains(&one).then_some(ClaimValue::One(one)),
        (Needed::Values(named), ClaimValue::Many(mut many)) => {
            many.retain(|value| named.contains(value));
            (!many.is_empty()).then_some(ClaimValue::Many(many))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { unreachable!() };
        map
    }

    fn needed(list: &[(&str, Option<&[&str]>)]) -> NeededClaims {
        let mut needed = NeededClaims::default();
        for (name, values) in list {
            match values {
                None => needed.add_whole(name),
                Some(values) => needed.add_values(name, &values.iter().map(|v| (*v).into()).collect()),
            }
        }
        needed
    }

    fn user(claim: &str, id_token: Value, userinfo: Option<Value>) -> Result<String, UserError> {
        let (id_token, userinfo) = (map(id_token), userinfo.map(map));
        let wanted = Wanted { user_claim: claim, needed: &NeededClaims::default(), insecure_unverified_email: false };
        let user = wanted.user(Sources { id_token: &id_token, userinfo: userinfo.as_ref() });
        user.map(|user| user.as_str().to_owned())
    }

    /// T-008, T-020.
    #[test]
    fn what_cannot_name_a_user_is_refused_and_the_claim_is_named() {
        let claim = || "upn".into();
        let invalid = |error| Err(UserError::Invalid { claim: claim(), error });
        for (value, answer) in [
            (json!(null), Err(UserError::Missing { claim: claim() })),
            (json!(""), invalid(InvalidUserId::Empty)),
            (json!("  "), invalid(InvalidUserId::Empty)),
            (json!("x".repeat(300)), invalid(InvalidUserId::TooLong(300))),
            (json!("alice\r\nX-Admin: 1"), invalid(InvalidUserId::ControlCharacter)),
            (json!("a\rb"), invalid(InvalidUserId::ControlCharacter)),
            (json!("a\u{0}b"), invalid(InvalidUserId::ControlCharacter)),
            (json!(" alice"), invalid(InvalidUserId::SurroundingSpace)),
            (json!(["alice"]), Err(UserError::NotText { claim: claim() })),
            (json!({"name": "alice"}), Err(UserError::NotText { claim: claim() })),
            (json!(true), Err(UserError::NotText { claim: claim() })),
            (json!(1.5), Err(UserError::NotText { claim: claim() })),
            (json!(1e30), Err(UserError::NotText { claim: claim() })),
            (json!(1234567), Ok("1234567".to_owned())),
            (json!("alice"), Ok("alice".to_owned())),
        ] {
            let found = user("upn", json!({"upn": value, "sub": "s"}), None);
            assert_eq!(found, answer, "{value}");
            if let Err(error) = found {
                assert!(error.to_string().contains("`upn`"), "{error}");
            }
        }
        assert_eq!(user("upn", json!({"sub": "s"}), None), Err(UserError::Missing { claim: claim() }));
    }

    #[test]
    fn the_id_token_wins_and_userinfo_fills_gaps() {
        assert_eq!(user("name", json!({"name": "a"}), Some(json!({"name": "b"}))), Ok("a".into()));
        assert_eq!(user("name", json!({}), Some(json!({"name": "b"}))), Ok("b".into()));
        assert_eq!(user("name", json!({"name": null}), Some(json!({"name": "b"}))), Ok("b".into()));
        assert!(user("name", json!({"name": ""}), Some(json!({"name": "b"}))).is_err(), "empty is not a gap");
    }

    /// T-095.
    #[test]
    fn an_email_address_names_a_user_only_when_it_is_verified() {
        for (id_token, userinfo, ok) in [
            (json!({"email": "a@x.org", "email_verified": true}), None, true),
            (json!({"email": "a@x.org", "email_verified": "true"}), None, true),
            (json!({"email": "a@x.org", "email_verified": "1"}), None, false),
            (json!({"email": "a@x.org", "email_verified": 1}), None, false),
            (json!({"email": "a@x.org", "email_verified": false}), None, false),
            (json!({"email": "a@x.org", "email_verified": "false"}), None, false),
            (json!({"email": "a@x.org"}), None, false),
            (json!({"email": "a@x.org"}), Some(json!({"email_verified": true})), false),
            (json!({"email": "a@x.org"}), Some(json!({"email": "b@x.org", "email_verified": true})), false),
            (json!({"email": "a@x.org"}), Some(json!({"email": "a@x.org", "email_verified": true})), true),
            (
                json!({"email": "a@x.org", "email_verified": false}),
                Some(json!({"email": "a@x.org", "email_verified": true})),
                false,
            ),
            (json!({"email_verified": true}), Some(json!({"email": "b@x.org"})), false),
            (json!({}), Some(json!({"email": "b@x.org", "email_verified": true})), true),
        ] {
            let found = user("email", id_token.clone(), userinfo.clone());
            assert_eq!(found.is_ok(), ok, "{id_token} {userinfo:?}");
            assert!(ok || found == Err(UserError::UnverifiedEmail));
        }
        let claims = map(json!({"email": "a@x.org"}));
        let insecure =
            Wanted { user_claim: "email", needed: &NeededClaims::default(), insecure_unverified_email: true };
        assert!(insecure.user(Sources { id_token: &claims, userinfo: None }).is_ok());
    }

    #[test]
    fn the_email_domain_is_derived_and_never_sent() {
        let needed = needed(&[(EMAIL_DOMAIN, Some(&["x.org"]))]);
        let wanted = Wanted { user_claim: "sub", needed: &needed, insecure_unverified_email: true };
        for (claims, kept) in [
            (json!({"email": "a@X.org", "email_verified": true}), true),
            (json!({"email": "\"a@evil\"@x.org", "email_verified": true}), true),
            (json!({"email": "a@x.org@evil.org", "email_verified": true}), false),
            (json!({"email": "a@y.org", "email_verified": true}), false),
            (json!({"email": "a@x.org", "email_verified": false}), false),
            (json!({"email": "a@x.org"}), false),
            (json!({"email": "@x.org", "email_verified": true}), false),
            (json!({"email": "x.org", "email_verified": true}), false),
            (json!({"email_domain": "x.org"}), false),
            (json!({"email_domain": "x.org", "email": "a@y.org", "email_verified": true}), false),
        ] {
            let map = map(claims.clone());
            let claims_kept = wanted.kept(Sources { id_token: &map, userinfo: None });
            assert_eq!(claims_kept.contains_key(EMAIL_DOMAIN), kept, "{claims}");
        }
    }

    #[test]
    fn only_what_is_needed_is_kept() {
        let needed = needed(&[
            ("groups", Some(&["staff", "7"])),
            ("role", Some(&["admin"])),
            ("name", None),
            ("https://ns/list", None),
            ("address", None),
            ("absent", None),
            ("evil", None),
        ]);
        let wanted = Wanted { user_claim: "sub", needed: &needed, insecure_unverified_email: false };
        let id_token = map(json!({
            "groups": ["staff", "other", 7, {"a": 1}, "STAFF"], "role": "user", "name": 42,
            "address": {"country": "x"}, "evil": "a\r\nb", "unasked": "x",
        }));
        let userinfo = map(json!({"https://ns/list": [true, "a", 1.5, null, "b\n"], "groups": ["admin"]}));
        let kept = wanted.kept(Sources { id_token: &id_token, userinfo: Some(&userinfo) });
        let expected = [
            ("groups", ClaimValue::Many(vec!["staff".into(), "7".into()])),
            ("https://ns/list", ClaimValue::Many(vec!["true".into(), "a".into(), "1.5".into()])),
            ("name", ClaimValue::One("42".into())),
        ];
        assert_eq!(kept, expected.into_iter().map(|(name, value)| (name.into(), value)).collect());
    }

    #[test]
    fn what_is_missing_is_what_nobody_said() {
        let needed = needed(&[("groups", None), (EMAIL_DOMAIN, Some(&["x.org"]))]);
        let wanted = Wanted { user_claim: "sub", needed: &needed, insecure_unverified_email: false };
        for (claims, missing) in [
            (json!({"sub": "s", "groups": [], "email": "a@x", "email_verified": false}), vec![]),
            (json!({"sub": "s", "groups": [], "email": "a@x"}), vec![EMAIL_DOMAIN]),
            (json!({"sub": "s", "groups": null, "email_verified": true}), vec![EMAIL_DOMAIN, "groups"]),
            (json!({}), vec!["sub", EMAIL_DOMAIN, "groups"]),
        ] {
            let map = map(claims.clone());
            let found = wanted.missing(Sources { id_token: &map, userinfo: None });
            assert_eq!(found.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), missing, "{claims}");
        }
    }
}
