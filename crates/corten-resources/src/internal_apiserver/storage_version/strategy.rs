//! Everything is in the status, which API servers write.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{rules::keep, status::Status};

/// The storage version itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, object: &mut Value) {
        object.set(&["status"], Value::object());
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::status(object)
    }

    fn validate_update(&self, _cx: &Context<'_>, _object: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        validation::name(name)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status =
    Status::new(|_cx, object, _old| validation::status(object)).keeping_metadata().versioned();
