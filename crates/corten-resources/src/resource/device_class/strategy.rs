//! Device classes count the generations of their spec.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    gates::Gated,
    rules::{first_generation, next_generation},
};

/// The name of an extended resource that stands for the class.
const EXTENDED: Gated = Gated::new(&["DRAExtendedResource"], &["spec.extendedResourceName"]);

/// The class itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn compiles_expressions(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, cx: &Context<'_>, class: &mut Value) {
        first_generation(class);
        EXTENDED.drop_from(cx.features, class, None);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, class: &mut Value, old: &Value) {
        EXTENDED.drop_from(cx.features, class, Some(old));
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
