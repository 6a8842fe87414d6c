//! What a schema asks of one value, without going down into it.

use super::{
    formats,
    node::Node,
    outcome::{At, Failure, Kind, Outcome},
};
use crate::{
    codec::json,
    field::quote,
    schema::ValueValidation,
    value::{Str, Value, go_text},
};

/// Whether anything is asked of the type.
pub(super) fn type_applies(node: Node<'_>) -> bool {
    !node.types().is_empty() || !format_of(node).is_empty()
}

/// The format, if values of the type can have it.
fn format_of(node: Node<'_>) -> &str {
    match node.validation() {
        Some(validation) if !validation.format.is_empty() => formats::supported(node.types(), &validation.format),
        _ => "",
    }
}

/// The type and the format that upstream infers from a value.
fn inferred(value: &Value) -> (&'static str, &'static str) {
    let format = match value {
        Value::Int(_) => "int64",
        Value::Float(_) => "double",
        _ => "",
    };
    (value.type_name(), format)
}

pub(super) fn type_of(node: Node<'_>, value: &Value, at: &At<'_>) -> Outcome {
    let (types, format) = (node.types(), format_of(node));
    let wrong = |wanted: &str, found: &str| -> Outcome { wrong_type(at, wanted, found).into() };
    let holds = Outcome { failures: Vec::new(), matches: 1 };
    if value.is_null() {
        return if types.is_empty() || node.is_nullable() { holds } else { wrong(&types.join(","), "null") };
    }
    let (ty, value_format) = inferred(value);
    let has = |name: &str| types.contains(&name);
    let is_text_or_list = matches!(value, Value::String(_) | Value::Array(_));
    let is_whole = matches!(value, Value::Float(number) if is_json_integer(*number)) && has("integer");
    let fits = has(ty) || is_whole || (ty == "integer" && has("number"));
    if !format.is_empty() {
        if !is_text_or_list && !fits && value_format != format {
            return wrong(format, value_format);
        }
        // What has a format is left to that.
        if is_text_or_list && !has("number") && !has("integer") {
            return holds;
        }
    }
    if fits { holds } else { wrong(&types.join(","), ty) }
}

fn wrong_type(at: &At<'_>, wanted: &str, found: &str) -> Failure {
    let path = at.render();
    Failure {
        message: format!("{path} in body must be of type {wanted}: {}", quote(found)),
        path,
        kind: Kind::Type(found.into()),
    }
}

/// Whether a number counts as an integer: within what JSON's numbers hold exactly, and as good as whole.
/// Upstream: github.com/go-openapi/swag IsFloat64AJSONInteger.
fn is_json_integer(number: f64) -> bool {
    const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
    const EPSILON: f64 = 1e-9;
    if !number.is_finite() || number.abs() > EXACT_MAX {
        return false;
    }
    let whole = number.trunc();
    number == whole || (number - whole).abs() / (number.abs() + whole.abs()) < EPSILON
}

/// The checks of texts and numbers, by the type of the value.
pub(super) fn of_type(node: Node<'_>, validation: &ValueValidation, value: &Value, at: &At<'_>) -> Outcome {
    match value {
        Value::String(text) => {
            let mut outcome = Outcome { failures: Vec::new(), matches: 1 };
            outcome.failures.extend(text_rules(validation, text, at));
            let format = format_of(node);
            if !format.is_empty() && formats::is_textual(format) {
                outcome.matches += 1;
                if !formats::is_valid(format, text) {
                    outcome.merge(wrong_format(at, &validation.format, text).into());
                }
            }
            outcome
        }
        Value::Int(_) | Value::Float(_) => {
            let mut outcome = Outcome { failures: Vec::new(), matches: 2 };
            number_rules(validation, value, at, &mut outcome);
            outcome
        }
        _ => Outcome::default(),
    }
}

fn wrong_format(at: &At<'_>, format: &str, text: &str) -> Failure {
    wrong_type(at, format, text)
}

fn invalid(at: &At<'_>, value: impl Into<Value>, words: &str) -> Failure {
    let path = at.render();
    Failure { message: format!("{path} in body should {words}"), path, kind: Kind::Invalid(value.into()) }
}

/// The first rule of texts that does not hold.
fn text_rules(validation: &ValueValidation, text: &Str, at: &At<'_>) -> Option<Failure> {
    if validation.max_length.is_some() || validation.min_length.is_some() {
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(max) = validation.max_length.filter(|max| length > *max) {
            let path = at.render();
            let message = format!("{path} in body should be at most {max} chars long");
            return Some(Failure { message, path, kind: Kind::TooLong(max) });
        }
        if let Some(min) = validation.min_length.filter(|min| length < *min) {
            return Some(invalid(at, text.clone(), &format!("be at least {min} chars long")));
        }
    }
    let pattern = validation.pattern.as_ref()?;
    match pattern.is_match(text) {
        Ok(true) => None,
        Ok(false) => Some(invalid(at, text.clone(), &format!("match '{}'", pattern.text()))),
        Err(error) => {
            let words = format!("match '{}, but pattern is invalid: {error}'", pattern.text());
            Some(invalid(at, text.clone(), &words))
        }
    }
}

fn number_rules(validation: &ValueValidation, value: &Value, at: &At<'_>, outcome: &mut Outcome) {
    if let Some(factor) = validation.multiple_of {
        outcome.failures.extend(multiple_of(factor, value, at));
    }
    if let Some(min) = validation.minimum
        && is_beyond(value, min, validation.exclusive_minimum, |number, limit| number < limit)
    {
        let than = if validation.exclusive_minimum { "greater than" } else { "greater than or equal to" };
        outcome.fail(invalid(at, value.clone(), &format!("be {than} {}", limit_text(value, min))));
    }
    if let Some(max) = validation.maximum
        && is_beyond(value, max, validation.exclusive_maximum, |number, limit| number > limit)
    {
        let than = if validation.exclusive_maximum { "less than" } else { "less than or equal to" };
        outcome.fail(invalid(at, value.clone(), &format!("be {than} {}", limit_text(value, max))));
    }
}

/// Integers are compared as such, with the limit cut to one.
#[expect(clippy::cast_possible_truncation, reason = "upstream cuts the limit as well; what is out of range saturates")]
fn is_beyond(value: &Value, limit: f64, is_exclusive: bool, beyond: fn(f64, f64) -> bool) -> bool {
    match value {
        Value::Int(number) => {
            let limit = limit as i64;
            // The order of two integers, as a difference whose sign is exact.
            let sign = f64::from(number.cmp(&limit) as i8);
            beyond(sign, 0.0) || (is_exclusive && *number == limit)
        }
        Value::Float(number) => beyond(*number, limit) || (is_exclusive && *number == limit),
        _ => false,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the limit of an integer is shown as it is compared")]
fn limit_text(value: &Value, limit: f64) -> String {
    match value {
        Value::Int(_) => (limit as i64).to_string(),
        _ => go_text(&Value::Float(limit)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "upstream cuts the factor as well")]
#[expect(clippy::cast_precision_loss, reason = "an integer is divided by a fraction as the number it is nearest to")]
fn multiple_of(factor: f64, value: &Value, at: &At<'_>) -> Option<Failure> {
    let failure = |shown: String| Some(invalid(at, value.clone(), &format!("be a multiple of {shown}")));
    if factor < 0.0 {
        let (path, shown) = (at.render(), go_text(&Value::Float(factor)));
        let message = format!("factor MultipleOf declared for {path} must be positive: {shown}");
        return Some(Failure { message, path, kind: Kind::Invalid(Value::Float(factor)) });
    }
    let number = match value {
        Value::Int(number) => match factor as i64 {
            // A fraction cannot divide as an integer.
            0 => *number as f64,
            whole => return if number % whole == 0 { None } else { failure(whole.to_string()) },
        },
        Value::Float(number) => *number,
        _ => return None,
    };
    let times = if factor < 1.0 { 1.0 / factor * number } else { number / factor };
    if is_json_integer(times) { None } else { failure(go_text(&Value::Float(factor))) }
}

/// The value is one of those listed, if any are.
pub(super) fn enumeration(validation: &ValueValidation, value: &Value, at: &At<'_>) -> Outcome {
    let allowed = &validation.enum_values;
    if allowed.is_empty() || allowed.iter().any(|allowed| is_same(value, allowed)) {
        return Outcome::default();
    }
    let path = at.render();
    let values = allowed.iter().map(|allowed| match allowed {
        Value::String(text) => text.clone(),
        other => String::from_utf8_lossy(&json::encode(other, None)).as_ref().into(),
    });
    let values: Vec<Str> = values.collect();
    let message = format!("{path} in body should be one of {values:?}");
    Failure { message, path, kind: Kind::Enum(value.clone(), values) }.into()
}

/// Numbers are the same if one converted to the kind of the other is. Null is like nothing, not even null.
#[expect(clippy::cast_precision_loss, reason = "upstream compares after the same conversion")]
#[expect(clippy::cast_possible_truncation, reason = "upstream compares after the same conversion")]
#[expect(clippy::float_cmp, reason = "a value is listed exactly or not at all")]
fn is_same(value: &Value, allowed: &Value) -> bool {
    match (value, allowed) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Int(value), Value::Float(allowed)) => *value as f64 == *allowed,
        (Value::Float(value), Value::Int(allowed)) => *value as i64 == *allowed,
        (value, allowed) => value == allowed,
    }
}

pub(super) fn item_count(validation: &ValueValidation, items: &[Value], at: &At<'_>, outcome: &mut Outcome) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(min) = validation.min_items.filter(|min| count < *min) {
        outcome.fail(invalid(at, count, &format!("have at least {min} items")));
    }
    if let Some(max) = validation.max_items.filter(|max| count > *max) {
        let path = at.render();
        let message = format!("{path} in body should have at most {max} items");
        outcome.fail(Failure { message, path, kind: Kind::TooMany(items.len(), max) });
    }
}

pub(super) fn property_count(validation: &ValueValidation, properties: usize, at: &At<'_>) -> Option<Failure> {
    let count = i64::try_from(properties).unwrap_or(i64::MAX);
    if let Some(min) = validation.min_properties.filter(|min| count < *min) {
        return Some(invalid(at, count, &format!("have at least {min} properties")));
    }
    let max = validation.max_properties.filter(|max| count > *max)?;
    let path = at.render();
    let message = format!("{path} in body should have at most {max} properties");
    Some(Failure { message, path, kind: Kind::TooMany(properties, max) })
}
