//! Rules of leases.

use corten_api::coordination::v1::Lease;
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    validation::is_qualified_name,
};

use crate::{
    report::{NEGATIVE, Report, with_view},
    view::or_default,
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
        let strategy = spec.strategy.as_deref().unwrap_or_default();
        if !matches!(strategy, "" | "OldestEmulationVersion") {
            errors.invalids(&path.child("strategy"), strategy, is_qualified_name(strategy));
        }
        if let Some(holder) =
            spec.preferred_holder.as_deref().filter(|holder| !holder.is_empty() && strategy.is_empty())
        {
            let detail = "may only be specified if `strategy` is defined";
            errors.invalid(&path.child("preferredHolder"), holder, detail);
        }
    })
}
