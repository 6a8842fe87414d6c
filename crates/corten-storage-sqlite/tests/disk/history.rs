//! What a store has done, and whether a store that was opened again still says so.

use std::collections::BTreeMap;

use bytes::Bytes;
use corten_base::Rng;
use corten_storage::{
    conformance::recovery::is_of,
    kv::{Event, Expected, KeyValue, KvEngine, KvError, Outcome, Revision, Write},
};

use super::{
    disk::{Disk, Operation},
    support::{Open, clock, commit, config, delete, put, whole},
};

/// How many keys the work is about: few, so that most writes have a past.
const KEYS: u64 = 9;

/// How much the log holds in these tests: a few commits, so that it is copied into the database all the time.
pub(crate) const LOG_PAGES: u32 = 24;

/// What a caller learned.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Acknowledged writes.
    pub(crate) done: Vec<(Write, Revision)>,
    /// Writes of which the engine said that they have not happened.
    pub(crate) refused: Vec<Write>,
    /// Writes of which it said that they may have.
    pub(crate) unknown: Vec<Write>,
    /// The last revision of each batch that was acknowledged.
    pub(crate) borders: Vec<Revision>,
}

/// A batch of one to four writes of random keys, each right about what its key is.
async fn batch(engine: &dyn KvEngine, rng: &dyn Rng, round: u64) -> Vec<Write> {
    let mut keys: Vec<String> = (0..=rng.below(3)).map(|_| format!("/k/{}", rng.below(KEYS))).collect();
    keys.sort();
    keys.dedup();
    let mut writes = Vec::new();
    for key in keys {
        // What a read says of a failing disk is not the matter here: without an answer the key is left out.
        let Ok(read) = engine.get(key.as_bytes(), None).await else { continue };
        let value = format!("{round}-{key}-{}", "x".repeat(rng.below(3_000) as usize));
        writes.push(match read.kv.map(|kv| kv.mod_revision) {
            None => put(&key, Expected::Absent, value),
            Some(revision) if rng.below(4) == 0 => delete(&key, revision),
            Some(revision) => put(&key, Expected::ModRevision(revision), value),
        });
    }
    writes
}

/// Writes `rounds` batches one after the other and notes on the disk what was acknowledged.
pub(crate) async fn work(engine: &dyn KvEngine, disk: &Disk, rng: &dyn Rng, rounds: u64, told: &mut Told) {
    for round in 0..rounds {
        let writes = batch(engine, rng, round).await;
        if writes.is_empty() {
            continue;
        }
        match engine.commit(writes.clone()).await {
            Ok(outcomes) => {
                for (write, outcome) in writes.into_iter().zip(outcomes) {
                    // A write whose outcome was unknown may have changed a key since it was read.
                    if let Outcome::Done { revision } = outcome {
                        told.done.push((write, revision));
                        disk.note(Operation::Acknowledged(revision));
                    }
                }
                if let Some((_, revision)) = told.done.last() {
                    told.borders.push(*revision);
                }
            }
            Err(KvError::Storage { outcome_unknown, .. }) => {
                (if outcome_unknown { &mut told.unknown } else { &mut told.refused }).extend(writes);
            }
            Err(KvError::NoSpace { .. }) => told.refused.extend(writes),
            Err(other) => panic!("the engine answers: {other:?}"),
        }
        if round % 16 == 15
            && let Some(revision) = told.borders.last().and_then(|last| last.checked_sub(12))
            && engine.compact(revision).await.is_ok()
        {
            disk.note(Operation::Compacted(revision));
        }
    }
}

/// Everything that a watch has to tell up to `revision`; it must come without gap or duplicate.
pub(crate) async fn events_until(
    watch: &mut corten_storage::kv::Watch,
    after: Revision,
    revision: Revision,
) -> Vec<Event> {
    let (mut heard, mut events) = (after, Vec::new());
    while heard < revision {
        let batch = watch.recv().await.expect("the engine is open").expect("the watch goes on");
        for event in batch.events.iter() {
            heard += 1;
            assert_eq!(event.revision, heard, "every write is watched: without gap or duplicate");
        }
        assert_eq!(batch.revision, heard, "a watch of everything has an event for each revision");
        events.extend(batch.events.iter().cloned());
    }
    events
}

/// The objects after `events`, which begin with the first revision.
fn state_after(events: &[Event]) -> BTreeMap<Bytes, KeyValue> {
    let mut state: BTreeMap<Bytes, KeyValue> = BTreeMap::new();
    for event in events {
        let before = state.remove(&event.key);
        assert_eq!(event.prev_value, before.map(|kv| kv.value), "the value before revision {}", event.revision);
        if let Some(value) = &event.value {
            let kv = KeyValue {
                key: event.key.clone(),
                value: value.clone(),
                create_revision: event.create_revision,
                mod_revision: event.revision,
            };
            state.insert(event.key.clone(), kv);
        }
    }
    state
}

/// What a store that was opened again must be.
pub(crate) struct Wanted<'a> {
    /// Everything that has ever happened, from the first revision on.
    pub(crate) events: &'a [Event],
    /// Writes that may have happened, of which the cut undid that they did not.
    pub(crate) tried: &'a [Write],
    /// The revisions at which the store may stand.
    pub(crate) borders: &'a [Revision],
    pub(crate) acknowledged: Revision,
    pub(crate) compacted: Revision,
}

/// Opens what a power cut has left, and compares.
pub(crate) async fn verify(directory: &std::path::Path, wanted: &Wanted<'_>, what: &str) {
    let config = corten_storage_sqlite::Config { ballast_bytes: 0, log_pages: LOG_PAGES, ..config(directory) };
    let open = match Open::try_new(config, clock()).await {
        Ok(open) => open,
        Err(error) => panic!("{what}: {}", corten_base::ErrorChain(&error)),
    };
    let engine = &*open.engine;
    let status = engine.status().await.unwrap();
    let revision = status.revision;
    assert!(revision >= wanted.acknowledged, "{what}: at {revision}, acknowledged was {}", wanted.acknowledged);
    assert!(
        revision == 0 || wanted.borders.contains(&revision),
        "{what}: {revision} is in the middle of a batch: {:?}",
        wanted.borders
    );
    assert!(status.compact_revision >= wanted.compacted, "{what}: compaction was forgotten");
    let after = status.compact_revision;
    let mut watch = engine.watch(Bytes::new(), after).await.unwrap();
    let replayed = events_until(&mut watch, after, revision).await;
    for event in &replayed {
        let recorded = wanted.events.get(event.revision as usize - 1);
        let is_tried = event.revision > wanted.acknowledged && wanted.tried.iter().any(|write| is_of(event, write));
        assert!(recorded == Some(event) || is_tried, "{what}: {event:?} happened, not {recorded:?}");
    }
    let state = state_after(&[&wanted.events[..after as usize], &replayed].concat());
    let found = engine.list(whole()).await.unwrap().kvs;
    assert!(found.iter().eq(state.values()), "{what}: at {revision} there is something else");
    let next = commit(engine, put("/after", Expected::Absent, "works")).await;
    assert_eq!(next, revision + 1, "{what}: the next revision");
    assert_eq!(events_until(&mut watch, revision, next).await.len(), 1);
    open.close().await;
}
