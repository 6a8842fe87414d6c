//! The plan by table, and what is remembered of objects.

use std::sync::Arc;

use corten_apimachinery::gvk::GroupVersionResource;
use corten_base::SimClock;
use corten_controller::{Key, RateLimit, WorkQueue};
use corten_informer::{Handler as _, SharedInformer, testutil::object};

use serde_json::json;

use super::plan::{
    Action, Observed,
    OwnerState::{self, Absent, Solid, Waiting},
    Policy, action,
};
use super::{Collected, ObjectHandler, Place, View};

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

/// Whoever made and deleted objects with such owners made the controller grow for ever.
#[test]
fn an_object_that_is_gone_waits_for_no_kind_of_owner() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let view = Arc::new(View::default());
    view.resources.write().all.push(Arc::new(Collected {
        resource: GroupVersionResource::new("", "v1", "configmaps"),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        is_namespaced: true,
        lister: SharedInformer::new("configmaps").lister(),
    }));
    let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock));
    let handler = ObjectHandler { resource: 0, queue, view: Arc::clone(&view) };
    view.undecided.lock().insert(Place { resource: 0, key: Key::new("ns", "a") });
    handler.on_delete(&object("ns/a", 1).build(), false);
    assert!(view.undecided.lock().is_empty());
}

/// Each owner that there was before was looked for among all that there are now, with the graph locked.
#[test]
fn very_many_owners_are_compared_by_looking_them_up() {
    const MANY: usize = 200_000;
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let view = Arc::new(View::default());
    let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock));
    let handler = ObjectHandler { resource: 0, queue, view: Arc::clone(&view) };
    let pod = |revision: u64, uids: std::ops::Range<usize>| {
        let owner = |uid| json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": format!("u{uid}")});
        let owners: Vec<_> = uids.map(owner).collect();
        object("ns/a", revision).json(&json!({"metadata": {"ownerReferences": owners}}).to_string()).build()
    };
    let (old, new) = (pod(1, 0..MANY), pod(2, 1..MANY + 1));
    handler.on_add(&old);
    handler.on_update(&old, &new);
    let graph = view.graph.lock();
    let has = |uid: usize| graph.has_dependents(&format!("u{uid}"));
    assert!(!has(0) && has(1) && has(MANY - 1) && has(MANY));
}
