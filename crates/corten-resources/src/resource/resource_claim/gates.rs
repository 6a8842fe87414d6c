//! Fields of claims behind feature gates that are off.
//!
//! Upstream: `dropDisabledSpecFields`, `dropDisabledStatusFields` in pkg/registry/resource/resourceclaim/strategy.go (v1.35).

use corten_apimachinery::{Features, Value};

use crate::{
    defaulting::{each, within},
    resource::{
        claim_spec::gates::{InUse, drop_disabled},
        rules::lists::present,
    },
};

const SPEC: &[&str] = &["spec", "devices"];
const RESULTS: &[&str] = &["status", "allocation", "devices", "results"];
const STATUS_DEVICES: &[&str] = &["status", "devices"];

/// Takes out of the spec of `claim` what is behind a gate that is off, unless the old spec uses the feature already.
pub(super) fn drop_of_spec(features: &Features, claim: &mut Value, old: Option<&Value>) {
    let stays = InUse::of(old.and_then(|old| old.at(SPEC))).or_enabled(features);
    within(claim, SPEC, |devices| drop_disabled(devices, stays));
}

/// Takes out of the status of `claim` what is behind a gate that is off, unless the old claim uses the feature already.
pub(super) fn drop_of_status(features: &Features, claim: &mut Value, old: &Value) {
    let stays = in_use(old).or_enabled(features);
    if !stays.admin_access {
        unset_of_results(claim, &["adminAccess"]);
    }
    if !keeps_device_status(features, old) {
        claim.unset(STATUS_DEVICES);
    }
    if !keeps_binding_conditions(features, old) {
        unset_of_results(claim, &["bindingConditions", "bindingFailureConditions"]);
    }
    if !stays.consumable_capacity {
        unset_of_results(claim, &["shareID", "consumedCapacity"]);
        each(claim, STATUS_DEVICES, |device| {
            device.unset(&["shareID"]);
        });
    }
}

/// Whether what drivers report of devices is kept.
pub(super) fn keeps_device_status(features: &Features, old: &Value) -> bool {
    features.is_enabled("DRAResourceClaimDeviceStatus") || !old.items_at(STATUS_DEVICES).is_empty()
}

fn keeps_binding_conditions(features: &Features, old: &Value) -> bool {
    let uses = |result: &Value| {
        let lists = ["bindingConditions", "bindingFailureConditions"];
        lists.iter().any(|list| !result.items_at(&[list]).is_empty())
    };
    features.is_enabled("DRADeviceBindingConditions") || old.items_at(RESULTS).iter().any(uses)
}

fn in_use(claim: &Value) -> InUse {
    let mut uses = InUse::of(claim.at(SPEC));
    for result in claim.items_at(RESULTS) {
        uses.admin_access |= present(result, "adminAccess").is_some();
        uses.consumable_capacity |= ["shareID", "consumedCapacity"].iter().any(|f| present(result, f).is_some());
    }
    for device in claim.items_at(STATUS_DEVICES) {
        uses.consumable_capacity |= present(device, "shareID").is_some();
    }
    uses
}

fn unset_of_results(claim: &mut Value, fields: &[&str]) {
    each(claim, RESULTS, |result| {
        for field in fields {
            result.unset(&[field]);
        }
    });
}
