//! Which claim is the user, and which claims are kept.
//!
//! * What the ID token (or the profile) says wins; userinfo fills what it leaves open, and then, only where the provider's settings say so,
//!   the access token. Which document has a claim never depends on what else is needed of a person.
//! * `email`, `email_verified` and `groups` mean the claims that are configured for them, wherever a claim is named.
//! * Only claims that a rule or a header of the configuration names are kept, and of those only the values that are named,
//!   where rules name values.
//! * An e-mail address counts as verified only when the document that has it says so, or another one says so of the same
//!   address. [`EMAIL_DOMAIN`] is derived from such an address and from nothing else: a provider that sends a claim of
//!   that name sends it in vain.
//! * Logs and errors name claims, never values.

mod email;
mod path;
mod required;
#[cfg(test)]
mod tests;
mod user;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub use self::{required::RequiredClaim, user::UserError};
use super::settings::{EmailRules, Settings, UserRules};
use crate::{
    identity::{ClaimValue, Claims, Needed, NeededClaims},
    policy::EMAIL_DOMAIN,
};

/// The claim whose value needs the provider's word that it has been verified.
const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";
const GROUPS: &str = "groups";

/// What is known about a person: up to three documents, the first wins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a> {
    /// The ID token; where there is none, the profile.
    pub(super) id_token: &'a Map<String, Value>,
    /// Of the same subject as the ID token.
    pub(super) userinfo: Option<&'a Map<String, Value>>,
    /// Verified, and only where `access_token_claims` is on.
    pub(super) access_token: Option<&'a Map<String, Value>>,
    /// What a directory knows of the groups, where one was asked: then nobody else is listened to. `null` when it gave no answer.
    pub(super) groups: Option<&'a Value>,
}

/// What is taken from them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    user: &'a UserRules,
    email: &'a EmailRules,
    groups: &'a str,
    required: &'a BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    needed: &'a NeededClaims,
}

impl<'a> Sources<'a> {
    /// The first document, and nothing else yet.
    pub(super) fn alone(id_token: &'a Map<String, Value>) -> Self {
        Self { id_token, userinfo: None, access_token: None, groups: None }
    }

    fn documents(self) -> impl Iterator<Item = (&'static str, &'a Map<String, Value>)> {
        let from =
            [("id_token", Some(self.id_token)), ("userinfo", self.userinfo), ("access_token", self.access_token)];
        from.into_iter().filter_map(|(name, document)| Some((name, document?)))
    }

    /// The claim at `path` as the first document that has it says; `null` is not having it.
    fn claim(self, path: &str) -> Option<&'a Value> {
        let found = self.documents().find_map(|(from, document)| Some((from, path::find(document, path)?)));
        tracing::debug!(
            claim.name = path,
            claim.found_in = found.map_or("nowhere", |(from, _)| from),
            "looked up a claim"
        );
        found.map(|(_, value)| value)
    }

    fn has(self, path: &str) -> bool {
        self.documents().any(|(_, document)| path::find(document, path).is_some())
    }
}

impl<'a> Wanted<'a> {
    /// What `settings` take.
    pub(super) fn of(settings: &'a Settings) -> Self {
        Self {
            user: &settings.user,
            email: &settings.email,
            groups: &settings.groups.claim,
            required: &settings.required_claims,
            needed: &settings.needed_claims,
        }
    }

    /// Where the claim that the configuration calls `name` is.
    fn path<'b>(&self, name: &'b str) -> &'b str
    where
        'a: 'b,
    {
        match name {
            name if path::is_same(name, EMAIL) => &self.email.claim,
            EMAIL_VERIFIED => &self.email.verified_claim,
            GROUPS => self.groups,
            name => name,
        }
    }

    /// What `sources` say of the claim that the configuration calls `name`.
    fn value<'s>(&self, sources: Sources<'s>, name: &str) -> Option<&'s Value> {
        let path = self.path(name);
        match sources.groups {
            Some(groups) if path::is_same(path, self.groups) => (!groups.is_null()).then_some(groups),
            Some(_) | None => sources.claim(path),
        }
    }

    /// The claims that `sources` leave open, for the log and for the question whether userinfo is worth asking.
    pub(super) fn missing(&self, sources: Sources<'_>) -> Vec<Box<str>> {
        // Only the first: were a later one enough, who somebody is would depend on what else is asked about.
        let user = self.user.claims.first().map_or("sub", AsRef::as_ref);
        let needs_verified = |name: &str| match name {
            EMAIL_DOMAIN => true,
            name => self.is_email(name) && name == user && !self.email.insecure_unverified,
        };
        let is_open = |name: &&str| match *name {
            // A claim that says who verified what is open as long as nobody said anything.
            name if needs_verified(name) => !self.says_whether_verified(sources),
            // A directory was asked: nobody else knows better.
            name if sources.groups.is_some() && path::is_same(self.path(name), self.groups) => false,
            name => !sources.has(self.path(name)),
        };
        let domain = (!self.email.domains.is_empty()).then_some(EMAIL_DOMAIN);
        let needed = self.needed.0.keys().map(AsRef::as_ref).filter(|name| Some(*name) != domain);
        [user].into_iter().chain(domain).chain(needed).filter(is_open).map(Into::into).collect()
    }

    /// What the session keeps.
    pub(super) fn kept(&self, sources: Sources<'_>) -> Claims {
        let mut kept = Claims::new();
        for (name, needed) in &self.needed.0 {
            let value = match &**name {
                EMAIL_DOMAIN => self.email_domain(sources).map(ClaimValue::One),
                name => self.value(sources, name).and_then(|value| as_text(name, value)),
            };
            if let Some(value) = value.and_then(|value| only(value, needed)) {
                kept.insert(name.clone(), value);
            }
        }
        kept
    }
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
