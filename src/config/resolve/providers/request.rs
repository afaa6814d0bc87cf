//! What a provider is asked for, and how.

use std::{collections::BTreeMap, time::Duration};

use super::table::Table;
use crate::{
    config::{kinds, leaf::Given, provider::Provider, shape::dotted, values::Scope},
    origin::Origin,
    providers::{OWN_PARAMETERS, PushedRequests, ResponseMode, SilentCheck},
};

/// A sign-in's request.
pub(super) struct Request {
    pub(super) scopes: Vec<String>,
    pub(super) authorization_parameters: Vec<(String, String)>,
    pub(super) response_mode: ResponseMode,
    pub(super) silent_check: SilentCheck,
    pub(super) pushed_requests: PushedRequests,
    pub(super) pkce: bool,
    pub(super) nonce: bool,
    pub(super) max_age: Option<Duration>,
}

pub(super) fn resolve(
    raw: &mut Provider,
    is_oauth2: bool,
    origin: Option<&Origin>,
    table: &mut Table<'_, '_>,
) -> Option<Request> {
    let scopes = table.required(&mut raw.scopes, "scopes").map(|scopes| once(scopes, !is_oauth2));
    let authorization_parameters = authorization_parameters(std::mem::take(&mut raw.authorization_parameters), table);
    let response_mode = table.required(&mut raw.response_mode, "response_mode");
    if response_mode == Some(ResponseMode::FormPost) && origin.is_some_and(|origin| !origin.is_https()) {
        let what = "is `form_post` although `public_url` is plain http: browsers send no cookie along with what another site posts, so it goes on as a link";
        table.warn("response_mode", what);
    }
    let silent_check = silent_check(raw, is_oauth2, table);
    let pushed_requests = table.required(&mut raw.pushed_authorization_requests, "pushed_authorization_requests");
    let pkce = protection(&mut raw.pkce, "pkce", "whoever gets hold of a code can use it", table);
    let nonce = protection(&mut raw.nonce, "nonce", "an ID token can be used a second time", table);
    let max_age = table.value(&mut raw.max_age, "max_age");
    if max_age.is_some_and(|age| age.subsec_nanos() != 0) {
        table.wrong("max_age", "has a part of a second; providers count in whole ones");
    }
    Some(Request {
        scopes: scopes?,
        authorization_parameters,
        response_mode: response_mode?,
        silent_check: silent_check?,
        pushed_requests: pushed_requests?,
        pkce: pkce?,
        nonce: nonce?,
        max_age,
    })
}

/// The question that shows no page is of OpenID Connect (Core §3.1.2.1).
fn silent_check(raw: &mut Provider, is_oauth2: bool, table: &mut Table<'_, '_>) -> Option<SilentCheck> {
    let check = table.required(&mut raw.silent_check, "silent_check")?;
    if !is_oauth2 || check != SilentCheck::PromptNone {
        return Some(check);
    }
    if table.is_written("silent_check") {
        table.wrong(
            "silent_check",
            "is `prompt_none`, which is for `protocol = \"oidc\"`; here there are `redirect` and `off`",
        );
    }
    Some(SilentCheck::Off)
}

/// A protection that some providers do without. Off is said at every start, with the reason where the kind has one.
fn protection(given: &mut Given<bool>, name: &str, risk: &str, table: &mut Table<'_, '_>) -> Option<bool> {
    let is_on = table.required(given, name)?;
    if !is_on {
        let kind = (!table.is_written(name)).then(|| kinds::why(&table.kind, name)).flatten();
        let why = kind.map(|why| format!(". It is the kind's: {why}")).unwrap_or_default();
        table.warn(name, format!("is off: {risk}{why}"));
    }
    Some(is_on)
}

/// Everything once; with OpenID Connect `openid` first (Core §3.1.2.1: without it there is no ID token).
fn once(scopes: Vec<Scope>, is_oidc: bool) -> Vec<String> {
    let mut all: Vec<String> = is_oidc.then(|| "openid".to_owned()).into_iter().collect();
    for Scope(scope) in scopes {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    all
}

fn authorization_parameters(raw: BTreeMap<String, Given<String>>, table: &mut Table<'_, '_>) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for (name, mut value) in raw {
        let key = dotted("authorization_parameters", &name);
        if name == "max_age" {
            table.wrong(&key, "would be asked for but not checked; use the key `max_age` of this provider");
        } else if OWN_PARAMETERS.contains(&name.as_str()) {
            table.wrong(&key, "is set by the gateway itself; take it out");
        } else if name.is_empty() {
            table.wrong(&key, "is no parameter");
        }
        parameters.extend(table.value(&mut value, &key).map(|value| (name, value)));
    }
    parameters
}
