//! Defaults of ingress classes.

use corten_apimachinery::Value;

use crate::defaulting::{fill_absent, within};

pub(super) fn v1(class: &mut Value) {
    within(class, &["spec", "parameters"], |parameters| fill_absent(parameters, "scope", "Cluster"));
}
