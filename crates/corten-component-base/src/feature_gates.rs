//! The feature gates that some rule asks for: upstream's names, stages and defaults in v1.35.
//!
//! A gate stands here once code asks for it; what is always on, or not there at all, needs no line.
//! Upstream: pkg/features/kube_features.go (v1.35).

/// How far a feature has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Tried out.
    Alpha,
    /// Meant to stay.
    Beta,
}

/// A feature gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureGate {
    /// Upstream's name.
    pub name: &'static str,
    /// How far it has come.
    pub stage: Stage,
    /// Whether it is on unless someone says otherwise.
    pub default: bool,
}

/// All gates, sorted by name.
pub static FEATURE_GATES: &[FeatureGate] = &[
    FeatureGate { name: "ContainerRestartRules", stage: Stage::Beta, default: true },
    FeatureGate { name: "PodLevelResources", stage: Stage::Beta, default: true },
];

/// Whether a gate is on by default. One that is not in the table is off: asking for it is a mistake, caught in debug builds.
#[must_use]
pub fn is_on_by_default(name: &str) -> bool {
    let gate = FEATURE_GATES.iter().find(|gate| gate.name == name);
    debug_assert!(gate.is_some(), "feature gate {name} is not in the table");
    gate.is_some_and(|gate| gate.default)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn gates_are_sorted_and_named_once() {
        assert!(FEATURE_GATES.is_sorted_by(|a, b| a.name < b.name));
        assert!(FEATURE_GATES.iter().all(|gate| is_on_by_default(gate.name) == gate.default));
    }

    #[test]
    fn defaults_and_stages_are_upstreams() {
        let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
            eprintln!("skipped: CORTEN_UPSTREAM_DATA is not set");
            return;
        };
        let list = std::fs::read_to_string(folder.join("feature-gates.yaml")).unwrap();
        for gate in FEATURE_GATES {
            let head = format!("- name: {}\n", gate.name);
            let start = list.find(&head).unwrap_or_else(|| panic!("upstream has no {}", gate.name)) + head.len();
            let entry = list[start..].split("\n- name: ").next().unwrap();
            // Versions come in their order, so that the last one holds.
            let last = |field: &str| {
                entry.lines().rev().find_map(|line| line.trim_start_matches(['-', ' ']).strip_prefix(field))
            };
            assert_eq!(last("default: "), Some(if gate.default { "true" } else { "false" }), "{}", gate.name);
            assert_eq!(last("preRelease: "), Some(format!("{:?}", gate.stage).as_str()), "{}", gate.name);
        }
    }
}
