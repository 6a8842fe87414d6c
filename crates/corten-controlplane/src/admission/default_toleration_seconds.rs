//! Pods stay for five minutes on a node that is not ready or cannot be reached, unless they say otherwise.
//!
//! Upstream: plugin/pkg/admission/defaulttolerationseconds (v1.35).

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, status::Status, value::Value};
use corten_apiserver::admission::{Attributes, Operation, Plugin};

use super::{catalog::Parts, is_pod};

/// Upstream: `--default-not-ready-toleration-seconds` and `--default-unreachable-toleration-seconds`.
const SECONDS: i64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// The tolerations of `TAINTS`, which pods share.
static TOLERATIONS: LazyLock<[Value; 2]> = LazyLock::new(|| {
    TAINTS.map(|taint| {
        Value::object_of([
            ("key", Value::from(taint)),
            ("operator", "Exists".into()),
            ("effect", "NoExecute".into()),
            ("tolerationSeconds", Value::Int(SECONDS)),
        ])
    })
});

#[derive(Debug)]
struct DefaultTolerationSeconds;

pub(super) fn build(_parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(DefaultTolerationSeconds)
}

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        is_pod(resource, subresource) && matches!(operation, Operation::Create | Operation::Update)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        add_tolerations(&mut attributes.object);
        Ok(())
    }
}

/// Adds what the pod says nothing about.
pub(super) fn add_tolerations(pod: &mut Value) {
    let mut tolerations = pod.items_at(&["spec", "tolerations"]).to_vec();
    let before = tolerations.len();
    for (taint, toleration) in TAINTS.iter().zip(&*TOLERATIONS) {
        let is_tolerated = tolerations[..before].iter().any(|toleration| {
            let text = |key: &str| toleration.str_at(&[key]).unwrap_or_default();
            (text("key").is_empty() || text("key") == *taint)
                && (text("effect").is_empty() || text("effect") == "NoExecute")
        });
        if !is_tolerated {
            tolerations.push(toleration.clone());
        }
    }
    if tolerations.len() > before {
        pod.set(&["spec", "tolerations"], tolerations);
    }
}
