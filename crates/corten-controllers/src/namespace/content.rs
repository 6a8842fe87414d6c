//! Deletes the content of a namespace, resource by resource.
//!
//! Upstream: pkg/controller/namespace/deletion/namespaced_resources_deleter.go (v1.35), with ordered deletion: as long as
//! a pod is there, what it may need (secrets, network policies) stays.

use std::{collections::BTreeMap, time::Duration};

use corten_apimachinery::{
    gvk::{GroupVersion, GroupVersionResource},
    meta::ObjectMeta as _,
    status::{Reason, Status},
    value::Value,
};
use corten_client::{ApiResource, Client, ListOptions, ObjectList, Target};

use crate::objects::{from_json, gone_is_fine, tree};

/// How long finalizers are expected to take. Upstream's figure.
const FINALIZER_ESTIMATE_SECONDS: u64 = 15;

/// What a pass over the content came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Seconds until what remains is expected to be gone; 0 if nothing is expected to remain.
    pub(super) estimate: u64,
    /// Groups that could not be asked for their resources.
    pub(super) discovery_failures: Vec<(GroupVersion, Status)>,
    /// What went wrong with the content.
    pub(super) failures: Vec<String>,
    /// How many objects are left, by resource.
    pub(super) remaining: BTreeMap<GroupVersionResource, usize>,
    /// How many objects each finalizer holds.
    pub(super) finalizers: BTreeMap<String, usize>,
}

impl Outcome {
    /// Whether everything is known to be gone.
    pub(super) fn is_empty(&self) -> bool {
        self.error().is_none() && self.estimate == 0 && self.remaining.is_empty()
    }

    /// Why the pass has to be repeated.
    pub(super) fn error(&self) -> Option<String> {
        let discovery = self.discovery_failures.iter().map(|(version, status)| format!("{version}: {status}"));
        let all: Vec<String> = discovery.chain(self.failures.iter().cloned()).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// Deletes all content of `namespace`, whose deletion began `elapsed` ago.
///
/// Errors: discovery as a whole. What fails with single resources is in the outcome.
pub(super) async fn delete_all(client: &Client, namespace: &str, elapsed: Duration) -> Result<Outcome, Status> {
    let discovery = client.discover().await?;
    let mut outcome = Outcome { discovery_failures: discovery.failures, ..Outcome::default() };
    let deletable = |resource: &ApiResource| resource.is_namespaced && resource.supports(&["delete"]);
    let is_pods = |resource: &ApiResource| resource.resource.group.is_empty() && resource.resource.resource == "pods";
    let (pods, others): (Vec<_>, Vec<_>) = discovery.resources.into_iter().filter(deletable).partition(is_pods);
    for resources in [pods, others] {
        for resource in resources {
            let grace = if is_pods(&resource) { Some(elapsed) } else { None };
            if let Err(status) = delete_resource(client, namespace, &resource, grace, &mut outcome).await {
                outcome.failures.push(status.to_string());
            }
        }
        // Pods are first; nothing else goes while one is left.
        if !outcome.remaining.is_empty() {
            break;
        }
    }
    Ok(outcome)
}

/// Deletes the objects of one resource. `grace`: the objects take their time to end, and this much of it has passed.
async fn delete_resource(
    client: &Client,
    namespace: &str,
    resource: &ApiResource,
    grace: Option<Duration>,
    outcome: &mut Outcome,
) -> Result<(), Status> {
    let target = || Target::collection(&resource.resource, namespace);
    let all = |client: Client| async move {
        match client.list(target(), &ListOptions::default()).await {
            // The resource has gone since it was discovered.
            Err(status) if is_unsupported(&status) => Ok(ObjectList::default()),
            other => other,
        }
    };
    if !resource.supports(&["list"]) {
        return Ok(());
    }
    let before = all(client.clone()).await?;
    if before.items.is_empty() {
        return Ok(());
    }
    let mut estimate = 0;
    if let Some(elapsed) = grace {
        let trees: Vec<Value> = before.items.iter().map(|item| tree(item)).collect::<Result<_, _>>()?;
        estimate = termination_seconds(&trees, elapsed);
    }
    let options = from_json(&serde_json::json!({"propagationPolicy": "Background"}));
    let is_supported = resource.supports(&["deletecollection"]);
    let deleted = if is_supported {
        client.delete_collection(target(), &ListOptions::default(), options.clone()).await
    } else {
        Err(Status::method_not_supported(&resource.resource.group_resource(), "deletecollection"))
    };
    match deleted {
        Err(status) if is_unsupported(&status) => {
            for item in &before.items {
                let target = Target::object(&resource.resource, namespace, item.name.clone());
                gone_is_fine(client.delete(target, options.clone()).await)?;
            }
        }
        other => other?,
    }
    let left = all(client.clone()).await?;
    if left.items.is_empty() {
        return Ok(());
    }
    outcome.remaining.insert(resource.resource.clone(), left.items.len());
    let mut is_held = false;
    for item in &left.items {
        for finalizer in tree(item)?.finalizers() {
            is_held = true;
            *outcome.finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }
    if estimate == 0 && is_held {
        estimate = FINALIZER_ESTIMATE_SECONDS;
    }
    outcome.estimate = outcome.estimate.max(estimate);
    if estimate == 0 {
        let gvr = show(&resource.resource);
        let message = format!("unexpected items still remain in namespace: {namespace} for gvr: {gvr}");
        return Err(Status::new(Reason::InternalError, message));
    }
    Ok(())
}

/// As upstream prints it.
fn show(resource: &GroupVersionResource) -> String {
    format!("{}/{}, Resource={}", resource.group, resource.version, resource.resource)
}

fn is_unsupported(status: &Status) -> bool {
    status.is_not_found() || status.reason == Reason::MethodNotAllowed
}

/// How many seconds pods take to end: the longest grace period among those that run, unless that much time has passed.
fn termination_seconds(pods: &[Value], elapsed: Duration) -> u64 {
    let runs = |pod: &&Value| !matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"));
    let grace = |pod: &Value| pod.i64_at(&["spec", "terminationGracePeriodSeconds"]).unwrap_or_default();
    let longest = pods.iter().filter(runs).map(grace).max().unwrap_or_default();
    let longest = u64::try_from(longest).unwrap_or_default();
    if elapsed.as_secs() >= longest { 0 } else { longest }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(pods: &[(&str, i64)], elapsed: u64, want: u64) {
        let pod = |(phase, grace): &(&str, i64)| {
            from_json(&json!({"status": {"phase": phase}, "spec": {"terminationGracePeriodSeconds": grace}}))
        };
        let pods: Vec<Value> = pods.iter().map(pod).collect();
        assert_eq!(termination_seconds(&pods, Duration::from_secs(elapsed)), want);
    }

    #[test]
    fn pods_are_waited_for_as_long_as_the_slowest_may_take() {
        check(&[], 0, 0);
        check(&[("Running", 30), ("Pending", 60)], 10, 60);
        check(&[("Succeeded", 300), ("Running", 30)], 10, 30);
        check(&[("Running", 30)], 31, 0);
    }
}
