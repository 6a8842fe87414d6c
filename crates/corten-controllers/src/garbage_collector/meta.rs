//! The part of an object's metadata that garbage collection is about.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use corten_apimachinery::{codec::json, stored::Stored, value::Str};
use memchr::memmem::Finder;
use serde::Deserialize;

/// Dependents lose this owner before it goes.
pub const ORPHAN: &str = "orphan";
/// Dependents go before this owner does.
pub const FOREGROUND: &str = "foregroundDeletion";

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerRef {
    /// `apiVersion`.
    pub api_version: Str,
    /// `kind`.
    pub kind: Str,
    /// The owner's name.
    pub name: Str,
    /// The owner's UID.
    pub uid: Str,
    /// Whether a foreground deletion of the owner waits for this object.
    #[serde(default)]
    pub block_owner_deletion: bool,
}

impl OwnerRef {
    /// The group in `apiVersion`; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// What is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The owners.
    pub owners: Vec<OwnerRef>,
    /// The deletion has begun, and dependents are to lose this owner first.
    pub is_orphaning: bool,
    /// The deletion has begun, and dependents are to go first.
    pub is_foreground: bool,
    /// The deletion has begun.
    pub is_deleting: bool,
    /// A finalizer asks for orphans, whether the deletion has begun or not.
    pub wants_orphans: bool,
    /// The same for a foreground deletion.
    pub wants_foreground: bool,
}

impl Meta {
    /// Reads it. An object that is no JSON, which no server sends, has none.
    #[must_use]
    pub fn of(object: &Stored) -> Self {
        let [owners, finalizers] = texts(object);
        let finalizers: Vec<Cow<'_, str>> = read(finalizers);
        let has = |finalizer: &str| finalizers.iter().any(|existing| existing == finalizer);
        let is_deleting = object.facts.is_deleting;
        Self {
            is_orphaning: is_deleting && has(ORPHAN),
            is_foreground: is_deleting && has(FOREGROUND),
            is_deleting,
            wants_orphans: has(ORPHAN),
            wants_foreground: has(FOREGROUND),
            owners: read(owners),
        }
    }

    /// Whether both versions of an object have the same, as can be seen without reading it. Nearly all changes leave it alone.
    #[must_use]
    pub fn is_same(old: &Stored, new: &Stored) -> bool {
        old.facts.is_deleting == new.facts.is_deleting && texts(old) == texts(new)
    }

    /// The references by the owners' UIDs, of those with one UID the first. An object can have tens of thousands.
    #[must_use]
    pub fn by_uid(&self) -> BTreeMap<&str, &OwnerRef> {
        // Of one key the last stays.
        self.owners.iter().rev().map(|owner| (owner.uid.as_str(), owner)).collect()
    }

    /// The reference to the owner with this UID.
    #[must_use]
    pub fn owner(&self, uid: &str) -> Option<&OwnerRef> {
        self.owners.iter().find(|owner| owner.uid == uid)
    }
}

fn texts(object: &Stored) -> [Option<&[u8]>; 2] {
    // Most objects have neither, which is seen sooner than each of their fields.
    if FIELDS.iter().all(|name| name.find(&object.json).is_none()) {
        return [None; 2];
    }
    object.json.fields(&["metadata"], ["ownerReferences", "finalizers"])
}

/// Looks for the names of the fields in a text.
static FIELDS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| ["\"ownerReferences\"", "\"finalizers\""].map(Finder::new));

fn read<'t, T: Default + Deserialize<'t>>(text: Option<&'t [u8]>) -> T {
    text.and_then(|text| json::view(text).ok()).unwrap_or_default()
}
