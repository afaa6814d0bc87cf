//! What somebody's claims must say before they are let in at all: `required_claims`.

use super::{Sources, Wanted, as_text};

/// A person of whom the provider does not say what this gateway requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim `{0}` is not there, or has none of the values that are accepted")]
pub struct RequiredClaim(
    /// The claim.
    pub Box<str>,
);

impl Wanted<'_> {
    /// Refuses whom the ID token, or the profile where there is none, does not give each required claim. Nothing else counts, but
    /// what a directory says of groups: userinfo and access tokens are about the same person, but not signed for us.
    pub(in crate::providers) fn check_required(&self, sources: Sources<'_>) -> Result<(), RequiredClaim> {
        let alone = Sources { userinfo: None, access_token: None, ..sources };
        for (name, accepted) in self.required {
            let value = self.value(alone, name).and_then(|value| as_text(name, value));
            // An empty set asks for the claim alone; an empty list has no value either way.
            let fits = |value: &str| accepted.is_empty() || accepted.contains(value);
            if !value.is_some_and(|value| value.iter().any(fits)) {
                return Err(RequiredClaim(name.clone()));
            }
        }
        Ok(())
    }
}
