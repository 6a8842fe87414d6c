//! The errors of one validation: as many as anybody reads, however many rules an object breaks, and however large what they
//! show is. A rule says what it finds; that the list is full is the list's business.

use std::{mem::size_of, ops::Deref, slice, vec};

use super::{BadValue, Error, SHOWN_BYTES_MAX};
use crate::value::Value;

/// How many errors are kept: far above what anybody reads. A body can have some hundred thousand items, and an error is some
/// hundred times as large as the smallest of them.
pub const ERRORS_MAX: usize = 10_000;

/// How many bytes of errors are kept, not counting the one that goes beyond: more than are shown. Each item of a list can be
/// wrong, and each error about it can show the whole list.
const KEPT_BYTES_MAX: usize = 8 * SHOWN_BYTES_MAX;

/// The errors of one validation, in the order found. It keeps `ERRORS_MAX` of them or some MiB, and drops what comes then.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorList {
    errors: Vec<Error>,
    kept_bytes: usize,
}

impl ErrorList {
    /// No errors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether what comes now is dropped: a rule about each of many items may stop, and need not make what it would show.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.errors.len() >= ERRORS_MAX || self.kept_bytes >= KEPT_BYTES_MAX
    }

    /// Adds an error, if there is room.
    pub fn push(&mut self, error: Error) {
        if !self.is_full() {
            self.kept_bytes = self.kept_bytes.saturating_add(size_bytes(&error));
            self.errors.push(error);
        }
    }

    /// Adds the error that `error` makes, which is not asked if there is no room: for those that copy what they show.
    pub fn push_with(&mut self, error: impl FnOnce() -> Error) {
        if !self.is_full() {
            self.push(error());
        }
    }
}

/// About what an error holds. What is shared counts each time, since it is written each time.
fn size_bytes(error: &Error) -> usize {
    size_of::<Error>() + error.field.len() + error.detail.len() + error.bad_value.as_ref().map_or(0, shown_bytes)
}

fn shown_bytes(shown: &BadValue) -> usize {
    match shown {
        BadValue::Tree(value) => value_bytes(value),
        BadValue::Json(json) => json.len(),
    }
}

fn value_bytes(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
            Value::String(text) => text.len(),
            Value::Raw(raw) => raw.text().len(),
            Value::Array(items) => items.iter().map(value_bytes).sum(),
            Value::Object(map) => map.iter().map(|(key, value)| key.len() + value_bytes(value)).sum(),
        }
}

impl Deref for ErrorList {
    type Target = [Error];

    fn deref(&self) -> &[Error] {
        &self.errors
    }
}

impl From<Error> for ErrorList {
    fn from(error: Error) -> Self {
        Self::from_iter([error])
    }
}

impl Extend<Error> for ErrorList {
    fn extend<I: IntoIterator<Item = Error>>(&mut self, errors: I) {
        for error in errors {
            if self.is_full() {
                break;
            }
            self.push(error);
        }
    }
}

impl FromIterator<Error> for ErrorList {
    fn from_iter<I: IntoIterator<Item = Error>>(errors: I) -> Self {
        let mut list = Self::new();
        list.extend(errors);
        list
    }
}

impl IntoIterator for ErrorList {
    type Item = Error;
    type IntoIter = vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'l> IntoIterator for &'l ErrorList {
    type Item = &'l Error;
    type IntoIter = slice::Iter<'l, Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Path, aggregate};

    /// Only their number was bounded: 10,000 errors that each showed a list of 4.6 MB were 47 GB.
    #[test]
    fn a_list_keeps_some_bytes_however_large_its_errors_are() {
        let mut made = 0;
        let mut errors = ErrorList::new();
        let large = "x".repeat(SHOWN_BYTES_MAX);
        for _ in 0..ERRORS_MAX {
            errors.push_with(|| {
                made += 1;
                Error::invalid(&Path::new("spec"), large.as_str(), "no")
            });
        }
        assert_eq!((errors.len(), made), (8, 8));
        // The end is cut, and says so.
        assert!(aggregate(&errors).ends_with(", and more errors, which are not shown]"));
        let again: ErrorList = errors.clone().into_iter().chain(errors.clone()).collect();
        assert_eq!(again, errors);
    }

    #[test]
    fn what_an_error_shows_counts_with_all_that_is_in_it() {
        let deep = Value::object_of([("a", Value::array([Value::from("x".repeat(1_000)), Value::object()]))]);
        let error = |value: Value| size_bytes(&Error::invalid(&Path::new("spec"), value, "no"));
        assert!(error(deep) > error(Value::Null) + 1_000);
    }

    #[test]
    fn a_single_error_is_kept_whatever_its_size() {
        let mut errors = ErrorList::from(Error::invalid(&Path::root(), "x".repeat(2 * KEPT_BYTES_MAX), ""));
        assert_eq!(errors.len(), 1);
        assert!(errors.is_full());
        errors.extend([Error::required(&Path::root(), "")]);
        assert_eq!(errors.len(), 1);
    }
}
