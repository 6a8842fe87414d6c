use super::*;

const MAPS: &str = "configmaps";

fn seen(version: u64, mark: &str) -> Seen {
    Seen { version, mark: mark.to_owned() }
}

fn asked(invoked: u64, returned: u64, action: Action, outcome: Outcome) -> Operation {
    Operation { invoked, returned, key: (MAPS, "a".to_owned()), action, outcome }
}

fn objects(seen: Option<Seen>) -> Objects {
    seen.map(|seen| ("a".to_owned(), seen)).into_iter().collect()
}

fn changed(change: Change, version: u64, mark: &str) -> Heard {
    Heard::Changed { change, name: "a".to_owned(), seen: seen(version, mark) }
}

/// Made, changed twice (once without an answer), deleted, and made again; one watcher from the start, one that begins
/// again in between.
fn recorded() -> History {
    let done = |version, mark: &str| Outcome::Done(Some(seen(version, mark)));
    let text = str::to_owned;
    History {
        operations: vec![
            asked(0, 1, Action::Create { mark: text("one") }, done(1, "one")),
            asked(2, 3, Action::Patch { mark: text("two") }, done(2, "two")),
            asked(4, u64::MAX, Action::Update { of: 2, mark: text("three") }, Outcome::Unknown),
            asked(5, 6, Action::Update { of: 1, mark: text("never") }, Outcome::Refused),
            asked(7, 8, Action::Read, done(3, "three")),
            asked(9, 10, Action::Delete { of: 3 }, Outcome::Done(None)),
            asked(11, 12, Action::Create { mark: text("four") }, done(5, "four")),
        ],
        watchers: vec![
            Watcher {
                resource: MAPS,
                heard: vec![
                    Heard::Listed { version: 0, objects: objects(None) },
                    changed(Change::Added, 1, "one"),
                    changed(Change::Modified, 2, "two"),
                    changed(Change::Modified, 3, "three"),
                    Heard::Marked { version: 3 },
                    changed(Change::Deleted, 4, "three"),
                    changed(Change::Added, 5, "four"),
                ],
            },
            Watcher {
                resource: MAPS,
                heard: vec![
                    Heard::Listed { version: 1, objects: objects(Some(seen(1, "one"))) },
                    Heard::Listed { version: 3, objects: objects(Some(seen(3, "three"))) },
                    changed(Change::Deleted, 4, "three"),
                ],
            },
        ],
        last: BTreeMap::from([(MAPS, (5, objects(Some(seen(5, "four")))))]),
    }
}

#[test]
fn accepts_what_may_have_happened_and_did() {
    check(&recorded()).unwrap();
}

#[test]
fn a_request_without_an_answer_may_not_have_happened() {
    let mut history = recorded();
    history.operations.truncate(4);
    history.watchers.clear();
    history.last.insert(MAPS, (2, objects(Some(seen(2, "two")))));
    check(&history).unwrap();
}

/// Patched by one who found what an unanswered create had made.
fn patched_unseen() -> History {
    let mark = str::to_owned;
    History {
        operations: vec![
            asked(0, u64::MAX, Action::Create { mark: mark("one") }, Outcome::Unknown),
            asked(2, 3, Action::Patch { mark: mark("two") }, Outcome::Done(Some(seen(2, "two")))),
        ],
        watchers: Vec::new(),
        last: BTreeMap::from([(MAPS, (2, objects(Some(seen(2, "two")))))]),
    }
}

#[test]
fn a_patch_finds_what_was_asked_for_before() {
    check(&patched_unseen()).unwrap();
    let mut asked_later = patched_unseen();
    asked_later.operations[0].invoked = 4;
    assert!(check(&asked_later).unwrap_err().contains("cannot follow"));
    let mut made_later = patched_unseen();
    made_later.operations.push(asked(5, 6, Action::Read, Outcome::Done(Some(seen(3, "one")))));
    assert!(check(&made_later).unwrap_err().contains("cannot follow"));
}

#[track_caller]
fn refuses(why: &str, plant: impl FnOnce(&mut History)) {
    let mut history = recorded();
    plant(&mut history);
    let error = check(&history).unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn finds_planted_violations() {
    let last = |history: &mut History, version, listed| history.last.insert(MAPS, (version, objects(listed)));
    refuses("lost", |h| drop(last(h, 5, None)));
    refuses("lost", |h| {
        h.operations.truncate(5);
        h.watchers.clear();
        last(h, 3, Some(seen(2, "two")));
    });
    refuses("a delete was undone", |h| {
        h.operations.truncate(6);
        h.watchers.clear();
        last(h, 4, Some(seen(3, "three")));
    });
    refuses("cannot follow", |h| {
        let mark = "back".to_owned();
        h.operations.push(asked(13, 14, Action::Update { of: 3, mark }, Outcome::Done(Some(seen(6, "back")))));
    });
    refuses("nobody has written", |h| drop(last(h, 7, Some(seen(7, "nobody's")))));
    refuses("nobody has deleted", |h| drop(h.operations.remove(5)));
    refuses("was refused and has happened", |h| h.operations[2].outcome = Outcome::Refused);
    refuses("was given out before", |h| (h.operations[0].invoked, h.operations[0].returned) = (13, 14));
    refuses("was given out before", |h| h.operations[4].outcome = Outcome::Done(Some(seen(1, "one"))));
    refuses("and is Some(\"else\")", |h| {
        h.operations[4].outcome = Outcome::Done(Some(seen(3, "else")));
        h.operations[2].action = Action::Update { of: 2, mark: "else".to_owned() };
    });
}

#[test]
fn finds_planted_violations_of_watches() {
    refuses("but never", |h| drop(h.watchers[0].heard.remove(2)));
    refuses("it knew None", |h| h.watchers[0].heard[1] = changed(Change::Modified, 1, "one"));
    refuses("and is told", |h| h.watchers[0].heard.insert(2, changed(Change::Added, 1, "one")));
    refuses("and is told", |h| h.watchers[0].heard.insert(5, Heard::Marked { version: 2 }));
    refuses("but never", |h| h.watchers[0].heard.insert(5, Heard::Marked { version: 4 }));
    refuses("it knew Some", |h| h.watchers[0].heard[2] = changed(Change::Added, 2, "two"));
    refuses("it begins with", |h| drop(h.watchers[0].heard.remove(0)));
    refuses("lost", |h| h.watchers[1].heard[1] = Heard::Listed { version: 3, objects: objects(None) });
}
