//! Feature gates: which of upstream's optional features are on.
//!
//! The table holds all of v1.35, whether some rule here asks for a gate or not, so that `--feature-gates` takes and refuses
//! what upstream takes and refuses.
//! Upstream: pkg/features/kube_features.go, k8s.io/component-base/featuregate (v1.35).

mod dependencies;
mod table;

use corten_base::parse_bool;
use dependencies::DEPENDENCIES;
pub use table::FEATURE_GATES;

/// How far a feature has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Tried out.
    Alpha,
    /// Meant to stay.
    Beta,
    /// Here to stay.
    Stable,
    /// On its way out.
    Deprecated,
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
    /// Whether nobody can say otherwise.
    pub locked: bool,
}

/// The gates of one process: a state for each in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureGates {
    /// As in the table, by place.
    enabled: Vec<bool>,
}

/// Why `--feature-gates` is not taken. Worded as upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFeatureGates {
    /// An entry without a value.
    #[error("missing bool value for {0}")]
    NoValue(String),
    /// A value that is neither true nor false.
    #[error("invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    NoBool {
        /// The gate.
        name: String,
        /// What it was to be.
        value: String,
    },
    /// No such gate.
    #[error("unrecognized feature gate: {0}")]
    Unknown(String),
    /// A gate that stays as it is.
    #[error("cannot set feature gate {name} to {value}, feature is locked to {locked}")]
    Locked {
        /// The gate.
        name: &'static str,
        /// What it was to be.
        value: bool,
        /// What it is.
        locked: bool,
    },
    /// Gates that are on without those that they build on.
    #[error("{}", aggregate(.0))]
    Dependencies(Vec<Unmet>),
    /// Gates of a component that is not in this process.
    #[error("component not registered: {0}")]
    Component(String),
    /// Some entries name the component, others do not.
    #[error("set kube feature gates with default empty prefix or kube: prefix consistently, do not mix use")]
    Mixed,
}

/// A gate that is on, and those that it builds on which are off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The gate.
    pub gate: &'static str,
    /// What it lacks, sorted by name.
    pub missing: Vec<&'static str>,
}

/// As upstream joins errors: one stands for itself, several are in brackets.
fn aggregate(all: &[Unmet]) -> String {
    let words = |one: &Unmet| {
        format!("{} is enabled, but depends on features that are disabled: [{}]", one.gate, one.missing.join(" "))
    };
    match all {
        [one] => words(one),
        several => format!("[{}]", several.iter().map(words).collect::<Vec<_>>().join(", ")),
    }
}

/// The component whose gates these are; entries may say so: `kube:Name=true`.
const COMPONENT: &str = "kube";

impl Default for FeatureGates {
    fn default() -> Self {
        Self { enabled: FEATURE_GATES.iter().map(|gate| gate.default).collect() }
    }
}

impl FeatureGates {
    /// The gates after `settings` of the form `Name=true,Other=false`. `AllAlpha` and `AllBeta` set those that are not named.
    ///
    /// Errors: the first entry that cannot be followed, or gates that are on without what they build on.
    pub fn parse(settings: &str) -> Result<Self, BadFeatureGates> {
        let mut named: Vec<(&str, bool)> = Vec::new();
        for entry in entries(settings)? {
            let (name, value) = entry.split_once('=').ok_or_else(|| BadFeatureGates::NoValue(entry.to_owned()))?;
            let (name, value) = (name.trim(), value.trim());
            let value = parse_bool(value)
                .ok_or_else(|| BadFeatureGates::NoBool { name: name.to_owned(), value: value.to_owned() })?;
            named.push((name, value));
        }
        let mut gates = Self::default();
        // The last word holds, for groups as for names.
        let of_stage = |group: &str| named.iter().rev().find(|(name, _)| *name == group).map(|&(_, value)| value);
        let (alpha, beta) = (of_stage("AllAlpha"), of_stage("AllBeta"));
        for (gate, enabled) in FEATURE_GATES.iter().zip(&mut gates.enabled) {
            let wanted = match gate.stage {
                Stage::Alpha => alpha,
                Stage::Beta => beta,
                Stage::Stable | Stage::Deprecated => None,
            };
            if let Some(value) = wanted.filter(|_| !gate.locked) {
                *enabled = value;
            }
        }
        for &(name, value) in named.iter().filter(|(name, _)| !matches!(*name, "AllAlpha" | "AllBeta")) {
            let index = place(name).ok_or_else(|| BadFeatureGates::Unknown(name.to_owned()))?;
            let gate = &FEATURE_GATES[index];
            if gate.locked && value != gate.default {
                return Err(BadFeatureGates::Locked { name: gate.name, value, locked: gate.default });
            }
            gates.enabled[index] = value;
        }
        let unmet = gates.unmet();
        if unmet.is_empty() { Ok(gates) } else { Err(BadFeatureGates::Dependencies(unmet)) }
    }

    fn unmet(&self) -> Vec<Unmet> {
        let unmet = DEPENDENCIES.iter().filter(|(gate, _)| self.is_enabled(gate)).map(|&(gate, needed)| Unmet {
            gate,
            missing: needed.iter().copied().filter(|needed| !self.is_enabled(needed)).collect(),
        });
        unmet.filter(|unmet| !unmet.missing.is_empty()).collect()
    }

    /// Whether a gate is on. One that is not in the table is off: asking for it is a mistake, caught in debug builds.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        let index = place(name);
        debug_assert!(index.is_some(), "feature gate {name} is not in the table");
        index.is_some_and(|index| self.enabled[index])
    }

    /// Every gate with its state, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static FeatureGate, bool)> + '_ {
        FEATURE_GATES.iter().zip(self.enabled.iter().copied())
    }
}

/// The entries of `settings`, without the component where they name it.
fn entries(settings: &str) -> Result<Vec<&str>, BadFeatureGates> {
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for entry in settings.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        match entry.split_once(':').map(|(component, entry)| (component.trim(), entry.trim())) {
            None => plain.push(entry),
            Some(("", entry)) => plain.push(entry),
            Some((COMPONENT, entry)) => ours.push(entry),
            Some((component, _)) => return Err(BadFeatureGates::Component(component.to_owned())),
        }
    }
    match (plain.is_empty(), ours.is_empty()) {
        (false, false) => Err(BadFeatureGates::Mixed),
        (true, _) => Ok(ours),
        (false, true) => Ok(plain),
    }
}

fn place(name: &str) -> Option<usize> {
    FEATURE_GATES.binary_search_by(|gate| gate.name.cmp(name)).ok()
}

#[cfg(test)]
mod tests;
