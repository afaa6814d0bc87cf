//! The whole of it: sources in, settings or problems out.

mod bearer;
mod credentials;
mod documents;
mod explained;
mod headers;
mod kinds;
mod meant;
mod providers;
mod refused;
mod secrets;
mod store;

use std::{collections::BTreeMap, fs, path::PathBuf};

use tempfile::TempDir;

use super::{CommandLine, Loaded, Problems, Sources, load};

/// 32 bytes that are nobody's key.
pub(super) const KEY: &str = "c2Vzc2lvbiBrZXkgZm9yIHRlc3RzLCBub2JvZHkncyE";
pub(super) const OTHER_KEY: &str = "YW5vdGhlciBzZXNzaW9uIGtleSBmb3IgdGVzdHMsIG0";

/// A directory with a configuration file, and an environment.
pub(super) struct Case {
    pub(super) directory: TempDir,
    pub(super) environment: BTreeMap<String, String>,
    file: Option<PathBuf>,
    pub(super) overrides: Vec<(String, String)>,
}

impl Case {
    /// Nothing is configured.
    pub(super) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, environment: BTreeMap::new(), file: None, overrides: Vec::new() }
    }

    /// The least that runs, all of it in the environment.
    pub(super) fn good() -> Self {
        Self::empty()
            .variable("PUBLIC_URL", "https://app.example.com")
            .variable("UPSTREAM", "http://127.0.0.1:8080")
            .variable("PROVIDERS__CORP__ISSUER", "https://login.example.com")
            .variable("PROVIDERS__CORP__CLIENT_ID", "doorward")
            .variable("SESSION__KEY", KEY)
    }

    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment
            .insert(format!("DOORWARD_{name}"), value.replace("DIR", self.directory.path().to_str().unwrap()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.environment.remove(&format!("DOORWARD_{name}")).unwrap();
        self
    }

    /// The configuration file's text; `DIR` in it is the directory.
    pub(super) fn file(mut self, text: &str) -> Self {
        let path = self.write("doorward.toml", &text.replace("DIR", self.directory.path().to_str().unwrap()));
        self.file = Some(path);
        self
    }

    pub(super) fn flag(mut self, key: &str, value: &str) -> Self {
        self.overrides.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A file in the directory.
    pub(super) fn with(self, name: &str, content: &str) -> Self {
        self.write(name, content);
        self
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn sources(&self) -> Sources {
        let command_line = CommandLine { config: self.file.clone(), overrides: self.overrides.clone() };
        Sources::new(command_line, &self.environment)
    }

    pub(super) fn load(&self) -> Result<Loaded, Problems> {
        load(&self.sources())
    }

    /// The settings, of what must be right.
    pub(super) fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// What is said about it, the directory's path as `DIR`; nothing when it is right.
    pub(super) fn problems(&self) -> Vec<String> {
        let problems = match self.load() {
            Ok(_) => return Vec::new(),
            Err(problems) => problems.to_string(),
        };
        let problems = problems.replace(self.directory.path().to_str().unwrap(), "DIR");
        let mut lines: Vec<_> = problems.lines().map(str::to_owned).collect();
        let count = lines.pop().unwrap();
        assert!(count.starts_with(&lines.len().to_string()), "{count}: {lines:#?}");
        lines
    }
}
