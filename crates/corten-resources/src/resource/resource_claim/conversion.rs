//! Claims of v1beta1.

use corten_apimachinery::Value;

use crate::{defaulting::within, resource::claim_spec::conversion};

pub(super) fn to_hub(claim: &mut Value) {
    within(claim, &["spec", "devices"], conversion::to_hub);
}

pub(super) fn from_hub(claim: &mut Value) {
    within(claim, &["spec", "devices"], conversion::from_hub);
}
