//! Which feature gates are on, for rules that depend on them. The gates themselves are the component's.

use crate::mark::{mark, scattered};

/// The state of every gate. Cheap to ask; made once for a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Sorted by name.
    states: Vec<(&'static str, bool)>,
    /// A hash table of places in `states`, at most half full; its length is a power of two, or 0 without any gate.
    slots: Vec<Option<u16>>,
}

impl Features {
    /// The gates of `states`, by name.
    #[must_use]
    pub fn new(states: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        let mut states: Vec<_> = states.into_iter().collect();
        states.sort_unstable();
        let mut slots = vec![None; (states.len() * 2).next_power_of_two()];
        for (place, (name, _)) in states.iter().enumerate() {
            let mut slot = scattered(mark(name), slots.len());
            while slots[slot].is_some() {
                slot = (slot + 1) & (slots.len() - 1);
            }
            slots[slot] = Some(u16::try_from(place).expect("there are some hundred gates"));
        }
        Self { states, slots }
    }

    /// Whether a gate is on. One that nobody knows is off: asking for it is a mistake, caught in debug builds.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        let found = self.find(name);
        debug_assert!(found.is_some(), "feature gate {name} is not known");
        found.unwrap_or(false)
    }

    fn find(&self, name: &str) -> Option<bool> {
        let mut slot = scattered(mark(name), self.slots.len().max(1));
        // One is free, so that this ends.
        while let Some(place) = *self.slots.get(slot)? {
            let (known, is_on) = self.states[usize::from(place)];
            if known == name {
                return Some(is_on);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_as_it_was_set() {
        let features = Features::new([("B", false), ("A", true)]);
        assert!(features.is_enabled("A"));
        assert!(!features.is_enabled("B"));
        assert_eq!(features.find("C"), None);
        assert_eq!(Features::default().find("A"), None);
    }
}
