//! The `status` endpoint of kinds where it only keeps apart what clients say and what controllers report.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use crate::rules::{keep, keep_metadata};

/// A `status` endpoint: the spec stays, and an update names the version that it replaces.
#[derive(Debug)]
pub(crate) struct Status {
    /// The rules of a new status, and of the change from the old object.
    pub(crate) validate: fn(&Value, &Value) -> ErrorList,
    /// Whether labels, annotations and the like stay too.
    pub(crate) keeps_metadata: bool,
}

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, &["spec"]);
        if self.keeps_metadata {
            keep_metadata(object, old);
        }
    }

    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        (self.validate)(object, old)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        if self.keeps_metadata { &[&["metadata"], &["spec"]] } else { &[&["spec"]] }
    }
}
