//! What happens in a cluster, and which pods may become schedulable by it.
//!
//! Upstream: k8s.io/kube-scheduler/framework, ClusterEvent and EventsToRegister (v1.35).

use crate::cache::{NodeFacts, PodInfo};

/// The object of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventResource {
    /// A pod on a node.
    AssignedPod,
    /// The waiting pod itself.
    UnscheduledPod,
    /// A node.
    Node,
    /// A PersistentVolumeClaim.
    Claim,
    /// A PersistentVolume.
    Volume,
    /// A StorageClass.
    StorageClass,
}

/// Kinds of changes, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action(pub u16);

impl Action {
    /// It is new.
    pub const ADD: Self = Self(1);
    /// It is gone.
    pub const DELETE: Self = Self(2);
    /// A node's allocatable resources changed.
    pub const UPDATE_NODE_ALLOCATABLE: Self = Self(4);
    /// A node's labels changed.
    pub const UPDATE_NODE_LABEL: Self = Self(8);
    /// A node's taints, or whether it is cordoned, changed.
    pub const UPDATE_NODE_TAINT: Self = Self(16);
    /// A pod's labels changed.
    pub const UPDATE_POD_LABEL: Self = Self(32);
    /// A pod asks for less.
    pub const UPDATE_POD_SCALE_DOWN: Self = Self(64);
    /// The last scheduling gate went.
    pub const UPDATE_POD_GATES: Self = Self(128);
    /// A pod's tolerations changed.
    pub const UPDATE_POD_TOLERATIONS: Self = Self(256);
    /// Something of a claim, a volume or a class changed.
    pub const UPDATE: Self = Self(512);

    /// Both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they have a change in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterEvent {
    /// To what.
    pub resource: EventResource,
    /// What.
    pub action: Action,
}

/// The object before and after.
#[derive(Debug, Clone, Copy)]
pub enum EventObjects<'e> {
    /// A node.
    Node {
        /// Before; `None` for a new one.
        old: Option<&'e NodeFacts>,
        /// After; `None` for one that is gone.
        new: Option<&'e NodeFacts>,
    },
    /// A pod.
    Pod {
        /// Before; `None` for a new one.
        old: Option<&'e PodInfo>,
        /// After; `None` for one that is gone.
        new: Option<&'e PodInfo>,
    },
    /// A claim.
    Claim {
        /// Its namespace.
        namespace: &'e str,
        /// Its name.
        name: &'e str,
    },
    /// Anything else: only the kind counts.
    Other,
}

/// Whether an event is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueingHint {
    /// The pod would fail again.
    Skip,
    /// The pod may fit now.
    Queue,
}

impl QueueingHint {
    /// `Queue` if `may_fit`.
    #[must_use]
    pub fn queue_if(may_fit: bool) -> Self {
        if may_fit { Self::Queue } else { Self::Skip }
    }
}

/// Looks at a waiting pod and an event.
pub type HintFn = fn(&PodInfo, EventObjects<'_>) -> QueueingHint;

/// An event that a plugin wants to know of, for pods that it refused.
#[derive(Debug, Clone, Copy)]
pub struct Interest {
    /// To what.
    pub resource: EventResource,
    /// Any of these.
    pub actions: Action,
    /// A closer look; `None` for none: every such event counts.
    pub hint: Option<HintFn>,
}

impl Interest {
    /// Every such event.
    #[must_use]
    pub const fn any(resource: EventResource, actions: Action) -> Self {
        Self { resource, actions, hint: None }
    }

    /// Such events that `hint` says are worth it.
    #[must_use]
    pub const fn when(resource: EventResource, actions: Action, hint: HintFn) -> Self {
        Self { resource, actions, hint: Some(hint) }
    }

    /// Whether `pod`, refused by the plugin, may fit after the event.
    #[must_use]
    pub fn applies(&self, pod: &PodInfo, event: ClusterEvent, objects: EventObjects<'_>) -> bool {
        self.resource == event.resource
            && self.actions.intersects(event.action)
            && self.hint.is_none_or(|hint| hint(pod, objects) == QueueingHint::Queue)
    }
}
