//! Rules of environment variables and of what they and volumes refer to.

use std::collections::BTreeMap;

use corten_api::{
    core::v1::{Container, EnvVar, FileKeySelector, ObjectFieldSelector, PodSpec, ResourceFieldSelector},
    intstr::IntOrString,
};
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    quantity::Quantity,
    validation::{
        is_config_map_key, is_dns1123_label, is_port_name, is_port_number, is_qualified_name, is_relaxed_env_var_name,
    },
};

use super::Options;
use crate::{
    gates::is_set,
    quantity::Amount,
    report::Report,
    view::{each, each_of, list, text},
};

/// Containers of all kinds, in the order in which upstream visits them.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// The fields that a downward API volume can show.
pub(super) const VOLUME_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// All that the downward API knows. What a container or a volume can show is less.
const ALL_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that had other names.
const OLD_FIELDS: &[(&str, &str)] = &[("spec.host", "spec.nodeName")];

const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// The variables of a container; `has_files` if they can come from files.
pub(super) fn env(container: &Container, has_files: bool, path: &Path, errors: &mut ErrorList) {
    for (at, var) in each(&container.env, path) {
        if errors.require(&at.child("name"), &var.name) {
            errors.invalids(&at.child("name"), &var.name, is_relaxed_env_var_name(&var.name));
        }
        value_from(var, has_files, &at.child("valueFrom"), errors);
    }
}

fn value_from(var: &EnvVar, has_files: bool, path: &Path, errors: &mut ErrorList) {
    let Some(from) = &var.value_from else { return };
    let mut count = 0;
    if let Some(field) = &from.field_ref {
        count += 1;
        field_selector(field, ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if let Some(resource) = &from.resource_field_ref {
        count += 1;
        resource_selector(resource, false, &path.child("resourceFieldRef"), errors);
    }
    let mut key = |field: &str, name: &str, key: &str, errors: &mut ErrorList| {
        count += 1;
        let path = path.child(field);
        errors.object_name(&path.child("name"), name);
        if errors.require(&path.child("key"), key) {
            errors.invalids(&path.child("key"), key, is_config_map_key(key));
        }
    };
    if let Some(selector) = &from.config_map_key_ref {
        key("configMapKeyRef", &selector.name, &selector.key, errors);
    }
    if let Some(selector) = &from.secret_key_ref {
        key("secretKeyRef", &selector.name, &selector.key, errors);
    }
    if let Some(file) = &from.file_key_ref {
        count += 1;
        let path = path.child("fileKeyRef");
        if errors.require(&path.child("key"), &file.key) {
            errors.invalids(&path.child("key"), &file.key, is_relaxed_env_var_name(&file.key));
        }
        if errors.require(&path.child("volumeName"), &file.volume_name) {
            errors.invalids(&path.child("volumeName"), &file.volume_name, is_dns1123_label(&file.volume_name));
        }
        if errors.require(&path.child("path"), &file.path) {
            no_backsteps(&file.path, &path.child("path"), errors);
        }
    }
    if count == 0 {
        let detail = if has_files {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        } else {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        };
        errors.invalid(path, "", detail);
    } else if !text(&var.value).is_empty() {
        errors.invalid(path, "", "may not be specified when `value` is not empty");
    } else if count > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
}

/// Whether variables can come from files.
pub(super) fn has_files(options: &Options<'_>) -> bool {
    let is_used = |old: &Value| LISTS.iter().any(|list| is_set(old, &format!("{list}.*.env.*.valueFrom.fileKeyRef")));
    options.allows("EnvFiles", is_used)
}

/// The volumes that files with variables are on are the pod's, and empty at its start.
pub(super) fn files(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    fn file_of(var: &EnvVar) -> Option<&FileKeySelector> {
        var.value_from.as_ref()?.file_key_ref.as_ref()
    }
    let ephemeral = list(&spec.ephemeral_containers).iter().map(|container| &container.env);
    let all: [Vec<&Option<Vec<EnvVar>>>; 3] = [
        list(&spec.init_containers).iter().map(|container| &container.env).collect(),
        spec.containers.iter().map(|container| &container.env).collect(),
        ephemeral.collect(),
    ];
    if !all.iter().flatten().any(|env| list(env).iter().any(|var| file_of(var).is_some())) {
        return;
    }
    // Of two volumes with one name, which is an error by itself, upstream sees the second.
    let volumes: BTreeMap<&str, bool> =
        list(&spec.volumes).iter().map(|volume| (volume.name.as_str(), volume.empty_dir.is_some())).collect();
    for (field, containers) in LISTS.iter().zip(all) {
        for (at, env) in each_of(&containers, &path.child(field)) {
            for (at, var) in each(env, &at.child("env")) {
                let Some(file) = file_of(var) else { continue };
                let at = at.child("valueFrom").child("fileKeyRef").child("volumeName");
                match volumes.get(file.volume_name.as_str()) {
                    None => errors.push(Error::not_found(&at, file.volume_name.as_str())),
                    Some(false) => {
                        let detail = "referenced volume must be of type emptyDir";
                        errors.invalid(&at, file.volume_name.as_str(), detail);
                    }
                    Some(true) => {}
                }
            }
        }
    }
}

pub(super) fn env_from(container: &Container, path: &Path, errors: &mut ErrorList) {
    for (at, source) in each(&container.env_from, path) {
        let prefix = text(&source.prefix);
        if !prefix.is_empty() {
            errors.invalids(&at.child("prefix"), prefix, is_relaxed_env_var_name(prefix));
        }
        let references = [
            ("configMapRef", source.config_map_ref.as_ref().map(|reference| &reference.name)),
            ("secretRef", source.secret_ref.as_ref().map(|reference| &reference.name)),
        ];
        for (field, name) in references {
            let Some(name) = name else { continue };
            let at = at.child(field).child("name");
            if errors.require(&at, name) {
                let messages = corten_apimachinery::validation::is_dns1123_subdomain_prefixed(name, true);
                errors.invalids(&at, name, messages);
            }
        }
        // Upstream reports these against the list.
        match references.iter().filter(|(_, name)| name.is_some()).count() {
            0 => errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid(path, "", "may not have more than one field specified at a time"),
        }
    }
}

/// A field of the pod, possibly one entry of its labels or annotations: `metadata.labels['app']`.
pub(super) fn field_selector(field: &ObjectFieldSelector, supported: &[&str], path: &Path, errors: &mut ErrorList) {
    if !errors.require(&path.child("apiVersion"), text(&field.api_version)) {
        return;
    }
    if !errors.require(&path.child("fieldPath"), &field.field_path) {
        return;
    }
    let full = field.field_path.as_str();
    let at = path.child("fieldPath");
    if text(&field.api_version) != "v1" {
        let why = format!("unsupported pod version: {}", text(&field.api_version));
        errors.invalid(&at, full, format!("error converting fieldPath: {why}"));
        return;
    }
    let subscripted = full.strip_suffix("']").and_then(|rest| rest.split_once("['"));
    match subscripted.filter(|(name, _)| !name.is_empty()) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            errors.invalids(path, &key, is_qualified_name(&key));
        }
        Some(("metadata.labels", key)) => errors.invalids(path, key, is_qualified_name(key)),
        Some(_) => {
            let why = format!("field label does not support subscript: {full}");
            errors.invalid(&at, full, format!("error converting fieldPath: {why}"));
        }
        None => match OLD_FIELDS.iter().find(|(old, _)| *old == full).map_or(full, |(_, new)| *new) {
            name if ALL_FIELDS.contains(&name) => errors.one_of(&at, name, supported),
            _ => errors.invalid(&at, full, format!("error converting fieldPath: field label not supported: {full}")),
        },
    }
}

/// A limit or request of a container, shown in units of a divisor.
pub(super) fn resource_selector(field: &ResourceFieldSelector, is_volume: bool, path: &Path, errors: &mut ErrorList) {
    let resource = field.resource.as_str();
    let is_huge_pages = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if is_volume && text(&field.container_name).is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if errors.require(&path.child("resource"), resource) && !is_huge_pages {
        errors.one_of(&path.child("resource"), resource, RESOURCES);
    }
    let divisor = field.divisor.as_ref().map(|divisor| divisor.0.as_str()).unwrap_or_default();
    if divisor.is_empty() || Quantity::parse(divisor) == Some(Quantity::default()) {
        return;
    }
    let sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let size_words = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let (ok, words, name) = match resource {
        "limits.cpu" | "requests.cpu" => (matches!(divisor, "1m" | "1"), "1m and 1", "cpu"),
        "limits.memory" | "requests.memory" => (sizes.contains(&divisor), size_words, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => {
            (sizes.contains(&divisor), size_words, "local ephemeral storage")
        }
        _ if is_huge_pages => (sizes.contains(&divisor), size_words, "hugepages"),
        _ => return,
    };
    if !ok {
        let detail = format!("only divisor's values {words} are supported with the {name} resource");
        errors.invalid(&path.child("divisor"), resource, detail);
    }
}

/// A path below some directory: relative, and without `..`.
pub(crate) fn relative_path(value: &str, path: &Path, errors: &mut ErrorList) {
    if value.starts_with('/') {
        errors.invalid(path, value, "must be a relative path");
    }
    no_backsteps(value, path, errors);
}

pub(super) fn no_backsteps(value: &str, path: &Path, errors: &mut ErrorList) {
    if value.split('/').any(|part| part == "..") {
        errors.invalid(path, value, "must not contain '..'");
    }
}

/// A relative path that does not start like the hidden folders of atomically updated volumes.
pub(super) fn non_reserved_path(value: &str, path: &Path, errors: &mut ErrorList) {
    relative_path(value, path, errors);
    if value.starts_with("..") && !value.starts_with("../") {
        errors.invalid(path, value, "must not start with '..'");
    }
}

/// A port by number, or by the name of a container's port.
pub(crate) fn port_number_or_name(port: &IntOrString, path: &Path, errors: &mut ErrorList) {
    match port {
        IntOrString::Int(number) => {
            errors.invalid_number(path, (*number).into(), is_port_number((*number).into()));
        }
        IntOrString::String(name) => errors.invalids(path, name, is_port_name(name)),
    }
}
