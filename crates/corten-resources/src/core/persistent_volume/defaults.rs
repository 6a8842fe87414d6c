//! Defaults of persistent volumes.

use corten_apimachinery::Value;

use crate::defaulting::{fill_absent, fill_zero, within};

pub(super) fn v1(volume: &mut Value) {
    fill_zero(volume.at_or_insert(&["status"]), "phase", "Pending");
    within(volume, &["spec"], |spec| {
        fill_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
        fill_absent(spec, "volumeMode", "Filesystem");
        source(spec);
    });
}

/// Defaults of where the volume of a spec is.
pub(crate) fn source(spec: &mut Value) {
    within(spec, &["hostPath"], |source| fill_absent(source, "type", ""));
    within(spec, &["iscsi"], |source| fill_zero(source, "iscsiInterface", "default"));
    within(spec, &["rbd"], |source| {
        for (field, value) in [("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")] {
            fill_zero(source, field, value);
        }
    });
    within(spec, &["scaleIO"], |source| {
        fill_zero(source, "storageMode", "ThinProvisioned");
        fill_zero(source, "fsType", "xfs");
    });
}
