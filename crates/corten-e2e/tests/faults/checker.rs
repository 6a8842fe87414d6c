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
mod tests;
