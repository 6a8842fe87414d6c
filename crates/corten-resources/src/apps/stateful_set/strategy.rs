//! What clients may change of a stateful set through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::is_dns1123_label_prefixed,
};

use super::{defaults, validation};
use crate::{
    core::{
        persistent_volume_claim::spec_warnings,
        pod_spec::{gates, warnings, workload::POD_SPEC},
    },
    gates::Gated,
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// The stateful set itself.
#[derive(Debug)]
pub(super) struct Main;

const MAX_UNAVAILABLE: Gated =
    Gated::new(&["MaxUnavailableStatefulSet"], &["spec.updateStrategy.rollingUpdate.maxUnavailable"]);

/// With the gate it has a default; without, it stays only where it was before.
fn gate_max_unavailable(cx: &Context<'_>, set: &mut Value, old: Option<&Value>) {
    MAX_UNAVAILABLE.drop_from(cx.features, set, old);
    if MAX_UNAVAILABLE.is_on(cx.features) {
        defaults::max_unavailable(set);
    }
}

fn claim_warnings(set: &Value) -> Vec<String> {
    let path = Path::new("spec").child("volumeClaimTemplates");
    let claims = set.items_at(&["spec", "volumeClaimTemplates"]).iter().enumerate();
    let mut warnings: Vec<String> = claims
        .filter_map(|(index, claim)| Some(spec_warnings(claim.get("spec")?, &path.index(index).child("Spec"))))
        .flatten()
        .collect();
    if set.i64_at(&["spec", "revisionHistoryLimit"]).is_some_and(|limit| limit < 0) {
        let advice = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is \
                      recommended";
        warnings.push(advice.to_owned());
    }
    warnings
}

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, set: &mut Value) {
        gates::drop_disabled(cx.features, set, None, POD_SPEC);
        set.set(&["status"], Value::object_of([("replicas", Value::Int(0)), ("availableReplicas", Value::Int(0))]));
        first_generation(set);
        gate_max_unavailable(cx, set, None);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, set: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, set, Some(old), POD_SPEC);
        keep(set, old, &["status"]);
        gate_max_unavailable(cx, set, Some(old));
        next_generation(set, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, set: &Value) -> ErrorList {
        validation::create(cx, set)
    }

    fn validate_update(&self, cx: &Context<'_>, set: &Value, old: &Value) -> ErrorList {
        validation::update(cx, set, old)
    }

    // Pods and their host names begin with it.
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        is_dns1123_label_prefixed(name, prefix)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, set: &Value) -> Vec<String> {
        let mut warnings = warnings::template(set);
        warnings.extend(claim_warnings(set));
        warnings
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, set: &Value, old: &Value) -> Vec<String> {
        let mut warnings = warnings::changed_template(set, old);
        warnings.extend(claim_warnings(set));
        warnings
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status = Status::new(|_cx, set, old| validation::status(set, old));
