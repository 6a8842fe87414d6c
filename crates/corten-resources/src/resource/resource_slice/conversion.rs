//! Slices of v1beta1, where what a device is like stands in `basic`, and the spec writes no nodes as empty.
//!
//! Upstream: pkg/apis/resource/v1beta1/conversion.go (v1.35).

use corten_apimachinery::Value;

use crate::defaulting::{each, within};

/// What `basic` holds.
const FIELDS: [&str; 11] = [
    "attributes",
    "capacity",
    "consumesCounters",
    "nodeName",
    "nodeSelector",
    "allNodes",
    "taints",
    "bindsToNode",
    "bindingConditions",
    "bindingFailureConditions",
    "allowMultipleAllocations",
];

pub(super) fn to_hub(slice: &mut Value) {
    without_zeros(slice);
    each(slice, &["spec", "devices"], |device| {
        let mut basic = device.unset(&["basic"]).unwrap_or_default();
        for field in FIELDS {
            if let Some(value) = basic.unset(&[field]) {
                device.set(&[field], value);
            }
        }
    });
}

pub(super) fn from_hub(slice: &mut Value) {
    without_zeros(slice);
    each(slice, &["spec", "devices"], |device| {
        let mut basic = Value::object();
        for field in FIELDS {
            if let Some(value) = device.unset(&[field]) {
                basic.set(&[field], value);
            }
        }
        device.set(&["basic"], basic);
    });
}

/// What is a pointer in the hub is none in v1beta1, where zero means unset.
fn without_zeros(slice: &mut Value) {
    within(slice, &["spec"], |spec| {
        if spec.str_at(&["nodeName"]) == Some("") {
            spec.unset(&["nodeName"]);
        }
        if spec.bool_at(&["allNodes"]) == Some(false) {
            spec.unset(&["allNodes"]);
        }
    });
}
