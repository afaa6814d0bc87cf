//! Which variable means which key: `DOORWARD_SESSION__MAX_AGE` is `session.max_age`.
//!
//! Every value is a text; what it means is decided where the key is known. A variable that means nothing is a problem,
//! because a protection whose name was misspelt is not there. No message repeats a value: any may be a secret.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use figment::value::Value;

use super::{
    layer::Layer,
    problems::{Place, Problem},
    shape::{Shape, dotted, nearest},
};

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "DOORWARD_";

/// The variable that names the configuration file.
pub(super) const CONFIG: &str = "DOORWARD_CONFIG";

/// What the environment says. `file` knows names (of providers, of claims) as they are really spelt.
pub(super) fn layer(
    environment: &BTreeMap<OsString, OsString>,
    whole: &Shape,
    file: &Layer,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::default();
    for (variable, value) in environment {
        let variable = variable.to_string_lossy();
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        if variable == CONFIG || is_service_link(rest, value) {
            continue;
        }
        let place = Place::Variable(variable.clone().into_owned());
        let inserted = Names { whole, file }.path(rest).and_then(|path| {
            let value = value.to_str().ok_or("is not UTF-8")?;
            let key = path.iter().fold(String::new(), |path, name| dotted(&path, name));
            match layer.place(&key) {
                Some(other) => Err(format!("means the same key as {other}; unset one of them")),
                None => Ok(layer.insert(&path, Value::from(value), place.clone())),
            }
        });
        if let Err(what) = inserted {
            problems.push(Problem { place: Some(place), key: String::new(), what });
        }
    }
    layer
}

/// The variable for `key`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").replace('-', "_").to_uppercase())
}

/// The tables whose names are headers.
const NAMES_OF_HEADERS: [&[&str]; 3] = [&["headers", "claims"], &["headers", "formats"], &["secret_headers"]];

struct Names<'a> {
    whole: &'a Shape,
    file: &'a Layer,
}

impl Names<'_> {
    /// The key that `DOORWARD_` and `rest` mean.
    fn path(&self, rest: &str) -> Result<Vec<String>, String> {
        let mut path: Vec<String> = Vec::new();
        let mut shape = self.whole;
        for segment in rest.split("__").map(str::to_lowercase) {
            match shape {
                Shape::Table(table) => match table.get(&segment) {
                    Some(inner) => {
                        path.push(segment);
                        shape = inner;
                    }
                    None => return Err(self.unknown(rest, &path, &segment, table)),
                },
                Shape::Names(_) if segment.is_empty() => return Err("lacks a name between its `__`".to_owned()),
                Shape::Names(inner) => {
                    path.push(self.spelt(&path, &segment));
                    shape = inner;
                }
                Shape::Leaf { .. } => return Err(format!("goes too far: `{}` is a single value", path.join("."))),
                Shape::List(_) => break,
            }
        }
        match shape {
            Shape::Leaf { .. } => Ok(path),
            Shape::List(_) => Err(format!(
                "cannot be a variable: `{}` is a list of tables, which only a file can hold",
                path.join(".")
            )),
            Shape::Table(table) => {
                let keys: Vec<_> =
                    table.keys().map(|key| format!("`{PREFIX}{rest}__{}`", key.to_uppercase())).collect();
                Err(format!("is a table; its keys are {}", keys.join(", ")))
            }
            Shape::Names(_) => Err(format!("is a table of names; write `{PREFIX}{rest}__NAME`")),
        }
    }

    /// `name` as the file spells it, where it differs in case and `-` only; variables can have neither.
    fn spelt(&self, path: &[String], name: &str) -> String {
        let plain = |name: &str| name.to_lowercase().replace('-', "_");
        let known = self.file.table(path.iter().map(String::as_str));
        let known = known.and_then(|table| table.keys().find(|known| plain(known) == plain(name)));
        match known {
            Some(known) => known.clone(),
            // A header with `_` is not what anybody means, and much software drops it.
            None if NAMES_OF_HEADERS.iter().any(|table| path == *table) => name.replace('_', "-"),
            None => name.to_owned(),
        }
    }

    fn unknown(&self, rest: &str, path: &[String], segment: &str, siblings: &BTreeMap<String, Shape>) -> String {
        // The usual mistake is one underscore where two belong.
        let words: Vec<_> = rest.split('_').filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        let meant = regrouped(self.whole, &words)
            .map(|path| path.join("."))
            .unwrap_or_else(|| nearest(segment, &path.join("."), siblings.keys(), &self.whole.keys()));
        format!("means nothing; the nearest known variable is `{}`", variable(&meant))
    }
}

/// The key whose parts, written with single underscores, are `words`.
fn regrouped(shape: &Shape, words: &[String]) -> Option<Vec<String>> {
    let below = |name: &str, shape: &Shape, rest: &[String]| {
        let mut path = regrouped(shape, rest)?;
        path.insert(0, name.to_owned());
        Some(path)
    };
    match shape {
        Shape::Table(table) => table.iter().find_map(|(key, shape)| {
            let parts: Vec<_> = key.split('_').map(str::to_owned).collect();
            below(key, shape, words.strip_prefix(parts.as_slice())?)
        }),
        Shape::Names(shape) => (1..=words.len()).find_map(|length| {
            let (name, rest) = words.split_at_checked(length)?;
            below(&name.join("_"), shape, rest)
        }),
        Shape::List(_) => None,
        Shape::Leaf { .. } => words.is_empty().then(Vec::new),
    }
}

/// Whether Kubernetes (or `docker --link`) put the variable there because a service is called `doorward`: `DOORWARD_SERVICE_HOST`,
/// `DOORWARD_PORT_4180_TCP_ADDR` and so on. A gateway must not stop because of its own service's name.
fn is_service_link(rest: &str, value: &OsStr) -> bool {
    let words: Vec<&str> = rest.split('_').collect();
    let ends_with = |end: &[&str]| words.ends_with(end);
    let has_port = words.windows(3).any(|three| match three {
        ["PORT", number, "TCP" | "UDP" | "SCTP"] => number.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    });
    let is_address = value.to_str().is_some_and(|value| value.contains("://"));
    ends_with(&["SERVICE", "HOST"])
        || words.windows(2).any(|two| two == ["SERVICE", "PORT"])
        || has_port
        || (ends_with(&["PORT"]) && is_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(rest: &str) -> Result<Vec<String>, String> {
        let file = "[providers.Big-Corp]\n[headers.claims]\nX_Odd = 'odd'\n[allow.claims]\nurn-Roles = ['a']\n";
        let file = Layer::from_toml(file, |line| Place::File("f".to_owned(), line)).ok().unwrap();
        Names { whole: &Shape::whole(), file: &file }.path(rest)
    }

    #[test]
    fn two_underscores_go_one_level_down() {
        for (rest, key) in [
            ("PUBLIC_URL", "public_url"),
            ("SESSION__MAX_AGE", "session.max_age"),
            ("session__max_age", "session.max_age"),
            ("PROVIDERS__GOOGLE__CLIENT_ID", "providers.google.client_id"),
            ("PROVIDERS__MY_IDP__CLIENT_ID", "providers.my_idp.client_id"),
            ("PROVIDERS__BIG_CORP__CLIENT_ID", "providers.Big-Corp.client_id"),
            ("PROVIDERS__GOOGLE__AUTHORIZATION_PARAMETERS__PROMPT", "providers.google.authorization_parameters.prompt"),
            ("HEADERS__CLAIMS__X_EMAIL", "headers.claims.x-email"),
            ("HEADERS__FORMATS__X_GROUPS__LIST", "headers.formats.x-groups.list"),
            ("SECRET_HEADERS__X_PROXY_SECRET__VALUE_FILE", "secret_headers.x-proxy-secret.value_file"),
            ("HEADERS__CLAIMS__X_ODD", "headers.claims.X_Odd"),
            ("ALLOW__CLAIMS__GROUPS", "allow.claims.groups"),
            ("ALLOW__CLAIMS__URN_ROLES", "allow.claims.urn-Roles"),
        ] {
            assert_eq!(path(rest).map(|path| path.join(".")), Ok(key.to_owned()), "{rest}");
        }
    }

    #[test]
    fn a_variable_that_means_nothing_names_one_that_does() {
        for (rest, answer) in [
            ("", "nearest known variable is `DOORWARD_"),
            ("PUBLIC_URI", "`DOORWARD_PUBLIC_URL`"),
            ("SESSION_MAX_AGE", "`DOORWARD_SESSION__MAX_AGE`"),
            ("SESSION__MAXAGE", "`DOORWARD_SESSION__MAX_AGE`"),
            ("MAX_AGE", "`DOORWARD_SESSION__MAX_AGE`"),
            ("PROVIDERS_MY_IDP_CLIENT_SECRET_FILE", "`DOORWARD_PROVIDERS__MY_IDP__CLIENT_SECRET_FILE`"),
            ("PROVIDERS__GOOGLE__CLIENTID", "`DOORWARD_PROVIDERS__GOOGLE__CLIENT_ID`"),
            ("PROVIDERS____CLIENT_ID", "lacks a name"),
            ("PROVIDERS", "`DOORWARD_PROVIDERS__NAME`"),
            ("PROVIDERS__GOOGLE", "`DOORWARD_PROVIDERS__GOOGLE__CLIENT_ID`"),
            ("SESSION", "`DOORWARD_SESSION__KEY`"),
            ("LISTEN__HOST", "`listen` is a single value"),
            ("ROUTES", "only a file can hold"),
            ("ROUTES__0__PATH", "only a file can hold"),
        ] {
            let said = path(rest).unwrap_err();
            assert!(said.contains(answer), "{rest}: {said}");
        }
    }

    #[test]
    fn a_service_of_our_name_is_no_mistake() {
        for (rest, value, is_link) in [
            ("SERVICE_HOST", "10.0.0.1", true),
            ("SERVICE_PORT", "80", true),
            ("SERVICE_PORT_HTTP", "80", true),
            ("PORT", "tcp://10.0.0.1:80", true),
            ("PORT_80_TCP", "tcp://10.0.0.1:80", true),
            ("PORT_80_TCP_ADDR", "10.0.0.1", true),
            ("ADMIN_SERVICE_HOST", "10.0.0.1", true),
            ("ADMIN_PORT", "tcp://10.0.0.1:80", true),
            ("PORT", "4180", false),
            ("PUBLIC_URL", "https://app.example.com", false),
            ("UPSTREAM", "http://127.0.0.1:8080", false),
        ] {
            assert_eq!(is_service_link(rest, value.as_ref()), is_link, "{rest}={value}");
        }
    }
}
