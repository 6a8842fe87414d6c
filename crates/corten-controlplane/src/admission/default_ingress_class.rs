//! An Ingress that names no class gets the cluster's default one.
//!
//! Upstream: plugin/pkg/admission/network/defaultingressclass (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, meta::ObjectMeta as _, status::Status, value::Value};
use corten_apiserver::{
    admission::{Attributes, Operation, Plugin},
    registry::read_failure,
};

use super::{catalog::Parts, is_create, newest_by_name};
use crate::caches::{Caches, tree};

/// How a class says that it is the default.
const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// How an Ingress of old names its class.
const CLASS_OF_OLD: &str = "kubernetes.io/ingress.class";

#[derive(Debug)]
struct DefaultIngressClass {
    caches: Arc<Caches>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(DefaultIngressClass { caches: Arc::clone(&parts.caches) })
}

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        let is_ingress = resource.group == "networking.k8s.io" && resource.resource == "ingresses";
        is_create(operation) && is_ingress && subresource.is_empty()
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let ingress = &attributes.object;
        if ingress.at(&["spec", "ingressClassName"]).is_some() || ingress.annotation(CLASS_OF_OLD).is_some() {
            return Ok(());
        }
        let Some(cacher) = self.caches.get("networking.k8s.io", "ingressclasses") else { return Ok(()) };
        let snapshot = cacher.consistent().await.map_err(read_failure)?;
        let classes = snapshot.range("", "").map(|(_, class)| tree(class)).collect::<Result<Vec<Value>, Status>>()?;
        let defaults = classes.iter().filter(|class| class.annotation(IS_DEFAULT) == Some("true"));
        if let Some(class) = newest_by_name(defaults) {
            attributes.object.set(&["spec", "ingressClassName"], class.name());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Cluster, admin};

    const CLASSES: &str = "/apis/networking.k8s.io/v1/ingressclasses";
    const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";

    /// The plugin was missing: no Ingress got a class.
    #[tokio::test]
    async fn an_ingress_without_a_class_gets_the_newest_default_one() {
        let cluster = Cluster::start().await;
        let class = async |name: &str, is_default: &str| {
            let annotations = json!({"ingressclass.kubernetes.io/is-default-class": is_default});
            let class =
                json!({"metadata": {"name": name, "annotations": annotations}, "spec": {"controller": "a.b/c"}});
            cluster.post(admin(), CLASSES, class).await.unwrap();
        };
        let made = async |name: &str, annotations: serde_json::Value, spec: serde_json::Value| {
            let mut ingress = json!({"metadata": {"name": name, "annotations": annotations}, "spec": spec});
            ingress["spec"]["defaultBackend"] = json!({"service": {"name": "s", "port": {"number": 80}}});
            let made = cluster.post(admin(), INGRESSES, ingress).await.unwrap();
            made.str_at(&["spec", "ingressClassName"]).map(ToOwned::to_owned)
        };
        class("none", "false").await;
        assert_eq!(made("a", json!({}), json!({})).await, None, "there is no default");
        class("y", "true").await;
        class("x", "true").await;
        assert_eq!(made("b", json!({}), json!({})).await.as_deref(), Some("x"), "of the same age the first by name");
        cluster.clock.advance(std::time::Duration::from_secs(60));
        class("z", "true").await;
        assert_eq!(made("c", json!({}), json!({})).await.as_deref(), Some("z"), "the newest");
        assert_eq!(made("d", json!({}), json!({"ingressClassName": "none"})).await.as_deref(), Some("none"));
        assert_eq!(made("e", json!({"kubernetes.io/ingress.class": "old"}), json!({})).await, None);
        cluster.stop().await;
    }
}
