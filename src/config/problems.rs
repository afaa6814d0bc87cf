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

impl Problem {
    /// A rule of ours is missing: something is wrong, and nothing says what.
    pub(super) fn unforeseen(key: &str) -> Self {
        let what = "cannot be used, and no rule says why; please report this".to_owned();
        Self { place: None, key: key.to_owned(), what }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, what } = self;
        let line = match place {
            // A variable's or a flag's name says the key.
            Some(place @ (Place::Variable(_) | Place::Flag(_))) => format!("{place}: {what}"),
            Some(place @ Place::File(..)) if key.is_empty() => format!("{place}: {what}"),
            Some(place @ Place::File(..)) => format!("{place}: {key} {what}"),
            Some(place @ Place::BuiltIn(_)) => format!("{key} ({place}) {what}"),
            None => format!("{key} {what}"),
        };
        // Names of variables and files can hold anything; a problem stays on its line.
        f.write_str(&line.replace(char::is_control, " "))
    }
}

/// Everything that is wrong with a configuration, one line each, and how much that is.
#[derive(Debug, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// In the order in which somebody repairs them: a file from its top, then variables, flags, and what is missing.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| match &problem.place {
            Some(Place::File(_, line)) => (0, *line),
            Some(Place::BuiltIn(_)) => (1, 0),
            Some(Place::Variable(_)) => (2, 0),
            Some(Place::Flag(_)) => (3, 0),
            None => (4, 0),
        });
        Self(problems)
    }

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
