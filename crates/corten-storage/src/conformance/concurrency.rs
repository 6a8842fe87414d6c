//! Clauses that need many at once: linearizability of writes and reads, agreement of watchers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use corten_base::{Rng, SharedRng, SimRng, TaskSet};
use parking_lot::Mutex;

use super::{
    Subject, delete,
    linearizability::{self, Action, Operation},
    put, read_until, seeded_rng,
};
use crate::kv::{Expected, KvEngine, KvError, ListRequest, Outcome, Revision, Write};

const WRITERS: usize = 12;
const ROUNDS: usize = 60;
const KEYS: u64 = 3;

/// The operations of all writers, and the clock that orders them.
#[derive(Default)]
struct Recorder {
    clock: AtomicU64,
    history: Mutex<Vec<Operation>>,
}

impl Recorder {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn record(&self, invoked: u64, actions: impl IntoIterator<Item = Action>) {
        let returned = self.tick();
        let operations = actions.into_iter().map(|action| Operation { invoked, returned, action });
        self.history.lock().extend(operations);
    }
}

/// A write on a key that expects what the writer saw last, which is often out of date: that is the point.
fn random_write(rng: &dyn Rng, known: &BTreeMap<String, Option<Revision>>, value: String) -> Write {
    let key = format!("/k/{}", rng.below(KEYS));
    match known.get(&key).copied().flatten() {
        None => put(&key, Expected::Absent, value),
        Some(revision) if rng.below(4) == 0 => delete(&key, revision),
        Some(revision) => put(&key, Expected::ModRevision(revision), value),
    }
}

async fn writer(engine: Arc<dyn KvEngine>, recorder: Arc<Recorder>, rng: SharedRng, me: usize) {
    let mut known: BTreeMap<String, Option<Revision>> = BTreeMap::new();
    for round in 0..ROUNDS {
        if rng.below(3) == 0 {
            let key = format!("/k/{}", rng.below(KEYS));
            let invoked = recorder.tick();
            let read = engine.get(key.as_bytes(), None).await.unwrap();
            known.insert(key.clone(), read.kv.as_ref().map(|kv| kv.mod_revision));
            recorder.record(invoked, [Action::Get(key.into(), read.kv, read.revision)]);
        } else {
            let batch: Vec<_> =
                (0..=rng.below(3)).map(|n| random_write(&*rng, &known, format!("{me}/{round}/{n}"))).collect();
            let invoked = recorder.tick();
            let outcomes = engine.commit(batch.clone()).await.unwrap();
            assert_eq!(outcomes.len(), batch.len(), "one outcome for each write");
            for (write, outcome) in batch.iter().zip(&outcomes) {
                let deleted = write.change == crate::kv::Change::Delete;
                let state = match outcome {
                    Outcome::Done { revision } => (!deleted).then_some(*revision),
                    Outcome::Conflict { current, .. } => current.as_ref().map(|kv| kv.mod_revision),
                };
                known.insert(String::from_utf8(write.key.to_vec()).unwrap(), state);
            }
            recorder
                .record(invoked, batch.into_iter().zip(outcomes).map(|(write, outcome)| Action::Write(write, outcome)));
        }
    }
}

async fn run_writers(engine: &Arc<dyn KvEngine>) -> Vec<Operation> {
    let (rng, recorder, tasks) = (seeded_rng(), Arc::new(Recorder::default()), TaskSet::new("conformance"));
    for me in 0..WRITERS {
        let rng = SimRng::shared(rng.next_u64());
        tasks.spawn("writer", writer(Arc::clone(engine), Arc::clone(&recorder), rng, me));
    }
    tasks.join().await.unwrap();
    std::mem::take(&mut *recorder.history.lock())
}

/// Whatever many writers and readers of few keys see has one explanation, and it agrees with real time.
pub async fn histories_are_linearizable(subject: &dyn Subject) {
    let engine = subject.open().await;
    let base = engine.status().await.unwrap().revision;
    let history = run_writers(&engine).await;
    let conflicts = history.iter().filter(|o| matches!(o.action, Action::Write(_, Outcome::Conflict { .. }))).count();
    assert!(conflicts > 0, "the test is about contention");
    linearizability::check(base, &history).unwrap();
}

/// Every watcher, whenever it came, sees every write once and in order, and ends with the state that a list shows.
pub async fn watchers_agree_while_many_write(subject: &dyn Subject) {
    let engine = subject.open().await;
    let base = engine.status().await.unwrap().revision;
    let tasks = TaskSet::new("conformance");
    let replayed: Arc<Mutex<Vec<BTreeMap<Bytes, Bytes>>>> = Arc::default();
    let (end, ended) = tokio::sync::watch::channel(None);
    for n in 0..8 {
        let (engine, replayed, mut ended) = (Arc::clone(&engine), Arc::clone(&replayed), ended.clone());
        tasks.spawn("watcher", async move {
            // Watchers come at different times: each reads a state and goes on from there.
            for _ in 0..n * 5 {
                engine.get(b"/k/0", None).await.unwrap();
            }
            let whole = ListRequest { prefix: Bytes::new(), start: Bytes::new(), limit: 0, revision: None };
            let page = engine.list(whole).await.unwrap();
            let mut state: BTreeMap<_, _> = page.kvs.into_iter().map(|kv| (kv.key, kv.value)).collect();
            let mut watch = engine.watch(Bytes::from_static(b"/k/"), page.revision).await.unwrap();
            let last: Revision = ended.wait_for(Option::is_some).await.unwrap().unwrap();
            let events = read_until(&mut watch, page.revision, last).await;
            assert_eq!(events.len() as u64, last - page.revision, "each revision has its event");
            for event in events {
                let before = state.remove(&event.key);
                assert_eq!(event.prev_value, before, "at {}", event.revision);
                if let Some(value) = event.value {
                    state.insert(event.key, value);
                }
            }
            replayed.lock().push(state);
        });
    }
    run_writers(&engine).await;
    let last = engine.status().await.unwrap().revision;
    assert!(last > base);
    end.send(Some(last)).unwrap();
    tasks.join().await.unwrap();
    let whole = ListRequest { prefix: Bytes::new(), start: Bytes::new(), limit: 0, revision: None };
    let kvs = engine.list(whole).await.unwrap().kvs;
    let want: BTreeMap<_, _> = kvs.into_iter().map(|kv| (kv.key, kv.value)).collect();
    assert!(replayed.lock().iter().all(|state| *state == want));
}

/// How many keys the writer below overwrites in one batch, how often, and with what size: together far more than an engine
/// keeps in memory, so that reads go to the medium while rows are taken away there.
const ROUND_KEYS: usize = 5;
const COMPACTED_ROUNDS: u64 = 60;
const PADDING_BYTES: usize = 200_000;

fn round_value(round: u64) -> Bytes {
    let mut value = round.to_le_bytes().to_vec();
    value.resize(PADDING_BYTES, b'.');
    value.into()
}

fn round_of(value: &[u8]) -> u64 {
    u64::from_le_bytes(value[..8].try_into().unwrap())
}

/// Overwrites all keys in order, forgets all history, and again.
async fn overwrite_and_compact(engine: Arc<dyn KvEngine>, mut revisions: Vec<Revision>) {
    for round in 1..=COMPACTED_ROUNDS {
        let keys = revisions.iter().enumerate();
        let batch = keys.map(|(n, at)| put(&format!("/r/{n}"), Expected::ModRevision(*at), round_value(round)));
        let outcomes = engine.commit(batch.collect()).await.unwrap();
        revisions = outcomes.into_iter().map(super::done).collect();
        engine.compact(*revisions.last().unwrap()).await.unwrap();
    }
}

/// A read of one state: writes go through the keys in order, so a state has the new round first and then the old one.
fn check_state(kvs: &[crate::kv::KeyValue]) {
    let rounds: Vec<_> = kvs.iter().map(|kv| round_of(&kv.value)).collect();
    assert_eq!(rounds.len(), ROUND_KEYS);
    assert!(rounds.is_sorted_by(|a, b| a >= b) && rounds[0] - rounds[ROUND_KEYS - 1] <= 1, "mixed states: {rounds:?}");
}

/// Reads of the current state always succeed and show one state; reads of a forgotten one say so and never show another.
pub async fn reads_stay_right_while_history_is_forgotten(subject: &dyn Subject) {
    let engine = subject.open().await;
    let batch = (0..ROUND_KEYS).map(|n| put(&format!("/r/{n}"), Expected::Absent, round_value(0))).collect();
    let revisions = engine.commit(batch).await.unwrap().into_iter().map(super::done).collect();
    let (writers, readers) = (TaskSet::new("writers"), TaskSet::new("readers"));
    let (end, ended) = tokio::sync::watch::channel(false);
    writers.spawn("writer", overwrite_and_compact(Arc::clone(&engine), revisions));
    for _ in 0..3 {
        readers.spawn("reader", read_until_ended(Arc::clone(&engine), ended.clone()));
        readers.spawn("watcher", watch_until_ended(Arc::clone(&engine), ended.clone()));
    }
    writers.join().await.unwrap();
    end.send(true).unwrap();
    readers.join().await.unwrap();
    let whole = ListRequest { prefix: "/r/".into(), start: Bytes::new(), limit: 0, revision: None };
    let last = engine.list(whole).await.unwrap().kvs;
    assert!(last.iter().all(|kv| round_of(&kv.value) == COMPACTED_ROUNDS));
}

/// Reads the current state, and the one it read before.
async fn read_until_ended(engine: Arc<dyn KvEngine>, ended: tokio::sync::watch::Receiver<bool>) {
    let mut earlier = None;
    while !*ended.borrow() {
        let mut whole = ListRequest { prefix: "/r/".into(), start: Bytes::new(), limit: 0, revision: None };
        let page = engine.list(whole.clone()).await.unwrap();
        check_state(&page.kvs);
        let one = engine.get(b"/r/0", None).await.unwrap();
        assert!(one.kv.unwrap().mod_revision >= page.kvs[0].mod_revision, "a later read shows a later state");
        if let Some(revision) = earlier {
            whole.revision = Some(revision);
            match engine.list(whole).await {
                Ok(again) => check_state(&again.kvs),
                Err(KvError::Compacted { .. }) => {}
                Err(other) => panic!("not {other:?}"),
            }
        }
        earlier = Some(page.revision);
        tokio::task::yield_now().await;
    }
}

/// Starts watches a little in the past: what they deliver before they are told that it is compacted has no gap.
async fn watch_until_ended(engine: Arc<dyn KvEngine>, ended: tokio::sync::watch::Receiver<bool>) {
    while !*ended.borrow() {
        // Nothing below has to wait when nothing has happened, and the others need the threads.
        tokio::task::yield_now().await;
        let status = engine.status().await.unwrap();
        let after = status.compact_revision;
        let mut watch = match engine.watch("/r/".into(), after).await {
            Ok(watch) => watch,
            Err(KvError::Compacted { .. }) => continue,
            Err(other) => panic!("not {other:?}"),
        };
        let mut heard = after;
        while heard < status.revision {
            match watch.recv().await.expect("the engine is open") {
                Ok(batch) => {
                    for event in batch.events.iter() {
                        heard += 1;
                        assert_eq!(event.revision, heard, "every write is under the prefix");
                        let round = round_of(event.value.as_ref().unwrap());
                        let before = event.prev_value.as_deref().map(round_of);
                        assert_eq!(before, round.checked_sub(1), "the value before is that of the round before");
                    }
                    assert_eq!(batch.revision, heard);
                }
                Err(KvError::Compacted { .. }) => break,
                Err(other) => panic!("not {other:?}"),
            }
        }
    }
}
