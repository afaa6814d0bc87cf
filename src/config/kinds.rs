//! What is known about each kind of provider: `config/providers.toml`, as a layer below what the operator wrote.
//!
//! Differences between providers are data. Every kind builds on `oidc`; a key that a kind does not name is `oidc`'s.

use std::collections::{BTreeMap, BTreeSet};

use figment::value::{Dict, Value};

use super::{
    layer::Layer,
    problems::{Place, Problem},
    shape::dotted,
};

const TEXT: &str = include_str!("../../config/providers.toml");

/// The kind that all others build on, and what a provider is whose name is no kind.
const BASE: &str = "oidc";

/// What follows from the kinds of the providers that `written` (the later wins) speaks of.
pub(super) fn layer(written: &[&Layer], problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    let kinds = match Layer::from_toml(TEXT, |_| Place::BuiltIn("providers.toml".to_owned())) {
        Ok(kinds) => kinds,
        Err(problem) => {
            problems.push(problem);
            return layer;
        }
    };
    for name in
        written.iter().filter_map(|layer| layer.table(["providers"])).flat_map(Dict::keys).collect::<BTreeSet<_>>()
    {
        let given =
            written.iter().rev().find_map(|layer| Some((layer, layer.table(["providers", name])?.get("kind")?)));
        let kind = match given.map(|(layer, kind)| (layer, kind.as_str())) {
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
        for (key, (value, place)) in of(kind, name, &kinds) {
            layer.insert(&["providers".to_owned(), name.clone(), key], value, Place::BuiltIn(place));
        }
    }
    layer
}

/// What a provider of this kind and name is told, and why.
fn of(kind: &str, name: &str, kinds: &Layer) -> BTreeMap<String, (Value, String)> {
    let mut of = BTreeMap::from([
        ("kind".to_owned(), (Value::from(kind), "default".to_owned())),
        ("display_name".to_owned(), (Value::from(capitalised(name)), "from its name".to_owned())),
    ]);
    let mut add = |kind: &str, why: String| {
        let table = kinds.table([kind]).into_iter().flatten();
        of.extend(table.map(|(key, value)| (key.clone(), (value.clone(), why.clone()))));
    };
    add(BASE, "default".to_owned());
    if kind != BASE {
        add(kind, format!("kind {kind}"));
    }
    of
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
