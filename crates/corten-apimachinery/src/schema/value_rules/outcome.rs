//! What came of holding a value against a schema: failures, and how much of the schema fits.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    field::{ERRORS_MAX, Error, ErrorList, ErrorType, Path},
    value::{Str, Value},
};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) failures: Vec<Failure>,
    /// How many checks held: of the branches of a junctor that fail, the one that fits best is shown. Counted as upstream
    /// does where a branch can be, which is in junctors alone.
    pub(super) matches: u64,
}

/// One thing that does not hold.
#[derive(Debug)]
pub(super) struct Failure {
    /// The place, as messages write it; empty for the value that validation began with.
    pub(super) path: String,
    /// What upstream's validator says of it. No message is shown twice.
    pub(super) message: String,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A junctor does not hold, of which no single place is at fault.
    Junctor,
    Required,
    Enum(Value, Vec<Str>),
    TooLong(i64),
    TooMany(usize, i64),
    Type(Value),
    Invalid(Value),
    Internal,
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self { failures: vec![failure], matches: 0 }
    }
}

impl Outcome {
    pub(super) fn is_valid(&self) -> bool {
        self.failures.is_empty()
    }

    /// Whether failures that come now are dropped.
    pub(super) fn is_full(&self) -> bool {
        self.failures.len() >= ERRORS_MAX
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        if !self.is_full() {
            self.failures.push(failure);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let room = ERRORS_MAX.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
        self.matches += other.matches;
    }

    /// The errors as clients see them.
    pub(super) fn into_errors(self, path: Option<&Path>) -> ErrorList {
        let mut seen = BTreeSet::new();
        let mut errors = ErrorList::new();
        for failure in self.failures {
            if seen.insert(failure.message.clone()) {
                errors.push(failure.into_error(path));
            }
        }
        errors
    }
}

/// How upstream writes the path of nothing.
const NO_PATH: &str = "<nil>";

impl Failure {
    fn into_error(self, root: Option<&Path>) -> Error {
        let name = self.path.strip_prefix('.').unwrap_or(&self.path);
        let root_path = root.cloned().unwrap_or_else(|| Path::new(NO_PATH));
        let path = match root {
            _ if name.is_empty() => root_path.clone(),
            Some(root) => root.child(name),
            None => Path::new(name),
        };
        match self.kind {
            Kind::Junctor => Error::invalid(&root_path, "", self.message),
            Kind::Required => Error::required(&path, ""),
            Kind::Enum(value, values) => Error::not_supported(&path, value, &values),
            Kind::TooLong(max) => Error::too_long(&path, usize::try_from(max).unwrap_or_default()),
            Kind::TooMany(actual, max) => Error::too_many(&path, actual, usize::try_from(max).unwrap_or_default()),
            Kind::Type(value) => Error::type_invalid(&path, shown(value), self.message),
            Kind::Invalid(value) => Error::invalid(&path, shown(value), self.message),
            Kind::Internal => {
                Error { kind: ErrorType::Internal, field: path.to_string(), bad_value: None, detail: self.message }
            }
        }
    }
}

/// Null is shown as the empty text.
fn shown(value: Value) -> Value {
    if value.is_null() { "".into() } else { value }
}

/// A place in the value, as a chain up to the root: written out only for failures.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'p> {
    above: Option<(&'p At<'p>, Step<'p>)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'p> {
    Property(&'p str),
    Additional(&'p str),
    Index(usize),
}

impl At<'_> {
    pub(super) fn root() -> Self {
        Self { above: None }
    }

    pub(super) fn is_root(&self) -> bool {
        self.above.is_none()
    }

    pub(super) fn step<'p>(&'p self, step: Step<'p>) -> At<'p> {
        At { above: Some((self, step)) }
    }

    pub(super) fn render(&self) -> String {
        let mut steps = Vec::new();
        let mut at = self;
        while let Some((above, step)) = &at.above {
            steps.push(*step);
            at = above;
        }
        let mut out = String::new();
        for step in steps.into_iter().rev() {
            // A `String` takes all that is written.
            let _ = match step {
                Step::Property(name) if out.is_empty() => write!(out, "{name}"),
                Step::Property(name) | Step::Additional(name) => write!(out, ".{name}"),
                Step::Index(index) => write!(out, "[{index}]"),
            };
        }
        out
    }
}
