//! Headers as applications know them from elsewhere: `config/presets.toml`, as a layer below what the operator wrote.

use figment::value::{Dict, Value};
use http::HeaderName;

use super::{
    layer::Layer,
    leaf::{Leaf, one_of, one_of_schema},
    problems::{Place, Problem},
    values::as_read_upstream,
};

const TEXT: &str = include_str!("../../config/presets.toml");

const KEY: [&str; 2] = ["headers", "preset"];

/// A set of headers by its name. What follows from it is in [`layer`].
#[derive(Clone, Copy)]
pub(super) struct Preset;

const PRESETS: [(&str, Preset); 4] =
    [("doorward", Preset), ("oauth2-proxy", Preset), ("remote-user", Preset), ("webauth", Preset)];

impl Leaf for Preset {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &PRESETS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&PRESETS)
    }
}

/// What follows from the preset that `written` (the later wins) names. A header that they speak of themselves, however they spell it, is
/// theirs.
pub(super) fn layer(written: &[&Layer], problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    let presets = match Layer::from_toml(TEXT, |_| Place::BuiltIn("presets.toml".to_owned())) {
        Ok(presets) => presets,
        Err(problem) => {
            problems.push(problem);
            return layer;
        }
    };
    let [table, key] = KEY;
    let named = written.iter().rev().find_map(|layer| layer.table([table])?.get(key));
    // One that is none is reported where the key is read.
    let Some((name, preset)) = named.and_then(Value::as_str).and_then(|name| Some((name, presets.table([name])?)))
    else {
        return layer;
    };
    let mut add = |path: &[&str], value: &Value| {
        let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        layer.insert(&path, value.clone(), Place::BuiltIn(format!("preset {name}")));
    };
    if let Some(user) = preset.get("user") {
        add(&["headers", "user"], user);
    }
    let claims = written.iter().filter_map(|layer| layer.table(["headers", "claims"])).flat_map(Dict::keys);
    let users = written.iter().filter_map(|layer| layer.table(["headers"])?.get("user")?.as_str());
    let theirs: Vec<String> = claims.map(String::as_str).chain(users).filter_map(as_read).collect();
    for (header, claim) in preset.get("claims").and_then(Value::as_dict).into_iter().flatten() {
        if as_read(header).is_none_or(|header| !theirs.contains(&header)) {
            add(&["headers", "claims", header], claim);
        }
    }
    layer
}

fn as_read(name: &str) -> Option<String> {
    HeaderName::from_bytes(name.as_bytes()).ok().map(|name| as_read_upstream(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shape::Shape;

    #[test]
    fn every_preset_has_a_name_and_only_keys_that_exist() {
        let presets = Layer::from_toml(TEXT, |_| Place::BuiltIn(String::new())).ok().unwrap();
        let mut names: Vec<_> = presets.dict.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, PRESETS.map(|(name, _)| name));
        for (name, preset) in presets.dict {
            let mut layer = Layer::default();
            layer.dict.insert("headers".to_owned(), preset);
            let mut problems = Vec::new();
            Shape::whole().prune(&mut layer, &mut problems);
            assert_eq!(problems, [], "{name}");
            let keys = layer.table(["headers"]).unwrap().keys().all(|key| matches!(key.as_str(), "user" | "claims"));
            assert!(keys, "{name} has a key that `layer` does not add");
        }
    }
}
