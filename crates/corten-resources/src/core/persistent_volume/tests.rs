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
        ["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n@@ -2,7 \
          +2,7 @@\n  \"GCEPersistentDisk\": null,\n  \"AWSElasticBlockStore\": null,\n  \"HostPath\": {\n-  \"Path\": \"/data\",\n\
          +  \"Path\": \"/other\",\n   \"Type\": \"\"\n  },\n  \"Glusterfs\": null,\n"]
    );
}

#[test]
fn a_phase_change_is_timed() {
    let old = volume(json!({"status": {"phase": "Available", "lastPhaseTransitionTime": "2025-01-01T00:00:00Z"}}));
    let (object, _) =
        updated(&RESOURCE, &strategy::STATUS, old.clone(), patched(old, json!({"status": {"phase": "Bound"}})));
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

#[test]
fn each_kind_of_source_has_its_rules() {
    let with = |source: Value| patched(volume(json!({"spec": {"hostPath": null}})), json!({"spec": source}));
    for (source, want) in [
        (
            json!({"glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": ""}}),
            vec![
                "spec.glusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a valid \
             namespace name",
            ],
        ),
        (
            json!({"cinder": {"volumeID": "v", "secretRef": {}}}),
            vec!["spec.cinder.secretRef.name: Required value", "spec.cinder.secretRef.namespace: Required value"],
        ),
        (
            json!({"iscsi": {"targetPortal": "", "iqn": "foo", "lun": 256, "chapAuthSession": true, "initiatorName": "eui.1"}}),
            vec![
                "spec.iscsi.targetPortal: Required value",
                "spec.iscsi.iqn: Invalid value: \"foo\": must be valid format",
                "spec.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
                "spec.iscsi.secretRef: Required value",
                "spec.iscsi.initiatorname: Invalid value: \"eui.1\": must be valid format",
            ],
        ),
        (
            json!({"azureFile": {"secretName": "s", "shareName": "s", "secretNamespace": ""}}),
            vec!["spec.azureFile.secretNamespace: Required value"],
        ),
        (
            json!({"csi": {"driver": "d", "volumeHandle": "h"}, "volumeAttributesClassName": ""}),
            vec!["spec.volumeAttributesClassName: Required value: an empty string is disallowed"],
        ),
        (
            json!({"nfs": {"server": "s", "path": "/"}, "volumeAttributesClassName": "c"}),
            vec!["spec.csi: Required value: has to be specified when using volumeAttributesClassName"],
        ),
        (
            json!({"local": {"path": "/a/../b"}}),
            vec![
                "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
                "spec.nodeAffinity: Required value: Local volume requires node affinity",
            ],
        ),
        // A driver of the kubelet's own is looked at even where it is one too many.
        (
            json!({"nfs": {"server": "s", "path": "/"}, "flexVolume": {"driver": ""}, "cephfs": {"monitors": ["m"]}}),
            vec![
                "spec.cephFS: Forbidden: may not specify more than 1 volume type",
                "spec.flexVolume.driver: Required value",
            ],
        ),
    ] {
        refuses(&RESOURCE, with(source), &want);
    }
}

#[test]
fn a_secret_for_growing_may_come_later_and_labels_may_get_new_names() {
    let csi = |more: Value| {
        let base = json!({"spec": {"hostPath": null, "csi": {"driver": "d", "volumeHandle": "h"}}});
        patched(volume(base), json!({"spec": more}))
    };
    let nodes = |key: &str| {
        json!({"nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": key, "operator": "In", "values": ["a"]}]},
        ]}}})
    };
    let secret = json!({"csi": {"controllerExpandSecretRef": {"name": "s", "namespace": "n"}}});
    let update = |old: Value, new: Value| updated(&RESOURCE, RESOURCE.strategy, csi(old), csi(new)).1;
    assert_eq!(update(json!({}), secret), [""; 0]);
    let (old, new) = ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone");
    assert_eq!(update(nodes(old), nodes(new)), [""; 0]);
    let errors = update(nodes(new), nodes(old));
    assert!(errors[0].ends_with("field is immutable, except for updating from beta label to GA"), "{errors:?}");
    let errors = update(json!({"volumeAttributesClassName": "c"}), json!({}));
    assert_eq!(errors, ["spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"]);
}
