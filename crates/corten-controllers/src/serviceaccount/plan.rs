//! When a namespace lacks its account.

use corten_api::core::v1::Namespace;

/// Whether the account has to be made. A namespace that is being deleted takes nothing new.
pub(super) fn is_missing(namespace: &Namespace, exists: bool) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    !exists && phase == Some("Active")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(phase: &str, exists: bool, want: bool) {
        let namespace = serde_json::from_value(json!({"status": {"phase": phase}})).unwrap();
        assert_eq!(is_missing(&namespace, exists), want, "{phase}");
    }

    #[test]
    fn active_namespaces_without_the_account_get_it() {
        check("Active", false, true);
        check("Active", true, false);
        check("Terminating", false, false);
    }
}
