use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, refuses_update, row};

fn binding(patch: Value) -> Value {
    patched(json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}}), patch)
}

#[test]
fn groups_are_filled_in() {
    let subjects = json!({"subjects": [{"kind": "User", "name": "alice"}, {"kind": "ServiceAccount", "name": "s"}]});
    let (object, errors) = created(&RESOURCE, binding(subjects));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["roleRef", "apiGroup"]), Some("rbac.authorization.k8s.io"));
    assert_eq!(object.items_at(&["subjects"])[0].str_at(&["apiGroup"]), Some("rbac.authorization.k8s.io"));
    assert_eq!(object.items_at(&["subjects"])[1].str_at(&["apiGroup"]), None);
}

#[test]
fn a_binding_names_a_role_and_subjects() {
    refuses(
        &RESOURCE,
        binding(
            json!({"roleRef": {"kind": "Odd", "name": ""}, "subjects": [{"kind": "User", "name": ""}, {"kind": "Odd", "name": "a"}]}),
        ),
        &[
            "roleRef.kind: Unsupported value: \"Odd\": supported values: \"Role\", \"ClusterRole\"",
            "roleRef.name: Required value",
            "subjects[0].name: Required value",
            "subjects[0].name: Invalid value: \"\": user name cannot be empty",
            "subjects[1].kind: Unsupported value: \"Odd\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
        ],
    );
}

#[test]
fn the_role_stays() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        binding(json!({})),
        binding(json!({"roleRef": {"name": "other"}})),
        &[
            "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"other\"}: cannot \
             change roleRef",
        ],
    );
}

#[test]
fn a_row_shows_role_and_subjects() {
    let subjects = json!({"subjects": [
        {"kind": "User", "name": "a"}, {"kind": "User", "name": "b"}, {"kind": "ServiceAccount", "namespace": "n", "name": "s"},
    ]});
    assert_eq!(row(&RESOURCE, binding(subjects)), ["b", "Role/r", "<unknown>", "a, b", "", "n/s"]);
}
