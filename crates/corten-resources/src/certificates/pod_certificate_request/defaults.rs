//! Defaults of pod certificate requests.

use corten_apimachinery::Value;

use crate::defaulting::fill_absent;

pub(super) fn v1beta1(object: &mut Value) {
    // A day.
    fill_absent(object.at_or_insert(&["spec"]), "maxExpirationSeconds", 86_400_i64);
}
