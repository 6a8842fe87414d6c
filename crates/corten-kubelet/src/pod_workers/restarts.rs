//! How long a container that ended has to wait before it is started again.
//!
//! Pure: time comes in. The table is the worker's own and goes with it; a changed spec hash starts anew.
//! Upstream: k8s.io/client-go/util/flowcontrol/backoff.go with the kubelet's figures (v1.35).

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

/// The first wait. Upstream: `containerBackOffPeriod`.
const INITIAL: Duration = Duration::from_secs(10);
/// The longest wait. Upstream: `MaxCrashLoopBackOff`.
const MAX: Duration = Duration::from_secs(300);

/// The back-offs of one pod's containers.
#[derive(Debug, Clone)]
pub struct Restarts {
    entries: BTreeMap<(String, String), Entry>,
    initial: Duration,
    max: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    delay: Duration,
    updated_at: Timestamp,
}

/// A container must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// How long it waits in all, as the status shows it.
    pub delay: Duration,
    /// When it may start.
    pub until: Timestamp,
}

impl Default for Restarts {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), initial: INITIAL, max: MAX }
    }
}

impl Restarts {
    /// Whether a container that ended at `ended_at` has to wait at `now`.
    #[must_use]
    pub fn check(&self, name: &str, hash: &str, ended_at: Timestamp, now: Timestamp) -> Option<BackOff> {
        let entry = self.entries.get(&(name.to_owned(), hash.to_owned()))?;
        if self.is_expired(*entry, ended_at) {
            return None;
        }
        let until = ended_at + entry.delay;
        (now < until).then_some(BackOff { delay: entry.delay, until })
    }

    /// Notes that a container which ended at `ended_at` is started again at `now`: the next wait is longer.
    pub fn started(&mut self, name: &str, hash: &str, ended_at: Timestamp, now: Timestamp) {
        let key = (name.to_owned(), hash.to_owned());
        let delay = match self.entries.get(&key) {
            Some(entry) if !self.is_expired(*entry, ended_at) => (entry.delay * 2).min(self.max),
            _ => self.initial,
        };
        self.entries.retain(|(other, hash_of_other), _| other != name || *hash_of_other == key.1);
        self.entries.insert(key, Entry { delay, updated_at: now });
    }

    /// A container that ran well for twice the longest wait has earned a new beginning.
    fn is_expired(&self, entry: Entry, ended_at: Timestamp) -> bool {
        ended_at.duration_since(entry.updated_at) > jiff::SignedDuration::try_from(self.max * 2).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_first_end_waits_not_at_all_and_later_ones_wait_twice_as_long_each() {
        let mut restarts = Restarts::default();
        let mut now = 0;
        assert_eq!(restarts.check("a", "h", at(now), at(now)), None);
        for want in [10, 20, 40, 80, 160, 300, 300] {
            restarts.started("a", "h", at(now), at(now));
            now += 1;
            let wait = restarts.check("a", "h", at(now), at(now)).unwrap();
            assert_eq!((wait.delay.as_secs(), wait.until), (want, at(now + want as i64)));
            assert_eq!(restarts.check("a", "h", at(now), at(now + want as i64)), None);
            now += want as i64;
        }
        // It ran for more than twice the longest wait.
        assert_eq!(restarts.check("a", "h", at(now + 601), at(now + 601)), None);
        restarts.started("a", "h", at(now + 601), at(now + 601));
        assert_eq!(restarts.check("a", "h", at(now + 602), at(now + 602)).unwrap().delay, INITIAL);
    }

    #[test]
    fn a_changed_spec_starts_anew() {
        let mut restarts = Restarts::default();
        restarts.started("a", "old", at(0), at(0));
        assert_eq!(restarts.check("a", "new", at(1), at(1)), None);
    }
}
