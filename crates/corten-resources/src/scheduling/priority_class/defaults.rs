//! Defaults of priority classes.

use corten_apimachinery::Value;

use crate::defaulting::fill_absent;

pub(super) fn v1(object: &mut Value) {
    fill_absent(object, "preemptionPolicy", "PreemptLowerPriority");
}
