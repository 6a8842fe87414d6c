//! What others tell a worker: latest values, and a bell.
//!
//! Bounded by nature: one pod, one kill request, one result per probed container.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::interfaces::{Failure, ProbeKind, ProbeOutcome, SharedPod};

/// The end of a pod that is not its own: its phase becomes Failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Reason and message of its status.
    pub status: Failure,
    /// How long it may take, in seconds.
    pub grace_seconds: u64,
    /// Whether it goes for the node's sake, which the condition `DisruptionTarget` says then.
    pub is_disruption: bool,
}

/// The letters since the last look.
#[derive(Debug, Default)]
pub struct Letters {
    /// The pod's newest version from its source.
    pub pod: Option<SharedPod>,
    /// Its source has it no more.
    pub is_removed: bool,
    /// Somebody wants it ended.
    pub kill: Option<Kill>,
    /// Startup and liveness probes that have failed, by container id.
    pub failed_probes: BTreeMap<String, ProbeKind>,
}

/// The mailbox.
#[derive(Debug, Default)]
pub struct Mailbox {
    letters: Mutex<Letters>,
    bell: Notify,
    /// Somebody has wanted the pod ended, be that read or not.
    is_killed: AtomicBool,
}

impl Mailbox {
    /// A newer version of the pod.
    pub fn config(&self, pod: SharedPod) {
        self.letters.lock().pod = Some(pod);
        self.bell.notify_one();
    }

    /// The source has the pod no more.
    pub fn removed(&self) {
        self.letters.lock().is_removed = true;
        self.bell.notify_one();
    }

    /// Ends the pod.
    pub fn kill(&self, kill: Kill) {
        self.letters.lock().kill = Some(kill);
        self.is_killed.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Whether `kill` was ever asked for.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Acquire)
    }

    /// A probe's result has changed.
    pub fn probed(&self, outcome: &ProbeOutcome) {
        if !outcome.success && outcome.kind != ProbeKind::Readiness {
            self.letters.lock().failed_probes.insert(outcome.container_id.clone(), outcome.kind);
        }
        self.bell.notify_one();
    }

    /// Something else has changed: look again.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Takes what has come.
    pub fn take(&self) -> Letters {
        std::mem::take(&mut *self.letters.lock())
    }

    /// Completes once something has come. Cancel-safe.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}
