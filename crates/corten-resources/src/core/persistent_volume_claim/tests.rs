use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn claim(patch: Value) -> Value {
    patched(json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}), patch)
}

#[test]
fn a_claim_waits_for_a_filesystem() {
    let (object, errors) = created(&RESOURCE, claim(json!({})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object, value(claim(json!({"spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}))));
}

#[test]
fn a_claim_says_how_much_and_how() {
    refuses(
        &RESOURCE,
        json!({"spec": {"accessModes": ["Sometimes"]}}),
        &[
            "spec.accessModes: Unsupported value: \"Sometimes\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \
             \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            "spec.resources[storage]: Required value",
        ],
    );
    refuses(
        &RESOURCE,
        claim(
            json!({"spec": {"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"], "resources": {"requests": {"storage": "0"}}}}),
        ),
        &[
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
        ],
    );
}

#[test]
fn a_source_of_another_group_is_named_in_full() {
    refuses(
        &RESOURCE,
        claim(json!({"spec": {
            "dataSource": {"kind": "Pod", "name": "a"},
            "dataSourceRef": {"kind": "Pod", "name": "b"},
        }})),
        &[
            "spec.dataSource: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            "spec.dataSourceRef: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default \
             apiGroup",
            "spec: Invalid value: {}: must match dataSourceRef",
        ],
    );
}

#[test]
fn a_volume_is_bound_once() {
    let (_, errors) =
        updated(&RESOURCE, RESOURCE.strategy, claim(json!({})), claim(json!({"spec": {"volumeName": "v"}})));
    assert_eq!(errors, [""; 0]);
    let bound = claim(json!({"spec": {"volumeName": "v"}}));
    let (_, errors) = updated(&RESOURCE, RESOURCE.strategy, bound, claim(json!({"spec": {"volumeName": "w"}})));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("spec: Forbidden: spec is immutable after creation except"), "{errors:?}");
}

#[test]
fn what_grows_is_storage() {
    let status = json!({"status": {
        "phase": "Bound", "capacity": {"storage": "-1"},
        "allocatedResourceStatuses": {"cpu": "NodeResizePending", "storage": "Growing"},
        "allocatedResources": {"example.com/own": "1", "memory": "1"},
    }});
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        claim(json!({})),
        claim(status),
        &[
            "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
            "status.allocatedResourceStatuses: Unsupported value: \"cpu\": supported values: \"storage\"",
            "status.allocatedResourceStatuses: Unsupported value: \"storage\": supported values: \
             \"ControllerResizeInProgress\", \"ControllerResizeInfeasible\", \"NodeResizeInProgress\", \
             \"NodeResizeInfeasible\", \"NodeResizePending\"",
            "status.allocatedResources: Unsupported value: \"memory\": supported values: \"storage\"",
        ],
    );
}

#[test]
fn a_row_shows_the_bound_volume() {
    let object = patched(
        claim(json!({"spec": {"volumeName": "v", "storageClassName": "fast", "volumeMode": "Filesystem"}})),
        json!({
            "metadata": {"name": "a"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadOnlyMany", "ReadWriteOnce"]},
        }),
    );
    assert_eq!(
        row(&RESOURCE, object),
        ["a", "Bound", "v", "1Gi", "RWO,ROX", "fast", "<unset>", "<unknown>", "Filesystem"]
    );
}
