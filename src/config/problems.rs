//! What is wrong with a configuration: everything at once, each with the place where it was written.

use std::fmt;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not by the operator: it is the default, or follows from something else as the text says.
    BuiltIn(String),
    /// In this file, on this line.
    File(String, usize),
    /// In this environment variable.
    Variable(String),
    /// In this command-line flag.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) | Self::Variable(name) | Self::Flag(name) => f.write_str(name),
            Self::File(path, line) => write!(f, "{path}:{line}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where it was written; `None` for what is missing.
    pub(super) place: Option<Place>,
    /// The dotted key; empty when the whole source cannot be read.
    pub(super) key: String,
    /// What is wrong and what to do: completes the sentence that begins with the key.
    pub(super) what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, what } = self;
        match place {
            // A variable's or a flag's name says the key.
            Some(place @ (Place::Variable(_) | Place::Flag(_))) => write!(f, "{place}: {what}"),
            Some(place @ Place::File(..)) if key.is_empty() => write!(f, "{place}: {what}"),
            Some(place @ Place::File(..)) => write!(f, "{place}: {key} {what}"),
            Some(place @ Place::BuiltIn(_)) => write!(f, "{key} ({place}) {what}"),
            None => write!(f, "{key} {what}"),
        }
    }
}

/// Everything that is wrong with a configuration, one line each, and how much that is.
#[derive(Debug, thiserror::Error)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// How many there are; never none.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.count() {
            1 => f.write_str("1 problem in the configuration"),
            count => write!(f, "{count} problems in the configuration"),
        }
    }
}
