//! Indexers: named functions that say under which values an object is found.

use std::{fmt, sync::Arc};

use corten_apimachinery::{
    stored::Stored,
    value::{Str, format_str},
};
use smallvec::SmallVec;

/// The values under which one object is found; nearly always none or one.
pub type IndexValues = SmallVec<[Str; 1]>;

/// The name of the index by the UID of the controlling owner.
pub const CONTROLLER: &str = "controller";

/// The name of the index by the object's own UID.
pub const UID: &str = "uid";

/// A named function from an object to its index values. It runs under the store's lock, so it must be cheap.
#[derive(Clone)]
pub struct Indexer {
    name: Str,
    values: Arc<dyn Fn(&Stored) -> IndexValues + Send + Sync>,
}

impl Indexer {
    /// An indexer of this name. The name stands for the function: a store keeps the first of a name.
    pub fn new(name: impl Into<Str>, values: impl Fn(&Stored) -> IndexValues + Send + Sync + 'static) -> Self {
        Self { name: name.into(), values: Arc::new(values) }
    }

    /// By the UID of the owner with `controller: true`; objects without one are found under the empty text.
    #[must_use]
    pub fn by_controller() -> Self {
        Self::new(CONTROLLER, |object| SmallVec::from_elem(object.facts.controller_uid.clone(), 1))
    }

    /// By the object's UID.
    #[must_use]
    pub fn by_uid() -> Self {
        Self::new(UID, |object| SmallVec::from_elem(object.uid.clone(), 1))
    }

    /// By the value of a label; the index is named as `label_index` says.
    #[must_use]
    pub fn by_label(label: &'static str) -> Self {
        Self::new(label_index(label), move |object| object.facts.labels.get(label).map(Str::from).into_iter().collect())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values of `object`.
    #[must_use]
    pub fn values(&self, object: &Stored) -> IndexValues {
        (self.values)(object)
    }
}

/// The name of the index by a label.
#[must_use]
pub fn label_index(label: &str) -> Str {
    format_str!("label:{label}")
}

impl fmt::Debug for Indexer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Indexer({})", self.name)
    }
}
