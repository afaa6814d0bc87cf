//! Who a provider is and where: its issuer, its tenants, its endpoints.

use std::collections::BTreeSet;

use url::Url;

use super::table::Table;
use crate::{
    config::{
        addresses::Issuer,
        kinds,
        leaf::shown,
        provider::{
            Provider,
            values::{LogoutUrl, Spoken, Tenant},
        },
    },
    providers::{Endpoints, OAuth2, Protocol, Tenants},
};

/// Who and where.
pub(super) struct Place {
    pub(super) protocol: Protocol,
    pub(super) issuer: String,
    pub(super) issuer_aliases: Vec<String>,
    pub(super) tenants: Option<Tenants>,
    pub(super) discovery_url: Option<Url>,
    pub(super) endpoints: Endpoints,
    pub(super) back_channel: Option<Url>,
    pub(super) logout_url: Option<Box<str>>,
}

pub(super) fn resolve(raw: &mut Provider, table: &mut Table<'_, '_>) -> Option<Place> {
    let spoken = table.required(&mut raw.protocol, "protocol");
    let discovery_url = table.endpoint(&mut raw.discovery_url, "discovery_url");
    let endpoints = endpoints(raw, table);
    let protocol = match spoken {
        Some(Spoken::Oidc) => oidc(raw, table),
        Some(Spoken::OAuth2) => oauth2(raw, table),
        None => None,
    };
    let issuer = issuer(raw, spoken, &endpoints, table);
    let issuer_aliases = table.value(&mut raw.issuer_aliases, "issuer_aliases");
    let tenants = tenants(raw, issuer.as_deref(), discovery_url.is_some(), table);
    let back_channel = table.value(&mut raw.back_channel_origin, "back_channel_origin");
    let back_channel = back_channel.and_then(|origin| Url::parse(origin.as_str()).ok());
    if let Some(origin) = &back_channel {
        table.check_transport(origin, "back_channel_origin");
    }
    let logout_url = table.value(&mut raw.logout_url, "logout_url");
    // Only where browsers go: that the issuer is plain http has been said.
    if let Some(url) = logout_url.as_ref().filter(|url| url.0.starts_with("http")).and_then(LogoutUrl::filled) {
        table.check_transport(&url, "logout_url");
    }
    Some(Place {
        protocol: protocol?,
        issuer: issuer?,
        issuer_aliases: issuer_aliases.unwrap_or_default(),
        tenants,
        discovery_url,
        endpoints,
        back_channel,
        logout_url: logout_url.map(|LogoutUrl(url)| url),
    })
}

fn endpoints(raw: &mut Provider, table: &mut Table<'_, '_>) -> Endpoints {
    Endpoints {
        authorization: table.endpoint(&mut raw.authorization_endpoint, "authorization_endpoint"),
        token: table.endpoint(&mut raw.token_endpoint, "token_endpoint"),
        userinfo: table.endpoint(&mut raw.userinfo_endpoint, "userinfo_endpoint"),
        jwks: table.endpoint(&mut raw.jwks_uri, "jwks_uri"),
        end_session: table.endpoint(&mut raw.end_session_endpoint, "end_session_endpoint"),
        pushed_requests: table
            .endpoint(&mut raw.pushed_authorization_request_endpoint, "pushed_authorization_request_endpoint"),
        introspection: table.endpoint(&mut raw.introspection_endpoint, "introspection_endpoint"),
    }
}

fn oidc(raw: &mut Provider, table: &mut Table<'_, '_>) -> Option<Protocol> {
    const WHY: &str = "is for `protocol = \"oauth2\"`; with OpenID Connect an ID token says who signed in";
    table.refuse(&["subject_claim", "email_endpoint"], WHY);
    if table.required(&mut raw.appsecret_proof, "appsecret_proof") == Some(true) {
        table.wrong("appsecret_proof", WHY);
    }
    Some(Protocol::Oidc)
}

/// Without an ID token there is nothing that says where anything is, or who somebody is.
fn oauth2(raw: &mut Provider, table: &mut Table<'_, '_>) -> Option<Protocol> {
    const WHY: &str = "is for `protocol = \"oidc\"`; with OAuth 2.0 alone there is no metadata and no ID token";
    table.refuse(&["discovery_url", "jwks_uri", "max_age"], WHY);
    for (name, what) in [
        ("authorization_endpoint", "is required with OAuth 2.0: where browsers sign in"),
        ("token_endpoint", "is required with OAuth 2.0: where codes become tokens"),
        ("userinfo_endpoint", "is required with OAuth 2.0: the profile that says who signed in"),
    ] {
        // Those that were written have been read.
        if table.reading.place(&table.key(name)).is_none() {
            table.missing(name, what);
        }
    }
    if !raw.subject_claim.is_given() {
        let what = "is required with OAuth 2.0: the claim of the profile that never changes and is never given to somebody else";
        table.missing("subject_claim", what);
    }
    let subject_claim = table.value(&mut raw.subject_claim, "subject_claim");
    let appsecret_proof = table.required(&mut raw.appsecret_proof, "appsecret_proof");
    let has_secret = raw.client_secret.is_given() || raw.client_secret_file.is_given();
    if appsecret_proof == Some(true) && !has_secret {
        table.missing("client_secret", "is required: the profile is asked for with a proof that we have it");
    }
    let email_endpoint = table.endpoint(&mut raw.email_endpoint, "email_endpoint");
    Some(Protocol::OAuth2(OAuth2 {
        subject_claim: subject_claim?.into(),
        appsecret_proof: appsecret_proof?,
        email_endpoint,
    }))
}

fn issuer(
    raw: &mut Provider,
    spoken: Option<Spoken>,
    endpoints: &Endpoints,
    table: &mut Table<'_, '_>,
) -> Option<String> {
    if !raw.issuer.is_given() {
        if spoken == Some(Spoken::OAuth2) {
            // Nothing says it; it keeps this provider's sessions apart from those of another one.
            return Some(endpoints.authorization.as_ref()?.origin().ascii_serialization());
        }
        table.missing("issuer", "is required: the issuer identifier, e.g. `https://login.example.com`");
    }
    let Issuer(issuer) = table.value(&mut raw.issuer, "issuer")?;
    if issuer.text.contains(kinds::TENANT) && !table.is_written("issuer") {
        // One that cannot be read has not been put in, and is reported where it is read.
        if !raw.tenant.is_given() {
            table.missing("tenant", "is required: which tenant of the provider people sign in at, or `issuer`");
        }
        return None;
    }
    table.check_transport(&issuer.url, "issuer");
    Some(issuer.text)
}

/// Many tenants behind one registration: everybody can have one there, so those that count are named.
fn tenants(
    raw: &mut Provider,
    issuer: Option<&str>,
    has_discovery_url: bool,
    table: &mut Table<'_, '_>,
) -> Option<Tenants> {
    // What it says has gone into the kind's addresses.
    let tenant = table.value(&mut raw.tenant, "tenant");
    if tenant.is_some() && !kinds::has_tenants(&table.kind) {
        let what = format!("means nothing: providers of kind {} have no tenants", shown(&table.kind));
        table.wrong("tenant", what);
    } else if let (Some(Tenant(tenant)), Some(issuer)) = (&tenant, issuer)
        && !issuer.split('/').any(|segment| segment == &**tenant)
        && !issuer.contains(kinds::TOKENS_TENANT)
    {
        let issuer = table.named("issuer");
        table.wrong("tenant", format!("is not in {issuer}; give one of the two"));
    }
    let shared = table.value(&mut raw.shared_tenants, "shared_tenants").unwrap_or_default();
    let is_given = raw.allowed_tenants.is_given();
    let allowed = table.list(&mut raw.allowed_tenants, "allowed_tenants");
    let claim = table.value(&mut raw.tenant_claim, "tenant_claim");
    if !issuer?.contains(kinds::TOKENS_TENANT) {
        if is_given {
            table.wrong("allowed_tenants", "means nothing: the issuer is that of a single tenant");
        }
        return None;
    }
    if !is_given {
        let what = "is required: everybody can have a tenant at this provider; name those whose people may sign in";
        table.missing("allowed_tenants", what);
    }
    if let Some(Tenant(word)) = allowed.iter().find(|allowed| shared.iter().any(|shared| shared.0 == allowed.0)) {
        table.wrong("allowed_tenants", format!("has {}, which stands for many tenants", shown(word)));
    }
    if claim.is_none() {
        table.missing("tenant_claim", "is required: the claim that names somebody's tenant");
    }
    if !has_discovery_url {
        table.missing("discovery_url", "is required: the issuer holds `{tenantid}`, so nothing is below it");
    }
    let allowed: BTreeSet<_> = allowed.into_iter().map(|Tenant(tenant)| tenant).collect();
    Some(Tenants { claim: claim?.into(), allowed })
}
