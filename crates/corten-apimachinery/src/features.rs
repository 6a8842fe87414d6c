//! Which feature gates are on, for rules that depend on them. The gates themselves are the component's.

use crate::mark::mark;

/// The state of every gate. Cheap to ask; made once for a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features(Vec<(u64, &'static str, bool)>);

impl Features {
    /// The gates of `states`, by name.
    #[must_use]
    pub fn new(states: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        let mut states: Vec<_> = states.into_iter().map(|(name, is_on)| (mark(name), name, is_on)).collect();
        states.sort_unstable();
        Self(states)
    }

    /// Whether a gate is on. One that nobody knows is off: asking for it is a mistake, caught in debug builds.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        let mark = mark(name);
        let from = self.0.partition_point(|(other, ..)| *other < mark);
        let mut same = self.0[from..].iter().take_while(|(other, ..)| *other == mark);
        let found = same.find(|(_, known, _)| *known == name);
        debug_assert!(found.is_some(), "feature gate {name} is not known");
        found.is_some_and(|(.., is_on)| *is_on)
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
    }
}
