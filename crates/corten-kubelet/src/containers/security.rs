//! Security contexts: what a container gets of its pod's and of its own. Pure.
//!
//! Upstream: pkg/securitycontext, pkg/kubelet/kuberuntime/security_context{,_linux}.go (v1.35).

use std::path::Path;

use corten_api::core::v1::{Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext};
use corten_cri::api::{self, NamespaceMode, security_profile::ProfileType};

use crate::{
    interfaces::{ContainerRef, ImageRef},
    pod_ref,
};

/// What containers may not read of `/proc` and `/sys`. Source: `defaultMaskedPaths`.
static MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// What they may not write. Source: `defaultReadonlyPaths`.
static READONLY_PATHS: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn of_pod(pod: &Pod) -> PodSecurityContext {
    pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default()
}

fn of_container(container: &Container) -> SecurityContext {
    container.security_context.clone().unwrap_or_default()
}

/// The user that all containers of a pod run as, if it is one. Source: `FsUserFrom`.
#[must_use]
pub fn common_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = of_pod(pod).run_as_user;
    let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
    let user = |container: &Container| of_container(container).run_as_user.or(of_pod);
    let first = user(all.next()?)?;
    all.all(|container| user(container) == Some(first)).then_some(first).and_then(|user| u32::try_from(user).ok())
}

/// Whether a container of the pod is privileged.
#[must_use]
pub fn has_privileged(pod: &Pod) -> bool {
    crate::interfaces::containers_of(pod).iter().any(|one| of_container(&one.spec).privileged == Some(true))
}

/// The namespaces of a pod.
#[must_use]
pub fn namespaces(pod: &Pod) -> api::NamespaceOption {
    let spec = pod.spec.clone().unwrap_or_default();
    let node_or = |is_node: Option<bool>, other| if is_node == Some(true) { NamespaceMode::Node } else { other };
    let shared = if spec.share_process_namespace == Some(true) { NamespaceMode::Pod } else { NamespaceMode::Container };
    api::NamespaceOption {
        network: node_or(spec.host_network, NamespaceMode::Pod).into(),
        pid: node_or(spec.host_pid, shared).into(),
        ipc: node_or(spec.host_ipc, NamespaceMode::Pod).into(),
        ..api::NamespaceOption::default()
    }
}

/// The security context of a sandbox.
#[must_use]
pub fn sandbox(pod: &Pod) -> api::LinuxSandboxSecurityContext {
    let context = of_pod(pod);
    api::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        run_as_user: context.run_as_user.map(|value| api::Int64Value { value }),
        run_as_group: context.run_as_group.map(|value| api::Int64Value { value }),
        supplemental_groups: supplemental_groups(&context),
        supplemental_groups_policy: groups_policy(&context).into(),
        privileged: has_privileged(pod),
        seccomp: Some(simple_profile(ProfileType::RuntimeDefault)),
        ..api::LinuxSandboxSecurityContext::default()
    }
}

fn supplemental_groups(context: &PodSecurityContext) -> Vec<i64> {
    context.fs_group.into_iter().chain(context.supplemental_groups.iter().flatten().copied()).collect()
}

fn groups_policy(context: &PodSecurityContext) -> api::SupplementalGroupsPolicy {
    match context.supplemental_groups_policy.as_deref() {
        Some("Strict") => api::SupplementalGroupsPolicy::Strict,
        _ => api::SupplementalGroupsPolicy::Merge,
    }
}

fn simple_profile(kind: ProfileType) -> api::SecurityProfile {
    api::SecurityProfile { profile_type: kind.into(), localhost_ref: String::new() }
}

/// What a container's security context depends on besides its spec.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The image, for its user.
    pub image: &'a ImageRef,
    /// Where seccomp profiles of the node are.
    pub seccomp: &'a Path,
    /// The id of the container whose processes an ephemeral container sees.
    pub target_id: Option<&'a str>,
}

/// The security context of a container. Errors: upstream's text, for `CreateContainerConfigError`.
pub fn container(
    pod: &Pod,
    container: &ContainerRef,
    surroundings: Surroundings<'_>,
) -> Result<api::LinuxContainerSecurityContext, String> {
    let (of_pod, own) = (of_pod(pod), of_container(&container.spec));
    let run_as_user = own.run_as_user.or(of_pod.run_as_user);
    let image = surroundings.image;
    // An image that says nothing runs as root.
    let image_uid = image.uid.or_else(|| image.username.is_empty().then_some(0));
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        verify_non_root(pod, &container.spec, run_as_user, image_uid, &image.username)?;
    }
    let mut namespace_options = namespaces(pod);
    if let Some(target) = surroundings.target_id {
        namespace_options.set_pid(NamespaceMode::Target);
        namespace_options.target_id = target.to_owned();
    }
    let privileged = own.privileged == Some(true);
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let is_unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    let seccomp = own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref());
    let apparmor = own.app_armor_profile.as_ref().or(of_pod.app_armor_profile.as_ref());
    Ok(api::LinuxContainerSecurityContext {
        capabilities: own.capabilities.map(|capabilities| api::Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(namespace_options),
        run_as_user: run_as_user.or(image_uid).map(|value| api::Int64Value { value }),
        run_as_username: if run_as_user.is_none() { image.username.clone() } else { String::new() },
        run_as_group: own.run_as_group.or(of_pod.run_as_group).map(|value| api::Int64Value { value }),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: supplemental_groups(&of_pod),
        supplemental_groups_policy: groups_policy(&of_pod).into(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: if is_unmasked { Vec::new() } else { owned(MASKED_PATHS) },
        readonly_paths: if is_unmasked { Vec::new() } else { owned(READONLY_PATHS) },
        seccomp: Some(seccomp_profile(seccomp, surroundings.seccomp)?),
        apparmor: apparmor.map(|profile| {
            let local = profile.localhost_profile.as_deref();
            plain_profile(&profile.type_, local.unwrap_or_default())
        }),
        ..api::LinuxContainerSecurityContext::default()
    })
}

fn seccomp_profile(profile: Option<&SeccompProfile>, directory: &Path) -> Result<api::SecurityProfile, String> {
    let Some(profile) = profile else { return Ok(simple_profile(ProfileType::Unconfined)) };
    let local = profile.localhost_profile.as_deref().unwrap_or_default();
    if profile.type_ == "Localhost" {
        if local.is_empty() {
            return Err("localhostProfile must be set if seccompProfile type is Localhost.".to_owned());
        }
        return Ok(plain_profile("Localhost", &directory.join(local).display().to_string()));
    }
    Ok(plain_profile(&profile.type_, ""))
}

fn plain_profile(kind: &str, local: &str) -> api::SecurityProfile {
    let profile_type = match kind {
        "RuntimeDefault" => ProfileType::RuntimeDefault,
        "Localhost" => ProfileType::Localhost,
        _ => ProfileType::Unconfined,
    };
    api::SecurityProfile { profile_type: profile_type.into(), localhost_ref: local.to_owned() }
}

fn verify_non_root(
    pod: &Pod,
    container: &Container,
    run_as_user: Option<i64>,
    image_uid: Option<i64>,
    username: &str,
) -> Result<(), String> {
    let place = format!("(pod: {:?}, container: {})", pod_ref::full_name(pod), container.name);
    match (run_as_user, image_uid) {
        (Some(0), _) => Err(format!("container's runAsUser breaks non-root policy {place}")),
        (Some(_), _) => Ok(()),
        (None, Some(0)) => Err(format!("container has runAsNonRoot and image will run as root {place}")),
        (None, None) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({username}), cannot verify user is non-root {place}"
        )),
        (None, Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::interfaces::containers_of;

    fn pod(of_pod: Value, of_container: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {"securityContext": of_pod, "containers": [{"name": "c", "securityContext": of_container}]},
        }))
        .unwrap()
    }

    fn form(pod: &Pod, uid: Option<i64>, name: &str) -> Result<api::LinuxContainerSecurityContext, String> {
        let image = ImageRef { id: String::new(), repo_digest: String::new(), uid, username: name.to_owned() };
        let surroundings = Surroundings { image: &image, seccomp: Path::new("/k/seccomp"), target_id: None };
        container(pod, &containers_of(pod)[0], surroundings)
    }

    #[track_caller]
    fn check(of_pod: Value, of_container: Value, uid: Option<i64>, name: &str, want: Result<Option<i64>, &str>) {
        let got = form(&pod(of_pod, of_container), uid, name);
        let got = got.map(|context| context.run_as_user.map(|user| user.value));
        assert_eq!(got, want.map_err(str::to_owned));
    }

    #[test]
    fn who_must_not_be_root_is_not() {
        let non_root = || json!({"runAsNonRoot": true});
        check(json!({}), json!({}), None, "", Ok(Some(0)));
        check(json!({"runAsUser": 5}), json!({}), Some(7), "", Ok(Some(5)));
        check(json!({"runAsUser": 5}), json!({"runAsUser": 6}), Some(7), "", Ok(Some(6)));
        check(non_root(), json!({}), Some(7), "", Ok(Some(7)));
        check(non_root(), json!({"runAsNonRoot": false}), None, "", Ok(Some(0)));
        let root = "container has runAsNonRoot and image will run as root (pod: \"p_ns(u)\", container: c)";
        check(non_root(), json!({}), None, "", Err(root));
        check(non_root(), json!({}), Some(0), "", Err(root));
        let named = "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root \
                     (pod: \"p_ns(u)\", container: c)";
        check(non_root(), json!({}), None, "app", Err(named));
        let asked = "container's runAsUser breaks non-root policy (pod: \"p_ns(u)\", container: c)";
        check(non_root(), json!({"runAsUser": 0}), None, "", Err(asked));
    }

    #[test]
    fn the_container_comes_before_the_pod() {
        let of_pod = json!({"seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": 9, "supplementalGroups": [10]});
        let context = form(&pod(of_pod.clone(), json!({"procMount": "Unmasked"})), None, "").unwrap();
        assert_eq!(context.seccomp, Some(simple_profile(ProfileType::RuntimeDefault)));
        assert_eq!(context.supplemental_groups, [9, 10]);
        assert!(context.masked_paths.is_empty());
        let local = json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}});
        let context = form(&pod(of_pod, local), None, "").unwrap();
        assert_eq!(context.seccomp.unwrap().localhost_ref, "/k/seccomp/a.json");
        assert!(context.masked_paths.contains(&"/proc/kcore".to_owned()));
    }

    #[test]
    fn one_user_of_all_containers_is_the_owner_of_tokens() {
        assert_eq!(common_user(&pod(json!({"runAsUser": 5}), json!({}))), Some(5));
        assert_eq!(common_user(&pod(json!({}), json!({}))), None);
    }
}
