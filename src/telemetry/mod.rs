//! What can be seen of a running gateway: structured logs on standard error, one record per request.

mod record;

use std::{error::Error, io};

use tracing_subscriber::{EnvFilter, filter::ParseError, layer::SubscriberExt as _, util::SubscriberInitExt as _};

pub use record::Record;

/// How logs are written, to standard error.
#[derive(Clone, Debug)]
pub struct Settings {
    /// An `EnvFilter` directive: `info`, `doorward=debug,access=off`.
    pub filter: String,
    /// One line for people, or one JSON object a line.
    pub format: Format,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Starts to write logs. A second call changes nothing.
///
/// # Errors
/// When `settings.filter` is no filter.
pub fn start(settings: &Settings) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(&settings.filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    // Already started: by a test, or by a reload.
    let _ = match settings.format {
        Format::Text => registry.with(layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr()))).try_init(),
        Format::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

/// An error with its causes, on one line, for people. Errors of ours hold no secrets and nothing that is not printable.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // A transparent error repeats its source.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
