//! Dependencies point one way: a module uses only modules that stand behind it in this order.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the composition root down to the shared vocabulary. Modules of one line do not use each other.
const ORDER: &[&[&str]] = &[
    &["app"],
    &["config"],
    &["admin", "dev", "gateway"],
    &["endpoints"],
    &["assertion"],
    &["tokens"],
    &["providers", "sessions", "telemetry"],
    &["policy"],
    // Takes any handler, so it knows nothing of what a request means; `Peer` is its word for the other end.
    &["server"],
    &["body", "grant", "identity", "origin", "remembered"],
    &["clock", "outgoing", "secret"],
];

#[test]
fn dependencies_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in files(&src) {
        let module = module_of(&src, &file);
        if matches!(&*module, "main" | "lib" | "develop") {
            continue;
        }
        let Some(rank) = rank(&module) else {
            wrong.push(format!("{}: module `{module}` has no place in ORDER", file.display()));
            continue;
        };
        for (line, used) in uses(&fs::read_to_string(&file).unwrap()) {
            let is_behind = used == module || self::rank(&used).is_some_and(|used| used > rank);
            if !is_behind {
                wrong.push(format!("{}:{line}: `{module}` uses `{used}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The check itself sees what it should.
#[test]
fn uses_are_found_however_they_are_written() {
    let source = "use crate::{\n    body::Body,\n    server::{Peer, tls},\n};\nuse crate::clock::Clock;\nfn f() { crate::secret::random::<1>(); }\n// crate::app is only named here\n";
    let found: Vec<String> = uses(source).into_iter().map(|(_, used)| used).collect();
    assert_eq!(found, ["body", "server", "clock", "secret"]);
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|line| line.contains(&module))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The top-level module a file belongs to.
fn module_of(src: &Path, file: &Path) -> String {
    let first = file.strip_prefix(src).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Every `crate::module` and `crate::{module, …}`, with its line.
fn uses(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let before = &source[..at];
        if before.rsplit('\n').next().is_some_and(|line| line.contains("//") || line.contains("in ")) {
            continue;
        }
        let line = before.matches('\n').count() + 1;
        let rest = &source[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && c == ',' {
                    found.push((line, module_name(&name)));
                    name.clear();
                } else {
                    name.push(c);
                }
            }
            if !name.trim().is_empty() {
                found.push((line, module_name(&name)));
            }
        } else {
            found.push((line, module_name(rest)));
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

fn module_name(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
