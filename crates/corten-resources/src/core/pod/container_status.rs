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
            let at = path.child(field).index(index).child("user").child("linux");
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

#[cfg(test)]
mod tests {
    use corten_api::core::v1::PodStatus;
    use corten_apimachinery::{field::ErrorList, value::from_value};
    use serde_json::{Value, json};

    use super::validate;
    use crate::testing::value;

    #[track_caller]
    fn check(spec: Value, status: Value, want: &[&str]) {
        let status: PodStatus = from_value(&value(status)).unwrap();
        let mut errors = ErrorList::new();
        validate(&status, &value(json!({"spec": spec})), &mut errors);
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
    }

    fn with(name: &str, more: &Value) -> Value {
        let mut status =
            json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {}});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        status
    }

    #[test]
    fn users_are_of_the_pods_system() {
        let user = with("c", &json!({"user": {"linux": {"uid": -1, "gid": 0, "supplementalGroups": [0, -2]}}}));
        let status = json!({"containerStatuses": [user]});
        check(
            json!({}),
            status.clone(),
            &[
                "status.containerStatuses[0].user.linux.uid: Invalid value: -1: must be between 0 and 4294967295, inclusive",
                "status.containerStatuses[0].user.linux.supplementalGroups[1]: Invalid value: -2: must be between 0 and \
                 4294967295, inclusive",
            ],
        );
        check(
            json!({"os": {"name": "windows"}}),
            status,
            &["status.containerStatuses[0].user.linux: Forbidden: cannot be set for a windows pod"],
        );
    }

    #[test]
    fn devices_are_those_that_were_asked_for() {
        let container = json!({
            "name": "c", "image": "a",
            "resources": {"requests": {"example.com/gpu": "1"}, "claims": [{"name": "a"}, {"name": "b", "request": "r"}]},
        });
        let of = |name: &str| json!({"name": name, "resources": [{"resourceID": "1", "health": "Healthy"}]});
        let good = ["example.com/gpu", "claim:a", "claim:b/r"].map(of);
        let spec = json!({"containers": [container]});
        let status = |resources: Value| with("c", &json!({"allocatedResourcesStatus": resources}));
        check(spec.clone(), json!({"containerStatuses": [status(json!(good))]}), &[]);
        let odd = json!([
            of("claim:b"), of("cpu"),
            {"name": "claim:a", "resources": [{"resourceID": "1", "health": "Ill"}, {"resourceID": "1", "health": "Unknown"}]},
        ]);
        let at = "status.containerStatuses[0].allocatedResourcesStatus";
        check(
            spec.clone(),
            json!({"containerStatuses": [status(odd.clone())]}),
            &[
                &format!(
                    "{at}[0].name: Invalid value: \"claim:b\": must match one of the container's resource claims in a \
                     format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"
                ),
                &format!("{at}[1].name: Invalid value: \"cpu\": must match one of the container's resource requests"),
                &format!(
                    "{at}[2].resources[0].health: Unsupported value: \"Ill\": supported values: \"Healthy\", \
                     \"Unhealthy\", \"Unknown\""
                ),
                &format!("{at}[2].resources[1].resourceID: Duplicate value: \"1\""),
            ],
        );
        check(
            spec,
            json!({"ephemeralContainerStatuses": [status(odd)]}),
            &[
                "status.ephemeralContainerStatuses[0].allocatedResourcesStatus: Forbidden: must not be specified in container \
               status",
            ],
        );
    }
}
