//! Clauses about `get`, `list` and `count`.

use bytes::Bytes;

use super::{Subject, create, key_value, remove, update};
use crate::kv::{KeyValue, KvEngine, KvError, ListRequest, PAGE_BYTES, Revision, VALUE_BYTES_MAX};

async fn get(engine: &dyn KvEngine, key: &str, revision: Option<Revision>) -> Option<KeyValue> {
    engine.get(key.as_bytes(), revision).await.unwrap().kv
}

fn request(prefix: &str, start: &str, limit: usize, revision: Option<Revision>) -> ListRequest {
    let copy = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    ListRequest { prefix: copy(prefix), start: copy(start), limit, revision }
}

/// `get` shows the key as it was at any kept revision.
pub async fn gets_show_each_revision(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    assert_eq!(engine.get(b"/a", None).await.unwrap().kv, None);
    let base = engine.status().await.unwrap().revision;
    let one = create(engine, "/a", "one").await;
    let other = create(engine, "/b", "other").await;
    let two = update(engine, "/a", one, "two").await;
    let gone = remove(engine, "/a", two).await;
    let again = create(engine, "/a", "again").await;
    assert_eq!([one, other, two, gone, again], [1, 2, 3, 4, 5].map(|n| base + n), "+1 for each write");

    let (old, new) = (key_value("/a", "one", one, one), key_value("/a", "two", one, two));
    for (revision, want) in [
        (Some(one), Some(&old)),
        (Some(other), Some(&old)),
        (Some(two), Some(&new)),
        (Some(gone), None),
        (Some(again), Some(&key_value("/a", "again", again, again))),
        (None, Some(&key_value("/a", "again", again, again))),
    ] {
        assert_eq!(get(engine, "/a", revision).await.as_ref(), want, "at {revision:?}");
    }
    assert_eq!(get(engine, "/", None).await, None, "a prefix is not a key");
    assert_eq!(
        engine.get(b"/b", Some(other)).await.unwrap().revision,
        again,
        "the store's revision, not the one asked for"
    );
}

/// `list` shows the prefix, and only it, at any kept revision and in key order.
pub async fn lists_show_each_revision(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let b = create(engine, "/x/b", "b").await;
    let outside = create(engine, "/xy", "outside").await;
    let a = create(engine, "/x/a", "a").await;
    let gone = remove(engine, "/x/b", b).await;
    for (revision, want) in [
        (Some(outside), vec![key_value("/x/b", "b", b, b)]),
        (Some(a), vec![key_value("/x/a", "a", a, a), key_value("/x/b", "b", b, b)]),
        (None, vec![key_value("/x/a", "a", a, a)]),
    ] {
        let page = engine.list(request("/x/", "", 0, revision)).await.unwrap();
        assert_eq!((page.kvs, page.has_more, page.revision), (want, false, gone), "at {revision:?}");
    }
    let all = engine.list(request("", "", 0, None)).await.unwrap();
    assert_eq!(all.kvs.len(), 2, "the empty prefix is the whole store");
}

/// Pages at one revision make up the state at that revision, whatever is written in between, and say whether there are more.
pub async fn lists_page_through_one_state(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let mut want = Vec::new();
    for n in 0..10 {
        let (key, value) = (format!("/p/{n}"), format!("value {n}"));
        let revision = create(engine, &key, &value).await;
        want.push(key_value(&key, &value, revision, revision));
    }
    let first = engine.list(request("/p/", "", 4, None)).await.unwrap();
    assert_eq!((first.kvs.as_slice(), first.has_more), (&want[..4], true));
    update(engine, "/p/5", want[5].mod_revision, "changed").await;
    remove(engine, "/p/6", want[6].mod_revision).await;
    create(engine, "/p/55", "new").await;
    let mut seen = first.kvs;
    loop {
        let mut start = seen.last().unwrap().key.to_vec();
        start.push(0);
        let request = ListRequest {
            prefix: Bytes::from_static(b"/p/"),
            start: start.into(),
            limit: 4,
            revision: Some(first.revision),
        };
        let page = engine.list(request).await.unwrap();
        seen.extend(page.kvs);
        assert_eq!(page.has_more, seen.len() < 10);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen, want);
    let from = engine.list(request("/p/", "/p/8", 1, None)).await.unwrap();
    assert_eq!((from.kvs[0].key.as_ref(), from.has_more), (b"/p/8".as_slice(), true), "the start is inclusive");
}

/// A page ends after so many bytes: a thousand large objects were in memory at once. Who wants all keys gets them.
pub async fn pages_are_bounded_by_their_bytes(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let value = "x".repeat(VALUE_BYTES_MAX);
    let count = 24;
    for n in 0..count {
        create(engine, &format!("/p/{n:02}"), &value).await;
    }
    let (mut start, mut seen) = (String::new(), 0);
    loop {
        let page = engine.list(request("/p/", &start, 1_000, None)).await.unwrap();
        assert!(page.kvs.len() * VALUE_BYTES_MAX <= PAGE_BYTES + 16 * VALUE_BYTES_MAX, "{} values", page.kvs.len());
        seen += page.kvs.len();
        assert_eq!(page.has_more, seen < count);
        if !page.has_more {
            break;
        }
        start = format!("{}\0", std::str::from_utf8(&page.kvs.last().unwrap().key).unwrap());
    }
    let all = engine.list(request("/p/", "", 0, None)).await.unwrap();
    assert_eq!((all.kvs.len(), all.has_more), (count, false));
}

/// `count` counts the existing keys of a prefix.
pub async fn counts_are_per_prefix(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let a = create(engine, "/c/a", "").await;
    create(engine, "/c/b", "").await;
    create(engine, "/cc", "").await;
    assert_eq!(engine.count(b"/c/").await.unwrap(), 2);
    assert_eq!(engine.count(b"/c").await.unwrap(), 3);
    assert_eq!(engine.count(b"/d").await.unwrap(), 0);
    remove(engine, "/c/a", a).await;
    assert_eq!(engine.count(b"/c/").await.unwrap(), 1);
}

/// A revision that has not come is refused, not waited for.
pub async fn revisions_to_come_are_refused(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let current = create(engine, "/a", "").await;
    let refused = |error: KvError| match error {
        KvError::FutureRevision { requested, current: told } => assert_eq!((requested, told), (current + 1, current)),
        other => panic!("not {other:?}"),
    };
    refused(engine.get(b"/a", Some(current + 1)).await.unwrap_err());
    refused(engine.list(request("/", "", 0, Some(current + 1))).await.unwrap_err());
    refused(engine.compact(current + 1).await.unwrap_err());
}
