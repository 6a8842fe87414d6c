//! A lease is made by its first update, and an update names the version it replaces: that is what makes it a lock.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{coordination::coordinated::GATE, tree::present};

/// The fields of elections that the control plane holds.
const COORDINATED: [&str; 2] = ["strategy", "preferredHolder"];

/// The lease itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, lease: &mut Value) {
        if !cx.features.is_enabled(GATE) {
            for field in COORDINATED {
                lease.unset(&["spec", field]);
            }
        }
    }

    fn prepare_for_update(&self, cx: &Context<'_>, lease: &mut Value, old: &Value) {
        if !cx.features.is_enabled(GATE) {
            // What is in use stays.
            for field in COORDINATED.into_iter().filter(|field| present(old, &["spec", field]).is_none()) {
                lease.unset(&["spec", field]);
            }
        }
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::spec(object)
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, _old: &Value) -> ErrorList {
        validation::spec(object)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
