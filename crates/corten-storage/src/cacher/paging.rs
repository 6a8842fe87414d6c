//! Snapshots kept for lists that are read page by page.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    memory::{PastMemory, StatesMemory},
    snapshot::Snapshot,
};
use crate::kv::Revision;

/// How many snapshots are kept; the one unused for longest goes.
const KEPT_MAX: usize = 64;

/// How many bytes of objects that are not current the kept snapshots may keep in memory, together.
const BYTES_MAX: u64 = 256 << 20;

/// Where all caches together keep too much, each that hears of anything goes down to this.
const BYTES_MIN: u64 = 1 << 20;

/// How long a snapshot is kept without use: as long as upstream's etcd keeps history.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// Snapshots by revision, in order of last use.
///
/// They share their objects with each other and with the current state. What they keep in memory is what was replaced
/// since the oldest of them was current, and what was read for a snapshot alone: `bytes` never says less than that.
#[derive(Debug, Default)]
pub(super) struct KeptSnapshots {
    kept: VecDeque<Kept>,
    /// Bytes of all objects that were ever replaced or deleted: a clock that goes by bytes.
    replaced: u64,
    /// What they keep in memory, as all caches know of it.
    memory: StatesMemory,
}

#[derive(Debug)]
struct Kept {
    used: Duration,
    snapshot: Snapshot,
    /// `KeptSnapshots::replaced` when it was kept.
    replaced: u64,
}

impl KeptSnapshots {
    /// None yet; what they come to keep in memory counts among `all`.
    pub(super) fn among(all: &Arc<PastMemory>) -> Self {
        Self { memory: StatesMemory::among(all), ..Self::default() }
    }

    /// Keeps `snapshot`. One that is kept already is only used again: what it keeps in memory is known, and has not become
    /// less.
    pub(super) fn keep(&mut self, now: Duration, snapshot: &Snapshot) {
        let at = self.kept.iter().position(|kept| kept.snapshot.is_like(snapshot));
        let kept = match at.and_then(|at| self.kept.remove(at)) {
            Some(kept) => Kept { used: now, ..kept },
            None => Kept { used: now, snapshot: snapshot.clone(), replaced: self.replaced },
        };
        self.kept.push_back(kept);
        self.expire(now);
    }

    /// The state at `revision`, as far as it is about `namespace`: about all of them for the empty text.
    pub(super) fn get(&mut self, now: Duration, revision: Revision, namespace: &str) -> Option<Snapshot> {
        self.expire(now);
        let is_meant = |kept: &Kept| kept.snapshot.is_at(revision) && kept.snapshot.shows(namespace);
        let at = self.kept.iter().position(is_meant)?;
        let mut kept = self.kept.remove(at)?;
        kept.used = now;
        let snapshot = kept.snapshot.clone();
        self.kept.push_back(kept);
        Some(snapshot)
    }

    /// Drops the snapshots of states before `revision`.
    pub(super) fn forget_before(&mut self, revision: Revision) {
        self.kept.retain(|kept| kept.snapshot.revision() >= revision);
        self.memory.set(self.bytes());
    }

    /// Notes that objects of `bytes` are no longer current, and drops snapshots that are too old or keep too much.
    pub(super) fn replaced(&mut self, now: Duration, bytes: u64) {
        self.replaced += bytes;
        self.expire(now);
    }

    fn expire(&mut self, now: Duration) {
        loop {
            self.memory.set(self.bytes());
            let Some(oldest) = self.kept.front() else { return };
            let is_stale = now.saturating_sub(oldest.used) >= KEPT_FOR;
            let bytes_max = if self.memory.is_too_much() { BYTES_MIN } else { BYTES_MAX };
            if !is_stale && self.kept.len() <= KEPT_MAX && self.memory.bytes() <= bytes_max {
                return;
            }
            self.kept.pop_front();
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        let since = self.kept.iter().map(|kept| kept.replaced).min().unwrap_or(self.replaced);
        self.replaced - since + self.kept.iter().map(|kept| kept.snapshot.own_bytes()).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(revision: Revision) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.read_at(revision);
        snapshot
    }

    fn owning(revision: Revision, bytes: u64) -> Snapshot {
        let mut snapshot = snapshot(revision);
        snapshot.set_own_bytes(bytes);
        snapshot
    }

    #[track_caller]
    fn check(kept: &KeptSnapshots, want: &[Revision]) {
        let got: Vec<_> = kept.kept.iter().map(|kept| kept.snapshot.revision()).collect();
        assert_eq!(got, want);
    }

    const NOW: Duration = Duration::from_secs(1_000);

    #[test]
    fn what_is_unused_for_long_goes_even_if_nobody_asks() {
        let mut kept = KeptSnapshots::default();
        kept.keep(NOW, &snapshot(1));
        kept.keep(NOW, &snapshot(2));
        assert!(kept.get(NOW + KEPT_FOR / 2, 1, "").is_some());
        kept.replaced(NOW + KEPT_FOR, 0);
        check(&kept, &[1]);
        assert!(kept.get(NOW + KEPT_FOR * 2, 1, "").is_none());
        check(&kept, &[]);
    }

    #[test]
    fn a_state_of_one_namespace_is_no_state_of_another() {
        let mut kept = KeptSnapshots::default();
        let mut of_one = Snapshot::of("one");
        of_one.read_at(1);
        kept.keep(NOW, &of_one);
        assert!(kept.get(NOW, 1, "one").is_some());
        assert!(kept.get(NOW, 1, "two").is_none() && kept.get(NOW, 1, "").is_none());
        kept.keep(NOW, &snapshot(1));
        assert!(kept.get(NOW, 1, "two").is_some_and(|state| state.shows("")));
        check(&kept, &[1, 1]);
    }

    #[test]
    fn snapshots_are_bounded_by_their_number() {
        let mut kept = KeptSnapshots::default();
        (0..100).for_each(|revision| kept.keep(NOW, &snapshot(revision)));
        check(&kept, &(36..100).collect::<Vec<_>>());
    }

    #[test]
    fn snapshots_are_bounded_by_what_they_keep_in_memory() {
        let mut kept = KeptSnapshots::default();
        kept.keep(NOW, &snapshot(1));
        kept.replaced(NOW, BYTES_MAX);
        kept.keep(NOW, &snapshot(2));
        check(&kept, &[1, 2]);
        kept.replaced(NOW, 1);
        check(&kept, &[2]);
        kept.keep(NOW, &owning(3, BYTES_MAX - 1));
        check(&kept, &[2, 3]);
        kept.keep(NOW, &owning(4, 1));
        check(&kept, &[3, 4]);
        // Another page of the same state: it keeps in memory what it kept before.
        kept.keep(NOW, &snapshot(3));
        check(&kept, &[4, 3]);
        kept.replaced(NOW, 1);
        check(&kept, &[3]);
        // One that alone is too large is not kept at all: the pages read it anew.
        kept.keep(NOW, &owning(5, BYTES_MAX + 1));
        check(&kept, &[]);
        // Nor when its page is done, which was once taken for one that keeps nothing in memory.
        kept.keep(NOW, &owning(5, BYTES_MAX + 1));
        check(&kept, &[]);
    }

    /// There was a bound for each resource and none for all: a definition for each quarter of a gigabyte.
    #[test]
    fn snapshots_of_all_caches_are_bounded_together() {
        let all = Arc::new(PastMemory::new(0, 10 * BYTES_MIN));
        let mut caches: Vec<KeptSnapshots> = (0..4).map(|_| KeptSnapshots::among(&all)).collect();
        for cache in &mut caches {
            cache.keep(NOW, &owning(1, 2 * BYTES_MIN));
        }
        assert_eq!(all.states_bytes(), 8 * BYTES_MIN);
        // One that grows beyond what is left for all goes without.
        caches[0].keep(NOW, &owning(2, 3 * BYTES_MIN));
        assert_eq!(all.states_bytes(), 9 * BYTES_MIN);
        check(&caches[0], &[2]);
        // A little is left to each, however much the others have; who has more goes down to that once it hears of anything.
        let mut small: Vec<KeptSnapshots> = (0..2).map(|_| KeptSnapshots::among(&all)).collect();
        for cache in &mut small {
            cache.keep(NOW, &owning(1, BYTES_MIN));
            check(cache, &[1]);
        }
        assert_eq!(all.states_bytes(), 11 * BYTES_MIN);
        caches[1].replaced(NOW, 0);
        check(&caches[1], &[]);
        assert_eq!(all.states_bytes(), 9 * BYTES_MIN);
        caches[0].forget_before(3);
        assert_eq!(all.states_bytes(), 6 * BYTES_MIN);
        drop((caches, small));
        assert_eq!(all.states_bytes(), 0);
    }
}
