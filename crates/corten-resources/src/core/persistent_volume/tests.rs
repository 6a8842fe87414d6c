use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, row, updated};

fn volume(patch: Value) -> Value {
    patched(
        json!({
            "metadata": {"name": "v"},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}},
        }),
        patch,
    )
}

#[test]
fn a_volume_is_kept_and_mounted() {
    let (object, errors) = created(&RESOURCE, volume(json!({})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["spec", "persistentVolumeReclaimPolicy"]), Some("Retain"));
    assert_eq!(object.str_at(&["spec", "volumeMode"]), Some("Filesystem"));
    assert_eq!(object.str_at(&["status", "lastPhaseTransitionTime"]), Some("2026-01-01T12:00:00Z"));
}

#[test]
fn a_volume_has_a_size_and_one_source() {
    refuses(
        &RESOURCE,
        json!({"spec": {}}),
        &[
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            "spec.capacity: Unsupported value: null: supported values: \"storage\"",
            "spec: Required value: must specify a volume type",
        ],
    );
    refuses(
        &RESOURCE,
        volume(json!({"spec": {"local": {"path": "/a"}, "capacity": {"storage": "0"}}})),
        &[
            "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero",
            "spec.local: Forbidden: may not specify more than 1 volume type",
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ],
    );
}

#[test]
fn the_source_stays() {
    let (_, errors) = updated(
        &RESOURCE,
        RESOURCE.strategy,
        volume(json!({})),
        volume(json!({"spec": {"hostPath": {"path": "/other"}}})),
    );
    assert_eq!(
        errors,
        ["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n- \
          hostPath.path: \"/data\"\n+ hostPath.path: \"/other\"\n"]
    );
}

#[test]
fn a_phase_change_is_timed() {
    let old = volume(json!({"status": {"phase": "Available", "lastPhaseTransitionTime": "2025-01-01T00:00:00Z"}}));
    let (object, _) =
        updated(&RESOURCE, &strategy::Status, old.clone(), patched(old, json!({"status": {"phase": "Bound"}})));
    assert_eq!(object.str_at(&["status", "lastPhaseTransitionTime"]), Some("2026-01-01T12:00:00Z"));
}

#[test]
fn a_row_shows_the_claim() {
    let object = volume(json!({
        "spec": {"claimRef": {"namespace": "n", "name": "c"}, "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Block"},
        "status": {"phase": "Bound"},
    }));
    assert_eq!(
        row(&RESOURCE, object),
        ["v", "1Gi", "RWO", "Retain", "Bound", "n/c", "", "<unset>", "", "<unknown>", "Block"]
    );
}
