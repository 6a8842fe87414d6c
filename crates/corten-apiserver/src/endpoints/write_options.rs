//! The options of creates, updates and patches, from the query.
//!
//! Upstream: `ValidateCreateOptions`, `ValidateUpdateOptions` and `ValidatePatchOptions` in
//! k8s.io/apimachinery/pkg/apis/meta/v1/validation (v1.35).

use corten_apimachinery::{
    codec::FieldValidation,
    field::{Error, ErrorList, Path},
    gvk::GroupVersionKind,
    status::Status,
    value::Value,
};

use crate::request::Query;

/// The longest name of a manager of fields. Upstream: `FieldManagerMaxLength`.
const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// What the query of a write says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriteOptions {
    /// Whether nothing is to happen in the end.
    pub(super) dry_run: bool,
    /// How unknown and duplicate fields are met.
    pub(super) validation: FieldValidation,
    /// Whether an apply takes fields over from others.
    pub(super) force: bool,
}

impl WriteOptions {
    /// Reads the options of a create or update, which are of the kind `kind`.
    ///
    /// Errors: `Invalid`, with all that is wrong.
    pub(super) fn read(query: &Query, kind: &str) -> Result<Self, Status> {
        Self::read_after(ErrorList::new(), query, kind)
    }

    /// Reads those of a patch; few go with applies alone, and one with all others.
    ///
    /// Errors: as `read`.
    pub(super) fn read_of_patch(query: &Query, is_apply: bool) -> Result<Self, Status> {
        let mut errors = ErrorList::new();
        if is_apply && query.get("fieldManager").is_empty() {
            errors.push(Error::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
        if !is_apply && query.find("force").is_some() {
            errors.push(Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
        }
        Self::read_after(errors, query, "PatchOptions")
    }

    fn read_after(mut errors: ErrorList, query: &Query, kind: &str) -> Result<Self, Status> {
        errors.extend(manager_complaints(query.get("fieldManager")));
        let (dry_run, complaint) = read_dry_run(query.all("dryRun"));
        errors.extend(complaint);
        let validation = match query.get("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let path = Path::new("fieldValidation");
                errors.push(Error::not_supported(&path, other, &["", "Ignore", "Strict", "Warn"]));
                FieldValidation::Strict
            }
        };
        if !errors.is_empty() {
            return Err(bad_options(kind, &errors));
        }
        // Upstream takes everything but a form of false for true.
        let force = query.find("force").is_some_and(|text| !matches!(&*text.to_ascii_lowercase(), "false" | "0"));
        Ok(Self { dry_run, validation, force })
    }
}

/// Whether nothing is to happen, from `dryRun`, and what is wrong with it.
pub(super) fn read_dry_run<'a>(values: impl Iterator<Item = &'a str>) -> (bool, Option<Error>) {
    let values: Vec<&str> = values.collect();
    let is_known = values.iter().all(|&value| value == "All");
    let complaint = || {
        let values = Value::array(values.iter().map(|&value| Value::from(value)));
        Error::not_supported(&Path::new("dryRun"), values, &["All"])
    };
    (!values.is_empty(), (!is_known).then(complaint))
}

/// What is wrong with a `fieldManager`.
fn manager_complaints(manager: &str) -> ErrorList {
    let path = Path::new("fieldManager");
    let mut errors = ErrorList::new();
    if manager.len() > FIELD_MANAGER_BYTES_MAX {
        errors.push(Error::too_long(&path, FIELD_MANAGER_BYTES_MAX));
    }
    for (at, c) in manager.char_indices().filter(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' ')) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        errors.push(Error::invalid(&path, manager, why));
    }
    errors
}

/// The failure for wrong options.
pub(super) fn bad_options(kind: &str, errors: &[Error]) -> Status {
    Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", kind), "", errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the first was told.
    #[test]
    fn all_that_is_wrong_with_the_options_of_a_write_is_told() {
        let long = "x".repeat(FIELD_MANAGER_BYTES_MAX + 1);
        let query = Query::parse(&format!("force=1&fieldValidation=Odd&dryRun=x&dryRun=All&fieldManager={long}"));
        let of_all = "fieldManager: Too long: may not be more than 128 bytes, dryRun: Unsupported value: \
                      [\"x\",\"All\"]: supported values: \"All\", fieldValidation: Unsupported value: \"Odd\": supported \
                      values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
        let refused = |kind: &str, options: Result<WriteOptions, Status>, errors: &str| {
            let refused = options.unwrap_err();
            let want = format!("{kind}.meta.k8s.io \"\" is invalid: [{errors}]");
            assert_eq!((refused.code, &*refused.message), (422, &*want));
        };
        refused("CreateOptions", WriteOptions::read(&query, "CreateOptions"), of_all);
        refused("PatchOptions", WriteOptions::read_of_patch(&query, true), of_all);
        let of_force = format!("force: Forbidden: may not be specified for non-apply patch, {of_all}");
        refused("PatchOptions", WriteOptions::read_of_patch(&query, false), &of_force);
        let query = Query::parse("dryRun=x");
        let want = "fieldManager: Required value: is required for apply patch, dryRun: Unsupported value: [\"x\"]: \
                    supported values: \"All\"";
        refused("PatchOptions", WriteOptions::read_of_patch(&query, true), want);
    }

    #[test]
    fn options_are_read() {
        let check = |query: &str, want: (bool, FieldValidation, bool)| {
            let got = WriteOptions::read_of_patch(&Query::parse(query), true).unwrap();
            assert_eq!((got.dry_run, got.validation, got.force), want, "{query}");
        };
        check("fieldManager=a", (false, FieldValidation::Warn, false));
        check("fieldManager=a&dryRun=All&fieldValidation=Strict&force=true", (true, FieldValidation::Strict, true));
        check("fieldManager=a&fieldValidation=Ignore&force=False", (false, FieldValidation::Ignore, false));
    }
}
