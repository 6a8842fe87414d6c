//! Expectations: what a controller has asked for and not yet seen, so that it does not ask twice while its cache lags.
//!
//! Flow: a reconcile that is about to create or delete N objects expects N; each one seen by the informer lowers the
//! count; until it is down to zero, the next reconcile of that owner leaves creating and deleting alone.
//! Upstream: pkg/controller/controller_utils.go, ControllerExpectations and UIDTrackingControllerExpectations (v1.35).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use corten_apimachinery::value::Str;
use corten_base::SharedClock;
use corten_informer::Key;
use parking_lot::Mutex;

/// After this time an expectation no longer holds anything back: an event may have been missed. Upstream:
/// `ExpectationsTimeout`.
pub const EXPECTATIONS_TIMEOUT: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Expectation {
    adds: i64,
    deletes: i64,
    since: Duration,
}

impl Expectation {
    /// Counts below zero come from objects that others made: seen, but never expected.
    fn is_fulfilled(self) -> bool {
        self.adds <= 0 && self.deletes <= 0
    }
}

/// Counts of creations and deletions that an owner waits for. One entry per owner; `forget` when the owner is gone.
#[derive(Debug)]
pub struct Expectations {
    clock: SharedClock,
    by_owner: Mutex<BTreeMap<Key, Expectation>>,
}

impl Expectations {
    /// Without any expectation.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, by_owner: Mutex::default() }
    }

    /// Whether `owner` may create and delete: nothing is outstanding, or has been for too long, or was never expected.
    #[must_use]
    pub fn are_satisfied(&self, owner: &Key) -> bool {
        let Some(expectation) = self.by_owner.lock().get(owner).copied() else { return true };
        expectation.is_fulfilled() || self.clock.monotonic().saturating_sub(expectation.since) > EXPECTATIONS_TIMEOUT
    }

    /// Expects `count` creations, in place of what was expected before.
    pub fn expect_creations(&self, owner: &Key, count: usize) {
        self.set(owner, count, 0);
    }

    /// Expects `count` deletions, in place of what was expected before.
    pub fn expect_deletions(&self, owner: &Key, count: usize) {
        self.set(owner, 0, count);
    }

    /// Expects both, in place of what was expected before.
    pub fn set(&self, owner: &Key, adds: usize, deletes: usize) {
        let expectation = Expectation { adds: signed(adds), deletes: signed(deletes), since: self.clock.monotonic() };
        self.by_owner.lock().insert(owner.clone(), expectation);
    }

    /// Expects more of both, if something is expected already.
    pub fn raise(&self, owner: &Key, adds: usize, deletes: usize) {
        self.change(owner, signed(adds), signed(deletes));
    }

    /// Expects less of both: for calls that failed, whose objects will never be seen.
    pub fn lower(&self, owner: &Key, adds: usize, deletes: usize) {
        self.change(owner, -signed(adds), -signed(deletes));
    }

    /// An object of `owner` was seen to be created.
    pub fn creation_observed(&self, owner: &Key) {
        self.lower(owner, 1, 0);
    }

    /// An object of `owner` was seen to be deleted.
    pub fn deletion_observed(&self, owner: &Key) {
        self.lower(owner, 0, 1);
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, owner: &Key) {
        self.by_owner.lock().remove(owner);
    }

    fn change(&self, owner: &Key, adds: i64, deletes: i64) {
        if let Some(expectation) = self.by_owner.lock().get_mut(owner) {
            expectation.adds += adds;
            expectation.deletes += deletes;
        }
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).expect("no controller expects 2^63 objects")
}

/// Expectations that know which objects are to be deleted: a delete is seen first as a deletion timestamp and later as
/// a delete event, and must count once.
#[derive(Debug)]
pub struct UidTrackingExpectations {
    counts: Expectations,
    deleting: Mutex<BTreeMap<Key, BTreeSet<Str>>>,
}

impl UidTrackingExpectations {
    /// Without any expectation.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { counts: Expectations::new(clock), deleting: Mutex::default() }
    }

    /// As for `Expectations`.
    #[must_use]
    pub fn are_satisfied(&self, owner: &Key) -> bool {
        self.counts.are_satisfied(owner)
    }

    /// As for `Expectations`.
    pub fn expect_creations(&self, owner: &Key, count: usize) {
        self.counts.expect_creations(owner, count);
    }

    /// Expects the deletion of the objects with these UIDs, in place of what was expected before.
    pub fn expect_deletions(&self, owner: &Key, uids: impl IntoIterator<Item = Str>) {
        let uids: BTreeSet<Str> = uids.into_iter().collect();
        let mut deleting = self.deleting.lock();
        self.counts.expect_deletions(owner, uids.len());
        deleting.insert(owner.clone(), uids);
    }

    /// As for `Expectations`.
    pub fn creation_observed(&self, owner: &Key) {
        self.counts.creation_observed(owner);
    }

    /// The object with this UID is being deleted or gone; also for a delete call that failed. Counts once.
    pub fn deletion_observed(&self, owner: &Key, uid: &str) {
        let mut deleting = self.deleting.lock();
        if deleting.get_mut(owner).is_some_and(|uids| uids.remove(uid)) {
            self.counts.deletion_observed(owner);
        }
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, owner: &Key) {
        self.deleting.lock().remove(owner);
        self.counts.forget(owner);
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;

    use super::*;

    enum Step {
        Create(usize),
        Delete(usize),
        SeenCreated,
        SeenDeleted,
        Raise(usize, usize),
        Lower(usize, usize),
        Pass(u64),
        Forget,
    }
    use Step::{Create, Delete, Forget, Lower, Pass, Raise, SeenCreated, SeenDeleted};

    #[track_caller]
    fn check(steps: &[Step], want: bool) {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (expectations, owner) = (Expectations::new(clock.clone()), Key::new("ns", "rs"));
        for step in steps {
            match *step {
                Create(count) => expectations.expect_creations(&owner, count),
                Delete(count) => expectations.expect_deletions(&owner, count),
                SeenCreated => expectations.creation_observed(&owner),
                SeenDeleted => expectations.deletion_observed(&owner),
                Raise(adds, deletes) => expectations.raise(&owner, adds, deletes),
                Lower(adds, deletes) => expectations.lower(&owner, adds, deletes),
                Pass(seconds) => clock.advance(Duration::from_secs(seconds)),
                Forget => expectations.forget(&owner),
            }
        }
        assert_eq!(expectations.are_satisfied(&owner), want);
    }

    #[test]
    fn an_owner_waits_for_what_it_asked_for() {
        check(&[], true);
        check(&[Create(2)], false);
        check(&[Create(2), SeenCreated], false);
        check(&[Create(2), SeenCreated, SeenCreated], true);
        check(&[Create(1), SeenDeleted], false);
        check(&[Delete(1), SeenDeleted], true);
        check(&[Create(2), Lower(2, 0)], true);
        check(&[Create(1), Raise(0, 1), SeenCreated], false);
        check(&[Create(0)], true);
    }

    #[test]
    fn objects_of_others_do_not_count_against_the_next_expectation() {
        check(&[SeenCreated, Create(1)], false);
        check(&[Create(1), SeenCreated, SeenCreated, Create(1)], false);
        check(&[Raise(1, 1)], true);
    }

    #[test]
    fn an_expectation_does_not_hold_for_ever() {
        check(&[Create(1), Pass(300)], false);
        check(&[Create(1), Pass(301)], true);
        check(&[Create(1), Forget], true);
    }

    #[test]
    fn a_deletion_seen_twice_counts_once() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (expectations, owner) = (UidTrackingExpectations::new(clock), Key::new("ns", "rs"));
        expectations.expect_deletions(&owner, ["u1".into(), "u2".into()]);
        expectations.deletion_observed(&owner, "u1");
        expectations.deletion_observed(&owner, "u1");
        expectations.deletion_observed(&owner, "u3");
        assert!(!expectations.are_satisfied(&owner));
        expectations.deletion_observed(&owner, "u2");
        assert!(expectations.are_satisfied(&owner));
        expectations.forget(&owner);
        expectations.deletion_observed(&owner, "u1");
    }
}
