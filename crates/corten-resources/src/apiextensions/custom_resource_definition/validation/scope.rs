//! What the place of a node in its schema means for the rules of the node.

use corten_apimachinery::field::Path;

/// What holds for a node and all below it.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// The node is the whole schema.
    pub(super) is_root: bool,
    /// Why there may be no defaults, if there may be none.
    pub(super) no_defaults: Option<String>,
    /// The node describes what every object has.
    pub(super) inside_meta: bool,
    /// The highest place whose parts have nothing to be compared with.
    pub(super) uncorrelatable: Option<Path>,
    /// How often the node can be in one object, if there is a bound.
    pub(super) cardinality: Option<u64>,
}

impl Scope {
    /// The scope of a whole schema.
    pub(super) fn root() -> Self {
        Self { is_root: true, no_defaults: None, inside_meta: false, uncorrelatable: None, cardinality: Some(1) }
    }

    /// The scope of a node below.
    pub(super) fn below(&self) -> Self {
        Self { is_root: false, ..self.clone() }
    }

    /// The same, where nothing can be compared with what was; `path` is the first such place.
    pub(super) fn uncorrelatable(mut self, path: &Path) -> Self {
        self.uncorrelatable.get_or_insert_with(|| path.clone());
        self
    }

    /// The same, for each of at most `max` items.
    pub(super) fn times(mut self, max: Option<i64>) -> Self {
        let max = max.map(|max| u64::try_from(max).unwrap_or(0));
        self.cardinality = self.cardinality.zip(max).map(|(cardinality, max)| cardinality.saturating_mul(max));
        self
    }
}
