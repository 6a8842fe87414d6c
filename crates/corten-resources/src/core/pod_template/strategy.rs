//! What clients may change of a pod template: everything.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::{gates, warnings},
    rules::{first_generation, next_generation},
};

/// The pod template itself.
#[derive(Debug)]
pub(super) struct Main;

/// Where the pods of the template are described.
const TEMPLATE: &[&str] = &["template", "spec"];

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, object: &mut Value) {
        gates::drop_disabled(cx.features, object, None, TEMPLATE);
        first_generation(object);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, object, Some(old), TEMPLATE);
        next_generation(object, old, &[&["template"]]);
    }

    fn validate(&self, cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::main(cx, object, None)
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        validation::main(cx, object, Some(old))
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, object: &Value) -> Vec<String> {
        advice(object)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> Vec<String> {
        // Only a changed template is worth repeating the advice.
        if object.generation() == old.generation() { Vec::new() } else { advice(object) }
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

fn advice(object: &Value) -> Vec<String> {
    object.get("template").map(|template| warnings::of_template(template, &Path::new("template"))).unwrap_or_default()
}
