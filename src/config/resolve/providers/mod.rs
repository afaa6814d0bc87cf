//! Providers, and us as their client.

mod bearer;
mod client;
mod collisions;
mod decryption;
mod groups;
mod people;
mod place;
mod request;
mod table;

use std::collections::BTreeMap;

use self::{client::Client, people::People, place::Place, request::Request, table::Table};
use super::Reading;
use crate::{
    config::{files, provider::Provider, shape::dotted},
    identity::{NeededClaims, ProviderName},
    origin::Origin,
    providers::{Limits, Protocol, Settings},
};

/// One provider, and what only its neighbours need to know.
struct Resolved {
    settings: Settings,
    /// Another provider may name the same users.
    is_shared: bool,
}

/// What the rest of the configuration says.
pub(super) struct Around<'a> {
    pub(super) origin: Option<&'a Origin>,
    /// What headers and rules need of claims.
    pub(super) needed: NeededClaims,
    pub(super) limits: Option<&'a Limits>,
    /// Some route counts tokens.
    pub(super) tokens_count: bool,
}

pub(super) fn resolve(
    raw: BTreeMap<String, Provider>,
    around: &Around<'_>,
    reading: &mut Reading<'_>,
) -> Option<Vec<Settings>> {
    if raw.is_empty() {
        let what = "lacks a provider; one is required, with at least `issuer` and `client_id` (`[providers.NAME]`)";
        reading.missing("providers", what);
    }
    let count = raw.len();
    let mut providers = Vec::with_capacity(count);
    for (name, mut raw) in raw {
        providers.extend(provider(&name, &mut raw, around, reading));
    }
    collisions::check(&providers, reading);
    let mut names = BTreeMap::new();
    for Resolved { settings, .. } in providers.iter().filter(|provider| provider.settings.login) {
        if let Some(other) = names.insert(&settings.display_name, &settings.name) {
            let key = dotted(&dotted("providers", settings.name.as_str()), "display_name");
            reading.warn(&key, format!("is that of `{other}` too; people cannot tell the two apart"));
        }
    }
    (providers.len() == count).then(|| providers.into_iter().map(|resolved| resolved.settings).collect())
}

fn provider(name: &str, raw: &mut Provider, around: &Around<'_>, reading: &mut Reading<'_>) -> Option<Resolved> {
    let parsed_name = ProviderName::parse(name);
    if parsed_name.is_none() {
        let what = "is no name that can stand in a URL: 1 to 32 of `a-z`, `0-9`, `-`, `_`, the first a letter or digit";
        reading.wrong_near(&dotted("providers", name), what);
    }
    let mut table = Table::new(name, reading);
    let table = &mut table;
    // Whatever it is, it has been applied.
    table.kind = table.required(&mut raw.kind, "kind").unwrap_or_default();
    let insecure_http = table.required(&mut raw.insecure_http, "insecure_http");
    table.insecure_http = insecure_http.unwrap_or_default();
    if table.insecure_http {
        table.warn("insecure_http", "is on: whoever is on the way to this provider can sign in as anybody");
    }
    table.tokens_count = around.tokens_count;
    let login = table.required(&mut raw.login, "login");
    let place = place::resolve(raw, table);
    let asked = bearer::asked(raw, place.as_ref(), table);
    if login == Some(false) && asked.as_ref().is_some_and(|asked| asked.method.is_none()) {
        let method = table.named("bearer.method");
        table.wrong(
            "login",
            format!("is off, and no token counts either ({method}): the provider would be for nothing"),
        );
    }
    // Who only brings tokens needs no client of ours, unless we ask about them as one.
    let is_client = login != Some(false) || asked.as_ref().is_some_and(bearer::Asked::needs_client);
    let client = client::resolve(raw, is_client, table);
    let bearer = bearer::resolve(raw, asked, place.as_ref(), client.as_ref(), table);
    let is_oauth2 = place.as_ref().is_some_and(|place| place.protocol != Protocol::Oidc);
    let decryption_keys = decryption::resolve(raw, is_oauth2, table);
    let request = request::resolve(raw, is_oauth2, around.origin, table);
    let people = people::resolve(raw, is_oauth2, request.as_ref(), &around.needed, table);
    let display_name = table.required(&mut raw.display_name, "display_name");
    let algorithms = table.required(&mut raw.algorithms, "algorithms");
    if algorithms.as_ref().is_some_and(Vec::is_empty) {
        table.wrong("algorithms", "is empty; no signature would be accepted");
    }
    let ca = table
        .value(&mut raw.ca_file, "ca_file")
        .and_then(|path| files::authorities(&path).map_err(|what| table.wrong("ca_file", what)).ok());

    let Place { protocol, issuer, issuer_aliases, tenants, discovery_url, endpoints, back_channel, logout_url } =
        place?;
    let Client { id, secret, auth, key } = client?;
    let Request {
        scopes,
        authorization_parameters,
        response_mode,
        silent_check,
        pushed_requests,
        pkce,
        nonce,
        max_age,
    } = request?;
    let People { user, email, groups, required_claims, userinfo, access_token_claims, is_shared } = people?;
    let settings = Settings {
        name: parsed_name?,
        display_name: display_name?,
        protocol,
        login: login?,
        issuer,
        issuer_aliases,
        tenants,
        discovery_url,
        endpoints,
        back_channel,
        ca: ca.map(Into::into),
        insecure_http: insecure_http?,
        client_id: id,
        client_secret: secret,
        client_auth: auth,
        client_key: key,
        decryption_keys,
        scopes,
        authorization_parameters,
        response_mode,
        silent_check,
        pushed_requests,
        pkce,
        nonce,
        max_age,
        algorithms: algorithms?,
        userinfo,
        access_token_claims,
        required_claims,
        user,
        email,
        groups,
        needed_claims: around.needed.clone(),
        bearer,
        logout_url,
        limits: around.limits?.clone(),
    };
    Some(Resolved { settings, is_shared })
}
