//! What is mounted into a container: volumes and parts of them. Decides; `sub_path` of `volumes` acts.
//!
//! Upstream: `makeMounts` of pkg/kubelet/kubelet_pods.go (v1.35).

use std::{collections::BTreeMap, path::Path};

use corten_api::core::v1::{Container, VolumeMount};
use corten_cri::api::{self, MountPropagation};

use super::{environment, expansion::Room};
use crate::interfaces::MountedVolumes;

/// Where the kubelet's own file of host names goes.
pub(super) const ETC_HOSTS: &str = "/etc/hosts";

/// One mount.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WantedMount {
    /// For the runtime; its `host_path` is the volume's.
    pub(super) mount: api::Mount,
    /// The volume.
    pub(super) volume: String,
    /// The part of it.
    pub(super) sub_path: Option<String>,
    /// Its number among the container's mounts.
    pub(super) index: usize,
}

/// The mounts that a container asks for, in its order. Errors: upstream's text.
pub(super) fn wanted(
    container: &Container,
    volumes: &MountedVolumes,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<WantedMount>, String> {
    if let Some(device) = container.volume_devices.iter().flatten().next() {
        return Err(format!("volume {:?} is a block device, which this kubelet does not support", device.name));
    }
    let mounts = container.volume_mounts.iter().flatten().enumerate();
    let mut room = Room::default();
    mounts.map(|(index, mount)| one(container, mount, index, volumes, variables, &mut room)).collect()
}

fn one(
    container: &Container,
    mount: &VolumeMount,
    index: usize,
    volumes: &MountedVolumes,
    variables: &BTreeMap<String, String>,
    room: &mut Room,
) -> Result<WantedMount, String> {
    let Some(volume) = volumes.by_name.get(&mount.name) else {
        return Err(format!("cannot find volume {:?} to mount into container {:?}", mount.name, container.name));
    };
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let sub_path = match set(&mount.sub_path_expr) {
        Some(expression) => Some(environment::expand_path(&expression, variables, room)?),
        None => set(&mount.sub_path),
    };
    if let Some(path) = sub_path.as_deref() {
        if path.starts_with('/') {
            return Err(format!("error SubPath `{path}` must not be an absolute path"));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(format!("unable to provision SubPath `{path}`: must not contain '..'"));
        }
    }
    let readonly = volume.read_only || mount.read_only == Some(true);
    let propagation = match mount.mount_propagation.as_deref().unwrap_or("None") {
        "None" => MountPropagation::PropagationPrivate,
        "HostToContainer" => MountPropagation::PropagationHostToContainer,
        "Bidirectional" => MountPropagation::PropagationBidirectional,
        other => return Err(format!("invalid MountPropagation mode: {other:?}")),
    };
    let is_private = propagation == MountPropagation::PropagationPrivate;
    let recursive = mount.read_only == Some(true) && is_private;
    let recursive_read_only = match mount.recursive_read_only.as_deref().unwrap_or("Disabled") {
        "Disabled" => false,
        // The runtimes that this kubelet meets can.
        "IfPossible" => recursive,
        "Enabled" if recursive => true,
        "Enabled" => {
            return Err(format!(
                "volume {:?} requested recursive read-only mode, but it is not read-only and private",
                mount.name
            ));
        }
        other => return Err(format!("unknown recursive read-only mode: {other:?}")),
    };
    let container_path =
        if mount.mount_path.starts_with('/') { mount.mount_path.clone() } else { format!("/{}", mount.mount_path) };
    Ok(WantedMount {
        mount: api::Mount {
            container_path,
            host_path: volume.host_path.display().to_string(),
            readonly,
            propagation: propagation.into(),
            recursive_read_only,
            ..api::Mount::default()
        },
        volume: mount.name.clone(),
        sub_path,
        index,
    })
}

/// A file of the kubelet's own.
pub(super) fn file(host_path: &Path, container_path: &str) -> api::Mount {
    api::Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.display().to_string(),
        ..api::Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::interfaces::MountedVolume;

    #[track_caller]
    fn check(mount: Value, read_only: bool, want: Result<(&str, bool, Option<&str>), &str>) {
        let container = json!({"name": "c", "volumeMounts": [mount]});
        let container: Container = serde_json::from_value(container).unwrap();
        let volume = MountedVolume { host_path: "/v".into(), read_only };
        let volumes = MountedVolumes { by_name: BTreeMap::from([("v".to_owned(), volume)]) };
        let variables = BTreeMap::from([("A".to_owned(), "a/b".to_owned())]);
        let got = wanted(&container, &volumes, &variables);
        let got = got.as_ref().map(|all| {
            let one = &all[0];
            (one.mount.container_path.as_str(), one.mount.readonly, one.sub_path.as_deref())
        });
        assert_eq!(got.map_err(String::as_str), want);
    }

    #[test]
    fn volumes_are_mounted_as_the_container_asks() {
        check(json!({"name": "v", "mountPath": "/m"}), false, Ok(("/m", false, None)));
        check(json!({"name": "v", "mountPath": "m"}), true, Ok(("/m", true, None)));
        check(json!({"name": "v", "mountPath": "/m", "readOnly": true}), false, Ok(("/m", true, None)));
        check(
            json!({"name": "v", "mountPath": "/m", "subPathExpr": "x/$(A)"}),
            false,
            Ok(("/m", false, Some("x/a/b"))),
        );
        let unknown = "missing value for \"B\"";
        check(json!({"name": "v", "mountPath": "/m", "subPathExpr": "$(B)"}), false, Err(unknown));
        let missing = "cannot find volume \"w\" to mount into container \"c\"";
        check(json!({"name": "w", "mountPath": "/m"}), false, Err(missing));
        let upwards = "unable to provision SubPath `a/../..`: must not contain '..'";
        check(json!({"name": "v", "mountPath": "/m", "subPath": "a/../.."}), false, Err(upwards));
    }
}
