//! How validations report: short verbs over `field::ErrorList`, so that a rule reads as one line.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation,
    value::{FromValueError, from_value, semantically_equal},
};
use serde::Deserialize;

use crate::{internal_form, view::texts};

/// Rules of one field, each adding to the list what it finds. A list that is full copies nothing that it would show.
pub(crate) trait Report {
    /// The value is missing.
    fn required(&mut self, path: &Path, detail: &str);
    /// The value is not allowed.
    fn invalid(&mut self, path: &Path, value: impl Into<Value>, detail: impl Into<String>);
    /// The value, which is shown as upstream's own struct of the type `name`, is not allowed.
    fn invalid_struct(&mut self, path: &Path, name: &str, value: Option<&Value>, detail: impl Into<String>);
    /// The field of this path, a struct of the type `name`, must mean the same in both objects.
    fn immutable_struct(&mut self, path: &Path, name: &str, new: Option<&Value>, old: Option<&Value>);
    /// The value, which is shown as this JSON, is not allowed.
    fn invalid_shown(&mut self, path: &Path, json: impl FnOnce() -> String, detail: impl Into<String>);
    /// The field must not be set, or not like this.
    fn forbidden(&mut self, path: &Path, detail: impl Into<String>);
    /// One error for each of `messages` about `value`.
    fn invalids(&mut self, path: &Path, value: &str, messages: Vec<String>);
    /// One error for each of `messages` about a number.
    fn invalid_number(&mut self, path: &Path, value: i64, messages: Vec<String>);
    /// `value` must not be empty; says whether it is not.
    fn require(&mut self, path: &Path, value: &str) -> bool;
    /// `value` must be one of `supported`, which is sorted as upstream shows it.
    fn one_of(&mut self, path: &Path, value: &str, supported: &[&str]);
    /// `value` must be set and one of `supported`.
    fn require_one_of(&mut self, path: &Path, value: &str, supported: &[&str]);
    /// A star means all, so there is nothing to say beside it; `what` there would be.
    fn lone_star(&mut self, path: &Path, items: &[&str], what: &str);
    /// `value` must not be below zero.
    fn non_negative(&mut self, path: &Path, value: i64);
    /// `value` must be a port.
    fn port(&mut self, path: &Path, value: i64);
    /// `value` must name an object of a kind whose names are DNS subdomains.
    fn object_name(&mut self, path: &Path, value: &str);
    /// The field of this path in both objects must mean the same.
    fn immutable(&mut self, path: &Path, new: Option<&Value>, old: Option<&Value>);
}

/// The name of the type of label selectors.
pub(crate) const LABEL_SELECTOR: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector";
/// Upstream's words for a number below zero.
pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";

/// The errors twice over, as upstream reports them where an update is checked as a new object and again as a change.
pub(crate) fn twice(errors: ErrorList) -> ErrorList {
    let mut all = errors.clone();
    all.extend(errors);
    all
}

impl Report for ErrorList {
    fn required(&mut self, path: &Path, detail: &str) {
        self.push_with(|| Error::required(path, detail));
    }

    fn invalid(&mut self, path: &Path, value: impl Into<Value>, detail: impl Into<String>) {
        self.push_with(|| Error::invalid(path, value, detail));
    }

    fn invalid_struct(&mut self, path: &Path, name: &str, value: Option<&Value>, detail: impl Into<String>) {
        self.invalid_shown(path, || internal_form::pointer(name, value), detail);
    }

    fn immutable_struct(&mut self, path: &Path, name: &str, new: Option<&Value>, old: Option<&Value>) {
        if !semantically_equal(new, old) {
            self.invalid_struct(path, name, new, "field is immutable");
        }
    }

    fn invalid_shown(&mut self, path: &Path, json: impl FnOnce() -> String, detail: impl Into<String>) {
        self.push_with(|| Error::invalid(path, Value::Null, detail).showing(json()));
    }

    fn forbidden(&mut self, path: &Path, detail: impl Into<String>) {
        self.push_with(|| Error::forbidden(path, detail));
    }

    fn invalids(&mut self, path: &Path, value: &str, messages: Vec<String>) {
        messages.into_iter().for_each(|message| self.push_with(|| Error::invalid(path, value, message)));
    }

    fn invalid_number(&mut self, path: &Path, value: i64, messages: Vec<String>) {
        messages.into_iter().for_each(|message| self.push_with(|| Error::invalid(path, value, message)));
    }

    fn require(&mut self, path: &Path, value: &str) -> bool {
        if value.is_empty() {
            self.required(path, "");
        }
        !value.is_empty()
    }

    fn one_of(&mut self, path: &Path, value: &str, supported: &[&str]) {
        if !supported.contains(&value) {
            self.push_with(|| Error::not_supported(path, value, supported));
        }
    }

    fn require_one_of(&mut self, path: &Path, value: &str, supported: &[&str]) {
        if self.require(path, value) {
            self.one_of(path, value, supported);
        }
    }

    fn lone_star(&mut self, path: &Path, items: &[&str], what: &str) {
        if items.len() > 1 && items.contains(&"*") {
            self.invalid(path, texts(items), format!("if '*' is present, must not specify other {what}"));
        }
    }

    fn non_negative(&mut self, path: &Path, value: i64) {
        if value < 0 {
            self.invalid(path, value, NEGATIVE);
        }
    }

    fn port(&mut self, path: &Path, value: i64) {
        self.invalid_number(path, value, validation::is_port_number(value));
    }

    fn object_name(&mut self, path: &Path, value: &str) {
        self.invalids(path, value, validation::is_dns1123_subdomain(value));
    }

    fn immutable(&mut self, path: &Path, new: Option<&Value>, old: Option<&Value>) {
        self.extend(validation::field_is_immutable(new, old, path));
    }
}

/// Validates `object` through its typed view.
///
/// Decoding has checked the tree against the type table, so a tree without the view's shape is a fault of the server and is
/// reported as one.
pub(crate) fn with_view<'v, T: Deserialize<'v>>(
    object: &'v Value,
    check: impl FnOnce(&T, &mut ErrorList),
) -> ErrorList {
    let mut errors = ErrorList::new();
    match from_value::<T>(object) {
        Ok(view) => check(&view, &mut errors),
        Err(error) => errors.push(unreadable(&error)),
    }
    errors
}

/// The error of a tree that does not have the shape of its kind.
pub(crate) fn unreadable(error: &FromValueError) -> Error {
    Error::internal(&Path::root(), error)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use corten_apimachinery::field::ERRORS_MAX;

    use super::*;

    /// Each of a million empty containers had its errors, of some hundred bytes each.
    #[test]
    fn errors_end_where_nobody_reads_them() {
        let mut errors = ErrorList::new();
        for n in 0..ERRORS_MAX + 5 {
            errors.required(&Path::new("spec").index(n), "");
            errors.one_of(&Path::new("spec").index(n), "x", &["y"]);
        }
        assert_eq!(errors.len(), ERRORS_MAX);
    }

    /// The name of a source was copied for each of its items: 60,000 times 1.5 MB.
    #[test]
    fn what_is_shown_is_copied_while_there_is_room_only() {
        struct Shown<'c>(&'c Cell<usize>);
        impl From<Shown<'_>> for Value {
            fn from(shown: Shown<'_>) -> Self {
                shown.0.set(shown.0.get() + 1);
                "x".repeat(1_500_000).into()
            }
        }
        let (mut errors, copies) = (ErrorList::new(), Cell::new(0));
        for _ in 0..60_000 {
            errors.invalid(&Path::new("spec"), Shown(&copies), "conflicting duplicate paths");
        }
        assert_eq!(errors.len(), copies.get());
        assert!(copies.get() < 10, "{}", copies.get());
    }
}
