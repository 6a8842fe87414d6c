//! `Stored`: an object as it is served: its JSON once, and the few facts that selectors and indexes need.
//!
//! The watch cache keeps one per object and version, shared by every list, watch and informer of the process. Nothing in
//! here is ever changed.

use crate::{codec::json::Outlined, labels::Labels, texts::Texts, value::Str};

/// An object as served in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The revision of the write that made it: `metadata.resourceVersion`.
    pub revision: u64,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: Str,
    /// The name.
    pub name: Str,
    /// The UID.
    pub uid: Str,
    /// The object in JSON, complete with `apiVersion`, `kind` and `metadata.resourceVersion`. No newline at the end.
    pub json: Outlined,
    /// What selectors and indexes ask for.
    pub facts: Facts,
}

/// What selectors and indexes ask for, so that nobody has to decode the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The labels.
    pub labels: Labels,
    /// The values of the resource's selectable fields, in the order of `ResourceDefinition::selectable_fields`.
    pub fields: Texts,
    /// The UID of the owner with `controller: true`; empty for none.
    pub controller_uid: Str,
    /// Whether `metadata.deletionTimestamp` is set.
    pub is_deleting: bool,
}
