//! What is known about each kind of provider: `config/providers.toml`, as a layer below what the operator wrote.
//!
//! Differences between providers are data. Every kind builds on `oidc`; a key that a kind does not name is `oidc`'s. The comment above
//! a key there says why it is so, and is shown to whoever asks.
//!
//! `{tenant}` in a kind's table is replaced by the key `tenant`. Where that is one of the kind's `shared_tenants`, the issuer (and what its
//! tokens call it besides) is each tenant's own: `{tenantid}` stands for it, and the metadata is found at the shared address.

use std::collections::{BTreeMap, BTreeSet};

use figment::{
    providers::{Format, Toml},
    value::{Dict, Value},
};
use toml_edit::DocumentMut;

use super::{
    layer::Layer,
    problems::{Place, Problem},
    provider::values::Tenant,
    shape::dotted,
};

const TEXT: &str = include_str!("../../config/providers.toml");

/// The kind that all others build on, and what a provider is whose name is no kind.
const BASE: &str = "oidc";

/// What stands in a kind's table for the tenant that the operator names.
pub(super) const TENANT: &str = "{tenant}";

/// What stands in an issuer for the tenant that a token names.
pub(super) const TOKENS_TENANT: &str = "{tenantid}";

/// What follows from the kinds of the providers that `written` (the later wins) speaks of.
pub(super) fn layer(written: &[&Layer], problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    let kinds = match read() {
        Ok(kinds) => kinds,
        Err(problem) => {
            problems.push(problem);
            return layer;
        }
    };
    for name in
        written.iter().filter_map(|layer| layer.table(["providers"])).flat_map(Dict::keys).collect::<BTreeSet<_>>()
    {
        let given = |key: &str| {
            written.iter().rev().find_map(|layer| Some((layer, layer.table(["providers", name])?.get(key)?)))
        };
        let kind = match given("kind").map(|(layer, kind)| (layer, kind.as_str())) {
            Some((_, Some(kind))) if kinds.table([kind]).is_some() => kind,
            Some((layer, Some(_))) => {
                let key = dotted(&dotted("providers", name), "kind");
                let known: Vec<_> = kinds.dict.keys().map(|kind| format!("`{kind}`")).collect();
                let what = format!("is no known kind; known are {}", known.join(", "));
                problems.push(Problem { place: layer.place(&key).cloned(), key, what });
                BASE
            }
            // What is not even a text is reported where the key is read.
            Some((_, None)) => BASE,
            None if kinds.table([name.as_str()]).is_some() => name,
            None => BASE,
        };
        let tenant = given("tenant").and_then(|(_, tenant)| tenant.as_str()).and_then(Tenant::read);
        for (path, (value, place)) in of(kind, name, tenant.as_ref(), &kinds) {
            let path = [&["providers".to_owned(), name.clone()], path.as_slice()].concat();
            layer.insert(&path, value, Place::BuiltIn(place));
        }
    }
    layer
}

/// The kinds' tables. Where they stand is nobody's business: what they say is attributed to the kind.
fn read() -> Result<Layer, Problem> {
    let dict = Toml::from_str(TEXT).map_err(|_| Problem::unforeseen("config/providers.toml"))?;
    let mut layer = Layer::default();
    layer.dict = dict;
    Ok(layer)
}

/// What a provider is told: the path of each key, its value, and why.
type Told = BTreeMap<Vec<String>, (Value, String)>;

/// What a provider of this kind and name is told. Of a table within the kind's, each key counts by itself.
fn of(kind: &str, name: &str, tenant: Option<&Tenant>, kinds: &Layer) -> Told {
    let mut of = Told::from([
        (vec!["kind".to_owned()], (Value::from(kind), "default".to_owned())),
        (vec!["display_name".to_owned()], (Value::from(capitalised(name)), "from its name".to_owned())),
    ]);
    let mut add_kind = |kind: &str, why: &str| {
        for (key, value) in kinds.table([kind]).into_iter().flatten() {
            add(&mut of, vec![key.clone()], value, why);
        }
    };
    add_kind(BASE, "default");
    if kind != BASE {
        add_kind(kind, &format!("kind {kind}"));
    }
    if let Some(Tenant(tenant)) = tenant {
        put_tenant(&mut of, tenant);
    }
    of
}

/// Key by key, so that each has its place.
fn add(of: &mut Told, path: Vec<String>, value: &Value, why: &str) {
    match value {
        Value::Dict(_, inner) => {
            for (name, value) in inner {
                add(of, [path.as_slice(), std::slice::from_ref(name)].concat(), value, why);
            }
        }
        Value::String(..)
        | Value::Char(..)
        | Value::Bool(..)
        | Value::Num(..)
        | Value::Empty(..)
        | Value::Array(..) => {
            of.insert(path, (value.clone(), why.to_owned()));
        }
    }
}

/// What says whose a token is: where there are many tenants, each token's own.
const ISSUERS: [&[&str]; 2] = [&["issuer"], &["bearer", "issuers"]];

fn put_tenant(of: &mut Told, tenant: &str) {
    let path = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let list = of.get(&path(&["shared_tenants"])).and_then(|(value, _)| value.as_array()).unwrap_or_default();
    let is_shared = list.iter().any(|shared| shared.as_str() == Some(tenant));
    if is_shared && let Some((issuer, why)) = of.get(&path(&["issuer"])) {
        if let Some(metadata) = issuer.as_str().map(|issuer| format!("{issuer}/.well-known/openid-configuration")) {
            let told = (Value::from(metadata), why.clone());
            of.insert(path(&["discovery_url"]), told);
        }
        for names in ISSUERS {
            if let Some((value, _)) = of.get_mut(&path(names)) {
                *value = replaced(value, TOKENS_TENANT);
            }
        }
    }
    for (value, _) in of.values_mut() {
        *value = replaced(value, tenant);
    }
}

/// `value`, or each entry of it, with `tenant` in place of `{tenant}`.
fn replaced(value: &Value, tenant: &str) -> Value {
    match value {
        Value::String(_, text) => Value::from(text.replace(TENANT, tenant)),
        Value::Array(_, entries) => {
            Value::from(entries.iter().map(|entry| replaced(entry, tenant)).collect::<Vec<_>>())
        }
        Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) | Value::Dict(..) => value.clone(),
    }
}

/// Whether providers of this kind are divided into tenants.
pub(super) fn has_tenants(kind: &str) -> bool {
    let issuer = read().ok().and_then(|kinds| kinds.table([kind])?.get("issuer")?.as_str().map(str::to_owned));
    issuer.is_some_and(|issuer| issuer.contains(TENANT))
}

/// Why `key` (dotted) of this kind is as it is: the comment above it, on one line. The kind's own table comes first, then that of `oidc`.
pub(super) fn why(kind: &str, key: &str) -> Option<String> {
    let document: DocumentMut = TEXT.parse().ok()?;
    [kind, BASE].into_iter().find_map(|kind| {
        let (tables, last) = match key.rsplit_once('.') {
            Some((tables, last)) => (tables.split('.').collect(), last),
            None => (Vec::new(), key),
        };
        let table = document.get(kind)?.as_table_like()?;
        let table = tables.into_iter().try_fold(table, |table, name| table.get(name)?.as_table_like())?;
        let above = table.key(last)?.leaf_decor().prefix()?.as_str()?;
        // Only what stands directly above: a blank line ends it.
        let lines: Vec<_> = above.lines().rev().take_while(|line| line.starts_with('#')).collect();
        let text: Vec<_> = lines.into_iter().rev().map(|line| line.trim_start_matches('#').trim()).collect();
        (!text.is_empty()).then(|| text.join(" "))
    })
}

/// Every kind there is.
#[cfg(test)]
pub(super) fn names() -> Vec<String> {
    read().ok().unwrap().dict.keys().cloned().collect()
}

/// The keys that a kind's own table has, dotted.
#[cfg(test)]
pub(super) fn keys(kind: &str) -> Vec<String> {
    fn add(table: &Dict, path: &str, keys: &mut Vec<String>) {
        for (name, value) in table {
            match value.as_dict() {
                Some(inner) => add(inner, &dotted(path, name), keys),
                None => keys.push(dotted(path, name)),
            }
        }
    }
    let (kinds, mut keys) = (read().ok().unwrap(), Vec::new());
    add(kinds.table([kind]).unwrap(), "", &mut keys);
    keys
}

fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shape::Shape;

    /// The file as if each kind were a provider of that name.
    fn every_kind() -> Layer {
        let providers = Layer::from_toml(TEXT, |line| Place::File("providers.toml".to_owned(), line)).ok().unwrap();
        let mut layer = Layer::default();
        layer.dict.insert("providers".to_owned(), Value::from(providers.dict));
        layer
    }

    #[test]
    fn every_kind_has_only_keys_that_exist() {
        let mut problems = Vec::new();
        Shape::whole().prune(&mut every_kind(), &mut problems);
        assert_eq!(problems, []);
    }

    #[test]
    fn a_known_name_is_its_own_kind() {
        for (text, kind, display_name, user_claim) in [
            ("[providers.google]", "google", "Google", "email"),
            ("[providers.work]", "oidc", "Work", "sub"),
            ("[providers.work]\nkind = 'google'", "google", "Google", "email"),
            ("[providers.google]\nkind = 'oidc'", "oidc", "Google", "sub"),
        ] {
            let written = Layer::from_toml(text, |line| Place::File("f".to_owned(), line)).ok().unwrap();
            let mut problems = Vec::new();
            let layer = layer(&[&Layer::default(), &written], &mut problems);
            let providers = layer.table(["providers"]).unwrap();
            let provider = providers.values().next().unwrap().as_dict().unwrap();
            let told = ["kind", "display_name", "user_claim"].map(|key| provider[key].as_str().unwrap());
            assert_eq!(told, [kind, display_name, user_claim], "{text}");
            assert_eq!(problems, []);
        }
    }
}
