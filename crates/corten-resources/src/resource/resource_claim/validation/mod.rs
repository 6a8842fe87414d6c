//! Rules of claims.

pub(super) mod device_id;

mod allocation;
mod device_status;

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::Context,
    value::Ordered,
};

use self::device_id::DeviceId;
use crate::{
    report::Report,
    resource::{
        claim_spec::{requests::Requests, validation},
        rules::lists::{each_unique, present, text},
    },
};

/// How many can use a claim.
const RESERVED_FOR_MAX: usize = 256;

pub(super) fn create(cx: &Context<'_>, claim: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let empty = Value::object();
    let devices = claim.at(&["spec", "devices"]).unwrap_or(&empty);
    validation::devices(devices, cx.features, &Path::new("spec").child("devices"), &mut errors);
    errors
}

pub(super) fn update(claim: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.immutable_struct(
        &Path::new("spec"),
        "io.k8s.api.resource.v1.ResourceClaimSpec",
        claim.get("spec"),
        old.get("spec"),
    );
    errors
}

pub(super) fn status(claim: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let empty = Value::object();
    let requests = Requests::of(claim.at(&["spec", "devices"]).unwrap_or(&empty));
    let (status, was) = (claim.get("status").unwrap_or(&empty), old.get("status").unwrap_or(&empty));
    let path = Path::new("status");
    let reserved_at = path.child("reservedFor");
    let reserved = status.items_at(&["reservedFor"]);
    each_unique(reserved, RESERVED_FOR_MAX, &reserved_at, &mut errors, consumer, |item| text(item, "uid"));

    let allocated: BTreeSet<DeviceId<'_>> =
        status.items_at(&["allocation", "devices", "results"]).iter().map(DeviceId::of).collect();
    let check = |device: &Value, at: &Path, errors: &mut ErrorList| {
        device_status::validate(device, &allocated, at, errors);
    };
    let devices = status.items_at(&["devices"]);
    each_unique(devices, usize::MAX, &path.child("devices"), &mut errors, check, DeviceId::of);

    let allocation = present(status, "allocation");
    if !reserved.is_empty() {
        if allocation.is_none() {
            errors.forbidden(&reserved_at, "may not be specified when `allocated` is not set");
        } else if claim.deletion_timestamp().is_some() && has_new(reserved, was.items_at(&["reservedFor"])) {
            let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.forbidden(&reserved_at, detail);
        }
    }
    let at = path.child("allocation");
    match (allocation, present(was, "allocation")) {
        // What is there already was checked by the rules of its time, which may have been looser.
        (Some(_), Some(_)) => {
            errors.immutable_struct(&at, "io.k8s.api.resource.v1.AllocationResult", allocation, was.get("allocation"))
        }
        (Some(allocation), None) => allocation::validate(allocation, &requests, &at, &mut errors),
        (None, _) => {}
    }
    errors
}

fn consumer(reference: &Value, path: &Path, errors: &mut ErrorList) {
    for field in ["resource", "name", "uid"] {
        errors.require(&path.child(field), text(reference, field));
    }
}

fn has_new(items: &[Value], old: &[Value]) -> bool {
    let old: BTreeSet<Ordered<&Value>> = old.iter().map(Ordered).collect();
    items.iter().any(|item| !old.contains(&Ordered(item)))
}
