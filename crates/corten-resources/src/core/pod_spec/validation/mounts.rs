//! Rules of where a container sees its volumes.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::core::v1::{Container, Volume, VolumeDevice, VolumeMount};
use corten_apimachinery::field::{Error, ErrorList, Path};

use super::env;
use crate::{
    report::Report,
    view::{Seen, each, list, text},
};

/// The volumes of the pod by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a Volume>;

/// Where volumes are mounted.
pub(super) fn volume_mounts(volumes: &Volumes<'_>, container: &Container, path: &Path, errors: &mut ErrorList) {
    let devices: &[VolumeDevice] = list(&container.volume_devices);
    let device_names: BTreeSet<&str> = devices.iter().map(|device| device.name.as_str()).collect();
    let device_paths: BTreeSet<&str> = devices.iter().map(|device| device.device_path.as_str()).collect();
    let mut mount_paths = Seen::default();
    for (at, mount) in each(&container.volume_mounts, path) {
        errors.require(&at.child("name"), &mount.name);
        let volume = volumes.get(mount.name.as_str());
        if volume.is_none() {
            errors.push(Error::not_found(&at.child("name"), mount.name.as_str()));
        }
        errors.require(&at.child("mountPath"), &mount.mount_path);
        if !mount_paths.is_new(&mount.mount_path) {
            errors.invalid(&at.child("mountPath"), mount.mount_path.as_str(), "must be unique");
        }
        if device_names.contains(mount.name.as_str()) {
            let detail = "must not already exist in volumeDevices";
            errors.invalid(&at.child("name"), mount.name.as_str(), detail);
        }
        if device_paths.contains(mount.mount_path.as_str()) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.invalid(&at.child("mountPath"), mount.mount_path.as_str(), detail);
        }
        let (sub_path, sub_path_expr) = (text(&mount.sub_path), text(&mount.sub_path_expr));
        // Upstream reports these against the list.
        if !sub_path.is_empty() {
            env::relative_path(sub_path, &path.child("subPath"), errors);
        }
        if !sub_path_expr.is_empty() {
            if !sub_path.is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                errors.invalid(&at.child("subPathExpr"), sub_path_expr, detail);
            }
            env::relative_path(sub_path_expr, &path.child("subPathExpr"), errors);
        }
        mount_options(mount, container, path, errors);
    }
}

/// Where volumes are devices.
pub(super) fn volume_devices(volumes: &Volumes<'_>, container: &Container, path: &Path, errors: &mut ErrorList) {
    if list(&container.volume_devices).is_empty() {
        return;
    }
    let mounts = list(&container.volume_mounts);
    let mount_names: BTreeSet<&str> = mounts.iter().map(|mount| mount.name.as_str()).collect();
    let mount_paths: BTreeSet<&str> = mounts.iter().map(|mount| mount.mount_path.as_str()).collect();
    let (mut paths, mut names) = (Seen::default(), Seen::default());
    for (at, device) in each(&container.volume_devices, path) {
        let (name, device_path) = (device.name.as_str(), device.device_path.as_str());
        let (name_at, path_at) = (at.child("name"), at.child("devicePath"));
        errors.require(&name_at, name);
        if names.contains(name) {
            errors.invalid(&name_at, name, "must be unique");
        }
        match volumes.get(name) {
            None => errors.push(Error::not_found(&name_at, name)),
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&name_at, name, detail);
            }
            Some(_) => {}
        }
        errors.require(&path_at, device_path);
        if paths.contains(device_path) {
            errors.invalid(&path_at, device_path, "must be unique");
        }
        if device_path.split('/').any(|part| part == "..") {
            errors.invalid(&path_at, device_path, "can not contain backsteps ('..')");
        } else {
            paths.is_new(device_path);
        }
        if mount_names.contains(name) {
            errors.invalid(&name_at, name, "must not already exist in volumeMounts");
        }
        if mount_paths.contains(device_path) {
            errors.invalid(&path_at, device_path, "must not already exist as a path in volumeMounts");
        }
        if !name.is_empty() {
            names.is_new(name);
        }
    }
}

/// Propagation and recursive read-only of one mount; upstream reports propagation against the list.
fn mount_options(mount: &VolumeMount, container: &Container, path: &Path, errors: &mut ErrorList) {
    if let Some(propagation) = mount.mount_propagation.as_deref() {
        let at = path.child("mountPropagation");
        errors.one_of(&at, propagation, &["Bidirectional", "HostToContainer", "None"]);
        let privileged = container.security_context.as_ref().and_then(|context| context.privileged) == Some(true);
        if propagation == "Bidirectional" && !privileged {
            errors.forbidden(&at, "Bidirectional mount propagation is available only to privileged containers");
        }
    }
    let Some(recursive) = mount.recursive_read_only.as_deref() else { return };
    let at = path.child("recursiveReadOnly");
    match recursive {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if mount.read_only != Some(true) {
                errors.forbidden(&at, "may only be specified when readOnly is true");
            }
            if !matches!(mount.mount_propagation.as_deref(), None | Some("None")) {
                errors.forbidden(&at, "may only be specified when mountPropagation is None or not specified");
            }
        }
        _ => errors.one_of(&at, recursive, &["Disabled", "Enabled", "IfPossible"]),
    }
}
