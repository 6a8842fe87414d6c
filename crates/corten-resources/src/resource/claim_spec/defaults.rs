//! Defaults of requests for devices.

use corten_apimachinery::Value;

use crate::{
    defaulting::{each, fill_zero, within},
    resource::rules::{lists::text, taints},
};

/// The requests of `devices`, from v1beta2 on.
pub(crate) fn v1(devices: &mut Value) {
    each(devices, &["requests"], |request| {
        within(request, &["exactly"], |exactly| {
            count(exactly);
            tolerations(exactly);
        });
        alternatives(request);
    });
}

/// The requests of `devices` in v1beta1, where what is asked for stands in the request itself.
pub(crate) fn v1beta1(devices: &mut Value) {
    each(devices, &["requests"], |request| {
        // One without a class has alternatives, and counts nothing itself.
        if !text(request, "deviceClassName").is_empty() {
            count(request);
        }
        tolerations(request);
        alternatives(request);
    });
}

/// The tolerations in the list `tolerations` of a request or result.
pub(crate) fn tolerations(object: &mut Value) {
    each(object, &["tolerations"], taints::toleration_defaults);
}

fn alternatives(request: &mut Value) {
    each(request, &["firstAvailable"], |alternative| {
        count(alternative);
        tolerations(alternative);
    });
}

/// One device, unless the request says otherwise.
fn count(request: &mut Value) {
    const EXACT: &str = "ExactCount";
    fill_zero(request, "allocationMode", EXACT);
    if text(request, "allocationMode") == EXACT {
        fill_zero(request, "count", 1_i64);
    }
}
