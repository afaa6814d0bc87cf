//! Where a claim is: a name is one member, whatever characters are in it; what begins with `/` is a JSON Pointer (RFC 6901).
//!
//! Names hold dots, colons and slashes (`cognito:groups`, `https://ns/groups`), so none of these leads into anything.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The value at `path`; `null` is nothing.
pub(super) fn find<'a>(document: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut names = names(path);
    let first = document.get(&*names.next()?)?;
    names.try_fold(first, |value, name| step(value, &name)).filter(|value| !value.is_null())
}

/// Whether two paths lead to the same place.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    names(one).eq(names(other))
}

/// RFC 6901 §4; for a plain name, the name.
fn names(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let (plain, pointer) = match path.strip_prefix('/') {
        None => (Some(Cow::Borrowed(path)), None),
        // In this order: `~01` is `~1`.
        Some(pointer) => (None, Some(pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~").into()))),
    };
    plain.into_iter().chain(pointer.into_iter().flatten())
}

fn step<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(entries) => {
            // RFC 6901 §4: no leading zero, so that one entry has one name.
            let is_index = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
            is_index.then(|| name.parse().ok()).flatten().and_then(|index: usize| entries.get(index))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_one_member_and_a_pointer_leads_inside() {
        let Value::Object(document) = json!({
            "realm_access": {"roles": ["admin", "user"]}, "a.b": 1, "https://ns/groups": 2, "cognito:groups": 3,
            "a/b": {"~": 4, "~1": 5}, "": 6, "null": null, "deep": {"null": null}, "list": [{"x": 7}],
        }) else {
            unreachable!()
        };
        for (path, value) in [
            ("/realm_access/roles", Some(json!(["admin", "user"]))),
            ("/realm_access/roles/1", Some(json!("user"))),
            ("/realm_access/roles/01", None),
            ("/realm_access/roles/-", None),
            ("/realm_access/roles/+1", None),
            ("/realm_access/roles/2", None),
            ("/realm_access/roles/1/x", None),
            ("realm_access.roles", None),
            ("realm_access/roles", None),
            ("a.b", Some(json!(1))),
            ("/a.b", Some(json!(1))),
            ("https://ns/groups", Some(json!(2))),
            ("/https:~1~1ns~1groups", Some(json!(2))),
            ("cognito:groups", Some(json!(3))),
            ("/a~1b/~0", Some(json!(4))),
            ("/a~1b/~01", Some(json!(5))),
            ("/", Some(json!(6))),
            ("/list/0/x", Some(json!(7))),
            ("null", None),
            ("/deep/null", None),
            ("/absent/x", None),
        ] {
            assert_eq!(find(&document, path), value.as_ref(), "{path}");
        }
    }

    #[test]
    fn two_spellings_of_a_path_are_the_same() {
        assert!(is_same("email", "/email") && is_same("/a~1b", "a/b") && is_same("/x/y", "/x/y"));
        assert!(!is_same("email", "/email/0") && !is_same("Email", "email") && !is_same("x/y", "/x/y"));
    }
}
