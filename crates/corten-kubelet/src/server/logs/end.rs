//! Hears of the end of a container.

use std::time::Duration;

use corten_base::SharedClock;
use corten_cri::{
    EventStream, RuntimeService,
    api::{ContainerEventType, ContainerState, ContainerStatusRequest, GetEventsRequest},
};
use futures::StreamExt as _;

/// How often a runtime without events is asked. Upstream: `stateCheckPeriod`.
const CHECK_PERIOD: Duration = Duration::from_secs(5);

/// Waits for the end of one container.
pub(super) struct ContainerEnd<'a> {
    runtime: &'a dyn RuntimeService,
    clock: SharedClock,
    container_id: &'a str,
    events: Option<EventStream>,
}

impl<'a> ContainerEnd<'a> {
    /// Subscribes to the runtime's events.
    pub(super) async fn of(runtime: &'a dyn RuntimeService, clock: SharedClock, container_id: &'a str) -> Self {
        // A runtime that has no events is asked from time to time.
        let events = runtime.get_container_events(GetEventsRequest {}).await.ok();
        Self { runtime, clock, container_id, events }
    }

    /// Completes once the container has ended. Cancel-safe.
    pub(super) async fn wait(&mut self) {
        loop {
            match &mut self.events {
                Some(events) => match events.next().await {
                    Some(Ok(event)) => {
                        let over = [
                            ContainerEventType::ContainerStoppedEvent as i32,
                            ContainerEventType::ContainerDeletedEvent as i32,
                        ];
                        if event.container_id == self.container_id && over.contains(&event.container_event_type) {
                            return;
                        }
                        continue;
                    }
                    Some(Err(_)) | None => self.events = None,
                },
                None => self.clock.sleep(CHECK_PERIOD).await,
            }
            if !is_running(self.runtime, self.container_id).await {
                return;
            }
        }
    }
}

/// Whether the container runs now.
pub(super) async fn is_running(runtime: &dyn RuntimeService, container_id: &str) -> bool {
    let request = ContainerStatusRequest { container_id: container_id.to_owned(), verbose: false };
    match runtime.container_status(request).await {
        Ok(answer) => answer.status.is_some_and(|status| status.state == ContainerState::ContainerRunning as i32),
        // One that is gone has ended; a runtime that does not answer has told nothing.
        Err(error) => !error.is_not_found(),
    }
}
