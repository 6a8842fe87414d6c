//! Bringing scores into the common range.

use crate::framework::MAX_NODE_SCORE;

/// Scales scores so that the highest becomes 100; with `reversed`, the lowest counts most.
///
/// Source: pkg/scheduler/framework/plugins/helper, DefaultNormalizeScore.
pub(super) fn normalize(scores: &mut [i64], reversed: bool) {
    let highest = scores.iter().copied().max().unwrap_or_default();
    for score in scores {
        let scaled = if highest == 0 { 0 } else { MAX_NODE_SCORE * *score / highest };
        *score = if reversed { MAX_NODE_SCORE - scaled } else { scaled };
    }
}
