//! Claim templates are written once.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    defaulting::within,
    resource::claim_spec::gates::{InUse, drop_disabled},
};

/// Where the requests of the claims are.
pub(super) const DEVICES: &[&str] = &["spec", "spec", "devices"];

/// The template itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn compiles_expressions(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, cx: &Context<'_>, template: &mut Value) {
        let stays = InUse::default().or_enabled(cx.features);
        within(template, DEVICES, |devices| drop_disabled(devices, stays));
    }

    fn prepare_for_update(&self, cx: &Context<'_>, template: &mut Value, old: &Value) {
        let stays = InUse::of(old.at(DEVICES)).or_enabled(cx.features);
        within(template, DEVICES, |devices| drop_disabled(devices, stays));
    }

    fn validate(&self, cx: &Context<'_>, template: &Value) -> ErrorList {
        validation::create(cx, template)
    }

    fn validate_update(&self, _cx: &Context<'_>, template: &Value, old: &Value) -> ErrorList {
        validation::update(template, old)
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}
