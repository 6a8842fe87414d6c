//! CSI nodes are stored as sent.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;

/// The drivers of a node.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, node: &Value) -> ErrorList {
        validation::create(node)
    }

    fn validate_update(&self, cx: &Context<'_>, node: &Value, old: &Value) -> ErrorList {
        validation::update(cx, node, old)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}
