//! Which keys go by themselves, and when.

use std::{cmp::Reverse, collections::BinaryHeap};

use bytes::Bytes;
use jiff::Timestamp;

use crate::kv::Revision;

/// Keys by the time at which they expire.
///
/// Entries of values that were overwritten or deleted stay until their time and are dropped then; so a key that is renewed
/// again and again holds at most one entry per renewal within its lifetime.
#[derive(Debug, Default)]
pub struct ExpiryQueue {
    entries: BinaryHeap<Reverse<(Timestamp, Revision, Bytes)>>,
}

impl ExpiryQueue {
    /// Notes that the value written to `key` at `revision` expires at `at`.
    pub fn push(&mut self, at: Timestamp, revision: Revision, key: Bytes) {
        self.entries.push(Reverse((at, revision, key)));
    }

    /// When the next entry expires.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.entries.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes up to `limit` entries out that have expired at `now` and that `is_current` still finds in the store. Who fails
    /// to delete them pushes them back.
    pub fn take_due(
        &mut self,
        now: Timestamp,
        limit: usize,
        is_current: impl Fn(&[u8], Revision) -> bool,
    ) -> Vec<(Timestamp, Revision, Bytes)> {
        let mut due = Vec::new();
        while due.len() < limit && self.next().is_some_and(|at| at <= now) {
            let Reverse(entry) = self.entries.pop().expect("the queue has a next entry");
            if is_current(&entry.2, entry.1) {
                due.push(entry);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_current_values_expire_in_the_order_of_their_time() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut queue = ExpiryQueue::default();
        queue.push(at(30), 1, Bytes::from_static(b"late"));
        queue.push(at(10), 2, Bytes::from_static(b"renewed"));
        queue.push(at(20), 3, Bytes::from_static(b"due"));
        assert_eq!(queue.next(), Some(at(10)));
        let due = queue.take_due(at(20), 10, |key, _| key != b"renewed");
        assert_eq!(due, [(at(20), 3, Bytes::from_static(b"due"))]);
        assert_eq!(queue.next(), Some(at(30)));
    }
}
