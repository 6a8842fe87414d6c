//! Which keys go by themselves, and when.
//!
//! Invariant: there is an entry for each key whose value expires, and no other: no more than the store has objects, however
//! often they are written.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use jiff::Timestamp;

use crate::kv::Revision;

/// Keys by the time at which they expire.
#[derive(Debug, Default)]
pub struct ExpiryQueue {
    in_order: BTreeSet<(Timestamp, Revision, Bytes)>,
    by_key: HashMap<Bytes, (Timestamp, Revision)>,
}

impl ExpiryQueue {
    /// Notes that `key` was written at `revision`, and when that value expires: never for `None`, as that of a deletion.
    /// What was written later counts, in whatever order it is told.
    pub fn written(&mut self, key: &Bytes, revision: Revision, expires_at: Option<Timestamp>) {
        match expires_at {
            Some(at) => self.push(at, revision, key.clone()),
            None => self.remove(key, revision),
        }
    }

    /// `written` of a value that expires.
    pub fn push(&mut self, at: Timestamp, revision: Revision, key: Bytes) {
        if self.by_key.get(&key).is_some_and(|&(_, queued)| queued > revision) {
            return;
        }
        self.remove(&key, revision);
        self.by_key.insert(key.clone(), (at, revision));
        self.in_order.insert((at, revision, key));
    }

    /// `written` of a value that does not expire, or of none.
    pub fn remove(&mut self, key: &[u8], revision: Revision) {
        if self.by_key.get(key).is_some_and(|&(_, queued)| queued <= revision)
            && let Some((key, (at, queued))) = self.by_key.remove_entry(key)
        {
            self.in_order.remove(&(at, queued, key));
        }
    }

    /// When the next entry expires.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.in_order.first().map(|(at, ..)| *at)
    }

    /// How many keys expire.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_order.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }

    /// Takes up to `limit` entries out that have expired at `now`. Who fails to delete them puts them back, by `written`.
    pub fn take_due(&mut self, now: Timestamp, limit: usize) -> Vec<(Timestamp, Revision, Bytes)> {
        let mut due = Vec::new();
        while due.len() < limit && self.next().is_some_and(|at| at <= now) {
            let entry = self.in_order.pop_first().expect("the queue has a next entry");
            self.by_key.remove(&entry.2);
            due.push(entry);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_current_values_expire_in_the_order_of_their_time() {
        let mut queue = ExpiryQueue::default();
        let write = |queue: &mut ExpiryQueue, revision: Revision, key: &'static str, expires_at: Option<i64>| {
            queue.written(&Bytes::from_static(key.as_bytes()), revision, expires_at.map(at));
        };
        write(&mut queue, 1, "late", Some(30));
        write(&mut queue, 2, "renewed", Some(10));
        write(&mut queue, 3, "due", Some(20));
        write(&mut queue, 4, "deleted", Some(5));
        write(&mut queue, 5, "forever", Some(5));
        write(&mut queue, 6, "renewed", Some(40));
        write(&mut queue, 7, "deleted", None);
        write(&mut queue, 8, "forever", None);
        assert_eq!(queue.next(), Some(at(20)));
        let due = queue.take_due(at(30), 1);
        assert_eq!(due, [(at(20), 3, Bytes::from_static(b"due"))]);
        // It could not be deleted; but one that was written again meanwhile does not go back.
        write(&mut queue, 3, "due", Some(20));
        write(&mut queue, 2, "renewed", Some(10));
        let keys: Vec<_> = queue.take_due(at(100), 10).into_iter().map(|(_, _, key)| key).collect();
        assert_eq!(keys, ["due", "late", "renewed"]);
        assert_eq!((queue.next(), queue.is_empty()), (None, true));
    }

    /// Each write of an event left an entry for an hour: ten million, if one event is patched as often as can be.
    #[test]
    fn a_key_that_is_written_again_and_again_has_one_entry() {
        let mut queue = ExpiryQueue::default();
        for revision in 1..=10_000 {
            queue.written(&Bytes::from_static(b"event"), revision, Some(at(3_600 + revision.cast_signed())));
            queue.written(&Bytes::from(format!("gone-{revision}")), revision, Some(at(3_600)));
            queue.written(&Bytes::from(format!("gone-{revision}")), revision + 1, None);
        }
        assert_eq!((queue.len(), queue.by_key.len()), (1, 1));
        assert_eq!(queue.next(), Some(at(13_600)));
    }
}
