//! Fields of slices behind feature gates that are off.
//!
//! Upstream: `dropDisabledFields` in pkg/registry/resource/resourceslice/strategy.go (v1.35).

use corten_apimachinery::{Features, Value};

use crate::{
    defaulting::{each, within},
    resource::rules::lists::present,
};

/// One feature of slices.
struct Feature {
    /// All of these gates have to be on.
    gates: &'static [&'static str],
    /// The fields of the spec that belong to it.
    spec: &'static [&'static str],
    /// The fields of each device.
    device: &'static [&'static str],
    /// The fields of each capacity of a device.
    capacity: &'static [&'static str],
}

const FEATURES: [Feature; 4] = [
    Feature { gates: &["DRADeviceTaints"], spec: &[], device: &["taints"], capacity: &[] },
    Feature {
        gates: &["DRAPartitionableDevices"],
        spec: &["sharedCounters", "perDeviceNodeSelection"],
        device: &["consumesCounters", "nodeName", "nodeSelector", "allNodes"],
        capacity: &[],
    },
    Feature {
        gates: &["DRADeviceBindingConditions", "DRAResourceClaimDeviceStatus"],
        spec: &[],
        device: &["bindingConditions", "bindingFailureConditions", "bindsToNode"],
        capacity: &[],
    },
    Feature {
        gates: &["DRAConsumableCapacity"],
        spec: &[],
        device: &["allowMultipleAllocations"],
        capacity: &["requestPolicy"],
    },
];

/// Takes out of `slice` what is behind a gate that is off, unless the old slice uses the feature already.
pub(super) fn drop_disabled(features: &Features, slice: &mut Value, old: Option<&Value>) {
    for feature in &FEATURES {
        let is_enabled = feature.gates.iter().all(|gate| features.is_enabled(gate));
        if !is_enabled && !old.is_some_and(|old| feature.is_in(old, is_used)) && feature.is_in(slice, is_sent) {
            feature.drop(slice);
        }
    }
}

impl Feature {
    /// Whether a field of it `is_there`.
    fn is_in(&self, slice: &Value, is_there: fn(&Value) -> bool) -> bool {
        let is_set = |object: &Value, field: &&str| present(object, field).is_some_and(is_there);
        slice.get("spec").is_some_and(|spec| self.spec.iter().any(|field| is_set(spec, field)))
            || slice.items_at(&["spec", "devices"]).iter().any(|device| {
                self.device.iter().any(|field| is_set(device, field))
                    || capacities(device).any(|capacity| self.capacity.iter().any(|field| is_set(capacity, field)))
            })
    }

    fn drop(&self, slice: &mut Value) {
        within(slice, &["spec"], |spec| unset(spec, self.spec));
        each(slice, &["spec", "devices"], |device| {
            unset(device, self.device);
            if !self.capacity.is_empty()
                && let Some(capacities) = device.at_mut(&["capacity"]).and_then(Value::as_object_mut)
            {
                capacities.iter_mut().for_each(|(_, capacity)| unset(capacity, self.capacity));
            }
        });
    }
}

/// An empty list is as good as none, but an empty text or a false truth was meant.
fn is_used(value: &Value) -> bool {
    value.as_array().is_none_or(|items| !items.is_empty())
}

/// Also an empty list goes: rules tell it from none.
fn is_sent(_: &Value) -> bool {
    true
}

fn capacities(device: &Value) -> impl Iterator<Item = &Value> {
    let capacities = device.get("capacity").and_then(Value::as_object);
    capacities.into_iter().flat_map(|map| map.iter()).map(|(_, capacity)| capacity)
}

fn unset(object: &mut Value, fields: &[&str]) {
    for field in fields {
        object.unset(&[field]);
    }
}
