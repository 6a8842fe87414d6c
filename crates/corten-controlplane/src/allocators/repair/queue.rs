//! The keys that are to be looked at, each once and when its time has come. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    time::Duration,
};

use corten_apimachinery::{stored::Stored, value::Str};
use corten_storage::object::cache_key;

/// How often a key is tried before it is left to the next round. Upstream: `maxRetries`.
const TRIES_MAX: u32 = 15;

/// The first wait after a failure; each next one is twice as long. Upstream's figure.
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// What is looked at: a service or an address, by its key in the cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Service(Str),
    Address(Str),
}

impl Key {
    pub(super) fn of_service(service: &Stored) -> Self {
        Self::Service(cache_key(&service.namespace, &service.name))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(key) => write!(f, "services/{key}"),
            Self::Address(key) => write!(f, "ipaddresses/{key}"),
        }
    }
}

/// Keys with the time at which they are due. One for each object at most.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: HashMap<Key, Waiting>,
    by_due: BTreeSet<(Duration, Key)>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    due: Duration,
    tries: u32,
}

impl Queue {
    /// These are due now.
    pub(super) fn extend(&mut self, keys: impl IntoIterator<Item = Key>, now: Duration) {
        for key in keys {
            if let Some(old) = self.waiting.insert(key.clone(), Waiting { due: now, tries: 0 }) {
                self.by_due.remove(&(old.due, key.clone()));
            }
            self.by_due.insert((now, key));
        }
    }

    /// This one is due at `due`, unless it is waiting already: for something that has happened since.
    pub(super) fn again(&mut self, key: Key, due: Duration) {
        self.wait(key, Waiting { due, tries: 0 });
    }

    /// This one has failed, after `tries` failures before.
    pub(super) fn retry(&mut self, key: Key, tries: u32, now: Duration) {
        if tries < TRIES_MAX {
            self.wait(key, Waiting { due: now + FIRST_WAIT * 2_u32.pow(tries), tries: tries + 1 });
        }
    }

    fn wait(&mut self, key: Key, waiting: Waiting) {
        if !self.waiting.contains_key(&key) {
            self.by_due.insert((waiting.due, key.clone()));
            self.waiting.insert(key, waiting);
        }
    }

    /// Takes those that are due, each with how often it has failed.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<(Key, u32)> {
        let mut due = Vec::new();
        while self.next_due().is_some_and(|next| next <= now)
            && let Some((_, key)) = self.by_due.pop_first()
        {
            let tries = self.waiting.remove(&key).map_or(0, |waiting| waiting.tries);
            due.push((key, tries));
        }
        due
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.by_due.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn key(name: &str) -> Key {
        Key::Address(name.into())
    }

    #[test]
    fn a_key_is_due_once_and_a_change_makes_it_due_now() {
        let mut queue = Queue::default();
        queue.extend([key("a"), key("a")], 5 * MS);
        assert_eq!(queue.take_due(4 * MS), []);
        assert_eq!((queue.take_due(5 * MS), queue.next_due()), (vec![(key("a"), 0)], None));
        queue.again(key("a"), 100 * MS);
        assert_eq!(queue.next_due(), Some(100 * MS));
        queue.extend([key("a")], 7 * MS);
        queue.again(key("a"), 100 * MS);
        assert_eq!(queue.take_due(7 * MS), [(key("a"), 0)]);
    }

    #[test]
    fn what_fails_waits_twice_as_long_each_time_and_is_given_up() {
        let (mut queue, mut now, mut waits) = (Queue::default(), Duration::ZERO, Vec::new());
        queue.extend([key("a")], now);
        while let [(key, tries)] = &queue.take_due(now)[..] {
            queue.retry(key.clone(), *tries, now);
            waits.extend(queue.next_due().map(|due| due - now));
            now = queue.next_due().unwrap_or(now);
        }
        assert_eq!((waits.len(), waits[0], waits[1], waits[14]), (15, 5 * MS, 10 * MS, 81_920 * MS));
    }
}
