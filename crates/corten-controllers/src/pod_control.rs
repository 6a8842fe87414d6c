//! Makes and deletes the pods of an owner, and tells people about it with events.
//!
//! Upstream: RealPodControl and slowStartBatch in pkg/controller and pkg/controller/replicaset (v1.35).

use std::{future::Future, sync::Arc};

use corten_apimachinery::{
    status::Status,
    stored::Stored,
    value::{Value, format_str},
};
use corten_client::{
    Client, Target,
    events::{ObjectRef, Recorder},
};
use corten_controller::Owner;
use futures::future::join_all;

use crate::{objects::is_namespace_terminating, pods};

/// Makes and deletes pods under one identity.
#[derive(Debug, Clone)]
pub struct PodControl {
    client: Client,
    recorder: Recorder,
}

impl PodControl {
    /// One that acts through `client` and reports to `recorder`.
    #[must_use]
    pub fn new(client: Client, recorder: Recorder) -> Self {
        Self { client, recorder }
    }

    /// Makes a pod that `owner` controls, as `pod` from `pod_of` says.
    ///
    /// Errors: what the server answered, after an event about it unless the namespace is going away.
    pub async fn create(&self, owner: &Owner, owner_ref: &ObjectRef, pod: Value) -> Result<Arc<Stored>, Status> {
        match self.client.create(Target::collection(&pods::resource(), owner.namespace.clone()), pod).await {
            Ok(pod) => {
                self.recorder.normal(owner_ref, "SuccessfulCreate", format!("Created pod: {}", pod.name));
                Ok(pod)
            }
            Err(status) => {
                if !is_namespace_terminating(&status) {
                    self.recorder.warning(owner_ref, "FailedCreate", format!("Error creating: {status}"));
                }
                Err(status)
            }
        }
    }

    /// Deletes a pod of `owner_ref`.
    ///
    /// Errors: what the server answered, after an event about it unless the pod is gone.
    pub async fn delete(&self, owner_ref: &ObjectRef, pod: &Stored) -> Result<(), Status> {
        let target = Target::object(&pods::resource(), pod.namespace.clone(), pod.name.clone());
        match self.client.delete(target, Value::Null).await {
            Ok(()) => {
                self.recorder.normal(owner_ref, "SuccessfulDelete", format!("Deleted pod: {}", pod.name));
                Ok(())
            }
            Err(status) => {
                if !status.is_not_found() {
                    self.recorder.warning(owner_ref, "FailedDelete", format!("Error deleting: {status}"));
                }
                Err(status)
            }
        }
    }
}

/// The pod that a `PodTemplateSpec` describes, controlled by `owner`, with a name that the server completes.
#[must_use]
pub fn pod_of(template: &Value, owner: &Owner) -> Value {
    let mut metadata = Value::object_of([
        ("generateName", Value::String(format_str!("{}-", owner.name))),
        ("namespace", Value::String(owner.namespace.clone())),
        ("ownerReferences", Value::array([owner.controller_reference()])),
    ]);
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.at(&["metadata", field]) {
            metadata.set(&[field], value.clone());
        }
    }
    Value::object_of([
        ("apiVersion", Value::from("v1")),
        ("kind", "Pod".into()),
        ("metadata", metadata),
        ("spec", template.get("spec").cloned().unwrap_or_else(Value::object)),
    ])
}

/// Runs `act` `count` times in parallel batches that begin with one and double as long as all succeed: a quota that
/// refuses everything is asked once, not 500 times. Gives the number of successes and the first failure.
///
/// Cancellation: what is under way may or may not happen.
pub async fn slow_start<F>(count: usize, act: impl Fn() -> F) -> (usize, Result<(), Status>)
where
    F: Future<Output = Result<(), Status>>,
{
    let (mut done, mut batch) = (0, 1);
    while done < count {
        let results = join_all((0..batch.min(count - done)).map(|_| act())).await;
        done += results.iter().filter(|result| result.is_ok()).count();
        if let Some(failure) = results.into_iter().find_map(Result::err) {
            return (done, Err(failure));
        }
        batch *= 2;
    }
    (done, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn batches_double_until_one_fails() {
        #[track_caller]
        fn check(count: usize, works: usize, want_calls: usize, want_done: usize) {
            let calls = Cell::new(0);
            let (done, result) = slow_start(count, || {
                calls.set(calls.get() + 1);
                let result = if calls.get() <= works { Ok(()) } else { Err(Status::internal("no")) };
                async move { result }
            })
            .now_or_never()
            .expect("nothing waits");
            assert_eq!((calls.get(), done, result.is_ok()), (want_calls, want_done, works >= count));
        }
        check(0, 0, 0, 0);
        check(500, 500, 500, 500);
        // 1, then 2, then 4 of which one works.
        check(500, 4, 7, 4);
        check(500, 0, 1, 0);
    }
}
