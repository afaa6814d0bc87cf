//! Whose words something is: the issuer, one of its other names, or one of the tenants that may sign in.

use super::Settings;

/// What stands for the tenant in an issuer of many.
const TENANT: &str = "{tenantid}";

/// Whether `iss` names the issuer of `settings`. Compared byte for byte (OpenID Connect Discovery §4.3, RFC 9207 §2.4).
pub(super) fn is_named_by(settings: &Settings, iss: &str) -> bool {
    let alias = || settings.issuer_aliases.iter().any(|alias| alias == iss);
    match &settings.tenants {
        // The template itself is nobody.
        Some(tenants) => tenants.allowed.iter().any(|tenant| settings.issuer.replace(TENANT, tenant) == iss) || alias(),
        None => settings.issuer == iss || alias(),
    }
}

/// The issuer, or with tenants that of each allowed one.
pub(super) fn all(settings: &Settings) -> Vec<String> {
    match &settings.tenants {
        Some(tenants) => tenants.allowed.iter().map(|tenant| settings.issuer.replace(TENANT, tenant)).collect(),
        None => vec![settings.issuer.clone()],
    }
}

/// Whether `iss` is one of `templates`; where there are tenants, with an allowed one in it.
pub(super) fn is_one_of(settings: &Settings, templates: &[String], iss: &str) -> bool {
    templates.iter().any(|template| match &settings.tenants {
        Some(tenants) => tenants.allowed.iter().any(|tenant| template.replace(TENANT, tenant) == iss),
        None => template == iss,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{Tenants, testing::settings};

    /// T-097, T-127.
    #[test]
    fn an_issuer_goes_by_its_names_and_no_others() {
        let mut plain = settings("https://op.example/");
        plain.issuer_aliases = vec!["op.example".into()];
        let mut many = settings("https://login.example/{tenantid}/v2.0");
        let allowed = ["t-1".into(), "t-2".into()].into();
        many.tenants = Some(Tenants { claim: "tid".into(), allowed });
        for (settings, iss, ours) in [
            (&plain, "https://op.example", false),
            (&plain, "https://op.example:443/", false),
            (&plain, "OP.example", false),
            (&plain, "", false),
            (&plain, "https://op.example/", true),
            (&plain, "op.example", true),
            (&many, "https://login.example/{tenantid}/v2.0", false),
            (&many, "https://login.example/t-3/v2.0", false),
            (&many, "https://login.example/t-1/v2.0/", false),
            (&many, "https://login.example/t-1/v2.0", true),
            (&many, "https://login.example/t-2/v2.0", true),
        ] {
            assert_eq!(is_named_by(settings, iss), ours, "{iss}");
        }
    }
}
