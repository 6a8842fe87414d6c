//! How often the template was changed, which pods were labelled with once and which an annotation still shows.
//!
//! Invariant: a stored set has the annotation, and its number grows with every change of the template.
//! Upstream: `TemplateGeneration` in pkg/apis/apps/v1/conversion.go, pkg/registry/apps/daemonset/strategy.go (v1.35).

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path, quote},
    meta::ObjectMeta,
    value::semantically_equal,
};

use crate::report::Report;

const ANNOTATION: &str = "deprecated.daemonset.template.generation";

fn parse(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Upstream counts in a field that this version has no name for: an object that does not show it says 0. So whoever puts such an
/// object sets the annotation, and owns it.
pub(super) fn fill_in(set: &mut Value) {
    if set.annotation(ANNOTATION).is_none() {
        write(set, 0);
    }
}

/// Starts to count, at what the client says if that can be.
pub(super) fn first(set: &mut Value) {
    let given = set.annotation(ANNOTATION).map(parse);
    match given {
        // Reported by `validate`.
        Some(None) => {}
        Some(Some(number)) if number >= 1 => write(set, number),
        _ => write(set, 1),
    }
}

/// Goes on counting from what `old` has.
pub(super) fn next(set: &mut Value, old: &Value) {
    if set.annotation(ANNOTATION).is_some_and(|text| parse(text).is_none()) {
        return;
    }
    let template = ["spec", "template"];
    let changed = !semantically_equal(set.at(&template), old.at(&template));
    let number = old.annotation(ANNOTATION).and_then(parse).unwrap_or_default();
    write(set, number.saturating_add(i64::from(changed)));
}

/// Keeps what `old` has: the number belongs to the spec.
pub(super) fn keep(set: &mut Value, old: &Value) {
    let number = old.annotation(ANNOTATION).and_then(parse).unwrap_or_default();
    write(set, number);
}

fn write(set: &mut Value, number: i64) {
    let annotations = set.at_or_insert(&["metadata", "annotations"]);
    if annotations.is_null() {
        *annotations = Value::object();
    }
    annotations.set(&[ANNOTATION], number.to_string());
}

/// Why the annotation is no number, in Go's words: upstream keeps the number elsewhere, and takes no set without it.
pub(super) fn misfit(set: &Value) -> Option<String> {
    let text = set.annotation(ANNOTATION).filter(|text| parse(text).is_none())?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let why = if is_number { "value out of range" } else { "invalid syntax" };
    Some(format!("strconv.ParseInt: parsing {}: {why}", quote(text)))
}

/// The annotation is a number, also of what came to be in another way than being read.
pub(super) fn validate(set: &Value, errors: &mut ErrorList) {
    if let (Some(why), Some(text)) = (misfit(set), set.annotation(ANNOTATION)) {
        errors.invalid(&Path::new("metadata").child("annotations").key(ANNOTATION), text, why);
    }
}
