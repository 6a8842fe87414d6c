//! The phase of a pod, from the statuses of its containers.
//!
//! Pure. Upstream: pkg/kubelet/kubelet_pods.go `getPhase` (v1.35).

use corten_api::core::v1::{Container, ContainerStatus, Pod};

use super::conditions::is_sidecar;
use crate::pod_workers::restart_policy::restarts_after;

/// What a status says about a container.
enum Seen {
    Running {
        started: bool,
    },
    /// Ended, or waiting after an end.
    Ended {
        exit_code: i32,
        waits: bool,
    },
    /// Waits for its first start.
    Waiting,
    Unknown,
}

fn see(statuses: &[ContainerStatus], name: &str) -> Seen {
    let Some(status) = statuses.iter().find(|status| status.name == name) else { return Seen::Unknown };
    let Some(state) = &status.state else { return Seen::Unknown };
    if state.running.is_some() {
        return Seen::Running { started: status.started == Some(true) };
    }
    if let Some(terminated) = &state.terminated {
        return Seen::Ended { exit_code: terminated.exit_code, waits: false };
    }
    match status.last_state.as_ref().and_then(|last| last.terminated.as_ref()) {
        Some(terminated) => Seen::Ended { exit_code: terminated.exit_code, waits: true },
        None => Seen::Waiting,
    }
}

/// The phase. `is_over`: nothing is started any more. `has_initialized`: an ordinary container has run.
#[must_use]
pub(super) fn phase(pod: &Pod, statuses: &[ContainerStatus], is_over: bool, has_initialized: bool) -> &'static str {
    let Some(spec) = &pod.spec else { return "Pending" };
    let init = || spec.init_containers.iter().flatten();
    let again = |container: &Container, exit_code| restarts_after(pod, container, exit_code);
    let mut pending = false;
    for container in init().filter(|container| !is_sidecar(container)) {
        match see(statuses, &container.name) {
            Seen::Ended { exit_code: 0, .. } => {}
            Seen::Ended { exit_code, .. } if !again(container, exit_code) => return "Failed",
            Seen::Ended { .. } => {}
            Seen::Running { .. } | Seen::Waiting | Seen::Unknown => pending = true,
        }
    }
    let (mut unknown, mut running, mut waiting) = (0, 0, 0);
    for container in init().filter(|container| is_sidecar(container)) {
        match see(statuses, &container.name) {
            Seen::Running { started } => {
                pending |= !started && !has_initialized;
                running += 1;
            }
            // A sidecar that has ended says nothing about the pod.
            Seen::Ended { .. } => {}
            Seen::Waiting => {
                pending |= !has_initialized;
                waiting += 1;
            }
            Seen::Unknown => unknown += 1,
        }
    }
    let (mut stopped, mut succeeded, mut restarting) = (0, 0, 0);
    for container in &spec.containers {
        match see(statuses, &container.name) {
            Seen::Running { .. } => running += 1,
            Seen::Ended { exit_code, waits } => {
                stopped += 1;
                restarting += usize::from(again(container, exit_code));
                succeeded += usize::from(exit_code == 0 && !waits);
            }
            Seen::Waiting => waiting += 1,
            Seen::Unknown => unknown += 1,
        }
    }
    if pending || waiting > 0 || unknown > 0 || (running == 0 && stopped == 0) {
        return "Pending";
    }
    if running > 0 || (restarting > 0 && !is_over) {
        return "Running";
    }
    if stopped == succeeded { "Succeeded" } else { "Failed" }
}
