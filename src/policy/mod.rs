//! Who may use a route: a decision with a named reason, without clock, network or log.
//!
//! * Values are compared byte for byte: `Alice` is not `alice`, and `é` written as one character is not `é` written as two. Nothing is folded
//!   here, because the application that receives the identifier does not fold it either, and two people must never become one on the way.
//!   The one value with a canonical form, the e-mail domain, gets it where it is derived.
//! * A rule lets in, none keeps out: there is no order to get wrong, and a list without entries lets nobody in.
//! * A user identifier means the same whichever provider vouches for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::{Identity, Needed, NeededClaims};

/// Who may use a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, and nobody is asked who they are: the upstream gets no identity.
    Anonymous,
    /// Whoever has signed in.
    SignedIn,
    /// Whoever has signed in and fits at least one rule.
    Allow(Rules),
}

/// Each entry lets in whom it fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// User identifiers, compared byte for byte.
    pub users: BTreeSet<Box<str>>,
    /// Domains of verified e-mail addresses, in lower case, without `@`.
    pub email_domains: BTreeSet<Box<str>>,
    /// For each claim, the values of which one suffices, compared byte for byte; one claim suffices, too.
    pub claims: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes on.
    Allow,
    /// Somebody has to sign in first.
    Identify,
    /// It does not.
    Deny(Denial),
}

/// Why policy said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Signed in, but no rule of the route fits.
    #[error("no rule of this route lets this user in")]
    NoRuleFits,
}

impl Access {
    /// Decides for `caller`; `None` is nobody.
    #[must_use]
    pub fn decide(&self, caller: Option<&Identity>) -> Decision {
        match (self, caller) {
            (Self::Anonymous, _) | (Self::SignedIn, Some(_)) => Decision::Allow,
            (Self::SignedIn | Self::Allow(_), None) => Decision::Identify,
            (Self::Allow(rules), Some(caller)) if rules.fit(caller) => Decision::Allow,
            (Self::Allow(_), Some(_)) => Decision::Deny(Denial::NoRuleFits),
        }
    }

    /// Adds what these rules ask of a session to `needed`.
    pub fn add_needed(&self, needed: &mut NeededClaims) {
        let Self::Allow(rules) = self else { return };
        for (claim, values) in &rules.claims {
            needed.add_values(claim, values);
        }
        if !rules.email_domains.is_empty() {
            needed.add_values(EMAIL_DOMAIN, &rules.email_domains);
        }
    }
}

/// The claim the gateway itself derives at a sign-in: the domain of an e-mail address that the provider says it verified, in lower case.
pub const EMAIL_DOMAIN: &str = "email_domain";

impl Rules {
    fn fit(&self, caller: &Identity) -> bool {
        let claim_has = |claim: &str, wanted: &BTreeSet<Box<str>>| {
            caller.claims.get(claim).is_some_and(|has| has.iter().any(|value| wanted.contains(value)))
        };
        self.users.contains(caller.user.as_str())
            || claim_has(EMAIL_DOMAIN, &self.email_domains)
            || self.claims.iter().any(|(claim, wanted)| claim_has(claim, wanted))
    }
}

impl NeededClaims {
    /// All of `claim` is needed.
    pub fn add_whole(&mut self, claim: &str) {
        self.0.insert(claim.into(), Needed::Whole);
    }

    /// `values` of `claim` are needed, where they occur.
    pub fn add_values(&mut self, claim: &str, values: &BTreeSet<Box<str>>) {
        match self.0.entry(claim.into()).or_insert_with(|| Needed::Values(BTreeSet::new())) {
            Needed::Whole => {}
            Needed::Values(known) => known.extend(values.iter().cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ClaimValue, UserId};

    fn set(values: &[&str]) -> BTreeSet<Box<str>> {
        values.iter().map(|value| (*value).into()).collect()
    }

    fn many(values: &[&str]) -> ClaimValue {
        ClaimValue::Many(values.iter().map(|value| (*value).into()).collect())
    }

    fn caller(user: &str, claims: &[(&str, ClaimValue)]) -> Identity {
        Identity {
            user: UserId::parse(user).unwrap(),
            claims: claims.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
        }
    }

    fn users(users: &[&str]) -> Access {
        Access::Allow(Rules { users: set(users), ..Rules::default() })
    }

    fn domains(domains: &[&str]) -> Access {
        Access::Allow(Rules { email_domains: set(domains), ..Rules::default() })
    }

    fn claims(claims: &[(&str, &[&str])]) -> Access {
        let claims = claims.iter().map(|(name, values)| ((*name).into(), set(values))).collect();
        Access::Allow(Rules { claims, ..Rules::default() })
    }

    const IDENTIFY: Decision = Decision::Identify;
    const ALLOW: Decision = Decision::Allow;
    const DENY: Decision = Decision::Deny(Denial::NoRuleFits);

    #[test]
    fn nobody_gets_in_where_somebody_is_asked_for() {
        for (access, decision) in [
            (Access::Allow(Rules::default()), IDENTIFY),
            (users(&["alice"]), IDENTIFY),
            (users(&[""]), IDENTIFY),
            (domains(&["example.com"]), IDENTIFY),
            (claims(&[("groups", &["staff"])]), IDENTIFY),
            (Access::SignedIn, IDENTIFY),
            (Access::Anonymous, ALLOW),
        ] {
            assert_eq!(access.decide(None), decision, "{access:?}");
        }
    }

    #[test]
    fn a_caller_gets_in_by_one_rule_that_fits() {
        let groups = |values: &[&str]| vec![("groups", many(values))];
        let one = |name: &'static str, value: &str| vec![(name, ClaimValue::One(value.into()))];
        let either = Access::Allow(Rules {
            users: set(&["bob"]),
            email_domains: set(&["example.com"]),
            claims: BTreeMap::from([("groups".into(), set(&["staff", "admins"]))]),
        });
        for (access, has, decision) in [
            // refusals
            (&Access::Allow(Rules::default()), groups(&["staff"]), DENY),
            (&users(&["bob"]), vec![], DENY),
            (&users(&[]), vec![], DENY),
            (&users(&["alic", "alicee", ""]), vec![], DENY),
            (&domains(&["example.com"]), vec![], DENY),
            (&domains(&["example.com"]), one(EMAIL_DOMAIN, "sub.example.com"), DENY),
            (&domains(&["example.com"]), one(EMAIL_DOMAIN, "evilexample.com"), DENY),
            // an address counts only through the domain that was derived from a verified one
            (&domains(&["example.com"]), one("email", "alice@example.com"), DENY),
            (&domains(&["example.com"]), one("email_verified", "example.com"), DENY),
            (&claims(&[("groups", &["staff"])]), vec![], DENY),
            (&claims(&[("groups", &["staff"])]), groups(&[]), DENY),
            (&claims(&[("groups", &["staff"])]), groups(&["guests"]), DENY),
            (&claims(&[("groups", &["staff"])]), groups(&["staff,admins"]), DENY),
            (&claims(&[("groups", &["staff"])]), one("roles", "staff"), DENY),
            (&claims(&[("groups", &[])]), groups(&["staff"]), DENY),
            (&claims(&[]), groups(&["staff"]), DENY),
            (&either, groups(&["guests", "example.com", "bob"]), DENY),
            // admissions
            (&Access::Anonymous, vec![], ALLOW),
            (&Access::SignedIn, vec![], ALLOW),
            (&users(&["bob", "alice"]), vec![], ALLOW),
            (&domains(&["example.org", "example.com"]), one(EMAIL_DOMAIN, "example.com"), ALLOW),
            (&claims(&[("groups", &["staff"])]), groups(&["guests", "staff"]), ALLOW),
            (&claims(&[("groups", &["staff"])]), one("groups", "staff"), ALLOW),
            (&claims(&[("groups", &["x"]), ("roles", &["admin"])]), one("roles", "admin"), ALLOW),
            (&either, groups(&["admins"]), ALLOW),
            (&either, one(EMAIL_DOMAIN, "example.com"), ALLOW),
        ] {
            assert_eq!(access.decide(Some(&caller("alice", &has))), decision, "{access:?} for {has:?}");
        }
        assert_eq!(either.decide(Some(&caller("bob", &[]))), ALLOW);
    }

    /// T-094.
    #[test]
    fn values_are_compared_byte_for_byte() {
        let composed = "ren\u{e9}";
        let decomposed = "rene\u{301}";
        for (rule, value, decision) in [
            ("alice", "alice", ALLOW),
            ("alice", "Alice", DENY),
            ("Alice", "alice", DENY),
            ("alice@example.com", "alice@EXAMPLE.com", DENY),
            (composed, composed, ALLOW),
            (composed, decomposed, DENY),
            (decomposed, composed, DENY),
            ("admin", "\u{430}dmin", DENY),   // Cyrillic a
            ("admin", "\u{ff41}dmin", DENY),  // full-width a
            ("admin", "admin\u{200b}", DENY), // zero-width space
            ("admin", "adm\u{131}n", DENY),   // dotless i
            ("stra\u{df}e", "strasse", DENY), // folds in some languages
            ("k", "\u{212a}", DENY),          // Kelvin sign, lower-cases to k
        ] {
            assert_eq!(users(&[rule]).decide(Some(&caller(value, &[]))), decision, "user {value} by {rule}");
            let has = caller("somebody", &[("groups", many(&["other", value]))]);
            assert_eq!(claims(&[("groups", &[rule])]).decide(Some(&has)), decision, "group {value} by {rule}");
        }
    }

    #[test]
    fn a_session_keeps_what_some_rule_or_header_asks_for() {
        let mut needed = NeededClaims::default();
        for access in [
            Access::Anonymous,
            Access::SignedIn,
            users(&["alice"]),
            claims(&[("groups", &["a", "b"])]),
            claims(&[("groups", &["b", "c"]), ("roles", &["r"])]),
        ] {
            access.add_needed(&mut needed);
        }
        let values = |values: &[&str]| Needed::Values(set(values));
        assert_eq!(
            needed.0,
            BTreeMap::from([("groups".into(), values(&["a", "b", "c"])), ("roles".into(), values(&["r"]))])
        );
        domains(&["example.com"]).add_needed(&mut needed);
        assert_eq!(needed.0.get(EMAIL_DOMAIN), Some(&values(&["example.com"])));

        // Whole stays whole, in whichever order header and rule come.
        needed.add_whole("groups");
        claims(&[("groups", &["d"])]).add_needed(&mut needed);
        assert_eq!(needed.0.get("groups"), Some(&Needed::Whole));
    }
}
