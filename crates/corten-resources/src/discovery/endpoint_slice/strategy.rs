//! Endpoint slices have no spec: every change but of metadata makes a new generation.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::rules::{first_generation, next_generation};

/// The endpoint slice itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, slice: &mut Value) {
        first_generation(slice);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, slice: &mut Value, old: &Value) {
        let counted: &[&[&str]] =
            &[&["addressType"], &["endpoints"], &["ports"], &["metadata", "labels"], &["metadata", "annotations"]];
        next_generation(slice, old, counted);
    }

    fn validate(&self, _cx: &Context<'_>, slice: &Value) -> ErrorList {
        validation::create(slice)
    }

    fn validate_update(&self, _cx: &Context<'_>, slice: &Value, old: &Value) -> ErrorList {
        validation::update(slice, old)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}
