//! What calls copy, compare and read that upstream's cost does not see. It is counted where the estimate has to tell how long an
//! evaluation may take, and nowhere else: what a rule may cost is upstream's.

use super::{CostRange, SizeRange};
use crate::{library::CallSite, types::Type};

/// Copying an element takes a tenth of a unit's time.
const ELEMENT_FACTOR: f64 = 0.1;

/// Copying text is much faster.
pub(super) const TEXT_FACTOR: f64 = 1.0 / 512.0;

/// Reading base64 takes some times as long as copying it.
const BASE64_FACTOR: f64 = 1.0 / 128.0;

/// What `call` copies, compares and reads, where its result has this `size`. `merges`: lists may be sets or have keys, of which each
/// element is compared with each.
pub(super) fn copies(call: &CallSite<'_>, size: Option<SizeRange>, merges: bool) -> CostRange {
    let none = CostRange::fixed(0);
    let size_of = |index: usize| call.args.get(index).and_then(|arg| arg.size).unwrap_or(SizeRange::UNKNOWN);
    let is_list = || call.args.first().is_some_and(|arg| matches!(arg.of, Type::List(_) | Type::Dyn));
    let compared = || if merges && is_list() { size_of(0).times(size_of(1)).cost(1.0) } else { none };
    // Bytes of an object, which have to be read. To be read once is counted as often as there is a use.
    let args = call.target.into_iter().chain(call.args).filter(|arg| *arg.of == Type::Bytes);
    let read = args.fold(none, |sum, arg| sum.plus(arg.size.unwrap_or(SizeRange::UNKNOWN).cost(BASE64_FACTOR)));
    let copied = match call.overload {
        "add_list" => size_of(0).plus(size_of(1)).cost(ELEMENT_FACTOR).plus(compared()),
        "equals" | "not_equals" => compared(),
        "string_replace_string_string" | "string_replace_string_string_int" => {
            size.unwrap_or(SizeRange::UNKNOWN).cost(TEXT_FACTOR)
        }
        _ => none,
    };
    copied.plus(read)
}
