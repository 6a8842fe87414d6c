//! `ApiCluster`: writes decisions through the API.

use async_trait::async_trait;
use corten_apimachinery::{
    gvk::GroupVersionResource,
    meta::format_time,
    status::Status as ApiStatus,
    value::{Str, Value},
};
use corten_base::SharedClock;
use corten_client::{
    Client, PatchKind, Target,
    events::{EventType, ObjectRef, Occasion, Recorder},
};

use crate::{
    cache::{PodInfo, Unscheduled},
    framework::plugin::Binding,
    scheduler::{Cluster, SchedulingEvent},
};

/// The cluster behind a client.
#[derive(Debug)]
pub struct ApiCluster {
    client: Client,
    recorder: Recorder,
    clock: SharedClock,
    pods: GroupVersionResource,
}

impl ApiCluster {
    /// Writes through `client`; events go to `recorder`, whose writer somebody runs.
    #[must_use]
    pub fn new(client: Client, recorder: Recorder, clock: SharedClock) -> Self {
        Self { client, recorder, clock, pods: GroupVersionResource::new("", "v1", "pods") }
    }

    fn condition(pod: &PodInfo, ty: &str, status: &str, reason: &str, message: &str, since: Str) -> Value {
        Value::object_of([
            ("type", Value::from(ty)),
            ("status", status.into()),
            ("reason", reason.into()),
            ("message", message.into()),
            ("observedGeneration", Value::Int(pod.generation)),
            ("lastTransitionTime", Value::String(since)),
        ])
    }

    fn now(&self) -> Str {
        format_time(self.clock.now())
    }

    async fn patch_status(&self, pod: &PodInfo, status: Value) -> Result<(), ApiStatus> {
        let mut patch = Value::object_of([("status", status)]);
        // Another pod of the same name must not get it.
        patch.set(&["metadata", "uid"], pod.uid.clone());
        let target = self.target(&pod.namespace, &pod.name).subresource("status");
        self.client.patch(target, PatchKind::Strategic, patch).await.map(drop)
    }

    fn target(&self, namespace: &Str, name: &Str) -> Target {
        Target::object(&self.pods, namespace.clone(), name.clone())
    }
}

/// A pod that is gone, or another one of its name by now, needs no more.
fn gone_is_fine(outcome: Result<(), ApiStatus>) -> Result<(), ApiStatus> {
    match outcome {
        Err(status) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => other,
    }
}

fn reference(pod: &PodInfo) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        resource_version: pod.resource_version.clone(),
        ..ObjectRef::default()
    }
}

#[async_trait]
impl Cluster for ApiCluster {
    async fn bind(&self, binding: &Binding) -> Result<(), ApiStatus> {
        let mut object = Value::object_of([("apiVersion", Value::from("v1")), ("kind", "Binding".into())]);
        object.set(&["metadata", "namespace"], binding.namespace.clone());
        object.set(&["metadata", "name"], binding.name.clone());
        object.set(&["metadata", "uid"], binding.uid.clone());
        object.set(&["target", "kind"], "Node");
        object.set(&["target", "name"], binding.node.clone());
        let target = self.target(&binding.namespace, &binding.name).subresource("binding");
        // The answer is a `Status` that reports success, not an object.
        self.client.post(target, object).await.map(drop)
    }

    async fn set_unscheduled(
        &self,
        pod: &PodInfo,
        reason: &str,
        message: &str,
        nominated: Option<&str>,
    ) -> Result<(), ApiStatus> {
        let mut status = Value::object();
        let known = pod.unscheduled.as_deref();
        let says_so = |known: &Unscheduled| {
            known.reason == reason && known.message == message && known.generation == pod.generation
        };
        if !known.is_some_and(says_so) {
            // It waits since it began to, not since the last attempt.
            let since = known.map(|known| known.since.clone()).filter(|since| !since.is_empty());
            let since = since.unwrap_or_else(|| self.now());
            let condition = Self::condition(pod, "PodScheduled", "False", reason, message, since);
            status.set(&["conditions"], Value::array([condition]));
        }
        if let Some(node) = nominated.filter(|node| *node != pod.nominated_node_name) {
            status.set(&["nominatedNodeName"], if node.is_empty() { Value::Null } else { node.into() });
        }
        if status == Value::object() {
            return Ok(());
        }
        gone_is_fine(self.patch_status(pod, status).await)
    }

    async fn clear_nomination(&self, pod: &PodInfo) -> Result<(), ApiStatus> {
        gone_is_fine(self.patch_status(pod, Value::object_of([("nominatedNodeName", Value::Null)])).await)
    }

    async fn preempt(&self, victim: &PodInfo, preemptor: &PodInfo) -> Result<(), ApiStatus> {
        let message = format!("{}: preempting to accommodate a higher priority pod", preemptor.scheduler_name);
        let condition =
            Self::condition(victim, "DisruptionTarget", "True", "PreemptionByScheduler", &message, self.now());
        let status = Value::object_of([("conditions", Value::array([condition]))]);
        gone_is_fine(self.patch_status(victim, status).await)?;
        let mut options = Value::object();
        options.set(&["preconditions", "uid"], victim.uid.clone());
        gone_is_fine(self.client.delete(self.target(&victim.namespace, &victim.name), options).await)
    }

    async fn record(&self, pod: &PodInfo, event: SchedulingEvent<'_>) -> Result<(), ApiStatus> {
        let event_type = if event.kind == "Normal" { EventType::Normal } else { EventType::Warning };
        let related = event.related.map(reference);
        let occasion = Occasion { action: event.action, related: related.as_ref() };
        self.recorder.outcome(&reference(pod), event_type, event.reason, occasion, event.message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use corten_apimachinery::status::Reason;
    use corten_base::SystemClock;
    use corten_client::{Answer, Call, Transport};
    use futures::{FutureExt as _, future::BoxFuture};

    use super::*;
    use crate::testutil::pod_of_cpu;

    /// Refuses everything for one reason.
    #[derive(Debug)]
    struct Refusing(Reason);

    impl Transport for Refusing {
        fn call(&self, _call: Call) -> BoxFuture<'static, Result<Answer, ApiStatus>> {
            futures::future::ready(Err(ApiStatus::new(self.0, "refused"))).boxed()
        }
    }

    /// Whether writing that a pod is not scheduled counts as done when the server refuses it for `reason`.
    fn is_done(reason: Reason) -> bool {
        let clock = SystemClock::shared();
        let (recorder, _events) = Recorder::new("default-scheduler", "host", Arc::clone(&clock));
        let cluster = ApiCluster::new(Client::new(Arc::new(Refusing(reason)), "scheduler"), recorder, clock);
        let pod = pod_of_cpu("a", "1");
        let written = cluster.set_unscheduled(&pod, "Unschedulable", "no room", None).now_or_never();
        written.expect("the transport answers at once").is_ok()
    }

    // Each pod that was deleted while it waited made a warning.
    #[test]
    fn a_pod_that_is_gone_needs_no_condition() {
        assert!(is_done(Reason::NotFound), "it is gone");
        assert!(is_done(Reason::Conflict), "another one has its name");
        assert!(!is_done(Reason::InternalError));
    }
}
