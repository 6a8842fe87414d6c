//! A new node takes no pods until somebody has found it ready: the node lifecycle controller takes the taint away.
//!
//! Upstream: plugin/pkg/admission/nodetaint (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, status::Status, value::Value};
use corten_apiserver::admission::{Attributes, Operation, Plugin};

use super::{catalog::Parts, is_create};

const KEY: &str = "node.kubernetes.io/not-ready";
const EFFECT: &str = "NoSchedule";

#[derive(Debug)]
struct TaintNodesByCondition;

pub(super) fn build(_parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(TaintNodesByCondition)
}

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        is_create(operation) && resource.group.is_empty() && resource.resource == "nodes" && subresource.is_empty()
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        taint(&mut attributes.object);
        Ok(())
    }
}

/// Adds the taint where it is missing.
pub(super) fn taint(node: &mut Value) {
    let mut taints = node.items_at(&["spec", "taints"]).to_vec();
    let is_it = |taint: &Value| taint.str_at(&["key"]) == Some(KEY) && taint.str_at(&["effect"]) == Some(EFFECT);
    if !taints.iter().any(is_it) {
        taints.push(Value::object_of([("key", Value::from(KEY)), ("effect", EFFECT.into())]));
        node.set(&["spec", "taints"], taints);
    }
}
