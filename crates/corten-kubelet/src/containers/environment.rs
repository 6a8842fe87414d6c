//! The environment of a container, and its command and arguments with references replaced.
//!
//! Flow: `envFrom` -> `env` in its order, each seeing what is before it and the services -> the services' variables that
//! are not set otherwise.
//! Upstream: `makeEnvironmentVariables` of pkg/kubelet/kubelet_pods.go, pkg/kubelet/container/helpers.go (v1.35).

use std::{collections::BTreeMap, net::IpAddr};

use bytes::Bytes;
use corten_api::core::v1::{Container, EnvVarSource, FileKeySelector, Pod};
use corten_cri::api::KeyValue;

use super::{
    env_file,
    expansion::{self, Room, TooLong},
    field_ref::{self, NodeFacts},
    resource_ref, service_env,
};
use crate::{
    api_objects::{ApiObjects, Binary, Contents, ObjectKind},
    interfaces::MountedVolumes,
    volumes::{blocking, sub_path},
};

/// Marks pods that did not come from the API server.
const CONFIG_SOURCE: &str = "kubernetes.io/config.source";

/// What variables come from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Config maps, secrets, services.
    pub objects: &'a ApiObjects,
    /// The node.
    pub node: &'a NodeFacts,
    /// The pod's addresses, the primary one first.
    pub pod_ips: &'a [IpAddr],
    /// The pod's volumes, for files with variables.
    pub volumes: &'a MountedVolumes,
}

/// The variables of a container, sorted by name. Errors: upstream's text, for `CreateContainerConfigError`; or that they
/// are more than a program can be given.
pub async fn variables(
    pod: &Pod,
    container: &Container,
    sources: Sources<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let services = if is_static(pod) {
        Vec::new()
    } else {
        let services = sources.objects.services_for(namespace).await;
        services.ok_or("services have not yet been read at least once, cannot construct envvars")?
    };
    let mut room = Room::default();
    let of_services = service_env::variables(&services, namespace, links, &mut room)?;
    let mut contents = wanted_contents(container, namespace, sources.objects);
    let mut files = Files::default();
    let mut set = from_objects(container, &mut contents, &mut room).await?;
    for variable in container.env.iter().flatten() {
        let literal = variable.value.as_deref().unwrap_or_default();
        let value = if !literal.is_empty() {
            let lookup = |name: &str| set.get(name).or_else(|| of_services.get(name)).map(String::as_str);
            Some(expansion::expand(literal, lookup, &mut room)?)
        } else if let Some(from) = &variable.value_from {
            let value = resolve(pod, container, from, sources, &mut contents, &mut files).await?;
            room.take(value.as_ref().map_or(0, String::len))?;
            value
        } else {
            Some(String::new())
        };
        if let Some(value) = value {
            room.take(variable.name.len())?;
            set.insert(variable.name.clone(), value);
        }
    }
    for (name, value) in of_services {
        set.entry(name).or_insert(value);
    }
    Ok(set)
}

fn is_static(pod: &Pod) -> bool {
    let source = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CONFIG_SOURCE));
    source.is_some_and(|source| source != "api")
}

/// What the variables of a container take of config maps and secrets. Nothing is read yet.
fn wanted_contents<'a>(container: &'a Container, namespace: &'a str, objects: &'a ApiObjects) -> Contents<'a> {
    let mut contents = Contents::new(objects, namespace, Binary::No, expansion::TOTAL_BYTES_MAX);
    for from in container.env_from.iter().flatten() {
        if let Some(map) = &from.config_map_ref {
            contents.want_all(ObjectKind::ConfigMap, &map.name);
        } else if let Some(secret) = &from.secret_ref {
            contents.want_all(ObjectKind::Secret, &secret.name);
        }
    }
    for from in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        if let Some(key) = &from.config_map_key_ref {
            contents.want(ObjectKind::ConfigMap, &key.name, &key.key);
        } else if let Some(key) = &from.secret_key_ref {
            contents.want(ObjectKind::Secret, &key.name, &key.key);
        }
    }
    contents
}

/// A value as a variable has it: what is no text of a secret is replaced.
fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

async fn from_objects<'a>(
    container: &'a Container,
    contents: &mut Contents<'a>,
    room: &mut Room,
) -> Result<BTreeMap<String, String>, String> {
    let mut set = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let found = if let Some(wanted) = &from.config_map_ref {
            contents.values(ObjectKind::ConfigMap, &wanted.name, wanted.optional == Some(true)).await?
        } else if let Some(wanted) = &from.secret_ref {
            contents.values(ObjectKind::Secret, &wanted.name, wanted.optional == Some(true)).await?
        } else {
            continue;
        };
        for (key, value) in found.into_iter().flatten() {
            room.take(prefix.len() + key.len() + value.len())?;
            set.insert(format!("{prefix}{key}"), text(value));
        }
    }
    Ok(set)
}

/// The value; `None` if what it comes from is absent and optional.
async fn resolve<'a>(
    pod: &Pod,
    container: &Container,
    from: &'a EnvVarSource,
    sources: Sources<'_>,
    contents: &mut Contents<'a>,
    files: &mut Files,
) -> Result<Option<String>, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(field) = &from.field_ref {
        field_ref::runtime_field(pod, &field.field_path, sources.node, sources.pod_ips).map(Some)
    } else if let Some(selector) = &from.resource_field_ref {
        match selector.container_name.as_deref().unwrap_or_default() {
            "" => resource_ref::of_container(pod, container, selector, sources.node).map(Some),
            _ => resource_ref::by_container_name(pod, selector, sources.node).map(Some),
        }
    } else if let Some(key) = &from.config_map_key_ref {
        let optional = key.optional == Some(true);
        let Some(values) = contents.values(ObjectKind::ConfigMap, &key.name, optional).await? else {
            return Ok(None);
        };
        match values.get(&key.key) {
            None if !optional => Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", key.key, key.name)),
            found => Ok(found.map(text)),
        }
    } else if let Some(key) = &from.secret_key_ref {
        let optional = key.optional == Some(true);
        let Some(values) = contents.values(ObjectKind::Secret, &key.name, optional).await? else {
            return Ok(None);
        };
        match values.get(&key.key) {
            None if !optional => Err(format!("couldn't find key {} in Secret {namespace}/{}", key.key, key.name)),
            found => Ok(found.map(text)),
        }
    } else if let Some(key) = &from.file_key_ref {
        from_file(key, sources.volumes, files).await
    } else {
        Ok(Some(String::new()))
    }
}

/// The files that variables come from, by volume and path: each is read once.
#[derive(Debug, Default)]
struct Files {
    read: BTreeMap<(String, String), Result<env_file::Variables, String>>,
    room: Room,
}

async fn from_file(
    key: &FileKeySelector,
    volumes: &MountedVolumes,
    files: &mut Files,
) -> Result<Option<String>, String> {
    let Some(volume) = volumes.by_name.get(&key.volume_name) else {
        return Err(format!("cannot find the volume {:?} referenced by FileKeyRef", key.volume_name));
    };
    let shown = volume.host_path.join(&key.path).display().to_string();
    let file = (key.volume_name.clone(), key.path.clone());
    if !files.read.contains_key(&file) {
        let (root, path) = (volume.host_path.clone(), key.path.clone());
        let text = blocking(move || sub_path::read(&root, &path)).await;
        let read = text.map(|text| env_file::Variables::parse(&text)).map_err(|error| error.to_string());
        files.room.take(read.as_ref().map_or(0, env_file::Variables::bytes))?;
        files.read.insert(file.clone(), read);
    }
    let read = files.read[&file].as_ref();
    let found = read.map_err(Clone::clone).and_then(|variables| variables.get(&key.key)).map_err(|error| {
        tracing::warn!(file = shown, err = error, "Could not parse env file");
        "couldn't parse env file"
    })?;
    match found.filter(|value| !value.is_empty()) {
        None if key.optional != Some(true) => {
            Err(format!("environment variable key {:?} not found in file {shown:?}", key.key))
        }
        found => Ok(found.map(str::to_owned)),
    }
}

/// In the form of the interface.
#[must_use]
pub fn as_key_values(variables: &BTreeMap<String, String>) -> Vec<KeyValue> {
    variables.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() }).collect()
}

/// A list of words with references replaced. Errors: they are more than a program can be given.
pub(super) fn expand_words(
    words: Option<&[String]>,
    variables: &BTreeMap<String, String>,
    room: &mut Room,
) -> Result<Vec<String>, TooLong> {
    let lookup = |name: &str| variables.get(name).map(String::as_str);
    words.unwrap_or_default().iter().map(|word| expansion::expand(word, lookup, room)).collect()
}

/// A `subPathExpr`, whose references all have to be known. Errors: upstream's text.
pub(super) fn expand_path(path: &str, variables: &BTreeMap<String, String>, room: &mut Room) -> Result<String, String> {
    let lookup = |name: &str| variables.get(name).map(String::as_str);
    match expansion::expand_noting(path, lookup, room)? {
        (_, Some(unknown)) => Err(format!("missing value for {unknown:?}")),
        (expanded, None) => Ok(expanded),
    }
}
