//! Pods of a runtime class cost what it says besides their containers, and run where it says.
//!
//! Upstream: plugin/pkg/admission/runtimeclass (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{field::quote, gvk::GroupVersionResource, quantity::Quantity, status::Status, value::Value};
use corten_apiserver::admission::{Attributes, Operation, Plugin};

use super::{catalog::Parts, forbidden, is_create, is_pod, tolerations::merged};
use crate::caches::{Caches, tree};

const GROUP: &str = "node.k8s.io";
const PLURAL: &str = "runtimeclasses";

#[derive(Debug)]
struct RuntimeClass {
    caches: Arc<Caches>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(RuntimeClass { caches: Arc::clone(&parts.caches) })
}

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        is_create(operation) && is_pod(resource, subresource)
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let Some(class) = self.class(attributes).await? else { return Ok(()) };
        apply(&mut attributes.object, &class).map_err(|why| forbidden(attributes, why))
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let class = self.class(attributes).await?;
        check_overhead(&attributes.object, class.as_ref()).map_err(|why| forbidden(attributes, why))
    }
}

impl RuntimeClass {
    /// The class that the pod names.
    async fn class(&self, attributes: &Attributes<'_>) -> Result<Option<Value>, Status> {
        let Some(name) = attributes.object.str_at(&["spec", "runtimeClassName"]) else { return Ok(None) };
        match self.caches.find(GROUP, PLURAL, "", name).await? {
            Some(class) => tree(&class).map(Some),
            None => Err(forbidden(attributes, format_args!("pod rejected: RuntimeClass {} not found", quote(name)))),
        }
    }
}

/// Writes what `class` says into `pod`.
///
/// Errors: the pod says something else.
pub(super) fn apply(pod: &mut Value, class: &Value) -> Result<(), String> {
    if let Some(overhead) = class.get("overhead").filter(|overhead| !overhead.is_null()) {
        let fixed = overhead.get("podFixed");
        if set(pod, "overhead").is_some_and(|given| !same_amounts(Some(given), fixed)) {
            return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned());
        }
        if let Some(fixed) = fixed.filter(|fixed| !fixed.is_null()) {
            pod.set(&["spec", "overhead"], fixed.clone());
        }
    }
    let Some(scheduling) = class.get("scheduling").filter(|scheduling| !scheduling.is_null()) else { return Ok(()) };
    let labels = scheduling.get("nodeSelector").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flat_map(|labels| labels.iter()) {
        let path: [&str; 3] = ["spec", "nodeSelector", key];
        if let Some(given) = pod.at(&path).filter(|&given| given != value) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                text(value),
                text(given)
            ));
        }
        pod.set(&path, value.clone());
    }
    let tolerations = merged(pod.items_at(&["spec", "tolerations"]), scheduling.items_at(&["tolerations"]));
    if !tolerations.is_empty() {
        pod.set(&["spec", "tolerations"], tolerations);
    }
    Ok(())
}

/// Plugins behind this one, and pods without a class, do not say of their own what they cost.
pub(super) fn check_overhead(pod: &Value, class: Option<&Value>) -> Result<(), String> {
    let given = set(pod, "overhead");
    let overhead = class.and_then(|class| class.get("overhead")).filter(|overhead| !overhead.is_null());
    match overhead {
        Some(overhead) if !same_amounts(given, overhead.get("podFixed")) => {
            Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned())
        }
        None if given.is_some() => {
            Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned())
        }
        _ => Ok(()),
    }
}

fn set<'p>(pod: &'p Value, field: &str) -> Option<&'p Value> {
    pod.at(&["spec", field]).filter(|value| !value.is_null())
}

/// Whether two lists of resources mean the same, however their amounts are written; none is as good as an empty one.
fn same_amounts(a: Option<&Value>, b: Option<&Value>) -> bool {
    let amounts = |list: Option<&Value>| -> Vec<(String, Option<Quantity>)> {
        let entries = list.and_then(Value::as_object).into_iter().flat_map(|map| map.iter());
        let mut amounts: Vec<_> =
            entries.map(|(name, amount)| (name.to_string(), Quantity::from_value(Some(amount)).ok())).collect();
        amounts.sort_by(|(a, _), (b, _)| a.cmp(b));
        amounts
    };
    amounts(a) == amounts(b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Cluster, admin, tree as parsed};

    #[track_caller]
    fn check(class: serde_json::Value, pod: serde_json::Value, want: Result<serde_json::Value, &str>) {
        let mut pod = parsed(json!({"spec": pod}));
        let got = apply(&mut pod, &parsed(class)).map(|()| pod.get("spec").cloned().unwrap());
        assert_eq!(got, want.map(parsed).map_err(str::to_owned));
    }

    #[test]
    fn a_pod_costs_what_its_class_says() {
        let class = json!({"overhead": {"podFixed": {"cpu": "1", "memory": "1Gi"}}});
        check(class.clone(), json!({}), Ok(json!({"overhead": {"cpu": "1", "memory": "1Gi"}})));
        check(
            class.clone(),
            json!({"overhead": {"cpu": "1000m", "memory": "1024Mi"}}),
            Ok(json!({"overhead": {"cpu": "1", "memory": "1Gi"}})),
        );
        let differs = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
        check(class.clone(), json!({"overhead": {"cpu": "2"}}), Err(differs));
        let pod = parsed(json!({"spec": {"overhead": {"cpu": "2"}}}));
        assert_eq!(check_overhead(&pod, Some(&parsed(class))), Err(differs.to_owned()));
        assert_eq!(
            check_overhead(&pod, Some(&parsed(json!({})))),
            Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned())
        );
        assert_eq!(check_overhead(&parsed(json!({"spec": {}})), None), Ok(()));
    }

    #[test]
    fn a_pod_runs_where_its_class_says() {
        let class = json!({"scheduling": {
            "nodeSelector": {"a": "b"},
            "tolerations": [{"key": "k", "operator": "Exists"}, {"key": "l", "operator": "Exists"}],
        }});
        check(
            class.clone(),
            json!({"nodeSelector": {"c": "d"}, "tolerations": [{"key": "k", "operator": "Equal", "value": "v"}]}),
            Ok(json!({"nodeSelector": {"a": "b", "c": "d"},
                "tolerations": [{"key": "k", "operator": "Exists"}, {"key": "l", "operator": "Exists"}]})),
        );
        check(
            class,
            json!({"nodeSelector": {"a": "c"}}),
            Err("conflict: runtimeClass.scheduling.nodeSelector[a] = b; pod.spec.nodeSelector[a] = c"),
        );
    }

    /// A pod with a class that nobody had made ran as if it had none.
    #[tokio::test]
    async fn a_pod_names_a_class_that_exists() {
        let cluster = Cluster::start().await;
        cluster.make_pod("first").await;
        let pods = "/api/v1/namespaces/default/pods";
        let pod = |name: &str| {
            json!({"metadata": {"name": name}, "spec":
                {"runtimeClassName": "vm", "containers": [{"name": "c", "image": "i"}]}})
        };
        let refused = cluster.post(admin(), pods, pod("a")).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (403, "pods \"a\" is forbidden: pod rejected: RuntimeClass \"vm\" not found")
        );
        let class = json!({"metadata": {"name": "vm"}, "handler": "kata", "overhead": {"podFixed": {"cpu": "1"}},
            "scheduling": {"nodeSelector": {"vm": "yes"}}});
        cluster.post(admin(), "/apis/node.k8s.io/v1/runtimeclasses", class).await.unwrap();
        let made = cluster.post(admin(), pods, pod("a")).await.unwrap();
        assert_eq!(made.str_at(&["spec", "overhead", "cpu"]), Some("1"));
        assert_eq!(made.str_at(&["spec", "nodeSelector", "vm"]), Some("yes"));
        cluster.stop().await;
    }
}
