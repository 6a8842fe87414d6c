//! Rules of one device of a slice.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    value::semantically_equal,
};

use super::{attribute, capacity, counters, node_selection::NodeSelection};
use crate::{
    report::Report,
    resource::rules::{
        binding_conditions,
        lists::{each_entry, each_item, each_unique, is_true, present, text},
        names, taints,
    },
};

/// How many attributes and capacities a device has together.
const ATTRIBUTES_AND_CAPACITIES_MAX: usize = 32;
const TAINTS_MAX: usize = 16;
/// How many sets of counters a device consumes of.
const COUNTER_CONSUMPTIONS_MAX: usize = 2;

/// Every rule that a device breaks; `per_device` says that each device has nodes of its own. Taints that the old one had
/// as they are count as stored.
pub(super) fn validate(device: &Value, old: Option<&Value>, per_device: bool, path: &Path, errors: &mut ErrorList) {
    names::label(text(device, "name"), &path.child("name"), errors);
    let map = |field: &str| present(device, field).and_then(Value::as_object);
    let (attributes, capacities) = (map("attributes"), map("capacity"));
    let count = [attributes, capacities].into_iter().flatten().map(|map| map.len()).sum::<usize>();
    if count > ATTRIBUTES_AND_CAPACITIES_MAX {
        let detail =
            format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_AND_CAPACITIES_MAX}");
        errors.invalid(path, i64::try_from(count).unwrap_or(i64::MAX), detail);
    }
    let key_max_bytes = names::QUALIFIED_NAME_MAX_BYTES;
    let at = path.child("attributes");
    each_entry(attributes, usize::MAX, key_max_bytes, &at, errors, |name, attribute, at, errors| {
        names::qualified_name(name, at, errors);
        attribute::validate(attribute, at, errors);
    });
    let is_shared = is_true(device, "allowMultipleAllocations");
    let at = path.child("capacity");
    each_entry(capacities, usize::MAX, key_max_bytes, &at, errors, |name, capacity, at, errors| {
        names::qualified_name(name, at, errors);
        capacity::validate(capacity, is_shared, at, errors);
    });
    if old.is_none_or(|old| !semantically_equal(old.get("taints"), device.get("taints"))) {
        let at = path.child("taints");
        each_item(device.items_at(&["taints"]), TAINTS_MAX, &at, errors, |taint, at, errors| {
            taints::taint(taint, None, at, errors);
        });
    }
    let (consumed, at) = (device.items_at(&["consumesCounters"]), path.child("consumesCounters"));
    let key = |consumption| text(consumption, "counterSet");
    each_unique(consumed, COUNTER_CONSUMPTIONS_MAX, &at, errors, consumption, key);
    if per_device {
        NodeSelection::OfDevice.validate(device, path, errors);
    } else if ["nodeName", "nodeSelector", "allNodes"].iter().any(|field| present(device, field).is_some()) {
        let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true \
                      in the ResourceSlice spec";
        errors.invalid(path, Value::Null, detail);
    }
    binding_conditions(device, path, errors);
}

fn consumption(consumption: &Value, path: &Path, errors: &mut ErrorList) {
    let (set, at) = (text(consumption, "counterSet"), path.child("counterSet"));
    if errors.require(&at, set) {
        names::label(set, &at, errors);
    }
    counters(consumption, path, errors);
}
