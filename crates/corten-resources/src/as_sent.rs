//! The strategy of kinds that are stored as clients send them.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

/// Nothing is filled in or carried over: there are rules alone.
#[derive(Debug)]
pub(crate) struct AsSent {
    /// The rules of a new object.
    pub(crate) create: fn(&Value) -> ErrorList,
    /// The rules of the change from an old object, the second argument.
    pub(crate) update: fn(&Value, &Value) -> ErrorList,
}

impl Strategy for AsSent {
    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        (self.create)(object)
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        (self.update)(object, old)
    }
}
