//! A claim's spec is written once; who allocates, uses and drives its devices says so through `status`.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::{
    gates::{drop_of_spec, drop_of_status, keeps_device_status},
    validation::{self, device_id::DeviceId},
};
use crate::{rules::keep, status::Status};

/// The claim itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn compiles_expressions(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, cx: &Context<'_>, claim: &mut Value) {
        claim.set(&["status"], Value::object());
        drop_of_spec(cx.features, claim, None);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, claim: &mut Value, old: &Value) {
        keep(claim, old, &["status"]);
        drop_of_spec(cx.features, claim, Some(old));
    }

    fn validate(&self, cx: &Context<'_>, claim: &Value) -> ErrorList {
        validation::create(cx, claim)
    }

    fn validate_update(&self, _cx: &Context<'_>, claim: &Value, old: &Value) -> ErrorList {
        validation::update(claim, old)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// `status`: what the scheduler and the drivers report.
pub(super) static STATUS: Status =
    Status::new(|_cx, claim, old| validation::status(claim, old)).keeping_metadata().preparing(|cx, claim, old| {
        drop_of_status(cx.features, claim, old);
        if keeps_device_status(cx.features, old) {
            forget_deallocated(claim, old);
        }
    });

/// Takes out what drivers report of devices that the claim had and has no longer.
fn forget_deallocated(claim: &mut Value, old: &Value) {
    let results = |claim: &Value| claim.items_at(&["status", "allocation", "devices", "results"]).to_vec();
    let (now, before) = (results(claim), results(old));
    let mut gone: BTreeSet<DeviceId<'_>> = before.iter().map(DeviceId::of).collect();
    for result in &now {
        gone.remove(&DeviceId::of(result));
    }
    let path = ["status", "devices"];
    if gone.is_empty() || claim.items_at(&path).is_empty() {
        return;
    }
    if let Some(devices) = claim.at_mut(&path).and_then(Value::as_array_mut) {
        devices.retain(|device| !gone.contains(&DeviceId::of(device)));
    }
    if claim.items_at(&path).is_empty() {
        claim.unset(&path);
    }
}
