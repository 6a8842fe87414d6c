//! What clients may change of a pod template: everything.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::warnings::pod_spec,
    rules::{first_generation, next_generation},
};

/// The pod template itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, object: &mut Value) {
        first_generation(object);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        next_generation(object, old, &[&["template"]]);
    }

    fn validate(&self, cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::create(cx, object)
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        validation::create(cx, object)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, object: &Value) -> Vec<String> {
        warnings(object)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> Vec<String> {
        // Only a changed template is worth repeating the advice.
        if object.generation() == old.generation() { Vec::new() } else { warnings(object) }
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

fn warnings(object: &Value) -> Vec<String> {
    let path = Path::new("template").child("spec");
    object.at(&["template", "spec"]).map(|spec| pod_spec(spec, &path)).unwrap_or_default()
}
