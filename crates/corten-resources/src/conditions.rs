//! Rules of `metav1.Condition`, which many statuses hold.
//!
//! Upstream: k8s.io/apimachinery/pkg/apis/meta/v1/validation ValidateConditions (v1.35).

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{regex_message, validate_label_name},
};

use crate::{report::Report, tree::text_at, view::Seen};

const REASON_MAX_BYTES: usize = 1_024;
const MESSAGE_MAX_BYTES: usize = 32 * 1_024;

/// Each type is there once, and each condition says what, since when and why.
pub(crate) fn validate(conditions: &[Value], path: &Path, errors: &mut ErrorList) {
    let mut seen = Seen::default();
    for (index, condition) in conditions.iter().enumerate() {
        let at = path.index(index);
        let ty = text_at(condition, &["type"]);
        if !seen.is_new(ty) {
            errors.push_with(|| Error::duplicate(&at.child("type"), ty));
        }
        one(condition, &at, errors);
        if errors.is_full() {
            break;
        }
    }
}

/// Whether the first condition of a type is `True`.
pub(crate) fn is_true(conditions: &[Value], ty: &str) -> bool {
    let found = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some(ty));
    found.is_some_and(|condition| condition.str_at(&["status"]) == Some("True"))
}

fn one(condition: &Value, path: &Path, errors: &mut ErrorList) {
    let text = |field: &str| text_at(condition, &[field]);
    errors.extend(validate_label_name(text("type"), &path.child("type")));
    errors.one_of(&path.child("status"), text("status"), &["False", "True", "Unknown"]);
    let observed = condition.i64_at(&["observedGeneration"]).unwrap_or_default();
    if observed < 0 {
        errors.invalid(&path.child("observedGeneration"), observed, "must be greater than or equal to zero");
    }
    if text("lastTransitionTime").is_empty() {
        errors.required(&path.child("lastTransitionTime"), "must be set");
    }
    let (reason, reason_at) = (text("reason"), path.child("reason"));
    if reason.is_empty() {
        errors.required(&reason_at, "must be set");
    } else {
        if !is_reason(reason) {
            errors.invalid(&reason_at, reason, reason_message());
        }
        if reason.len() > REASON_MAX_BYTES {
            errors.push(Error::too_long(&reason_at, REASON_MAX_BYTES));
        }
    }
    if text("message").len() > MESSAGE_MAX_BYTES {
        errors.push(Error::too_long(&path.child("message"), MESSAGE_MAX_BYTES));
    }
}

fn is_reason(reason: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ':');
    reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && reason.chars().all(is_inner)
}

fn reason_message() -> String {
    regex_message(
        "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric \
         characters or '_,:', and must end with an alphanumeric character or '_'",
        "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
        &["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"],
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::value;

    #[test]
    fn a_condition_says_what_since_when_and_why() {
        let conditions = value(json!([
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Yes"},
            {"type": "Ready", "status": "Maybe", "observedGeneration": -1},
            {"type": "", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "1"},
        ]));
        let mut errors = ErrorList::new();
        validate(conditions.as_array().unwrap(), &Path::new("status").child("conditions"), &mut errors);
        let have: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let (duplicate, name) = (&have[0], &have[5]);
        assert_eq!(duplicate, "status.conditions[1].type: Duplicate value: \"Ready\"");
        assert_eq!(
            have[1..5],
            [
                "status.conditions[1].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\"",
                "status.conditions[1].observedGeneration: Invalid value: -1: must be greater than or equal to zero",
                "status.conditions[1].lastTransitionTime: Required value: must be set",
                "status.conditions[1].reason: Required value: must be set",
            ]
        );
        assert!(
            name.starts_with("status.conditions[2].type: Invalid value: \"\": name part must be non-empty"),
            "{name}"
        );
        assert!(have.last().unwrap().contains("a condition reason must start with"), "{have:?}");
    }
}
