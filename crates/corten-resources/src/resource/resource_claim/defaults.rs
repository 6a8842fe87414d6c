//! Defaults of claims.

use corten_apimachinery::Value;

use crate::{
    defaulting::{each, within},
    resource::claim_spec::defaults,
};

pub(super) fn v1(claim: &mut Value) {
    within(claim, &["spec", "devices"], defaults::v1);
    results(claim);
}

pub(super) fn v1beta1(claim: &mut Value) {
    within(claim, &["spec", "devices"], defaults::v1beta1);
    results(claim);
}

fn results(claim: &mut Value) {
    each(claim, &["status", "allocation", "devices", "results"], defaults::tolerations);
}
