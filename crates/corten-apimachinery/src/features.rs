//! Which feature gates are on, for rules that depend on them. The gates themselves are the component's.

/// The state of every gate. Cheap to ask; made once for a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features(Vec<(&'static str, bool)>);

impl Features {
    /// The gates of `states`, by name.
    #[must_use]
    pub fn new(states: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        let mut states: Vec<_> = states.into_iter().collect();
        states.sort_unstable();
        Self(states)
    }

    /// Whether a gate is on. One that nobody knows is off: asking for it is a mistake, caught in debug builds.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        let found = self.0.binary_search_by(|(known, _)| (*known).cmp(name));
        debug_assert!(found.is_ok(), "feature gate {name} is not known");
        found.is_ok_and(|index| self.0[index].1)
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
