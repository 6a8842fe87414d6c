//! A control plane in memory with some of the controllers running.

use std::sync::Arc;

use corten_apimachinery::{
    codec::{FieldValidation, json as json_codec},
    gvk::GroupVersionResource,
    meta::format_time,
    stored::Stored,
    value::Value as Tree,
};
use corten_base::{Clock as _, Shutdown, ShutdownTrigger, TaskSet};
use corten_client::{PatchKind, Target};
use corten_controllers::{Config, Controllers, Parts};
use corten_informer::{InformerFactory, InitialList};
use corten_testkit::{Cluster, tree, user};
use serde_json::{Value, json};

/// A cluster, and controllers at work.
pub(crate) struct Harness {
    pub(crate) cluster: Cluster,
    tasks: TaskSet,
    stop: ShutdownTrigger,
}

impl Harness {
    /// Starts the controllers of these names; pods can be made in `default`.
    pub(crate) async fn start(names: &[&str]) -> Self {
        Self::start_with(names, Config::default()).await
    }

    /// Starts the controllers of these names with a configuration; pods can be made in `default`.
    pub(crate) async fn start_with(names: &[&str], config: Config) -> Self {
        let harness = Self::with(Cluster::start().await, names, config);
        let is_there = |account: &Value| key_of(account) == "default/default";
        harness.wait(&core("serviceaccounts"), |all| all.iter().find(|account| is_there(account)).map(drop)).await;
        harness
    }

    /// Starts the controllers of these names, configured, on a cluster that may have objects already.
    pub(crate) fn with(cluster: Cluster, names: &[&str], config: Config) -> Self {
        // What controllers log tells why a test waits in vain; a second test of the process finds it set up.
        let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
        let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter(filter).try_init();
        let (tasks, (stop, shutdown)) = (TaskSet::new("harness"), Shutdown::new());
        let manager = cluster.client(user("system:kube-controller-manager", &["system:authenticated"]));
        let informers = InformerFactory::new(manager.clone(), InitialList::List, cluster.shared_clock(), cluster.rng());
        let parts =
            Parts { clients: cluster.clients(), manager, informers, clock: cluster.shared_clock(), rng: cluster.rng() };
        // Pods are admitted only where the default account exists.
        let names = names.iter().copied().chain(["serviceaccount-controller"]);
        let config = Config { controllers: names.map(ToOwned::to_owned).collect(), ..config };
        let controllers = Controllers::build(config, parts, &shutdown).expect("the names are known");
        tasks.spawn("controllers", controllers.run(shutdown));
        Self { cluster, tasks, stop }
    }

    /// Ends the controllers, and gives the cluster back.
    pub(crate) async fn stop_controllers(self) -> Cluster {
        self.stop.request();
        self.tasks.join().await.unwrap();
        self.cluster
    }

    /// Ends everything.
    pub(crate) async fn stop(self) {
        self.stop_controllers().await.stop().await;
    }

    /// Waits until `wanted` gives something for all objects of a resource, as JSON, and gives that.
    pub(crate) async fn wait<T>(&self, resource: &GroupVersionResource, wanted: impl Fn(&[Value]) -> Option<T>) -> T {
        tracing::info!(resource = %resource, "Test waits");
        let objects = self.cluster.wait_for(resource, |objects| wanted(&json_of(objects)).is_some()).await;
        wanted(&json_of(&objects)).expect("it was there")
    }

    /// Waits for one object for which `wanted` holds.
    pub(crate) async fn wait_object(
        &self,
        resource: &GroupVersionResource,
        key: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        tracing::info!(key, "Test waits for object");
        let of_key = |objects: &[Value]| objects.iter().find(|object| key_of(object) == key).cloned();
        self.wait(resource, |objects| of_key(objects).filter(|object| wanted(object))).await
    }

    /// Replaces the status of an object by a merge patch.
    pub(crate) async fn patch_status(&self, resource: &GroupVersionResource, key: &str, status: Value) {
        let target = target(resource, key).subresource("status");
        let patch = tree(&json!({"status": status}));
        self.cluster.admin().patch(target, PatchKind::Merge, patch).await.unwrap();
    }

    /// Changes an object by a merge patch.
    pub(crate) async fn patch(&self, resource: &GroupVersionResource, key: &str, patch: Value) {
        self.cluster.admin().patch(target(resource, key), PatchKind::Merge, tree(&patch)).await.unwrap();
    }

    /// Deletes an object with this propagation policy.
    pub(crate) async fn delete_with(&self, resource: &GroupVersionResource, key: &str, policy: &str) {
        let options = tree(&json!({"propagationPolicy": policy}));
        self.cluster.admin().delete(target(resource, key), options).await.unwrap();
    }

    /// As a kubelet would: the pod runs and is ready since now.
    pub(crate) async fn make_ready(&self, pod: &Stored) {
        let now = format_time(self.cluster.clock().now()).to_string();
        let status = json!({"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": now}]});
        self.patch_status(&pods(), &format!("{}/{}", pod.namespace, pod.name), status).await;
    }

    /// The messages of all events with this reason, sorted, once there are `count`.
    pub(crate) async fn events(&self, reason: &str, count: usize) -> Vec<String> {
        let messages = |events: &[Value]| -> Vec<String> {
            let matching = events.iter().filter(|event| event["reason"] == reason);
            matching.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let enough = |events: &[Value]| Some(messages(events)).filter(|all| all.len() >= count);
        let mut messages = self.wait(&core("events"), enough).await;
        messages.sort();
        messages
    }

    /// Deletes an object, at once.
    pub(crate) async fn delete(&self, resource: &GroupVersionResource, key: &str) {
        let options = tree(&json!({"gracePeriodSeconds": 0}));
        self.cluster.admin().delete(target(resource, key), options).await.unwrap();
    }

    /// The object as a tree.
    pub(crate) async fn get_tree(&self, resource: &GroupVersionResource, key: &str) -> Tree {
        tree_of(&self.cluster.admin().get(target(resource, key)).await.unwrap())
    }

    /// The object as JSON.
    pub(crate) async fn get(&self, resource: &GroupVersionResource, key: &str) -> Value {
        json(&self.cluster.admin().get(target(resource, key)).await.unwrap())
    }
}

pub(crate) fn target(resource: &GroupVersionResource, key: &str) -> Target {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    Target::object(resource, namespace, name)
}

pub(crate) fn key_of(object: &Value) -> String {
    let (namespace, name) = (&object["metadata"]["namespace"], &object["metadata"]["name"]);
    let name = name.as_str().unwrap_or_default();
    namespace.as_str().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

pub(crate) fn json(object: &Stored) -> Value {
    serde_json::from_slice(&object.json).unwrap()
}

fn json_of(objects: &[Arc<Stored>]) -> Vec<Value> {
    objects.iter().map(|object| json(object)).collect()
}

/// An object as a tree.
pub(crate) fn tree_of(object: &Stored) -> Tree {
    json_codec::decode(&object.json, None, FieldValidation::Ignore).expect("a server sends JSON").value
}

/// A number of an object.
pub(crate) fn number(object: &Stored, path: &[&str]) -> i64 {
    tree_of(object).i64_at(path).unwrap_or_default()
}

/// A resource in its version `v1`.
pub(crate) fn resource(group: &'static str, plural: &'static str) -> GroupVersionResource {
    GroupVersionResource::new(group, "v1", plural)
}

/// A resource without group.
pub(crate) fn core(plural: &'static str) -> GroupVersionResource {
    resource("", plural)
}

pub(crate) fn pods() -> GroupVersionResource {
    core("pods")
}

pub(crate) fn replica_sets() -> GroupVersionResource {
    resource("apps", "replicasets")
}

pub(crate) fn deployments() -> GroupVersionResource {
    resource("apps", "deployments")
}

/// The objects that are not on their way out.
pub(crate) fn live(objects: &[Arc<Stored>]) -> Vec<Arc<Stored>> {
    objects.iter().filter(|object| !object.facts.is_deleting).cloned().collect()
}

/// A pod template with this label `app` and image.
pub(crate) fn template(app: &str, image: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

pub(crate) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

pub(crate) fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
}
