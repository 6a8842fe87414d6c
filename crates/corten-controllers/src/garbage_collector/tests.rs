//! The plan by table.

use super::plan::{
    Action, Observed,
    OwnerState::{self, Absent, Solid, Waiting},
    Policy, action,
};

fn observed(owners: &[(&str, OwnerState)]) -> Observed {
    Observed {
        owners: owners.iter().map(|(uid, state)| ((*uid).into(), *state)).collect(),
        has_dependents: false,
        wants_orphans: false,
        wants_foreground: false,
    }
}

#[track_caller]
fn check(observed: Observed, want: Action) {
    assert_eq!(action(&observed), want);
}

#[test]
fn an_object_stays_as_long_as_one_owner_does() {
    check(observed(&[]), Action::Keep);
    check(observed(&[("a", Solid)]), Action::Keep);
    check(observed(&[("a", Solid), ("b", Absent)]), Action::RemoveOwners(vec!["b".into()]));
    check(observed(&[("a", Waiting), ("b", Solid), ("c", Absent)]), Action::RemoveOwners(vec!["c".into(), "a".into()]));
    check(observed(&[("a", Absent)]), Action::Delete(Policy::Background));
    check(observed(&[("a", Absent), ("b", Waiting)]), Action::Delete(Policy::Background));
}

#[test]
fn its_own_dependents_go_as_it_was_asked() {
    let with_dependents = |state| Observed { has_dependents: true, ..observed(&[("a", state)]) };
    check(with_dependents(Waiting), Action::Delete(Policy::Foreground));
    check(with_dependents(Absent), Action::Delete(Policy::Background));
    check(Observed { wants_orphans: true, ..with_dependents(Absent) }, Action::Delete(Policy::Orphan));
    check(Observed { wants_foreground: true, ..with_dependents(Absent) }, Action::Delete(Policy::Foreground));
    check(Observed { wants_orphans: true, ..with_dependents(Waiting) }, Action::Delete(Policy::Foreground));
}
