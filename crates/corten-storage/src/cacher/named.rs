//! Which events in the ring are about an object that somebody watches by its name, and who is to be woken for it.
//!
//! Most watches of secrets and config maps are about one object, a watch for each that a pod names. If every change of any
//! of them woke them all, one that changes often would keep a node busy. So they wait for their name, and read no others'
//! events. Upstream has such an index in storage/cacher, too: by `metadata.name`, for these two kinds.
//!
//! Invariant: for each name that is watched, the numbers of its events from `since` on stand here, as long as the events
//! are in the ring; so there are no more of them than twice the ring's events.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use corten_apimachinery::{
    stored::Stored,
    value::{Str, format_str},
};
use tokio::sync::watch;

use super::ring::Ring;
use crate::object::cache_key;

/// Which object a watcher is about, as it is looked up: its cache key, or `/name` for objects of that name in all namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name(Str);

impl Name {
    /// `namespace` is `None` for all of them, empty for objects that are in none.
    pub(super) fn new(namespace: Option<&str>, name: &str) -> Self {
        Self(match namespace {
            Some(namespace) => cache_key(namespace, name),
            None => format_str!("/{name}"),
        })
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The names that an object with this cache key is watched by.
fn names_of(key: &str) -> impl Iterator<Item = &str> {
    let in_all_namespaces = key.find('/').map(|at| &key[at..]);
    [Some(key), in_all_namespaces].into_iter().flatten()
}

fn key_of(object: &Stored) -> Str {
    cache_key(&object.namespace, &object.name)
}

/// The names that are watched.
#[derive(Debug, Default)]
pub(super) struct Named(HashMap<Name, Entry>);

#[derive(Debug)]
struct Entry {
    watchers: usize,
    /// The number after that of the last event: what the watchers wait for.
    wake: Arc<watch::Sender<u64>>,
    /// From this number on, all events are noted.
    since: u64,
    sequences: VecDeque<u64>,
    /// The last number whose event is no longer in the ring.
    gone: Option<u64>,
}

/// Whom to wake, and with what number: by `wake`, when the cache's lock is free again, which those who wake up need.
pub(super) type Wakes = Vec<(Arc<watch::Sender<u64>>, u64)>;

pub(super) fn wake(wakes: Wakes) {
    for (wake, next) in wakes {
        wake_up_to(&wake, next);
    }
}

/// Wakes those who wait for an event before number `next`. The number only grows: who has not looked yet must not find a
/// smaller one than it was woken for.
pub(super) fn wake_up_to(wake: &watch::Sender<u64>, next: u64) {
    wake.send_if_modified(|current| {
        next > *current && {
            *current = next;
            true
        }
    });
}

impl Named {
    /// A watcher of `name` begins, which has to see the events from `sequence` on. The caller ends it by `leave`.
    /// `None` if the ring no longer goes back that far.
    pub(super) fn join(&mut self, name: &Name, sequence: u64, ring: &Ring) -> Option<watch::Receiver<u64>> {
        if sequence < ring.first_sequence() {
            return None;
        }
        let entry = self.0.entry(name.clone()).or_insert_with(|| Entry {
            watchers: 0,
            wake: Arc::default(),
            since: ring.next_sequence(),
            sequences: VecDeque::new(),
            gone: None,
        });
        entry.watchers += 1;
        if sequence < entry.since {
            let is_meant = |at: &u64| {
                let Some(object) = ring.get(*at).map(|event| &event.object) else { return false };
                // Most are seen to be others without a key that is made for it.
                name.0.ends_with(&*object.name) && names_of(&key_of(object)).any(|other| other == name.0.as_str())
            };
            let earlier: Vec<u64> = (sequence..entry.since).filter(is_meant).collect();
            earlier.into_iter().rev().for_each(|at| entry.sequences.push_front(at));
            entry.since = sequence;
        }
        Some(entry.wake.subscribe())
    }

    /// A watcher of `name` has ended.
    pub(super) fn leave(&mut self, name: &Name) {
        if let Some(entry) = self.0.get_mut(name) {
            entry.watchers -= 1;
            if entry.watchers == 0 {
                self.0.remove(name);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// An event of `object` has got the number `sequence`.
    pub(super) fn note(&mut self, object: &Stored, sequence: u64, wakes: &mut Wakes) {
        if self.0.is_empty() {
            return;
        }
        for name in names_of(&key_of(object)) {
            if let Some(entry) = self.0.get_mut(name) {
                entry.sequences.push_back(sequence);
                wakes.push((Arc::clone(&entry.wake), sequence + 1));
            }
        }
    }

    /// The event with number `sequence`, of `object`, is no longer in the ring.
    pub(super) fn forget(&mut self, object: &Stored, sequence: u64) {
        if self.0.is_empty() {
            return;
        }
        for name in names_of(&key_of(object)) {
            if let Some(entry) = self.0.get_mut(name)
                && entry.sequences.front() == Some(&sequence)
            {
                entry.sequences.pop_front();
                entry.gone = Some(sequence);
            }
        }
    }

    /// All events are gone, also some that nobody knows of: every watcher is told so.
    pub(super) fn restart(&mut self, next_sequence: u64, wakes: &mut Wakes) {
        for entry in self.0.values_mut() {
            entry.sequences.clear();
            entry.since = next_sequence;
            entry.gone = Some(next_sequence - 1);
            wakes.push((Arc::clone(&entry.wake), next_sequence));
        }
    }

    /// Whoever waits for an event of a name looks again.
    pub(super) fn wake_all(&self, wakes: &mut Wakes) {
        wakes.extend(self.0.values().map(|entry| (Arc::clone(&entry.wake), u64::MAX)));
    }

    /// The numbers of the events of `name` from `sequence` on; `None` if some are gone.
    pub(super) fn read(&self, name: &Name, sequence: u64) -> Option<impl Iterator<Item = u64>> {
        let entry = self.0.get(name)?;
        if entry.gone.is_some_and(|gone| gone >= sequence) {
            return None;
        }
        let skip = entry.sequences.partition_point(|&noted| noted < sequence);
        Some(entry.sequences.range(skip..).copied())
    }
}
