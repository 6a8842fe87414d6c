//! `GetContainerEvents`: a kubelet that listens need not ask.

use std::time::Duration;

use futures::StreamExt as _;

use super::{Fixture, pod::IDLE};
use crate::{
    EventStream, api,
    api::{ContainerEventResponse, ContainerEventType, ContainerState},
};

/// How long an event may take.
const EVENT_MAX: Duration = Duration::from_secs(30);

async fn subscribe(fixture: &Fixture) -> EventStream {
    fixture.runtime.get_container_events(api::GetEventsRequest {}).await.expect("subscribe")
}

/// The next event about a container or sandbox.
async fn next(fixture: &Fixture, events: &mut EventStream, id: &str) -> ContainerEventResponse {
    let wanted = async {
        loop {
            let event = events.next().await.expect("the stream goes on").expect("an event");
            if event.container_id == id {
                return event;
            }
        }
    };
    corten_base::timeout(&*fixture.clock, EVENT_MAX, wanted).await.expect("an event in time")
}

/// Created, started, stopped, deleted; and the same for the sandbox.
pub async fn a_containers_life_is_told_in_order(fixture: &Fixture) {
    let mut events = subscribe(fixture).await;
    let pod = fixture.pod("told").await;
    let id = pod.create("main", IDLE).await;
    fixture.start(&id).await.expect("start");
    fixture.stop(&id, 20).await.expect("stop");
    fixture.remove(&id).await.expect("remove");
    let mut last = 0;
    for want in [
        ContainerEventType::ContainerCreatedEvent,
        ContainerEventType::ContainerStartedEvent,
        ContainerEventType::ContainerStoppedEvent,
        ContainerEventType::ContainerDeletedEvent,
    ] {
        let event = next(fixture, &mut events, &id).await;
        assert_eq!(event.container_event_type(), want);
        assert!(event.created_at >= last, "{} after {last}", event.created_at);
        last = event.created_at;
    }

    let mut events = subscribe(fixture).await;
    let pod_sandbox_id = pod.id.clone();
    fixture.runtime.stop_pod_sandbox(api::StopPodSandboxRequest { pod_sandbox_id }).await.expect("stop the sandbox");
    assert_eq!(
        next(fixture, &mut events, &pod.id).await.container_event_type(),
        ContainerEventType::ContainerStoppedEvent
    );
}

/// Who hears of an event knows the pod's state without asking.
pub async fn an_event_carries_the_state_of_the_pod(fixture: &Fixture) {
    let pod = fixture.pod("carried").await;
    let mut events = subscribe(fixture).await;
    let (first, second) = (pod.start("first", IDLE).await, pod.create("second", IDLE).await);
    fixture.stop(&first, 20).await.expect("stop");
    let event = loop {
        let event = next(fixture, &mut events, &first).await;
        if event.container_event_type() == ContainerEventType::ContainerStoppedEvent {
            break event;
        }
    };
    let sandbox = event.pod_sandbox_status.expect("the sandbox's status");
    assert_eq!((&sandbox.id, sandbox.state()), (&pod.id, api::PodSandboxState::SandboxReady));
    assert_eq!(sandbox.metadata, pod.config.metadata);
    let state = |id: &str| event.containers_statuses.iter().find(|status| status.id == id).map(|status| status.state());
    assert_eq!(state(&first), Some(ContainerState::ContainerExited));
    assert_eq!(state(&second), Some(ContainerState::ContainerCreated));
}

/// One that leaves takes nothing from the others.
pub async fn every_subscriber_hears_everything(fixture: &Fixture) {
    let (mut one, two) = (subscribe(fixture).await, subscribe(fixture).await);
    drop(two);
    let mut three = subscribe(fixture).await;
    let pod = fixture.pod("heard").await;
    let id = pod.start("main", IDLE).await;
    for events in [&mut one, &mut three] {
        for want in [ContainerEventType::ContainerCreatedEvent, ContainerEventType::ContainerStartedEvent] {
            assert_eq!(next(fixture, events, &id).await.container_event_type(), want);
        }
    }
}
