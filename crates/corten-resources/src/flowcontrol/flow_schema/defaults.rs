//! Defaults of flow schemas.

use corten_apimachinery::Value;

use crate::defaulting::fill_zero;

pub(super) fn v1(object: &mut Value) {
    fill_zero(object.at_or_insert(&["spec"]), "matchingPrecedence", 1_000_i64);
}
