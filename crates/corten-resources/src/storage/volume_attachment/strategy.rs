//! A wish is written once; who attaches says through `status` what became of it.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{rules::keep, status::Status};

/// The attachment itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, attachment: &mut Value) {
        attachment.set(&["status"], unattached());
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, attachment: &mut Value, old: &Value) {
        keep(attachment, old, &["status"]);
    }

    fn validate(&self, _cx: &Context<'_>, attachment: &Value) -> ErrorList {
        validation::create(attachment)
    }

    fn validate_update(&self, _cx: &Context<'_>, attachment: &Value, old: &Value) -> ErrorList {
        validation::update(attachment, old)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// The status of a new wish: the field is no pointer, and always written.
fn unattached() -> Value {
    Value::object_of([("attached", false.into())])
}

/// `status`: what became of the wish.
pub(super) static STATUS: Status = Status::new(|_cx, attachment, old| validation::update(attachment, old))
    .keeping_metadata()
    .versioned()
    .preparing(drop_error_codes);

/// The codes of errors stay only where they were before, unless their gate is on.
fn drop_error_codes(cx: &Context<'_>, attachment: &mut Value, old: &Value) {
    if cx.features.is_enabled("MutableCSINodeAllocatableCount") {
        return;
    }
    for error in ["attachError", "detachError"] {
        let code = ["status", error, "errorCode"];
        if old.at(&code).is_none_or(Value::is_null) {
            attachment.unset(&code);
        }
    }
}
