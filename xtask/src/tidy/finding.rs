//! What a rule reports: a place, a message and a cure.

use std::fmt;

/// A line of a file of the project, counted from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) line: usize,
}

impl Place {
    pub(crate) fn new(path: &str, line: usize) -> Self {
        Self { path: path.to_owned(), line }
    }
}

/// One broken rule at one place.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) place: Place,
    pub(crate) rule: &'static str,
    pub(crate) message: String,
    pub(crate) cure: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: Place { path, line }, rule, message, cure, .. } = self;
        write!(f, "{path}:{line}: {rule}: {message}\n    cure: {cure}")
    }
}
