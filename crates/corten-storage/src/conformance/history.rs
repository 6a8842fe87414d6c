//! Clauses about `compact`.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Subject, create, read_until, remove, seeded_rng, update};
use crate::kv::{KvEngine, KvError, ListRequest, Revision};

/// One state of the store.
type State = BTreeMap<Bytes, (Bytes, Revision, Revision)>;

async fn state(engine: &dyn KvEngine, revision: Revision) -> Result<State, KvError> {
    let request = ListRequest { prefix: Bytes::new(), start: Bytes::new(), limit: 0, revision: Some(revision) };
    let page = engine.list(request).await?;
    Ok(page.kvs.into_iter().map(|kv| (kv.key, (kv.value, kv.create_revision, kv.mod_revision))).collect())
}

/// Writes at random; returns the state after each write, from the revision before the first on.
async fn write_history(engine: &dyn KvEngine, writes: usize) -> BTreeMap<Revision, State> {
    let rng = seeded_rng();
    let mut states = BTreeMap::new();
    let base = engine.status().await.unwrap().revision;
    let mut now = state(engine, base).await.unwrap();
    states.insert(base, now.clone());
    for n in 0..writes {
        let key = format!("/k/{}", rng.below(7));
        let value = format!("value {n}");
        let bytes = Bytes::from(key.clone());
        let revision = match now.get(&bytes) {
            None => {
                let revision = create(engine, &key, &value).await;
                now.insert(bytes, (value.into(), revision, revision));
                revision
            }
            Some((_, _, modified)) if rng.below(3) == 0 => {
                let revision = remove(engine, &key, *modified).await;
                now.remove(&bytes);
                revision
            }
            Some((_, created, modified)) => {
                let created = *created;
                let revision = update(engine, &key, *modified, &value).await;
                now.insert(bytes, (value.into(), created, revision));
                revision
            }
        };
        states.insert(revision, now.clone());
    }
    states
}

/// Every state from the compacted one on stays readable, at once and after a restart, and so do the changes since.
pub async fn compaction_keeps_the_state_at_its_revision(subject: &dyn Subject) {
    let mut engine = subject.open().await;
    let states = write_history(&*engine, 120).await;
    let (first, last) = (*states.keys().next().unwrap(), *states.keys().next_back().unwrap());
    for compacted in [first + 1, first + 40, first + 40, first + 99, last] {
        engine.compact(compacted).await.unwrap();
        for (revision, want) in states.range(compacted..) {
            assert_eq!(state(&*engine, *revision).await.unwrap(), *want, "at {revision}, compacted at {compacted}");
        }
        let mut watch = engine.watch(Bytes::new(), compacted).await.unwrap();
        let mut replayed = states[&compacted].clone();
        for event in read_until(&mut watch, compacted, last).await {
            let before = replayed.remove(&event.key).map(|(value, ..)| value);
            assert_eq!(event.prev_value, before, "the previous value at {}", event.revision);
            if let Some(value) = event.value {
                replayed.insert(event.key, (value, event.create_revision, event.revision));
            }
        }
        assert_eq!(replayed, states[&last], "replayed from {compacted}");
        drop(watch);
        drop(engine);
        subject.close().await;
        engine = subject.open().await;
    }
}

/// Reads below the compacted revision are refused, and compacting earlier again changes nothing.
pub async fn compaction_refuses_what_it_forgot(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let states = write_history(engine, 30).await;
    let compacted = states.keys().next().unwrap() + 20;
    engine.compact(compacted).await.unwrap();
    engine.compact(compacted - 10).await.unwrap();
    assert_eq!(engine.status().await.unwrap().compact_revision, compacted);
    for error in
        [state(engine, compacted - 1).await.unwrap_err(), engine.get(b"/k/1", Some(compacted - 1)).await.unwrap_err()]
    {
        assert!(
            matches!(error, KvError::Compacted { requested, compacted: told } if (requested, told) == (compacted - 1, compacted)),
            "not {error:?}"
        );
    }
    assert_eq!(state(engine, compacted).await.unwrap(), states[&compacted]);
}

/// Forgetting the last write does not make the revision go back.
pub async fn the_revision_survives_compaction(subject: &dyn Subject) {
    let engine = subject.open().await;
    let created = create(&*engine, "/a", "").await;
    let gone = remove(&*engine, "/a", created).await;
    engine.compact(gone).await.unwrap();
    drop(engine);
    for _ in 0..2 {
        subject.close().await;
        let engine = subject.open().await;
        let status = engine.status().await.unwrap();
        assert_eq!((status.revision, status.compact_revision), (gone, gone));
    }
    subject.close().await;
    let engine = subject.open().await;
    assert_eq!(create(&*engine, "/a", "").await, gone + 1);
}
