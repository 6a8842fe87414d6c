//! What clients may change of a deployment through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::{gates, warnings, workload},
    report::{LABEL_SELECTOR, Report},
    rules::{first_generation, keep, next_generation},
};

/// The deployment itself.
#[derive(Debug)]
pub(super) struct Main;

/// Where the pods of the template are described.
const TEMPLATE: &[&str] = &["spec", "template", "spec"];

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, deployment: &mut Value) {
        gates::drop_disabled(cx.features, deployment, None, TEMPLATE);
        deployment.set(&["status"], Value::object());
        first_generation(deployment);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, deployment: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, deployment, Some(old), TEMPLATE);
        keep(deployment, old, &["status"]);
        // Annotations are copied to replica sets, so the controller has to look at them too.
        next_generation(deployment, old, &[&["spec"], &["metadata", "annotations"]]);
    }

    fn validate(&self, cx: &Context<'_>, deployment: &Value) -> ErrorList {
        validation::create(cx, deployment)
    }

    fn validate_update(&self, cx: &Context<'_>, deployment: &Value, old: &Value) -> ErrorList {
        let mut errors = validation::create(cx, deployment);
        let selector = ["spec", "selector"];
        let at = Path::new("spec").child("selector");
        errors.immutable_struct(&at, LABEL_SELECTOR, deployment.at(&selector), old.at(&selector));
        errors
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, deployment: &Value) -> Vec<String> {
        warnings::workload(deployment)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, deployment: &Value, old: &Value) -> Vec<String> {
        // Only a changed template is worth repeating the advice.
        if deployment.generation() == old.generation() { Vec::new() } else { warnings::template(deployment) }
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, cx: &Context<'_>, deployment: &mut Value, old: &Value) {
        keep(deployment, old, &["spec"]);
        keep(deployment, old, &["metadata", "labels"]);
        workload::TERMINATING.drop_from(cx.features, deployment, Some(old));
    }

    fn validate(&self, _cx: &Context<'_>, _deployment: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, deployment: &Value, old: &Value) -> ErrorList {
        validation::status(deployment, old)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"], &["metadata", "labels"]]
    }
}
