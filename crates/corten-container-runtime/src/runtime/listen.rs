//! Listens to shims: one task per pod, until its shim has gone.

use std::time::Duration;

use corten_base::Backoff;
use corten_cri::{Code, CriError, api};

use super::{Container, ContainerRuntime, nothing_to_undo};
use crate::shim::{
    client::{ANSWER_PATIENCE, Call},
    protocol::{Answer, Request},
};

/// The pauses, the first and the longest, before a shim is asked again that is there but does not answer as it should.
const RESUBSCRIBE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];

impl ContainerRuntime {
    /// Asks a pod's shim to tell of its containers' ends, and reads what has happened before.
    ///
    /// Errors: `Unavailable` if the shim has gone.
    pub(super) async fn subscribe(&self, sandbox: &str, patience: Duration) -> Result<Call, CriError> {
        // The subscription stands when the shim has said so.
        let (call, ..) = self.shim(sandbox).begin(Request::Events, &[], patience).await?;
        for record in self.containers_of(sandbox) {
            self.refresh(&record.id).await?;
        }
        Ok(call)
    }

    /// Takes in what a shim tells until the connection breaks.
    ///
    /// A shim that has told something is well: the pauses begin anew. One that only takes the subscription may break off at
    /// once, again and again.
    async fn hear(&self, call: &Call, pauses: &mut Backoff) -> CriError {
        loop {
            match call.answer().await {
                Ok((Answer::Ended { id }, _)) => {
                    pauses.reset();
                    if let Err(error) = self.refresh(&id).await {
                        tracing::warn!(container = %id, err = %error, "Could not read state of container");
                        self.lost(&[id]);
                    }
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    /// Listens to a pod's shim until it has gone. A shim that is there but cannot be heard is asked again and again: its
    /// containers run on, and only its end says that they are over.
    pub(super) fn listen(&self, sandbox: &str, call: Option<Call>) {
        let (runtime, sandbox) = (self.clone(), sandbox.to_owned());
        let shutdown = self.inner.shutdown.clone();
        self.inner.tasks.spawn("shim-watch", async move {
            let until_it_has_gone = async {
                let mut pauses = Backoff::doubling(RESUBSCRIBE[0], RESUBSCRIBE[1]);
                let mut heard = match call {
                    Some(call) => Ok(call),
                    None => runtime.subscribe(&sandbox, ANSWER_PATIENCE).await,
                };
                loop {
                    let error = match heard {
                        Ok(call) => runtime.hear(&call, &mut pauses).await,
                        Err(error) => error,
                    };
                    if error.code == Code::Unavailable {
                        return error;
                    }
                    tracing::warn!(sandbox, err = %error, "Could not listen to shim");
                    let pause = pauses.next(&*runtime.inner.rng);
                    runtime.inner.clock.sleep(pause).await;
                    heard = match runtime.subscribe(&sandbox, ANSWER_PATIENCE).await {
                        Err(error) if error.code == Code::Unavailable => return error,
                        other => other,
                    };
                }
            };
            let cause = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                cause = until_it_has_gone => cause,
            };
            if let Err(error) = runtime.shim_died(&sandbox, &cause).await {
                tracing::error!(sandbox, err = %error, "Could not clear away sandbox whose shim died");
            }
        });
    }

    /// Stops a pod whose shim ended though nobody had stopped it: what is left of it can neither be reaped nor logged.
    ///
    /// The record says so before the containers do: whoever sees them exited must not start others beside them.
    async fn shim_died(&self, sandbox: &str, cause: &CriError) -> Result<(), CriError> {
        let (id, cause) = (sandbox.to_owned(), cause.message.clone());
        let work = |runtime: Self| async move {
            let is_ready = runtime.inner.state.lock().sandboxes.get(&id).is_some_and(|record| record.ready);
            if !is_ready {
                // A stop ended the shim, and does the rest itself.
                return Ok(());
            }
            tracing::warn!(sandbox = %id, err = cause, "Shim ended unasked");
            runtime.change_sandbox(&id, |record| record.ready = false).await?;
            runtime.shim_ended(&id).await;
            runtime.send(&id, &id, api::ContainerEventType::ContainerStoppedEvent);
            runtime.stop_sandbox_in_turn(&id).await
        };
        self.alone(sandbox, work, nothing_to_undo).await
    }

    /// After a stop, or because the shim died: then its containers are killed, since nobody can reap or log them.
    pub(super) async fn shim_ended(&self, sandbox: &str) {
        let mut lost = Vec::new();
        for record in self.containers_of(sandbox) {
            let is_over = |container: &Container| container.exit().is_some();
            if let Err(error) = self.refresh(&record.id).await {
                tracing::warn!(container = %record.id, err = %error, "Could not read state of container");
            }
            if self.inner.state.lock().containers.get(&record.id).is_none_or(is_over) {
                continue;
            }
            if let Err(error) = self.sweep(&record).await {
                tracing::error!(container = %record.id, err = %error, "Could not remove container whose shim died");
            }
            lost.push(record.id);
        }
        self.lost(&lost);
    }
}
