//! From files and the environment to settings: what the operator wrote, what it means, and everything that is wrong with it.
//!
//! Defaults < one file < environment (`DOORWARD_…`) < command line, key by key. Two stages: `raw` is what may be written,
//! `resolve` what it means. Every problem is reported, all at once, each with its file and line or its variable. An unknown key
//! is an error. No message, no `Debug` and no listing ever holds a secret. Every part of the gateway owns its settings; this
//! one knows them all, and none knows this one.

mod addresses;
mod environment;
mod explain;
mod files;
mod formats;
mod kinds;
mod layer;
mod leaf;
mod presets;
mod problems;
mod provider;
mod raw;
mod resolve;
mod shape;
mod sources;
mod store;
mod values;

#[cfg(test)]
mod tests;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use figment::{Figment, value::Dict};

use self::{problems::Problem, raw::Raw, shape::Shape};
pub use self::{
    problems::Problems,
    sources::{CommandLine, Sources},
};
use crate::{admin, gateway, providers, secret, server, sessions, telemetry};

/// Everything every part is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads; `None` for one a core.
    pub threads: Option<usize>,
    /// Sockets in.
    pub server: server::Settings,
    /// The operator's listener.
    pub admin: admin::Settings,
    /// The path of a request.
    pub gateway: gateway::settings::Settings,
    /// Sessions.
    pub sessions: sessions::Settings,
    /// Never empty; in the order of their names.
    pub providers: Vec<providers::Settings>,
    /// Logs.
    pub telemetry: telemetry::Settings,
}

/// A configuration without problems.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it means.
    pub settings: Settings,
    /// To be logged at every start: every `insecure_…` that is on, plain http, and what is probably not meant.
    pub warnings: Vec<String>,
    effective: String,
}

impl Loaded {
    /// The configuration as TOML, each value with where it came from, secrets masked.
    #[must_use]
    pub fn effective(&self) -> &str {
        &self.effective
    }

    /// For each provider, a line that says what sessions keep of its claims.
    pub fn kept(&self) -> impl Iterator<Item = String> {
        self.settings.providers.iter().map(explain::kept)
    }
}

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The configuration is wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// Only providers are explained, and this is none.
    #[error("`{asked}` is no provider; known are {known}")]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
}

/// Reads and resolves a configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let Read { shape, said, merged, settings, warnings } = read(sources)?;
    Ok(Loaded { settings, warnings, effective: explain::effective(&merged, &shape, &said.layers) })
}

/// One provider of a configuration, `providers.NAME`, as TOML: each value with where it came from, and above those that follow from its kind why
/// the kind has them so. Secrets are masked.
///
/// # Errors
/// The configuration is wrong, or has no such provider.
pub fn explain(sources: &Sources, asked: &str) -> Result<String, ExplainError> {
    let Read { shape, said, merged, settings, .. } = read(sources)?;
    let explained =
        asked.strip_prefix("providers.").and_then(|name| explain::provider(name, &merged, &shape, &said.layers));
    explained.ok_or_else(|| {
        let known = settings.providers.iter().map(|provider| format!("`providers.{}`", provider.name));
        ExplainError::Unknown { asked: asked.escape_debug().to_string(), known: known.collect::<Vec<_>>().join(", ") }
    })
}

/// A configuration without problems, and what it was read from.
struct Read {
    shape: Shape,
    said: sources::Said,
    merged: Dict,
    settings: Settings,
    warnings: Vec<String>,
}

fn read(sources: &Sources) -> Result<Read, Problems> {
    let shape = Shape::whole();
    let said = sources.read(&shape);
    let figment = said.layers.iter().fold(Figment::new(), Figment::merge);
    // What figment would complain about has been taken out. Its message is not shown: it repeats the value.
    let raw: Raw = figment.extract().map_err(|error| {
        let unforeseen = Problem::unforeseen(&error.path.join("."));
        Problems::new(said.problems.iter().cloned().chain([unforeseen]).collect())
    })?;
    let (settings, warnings) = resolve::resolve(raw, &said).map_err(Problems::new)?;
    let merged = figment.extract().unwrap_or_default();
    Ok(Read { shape, said, merged, settings, warnings })
}

/// The JSON Schema of a configuration file, for editors.
#[must_use]
pub fn schema() -> String {
    format!("{:#}", shape::schema())
}

/// A new session key: 32 bytes nobody can guess, in base64url.
#[must_use]
pub fn new_key() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(secret::random::<32>())
}
