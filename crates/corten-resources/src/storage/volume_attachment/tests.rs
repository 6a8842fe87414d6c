use serde_json::{Value, json};

use super::{RESOURCE, strategy::STATUS};
use crate::testing::{created, patched, refuses, refuses_update, row, updated};

fn attachment(patch: Value) -> Value {
    patched(
        json!({
            "metadata": {"name": "a"},
            "spec": {"attacher": "disk.example.com", "nodeName": "n1", "source": {"persistentVolumeName": "pv1"}},
        }),
        patch,
    )
}

fn inline(spec: Value) -> Value {
    attachment(json!({"spec": {"source": {"persistentVolumeName": null, "inlineVolumeSpec": spec}}}))
}

#[test]
fn nothing_is_attached_yet() {
    let (object, errors) = created(&RESOURCE, attachment(json!({"status": {"attached": true}})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.bool_at(&["status", "attached"]), Some(false));
}

#[test]
fn an_attachment_is_of_one_volume_to_one_node() {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    refuses(
        &RESOURCE,
        json!({"spec": {"attacher": "", "nodeName": "n1", "source": {}}}),
        &[
            "spec.attacher: Required value",
            &format!("spec.source: Required value: {ONE}"),
            "spec.attacher: Required value",
        ],
    );
    refuses(
        &RESOURCE,
        attachment(json!({"spec": {"source": {"inlineVolumeSpec": {}}}})),
        &[&format!("spec.source: Forbidden: {ONE}")],
    );
    refuses(
        &RESOURCE,
        inline(json!({
            "csi": {"driver": "d", "volumeHandle": "", "nodePublishSecretRef": {"name": "", "namespace": "A"}},
            "capacity": {"storage": "1"}, "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast",
            "volumeMode": "Block", "claimRef": {}, "nodeAffinity": {}, "volumeAttributesClassName": "gold",
        })),
        &[
            "spec.source.inlineVolumeSpec.claimRef: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.accessModes: Required value",
            "spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of \
             inline volumes",
            "spec.source.inlineVolumeSpec.nodeAffinity: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.csi.volumeHandle: Required value",
            "spec.source.inlineVolumeSpec.csi.nodePublishSecretRef.name: Required value",
            "spec.source.inlineVolumeSpec.csi.nodePublishSecretRef.namespace: Invalid value: \"A\": a lowercase RFC 1123 \
             label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric \
             character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline \
             volumes",
            "spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the \
             context of inline volumes",
        ],
    );
    let volume = json!({"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}});
    refuses(&RESOURCE, inline(volume), &[]);
}

#[test]
fn a_wish_stays_and_status_says_what_became_of_it() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        attachment(json!({})),
        attachment(json!({"spec": {"nodeName": "n2"}})),
        &["spec: Invalid value: {\"Attacher\":\"disk.example.com\",\"Source\":{\"PersistentVolumeName\":\"pv1\",\
           \"InlineVolumeSpec\":null},\"NodeName\":\"n2\"}: field is immutable"],
    );
    let status = attachment(json!({
        "metadata": {"labels": {"a": "b"}}, "spec": {"nodeName": "n2"},
        "status": {"attached": true, "attachmentMetadata": {"path": "/dev/x"}},
    }));
    let (object, errors) = updated(&RESOURCE, &STATUS, attachment(json!({})), status);
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        (object.bool_at(&["status", "attached"]), object.str_at(&["spec", "nodeName"])),
        (Some(true), Some("n1"))
    );
    assert_eq!(object.at(&["metadata", "labels"]), None);
    let large = json!({"status": {
        "attached": false, "attachmentMetadata": {"a": "x".repeat(256 * 1_024)},
        "attachError": {"message": "x".repeat(1_025)}, "detachError": {"errorCode": -1},
    }});
    refuses_update(
        &RESOURCE,
        &STATUS,
        attachment(json!({})),
        attachment(large),
        &[
            "status.attachmentMetadata: Too long: may not be more than 262144 bytes",
            "status.attachError.message: Too long: may not be more than 262144 bytes",
            "status.detachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ]
        .repeat(2),
    );
}

#[test]
fn a_row_shows_what_is_where() {
    assert_eq!(
        row(&RESOURCE, attachment(json!({"status": {"attached": true}}))),
        ["a", "disk.example.com", "pv1", "n1", "true", "<unknown>"]
    );
}
