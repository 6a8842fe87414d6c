//! Defaults of storage classes.

use corten_apimachinery::Value;

use crate::defaulting::fill_absent;

pub(super) fn v1(class: &mut Value) {
    fill_absent(class, "reclaimPolicy", "Delete");
    fill_absent(class, "volumeBindingMode", "Immediate");
}
