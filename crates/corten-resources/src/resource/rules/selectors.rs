//! Selectors of devices.
//!
//! The compiler of expressions is not called yet: `compiles` is where it comes in.

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
};

use super::lists::{each_item, present, text};
use crate::report::Report;

/// How many selectors there can be in one place.
const SELECTORS_MAX: usize = 32;
/// How long an expression can be.
const EXPRESSION_MAX_BYTES: usize = 10 * 1_024;

/// The selectors of a request or class. A stored one may use what newer compilers only read.
pub(crate) fn validate(selectors: &[Value], is_stored: bool, path: &Path, errors: &mut ErrorList) {
    each_item(selectors, SELECTORS_MAX, path, errors, |selector, at, errors| {
        let at = at.child("cel");
        let Some(cel) = present(selector, "cel") else {
            errors.required(&at, "");
            return;
        };
        let (expression, at) = (text(cel, "expression"), at.child("expression"));
        if expression.len() > EXPRESSION_MAX_BYTES {
            errors.push(Error::too_long(&at, EXPRESSION_MAX_BYTES));
            return;
        }
        compiles(expression, is_stored, &at, errors);
    });
}

/// Whether an expression compiles, gives a truth value and is cheap enough.
///
/// The syntax is checked once the compiler is there; until then one that does not compile fails where it is evaluated.
fn compiles(expression: &str, is_stored: bool, path: &Path, errors: &mut ErrorList) {
    let _ = (expression, is_stored, path, errors);
}
