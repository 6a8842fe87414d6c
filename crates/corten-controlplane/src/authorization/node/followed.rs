//! Which objects of a resource are about something: pods by their node, volumes by the secrets that mounting them takes.
//!
//! It follows the events of the watch cache, by whoever asks next: so an answer is as fresh as the cache, and costs what has
//! changed since the last one. All objects are looked at for the first question, and if the events since the last one are gone.
//! Bounded by the number of objects.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use corten_apimachinery::{stored::Stored, value::Str};
use corten_storage::{
    cacher::{Cacher, Change, Snapshot, Watcher},
    object::cache_key,
};
use tokio::sync::Mutex;

/// So many objects are looked at in one go, unless their text is read.
const AT_ONCE: usize = 1_024;

/// What an object is about.
type Subjects = Box<dyn Fn(&Stored) -> Vec<Str> + Send + Sync>;

/// The objects of one resource, by what they are about.
pub(super) struct Followed {
    subjects: Subjects,
    /// How many objects are looked at in one go.
    at_once: usize,
    /// Held while the events are read: who asks meanwhile waits, and finds it done.
    seen: Mutex<Seen>,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    /// What comes next; `None` before the first question.
    watcher: Option<Watcher>,
    /// Cache keys, in their order.
    by_subject: HashMap<Str, BTreeSet<Str>>,
    /// How many objects were looked at since others had their turn.
    looked_at: usize,
}

impl Followed {
    /// By what can be told without reading an object's text.
    pub(super) fn by_facts(subjects: impl Fn(&Stored) -> Vec<Str> + Send + Sync + 'static) -> Self {
        Self { subjects: Box::new(subjects), at_once: AT_ONCE, seen: Mutex::default() }
    }

    /// By what an object's text says: it may take a while.
    pub(super) fn by_text(subjects: impl Fn(&Stored) -> Vec<Str> + Send + Sync + 'static) -> Self {
        Self { subjects: Box::new(subjects), at_once: 1, seen: Mutex::default() }
    }

    /// The cache keys, from `start` on, of the objects that are about `subject`, and a state that is not older. Cancel-safe.
    ///
    /// A cache that cannot be read yet has none.
    pub(super) async fn about(&self, cacher: &Cacher, subject: &str, start: &str) -> (Vec<Str>, Snapshot) {
        let mut seen = self.seen.lock().await;
        if !self.catch_up(&mut seen).await {
            self.begin(&mut seen, cacher).await;
        }
        let keys = seen.by_subject.get(subject);
        let keys = keys.into_iter().flat_map(|keys| keys.range(Str::from(start)..)).cloned().collect();
        (keys, cacher.any())
    }

    /// Reads what happened since the last time; `false` if that is not known.
    async fn catch_up(&self, seen: &mut Seen) -> bool {
        let mut events = Vec::new();
        loop {
            // It is put back once its events are read: who is gone before has to begin again.
            let Some(mut watcher) = seen.watcher.take() else { return false };
            match watcher.drain(&mut events) {
                Ok(is_any) if !is_any => {
                    seen.watcher = Some(watcher);
                    return true;
                }
                Ok(_) => {}
                Err(_) => return false,
            }
            for event in events.drain(..) {
                let before = event.previous.as_deref().map(&self.subjects).unwrap_or_default();
                let after = if event.change == Change::Put { (self.subjects)(&event.object) } else { Vec::new() };
                if before != after {
                    let key = cache_key(&event.object.namespace, &event.object.name);
                    before.iter().for_each(|subject| seen.remove(subject, &key));
                    after.into_iter().for_each(|subject| seen.insert(subject, &key));
                }
                seen.take_turns(self.at_once).await;
            }
            seen.watcher = Some(watcher);
        }
    }

    /// Looks at all objects.
    async fn begin(&self, seen: &mut Seen, cacher: &Cacher) {
        *seen = Seen::default();
        let Ok((all, watcher)) = cacher.watch_from_now(0).await else { return };
        let mut from = Some(String::new());
        while let Some(start) = from.take() {
            for (looked_at, (key, object)) in all.range("", &start).enumerate() {
                if looked_at == self.at_once {
                    from = Some(key.to_owned());
                    break;
                }
                (self.subjects)(object).into_iter().for_each(|subject| seen.insert(subject, key));
            }
            tokio::task::yield_now().await;
        }
        seen.watcher = Some(watcher);
    }
}

impl Seen {
    fn insert(&mut self, subject: Str, key: &str) {
        self.by_subject.entry(subject).or_default().insert(key.into());
    }

    fn remove(&mut self, subject: &Str, key: &str) {
        if let Some(keys) = self.by_subject.get_mut(subject) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_subject.remove(subject);
            }
        }
    }

    /// One more object was looked at.
    async fn take_turns(&mut self, at_once: usize) {
        self.looked_at += 1;
        if self.looked_at.is_multiple_of(at_once) {
            tokio::task::yield_now().await;
        }
    }
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use serde_json::json;

    use super::*;
    use crate::testing::{Cluster, admin};

    const MAPS: &str = "/api/v1/namespaces/default/configmaps";

    /// Each request of a node looked at all pods of the namespace, and often at all volumes.
    #[tokio::test]
    async fn an_answer_costs_what_has_changed_since_the_last_one() {
        let cluster = Cluster::start().await;
        let maps = cluster.server.routes().store("", "configmaps").unwrap().cacher().clone();
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looks);
        // By the label `of`, which is their only one.
        let followed = Followed::by_facts(move |map| {
            counted.fetch_add(1, Ordering::Relaxed);
            map.facts.labels.iter().map(|(_, value)| value.into()).collect()
        });
        let check = async |subject: &str, want: &[&str]| {
            maps.consistent().await.unwrap();
            looks.store(0, Ordering::Relaxed);
            let (keys, all) = followed.about(&maps, subject, "default/").await;
            assert_eq!(keys, want, "{subject}");
            assert!(keys.iter().all(|key| all.get(key).is_some()));
            looks.load(Ordering::Relaxed)
        };
        let make = async |name: &str, of: &str| {
            let map = json!({"metadata": {"name": name, "labels": {"of": of}}});
            cluster.post(admin(), MAPS, map).await.unwrap();
        };
        for number in 0..20 {
            make(&format!("m{number}"), if number % 10 == 3 { "few" } else { "many" }).await;
        }
        let all = maps.consistent().await.unwrap().len();
        assert_eq!(check("few", &["default/m13", "default/m3"]).await, all);
        assert_eq!(check("none", &[]).await, 0);
        make("a", "few").await;
        assert_eq!(check("few", &["default/a", "default/m13", "default/m3"]).await, 1);
        let other = json!({"metadata": {"name": "m3", "labels": {"of": "other"}}});
        cluster.put(admin(), &format!("{MAPS}/m3"), other).await.unwrap();
        cluster.delete(admin(), &format!("{MAPS}/a")).await.unwrap();
        assert!((2..=4).contains(&check("few", &["default/m13"]).await));
        check("other", &["default/m3"]).await;
        cluster.stop().await;
    }

    /// The ring of events holds 256 that are older than 75 seconds.
    #[tokio::test]
    async fn who_was_away_for_too_long_looks_at_all() {
        let cluster = Cluster::start().await;
        let maps = cluster.server.routes().store("", "configmaps").unwrap().cacher().clone();
        let followed = Followed::by_text(|map| vec![map.name.clone()]);
        assert_eq!(followed.about(&maps, "m", "").await.0, [""; 0]);
        for number in 0..300 {
            let map = json!({"metadata": {"name": format!("m{number}")}});
            cluster.post(admin(), MAPS, map).await.unwrap();
        }
        cluster.clock.advance(Duration::from_secs(100));
        cluster.post(admin(), MAPS, json!({"metadata": {"name": "m"}})).await.unwrap();
        maps.consistent().await.unwrap();
        for name in ["m", "m0", "m299"] {
            assert_eq!(followed.about(&maps, name, "").await.0, [format!("default/{name}")]);
        }
        assert_eq!(followed.about(&maps, "m0", "default/m1").await.0, [""; 0]);
        cluster.stop().await;
    }
}
