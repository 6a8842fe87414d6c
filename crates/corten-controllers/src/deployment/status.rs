//! The status of a deployment: counts, and what its conditions say about its progress. Pure.
//!
//! Upstream: pkg/controller/deployment/progress.go and sync.go, calculateStatus (v1.35).

use std::time::Duration;

use corten_apimachinery::{
    meta::{ObjectMeta as _, format_time},
    value::Value,
};
use jiff::Timestamp;

use super::{
    plan,
    view::{Deployment, ReplicaSet},
};
use crate::{
    conditions,
    objects::{i32_at, time_at},
    replicaset::plan::REPLICA_FAILURE,
};

/// The condition about enough pods.
pub const AVAILABLE: &str = "Available";
/// The condition about the rollout.
pub const PROGRESSING: &str = "Progressing";
/// Nothing has moved for too long.
pub const TIMED_OUT: &str = "ProgressDeadlineExceeded";
/// All pods are new and available.
pub const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";
/// The deployment is paused.
pub const PAUSED: &str = "DeploymentPaused";

/// The status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeploymentStatus {
    /// The generation that it is about.
    pub observed_generation: i64,
    /// Pods.
    pub replicas: i32,
    /// Those of the newest ReplicaSet.
    pub updated: i32,
    /// Those that are ready.
    pub ready: i32,
    /// Those that have been ready for long enough.
    pub available: i32,
    /// Those that are wanted and not available.
    pub unavailable: i32,
    /// Pods on their way out; `None` as long as a ReplicaSet does not tell.
    pub terminating: Option<i32>,
    /// How often the hash of a template was taken.
    pub collisions: Option<i32>,
    /// The conditions.
    pub conditions: Vec<Value>,
}

impl DeploymentStatus {
    /// Reads it from the object.
    #[must_use]
    pub fn of(deployment: &Value) -> Self {
        let number = |field| i32_at(deployment, &["status", field]);
        let optional = |field| deployment.at(&["status", field]).map(|_| number(field));
        Self {
            observed_generation: deployment.i64_at(&["status", "observedGeneration"]).unwrap_or_default(),
            replicas: number("replicas"),
            updated: number("updatedReplicas"),
            ready: number("readyReplicas"),
            available: number("availableReplicas"),
            unavailable: number("unavailableReplicas"),
            terminating: optional("terminatingReplicas"),
            collisions: optional("collisionCount"),
            conditions: deployment.items_at(&["status", "conditions"]).to_vec(),
        }
    }

    /// As a tree.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut status = Value::object();
        let counts = [
            ("replicas", self.replicas),
            ("updatedReplicas", self.updated),
            ("readyReplicas", self.ready),
            ("availableReplicas", self.available),
            ("unavailableReplicas", self.unavailable),
        ];
        for (field, count) in counts.into_iter().filter(|(_, count)| *count != 0) {
            status.set(&[field], count);
        }
        for (field, count) in [("terminatingReplicas", self.terminating), ("collisionCount", self.collisions)] {
            if let Some(count) = count {
                status.set(&[field], count);
            }
        }
        if self.observed_generation != 0 {
            status.set(&["observedGeneration"], self.observed_generation);
        }
        if !self.conditions.is_empty() {
            status.set(&["conditions"], Value::array(self.conditions.iter().cloned()));
        }
        status
    }

    /// The condition about the rollout.
    #[must_use]
    pub fn progressing(&self) -> Option<&Value> {
        conditions::find(&self.conditions, PROGRESSING)
    }

    /// Sets a condition unless it says the same already; the time of its last transition stays when only its reason
    /// changed.
    pub fn set_condition(&mut self, mut condition: Value) {
        let kind = condition.str_at(&["type"]).unwrap_or_default().to_owned();
        if let Some(current) = conditions::find(&self.conditions, &kind) {
            if current.get("status") == condition.get("status") {
                if current.get("reason") == condition.get("reason") {
                    return;
                }
                keep_transition(&mut condition, current);
            }
            conditions::remove(&mut self.conditions, &kind);
        }
        self.conditions.push(condition);
    }
}

fn keep_transition(condition: &mut Value, current: &Value) {
    if let Some(time) = current.get("lastTransitionTime") {
        condition.set(&["lastTransitionTime"], time.clone());
    }
}

/// A condition of a deployment that changes now.
#[must_use]
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> Value {
    let mut condition = conditions::condition(kind, status, reason, message, now);
    condition.set(&["lastUpdateTime"], Value::String(format_time(now)));
    condition
}

fn reason(condition: &Value) -> &str {
    condition.str_at(&["reason"]).unwrap_or_default()
}

/// The counts, with the conditions of before and a fresh one about availability.
#[must_use]
pub fn counted(
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    old: &[ReplicaSet],
    now: Timestamp,
) -> DeploymentStatus {
    let all = || old.iter().chain(new);
    let sum = |field: &str| plan::sum(all().map(|set| set.status(field)));
    let wanted = plan::total(all());
    let available = sum("availableReplicas");
    let before = DeploymentStatus::of(&deployment.tree);
    let tells = |set: &ReplicaSet| set.tree.at(&["status", "terminatingReplicas"]).is_some();
    let mut status = DeploymentStatus {
        observed_generation: deployment.tree.generation(),
        replicas: sum("replicas"),
        updated: new.map_or(0, |new| new.status("replicas")),
        ready: sum("readyReplicas"),
        available,
        unavailable: wanted.saturating_sub(available).max(0),
        terminating: all().all(tells).then(|| sum("terminatingReplicas")),
        collisions: before.collisions,
        conditions: before.conditions,
    };
    let is_enough = available >= deployment.replicas() - deployment.max_unavailable();
    status.set_condition(if is_enough {
        condition(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message, now)
    });
    status
}

/// Whether all pods are new and available.
#[must_use]
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = deployment.replicas();
    status.updated == wanted
        && status.replicas == wanted
        && status.available == wanted
        && status.observed_generation >= deployment.tree.generation()
}

fn has_progressed(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    new.updated > old.updated
        || new.replicas.saturating_sub(new.updated) < old.replicas.saturating_sub(old.updated)
        || new.ready > old.ready
        || new.available > old.available
}

fn has_timed_out(deadline: Duration, status: &DeploymentStatus, now: Timestamp) -> bool {
    let Some(condition) = status.progressing() else { return false };
    match reason(condition) {
        // It has come through once; that pods fail later is no lack of progress.
        NEW_AVAILABLE => false,
        TIMED_OUT => true,
        _ => time_at(condition, &["lastUpdateTime"])
            .is_some_and(|since| since.saturating_add(deadline).is_ok_and(|end| end < now)),
    }
}

/// The status during a rollout: counts, progress against the deadline, and failures of ReplicaSets.
#[must_use]
pub fn rollout(
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    old: &[ReplicaSet],
    now: Timestamp,
) -> DeploymentStatus {
    let before = DeploymentStatus::of(&deployment.tree);
    let mut status = counted(deployment, new, old, now);
    match deployment.progress_deadline() {
        None => conditions::remove(&mut status.conditions, PROGRESSING),
        Some(deadline) => progress(deployment, deadline, &before, &mut status, new, now),
    }
    let failure =
        |set: &ReplicaSet| conditions::find(set.tree.items_at(&["status", "conditions"]), REPLICA_FAILURE).cloned();
    // The newest one's word counts more.
    match new.and_then(failure).or_else(|| old.iter().find_map(failure)) {
        None => conditions::remove(&mut status.conditions, REPLICA_FAILURE),
        Some(mut failure) => {
            let since = failure.get("lastTransitionTime").cloned().unwrap_or_default();
            failure.set(&["lastUpdateTime"], since);
            status.set_condition(failure);
        }
    }
    status
}

fn progress(
    deployment: &Deployment,
    deadline: Duration,
    before: &DeploymentStatus,
    status: &mut DeploymentStatus,
    new: Option<&ReplicaSet>,
    now: Timestamp,
) {
    let current = before.progressing();
    // A rollout that came through stays so, whatever becomes of its pods.
    if status.replicas == status.updated && current.is_some_and(|current| reason(current) == NEW_AVAILABLE) {
        return;
    }
    let subject = new.map_or_else(
        || format!("Deployment {:?}", deployment.tree.name()),
        |new| format!("ReplicaSet {:?}", new.name()),
    );
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        status.set_condition(condition(PROGRESSING, "True", NEW_AVAILABLE, &message, now));
    } else if has_progressed(before, status) {
        let message = format!("{subject} is progressing.");
        let mut condition = condition(PROGRESSING, "True", "ReplicaSetUpdated", &message, now);
        if let Some(current) = current {
            if current.str_at(&["status"]) == Some("True") {
                keep_transition(&mut condition, current);
            }
            // Replaced also if it says the same: its update time is what the deadline counts from.
            conditions::remove(&mut status.conditions, PROGRESSING);
        }
        status.set_condition(condition);
    } else if has_timed_out(deadline, status, now) {
        let message = format!("{subject} has timed out progressing.");
        status.set_condition(condition(PROGRESSING, "False", TIMED_OUT, &message, now));
    }
}

/// After what time the deployment has to be looked at for its deadline; `None` if nothing is due.
#[must_use]
pub fn deadline_in(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    let deadline = deployment.progress_deadline()?;
    let current = status.progressing()?;
    if is_complete(deployment, status) || reason(current) == TIMED_OUT || reason(current) == NEW_AVAILABLE {
        return None;
    }
    // Whoever may write the status may say that it moves last in the year 9999.
    let due = time_at(current, &["lastUpdateTime"])?.checked_add(deadline).ok()?;
    let rest = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    // One more second, since the time was cut to whole seconds and the deadline must have passed.
    Some(rest + Duration::from_secs(1))
}
