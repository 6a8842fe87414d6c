use super::{KeyIndex, Live};
use crate::kv::KvError;

/// a: put 1, put 3, delete 5, put 7; b: put 2, delete 6; c: put 4.
fn index() -> KeyIndex {
    let mut index = KeyIndex::new(0);
    for (key, revision, created) in [
        ("a", 1, Some(1)),
        ("b", 2, Some(2)),
        ("a", 3, Some(1)),
        ("c", 4, Some(4)),
        ("a", 5, None),
        ("b", 6, None),
        ("a", 7, Some(7)),
    ] {
        index.apply(key.as_bytes(), revision, created);
    }
    index
}

fn live(mod_revision: u64, create_revision: u64) -> Option<Live> {
    Some(Live { mod_revision, create_revision })
}

/// Removes what compaction at `revision` allows, with the keys that `index()` gave the rows.
fn collect(index: &mut KeyIndex, revision: u64) -> Vec<u64> {
    index.compact(revision).unwrap();
    let rows = index.garbage(revision, usize::MAX);
    let key = |row: &u64| match row {
        1 | 3 | 5 | 7 => b"a".as_slice(),
        2 | 6 => b"b",
        _ => b"c",
    };
    index.removed(rows.iter().map(|row| (key(row), *row)));
    rows
}

#[test]
fn a_key_has_its_state_at_each_revision() {
    let index = index();
    let states: Vec<_> = (0..=7).map(|revision| index.at(b"a", revision)).collect();
    let want = [None, live(1, 1), live(1, 1), live(3, 1), live(3, 1), None, None, live(7, 7)];
    assert_eq!(states, want);
    assert_eq!(index.current(b"b"), None);
}

#[test]
fn a_page_says_whether_others_follow() {
    let index = index();
    let page = |start: &str, limit, revision| {
        let (keys, has_more) = index.page(b"", start.as_bytes(), limit, revision);
        (keys.into_iter().map(|(key, _)| String::from_utf8(key.into()).unwrap()).collect::<String>(), has_more)
    };
    assert_eq!(page("", 0, 4), ("abc".into(), false));
    assert_eq!(page("", 1, 4), ("a".into(), true));
    assert_eq!(page("b", 1, 4), ("b".into(), true));
    assert_eq!(page("", 0, 7), ("ac".into(), false));
    assert_eq!(page("", 1, 6), ("c".into(), false));
    assert_eq!((index.count(b""), index.count(b"a"), index.count(b"b")), (2, 1, 0));
}

#[test]
fn compaction_keeps_what_its_revision_can_read_and_nothing_else() {
    for (revision, removed) in
        [(0, vec![]), (2, vec![]), (3, vec![1]), (5, vec![1, 3, 5]), (6, vec![1, 3, 5, 2, 6]), (7, vec![1, 3, 5, 2, 6])]
    {
        let (mut compacted, full) = (index(), index());
        assert_eq!(collect(&mut compacted, revision), removed, "compacted at {revision}");
        for at in revision..=7 {
            for key in [b"a", b"b", b"c"] {
                assert_eq!(compacted.at(key, at), full.at(key, at), "{key:?} at {at}, compacted at {revision}");
            }
        }
        assert!(!compacted.has_garbage());
    }
}

#[test]
fn garbage_comes_in_chunks() {
    let mut index = index();
    index.compact(7).unwrap();
    assert_eq!(index.garbage(7, 2), [1, 3]);
    index.removed([(b"a".as_slice(), 1), (b"a".as_slice(), 3)]);
    assert!(index.has_garbage());
    assert_eq!(index.garbage(7, 2), [5, 2]);
}

#[test]
fn unreadable_revisions_are_refused() {
    let mut index = index();
    assert!(matches!(index.readable(Some(8)), Err(KvError::FutureRevision { requested: 8, current: 7 })));
    assert!(matches!(index.compact(8), Err(KvError::FutureRevision { .. })));
    index.compact(4).unwrap();
    index.compact(2).unwrap();
    assert!(matches!(index.readable(Some(3)), Err(KvError::Compacted { requested: 3, compacted: 4 })));
    assert_eq!(index.readable(Some(4)).unwrap(), 4);
    assert_eq!(index.readable(None).unwrap(), 7);
}
