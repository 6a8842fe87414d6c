//! What a patch may cost: a small body can ask for work that grows with the square of its size.

use super::PatchError;
use crate::value::Value;

/// How many entries are moved at the cost of looking at one node.
const MOVES_PER_NODE: usize = 16;

/// What one patch has cost so far.
#[derive(Debug)]
pub(super) struct Work {
    left: usize,
    /// What a patch that costs more is told.
    refusal: &'static str,
}

impl Work {
    /// A patch that may look at `nodes` nodes.
    pub(super) fn new(nodes: usize, refusal: &'static str) -> Self {
        Self { left: nodes, refusal }
    }

    /// So many nodes are looked at.
    pub(super) fn spend(&mut self, nodes: usize) -> Result<(), PatchError> {
        self.left = self.left.checked_sub(nodes).ok_or_else(|| PatchError::TooLarge(self.refusal.to_owned()))?;
        Ok(())
    }

    /// An entry is put in front of, or taken away from in front of, so many others.
    pub(super) fn shift(&mut self, others: usize) -> Result<(), PatchError> {
        self.spend(1 + others / MOVES_PER_NODE)
    }
}

/// How many nodes a tree has.
pub(super) fn nodes(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Object(map) => 1 + map.iter().map(|(_, value)| nodes(value)).sum::<usize>(),
        _ => 1,
    }
}
