//! A checker for what was recorded while a store was killed and opened again: nothing acknowledged is lost, nothing comes
//! from nowhere, and no watch has a gap or a duplicate.
//!
//! What callers were told (`linearizability::Operation`), what they tried and never heard of again, and what watchers heard is
//! compared with what the store says in the end: all events that it keeps. Writes that were never answered may have happened;
//! then they are taken for writes that were answered after everything else, and the whole has to be linearizable.

use std::collections::BTreeMap;

use super::linearizability::{self, Action, Operation};
use crate::kv::{Change, Event, Expected, Outcome, Revision, Write};

/// A write that was never answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The counter before it started.
    pub invoked: u64,
    /// What was asked.
    pub write: Write,
}

/// What one watcher heard, over all the watches that it continued from its last revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The revision after which it began.
    pub after: Revision,
    /// What it was told, in that order.
    pub events: Vec<Event>,
}

/// Checks what was recorded against `kept`, everything that the store has after revision `base`, at which it was empty.
/// Every watcher watched everything.
pub fn check(
    base: Revision,
    history: &[Operation],
    attempts: &[Attempt],
    heard: &[Heard],
    kept: &[Event],
) -> Result<(), String> {
    for (n, event) in kept.iter().enumerate() {
        let want = base + 1 + n as Revision;
        if event.revision != want {
            return Err(format!("the store has revision {} in place of {want}", event.revision));
        }
    }
    let at = |revision: Revision| kept.get(usize::try_from(revision.checked_sub(base + 1)?).ok()?);
    let mut claimed = vec![false; kept.len()];
    for operation in history {
        if let Action::Write(write, Outcome::Done { revision }) = &operation.action {
            match at(*revision) {
                None => return Err(format!("lost, although it was acknowledged: {operation:?}")),
                Some(event) if !is_of(event, write) => {
                    return Err(format!("acknowledged as {operation:?}, but the store has {event:?}"));
                }
                Some(_) => claimed[(revision - base - 1) as usize] = true,
            }
        }
    }
    let (mut operations, mut attempts) = (history.to_vec(), attempts.to_vec());
    let mut written: BTreeMap<&[u8], Revision> = BTreeMap::new();
    for (event, claimed) in kept.iter().zip(claimed) {
        let before = match event.value {
            Some(_) => written.insert(&event.key, event.revision),
            None => written.remove(&event.key[..]),
        };
        if claimed {
            continue;
        }
        // Two deletes of a key differ in nothing but what they expect.
        let expected = before.map_or(Expected::Absent, Expected::ModRevision);
        let fits = |attempt: &Attempt| is_of(event, &attempt.write) && attempt.write.expected == expected;
        let Some(n) = attempts.iter().position(fits) else {
            return Err(format!("nobody has written {event:?}"));
        };
        let Attempt { invoked, write } = attempts.swap_remove(n);
        let action = Action::Write(write, Outcome::Done { revision: event.revision });
        operations.push(Operation { invoked, returned: u64::MAX, action });
    }
    linearizability::check(base, &operations)?;
    heard.iter().try_for_each(|heard| {
        (heard.after + 1..).zip(&heard.events).try_for_each(|(revision, event)| match at(revision) {
            Some(kept) if kept == event => Ok(()),
            kept => Err(format!("a watcher was told {event:?} in place of {kept:?}")),
        })
    })
}

/// Whether an event is what a write does.
#[must_use]
pub fn is_of(event: &Event, write: &Write) -> bool {
    let value = match &write.change {
        Change::Put { value, .. } => Some(value),
        Change::Delete => None,
    };
    event.key == write.key && event.value.as_ref() == value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{delete, put};

    fn event(revision: Revision, value: Option<&'static str>, before: Option<&'static str>) -> Event {
        let bytes = |text: &'static str| text.into();
        let create_revision = if before.is_none() { revision } else { 1 };
        Event { key: "a".into(), value: value.map(bytes), prev_value: before.map(bytes), create_revision, revision }
    }

    fn done(invoked: u64, returned: u64, write: Write, revision: Revision) -> Operation {
        Operation { invoked, returned, action: Action::Write(write, Outcome::Done { revision }) }
    }

    /// Created, changed by somebody who never heard of it, deleted.
    struct Recorded {
        history: Vec<Operation>,
        attempts: Vec<Attempt>,
        heard: Vec<Heard>,
        kept: Vec<Event>,
    }

    fn recorded() -> Recorded {
        let kept = vec![event(1, Some("v"), None), event(2, Some("w"), Some("v")), event(3, None, Some("w"))];
        Recorded {
            history: vec![done(0, 1, put("a", Expected::Absent, "v"), 1), done(5, 6, delete("a", 2), 3)],
            attempts: vec![
                Attempt { invoked: 2, write: put("a", Expected::ModRevision(1), "w") },
                Attempt { invoked: 3, write: put("a", Expected::ModRevision(1), "x") },
            ],
            heard: vec![Heard { after: 0, events: kept.clone() }, Heard { after: 1, events: kept[1..2].to_vec() }],
            kept,
        }
    }

    fn check_recorded(recorded: &Recorded) -> Result<(), String> {
        check(0, &recorded.history, &recorded.attempts, &recorded.heard, &recorded.kept)
    }

    #[test]
    fn accepts_what_may_have_happened_and_did() {
        check_recorded(&recorded()).unwrap();
    }

    #[track_caller]
    fn refuses(why: &str, plant: impl FnOnce(&mut Recorded)) {
        let mut recorded = recorded();
        plant(&mut recorded);
        let error = check_recorded(&recorded).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn finds_planted_violations() {
        refuses("lost, although it was acknowledged", |r| drop(r.kept.pop()));
        refuses("in place of 2", |r| drop(r.kept.remove(1)));
        refuses("but the store has", |r| r.kept[0].value = Some("other".into()));
        refuses("nobody has written", |r| r.attempts.clear());
        refuses("nobody has written", |r| r.kept.push(event(4, Some("y"), None)));
        refuses("nobody has written", |r| r.attempts[0].write.expected = Expected::Absent);
        refuses("started after the end", |r| r.attempts[0].invoked = 7);
        refuses("in place of Some", |r| drop(r.heard[0].events.remove(1)));
        refuses("in place of Some", |r| r.heard[0].events.insert(1, event(1, Some("v"), None)));
        refuses("in place of Some", |r| r.heard[0].events[1].prev_value = None);
        refuses("in place of None", |r| r.heard[0].events.push(event(4, Some("y"), None)));
    }
}
