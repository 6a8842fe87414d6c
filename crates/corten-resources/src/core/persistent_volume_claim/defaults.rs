//! Defaults of claims.

use corten_apimachinery::Value;

use crate::{
    core::pod_spec::defaults::round_to_milli,
    defaulting::{fill_absent, fill_zero, within},
};

pub(crate) fn v1(claim: &mut Value) {
    within(claim, &["spec"], |spec| {
        fill_absent(spec, "volumeMode", "Filesystem");
        for list in ["limits", "requests"] {
            within(spec, &["resources", list], round_to_milli);
        }
    });
    fill_zero(claim.at_or_insert(&["status"]), "phase", "Pending");
}
