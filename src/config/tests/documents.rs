//! The files that ship: defaults, examples and documentation say the same as the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{Case, KEY, OTHER_KEY};
use crate::config::{schema, shape::Shape};

const DEFAULTS: &str = include_str!("../../../config/defaults.toml");
const MANUAL: &str = include_str!("../../../docs/configuration.md");

/// The keys of `table`, in the words of [`Shape::keys`].
fn keys_of(table: &dyn toml_edit::TableLike, path: &str, keys: &mut BTreeSet<String>) {
    for (name, item) in table.iter() {
        let key = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Some(tables) = item.as_array_of_tables() {
            tables.iter().for_each(|table| keys_of(table, &format!("{key}[]"), keys));
        } else if let Some(table) = item.as_table_like() {
            keys_of(table, &key, keys);
        } else {
            keys.insert(key);
        }
    }
}

/// `defaults.toml` with its examples switched on.
fn with_examples() -> String {
    let line = |line: &'static str| {
        line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or(line)
    };
    DEFAULTS.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_key_stands_in_the_defaults_with_its_comment() {
    let text = with_examples();
    let document: toml_edit::ImDocument<_> = toml_edit::ImDocument::parse(text.as_str()).unwrap();
    let mut written = BTreeSet::new();
    keys_of(document.as_table(), "", &mut written);
    assert_eq!(written, Shape::whole().keys().into_iter().collect());
    let lines: Vec<_> = text.lines().collect();
    for pair in lines.windows(2) {
        let (before, line) = (pair[0], pair[1]);
        let is_key = !line.starts_with(['#', '[']) && line.contains(" = ");
        let commented = before.starts_with("# ") || before.starts_with('[');
        assert!(!is_key || commented, "{line} has no comment");
    }
}

/// The rows of the manual's tables: key and default.
fn manual() -> BTreeMap<String, String> {
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(key, rest)| (key.to_owned(), rest.split(" | ").next().unwrap().to_owned())).collect()
}

#[test]
fn every_key_stands_in_the_manual_with_its_default() {
    let manual = manual();
    assert_eq!(manual.keys().cloned().collect::<BTreeSet<_>>(), Shape::whole().keys().into_iter().collect());
    let document = toml_edit::ImDocument::parse(DEFAULTS).unwrap();
    let base = toml_edit::ImDocument::parse(include_str!("../../../config/providers.toml")).unwrap();
    for (key, said) in manual {
        let (root, path) = match key.strip_prefix("providers.NAME.") {
            Some(key) => (base.as_table(), format!("oidc.{key}")),
            None => (document.as_table(), key.clone()),
        };
        let default =
            path.split('.').try_fold(root.clone().into(), |item: toml_edit::Item, name| item.get(name).cloned());
        match default.filter(|item| item.is_value()) {
            Some(default) => {
                let default = default.as_str().map_or_else(|| default.to_string().trim().to_owned(), str::to_owned);
                assert_eq!(said, format!("`{default}`"), "{key}");
            }
            None => assert!(
                !said.starts_with('`') || key.ends_with("].path") || key.ends_with("].anonymous"),
                "{key}: {said}"
            ),
        }
    }
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn described(schema: &serde_json::Value, path: &str) {
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            assert!(schema["description"].as_str().is_some_and(|text| text.ends_with('.')), "{path}");
            for inner in [schema, &schema["additionalProperties"], &schema["items"]] {
                described(inner, &path);
            }
        }
    }
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    described(&schema, "");
}

#[test]
fn every_example_loads() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // What it names lies in a directory of the test's.
        let text = text.replace("/run/secrets/", "DIR/").replace("/etc/doorward/", "DIR/");
        let case = Case::empty()
            .with("session-key", KEY)
            .with("previous-session-keys", OTHER_KEY)
            .with("google", "client secret")
            .with("keycloak", "client secret")
            .with("partners", "client secret")
            .with("client-secret", "client secret")
            .with("proxy-secret", "shared secret")
            .with("store-password", "password")
            .with("partner-ca.pem", &certificate.cert.pem())
            .with("store-ca.pem", &certificate.cert.pem())
            .with("tls.crt", &certificate.cert.pem())
            .with("tls.key", &certificate.signing_key.serialize_pem())
            .file(&text);
        let loaded = case.load().unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
        assert_eq!(loaded.warnings, [] as [String; 0], "{}", path.display());
        names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(
        names,
        ["behind-a-load-balancer", "minimal", "programs", "routes", "scaled-out", "several-providers", "sidecar",]
    );
}
