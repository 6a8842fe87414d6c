//! A control plane in memory with some of the controllers running on it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use corten_apimachinery::{
    codec::{FieldValidation, json},
    gvk::GroupVersionResource,
    meta::format_time,
    stored::Stored,
    value::Value,
};
use corten_base::{Clock as _, Shutdown, ShutdownTrigger, TaskSet};
use corten_client::{PatchKind, Target};
use corten_controllers::{Config, Controllers, Parts};
use corten_informer::InformerFactory;
use corten_testkit::Cluster;
use serde_json::json;

/// A cluster with controllers.
pub(crate) struct Running {
    pub(crate) cluster: Cluster,
    trigger: ShutdownTrigger,
    tasks: TaskSet,
}

impl Running {
    /// Starts the controllers of these names.
    pub(crate) async fn start(names: &[&str]) -> Self {
        Self::start_with(names, Config::default()).await
    }

    /// Starts the controllers of these names with a configuration.
    pub(crate) async fn start_with(names: &[&str], config: Config) -> Self {
        let cluster = Cluster::start().await;
        let (trigger, shutdown) = Shutdown::new();
        let informers =
            InformerFactory::new(cluster.admin(), Default::default(), cluster.shared_clock(), cluster.rng());
        let parts = Parts { clients: cluster.clients(), informers, clock: cluster.shared_clock(), rng: cluster.rng() };
        let config = Config { controllers: names.iter().map(ToString::to_string).collect(), ..config };
        let controllers = Controllers::build(config, parts, &shutdown).expect("the names are known");
        let tasks = TaskSet::new("test");
        tasks.spawn("controllers", controllers.run(shutdown));
        // Pods need it; its controller may not be among those under test.
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": "default"}});
        cluster.create(&resource("", "serviceaccounts"), account).await;
        Self { cluster, trigger, tasks }
    }

    /// Ends the controllers, then the cluster.
    pub(crate) async fn stop(self) {
        self.trigger.request();
        self.tasks.join().await.expect("no controller panics");
        self.cluster.stop().await;
    }

    /// One object as a tree.
    pub(crate) async fn get(&self, resource: &GroupVersionResource, name: &str) -> Value {
        tree(&self.cluster.admin().get(Target::object(resource, "default", name)).await.unwrap())
    }

    /// A merge patch of one object in `default`.
    pub(crate) async fn patch(&self, resource: &GroupVersionResource, name: &str, patch: serde_json::Value) {
        let target = Target::object(resource, "default", name);
        self.cluster.admin().patch(target, PatchKind::Merge, corten_testkit::tree(&patch)).await.unwrap();
    }

    /// A delete in `default` with this propagation policy.
    pub(crate) async fn delete(&self, resource: &GroupVersionResource, name: &str, policy: &str) {
        let target = Target::object(resource, "default", name);
        let options = corten_testkit::tree(&json!({"propagationPolicy": policy}));
        self.cluster.admin().delete(target, options).await.unwrap();
    }

    /// As a kubelet would: the pod runs and is ready since now.
    pub(crate) async fn make_ready(&self, pod: &Stored) {
        let now = format_time(self.cluster.clock().now()).to_string();
        let status = json!({"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": now}]}});
        let target = Target::object(&pods(), pod.namespace.clone(), pod.name.clone()).subresource("status");
        self.cluster.admin().patch(target, PatchKind::Merge, corten_testkit::tree(&status)).await.unwrap();
    }

    /// The messages of all events with this reason, in no order, once there are `count`.
    pub(crate) async fn events(&self, reason: &str, count: usize) -> Vec<String> {
        let of = |objects: &[Arc<Stored>]| -> Vec<String> {
            let trees = objects.iter().map(|object| tree(object));
            let matching = trees.filter(|event| event.str_at(&["reason"]) == Some(reason));
            matching.map(|event| event.str_at(&["message"]).unwrap_or_default().to_owned()).collect()
        };
        let mut messages =
            of(&self.cluster.wait_for(&resource("", "events"), |objects| of(objects).len() >= count).await);
        messages.sort();
        messages
    }
}

/// An object as a tree.
pub(crate) fn tree(object: &Stored) -> Value {
    json::decode(&object.json, None, FieldValidation::Ignore).expect("a server sends JSON").value
}

/// A number of an object.
pub(crate) fn number(object: &Stored, path: &[&str]) -> i64 {
    tree(object).i64_at(path).unwrap_or_default()
}

/// A resource in its version `v1`.
pub(crate) fn resource(group: &'static str, plural: &'static str) -> GroupVersionResource {
    GroupVersionResource::new(group, "v1", plural)
}

pub(crate) fn pods() -> GroupVersionResource {
    resource("", "pods")
}

pub(crate) fn replica_sets() -> GroupVersionResource {
    resource("apps", "replicasets")
}

pub(crate) fn deployments() -> GroupVersionResource {
    resource("apps", "deployments")
}

/// The pods of `objects` that are not on their way out.
pub(crate) fn live(objects: &[Arc<Stored>]) -> Vec<Arc<Stored>> {
    objects.iter().filter(|object| !object.facts.is_deleting).cloned().collect()
}

/// A pod template with this label `app` and image.
pub(crate) fn template(app: &str, image: &str) -> serde_json::Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}
