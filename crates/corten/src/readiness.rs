//! Waiting for something to be true of an object, by watching.

use std::time::Duration;

use corten_apimachinery::{
    codec::{FieldValidation, json},
    status::{Reason, Status},
    stored::Stored,
    value::Value,
};
use corten_base::{Backoff, Clock, Rng, SharedClock, SharedRng, timeout};
use corten_client::{Client, Target, WatchEvent, WatchOptions};
use futures::StreamExt as _;

/// Waits for `work` no longer than `limit`, so that a start which leads nowhere ends with a reason.
///
/// Errors: how long was waited. Cancel-safe where `work` is.
pub(crate) async fn within<F: Future>(clock: &dyn Clock, limit: Duration, work: F) -> anyhow::Result<F::Output> {
    timeout(clock, limit, work).await.map_err(|_| anyhow::anyhow!("waited {} s", limit.as_secs()))
}

/// What it takes to wait.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    /// Who looks.
    pub(crate) client: Client,
    /// For pauses after failures.
    pub(crate) clock: SharedClock,
    /// For their jitter.
    pub(crate) rng: SharedRng,
}

impl Waiter {
    /// Gives what `found` makes of the first object of the collection that it makes something of. Never fails: a watch
    /// that ends or is refused begins anew, after a pause. Cancel-safe.
    pub(crate) async fn until<T>(&self, target: &Target, fields: &str, found: impl Fn(&Value) -> Option<T>) -> T {
        let mut backoff = Backoff::doubling(Duration::from_millis(20), Duration::from_secs(2)).with_jitter(0.2);
        let options = WatchOptions { field_selector: fields.to_owned(), ..WatchOptions::default() };
        loop {
            match self.client.watch(target.clone(), &options).await {
                Ok(mut events) => {
                    while let Some(event) = events.next().await {
                        let (Ok(WatchEvent::Added(object)) | Ok(WatchEvent::Modified(object))) = event else {
                            continue;
                        };
                        if let Some(result) = tree(&object).as_ref().and_then(&found) {
                            return result;
                        }
                    }
                }
                Err(error) => tracing::debug!(resource = %target.resource.resource, err = %error, "Could not watch"),
            }
            self.clock.sleep(backoff.next(&*self.rng)).await;
        }
    }
}

/// What `work` gives once the server takes it. One that has just begun says that it is not ready, and one with much to do that
/// it is busy: then it is asked again, after a pause. Cancel-safe where `work` is.
///
/// Errors: those of `work` that another attempt would not change.
pub(crate) async fn until_taken<T, F>(
    clock: &dyn Clock,
    rng: &dyn Rng,
    mut work: impl FnMut() -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut backoff = Backoff::doubling(Duration::from_millis(20), Duration::from_secs(2)).with_jitter(0.2);
    loop {
        match work().await {
            Err(error) if is_passing(&error) => {
                tracing::debug!(err = %error, "The API server could not do it yet");
                clock.sleep(backoff.next(rng)).await;
            }
            outcome => return outcome,
        }
    }
}

fn is_passing(error: &Status) -> bool {
    use Reason::{ServerTimeout, ServiceUnavailable, Timeout, TooManyRequests};
    matches!(error.reason, TooManyRequests | ServerTimeout | ServiceUnavailable | Timeout)
}

/// The object as a tree; nothing if its JSON cannot be read, which only a newer server could send.
pub(crate) fn tree(object: &Stored) -> Option<Value> {
    json::decode(&object.json, None, FieldValidation::Ignore).ok().map(|decoded| decoded.value)
}

/// Whether a node's condition `Ready` is true.
pub(crate) fn is_ready(node: &Value) -> bool {
    let conditions = node.items_at(&["status", "conditions"]);
    conditions.iter().any(|one| one.str_at(&["type"]) == Some("Ready") && one.str_at(&["status"]) == Some("True"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use corten_base::{SimRng, SystemClock};

    use super::*;

    /// An `up` after a `kill -9` failed because the watch cache of its own API server was not read yet.
    #[tokio::test]
    async fn a_server_that_is_not_ready_yet_is_asked_again() {
        let (clock, rng) = (SystemClock::shared(), SimRng::shared(1));
        let check = async |errors: &[Status], want: Result<i32, Reason>, attempts: usize| {
            let asked = Cell::new(0);
            let work = || {
                let error = errors.get(asked.replace(asked.get() + 1)).cloned();
                std::future::ready(error.map_or(Ok(7), Err))
            };
            assert_eq!(until_taken(&*clock, &*rng, work).await.map_err(|error| error.reason), want);
            assert_eq!(asked.get(), attempts);
        };
        let busy = Status::too_many_requests("storage is (re)initializing", 1);
        check(&[], Ok(7), 1).await;
        check(&[busy.clone(), busy.clone()], Ok(7), 3).await;
        check(&[busy, Status::bad_request("no")], Err(Reason::BadRequest), 2).await;
    }
}
