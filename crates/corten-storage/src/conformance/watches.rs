//! Clauses about `watch`.

use std::time::Duration;

use bytes::Bytes;

use super::{PATIENCE, Subject, create, next, read_until, remove, update};
use crate::{
    kv::{Event, KvError, Revision},
    mvcc::watch_hub::WATCH_BUFFER,
};

fn event(key: &str, value: Option<&str>, previous: Option<&str>, created: Revision, revision: Revision) -> Event {
    let copy = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Event { key: copy(key), value: value.map(copy), prev_value: previous.map(copy), create_revision: created, revision }
}

/// A watch from any kept revision replays what came since and goes on live, without a gap or a duplicate.
pub async fn a_watch_from_the_past_replays_and_goes_on(subject: &dyn Subject) {
    let engine = subject.open().await;
    let engine = &*engine;
    let base = engine.status().await.unwrap().revision;
    let mut mine = Vec::new();
    // More history than an engine keeps in memory for this purpose, so that the store is read too.
    let value = "v".repeat(100_000);
    for n in 0..150 {
        mine.push(create(engine, &format!("/w/{n}"), &value).await);
        create(engine, &format!("/other/{n}"), "").await;
    }
    let starts = [base, mine[0], mine[70], mine[148], mine[149]];
    let mut watches = Vec::new();
    for after in starts {
        watches.push(engine.watch(Bytes::from_static(b"/w/"), after).await.unwrap());
    }
    for n in 150..200 {
        mine.push(create(engine, &format!("/w/{n}"), &value).await);
    }
    for (after, mut watch) in starts.into_iter().zip(watches) {
        let events = read_until(&mut watch, after, *mine.last().unwrap()).await;
        let seen: Vec<_> = events.iter().map(|event| event.revision).collect();
        let want: Vec<_> = mine.iter().copied().filter(|revision| *revision > after).collect();
        assert_eq!(seen, want, "after {after}");
        assert!(events.iter().all(Event::is_create));
    }
}

/// Events carry the value before, live as well as from history; a delete has the create revision of what it deleted.
pub async fn events_carry_the_previous_value(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let base = engine.status().await.unwrap().revision;
    let mut live = engine.watch(Bytes::from_static(b"/a"), base).await.unwrap();
    let one = create(engine, "/a", "one").await;
    let two = update(engine, "/a", one, "two").await;
    let gone = remove(engine, "/a", two).await;
    let three = create(engine, "/a", "three").await;
    let want = [
        event("/a", Some("one"), None, one, one),
        event("/a", Some("two"), Some("one"), one, two),
        event("/a", None, Some("two"), one, gone),
        event("/a", Some("three"), None, three, three),
    ];
    assert_eq!(read_until(&mut live, base, three).await, want);
    let mut replay = engine.watch(Bytes::from_static(b"/a"), base).await.unwrap();
    assert_eq!(read_until(&mut replay, base, three).await, want);
    subject.close().await;
    let engine = subject.open().await;
    let mut stored = engine.watch(Bytes::from_static(b"/a"), one).await.unwrap();
    assert_eq!(read_until(&mut stored, one, three).await, want[1..]);
}

/// A watch sees its prefix and nothing else, also where prefixes contain each other.
pub async fn nested_prefixes_get_their_own_events(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let base = engine.status().await.unwrap().revision;
    let prefixes = ["", "/r/", "/r/pods/", "/r/pods/ns/", "/r/podtemplates/", "/r/pods/ns/a"];
    let mut watches = Vec::new();
    for prefix in prefixes {
        watches.push(engine.watch(Bytes::from_static(prefix.as_bytes()), base).await.unwrap());
    }
    let keys = ["/r/pods/ns/a", "/r/pods/ns/b", "/r/pods/other/a", "/r/podtemplates/ns/a", "/s"];
    let mut last = base;
    for key in keys {
        last = create(engine, key, "").await;
    }
    for (prefix, mut watch) in prefixes.into_iter().zip(watches) {
        engine.request_progress(prefix.as_bytes()).await.unwrap();
        let events = read_until(&mut watch, base, last).await;
        let seen: Vec<_> = events.iter().map(|event| std::str::from_utf8(&event.key).unwrap()).collect();
        let want: Vec<_> = keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(seen, want, "under {prefix:?}");
    }
}

/// A watcher of a quiet prefix learns that the store has moved on.
pub async fn progress_is_marked(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let base = engine.status().await.unwrap().revision;
    let mut quiet = engine.watch(Bytes::from_static(b"/quiet/"), base).await.unwrap();
    let mut last = base;
    for n in 0..20 {
        last = create(engine, &format!("/busy/{n}"), "").await;
    }
    let mut heard = base;
    while heard < last {
        let batch = tokio::select! {
            biased;
            batch = next(&mut quiet) => batch,
            () = subject.pass_time(Duration::from_secs(1)) => continue,
        };
        assert!(batch.events.is_empty() && batch.revision > heard, "a mark goes forward: {batch:?} after {heard}");
        heard = batch.revision;
    }
    assert_eq!(heard, last);
}

/// Who asks for progress need not wait for the next mark.
pub async fn progress_is_marked_on_request(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let base = engine.status().await.unwrap().revision;
    let mut quiet = engine.watch(Bytes::from_static(b"/quiet/"), base).await.unwrap();
    let mut after = base;
    for n in 0..50 {
        let revision = create(engine, &format!("/busy/{n}"), "").await;
        engine.request_progress(b"/quiet/").await.unwrap();
        assert_eq!(read_until(&mut quiet, after, revision).await, []);
        after = revision;
    }
}

/// A watch cannot start where history is forgotten or has not come.
pub async fn watches_from_unreadable_revisions_are_refused(subject: &dyn Subject) {
    let engine = subject.open().await;
    let engine = &*engine;
    let mut revisions = Vec::new();
    for n in 0..5 {
        revisions.push(create(engine, &format!("/{n}"), "").await);
    }
    engine.compact(revisions[3]).await.unwrap();
    let watch = async |after| engine.watch(Bytes::from_static(b"/"), after).await;
    // One below the compacted revision is left open: etcd still has the one event that this would need.
    let error = watch(revisions[1]).await.unwrap_err();
    assert!(
        matches!(error, KvError::Compacted { requested, compacted } if (requested, compacted) == (revisions[1], revisions[3])),
        "not {error:?}"
    );
    let mut kept = watch(revisions[3]).await.unwrap();
    assert_eq!(read_until(&mut kept, revisions[3], revisions[4]).await.len(), 1);
    let error = watch(revisions[4] + 1).await.unwrap_err();
    assert!(matches!(error, KvError::FutureRevision { .. }), "not {error:?}");
}

/// A watcher that does not read is told, its watch ends, and nobody else notices.
pub async fn a_lagging_watcher_is_told(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let base = engine.status().await.unwrap().revision;
    let mut slow = engine.watch(Bytes::from_static(b"/"), base).await.unwrap();
    let mut quick = engine.watch(Bytes::from_static(b"/"), base).await.unwrap();
    let mut heard = base;
    for n in 0..=WATCH_BUFFER {
        let revision = create(engine, &format!("/{n}"), "").await;
        read_until(&mut quick, heard, revision).await;
        heard = revision;
    }
    let clock = corten_base::SystemClock::shared();
    let mut seen = base;
    loop {
        match corten_base::timeout(&*clock, PATIENCE, slow.recv()).await.expect("the watch ends") {
            Some(Ok(batch)) => seen = batch.revision,
            Some(Err(error)) => {
                assert!(matches!(error, KvError::Lagged), "not {error:?}");
                break;
            }
            None => panic!("the watch ended without a word"),
        }
    }
    assert!(slow.recv().await.is_none(), "the watch has ended");
    let mut resumed = engine.watch(Bytes::from_static(b"/"), seen).await.unwrap();
    let events = read_until(&mut resumed, seen, heard).await;
    assert_eq!(events.len() as u64, heard - seen, "it resumes from its last revision");
}
