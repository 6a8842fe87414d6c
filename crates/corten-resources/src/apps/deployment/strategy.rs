//! What clients may change of a deployment through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::{
        gates, warnings,
        workload::{self, POD_SPEC},
    },
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// The deployment itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, deployment: &mut Value) {
        gates::drop_disabled(cx.features, deployment, None, POD_SPEC);
        deployment.set(&["status"], Value::object());
        first_generation(deployment);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, deployment: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, deployment, Some(old), POD_SPEC);
        keep(deployment, old, &["status"]);
        // Annotations are copied to replica sets, so the controller has to look at them too.
        next_generation(deployment, old, &[&["spec"], &["metadata", "annotations"]]);
    }

    fn validate(&self, cx: &Context<'_>, deployment: &Value) -> ErrorList {
        validation::main(cx, deployment, None)
    }

    fn validate_update(&self, cx: &Context<'_>, deployment: &Value, old: &Value) -> ErrorList {
        let mut errors = validation::main(cx, deployment, Some(old));
        workload::validate_same_selector(deployment, old, &mut errors);
        errors
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, deployment: &Value) -> Vec<String> {
        warnings::workload(deployment)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, deployment: &Value, old: &Value) -> Vec<String> {
        warnings::changed_template(deployment, old)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status = Status::new(|_cx, deployment, old| validation::status(deployment, old))
    .preparing(|cx, deployment, old| {
        keep(deployment, old, &["metadata", "labels"]);
        workload::TERMINATING.drop_from(cx.features, deployment, Some(old));
    })
    .resetting(&[&["spec"], &["metadata", "labels"]]);
