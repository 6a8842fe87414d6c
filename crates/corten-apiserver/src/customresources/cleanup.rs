//! Deletes the objects of a definition that is to go, and waits until they have gone.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/controller/finalizer (v1.35).

use std::{sync::Arc, time::Duration};

use corten_apimachinery::{Value, meta::ObjectMeta as _, resource::DeleteOptions, value::Str};
use corten_base::{SharedClock, Shutdown};
use corten_storage::cacher::{Snapshot, WatcherClosed};
use tokio::sync::mpsc;

use super::{
    CLEANUP_FINALIZER,
    conditions::{ESTABLISHED, TERMINATING, condition, find_condition, is_equivalent, is_true, set_condition},
};
use crate::{
    authorization::own_identity,
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

/// News of a clean-up.
#[derive(Debug)]
pub(super) struct Cleaned {
    pub(super) definition: Str,
    /// The definition as it has to be written now; none if it says so already, and is to be looked at again.
    pub(super) changed: Option<Value>,
    /// Whether the clean-up has ended: what is written, or looked at again, brings the next one.
    pub(super) is_over: bool,
}

/// What one step led to.
enum Step {
    /// This is to be written.
    Write(Value),
    /// The definition says already how it stands.
    Wait,
    /// It failed, and is to be tried again after a while.
    Failed(String),
}

impl Cleanup {
    /// Does one step and says what is to be written; what is written brings the next step. A failure is said at once, and
    /// tried again after a while.
    pub(super) async fn run(self, cleaned: mpsc::Sender<Cleaned>, ending: Shutdown) {
        let work = async {
            let changed = match self.step().await {
                Step::Write(changed) => Some(changed),
                Step::Wait => None,
                Step::Failed(why) => {
                    let failed = condition(TERMINATING, "True", "InstanceDeletionFailed", &why);
                    if !is_equivalent(&self.definition, &failed) {
                        self.tell(&cleaned, Some(self.with(failed)), false).await;
                    }
                    self.clock.sleep(PATIENCE).await;
                    None
                }
            };
            self.tell(&cleaned, changed, true).await;
        };
        tokio::select! {
            biased;
            () = ending.requested() => {}
            () = work => {}
        }
    }

    async fn tell(&self, cleaned: &mpsc::Sender<Cleaned>, changed: Option<Value>, is_over: bool) {
        // At the end of the process nobody waits for it; the next one begins again.
        let _gone = cleaned.send(Cleaned { definition: self.definition.name().into(), changed, is_over }).await;
    }

    async fn step(&self) -> Step {
        if !is_true(&self.definition, ESTABLISHED) {
            let never = ("False", "NeverEstablished", "resource was never established");
            return Step::Write(self.without_finalizer(never));
        }
        let Some(store) = &self.store else {
            // What was established has objects, which would come back with the next definition of this name.
            return Step::Failed("could not list instances: the definition cannot be served".to_owned());
        };
        // A server-side apply may create, too, and so may what began before.
        store.refuse_new().await;
        let begun =
            condition(TERMINATING, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress");
        let reason = find_condition(&self.definition, TERMINATING).and_then(|condition| condition.str_at(&["reason"]));
        if !matches!(reason, Some("InstanceDeletionInProgress" | "InstanceDeletionFailed" | "InstanceDeletionCheck")) {
            return Step::Write(self.with(begun));
        }
        if let Err(why) = self.delete_all(store).await {
            return Step::Failed(why);
        }
        tokio::select! {
            biased;
            is_gone = gone(store) => {
                let completed = ("False", "InstanceDeletionCompleted", "removed all instances");
                if is_gone { Step::Write(self.without_finalizer(completed)) } else { Step::Wait }
            }
            () = self.clock.sleep(PATIENCE) => {
                let why = "could not confirm zero CustomResources remaining: timed out waiting for the condition";
                let waiting = condition(TERMINATING, "True", "InstanceDeletionCheck", why);
                if is_equivalent(&self.definition, &waiting) { Step::Wait } else { Step::Write(self.with(waiting)) }
            }
        }
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
        let (user, api_version) = (own_identity(), store.resource().hub_api_version());
        let context = WriteContext {
            user: &user,
            now: self.clock.now(),
            namespace: "",
            api_version: &api_version,
            subresource: "",
            field_manager: "kube-apiserver",
            served_as: store.resource(),
            is_apply: false,
            dry_run: false,
        };
        let objects: Vec<_> = snapshot.range("", "").map(|(_, object)| Arc::clone(object)).collect();
        let deleted = store.delete_all(context, &objects, &DeleteOptions::default()).await;
        deleted.map_err(|status| format!("could not issue all deletes: {}", status.message))
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

    fn definition() -> Value {
        let mut definition = Value::object();
        definition.set_meta("name", "a.example.com");
        definition.set_meta("finalizers", Value::array([CLEANUP_FINALIZER.into()]));
        definition
    }

    fn reason(definition: &Value) -> Option<&str> {
        find_condition(definition, TERMINATING).and_then(|condition| condition.str_at(&["reason"]))
    }

    #[tokio::test]
    async fn a_definition_that_was_never_established_loses_its_finalizer() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (told, mut news) = mpsc::channel(2);
        let (_trigger, ending) = Shutdown::new();
        Cleanup { definition: definition(), store: None, clock: clock.clone() }.run(told, ending).await;
        let news = news.recv().await.unwrap();
        assert!(news.is_over);
        assert_eq!(news.changed.unwrap().finalizers().count(), 0);
    }

    /// It was taken for one that was never established: its objects stayed, and came back with the next of its name. And it
    /// said that it could not be served a minute after it was known.
    #[tokio::test]
    async fn a_definition_that_cannot_be_served_says_so_at_once_and_keeps_its_finalizer() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let mut definition = definition();
        set_condition(&mut definition, condition(ESTABLISHED, "True", "InitialNamesAccepted", ""));
        for is_said in [false, true] {
            let (told, mut news) = mpsc::channel(2);
            let (_trigger, ending) = Shutdown::new();
            let cleanup = Cleanup { definition: definition.clone(), store: None, clock: clock.clone() };
            let mut running = Box::pin(cleanup.run(told, ending));
            assert!((&mut running).now_or_never().is_none(), "it is not tried again before a while");
            match news.try_recv() {
                Ok(Cleaned { changed: Some(failed), is_over: false, .. }) if !is_said => definition = failed,
                nothing => assert!(is_said && nothing.is_err(), "{nothing:?}"),
            }
            assert_eq!((definition.finalizers().count(), reason(&definition)), (1, Some("InstanceDeletionFailed")));
            clock.advance(PATIENCE);
            running.now_or_never().unwrap();
            assert!(matches!(news.try_recv(), Ok(Cleaned { changed: None, is_over: true, .. })));
        }
    }
}
