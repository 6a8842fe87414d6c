//! What the scheduler writes, and how what cycles decided is sent out.

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::status::Status as ApiStatus;
use corten_base::ErrorChain;
use futures::future;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::decisions::{Outcome, Room, Write};
use crate::{cache::PodInfo, framework::plugin::Binding};

/// Longer messages are cut, as upstream does before it records them.
const MESSAGE_MAX: usize = 1_024;

/// What the scheduler writes.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Binds a pod to a node.
    async fn bind(&self, binding: &Binding) -> Result<(), ApiStatus>;

    /// Writes that the pod is not scheduled: its condition `PodScheduled` is False for `reason`. With `nominated`, writes
    /// the node that room is made on, too; the empty name clears it.
    async fn set_unscheduled(
        &self,
        pod: &PodInfo,
        reason: &str,
        message: &str,
        nominated: Option<&str>,
    ) -> Result<(), ApiStatus>;

    /// Writes that no room is made for the pod any more.
    async fn clear_nomination(&self, pod: &PodInfo) -> Result<(), ApiStatus>;

    /// Deletes a pod to make room for another, and says so in its conditions before. Nothing to do if it is gone.
    async fn preempt(&self, victim: &PodInfo, preemptor: &PodInfo) -> Result<(), ApiStatus>;

    /// Records an event about the pod.
    async fn record(&self, pod: &PodInfo, event: SchedulingEvent<'_>) -> Result<(), ApiStatus>;
}

/// An event about a pod.
#[derive(Debug, Clone, Copy)]
pub struct SchedulingEvent<'e> {
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// `Scheduled`, `FailedScheduling` or `Preempted`.
    pub reason: &'static str,
    /// `Binding`, `Scheduling` or `Preempting`.
    pub action: &'static str,
    /// The other pod that it is about.
    pub related: Option<&'e PodInfo>,
    /// The text.
    pub message: &'e str,
}

/// A cluster that can be shown.
#[derive(Clone)]
pub(super) struct ClusterHandle(pub(super) Arc<dyn Cluster>);

impl std::fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// Sends one write and reports what came of it.
pub(super) async fn send(cluster: &ClusterHandle, write: Write, done: &mpsc::Sender<Outcome>) {
    let ClusterHandle(cluster) = cluster;
    let outcome = match write {
        Write::Bind { pod, binding } => {
            let result = cluster.bind(&binding).await;
            if result.is_ok() {
                let message = format!("Successfully assigned {} to {}", pod.key(), binding.node);
                let event = SchedulingEvent {
                    kind: "Normal",
                    reason: "Scheduled",
                    action: "Binding",
                    related: None,
                    message: &message,
                };
                record(cluster, &pod, event).await;
            }
            Outcome { pod, bound: Some((binding.node, result)), has_failed_to_preempt: false }
        }
        Write::Refuse { pod, reason, message, room } => {
            let event = SchedulingEvent {
                kind: "Warning",
                reason: "FailedScheduling",
                action: "Scheduling",
                related: None,
                message: &truncated(&message),
            };
            record(cluster, &pod, event).await;
            if let Err(status) = cluster.set_unscheduled(&pod, reason, &message, room.nominated.as_deref()).await {
                warn!(pod = %pod.key(), err = %ErrorChain(&status), "Could not write the pod's condition");
            }
            let has_failed_to_preempt = !make_room(cluster, &pod, &room).await;
            Outcome { pod, bound: None, has_failed_to_preempt }
        }
    };
    if done.send(outcome).await.is_err() {
        debug!("Dropped the outcome of a write: the scheduler has ended");
    }
}

/// Deletes the victims; whether that worked for all of them.
async fn make_room(cluster: &Arc<dyn Cluster>, pod: &PodInfo, room: &Room) -> bool {
    for displaced in &room.displaced {
        if let Err(status) = cluster.clear_nomination(displaced).await {
            warn!(pod = %displaced.key(), err = %ErrorChain(&status), "Could not clear the pod's nominated node");
        }
    }
    let node = room.nominated.as_deref().unwrap_or_default();
    let message = format!("Preempted by pod {} on node {node}", pod.uid);
    // One that is being deleted already needs nothing more.
    let victims = room.victims.iter().filter(|victim| !victim.is_deleting);
    let preempted = victims.map(|victim| {
        let message = &message;
        async move {
            match cluster.preempt(victim, pod).await {
                Ok(()) => {
                    info!(pod = %pod.key(), victim = %victim.key(), node, "Preempted pod");
                    let event = SchedulingEvent {
                        kind: "Normal",
                        reason: "Preempted",
                        action: "Preempting",
                        related: Some(pod),
                        message,
                    };
                    record(cluster, victim, event).await;
                    true
                }
                Err(status) => {
                    warn!(pod = %pod.key(), victim = %victim.key(), err = %ErrorChain(&status), "Could not preempt the pod");
                    false
                }
            }
        }
    });
    future::join_all(preempted).await.into_iter().all(|worked| worked)
}

async fn record(cluster: &Arc<dyn Cluster>, pod: &PodInfo, event: SchedulingEvent<'_>) {
    if let Err(status) = cluster.record(pod, event).await {
        warn!(pod = %pod.key(), reason = event.reason, err = %ErrorChain(&status), "Could not record the event");
    }
}

fn truncated(message: &str) -> String {
    const SUFFIX: &str = " ...";
    if message.len() <= MESSAGE_MAX {
        return message.to_owned();
    }
    let end = (0..=MESSAGE_MAX - SUFFIX.len()).rev().find(|at| message.is_char_boundary(*at)).unwrap_or_default();
    format!("{}{SUFFIX}", &message[..end])
}
