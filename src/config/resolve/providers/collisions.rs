//! Two providers that could name the same user: somebody at the one would be somebody else's double at the other.
//!
//! Nothing about a provider's identifiers is guessed from how they look. Two are apart when each has a prefix of its own, when both go
//! by verified addresses of different domains, or when they are the same issuer read in the same way.

use super::Resolved;
use crate::{
    config::{resolve::Reading, shape::dotted},
    providers::Settings,
};

pub(super) fn check(providers: &[Resolved], reading: &mut Reading<'_>) {
    for (number, one) in providers.iter().enumerate() {
        for other in providers.iter().take(number) {
            let is_allowed = one.is_shared && other.is_shared;
            if !is_allowed && !are_apart(&one.settings, &other.settings) {
                let table = dotted("providers", one.settings.name.as_str());
                let what = format!(
                    "could name the same user as `{}`; give each a `user_prefix` of its own, or let both go by verified e-mail \
                     addresses of different `email_domains`",
                    dotted("providers", other.settings.name.as_str())
                );
                reading.wrong_near(&table, what);
            }
        }
    }
}

fn are_apart(one: &Settings, other: &Settings) -> bool {
    is_same_source(one, other) || have_own_prefixes(one, other) || have_own_domains(one, other)
}

/// The same people under the same names. Where endpoints are given by hand, it is they who say who somebody is, not the issuer's name.
fn is_same_source(one: &Settings, other: &Settings) -> bool {
    let source = |settings: &Settings| {
        let Settings { issuer, issuer_aliases, tenants, protocol, discovery_url, endpoints, .. } = settings.clone();
        (issuer, issuer_aliases, tenants, protocol, discovery_url, endpoints)
    };
    let reading = |settings: &Settings| {
        let email = &settings.email;
        let email = (email.claim.clone(), email.verified_claim.clone(), email.insecure_unverified);
        (settings.user.clone(), email, settings.access_token_claims)
    };
    source(one) == source(other) && reading(one) == reading(other)
}

fn have_own_prefixes(one: &Settings, other: &Settings) -> bool {
    match (&one.user.transform.prefix, &other.user.transform.prefix) {
        // One that begins with the other could be that and the beginning of a name.
        (Some(one), Some(other)) => !one.starts_with(&**other) && !other.starts_with(&**one),
        (Some(_) | None, _) => false,
    }
}

/// Identifiers that end in the domain of a verified address, and domains that differ.
fn have_own_domains(one: &Settings, other: &Settings) -> bool {
    let ends_in_domain = |settings: &Settings| {
        let is_email = |claim: &str| claim == "email" || claim == &*settings.email.claim;
        settings.user.claims.iter().all(|claim| is_email(claim))
            && settings.user.transform.strip_domain.is_none()
            && !settings.email.insecure_unverified
            && !settings.email.domains.is_empty()
    };
    ends_in_domain(one) && ends_in_domain(other) && one.email.domains.is_disjoint(&other.email.domains)
}
