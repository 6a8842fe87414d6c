//! Claim templates of v1beta1.

use corten_apimachinery::Value;

use super::strategy::DEVICES;
use crate::{defaulting::within, resource::claim_spec::conversion};

pub(super) fn to_hub(template: &mut Value) {
    within(template, DEVICES, conversion::to_hub);
}

pub(super) fn from_hub(template: &mut Value) {
    within(template, DEVICES, conversion::from_hub);
}
