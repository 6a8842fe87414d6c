//! What objects say of others, kept until they change: a pod is decoded once, and not for each question about each of its
//! secrets.
//!
//! Bounded by the number of objects: those that are gone are forgotten when they are many.

use std::{collections::HashMap, sync::Arc};

use corten_apimachinery::{
    stored::Stored,
    value::{Str, Value},
};
use corten_storage::cacher::Snapshot;
use parking_lot::Mutex;

use crate::caches::tree;

/// So many entries are kept whatever objects there are.
const KEPT: usize = 256;

/// What is known of the objects of one resource, by cache key.
#[derive(Debug)]
pub(super) struct Known<T> {
    read: fn(&Value) -> T,
    all: Mutex<HashMap<Str, (u64, Arc<T>)>>,
}

impl<T: Default> Known<T> {
    /// Nothing is known so far; `read` tells what an object says.
    pub(super) fn new(read: fn(&Value) -> T) -> Self {
        Self { read, all: Mutex::default() }
    }

    /// What `object` says, if it was asked for since the object's last change.
    fn get(&self, key: &str, object: &Stored) -> Option<Arc<T>> {
        let known = self.all.lock();
        known.get(key).filter(|(revision, _)| *revision == object.revision).map(|(_, said)| Arc::clone(said))
    }

    /// What `object` says, found out anew and kept.
    fn learn(&self, key: &str, object: &Stored, all: &Snapshot) -> Arc<T> {
        // What cannot be read says nothing.
        let said = Arc::new(tree(object).map(|object| (self.read)(&object)).unwrap_or_default());
        let mut known = self.all.lock();
        known.insert(key.into(), (object.revision, Arc::clone(&said)));
        if known.len() > KEPT + 2 * all.len() {
            known.retain(|key, _| all.get(key).is_some());
        }
        said
    }

    /// What `object`, which is one of `all`, says.
    pub(super) async fn of(&self, key: &str, object: &Stored, all: &Snapshot) -> Arc<T> {
        if let Some(said) = self.get(key, object) {
            return said;
        }
        let said = self.learn(key, object, all);
        // A pod may take milliseconds, and there may be a hundred.
        tokio::task::yield_now().await;
        said
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::stored::Facts;

    use super::*;
    use crate::authorization::node::references::{Kind, Uses};

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
        let (known, none) = (Known::new(Uses::of), Snapshot::default());
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
        let (known, none) = (Known::new(Uses::of), Snapshot::default());
        for number in 0..10_000 {
            known.learn(&format!("a/p{number}"), &pod(1, "x"), &none);
            assert!(known.all.lock().len() <= KEPT);
        }
    }
}
