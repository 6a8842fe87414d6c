//! What can be done for a pod, and what a plan asks for.

use std::time::Duration;

use jiff::Timestamp;

use crate::{interfaces::ProbeKind, pod_workers::garbage::Garbage};

/// What can be done at the same time: at most one action for each of these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The pod as a whole.
    Pod,
    /// One container.
    Container(String),
    /// What the runtime keeps without need.
    Garbage,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the pod's directories and control group and mount its volumes.
    Prepare,
    /// Make a sandbox.
    RunSandbox {
        /// Its number.
        attempt: u32,
    },
    /// Stop sandboxes and what is in them.
    StopSandboxes {
        /// Which.
        ids: Vec<String>,
        /// Whether this is because a new one is to take their place.
        replaced: bool,
    },
    /// Make the image present, make the container and start it.
    Start {
        /// Its name.
        container: String,
        /// Its number.
        attempt: u32,
        /// When the container before it ended.
        after: Option<Timestamp>,
    },
    /// Tell that a container ends, and run the hook that comes before; its end comes later, when it is its turn.
    PreStop {
        /// Its name.
        container: String,
        /// Its id.
        id: String,
        /// How long the hook may take.
        grace: Duration,
    },
    /// End a container.
    Stop {
        /// Its name.
        container: String,
        /// Its id.
        id: String,
        /// How long it may take.
        grace: Duration,
        /// Why.
        why: KillReason,
        /// `PreStop` came before.
        is_told: bool,
    },
    /// Give the pod's control group and running containers the limits that are set aside.
    Resize {
        /// Containers: name and id.
        containers: Vec<(String, String)>,
    },
    /// Remove what nobody needs any more.
    Collect(Garbage),
}

/// Why a container is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillReason {
    /// The pod ends, or its sandbox is replaced.
    PodEnds,
    /// Its spec has changed.
    SpecChanged,
    /// Its resources have, and its resize policy asks for a restart.
    Resized,
    /// A probe has failed.
    ProbeFailed {
        /// Which.
        kind: ProbeKind,
        /// Whether it is started anew.
        restarts: bool,
    },
}

impl KillReason {
    /// The text of the event `Killing`.
    #[must_use]
    pub fn message(self, container: &str) -> String {
        match self {
            Self::PodEnds => format!("Stopping container {container}"),
            Self::SpecChanged => format!("Container {container} definition changed, will be restarted"),
            Self::Resized => format!("Container {container} resize requires restart"),
            Self::ProbeFailed { kind, restarts } => {
                let probe = if kind == ProbeKind::Startup { "startup" } else { "liveness" };
                let then = if restarts { ", will be restarted" } else { "" };
                format!("Container {container} failed {probe} probe{then}")
            }
        }
    }
}

impl Action {
    /// What it occupies.
    #[must_use]
    pub fn slot(&self) -> Slot {
        match self {
            Self::Prepare | Self::RunSandbox { .. } | Self::StopSandboxes { .. } | Self::Resize { .. } => Slot::Pod,
            Self::Start { container, .. } | Self::PreStop { container, .. } | Self::Stop { container, .. } => {
                Slot::Container(container.clone())
            }
            Self::Collect(_) => Slot::Garbage,
        }
    }
}

/// A container waits before it is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub container: String,
    /// How long it waits in all.
    pub delay: Duration,
}

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Actions that can start now, side by side.
    pub actions: Vec<Action>,
    /// Containers in back-off.
    pub waiting: Vec<Waiting>,
    /// When to look again though nothing has happened.
    pub wake_at: Option<Timestamp>,
    /// Nothing runs and nothing is left to end. Only while terminating.
    pub has_ended: bool,
}
