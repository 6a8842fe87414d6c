//! Deletes the objects of a definition that is to go, and waits until they have gone.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/controller/finalizer (v1.35).

use std::{sync::Arc, time::Duration};

use corten_apimachinery::{
    Value,
    meta::ObjectMeta as _,
    resource::{DeleteOptions, UserInfo},
    status::Reason,
    value::Str,
};
use corten_base::{SharedClock, Shutdown};
use corten_storage::cacher::{Snapshot, WatcherClosed};
use tokio::sync::mpsc;

use super::{
    CLEANUP_FINALIZER,
    conditions::{ESTABLISHED, TERMINATING, condition, find, is_equivalent, is_true, set_condition},
};
use crate::{
    authorization::SYSTEM_MASTERS,
    registry::{Store, WriteContext},
};

/// How long objects may take to go before the definition says that they have not. Upstream's minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// One definition whose objects have to go.
pub(super) struct Cleanup {
    pub(super) definition: Value,
    /// Its objects; none if it is not served.
    pub(super) store: Option<Arc<Store>>,
    pub(super) clock: SharedClock,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Cleaned {
    pub(super) definition: Str,
    /// The definition as it has to be written now; none if it says so already, and is to be looked at again.
    pub(super) changed: Option<Value>,
}

impl Cleanup {
    /// Does one step and says what is to be written; what is written brings the next step.
    pub(super) async fn run(self, cleaned: mpsc::Sender<Cleaned>, ending: Shutdown) {
        let changed = tokio::select! {
            biased;
            () = ending.requested() => return,
            changed = self.step() => changed,
        };
        let result = Cleaned { definition: self.definition.name().into(), changed };
        // At the end of the process nobody waits for it; the next one begins again.
        let _gone = cleaned.send(result).await;
    }

    async fn step(&self) -> Option<Value> {
        if !is_true(&self.definition, ESTABLISHED) {
            return Some(self.without_finalizer(("False", "NeverEstablished", "resource was never established")));
        }
        let Some(store) = &self.store else {
            // What was established has objects, which would come back with the next definition of this name.
            return self.failed("could not list instances: the definition cannot be served").await;
        };
        // A server-side apply may create, too, and so may what began before.
        store.refuse_new().await;
        let begun =
            condition(TERMINATING, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress");
        let reason = find(&self.definition, TERMINATING).and_then(|condition| condition.str_at(&["reason"]));
        if !matches!(reason, Some("InstanceDeletionInProgress" | "InstanceDeletionFailed" | "InstanceDeletionCheck")) {
            return Some(self.with(begun));
        }
        if let Err(why) = self.delete_all(store).await {
            return self.failed(&why).await;
        }
        tokio::select! {
            biased;
            is_gone = gone(store) => is_gone.then(|| {
                self.without_finalizer(("False", "InstanceDeletionCompleted", "removed all instances"))
            }),
            () = self.clock.sleep(PATIENCE) => {
                let why = "could not confirm zero CustomResources remaining: timed out waiting for the condition";
                let waiting = condition(TERMINATING, "True", "InstanceDeletionCheck", why);
                (!is_equivalent(&self.definition, &waiting)).then(|| self.with(waiting))
            }
        }
    }

    /// What is to be written of a failure: said once; then it is tried again after a while.
    async fn failed(&self, why: &str) -> Option<Value> {
        let failed = condition(TERMINATING, "True", "InstanceDeletionFailed", why);
        self.clock.sleep(PATIENCE).await;
        (!is_equivalent(&self.definition, &failed)).then(|| self.with(failed))
    }

    fn with(&self, condition: Value) -> Value {
        let mut definition = self.definition.clone();
        set_condition(&mut definition, condition);
        definition
    }

    fn without_finalizer(&self, (status, reason, message): (&str, &str, &str)) -> Value {
        let mut definition = self.with(condition(TERMINATING, status, reason, message));
        let others: Vec<Value> =
            self.definition.finalizers().filter(|finalizer| *finalizer != CLEANUP_FINALIZER).map(Value::from).collect();
        if others.is_empty() {
            definition.unset_meta("finalizers");
        } else {
            definition.set_meta("finalizers", Value::from(others));
        }
        definition
    }

    /// Deletes every object, or begins to. Errors: what the first refusal says.
    async fn delete_all(&self, store: &Store) -> Result<(), String> {
        let snapshot =
            store.consistent().await.map_err(|status| format!("could not list instances: {}", status.message))?;
        if let Some((_, corrupt)) = snapshot.corrupt("", "").next() {
            return Err(format!("could not list instances: {}", corrupt.why));
        }
        let user =
            UserInfo { name: "system:apiserver".into(), groups: vec![SYSTEM_MASTERS.into()], ..UserInfo::default() };
        for (_, object) in snapshot.range("", "") {
            let api_version = store.resource().hub_api_version();
            let context = WriteContext {
                user: &user,
                now: self.clock.now(),
                namespace: &object.namespace,
                api_version: &api_version,
                subresource: "",
                field_manager: "kube-apiserver",
                served_as: store.resource(),
                is_apply: false,
                dry_run: false,
            };
            match store.delete(&context, &object.name, &DeleteOptions::default()).await {
                Ok(_) => {}
                Err(status) if status.reason == Reason::NotFound => {}
                Err(status) => return Err(format!("could not issue all deletes: {}", status.message)),
            }
        }
        Ok(())
    }
}

/// Completes with `true` once there are no objects; with `false` if another store has taken the place of this one meanwhile.
async fn gone(store: &Store) -> bool {
    loop {
        let Ok((snapshot, mut watcher)) = store.cacher().watch_from_now(0).await else {
            store.cacher().ready().await;
            continue;
        };
        if is_empty(&snapshot) {
            return true;
        }
        let mut events = Vec::new();
        loop {
            match watcher.next(&mut events).await {
                Ok(()) if is_empty(&store.cacher().any()) => return true,
                Ok(()) => events.clear(),
                Err(WatcherClosed::Behind { .. }) => break,
                Err(WatcherClosed::Replaced) => return false,
            }
        }
    }
}

/// Whether nothing is stored, not even what cannot be decoded: another definition of this name would come upon it.
fn is_empty(snapshot: &Snapshot) -> bool {
    snapshot.is_empty() && snapshot.corrupt("", "").next().is_none()
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use futures::FutureExt as _;

    use super::*;

    /// It was taken for one that was never established: its objects stayed, and came back with the next of its name.
    #[test]
    fn a_definition_that_cannot_be_served_keeps_its_finalizer() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let mut definition = Value::object();
        definition.set_meta("name", "a.example.com");
        definition.set_meta("finalizers", Value::array([CLEANUP_FINALIZER.into()]));
        let cleanup = |definition: Value| Cleanup { definition, store: None, clock: clock.clone() };
        let never = cleanup(definition.clone()).step().now_or_never().unwrap().unwrap();
        assert_eq!(never.finalizers().count(), 0);
        set_condition(&mut definition, condition(ESTABLISHED, "True", "InitialNamesAccepted", ""));
        for is_said in [false, true] {
            let cleanup = cleanup(definition.clone());
            let mut step = Box::pin(cleanup.step());
            assert!((&mut step).now_or_never().is_none());
            clock.advance(PATIENCE);
            match step.now_or_never().unwrap() {
                Some(failed) => definition = failed,
                None => assert!(is_said),
            }
            assert_eq!(definition.finalizers().count(), 1);
            let reason = find(&definition, TERMINATING).and_then(|condition| condition.str_at(&["reason"]));
            assert_eq!(reason, Some("InstanceDeletionFailed"));
        }
    }
}
