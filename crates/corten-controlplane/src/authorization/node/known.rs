//! What pods use, kept until they change: a pod is decoded once, and not for each question about each of its secrets.
//!
//! Bounded by the number of pods: those that are gone are forgotten when they are many.

use std::{collections::HashMap, sync::Arc};

use corten_apimachinery::{stored::Stored, value::Str};
use corten_storage::cacher::Snapshot;
use parking_lot::Mutex;

use super::references::Uses;
use crate::caches::tree;

/// So many entries are kept whatever pods there are.
const KEPT: usize = 256;

/// What is known of pods, by cache key.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Str, (u64, Arc<Uses>)>>);

impl Known {
    /// What `pod` uses, if it was asked for since the pod's last change.
    pub(super) fn get(&self, key: &str, pod: &Stored) -> Option<Arc<Uses>> {
        let known = self.0.lock();
        known.get(key).filter(|(revision, _)| *revision == pod.revision).map(|(_, uses)| Arc::clone(uses))
    }

    /// What `pod` uses, found out anew and kept.
    pub(super) fn learn(&self, key: &str, pod: &Stored, pods: &Snapshot) -> Arc<Uses> {
        // What cannot be read uses nothing.
        let uses = Arc::new(tree(pod).map(|pod| Uses::of(&pod)).unwrap_or_default());
        let mut known = self.0.lock();
        known.insert(key.into(), (pod.revision, Arc::clone(&uses)));
        if known.len() > KEPT + 2 * pods.len() {
            known.retain(|key, _| pods.get(key).is_some());
        }
        uses
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::stored::Facts;

    use super::*;
    use crate::authorization::node::references::Kind;

    fn pod(revision: u64, secret: &str) -> Stored {
        Stored {
            revision,
            namespace: "a".into(),
            name: "p".into(),
            uid: "u".into(),
            json: format!(r#"{{"spec":{{"imagePullSecrets":[{{"name":"{secret}"}}]}}}}"#).into(),
            facts: Facts::default(),
        }
    }

    /// Each read of a secret by a node decoded all pods on it.
    #[test]
    fn a_pod_is_decoded_once_until_it_changes() {
        let (known, none) = (Known::default(), Snapshot::default());
        let (old, new) = (pod(1, "x"), pod(2, "y"));
        assert_eq!(known.get("a/p", &old), None);
        let learned = known.learn("a/p", &old, &none);
        assert!(learned.has(Kind::Secret, "x"));
        assert!(Arc::ptr_eq(&learned, &known.get("a/p", &old).unwrap()));
        assert_eq!(known.get("a/p", &new), None);
        assert!(known.learn("a/p", &new, &none).has(Kind::Secret, "y"));
        assert!(known.get("a/p", &new).is_some());
    }

    #[test]
    fn pods_that_are_gone_are_forgotten() {
        let (known, none) = (Known::default(), Snapshot::default());
        for number in 0..10_000 {
            known.learn(&format!("a/p{number}"), &pod(1, "x"), &none);
            assert!(known.0.lock().len() <= KEPT);
        }
    }
}
