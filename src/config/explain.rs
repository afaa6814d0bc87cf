//! The effective configuration as TOML, each value with where it came from. Secrets are never in it.

use std::fmt::Write;

use figment::value::{Dict, Num, Value};

use super::{
    layer::Layer,
    leaf::entries,
    shape::{Form, Shape, dotted},
};

/// What stands in place of a secret.
const MASK: &str = "[secret]";

/// `dict` as TOML.
pub(super) fn effective(dict: &Dict, shape: &Shape, layers: &[Layer]) -> String {
    let mut out = String::new();
    table(&mut out, dict, shape, "", "", layers);
    out
}

/// Values before tables, as TOML asks for. `header` is what TOML calls the table, `path` what we call it: entries of lists
/// have a number there.
fn table(out: &mut String, dict: &Dict, shape: &Shape, header: &str, path: &str, layers: &[Layer]) {
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
                    table(
                        out,
                        entry.as_dict().unwrap_or(&Dict::new()),
                        shape,
                        &header,
                        &format!("{path}[{number}]"),
                        layers,
                    );
                }
            }
            (_, value) => {
                let dict = value.as_dict().cloned().unwrap_or_default();
                // A table that only holds tables needs no line of its own.
                if dict.values().any(|value| value.as_dict().is_none()) {
                    let _ = writeln!(out, "\n[{header}]");
                }
                table(out, &dict, shape, &header, &path, layers);
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
        (Value::String(_, text), Form::Text) => quoted(text),
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
