//! Elections that the control plane holds: how the leader is chosen among candidates.

use corten_apimachinery::{
    field::{ErrorList, Path},
    validation::is_qualified_name,
};

use crate::report::Report;

/// The gate of such elections.
pub(super) const GATE: &str = "CoordinatedLeaderElection";

/// The one way that Kubernetes defines: who emulates the oldest version leads.
pub(super) const OLDEST_EMULATION_VERSION: &str = "OldestEmulationVersion";

/// A way that Kubernetes defines, or one of a domain's. `path` is that of the field; errors name it twice, as upstream's do.
pub(super) fn strategy(strategy: &str, path: &Path, errors: &mut ErrorList) {
    let path = path.child("strategy");
    if strategy.contains('/') {
        errors.invalids(&path, strategy, is_qualified_name(strategy));
    } else {
        errors.one_of(&path, strategy, &[OLDEST_EMULATION_VERSION]);
    }
}
