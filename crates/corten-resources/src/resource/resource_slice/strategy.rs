//! Slices count the generations of their spec, which their driver writes.

use corten_apimachinery::{
    Value,
    field::{ErrorList, quote},
    resource::{Context, Strategy},
};

use super::{gates::drop_disabled, validation};
use crate::{
    defaulting::each,
    resource::rules::taints,
    rules::{first_generation, next_generation},
};

/// The slice itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, slice: &mut Value) {
        stamp_taints(cx, slice);
        first_generation(slice);
        drop_disabled(cx.features, slice, None);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, slice: &mut Value, old: &Value) {
        stamp_taints(cx, slice);
        next_generation(slice, old, &[&["spec"]]);
        drop_disabled(cx.features, slice, Some(old));
    }

    fn validate(&self, _cx: &Context<'_>, slice: &Value) -> ErrorList {
        validation::validate(slice, None)
    }

    fn validate_update(&self, _cx: &Context<'_>, slice: &Value, old: &Value) -> ErrorList {
        validation::validate(slice, Some(old))
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, slice: &Value) -> Vec<String> {
        warnings(slice)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, slice: &Value, _old: &Value) -> Vec<String> {
        warnings(slice)
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

fn stamp_taints(cx: &Context<'_>, slice: &mut Value) {
    let devices = slice.items_at(&["spec", "devices"]);
    if devices.iter().all(|device| device.items_at(&["taints"]).is_empty()) {
        return;
    }
    each(slice, &["spec", "devices"], |device| {
        each(device, &["taints"], |taint| taints::stamp(cx, taint));
    });
}

fn warnings(slice: &Value) -> Vec<String> {
    let driver = slice.str_at(&["spec", "driver"]).unwrap_or_default();
    if driver == driver.to_lowercase() {
        return Vec::new();
    }
    let driver = quote(driver);
    vec![format!("spec.driver: driver names should be lowercase; {driver} contains uppercase characters")]
}
