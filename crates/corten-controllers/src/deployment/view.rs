//! A deployment and its ReplicaSets as the controller reads them: trees with names for their fields.

use std::{convert::Infallible, time::Duration};

use corten_apimachinery::{
    int_or_string::IntOrString,
    meta::ObjectMeta as _,
    value::{Map, Str, Value, format_str, semantically_equal},
};

use crate::objects::i32_at;

/// The label that keeps the pods of a deployment's ReplicaSets apart.
pub const HASH_LABEL: &str = "pod-template-hash";
/// Which version of the template a ReplicaSet is.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Which versions it was before.
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// `spec.replicas` of the deployment when its ReplicaSet was scaled last.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The same with the surge.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a deployment that its ReplicaSets do not get.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// The longest history that is kept, in characters. Upstream: `maxRevHistoryLengthInChars`.
const HISTORY_MAX: usize = 2_000;

/// Upstream's word for "no limit": the largest 32-bit number.
const UNLIMITED: i64 = i32::MAX as i64;

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// All of it.
    pub tree: Value,
}

impl Deployment {
    /// `spec.replicas`.
    #[must_use]
    pub fn replicas(&self) -> i32 {
        i32_at(&self.tree, &["spec", "replicas"])
    }

    /// Whether pods are replaced step by step.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        self.tree.str_at(&["spec", "strategy", "type"]) == Some("RollingUpdate")
    }

    /// Whether all old pods go before new ones come.
    #[must_use]
    pub fn is_recreate(&self) -> bool {
        self.tree.str_at(&["spec", "strategy", "type"]) == Some("Recreate")
    }

    /// `spec.paused`.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.tree.bool_at(&["spec", "paused"]) == Some(true)
    }

    /// How many pods may be too many, and how many may be missing, as numbers.
    fn fenceposts(&self) -> (i32, i32) {
        let replicas = self.replicas();
        let scaled = |field, rounds_up| {
            let value = self.tree.at(&["spec", "strategy", "rollingUpdate", field]).and_then(IntOrString::from_value);
            // Validation lets nothing else in.
            value.and_then(|value| value.scaled(replicas, rounds_up).ok()).unwrap_or_default()
        };
        match (scaled("maxSurge", true), scaled("maxUnavailable", false)) {
            // Both came out as zero by rounding: nothing could ever move.
            (0, 0) => (0, 1),
            posts => posts,
        }
    }

    /// How many pods there may be beyond `spec.replicas`.
    #[must_use]
    pub fn max_surge(&self) -> i32 {
        if self.is_rolling() { self.fenceposts().0 } else { 0 }
    }

    /// How many pods may be missing.
    #[must_use]
    pub fn max_unavailable(&self) -> i32 {
        if self.is_rolling() && self.replicas() > 0 { self.fenceposts().1.min(self.replicas()) } else { 0 }
    }

    /// `spec.progressDeadlineSeconds`; `None` for no deadline.
    #[must_use]
    pub fn progress_deadline(&self) -> Option<Duration> {
        let seconds = self.tree.i64_at(&["spec", "progressDeadlineSeconds"]).filter(|seconds| *seconds != UNLIMITED)?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    }

    /// `spec.revisionHistoryLimit`; `None` for no limit.
    #[must_use]
    pub fn history_limit(&self) -> Option<usize> {
        let limit = self.tree.i64_at(&["spec", "revisionHistoryLimit"]).filter(|limit| *limit != UNLIMITED)?;
        Some(usize::try_from(limit).unwrap_or_default())
    }

    /// `spec.template`.
    #[must_use]
    pub fn template(&self) -> Value {
        self.tree.at(&["spec", "template"]).cloned().unwrap_or_default()
    }

    /// Sets the revision annotation; whether that changed it.
    pub fn set_revision(&mut self, revision: &str) -> bool {
        let changes = self.tree.annotation(REVISION) != Some(revision);
        if changes {
            self.tree.set(&["metadata", "annotations", REVISION], revision);
        }
        changes
    }

    /// Whether `set` runs the pods that this deployment wants.
    #[must_use]
    pub fn wants(&self, set: &ReplicaSet) -> bool {
        let plain = |tree: &Value| {
            let mut template = tree.at(&["spec", "template"]).cloned().unwrap_or_default();
            template.unset(&["metadata", "labels", HASH_LABEL]);
            if template.at(&["metadata", "labels"]).and_then(Value::as_object).is_some_and(Map::is_empty) {
                template.unset(&["metadata", "labels"]);
            }
            template
        };
        semantically_equal(Some(&plain(&self.tree)), Some(&plain(&set.tree)))
    }
}

/// A ReplicaSet of a deployment.
#[derive(Debug, Clone)]
pub struct ReplicaSet {
    /// All of it.
    pub tree: Value,
}

impl ReplicaSet {
    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tree.name()
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.tree.uid()
    }

    /// Ordered by age, then by name. Times in objects are UTC in one form, so text orders them.
    #[must_use]
    pub fn age_key(&self) -> (Str, Str) {
        (self.tree.creation_timestamp().unwrap_or_default().into(), self.name().into())
    }

    /// `spec.replicas`.
    #[must_use]
    pub fn replicas(&self) -> i32 {
        i32_at(&self.tree, &["spec", "replicas"])
    }

    /// A number of the status.
    #[must_use]
    pub fn status(&self, field: &str) -> i32 {
        i32_at(&self.tree, &["status", field])
    }

    /// `status.availableReplicas`.
    #[must_use]
    pub fn available(&self) -> i32 {
        self.status("availableReplicas")
    }

    /// A number in an annotation.
    #[must_use]
    pub fn number(&self, annotation: &str) -> Option<i32> {
        self.tree.annotation(annotation)?.parse().ok()
    }

    /// Its revision; 0 for none, or a bad one.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.tree.annotation(REVISION).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Whether it has or wants pods, or may have without saying so yet: then it must not be cleaned up.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        let observed = self.tree.i64_at(&["status", "observedGeneration"]).unwrap_or_default();
        self.status("replicas") != 0
            || self.replicas() != 0
            || self.tree.generation() > observed
            || self.tree.deletion_timestamp().is_some()
    }

    /// Notes the deployment's size; whether that changed anything.
    pub fn set_size_annotations(&mut self, deployment: &Deployment) -> bool {
        let (desired, max) = (deployment.replicas(), deployment.replicas().saturating_add(deployment.max_surge()));
        let mut changed = false;
        for (annotation, number) in [(DESIRED_REPLICAS, desired), (MAX_REPLICAS, max)] {
            let text = format_str!("{number}");
            if self.tree.annotation(annotation) != Some(&text) {
                self.tree.set(&["metadata", "annotations", annotation], text);
                changed = true;
            }
        }
        changed
    }

    /// Makes the annotations those of the newest ReplicaSet of `deployment` with this revision; whether that changed
    /// anything. The size is noted only for a new one: for the others that means that they were scaled.
    pub fn set_annotations(&mut self, deployment: &Deployment, revision: i64, exists: bool) -> bool {
        let mut changed = false;
        let of_deployment = deployment.tree.annotations().into_iter().flat_map(|map| map.entries());
        let copied: Vec<(Str, Value)> = of_deployment
            .filter(|(key, value)| !NOT_COPIED.contains(&key.as_str()) && self.tree.annotation(key) != value.as_str())
            .cloned()
            .collect();
        if !copied.is_empty() {
            let annotations = match self.tree.unset(&["metadata", "annotations"]) {
                Some(Value::Object(annotations)) => annotations,
                _ => Map::new(),
            };
            // All at once: each that comes alone moves those behind it.
            let Ok(annotations) = annotations.edit(copied.into_iter(), |_, _, value| Ok::<_, Infallible>(Some(value)));
            self.tree.set(&["metadata", "annotations"], Value::Object(annotations));
            changed = true;
        }
        let old: Option<Str> = self.tree.annotation(REVISION).map(Str::from);
        // A revision that somebody made unreadable is left to people.
        let old_number: Option<i64> = old.as_deref().map_or(Some(0), |text| text.parse().ok());
        if old_number.is_some_and(|old| old < revision) {
            self.tree.set(&["metadata", "annotations", REVISION], format_str!("{revision}"));
            changed = true;
            if let Some(old) = old {
                let history = history(self.tree.annotation(REVISION_HISTORY).unwrap_or_default(), &old);
                self.tree.set(&["metadata", "annotations", REVISION_HISTORY], history);
            }
        }
        if !exists {
            changed |= self.set_size_annotations(deployment);
        }
        changed
    }
}

/// A history with one more revision; the oldest go when it gets too long.
fn history(history: &str, revision: &str) -> String {
    let mut revisions: Vec<&str> = history.split(',').filter(|text| !text.is_empty()).collect();
    revisions.push(revision);
    let mut length = revisions.iter().map(|text| text.len() + 1).sum::<usize>() - 1;
    let mut from = 0;
    while length > HISTORY_MAX && from + 1 < revisions.len() {
        length -= revisions[from].len() + 1;
        from += 1;
    }
    revisions[from..].join(",")
}

#[cfg(test)]
mod tests {
    use super::history;

    #[test]
    fn a_history_grows_up_to_a_length() {
        assert_eq!(history("", "1"), "1");
        assert_eq!(history("1,3", "5"), "1,3,5");
        let long = vec!["1000"; 400].join(",");
        let cut = history(&long, "2000");
        assert!(cut.len() <= 2_000 && cut.ends_with("1000,2000"), "{}", cut.len());
    }
}
