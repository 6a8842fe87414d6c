use corten_apimachinery::{
    Shared,
    meta::ObjectMeta as _,
    resource::{DeleteOptions, Strategy, SubresourceKind},
};
use serde_json::{Value as Json, json};

use super::{RESOURCE, definition, plain};
use crate::{
    apiextensions::custom_resource_definition::CLEANUP_FINALIZER,
    testing::{context, patched, refuses_update, updated, value},
};

/// `object` as it is stored once it is served.
fn established(mut object: Json) -> Json {
    object["metadata"]["generation"] = json!(1);
    object["status"] = json!({
        "acceptedNames": {"plural": "things", "kind": "Thing"}, "storedVersions": ["v1"],
        "conditions": [{"type": "Established", "status": "True", "lastTransitionTime": null}],
    });
    object
}

#[track_caller]
fn check(old: Json, patch: Json, want: &[&str]) {
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), patched(old, patch), want);
}

#[test]
fn what_objects_are_stored_under_stays() {
    let patch = json!({"spec": {"group": "x.example.com", "scope": "Cluster", "names": {"plural": "others", "kind": "Other", "listKind": "L"}}});
    check(
        plain(),
        patch.clone(),
        &[
            r#"spec.group: Invalid value: "x.example.com": field is immutable"#,
            r#"spec.names.plural: Invalid value: "others": field is immutable"#,
        ],
    );
    check(
        established(plain()),
        patch,
        &[
            r#"spec.scope: Invalid value: "Cluster": field is immutable"#,
            r#"spec.names.kind: Invalid value: "Other": field is immutable"#,
            r#"spec.group: Invalid value: "x.example.com": field is immutable"#,
            r#"spec.names.plural: Invalid value: "others": field is immutable"#,
        ],
    );
}

#[test]
fn stored_versions_stay_known() {
    let version =
        json!([{"name": "v2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]);
    check(
        established(plain()),
        json!({"spec": {"versions": version}}),
        &[
            "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version, \
             and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 \
             from status.storedVersions",
        ],
    );
}

#[test]
fn a_change_counts_a_generation_and_keeps_the_status() {
    let old = established(plain());
    let (same, errors) = updated(
        &RESOURCE,
        RESOURCE.strategy,
        old.clone(),
        patched(old.clone(), json!({"status": {"storedVersions": ["v9"]}})),
    );
    assert_eq!((same.generation(), errors), (1, Vec::new()));
    assert_eq!(same.at(&["status", "storedVersions"]), Some(&value(json!(["v1"]))));
    let (changed, _) = updated(
        &RESOURCE,
        RESOURCE.strategy,
        old.clone(),
        patched(old, json!({"spec": {"names": {"shortNames": ["th"]}}})),
    );
    assert_eq!(changed.generation(), 2);
}

#[test]
fn rules_that_were_not_kept_need_not_be_kept() {
    let sets =
        definition(json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "set",
        "items": {"type": "object", "nullable": true}}}}));
    check(sets, json!({"spec": {"names": {"shortNames": ["th"]}}}), &[]);
    let unpruned = definition(json!({"type": "object", "properties": {"o": {"type": "object", "default": {"u": 1}}}}));
    check(unpruned, json!({"spec": {"names": {"shortNames": ["th"]}}}), &[]);
    let typed = patched(
        definition(json!({"type": "object", "properties": {"o": {"type": "odd"}}})),
        json!({"spec": {"preserveUnknownFields": true}}),
    );
    check(typed, json!({"spec": {"names": {"shortNames": ["th"]}}}), &[]);
    let mut without_schema = patched(plain(), json!({"spec": {"preserveUnknownFields": true}}));
    without_schema["spec"]["versions"][0]["schema"] = Json::Null;
    check(without_schema.clone(), json!({"spec": {"names": {"shortNames": ["th"]}}}), &[]);
    check(
        without_schema,
        json!({"spec": {"preserveUnknownFields": false}}),
        &["spec.versions[0].schema.openAPIV3Schema: Required value: because otherwise all fields are pruned"],
    );
    let protected = patched(plain(), json!({"metadata": {"name": "things.k8s.io"}, "spec": {"group": "k8s.io"}}));
    check(protected, json!({"spec": {"names": {"shortNames": ["th"]}}}), &[]);
}

fn status_strategy() -> &'static dyn Strategy {
    match RESOURCE.subresource("status").map(|sub| &sub.kind) {
        Some(SubresourceKind::Object { strategy: Shared::Static(strategy), .. }) => *strategy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_status_has_names_that_are_some() {
    let patch = json!({"spec": {"scope": "Cluster"}, "status": {"acceptedNames": {"plural": "T"}}});
    let (object, errors) =
        updated(&RESOURCE, status_strategy(), established(plain()), patched(established(plain()), patch));
    assert_eq!(object.str_at(&["spec", "scope"]), Some("Namespaced"));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with(r#"status.acceptedNames.plural: Invalid value: "T": "#), "{errors:?}");
}

#[test]
fn a_definition_waits_for_its_objects() {
    let mark = RESOURCE.strategy.own_deletion().unwrap();
    let before = value(established(plain()));
    // None of them counts: they added a finalizer.
    let options = DeleteOptions { propagation_policy: Some("Orphan".into()), ..DeleteOptions::default() };
    let mut object = mark(&context("v1"), &before, &options).unwrap();
    assert_eq!(mark(&context("v1"), &object, &options), None);
    assert_eq!(object.finalizers().collect::<Vec<_>>(), [CLEANUP_FINALIZER]);
    assert_eq!((object.generation(), object.deletion_grace_period_seconds()), (before.generation(), None));
    let conditions = object.items_at(&["status", "conditions"]);
    assert_eq!(conditions.len(), 2);
    assert_eq!(
        conditions[1],
        value(json!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            "lastTransitionTime": "2026-01-01T12:00:00Z",
        }))
    );
    for field in ["deletionTimestamp", "finalizers"] {
        object.unset_meta(field);
    }
    object.set(&["status"], before.get("status").cloned().unwrap());
    assert_eq!(object, before);
}
