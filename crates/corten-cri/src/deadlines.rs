//! How long a kubelet waits for its runtime: deadlines on every call, whatever runtime is behind them.
//!
//! A runtime that hangs over one pod must not hold whoever asks about it for ever. What it was asked may still happen.
//! Upstream: pkg/kubelet's `runtimeRequestTimeout` and internal/cri remote_runtime.go (v1.35).

use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_base::{SharedClock, timeout};

use crate::{
    Cri, api,
    calls::{image_calls, runtime_calls},
    error::{Code, CriError},
    images::ImageService,
    runtime::{EventStream, RuntimeService},
};

/// The default of `runtimeRequestTimeout`.
const REQUEST_PATIENCE: Duration = Duration::from_secs(120);

impl Cri {
    /// The same runtime; calls that take too long fail with `DeadlineExceeded`, and are dropped. Streams have no deadline.
    #[must_use]
    pub fn with_deadlines(self, clock: &SharedClock) -> Self {
        Self {
            runtime: Arc::new(Limited { service: self.runtime, clock: Arc::clone(clock) }),
            images: Arc::new(Limited { service: self.images, clock: Arc::clone(clock) }),
            streaming: self.streaming,
        }
    }
}

struct Limited<S: ?Sized> {
    clock: SharedClock,
    service: Arc<S>,
}

impl<S: ?Sized> Limited<S> {
    async fn within<T>(
        &self,
        limit: Option<Duration>,
        call: impl Future<Output = Result<T, CriError>>,
    ) -> Result<T, CriError> {
        let Some(limit) = limit else { return call.await };
        let late = |_| Err(CriError::new(Code::DeadlineExceeded, "context deadline exceeded"));
        timeout(&*self.clock, limit, call).await.unwrap_or_else(late)
    }
}

/// How long a call may take; `None`: as long as it likes.
fn limit(request: &dyn Any) -> Option<Duration> {
    let longer = |seconds: i64| REQUEST_PATIENCE.saturating_add(Duration::from_secs(seconds.unsigned_abs()));
    if let Some(stop) = request.downcast_ref::<api::StopContainerRequest>() {
        // What the container is given, and then its end by force.
        Some(longer(stop.timeout.max(0)))
    } else if let Some(exec) = request.downcast_ref::<api::ExecSyncRequest>() {
        (exec.timeout > 0).then(|| longer(exec.timeout))
    } else if let Some(checkpoint) = request.downcast_ref::<api::CheckpointContainerRequest>() {
        (checkpoint.timeout >= 0).then(|| longer(checkpoint.timeout))
    } else if request.is::<api::RunPodSandboxRequest>() {
        // The pod's network may be another program's.
        Some(REQUEST_PATIENCE * 2)
    } else if request.is::<api::PullImageRequest>() {
        None
    } else {
        Some(REQUEST_PATIENCE)
    }
}

macro_rules! runtime_service {
    ($($call:ident($request:ident) -> $response:ident;)*) => {
        #[async_trait]
        impl RuntimeService for Limited<dyn RuntimeService> {
            $(async fn $call(&self, request: api::$request) -> Result<api::$response, CriError> {
                self.within(limit(&request), self.service.$call(request)).await
            })*

            async fn get_container_events(&self, request: api::GetEventsRequest) -> Result<EventStream, CriError> {
                self.within(limit(&request), self.service.get_container_events(request)).await
            }
        }
    };
}
runtime_calls!(runtime_service);

macro_rules! image_service {
    ($($call:ident($request:ident) -> $response:ident;)*) => {
        #[async_trait]
        impl ImageService for Limited<dyn ImageService> {
            $(async fn $call(&self, request: api::$request) -> Result<api::$response, CriError> {
                self.within(limit(&request), self.service.$call(request)).await
            })*
        }
    };
}
image_calls!(image_service);

#[cfg(test)]
mod tests {
    use corten_base::SimClock;

    use super::*;

    #[track_caller]
    fn check(request: &dyn Any, want: Option<u64>) {
        assert_eq!(limit(request), want.map(Duration::from_secs));
    }

    #[test]
    fn calls_may_take_as_long_as_upstream_gives_them() {
        let stop = |timeout| api::StopContainerRequest { timeout, ..api::StopContainerRequest::default() };
        let exec = |timeout| api::ExecSyncRequest { timeout, ..api::ExecSyncRequest::default() };
        check(&api::VersionRequest::default(), Some(120));
        check(&api::RunPodSandboxRequest::default(), Some(240));
        check(&stop(30), Some(150));
        check(&stop(-1), Some(120));
        check(&exec(0), None);
        check(&exec(5), Some(125));
        check(&api::PullImageRequest::default(), None);
    }

    /// One stopped shim held its pod's worker for ever.
    #[tokio::test]
    async fn a_call_that_hangs_ends() {
        let clock = SimClock::new(jiff::Timestamp::UNIX_EPOCH);
        let limited = Limited { service: Arc::new(()), clock: Arc::clone(&clock) as SharedClock };
        let call = limited.within(Some(REQUEST_PATIENCE), std::future::pending::<Result<(), CriError>>());
        let (ended, ()) = tokio::join!(call, async { clock.advance(REQUEST_PATIENCE) });
        let error = ended.unwrap_err();
        assert_eq!(error.to_string(), "rpc error: code = DeadlineExceeded desc = context deadline exceeded");
    }
}
