//! Clauses about `commit`.

use bytes::Bytes;

use super::{Subject, commit, create, delete, key_value, put, remove, update};
use crate::kv::{Change, Expected, KvError, Outcome, VALUE_BYTES_MAX, Write};

/// A failed comparison stops only its own write.
pub async fn writes_of_a_batch_are_independent(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let a = create(engine, "/a", "a").await;
    let batch = vec![
        put("/b", Expected::Absent, "b"),
        put("/a", Expected::Absent, "no"),
        put("/a", Expected::ModRevision(a), "yes"),
        delete("/c", a),
        put("/d", Expected::Absent, "d"),
    ];
    let outcomes = engine.commit(batch).await.unwrap();
    let want = [
        Outcome::Done { revision: a + 1 },
        Outcome::Conflict { current: Some(key_value("/a", "a", a, a)), revision: a + 1 },
        Outcome::Done { revision: a + 2 },
        Outcome::Conflict { current: None, revision: a + 2 },
        Outcome::Done { revision: a + 3 },
    ];
    assert_eq!(outcomes, want);
    assert_eq!(engine.count(b"/").await.unwrap(), 3);
    assert_eq!(engine.commit(Vec::new()).await.unwrap(), [], "an empty batch does nothing");
}

/// Writes of one batch happen in order: a later one sees an earlier one.
pub async fn writes_of_a_batch_see_each_other(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let base = create(engine, "/base", "").await;
    let batch = vec![
        put("/a", Expected::Absent, "one"),
        put("/a", Expected::ModRevision(base + 1), "two"),
        put("/a", Expected::ModRevision(base + 1), "late"),
        delete("/a", base + 2),
        put("/a", Expected::Absent, "three"),
    ];
    let outcomes = engine.commit(batch).await.unwrap();
    let want = [
        Outcome::Done { revision: base + 1 },
        Outcome::Done { revision: base + 2 },
        Outcome::Conflict { current: Some(key_value("/a", "two", base + 1, base + 2)), revision: base + 2 },
        Outcome::Done { revision: base + 3 },
        Outcome::Done { revision: base + 4 },
    ];
    assert_eq!(outcomes, want);
    let read = engine.get(b"/a", None).await.unwrap();
    assert_eq!((read.kv, read.revision), (Some(key_value("/a", "three", base + 4, base + 4)), base + 4));
}

/// Who loses learns what is there.
pub async fn a_conflict_returns_the_current_value(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let one = create(engine, "/a", "one").await;
    let two = update(engine, "/a", one, "two").await;
    let current = Outcome::Conflict { current: Some(key_value("/a", "two", one, two)), revision: two };
    assert_eq!(commit(engine, put("/a", Expected::Absent, "x")).await, current);
    assert_eq!(commit(engine, put("/a", Expected::ModRevision(one), "x")).await, current);
    assert_eq!(commit(engine, delete("/a", one)).await, current);
    let gone = remove(engine, "/a", two).await;
    let nothing = Outcome::Conflict { current: None, revision: gone };
    assert_eq!(commit(engine, put("/a", Expected::ModRevision(two), "x")).await, nothing);
}

/// A key that was deleted and created again is another one.
pub async fn a_recreated_key_has_a_new_create_revision(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let one = create(engine, "/a", "one").await;
    let two = update(engine, "/a", one, "two").await;
    assert_eq!(engine.get(b"/a", None).await.unwrap().kv, Some(key_value("/a", "two", one, two)));
    remove(engine, "/a", two).await;
    let three = create(engine, "/a", "three").await;
    let four = update(engine, "/a", three, "four").await;
    assert_eq!(engine.get(b"/a", None).await.unwrap().kv, Some(key_value("/a", "four", three, four)));
    assert_eq!(engine.get(b"/a", Some(two)).await.unwrap().kv, Some(key_value("/a", "two", one, two)));
}

/// What does not exist cannot be deleted, and trying takes no revision.
pub async fn deleting_nothing_is_a_conflict(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let revision = create(engine, "/a", "").await;
    let nothing = Outcome::Conflict { current: None, revision };
    let absent = Write { key: Bytes::from_static(b"/b"), expected: Expected::Absent, change: Change::Delete };
    assert_eq!(commit(engine, absent).await, nothing);
    assert_eq!(commit(engine, delete("/b", revision)).await, nothing);
    assert_eq!(create(engine, "/c", "").await, revision + 1);
}

/// One value above the limit refuses its whole batch.
pub async fn a_value_too_large_stops_the_batch(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let before = engine.status().await.unwrap().revision;
    let large = put("/b", Expected::Absent, vec![b'x'; VALUE_BYTES_MAX + 1]);
    let error = engine.commit(vec![put("/a", Expected::Absent, "a"), large]).await.unwrap_err();
    assert!(
        matches!(error, KvError::TooLarge { size_bytes, limit_bytes } if size_bytes == limit_bytes + 1),
        "not {error:?}"
    );
    let after = engine.get(b"/a", None).await.unwrap();
    assert_eq!((after.kv, after.revision), (None, before));
}

/// Values of every allowed size, and keys of any bytes, come back as they were given.
pub async fn empty_and_largest_values_are_kept(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    for size in [0, 1, 4_095, 4_096, 4_097, VALUE_BYTES_MAX] {
        let key = Bytes::from([b"/\0\xff".as_slice(), size.to_string().as_bytes()].concat());
        let value = Bytes::from((0..size).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        let change = Change::Put { value: value.clone(), expires_at: None };
        let write = Write { key: key.clone(), expected: Expected::Absent, change };
        assert!(matches!(commit(engine, write).await, Outcome::Done { .. }));
        let kv = engine.get(&key, None).await.unwrap().kv.unwrap();
        assert!(kv.key == key && kv.value == value, "a value of {size} bytes");
    }
}
