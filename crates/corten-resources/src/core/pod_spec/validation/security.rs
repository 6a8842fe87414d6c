//! Rules of security contexts, of pods and containers, and of the annotations that came before them.

use std::{collections::HashSet, iter};

use corten_api::core::v1::{AppArmorProfile, Container, PodSpec, SeccompProfile, SecurityContext};
use corten_apimachinery::{
    Map, Value,
    field::{Error, ErrorList, Path},
    validation::{is_group_id, is_user_id},
};

use super::{Options, annotation, env, old_tolerations, windows};
use crate::{
    gates::is_set,
    internal_form,
    report::Report,
    view::{Seen, each, list, text},
};

const APPARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_PREFIX: &str = "container.seccomp.security.alpha.kubernetes.io/";
/// PATH_MAX less the terminating zero.
const PROFILE_MAX_BYTES: usize = 4_095;
const SYSCTL_MAX_BYTES: usize = 253;
/// Containers of all kinds, in the order in which upstream visits them.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const HOST_USERS: &str = "when `hostUsers` is false";
const SYSCTL_REGEX: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// Every container of a spec, in upstream's order: (path, name, security context).
pub(super) fn containers<'s>(
    spec: &'s PodSpec,
    path: &Path,
) -> impl Iterator<Item = (Path, &'s str, Option<&'s SecurityContext>)> {
    let regular = |containers: &'s [Container], field: &str| {
        let at = path.child(field);
        let of = |container: &'s Container| (container.name.as_str(), container.security_context.as_ref());
        containers.iter().map(of).enumerate().map(move |(index, (name, context))| (at.index(index), name, context))
    };
    let at = path.child("ephemeralContainers");
    let ephemeral = list(&spec.ephemeral_containers)
        .iter()
        .enumerate()
        .map(move |(index, container)| (at.index(index), container.name.as_str(), container.security_context.as_ref()));
    let init = regular(list(&spec.init_containers), "initContainers");
    init.chain(regular(&spec.containers, "containers")).chain(ephemeral)
}

pub(super) fn pod(spec: &PodSpec, spec_path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let Some(context) = &spec.security_context else { return };
    let path = spec_path.child("securityContext");
    let at = |field: &str| path.child(field);
    if let Some(gid) = context.fs_group {
        errors.invalid_number(&at("fsGroup"), gid, is_group_id(gid));
    }
    if let Some(uid) = context.run_as_user {
        errors.invalid_number(&at("runAsUser"), uid, is_user_id(uid));
    }
    if let Some(gid) = context.run_as_group {
        errors.invalid_number(&at("runAsGroup"), gid, is_group_id(gid));
    }
    for (at, gid) in each(&context.supplemental_groups, &at("supplementalGroups")) {
        errors.invalid_number(&at, *gid, is_group_id(*gid));
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&at("shareProcessNamespace"), true, detail);
    }
    let mut seen = Seen::default();
    for (at, sysctl) in each(&context.sysctls, &at("sysctls")) {
        let (at, name) = (at.child("name"), sysctl.name.as_str());
        if !errors.require(&at, name) {
        } else if name.len() > SYSCTL_MAX_BYTES || !name.split(['.', '/']).all(is_sysctl_segment) {
            let detail = format!("must have at most {SYSCTL_MAX_BYTES} characters and match regex {SYSCTL_REGEX}");
            errors.invalid(&at, name, detail);
        } else if !seen.is_new(name) {
            errors.push(Error::duplicate(&at, name));
        }
        let name_dotted = name.replace('/', ".");
        if spec.host_network == Some(true) && name_dotted.starts_with("net.") {
            errors.invalid(&at, name, "may not be specified when 'hostNetwork' is true");
        } else if spec.host_ipc == Some(true) && is_ipc_sysctl(&name_dotted) {
            errors.invalid(&at, name, "may not be specified when 'hostIPC' is true");
        }
    }
    if let Some(policy) = &context.fs_group_change_policy {
        errors.one_of(&at("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    seccomp(context.seccomp_profile.as_ref(), &at("seccompProfile"), errors);
    windows::options(context.windows_options.as_ref(), &at("windowsOptions"), errors);
    apparmor(context.app_armor_profile.as_ref(), &at("appArmorProfile"), errors);
    if let Some(policy) = &context.supplemental_groups_policy {
        errors.one_of(&at("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if let Some(policy) = &context.se_linux_change_policy {
        let had_one = options.old.is_some_and(|old| is_set(old, "securityContext.seLinuxChangePolicy"));
        let known: &[&str] = if had_one || options.features.is_enabled("SELinuxMount") {
            &["MountOption", "Recursive"]
        } else {
            &["Recursive"]
        };
        errors.one_of(&at("seLinuxChangePolicy"), policy, known);
    }
}

fn is_sysctl_segment(segment: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(segment.chars().next())
        && edge(segment.chars().next_back())
        && segment.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

fn is_ipc_sysctl(name: &str) -> bool {
    name == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
}

pub(super) fn container(context: Option<&SecurityContext>, path: &Path, host_users: bool, errors: &mut ErrorList) {
    let Some(context) = context else { return };
    let at = |field: &str| path.child(field);
    if let Some(uid) = context.run_as_user {
        errors.invalid_number(&at("runAsUser"), uid, is_user_id(uid));
    }
    if let Some(gid) = context.run_as_group {
        errors.invalid_number(&at("runAsGroup"), gid, is_group_id(gid));
    }
    if let Some(mount) = context.proc_mount.as_deref() {
        errors.one_of(&at("procMount"), mount, &["Default", "Unmasked"]);
        if host_users && mount == "Unmasked" {
            errors.invalid(&at("procMount"), mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    seccomp(context.seccomp_profile.as_ref(), &at("seccompProfile"), errors);
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid_shown(path, || shown(context), detail);
        }
        let added = context.capabilities.as_ref().and_then(|capabilities| capabilities.add.as_deref());
        let times = added.unwrap_or_default().iter().filter(|name| *name == "CAP_SYS_ADMIN").count();
        if times > 0 {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            // It shows all capabilities: made once, and copied as long as there is room for such errors.
            let error = Error::invalid(path, Value::Null, detail).showing(shown(context));
            errors.extend(iter::repeat_n(error, times));
        }
    }
    windows::options(context.windows_options.as_ref(), &at("windowsOptions"), errors);
    apparmor(context.app_armor_profile.as_ref(), &at("appArmorProfile"), errors);
}

/// The context as upstream holds it.
fn shown(context: &SecurityContext) -> String {
    internal_form::core_view("SecurityContext", context)
}

fn seccomp(profile: Option<&SeccompProfile>, path: &Path, errors: &mut ErrorList) {
    let Some(profile) = profile else { return };
    if profile.type_.is_empty() {
        errors.required(&path.child("type"), "type is required when seccompProfile is set");
    } else {
        errors.one_of(&path.child("type"), &profile.type_, &["Localhost", "RuntimeDefault", "Unconfined"]);
    }
    let at = path.child("localhostProfile");
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => errors.required(&at, "must be set when seccomp type is Localhost"),
        ("Localhost", Some(file)) => env::relative_path(file, &at, errors),
        (_, Some(_)) => {
            let shown = || internal_form::core_view("SeccompProfile", profile);
            errors.invalid_shown(&at, shown, "can only be set when seccomp type is Localhost");
        }
        (_, None) => {}
    }
}

fn apparmor(profile: Option<&AppArmorProfile>, path: &Path, errors: &mut ErrorList) {
    let Some(profile) = profile else { return };
    let at = path.child("localhostProfile");
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", name) => {
            let name = name.unwrap_or_default();
            if name.trim() != name {
                errors.invalid(&at, name, "must not be padded with whitespace");
            } else if name.is_empty() {
                errors.required(&at, "must be set when AppArmor type is Localhost");
            }
            if name.len() > PROFILE_MAX_BYTES {
                errors.push(Error::too_long(&at, PROFILE_MAX_BYTES));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.invalid(&at, name, "can only be set when AppArmor type is Localhost");
        }
        ("", _) => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        (other, _) => errors.one_of(&path.child("type"), other, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}

pub(super) fn host_users(spec: &PodSpec, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    if spec.host_users != Some(false) {
        return;
    }
    let had_both = options
        .old
        .is_some_and(|old| old.bool_at(&["hostNetwork"]) == Some(true) && old.bool_at(&["hostUsers"]) == Some(false));
    let on_host_network = had_both || options.features.is_enabled("UserNamespacesHostNetworkSupport");
    for (field, is_set) in [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)]
    {
        if is_set == Some(true) && !(field == "hostNetwork" && on_host_network) {
            errors.forbidden(&path.child(field), HOST_USERS);
        }
    }
    // They were never made to fit a user namespace, but pods with them were taken.
    let had_devices = options.old.is_some_and(|old| {
        old.bool_at(&["hostUsers"]) == Some(false)
            && LISTS.iter().any(|list| is_set(old, &format!("{list}.*.volumeDevices")))
    });
    if !had_devices {
        for path in with_devices(spec, path) {
            errors.forbidden(&path.child("volumeDevices"), HOST_USERS);
        }
    }
}

/// Containers that have volumes as devices, in upstream's order.
fn with_devices(spec: &PodSpec, path: &Path) -> Vec<Path> {
    let ephemeral = list(&spec.ephemeral_containers).iter().map(|one| list(&one.volume_devices).is_empty());
    let own = |one: &corten_api::core::v1::Container| list(&one.volume_devices).is_empty();
    let lists: [Vec<bool>; 3] = [
        list(&spec.init_containers).iter().map(own).collect(),
        spec.containers.iter().map(own).collect(),
        ephemeral.collect(),
    ];
    let mut found = Vec::new();
    for (list, are_empty) in LISTS.iter().zip(lists) {
        let at = path.child(list);
        let indexes = are_empty.iter().enumerate().filter(|(_, is_empty)| !**is_empty);
        found.extend(indexes.map(|(index, _)| at.index(index)));
    }
    found
}

/// Annotations that mean something to a pod.
pub(crate) fn pod_annotations(annotations: &Map, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    if let Some(value) = annotation(annotations, MIRROR).filter(|_| text(&spec.node_name).is_empty()) {
        errors.invalid(&path.key(MIRROR), value, "must set spec.nodeName if mirror pod annotation is set");
    }
    old_tolerations::check(annotations, path, errors);
    if let Some(cost) = annotation(annotations, DELETION_COST) {
        let has_plus = cost.starts_with('+') || (cost.starts_with('0') && cost != "0");
        if has_plus || cost.parse::<i32>().is_err() {
            errors.invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer");
        }
    }
    let mut seccomp = |key: &str, profile: &str| {
        let path = path.child(key);
        match profile.strip_prefix("localhost/") {
            Some(file) => env::relative_path(file, &path, errors),
            None if matches!(profile, "runtime/default" | "docker/default" | "unconfined") => {}
            None => errors.invalid(&path, profile, "must be a valid seccomp profile"),
        }
    };
    if let Some(profile) = annotation(annotations, SECCOMP_POD) {
        seccomp(SECCOMP_POD, profile);
    }
    for (key, profile) in annotations.iter().filter(|(key, _)| key.starts_with(SECCOMP_PREFIX)) {
        seccomp(key, profile.as_str().unwrap_or_default());
    }
    let mut profiles = annotations
        .iter()
        .filter_map(|(key, profile)| Some((key, key.strip_prefix(APPARMOR_PREFIX)?, profile.as_str()?)))
        .peekable();
    // There are as many annotations and containers as a body has room for.
    let named: HashSet<&str> = match profiles.peek() {
        Some(_) => containers(spec, &Path::root()).map(|(_, name, _)| name).collect(),
        None => HashSet::new(),
    };
    for (key, name, profile) in profiles {
        if !named.contains(name) {
            errors.invalid(&path.key(key), name, "container not found");
        }
        if !matches!(profile, "" | "runtime/default" | "unconfined") && !profile.starts_with("localhost/") {
            let detail = format!("invalid AppArmor profile name: {}", corten_apimachinery::field::quote(profile));
            errors.invalid(&path.key(key), profile, detail);
        }
    }
}

/// AppArmor annotations of a new object agree with its fields.
pub(crate) fn apparmor_matches(annotations: &Map, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return;
    }
    if !annotations.keys().any(|key| key.starts_with(APPARMOR_PREFIX)) {
        return;
    }
    let of_pod = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    for (path, name, context) in containers(spec, path) {
        let Some(profile) = context.and_then(|context| context.app_armor_profile.as_ref()).or(of_pod) else { continue };
        let Some(value) = annotation(annotations, &format!("{APPARMOR_PREFIX}{name}")) else { continue };
        let path = path.child("securityContext").child("appArmorProfile");
        matches(&profile.type_, profile.localhost_profile.as_deref(), value, ("apparmor", &path), errors);
    }
}

/// Seccomp annotations of a new pod agree with its fields.
pub(crate) fn seccomp_matches(annotations: &Map, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let of_pod = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    if let (Some(profile), Some(value)) = (of_pod, annotation(annotations, SECCOMP_POD)) {
        let path = path.child("securityContext").child("seccompProfile");
        matches(&profile.type_, profile.localhost_profile.as_deref(), value, ("seccomp", &path), errors);
    }
    if !annotations.keys().any(|key| key.starts_with(SECCOMP_PREFIX)) {
        return;
    }
    for (path, name, context) in containers(spec, path) {
        let Some(profile) = context.and_then(|context| context.seccomp_profile.as_ref()) else { continue };
        let Some(value) = annotation(annotations, &format!("{SECCOMP_PREFIX}{name}")) else { continue };
        let path = path.child("securityContext").child("seccompProfile");
        matches(&profile.type_, profile.localhost_profile.as_deref(), value, ("seccomp", &path), errors);
    }
}

fn matches(ty: &str, file: Option<&str>, value: &str, (what, path): (&str, &Path), errors: &mut ErrorList) {
    let type_matches = match ty {
        "Unconfined" => value == "unconfined",
        "RuntimeDefault" => value == "runtime/default" || (what == "seccomp" && value == "docker/default"),
        "Localhost" => value.starts_with("localhost/"),
        _ => true,
    };
    if !type_matches {
        errors.forbidden(&path.child("type"), format!("{what} type in annotation and field must match"));
    } else if ty == "Localhost" && value.strip_prefix("localhost/") != file {
        let detail = format!("{what} profile in annotation and field must match");
        errors.forbidden(&path.child("localhostProfile"), detail);
    }
}
