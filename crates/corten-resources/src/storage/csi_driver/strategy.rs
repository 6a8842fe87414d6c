//! CSI drivers count the generations of their spec.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    gates::Gated,
    rules::{first_generation, next_generation},
};

/// Fields behind gates.
const GATED: [Gated; 3] = [
    Gated::new(&["SELinuxMountReadWriteOncePod"], &["spec.seLinuxMount"]),
    Gated::new(&["MutableCSINodeAllocatableCount"], &["spec.nodeAllocatableUpdatePeriodSeconds"]),
    Gated::new(&["CSIServiceAccountTokenSecrets"], &["spec.serviceAccountTokenInSecrets"]),
];

/// The driver itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, driver: &mut Value) {
        drop_disabled(cx, driver, None);
        first_generation(driver);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, driver: &mut Value, old: &Value) {
        drop_disabled(cx, driver, Some(old));
        next_generation(driver, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, driver: &Value) -> ErrorList {
        validation::create(cx, driver)
    }

    fn validate_update(&self, cx: &Context<'_>, driver: &Value, old: &Value) -> ErrorList {
        validation::update(cx, driver, old)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

fn drop_disabled(cx: &Context<'_>, driver: &mut Value, old: Option<&Value>) {
    GATED.iter().for_each(|gated| gated.drop_from(cx.features, driver, old));
}
