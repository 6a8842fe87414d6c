//! Workloads are stored as sent; their groups do not change.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;

/// The workload itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, workload: &Value) -> ErrorList {
        validation::create(workload)
    }

    fn validate_update(&self, _cx: &Context<'_>, workload: &Value, old: &Value) -> ErrorList {
        validation::update(workload, old)
    }
}
