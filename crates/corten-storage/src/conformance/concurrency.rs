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
use crate::kv::{Expected, KvEngine, ListRequest, Outcome, Revision, Write};

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
