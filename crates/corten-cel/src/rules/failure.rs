//! What is said of a rule that does not hold, or cannot be evaluated.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go, and `MaxEvaluatedMessageExpressionSizeBytes`
//! in k8s.io/apiserver/pkg/apis/cel/config.go (v1.35).

use corten_apimachinery::{
    field::{Error, Path, quote},
    schema::ValidationRule,
    value::Value as Tree,
};

use crate::{
    Program, Value,
    error::{ErrorKind, EvalError},
    eval::{Activation, Work},
    limits::PER_CALL,
};

/// The longest message that an expression can make.
const MESSAGE_MAX_BYTES: usize = 5 * 1_024;

pub(super) const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";
const MESSAGE_OUT_OF_BUDGET: &str =
    "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";

/// A rule in errors.
fn shown(rule: &ValidationRule) -> &str {
    if rule.message.is_empty() { rule.rule.trim() } else { rule.message.trim() }
}

/// What is said of a rule whose message no expression makes.
pub(super) fn usual_message(rule: &ValidationRule) -> String {
    if rule.message.is_empty() { format!("failed rule: {}", shown(rule)) } else { rule.message.trim().to_owned() }
}

/// What is said of a rule that could not be evaluated, and whether no other will be.
pub(super) fn not_evaluated(error: &EvalError, rule: &ValidationRule) -> (String, bool) {
    let (text, rule) = (error.to_string(), shown(rule));
    match error.kind {
        // Work that upstream does not count ends everything as cost does.
        ErrorKind::CostLimit | ErrorKind::TooLarge => {
            let detail = "no further validation rules will be run due to call cost exceeds limit for rule";
            (format!("'{text}': {detail}: {rule}"), true)
        }
        ErrorKind::Failed if text.starts_with("no such overload") => {
            let detail = "call arguments did not match a supported operator, function or macro signature for rule";
            (format!("'{text}': {detail}: {rule}"), false)
        }
        ErrorKind::Failed => (format!("{text} evaluating rule: {rule}"), false),
    }
}

/// The error of a rule that does not hold for `value`, which is of the type `ty`: it is shown if it is simple.
pub(super) fn refused(rule: &ValidationRule, path: &Path, (value, ty): (&Tree, &str), detail: String) -> Error {
    let shown = (!matches!(ty, "object" | "array")).then(|| value.clone());
    match (rule.reason.as_deref(), shown) {
        (Some("FieldValueForbidden"), _) => Error::forbidden(path, detail),
        (Some("FieldValueRequired"), _) => Error::required(path, detail),
        (Some("FieldValueDuplicate"), Some(value)) => Error::duplicate(path, value),
        (Some("FieldValueDuplicate"), None) => Error::duplicate_unshown(path),
        (_, Some(value)) => Error::invalid(path, value, detail),
        (_, None) => Error::invalid_unshown(path, detail),
    }
}

/// What an expression made of a message.
pub(super) enum Message {
    Text(String),
    /// Nothing that can be shown.
    None,
    /// Why there is none, and no other rule is evaluated.
    Fatal(String),
}

/// The message that `program` makes, and what is left of the budget; its work is taken from `work`.
pub(super) fn message<'a>(
    program: &'a Program,
    rule: &ValidationRule,
    variables: &dyn Activation<'a>,
    (budget, work): (u64, &mut Work),
) -> (Message, u64) {
    let (result, cost) = program.eval_within(variables, PER_CALL, work);
    let Some(left) = budget.checked_sub(cost) else { return (Message::Fatal(MESSAGE_OUT_OF_BUDGET.to_owned()), 0) };
    let message = match result {
        Ok(Value::String(text)) => match text.trim() {
            text if text.is_empty() || text.contains('\n') || text.len() > MESSAGE_MAX_BYTES => Message::None,
            text => Message::Text(text.to_owned()),
        },
        Err(error) if error.is_final() => {
            let detail = "no further validation rules will be run due to call cost exceeds limit for messageExpression";
            Message::Fatal(format!("{detail}: {}", quote(&rule.message_expression)))
        }
        Ok(_) | Err(_) => Message::None,
    };
    (message, left)
}
