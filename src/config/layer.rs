//! What one source says: the defaults, a file, the environment, the command line. Each knows where it says it.

use std::collections::BTreeMap;

use figment::{
    Error, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Tag, Value},
};
use toml_edit::{ImDocument, Item, Table, TableLike};

use super::{
    problems::{Place, Problem},
    shape::dotted,
};

/// One source's keys. A later layer wins, key by key; a list is replaced as a whole.
#[derive(Default)]
pub(super) struct Layer {
    /// What it says.
    pub(super) dict: Dict,
    /// Where it says it, by dotted key; files also say where their tables begin.
    places: BTreeMap<String, Place>,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        // Figment's own messages are not shown: they repeat values.
        Metadata::named("configuration")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}

impl Layer {
    /// Reads TOML; `place` turns a line's number into a place.
    pub(super) fn from_toml(text: &str, place: impl Fn(usize) -> Place) -> Result<Self, Problem> {
        // The message goes without the line it is about, which may hold a secret.
        let broken = |span: Option<std::ops::Range<usize>>, message: &str| Problem {
            place: Some(place(span.map_or(1, |span| line_at(text, span.start)))),
            key: String::new(),
            what: format!("this is not TOML: {}", message.trim_end().replace('\n', ", ")),
        };
        let document = ImDocument::parse(text).map_err(|error| broken(error.span(), error.message()))?;
        let dict = Toml::from_str(text).map_err(|_| broken(None, "its values cannot be read"))?;
        let mut layer = Self { dict, places: BTreeMap::new() };
        layer.add_lines(document.as_table(), "", &|offset| place(line_at(text, offset)));
        Ok(layer)
    }

    fn add_lines(&mut self, table: &dyn TableLike, path: &str, place: &dyn Fn(usize) -> Place) {
        for (name, item) in table.iter() {
            let key = dotted(path, name);
            let written = table.get_key_value(name).and_then(|(key, _)| key.span());
            if let Some(span) = written.or_else(|| item.span()) {
                self.places.insert(key.clone(), place(span.start));
            }
            if let Some(inner) = item.as_table_like() {
                self.add_lines(inner, &key, place);
            }
            let entries: Vec<&dyn TableLike> = match item {
                Item::ArrayOfTables(tables) => tables.iter().map(|table: &Table| table as &dyn TableLike).collect(),
                Item::Value(value) => {
                    let entries = value.as_array().into_iter().flatten();
                    entries.filter_map(|entry| entry.as_inline_table()).map(|table| table as &dyn TableLike).collect()
                }
                Item::None | Item::Table(_) => Vec::new(),
            };
            for (number, entry) in entries.into_iter().enumerate() {
                let key = format!("{key}[{number}]");
                // An entry begins where its first key stands; an empty one, where the list does.
                let first = entry.iter().next().and_then(|(name, _)| entry.get_key_value(name));
                if let Some(span) = first.and_then(|(key, _)| key.span()) {
                    self.places.insert(key.clone(), place(span.start));
                }
                self.add_lines(entry, &key, place);
            }
        }
    }

    /// Adds a key that is not there yet; false when it, or a part of its path, already has a value.
    pub(super) fn insert(&mut self, path: &[String], value: Value, place: Place) -> bool {
        let Some((last, tables)) = path.split_last() else { return false };
        let mut dict = &mut self.dict;
        for table in tables {
            let inner = dict.entry(table.clone()).or_insert_with(|| Value::Dict(Tag::Default, Dict::new()));
            let Value::Dict(_, inner) = inner else { return false };
            dict = inner;
        }
        if dict.contains_key(last) {
            return false;
        }
        dict.insert(last.clone(), value);
        self.places.insert(path.iter().fold(String::new(), |path, name| dotted(&path, name)), place);
        true
    }

    /// Where `key` was written here.
    pub(super) fn place(&self, key: &str) -> Option<&Place> {
        self.places.get(key)
    }

    /// Where `key` was written here, or the table around it.
    pub(super) fn place_near(&self, key: &str) -> Option<&Place> {
        let mut key = key;
        loop {
            if let Some(place) = self.places.get(key) {
                return Some(place);
            }
            key = key.get(..key.rfind(['.', '['])?)?;
        }
    }

    /// Where something in the table `key` was written here by the operator.
    pub(super) fn place_within(&self, key: &str) -> Option<&Place> {
        let within = |(other, place): &(&String, &Place)| {
            other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')) && !matches!(place, Place::BuiltIn(_))
        };
        self.places.iter().find(within).map(|(_, place)| place)
    }

    /// The table at `path`.
    pub(super) fn table<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Dict> {
        path.into_iter().try_fold(&self.dict, |dict, name| match dict.get(name)? {
            Value::Dict(_, dict) => Some(dict),
            Value::String(..)
            | Value::Char(..)
            | Value::Bool(..)
            | Value::Num(..)
            | Value::Empty(..)
            | Value::Array(..) => None,
        })
    }
}

/// The line that `offset` lies in, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}
