//! A version that this server answers for itself is available from the beginning; others are when somebody has seen it.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    meta::format_time,
    resource::{Context, Strategy},
    validation::is_path_segment_name_prefixed,
};

use super::validation;
use crate::{rules::keep, status::Status, tree::present};

/// The API service itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, object: &mut Value) {
        object.set(&["status"], Value::object());
        if present(object, &["spec", "service"]).is_none() {
            let condition = Value::object_of([
                ("type", Value::from("Available")),
                ("status", "True".into()),
                ("lastTransitionTime", format_time(cx.now).into()),
                ("reason", "Local".into()),
                ("message", "Local APIServices are always available".into()),
            ]);
            object.set(&["status", "conditions"], vec![condition]);
        }
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::api_service(object)
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        validation::api_service(object)
    }

    /// That it is the version's and the group's is a rule of the object.
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        is_path_segment_name_prefixed(name, prefix)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status = Status::new(|_cx, object, _old| validation::status(object))
    .versioned()
    .preparing(|_cx, object, old| {
        for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
            keep(object, old, &["metadata", field]);
        }
    })
    .resetting(&[&["metadata"], &["spec"]]);
