//! Requests of v1beta1, where what a request asks for stands in the request itself and not in `exactly`.
//!
//! Upstream: pkg/apis/resource/v1beta1/conversion.go (v1.35).

use corten_apimachinery::Value;

use crate::{
    defaulting::{each, is_unset},
    resource::rules::lists::present,
};

/// What `exactly` holds.
const FIELDS: [&str; 7] =
    ["deviceClassName", "selectors", "allocationMode", "count", "adminAccess", "tolerations", "capacity"];

/// Moves what the requests of `devices` ask for into `exactly`.
pub(crate) fn to_hub(devices: &mut Value) {
    each(devices, &["requests"], |request| {
        let mut exactly = Value::object();
        let mut is_set = false;
        for field in FIELDS {
            let Some(value) = request.unset(&[field]) else { continue };
            exactly.set(&[field], value);
            is_set |= !is_unset(&exactly, field);
        }
        if !is_set {
            return;
        }
        if present(&exactly, "deviceClassName").is_none() {
            exactly.set(&["deviceClassName"], "");
        }
        request.set(&["exactly"], exactly);
    });
}

/// Moves what `exactly` holds into the requests of `devices`.
pub(crate) fn from_hub(devices: &mut Value) {
    each(devices, &["requests"], |request| {
        let mut exactly = request.unset(&["exactly"]).unwrap_or_default();
        for field in FIELDS {
            if let Some(value) = exactly.unset(&[field]) {
                request.set(&[field], value);
            }
        }
        if present(request, "deviceClassName").is_none() {
            request.set(&["deviceClassName"], "");
        }
    });
}
