//! The checker of a [`History`]: nothing acknowledged is lost, no delete is undone, nothing comes from nowhere, versions only
//! grow, and no watcher misses a change or is told one twice.
//!
//! It is a pure function. All that anybody was told of an object becomes one line of states, by version; requests, watchers
//! and the last list have to agree with it. A request without an answer may have happened at any time, or never.

use std::collections::BTreeMap;

use crate::history::{Action, Change, Heard, History, Key, Objects, Operation, Outcome, Seen, Watcher};

/// What an object is from some version on: marked, or gone.
type State = Option<String>;

/// All states that anybody knows of.
#[derive(Debug, Default)]
struct Known {
    by_key: BTreeMap<Key, BTreeMap<u64, State>>,
    by_resource: BTreeMap<&'static str, BTreeMap<u64, String>>,
}

impl Known {
    fn note(&mut self, key: &Key, version: u64, state: State) -> Result<(), String> {
        let states = self.by_key.entry(key.clone()).or_default();
        match states.insert(version, state.clone()) {
            Some(other) if other != state => Err(format!("{key:?} at {version} is {state:?}, and is {other:?}")),
            _ => match self.by_resource.entry(key.0).or_default().insert(version, key.1.clone()) {
                Some(other) if other != key.1 => Err(format!("version {version} of {key:?} is that of {other}, too")),
                _ => Ok(()),
            },
        }
    }

    fn note_all(&mut self, resource: &'static str, objects: &Objects) -> Result<(), String> {
        let mut each = objects.iter();
        each.try_for_each(|(name, seen)| self.note(&(resource, name.clone()), seen.version, Some(seen.mark.clone())))
    }

    fn of(history: &History) -> Result<Self, String> {
        let mut known = Self::default();
        for operation in &history.operations {
            if let Outcome::Done(Some(seen)) = &operation.outcome {
                let mark = operation.action.mark().unwrap_or(&seen.mark);
                known.note(&operation.key, seen.version, Some(mark.to_owned()))?;
            }
        }
        for Watcher { resource, heard } in &history.watchers {
            for heard in heard {
                match heard {
                    Heard::Listed { objects, .. } => known.note_all(resource, objects)?,
                    Heard::Changed { change, name, seen } => {
                        let state = (*change != Change::Deleted).then(|| seen.mark.clone());
                        known.note(&(resource, name.clone()), seen.version, state)?;
                    }
                    Heard::Marked { .. } => {}
                }
            }
        }
        history.last.iter().try_for_each(|(resource, (_, objects))| known.note_all(resource, objects))?;
        Ok(known)
    }

    /// The latest state up to a version.
    fn at(&self, key: &Key, version: u64) -> Option<(u64, &State)> {
        let (version, state) = self.by_key.get(key)?.range(..=version).next_back()?;
        Some((*version, state))
    }

    /// The first change of a resource after one version, up to another.
    fn change_between(&self, resource: &str, after: u64, up_to: u64) -> Option<(u64, &str)> {
        if up_to <= after {
            return None;
        }
        let (version, name) = self.by_resource.get(resource)?.range(after + 1..=up_to).next()?;
        Some((*version, name))
    }
}

/// Checks all that was recorded. The error says what contradicts it.
pub(crate) fn check(history: &History) -> Result<(), String> {
    let known = Known::of(history)?;
    let mut requests: BTreeMap<&Key, Vec<&Operation>> = BTreeMap::new();
    for operation in &history.operations {
        requests.entry(&operation.key).or_default().push(operation);
    }
    let none = Vec::new();
    for (key, states) in &known.by_key {
        check_states(key, states, requests.get(key).unwrap_or(&none))?;
    }
    for (resource, (version, objects)) in &history.last {
        check_list(&known, &requests, resource, *version, objects).map_err(|why| format!("in the end, {why}"))?;
    }
    check_time(&history.operations)?;
    for (n, watcher) in history.watchers.iter().enumerate() {
        check_watcher(&known, &requests, watcher)
            .map_err(|why| format!("watcher {n} of {}: {why}", watcher.resource))?;
    }
    Ok(())
}

/// Whether an object of this version may have been deleted although nobody heard at which version.
fn may_be_deleted(requests: &[&Operation], version: u64) -> bool {
    requests.iter().any(|request| {
        matches!(request.action, Action::Delete { of } if of == version) && request.outcome != Outcome::Refused
    })
}

/// Whether a patch may have found an object that nobody was told of, and no watcher saw: those that began again after a restart
/// did not hear of what came in between. Somebody asked for it before the patch was answered, and it is not known from later.
fn may_be_created(requests: &[&Operation], states: &BTreeMap<u64, State>, patch: &Operation, version: u64) -> bool {
    requests.iter().any(|request| {
        let Action::Create { mark } = &request.action else { return false };
        request.outcome == Outcome::Unknown
            && request.invoked < patch.returned
            && states.range(version..).all(|(_, state)| state.as_ref() != Some(mark))
    })
}

/// Every state follows from the one before by a request that somebody made.
fn check_states(key: &Key, states: &BTreeMap<u64, State>, requests: &[&Operation]) -> Result<(), String> {
    let mut before: Option<(u64, &State)> = None;
    for (version, state) in states {
        let is_there = before.is_some_and(|(_, state)| state.is_some());
        let deleted_meanwhile = before.is_some_and(|(version, _)| may_be_deleted(requests, version));
        if let Some(mark) = state {
            let Some(request) = requests.iter().find(|request| request.action.mark() == Some(mark)) else {
                return Err(format!("nobody has written {mark:?} of {key:?} at {version}"));
            };
            if request.outcome == Outcome::Refused {
                return Err(format!("it was refused and has happened at {version}: {request:?}"));
            }
            let follows = match request.action {
                Action::Create { .. } => !is_there || deleted_meanwhile,
                Action::Update { of, .. } => before.is_some_and(|(version, _)| version == of) && is_there,
                _ => is_there || may_be_created(requests, states, request, *version),
            };
            if !follows {
                return Err(format!("it cannot follow {before:?} at {version}: {request:?}"));
            }
            let is_acknowledged_gone = requests.iter().any(|request| {
                before.is_some_and(|(version, _)| request.action == Action::Delete { of: version })
                    && matches!(request.outcome, Outcome::Done(_))
            });
            if is_acknowledged_gone && !matches!(request.action, Action::Create { .. }) {
                return Err(format!("a delete of {before:?} was undone at {version}: {request:?}"));
            }
        } else if before.is_some() && (!is_there || !deleted_meanwhile) {
            return Err(format!("nobody has deleted {key:?} at {version}, which was {before:?}"));
        }
        before = Some((*version, state));
    }
    Ok(())
}

/// A list shows the latest state of every object up to its version.
fn check_list(
    known: &Known,
    requests: &BTreeMap<&Key, Vec<&Operation>>,
    resource: &'static str,
    version: u64,
    objects: &Objects,
) -> Result<(), String> {
    if let Some((name, seen)) = objects.iter().find(|(_, seen)| seen.version > version) {
        return Err(format!("a list of {version} has {name} as {seen:?}"));
    }
    for key in known.by_key.keys().filter(|key| key.0 == resource) {
        let listed = objects.get(&key.1).map(|seen| seen.version);
        let latest = known.at(key, version);
        let agrees = match (latest, listed) {
            (Some((at, Some(_))), Some(listed)) => at == listed,
            (Some((at, Some(_))), None) => {
                // At which version is known only if a watcher heard it.
                !known.is_deleted_next(key, version) && requests.get(key).is_some_and(|all| may_be_deleted(all, at))
            }
            (Some((_, None)) | None, listed) => listed.is_none(),
        };
        if !agrees {
            return Err(format!("lost: {key:?} is {latest:?}, but listed at {version} as {listed:?}"));
        }
        let is_gone = latest.is_some_and(|(at, state)| state.is_some() && listed == Some(at));
        let gone_by = requests.get(key).and_then(|requests| {
            requests.iter().find(|request| {
                matches!(request.action, Action::Delete { of } if Some(of) == listed)
                    && matches!(request.outcome, Outcome::Done(_))
            })
        });
        // Only in the end nobody is asked afterwards: a list in between may be from before the delete.
        if let Some(request) = gone_by.filter(|_| is_gone && known.is_last(resource, version)) {
            return Err(format!("a delete was undone: {request:?}"));
        }
    }
    Ok(())
}

impl Known {
    /// Whether the first that is known of an object after a version is its end.
    fn is_deleted_next(&self, key: &Key, version: u64) -> bool {
        let mut later = self.by_key.get(key).into_iter().flat_map(|states| states.range(version + 1..));
        later.next().is_some_and(|(_, state)| state.is_none())
    }

    /// Whether nothing is known of a resource after a version.
    fn is_last(&self, resource: &str, version: u64) -> bool {
        self.change_between(resource, version, u64::MAX - 1).is_none()
    }
}

/// Whoever asks after an answer was given is given a later version, of whatever object; what is read is not older either.
fn check_time(operations: &[Operation]) -> Result<(), String> {
    let version = |operation: &Operation| match &operation.outcome {
        Outcome::Done(Some(Seen { version, .. })) => Some(*version),
        _ => None,
    };
    let writes = operations.iter().filter(|operation| operation.action.mark().is_some());
    let mut answered: Vec<(u64, u64, &Key)> =
        writes.filter_map(|write| Some((write.returned, version(write)?, &write.key))).collect();
    answered.sort_unstable();
    let mut asked: Vec<&Operation> = operations.iter().collect();
    asked.sort_unstable_by_key(|operation| operation.invoked);
    let (mut newest, mut newest_of, mut answered) = (0, BTreeMap::new(), answered.into_iter().peekable());
    for operation in asked {
        while let Some((_, version, key)) = answered.next_if(|(returned, ..)| *returned < operation.invoked) {
            newest = newest.max(version);
            let of_key = newest_of.entry(key).or_insert(0);
            *of_key = version.max(*of_key);
        }
        let Some(version) = version(operation) else { continue };
        let (least, is_write) = match operation.action {
            Action::Read => (newest_of.get(&operation.key).copied().unwrap_or(0), false),
            _ => (newest, true),
        };
        if version < least || (is_write && version == least) {
            return Err(format!("{least} was given out before: {operation:?}"));
        }
    }
    Ok(())
}

/// A watcher hears every change once, in order.
fn check_watcher(known: &Known, requests: &BTreeMap<&Key, Vec<&Operation>>, watcher: &Watcher) -> Result<(), String> {
    let mut objects = Objects::new();
    // The version up to which it knows everything.
    let mut at: Option<u64> = None;
    for heard in &watcher.heard {
        let version = match heard {
            Heard::Listed { version, .. } | Heard::Marked { version } => *version,
            Heard::Changed { seen, .. } => seen.version,
        };
        if let Heard::Listed { objects: listed, .. } = heard {
            if at.is_some_and(|at| version < at) {
                return Err(format!("it was at {at:?} and is told {heard:?}"));
            }
            check_list(known, requests, watcher.resource, version, listed)?;
            objects.clone_from(listed);
            at = Some(version);
            continue;
        }
        let Some(after) = at else { return Err(format!("it begins with {heard:?}")) };
        let is_new = if matches!(heard, Heard::Marked { .. }) { version >= after } else { version > after };
        if !is_new {
            return Err(format!("it was at {after} and is told {heard:?}"));
        }
        let up_to = if matches!(heard, Heard::Marked { .. }) { version } else { version - 1 };
        if let Some(missed) = known.change_between(watcher.resource, after, up_to) {
            return Err(format!("it was at {after} and is told {heard:?}, but never {missed:?}"));
        }
        if let Heard::Changed { change, name, seen } = heard {
            let before = match change {
                Change::Deleted => objects.remove(name),
                Change::Added | Change::Modified => objects.insert(name.clone(), seen.clone()),
            };
            if before.is_some() == (*change == Change::Added) {
                return Err(format!("it knew {before:?} and is told {heard:?}"));
            }
        }
        at = Some(version);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
}
