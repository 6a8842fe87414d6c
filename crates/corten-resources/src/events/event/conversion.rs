//! Both forms of an event hold the same under different names.

use corten_apimachinery::Value;

/// (name in events.k8s.io, name in the core group)
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// Fields that the core group always writes, so that an event without them looks as if it had been made there.
const ALWAYS_IN_CORE: [&str; 2] = ["involvedObject", "source"];

pub(super) fn to_core(event: &mut Value) {
    for (here, core) in NAMES {
        rename(event, here, core);
    }
    for field in ALWAYS_IN_CORE {
        event.at_or_insert(&[field]);
        if event.get(field).is_some_and(Value::is_null) {
            event.set(&[field], Value::object());
        }
    }
}

pub(super) fn from_core(event: &mut Value) {
    for (here, core) in NAMES {
        rename(event, core, here);
    }
}

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(value) = object.unset(&[from]) {
        object.set(&[to], value);
    }
}
