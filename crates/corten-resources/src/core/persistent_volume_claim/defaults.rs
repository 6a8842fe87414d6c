//! Defaults of claims.

use corten_apimachinery::Value;

use crate::defaulting::{fill_absent, fill_zero, within};

pub(super) fn v1(claim: &mut Value) {
    within(claim, &["spec"], |spec| fill_absent(spec, "volumeMode", "Filesystem"));
    fill_zero(claim.at_or_insert(&["status"]), "phase", "Pending");
}
