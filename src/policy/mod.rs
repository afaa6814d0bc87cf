//! Who may use a route: a decision with a named reason, without clock, network or log.

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
    /// For each claim, the values of which one suffices.
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
