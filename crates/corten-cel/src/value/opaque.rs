//! Values of libraries' own types.

use std::{any::Any, fmt::Debug};

/// A value that functions of a library know what to do with.
pub trait Opaque: Any + Debug + Send + Sync {
    /// The name of its type.
    fn type_name(&self) -> &'static str;

    /// Whether it equals `other`, which may be of any type.
    fn equals(&self, other: &dyn Opaque) -> bool;

    /// What `size` counts in costs, for what has a size.
    fn size(&self) -> Option<u64> {
        None
    }

    /// For getting at the value itself.
    fn as_any(&self) -> &dyn Any;
}

impl dyn Opaque {
    /// The value itself, if it is a `T`.
    #[must_use]
    pub fn downcast<T: Opaque>(&self) -> Option<&T> {
        self.as_any().downcast_ref()
    }
}
