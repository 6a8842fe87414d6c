//! `Stored`: an object as it is served: its JSON once, and the few facts that selectors and indexes need.
//!
//! The watch cache keeps one per object and version, shared by every list, watch and informer of the process. Nothing in
//! here is ever changed.

use std::{
    fmt,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

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
    /// Whether the store has it otherwise: in another version or encoding, without newer defaults, with fields that have gone. A
    /// write that changes nothing of what is served is one all the same then.
    pub is_outdated: bool,
    /// How long the object is as an item of a list in protobuf, where it is in the hub's version.
    pub protobuf_length: Measured,
}

/// A length that is known once somebody has measured it. Of what is made of an object, it is not known.
#[derive(Default)]
pub struct Measured(AtomicU32);

impl Measured {
    /// The length, if it is known.
    #[must_use]
    pub fn get(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.0.load(Ordering::Relaxed))
    }

    /// Notes the length. One that is nothing, or more than 4 GiB, is not kept.
    pub fn set(&self, length: usize) {
        self.0.store(u32::try_from(length).unwrap_or_default(), Ordering::Relaxed);
    }
}

impl Clone for Measured {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Measured {
    /// Objects are the same whether they were measured or not.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Measured {}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one of each object that is kept.
    #[test]
    fn a_length_has_no_room_of_its_own() {
        let without = size_of::<Labels>() + size_of::<Texts>() + size_of::<Str>() + 2 * size_of::<bool>();
        assert_eq!(size_of::<Facts>(), without.next_multiple_of(align_of::<Facts>()));
    }

    #[test]
    fn a_length_is_not_that_of_what_is_made_of_the_object() {
        let facts = Facts::default();
        assert_eq!(facts.protobuf_length.get(), None);
        facts.protobuf_length.set(7);
        assert_eq!(facts.protobuf_length.get().map(NonZeroU32::get), Some(7));
        let copy = facts.clone();
        assert_eq!((copy.protobuf_length.get(), &copy), (None, &facts));
        facts.protobuf_length.set(usize::MAX);
        assert_eq!(facts.protobuf_length.get(), None);
    }
}
