//! A finalizer that keeps an object for as long as somebody uses it: what claims and volumes have in common.
//!
//! Upstream: pkg/controller/volume/{pvcprotection,pvprotection}, pkg/controller/volume/protectionutil (v1.35).

use corten_apimachinery::{meta::ObjectMeta as _, status::Status, value::Value};
use corten_client::{Client, Target};

use crate::objects::gone_is_fine;

/// What is to be done about a finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is as it should be.
    Nothing,
    /// The object is to go, but somebody uses it.
    Wait,
    /// The object is to be kept once somebody uses it: one of old that has no finalizer yet.
    Add,
    /// Nobody uses the object any more.
    Remove,
}

/// What is to be done about `finalizer` of `object`. Whether it is used is only asked when that decides.
#[must_use]
pub(crate) fn step(object: &Value, finalizer: &str, is_used: impl FnOnce() -> bool) -> Step {
    let is_kept = object.finalizers().any(|known| known == finalizer);
    match (object.deletion_timestamp().is_some(), is_kept) {
        (true, false) | (false, true) => Step::Nothing,
        (false, false) => Step::Add,
        (true, true) if is_used() => Step::Wait,
        (true, true) => Step::Remove,
    }
}

/// Does it: `object` at `target` gets `finalizer` or loses it. It may be gone.
///
/// Errors: `Conflict` if the object has changed since; others of the server.
pub(crate) async fn settle(
    client: &Client,
    target: Target,
    mut object: Value,
    finalizer: &str,
    step: Step,
) -> Result<(), Status> {
    let mut finalizers = object.items_at(&["metadata", "finalizers"]).to_vec();
    match step {
        Step::Nothing | Step::Wait => return Ok(()),
        Step::Add => finalizers.push(finalizer.into()),
        Step::Remove => finalizers.retain(|known| known.as_str() != Some(finalizer)),
    }
    object.set_meta("finalizers", finalizers);
    gone_is_fine(client.update(target, object).await.map(drop))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    #[test]
    fn an_object_is_kept_until_nobody_uses_it() {
        let check = |is_deleting: bool, finalizers: &[&str], is_used: bool, want: Step| {
            let mut metadata = json!({"name": "a", "finalizers": finalizers});
            if is_deleting {
                metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            assert_eq!(step(&from_json(&json!({"metadata": metadata})), "f", || is_used), want, "{metadata}");
        };
        check(false, &[], false, Step::Add);
        check(false, &["f"], false, Step::Nothing);
        check(true, &["f"], true, Step::Wait);
        check(true, &["other", "f"], false, Step::Remove);
        check(true, &["other"], false, Step::Nothing);
    }
}
