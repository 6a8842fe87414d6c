//! The environment of a container, and its command and arguments with references replaced.
//!
//! Flow: `envFrom` -> `env` in its order, each seeing what is before it and the services -> the services' variables that
//! are not set otherwise.
//! Upstream: `makeEnvironmentVariables` of pkg/kubelet/kubelet_pods.go, pkg/kubelet/container/helpers.go (v1.35).

use std::{collections::BTreeMap, net::IpAddr};

use corten_api::core::v1::{Container, EnvVarSource, FileKeySelector, Pod};
use corten_cri::api::KeyValue;

use super::{
    env_file, expansion,
    field_ref::{self, NodeFacts},
    resource_ref, service_env,
};
use crate::{
    api_objects::ApiObjects,
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

/// The variables of a container, sorted by name. Errors: upstream's text, for `CreateContainerConfigError`.
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
        let services = sources.objects.services().await;
        services.ok_or("services have not yet been read at least once, cannot construct envvars")?
    };
    let of_services = service_env::variables(&services, namespace, links);
    let mut set = from_objects(container, namespace, sources.objects).await?;
    for variable in container.env.iter().flatten() {
        let literal = variable.value.as_deref().unwrap_or_default();
        let value = if !literal.is_empty() {
            let lookup = |name: &str| set.get(name).or_else(|| of_services.get(name)).cloned();
            Some(expansion::expand(literal, lookup))
        } else if let Some(from) = &variable.value_from {
            resolve(pod, container, from, sources).await?
        } else {
            Some(String::new())
        };
        if let Some(value) = value {
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

async fn from_objects(
    container: &Container,
    namespace: &str,
    objects: &ApiObjects,
) -> Result<BTreeMap<String, String>, String> {
    let mut set = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let found: Vec<(String, String)> = if let Some(wanted) = &from.config_map_ref {
            match objects.config_map(namespace, &wanted.name).await {
                Ok(map) => map.data.unwrap_or_default().into_iter().collect(),
                Err(error) if error.is_not_found() && wanted.optional == Some(true) => continue,
                Err(error) => return Err(error.to_string()),
            }
        } else if let Some(wanted) = &from.secret_ref {
            match objects.secret(namespace, &wanted.name).await {
                Ok(secret) => {
                    let data = secret.data.unwrap_or_default().into_iter();
                    data.map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect()
                }
                Err(error) if error.is_not_found() && wanted.optional == Some(true) => continue,
                Err(error) => return Err(error.to_string()),
            }
        } else {
            continue;
        };
        set.extend(found.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
    }
    Ok(set)
}

/// The value; `None` if what it comes from is absent and optional.
async fn resolve(
    pod: &Pod,
    container: &Container,
    from: &EnvVarSource,
    sources: Sources<'_>,
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
        let map = match sources.objects.config_map(namespace, &key.name).await {
            Ok(map) => map,
            Err(error) if error.is_not_found() && optional => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        match map.data.and_then(|mut data| data.remove(&key.key)) {
            None if !optional => Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", key.key, key.name)),
            found => Ok(found),
        }
    } else if let Some(key) = &from.secret_key_ref {
        let optional = key.optional == Some(true);
        let secret = match sources.objects.secret(namespace, &key.name).await {
            Ok(secret) => secret,
            Err(error) if error.is_not_found() && optional => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        match secret.data.and_then(|mut data| data.remove(&key.key)) {
            None if !optional => Err(format!("couldn't find key {} in Secret {namespace}/{}", key.key, key.name)),
            found => Ok(found.map(|value| String::from_utf8_lossy(&value.0).into_owned())),
        }
    } else if let Some(key) = &from.file_key_ref {
        from_file(key, sources.volumes).await
    } else {
        Ok(Some(String::new()))
    }
}

async fn from_file(key: &FileKeySelector, volumes: &MountedVolumes) -> Result<Option<String>, String> {
    let Some(volume) = volumes.by_name.get(&key.volume_name) else {
        return Err(format!("cannot find the volume {:?} referenced by FileKeyRef", key.volume_name));
    };
    let (root, path) = (volume.host_path.clone(), key.path.clone());
    let shown = root.join(&path).display().to_string();
    let text = blocking(move || sub_path::read(&root, &path)).await;
    let found = text.map_err(|error| error.to_string()).and_then(|text| env_file::value(&text, &key.key));
    let found = found.map_err(|error| {
        tracing::warn!(file = shown, err = error, "Could not parse env file");
        "couldn't parse env file"
    })?;
    match found.filter(|value| !value.is_empty()) {
        None if key.optional != Some(true) => {
            Err(format!("environment variable key {:?} not found in file {shown:?}", key.key))
        }
        found => Ok(found),
    }
}

/// In the form of the interface.
#[must_use]
pub fn as_key_values(variables: &BTreeMap<String, String>) -> Vec<KeyValue> {
    variables.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() }).collect()
}

/// A list of words with references replaced.
#[must_use]
pub fn expand_words(words: Option<&[String]>, variables: &BTreeMap<String, String>) -> Vec<String> {
    let lookup = |name: &str| variables.get(name).cloned();
    words.unwrap_or_default().iter().map(|word| expansion::expand(word, lookup)).collect()
}

/// A `subPathExpr`, whose references all have to be known. Errors: upstream's text.
pub fn expand_path(path: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let lookup = |name: &str| variables.get(name).cloned();
    match expansion::expand_noting(path, lookup) {
        (_, Some(unknown)) => Err(format!("missing value for {unknown:?}")),
        (expanded, None) => Ok(expanded),
    }
}
