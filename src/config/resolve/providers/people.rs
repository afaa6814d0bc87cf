//! What a provider is believed about people: who may sign in, which claim is the user, which the address and the groups.

use std::collections::{BTreeMap, BTreeSet};

use super::{groups, request::Request, table::Table};
use crate::{
    config::{
        provider::{Provider, values::Claims},
        shape::dotted,
        values::EmailDomain,
    },
    identity::NeededClaims,
    providers::{EmailRules, Groups, UserRules, UserTransform, UserinfoMode},
};

/// For each claim, the values of which people must have one.
pub(super) type RequiredClaims = BTreeMap<Box<str>, BTreeSet<Box<str>>>;

/// What is believed.
pub(super) struct People {
    pub(super) user: UserRules,
    pub(super) email: EmailRules,
    pub(super) groups: Groups,
    pub(super) required_claims: RequiredClaims,
    pub(super) userinfo: UserinfoMode,
    pub(super) access_token_claims: bool,
    /// Another provider may name the same users.
    pub(super) is_shared: bool,
}

pub(super) fn resolve(
    raw: &mut Provider,
    is_oauth2: bool,
    request: Option<&Request>,
    needed: &NeededClaims,
    table: &mut Table<'_, '_>,
) -> Option<People> {
    let user = user(raw, table);
    let email = email(raw, table);
    let groups = groups::resolve(raw, request, needed, table);
    let required_claims = required_claims(raw, request, table);
    let userinfo = table.required(&mut raw.userinfo, "userinfo");
    let access_token_claims = table.required(&mut raw.access_token_claims, "access_token_claims");
    if access_token_claims == Some(true) && is_oauth2 {
        let what = "is for `protocol = \"oidc\"`; with OAuth 2.0 alone an access token is nobody's business but the provider's";
        table.wrong("access_token_claims", what);
    }
    let is_shared = table.required(&mut raw.insecure_shared_identifiers, "insecure_shared_identifiers");
    if is_shared == Some(true) {
        let what = "is on: who is called alike at this provider and at another one is the same user";
        table.warn("insecure_shared_identifiers", what);
    }
    Some(People {
        user: user?,
        email: email?,
        groups: groups?,
        required_claims,
        userinfo: userinfo?,
        access_token_claims: access_token_claims?,
        is_shared: is_shared?,
    })
}

fn user(raw: &mut Provider, table: &mut Table<'_, '_>) -> Option<UserRules> {
    let claims = table.required(&mut raw.user_claim, "user_claim");
    let lower_case = table.required(&mut raw.user_lower_case, "user_lower_case");
    let strip_domain = table.value(&mut raw.user_strip_domain, "user_strip_domain");
    let prefix = table.value(&mut raw.user_prefix, "user_prefix");
    let transform = UserTransform {
        lower_case: lower_case?,
        strip_domain: strip_domain.map(|EmailDomain(domain)| domain),
        prefix: prefix.map(String::into_boxed_str),
    };
    let Claims(claims) = claims?;
    Some(UserRules { claims: claims.into_iter().map(String::into_boxed_str).collect(), transform })
}

fn email(raw: &mut Provider, table: &mut Table<'_, '_>) -> Option<EmailRules> {
    let claim = table.required(&mut raw.email_claim, "email_claim");
    let verified_claim = table.required(&mut raw.email_verified_claim, "email_verified_claim");
    let domains = table.list(&mut raw.email_domains, "email_domains");
    let insecure_unverified = table.required(&mut raw.insecure_unverified_email, "insecure_unverified_email");
    if insecure_unverified == Some(true) {
        let what = "is on: whoever types somebody else's address at this provider can be that user";
        table.warn("insecure_unverified_email", what);
    }
    Some(EmailRules {
        claim: claim?.into(),
        verified_claim: verified_claim?.into(),
        domains: domains.into_iter().map(|EmailDomain(domain)| domain).collect(),
        insecure_unverified: insecure_unverified?,
    })
}

fn required_claims(raw: &mut Provider, request: Option<&Request>, table: &mut Table<'_, '_>) -> RequiredClaims {
    let mut required = RequiredClaims::new();
    for (claim, mut values) in std::mem::take(&mut raw.required_claims) {
        let values = table.value(&mut values, &dotted("required_claims", &claim)).unwrap_or_default();
        required.insert(claim.into(), values.into_iter().map(String::into_boxed_str).collect());
    }
    // Asking for one hosted domain only makes Google show those accounts; who takes another one is let through there.
    let parameters = request.into_iter().flat_map(|request| &request.authorization_parameters);
    for (_, domain) in parameters.filter(|(name, _)| name == "hd") {
        let any = domain == "*";
        let values = (!any).then(|| domain.as_str().into()).into_iter().collect();
        required.entry("hd".into()).or_insert(values);
    }
    required
}
