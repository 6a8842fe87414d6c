//! Rules of resource slices.

mod attribute;
mod capacity;
mod device;
mod node_selection;

use std::collections::HashMap;

use corten_apimachinery::{
    Map, Value,
    field::{ErrorList, Path},
};

use self::node_selection::NodeSelection;
use crate::{
    report::Report,
    resource::rules::{
        lists::{each_entry, each_unique, is_true, present, text},
        names,
    },
};

/// How many devices a slice has.
const DEVICES_MAX: usize = 128;
/// How many, if some have taints or consume counters.
const COSTLY_DEVICES_MAX: usize = 64;
/// How many sets of counters a slice has.
const COUNTER_SETS_MAX: usize = 8;
/// How many counters a set has, or a device consumes of one.
const COUNTERS_MAX: usize = 32;
/// The longest name of a counter.
const COUNTER_NAME_MAX_BYTES: usize = 63;

/// Every rule that a slice breaks.
pub(super) fn validate(slice: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, empty) = (Path::new("spec"), Value::object());
    let spec = slice.get("spec").unwrap_or(&empty);
    let driver_at = path.child("driver");
    names::driver_name(text(spec, "driver"), &driver_at, &mut errors);
    pool(spec.get("pool").unwrap_or(&empty), &path.child("pool"), &mut errors);
    if let Some(old) = old {
        let fields: [(&[&str], Path); 3] = [
            (&["spec", "pool", "name"], path.child("pool").child("name")),
            (&["spec", "driver"], driver_at),
            (&["spec", "nodeName"], path.child("nodeName")),
        ];
        for (field, at) in fields {
            errors.immutable(&at, slice.at(field), old.at(field));
        }
    }
    NodeSelection::OfSlice.validate(spec, &path, &mut errors);
    let (devices, sets) = (spec.items_at(&["devices"]), spec.items_at(&["sharedCounters"]));
    // An empty list is one, too.
    if ["devices", "sharedCounters"].iter().all(|field| present(spec, field).is_some()) {
        errors.invalid(&path, "", "only one of `sharedCounters` or `devices` is allowed");
    }
    all_devices(devices, is_true(spec, "perDeviceNodeSelection"), old, &path.child("devices"), &mut errors);
    let at = path.child("sharedCounters");
    each_unique(sets, COUNTER_SETS_MAX, &at, &mut errors, counter_set, |set| text(set, "name"));
    errors
}

fn all_devices(devices: &[Value], per_device: bool, old: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    let is_costly = |device: &Value| {
        let lists = ["taints", "consumesCounters"];
        lists.iter().any(|list| !device.items_at(&[list]).is_empty())
    };
    let max = if devices.iter().any(is_costly) { COSTLY_DEVICES_MAX } else { DEVICES_MAX };
    let mut known: HashMap<&str, &Value> = HashMap::new();
    for device in old.map(|old| old.items_at(&["spec", "devices"])).unwrap_or_default() {
        known.entry(text(device, "name")).or_insert(device);
    }
    let check = |device: &Value, at: &Path, errors: &mut ErrorList| {
        device::validate(device, known.get(text(device, "name")).copied(), per_device, at, errors);
    };
    each_unique(devices, max, path, errors, check, |device| text(device, "name"));
}

fn pool(pool: &Value, path: &Path, errors: &mut ErrorList) {
    names::pool_name(text(pool, "name"), &path.child("name"), errors);
    let number = |field: &str| pool.i64_at(&[field]).unwrap_or_default();
    if number("resourceSliceCount") <= 0 {
        let detail = "must be greater than zero";
        errors.invalid(&path.child("resourceSliceCount"), number("resourceSliceCount"), detail);
    }
    if number("generation") < 0 {
        let detail = "must be greater than or equal to zero";
        errors.invalid(&path.child("generation"), number("generation"), detail);
    }
}

fn counter_set(set: &Value, path: &Path, errors: &mut ErrorList) {
    let (name, at) = (text(set, "name"), path.child("name"));
    if errors.require(&at, name) {
        names::label(name, &at, errors);
    }
    counters(set, path, errors);
}

/// The counters of a set, or those that a device consumes of one.
fn counters(object: &Value, path: &Path, errors: &mut ErrorList) {
    let (map, at) = (present(object, "counters").and_then(Value::as_object), path.child("counters"));
    if map.is_none_or(Map::is_empty) {
        errors.required(&at, "");
    }
    each_entry(map, COUNTERS_MAX, COUNTER_NAME_MAX_BYTES, &at, errors, |name, _, at, errors| {
        names::label(name, at, errors);
    });
}
