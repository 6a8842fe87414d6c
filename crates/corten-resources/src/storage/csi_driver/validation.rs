//! Rules of CSI drivers.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    resource::Context,
};

use crate::report::Report;

const FS_GROUP_POLICIES: &[&str] = &["File", "None", "ReadWriteOnceWithFSType"];
const LIFECYCLE_MODES: &[&str] = &["Persistent", "Ephemeral"];
/// How long tokens are valid.
const TOKEN_MIN_SECONDS: i64 = 10 * 60;
const TOKEN_MAX_SECONDS: i64 = 1 << 32;
/// How often a driver is asked how many volumes fit on a node, at most.
const ALLOCATABLE_UPDATE_MIN_SECONDS: i64 = 10;

pub(super) fn create(cx: &Context<'_>, driver: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let is_absent = |field: &str| driver.at(&["spec", field]).is_none_or(Value::is_null);
    // Upstream's path of the first is misspelled.
    for (field, shown) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if is_absent(field) {
            errors.required(&path.child(shown), "");
        }
    }
    if let Some(policy) = driver.str_at(&["spec", "fsGroupPolicy"]) {
        errors.one_of(&path.child("fsGroupPolicy"), policy, FS_GROUP_POLICIES);
    }
    let requests = driver.items_at(&["spec", "tokenRequests"]);
    token_requests(requests, &path.child("tokenRequests"), &mut errors);
    for mode in driver.items_at(&["spec", "volumeLifecycleModes"]).iter().filter_map(Value::as_str) {
        errors.one_of(&path.child("volumeLifecycleModes"), mode, LIFECYCLE_MODES);
    }
    if is_absent("seLinuxMount") && cx.features.is_enabled("SELinuxMountReadWriteOncePod") {
        errors.required(&path.child("seLinuxMount"), "");
    }
    let field = "nodeAllocatableUpdatePeriodSeconds";
    if let Some(seconds) = driver.i64_at(&["spec", field]).filter(|seconds| *seconds < ALLOCATABLE_UPDATE_MIN_SECONDS) {
        errors.invalid(&path.child(field), seconds, "must be greater than or equal to 10 seconds");
    }
    let field = "serviceAccountTokenInSecrets";
    if let Some(truth) = driver.bool_at(&["spec", field])
        && requests.is_empty()
    {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        errors.invalid(&path.child(field), truth, detail);
    }
    errors
}

fn token_requests(requests: &[Value], path: &Path, errors: &mut ErrorList) {
    let mut audiences = BTreeSet::new();
    for (index, request) in requests.iter().enumerate() {
        let at = path.index(index);
        let audience = request.str_at(&["audience"]).unwrap_or_default();
        if !audiences.insert(audience) {
            errors.push_with(|| Error::duplicate(&at.child("audience"), audience));
            continue;
        }
        let at = at.child("expirationSeconds");
        match request.i64_at(&["expirationSeconds"]) {
            Some(seconds) if seconds < TOKEN_MIN_SECONDS => {
                errors.invalid(&at, seconds, "may not specify a duration less than 10 minutes");
            }
            Some(seconds) if seconds > TOKEN_MAX_SECONDS => {
                errors.invalid(&at, seconds, "may not specify a duration larger than 2^32 seconds");
            }
            _ => {}
        }
    }
}

pub(super) fn update(cx: &Context<'_>, driver: &Value, old: &Value) -> ErrorList {
    let mut errors = create(cx, driver);
    for (field, shown) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        let field = ["spec", field];
        errors.immutable(&Path::new("spec").child(shown), driver.at(&field), old.at(&field));
    }
    errors
}
