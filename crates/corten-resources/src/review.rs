//! Questions whose handler checks them itself, because it answers a bad one with `BadRequest`.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
    validation::is_path_segment_name,
};

/// The question.
#[derive(Debug)]
pub(crate) struct Unchecked;

impl Strategy for Unchecked {
    fn validate(&self, _cx: &Context<'_>, _review: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, _review: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }
}
