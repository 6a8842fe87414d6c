//! The conditions by which a namespace says why it is still there.
//!
//! Upstream: pkg/controller/namespace/deletion/status_condition_utils.go (v1.35).

use corten_apimachinery::{
    meta::format_time,
    value::{Str, Value},
};
use jiff::Timestamp;

use super::content::Outcome;

/// A condition's type, and the reason and message when all is well.
const CONDITIONS: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentRemoved", "All content successfully removed"),
];

/// Brings the conditions of `namespace` up to date; whether that changed anything. Group versions come parsed from
/// discovery here, so that their condition is always well.
pub(super) fn update(namespace: &mut Value, outcome: &Outcome, now: Timestamp) -> bool {
    let mut conditions = namespace.items_at(&["status", "conditions"]).to_vec();
    let mut is_changed = false;
    for (ty, ok_reason, ok_message) in CONDITIONS {
        let (status, reason, message) = match problem(ty, outcome) {
            Some((reason, message)) => ("True", reason, message),
            None => ("False", ok_reason, ok_message.to_owned()),
        };
        let old = conditions.iter_mut().find(|condition| condition.str_at(&["type"]) == Some(ty));
        let is_same = |old: &Value| {
            let text = |field: &str| old.str_at(&[field]).unwrap_or_default();
            text("status") == status && text("reason") == reason && text("message") == message
        };
        if old.as_deref().is_some_and(is_same) {
            continue;
        }
        is_changed = true;
        let since = old.as_deref().filter(|old| old.str_at(&["status"]) == Some(status));
        let since =
            since.and_then(|old| old.str_at(&["lastTransitionTime"])).map_or_else(|| format_time(now), Str::from);
        let condition = Value::object_of([
            ("type", Value::from(ty)),
            ("status", status.into()),
            ("lastTransitionTime", Value::String(since)),
            ("reason", reason.into()),
            ("message", message.into()),
        ]);
        match old {
            Some(old) => *old = condition,
            None => conditions.push(condition),
        }
    }
    if is_changed {
        namespace.set(&["status", "conditions"], conditions);
    }
    is_changed
}

/// What is wrong of one kind: reason and message.
fn problem(ty: &str, outcome: &Outcome) -> Option<(&'static str, String)> {
    match ty {
        "NamespaceDeletionDiscoveryFailure" => {
            let failing = outcome.discovery_failures.iter().map(|(version, status)| format!("{version}: {status}"));
            let failing: Vec<String> = failing.collect();
            (!failing.is_empty()).then(|| {
                let (count, list) = (failing.len(), failing.join(", "));
                let message = format!(
                    "Discovery failed for some groups, {count} failing: unable to retrieve the complete list of server \
                     APIs: {list}"
                );
                ("DiscoveryFailed", message)
            })
        }
        "NamespaceDeletionContentFailure" => (!outcome.failures.is_empty()).then(|| {
            let mut failures = outcome.failures.clone();
            failures.sort();
            let message =
                format!("Failed to delete all resource types, {} remaining: {}", failures.len(), failures.join(", "));
            ("ContentDeletionFailed", message)
        }),
        "NamespaceContentRemaining" => {
            let left = outcome.remaining.iter().map(|(resource, count)| {
                format!("{}.{} has {count} resource instances", resource.resource, resource.group)
            });
            listed("SomeResourcesRemain", "Some resources are remaining", left.collect())
        }
        "NamespaceFinalizersRemaining" => {
            let held = outcome.finalizers.iter();
            let held = held.map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"));
            listed("SomeFinalizersRemain", "Some content in the namespace has finalizers remaining", held.collect())
        }
        _ => None,
    }
}

fn listed(reason: &'static str, what: &str, mut items: Vec<String>) -> Option<(&'static str, String)> {
    items.sort();
    (!items.is_empty()).then(|| (reason, format!("{what}: {}", items.join(", "))))
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::{gvk::GroupVersionResource, status::Status};

    use super::*;

    #[track_caller]
    fn check(outcome: &Outcome, want: &[(&str, &str, &str)]) {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut namespace = Value::object();
        assert!(update(&mut namespace, outcome, now));
        assert!(!update(&mut namespace, outcome, now), "nothing new");
        let conditions = namespace.items_at(&["status", "conditions"]);
        assert_eq!(conditions.len(), 5);
        let bad = conditions.iter().filter(|condition| condition.str_at(&["status"]) == Some("True"));
        let text = |condition: &Value, field: &str| condition.str_at(&[field]).unwrap_or_default().to_owned();
        let bad: Vec<_> = bad.map(|bad| (text(bad, "type"), text(bad, "reason"), text(bad, "message"))).collect();
        let want: Vec<_> = want.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect();
        assert_eq!(bad, want);
    }

    #[test]
    fn conditions_tell_what_is_left_and_why() {
        check(&Outcome::default(), &[]);
        let left = Outcome {
            remaining: [(GroupVersionResource::new("", "v1", "pods"), 2)].into(),
            finalizers: [("acme/hold".to_owned(), 1)].into(),
            failures: vec!["no".to_owned()],
            ..Outcome::default()
        };
        check(
            &left,
            &[
                (
                    "NamespaceDeletionContentFailure",
                    "ContentDeletionFailed",
                    "Failed to delete all resource types, 1 remaining: no",
                ),
                (
                    "NamespaceContentRemaining",
                    "SomeResourcesRemain",
                    "Some resources are remaining: pods. has 2 resource instances",
                ),
                (
                    "NamespaceFinalizersRemaining",
                    "SomeFinalizersRemain",
                    "Some content in the namespace has finalizers remaining: acme/hold in 1 resource instances",
                ),
            ],
        );
        let failing = (corten_apimachinery::gvk::GroupVersion::new("acme", "v1"), Status::service_unavailable("down"));
        check(
            &Outcome { discovery_failures: vec![failing], ..Outcome::default() },
            &[(
                "NamespaceDeletionDiscoveryFailure",
                "DiscoveryFailed",
                "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: acme/v1: down",
            )],
        );
    }
}
