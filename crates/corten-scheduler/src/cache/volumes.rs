//! Claims, volumes and classes of storage, as far as they say where a pod can go.

use corten_apimachinery::{codec::json::Outlined, value::Str};

use super::{FactsError, Labels, NodeSelectorTerm, wire};

/// A claim that a pod names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodClaim {
    /// The claim's name; its namespace is the pod's.
    pub name: Str,
    /// Whether it is made for this pod and goes with it.
    pub is_ephemeral: bool,
}

/// What scheduling needs of a PersistentVolumeClaim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    /// The volume it is bound to; empty for none.
    pub volume_name: Str,
    /// Its class; `None` if it names none, the empty name for no class.
    pub class: Option<Str>,
    /// Whether its volume is gone.
    pub is_lost: bool,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// Whether only one pod at a time may use it.
    pub is_for_one_pod: bool,
    /// The UID of the object that it belongs to; empty for none.
    pub controller_uid: Str,
}

impl ClaimFacts {
    /// Reads a claim's JSON.
    ///
    /// Errors: not a claim.
    pub fn from_json(json: &Outlined) -> Result<Self, FactsError> {
        let claim: wire::Claim =
            json.view().map_err(|source| FactsError::Decode { kind: "PersistentVolumeClaim", source })?;
        let wire::Claim { metadata, spec, status } = claim;
        let controller = metadata.owner_references.into_iter().find(|owner| owner.controller);
        Ok(Self {
            volume_name: spec.volume_name,
            class: spec.storage_class_name,
            is_lost: status.phase == "Lost",
            is_deleting: metadata.deletion_timestamp.is_some(),
            is_for_one_pod: spec.access_modes.iter().any(|mode| mode == "ReadWriteOncePod"),
            controller_uid: controller.map(|owner| owner.uid).unwrap_or_default(),
        })
    }
}

/// What scheduling needs of a PersistentVolume.
#[derive(Debug, Clone, Default)]
pub struct VolumeFacts {
    /// One of these must match the node; `None` for everywhere.
    node_terms: Option<Vec<NodeSelectorTerm>>,
}

impl VolumeFacts {
    /// Reads a volume's JSON.
    ///
    /// Errors: not a volume.
    pub fn from_json(json: &Outlined) -> Result<Self, FactsError> {
        let volume: wire::PersistentVolume =
            json.view().map_err(|source| FactsError::Decode { kind: "PersistentVolume", source })?;
        let required = volume.spec.node_affinity.required;
        let terms = required.map(|selector| selector.node_selector_terms.iter().map(NodeSelectorTerm::read).collect());
        Ok(Self { node_terms: terms })
    }

    /// Whether a node with this name and these labels can use it.
    #[must_use]
    pub fn is_reachable_from(&self, name: &str, labels: &Labels) -> bool {
        self.node_terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(name, labels)))
    }
}

/// Whether claims of a class are bound only once a pod uses them.
///
/// Errors: not a class.
pub fn binds_late(json: &Outlined) -> Result<bool, FactsError> {
    let class: wire::StorageClass =
        json.view().map_err(|source| FactsError::Decode { kind: "StorageClass", source })?;
    Ok(class.volume_binding_mode == "WaitForFirstConsumer")
}
