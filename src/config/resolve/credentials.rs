//! What counts at a route: session cookies, tokens, and which tokens; and whether there is a provider for it.

use std::collections::{BTreeMap, BTreeSet};

use super::Reading;
use crate::{
    config::{kinds, leaf::Given, raw::Tokens, shape::dotted, values::Scope},
    gateway::settings::{Credentials, RouteSettings, TokenRules},
    identity::ProviderName,
    policy::Access,
    providers::{Bearer, BearerMethod, Settings},
};

/// What holds where a route does not say otherwise.
pub(super) struct Usual {
    pub(super) credentials: Credentials,
    pub(super) tokens: TokenRules,
    /// Answers about tokens that are kept at most.
    pub(super) answers: usize,
}

pub(super) fn usual(credentials: Given<Credentials>, tokens: Tokens, reading: &mut Reading<'_>) -> Option<Usual> {
    let credentials = reading.required(credentials, "credentials");
    let scopes = scopes(tokens.scopes, "tokens.scopes", reading);
    let audiences = audiences(tokens.audiences, "tokens.audiences", reading);
    let forward = reading.required(tokens.forward, "tokens.forward");
    let answers = reading.count(tokens.answers, "tokens.answers", 100..=1_000_000);
    let tokens =
        TokenRules { scopes: scopes.unwrap_or_default(), audiences: audiences.unwrap_or_default(), forward: forward? };
    Some(Usual { credentials: credentials?, tokens, answers: answers? })
}

/// What a route says of it itself.
pub(super) struct Written {
    pub(super) credentials: Given<Credentials>,
    pub(super) scopes: Given<Vec<Scope>>,
    pub(super) audiences: Given<Vec<String>>,
    pub(super) forward: Given<bool>,
}

/// What counts at the route `key`.
pub(super) fn at_route(
    raw: Written,
    key: &str,
    is_anonymous: bool,
    usual: Option<&Usual>,
    reading: &mut Reading<'_>,
) -> Option<(Credentials, TokenRules)> {
    let [credentials_key, scopes_key, audiences_key, forward_key] =
        ["credentials", "token_scopes", "token_audiences", "forward_token"].map(|name| dotted(key, name));
    let of_tokens = [
        (raw.scopes.is_given(), &scopes_key),
        (raw.audiences.is_given(), &audiences_key),
        (raw.forward.is_given(), &forward_key),
    ];
    // A word that cannot be read is not replaced by the usual one.
    let (credentials, said_at) = match raw.credentials.is_given() {
        true => (reading.value(raw.credentials, &credentials_key), &*credentials_key),
        false => (usual.map(|usual| usual.credentials), "credentials"),
    };
    let scopes = scopes(raw.scopes, &scopes_key, reading);
    let audiences = audiences(raw.audiences, &audiences_key, reading);
    let forward = reading.value(raw.forward, &forward_key);
    if is_anonymous {
        return Some((Credentials::Cookie, TokenRules::default()));
    }
    if credentials == Some(Credentials::Cookie) {
        let said = reading.named(said_at);
        for (_, key) in of_tokens.into_iter().filter(|(is_given, _)| *is_given) {
            reading.wrong(key, format!("means nothing where only cookies count, as {said} says"));
        }
        return Some((Credentials::Cookie, TokenRules::default()));
    }
    let tokens = usual?.tokens.clone();
    let tokens = TokenRules {
        scopes: scopes.unwrap_or(tokens.scopes),
        audiences: audiences.unwrap_or(tokens.audiences),
        forward: forward.unwrap_or(tokens.forward),
    };
    Some((credentials?, tokens))
}

/// A list without entries asks for none, also where there are some outside.
fn scopes(given: Given<Vec<Scope>>, key: &str, reading: &mut Reading<'_>) -> Option<BTreeSet<Box<str>>> {
    let scopes = reading.value(given, key)?;
    Some(scopes.into_iter().map(|Scope(scope)| scope.into_boxed_str()).collect())
}

fn audiences(given: Given<Vec<String>>, key: &str, reading: &mut Reading<'_>) -> Option<BTreeSet<Box<str>>> {
    let audiences = reading.value(given, key)?;
    if audiences.is_empty() {
        reading.wrong(key, "is empty; left out, tokens have to be for what their provider's settings say");
    }
    if audiences.iter().any(|audience| audience.contains(['{', '}'])) {
        reading.wrong(key, "holds `{` or `}`; nothing is replaced here, only in `bearer.audiences` of a provider");
    }
    Some(audiences.into_iter().map(String::into_boxed_str).collect())
}

/// Whether session cookies count there.
pub(super) fn counts_cookies(route: &RouteSettings) -> bool {
    match route.credentials {
        Credentials::Cookie | Credentials::Both => route.access != Access::Anonymous,
        Credentials::Bearer => false,
    }
}

/// Whether tokens count there.
pub(super) fn counts_tokens(route: &RouteSettings) -> bool {
    match route.credentials {
        Credentials::Bearer | Credentials::Both => route.access != Access::Anonymous,
        Credentials::Cookie => false,
    }
}

/// Whether `providers` are what `routes` need. `is_single`: there is one route, written as `upstream`.
pub(super) fn check(routes: &[RouteSettings], is_single: bool, providers: &[Settings], reading: &mut Reading<'_>) {
    check_logins(routes, providers, reading);
    if !routes.iter().any(counts_tokens) {
        for key in ["tokens.scopes", "tokens.audiences"] {
            if reading.place(key).is_some() {
                let credentials = reading.named("credentials");
                reading.wrong(key, format!("means nothing: no route counts tokens (see {credentials})"));
            }
        }
    }
    let mut doubles = BTreeMap::new();
    for (number, route) in routes.iter().enumerate().filter(|(_, route)| counts_tokens(route)) {
        let place = if is_single { None } else { Some(format!("routes[{number}]")) };
        let takers: Vec<_> = at(route, providers)
            .filter_map(|provider| Some(Taker { provider, bearer: provider.bearer.as_ref()? }))
            .collect();
        check_takers(route, place.as_deref(), &takers, reading);
        for (nth, one) in takers.iter().enumerate() {
            for other in takers.iter().take(nth) {
                if let Some(issuer) = one.issuers().intersection(&other.issuers()).next() {
                    // Said once, however many routes there are.
                    doubles.entry((&one.provider.name, &other.provider.name)).or_insert_with(|| issuer.clone());
                }
            }
        }
    }
    for ((one, other), issuer) in doubles {
        let what = format!(
            "takes tokens of the issuer `{issuer}`, and so does {} at the same route; one of them needs `bearer.method = \"none\"`, or the \
             route names the other in its `providers`",
            named(other)
        );
        reading.wrong_near(&table(one), what);
    }
}

/// Somewhere to sign in, wherever cookies count.
fn check_logins(routes: &[RouteSettings], providers: &[Settings], reading: &mut Reading<'_>) {
    if !routes.iter().any(counts_cookies) {
        return;
    }
    if !providers.iter().any(|provider| provider.login) {
        reading.wrong_near("providers", "are all without `login`: nobody could sign in where cookies count");
        return;
    }
    for (number, route) in routes.iter().enumerate().filter(|(_, route)| counts_cookies(route)) {
        if !at(route, providers).any(|provider| provider.login) {
            let what = "names only providers without `login`: nobody could sign in where cookies count";
            reading.wrong(&format!("routes[{number}].providers"), what);
        }
    }
}

/// The providers whose tokens count at a route, which is `place` unless it is the only one.
fn check_takers(route: &RouteSettings, place: Option<&str>, takers: &[Taker<'_>], reading: &mut Reading<'_>) {
    let own = place.map(|place| dotted(place, "credentials")).filter(|key| reading.place(key).is_some());
    let (key, at) = match (own, place) {
        (Some(own), _) => (own, String::new()),
        (None, Some(place)) => ("credentials".to_owned(), format!(" at {}", reading.named(place))),
        (None, None) => ("credentials".to_owned(), String::new()),
    };
    if takers.is_empty() {
        let what = format!("lets tokens count{at}, but no provider there takes any: `bearer.method` is `none` at each");
        reading.wrong(&key, what);
    }
    let boxes: Vec<_> = takers.iter().filter(|taker| taker.bearer.takes_black_boxes()).map(Taker::named).collect();
    if let [one, others @ .., last] = boxes.as_slice() {
        let first: Vec<_> = [one].into_iter().chain(others).map(String::as_str).collect();
        let what = format!(
            "lets tokens count{at}, and {} and {last} would each be shown those that do not say whose they are, the other's too; only one of \
             them can be asked: let the others have `bearer.method = \"none\"`, or name that one in the route's `providers`",
            first.join(", ")
        );
        reading.wrong(&key, what);
    }
    if !route.tokens.audiences.is_empty()
        && let Some(open) = takers.iter().find(|taker| !taker.knows_audience())
    {
        let own = place.map(|place| dotted(place, "token_audiences")).filter(|key| reading.place(key).is_some());
        let what = format!("cannot be kept to{at}: nothing says whom the tokens of {} are for", open.named());
        reading.wrong(&own.unwrap_or_else(|| "tokens.audiences".to_owned()), what);
    }
}

/// A provider whose tokens count.
struct Taker<'a> {
    provider: &'a Settings,
    bearer: &'a Bearer,
}

impl Taker<'_> {
    fn named(&self) -> String {
        named(&self.provider.name)
    }

    /// Whether it is looked at whom its tokens are for.
    fn knows_audience(&self) -> bool {
        !self.bearer.insecure_any_audience && self.bearer.method != BearerMethod::Userinfo
    }

    /// What tokens call it, as far as the configuration knows.
    fn issuers(&self) -> BTreeSet<String> {
        let templates = [&self.provider.issuer].into_iter().chain(&self.bearer.issuers);
        let mut issuers: BTreeSet<String> = match &self.provider.tenants {
            Some(tenants) => templates
                .flat_map(|issuer| tenants.allowed.iter().map(|tenant| issuer.replace(kinds::TOKENS_TENANT, tenant)))
                .collect(),
            None => templates.cloned().collect(),
        };
        issuers.extend(self.provider.issuer_aliases.iter().cloned());
        issuers
    }
}

/// The providers that count at `route`.
fn at<'a>(route: &'a RouteSettings, providers: &'a [Settings]) -> impl Iterator<Item = &'a Settings> {
    providers.iter().filter(|provider| route.providers.is_empty() || route.providers.contains(&provider.name))
}

fn table(provider: &ProviderName) -> String {
    dotted("providers", provider.as_str())
}

fn named(provider: &ProviderName) -> String {
    format!("`{}`", table(provider))
}
