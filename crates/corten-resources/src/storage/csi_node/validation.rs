//! Rules of CSI nodes.

use std::collections::{BTreeSet, HashMap};

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    resource::Context,
    validation::is_qualified_name,
};

use crate::{
    core::pod_spec::validation::csi_driver,
    report::{Report, twice},
    view::Seen,
};

/// The longest name that a driver has for a node.
const NODE_ID_MAX_BYTES: usize = 256;

fn drivers(node: &Value) -> &[Value] {
    node.items_at(&["spec", "drivers"])
}

fn name(driver: &Value) -> &str {
    driver.str_at(&["name"]).unwrap_or_default()
}

pub(super) fn create(node: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("drivers");
    let mut names = Seen::default();
    for (index, driver) in drivers(node).iter().enumerate() {
        if errors.is_full() {
            break;
        }
        one(driver, &mut names, &path.index(index), &mut errors);
    }
    errors
}

fn one(driver: &Value, names: &mut Seen, path: &Path, errors: &mut ErrorList) {
    csi_driver(name(driver), &path.child("name"), errors);
    let (id, id_at) = (driver.str_at(&["nodeID"]).unwrap_or_default(), path.child("nodeID"));
    errors.require(&id_at, id);
    if id.len() > NODE_ID_MAX_BYTES {
        errors.invalid(&id_at, id, format!("must be {NODE_ID_MAX_BYTES} characters or less"));
    }
    if let Some(count) = driver.i64_at(&["allocatable", "count"]) {
        errors.non_negative(&path.child("allocatable").child("count"), count);
    }
    if !names.is_new(name(driver)) {
        errors.push_with(|| Error::duplicate(&path.child("name"), name(driver)));
    }
    let mut keys = BTreeSet::new();
    for key in driver.items_at(&["topologyKeys"]).iter().filter_map(Value::as_str) {
        errors.require(path, key);
        if !keys.insert(key) {
            errors.push_with(|| Error::duplicate(path, key));
        }
        errors.invalids(path, key, is_qualified_name(key));
    }
}

pub(super) fn update(cx: &Context<'_>, node: &Value, old: &Value) -> ErrorList {
    let mut errors = twice(create(node));
    let without_count = |driver: &Value| {
        let mut driver = driver.clone();
        if cx.features.is_enabled("MutableCSINodeAllocatableCount") {
            driver.unset(&["allocatable"]);
        }
        driver
    };
    let before: HashMap<&str, (usize, &Value)> =
        drivers(old).iter().enumerate().map(|(at, driver)| (name(driver), (at, driver))).collect();
    let known = drivers(node).iter().filter_map(|driver| before.get(name(driver)).map(|(at, was)| (*at, *was, driver)));
    let mut kept: Vec<(usize, &Value, &Value)> = known.collect();
    // In the order of the old ones, as upstream reports them.
    kept.sort_by_key(|(at, _, _)| *at);
    let path = Path::new("spec").child("drivers");
    for (_, was, driver) in kept {
        errors.immutable_struct(
            &path,
            "io.k8s.api.storage.v1.CSINodeDriver",
            Some(&without_count(driver)),
            Some(&without_count(was)),
        );
    }
    errors
}
