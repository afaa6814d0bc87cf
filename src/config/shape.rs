//! Which keys there are: the JSON Schema of what may be written, and the same as a tree to look names up in.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use super::{layer::Layer, problems::Problem, raw::Raw};

/// The JSON Schema of a configuration file.
pub(super) fn schema() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Raw>().to_value()
}

/// What stands at a key.
#[derive(Debug)]
pub(super) enum Shape {
    /// A table with these keys.
    Table(BTreeMap<String, Shape>),
    /// A table whose keys are names that the operator chooses.
    Names(Box<Shape>),
    /// A list of tables.
    List(Box<Shape>),
    /// A value.
    Leaf {
        /// How it is printed.
        form: Form,
        /// Whether it must never be printed.
        is_secret: bool,
    },
}

/// How a value is written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In quotes.
    Text,
    /// Bare: a number or a boolean.
    Bare,
    /// In brackets.
    List,
}

impl Shape {
    /// The whole configuration's.
    pub(super) fn whole() -> Self {
        Self::read(&schema())
    }

    fn read(schema: &Json) -> Self {
        if let Some(keys) = schema.get("properties").and_then(Json::as_object) {
            return Self::Table(keys.iter().map(|(key, schema)| (key.clone(), Self::read(schema))).collect());
        }
        if let Some(names) = schema.get("additionalProperties").filter(|names| names.is_object()) {
            return Self::Names(Box::new(Self::read(names)));
        }
        let is = |schema: &Json, name: &str| schema.get("type").and_then(Json::as_str) == Some(name);
        let is_secret = |schema: &Json| schema.get("writeOnly") == Some(&Json::Bool(true));
        match schema.get("items") {
            Some(entries) if is(entries, "object") => Self::List(Box::new(Self::read(entries))),
            Some(entries) => Self::Leaf { form: Form::List, is_secret: is_secret(entries) },
            None => {
                let bare = is(schema, "integer") || is(schema, "boolean");
                Self::Leaf { form: if bare { Form::Bare } else { Form::Text }, is_secret: is_secret(schema) }
            }
        }
    }

    /// Every key there is, dotted, `NAME` for a name of the operator's choice and `[]` for an entry of a list.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        self.add_keys("", &mut keys);
        keys
    }

    fn add_keys(&self, path: &str, keys: &mut Vec<String>) {
        match self {
            Self::Table(table) => table.iter().for_each(|(key, shape)| shape.add_keys(&dotted(path, key), keys)),
            Self::Names(shape) => shape.add_keys(&dotted(path, "NAME"), keys),
            Self::List(shape) => shape.add_keys(&format!("{path}[]"), keys),
            Self::Leaf { .. } => keys.push(path.to_owned()),
        }
    }

    /// Takes out of `layer` what has no meaning, and says so: keys that do not exist, and values where tables belong.
    pub(super) fn prune(&self, layer: &mut Layer, problems: &mut Vec<Problem>) {
        let whole = self.keys();
        let mut found = Vec::new();
        if let Self::Table(table) = self {
            prune_table(table, &mut layer.dict, "", &whole, &mut found);
        }
        problems.extend(found.into_iter().map(|(key, what)| Problem {
            place: layer.place_near(&key).cloned(),
            key,
            what,
        }));
    }
}

fn prune_table(
    table: &BTreeMap<String, Shape>,
    dict: &mut Dict,
    path: &str,
    whole: &[String],
    found: &mut Vec<(String, String)>,
) {
    dict.retain(|name, value| {
        let key = dotted(path, name);
        if let Some(shape) = table.get(name) {
            return prune_value(shape, value, &key, whole, found);
        }
        let nearest = nearest(name, path, table.keys(), whole);
        found.push((key, format!("is no key; the nearest known key is `{nearest}`")));
        false
    });
}

fn prune_value(
    shape: &Shape,
    value: &mut Value,
    key: &str,
    whole: &[String],
    found: &mut Vec<(String, String)>,
) -> bool {
    let mut wrong = |what: &str| {
        found.push((key.to_owned(), what.to_owned()));
        false
    };
    match (shape, value) {
        (Shape::Leaf { .. }, Value::Dict(..)) => wrong("is a table; a single value is expected"),
        (Shape::Leaf { .. }, _) => true,
        (Shape::Table(table), Value::Dict(_, dict)) => {
            prune_table(table, dict, key, whole, found);
            true
        }
        (Shape::Names(shape), Value::Dict(_, dict)) => {
            dict.retain(|name, value| prune_value(shape, value, &dotted(key, name), whole, found));
            true
        }
        (Shape::Table(_) | Shape::Names(_), _) => wrong(&format!("is a single value; a table (`[{key}]`) is expected")),
        (Shape::List(shape), Value::Array(_, entries)) if entries.iter().all(|entry| entry.as_dict().is_some()) => {
            for (number, entry) in entries.iter_mut().enumerate() {
                prune_value(shape, entry, &format!("{key}[{number}]"), whole, found);
            }
            true
        }
        (Shape::List(_), _) => wrong(&format!("is no list; a list of tables (`[[{key}]]`) is expected")),
    }
}

/// The known key that somebody who wrote `name` in the table `path` may have meant: one of its `siblings`, or one of the `whole`
/// configuration that is written in another table.
pub(super) fn nearest<'a>(
    name: &str,
    path: &str,
    siblings: impl Iterator<Item = &'a String>,
    whole: &[String],
) -> String {
    let distance = |key: &str| strsim::damerau_levenshtein(&name.to_lowercase(), key.rsplit('.').next().unwrap_or(key));
    // A neighbour is as good as a key elsewhere that is two letters nearer; one in a table with a name of its own, three.
    let siblings = siblings.map(|sibling| (distance(sibling), dotted(path, sibling)));
    let elsewhere = whole.iter().filter(|key| !key.ends_with("NAME"));
    let elsewhere = elsewhere.map(|key| (distance(key) + 2 + usize::from(key.contains("NAME")), key.clone()));
    siblings.chain(elsewhere).min().map(|(_, key)| key).unwrap_or_default()
}

/// `name` below `path`, as TOML writes it.
pub(super) fn dotted(path: &str, name: &str) -> String {
    let name = toml_edit::Key::new(name).display_repr().into_owned();
    if path.is_empty() { name } else { format!("{path}.{name}") }
}
