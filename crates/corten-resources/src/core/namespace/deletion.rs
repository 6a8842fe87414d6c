//! The deletion of a namespace: marked once, and then left alone until its contents have gone.
//!
//! Upstream: `Delete` in pkg/registry/core/namespace/storage/storage.go (v1.35).

use corten_apimachinery::{
    Value,
    meta::{ObjectMeta as _, format_time},
    resource::{Context, DeleteOptions},
};

/// Dependents lose this owner before it goes.
const ORPHAN: &str = "orphan";
/// Dependents go before this owner does.
const FOREGROUND: &str = "foregroundDeletion";

/// Marks a namespace as going. A namespace takes as long as its contents take, so there is no grace period.
///
/// See `OwnDeletion` for what is returned.
pub(super) fn mark(cx: &Context<'_>, namespace: &Value, options: &DeleteOptions) -> Option<Value> {
    if namespace.deletion_timestamp().is_some() {
        let is_held = !namespace.items_at(&["spec", "finalizers"]).is_empty();
        return is_held.then(|| namespace.clone());
    }
    let mut going = namespace.clone();
    going.set_meta("deletionTimestamp", format_time(cx.now));
    going.set(&["status", "phase"], "Terminating");
    set_dependents_finalizers(&mut going, options);
    Some(going)
}

/// Unlike elsewhere, `orphanDependents: false` is foreground deletion here.
fn set_dependents_finalizers(going: &mut Value, options: &DeleteOptions) {
    let has = |finalizer: &str| going.finalizers().any(|existing| existing == finalizer);
    let wanted =
        |finalizer: &str, orphans: bool, policy: &str| match (options.orphan_dependents, &options.propagation_policy) {
            (Some(orphan), _) => orphan == orphans,
            (None, Some(asked)) => asked.as_str() == policy,
            (None, None) => has(finalizer),
        };
    let of = [(ORPHAN, wanted(ORPHAN, true, "Orphan")), (FOREGROUND, wanted(FOREGROUND, false, "Foreground"))];
    for (finalizer, wanted) in of {
        let mut finalizers = going.items_at(&["metadata", "finalizers"]).to_vec();
        let before = finalizers.len();
        if !wanted {
            finalizers.retain(|existing| existing.as_str() != Some(finalizer));
        } else if finalizers.iter().all(|existing| existing.as_str() != Some(finalizer)) {
            finalizers.push(finalizer.into());
        }
        match finalizers.len() {
            after if after == before => {}
            0 => going.unset_meta("finalizers"),
            _ => going.set_meta("finalizers", finalizers),
        }
    }
}
