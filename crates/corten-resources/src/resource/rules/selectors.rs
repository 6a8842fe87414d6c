//! Selectors of devices.

use corten_apimachinery::{
    Features, Value,
    field::{Error, ErrorList, Path},
};

use super::lists::{each_item, present, text};
use crate::{cel, report::Report};

/// How many selectors there can be in one place.
const SELECTORS_MAX: usize = 32;
/// How long an expression can be.
const EXPRESSION_MAX_BYTES: usize = 10 * 1_024;

/// The selectors of a request or class.
pub(crate) fn validate(selectors: &[Value], features: &Features, path: &Path, errors: &mut ErrorList) {
    // A device says whether several claims can have it.
    let shares = features.is_enabled("DRAConsumableCapacity");
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
        cel::check_device(expression, shares, &at, errors);
    });
}
