//! What a server is filled with before anything is measured: nodes that live, and pods.

use http::{Method, StatusCode};

use crate::{
    load::Load,
    objects::{self, NAMESPACE},
};

/// How many requests wait at a time while a server is filled.
const CLIENTS: usize = 64;
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Nodes that nobody runs. They live as long as `beat` is called more often than every 40 seconds.
pub(crate) struct Nodes {
    count: usize,
    beats: usize,
}

impl Nodes {
    /// Registers `count` nodes.
    pub(crate) async fn register(load: &Load, count: usize) -> anyhow::Result<Self> {
        load.many(count, CLIENTS, |load, number| async move {
            load.call(number, Method::POST, "/api/v1/nodes", objects::node(number), StatusCode::CREATED).await
        })
        .await?;
        load.many(count, CLIENTS, |load, number| async move {
            load.call(number, Method::POST, LEASES, objects::lease(number), StatusCode::CREATED).await
        })
        .await?;
        Ok(Self { count, beats: 0 })
    }

    /// Every node says that it lives.
    pub(crate) async fn beat(&mut self, load: &Load) -> anyhow::Result<()> {
        self.beats += 1;
        let beats = self.beats;
        load.many(self.count, CLIENTS, |load, number| async move {
            let path = format!("{LEASES}/{}", objects::node_name(number));
            load.call(number, Method::PATCH, &path, objects::renewal(beats), StatusCode::OK).await
        })
        .await
    }
}

/// The name of pod `number`.
pub(crate) fn pod_name(number: usize) -> String {
    format!("pod-{number:05}")
}

/// Creates pods `from..from + count`, `clients` at a time.
pub(crate) async fn create_pods(load: &Load, from: usize, count: usize, clients: usize) -> anyhow::Result<()> {
    load.many(count, clients, |load, number| async move {
        let pod = objects::pod(&pod_name(from + number), from + number);
        load.call(number, Method::POST, &format!("{NAMESPACE}/pods"), pod, StatusCode::CREATED).await
    })
    .await
}

/// Creates `count` small config maps, `clients` at a time.
pub(crate) async fn create_config_maps(load: &Load, prefix: &str, count: usize, clients: usize) -> anyhow::Result<()> {
    load.many(count, clients, |load, number| async move {
        let map = objects::config_map(&format!("{prefix}-{number}"), &serde_json::json!({}), "value");
        load.call(number, Method::POST, &format!("{NAMESPACE}/configmaps"), map, StatusCode::CREATED).await
    })
    .await
}

/// Lists all objects of a kind in the namespace, from the cache, to the last byte; returns how many bytes there are.
pub(crate) async fn list(load: &Load, plural: &str) -> anyhow::Result<u64> {
    load.call(0, Method::GET, &format!("{NAMESPACE}/{plural}?resourceVersion=0"), "", StatusCode::OK).await
}
