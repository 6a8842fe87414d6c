use corten_apimachinery::{
    meta::ObjectMeta,
    resource::{DeleteOptions, Strategy},
};
use serde_json::json;

use super::{RESOURCE, strategy};
use crate::testing::{context, created, refuses, refuses_update, row, updated, value};

#[test]
fn a_new_namespace_is_active_labelled_and_held_by_its_finalizer() {
    let (object, errors) = created(&RESOURCE, json!({"metadata": {"name": "dev"}}));
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        object,
        value(json!({
            "metadata": {"name": "dev", "labels": {"kubernetes.io/metadata.name": "dev"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        }))
    );
    assert!(RESOURCE.strategy.holds_deletion(&object));
}

#[test]
fn a_generated_name_is_labelled_once_it_is_known() {
    let (mut object, _) = created(&RESOURCE, json!({"metadata": {"generateName": "dev-"}}));
    assert_eq!(object.label("kubernetes.io/metadata.name"), None);
    object.set_meta("name", "dev-x7k");
    RESOURCE.strategy.canonicalize(&mut object);
    assert_eq!(object.label("kubernetes.io/metadata.name"), Some("dev-x7k"));
}

#[test]
fn finalizers_in_spec_are_standard_or_qualified() {
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "dev"}, "spec": {"finalizers": ["mine"]}}),
        &[
            "spec.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified",
        ],
    );
    refuses_update(
        &RESOURCE,
        &strategy::Finalize,
        json!({"metadata": {"name": "dev"}}),
        json!({"metadata": {"name": "dev"}, "spec": {"finalizers": ["example.com/a", "mine"]}}),
        &["spec.finalizers[1]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully \
           qualified"],
    );
}

#[test]
fn only_finalize_changes_the_finalizers_in_spec() {
    let old = json!({"metadata": {"name": "dev"}, "spec": {"finalizers": ["kubernetes"]}});
    let new = json!({"metadata": {"name": "dev"}, "spec": {"finalizers": []}});
    let (kept, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), new.clone());
    assert!(RESOURCE.strategy.holds_deletion(&kept));
    let (finalized, _) = updated(&RESOURCE, &strategy::Finalize, old, new);
    assert!(!strategy::Finalize.holds_deletion(&finalized));
}

#[test]
fn the_phase_follows_the_deletion() {
    refuses_update(
        &RESOURCE,
        &strategy::Status,
        json!({"metadata": {"name": "dev"}}),
        json!({"metadata": {"name": "dev"}, "status": {"phase": "Terminating"}}),
        &["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"],
    );
}

/// The second delete wrote, and `orphanDependents: false` was no foreground deletion.
#[test]
fn a_namespace_is_marked_once() {
    let mark = RESOURCE.strategy.own_deletion().unwrap();
    let namespace = |finalizers: &[&str]| {
        value(json!({"metadata": {"name": "dev", "finalizers": finalizers}, "spec": {"finalizers": ["kubernetes"]}}))
    };
    let check = |has: &[&str], orphan: Option<bool>, policy: Option<&str>, want: &[&str]| {
        let options = DeleteOptions {
            orphan_dependents: orphan,
            propagation_policy: policy.map(Into::into),
            ..DeleteOptions::default()
        };
        let mut going = mark(&context("v1"), &namespace(has), &options).unwrap();
        assert_eq!(going.finalizers().collect::<Vec<_>>(), want, "{has:?} {orphan:?} {policy:?}");
        assert_eq!(going.str_at(&["status", "phase"]), Some("Terminating"));
        assert!(going.deletion_timestamp().is_some() && going.deletion_grace_period_seconds().is_none());
        let again = DeleteOptions { propagation_policy: Some("Orphan".into()), ..DeleteOptions::default() };
        assert_eq!(mark(&context("v1"), &going, &again), Some(going.clone()));
        going.unset(&["spec", "finalizers"]);
        assert_eq!(mark(&context("v1"), &going, &again), None);
    };
    check(&[], None, None, &[]);
    check(&["a/b", "orphan"], None, None, &["a/b", "orphan"]);
    check(&["foregroundDeletion"], None, None, &["foregroundDeletion"]);
    check(&["a/b"], Some(true), None, &["a/b", "orphan"]);
    check(&["orphan"], Some(false), None, &["foregroundDeletion"]);
    check(&[], None, Some("Foreground"), &["foregroundDeletion"]);
    check(&["foregroundDeletion"], None, Some("Orphan"), &["orphan"]);
    check(&["orphan", "a/b"], None, Some("Background"), &["a/b"]);
}

#[test]
fn a_row_shows_phase_and_age() {
    let object = json!({"metadata": {"name": "dev", "creationTimestamp": "2026-01-01T11:00:00Z"}, "status": {"phase": "Active"}});
    assert_eq!(row(&RESOURCE, object), ["dev", "Active", "60m"]);
}
