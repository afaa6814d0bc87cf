//! The effective configuration as TOML, each value with where it came from. Secrets are never in it.

use std::{collections::BTreeSet, fmt::Write};

use figment::value::{Dict, Num, Value};

use super::{
    kinds,
    layer::Layer,
    leaf::{entries, shown},
    problems::Place,
    shape::{Form, Shape, dotted},
    store::without_password,
};
use crate::{identity::Needed, policy::EMAIL_DOMAIN, providers};

/// What stands in place of a secret.
const MASK: &str = "[secret]";

/// `dict` as TOML.
pub(super) fn effective(dict: &Dict, shape: &Shape, layers: &[Layer]) -> String {
    let mut out = String::new();
    table(&mut out, dict, shape, ("", ""), layers, &|_| None);
    out
}

/// The provider `name` as TOML; above each value that follows from its kind, why the kind has it so. `None` when there is no such provider.
pub(super) fn provider(name: &str, dict: &Dict, shape: &Shape, layers: &[Layer]) -> Option<String> {
    let inner = dict.get("providers")?.as_dict()?.get(name)?.as_dict()?;
    let (Shape::Table(whole), path) = (shape, dotted("providers", name)) else { return None };
    let Shape::Names(shape) = whole.get("providers")? else { return None };
    let kind = inner.get("kind").and_then(Value::as_str).unwrap_or_default();
    let why = |key: &str| kinds::why(kind, key.strip_prefix(&path)?.strip_prefix('.')?);
    let mut out = format!("[{path}]\n");
    table(&mut out, inner, shape, (&path, &path), layers, &why);
    Some(out)
}

/// What sessions keep of the claims of `provider`, as a sentence.
pub(super) fn kept(provider: &providers::Settings) -> String {
    let origin = |claim: &str| match claim {
        EMAIL_DOMAIN => " (of a verified address)".to_owned(),
        "email" if &*provider.email.claim != claim => format!(" (there called {})", shown(&provider.email.claim)),
        "groups" if &*provider.groups.claim != claim => format!(" (there called {})", shown(&provider.groups.claim)),
        _ => String::new(),
    };
    let kept: Vec<_> = provider
        .needed_claims
        .0
        .iter()
        .map(|(claim, needed)| match needed {
            Needed::Whole => format!("{}{}", shown(claim), origin(claim)),
            Needed::Values(values) => format!("of {}{} only {}", shown(claim), origin(claim), some_of(values)),
        })
        .collect();
    let kept = if kept.is_empty() { "none of its claims".to_owned() } else { kept.join("; ") };
    format!("provider {}: a session keeps {kept}", provider.name)
}

/// `values`, of many only the first.
fn some_of(values: &BTreeSet<Box<str>>) -> String {
    const SHOWN: usize = 10;
    let rest = values.len().saturating_sub(SHOWN);
    let mut texts: Vec<_> = values.iter().take(SHOWN).map(|value| shown(value)).collect();
    if rest > 0 {
        texts.push(format!("{rest} more"));
    }
    texts.join(", ")
}

/// Values before tables, as TOML asks for. Of `names` the first is what TOML calls the table, the other what we call it: entries of lists
/// have a number there. `why` is what is said above a value that the operator did not write.
fn table(
    out: &mut String,
    dict: &Dict,
    shape: &Shape,
    (header, path): (&str, &str),
    layers: &[Layer],
    why: &dyn Fn(&str) -> Option<String>,
) {
    let shape_of = |name: &str| match shape {
        Shape::Table(table) => table.get(name),
        Shape::Names(shape) => Some(&**shape),
        Shape::List(_) | Shape::Leaf { .. } => None,
    };
    let known = || dict.iter().filter_map(|(name, value)| Some((name, value, shape_of(name)?)));
    for (name, value, shape) in known() {
        if let Shape::Leaf { form, is_secret } = shape {
            let key = dotted(path, name);
            let place = layers.iter().rev().find_map(|layer| layer.place(&key));
            let value = if *is_secret { quoted(MASK) } else { printed(value, *form) };
            let origin = place.map(|place| format!("  # {}", place.to_string().escape_debug())).unwrap_or_default();
            if let Some(why) = place.filter(|place| matches!(place, Place::BuiltIn(_))).and_then(|_| why(&key)) {
                let _ = writeln!(out, "# {why}");
            }
            let _ = writeln!(out, "{} = {value}{origin}", dotted("", name));
        }
    }
    for (name, value, shape) in known() {
        let (header, path) = (dotted(header, name), dotted(path, name));
        match (shape, value) {
            (Shape::Leaf { .. }, _) => {}
            (Shape::List(shape), Value::Array(_, entries)) => {
                for (number, entry) in entries.iter().enumerate() {
                    let _ = writeln!(out, "\n[[{header}]]");
                    let path = format!("{path}[{number}]");
                    table(out, entry.as_dict().unwrap_or(&Dict::new()), shape, (&header, &path), layers, why);
                }
            }
            (_, value) => {
                let dict = value.as_dict().cloned().unwrap_or_default();
                // A table that only holds tables needs no line of its own.
                if dict.values().any(|value| value.as_dict().is_none()) {
                    let _ = writeln!(out, "\n[{header}]");
                }
                table(out, &dict, shape, (&header, &path), layers, why);
            }
        }
    }
}

/// `value` in the form its key has, also when a variable wrote it as a text.
fn printed(value: &Value, form: Form) -> String {
    match (value, form) {
        (Value::String(_, text), Form::List) => {
            format!("[{}]", entries(text).map(quoted).collect::<Vec<_>>().join(", "))
        }
        (Value::String(_, text), Form::Bare) => text.clone(),
        (Value::String(_, text), Form::Text) => quoted(&without_password(text, MASK)),
        (Value::Char(_, c), _) => quoted(&c.to_string()),
        (Value::Bool(_, is), _) => is.to_string(),
        (Value::Num(_, number), _) => number.to_i128().map_or_else(|| number_text(number), |number| number.to_string()),
        (Value::Array(_, values), _) => {
            format!("[{}]", values.iter().map(|value| printed(value, Form::Text)).collect::<Vec<_>>().join(", "))
        }
        // No key has such a value.
        (Value::Empty(..) | Value::Dict(..), _) => quoted(""),
    }
}

fn number_text(number: &Num) -> String {
    number.to_f64().map(|number| number.to_string()).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}
