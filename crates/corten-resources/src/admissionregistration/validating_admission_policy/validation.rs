//! Rules of validating admission policies.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    json_path::JsonPath,
    meta::ObjectMeta,
    validation::is_qualified_name,
};
use corten_cel::admission::Variables;

use crate::{
    admissionregistration::{
        expressions,
        policy::{self, Does},
    },
    cel::{self, Gives, Use},
    conditions,
    report::Report,
    tree::{each_at, present, text_at},
    view::Seen,
};

const AUDIT_ANNOTATIONS_MAX: usize = 20;
/// Less than a value of an audit annotation can have: an expression often gives more than it takes to write it.
const VALUE_EXPRESSION_MAX_BYTES: usize = 5 * 1_024;
/// The reasons of a refusal, sorted as upstream's message shows them.
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];

/// What the expressions of a policy can name.
#[derive(Clone, Copy)]
struct Names<'a> {
    params: bool,
    variables: &'a Variables,
}

impl Names<'_> {
    /// Checks an expression that is not empty.
    fn check(&self, expression: &str, gives: Gives, path: &Path, errors: &mut ErrorList) {
        // A message tells what is wrong, to whoever asks: it needs no rights.
        let authorizer = gives != Gives::Text;
        let usage = Use { params: self.params, authorizer, variables: self.variables, gives };
        cel::check(expression, &usage, path, errors);
    }
}

pub(super) fn policy(object: &Value, old: Option<&Value>) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&null);
    let old = old.map(|old| old.get("spec").unwrap_or(&null));
    let mut errors = ErrorList::new();
    let params = policy::validate(Does::Validate, spec, old, &mut errors);
    let variables = expressions::validate_variables(spec, params, &path, &mut errors);
    let annotations = spec.items_at(&["auditAnnotations"]);
    if spec.items_at(&["validations"]).is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.required(&path.child("validations"), detail);
        errors.required(&path.child("auditAnnotations"), detail);
        return errors;
    }
    let names = Names { params, variables: &variables };
    for (at, validation) in each_at(spec, "validations", &path) {
        one_validation(validation, names, &at, &mut errors);
    }
    if annotations.len() > AUDIT_ANNOTATIONS_MAX {
        let detail = format!("must not have more than {AUDIT_ANNOTATIONS_MAX} auditAnnotations");
        errors.invalid(&path.child("auditAnnotations"), Value::array(annotations.iter().cloned()), detail);
    }
    let mut seen = Seen::default();
    for (at, annotation) in each_at(spec, "auditAnnotations", &path) {
        audit_annotation(annotation, object.name(), names, &at, &mut errors);
        let key = text_at(annotation, &["key"]);
        if !seen.is_new(key) {
            errors.push_with(|| Error::duplicate(&at.child("key"), key));
        }
    }
    errors
}

fn one_validation(validation: &Value, names: Names<'_>, path: &Path, errors: &mut ErrorList) {
    let text = |field: &str| text_at(validation, &[field]);
    let at = path.child("expression");
    if text("expression").trim().is_empty() {
        errors.required(&at, "expression is not specified");
    } else {
        names.check(text("expression"), Gives::Bool, &at, errors);
    }
    let (message, at) = (text("messageExpression"), path.child("messageExpression"));
    if !message.trim().is_empty() {
        names.check(message, Gives::Text, &at, errors);
    } else if !message.is_empty() {
        errors.invalid(&at, message, "must be non-empty if specified");
    }
    let (message, at) = (text("message"), path.child("message"));
    if !message.is_empty() && message.trim().is_empty() {
        errors.invalid(&at, message, "message must be non-empty if specified");
    } else if message.trim().contains(['\n', '\r']) {
        errors.invalid(&at, message, "message must not contain line breaks");
    }
    if let Some(reason) = present(validation, &["reason"]) {
        errors.one_of(&path.child("reason"), reason.as_str().unwrap_or_default(), REASONS);
    }
}

fn audit_annotation(annotation: &Value, policy_name: &str, names: Names<'_>, path: &Path, errors: &mut ErrorList) {
    let (key, at) = (text_at(annotation, &["key"]), path.child("key"));
    if policy_name.is_empty() {
        errors.invalid(&at, key, "requires metadata.name be non-empty");
    } else {
        // In the log the key stands behind the policy's name.
        let key = format!("{policy_name}/{key}");
        errors.invalids(&at, &key, is_qualified_name(&key));
    }
    let (expression, at) = (text_at(annotation, &["valueExpression"]).trim(), path.child("valueExpression"));
    if expression.is_empty() {
        errors.required(&at, "valueExpression is not specified");
    } else if expression.len() > VALUE_EXPRESSION_MAX_BYTES {
        errors.required(&at, &format!("must not exceed {VALUE_EXPRESSION_MAX_BYTES} bytes in length"));
    } else {
        names.check(expression, Gives::TextOrNull, &at, errors);
    }
}

/// The field that a warning is about, as a JSON path without braces.
fn field_ref(text: &str, path: &Path, errors: &mut ErrorList) {
    if errors.require(path, text)
        && let Err(error) = JsonPath::parse(&format!("{{{text}}}"), false)
    {
        errors.invalid(path, text, format!("invalid JSONPath: {error}"));
    }
}

pub(super) fn status(object: &Value) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("status"));
    let status = object.get("status").unwrap_or(&null);
    let mut errors = ErrorList::new();
    let checking = status.get("typeChecking").unwrap_or(&null);
    for (at, warning) in each_at(checking, "expressionWarnings", &path.child("typeChecking")) {
        errors.require(&at.child("warning"), text_at(warning, &["warning"]));
        field_ref(text_at(warning, &["fieldRef"]).trim(), &at.child("fieldRef"), &mut errors);
    }
    conditions::validate(status.items_at(&["conditions"]), &path.child("conditions"), &mut errors);
    errors
}
