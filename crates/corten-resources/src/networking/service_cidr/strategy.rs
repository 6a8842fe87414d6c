//! Ranges stay, but for a second family that may come. A write of the range may also set its status, as upstream's may:
//! its strategies name the fields to reset under a group that there is not, and reset none.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::rules::{keep, keep_metadata};

/// The range itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, range: &Value) -> ErrorList {
        validation::create(range)
    }

    fn validate_update(&self, _cx: &Context<'_>, range: &Value, old: &Value) -> ErrorList {
        validation::update(range, old)
    }
}

/// `status`: whether services get addresses of the range.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, range: &mut Value, old: &Value) {
        keep(range, old, &["spec"]);
        keep_metadata(range, old);
    }

    fn validate(&self, _cx: &Context<'_>, _range: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, _range: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }
}
