//! Which of a provider's tokens count that programs bring, and who says so.
//!
//! What a kind brings along is no mistake of the operator's: it is refused only where tokens count at all.

use std::{collections::BTreeSet, mem, time::Duration};

use super::{client::Client, place::Place, table::Table};
use crate::{
    config::{
        kinds,
        leaf::{Given, shown},
        provider::{
            Provider,
            bearer::{Bearer as Raw, Introspection, Method},
        },
    },
    providers::{Bearer, BearerMethod, IntrospectionProtocol, OAuth2, Protocol},
};

const METHOD: &str = "bearer.method";
const INTROSPECTION: &str = "bearer.introspection";
const ENDPOINT: &str = "introspection_endpoint";
const AUDIENCES: &str = "bearer.audiences";
const CLIENTS: &str = "bearer.clients";
const ISSUERS: &str = "bearer.issuers";
const PLAIN_JWT: &str = "bearer.plain_jwt";
const USERINFO_FALLBACK: &str = "bearer.userinfo_fallback";
const RECHECK: &str = "bearer.recheck";
const ANY_AUDIENCE: &str = "bearer.insecure_any_audience";

/// What is replaced in an audience.
const CLIENT_ID: &str = "{client_id}";
const ISSUER: &str = "{issuer}";

/// A revoked token counts for as long as the last answer about it is believed.
const LONGEST_RECHECK: Duration = Duration::from_secs(3_600);

/// Who is asked about a token.
pub(super) struct Asked {
    /// `None` where no token counts.
    pub(super) method: Option<BearerMethod>,
    introspection: Option<IntrospectionProtocol>,
}

impl Asked {
    /// Whether the provider answers only clients that it knows.
    pub(super) fn needs_client(&self) -> bool {
        match self.introspection {
            Some(IntrospectionProtocol::Standard | IntrospectionProtocol::ValidateBearer) => true,
            Some(IntrospectionProtocol::Tokeninfo) | None => false,
        }
    }
}

pub(super) fn asked(raw: &mut Provider, place: Option<&Place>, table: &mut Table<'_, '_>) -> Option<Asked> {
    let method = table.required(&mut raw.bearer.method, METHOD);
    let introspection = table.required(&mut raw.bearer.introspection, INTROSPECTION);
    let (Method(method), Introspection(introspection)) = (method?, introspection?);
    let is_oauth2 = place.is_some_and(|place| place.protocol != Protocol::Oidc);
    let method = match method {
        Some(BearerMethod::Jwt | BearerMethod::Auto) if is_oauth2 => {
            table.refuse(
                &[METHOD],
                "expects JWTs; with `protocol = \"oauth2\"` there are no keys that could vouch for them",
            );
            None
        }
        method => method,
    };
    let introspection = match method {
        Some(BearerMethod::Introspection) => Some(introspection.unwrap_or(IntrospectionProtocol::Standard)),
        Some(BearerMethod::Auto) => introspection,
        Some(BearerMethod::Jwt | BearerMethod::Userinfo) => {
            if introspection.is_some() {
                let method = table.named(METHOD);
                table.refuse(&[INTROSPECTION], &format!("means nothing: {method} asks somebody else"));
            }
            None
        }
        None => None,
    };
    let has_endpoint = table.reading.place(&table.key(ENDPOINT)).is_some();
    match introspection {
        None => table.refuse(
            &[ENDPOINT],
            "means nothing: no token is asked about there (`bearer.method`, `bearer.introspection`)",
        ),
        Some(IntrospectionProtocol::ValidateBearer) => {
            table.refuse(&[ENDPOINT], "means nothing: `validate_bearer` asks at the token endpoint");
        }
        Some(IntrospectionProtocol::Tokeninfo) if !has_endpoint => {
            table.missing(ENDPOINT, "is required with `bearer.introspection = \"tokeninfo\"`: no metadata has it");
        }
        Some(IntrospectionProtocol::Standard) if !has_endpoint && is_oauth2 => {
            table.missing(ENDPOINT, "is required with OAuth 2.0: where tokens are asked about");
        }
        Some(IntrospectionProtocol::Standard | IntrospectionProtocol::Tokeninfo) => {}
    }
    Some(Asked { method, introspection })
}

/// `None` where no token counts, or something is wrong.
pub(super) fn resolve(
    raw: &mut Provider,
    asked: Option<Asked>,
    place: Option<&Place>,
    client: Option<&Client>,
    table: &mut Table<'_, '_>,
) -> Option<Bearer> {
    let mut raw: Raw = mem::take(&mut raw.bearer);
    let method = asked.as_ref().and_then(|asked| asked.method);
    let any_audience = table.required(&mut raw.insecure_any_audience, ANY_AUDIENCE);
    if any_audience == Some(true) {
        table.warn(ANY_AUDIENCE, "is on: whoever can read a token that is for somebody else can use it here");
    }
    let audiences = audiences(&mut raw, any_audience == Some(true), place, client, table);
    let audience_claim = table.required(&mut raw.audience_claim, "bearer.audience_claim");
    let clients = table.list(&mut raw.clients, CLIENTS);
    let issuers = issuers(&mut raw, place, table);
    let plain_jwt = table.required(&mut raw.plain_jwt, PLAIN_JWT);
    let id_tokens = table.required(&mut raw.id_tokens, "bearer.id_tokens");
    let userinfo_fallback = table.required(&mut raw.userinfo_fallback, USERINFO_FALLBACK);
    let recheck = recheck(&mut raw.recheck, table);
    if place.is_some_and(|place| place.protocol != Protocol::Oidc) {
        for (is_on, name) in
            [(plain_jwt, PLAIN_JWT), (id_tokens, "bearer.id_tokens"), (userinfo_fallback, USERINFO_FALLBACK)]
        {
            if is_on == Some(true) {
                table.refuse(&[name], "is for `protocol = \"oidc\"`; with OAuth 2.0 alone there is none of that");
            }
        }
    }
    if method == Some(BearerMethod::Userinfo) {
        check_userinfo(any_audience == Some(true), userinfo_fallback == Some(true), place, table);
    }
    Some(Bearer {
        method: method?,
        introspection: asked?.introspection,
        audiences,
        audience_claim: audience_claim?.into(),
        clients: clients.into_iter().map(String::into_boxed_str).collect(),
        issuers,
        plain_jwt: plain_jwt?,
        id_tokens: id_tokens?,
        userinfo_fallback: userinfo_fallback?,
        recheck: recheck?,
        insecure_any_audience: any_audience?,
    })
}

/// Userinfo says whose a token is, and nothing else of it.
fn check_userinfo(any_audience: bool, fallback: bool, place: Option<&Place>, table: &mut Table<'_, '_>) {
    // Where it is not known what is spoken, that is what is wrong.
    let is_bound = place.is_none_or(|place| match &place.protocol {
        // Made with our secret, it is refused with a token of another client.
        Protocol::OAuth2(OAuth2 { appsecret_proof, .. }) => *appsecret_proof,
        Protocol::Oidc => false,
    });
    if !is_bound && !any_audience {
        let what = "is `userinfo`, which does not say whom a token is for: those of any other client of this provider would count. Use \
                    another method, or accept that with `insecure_any_audience = true`";
        table.wrong_of_tokens(METHOD, what);
    }
    let why = "cannot be checked with `bearer.method = \"userinfo\"`: userinfo does not say it of a token";
    table.refuse(if any_audience { &[CLIENTS] } else { &[AUDIENCES, CLIENTS] }, why);
    if fallback {
        table.refuse(
            &[USERINFO_FALLBACK],
            "means nothing with `bearer.method = \"userinfo\"`: it has been asked already",
        );
    }
}

fn audiences(
    raw: &mut Raw,
    any: bool,
    place: Option<&Place>,
    client: Option<&Client>,
    table: &mut Table<'_, '_>,
) -> BTreeSet<Box<str>> {
    let list: Vec<String> = table.list(&mut raw.audiences, AUDIENCES);
    if any {
        let any = table.named(ANY_AUDIENCE);
        table.refuse(&[AUDIENCES], &format!("stand beside {any}, with which it does not matter whom a token is for"));
        return BTreeSet::new();
    }
    let mut audiences = BTreeSet::new();
    for audience in list {
        if audience.replace(CLIENT_ID, "").replace(ISSUER, "").contains(['{', '}']) {
            let what = format!("holds {}; replaced in it are `{CLIENT_ID}` and `{ISSUER}`", shown(&audience));
            table.wrong(AUDIENCES, what);
        }
        let needs = |placeholder: &str| audience.contains(placeholder);
        if needs(CLIENT_ID) && client.is_some_and(|client| client.id.is_empty()) {
            table.wrong_of_tokens(AUDIENCES, format!("holds {}, but there is no `client_id`", shown(&audience)));
            continue;
        }
        if needs(ISSUER) && place.is_some_and(|place| place.tenants.is_some()) {
            let what = format!("holds {}, but each tenant has an issuer of its own", shown(&audience));
            table.wrong_of_tokens(AUDIENCES, what);
            continue;
        }
        let id = client.map_or(CLIENT_ID, |client| client.id.as_str());
        let issuer = place.map_or(ISSUER, |place| place.issuer.as_str());
        audiences.insert(audience.replace(ISSUER, issuer).replace(CLIENT_ID, id).into_boxed_str());
    }
    audiences
}

/// Those of a kind may be for tenants that the operator does not have.
fn issuers(raw: &mut Raw, place: Option<&Place>, table: &mut Table<'_, '_>) -> Vec<String> {
    let mut issuers: Vec<String> = table.list(&mut raw.issuers, ISSUERS);
    let has_tenants = place.is_none_or(|place| place.tenants.is_some());
    for (placeholder, means_something, why) in [
        (kinds::TENANT, false, "write the tenant itself"),
        (kinds::TOKENS_TENANT, has_tenants, "the issuer is that of a single tenant"),
    ] {
        if !means_something && issuers.iter().any(|issuer| issuer.contains(placeholder)) {
            table.refuse(&[ISSUERS], &format!("hold `{placeholder}`, which nothing replaces: {why}"));
            issuers.retain(|issuer| !issuer.contains(placeholder));
        }
    }
    issuers
}

fn recheck(given: &mut Given<Duration>, table: &mut Table<'_, '_>) -> Option<Duration> {
    let recheck = table.required(given, RECHECK)?;
    if recheck < Duration::from_secs(1) {
        table.wrong(RECHECK, "is less than a second");
    } else if recheck.subsec_nanos() != 0 {
        table.wrong(RECHECK, "has a part of a second; tokens count in whole ones");
    } else if recheck > LONGEST_RECHECK {
        table.wrong(RECHECK, "is longer than an hour: for so long a token would count that has been revoked");
    }
    Some(recheck)
}
