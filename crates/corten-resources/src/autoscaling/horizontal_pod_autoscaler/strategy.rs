//! What clients may change of an autoscaler through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{gates::Gated, rules::keep, status::Status};

/// The autoscaler itself.
#[derive(Debug)]
pub(super) struct Main;

/// How far off is near enough.
const TOLERANCE: Gated = Gated::new(
    &["HPAConfigurableTolerance"],
    &["spec.behavior.scaleUp.tolerance", "spec.behavior.scaleDown.tolerance"],
);

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, autoscaler: &mut Value) {
        let status = [("desiredReplicas", Value::Int(0)), ("currentMetrics", Value::Null)];
        autoscaler.set(&["status"], Value::object_of(status));
        TOLERANCE.drop_from(cx.features, autoscaler, None);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, autoscaler: &mut Value, old: &Value) {
        keep(autoscaler, old, &["status"]);
        TOLERANCE.drop_from(cx.features, autoscaler, Some(old));
    }

    fn validate(&self, cx: &Context<'_>, autoscaler: &Value) -> ErrorList {
        validation::check(cx, autoscaler, None)
    }

    fn validate_update(&self, cx: &Context<'_>, autoscaler: &Value, old: &Value) -> ErrorList {
        validation::check(cx, autoscaler, Some(old))
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status = Status::new(|_cx, autoscaler, _old| validation::status(autoscaler));
