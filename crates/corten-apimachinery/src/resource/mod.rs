//! What the generic server has to know of a resource: names, versions, rules, columns. One `ResourceDefinition` each.
//!
//! A built-in resource is a static; a server makes a `Resource` of it, and the same of a custom resource. It knows nothing
//! else of any kind (ARCHITECTURE.md, rule 4).

mod deprecation;
mod served;
mod strategy;
mod table;

pub use deprecation::Deprecation;
pub use served::{Change, ObjectSchema, Printer, Resource, ResourceVersion};
pub use strategy::{Context, DeleteOptions, Deletion, GarbagePolicy, OwnDeletion, Strategy, UserInfo};
pub use table::{Cell, Column, RowCondition, RowContext, TableDefinition, human_age};

use std::{fmt, sync::Arc};

use crate::{
    gvk::{GroupVersion, GroupVersionKind},
    shared::Shared,
    value::{Str, Value},
};

/// Whether objects live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One set of names for the cluster.
    Cluster,
    /// One set of names per namespace.
    Namespaced,
}

/// One built-in resource, as the program knows it; `Resource` is what a server makes of it.
#[derive(Debug)]
pub struct ResourceDefinition {
    /// The group; empty for the core group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The plural name, which paths use.
    pub plural: &'static str,
    /// The singular name.
    pub singular: &'static str,
    /// Short names for the command line.
    pub short_names: &'static [&'static str],
    /// Categories such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// The versions, preferred one first. Exactly one is the hub, which is also how objects are stored, served or not; none
    /// if `stored_as` is set.
    pub versions: &'static [Version],
    /// The resource of another group whose objects these are: `events.k8s.io` shows the events of the core group. All
    /// versions here convert from and to its hub, and its strategy and storage are used.
    pub stored_as: Option<&'static ResourceDefinition>,
    /// The verbs, in the order discovery lists them: sorted.
    pub verbs: &'static [Verb],
    /// The rules.
    pub strategy: &'static dyn Strategy,
    /// Further ways to look at the object: `status`, `scale`, and those with a handler of their own.
    pub subresources: &'static [Subresource],
    /// The fields that field selectors can name besides `metadata.name` and `metadata.namespace`.
    pub selectable_fields: &'static [SelectableField],
    /// How objects print.
    pub table: &'static TableDefinition,
    /// The path under `/registry/` where upstream keeps objects: usually the plural, behind its group where upstream has a
    /// server of its own for them (definitions, API services).
    pub storage_prefix: &'static str,
    /// Whether objects go by themselves after the server's event time-to-live.
    pub expires: bool,
}

/// One version of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// The version: `v1`.
    pub name: &'static str,
    /// The name of its type in the type table: `io.k8s.api.apps.v1.Deployment`.
    pub type_name: &'static str,
    /// Fills in defaults, in place, after decoding.
    pub defaults: fn(&mut Value),
    /// Turns an object of this version into the hub's form, `apiVersion` and `kind` aside, which the caller writes; `None`
    /// if this is the hub or has the same form.
    pub to_hub: Option<fn(&mut Value)>,
    /// Turns an object of the hub's form into this version; `None` like `to_hub`.
    pub from_hub: Option<fn(&mut Value)>,
    /// Why upstream cannot turn an object of this version into its own form, if it cannot.
    pub misfit: Option<fn(&Value) -> Option<String>>,
    /// Whether this version is the hub.
    pub is_hub: bool,
    /// What every client of this version is told, if it is not to be used any more.
    pub deprecation: Option<Deprecation>,
    /// The gate without which a server does not have this version, whatever it is told to serve.
    pub feature_gate: Option<&'static str>,
}

impl Version {
    /// The version that is stored and validated.
    #[must_use]
    pub const fn hub(name: &'static str, type_name: &'static str, defaults: fn(&mut Value)) -> Self {
        Self {
            name,
            type_name,
            defaults,
            to_hub: None,
            from_hub: None,
            misfit: None,
            is_hub: true,
            deprecation: None,
            feature_gate: None,
        }
    }

    /// A version in the hub's form.
    #[must_use]
    pub const fn like_hub(name: &'static str, type_name: &'static str, defaults: fn(&mut Value)) -> Self {
        Self { is_hub: false, ..Self::hub(name, type_name, defaults) }
    }

    /// The same version, whose form is another than the hub's.
    #[must_use]
    pub const fn converted(self, to_hub: fn(&mut Value), from_hub: fn(&mut Value)) -> Self {
        Self { to_hub: Some(to_hub), from_hub: Some(from_hub), ..self }
    }

    /// The same version, some of whose objects upstream cannot read.
    #[must_use]
    pub const fn misfitting(self, misfit: fn(&Value) -> Option<String>) -> Self {
        Self { misfit: Some(misfit), ..self }
    }

    /// The same version, behind a feature gate.
    #[must_use]
    pub const fn gated(self, feature_gate: &'static str) -> Self {
        Self { feature_gate: Some(feature_gate), ..self }
    }

    /// How mature the version is, as its name says: `v1`, `v2beta1`, `v1alpha3`.
    #[must_use]
    pub fn maturity(&self) -> Maturity {
        match self.name {
            name if name.contains("alpha") => Maturity::Alpha,
            name if name.contains("beta") => Maturity::Beta,
            _ => Maturity::Stable,
        }
    }

    /// The same version, which clients are not to use any more.
    #[must_use]
    pub const fn deprecated(self, deprecation: Deprecation) -> Self {
        Self { deprecation: Some(deprecation), ..self }
    }
}

/// How mature a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maturity {
    /// Tried out: off unless someone wants it.
    Alpha,
    /// Nearly there: off unless someone wants it.
    Beta,
    /// On.
    Stable,
}

/// What can be done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Make one.
    Create,
    /// Delete one.
    Delete,
    /// Delete many.
    DeleteCollection,
    /// Read one.
    Get,
    /// Read many.
    List,
    /// Change parts of one.
    Patch,
    /// Replace one.
    Update,
    /// Follow changes.
    Watch,
}

impl Verb {
    /// The verbs of an ordinary resource.
    pub const ALL: &'static [Verb] = &[
        Self::Create,
        Self::Delete,
        Self::DeleteCollection,
        Self::Get,
        Self::List,
        Self::Patch,
        Self::Update,
        Self::Watch,
    ];
    /// The verbs of a review, which is answered and not stored.
    pub const CREATE_ONLY: &'static [Verb] = &[Self::Create];

    /// The word that discovery, authorization and audit use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

/// A further way to look at an object.
#[derive(Debug)]
pub struct Subresource {
    /// The last segment of the path.
    pub name: Str,
    /// How it works.
    pub kind: SubresourceKind,
}

/// How a subresource works.
#[derive(Debug)]
pub enum SubresourceKind {
    /// The same object, read and written under other rules: `status`, `ephemeralcontainers`, `finalize`.
    Object {
        /// The rules for this part of the object.
        strategy: Shared<dyn Strategy>,
        /// The verbs: get, patch, update, or fewer.
        verbs: &'static [Verb],
    },
    /// The number of replicas, as an `autoscaling/v1` `Scale`.
    Scale(ScalePaths),
    /// A handler of its own (exec, log, binding, token), found by name in the control plane's catalog.
    Custom {
        /// The kind that discovery shows: (group, version, kind). Without a version, it is of the resource's own group and version.
        kind: (&'static str, &'static str, &'static str),
        /// The verbs that discovery shows.
        verbs: &'static [Verb],
    },
}

impl Subresource {
    /// The kind that discovery and OpenAPI show, of what is in `own` (the resource's group and the asked version) and of `kind`;
    /// and the verbs.
    #[must_use]
    pub fn shown(&self, own: &GroupVersion, kind: &str) -> (GroupVersionKind, &'static [Verb]) {
        match &self.kind {
            SubresourceKind::Object { verbs, .. } => (own.with_kind(kind), verbs),
            SubresourceKind::Scale(_) => {
                (GroupVersionKind::new("autoscaling", "v1", "Scale"), &[Verb::Get, Verb::Patch, Verb::Update])
            }
            SubresourceKind::Custom { kind: (_, "", kind), verbs } => (own.with_kind(*kind), verbs),
            SubresourceKind::Custom { kind: (group, version, kind), verbs } => {
                (GroupVersionKind::new(*group, *version, *kind), verbs)
            }
        }
    }
}

/// Where a scalable object keeps what its `Scale` shows: fields with dots between, such as `spec.replicas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// The wanted number of replicas.
    pub spec_replicas: Str,
    /// The observed number of replicas.
    pub status_replicas: Str,
    /// The selector of the pods: a label selector object, a map, or its text form; empty if there is none.
    pub selector: Str,
}

impl ScalePaths {
    /// The fields of one of the paths.
    #[must_use]
    pub fn fields(path: &str) -> Vec<&str> {
        path.split('.').filter(|field| !field.is_empty()).collect()
    }
}

/// A field that field selectors can name.
#[derive(Clone)]
pub struct SelectableField {
    /// Its name: `spec.nodeName`.
    pub name: Str,
    /// Reads it; the empty text when it is not set.
    pub value: FieldReader,
}

/// Reads a field of an object as text.
#[derive(Clone)]
pub enum FieldReader {
    /// Of a built-in resource.
    Static(fn(&Value) -> Str),
    /// Of a custom resource.
    Counted(Arc<dyn Fn(&Value) -> Str + Send + Sync>),
}

impl SelectableField {
    /// A field of a built-in resource.
    #[must_use]
    pub const fn new(name: &'static str, value: fn(&Value) -> Str) -> Self {
        Self { name: Str::const_new(name), value: FieldReader::Static(value) }
    }

    /// The field's text; empty when it is not set.
    #[must_use]
    pub fn read(&self, object: &Value) -> Str {
        match &self.value {
            FieldReader::Static(read) => read(object),
            FieldReader::Counted(read) => read(object),
        }
    }
}

impl fmt::Debug for SelectableField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SelectableField").field(&self.name).finish()
    }
}

impl ResourceDefinition {
    /// The `apiVersion` of objects in the hub's form.
    #[must_use]
    pub fn hub_api_version(&self) -> String {
        let group = self.stored_as.unwrap_or(self).group;
        if group.is_empty() { self.hub().name.to_owned() } else { format!("{group}/{}", self.hub().name) }
    }

    /// The version that is stored and validated.
    #[must_use]
    pub fn hub(&self) -> &Version {
        self.stored_as
            .unwrap_or(self)
            .versions
            .iter()
            .find(|version| version.is_hub)
            .expect("every resource has a hub: a test checks the catalog")
    }

    /// The served version of this name.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The subresource of this name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether objects live in namespaces.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
}
