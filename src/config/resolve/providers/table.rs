//! One provider's table while it is read: its keys' full names, and where they were written.

use std::mem;

use url::Url;

use crate::{
    config::{addresses::ProviderUrl, leaf::Given, problems::Place, resolve::Reading, shape::dotted},
    origin::is_loopback,
};

/// `[providers.NAME]`. Keys are named without it.
pub(super) struct Table<'a, 'b> {
    path: String,
    pub(super) kind: String,
    /// Plain http is accepted.
    pub(super) insecure_http: bool,
    /// Some route counts tokens.
    pub(super) tokens_count: bool,
    pub(super) reading: &'a mut Reading<'b>,
}

impl<'a, 'b> Table<'a, 'b> {
    pub(super) fn new(name: &str, reading: &'a mut Reading<'b>) -> Self {
        Self {
            path: dotted("providers", name),
            kind: String::new(),
            insecure_http: false,
            tokens_count: false,
            reading,
        }
    }

    pub(super) fn key(&self, name: &str) -> String {
        // Already dotted where it lies deeper.
        format!("{}.{name}", self.path)
    }

    pub(super) fn value<T>(&mut self, given: &mut Given<T>, name: &str) -> Option<T> {
        self.reading.value(mem::take(given), &self.key(name))
    }

    pub(super) fn required<T>(&mut self, given: &mut Given<T>, name: &str) -> Option<T> {
        self.reading.required(mem::take(given), &self.key(name))
    }

    /// A URL that we or browsers ask.
    pub(super) fn endpoint(&mut self, given: &mut Given<ProviderUrl>, name: &str) -> Option<Url> {
        let ProviderUrl { url, .. } = self.value(given, name)?;
        self.check_transport(&url, name);
        Some(url)
    }

    /// A list that, when it is written, names somebody.
    pub(super) fn list<T>(&mut self, given: &mut Given<Vec<T>>, name: &str) -> Vec<T> {
        let list = self.value(given, name);
        if list.as_ref().is_some_and(Vec::is_empty) {
            self.wrong(name, "is empty; it lets nobody in");
        }
        list.unwrap_or_default()
    }

    pub(super) fn wrong(&mut self, name: &str, what: impl Into<String>) {
        self.reading.wrong(&self.key(name), what);
    }

    pub(super) fn missing(&mut self, name: &str, what: impl Into<String>) {
        self.reading.missing(&self.key(name), what);
    }

    pub(super) fn warn(&mut self, name: &str, what: impl Into<String>) {
        self.reading.warn(&self.key(name), what);
    }

    pub(super) fn named(&self, name: &str) -> String {
        self.reading.named(&self.key(name))
    }

    /// Whether the operator wrote it, not the provider's kind.
    pub(super) fn is_written(&self, name: &str) -> bool {
        self.reading.place(&self.key(name)).is_some_and(|place| !matches!(place, Place::BuiltIn(_)))
    }

    /// Keys that the operator wrote but that mean nothing here, because `why`.
    pub(super) fn refuse(&mut self, names: &[&str], why: &str) {
        for name in names {
            if self.is_written(name) {
                self.wrong(name, why);
            }
        }
    }

    /// What is said of tokens is wrong. Where none count, that matters only to whoever wrote it: what a kind brings along lies idle.
    pub(super) fn wrong_of_tokens(&mut self, name: &str, what: impl Into<String>) {
        if self.tokens_count || self.is_written(name) {
            self.wrong(name, what);
        }
    }

    /// Keys come over this connection, and with them who anybody is.
    pub(super) fn check_transport(&mut self, url: &Url, name: &str) {
        match (url.scheme(), is_loopback(url)) {
            ("https", _) => {}
            (_, true) => self.warn(name, "is plain http on loopback; for trying things out only"),
            // Warned about where it was switched on.
            (_, false) if self.insecure_http => {}
            (_, false) => {
                self.wrong(name, "is plain http; https is needed, or `insecure_http = true` at this provider");
            }
        }
    }
}
