//! What plugins remember from one extension point to the next, for one pod and one cycle.

use std::any::{Any, TypeId};

/// Values by their type: every plugin has types of its own.
#[derive(Debug, Default)]
pub struct CycleState {
    // A handful of entries: searching beats any map.
    entries: Vec<(TypeId, Box<dyn Any + Send + Sync>)>,
    /// Filter plugins, by their place in the profile, that have nothing to say for this pod.
    pub(super) skipped_filters: u64,
    /// Score plugins likewise.
    pub(super) skipped_scores: u64,
}

impl CycleState {
    /// Keeps `value`, in place of an earlier one of its type.
    pub fn write<T: Send + Sync + 'static>(&mut self, value: T) {
        let id = TypeId::of::<T>();
        self.entries.retain(|(key, _)| *key != id);
        self.entries.push((id, Box::new(value)));
    }

    /// The value of a type.
    #[must_use]
    pub fn read<T: 'static>(&self) -> Option<&T> {
        let id = TypeId::of::<T>();
        self.entries.iter().find(|(key, _)| *key == id)?.1.downcast_ref()
    }
}
