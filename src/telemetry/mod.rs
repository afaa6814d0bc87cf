//! What can be seen of a running gateway: structured logs, one record per request.

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
