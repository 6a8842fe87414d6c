//! Pods about which there is nothing to say: nearly all. The rules have read the pod as a struct, in which that is seen at a
//! glance, so that the tree is gone through for the others alone.

use corten_api::core::v1::{Container, PodSpec, ResourceRequirements, Volume};
use corten_apimachinery::{Value, meta::ObjectMeta as _, validation::is_dns1123_label};

use super::{APPARMOR_PREFIX, old_label, paths};
use crate::view::list;

/// Up to so many ports and variables are compared with each other, all with all.
const FEW: usize = 16;

/// Whether there is certainly no advice about `pod`, whose spec is `spec`. It may say no where there is none, either.
pub(crate) fn is_plain(pod: &Value, spec: &PodSpec) -> bool {
    let is_old = |key: &str| key.contains(".alpha.kubernetes.io/") || key.starts_with(APPARMOR_PREFIX);
    let is_unusual = spec.affinity.is_some()
        || spec.dns_config.is_some()
        || spec.overhead.is_some()
        || !list(&spec.topology_spread_constraints).is_empty()
        || !list(&spec.host_aliases).is_empty()
        || !list(&spec.image_pull_secrets).is_empty()
        || !list(&spec.ephemeral_containers).is_empty()
        || spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0);
    !is_unusual
        && spec.node_selector.iter().flatten().all(|(label, _)| old_label(label).is_none())
        && !pod.annotations().is_some_and(|annotations| annotations.keys().any(is_old))
        && list(&spec.volumes).iter().all(is_plain_volume)
        && are_plain(&spec.containers, list(&spec.init_containers))
        && is_dns1123_label(pod.name()).is_empty()
        && paths::overlapping(pod.items_at(&["spec", "volumes"])).is_empty()
}

fn is_plain_volume(volume: &Volume) -> bool {
    let is_old = volume.photon_persistent_disk.is_some()
        || volume.git_repo.is_some()
        || volume.scale_io.is_some()
        || volume.flocker.is_some()
        || volume.storageos.is_some()
        || volume.quobyte.is_some()
        || volume.glusterfs.is_some()
        || volume.cephfs.is_some()
        || volume.rbd.is_some();
    !is_old && volume.ephemeral.is_none()
}

/// Whether no port and no variable is there twice, and amounts are whole.
fn are_plain(regular: &[Container], init: &[Container]) -> bool {
    let all = || regular.iter().chain(init);
    let amounts_are_whole = all().filter_map(|container| container.resources.as_ref()).all(are_whole);
    let variables_differ = all().all(|container| differ(list(&container.env).iter().map(|var| var.name.as_str())));
    let ports = || all().flat_map(|container| list(&container.ports));
    amounts_are_whole
        && variables_differ
        && ports().all(|port| port.host_ip.is_none())
        && differ(ports().map(|port| port.container_port))
        && differ(ports().filter_map(|port| port.name.as_deref()))
}

/// Whether amounts of bytes are written without what makes parts of them.
fn are_whole(resources: &ResourceRequirements) -> bool {
    let is_whole =
        |text: &str| !text.bytes().any(|byte| matches!(byte, b'.' | b'n' | b'u' | b'm' | b'e' | b'E' | b'-'));
    [&resources.limits, &resources.requests].into_iter().flatten().all(|amounts| {
        ["memory", "ephemeral-storage"]
            .into_iter()
            .filter_map(|name| amounts.get(name))
            .all(|amount| is_whole(&amount.0))
    })
}

/// Whether these are few and all of them differ.
fn differ<T: PartialEq>(items: impl Iterator<Item = T> + Clone) -> bool {
    let mut rest = items.take(FEW + 1);
    let mut count = 0;
    while let Some(item) = rest.next() {
        count += 1;
        if count > FEW || rest.clone().any(|other| other == item) {
            return false;
        }
    }
    true
}
