//! Providers, and us as their client.

use std::collections::BTreeMap;

use url::Url;

use super::Reading;
use crate::{
    config::{
        addresses::{Issuer, ProviderUrl},
        files,
        leaf::Given,
        raw::Provider,
        shape::dotted,
        values::Scope,
    },
    identity::{NeededClaims, ProviderName},
    origin::is_loopback,
    providers::{EmailRules, Limits, OWN_PARAMETERS, Settings, UserRules},
};

pub(super) fn resolve(
    raw: BTreeMap<String, Provider>,
    needed: &NeededClaims,
    limits: Option<&Limits>,
    reading: &mut Reading<'_>,
) -> Option<Vec<Settings>> {
    if raw.is_empty() {
        let what = "lacks a provider; one is required, with at least `issuer` and `client_id` (`[providers.NAME]`)";
        reading.missing("providers", what);
    }
    let providers: Vec<_> = raw.into_iter().map(|(name, raw)| provider(&name, raw, needed, limits, reading)).collect();
    let providers: Vec<Settings> = providers.into_iter().collect::<Option<_>>()?;
    let mut names = BTreeMap::new();
    for provider in &providers {
        if let Some(other) = names.insert(&provider.display_name, &provider.name) {
            let key = dotted(&dotted("providers", provider.name.as_str()), "display_name");
            reading.warn(&key, format!("is that of `{other}` too; people cannot tell the two apart"));
        }
    }
    Some(providers)
}

fn provider(
    name: &str,
    raw: Provider,
    needed: &NeededClaims,
    limits: Option<&Limits>,
    reading: &mut Reading<'_>,
) -> Option<Settings> {
    let table = dotted("providers", name);
    let key = |name: &str| dotted(&table, name);
    let parsed_name = ProviderName::parse(name);
    if parsed_name.is_none() {
        let what = "is no name that can stand in a URL: 1 to 32 of `a-z`, `0-9`, `-`, `_`, the first a letter or digit";
        reading.wrong_near(&table, what);
    }

    let insecure_http = reading.required(raw.insecure_http, &key("insecure_http"));
    let insecure_unverified_email = reading.required(raw.insecure_unverified_email, &key("insecure_unverified_email"));
    if insecure_http == Some(true) {
        reading.warn(&key("insecure_http"), "is on: whoever is on the way to this provider can sign in as anybody");
    }
    if insecure_unverified_email == Some(true) {
        let what = "is on: whoever types somebody else's address at this provider can be that user";
        reading.warn(&key("insecure_unverified_email"), what);
    }
    if !raw.issuer.is_given() {
        reading.missing(&key("issuer"), "is required: the issuer identifier, e.g. `https://login.example.com`");
    }
    let issuer = reading.value(raw.issuer, &key("issuer")).map(|Issuer(issuer)| issuer);
    let discovery_url = reading.value(raw.discovery_url, &key("discovery_url"));
    for (url, key) in [(&issuer, key("issuer")), (&discovery_url, key("discovery_url"))] {
        if let Some(ProviderUrl { url, .. }) = url {
            transport(url, insecure_http.unwrap_or_default(), &key, reading);
        }
    }

    let client_id = reading.required(raw.client_id, &key("client_id"));
    let has_secret = raw.client_secret.is_given() || raw.client_secret_file.is_given();
    let client_secret = reading.secret(raw.client_secret, raw.client_secret_file, &key("client_secret"));
    let client_auth = reading.value(raw.client_auth, &key("client_auth"));
    if client_auth.is_some() && !has_secret {
        reading.wrong(&key("client_auth"), "says how a secret is presented, but there is no `client_secret`");
    }
    let display_name = reading.required(raw.display_name, &key("display_name"));
    let scopes = reading.required(raw.scopes, &key("scopes")).map(with_openid);
    let authorization_parameters = authorization_parameters(raw.authorization_parameters, &table, reading);
    let user_claim = reading.required(raw.user_claim, &key("user_claim"));
    let userinfo = reading.required(raw.userinfo, &key("userinfo"));
    let algorithms = reading.required(raw.algorithms, &key("algorithms"));
    if algorithms.as_ref().is_some_and(Vec::is_empty) {
        reading.wrong(&key("algorithms"), "is empty; no signature would be accepted");
    }
    let ca = reading
        .value(raw.ca_file, &key("ca_file"))
        .and_then(|path| files::authorities(&path).map_err(|what| reading.wrong(&key("ca_file"), what)).ok());
    // Settled in `kinds`; whatever it is, it has been applied.
    let _kind = reading.required(raw.kind, &key("kind"));
    let standard = Settings::standard(parsed_name?, &issuer?.text, &client_id?, limits?.clone());
    Some(Settings {
        display_name: display_name?,
        discovery_url: discovery_url.map(|discovery| discovery.url),
        client_secret,
        client_auth,
        scopes: scopes?,
        authorization_parameters,
        user: UserRules { claims: vec![user_claim?.into()], ..standard.user },
        email: EmailRules { insecure_unverified: insecure_unverified_email?, ..standard.email },
        userinfo: userinfo?,
        needed_claims: needed.clone(),
        algorithms: algorithms?,
        ca: ca.map(Into::into),
        insecure_http: insecure_http?,
        ..standard
    })
}

/// Keys come over this connection, and with them who anybody is.
fn transport(url: &Url, insecure_http: bool, key: &str, reading: &mut Reading<'_>) {
    match (url.scheme(), is_loopback(url)) {
        ("https", _) => {}
        (_, true) => reading.warn(key, "is plain http on loopback; for trying things out only"),
        // Warned about where it was switched on.
        (_, false) if insecure_http => {}
        (_, false) => reading.wrong(key, "is plain http; https is needed, or `insecure_http = true` at this provider"),
    }
}

/// `openid` first (OpenID Connect Core §3.1.2.1: without it there is no ID token), everything once.
fn with_openid(scopes: Vec<Scope>) -> Vec<String> {
    let mut all = vec!["openid".to_owned()];
    for Scope(scope) in scopes {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    all
}

fn authorization_parameters(
    raw: BTreeMap<String, Given<String>>,
    table: &str,
    reading: &mut Reading<'_>,
) -> Vec<(String, String)> {
    let table = dotted(table, "authorization_parameters");
    let mut parameters = Vec::new();
    for (name, value) in raw {
        let key = dotted(&table, &name);
        if OWN_PARAMETERS.contains(&name.as_str()) {
            reading.wrong(&key, "is set by the gateway itself; take it out");
        } else if name.is_empty() {
            reading.wrong(&key, "is no parameter");
        }
        parameters.extend(reading.value(value, &key).map(|value| (name, value)));
    }
    parameters
}
