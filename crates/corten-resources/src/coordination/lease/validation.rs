//! Rules of leases.

use corten_api::coordination::v1::Lease;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
};

use crate::{
    coordination::coordinated,
    report::{NEGATIVE, Report, with_view},
    view::{or_default, text},
};

pub(super) fn spec(object: &Value) -> ErrorList {
    with_view(object, |lease: &Lease, errors| {
        let (path, spec) = (Path::new("spec"), or_default(&lease.spec));
        if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
            errors.invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0");
        }
        if let Some(transitions) = spec.lease_transitions.filter(|count| *count < 0) {
            errors.invalid(&path.child("leaseTransitions"), transitions, NEGATIVE);
        }
        if let Some(strategy) = &spec.strategy {
            coordinated::strategy(strategy, &path.child("strategy"), errors);
        }
        if !text(&spec.preferred_holder).is_empty() && text(&spec.strategy).is_empty() {
            let detail = "may only be specified if `strategy` is defined";
            errors.forbidden(&path.child("preferredHolder"), detail);
        }
    })
}
