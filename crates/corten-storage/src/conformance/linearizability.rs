//! A checker for concurrent histories.
//!
//! In general this is a search; here the store itself claims an order, its revisions, so it is enough to check the claim:
//! replayed in that order every operation must have given the answer it gave, and the order must agree with real time.
//! Real time is a counter that every operation reads before it starts and after it has ended.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::kv::{Change, Expected, KeyValue, Outcome, Revision, Write};

/// What was asked and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// One write with its outcome.
    Write(Write, Outcome),
    /// One `get` of the current state: key, answer, and the store's revision.
    Get(Bytes, Option<KeyValue>, Revision),
}

/// One completed operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The counter before it started.
    pub invoked: u64,
    /// The counter after it ended.
    pub returned: u64,
    /// The rest.
    pub action: Action,
}

impl Operation {
    /// The state that the operation acted on or produced.
    fn revision(&self) -> Revision {
        match &self.action {
            Action::Write(_, Outcome::Done { revision } | Outcome::Conflict { revision, .. })
            | Action::Get(_, _, revision) => *revision,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.action, Action::Write(_, Outcome::Done { .. }))
    }
}

/// Checks that `history`, all operations on a store that was empty at revision `base`, is linearizable in the order of the
/// revisions it claims. The error says which operation contradicts it.
pub fn check(base: Revision, history: &[Operation]) -> Result<(), String> {
    let mut writes: Vec<&Operation> = history.iter().filter(|operation| operation.is_done()).collect();
    writes.sort_by_key(|operation| operation.revision());
    let mut states: Vec<BTreeMap<Bytes, KeyValue>> = vec![BTreeMap::new()];
    for (n, operation) in writes.iter().enumerate() {
        let want = base + 1 + n as Revision;
        if operation.revision() != want {
            return Err(format!("revision {want} was given to no write, or to two: {operation:?}"));
        }
        let mut state = states.last().expect("there is a first state").clone();
        apply(&mut state, operation)?;
        states.push(state);
    }
    for operation in history {
        let index = operation.revision().checked_sub(base).map(|n| n as usize);
        let state = index.and_then(|n| states.get(n)).ok_or_else(|| format!("no such state: {operation:?}"))?;
        let agrees = match &operation.action {
            Action::Write(_, Outcome::Done { .. }) => true,
            Action::Write(write, Outcome::Conflict { current, .. }) => {
                state.get(&write.key) == current.as_ref() && !holds(write.expected, current.as_ref(), &write.change)
            }
            Action::Get(key, answer, _) => state.get(key) == answer.as_ref(),
        };
        if !agrees {
            return Err(format!("the state {:?} answers otherwise: {operation:?}", state));
        }
    }
    check_real_time(history)
}

/// Replays a write on the state just before it.
fn apply(state: &mut BTreeMap<Bytes, KeyValue>, operation: &Operation) -> Result<(), String> {
    let Action::Write(write, _) = &operation.action else { unreachable!("only writes are done") };
    let current = state.get(&write.key);
    if !holds(write.expected, current, &write.change) {
        return Err(format!("the expectation did not hold: {operation:?} on {current:?}"));
    }
    let mod_revision = operation.revision();
    let create_revision = current.map_or(mod_revision, |kv| kv.create_revision);
    match &write.change {
        Change::Delete => state.remove(&write.key),
        Change::Put { value, .. } => {
            let kv = KeyValue { key: write.key.clone(), value: value.clone(), create_revision, mod_revision };
            state.insert(write.key.clone(), kv)
        }
    };
    Ok(())
}

fn holds(expected: Expected, current: Option<&KeyValue>, change: &Change) -> bool {
    match (expected, current) {
        (Expected::Absent, None) => *change != Change::Delete,
        (Expected::ModRevision(revision), Some(kv)) => kv.mod_revision == revision,
        _ => false,
    }
}

/// Who returned before another was invoked must not come after it in the order of revisions; of two with one revision,
/// the write comes first.
fn check_real_time(history: &[Operation]) -> Result<(), String> {
    let place = |operation: &Operation| (operation.revision(), !operation.is_done());
    let mut by_return: Vec<&Operation> = history.iter().collect();
    by_return.sort_by_key(|operation| operation.returned);
    let mut by_invocation: Vec<&Operation> = history.iter().collect();
    by_invocation.sort_by_key(|operation| operation.invoked);
    let (mut returned, mut latest) = (by_return.into_iter().peekable(), None::<&Operation>);
    for operation in by_invocation {
        while let Some(before) = returned.next_if(|before| before.returned < operation.invoked) {
            if latest.is_none_or(|latest| place(before) > place(latest)) {
                latest = Some(before);
            }
        }
        if let Some(latest) = latest.filter(|latest| place(latest) > place(operation)) {
            return Err(format!("{operation:?} started after the end of {latest:?} but comes before it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{delete, key_value, put};

    fn operation(invoked: u64, returned: u64, action: Action) -> Operation {
        Operation { invoked, returned, action }
    }

    fn done(invoked: u64, returned: u64, write: Write, revision: Revision) -> Operation {
        operation(invoked, returned, Action::Write(write, Outcome::Done { revision }))
    }

    fn get(invoked: u64, returned: u64, answer: Option<KeyValue>, revision: Revision) -> Operation {
        operation(invoked, returned, Action::Get("a".into(), answer, revision))
    }

    fn create(invoked: u64, returned: u64, revision: Revision) -> Operation {
        done(invoked, returned, put("a", Expected::Absent, "v"), revision)
    }

    #[test]
    fn accepts_overlapping_operations_in_either_order() {
        let seen = get(1, 4, Some(key_value("a", "v", 1, 1)), 1);
        let unseen = get(2, 5, None, 0);
        let conflict = Outcome::Conflict { current: Some(key_value("a", "v", 1, 1)), revision: 1 };
        let loser = operation(3, 6, Action::Write(put("a", Expected::Absent, "w"), conflict));
        check(0, &[create(0, 7, 1), seen, unseen, loser, done(8, 9, delete("a", 1), 2)]).unwrap();
    }

    #[track_caller]
    fn refuses(history: &[Operation], why: &str) {
        let error = check(0, history).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn refuses_a_stale_read() {
        refuses(&[create(0, 1, 1), get(2, 3, None, 0)], "started after the end");
    }

    #[test]
    fn refuses_a_read_that_goes_back() {
        let new = get(1, 2, Some(key_value("a", "v", 1, 1)), 1);
        refuses(&[create(0, 9, 1), new, get(3, 4, None, 0)], "started after the end");
    }

    #[test]
    fn refuses_a_read_from_the_future() {
        refuses(&[get(0, 1, Some(key_value("a", "v", 1, 1)), 1), create(2, 3, 1)], "started after the end");
    }

    #[test]
    fn refuses_two_winners() {
        refuses(&[create(0, 3, 1), create(1, 2, 2)], "did not hold");
        refuses(&[create(0, 3, 1), create(1, 2, 1)], "given to no write, or to two");
    }

    #[test]
    fn refuses_a_lost_write() {
        refuses(&[create(0, 1, 2)], "given to no write, or to two");
        refuses(&[create(0, 1, 1), get(2, 3, None, 1)], "answers otherwise");
    }

    #[test]
    fn refuses_a_conflict_that_was_none() {
        let conflict = Outcome::Conflict { current: None, revision: 0 };
        refuses(&[operation(0, 1, Action::Write(put("a", Expected::Absent, "w"), conflict))], "answers otherwise");
    }
}
