//! The clauses of the `KvEngine` contract as tests: each engine runs all of them through `kv_conformance!`.
//!
//! An engine's test crate implements `Subject` (how to open, close and copy a store, and how its time passes) and calls
//! `kv_conformance!(MySubject::new())`; the expression is evaluated once per test, so that every test has its own store.
//! Random tests print their seed; `CORTEN_SEED=42` repeats them.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use corten_base::{SharedRng, SimRng, SystemRng};
use jiff::Timestamp;

mod concurrency;
mod expiry;
mod history;
mod lifecycle;
pub mod linearizability;
mod reads;
pub mod recovery;
mod watches;
mod writes;

pub use concurrency::{
    histories_are_linearizable, reads_stay_right_while_history_is_forgotten, watchers_agree_while_many_write,
};
pub use expiry::{
    a_key_expired_while_closed_goes_at_open, a_renewed_key_stays, an_expired_key_is_deleted_like_any_other,
};
pub use history::{
    compaction_keeps_the_state_at_its_revision, compaction_refuses_what_it_forgot, the_revision_survives_compaction,
};
pub use lifecycle::{
    a_backup_taken_while_writing_is_one_state, a_closed_engine_refuses, a_reopened_store_is_the_same,
    status_tells_the_revisions,
};
pub use reads::{
    counts_are_per_prefix, gets_show_each_revision, lists_page_through_one_state, lists_show_each_revision,
    pages_are_bounded_by_their_bytes, revisions_to_come_are_refused,
};
pub use watches::{
    a_lagging_watcher_is_told, a_watch_from_the_past_replays_and_goes_on, events_carry_the_previous_value,
    nested_prefixes_get_their_own_events, progress_is_marked, progress_is_marked_on_request,
    watches_from_unreadable_revisions_are_refused,
};
pub use writes::{
    a_conflict_returns_the_current_value, a_recreated_key_has_a_new_create_revision, a_value_too_large_stops_the_batch,
    deleting_nothing_is_a_conflict, empty_and_largest_values_are_kept, writes_of_a_batch_are_independent,
    writes_of_a_batch_see_each_other,
};

use crate::kv::{Change, Expected, KeyValue, KvEngine, Outcome, Revision, Watch, WatchBatch, Write};

/// How long a test waits for what has to come. Far longer than it takes, so that only a missing event runs into it.
const PATIENCE: Duration = Duration::from_secs(30);

/// An engine under test: one store, opened by one engine at a time.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Opens the store; after `close` the same data again.
    async fn open(&self) -> Arc<dyn KvEngine>;

    /// Shuts down what is open and waits until the store is released.
    async fn close(&self);

    /// Opens the copy that `KvEngine::backup` wrote, as another store.
    async fn open_backup(&self, backup: &Path) -> Arc<dyn KvEngine>;

    /// A directory of the test's own.
    fn scratch(&self) -> &Path;

    /// The engine's time.
    fn now(&self) -> Timestamp;

    /// Lets the engine's time pass.
    async fn pass_time(&self, duration: Duration);
}

/// Generates one test per clause. `$subject` makes a fresh `Subject`.
#[macro_export]
macro_rules! kv_conformance {
    ($subject:expr) => {
        $crate::kv_conformance! { @clauses $subject;
            gets_show_each_revision
            lists_show_each_revision
            lists_page_through_one_state
            pages_are_bounded_by_their_bytes
            counts_are_per_prefix
            revisions_to_come_are_refused
            writes_of_a_batch_are_independent
            writes_of_a_batch_see_each_other
            a_conflict_returns_the_current_value
            a_recreated_key_has_a_new_create_revision
            deleting_nothing_is_a_conflict
            a_value_too_large_stops_the_batch
            empty_and_largest_values_are_kept
            a_watch_from_the_past_replays_and_goes_on
            events_carry_the_previous_value
            nested_prefixes_get_their_own_events
            progress_is_marked
            progress_is_marked_on_request
            watches_from_unreadable_revisions_are_refused
            a_lagging_watcher_is_told
            compaction_keeps_the_state_at_its_revision
            compaction_refuses_what_it_forgot
            the_revision_survives_compaction
            an_expired_key_is_deleted_like_any_other
            a_renewed_key_stays
            a_key_expired_while_closed_goes_at_open
            a_reopened_store_is_the_same
            a_backup_taken_while_writing_is_one_state
            a_closed_engine_refuses
            status_tells_the_revisions
            histories_are_linearizable
            watchers_agree_while_many_write
            reads_stay_right_while_history_is_forgotten
        }
    };
    (@clauses $subject:expr; $($clause:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                $crate::conformance::$clause(&$subject).await;
            }
        )+
    };
}

/// A generator seeded by `CORTEN_SEED`, or afresh; the seed is printed so that a failure can be repeated.
#[must_use]
pub fn seeded_rng() -> SharedRng {
    let seed = match std::env::var("CORTEN_SEED") {
        Ok(seed) => seed.parse().expect("CORTEN_SEED is a number"),
        Err(_) => SystemRng::shared().next_u64() >> 32,
    };
    #[expect(clippy::print_stderr, reason = "test runners show it with the failure")]
    {
        eprintln!("CORTEN_SEED={seed}");
    }
    SimRng::shared(seed)
}

/// A put of `value` to `key`.
pub(crate) fn put(key: &str, expected: Expected, value: impl Into<Bytes>) -> Write {
    let change = Change::Put { value: value.into(), expires_at: None };
    Write { key: Bytes::copy_from_slice(key.as_bytes()), expected, change }
}

/// A delete of `key` as written at `revision`.
pub(crate) fn delete(key: &str, revision: Revision) -> Write {
    let expected = Expected::ModRevision(revision);
    Write { key: Bytes::copy_from_slice(key.as_bytes()), expected, change: Change::Delete }
}

/// Commits one write that must happen.
#[track_caller]
fn done(outcome: Outcome) -> Revision {
    match outcome {
        Outcome::Done { revision } => revision,
        Outcome::Conflict { .. } => panic!("the write was to succeed: {outcome:?}"),
    }
}

/// Commits one write.
pub(crate) async fn commit(engine: &dyn KvEngine, write: Write) -> Outcome {
    let mut outcomes = engine.commit(vec![write]).await.unwrap();
    assert_eq!(outcomes.len(), 1, "one outcome for one write");
    outcomes.remove(0)
}

/// Creates `key`.
pub(crate) async fn create(engine: &dyn KvEngine, key: &str, value: &str) -> Revision {
    done(commit(engine, put(key, Expected::Absent, value.to_owned())).await)
}

/// Overwrites `key`, last written at `revision`.
pub(crate) async fn update(engine: &dyn KvEngine, key: &str, revision: Revision, value: &str) -> Revision {
    done(commit(engine, put(key, Expected::ModRevision(revision), value.to_owned())).await)
}

/// Deletes `key`, last written at `revision`.
pub(crate) async fn remove(engine: &dyn KvEngine, key: &str, revision: Revision) -> Revision {
    done(commit(engine, delete(key, revision)).await)
}

/// The key as a test expects it.
pub(crate) fn key_value(key: &str, value: &str, create_revision: Revision, mod_revision: Revision) -> KeyValue {
    let copy = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    KeyValue { key: copy(key), value: copy(value), create_revision, mod_revision }
}

/// The next batch of a watch, which must come.
pub(crate) async fn next(watch: &mut Watch) -> WatchBatch {
    let clock = corten_base::SystemClock::shared();
    corten_base::timeout(&*clock, PATIENCE, watch.recv())
        .await
        .expect("a batch comes")
        .expect("the watch goes on")
        .expect("the watch does not fail")
}

/// Reads a watch until it has heard of `revision`, and checks that what comes is in order.
pub(crate) async fn read_until(watch: &mut Watch, after: Revision, revision: Revision) -> Vec<crate::kv::Event> {
    let (mut heard, mut events) = (after, Vec::new());
    while heard < revision {
        let batch = next(watch).await;
        let mut previous = heard;
        for event in batch.events.iter() {
            assert!(event.revision > previous, "event {} came after {previous}", event.revision);
            assert!(event.revision <= batch.revision, "event {} in a batch up to {}", event.revision, batch.revision);
            previous = event.revision;
        }
        heard = batch.revision;
        events.extend(batch.events.iter().cloned());
    }
    events
}
