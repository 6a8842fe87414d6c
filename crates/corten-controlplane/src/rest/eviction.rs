//! Deletes a pod. Disruption budgets are not served yet, so that none is asked.
//!
//! Upstream: pkg/registry/core/pod/storage/eviction.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{
    gvk::GroupVersionKind,
    meta::{ObjectMeta as _, format_time},
    resource::DeleteOptions,
    status::Status,
    value::{Str, Value},
};
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{Custom, Endpoint, WriteRequest, decode_review_of, delete_options},
    registry::{Preconditions, Store, WriteContext},
    request::Query,
};

use super::{catalog::Handler, succeeded};
use crate::caches::tree;

/// The handler.
pub(crate) static HANDLER: Handler =
    Handler { group: "", plural: "pods", subresource: "eviction", build: |_| Arc::new(Eviction) };

const TYPE: &str = "io.k8s.api.policy.v1.Eviction";

/// How often an eviction starts again when somebody else changes the pod. Upstream: `EvictionsRetry`.
const ATTEMPTS_MAX: usize = 20;

#[derive(Debug)]
struct Eviction;

#[async_trait]
impl Custom for Eviction {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let kind = GroupVersionKind::new("policy", "v1", "Eviction");
        let mut write = WriteRequest::new(endpoint, &request, "CreateOptions")?;
        // Clients of old drain nodes with the version before.
        let decoded = decode_review_of(&mut request, server.table(), TYPE, &kind, &["v1beta1"]).await;
        let (mut eviction, mut warnings) = decoded?;
        let name = request.info.name.to_string();
        if eviction.name().is_empty() {
            eviction.set_meta("name", name.as_str());
        }
        if eviction.name() != name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let body = eviction.get("deleteOptions").cloned().unwrap_or_default();
        let options = delete_options(&body, &Query::default())?;
        write.dry_run |= options.dry_run;
        let store = endpoint.store.as_ref().ok_or_else(|| Status::internal("pods are not stored"))?;
        let cx = write.context(&request);
        let (_, advice) = store.admit_subresource(&cx, &kind, &name, eviction).await?;
        warnings.extend(advice);
        evict(store, &cx, &name, &options).await?;
        Ok(succeeded().with_warnings(warnings))
    }
}

async fn evict(store: &Store, cx: &WriteContext<'_>, name: &str, options: &DeleteOptions) -> Result<(), Status> {
    // The pod itself is what the deletion is about, and not its eviction.
    let cx = WriteContext { subresource: "", ..*cx };
    for attempt in 1.. {
        let pod = tree(&*store.get(cx.namespace, name, None).await?)?;
        let mut options = options.clone();
        let is_pinned = options.precondition_resource_version.is_some();
        if ignores_budget(&pod) && may_become_ready(&pod) && !is_pinned {
            // As upstream: no budget is asked for it, so it must not become one that has to be.
            options.precondition_resource_version = Some(Str::from(pod.resource_version()));
        }
        match mark_and_delete(store, &cx, name, options).await {
            Err(status) if status.is_conflict() && !is_pinned && attempt < ATTEMPTS_MAX => {}
            done => return done.map(drop),
        }
    }
    unreachable!("the last attempt returns")
}

/// Says in the pod's status why it goes, and deletes it.
///
/// Upstream: `addConditionAndDeletePod`.
async fn mark_and_delete(
    store: &Store,
    cx: &WriteContext<'_>,
    name: &str,
    mut options: DeleteOptions,
) -> Result<(), Status> {
    if !cx.dry_run {
        let given = |precondition: &Option<Str>| precondition.clone().unwrap_or_default();
        let (uid, version) = (given(&options.precondition_uid), given(&options.precondition_resource_version));
        let preconditions = Preconditions { uid: &uid, resource_version: &version };
        let now = format_time(cx.now);
        let change = |pod: &mut Value| {
            mark(pod, &now);
            Ok(())
        };
        let marked = store.guaranteed_update(cx, name, preconditions, &change).await?;
        if options.precondition_resource_version.is_some() {
            // The version has just moved on by our own write.
            options.precondition_resource_version = Some(Str::from(tree(&marked)?.resource_version()));
        }
    }
    store.delete(cx, name, &options).await.map(drop)
}

/// Sets the condition `DisruptionTarget`, which tells apart pods that have failed from those that were sent away.
fn mark(pod: &mut Value, now: &str) {
    const TYPE: &str = "DisruptionTarget";
    let mut target = Value::object_of([
        ("type", Value::from(TYPE)),
        ("status", "True".into()),
        ("reason", "EvictionByEvictionAPI".into()),
        ("message", "Eviction API: evicting".into()),
        ("lastProbeTime", Value::Null),
        ("lastTransitionTime", now.into()),
    ]);
    if pod.generation() != 0 {
        target.set(&["observedGeneration"], pod.generation());
    }
    let mut conditions = pod.items_at(&["status", "conditions"]).to_vec();
    match conditions.iter_mut().find(|condition| condition.str_at(&["type"]) == Some(TYPE)) {
        Some(known) => {
            if known.str_at(&["status"]) == Some("True")
                && let Some(since) = known.get("lastTransitionTime").cloned()
            {
                target.set(&["lastTransitionTime"], since);
            }
            *known = target;
        }
        None => conditions.push(target),
    }
    pod.set(&["status", "conditions"], conditions);
}

/// Whether the pod's end disrupts nothing.
fn ignores_budget(pod: &Value) -> bool {
    let phase = pod.str_at(&["status", "phase"]).unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed" | "Pending") || pod.deletion_timestamp().is_some()
}

/// Whether a pod that is not counted now may be counted later.
fn may_become_ready(pod: &Value) -> bool {
    let phase = pod.str_at(&["status", "phase"]).unwrap_or_default();
    !matches!(phase, "Succeeded" | "Failed") && pod.deletion_timestamp().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Cluster, admin};

    const PODS: &str = "/api/v1/namespaces/default/pods";

    #[test]
    fn only_a_running_pod_needs_a_budget() {
        for (phase, ignores, pins) in
            [("Pending", true, true), ("Running", false, true), ("Succeeded", true, false), ("Failed", true, false)]
        {
            let pod = crate::testing::tree(json!({"metadata": {}, "status": {"phase": phase}}));
            assert_eq!((ignores_budget(&pod), may_become_ready(&pod)), (ignores, pins), "{phase}");
        }
    }

    #[test]
    fn an_evicted_pod_says_so() {
        let mut pod = crate::testing::tree(json!({"metadata": {"generation": 3}, "status": {"conditions": [
            {"type": "Ready", "status": "True"},
        ]}}));
        mark(&mut pod, "now");
        mark(&mut pod, "later");
        let target = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": "now",
            "observedGeneration": 3,
        });
        let conditions = json!([{"type": "Ready", "status": "True"}, target]);
        assert_eq!(pod.at(&["status", "conditions"]), Some(&crate::testing::tree(conditions)));
    }

    #[tokio::test]
    async fn an_evicted_pod_is_deleted() {
        let cluster = Cluster::start().await;
        cluster.make_pod("p").await;
        let path = format!("{PODS}/p/eviction");
        let eviction = |options: serde_json::Value| json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}, "deleteOptions": options});
        let refused =
            cluster.post(admin(), &path, eviction(json!({"preconditions": {"uid": "other"}}))).await.unwrap_err();
        assert_eq!(refused.code, 409);
        let done = cluster.post(admin(), &path, eviction(json!({"dryRun": ["All"]}))).await.unwrap();
        assert_eq!(done.str_at(&["status"]), Some("Success"));
        cluster.get(admin(), &format!("{PODS}/p")).await.unwrap();
        cluster.post(admin(), &path, eviction(json!({"gracePeriodSeconds": 0}))).await.unwrap();
        assert!(cluster.get(admin(), &format!("{PODS}/p")).await.unwrap_err().is_not_found());
        assert!(cluster.post(admin(), &path, eviction(json!({}))).await.unwrap_err().is_not_found());
        cluster.stop().await;
    }
}
