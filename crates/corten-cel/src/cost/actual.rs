//! What a call cost, once its arguments are known.
//!
//! Upstream: cel-go interpreter/runtimecost.go (v0.26.0).

use super::{PATTERN_FACTOR, TEXT_FACTOR};
use crate::{
    environment::{FunctionDeclaration, OverloadDeclaration},
    value::Value,
};

/// `size * factor`, rounded up.
pub(crate) fn scaled(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// The cost of a call without that of its arguments. Without an `overload` it was not known before which one it would be.
pub(crate) fn actual(
    overload: Option<&OverloadDeclaration>,
    function: &FunctionDeclaration,
    args: &[Value<'_>],
    result: Option<&Value<'_>>,
) -> u64 {
    let id = match overload {
        Some(overload) => &*overload.id,
        // Equality has one overload for all types.
        None if matches!(&*function.name, "_==_" | "_!=_") => "equals",
        None => "",
    };
    (function.cost.actual)(id, args, result).unwrap_or_else(|| standard(id, args))
}

/// The size of the smaller of two values, in the time that going through that takes: the characters of a long text are not
/// counted beside a short one, for a cost that goes by the short one.
pub(super) fn smaller(a: &Value<'_>, b: &Value<'_>) -> u64 {
    // A character takes four bytes at most.
    let least = |value: &Value<'_>| value.as_str().map_or_else(|| value.size(), |text| text.len() as u64 / 4);
    let (small, large) = if least(a) <= least(b) { (a, b) } else { (b, a) };
    let size = small.size();
    if size <= least(large) { size } else { size.min(large.size()) }
}

fn standard(id: &str, args: &[Value<'_>]) -> u64 {
    let size = |index: usize| args.get(index).map_or(1, Value::size);
    match id {
        // Here the text is counted, though the estimate counts the argument.
        "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string" | "strings_quote"
        | "string_format" => scaled(size(0), TEXT_FACTOR),
        "in_list" => size(1),
        "less_string"
        | "greater_string"
        | "less_equals_string"
        | "greater_equals_string"
        | "less_bytes"
        | "greater_bytes"
        | "less_equals_bytes"
        | "greater_equals_bytes"
        | "equals"
        | "not_equals" => match args {
            [a, b] => scaled(smaller(a, b), TEXT_FACTOR),
            _ => 1,
        },
        "add_string" | "add_bytes" => scaled(size(0) + size(1), TEXT_FACTOR),
        // Empty text costs something, too, because the pattern may be dear.
        "matches_string" | "matches" => scaled(size(0) + 1, TEXT_FACTOR) * scaled(size(1), PATTERN_FACTOR),
        "contains_string" => scaled(size(0), TEXT_FACTOR) * scaled(size(1), TEXT_FACTOR),
        _ => 1,
    }
}
