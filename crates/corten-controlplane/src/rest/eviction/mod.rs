//! Deletes a pod, if its disruption budget allows it.
//!
//! Flow: a pod whose end disrupts nothing -> it goes. Else: the budget that counts it -> one disruption less, noted in the
//! budget before the pod goes -> it goes.
//! Invariant: no more pods go between two counts of the disruption controller than it has allowed; an eviction that fails
//! after its budget was asked costs one until the controller counts again.
//! Upstream: pkg/registry/core/pod/storage/eviction.go (v1.35).

mod budget;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{
    gvk::{GroupVersionKind, GroupVersionResource},
    meta::{ObjectMeta as _, format_time},
    resource::DeleteOptions,
    status::Status,
    value::{Str, Value},
};
use corten_apiserver::{
    Reply, Request, Server,
    authorization::own_identity,
    conditions::set_condition,
    endpoints::{Custom, Endpoint, WriteRequest, decode_review_of, delete_options},
    registry::{Preconditions, Store, WriteContext},
    request::Query,
};
use corten_base::Backoff;
use corten_client::{Client, ListOptions, Target};

use super::{catalog::Handler, settle_metadata, succeeded};
use crate::caches::tree;

/// The handler.
pub(crate) static HANDLER: Handler =
    Handler { group: "", plural: "pods", subresource: "eviction", build: |_| Arc::new(Eviction) };

const TYPE: &str = "io.k8s.api.policy.v1.Eviction";

/// How often an eviction starts again when somebody else changes the pod or its budget. Upstream: `EvictionsRetry`, from
/// which the two below are, too.
const ATTEMPTS_MAX: usize = 20;
/// How long it waits before it asks a budget again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const RETRY_JITTER: f64 = 0.1;

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
        settle_metadata(&mut eviction, &request.info.namespace)?;
        let name = request.info.name.to_string();
        let store = endpoint.store.as_ref().ok_or_else(|| Status::internal("pods are not stored"))?;
        let admitted = store.admit_subresource(&write.context(&request), &kind, &name, eviction).await;
        let (eviction, advice) = admitted?;
        warnings.extend(advice);
        // An eviction says itself whose it is: one that says nothing may be an accident.
        if eviction.name() != name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let body = eviction.get("deleteOptions").cloned().unwrap_or_default();
        let options = delete_options(&body, &Query::default())?;
        write.dry_run |= options.dry_run;
        let cx = write.context(&request);
        store.validate_subresource(&cx, &kind, &name, eviction).await?;
        evict(server, store, &cx, &name, &options).await?;
        Ok(succeeded().with_warnings(warnings))
    }
}

async fn evict(
    server: &Arc<Server>,
    store: &Store,
    cx: &WriteContext<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<(), Status> {
    // The pod itself is what the deletion is about, and not its eviction.
    let cx = WriteContext { subresource: "", ..*cx };
    let Some(pod) = evict_unguarded(store, &cx, name, options).await? else { return Ok(()) };
    let Some(spared_by) = Budgets::new(server).ask(&pod, cx.dry_run).await? else {
        return mark_and_delete(store, &cx, name, options.clone()).await;
    };
    // It was not counted because it is not ready: it must not become so.
    let pinned =
        DeleteOptions { precondition_resource_version: Some(Str::from(pod.resource_version())), ..options.clone() };
    match mark_and_delete(store, &cx, name, pinned).await {
        Err(status) if status.is_conflict() && options.precondition_resource_version.is_none() => {
            Err(budget::behind(&spared_by))
        }
        done => done,
    }
}

/// Deletes a pod whose end disrupts nothing; gives back one that a budget has to be asked for.
async fn evict_unguarded(
    store: &Store,
    cx: &WriteContext<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Option<Value>, Status> {
    for attempt in 1.. {
        let pod = tree(&*store.get(cx.namespace, name, None).await?)?;
        if !ignores_budget(&pod) {
            return Ok(Some(pod));
        }
        let mut options = options.clone();
        let is_pinned = options.precondition_resource_version.is_some();
        if may_become_ready(&pod) && !is_pinned {
            // No budget is asked for it, so it must not become one that has to be.
            options.precondition_resource_version = Some(Str::from(pod.resource_version()));
        }
        match mark_and_delete(store, cx, name, options).await {
            Err(status) if status.is_conflict() && !is_pinned && attempt < ATTEMPTS_MAX => {}
            done => return done.map(|()| None),
        }
    }
    unreachable!("the last attempt returns")
}

/// The budgets, as the server itself reads and writes them.
#[derive(Debug)]
struct Budgets<'s> {
    server: &'s Server,
    client: Client,
    resource: GroupVersionResource,
}

impl<'s> Budgets<'s> {
    fn new(server: &'s Arc<Server>) -> Self {
        let client = Client::new(server.in_process(own_identity()), "kube-apiserver");
        Self { server, client, resource: GroupVersionResource::new("policy", "v1", "poddisruptionbudgets") }
    }

    /// Asks the budget that counts `pod`, if there is one, and notes there that the pod goes. Gives the name of a budget that
    /// lets the pod go uncounted, because it is not ready.
    ///
    /// Errors: what the budget says against it; that there are two.
    async fn ask(&self, pod: &Value, dry_run: bool) -> Result<Option<String>, Status> {
        let all = Target::collection(&self.resource, pod.namespace());
        let mut asked = None;
        for budget in self.client.list(all, &ListOptions::default()).await?.items {
            let budget = tree(&budget)?;
            if budget::counts(&budget, pod) && asked.replace(budget).is_some() {
                return Err(budget::several());
            }
        }
        let Some(mut asked) = asked else { return Ok(None) };
        if budget::spares(&asked, pod) {
            return Ok(Some(asked.name().to_owned()));
        }
        let target = Target::object(&self.resource, pod.namespace(), asked.name());
        let mut backoff = Backoff::doubling(RETRY_AFTER, RETRY_AFTER).with_jitter(RETRY_JITTER);
        for attempt in 1.. {
            let spent = budget::spend(&asked, pod.name(), &format_time(self.server.clock().now()))?;
            if dry_run {
                break;
            }
            match self.client.update(target.clone().subresource("status"), spent).await {
                Err(status) if status.is_conflict() && attempt < ATTEMPTS_MAX => {}
                done => return done.map(|_| None),
            }
            self.server.clock().sleep(backoff.next(&**self.server.rng())).await;
            asked = tree(&*self.client.get(target.clone()).await?)?;
        }
        Ok(None)
    }
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
        let preconditions = Preconditions {
            uid: options.precondition_uid.as_deref(),
            resource_version: options.precondition_resource_version.as_deref(),
        };
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
    set_condition(pod, target);
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
mod tests;
