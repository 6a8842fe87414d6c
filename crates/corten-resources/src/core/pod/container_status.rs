//! Rules of what a pod's status says of its containers: who they run as, and how the devices are that they got.
//!
//! Upstream: `validateContainerStatusUsers`, `validateContainerStatusAllocatedResourcesStatus` in
//! pkg/apis/core/validation/validation.go (v1.35).

use std::collections::BTreeMap;

use corten_api::core::v1::{ContainerStatus, ContainerUser, PodStatus, ResourceStatus};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{is_group_id, is_user_id},
};

use crate::{
    report::Report,
    tree::text_at,
    view::{Seen, each, list, text},
};

/// Every rule that the statuses of containers break.
pub(super) fn validate(status: &PodStatus, pod: &Value, errors: &mut ErrorList) {
    let path = Path::new("status");
    let kinds: [(&str, &[ContainerStatus], Option<&str>); 3] = [
        ("containerStatuses", list(&status.container_statuses), Some("containers")),
        ("initContainerStatuses", list(&status.init_container_statuses), Some("initContainers")),
        ("ephemeralContainerStatuses", list(&status.ephemeral_container_statuses), None),
    ];
    let os = pod.str_at(&["spec", "os", "name"]).unwrap_or("linux");
    for (field, statuses, _) in kinds {
        for (index, status) in statuses.iter().enumerate().filter(|(_, status)| status.user.is_some()) {
            let at = path.child(field).index(index).child("linux");
            status.user.iter().for_each(|one| user(one, os, &at, errors));
        }
    }
    for (field, statuses, containers) in kinds {
        if statuses.iter().all(|status| list(&status.allocated_resources_status).is_empty()) {
            continue;
        }
        let containers = containers.map(|containers| pod.items_at(&["spec", containers])).unwrap_or_default();
        let by_name: BTreeMap<&str, &Value> =
            containers.iter().map(|container| (text_at(container, &["name"]), container)).collect();
        for (index, status) in statuses.iter().enumerate() {
            let at = path.child(field).index(index).child("allocatedResourcesStatus");
            if field == "ephemeralContainerStatuses" {
                if !list(&status.allocated_resources_status).is_empty() {
                    errors.forbidden(&at, "must not be specified in container status");
                }
                continue;
            }
            for (at, resource) in each(&status.allocated_resources_status, &at) {
                health(resource, by_name.get(status.name.as_str()).copied(), &at, errors);
            }
        }
    }
}

fn user(user: &ContainerUser, os: &str, path: &Path, errors: &mut ErrorList) {
    let Some(linux) = &user.linux else { return };
    match os {
        "windows" => errors.forbidden(path, "cannot be set for a windows pod"),
        "linux" => {
            errors.invalid_number(&path.child("uid"), linux.uid, is_user_id(linux.uid));
            errors.invalid_number(&path.child("gid"), linux.gid, is_group_id(linux.gid));
            for (at, gid) in each(&linux.supplemental_groups, &path.child("supplementalGroups")) {
                errors.invalid_number(&at, *gid, is_group_id(*gid));
            }
        }
        _ => {}
    }
}

/// How the devices of one resource are; a container that is not there is passed over.
fn health(resource: &ResourceStatus, container: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    let name = resource.name.as_str();
    if let Some(container) = container {
        let (is_known, detail) = if name.starts_with("claim:") {
            let claims = container.items_at(&["resources", "claims"]);
            let is_this = |claim: &Value| match text_at(claim, &["request"]) {
                "" => name == format!("claim:{}", text_at(claim, &["name"])),
                request => name == format!("claim:{}/{request}", text_at(claim, &["name"])),
            };
            let detail = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or \
                          'claim:<claimName>' if request is empty";
            (claims.iter().any(is_this), detail)
        } else {
            let is_requested = container.at(&["resources", "requests", name]).is_some();
            (is_requested, "must match one of the container's resource requests")
        };
        if !is_known {
            errors.invalid(&path.child("name"), name, detail);
        }
    }
    let mut seen = Seen::default();
    for (at, device) in each(&resource.resources, &path.child("resources")) {
        errors.one_of(&at.child("health"), text(&device.health), &["Healthy", "Unhealthy", "Unknown"]);
        if !seen.is_new(&device.resource_id) {
            errors.push(Error::duplicate(&at.child("resourceID"), device.resource_id.as_str()));
        }
    }
}
