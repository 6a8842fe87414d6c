//! Rules of what a pod's status says of containers that have ended: those that ended for good do not come back.
//!
//! Upstream: `ValidateContainerStateTransition` and its kin in pkg/apis/core/validation/validation.go,
//! `ContainerShouldRestart` in pkg/api/v1/pod/util.go (v1.35).

use std::collections::{BTreeMap, BTreeSet};

use corten_api::core::v1::{ContainerStatus, PodStatus};
use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::Context,
};

use crate::{core::pod_spec::gates::has_restart_rules, report::Report, tree::text_at, view::list};

/// Containers that run again although they have ended; `spec` is the stored one.
pub(super) fn validate(cx: &Context<'_>, new: &PodStatus, old: &PodStatus, spec: &Value, errors: &mut ErrorList) {
    let has_rules = cx.features.is_enabled("ContainerRestartRules") || has_restart_rules(spec);
    let all_may = has_rules && all_may_restart(spec);
    let path = Path::new("status");
    for (field, containers, new, old) in [
        ("containerStatuses", "containers", &new.container_statuses, &old.container_statuses),
        ("initContainerStatuses", "initContainers", &new.init_container_statuses, &old.init_container_statuses),
    ] {
        let old = list(old);
        if all_may || !old.iter().any(has_ended) {
            continue;
        }
        let by_name: BTreeMap<&str, &Value> =
            spec.items_at(&[containers]).iter().rev().map(|one| (text_at(one, &["name"]), one)).collect();
        let may_restart = |was: &ContainerStatus| {
            let (container, code) = (by_name.get(was.name.as_str()).copied(), exit_code(was));
            if has_rules {
                container.is_some_and(|container| restarts(container, spec, code))
            } else {
                let is_init = field == "initContainerStatuses";
                of_pod(spec, code)
                    || is_init && container.is_some_and(|one| text_at(one, &["restartPolicy"]) == "Always")
            }
        };
        stay_ended(list(new), old, may_restart, &path.child(field), errors);
    }
    let (new, old) = (list(&new.ephemeral_container_statuses), list(&old.ephemeral_container_statuses));
    stay_ended(new, old, |_| false, &path.child("ephemeralContainerStatuses"), errors);
}

/// Whether a rule of some container restarts all of them.
///
/// Its gate need not be asked: a rule that is stored keeps its meaning when the gate is switched off.
fn all_may_restart(spec: &Value) -> bool {
    let containers = ["containers", "initContainers"].into_iter().flat_map(|field| spec.items_at(&[field]));
    let mut rules = containers.flat_map(|container| container.items_at(&["restartPolicyRules"]));
    rules.any(|rule| text_at(rule, &["action"]) == "RestartAllContainers")
}

/// Whether a container that ended with this code is to run again: by the first of its rules that fits, by its own policy, or
/// by the pod's.
fn restarts(container: &Value, spec: &Value, exit_code: i64) -> bool {
    let mut rules = container.items_at(&["restartPolicyRules"]).iter();
    let fits = rules.find(|rule| {
        let codes = rule.items_at(&["exitCodes", "values"]);
        let is_listed = codes.iter().any(|code| code.as_i64() == Some(exit_code));
        match text_at(rule, &["exitCodes", "operator"]) {
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        }
    });
    if fits.is_some_and(|rule| text_at(rule, &["action"]) == "Restart") {
        return true;
    }
    match text_at(container, &["restartPolicy"]) {
        "Always" => true,
        "OnFailure" => exit_code != 0,
        "Never" => false,
        _ => of_pod(spec, exit_code),
    }
}

fn of_pod(spec: &Value, exit_code: i64) -> bool {
    match text_at(spec, &["restartPolicy"]) {
        "OnFailure" => exit_code != 0,
        policy => policy == "Always",
    }
}

fn has_ended(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.terminated.is_some())
}

fn exit_code(status: &ContainerStatus) -> i64 {
    let end = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    end.map(|end| end.exit_code.into()).unwrap_or_default()
}

fn stay_ended(
    new: &[ContainerStatus],
    old: &[ContainerStatus],
    may_restart: impl Fn(&ContainerStatus) -> bool,
    path: &Path,
    errors: &mut ErrorList,
) {
    let running: BTreeSet<&str> = new.iter().filter(|now| !has_ended(now)).map(|now| now.name.as_str()).collect();
    for (index, was) in old.iter().enumerate().filter(|(_, was)| has_ended(was)) {
        if running.contains(was.name.as_str()) && !may_restart(was) {
            errors.forbidden(&path.index(index).child("state"), "may not be transitioned to non-terminated state");
        }
    }
}
