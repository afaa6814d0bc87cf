//! The user identifier: the first of the user claims that is there, and what is made of it.

use serde_json::Value;

use super::{Sources, Wanted};
use crate::{
    identity::{InvalidUserId, UserId},
    providers::settings::UserTransform,
};

/// Why nobody can be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// No document has it, nor another of the user claims.
    #[error("the provider sends no claim `{claim}`")]
    Missing {
        /// The user claims, joined by "or" where there are more.
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
    /// The e-mail address names the user or decides who may sign in, and nobody says that it is this person's.
    #[error("the provider does not say that the claim `email` has been verified")]
    UnverifiedEmail,
    /// The e-mail address is in none of the domains whose people may sign in.
    #[error("the domain of the claim `email` is none of those that may sign in")]
    EmailDomain,
    /// The identifier lacks the domain that is stripped: without it, it could pass for somebody of that domain.
    #[error("the claim `{claim}` is not of the domain `{domain}`")]
    OtherDomain {
        /// The user claim.
        claim: Box<str>,
        /// The domain that is stripped.
        domain: Box<str>,
    },
}

impl Wanted<'_> {
    /// The user, when this person may sign in.
    pub(in crate::providers) fn user(&self, sources: Sources<'_>) -> Result<UserId, UserError> {
        let found = self.user.claims.iter().find_map(|claim| Some((claim, sources.claim(self.path(claim))?)));
        let (claim, value) =
            found.ok_or_else(|| UserError::Missing { claim: self.user.claims.join("` or `").into() })?;
        let text = match value {
            Value::String(text) => text.clone(),
            // Other numbers have more than one spelling.
            Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err(UserError::NotText { claim: claim.clone() });
            }
        };
        let invalid = |error| UserError::Invalid { claim: claim.clone(), error };
        // Before anything is made of it: what is cut off must not hide what could not be used.
        UserId::parse(&text).map_err(invalid)?;
        if self.is_email(claim) && !self.email.insecure_unverified && self.verified_email(sources) != Some(&text) {
            return Err(UserError::UnverifiedEmail);
        }
        self.check_email_domain(sources)?;
        let user = transformed(text, &self.user.transform)
            .map_err(|domain| UserError::OtherDomain { claim: claim.clone(), domain })?;
        UserId::parse(&user).map_err(invalid)
    }

    fn check_email_domain(&self, sources: Sources<'_>) -> Result<(), UserError> {
        if self.email.domains.is_empty() {
            return Ok(());
        }
        match self.email_domain(sources) {
            Some(domain) if self.email.domains.contains(&domain) => Ok(()),
            Some(_) => Err(UserError::EmailDomain),
            None => Err(UserError::UnverifiedEmail),
        }
    }
}

/// What becomes of `text`; the domain that it lacks, when it has to have it.
fn transformed(mut text: String, transform: &UserTransform) -> Result<String, Box<str>> {
    if transform.lower_case {
        // ASCII only. Beyond it two names that nobody would call the same have one lower case: the Kelvin sign becomes `k`, and
        // whoever may choose their name at the provider would be somebody else here.
        text.make_ascii_lowercase();
    }
    if let Some(domain) = &transform.strip_domain {
        let local = text.rsplit_once('@').filter(|(_, found)| found.eq_ignore_ascii_case(domain));
        // A second `@` would leave something that looks like an address of another domain.
        let local = local.map(|(local, _)| local).filter(|local| !local.contains('@'));
        text = local.ok_or_else(|| domain.clone())?.to_owned();
    }
    Ok(match &transform.prefix {
        Some(prefix) => format!("{prefix}{text}"),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_transform() -> impl Strategy<Value = UserTransform> {
        let domain = proptest::option::of(Just(Box::from("corp.com")));
        (any::<bool>(), domain, proptest::option::of("[a-z]{1,3}[:@-]?")).prop_map(
            |(lower_case, strip_domain, prefix)| UserTransform {
                lower_case,
                strip_domain,
                prefix: prefix.map(String::into_boxed_str),
            },
        )
    }

    fn any_user() -> impl Strategy<Value = String> {
        prop_oneof!["\\PC{0,12}", "[A-Za-z@.]{0,8}@[cC]orp.com", "[aA]{0,2}(@corp.com){0,3}", "[\u{212A}kKıİiI]{1,2}",]
    }

    #[test]
    fn each_step_does_what_it_says() {
        let transform = |lower_case, strip: &str, prefix: &str| UserTransform {
            lower_case,
            strip_domain: (!strip.is_empty()).then(|| strip.into()),
            prefix: (!prefix.is_empty()).then(|| prefix.into()),
        };
        let refused = || Err("corp.com".into());
        for (text, transform, answer) in [
            ("Bob@Corp.com", transform(false, "", ""), Ok("Bob@Corp.com")),
            ("Bob@Corp.com", transform(true, "", ""), Ok("bob@corp.com")),
            ("Bob@Corp.com", transform(false, "corp.com", ""), Ok("Bob")),
            ("Bob@Corp.com", transform(true, "corp.com", "corp:"), Ok("corp:bob")),
            ("Ólafur", transform(true, "", ""), Ok("Ólafur")),
            ("\u{212A}ate", transform(true, "", ""), Ok("\u{212A}ate")),
            ("bob", transform(true, "corp.com", ""), refused()),
            ("bob@corp.com.evil.org", transform(true, "corp.com", ""), refused()),
            ("bob@evilcorp.com", transform(true, "corp.com", ""), refused()),
            ("bob@sub.corp.com", transform(true, "corp.com", ""), refused()),
            ("\"root@x.org\"@corp.com", transform(true, "corp.com", ""), refused()),
            ("@corp.com", transform(true, "corp.com", ""), Ok("")),
        ] {
            assert_eq!(transformed(text.to_owned(), &transform), answer.map(str::to_owned), "{text} {transform:?}");
        }
    }

    proptest! {
        /// Once more changes nothing: what is left is the same, or lacks the domain that was cut off.
        #[test]
        fn a_transform_is_idempotent_apart_from_its_prefix(text in any_user(), transform in any_transform()) {
            let transform = UserTransform { prefix: None, ..transform };
            if let Ok(once) = transformed(text, &transform) {
                match transformed(once.clone(), &transform) {
                    Ok(twice) => prop_assert_eq!(once, twice),
                    Err(_) => prop_assert!(transform.strip_domain.is_some() && !once.contains('@')),
                }
            }
        }

        /// Two people become one only where they differ in case and in nothing else, and a prefix changes nothing about that.
        #[test]
        fn different_people_stay_different(one in any_user(), other in any_user(), transform in any_transform()) {
            let bare = UserTransform { prefix: None, ..transform.clone() };
            let made = |text: &String, transform| transformed(text.clone(), transform).ok();
            prop_assert_eq!(
                made(&one, &transform) == made(&other, &transform),
                made(&one, &bare) == made(&other, &bare)
            );
            if let (Some(a), Some(b)) = (made(&one, &transform), made(&other, &transform)) {
                prop_assert!(a != b || one.eq_ignore_ascii_case(&other), "{} {}", one, other);
            }
        }
    }
}
