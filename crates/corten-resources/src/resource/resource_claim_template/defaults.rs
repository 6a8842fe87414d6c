//! Defaults of claim templates.

use corten_apimachinery::Value;

use super::strategy::DEVICES;
use crate::{defaulting::within, resource::claim_spec::defaults};

pub(super) fn v1(template: &mut Value) {
    within(template, DEVICES, defaults::v1);
}

pub(super) fn v1beta1(template: &mut Value) {
    within(template, DEVICES, defaults::v1beta1);
}
