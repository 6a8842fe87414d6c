//! Device classes count the generations of their spec.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::rules::{first_generation, next_generation};

/// The name of an extended resource that stands for the class.
const EXTENDED: &[&str] = &["spec", "extendedResourceName"];

/// The class itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, class: &mut Value) {
        first_generation(class);
        drop_disabled(cx, class, None);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, class: &mut Value, old: &Value) {
        drop_disabled(cx, class, Some(old));
        next_generation(class, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, class: &Value) -> ErrorList {
        validation::validate(class, None, cx.features)
    }

    fn validate_update(&self, cx: &Context<'_>, class: &Value, old: &Value) -> ErrorList {
        validation::validate(class, Some(old), cx.features)
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

fn drop_disabled(cx: &Context<'_>, class: &mut Value, old: Option<&Value>) {
    let is_used = old.and_then(|old| old.at(EXTENDED)).is_some_and(|name| !name.is_null());
    if !is_used && !cx.features.is_enabled("DRAExtendedResource") {
        class.unset(EXTENDED);
    }
}
