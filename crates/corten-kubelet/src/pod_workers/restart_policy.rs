//! Whether a container that ended is to run again: the pod's policy, the container's own, and its rules.
//!
//! Pure. Upstream: pkg/api/v1/pod `ContainerShouldRestart` (v1.35, gate `ContainerRestartRules`).

use corten_api::core::v1::{Container, Pod};
use corten_cri::api::ContainerStatus;

use crate::{
    interfaces::{ContainerKind, ContainerRef},
    pleg::records::{is_exited, is_running},
};

/// Whether `container` runs again after it ended with `exit_code`.
#[must_use]
pub fn restarts_after(pod: &Pod, container: &Container, exit_code: i32) -> bool {
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|value| *value == exit_code);
        let matches = match codes.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        if matches && rule.action == "Restart" {
            return true;
        }
    }
    match policy(pod, container) {
        "Always" => true,
        "OnFailure" => exit_code != 0,
        _ => false,
    }
}

/// Whether a container that runs is started anew once it has been killed: the word of its policy alone, since there is no
/// exit code yet that a rule could look at. Once it has ended, `restarts_after` decides. Upstream: `computePodActions`.
#[must_use]
pub fn restarts_when_killed(pod: &Pod, container: &Container) -> bool {
    policy(pod, container) != "Never"
}

/// The container's own policy, or else the pod's.
fn policy<'a>(pod: &'a Pod, container: &'a Container) -> &'a str {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    container.restart_policy.as_deref().or(of_pod).unwrap_or("Always")
}

/// Whether a container is to be started, seeing its newest record. One that was made and never started is started anew;
/// nothing is started in a pod that goes.
#[must_use]
pub fn should_start(pod: &Pod, container: &ContainerRef, latest: Option<&ContainerStatus>) -> bool {
    let going = pod.metadata.deletion_timestamp.is_some();
    let Some(latest) = latest else { return !going };
    if going || is_running(latest) {
        return false;
    }
    if !is_exited(latest) {
        return true;
    }
    match container.kind {
        ContainerKind::Ephemeral => false,
        // Without an own policy, an init container that succeeded has done its work.
        ContainerKind::Init if !container.is_sidecar() && latest.exit_code == 0 => false,
        ContainerKind::Init | ContainerKind::Ordinary => restarts_after(pod, &container.spec, latest.exit_code),
    }
}
