//! What a volume plugin is: it decides what a volume has to look like; `apply` makes it so.
//!
//! Invariant: a plan reads the API and nothing of the node's file system, so that deciding is testable without either.

use std::path::PathBuf;

use async_trait::async_trait;
use corten_api::core::v1::{Pod, Volume};
use jiff::Timestamp;

use super::payload::{self, Payload};
use crate::{
    api_objects::{ApiObjects, Binary, Contents},
    containers::field_ref::NodeFacts,
};

/// One kind of volume.
#[async_trait]
pub(super) trait VolumePlugin: Send + Sync {
    /// Upstream's name: `kubernetes.io/empty-dir`. With `~` for the slash it names directories.
    fn name(&self) -> &'static str;

    /// Whether this volume is of this kind.
    fn supports(&self, volume: &Volume) -> bool;

    /// Whether its content may change while the pod lives.
    fn is_dynamic(&self) -> bool {
        false
    }

    /// Decides what `volume` has to look like.
    async fn plan(&self, context: &PlanContext<'_>, volume: &Volume) -> Result<Planned, PlanError>;
}

/// What plugins decide from.
#[derive(Clone, Copy)]
pub(super) struct PlanContext<'a> {
    pub(super) pod: &'a Pod,
    pub(super) objects: &'a ApiObjects,
    pub(super) node: &'a NodeFacts,
}

impl PlanContext<'_> {
    pub(super) fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// What files take of config maps and secrets.
    pub(super) fn contents(&self) -> Contents<'_> {
        Contents::new(self.objects, self.namespace(), Binary::Yes, payload::BYTES_MAX)
    }

    /// `securityContext.fsGroup`.
    pub(super) fn fs_group(&self) -> Option<u32> {
        let group = self.pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
        u32::try_from(group).ok()
    }
}

/// A plan and when to make the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// For tokens, which end.
    pub(super) refresh_at: Option<Timestamp>,
}

impl From<Plan> for Planned {
    fn from(plan: Plan) -> Self {
        Self { plan, refresh_at: None }
    }
}

/// What a volume has to look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// An empty directory that the pod fills.
    EmptyDir {
        /// On which medium.
        medium: Medium,
        /// Who owns it.
        fs_group: Option<u32>,
    },
    /// Files made by the kubelet.
    Files {
        /// The files.
        payload: Payload,
        /// Whether they may not be written to a disk.
        in_memory: bool,
        /// Who owns them.
        fs_group: Option<u32>,
    },
    /// A path of the node, used where it is.
    HostPath {
        /// The path.
        path: PathBuf,
        /// `hostPath.type`: what has to be there; empty: anything.
        kind: String,
        /// Whether the volume is read-only.
        read_only: bool,
    },
    /// A directory of the node that is a persistent volume, bound into the pod's directory.
    Local {
        /// The path.
        path: PathBuf,
        /// The persistent volume's name, which names the directory.
        volume: String,
        /// Who owns it.
        fs_group: Option<u32>,
        /// `fsGroupChangePolicy: OnRootMismatch`.
        on_root_mismatch: bool,
        /// Whether the volume is read-only.
        read_only: bool,
    },
}

/// Where an empty directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// With the node's own files.
    Disk,
    /// In memory, of at most this many bytes.
    Memory(Option<u64>),
    /// In huge pages of this many bytes.
    HugePages(u64),
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    /// What the content comes from is missing; told as `MountVolume.SetUp failed`.
    #[error("{0}")]
    SetUp(String),
    /// What the volume refers to is missing; told as `Unable to attach or mount volumes`.
    #[error("{0}")]
    Process(String),
}

impl PlanError {
    pub(super) fn set_up(error: impl std::fmt::Display) -> Self {
        Self::SetUp(error.to_string())
    }
}
