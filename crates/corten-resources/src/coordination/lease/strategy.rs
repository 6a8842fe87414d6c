//! A lease is made by its first update, and an update names the version it replaces: that is what makes it a lock.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{coordination::coordinated::GATE, gates::Gated};

/// The fields of elections that the control plane holds.
const COORDINATED: [Gated; 2] =
    [Gated::new(&[GATE], &["spec.strategy"]), Gated::new(&[GATE], &["spec.preferredHolder"])];

/// The lease itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, lease: &mut Value) {
        COORDINATED.iter().for_each(|gated| gated.drop_from(cx.features, lease, None));
    }

    fn prepare_for_update(&self, cx: &Context<'_>, lease: &mut Value, old: &Value) {
        COORDINATED.iter().for_each(|gated| gated.drop_from(cx.features, lease, Some(old)));
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
