//! Limit ranges are stored as sent.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    meta::ObjectMeta as _,
    resource::{Context, Strategy},
};

use super::validation;

/// The limit range itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, range: &mut Value) {
        // One without a name is named by a random UUID, and the server has just drawn one.
        if range.name().is_empty() && range.generate_name().is_empty() {
            let uid = range.uid().to_owned();
            range.set_meta("name", uid);
        }
    }

    fn validate(&self, _cx: &Context<'_>, range: &Value) -> ErrorList {
        validation::validate(range)
    }

    fn validate_update(&self, _cx: &Context<'_>, range: &Value, _old: &Value) -> ErrorList {
        validation::validate(range)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}
