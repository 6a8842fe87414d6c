//! Every pod runs as a service account, whose token it finds in its file system.
//!
//! Upstream: plugin/pkg/admission/serviceaccount (v1.35).

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use corten_apimachinery::{
    gvk::GroupVersionResource, meta::ObjectMeta as _, status::Status, stored::Stored, value::Value,
};
use corten_apiserver::admission::{Attributes, Operation, Plugin};
use corten_base::{SharedClock, SharedRng, parse_bool};
use corten_storage::object::cache_key;
use memchr::memmem::Finder;

use super::{CONTAINERS, MIRROR, catalog::Parts, forbidden, is_create, is_pod, texts, wait::wait_for};
use crate::caches::{Caches, tree};

const DEFAULT: &str = "default";
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
const EPHEMERAL: &str = "ephemeralcontainers";
/// Where containers find the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// Looks for the annotation in the text of an account.
static ENFORCES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(ENFORCE));
/// Looks for the fields of an account that its pods heed.
static SAID_TO_PODS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| ["\"automountServiceAccountToken\"", "\"imagePullSecrets\""].map(Finder::new));
/// One hour and a bit: told apart from an hour that somebody asked for. Upstream: `WarnOnlyBoundTokenExpirationPeriod`.
const TOKEN_SECONDS: i64 = 3_607;
/// How long a namespace's default account, which a controller makes, may take. Upstream: ten tries, 100 to 200 ms apart.
const PATIENCE: Duration = Duration::from_millis(1_500);

#[derive(Debug)]
struct ServiceAccount {
    caches: Arc<Caches>,
    clock: SharedClock,
    rng: SharedRng,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(ServiceAccount {
        caches: Arc::clone(&parts.caches),
        clock: Arc::clone(&parts.clock),
        rng: Arc::clone(&parts.rng),
    })
}

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        (is_create(operation) && is_pod(resource, subresource))
            || (operation == Operation::Update && subresource == EPHEMERAL && is_pod(resource, ""))
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        if !is_create(attributes.operation) {
            return Ok(());
        }
        if attributes.object.annotation(MIRROR).is_some() {
            return Ok(());
        }
        let pod = &mut attributes.object;
        if account_name(pod).is_empty() {
            pod.set(&["spec", "serviceAccountName"], DEFAULT);
        }
        let name = account_name(pod).to_owned();
        // The field of old says the same.
        pod.set(&["spec", "serviceAccount"], name.as_str());
        let account = self.account(attributes, &name).await?;
        // Most accounts have neither.
        let says = SAID_TO_PODS.iter().any(|field| field.find(&account.json).is_some());
        let account = if says { tree(&account)? } else { Value::Null };
        let pod = &mut attributes.object;
        if automounts(pod, &account) {
            mount_token(pod, &format!("{VOLUME_PREFIX}{}", self.rng.name_suffix(5)));
        }
        if pod.items_at(&["spec", "imagePullSecrets"]).is_empty() {
            let secrets = texts(account.items_at(&["imagePullSecrets"]), "name");
            let secrets: Vec<_> = secrets.map(|name| Value::object_of([("name", Value::from(name))])).collect();
            if !secrets.is_empty() {
                pod.set(&["spec", "imagePullSecrets"], secrets);
            }
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let pod = &attributes.object;
        let name = account_name(pod);
        let is_new = is_create(attributes.operation);
        if is_new && pod.annotation(MIRROR).is_some() {
            return check_mirror(pod).map_err(|why| forbidden(attributes, why));
        }
        if name.is_empty() {
            let why = format!("no service account specified for pod {}/{}", attributes.namespace, attributes.name);
            return Err(forbidden(attributes, why));
        }
        let account = self.account(attributes, name).await?;
        if ENFORCES.find(&account.json).is_none() {
            return Ok(());
        }
        let account = tree(&account)?;
        if account.annotation(ENFORCE).and_then(parse_bool) == Some(true) {
            let check = if is_new { check_secrets } else { check_ephemeral_secrets };
            check(pod, &account).map_err(|why| forbidden(attributes, why))?;
        }
        Ok(())
    }
}

impl ServiceAccount {
    async fn account(&self, attributes: &Attributes<'_>, name: &str) -> Result<Arc<Stored>, Status> {
        let namespace = attributes.namespace;
        let mut found = self.caches.core("serviceaccounts", namespace, name).await?;
        if found.is_none()
            && name == DEFAULT
            && let Some(cacher) = self.caches.get("", "serviceaccounts")
        {
            found = Box::pin(wait_for(cacher, &cache_key(namespace, name), &*self.clock, PATIENCE)).await?;
        }
        match found {
            Some(account) => Ok(account),
            None => Err(forbidden(
                attributes,
                format_args!(
                    "error looking up service account {namespace}/{name}: serviceaccount {} not found",
                    corten_apimachinery::field::quote(name)
                ),
            )),
        }
    }
}

fn account_name(pod: &Value) -> &str {
    pod.str_at(&["spec", "serviceAccountName"]).unwrap_or_default()
}

/// What the pod says, else what the account says, else yes.
pub(super) fn automounts(pod: &Value, account: &Value) -> bool {
    pod.bool_at(&["spec", "automountServiceAccountToken"])
        .or_else(|| account.bool_at(&["automountServiceAccountToken"]))
        .unwrap_or(true)
}

/// Mounts the token into every container that has nothing at its place.
pub(super) fn mount_token(pod: &mut Value, volume: &str) {
    let mount =
        Value::object_of([("name", Value::from(volume)), ("readOnly", true.into()), ("mountPath", MOUNT_PATH.into())]);
    let mut is_needed = false;
    for field in CONTAINERS {
        // In place: whoever takes the containers out and puts them back copies each of them.
        let containers = pod.at_mut(&["spec", field]).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if texts(container.items_at(&["volumeMounts"]), "mountPath").any(|path| path == MOUNT_PATH) {
                continue;
            }
            is_needed = true;
            push(container, &["volumeMounts"], mount.clone());
        }
    }
    if is_needed {
        push(pod, &["spec", "volumes"], token_volume(volume));
    }
}

/// Adds `item` to the list at `path`, which may not be there.
fn push(node: &mut Value, path: &[&str], item: Value) {
    let list = node.at_or_insert(path);
    match list.as_array_mut() {
        Some(items) => items.push(item),
        None => *list = vec![item].into(),
    }
}

/// The volume of a token, but for its name. What pods share of it is not made for each of them.
static TOKEN_VOLUME: LazyLock<Value> = LazyLock::new(|| {
    let token = Value::object_of([("expirationSeconds", Value::Int(TOKEN_SECONDS)), ("path", Value::from("token"))]);
    let authority = Value::object_of([
        ("name", Value::from("kube-root-ca.crt")),
        ("items", Value::array([Value::object_of([("key", Value::from("ca.crt")), ("path", "ca.crt".into())])])),
    ]);
    let field = Value::object_of([("apiVersion", Value::from("v1")), ("fieldPath", "metadata.namespace".into())]);
    let namespace = Value::object_of([("path", Value::from("namespace")), ("fieldRef", field)]);
    let sources = Value::array([
        Value::object_of([("serviceAccountToken", token)]),
        Value::object_of([("configMap", authority)]),
        Value::object_of([("downwardAPI", Value::object_of([("items", Value::array([namespace]))]))]),
    ]);
    // 0644.
    let projected = Value::object_of([("defaultMode", Value::Int(420)), ("sources", sources)]);
    Value::object_of([("name", Value::Null), ("projected", projected)])
});

fn token_volume(name: &str) -> Value {
    let mut volume = TOKEN_VOLUME.clone();
    volume.set(&["name"], name);
    volume
}

/// A mirror pod stands for one that does not come from here, so it gets nothing that is kept here.
fn check_mirror(pod: &Value) -> Result<(), &'static str> {
    if !account_name(pod).is_empty() {
        return Err("a mirror pod may not reference service accounts");
    }
    if !secret_references(pod).is_empty() {
        return Err("a mirror pod may not reference secrets");
    }
    let has_token = pod
        .items_at(&["spec", "volumes"])
        .iter()
        .flat_map(|volume| volume.items_at(&["projected", "sources"]))
        .any(|source| source.get("serviceAccountToken").is_some_and(|token| !token.is_null()));
    if has_token { Err("a mirror pod may not use ServiceAccountToken volume projections") } else { Ok(()) }
}

/// The secrets that a pod names anywhere in its volumes, environment and image pulls.
fn secret_references(pod: &Value) -> BTreeSet<String> {
    const NAMED: [&[&str]; 3] = [&["secret", "secretName"], &["secretRef", "name"], &["secretKeyRef", "name"]];
    fn walk(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, names)),
            Value::Object(map) => {
                let own = NAMED.iter().filter_map(|path| value.str_at(path));
                names.extend(own.map(ToOwned::to_owned));
                // A projected source names its secret by `name`.
                names.extend(value.str_at(&["secret", "name"]).map(ToOwned::to_owned));
                map.iter().for_each(|(_, value)| walk(value, names));
            }
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    walk(pod.get("spec").unwrap_or(&Value::Null), &mut names);
    names.extend(texts(pod.items_at(&["spec", "imagePullSecrets"]), "name").map(ToOwned::to_owned));
    names
}

/// An account may say that its pods use only the secrets that it names.
pub(super) fn check_secrets(pod: &Value, account: &Value) -> Result<(), String> {
    let account_name = account.name();
    let allowed: BTreeSet<&str> = texts(account.items_at(&["secrets"]), "name").collect();
    for volume in pod.items_at(&["spec", "volumes"]) {
        let Some(name) = volume.str_at(&["secret", "secretName"]) else { continue };
        if !allowed.contains(name) {
            return Err(format!(
                "volume with secret.secretName=\"{name}\" is not allowed because service account {account_name} does \
                 not reference that secret"
            ));
        }
    }
    for (field, word) in CONTAINERS.into_iter().zip(["init container", "container"]) {
        check_environment(pod.items_at(&["spec", field]), word, account_name, &allowed)?;
    }
    let allowed: BTreeSet<&str> = texts(account.items_at(&["imagePullSecrets"]), "name").collect();
    for (index, name) in texts(pod.items_at(&["spec", "imagePullSecrets"]), "name").enumerate() {
        if !allowed.contains(name) {
            return Err(format!(
                "imagePullSecrets[{index}].name=\"{name}\" is not allowed because service account {account_name} does \
                 not reference that imagePullSecret"
            ));
        }
    }
    Ok(())
}

/// The same of the containers that were added to a pod since.
fn check_ephemeral_secrets(pod: &Value, account: &Value) -> Result<(), String> {
    let allowed = texts(account.items_at(&["secrets"]), "name").collect();
    let containers = pod.items_at(&["spec", "ephemeralContainers"]);
    check_environment(containers, "ephemeral container", account.name(), &allowed)
}

/// What the environment of containers, called `word`, is taken from: one variable, or all keys of a secret.
fn check_environment(containers: &[Value], word: &str, account: &str, allowed: &BTreeSet<&str>) -> Result<(), String> {
    for container in containers {
        let refused = |what: &str, secret: &str| {
            let container = container.str_at(&["name"]).unwrap_or_default();
            format!(
                "{word} {container} with {what} referencing secret.secretName=\"{secret}\" is not allowed because service \
                 account {account} does not reference that secret"
            )
        };
        for variable in container.items_at(&["env"]) {
            let secret = variable.str_at(&["valueFrom", "secretKeyRef", "name"]);
            if let Some(secret) = secret.filter(|secret| !allowed.contains(secret)) {
                let name = variable.str_at(&["name"]).unwrap_or_default();
                return Err(refused(&format!("envVar {name}"), secret));
            }
        }
        for source in container.items_at(&["envFrom"]) {
            let secret = source.str_at(&["secretRef", "name"]);
            if let Some(secret) = secret.filter(|secret| !allowed.contains(secret)) {
                return Err(refused("envFrom", secret));
            }
        }
    }
    Ok(())
}
