//! A pod knows the zone and the region of its node from the moment when it is assigned, by labels.
//!
//! Upstream: plugin/pkg/admission/podtopologylabels (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, labels::Labels, status::Status, value::Value};
use corten_apiserver::admission::{Attributes, Operation, Plugin};

use super::{catalog::Parts, is_create};
use crate::caches::Caches;

const LABELS: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

#[derive(Debug)]
struct PodTopologyLabels {
    caches: Arc<Caches>,
    /// Upstream: feature gate `PodTopologyLabelsAdmission`.
    is_on: bool,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    let is_on = parts.features.is_enabled("PodTopologyLabelsAdmission");
    Arc::new(PodTopologyLabels { caches: Arc::clone(&parts.caches), is_on })
}

#[async_trait]
impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        let is_pod = resource.group.is_empty() && resource.resource == "pods";
        self.is_on && is_create(operation) && is_pod && matches!(subresource, "" | "binding")
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let path: &[&str] = if attributes.subresource.is_empty() { &["spec", "nodeName"] } else { &["target", "name"] };
        let node = attributes.object.str_at(path).unwrap_or_default();
        if node.is_empty() {
            return Ok(());
        }
        // Who binds to a node that does not exist is not stopped here.
        let Some(node) = self.caches.core("nodes", "", node).await? else { return Ok(()) };
        copy_labels(&mut attributes.object, &node.facts.labels);
        Ok(())
    }
}

fn copy_labels(object: &mut Value, node: &Labels) {
    for (key, value) in node.iter().filter(|(key, _)| LABELS.contains(key)) {
        object.set(&["metadata", "labels", key], value);
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::meta::ObjectMeta as _;
    use serde_json::json;

    use crate::testing::{Cluster, admin};

    #[tokio::test]
    async fn a_pod_gets_the_zone_of_its_node_when_it_is_assigned() {
        let cluster = Cluster::start().await;
        let labels = json!({"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r", "other": "o"});
        let node = json!({"metadata": {"name": "n", "labels": labels}});
        cluster.post(admin(), "/api/v1/nodes", node).await.unwrap();
        let made = cluster.make_pod("p").await;
        assert_eq!(made.labels(), None);
        let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
        cluster.post(admin(), "/api/v1/namespaces/default/pods/p/binding", binding).await.unwrap();
        let pod = cluster.get(admin(), "/api/v1/namespaces/default/pods/p").await.unwrap();
        assert_eq!(
            [pod.label("topology.kubernetes.io/zone"), pod.label("topology.kubernetes.io/region"), pod.label("other")],
            [Some("z"), Some("r"), None]
        );
        cluster.stop().await;
    }

    #[tokio::test]
    async fn a_pod_gets_nothing_with_the_gate_off() {
        let cluster = Cluster::start_gated("PodTopologyLabelsAdmission=false").await;
        let node = json!({"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z"}}});
        cluster.post(admin(), "/api/v1/nodes", node).await.unwrap();
        cluster.make_pod("p").await;
        let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
        cluster.post(admin(), "/api/v1/namespaces/default/pods/p/binding", binding).await.unwrap();
        let pod = cluster.get(admin(), "/api/v1/namespaces/default/pods/p").await.unwrap();
        assert_eq!(pod.labels(), None);
        cluster.stop().await;
    }
}
