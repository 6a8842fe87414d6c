//! What calls of the language's own functions are estimated to cost.
//!
//! Upstream: cel-go checker/cost.go, functionCost (v0.26.0).

use super::{CallEstimate, CostRange, PATTERN_FACTOR, SizeRange, TEXT_FACTOR};
use crate::library::CallSite;

/// The cost of a call without that of its arguments.
pub(super) fn standard(call: &CallSite<'_>) -> CallEstimate {
    let size =
        |index: usize| call.args.get(index).map_or(SizeRange::UNKNOWN, |arg| arg.size.unwrap_or(SizeRange::UNKNOWN));
    let target = call.target.map(|target| target.size.unwrap_or(SizeRange::UNKNOWN));
    let one = CallEstimate::of(CostRange::fixed(1));
    match (call.overload, call.args.len(), target) {
        ("string_format", _, Some(target)) => CallEstimate::of(target.cost(TEXT_FACTOR)),
        ("string_to_bytes", 1, _) => {
            let text = size(0);
            let bytes = SizeRange { min: text.min, max: text.max.saturating_mul(4) };
            CallEstimate { cost: text.cost(TEXT_FACTOR), size: Some(bytes) }
        }
        ("bytes_to_string", 1, _) => {
            let bytes = size(0);
            let text = SizeRange { min: bytes.min / 4, max: bytes.max };
            CallEstimate { cost: bytes.cost(TEXT_FACTOR), size: Some(text) }
        }
        ("strings_quote", 1, _) => {
            let text = size(0);
            let quoted =
                SizeRange { min: text.min.saturating_add(2), max: text.max.saturating_mul(2).saturating_add(2) };
            CallEstimate { cost: text.cost(TEXT_FACTOR), size: Some(quoted) }
        }
        ("starts_with_string" | "ends_with_string", 1, _) => CallEstimate::of(size(0).cost(TEXT_FACTOR)),
        ("in_list", 2, _) => CallEstimate::of(size(1).cost(1.0)),
        ("matches_string", 1, Some(target)) => {
            let text = target.plus(SizeRange::fixed(1)).cost(TEXT_FACTOR);
            CallEstimate::of(text.times(size(0).cost(PATTERN_FACTOR)))
        }
        ("contains_string", 1, Some(target)) => {
            CallEstimate::of(target.cost(TEXT_FACTOR).times(size(0).cost(TEXT_FACTOR)))
        }
        ("add_list", 2, _) => CallEstimate { cost: CostRange::fixed(1), size: Some(size(0).plus(size(1))) },
        ("add_string" | "add_bytes", 2, _) => {
            let sum = size(0).plus(size(1));
            CallEstimate { cost: sum.cost(TEXT_FACTOR), size: Some(sum) }
        }
        (
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes"
            | "equals"
            | "not_equals",
            2,
            _,
        ) => {
            let max = size(0).max.min(size(1).max);
            CallEstimate::of(SizeRange { min: u64::from(max > 0), max }.cost(TEXT_FACTOR))
        }
        _ => one,
    }
}
